//! Tests names and policies end to end against a small simulated cloud, in one-shot runs with a paused clock.
//! The tests check which decisions wait for which region, the order of the writes, and the number of calls.

use crate::resolution::setup;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::support::cloud::live::scope;
use crate::support::cloud::world::{REGIONAL, TEN_MINUTES, World, id, task};
use crate::support::cloud::{Behaviour, Beside, Call, Fault, desired};
use chrono::TimeDelta;
use sharekeeper::api::{Connection, ReadClient, WriteClient};
use sharekeeper::desired::{Desired, Policy};
use sharekeeper::engine::{Engine, Event, Listener, RegionViews, ScopeOutcome, Stop};
use sharekeeper::host::Clock;
use sharekeeper::model::{AccountName, Cause, Monotonic, Selector};
use sharekeeper::plan::{self, Prune};
use sharekeeper::report::ExitStatus;

const TOKYO: &str = setup::HERE;
const FRANKFURT: &str = setup::THERE;
const SEOUL: &str = "ap-seoul";
/// A policy under which a run observes once and then acts: it does not wait for blueprints to become ready.
const NO_WAIT: plan::Policy = plan::Policy {
    no_wait: true,
    ..plan::Policy::DEFAULT
};
const EXCLUSIVE: plan::Policy = plan::Policy {
    prune: Prune::Exclusive,
    ..NO_WAIT
};

/// Adds an image with a name, which was made so many hours before the start. Its id is `img-`, then the name,
/// then a letter for the region.
fn add(world: &World, region: &str, title: &str, hours: i64, shared: bool) -> String {
    let image = image_id(region, title);
    world.cloud().add(region, &image, shared);
    named(world, &image, title, hours);
    image
}

fn image_id(region: &str, title: &str) -> String {
    let letter = region.chars().nth(3).expect("a region");
    format!("{}{letter}", setup::id_of(title).as_str())
}

fn named(world: &World, image: &str, title: &str, hours: i64) {
    let created = setup::now() - TimeDelta::hours(hours);
    let mut named = world.cloud().named.borrow_mut();
    named.insert(image.to_owned(), (title.to_owned(), created));
}

/// Documents with one policy that applies to all of these regions.
fn with_policy(mut policy: Policy, regions: &[&str]) -> Desired {
    policy.regions = regions.iter().map(|it| setup::region(it)).collect();
    let policy = std::sync::Arc::new(policy);
    let scopes = regions
        .iter()
        .map(|it| (scope(it), vec![std::sync::Arc::clone(&policy)]));
    Desired {
        policies: scopes.collect(),
        ..Desired::default()
    }
}

/// Documents with one name that is to be shared in all of these regions.
fn with_name(title: &str, regions: &[&str]) -> Desired {
    let mut entry = setup::entry(setup::SHARED);
    entry.name = Some(setup::name(title));
    let names: BTreeMap<_, _> = [(setup::name(title), entry)].into();
    Desired {
        names: regions
            .iter()
            .map(|it| (scope(it), names.clone()))
            .collect(),
        ..Desired::default()
    }
}

/// Records the time of each plan of a region.
struct Plans<'w> {
    world: &'w World,
    made: RefCell<Vec<(String, Monotonic)>>,
}

impl Listener for Plans<'_> {
    fn event(&self, event: Event<'_>) {
        if let Event::Planned { plan, .. } = event {
            let made = (
                plan.scope.region.to_string(),
                self.world.cloud().monotonic(),
            );
            self.made.borrow_mut().push(made);
        }
    }
}

/// One run of a process that keeps its views of regions. Returns how many seconds after the start of the run
/// each plan of Tokyo was made.
async fn run(
    world: &World,
    desired: &Desired,
    views: &RegionViews,
    rate: u32,
) -> (Vec<ScopeOutcome>, Vec<u64>) {
    let connection = Connection {
        rate,
        ..world.connection()
    };
    let client = ReadClient::new(Rc::clone(&world.context), connection);
    let accounts = BTreeMap::from([(AccountName::default(), WriteClient::new(client))]);
    let plans = Plans {
        world,
        made: RefCell::default(),
    };
    let (stop, selector) = (Stop::default(), Selector::default());
    let engine = Engine {
        ledger: &world.ledger,
        listener: &plans,
        stop: &stop,
        views,
    };
    let task = task(desired, &selector, &NO_WAIT);
    let started = world.cloud().monotonic();
    let scopes = engine.reconcile(&accounts, &task, TEN_MINUTES).await;
    let made = plans.made.borrow();
    let tokyo = made.iter().filter(|(region, _)| region == TOKYO);
    let tokyo = tokyo.map(|(_, at)| at.since(started).as_secs());
    (scopes, tokyo.collect())
}

/// Each write as text, with the time at which it was sent.
fn writes(world: &World) -> Vec<(String, Monotonic)> {
    let text = |field: &serde_json::Value| field.as_str().expect("text").to_owned();
    let writes = world.cloud().writes().into_iter();
    writes
        .map(|call| {
            let (permission, image) = (text(&call.body["Permission"]), text(&call.body["ImageId"]));
            (format!("{permission} {image}"), call.at)
        })
        .collect()
}

fn written(world: &World) -> Vec<String> {
    writes(world).into_iter().map(|(what, _)| what).collect()
}

/// The time of a write, in seconds since the start.
fn at(world: &World, what: &str) -> u64 {
    let all = writes(world);
    let write = all.iter().find(|(it, _)| it == what);
    let (_, at) = write.unwrap_or_else(|| panic!("{what}: {all:?}"));
    at.since_start().as_secs()
}

/// A world with v1 and v2 in two regions. Tokyo has a late copy of v1, so that v1 looks like the newest
/// version to Tokyo alone.
fn late_copy() -> (World, Desired) {
    let world = World::new(1, REGIONAL);
    add(&world, TOKYO, "v1", 1, false);
    add(&world, TOKYO, "v2", 40, false);
    add(&world, FRANKFURT, "v1", 50, false);
    add(&world, FRANKFURT, "v2", 39, false);
    add(&world, TOKYO, "x1", 9, false);
    let mut documents = with_policy(setup::policy("p", "v*", 1, 1), &[TOKYO, FRANKFURT]);
    let declared = desired([(TOKYO, image_id(TOKYO, "x1"), true)]);
    documents.images = declared.images;
    (world, documents)
}

#[tokio::test(start_paused = true)]
async fn n4_a4_a_late_copy_waits_for_other_regions_declared_images_do_not() {
    let (world, documents) = late_copy();
    // Frankfurt answers late, because its first answers are lost.
    let lost = std::cell::Cell::new(0);
    world.behave(Behaviour {
        fault: Box::new(move |action, region, _| {
            let is_first = action == "DescribeBlueprints" && region == FRANKFURT && lost.get() < 2;
            is_first.then(|| {
                lost.set(lost.get() + 1);
                Fault::LostBefore
            })
        }),
        ..Behaviour::default()
    });
    let ended = world.reconcile_under(&documents, &NO_WAIT).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    let mut all = written(&world);
    all.sort();
    assert_eq!(all, ["SHARE img-v2f", "SHARE img-v2t", "SHARE img-x1t"]);
    let (declared, by_policy) = (at(&world, "SHARE img-x1t"), at(&world, "SHARE img-v2t"));
    assert!(declared <= 2, "{declared} s");
    assert!(
        by_policy >= 8,
        "Frankfurt was not seen before: {by_policy} s"
    );
}

#[tokio::test(start_paused = true)]
async fn l2_b12_a_region_that_hangs_delays_no_declared_image() {
    let (world, documents) = late_copy();
    let views = RegionViews::default();
    world.cloud().behaviour.borrow_mut().hung = vec![FRANKFURT.into()];
    let (_, plans) = run(&world, &documents, &views, 19).await;
    assert!(at(&world, "SHARE img-x1t") <= 2, "{:?}", writes(&world));
    let waited = at(&world, "SHARE img-v1t");
    assert!(waited <= 65, "{waited} s: {plans:?}");
    let last = plans.last().expect("plans");
    assert!(*last <= waited + 5, "once: {plans:?}");
    // The next pass knows that Frankfurt did not answer, and does not wait for it again.
    add(&world, TOKYO, "v3", 0, false);
    let began = world.cloud().monotonic().since_start().as_secs();
    run(&world, &documents, &views, 19).await;
    let took = at(&world, "SHARE img-v3t") - began;
    assert!(took <= 5, "{took} s");
}

#[tokio::test(start_paused = true)]
async fn n4_own_images_that_cannot_be_listed_cancel_nothing_in_another_region() {
    let world = World::new(1, REGIONAL);
    // Tokyo alone would cancel v2, because its v1 is a late copy and looks newer.
    for (region, title, hours) in [
        (TOKYO, "v1", 1),
        (TOKYO, "v2", 40),
        (FRANKFURT, "v1", 50),
        (FRANKFURT, "v2", 39),
    ] {
        add(&world, region, title, hours, true);
    }
    let documents = with_policy(setup::policy("p", "v*", 1, 1), &[TOKYO, FRANKFURT]);
    world.behave(Behaviour {
        refuse: Box::new(|action, region, _| {
            let is_refused = action == "DescribeImagesToShare" && region == FRANKFURT;
            is_refused.then_some("UnauthorizedOperation.NoPermission")
        }),
        ..Behaviour::default()
    });
    for _ in 0..2 {
        let ended = world.reconcile_under(&documents, &EXCLUSIVE).await;
        assert_ne!(ended.exit(), 0, "{:#}", ended.json);
        assert_eq!(written(&world), [""; 0]);
    }
    world.behave(Behaviour::default());
    let ended = world.reconcile_under(&documents, &EXCLUSIVE).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    let mut all = written(&world);
    all.sort();
    assert_eq!(all, ["CANCEL img-v1f", "CANCEL img-v1t"]);
}

/// The causes of all writes, in the order of the writes.
fn causes(world: &World) -> Vec<Cause> {
    let intents = world.ledger.intents();
    intents.into_iter().map(|intent| intent.cause).collect()
}

fn is(world: &World, image: &str, state: &'static str) {
    let mut states = world.cloud().states.borrow_mut();
    states.insert(image.to_owned(), state);
}

#[tokio::test(start_paused = true)]
async fn n3_what_is_superseded_goes_once_its_successor_is_normal() {
    let world = World::new(1, REGIONAL);
    let old = add(&world, TOKYO, "v1", 50, true);
    let new = add(&world, TOKYO, "v2", 40, false);
    is(&world, &new, "SYNCING");
    let documents = with_policy(setup::policy("p", "v*", 1, 1), &[TOKYO]);
    for _ in 0..3 {
        world.reconcile_under(&documents, &NO_WAIT).await;
        assert_eq!(written(&world), [format!("SHARE {new}")]);
        world.pass(Duration::from_secs(300)).await;
    }
    is(&world, &new, "NORMAL");
    let ended = world.reconcile_under(&documents, &NO_WAIT).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    let all = [format!("SHARE {new}"), format!("CANCEL {old}")];
    assert_eq!(written(&world), all);
    assert_eq!(causes(&world), [Cause::Policy, Cause::Retention]);
    world.reconcile_under(&documents, &NO_WAIT).await;
    assert_eq!(written(&world), all, "at rest");
}

#[tokio::test(start_paused = true)]
async fn n3_what_is_revoked_goes_once_enough_others_are_normal() {
    let world = World::new(1, REGIONAL);
    let good = add(&world, TOKYO, "v1", 50, false);
    let bad = add(&world, TOKYO, "v2", 40, true);
    is(&world, &good, "SYNCING");
    let mut revokes = setup::policy("p", "v*", 1, 1);
    revokes.revocations = vec![setup::revoke("v2")];
    let documents = with_policy(revokes, &[TOKYO]);
    for _ in 0..3 {
        let ended = world.reconcile_under(&documents, &NO_WAIT).await;
        assert_ne!(ended.exit(), 0, "a revoke is withheld: {:#}", ended.json);
        assert_eq!(written(&world), [format!("SHARE {good}")]);
        world.pass(Duration::from_secs(300)).await;
    }
    is(&world, &good, "NORMAL");
    let ended = world.reconcile_under(&documents, &NO_WAIT).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    let all = [format!("SHARE {good}"), format!("CANCEL {bad}")];
    assert_eq!(written(&world), all);
    assert_eq!(causes(&world), [Cause::Policy, Cause::Revoked]);
}

/// The queue takes longer than an observation stays valid.
#[tokio::test(start_paused = true)]
async fn n3_b3_a_cancel_that_rests_on_others_is_planned_anew_once_that_is_old() {
    for is_revoked in [false, true] {
        let world = World::new(1, REGIONAL);
        let (goes, stays) = match is_revoked {
            true => ("v2", "v1"),
            false => ("v1", "v2"),
        };
        let gone = add(&world, TOKYO, "v1", 50, true).replace("v1", goes);
        let other = add(&world, TOKYO, "v2", 40, true).replace("v2", stays);
        let mut policy = setup::policy("p", "v*", 1, 1);
        if is_revoked {
            policy.revocations = vec![setup::revoke("v2")];
        }
        let mut documents = with_policy(policy, &[TOKYO]);
        let queue = 110;
        for n in 0..queue {
            world.cloud().add(TOKYO, &id(n), false);
        }
        documents.images = desired((0..queue).map(|n| (TOKYO, id(n), true))).images;
        let views = RegionViews::default();
        let somebody = async {
            world.pass(Duration::from_secs(60)).await;
            assert_eq!(world.cloud().cancelled.borrow().len(), 0, "it is in line");
            world.cloud().external_change(TOKYO, &other, false);
        };
        tokio::join!(run(&world, &documents, &views, 1), somebody);
        let (share, cancel) = (format!("SHARE {other}"), format!("CANCEL {gone}"));
        let shared = at(&world, &share);
        let cancelled = at(&world, &cancel);
        assert!(shared < cancelled, "{shared}, {cancelled}");
        assert!(cancelled > 90, "{cancelled}");
    }
}

#[tokio::test(start_paused = true)]
async fn n1_the_old_image_of_a_name_is_pruned_after_the_new_is_normal() {
    for prunes in [true, false] {
        let policy = if prunes { EXCLUSIVE } else { NO_WAIT };
        let world = World::new(1, REGIONAL);
        let old = add(&world, TOKYO, "golden", 50, true);
        let documents = with_name("golden", &[TOKYO]);
        let ended = world.reconcile_under(&documents, &policy).await;
        assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        named(&world, &old, "golden-before", 50);
        world.cloud().add(TOKYO, "img-new", false);
        named(&world, "img-new", "golden", 1);
        is(&world, "img-new", "SYNCING");
        for _ in 0..3 {
            world.reconcile_under(&documents, &policy).await;
            assert_eq!(written(&world), ["SHARE img-new"]);
            world.pass(Duration::from_secs(300)).await;
        }
        is(&world, "img-new", "NORMAL");
        for _ in 0..2 {
            let ended = world.reconcile_under(&documents, &policy).await;
            assert_eq!(ended.exit(), 0, "{:#}", ended.json);
        }
        let share = "SHARE img-new".to_owned();
        match prunes {
            true => assert_eq!(written(&world), [share, format!("CANCEL {old}")]),
            false => assert_eq!(written(&world), [share], "nobody asked for it"),
        }
    }
}

/// The calls of the last so many runs, each as action, region and offset.
fn reads(calls: &[Call]) -> Vec<(String, String, u64)> {
    let mut reads: Vec<_> = calls
        .iter()
        .map(|call| {
            let offset = call.body["Offset"].as_u64().unwrap_or(0);
            (call.action.clone(), call.region.clone(), offset)
        })
        .collect();
    reads.sort();
    reads
}

#[tokio::test(start_paused = true)]
async fn l4_a_pass_reads_each_list_of_each_region_once() {
    let world = World::new(1, REGIONAL);
    // Each region with the number of its own images, and how many of these are shared.
    let regions = [(TOKYO, 250, 120), (FRANKFURT, 99, 99), (SEOUL, 101, 1)];
    let mut expected = Vec::new();
    for (region, own, shared) in regions {
        let letter = region.chars().nth(3).expect("a region");
        for n in 0..own {
            let image = format!("{}{letter}", id(n));
            world.cloud().add(region, &image, n < shared);
            named(&world, &image, &format!("golden-{n}"), 9);
        }
        for (action, rows) in [
            ("DescribeBlueprints", shared),
            ("DescribeImagesToShare", own),
        ] {
            let pages = (0..rows).step_by(100);
            expected.extend(pages.map(|from| (action.to_owned(), region.to_owned(), from as u64)));
        }
    }
    expected.sort();
    let in_all = regions.map(|(region, ..)| region);
    let by_policy = with_policy(setup::policy("p", "golden-0", 1, 1), &in_all);
    for documents in [with_name("golden-0", &in_all), by_policy] {
        for _ in 0..2 {
            world.cloud().calls.borrow_mut().clear();
            let ended = world.reconcile(&documents).await;
            assert_eq!(ended.exit(), 0, "{:#}", ended.json);
            let calls = world.cloud().calls.borrow();
            assert_eq!(reads(&calls), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l4_a_region_that_refuses_its_list_is_asked_once_for_all_scopes() {
    let (world, documents) = late_copy();
    world.behave(Behaviour {
        refuse: Box::new(|action, region, _| {
            let is_refused = action == "DescribeBlueprints" && region == FRANKFURT;
            is_refused.then_some("UnauthorizedOperation.NoPermission")
        }),
        ..Behaviour::default()
    });
    run(&world, &documents, &RegionViews::default(), 19).await;
    let calls = world.cloud().calls_of("DescribeBlueprints");
    let refused = calls.iter().filter(|call| call.region == FRANKFURT);
    assert_eq!(refused.count(), 1, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn n6_instances_are_listed_only_where_a_policy_takes_something_back() {
    let world = World::new(1, REGIONAL);
    let new = add(&world, TOKYO, "v2", 40, false);
    let documents = with_policy(setup::policy("p", "v*", 1, 1), &[TOKYO]);
    world.reconcile(&documents).await;
    assert_eq!(written(&world), [format!("SHARE {new}")]);
    assert_eq!(world.cloud().calls_of("DescribeInstances").len(), 0);
    add(&world, TOKYO, "v1", 50, true);
    world.reconcile(&documents).await;
    assert_eq!(written(&world).len(), 2);
    assert_eq!(world.cloud().calls_of("DescribeInstances").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s24_a_wanted_image_with_two_blueprints_is_left_for_a_person() {
    let world = World::new(1, REGIONAL);
    let old = add(&world, TOKYO, "v1", 50, true);
    let new = add(&world, TOKYO, "v2", 40, true);
    world.cloud().beside.borrow_mut().push(Beside {
        region: TOKYO,
        id: "lhbp-second",
        image: "img-v2t",
        state: "NORMAL",
    });
    let documents = with_policy(setup::policy("p", "v*", 1, 1), &[TOKYO]);
    let ended = world.reconcile_under(&documents, &EXCLUSIVE).await;
    assert_eq!(
        ended.exit(),
        ExitStatus::Incomplete as u64,
        "{:#}",
        ended.json
    );
    assert!(
        ended.message(&new).contains("blueprints"),
        "{:#}",
        ended.json
    );
    assert_eq!(written(&world), [""; 0], "{old} fills the place");
    world.cloud().beside.borrow_mut().clear();
    let ended = world.reconcile_under(&documents, &EXCLUSIVE).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    assert_eq!(written(&world), [format!("CANCEL {old}")]);
}

#[tokio::test(start_paused = true)]
async fn l4_clocks_that_disagree_keep_no_run_busy_with_what_is_taken_back() {
    for is_revoked in [true, false] {
        let world = World::new(1, REGIONAL);
        let old = add(&world, TOKYO, "v1", 50, true);
        let new = add(&world, TOKYO, "v2", 40, true);
        let mut policy = setup::policy("p", "v*", 1, 1);
        let documents = with_policy(policy.clone(), &[TOKYO]);
        policy.keep.newest = 2;
        // Both images are shared first, while all clocks agree.
        world
            .reconcile_under(&with_policy(policy.clone(), &[TOKYO]), &NO_WAIT)
            .await;
        world.behave(Behaviour {
            clock_offset: TimeDelta::seconds(120),
            ..Behaviour::default()
        });
        policy.revocations = vec![setup::revoke("v2")];
        let revoking = with_policy(policy, &[TOKYO]);
        let asked = if is_revoked { &revoking } else { &documents };
        let ended = world.reconcile_under(asked, &NO_WAIT).await;
        assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
        if is_revoked {
            assert_eq!(ended.exit(), 0, "no time matters: {:#}", ended.json);
            assert_eq!(written(&world), [format!("CANCEL {new}")]);
        } else {
            let withheld = ExitStatus::Withheld as u64;
            assert_eq!(ended.exit(), withheld, "{:#}", ended.json);
            assert!(ended.message(&old).contains("clock"), "{:#}", ended.json);
            assert_eq!(written(&world), [""; 0]);
        }
    }
}
