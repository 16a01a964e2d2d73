//! The daemon on a paused clock: what it does while the manifests, the cloud and the faults of the API change.

mod accounts;
mod edits;
mod faults;
mod rates;
mod reports;
mod state;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::support::cloud::live::{
    INTERVAL, Keys, Live, kinds, observing, reconciling, run_with, scope, settings,
};
use crate::support::cloud::world::{GLOBAL, REGIONAL, World, id, regions, to_share};
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

fn writes(live: &Live<'_>) -> usize {
    live.world.cloud().writes().len()
}

#[tokio::test(start_paused = true)]
async fn it_converges_and_then_writes_nothing_for_a_day() {
    let world = World::new(1, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 30);
    let reason = reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        assert_eq!(writes(live), 30);
        live.pass(24 * 3600).await;
        assert_eq!(writes(live), 30);
        let observations = world.cloud().calls_of("DescribeBlueprints").len();
        assert!(
            (260..340).contains(&observations),
            "once an interval: {observations}"
        );
        assert!(
            live.transitions().is_empty(),
            "no news of what is asked for"
        );
    })
    .await;
    assert_eq!(reason, StopReason::Terminated);
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_within_the_interval_and_reported_once_each_way() {
    let world = World::new(2, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 5);
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.transitions();
        world.cloud().external_change(TOKYO, &id(3), false);
        let took = live.until(|_| world.cloud().is_shared(TOKYO, &id(3))).await;
        assert!(took <= INTERVAL.as_secs() * 11 / 10 + 1, "{took} s");
        live.pass(3600).await;
        let key = format!("default/{TOKYO}/{}", id(3));
        assert_eq!(
            live.transitions(),
            [
                (TransitionKind::DriftAppeared, key.clone()),
                (TransitionKind::DriftResolved, key)
            ]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_still_being_made_is_shared_once_it_is_normal() {
    for state in ["CREATING", "SYNCING", "IMPORTING"] {
        let world = World::new(11, REGIONAL);
        let wanted = world.add_to_share(&[TOKYO], 1);
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
            assert!(live.transitions().is_empty(), "waiting is no news");
            world.behave(Behaviour::default());
            let took = live.until(|live| live.in_sync(TOKYO)).await;
            assert!(took <= 310, "{took} s");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn p3_a_panic_in_one_scope_holds_that_scope_and_no_other() {
    let world = World::new(14, REGIONAL);
    let mut wanted = world.add_to_share(&[TOKYO], 5);
    world.cloud().add(BANGKOK, "img-b", false);
    wanted
        .images
        .extend(desired([(BANGKOK, "img-b".to_owned(), true)]).images);
    let observations = Rc::new(Cell::new(0));
    let count = Rc::clone(&observations);
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
        assert_eq!(observations.get(), 1, "it is held, not tried for ever");
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
    let wanted = world.add_to_share(&[TOKYO], 5);
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
        let transitions = live.transitions();
        assert_eq!(transitions.len(), 1, "{transitions:?}");
        assert_eq!(transitions[0].0, TransitionKind::DriftAppeared);
    })
    .await;
    assert!(world.cloud().writes().is_empty());
    assert_eq!(world.ledger.changes.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn s7_an_unexpected_loss_is_held_until_a_person_decides() {
    let world = World::new(16, REGIONAL);
    let mut wanted = world.add_to_share(&[TOKYO], 12);
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
            .transitions()
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
