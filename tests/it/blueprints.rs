//! What a blueprint shows: shares that are not ready yet or never will be, images on which CANCEL has no effect, and
//! which account owns an image. The tests use one-shot runs and the daemon, on a paused clock.

use crate::support::cloud as support;

use std::time::Duration;

use crate::support::cloud::live::{Live, kinds, reconciling};
use crate::support::cloud::world::{Ended, REGIONAL, TEN_MINUTES, World, id};
use crate::support::cloud::{Behaviour, Beside, desired};
use sharekeeper::desired::Desired;
use sharekeeper::plan::{Policy, Prune};
use sharekeeper::report::ExitStatus;
use sharekeeper::status::{Activity, Reason, SyncState, TransitionKind};

const TOKYO: &str = "ap-tokyo";
const INCOMPLETE: u64 = ExitStatus::Incomplete as u64;
const WITHHELD: u64 = ExitStatus::Withheld as u64;
const FAILED: [&str; 5] = [
    "CREATEFAILED",
    "SYNCING_FAILED",
    "OFFLINE",
    "ISOLATING",
    "ISOLATED",
];
/// A run under this policy does not wait for shares that are not ready yet.
const NO_WAIT: Policy = Policy {
    no_wait: true,
    ..Policy::DEFAULT
};
const EXCLUSIVE: Policy = Policy {
    prune: Prune::Exclusive,
    ..Policy::DEFAULT
};
const OWNED: Policy = Policy {
    prune: Prune::Owned,
    ..Policy::DEFAULT
};

/// A world with this number of shared images.
fn shared(images: usize) -> World {
    let world = World::new(1, REGIONAL);
    for n in 0..images {
        world.cloud().add(TOKYO, &id(n), true);
    }
    world
}

/// The desired state of the first `images` images.
fn asked(images: usize, shared: bool) -> Desired {
    desired((0..images).map(|n| (TOKYO, id(n), shared)))
}

/// Sets the state of the blueprint as which an image is shared.
fn becomes(world: &World, image: usize, state: &'static str) {
    world.cloud().states.borrow_mut().insert(id(image), state);
}

/// The number of writes for all images.
fn writes(world: &World) -> usize {
    world.cloud().writes().len()
}

fn observations(world: &World) -> Vec<u64> {
    let calls = world.cloud().calls_of("DescribeBlueprints");
    calls
        .iter()
        .map(|call| call.at.since_start().as_secs())
        .collect()
}

/// The number of calls that listed the account's own images.
fn listed(world: &World) -> usize {
    let calls = world.cloud().calls_of("DescribeImagesToShare");
    let listings = calls.iter().filter(|call| !call.body["Filters"].is_null());
    listings.count()
}

fn only(ended: &Ended) -> &str {
    let outcomes = ended.outcomes();
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    outcomes[0].1
}

/// Refuses every write with this code.
fn refusing(code: &'static str) -> Behaviour {
    Behaviour {
        refuse: Box::new(move |action, _, _| action.starts_with("Modify").then_some(code)),
        ..Behaviour::default()
    }
}

#[tokio::test(start_paused = true)]
async fn c13_t4_a_share_that_no_server_can_start_from_is_blocked() {
    for state in FAILED {
        let world = shared(2);
        becomes(&world, 1, state);
        let ended = world.reconcile(&asked(2, true)).await;
        assert_eq!(ended.exit(), INCOMPLETE, "{state}");
        let outcomes = ended.outcomes();
        assert_eq!(outcomes[0].1, "in_sync", "{state}: the other one");
        assert_eq!(outcomes[1].1, "blocked", "{state}");
        let message = ended.message(&id(1));
        assert!(message.contains(state), "{message}");
        assert!(message.contains("lhbp-img-0001"), "{message}");
        assert_eq!(ended.json["images"][1]["actual"], "shared");
        assert_eq!(writes(&world), 0, "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn c13_t4_a_share_that_failed_is_cancelled_and_pruned_like_any_other() {
    for state in FAILED.into_iter().chain(["SYNCING", "BRAND_NEW"]) {
        let world = shared(1);
        becomes(&world, 0, state);
        let ended = world.reconcile(&asked(1, false)).await;
        assert_eq!((ended.exit(), only(&ended)), (0, "cancelled"), "{state}");
        let world = shared(2);
        becomes(&world, 1, state);
        let ended = world.reconcile_under(&asked(1, true), &EXCLUSIVE).await;
        assert_eq!(ended.exit(), 0, "{state}");
        assert!(!world.cloud().is_shared(TOKYO, &id(1)), "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn c13_t4_an_unknown_or_absent_state_counts_as_shared_and_is_named() {
    let world = shared(3);
    becomes(&world, 1, "BRAND_NEW");
    becomes(&world, 2, "");
    let ended = world.reconcile(&asked(3, true)).await;
    assert_eq!(ended.exit(), 0);
    let warnings = ended.scopes[0].plan.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("without a state: img-0002 as lhbp-img-0002"));
    assert!(warnings[1].contains("BRAND_NEW"), "{warnings:?}");
    // A share that is to be cancelled needs no such warning.
    let world = shared(1);
    becomes(&world, 0, "BRAND_NEW");
    let ended = world.reconcile_under(&Desired::default(), &NO_WAIT).await;
    assert!(ended.scopes.iter().all(|s| s.plan.warnings().is_empty()));
}

#[tokio::test(start_paused = true)]
async fn c13_reconcile_waits_for_what_is_syncing_with_growing_pauses() {
    let world = World::new(1, REGIONAL);
    world.cloud().add(TOKYO, &id(0), false);
    becomes(&world, 0, "SYNCING");
    let wanted = asked(1, true);
    let ready = async {
        world.pass(Duration::from_secs(40)).await;
        becomes(&world, 0, "NORMAL");
    };
    let (ended, ()) = tokio::join!(world.reconcile(&wanted), ready);
    assert_eq!((ended.exit(), only(&ended)), (0, "shared"));
    assert_eq!(writes(&world), 1);
    assert_eq!(
        observations(&world),
        [0, 0, 15, 45],
        "at once, and after 15 and 30 s more"
    );
}

#[tokio::test(start_paused = true)]
async fn c13_what_syncs_for_longer_than_the_timeout_is_pending() {
    let world = shared(2);
    becomes(&world, 0, "SYNCING");
    let ended = world.reconcile(&asked(2, true)).await;
    assert_eq!(ended.took, TEN_MINUTES);
    assert_eq!(ended.exit(), INCOMPLETE);
    assert_eq!(ended.outcomes()[0].1, "pending");
    assert_eq!(ended.json["summary"]["pending"], 1);
    assert_eq!(ended.json["summary"]["in_sync"], 1);
    assert_eq!(
        observations(&world),
        [0, 15, 45, 105, 225, 345, 465, 585],
        "2 min at most"
    );
}

#[tokio::test(start_paused = true)]
async fn c13_without_waiting_it_ends_at_once_and_says_not_ready_yet() {
    let world = World::new(1, REGIONAL);
    world.cloud().add(TOKYO, &id(0), false);
    becomes(&world, 0, "SYNCING");
    let ended = world.reconcile_under(&asked(1, true), &NO_WAIT).await;
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    assert_eq!((ended.exit(), only(&ended)), (INCOMPLETE, "pending"));
    let message = ended.message(&id(0));
    assert!(message.starts_with("shared; not ready yet"), "{message}");
    assert_eq!(ended.json["images"][0]["blueprint_id"], "lhbp-img-0000");
    assert_eq!(writes(&world), 1, "it is shared, though");
}

#[tokio::test(start_paused = true)]
async fn t5_an_image_deleted_while_shared_costs_two_cancels() {
    let world = shared(60);
    for n in 0..60 {
        world.cloud().deleted.borrow_mut().insert(id(n));
    }
    let ended = world.reconcile(&asked(60, false)).await;
    assert_eq!(ended.exit(), INCOMPLETE);
    assert!(
        ended
            .outcomes()
            .iter()
            .all(|(_, outcome)| *outcome == "blocked")
    );
    assert_eq!(writes(&world), 120, "two for each");
    assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
    let message = ended.message(&id(7));
    assert!(message.contains("ImageIdNotFound"), "{message}");
    assert!(message.contains("lhbp-img-0007"), "{message}");
    assert!(message.contains("DeleteBlueprints"), "{message}");
    assert!(!message.contains("check the image id"), "{message}");
    assert_eq!(
        ended.json["images"][7]["error_code"],
        "ResourceNotFound.ImageIdNotFound"
    );
    assert_eq!(ended.json["images"][7]["request_id"], "r");
}

#[tokio::test(start_paused = true)]
async fn t5_one_answer_that_keeps_coming_ends_the_tries_whatever_it_is() {
    let cases = [
        ("FailedOperation.CheckMFAError", 2, "blocked"),
        ("FailedOperation", 2, "blocked"),
        ("FailedOperation.BrandNew", 2, "blocked"),
        ("FailedOperation.ImageOperationFailed", 3, "failed"),
        ("FailedOperation.RequestError", 8, "failed"),
        ("InternalError.RequestError", 8, "failed"),
        ("InternalError", 8, "failed"),
    ];
    for (code, times, outcome) in cases {
        for share in [true, false] {
            let world = World::new(1, REGIONAL);
            world.cloud().add(TOKYO, &id(0), !share);
            world.behave(refusing(code));
            let ended = world.reconcile(&asked(1, share)).await;
            assert_eq!(ended.exit(), INCOMPLETE, "{code}");
            assert_eq!(
                (only(&ended), writes(&world)),
                (outcome, times),
                "{code} {share}"
            );
            assert_eq!(ended.json["images"][0]["error_code"], code);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t5_answers_that_differ_or_are_lost_are_no_row() {
    // Two equal answers in succession would block the image, but here two codes alternate. In the second world, a lost
    // reply between two equal answers does not count.
    let world = shared(1);
    let turn = std::cell::Cell::new(0);
    world.behave(Behaviour {
        refuse: Box::new(move |action, _, _| {
            let codes = ["FailedOperation.A", "FailedOperation.B"];
            action.starts_with("Modify").then(|| {
                turn.set(turn.get() + 1);
                codes[turn.get() % 2]
            })
        }),
        ..Behaviour::default()
    });
    let ended = world.reconcile(&asked(1, false)).await;
    assert_eq!((only(&ended), writes(&world)), ("failed", 8));

    let world = shared(1);
    world.cloud().deleted.borrow_mut().insert(id(0));
    let lost = std::cell::Cell::new(0);
    world.behave(Behaviour {
        fault: Box::new(move |action, _, _| {
            if !action.starts_with("Modify") {
                return None;
            }
            lost.set(lost.get() + 1);
            (lost.get() == 2).then_some(support::Fault::LostBefore)
        }),
        ..Behaviour::default()
    });
    let ended = world.reconcile(&asked(1, false)).await;
    assert_eq!((only(&ended), writes(&world)), ("blocked", 3));
}

#[tokio::test(start_paused = true)]
async fn t5_a_list_that_lags_behind_a_cancel_by_somebody_else_is_waited_for() {
    let world = shared(1);
    world.pass(Duration::from_secs(200)).await;
    world.behave(Behaviour {
        lag: Duration::from_secs(90),
        ..Behaviour::default()
    });
    world.cloud().external_change(TOKYO, &id(0), false);
    let ended = world.reconcile(&asked(1, false)).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    assert_eq!(writes(&world), 2, "who says so twice means it");
    assert!(ended.took < Duration::from_secs(100), "{:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn t4_a_failed_twin_that_stays_after_cancel_is_left_over() {
    for state in FAILED {
        let world = shared(1);
        world.cloud().beside.borrow_mut().push(Beside {
            region: TOKYO,
            id: "lhbp-twin",
            image: "img-0000",
            state,
        });
        let ended = world.reconcile(&asked(1, false)).await;
        assert!(!world.cloud().is_shared(TOKYO, &id(0)));
        assert_eq!(
            (ended.exit(), only(&ended)),
            (INCOMPLETE, "blocked"),
            "{state}"
        );
        assert_eq!(
            writes(&world),
            1,
            "{state}: accepted, and nothing to repeat"
        );
        assert!(ended.took < Duration::from_secs(130), "{:?}", ended.took);
        let message = ended.message(&id(0));
        assert!(message.contains("lhbp-twin"), "{message}");
        assert!(message.contains(state), "{message}");
        // In the next run, the API answers that the image is not shared. This answer is final if no server can be started
        // from the other blueprint.
        let ended = world.reconcile(&asked(1, false)).await;
        assert_eq!(
            (ended.exit(), only(&ended)),
            (INCOMPLETE, "blocked"),
            "{state}"
        );
        assert_eq!(writes(&world), 3, "{state}");
        assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
        // Once the other blueprint is deleted, nothing is blocked any longer.
        world.cloud().beside.borrow_mut().clear();
        assert_eq!(world.reconcile(&asked(1, false)).await.exit(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn t4_a21_of_two_blueprints_the_usable_one_counts() {
    let world = shared(1);
    for (id, state) in [("lhbp-0", "CREATEFAILED"), ("lhbp-z", "SYNCING")] {
        world.cloud().beside.borrow_mut().push(Beside {
            region: TOKYO,
            id,
            image: "img-0000",
            state,
        });
    }
    let ended = world.reconcile(&asked(1, true)).await;
    assert_eq!((ended.exit(), only(&ended)), (0, "in_sync"));
    assert_eq!(ended.json["images"][0]["blueprint_id"], "lhbp-img-0000");
}

#[tokio::test(start_paused = true)]
async fn t8_what_is_not_the_accounts_own_is_never_pruned_and_does_not_count() {
    let world = shared(10);
    for (n, blueprint) in ["lhbp-a", "lhbp-b", "lhbp-c"].into_iter().enumerate() {
        world.cloud().beside.borrow_mut().push(Beside {
            region: TOKYO,
            id: blueprint,
            image: ["img-x", "img-y", "img-z"][n],
            state: "NORMAL",
        });
    }
    // 3 of the account's own 10 images are more than a quarter. If the 3 images of another account counted too, 3 of 13
    // would be less than a quarter.
    let ended = world.reconcile_under(&asked(7, true), &EXCLUSIVE).await;
    assert_eq!(ended.exit(), WITHHELD);
    assert_eq!(ended.json["summary"]["withheld"], 3, "{:#}", ended.json);
    let ended = world.reconcile_under(&asked(8, true), &EXCLUSIVE).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    assert_eq!(ended.json["summary"]["cancelled"], 2);
    assert_eq!(writes(&world), 2);
    let strays = &ended.scopes[0].plan.unmanaged.strays;
    assert_eq!(strays.len(), 3);
    assert!(strays.values().all(|stray| !stray.ours));
}

#[tokio::test(start_paused = true)]
async fn t8_an_image_of_ours_that_was_deleted_is_left_over_and_not_pruned() {
    let world = World::new(1, REGIONAL);
    for n in 0..2 {
        world.cloud().add(TOKYO, &id(n), false);
    }
    assert_eq!(world.reconcile(&asked(2, true)).await.exit(), 0);
    world.cloud().deleted.borrow_mut().insert(id(1));
    let ended = world.reconcile_under(&asked(1, true), &OWNED).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    assert_eq!(writes(&world), 2, "the two shares");
    let plan = &ended.scopes[0].plan;
    let stray = plan.unmanaged.strays.values().next().expect("one");
    assert!(stray.ours);
    assert_eq!(stray.blueprint, "lhbp-img-0001");
    assert!(plan.unmanaged.ours.is_empty());
}

#[tokio::test(start_paused = true)]
async fn t8_without_the_accounts_own_images_nothing_is_pruned() {
    let world = shared(2);
    let ended = |policy: &'static Policy, code: Option<&'static str>| {
        world.behave(Behaviour {
            refuse: Box::new(move |action, _, body| {
                let lists = action == "DescribeImagesToShare" && !body["Filters"].is_null();
                code.filter(|_| lists)
            }),
            ..Behaviour::default()
        });
        let world = &world;
        async move { world.reconcile_under(&asked(1, true), policy).await }
    };
    for code in [
        "UnauthorizedOperation.NoPermission",
        "FailedOperation.DescribeImagesFailed",
    ] {
        let ended = ended(&EXCLUSIVE, Some(code)).await;
        assert_eq!(ended.exit(), WITHHELD, "{code}: {:#}", ended.json);
        let message = ended.message(&id(1));
        assert!(message.contains(code), "{message}");
        assert!(message.contains("account's own"), "{message}");
    }
    assert_eq!(writes(&world), 0);
    assert_eq!(ended(&EXCLUSIVE, None).await.exit(), 0);
    assert_eq!(writes(&world), 1, "once they are known");
}

#[tokio::test(start_paused = true)]
async fn t8_own_images_are_listed_only_where_something_is_to_be_pruned() {
    let world = shared(3);
    world.reconcile(&asked(2, true)).await;
    world.reconcile_under(&asked(2, true), &OWNED).await;
    world.reconcile_under(&asked(3, true), &EXCLUSIVE).await;
    let partial = Policy {
        shares_only: true,
        ..EXCLUSIVE
    };
    world.reconcile_under(&asked(2, true), &partial).await;
    assert_eq!(
        listed(&world),
        0,
        "nothing is pruned, not ours, or withheld anyway"
    );
    world.reconcile_under(&asked(2, true), &EXCLUSIVE).await;
    assert_eq!(listed(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn t8_an_account_with_many_images_is_listed_to_its_end() {
    let world = shared(205);
    let wanted = asked(200, true);
    let ended = world.reconcile_under(&wanted, &EXCLUSIVE).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json["summary"]);
    assert_eq!(ended.json["summary"]["cancelled"], 5);
    assert_eq!(listed(&world), 3, "pages");
}

/// The number of CANCEL calls for all images.
fn cancels(world: &World) -> usize {
    let writes = world.cloud().writes();
    let cancels = writes
        .iter()
        .filter(|call| call.body["Permission"] == "CANCEL");
    cancels.count()
}

fn reason(live: &Live<'_>, image: usize) -> Reason {
    live.image(TOKYO, &id(image)).reason
}

#[tokio::test(start_paused = true)]
async fn t5_l4_the_daemon_backs_off_from_what_is_left_over() {
    let world = shared(1);
    world.cloud().deleted.borrow_mut().insert(id(0));
    reconciling(&world, async |live| {
        live.load(asked(1, false)).await;
        live.pass(60).await;
        assert_eq!(cancels(&world), 2);
        assert_eq!(reason(live, 0), Reason::LeftoverBlueprint);
        assert_eq!(
            live.transitions(),
            [(
                TransitionKind::Blocked,
                "default/ap-tokyo/img-0000".to_owned()
            )]
        );
        live.pass(12 * 60).await;
        let after = cancels(&world);
        assert!((3..=6).contains(&after), "{after} CANCELs in 13 minutes");
        assert!(live.image(TOKYO, &id(0)).stalled.holds());
        live.pass(24 * 3600).await;
        let a_day = cancels(&world) - after;
        assert!(
            (48..=120).contains(&a_day),
            "one each 15 to 30 minutes: {a_day}"
        );
        assert_eq!(live.transitions(), [], "reported once");
        // Another party deletes the blueprint.
        world.cloud().external_change(TOKYO, &id(0), false);
        live.until(|live| live.in_sync(TOKYO)).await;
        assert_eq!(kinds(&live.transitions()), [TransitionKind::Unblocked]);
        let before = cancels(&world);
        live.pass(3 * 3600).await;
        assert_eq!(cancels(&world), before);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn t5_l4_the_daemon_backs_off_from_an_operation_that_keeps_failing() {
    for (code, reason_, at_most) in [
        ("FailedOperation.CheckMFAError", Reason::Refused, 6),
        ("FailedOperation.ImageOperationFailed", Reason::Failed, 12),
    ] {
        let world = shared(1);
        world.behave(refusing(code));
        reconciling(&world, async |live| {
            live.load(asked(1, false)).await;
            live.pass(12 * 60).await;
            let sent = cancels(&world);
            assert!(
                (3..=at_most).contains(&sent),
                "{code}: {sent} in 12 minutes"
            );
            assert_eq!(reason(live, 0), reason_);
            world.behave(Behaviour::default());
            live.until(|live| live.in_sync(TOKYO)).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn c13_the_daemon_comes_back_for_what_is_syncing() {
    let world = shared(2);
    becomes(&world, 0, "SYNCING");
    reconciling(&world, async |live| {
        live.load(asked(2, true)).await;
        live.pass(5).await;
        let image = live.image(TOKYO, &id(0));
        assert_eq!(image.reason, Reason::Syncing);
        assert_eq!(image.sync_state(), SyncState::Waiting);
        assert!(!image.stalled.holds() && !image.drifted.holds());
        let rests = live.publisher.board(|board| {
            let status = &board.scopes()[&support::live::scope(TOKYO)];
            matches!(status.activity, Activity::Idle { .. })
        });
        assert!(rests, "no pass is held open for it");
        live.pass(600).await;
        let observations = observations(&world);
        assert!((6..=14).contains(&observations.len()), "{observations:?}");
        let pauses: Vec<_> = observations
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect();
        assert!(
            pauses[0] <= 16 && pauses.iter().all(|pause| *pause <= 121),
            "{pauses:?}"
        );
        assert!(pauses.iter().any(|pause| *pause >= 55), "{pauses:?}");
        becomes(&world, 0, "NORMAL");
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(took <= 121, "{took}");
        assert_eq!(live.transitions(), [], "no person is needed");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c13_t4_the_daemon_reports_a_share_that_failed_and_its_end() {
    let world = shared(1);
    becomes(&world, 0, "CREATEFAILED");
    reconciling(&world, async |live| {
        live.load(asked(1, true)).await;
        live.pass(5).await;
        assert_eq!(reason(live, 0), Reason::BlueprintUnusable);
        let image = live.image(TOKYO, &id(0));
        assert_eq!(image.sync_state(), SyncState::Blocked);
        assert!(image.stalled.holds() && !image.drifted.holds());
        live.pass(3600).await;
        assert_eq!(
            live.transitions(),
            [(
                TransitionKind::Blocked,
                "default/ap-tokyo/img-0000".to_owned()
            )]
        );
        // A person deletes the blueprint, and the daemon shares the image anew.
        world.cloud().external_change(TOKYO, &id(0), false);
        world.cloud().states.borrow_mut().clear();
        live.until(|live| live.in_sync(TOKYO)).await;
        assert_eq!(writes(&world), 1);
        assert_eq!(kinds(&live.transitions()), [TransitionKind::Unblocked]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c13_t4_the_board_names_a_state_that_is_not_documented() {
    let world = shared(1);
    becomes(&world, 0, "BRAND_NEW");
    reconciling(&world, async |live| {
        live.load(asked(1, true)).await;
        live.pass(5).await;
        assert!(live.in_sync(TOKYO));
        let warnings = || {
            live.publisher.board(|board| {
                board.scopes()[&support::live::scope(TOKYO)]
                    .warnings
                    .to_vec()
            })
        };
        assert!(warnings()[0].contains("BRAND_NEW"), "{:?}", warnings());
        becomes(&world, 0, "NORMAL");
        live.pass(400).await;
        assert_eq!(warnings(), [""; 0]);
    })
    .await;
}
