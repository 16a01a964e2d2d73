//! What the daemon must remember and must not take as settled: writes that reads do not show yet, losses that no person
//! has seen, and what it only observes.

use std::time::Duration;

use crate::support::cloud::live::{Live, observing, reconciling, run, scope, settings};
use crate::support::cloud::world::{REGIONAL, World, id};
use crate::support::cloud::{Behaviour, desired};
use sharekeeper::daemon::Reconciler;
use sharekeeper::desired::{Completeness, Desired, DesiredShare};
use sharekeeper::host::Clock;
use sharekeeper::inventory::LossAcceptance;
use sharekeeper::model::ImageId;
use sharekeeper::plan::{Policy, Prune};
use sharekeeper::source::Update;
use sharekeeper::status::{Reason, TransitionKind};

const TOKYO: &str = "ap-tokyo";
const BANGKOK: &str = "ap-bangkok";

fn and(wanted: &Desired, region: &'static str, image: &str, shared: bool) -> Desired {
    let mut more = wanted.clone();
    let added = desired([(region, image.to_owned(), shared)]);
    more.images.extend(added.images);
    more
}

/// The number of successful writes for an image.
fn done(world: &World, image: &str) -> usize {
    let writes = world.cloud().writes().into_iter();
    writes
        .filter(|call| call.body["ImageId"] == image && call.answer == "ok")
        .count()
}

#[tokio::test(start_paused = true)]
async fn s4_a_retry_that_succeeded_is_kept_after_an_interrupted_pass() {
    let world = World::new(1, REGIONAL);
    world.cloud().add(TOKYO, "img-x", true);
    world.cloud().add(TOKYO, "img-new", false);
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "ModifyImageSharePermission").then_some("ResourceInUse.ImageInUse")
        }),
        ..Behaviour::default()
    });
    let wanted = desired([(TOKYO, "img-x".to_owned(), false)]);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.pass(20).await;
        world.behave(Behaviour {
            lag: Duration::from_secs(20),
            ..Behaviour::default()
        });
        live.until(|_| done(&world, "img-x") > 0).await;
        live.pass(2).await;
        live.load(and(&wanted, TOKYO, "img-new", true)).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        assert_eq!(done(&world, "img-x"), 1, "no CANCEL is made twice");
    })
    .await;
}

/// Lets the daemon share the images of `wanted`, removes three of the shares from outside, and then asks for the cancel
/// of another image, which is withheld.
async fn after_a_loss(live: &Live<'_>, wanted: &Desired) {
    let cloud = live.world.cloud();
    live.load(wanted.clone()).await;
    live.until(|live| live.in_sync(TOKYO)).await;
    live.pass(30).await;
    for n in 0..3 {
        cloud.external_change(TOKYO, &id(n), false);
    }
    live.load(and(wanted, TOKYO, "img-old", false)).await;
    live.pass(2 * 3600).await;
    assert!(cloud.is_shared(TOKYO, "img-old"));
    assert!(cloud.is_shared(TOKYO, &id(0)), "it was shared anew");
    assert_eq!(live.image(TOKYO, "img-old").reason, Reason::GuardTripped);
}

#[tokio::test(start_paused = true)]
async fn s7_a_loss_that_was_mended_is_doubted_until_a_person_asks_to_go_on() {
    let world = World::new(2, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 6);
    world.cloud().add(TOKYO, "img-old", true);
    reconciling(&world, async |live| {
        after_a_loss(live, &wanted).await;
        live.update(Update::Asked).await;
        live.until(|_| !world.cloud().is_shared(TOKYO, "img-old"))
            .await;
    })
    .await;
}

/// Accepts a loss of exactly `lost` images for a person, as the command `accept` does.
fn accept(world: &World, lost: u32) {
    let mut scopes = world.ledger.scopes.borrow_mut();
    let inventory = scopes.entry(scope(TOKYO)).or_default();
    inventory.acceptances.retain(|one| one.lost != lost);
    inventory.acceptances.push(LossAcceptance {
        lost,
        images: None,
        by: "operator@host".to_owned(),
        since: world.cloud().now(),
    });
}

#[tokio::test(start_paused = true)]
async fn c9_s7_a_mended_loss_is_accepted_by_its_size_and_no_later_one_is() {
    let world = World::new(32, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 6);
    for image in ["img-old", "img-older"] {
        world.cloud().add(TOKYO, image, true);
    }
    reconciling(&world, async |live| {
        after_a_loss(live, &wanted).await;
        accept(&world, 4);
        live.pass(3600).await;
        assert!(
            world.cloud().is_shared(TOKYO, "img-old"),
            "another size is accepted"
        );
        accept(&world, 3);
        let took = live
            .until(|_| !world.cloud().is_shared(TOKYO, "img-old"))
            .await;
        assert!(took <= 330, "with the next observation: {took} s");
        for n in 0..3 {
            world.cloud().external_change(TOKYO, &id(n), false);
        }
        let fewer = and(&wanted, TOKYO, "img-old", false);
        live.load(and(&fewer, TOKYO, "img-older", false)).await;
        live.pass(3600).await;
        assert!(
            world.cloud().is_shared(TOKYO, "img-older"),
            "the acceptance is used up"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s7_r28_to_share_another_image_after_a_loss_was_mended_ends_no_doubt() {
    let world = World::new(28, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 6);
    world.cloud().add(TOKYO, "img-old", true);
    world.cloud().add(TOKYO, "img-new", false);
    reconciling(&world, async |live| {
        after_a_loss(live, &wanted).await;
        let more = and(&wanted, TOKYO, "img-old", false);
        live.load(and(&more, TOKYO, "img-new", true)).await;
        live.pass(3600).await;
        assert!(world.cloud().is_shared(TOKYO, "img-new"));
        assert!(
            world.cloud().is_shared(TOKYO, "img-old"),
            "no person has decided"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s7_a_scope_that_goes_and_comes_back_keeps_the_doubt() {
    let world = World::new(3, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 6);
    world.cloud().add(TOKYO, "img-old", true);
    world.cloud().add(BANGKOK, "img-b", true);
    reconciling(&world, async |live| {
        after_a_loss(live, &wanted).await;
        for seconds in [5, 3600] {
            let elsewhere = desired([(BANGKOK, "img-b".to_owned(), true)]);
            live.load(elsewhere).await;
            live.pass(seconds).await;
            live.load(and(&wanted, TOKYO, "img-old", false)).await;
            live.pass(60).await;
            assert!(world.cloud().is_shared(TOKYO, "img-old"));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s7_a_request_during_the_first_observation_of_a_loss_decides_nothing() {
    let world = World::new(4, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 6);
    world.cloud().add(TOKYO, "img-old", true);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.pass(30).await;
        for n in 0..3 {
            world.cloud().external_change(TOKYO, &id(n), false);
        }
        live.load(and(&wanted, TOKYO, "img-old", false)).await;
        world.pass(Duration::from_millis(20)).await;
        live.update(Update::Asked).await;
        live.pass(120).await;
        assert!(world.cloud().is_shared(TOKYO, "img-old"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l4_observe_only_observes_once_an_interval() {
    let world = World::new(5, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 5);
    observing(&world, async |live| {
        live.load(wanted).await;
        live.pass(10).await;
        let before = world.cloud().calls.borrow().len();
        live.pass(3600).await;
        let calls = world.cloud().calls.borrow().len() - before;
        assert!((10..=40).contains(&calls), "{calls} calls in an hour");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l5_a_long_outage_costs_one_call_for_each_pass() {
    let world = World::new(6, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 5);
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        world.behave(Behaviour {
            refuse: Box::new(|_, _, _| Some("InternalError")),
            ..Behaviour::default()
        });
        let calls = || world.cloud().calls.borrow().len();
        live.pass(3600).await;
        let before = calls();
        live.pass(5 * 3600).await;
        let outage = calls() - before;
        // Passes are an interval of 300 s apart, or down to half of it.
        assert!((59..=121).contains(&outage), "{outage} calls in five hours");
        world.behave(Behaviour::default());
        world.cloud().external_change(TOKYO, &id(3), false);
        live.until(|_| world.cloud().is_shared(TOKYO, &id(3))).await;
        live.until(|live| live.in_sync(TOKYO)).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l10_observe_only_reports_guards_and_blocked_images() {
    let world = World::new(6, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 12);
    world.cloud().add(TOKYO, "img-old", true);
    world.cloud().add_image(TOKYO, "img-bad", false, false);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
    })
    .await;
    for n in 0..9 {
        world.cloud().external_change(TOKYO, &id(n), false);
    }
    let more = and(&wanted, TOKYO, "img-old", false);
    observing(&world, async |live| {
        live.load(and(&more, TOKYO, "img-bad", true)).await;
        live.pass(3600).await;
        assert_eq!(live.image(TOKYO, "img-old").reason, Reason::GuardTripped);
        let tripped = live.transitions().into_iter();
        let tripped = tripped.filter(|(kind, _)| *kind == TransitionKind::GuardTripped);
        assert_eq!(tripped.count(), 1);
        for n in 0..9 {
            world.cloud().external_change(TOKYO, &id(n), true);
        }
        live.pass(700).await;
        assert_eq!(live.image(TOKYO, "img-bad").reason, Reason::NotEligible);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_scope_in_which_nothing_is_selected_is_not_waited_for() {
    let world = World::new(7, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 2);
    world.cloud().add(BANGKOK, "img-b", true);
    let mut settings = settings(Policy::default());
    settings.selector.images = [ImageId::new(&id(0)).expect("an id")].into();
    let work = Reconciler {
        ledger: &world.ledger,
    };
    run(&world, &work, settings, async |live| {
        live.load(and(&wanted, BANGKOK, "img-b", true)).await;
        live.pass(60).await;
        live.publisher.board(|board| {
            assert_eq!(board.ready(), Ok(()));
            assert_eq!(board.scopes().len(), 1);
            assert_eq!(board.manifests().images, 1);
        });
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn g3_s1_s3_pruning_waits_until_the_set_is_known_to_be_complete() {
    let world = World::new(1, REGIONAL);
    let named = world.add_to_share(&[TOKYO], 3);
    let fewer = |completeness| Desired {
        completeness,
        ..desired((0..2).map(|n| (TOKYO, id(n), true)))
    };
    let work = Reconciler {
        ledger: &world.ledger,
    };
    let settings = settings(Policy {
        prune: Prune::Owned,
        ..Policy::default()
    });
    run(&world, &work, settings, async |live| {
        live.load(named.clone()).await;
        live.until(|live| live.in_sync(TOKYO)).await;
        live.load(fewer(Completeness::Unknown("git is missing".into())))
            .await;
        live.pass(3600).await;
        assert!(
            world.cloud().is_shared(TOKYO, &id(2)),
            "it is not cancelled"
        );
        let image = live.image(TOKYO, &id(2));
        assert_eq!(image.reason, Reason::GuardTripped);
        let message = image.details.expect("says why").message;
        assert!(message.contains("git is missing"), "{message}");
        // Now the set is known to be whole, and nothing else has changed.
        live.load(fewer(Completeness::Whole)).await;
        let took = live
            .until(|_| !world.cloud().is_shared(TOKYO, &id(2)))
            .await;
        assert!(took < 60, "at once, not at the next observation: {took} s");
    })
    .await;
}

/// The problem of a file that is left out of the set, although it could ask for any image.
const PROBLEMS: [&str; 1] = ["b.yaml: not YAML"];

#[tokio::test(start_paused = true)]
async fn s3_r29_a_partial_set_shares_and_cancels_nothing_until_it_is_whole() {
    let world = World::new(29, REGIONAL);
    for (image, shared) in [
        ("img-new", false),
        ("img-old", true),
        ("img-expired", true),
        ("img-unnamed", true),
    ] {
        world.cloud().add(TOKYO, image, shared);
    }
    let images = [("img-new", true), ("img-old", false), ("img-expired", true)];
    let mut wanted = desired(images.map(|(image, shared)| (TOKYO, image.to_owned(), shared)));
    let expired = ImageId::new("img-expired").expect("an id");
    for (key, image) in &mut wanted.images {
        if key.image == expired {
            image.share = DesiredShare::Shared {
                from: None,
                until: Some(world.cloud().now()),
            };
        }
    }
    let policy = Policy {
        prune: Prune::Exclusive,
        ..Policy::DEFAULT
    };
    let work = Reconciler {
        ledger: &world.ledger,
    };
    let to_cancel = ["img-old", "img-expired", "img-unnamed"];
    run(&world, &work, settings(policy), async |live| {
        live.load_partial(wanted.clone(), &PROBLEMS).await;
        live.pass(3600).await;
        assert!(world.cloud().is_shared(TOKYO, "img-new"));
        for image in to_cancel {
            assert!(world.cloud().is_shared(TOKYO, image), "{image}");
        }
        live.load(wanted.clone()).await;
        let gone = |image| !world.cloud().is_shared(TOKYO, image);
        let took = live.until(|_| to_cancel.into_iter().all(gone)).await;
        assert!(took <= 5, "{took} s");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s3_r29_a_set_that_becomes_partial_drops_the_cancels_that_are_left() {
    let world = World::new(30, REGIONAL);
    for n in 0..400 {
        world.cloud().add(TOKYO, &id(n), true);
    }
    let wanted = desired((0..400).map(|n| (TOKYO, id(n), false)));
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.pass(5).await;
        live.load_partial(wanted.clone(), &PROBLEMS).await;
        live.pass(1).await;
        let cancelled = world.cloud().writes().len();
        assert!((50..200).contains(&cancelled), "{cancelled}");
        live.pass(3600).await;
        assert_eq!(world.cloud().writes().len(), cancelled);
    })
    .await;
}
