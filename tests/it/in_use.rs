//! An end date or pruning does not cancel a share that instances use, and a person who declares such an image unshared is
//! warned. The tests use one-shot runs on a paused clock.

use crate::support::cloud::world::{REGIONAL, World, id};
use crate::support::cloud::{Behaviour, Fault, Instance, desired};
use chrono::TimeDelta;
use sharekeeper::desired::{Desired, DesiredShare};
use sharekeeper::host::Clock;
use sharekeeper::plan::{Policy, Prune};
use sharekeeper::report::ExitStatus;

const TOKYO: &str = "ap-tokyo";
const SEOUL: &str = "ap-seoul";
const WITHHELD: u64 = ExitStatus::Withheld as u64;
const EXCLUSIVE: Policy = Policy {
    prune: Prune::Exclusive,
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

/// Adds instances that use the blueprint as which an image is shared.
fn start(world: &World, region: &'static str, image: usize, instances: std::ops::Range<usize>) {
    let new = instances.map(|n| Instance {
        region,
        id: format!("lhins-{n}"),
        blueprint: format!("lhbp-{}", id(image)),
    });
    world.cloud().instances.borrow_mut().extend(new);
}

/// The desired state of the first `images` images.
fn asked(images: usize, shared: bool) -> Desired {
    desired((0..images).map(|n| (TOKYO, id(n), shared)))
}

/// The same images are desired, but their shares ended an hour ago.
fn expired(world: &World, images: usize) -> Desired {
    let mut desired = asked(images, true);
    for image in desired.images.values_mut() {
        image.share = DesiredShare::Shared {
            from: None,
            until: Some(world.cloud().now() - TimeDelta::hours(1)),
        };
    }
    desired
}

fn asked_for_instances(world: &World) -> usize {
    world.cloud().calls_of("DescribeInstances").len()
}

fn cancelled(world: &World) -> Vec<String> {
    let cancelled = world.cloud().cancelled.borrow();
    cancelled.iter().map(|one| one.image.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn n6_what_instances_use_is_not_cancelled_by_a_date_or_by_pruning() {
    for prunes in [false, true] {
        let world = shared(2);
        start(&world, TOKYO, 0, 0..3);
        world.cloud().add(TOKYO, &id(9), false);
        let wanted = match prunes {
            true => desired([(TOKYO, id(9), false)]),
            false => expired(&world, 2),
        };
        let ended = world.reconcile_under(&wanted, &EXCLUSIVE).await;
        assert_eq!(ended.exit(), WITHHELD, "{:#}", ended.json);
        let message = ended.message(&id(0));
        for part in ["in use by 3 instances", "lhins-0", "lhins-2"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(cancelled(&world), [id(1)], "nothing uses it");
        // Once the instances are gone, the next run cancels the share.
        world.cloud().instances.borrow_mut().clear();
        let ended = world.reconcile_under(&wanted, &EXCLUSIVE).await;
        assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        assert_eq!(cancelled(&world), [id(1), id(0)]);
    }
}

#[tokio::test(start_paused = true)]
async fn n6_a_declared_unshared_goes_with_a_warning_though_it_is_in_use() {
    let world = shared(1);
    start(&world, TOKYO, 0, 0..1);
    let ended = world.reconcile(&asked(1, false)).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    let warnings = ended.scopes[0].plan.warnings();
    let [warning] = warnings.as_slice() else {
        panic!("one warning: {warnings:?}");
    };
    assert!(warning.contains("lhins-0"), "{warning}");
    assert_eq!(cancelled(&world), [id(0)]);
}

#[tokio::test(start_paused = true)]
async fn n6_s25_instances_that_cannot_be_listed_count_as_use() {
    type Break = fn() -> Behaviour;
    let broken: [Break; 3] = [
        || Behaviour {
            refuse: Box::new(|action, _, _| {
                (action == "DescribeInstances").then_some("UnauthorizedOperation.NoPermission")
            }),
            ..Behaviour::default()
        },
        || Behaviour {
            fault: Box::new(|action, _, _| {
                (action == "DescribeInstances").then_some(Fault::Shapeless)
            }),
            ..Behaviour::default()
        },
        || Behaviour {
            reword: Box::new(|action, _, reply| {
                if action == "DescribeInstances" {
                    reply["Response"]["TotalCount"] = 2.into();
                }
            }),
            ..Behaviour::default()
        },
    ];
    for (n, behaviour) in broken.into_iter().enumerate() {
        let world = shared(2);
        world.behave(behaviour());
        let mut wanted = expired(&world, 1);
        wanted
            .images
            .extend(desired([(TOKYO, id(1), false)]).images);
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), WITHHELD, "{n}: {:#}", ended.json);
        let message = ended.message(&id(0));
        assert!(
            message.contains("counts as used: ") && message.contains("DescribeInstances"),
            "{n}: {message}"
        );
        assert_eq!(cancelled(&world), [id(1)], "{n}: a person declared that");
        world.behave(Behaviour::default());
        assert_eq!(world.reconcile(&wanted).await.exit(), 0, "{n}");
        assert_eq!(cancelled(&world), [id(1), id(0)], "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn instances_are_listed_to_their_end_and_in_their_own_region() {
    let world = shared(1);
    world.cloud().add(SEOUL, &id(0), true);
    start(&world, SEOUL, 0, 0..1);
    // 240 instances fill more than two pages of 100, and none of them uses the image in Tokyo.
    start(&world, TOKYO, 7, 0..240);
    let wanted = expired(&world, 1);
    let ended = world.reconcile(&wanted).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    assert_eq!(cancelled(&world), [id(0)], "none of them uses it here");
    let calls = world.cloud().calls_of("DescribeInstances");
    let asked: Vec<_> = calls
        .iter()
        .map(|call| (call.region.as_str(), call.body["Offset"].as_u64()))
        .collect();
    let pages = [0, 100, 200].map(|offset| (TOKYO, Some(offset)));
    assert!(asked.starts_with(&pages), "{asked:?}");
    // Only the last instance of the listing uses the image, so that the run must read the listing to its end.
    world.cloud().external_change(TOKYO, &id(0), true);
    let again = Instance {
        region: TOKYO,
        id: "lhins-last".into(),
        blueprint: format!("lhbp-{}-2", id(0)),
    };
    world.cloud().instances.borrow_mut().push(again);
    let ended = world.reconcile(&wanted).await;
    assert_eq!(ended.exit(), WITHHELD, "{:#}", ended.json);
    assert!(ended.message(&id(0)).contains("lhins-last"));
}

#[tokio::test(start_paused = true)]
async fn instances_are_asked_for_only_where_something_is_to_be_cancelled() {
    let world = shared(3);
    world.cloud().add(TOKYO, &id(3), false);
    world.reconcile(&asked(4, true)).await;
    assert_eq!(asked_for_instances(&world), 0, "a SHARE");
    world.reconcile(&asked(4, true)).await;
    world.reconcile(&asked(3, true)).await;
    assert_eq!(asked_for_instances(&world), 0, "nothing is to be done");
    let mut wanted = expired(&world, 3);
    wanted
        .images
        .values_mut()
        .for_each(|image| image.protect = true);
    world.reconcile(&wanted).await;
    let partial = Policy {
        shares_only: true,
        ..EXCLUSIVE
    };
    world.reconcile_under(&asked(3, true), &partial).await;
    assert_eq!(asked_for_instances(&world), 0, "it is withheld anyway");
    start(&world, TOKYO, 3, 0..1);
    world.reconcile_under(&asked(3, true), &EXCLUSIVE).await;
    assert_eq!(asked_for_instances(&world), 1, "once a pass");
    assert_eq!(cancelled(&world), [""; 0]);
}
