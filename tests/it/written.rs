//! Tests that an acknowledged write is remembered until an observation shows it. This holds within a run, in
//! later runs, and where the permission to read is missing.

use std::time::Duration;

use crate::support::cloud::live::{reconciling, scope};
use crate::support::cloud::world::{Ended, REGIONAL, World, id};
use crate::support::cloud::{Behaviour, desired};
use chrono::TimeDelta;
use sharekeeper::engine::{Stop, StopReason};
use sharekeeper::history::WriteResult;
use sharekeeper::host::Clock;
use sharekeeper::inventory::{
    AcknowledgedWrite, AnsweredState, IntentId, Inventory, InventoryEntry, OpenIntent,
};
use sharekeeper::model::{ImageId, Permission, ShareState, Timestamp};
use sharekeeper::plan::{Policy, Prune};
use sharekeeper::status::TransitionKind;

const TOKYO: &str = "ap-tokyo";
/// The interval between two passes of the daemon, in seconds.
const INTERVAL: u64 = 300;
const LAG: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);

/// A manifest that declares one image as shared or unshared.
fn wish(shared: bool) -> sharekeeper::desired::Desired {
    desired([(TOKYO, id(0), shared)])
}

/// A world in which the image has this state, and in which observations lag behind writes.
fn lagging(seed: u64, shared: bool) -> World {
    let world = World::new(seed, REGIONAL);
    world.cloud().add(TOKYO, &id(0), shared);
    world.behave(Behaviour {
        lag: LAG,
        ..Behaviour::default()
    });
    world
}

/// A run that is stopped after two seconds, long before an observation shows its write.
async fn cut_short(world: &World, shared: bool) -> Ended {
    let stop = Stop::default();
    let wanted = wish(shared);
    let run = world.reconcile_until(&wanted, &stop);
    let script = async {
        world.pass(Duration::from_secs(2)).await;
        stop.trip(StopReason::Terminated);
    };
    let (ended, ()) = tokio::join!(run, script);
    assert_eq!(world.cloud().writes().len(), 1);
    ended
}

#[tokio::test(start_paused = true)]
async fn c3_a_revert_within_the_lag_undoes_what_an_earlier_run_wrote() {
    for shared in [true, false] {
        let world = lagging(1, !shared);
        cut_short(&world, shared).await;
        let ended = world.reconcile(&wish(!shared)).await;
        assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        assert_eq!(world.cloud().is_shared(TOKYO, &id(0)), !shared);
        assert_eq!(world.cloud().writes().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn c3_a_run_after_one_that_was_cut_short_waits_for_what_that_one_wrote() {
    for shared in [true, false] {
        let world = lagging(2, !shared);
        cut_short(&world, shared).await;
        let ended = world.reconcile(&wish(shared)).await;
        assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        assert_eq!(world.cloud().writes().len(), 1, "it is not written again");
        assert_eq!(ended.outcomes()[0].1, "in_sync");
    }
}

#[tokio::test(start_paused = true)]
async fn c3_an_entry_removed_within_the_lag_is_pruned_when_it_shows() {
    for prune in [Prune::Owned, Prune::Exclusive] {
        let world = lagging(3, false);
        world.cloud().add(TOKYO, &id(1), true);
        cut_short(&world, true).await;
        let policy = Policy {
            prune,
            ..Policy::default()
        };
        let others = desired([(TOKYO, id(1), true)]);
        let ended = world.reconcile_under(&others, &policy).await;
        assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        assert!(!world.cloud().is_shared(TOKYO, &id(0)));
        assert!(world.cloud().is_shared(TOKYO, &id(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn c3_the_daemon_awaits_its_own_write_and_calls_nobody_else_its_author() {
    for shared in [true, false] {
        let world = lagging(4, !shared);
        reconciling(&world, async |live| {
            live.load(wish(shared)).await;
            live.pass(2).await;
            assert_eq!(world.cloud().writes().len(), 1);
            live.load(wish(!shared)).await;
            live.pass(3).await;
            let image = live.image(TOKYO, &id(0));
            assert!(!image.ready.holds(), "its own write may still show");
            live.pass(6 * INTERVAL).await;
            assert_eq!(world.cloud().is_shared(TOKYO, &id(0)), !shared);
            assert!(live.image(TOKYO, &id(0)).ready.holds());
            let transitions = live.transitions();
            let outside = transitions
                .iter()
                .filter(|transition| transition.0 == TransitionKind::DriftAppeared);
            assert_eq!(outside.count(), 0, "{transitions:#?}");
            assert_eq!(world.cloud().writes().len(), 2);
        })
        .await;
    }
}

/// A world without the permission to read, with so many images in this state.
fn read_denied(seed: u64, images: usize, shared: bool) -> World {
    let world = World::new(seed, REGIONAL);
    for n in 0..images {
        world.cloud().add(TOKYO, &id(n), shared);
    }
    refuse(&world, |action| {
        action
            .starts_with("Describe")
            .then_some("UnauthorizedOperation.NoPermission")
    });
    world
}

fn refuse(world: &World, refuse: impl Fn(&str) -> Option<&'static str> + 'static) {
    world.behave(Behaviour {
        refuse: Box::new(move |action, _, _| refuse(action)),
        ..Behaviour::default()
    });
}

fn all(images: usize, shared: bool) -> sharekeeper::desired::Desired {
    desired((0..images).map(|n| (TOKYO, id(n), shared)))
}

#[tokio::test(start_paused = true)]
async fn c4_s24_an_acknowledged_state_is_in_sync_across_runs_for_a_day() {
    for shared in [true, false] {
        let world = read_denied(5, 3, !shared);
        let first = world.reconcile(&all(3, shared)).await;
        assert_eq!(first.exit(), 0, "{:#}", first.json);
        assert_eq!(first.json["by_word"], 3);
        assert_eq!(first.json["images"][0]["actual"], "unknown");
        assert_eq!(world.cloud().writes().len(), 3);
        for _ in 0..4 {
            world.pass(DAY / 5).await;
            let again = world.reconcile(&all(3, shared)).await;
            assert_eq!(again.exit(), 0, "{:#}", again.json);
            let summary = &again.json["summary"];
            assert_eq!(
                (&summary["in_sync"], &again.json["by_word"]),
                (&3.into(), &3.into())
            );
            assert_eq!(world.cloud().writes().len(), 3, "nothing is written again");
        }
        world.pass(DAY / 5).await;
        let ended = world.reconcile(&all(3, shared)).await;
        assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        assert_eq!(world.cloud().writes().len(), 6, "after a day, once more");
    }
}

#[tokio::test(start_paused = true)]
async fn c4_how_long_an_acknowledged_state_holds_is_a_setting() {
    let world = read_denied(6, 1, false);
    let policy = Policy {
        trust_acknowledged: TimeDelta::minutes(10),
        ..Policy::default()
    };
    for (minutes, writes) in [(0, 1), (9, 1), (1, 2)] {
        world.pass(Duration::from_secs(60 * minutes)).await;
        let ended = world.reconcile_under(&all(1, true), &policy).await;
        assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        assert_eq!(world.cloud().writes().len(), writes);
    }
}

#[tokio::test(start_paused = true)]
async fn c4_the_daemon_comes_to_rest_where_reading_is_denied() {
    let world = read_denied(7, 40, false);
    for n in 20..40 {
        world.cloud().external_change(TOKYO, &id(n), true);
    }
    let wanted = || desired((0..40).map(|n| (TOKYO, id(n), n % 2 == 0)));
    reconciling(&world, async |live| {
        live.load(wanted()).await;
        live.pass(INTERVAL).await;
        assert_eq!(world.cloud().writes().len(), 40, "one for each image");
        let entries = world.ledger.events.borrow().len();
        live.pass(6 * 3600).await;
        assert_eq!(world.cloud().writes().len(), 40);
        assert_eq!(
            world.ledger.events.borrow().len(),
            entries,
            "the history is at rest"
        );
    })
    .await;
    reconciling(&world, async |live| {
        live.load(wanted()).await;
        live.pass(2 * INTERVAL).await;
        assert_eq!(world.cloud().writes().len(), 40, "nor after a restart");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c4_a_never_shared_image_costs_one_cancel_if_the_answer_is_final() {
    for (code, cancels) in [
        ("UnsupportedOperation.BlueprintHasNotShared", 1),
        ("ResourceNotFound.ImageIdNotFound", 1),
        ("FailedOperation.ImageOperationFailed", 2),
        ("FailedOperation.CheckMFAError", 2),
    ] {
        let world = read_denied(8, 1, false);
        refuse(&world, move |action| match action {
            "ModifyImageSharePermission" => Some(code),
            _ => Some("UnauthorizedOperation.NoPermission"),
        });
        for _ in 0..3 {
            let ended = world.reconcile(&all(1, false)).await;
            assert_eq!(ended.exit(), 0, "{code}: {:#}", ended.json);
            assert_eq!(ended.outcomes()[0].1, "in_sync", "{code}");
            assert_eq!(ended.json["images"][0]["actual"], "unknown");
            assert_eq!(
                world.cloud().calls_of("ModifyImageSharePermission").len(),
                cancels
            );
            let presumed = code.starts_with("FailedOperation");
            let warnings = ended.scopes[0].plan.warnings();
            let is_warned = warnings.iter().any(|warning| {
                warning.contains("counted as not shared") && warning.contains(&id(0))
            });
            assert_eq!(is_warned, presumed, "{code}: {warnings:?}");
            world.pass(Duration::from_secs(60)).await;
        }
        reconciling(&world, async |live| {
            live.load(all(1, false)).await;
            live.pass(20 * INTERVAL).await;
        })
        .await;
        assert_eq!(
            world.cloud().calls_of("ModifyImageSharePermission").len(),
            cancels
        );
    }
}

#[tokio::test(start_paused = true)]
async fn c4_a_transient_answer_to_a_cancel_acknowledges_nothing() {
    for code in [
        "InternalError.RequestError",
        "UnsupportedOperation.ImageOccupied",
    ] {
        let world = read_denied(9, 1, false);
        refuse(&world, move |action| match action {
            "ModifyImageSharePermission" => Some(code),
            _ => Some("UnauthorizedOperation.NoPermission"),
        });
        let ended = world.reconcile(&all(1, false)).await;
        assert_eq!(ended.exit(), 4, "{code}: {:#}", ended.json);
        let tries = world.cloud().calls_of("ModifyImageSharePermission").len();
        assert!((7..=8).contains(&tries), "{code}: {tries}");
    }
}

#[tokio::test(start_paused = true)]
async fn c4_a_share_of_ours_is_not_taken_for_gone_because_a_cancel_fails() {
    let world = read_denied(10, 1, false);
    assert_eq!(world.reconcile(&all(1, true)).await.exit(), 0);
    refuse(&world, |action| match action {
        "ModifyImageSharePermission" => Some("FailedOperation.ImageOperationFailed"),
        _ => Some("UnauthorizedOperation.NoPermission"),
    });
    let ended = world.reconcile(&all(1, false)).await;
    assert_eq!(ended.exit(), 4, "{:#}", ended.json);
    assert_eq!(ended.json["by_word"], 0);
}

#[tokio::test(start_paused = true)]
async fn c4_an_observation_replaces_an_acknowledged_state() {
    let world = World::new(11, REGIONAL);
    world.cloud().add(TOKYO, &id(0), false);
    assert_eq!(world.reconcile(&wish(true)).await.exit(), 0);
    world.pass(Duration::from_secs(600)).await;
    // Somebody cancels the share, and the next run observes that while its writes are refused.
    world.cloud().external_change(TOKYO, &id(0), false);
    let clock = world.cloud().monotonic();
    let stop = Stop::default();
    refuse(&world, |action| {
        (action == "ModifyImageSharePermission").then_some("UnsupportedOperation.ImageOccupied")
    });
    world.reconcile_until(&wish(true), &stop).await;
    assert!(world.cloud().monotonic() > clock);
    let before = world.cloud().calls_of("ModifyImageSharePermission").len();
    refuse(&world, |action| {
        action
            .starts_with("Describe")
            .then_some("UnauthorizedOperation.NoPermission")
    });
    let ended = world.reconcile(&wish(true)).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    assert_eq!(
        world.cloud().calls_of("ModifyImageSharePermission").len(),
        before + 1
    );
    assert!(world.cloud().is_shared(TOKYO, &id(0)));
}

/// The inventory that an earlier run leaves after a write of the image at the time `at`, and whether the
/// manifests now declare the image as shared.
fn left(case: &str, at: Timestamp) -> (Inventory, bool) {
    let image = || ImageId::new(&id(0)).expect("an id");
    let of = |record| Inventory {
        images: [(image(), record)].into(),
        ..Inventory::default()
    };
    let open = |permission| Inventory {
        open_intents: [(
            image(),
            vec![OpenIntent {
                intent: IntentId(1),
                permission,
                at,
                saw_opposite: true,
            }],
        )]
        .into(),
        ..Inventory::default()
    };
    let record = InventoryEntry::default;
    let state = ShareState::Shared;
    match case {
        "unconfirmed" => {
            let write = AcknowledgedWrite {
                at,
                towards: state,
                confirmed: false,
            };
            let writes = vec![write];
            (of(InventoryEntry { writes, ..record() }), true)
        }
        "acknowledged" => {
            let acknowledged = Some(AnsweredState {
                at,
                state,
                presumed: false,
            });
            (
                of(InventoryEntry {
                    last_answer: acknowledged,
                    ..record()
                }),
                false,
            )
        }
        "open" => (open(Permission::Share), false),
        _ => (open(Permission::Cancel), true),
    }
}

#[tokio::test(start_paused = true)]
async fn c3_l1_a_date_of_a_clock_that_was_ahead_is_not_waited_for() {
    for case in ["unconfirmed", "acknowledged", "open", "blind"] {
        let world = World::new(12, REGIONAL);
        world.cloud().add(TOKYO, &id(0), false);
        if case == "blind" {
            refuse(&world, |action| {
                action
                    .starts_with("Describe")
                    .then_some("UnauthorizedOperation.NoPermission")
            });
        }
        let (inventory, shared) = left(case, world.cloud().now() + TimeDelta::days(1));
        world
            .ledger
            .scopes
            .replace([(scope(TOKYO), inventory)].into());
        let ended = world.reconcile(&wish(shared)).await;
        assert_eq!(ended.exit(), 0, "{case}: {:#}", ended.json);
        let took = ended.took;
        assert!(took < Duration::from_secs(150), "{case}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn c4_s26_another_account_under_the_name_settles_without_reading() {
    let mut world = World::of_account("100000000001", 13, REGIONAL);
    for n in 0..10 {
        world.cloud().add(TOKYO, &id(n), true);
    }
    assert_eq!(world.reconcile(&all(10, true)).await.exit(), 0);
    world.uin = Some("100000000002");
    world.behave(Behaviour {
        uin: "100000000002",
        refuse: Box::new(|action, _, _| {
            action
                .starts_with("Describe")
                .then_some("UnauthorizedOperation.NoPermission")
        }),
        ..Behaviour::default()
    });
    for _ in 0..3 {
        let ended = world.reconcile(&all(10, true)).await;
        assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        assert_eq!(world.cloud().writes().len(), 10, "one for each image");
    }
}

#[tokio::test(start_paused = true)]
async fn c4_s24_a_run_that_cannot_prune_says_so() {
    let world = read_denied(14, 1, false);
    let policy = Policy {
        prune: Prune::Owned,
        ..Policy::default()
    };
    let ended = world.reconcile_under(&all(1, true), &policy).await;
    assert_eq!(ended.exit(), 4, "{:#}", ended.json);
    assert!(ended.text.contains("nothing was pruned"), "{}", ended.text);
}

#[tokio::test(start_paused = true)]
async fn t5_an_answer_that_there_is_no_image_leaves_no_write_open() {
    let world = World::new(15, REGIONAL);
    world.cloud().add(TOKYO, &id(0), true);
    world.cloud().deleted.borrow_mut().insert(id(0));
    for _ in 0..2 {
        let ended = world.reconcile(&all(1, false)).await;
        assert_eq!(ended.outcomes()[0].1, "blocked", "{:#}", ended.json);
    }
    let outcomes = world.ledger.outcomes();
    assert!(outcomes.len() >= 2, "{outcomes:?}");
    let rejected = |answer| answer == WriteResult::Rejected;
    assert!(
        outcomes.iter().all(|outcome| rejected(outcome.result)),
        "{outcomes:?}"
    );
    assert!(
        world.ledger.scopes.borrow()[&scope(TOKYO)]
            .open_intents
            .is_empty()
    );
}
