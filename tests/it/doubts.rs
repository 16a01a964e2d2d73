//! Each test here is a scenario in which an earlier version was wrong: it went on where it had to stop, or it reported
//! that everything was as desired.

use std::time::Duration;

use crate::support::cloud::world::{Ended, GLOBAL, REGIONAL, World, id, regions, task};
use crate::support::cloud::{Behaviour, desired, with_rate};
use sharekeeper::desired::{Desired, DesiredShare};
use sharekeeper::engine::{Stop, StopReason};
use sharekeeper::host::Clock;
use sharekeeper::inventory::Suspension;
use sharekeeper::model::{AccountName, Cause, ImageId, Labels, Monotonic, Selector};
use sharekeeper::plan::{Policy, Prune};
use sharekeeper::windows::{Daily, Days, Kind, Span, TimeOfDay, Window, Windows, Zone};

const TOKYO: &str = "ap-tokyo";
const MINUTE: Duration = Duration::from_secs(60);
const PRUNE: Policy = Policy {
    prune: Prune::Owned,
    max_cancels: 1000,
    max_cancels_percent: 100,
    ..Policy::DEFAULT
};

/// A world with `count` images in Tokyo that we share, and manifests that ask for the first `named` of them.
async fn owned(seed: u64, count: usize, named: usize) -> (World, Desired) {
    let world = World::new(seed, REGIONAL);
    for n in 0..count {
        world.cloud().add(TOKYO, &id(n), false);
    }
    let all = desired((0..count).map(|n| (TOKYO, id(n), true)));
    assert_eq!(world.reconcile(&all).await.exit(), 0);
    world.pass(MINUTE).await;
    (world, desired((0..named).map(|n| (TOKYO, id(n), true))))
}

async fn run(world: &World, desired: &Desired, selector: &Selector) -> Ended {
    let task = task(desired, selector, &PRUNE);
    world.run(&task, &Stop::default()).await
}

fn only(image: usize) -> Selector {
    let image = ImageId::new(&id(image)).expect("an id");
    Selector {
        images: [image].into(),
        ..Selector::default()
    }
}

fn all_listings_fail() -> Behaviour {
    Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "DescribeBlueprints").then_some("FailedOperation.DescribeBlueprintsFailed")
        }),
        ..Behaviour::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a4_p10_a_wrong_view_that_lasts_for_hours_empties_no_inventory() {
    let (world, wanted) = owned(1, 40, 20).await;
    let before = world.cloud().writes().len();
    for n in 0..40 {
        world.cloud().external_change(TOKYO, &id(n), false);
    }
    for minutes in [5, 6, 20, 600] {
        assert_eq!(run(&world, &wanted, &Selector::default()).await.exit(), 3);
        world.pass(minutes * MINUTE).await;
    }
    assert_eq!(run(&world, &wanted, &Selector::default()).await.exit(), 3);
    assert_eq!(world.cloud().writes().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a4_sharing_a_lost_image_again_permits_no_cancel_in_that_run() {
    let (world, wanted) = owned(2, 6, 5).await;
    for n in 0..4 {
        world.cloud().external_change(TOKYO, &id(n), false);
    }
    let ended = run(&world, &wanted, &Selector::default()).await;
    assert_eq!(ended.exit(), 3, "{:#}", ended.json);
    assert!((0..6).all(|n| world.cloud().is_shared(TOKYO, &id(n))));
    world.pass(MINUTE).await;
    assert_eq!(run(&world, &wanted, &Selector::default()).await.exit(), 0);
    assert!(
        !world.cloud().is_shared(TOKYO, &id(5)),
        "seen whole, it is pruned"
    );
}

#[tokio::test(start_paused = true)]
async fn s24_an_unobserved_scope_is_not_in_sync_though_it_names_no_image() {
    let (world, wanted) = owned(3, 3, 2).await;
    world.behave(all_listings_fail());
    let ended = run(&world, &wanted, &only(2)).await;
    // The exit status is not 1 here, because the world also counts the writes of the run before.
    assert_eq!(ended.exit(), 4, "{:#}", ended.json);
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "DescribeBlueprints").then_some("UnauthorizedOperation.NoPermission")
        }),
        ..Behaviour::default()
    });
    let read_denied = run(&world, &wanted, &only(2)).await;
    assert_eq!(read_denied.exit(), 4, "{:#}", read_denied.json);
    assert!(world.cloud().is_shared(TOKYO, &id(2)));
}

#[tokio::test(start_paused = true)]
async fn s1_a_suspension_by_label_holds_for_an_image_whose_entry_is_gone() {
    let (world, wanted) = owned(4, 3, 2).await;
    world.ledger.suspensions.borrow_mut().push(Suspension {
        id: 1,
        reason: "a launch".into(),
        until: None,
        since: world.cloud().now(),
        by: "me@here".into(),
        selector: Selector {
            labels: Labels::from([("team".into(), "db".into())]),
            ..Selector::default()
        },
    });
    assert_eq!(run(&world, &wanted, &Selector::default()).await.exit(), 3);
    assert!(world.cloud().is_shared(TOKYO, &id(2)));
}

#[tokio::test(start_paused = true)]
async fn l4_a_write_that_only_the_store_forbids_is_no_hot_loop() {
    let (world, wanted) = owned(5, 3, 2).await;
    world.ledger.hides_suspensions.set(true);
    let now = world.cloud().now();
    world.ledger.suspensions.borrow_mut().push(Suspension {
        id: 1,
        reason: "a launch".into(),
        until: Some(now + Duration::from_secs(300)),
        since: now,
        by: "me@here".into(),
        selector: Selector::default(),
    });
    let before = world.cloud().calls.borrow().len();
    let ended = run(&world, &wanted, &Selector::default()).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    let calls = world.cloud().calls.borrow().len() - before;
    assert!(calls < 100, "{calls} calls in five minutes");
}

#[tokio::test(start_paused = true)]
async fn c1_s9_a_write_that_a_wrong_clock_failed_has_a_new_intent() {
    let world = World::new(6, REGIONAL);
    world.cloud().add(TOKYO, "img-a", false);
    let refused = std::cell::Cell::new(false);
    world.behave(Behaviour {
        clock_offset: chrono::TimeDelta::seconds(250),
        // Reads accept the wrong clock, so that a write is the first call that finds it wrong.
        refuse: Box::new(move |action, _, _| {
            let first = action.starts_with("Modify") && !refused.replace(true);
            first.then_some("AuthFailure.SignatureExpire")
        }),
        ..Behaviour::default()
    });
    let wanted = desired([(TOKYO, "img-a".to_owned(), true)]);
    assert_eq!(world.reconcile(&wanted).await.exit(), 0);
    assert_eq!(world.cloud().writes().len(), 2);
    assert_eq!(world.ledger.intents().len(), 2, "one for each that left");
}

#[tokio::test(start_paused = true)]
async fn s9_a_disk_that_needs_two_turns_for_a_commit_costs_the_line_nothing() {
    let took = async |commit_takes| {
        let world = World::new(7, REGIONAL);
        world.ledger.commit_takes.set(commit_takes);
        for n in 0..200 {
            world.cloud().add(TOKYO, &id(n), false);
        }
        let wanted = desired((0..200).map(|n| (TOKYO, id(n), true)));
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), 0);
        ended.took
    };
    let (at_once, slow) = (
        took(Duration::ZERO).await,
        took(Duration::from_millis(100)).await,
    );
    // The time is simulated. Only the first commit may add to it, because no other work goes on at the same time.
    assert!(
        slow <= at_once + Duration::from_millis(200),
        "{at_once:?} with a disk that takes no time, {slow:?} with a slow one"
    );
}

/// Six regions behind one access point. Four calls of each region get ready and then wait for more than a second.
fn slow_line(seed: u64) -> (World, Desired) {
    let world = World::new(seed, GLOBAL);
    let wanted = world.add_to_share(&regions(6), 50);
    (world, wanted)
}

#[tokio::test(start_paused = true)]
async fn s1_a_suspension_reaches_what_stands_in_a_slow_line() {
    let (world, wanted) = slow_line(8);
    let suspends = async {
        world.pass(Duration::from_secs(5)).await;
        let now = world.cloud().now();
        world.ledger.suspensions.borrow_mut().push(Suspension {
            id: 1,
            reason: "a launch".into(),
            until: None,
            since: now,
            by: "me@here".into(),
            selector: Selector::default(),
        });
        world.cloud().monotonic()
    };
    let (ended, suspended) = futures_util::join!(world.reconcile(&wanted), suspends);
    assert_eq!(ended.exit(), 3);
    let late = suspended + Duration::from_millis(250 + 80);
    let writes = world.cloud().writes();
    assert!(writes.len() > 50, "it was under way");
    let after = writes.iter().filter(|call| call.at > late).count();
    assert_eq!(after, 0, "of {}", writes.len());
}

#[tokio::test(start_paused = true)]
async fn l7_p1_a_stop_reaches_a_call_about_which_the_store_is_being_asked() {
    let (world, wanted) = slow_line(9);
    world.ledger.allows_takes.set(Duration::from_secs(3));
    let stop = Stop::default();
    let stops = async {
        world.pass(Duration::from_secs(20)).await;
        stop.trip(StopReason::Terminated);
        world.cloud().monotonic()
    };
    let (ended, stopped) = futures_util::join!(world.reconcile_until(&wanted, &stop), stops);
    assert_eq!(ended.exit(), 143);
    let writes = world.cloud().writes();
    assert!(writes.len() > 10, "it was under way");
    // A call that left before the stop arrives half a round trip later.
    let late = stopped + Duration::from_millis(40);
    let after = writes.iter().filter(|call| call.at > late).count();
    assert_eq!(after, 0, "of {}", writes.len());
    assert_eq!(
        world.ledger.intents().len(),
        world.ledger.outcomes().len(),
        "each settled"
    );
}

#[tokio::test(start_paused = true)]
async fn c16_no_call_leaves_in_a_closed_window_if_the_store_is_slow() {
    for millis in [300, 1_500, 4_000] {
        let (world, mut wanted) = slow_line(19);
        world.ledger.allows_takes.set(Duration::from_millis(millis));
        let until = forbid(&world, &mut wanted, Cause::Declared);
        let closes = world.cloud().monotonic() + until;
        world
            .pass(until.saturating_sub(Duration::from_secs(15)))
            .await;
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), 3, "{millis} ms");
        assert_none_after(&world, closes);
        let outcomes = world.ledger.outcomes();
        let mut messages = outcomes
            .iter()
            .filter_map(|outcome| outcome.message.as_deref());
        assert!(
            messages.any(|message| message == "a change window closed"),
            "{millis} ms: it closed while the store was asked"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn c16_no_share_leaves_after_its_end_if_the_store_is_slow() {
    let (world, mut wanted) = slow_line(20);
    world.ledger.allows_takes.set(Duration::from_millis(1_500));
    let after = Duration::from_secs(15);
    let ends = world.cloud().monotonic() + after;
    for image in wanted.images.values_mut() {
        image.share = DesiredShare::Shared {
            from: None,
            until: Some(world.cloud().now() + after),
        };
    }
    let mut shares = Vec::new();
    world.reconcile(&wanted).await;
    for call in world.cloud().writes() {
        if call.body["Permission"] == "SHARE" {
            shares.push(call.at);
        }
    }
    assert!(shares.len() > 10, "it was under way");
    // A call that left before the shares ended arrives half a round trip later.
    let late = ends + Duration::from_millis(40);
    assert_eq!(shares.iter().filter(|at| **at > late).count(), 0);
    let outcomes = world.ledger.outcomes();
    let mut messages = outcomes
        .iter()
        .filter_map(|outcome| outcome.message.as_deref());
    assert!(messages.any(|message| message.starts_with("the manifests ask for another state")));
}

#[tokio::test(start_paused = true)]
async fn c16_s6_permits_that_wait_for_a_slow_store_leave_at_the_rate() {
    // Each row holds the rate, how long the store takes to answer, and the interval at which it answers, in milliseconds.
    let stores = [
        (1, 0, 1_500),
        (5, 1_500, 0),
        (5, 0, 3_000),
        (10, 0, 4_000),
        (19, 300, 2_500),
    ];
    for (rate, takes, every) in stores {
        let mut world = World::new(16, GLOBAL);
        world.rate = rate;
        let images = regions(15).into_iter();
        let images = images.flat_map(|region| (0..6).map(move |n| (region, id(n), true)));
        for (region, image, _) in images.clone() {
            world.cloud().add(region, &image, false);
        }
        let wanted = desired(images);
        world.ledger.allows_takes.set(Duration::from_millis(takes));
        world.ledger.allows_every.set(Duration::from_millis(every));
        let ended = world.reconcile(&wanted).await;
        // Each call takes equally long to arrive, so that calls arrive at the rate at which they leave.
        let most = world.cloud().most_in_a_second("ModifyImageSharePermission");
        let case = format!("{most} at a rate of {rate}: {takes} ms, every {every} ms");
        assert!(most <= rate as usize, "{case}");
        assert!(most + 4 >= rate as usize, "they did add up: {case}");
        assert_eq!(ended.exit(), 0, "{case}: {:#}", ended.json);
        assert_eq!(world.cloud().writes().len(), 90, "{case}");
    }
}

/// Asserts that some writes arrived, and that all of them had left by `moment`.
fn assert_none_after(world: &World, moment: Monotonic) {
    let writes = world.cloud().writes();
    assert!(writes.len() > 10, "{}: it was under way", writes.len());
    // A call that left by `moment` arrives half a round trip later.
    let late = moment + Duration::from_millis(40);
    let late = writes.iter().filter(|call| call.at > late).count();
    assert_eq!(late, 0, "of {}", writes.len());
}

/// Forbids changes of one cause for an hour, from the start of the minute after the next one. Returns the time until
/// then.
fn forbid(world: &World, wanted: &mut Desired, cause: Cause) -> Duration {
    const DAY: i64 = 24 * 60;
    let now = world.cloud().now().timestamp();
    let begins = now / 60 + 2;
    let of_day = |minute: i64| {
        let minute = u16::try_from(minute % DAY).expect("of a day");
        TimeOfDay::from_minutes(minute).expect("a time")
    };
    let window = Window {
        kind: Kind::Deny,
        causes: [cause].into(),
        span: Span::Daily(Daily {
            days: Days::ALL,
            from: of_day(begins),
            to: of_day(begins + 60),
        }),
        zone: Zone::new("UTC").expect("a zone"),
        reason: None,
    };
    *wanted = with_rate(std::mem::take(wanted), 19);
    let account = wanted.accounts.get_mut(&AccountName::default());
    account.expect("a document").windows = Windows::new(vec![window]);
    Duration::from_secs(u64::try_from(begins * 60 - now).expect("ahead"))
}

#[tokio::test(start_paused = true)]
async fn r31_a_window_that_closes_during_a_run_holds_what_is_left_of_its_cause() {
    const IMAGES: usize = 400;
    for cause in [Cause::Declared, Cause::Expired, Cause::Pruned] {
        let named = if cause == Cause::Pruned { 1 } else { IMAGES };
        let (world, mut wanted) = owned(31, IMAGES, named).await;
        let now = world.cloud().now();
        for image in wanted.images.values_mut() {
            image.share = match cause {
                Cause::Declared => DesiredShare::Unshared,
                Cause::Expired => DesiredShare::Shared {
                    from: None,
                    until: Some(now),
                },
                _ => image.share,
            };
        }
        let shared = world.cloud().writes().len();
        let until = forbid(&world, &mut wanted, cause);
        let closes = world.cloud().monotonic() + until;
        world
            .pass(until.saturating_sub(Duration::from_secs(6)))
            .await;
        let ended = run(&world, &wanted, &Selector::default()).await;
        assert_eq!(ended.exit(), 3, "{cause:?}");
        let writes = world.cloud().writes().split_off(shared);
        assert!(writes.len() > 50, "{cause:?}: it was under way");
        // A call that left before the window closed arrives half a round trip later.
        let late = closes + Duration::from_millis(40);
        let late = writes.iter().filter(|call| call.at > late).count();
        assert_eq!(late, 0, "{cause:?}: of {}", writes.len());
    }
}
