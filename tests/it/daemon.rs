//! The daemon on a paused clock: what it does while the manifests, the cloud and the faults of the API change.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::support::cloud::live::{
    INTERVAL, Keys, Live, observing, reconciling, run_with, scope, settings,
};
use crate::support::cloud::world::{GLOBAL, REGIONAL, World, id, regions};
use crate::support::cloud::{Behaviour, Fault, desired, with_rate};
use sharekeeper::daemon::{Reconciler, keep_summary};
use sharekeeper::desired::{Desired, DesiredShare};
use sharekeeper::engine::StopReason;
use sharekeeper::host::Clock;
use sharekeeper::model::{AccountName, Monotonic};
use sharekeeper::plan::Policy;
use sharekeeper::source::{ManifestProblem, Update};
use sharekeeper::status::{Activity, RECENT_MAX, Reason, TransitionKind, Truth};

const TOKYO: &str = "ap-tokyo";
const BANGKOK: &str = "ap-bangkok";

/// Adds images to Tokyo that are not shared, and returns the desired state that shares them.
fn to_share(world: &World, count: usize) -> Desired {
    for n in 0..count {
        world.cloud().add(TOKYO, &id(n), false);
    }
    wanted(count)
}

fn wanted(count: usize) -> Desired {
    desired((0..count).map(|n| (TOKYO, id(n), true)))
}

fn writes(live: &Live<'_>) -> usize {
    live.world.cloud().writes().len()
}

#[tokio::test(start_paused = true)]
async fn it_converges_and_then_writes_nothing_for_a_day() {
    let world = World::new(1, REGIONAL);
    let wanted = to_share(&world, 30);
    let reason = reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        assert_eq!(writes(live), 30);
        live.pass(24 * 3600).await;
        assert_eq!(writes(live), 30);
        let looks = world.cloud().calls_of("DescribeBlueprints").len();
        assert!((260..340).contains(&looks), "once an interval: {looks}");
        assert!(live.told().is_empty(), "no news of what is asked for");
    })
    .await;
    assert_eq!(reason, StopReason::Terminated);
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_within_the_interval_and_told_once_each_way() {
    let world = World::new(2, REGIONAL);
    let wanted = to_share(&world, 5);
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.told();
        world.cloud().external_change(TOKYO, &id(3), false);
        let took = live.until(|_| world.cloud().is_shared(TOKYO, &id(3))).await;
        assert!(took <= INTERVAL.as_secs() * 11 / 10 + 1, "{took} s");
        live.pass(3600).await;
        let key = format!("default/{TOKYO}/{}", id(3));
        assert_eq!(
            live.told(),
            [
                (TransitionKind::DriftAppeared, key.clone()),
                (TransitionKind::DriftResolved, key)
            ]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b5_c7_a_state_that_is_lost_ends_all_work_and_fails_health() {
    let world = World::new(3, REGIONAL);
    let before = to_share(&world, 5);
    world.cloud().add(BANGKOK, "img-new", false);
    reconciling(&world, async |live| {
        live.load(before.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.told();
        assert_eq!(live.publisher.board(|board| board.alive()), Ok(()));
        // The daemon notices the loss while it writes nothing, by a check that it makes every few seconds.
        world.ledger.lose("the state was removed");
        live.pass(1).await;
        let calls = world.cloud().calls.borrow().len();
        let mut after = before;
        let added = desired([(BANGKOK, "img-new".to_owned(), true)]);
        after.images.extend(added.images);
        live.load(after).await;
        live.update(Update::Asked).await;
        live.pass(3600).await;
        assert_eq!(world.cloud().calls.borrow().len(), calls, "not even a look");
        live.publisher.board(|board| {
            let why = "the state was removed".to_owned();
            assert_eq!(board.alive(), Err(why.clone()));
            assert!(board.ready().is_err_and(|reasons| reasons.contains(&why)));
            assert!(board.summary().contains("the state"), "{}", board.summary());
        });
        assert_eq!(live.told(), [(TransitionKind::Stalled, "state".to_owned())]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c7_a_state_that_can_be_written_again_goes_on_by_itself() {
    let world = World::new(3, REGIONAL);
    let wanted = to_share(&world, 30);
    world.ledger.lost_after.set(Some(7));
    reconciling(&world, async |live| {
        live.load(wanted).await;
        // The state may be lost more than once.
        for next_loss in [Some(19), None] {
            let is_alive = |live: &Live| live.publisher.board(|board| board.alive().is_ok());
            live.until(|live| !is_alive(live)).await;
            live.pass(60).await;
            let sent = writes(live);
            live.pass(3600).await;
            assert_eq!(writes(live), sent, "nothing is sent meanwhile");
            world.ledger.lost_after.set(next_loss);
            world.ledger.recover();
        }
        live.until(|live| live.in_sync(TOKYO)).await;
        let told = live.told().into_iter();
        let kinds: Vec<_> = told
            .filter(|(_, of)| of == "state")
            .map(|(kind, _)| kind)
            .collect();
        let (stalled, recovered) = (TransitionKind::Stalled, TransitionKind::Recovered);
        assert_eq!(kinds, [stalled, recovered, stalled, recovered]);
        assert_eq!(live.publisher.board(|board| board.alive()), Ok(()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b5_a_state_that_is_lost_in_a_pass_fails_health_at_once() {
    let world = World::new(3, REGIONAL);
    let wanted = to_share(&world, 30);
    world.ledger.lost_after.set(Some(7));
    reconciling(&world, async |live| {
        live.load(wanted).await;
        let took = live.until(|live| live.publisher.board(|board| board.alive().is_err()));
        assert!(took.await < 10);
        live.pass(3600).await;
        assert!(writes(live) < 7, "{}", writes(live));
        assert_eq!(live.told(), [(TransitionKind::Stalled, "state".to_owned())]);
        let asked = world.cloud().calls_of("DescribeBlueprints").len();
        assert!(asked < 5, "{asked}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_leads_to_a_write_after_one_look() {
    let world = World::new(3, REGIONAL);
    let before = to_share(&world, 5);
    world.cloud().add(TOKYO, "img-new", false);
    reconciling(&world, async |live| {
        live.load(before.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.pass(60).await;
        let calls = world.cloud().calls.borrow().len();
        let mut after = before;
        let added = desired([(TOKYO, "img-new".to_owned(), true)]);
        after.images.extend(added.images);
        live.load(after).await;
        live.until(|_| world.cloud().is_shared(TOKYO, "img-new"))
            .await;
        let calls = world.cloud().calls.borrow()[calls..].to_vec();
        let actions: Vec<_> = calls.iter().map(|call| call.action.as_str()).collect();
        assert_eq!(
            actions[..3],
            [
                "DescribeBlueprints",
                "DescribeImagesToShare",
                "ModifyImageSharePermission"
            ]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s5_newer_manifests_drop_the_rest_of_the_plan() {
    let world = World::new(4, REGIONAL);
    let many = to_share(&world, 400);
    reconciling(&world, async |live| {
        live.load(many).await;
        live.until(|live| writes(live) >= 40).await;
        // The manifests now ask for the first ten images only.
        live.load(wanted(10)).await;
        let at_the_edit = writes(live);
        live.pass(600).await;
        assert!(
            writes(live) <= at_the_edit + 4,
            "those on the wire at most: {} after {at_the_edit}",
            writes(live)
        );
        assert!(live.in_sync(TOKYO));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_an_edit_does_not_concern_goes_on() {
    let world = World::new(5, REGIONAL);
    let tokyo = to_share(&world, 200);
    world.cloud().add(BANGKOK, "img-b", false);
    reconciling(&world, async |live| {
        live.load(tokyo.clone()).await;
        live.until(|live| writes(live) >= 40).await;
        let looks = world.cloud().calls_of("DescribeBlueprints").len();
        let mut both = tokyo;
        // The source lines move too, which does not change the desired state.
        for image in both.images.values_mut() {
            image.source.line += 1;
        }
        both.images
            .extend(desired([(BANGKOK, "img-b".to_owned(), true)]).images);
        live.load(both).await;
        live.until(|live| live.in_sync(TOKYO) && live.in_sync(BANGKOK))
            .await;
        let listings = world.cloud().calls_of("DescribeBlueprints");
        let tokyo = listings[looks..]
            .iter()
            .filter(|call| call.region == TOKYO && call.body["Offset"] == 0);
        assert_eq!(tokyo.count(), 1, "the look after its own pass");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s4_a_pass_that_is_cut_short_hands_its_writes_on() {
    let world = World::new(6, REGIONAL);
    world.behave(Behaviour {
        lag: Duration::from_secs(20),
        ..Behaviour::default()
    });
    let wanted = to_share(&world, 40);
    world.cloud().add(TOKYO, "img-new", false);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.until(|live| writes(live) >= 30).await;
        let mut more = wanted;
        more.images
            .extend(desired([(TOKYO, "img-new".to_owned(), true)]).images);
        live.load(more).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        assert_eq!(writes(live), 41, "none was made twice");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l8_a_broken_account_is_probed_once_a_step_and_works_again_by_itself() {
    let world = World::new(7, REGIONAL);
    let mut wanted = to_share(&world, 20);
    for region in regions(10) {
        world.cloud().add(region, "img-r", false);
        wanted
            .images
            .extend(desired([(region, "img-r".to_owned(), true)]).images);
    }
    world.behave(Behaviour {
        refuse: Box::new(|_, _, _| Some("AuthFailure.SecretIdNotFound")),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(3600).await;
        let calls = world.cloud().calls.borrow().len();
        assert!(
            (10..=30).contains(&calls),
            "{calls} calls in an hour for 11 scopes"
        );
        assert_eq!(
            live.told(),
            [(TransitionKind::Stalled, "account default".to_owned())],
            "once, and not for each scope or probe"
        );
        assert_eq!(live.image(TOKYO, &id(0)).reason, Reason::AccountBroken);
        world.behave(Behaviour::default());
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(took <= 310, "{took} s");
        live.pass(60).await;
        assert_eq!(
            live.told(),
            [(TransitionKind::Recovered, "account default".to_owned())]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l4_a_missing_service_role_costs_one_write_a_step_for_the_whole_account() {
    let world = World::new(8, REGIONAL);
    let wanted = to_share(&world, 50);
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "ModifyImageSharePermission").then_some("ResourceNotFound.RoleNotFound")
        }),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(3600).await;
        assert!((8..=25).contains(&writes(live)), "{}", writes(live));
        let reasons = [7, 5].map(|n| live.image(TOKYO, &id(n)).reason);
        assert_eq!(reasons, [Reason::NotTried, Reason::RoleMissing]);
        world.behave(Behaviour::default());
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(took <= 320, "{took} s");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l4_a_scope_that_denies_writing_is_probed_by_a_few_images() {
    let world = World::new(9, REGIONAL);
    let wanted = to_share(&world, 50);
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "ModifyImageSharePermission").then_some("UnauthorizedOperation.NoPermission")
        }),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(10).await;
        let first = writes(live);
        assert_eq!(first, 5);
        assert_eq!(live.image(TOKYO, &id(5)).reason, Reason::NoPermission);
        assert_eq!(live.image(TOKYO, &id(7)).reason, Reason::NotTried);
        live.pass(6 * 3600).await;
        let later = writes(live) - first;
        assert!((100..=420).contains(&later), "{later} in six hours");
        world.behave(Behaviour::default());
        live.update(Update::Asked).await;
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(
            took <= 10,
            "a person who has mended it does not wait: {took} s"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_missing_hold_the_account_until_they_are_there() {
    let world = World::new(10, REGIONAL);
    let wanted = to_share(&world, 3);
    let keys = Keys {
        world: &world,
        missing: RefCell::new(Some("no credentials".into())),
    };
    let work = Reconciler {
        ledger: &world.ledger,
    };
    run_with(
        &world,
        &work,
        &keys,
        settings(Policy::default()),
        async |live| {
            live.load(wanted).await;
            live.pass(3600).await;
            assert!(world.cloud().calls.borrow().is_empty());
            let image = live.image(TOKYO, &id(0));
            assert_eq!(image.reason, Reason::AccountBroken);
            assert!(
                image
                    .details
                    .is_some_and(|details| details.message.contains("no credentials"))
            );
            *keys.missing.borrow_mut() = None;
            let took = live.until(|live| live.in_sync(TOKYO)).await;
            assert!(took <= 310, "{took} s");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_still_being_made_is_shared_once_it_is_normal() {
    for state in ["CREATING", "SYNCING", "IMPORTING"] {
        let world = World::new(11, REGIONAL);
        let wanted = to_share(&world, 1);
        world.behave(Behaviour {
            image_state: state,
            ..Behaviour::default()
        });
        reconciling(&world, async |live| {
            live.load(wanted).await;
            live.pass(3600).await;
            assert_eq!(writes(live), 0, "no write is spent on it");
            let image = live.image(TOKYO, &id(0));
            assert_eq!(image.reason, Reason::WaitingForImage, "{state}");
            assert_eq!(image.stalled.status, Truth::False);
            assert_eq!(image.eligible.status, Truth::False);
            assert!(live.told().is_empty(), "waiting is no news");
            world.behave(Behaviour::default());
            let took = live.until(|live| live.in_sync(TOKYO)).await;
            assert!(took <= 310, "{took} s");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_ends_at_its_instant_while_no_manifests_can_be_had() {
    let world = World::new(12, REGIONAL);
    let mut wanted = to_share(&world, 2);
    let ends = world.cloud().now() + Duration::from_secs(7 * 3600 + 17);
    let first = wanted.images.values_mut().next().expect("an image");
    first.share = DesiredShare::Shared {
        from: None,
        until: Some(ends),
    };
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.update(Update::Broken(vec![ManifestProblem::Repository(
            "the repository cannot be reached".into(),
        )]))
        .await;
        live.pass(6 * 3600).await;
        assert!(world.cloud().is_shared(TOKYO, &id(0)));
        live.until(|_| !world.cloud().is_shared(TOKYO, &id(0)))
            .await;
        let late = (world.cloud().now() - ends).num_seconds();
        assert!((0..=4).contains(&late), "{late} s after its end");
        assert!(world.cloud().is_shared(TOKYO, &id(1)));
        let told = live.told();
        let kinds: Vec<_> = told.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [TransitionKind::Stalled, TransitionKind::ExpiringSoon],
            "{told:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn m1_s3_manifests_that_cannot_be_used_change_nothing() {
    let world = World::new(13, REGIONAL);
    let wanted = to_share(&world, 5);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.told();
        for _ in 0..5 {
            live.update(Update::Broken(vec![ManifestProblem::Repository(
                "manifests: holds no manifests".into(),
            )]))
            .await;
            live.pass(1200).await;
        }
        assert_eq!(writes(live), 5);
        world.cloud().external_change(TOKYO, &id(1), false);
        live.until(|_| world.cloud().is_shared(TOKYO, &id(1))).await;
        live.pass(10).await;
        live.load(wanted).await;
        live.pass(10).await;
        let told = live.told();
        let manifests: Vec<_> = told
            .iter()
            .filter(|(_, subject)| subject == "manifests")
            .collect();
        assert_eq!(
            manifests.len(),
            2,
            "once when it began, once when it ended: {told:?}"
        );
        live.publisher
            .board(|board| assert_eq!(board.manifests().errors, 5));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn p3_a_panic_in_one_scope_holds_that_scope_and_no_other() {
    let world = World::new(14, REGIONAL);
    let mut wanted = to_share(&world, 5);
    world.cloud().add(BANGKOK, "img-b", false);
    wanted
        .images
        .extend(desired([(BANGKOK, "img-b".to_owned(), true)]).images);
    let looks = Rc::new(Cell::new(0));
    let count = Rc::clone(&looks);
    world.behave(Behaviour {
        refuse: Box::new(move |action, region, _| {
            if region == BANGKOK && action == "DescribeImagesToShare" {
                count.set(count.get() + 1);
                panic!("a fault that a test has put here");
            }
            None
        }),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.pass(3600).await;
        assert_eq!(looks.get(), 1, "it is held, not tried for ever");
        world.cloud().external_change(TOKYO, &id(1), false);
        live.until(|_| world.cloud().is_shared(TOKYO, &id(1))).await;
        live.publisher.board(|board| {
            let bangkok = &board.scopes()[&scope(BANGKOK)];
            assert!(matches!(&bangkok.activity, Activity::Halted { .. }));
            assert!(bangkok.is_stalled());
            let Activity::Halted { why } = &bangkok.activity else {
                unreachable!()
            };
            assert!(
                !why.contains("a test has put"),
                "a panic's words may quote anything"
            );
        });
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s16_a_daemon_that_only_observes_finds_drift_and_never_writes() {
    let world = World::new(15, REGIONAL);
    let wanted = to_share(&world, 5);
    for n in 0..5 {
        world.cloud().external_change(TOKYO, &id(n), true);
    }
    observing(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        world.cloud().external_change(TOKYO, &id(2), false);
        live.until(|live| live.image(TOKYO, &id(2)).is_changed_outside())
            .await;
        live.pass(3600).await;
        assert_eq!(live.image(TOKYO, &id(2)).drifted.status, Truth::True);
        let told = live.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, TransitionKind::DriftAppeared);
    })
    .await;
    assert!(world.cloud().writes().is_empty());
    assert_eq!(world.ledger.changes.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn s7_a_sudden_loss_is_held_until_a_person_has_looked() {
    let world = World::new(16, REGIONAL);
    let mut wanted = to_share(&world, 12);
    world.cloud().add(TOKYO, "img-old", true);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        for n in 0..9 {
            world.cloud().external_change(TOKYO, &id(n), false);
        }
        wanted
            .images
            .extend(desired([(TOKYO, "img-old".to_owned(), false)]).images);
        live.load(wanted).await;
        live.pass(2 * 3600).await;
        assert!(
            world.cloud().is_shared(TOKYO, "img-old"),
            "nothing is cancelled meanwhile"
        );
        assert_eq!(live.image(TOKYO, "img-old").reason, Reason::GuardTripped);
        let tripped = live
            .told()
            .into_iter()
            .filter(|(kind, _)| *kind == TransitionKind::GuardTripped);
        assert_eq!(tripped.count(), 1);
        // All shares are visible again, which ends the hold although no person has accepted the loss.
        for n in 0..9 {
            world.cloud().external_change(TOKYO, &id(n), true);
        }
        live.until(|_| !world.cloud().is_shared(TOKYO, "img-old"))
            .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l7_the_end_lets_calls_in_flight_settle_and_starts_no_other() {
    let world = World::new(17, REGIONAL);
    let wanted = to_share(&world, 400);
    let at_the_end = Cell::new((0, Duration::ZERO));
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| writes(live) >= 40).await;
        at_the_end.set((writes(live), world.cloud().monotonic().since_start()));
    })
    .await;
    let (count, then) = at_the_end.get();
    assert!(world.cloud().writes().len() <= count + 4);
    let took = world.cloud().monotonic().since_start() - then;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(world.ledger.intents().len(), world.ledger.outcomes().len());
}

/// The faults in one hour of the day that is simulated below.
fn fault_plan(hour: u64) -> Behaviour {
    fn refusing(code: &'static str, action: &'static str) -> Behaviour {
        Behaviour {
            refuse: Box::new(move |asked, region, _| {
                ((action.is_empty() || asked == action) && region != BANGKOK).then_some(code)
            }),
            ..Behaviour::default()
        }
    }
    const MODIFY: &str = "ModifyImageSharePermission";
    const LIST: &str = "DescribeBlueprints";
    let kinds = Fault::ALL.len() as u64;
    match hour {
        hour if hour < kinds => Behaviour {
            fault: Box::new(move |_, _, rng| {
                let fault = Fault::ALL[usize::try_from(hour).expect("small")];
                (rng.f64() < 0.4).then_some(fault)
            }),
            ..Behaviour::default()
        },
        7 => refusing("InternalError", ""),
        8 => refusing("RequestLimitExceeded", ""),
        9 => refusing("AuthFailure.SecretIdNotFound", ""),
        10 => refusing("UnauthorizedOperation.NoPermission", MODIFY),
        11 => refusing("ResourceNotFound.RoleNotFound", MODIFY),
        12 => refusing("FailedOperation.DescribeBlueprintsFailed", LIST),
        13 => refusing("UnauthorizedOperation", LIST),
        14 => refusing("UnsupportedOperation.ImageOccupied", MODIFY),
        15 => refusing("UnsupportedOperation.ImageUnableToShare", MODIFY),
        16 => refusing("Brand.NewCode", ""),
        17 => refusing("UnsupportedRegion", ""),
        18 => Behaviour {
            lag: Duration::from_secs(40),
            ..Behaviour::default()
        },
        19 => Behaviour {
            clock_offset: chrono::TimeDelta::minutes(7),
            ..Behaviour::default()
        },
        20 => Behaviour {
            write_limit: 3,
            ..Behaviour::default()
        },
        21 => Behaviour {
            tamper: Box::new(|_, _, page| page["TotalCount"] = 0.into()),
            ..Behaviour::default()
        },
        22 => Behaviour {
            image_state: "SYNCING",
            ..Behaviour::default()
        },
        _ => Behaviour {
            latency: Duration::from_secs(9),
            ..Behaviour::default()
        },
    }
}

#[tokio::test(start_paused = true)]
async fn c5_p5_s4_after_eight_hours_of_sleep_it_looks_again_before_it_writes() {
    let world = World::new(31, REGIONAL);
    let wanted = to_share(&world, 400);
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| writes(live) >= 40).await;
        // The monotonic clock stands still during the sleep, so that only the wall clock jumps.
        world.cloud().jumped.set(chrono::TimeDelta::hours(8));
        let before = world.cloud().calls.borrow().len();
        live.until(|live| live.in_sync(TOKYO)).await;
        let calls = world.cloud().calls.borrow()[before..].to_vec();
        let writes_first = calls
            .iter()
            .take_while(|call| call.action.starts_with("Modify"));
        assert!(
            writes_first.count() <= 4,
            "only what was on the wire may arrive before the look"
        );
        let refused = calls.iter().filter(|call| call.answer != "ok");
        assert!(
            refused.count() <= 4,
            "what was on the wire was signed long ago, and nothing else was"
        );
        let most = world.cloud().most_in_a_second("ModifyImageSharePermission");
        assert!(most <= 20, "no burst was saved up: {most} in a second");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c2_a_wall_clock_that_jumps_mid_run_changes_neither_waits_nor_limits() {
    for minutes in [-1440, -10, -2, 2, 10] {
        let world = World::new(32, REGIONAL);
        let wanted = to_share(&world, 200);
        reconciling(&world, async |live| {
            live.load(wanted).await;
            live.until(|live| writes(live) >= 40).await;
            let jump = chrono::TimeDelta::minutes(minutes);
            world.cloud().jumped.set(jump);
            world.behave(Behaviour {
                clock_offset: -jump,
                ..Behaviour::default()
            });
            if minutes.abs() > 15 {
                // No call can be signed with a clock that is off by a day, so that a person sets it right again.
                live.pass(60).await;
                world.cloud().jumped.set(chrono::TimeDelta::zero());
                world.behave(Behaviour::default());
            }
            let took = live.until(|live| live.in_sync(TOKYO)).await;
            assert!(took <= 120, "{minutes} min: {took} s");
            let most = world.cloud().most_in_a_second("ModifyImageSharePermission");
            assert!(most <= 20, "{minutes} min: {most} in a second");
            let at_rest = world.cloud().calls.borrow().len();
            live.pass(3600).await;
            let looks = world.cloud().calls.borrow().len() - at_rest;
            assert!(
                (10..=40).contains(&looks),
                "{minutes} min: {looks} looks in an hour"
            );
            let applied = world.cloud().writes().into_iter();
            let applied = applied.filter(|call| call.answer == "ok").count();
            assert_eq!(applied, 200, "{minutes} min: each was shared once");
        })
        .await;
    }
}

/// The desired state in an hour: most of it stays the same, and some of it changes.
fn asked(hour: u64, images: usize) -> Desired {
    let all = [TOKYO, BANGKOK, "eu-frankfurt"];
    let shared = |n: usize| n % 6 != usize::try_from(hour).expect("small") % 6;
    desired(
        all.iter()
            .flat_map(|&region| (0..images).map(move |n| (region, id(n), shared(n)))),
    )
}

#[tokio::test(start_paused = true)]
async fn l1_a_day_with_faults_of_every_class_ends_each_hour_in_sync() {
    const IMAGES: usize = 24;
    const ALL: [&str; 3] = [TOKYO, BANGKOK, "eu-frankfurt"];
    let world = World::new(18, REGIONAL);
    for region in ALL {
        for n in 0..IMAGES {
            world.cloud().add(region, &id(n), false);
        }
    }
    let mut rng = fastrand::Rng::with_seed(18);
    reconciling(&world, async |live| {
        let (mut repaired, mut most_recent) = (0, 0);
        for hour in 0..24 {
            let full = hour == 5;
            world.ledger.full.set(full);
            world.behave(fault_plan(hour));
            live.load(asked(hour, IMAGES)).await;
            for _ in 0..10 {
                live.pass(120).await;
                let region = ALL[rng.usize(..ALL.len())];
                let image = id(rng.usize(..IMAGES));
                let state = world.cloud().is_shared(region, &image);
                world.cloud().external_change(region, &image, !state);
                // At most one image stays changed in an hour. More changes would be a fight, and the daemon parks fights.
                if rng.f64() < 0.5 {
                    break;
                }
                world.cloud().external_change(region, &image, state);
            }
            world.ledger.full.set(false);
            world.behave(Behaviour::default());
            live.pass(42 * 60).await;
            let unsettled: Vec<_> = live.publisher.board(|board| {
                let images = board
                    .scopes()
                    .values()
                    .flat_map(|scope| scope.images.iter());
                images
                    .filter(|(_, image)| !image.ready.holds())
                    .map(|(id, image)| (id.clone(), image.reason, image.details.clone()))
                    .collect()
            });
            assert!(unsettled.is_empty(), "hour {hour}: {unsettled:?}");
            for (key, image) in &asked(hour, IMAGES).images {
                let is = world
                    .cloud()
                    .is_shared(key.scope.region.as_str(), key.image.as_str());
                let (wanted, _) = image.share.at(world.cloud().now());
                assert_eq!(is, wanted.as_str() == "shared", "hour {hour}: {key}");
            }
            let settled = writes(live);
            live.pass(15 * 60).await;
            assert_eq!(writes(live), settled, "hour {hour}: no write while in sync");
            repaired += settled;
            live.publisher.board(|board| {
                assert!(board.changes().len() <= RECENT_MAX);
                assert!(board.transitions().len() <= RECENT_MAX);
                most_recent = most_recent.max(board.changes().len());
            });
        }
        assert!(
            repaired > 0 && most_recent == RECENT_MAX,
            "the bound was reached"
        );
    })
    .await;
    assert!(world.cloud().most_in_a_second("ModifyImageSharePermission") <= 19);
}

/// The highest number of writes that arrived within any sliding second since `from`.
fn most_in_a_second(world: &World, from: Monotonic) -> usize {
    let writes = world.cloud().writes();
    let at: Vec<_> = writes
        .iter()
        .map(|call| call.at)
        .filter(|at| *at >= from)
        .collect();
    let within = |start: &Monotonic| {
        let rest = at.iter().filter(|at| **at >= *start);
        rest.filter(|at| at.since(*start) < Duration::from_secs(1))
            .count()
    };
    at.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn c6_a_rate_that_is_raised_or_lowered_in_the_manifests_holds_from_the_next_call_on() {
    let world = World::new(71, REGIONAL);
    let keys = Keys {
        world: &world,
        missing: RefCell::default(),
    };
    let work = Reconciler {
        ledger: &world.ledger,
    };
    to_share(&world, 700);
    let settings = settings(Policy::default());
    run_with(&world, &work, &keys, settings, async |live| {
        let start = world.cloud().monotonic();
        live.load(with_rate(wanted(700), 1)).await;
        live.pass(20).await;
        let slow = writes(live);
        assert!((15..=21).contains(&slow), "{slow}");
        assert!(most_in_a_second(&world, start) <= 1);
        let raised = world.cloud().monotonic();
        live.load(with_rate(wanted(700), 19)).await;
        live.pass(20).await;
        let fast = writes(live) - slow;
        assert!(fast > 300, "{fast} in 20 s");
        let most = most_in_a_second(&world, raised);
        assert!((18..=19).contains(&most), "{most}");
        live.load(with_rate(wanted(700), 2)).await;
        live.pass(2).await;
        let (lowered, before) = (world.cloud().monotonic(), writes(live));
        live.pass(20).await;
        let slow = writes(live) - before;
        assert!((30..=42).contains(&slow), "{slow} in 20 s");
        assert!(most_in_a_second(&world, lowered) <= 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c6_the_lowest_rate_of_documents_with_one_key_counts_for_as_long_as_they_are_there() {
    let world = World::new(72, GLOBAL);
    let keys = Keys {
        world: &world,
        missing: RefCell::default(),
    };
    let work = Reconciler {
        ledger: &world.ledger,
    };
    let alone = with_rate(to_share(&world, 700), 19);
    world.cloud().add(BANGKOK, &id(9_000), true);
    // The document of another account. It only says how fast the key may be used.
    let other = AccountName::new("other").expect("a name");
    let mut both = alone.clone();
    let mut account = alone.accounts[&AccountName::default()].clone();
    account.rate = Some(2);
    both.accounts.insert(other.clone(), account);
    for (mut key, image) in desired([(BANGKOK, id(9_000), true)]).images {
        key.scope.account = other.clone();
        both.images.insert(key, image);
    }
    let settings = settings(Policy::default());
    run_with(&world, &work, &keys, settings, async |live| {
        let written = async |seconds| {
            let before = writes(live);
            live.pass(seconds).await;
            writes(live) - before
        };
        live.load(both).await;
        live.pass(2).await;
        let shared = written(20).await;
        assert!((30..=42).contains(&shared), "{shared} in 20 s");
        live.load(alone).await;
        let own = written(20).await;
        assert!(own > 300, "{own} in 20 s");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c15_l7_a_stop_waits_no_longer_than_that_for_a_store_that_does_not_answer() {
    let world = World::new(73, REGIONAL);
    let wanted = to_share(&world, 30);
    world.ledger.outcome_takes.set(Duration::from_secs(600));
    let stopped = Cell::new(Monotonic::default());
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| writes(live) > 3).await;
        stopped.set(world.cloud().monotonic());
    })
    .await;
    let took = world.cloud().monotonic().since(stopped.get());
    assert!(took < Duration::from_secs(9), "{took:?}");
    let (intents, outcomes) = (world.ledger.intents(), world.ledger.outcomes());
    assert!(
        intents.len() > outcomes.len(),
        "some stay open for the next run"
    );
}

#[tokio::test(start_paused = true)]
async fn nm3_a_summary_is_left_at_most_once_a_second_and_at_each_heartbeat() {
    let world = World::new(3, REGIONAL);
    let wanted = to_share(&world, 100);
    reconciling(&world, async |live| {
        let clock = &live.world.context.host;
        let left = RefCell::new(Vec::new());
        let keep = keep_summary(clock, &live.publisher, async |board, _| {
            left.borrow_mut().push((clock.monotonic(), board.version()));
        });
        let script = async {
            live.load(wanted).await;
            live.until(|live| live.in_sync(TOKYO)).await;
            live.pass(2).await;
            let newest = live.publisher.board(|board| board.version());
            let (_, version) = *left.borrow().last().expect("some");
            assert_eq!(version, newest, "nothing that happened is missing");
            let before = left.borrow().len();
            assert!((4..=9).contains(&before), "six seconds of writes: {before}");
            live.pass(60).await;
            let quiet = left.borrow().len() - before;
            assert!((5..=7).contains(&quiet), "one each ten seconds: {quiet}");
        };
        tokio::select! {
            never = keep => match never {},
            () = script => {}
        }
        let times = left.into_inner();
        for pair in times.windows(2) {
            let gap = pair[1].0.since(pair[0].0);
            assert!(gap >= Duration::from_secs(1), "{gap:?}");
        }
    })
    .await;
}

/// Collects the warnings that this thread logs until the guard is dropped.
#[derive(Clone, Default)]
struct Warnings(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Warnings {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let warnings = Self::default();
        let writer = warnings.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish();
        (warnings, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("not poisoned").clone();
        let text = String::from_utf8(bytes).expect("logs are UTF-8");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl std::io::Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().expect("not poisoned");
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a daemon on eight images in each of twelve regions, for an hour with `behaviour` and for an hour without faults.
/// Returns the warnings of the first hour and the transitions of the second.
async fn warned_and_ended(behaviour: Behaviour) -> (Vec<String>, Vec<(TransitionKind, String)>) {
    let world = World::new(71, REGIONAL);
    let mut wanted = Desired::default();
    for region in regions(12) {
        for n in 0..8 {
            world.cloud().add(region, &id(n), false);
        }
        let images = desired((0..8).map(|n| (region, id(n), true))).images;
        wanted.images.extend(images);
    }
    wanted.accounts = desired([(TOKYO, id(0), true)]).accounts;
    world.behave(behaviour);
    let (warnings, _guard) = Warnings::start();
    let result = RefCell::default();
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(3600).await;
        let warned = warnings.lines();
        assert_eq!(live.told().len(), 1, "{warned:#?}");
        world.behave(Behaviour::default());
        live.update(Update::Asked).await;
        live.pass(3600).await;
        result.replace((warned, live.told()));
    })
    .await;
    result.into_inner()
}

#[tokio::test(start_paused = true)]
async fn n10_a_daemon_tells_of_a_broken_account_in_one_line() {
    let (warned, ended) = warned_and_ended(Behaviour {
        refuse: Box::new(|_, _, _| Some("AuthFailure.SecretIdNotFound")),
        ..Behaviour::default()
    })
    .await;
    assert_eq!(warned.len(), 1, "{warned:#?}");
    let line = &warned[0];
    assert!(line.contains("account default"), "{line}");
    assert!(line.contains("and 4 more"), "all regions: {line}");
    assert!(line.contains("images=96"), "{line}");
    let end = (TransitionKind::Recovered, "account default".to_owned());
    assert_eq!(ended, [end]);
}

#[tokio::test(start_paused = true)]
async fn n10_a_daemon_tells_of_dead_access_points_in_one_line() {
    let (warned, ended) = warned_and_ended(Behaviour {
        fault: Box::new(|_, _, _| Some(Fault::NotSent)),
        ..Behaviour::default()
    })
    .await;
    assert_eq!(warned.len(), 1, "{warned:#?}");
    let line = &warned[0];
    assert!(line.contains("and 4 more"), "all regions: {line}");
    assert!(line.contains("images=96"), "{line}");
    let end = (TransitionKind::Recovered, "account default".to_owned());
    assert_eq!(ended, [end]);
}

#[tokio::test(start_paused = true)]
async fn n10_a_daemon_tells_of_a_missing_permission_in_one_line() {
    let (warned, ended) = warned_and_ended(Behaviour {
        refuse: Box::new(|action, _, _| {
            let is_write = action == "ModifyImageSharePermission";
            is_write.then_some("UnauthorizedOperation.NoPermission")
        }),
        ..Behaviour::default()
    })
    .await;
    assert_eq!(warned.len(), 1, "{warned:#?}");
    let line = &warned[0];
    assert!(line.contains("and 4 more"), "all regions: {line}");
    assert!(line.contains("images=96"), "{line}");
    let end = (TransitionKind::Recovered, "account default".to_owned());
    assert_eq!(ended, [end]);
}
