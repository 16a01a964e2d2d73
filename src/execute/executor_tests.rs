//! Tests the executor alone, with replies of every class in every order.

use super::*;
use crate::model::fixtures_tests::elapsed_ms;
use crate::pace::ThrottleScope;

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
        asked: None,
        relay: None,
    }))
}

fn done() -> Result<Modified, CallError> {
    Ok(Modified {
        blueprint_id: None,
        request_id: None,
    })
}

/// Takes the next write, if it may be sent.
fn take_next(executor: &mut Executor, now: Monotonic) -> Option<WriteId> {
    executor.next(now);
    let id = executor.peek(|_| true)?.0;
    executor.take(id, now).then_some(id)
}

fn take(executor: &mut Executor, now: Monotonic) -> WriteId {
    take_next(executor, now).expect("there is something to send")
}

fn last(executor: Executor) -> Vec<LastResult> {
    executor.outcomes().map(|(_, _, last)| last).collect()
}

#[test]
fn each_action_is_sent_once_and_settles() {
    let mut executor = executor(3);
    for _ in 0..3 {
        assert_eq!(executor.next(elapsed_ms(0)), Step::Send);
        let id = take(&mut executor, elapsed_ms(0));
        executor.replied(id, done(), elapsed_ms(1), 0.0);
    }
    assert_eq!(executor.next(elapsed_ms(1)), Step::Done);
    assert_eq!(last(executor).len(), 3);
}

#[test]
fn s8_an_image_in_flight_is_not_sent_again() {
    let mut executor = executor(1);
    let id = take(&mut executor, elapsed_ms(0));
    assert_eq!(executor.next(elapsed_ms(0)), Step::Listen);
    assert!(take_next(&mut executor, elapsed_ms(0)).is_none());
    executor.replied(id, done(), elapsed_ms(1), 0.0);
    assert_eq!(executor.next(elapsed_ms(1)), Step::Done);
}

#[test]
fn a12_busy_is_retried_with_backoff_and_ends() {
    let mut executor = executor(1);
    let mut now = elapsed_ms(0);
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
    assert!(matches!(last(executor)[..], [LastResult::Failed(_)]));
}

#[test]
fn c2_an_image_that_was_tried_is_reported_though_not_given_up() {
    for class in [Class::Busy, Class::Throttled(ThrottleScope::Bucket)] {
        let mut executor = executor(2);
        let id = take(&mut executor, elapsed_ms(0));
        executor.replied(id, refused(class), elapsed_ms(0), 0.9);
        executor.stop();
        assert!(matches!(last(executor)[..], [LastResult::CutShort(_)]));
    }
}

#[test]
fn l2_an_image_that_waits_delays_no_other() {
    let mut executor = executor(2);
    let first = take(&mut executor, elapsed_ms(0));
    executor.replied(first, refused(Class::Busy), elapsed_ms(0), 0.9);
    assert_eq!(executor.next(elapsed_ms(0)), Step::Send);
    let second = take(&mut executor, elapsed_ms(0));
    assert_ne!(first, second);
}

#[test]
fn t1_what_was_never_sent_is_sent_again_and_t2_what_may_have_been_is_not() {
    let mut executor = executor(2);
    let (a, b) = (
        take(&mut executor, elapsed_ms(0)),
        take(&mut executor, elapsed_ms(0)),
    );
    executor.replied(
        a,
        Err(CallError::NotSent("refused".into())),
        elapsed_ms(1),
        0.5,
    );
    executor.replied(b, Err(CallError::Unclear("cut".into())), elapsed_ms(1), 0.5);
    assert!(matches!(executor.next(elapsed_ms(1)), Step::Wait(_)));
    assert_eq!(take(&mut executor, elapsed_ms(10_000)), a);
    executor.replied(a, done(), elapsed_ms(10_001), 0.5);
    assert_eq!(executor.next(elapsed_ms(10_001)), Step::Done);
    assert!(matches!(
        last(executor)[..],
        [LastResult::Acknowledged { .. }, LastResult::Unclear { .. }]
    ));
}

#[test]
fn a16_throttling_is_not_charged_to_the_image() {
    let mut executor = executor(1);
    for _ in 0..THROTTLED_MAX - 1 {
        let id = take(&mut executor, elapsed_ms(0));
        executor.replied(
            id,
            refused(Class::Throttled(ThrottleScope::Bucket)),
            elapsed_ms(0),
            0.5,
        );
    }
    let (id, _, _, number) = executor.peek(|_| true).expect("still going");
    assert!(executor.take(id, elapsed_ms(0)));
    assert_eq!(number, THROTTLED_MAX);
    executor.replied(id, done(), elapsed_ms(0), 0.5);
    assert!(matches!(
        last(executor)[..],
        [LastResult::Acknowledged { .. }]
    ));
}

#[test]
fn a14_a_broken_account_blocks_the_rest_without_a_call() {
    let mut executor = executor(50);
    let id = take(&mut executor, elapsed_ms(0));
    executor.replied(id, refused(Class::AccountBlocked), elapsed_ms(0), 0.5);
    assert_eq!(executor.next(elapsed_ms(0)), Step::Done);
    let pause = executor.write_pause().expect("one finding for the rest");
    assert!(pause.of_account);
    assert!(
        matches!(last(executor)[..], [LastResult::Blocked(_)]),
        "its own"
    );
}

/// Sends all writes that may be sent, and answers each call in turn, until nothing is left to send.
fn play(executor: &mut Executor, answer: impl Fn(WriteId) -> Result<Modified, CallError>) -> usize {
    let (mut sent, mut in_flight) = (0, VecDeque::new());
    loop {
        while let Some(id) = take_next(executor, elapsed_ms(0)) {
            sent += 1;
            in_flight.push_back(id);
        }
        let Some(id) = in_flight.pop_front() else {
            assert_eq!(executor.next(elapsed_ms(0)), Step::Done);
            return sent;
        };
        executor.replied(id, answer(id), elapsed_ms(0), 0.5);
    }
}

#[test]
fn c2_l2_a_scope_that_denies_five_images_pauses_and_says_so_once() {
    for class in [Class::ScopeBlocked, Class::OurFault] {
        let mut executor = executor(50);
        let sent = play(&mut executor, |_| refused(class));
        assert_eq!(sent, 5, "though all could have left at once");
        let pause = executor.write_pause().expect("one finding").clone();
        assert!(!pause.of_account);
        assert!(
            pause.problem.message.contains("5 different images"),
            "{pause}"
        );
        let all = last(executor);
        assert_eq!(all.len(), 5, "the others were not tried");
        assert!(all.iter().all(|last| matches!(last, LastResult::Denied(_))));
    }
}

#[test]
fn c2_l2_one_success_proves_access_and_who_is_denied_then_is_denied_alone() {
    for success in [done(), refused(Class::Converged)] {
        let mut executor = executor(50);
        let sent = play(&mut executor, |WriteId(n)| match n {
            4 => success.clone(),
            _ => refused(Class::ScopeBlocked),
        });
        assert_eq!(sent, 50);
        assert_eq!(
            (executor.write_pause(), executor.access()),
            (None, WriteAccess::Proven)
        );
        let denied = last(executor)
            .into_iter()
            .filter(|last| matches!(last, LastResult::Denied(_)));
        assert_eq!(denied.count(), 49);
    }
}

#[test]
fn c2_until_something_is_permitted_each_call_under_way_counts_as_denied() {
    let mut executor = executor(50);
    let calls: Vec<_> = std::iter::from_fn(|| take_next(&mut executor, elapsed_ms(0))).collect();
    assert_eq!(calls.len(), 5);
    assert_eq!(
        (executor.next(elapsed_ms(0)), executor.room()),
        (Step::Listen, 0)
    );
    // A reply without information about the right to write makes room for another call.
    executor.replied(
        calls[0],
        Err(CallError::Unclear("cut".into())),
        elapsed_ms(0),
        0.5,
    );
    assert_eq!(executor.room(), 1);
    let evidence = executor.replied(calls[1], refused(Class::ScopeBlocked), elapsed_ms(0), 0.5);
    assert!(matches!(evidence, AccessEvidence::Denied(_)));
    assert_eq!(executor.room(), 1);
    assert_eq!(
        executor.replied(calls[2], done(), elapsed_ms(0), 0.5),
        AccessEvidence::Permitted
    );
    assert_eq!(executor.room(), IN_FLIGHT_MAX - 2);
}

#[test]
fn c2_what_a_pass_has_found_out_holds_for_its_next_plan() {
    let mut after_three = executor(50).with_access(WriteAccess::Unproven(3));
    assert_eq!(play(&mut after_three, |_| refused(Class::ScopeBlocked)), 2);
    let mut after_success = executor(50).with_access(WriteAccess::Proven);
    assert_eq!(
        play(&mut after_success, |_| refused(Class::ScopeBlocked)),
        50
    );
}

#[test]
fn c2_a_region_that_is_not_offered_costs_one_call() {
    for code in ["UnsupportedRegion", "AuthFailure.InvalidRegion"] {
        let refusal = Refusal {
            code: code.into(),
            message: String::new(),
            request_id: None,
            class: Class::of(code, Some(Permission::Share)),
            asked: None,
            relay: None,
        };
        let mut executor = executor(50);
        let id = take(&mut executor, elapsed_ms(0));
        executor.replied(id, Err(CallError::Refused(refusal)), elapsed_ms(0), 0.5);
        assert_eq!(executor.next(elapsed_ms(0)), Step::Done);
        assert!(
            executor
                .write_pause()
                .is_some_and(|pause| !pause.of_account),
            "{code}"
        );
        assert!(
            matches!(last(executor)[..], [LastResult::Blocked(_)]),
            "{code}"
        );
    }
}

#[test]
fn c2_an_account_that_is_known_to_be_broken_is_no_images_finding() {
    let mut executor = executor(5);
    let Err(CallError::Refused(refusal)) = refused(Class::AccountBlocked) else {
        unreachable!()
    };
    let id = take(&mut executor, elapsed_ms(0));
    executor.replied(
        id,
        Err(CallError::AccountBroken(refusal)),
        elapsed_ms(0),
        0.5,
    );
    assert_eq!(executor.next(elapsed_ms(0)), Step::Done);
    assert!(executor.write_pause().is_some_and(|pause| pause.of_account));
    assert_eq!(last(executor).len(), 0);
}

#[test]
fn l7_after_stop_nothing_new_leaves_and_what_is_in_flight_settles() {
    let mut executor = executor(5);
    let id = take(&mut executor, elapsed_ms(0));
    executor.stop();
    assert_eq!(executor.next(elapsed_ms(0)), Step::Listen);
    assert!(take_next(&mut executor, elapsed_ms(0)).is_none());
    executor.replied(id, done(), elapsed_ms(1), 0.5);
    assert_eq!(executor.next(elapsed_ms(1)), Step::Done);
    assert_eq!(last(executor).len(), 1, "the others were not tried");
}

#[test]
fn what_could_be_sent_is_shown_in_the_order_of_its_turns() {
    let mut executor = executor(3);
    let first = take(&mut executor, elapsed_ms(0));
    executor.replied(first, refused(Class::Busy), elapsed_ms(0), 0.9);
    let shown = |executor: &Executor| -> Vec<_> {
        let ready = executor.ready();
        ready.map(|(_, image, _)| image.to_string()).collect()
    };
    assert_eq!(shown(&executor), ["img-1", "img-2"], "one waits");
    executor.next(elapsed_ms(10_000));
    assert_eq!(shown(&executor), ["img-1", "img-2", "img-0"]);
}

#[test]
fn s21_calls_in_flight_are_bounded() {
    let mut executor = executor(1000).with_access(WriteAccess::Proven);
    let taken = std::iter::from_fn(|| take_next(&mut executor, elapsed_ms(0))).count();
    assert_eq!(taken, IN_FLIGHT_MAX);
    assert_eq!(executor.next(elapsed_ms(0)), Step::Listen);
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
    assert!(
        !executor.take(first, elapsed_ms(0)),
        "a window closed meanwhile"
    );
    let second = executor.peek(|_| true).expect("the other").0;
    executor.stop();
    assert!(
        !executor.take(second, elapsed_ms(0)),
        "the end was asked for meanwhile"
    );
    assert_eq!(last(executor).len(), 0, "neither was tried");
}

#[test]
fn c2_an_answer_about_an_images_state_proves_access() {
    for (code, access) in [
        (
            "UnsupportedOperation.BlueprintHasNotShared",
            WriteAccess::Proven,
        ),
        ("FailedOperation.RequestError", WriteAccess::Unproven(0)),
    ] {
        let image = ImageId::new("img-0").expect("valid");
        let mut executor = Executor::new([(image, Permission::Cancel)].into_iter());
        let id = take(&mut executor, elapsed_ms(0));
        let refusal = Refusal {
            code: code.into(),
            message: String::new(),
            request_id: None,
            class: Class::Unclear,
            asked: None,
            relay: None,
        };
        executor.replied(id, Err(CallError::Refused(refusal)), elapsed_ms(0), 0.5);
        assert_eq!(executor.access(), access, "{code}");
    }
}
