use super::*;
use crate::pace::Reach;

fn at(milliseconds: u64) -> Moment {
    Moment::new(Duration::from_millis(milliseconds))
}

fn executor(images: usize) -> Executor {
    let actions = (0..images).map(|n| {
        (
            ImageId::new(&format!("img-{n}")).expect("valid"),
            Permission::Share,
        )
    });
    Executor::new(actions)
}

fn refused(class: Class) -> Result<Modified, CallError> {
    Err(CallError::Refused(Refusal {
        code: "Code".into(),
        message: String::new(),
        request_id: None,
        class,
    }))
}

fn done() -> Result<Modified, CallError> {
    Ok(Modified {
        blueprint_id: None,
        request_id: None,
    })
}

/// Takes what is next, if it may be sent.
fn take_next(executor: &mut Executor, now: Moment) -> Option<JobId> {
    executor.next(now);
    let id = executor.peek(|_| true)?.0;
    executor.take(id, now).then_some(id)
}

fn take(executor: &mut Executor, now: Moment) -> JobId {
    take_next(executor, now).expect("there is something to send")
}

fn last(executor: Executor) -> Vec<Last> {
    executor.outcomes().map(|(_, _, last)| last).collect()
}

#[test]
fn each_action_is_sent_once_and_settles() {
    let mut executor = executor(3);
    for _ in 0..3 {
        assert_eq!(executor.next(at(0)), Step::Send);
        let id = take(&mut executor, at(0));
        executor.replied(id, done(), at(1), 0.0);
    }
    assert_eq!(executor.next(at(1)), Step::Done);
    assert_eq!(last(executor).len(), 3);
}

#[test]
fn s8_an_image_in_flight_is_not_sent_again() {
    let mut executor = executor(1);
    let id = take(&mut executor, at(0));
    assert_eq!(executor.next(at(0)), Step::Listen);
    assert!(take_next(&mut executor, at(0)).is_none());
    executor.replied(id, done(), at(1), 0.0);
    assert_eq!(executor.next(at(1)), Step::Done);
}

#[test]
fn a12_busy_is_retried_with_backoff_and_ends() {
    let mut executor = executor(1);
    let mut now = at(0);
    for sends in 1..=ATTEMPTS_MAX {
        let id = take(&mut executor, now);
        executor.replied(id, refused(Class::Busy), now, 0.9);
        if sends < ATTEMPTS_MAX {
            let Step::Wait(until) = executor.next(now) else {
                panic!("waits after {sends}")
            };
            assert!(until > now);
            now = until;
        }
    }
    assert_eq!(executor.next(now), Step::Done);
    assert!(matches!(last(executor)[..], [Last::Failed(_)]));
}

#[test]
fn l2_an_image_that_waits_delays_no_other() {
    let mut executor = executor(2);
    let first = take(&mut executor, at(0));
    executor.replied(first, refused(Class::Busy), at(0), 0.9);
    assert_eq!(executor.next(at(0)), Step::Send);
    let second = take(&mut executor, at(0));
    assert_ne!(first, second);
}

#[test]
fn t1_what_was_never_sent_is_sent_again_and_t2_what_may_have_been_is_not() {
    let mut executor = executor(2);
    let (a, b) = (take(&mut executor, at(0)), take(&mut executor, at(0)));
    executor.replied(a, Err(CallError::NotSent("refused".into())), at(1), 0.5);
    executor.replied(b, Err(CallError::Unclear("cut".into())), at(1), 0.5);
    assert!(matches!(executor.next(at(1)), Step::Wait(_)));
    assert_eq!(take(&mut executor, at(10_000)), a);
    executor.replied(a, done(), at(10_001), 0.5);
    assert_eq!(executor.next(at(10_001)), Step::Done);
    assert!(matches!(
        last(executor)[..],
        [Last::Acknowledged { .. }, Last::Unclear { .. }]
    ));
}

#[test]
fn a16_throttling_is_not_charged_to_the_image() {
    let mut executor = executor(1);
    for _ in 0..THROTTLED_MAX - 1 {
        let id = take(&mut executor, at(0));
        executor.replied(id, refused(Class::Throttled(Reach::Bucket)), at(0), 0.5);
    }
    let (id, _, _, number) = executor.peek(|_| true).expect("still going");
    assert!(executor.take(id, at(0)));
    assert_eq!(number, THROTTLED_MAX);
    executor.replied(id, done(), at(0), 0.5);
    assert!(matches!(last(executor)[..], [Last::Acknowledged { .. }]));
}

#[test]
fn a14_a_broken_account_blocks_the_rest_without_a_call() {
    let mut executor = executor(50);
    let id = take(&mut executor, at(0));
    executor.replied(id, refused(Class::AccountBlocked), at(0), 0.5);
    assert_eq!(executor.next(at(0)), Step::Done);
    let all = last(executor);
    assert_eq!(all.len(), 50);
    assert!(all.iter().all(|last| matches!(last, Last::Blocked(_))));
}

#[test]
fn l4_a_denied_scope_is_probed_once_per_step_and_then_left() {
    let mut executor = executor(50);
    let (mut now, mut sends) = (at(0), 0);
    loop {
        match executor.next(now) {
            Step::Send => {
                sends += 1;
                let id = take(&mut executor, now);
                executor.replied(id, refused(Class::ScopeBlocked), now, 0.5);
            }
            Step::Wait(until) => now = until,
            Step::Listen => panic!("nothing is in flight"),
            Step::Done => break,
        }
    }
    assert_eq!(sends, PROBES_MAX);
    assert_eq!(now, at(3_000), "a second, then two");
    assert_eq!(last(executor).len(), 50, "each image is accounted for");
}

#[test]
fn one_denied_image_leaves_the_others_their_turn() {
    let mut executor = executor(10);
    let id = take(&mut executor, at(0));
    executor.replied(id, refused(Class::ScopeBlocked), at(0), 0.5);
    assert_eq!(executor.next(at(0)), Step::Wait(at(1_000)));
    let probe = take(&mut executor, at(1_000));
    assert_eq!(
        executor.next(at(1_000)),
        Step::Listen,
        "one probe at a time"
    );
    executor.replied(probe, done(), at(1_001), 0.5);
    let rest = std::iter::from_fn(|| take_next(&mut executor, at(1_001))).count();
    assert_eq!(rest, 8);
}

#[test]
fn l7_after_stop_nothing_new_leaves_and_what_is_in_flight_settles() {
    let mut executor = executor(5);
    let id = take(&mut executor, at(0));
    executor.stop();
    assert_eq!(executor.next(at(0)), Step::Listen);
    assert!(take_next(&mut executor, at(0)).is_none());
    executor.replied(id, done(), at(1), 0.5);
    assert_eq!(executor.next(at(1)), Step::Done);
    assert_eq!(last(executor).len(), 1, "the others were not tried");
}

#[test]
fn what_could_be_sent_is_shown_in_the_order_of_its_turns() {
    let mut executor = executor(3);
    let first = take(&mut executor, at(0));
    executor.replied(first, refused(Class::Busy), at(0), 0.9);
    let shown = |executor: &Executor| -> Vec<_> {
        let ready = executor.ready();
        ready.map(|(_, image, _)| image.to_string()).collect()
    };
    assert_eq!(shown(&executor), ["img-1", "img-2"], "one waits");
    executor.next(at(10_000));
    assert_eq!(shown(&executor), ["img-1", "img-2", "img-0"]);
}

#[test]
fn s21_calls_in_flight_are_bounded() {
    let mut executor = executor(1000);
    let taken = std::iter::from_fn(|| take_next(&mut executor, at(0))).count();
    assert_eq!(taken, IN_FLIGHT_MAX);
    assert_eq!(executor.next(at(0)), Step::Listen);
}

#[test]
fn what_was_shown_may_be_withdrawn_or_forbidden_before_it_is_taken() {
    let mut executor = executor(2);
    let (first, image, permission, number) = executor.peek(|_| true).expect("shown");
    assert_eq!(
        (image.as_str(), permission, number),
        ("img-0", Permission::Share, 1)
    );
    executor.withdraw(first);
    assert!(!executor.take(first, at(0)), "a window closed meanwhile");
    let second = executor.peek(|_| true).expect("the other").0;
    executor.stop();
    assert!(
        !executor.take(second, at(0)),
        "the end was asked for meanwhile"
    );
    assert_eq!(last(executor).len(), 0, "neither was tried");
}
