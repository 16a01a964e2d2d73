//! Writes that are denied for single images, for a region or for a whole account. A denied image delays no other image,
//! and a scope or an account that is denied as a whole costs few calls. The clock is paused.

use crate::support::cloud as support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::cloud::live::{INTERVAL, Live, reconciling, scope};
use crate::support::cloud::world::{
    Ended, GLOBAL, REGIONAL, TEN_MINUTES, World, id, regions, task, to_share,
};
use crate::support::cloud::{Behaviour, Call, Silent, desired};
use serde_json::Value;
use sharekeeper::api::{Connection, ReadClient, WriteClient};
use sharekeeper::desired::Desired;
use sharekeeper::engine::{Engine, RegionViews, ScopeOutcome, Stop, StopReason};
use sharekeeper::history::WriteResult;
use sharekeeper::host::Clock;
use sharekeeper::model::{AccountName, Selector};
use sharekeeper::plan::{Policy, Prune, Verdict};
use sharekeeper::source::Update;
use sharekeeper::status::{Reason, TransitionKind};

const TOKYO: &str = "ap-tokyo";
const SEOUL: &str = "ap-seoul";
const MODIFY: &str = "ModifyImageSharePermission";
const DENIED: &str = "UnauthorizedOperation.NoPermission";

/// Denies each write whose region and image satisfy `is_denied`.
fn deny(world: &World, is_denied: impl Fn(&str, &str) -> bool + 'static) {
    world.behave(Behaviour {
        refuse: Box::new(move |action, region, body| {
            let image = body["ImageId"].as_str().unwrap_or_default();
            (action == MODIFY && is_denied(region, image)).then_some(DENIED)
        }),
        ..Behaviour::default()
    });
}

fn deny_all(world: &World) {
    deny(world, |_, _| true);
}

/// `count` images in Tokyo that are not shared. Writes for the images with the numbers in `denied` are denied.
fn some_denied(seed: u64, count: usize, denied: &BTreeSet<usize>) -> (World, Desired) {
    let world = World::new(seed, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], count);
    let denied: BTreeSet<_> = denied.iter().map(|n| id(*n)).collect();
    deny(&world, move |_, image| denied.contains(image));
    (world, wanted)
}

fn image_of(call: &Call) -> &str {
    call.body["ImageId"].as_str().expect("an id")
}

fn count(ended: &Ended, outcome: &str) -> u64 {
    ended.json["summary"][outcome].as_u64().expect("a number")
}

/// Sets of `denied` numbers below `count`: the lowest, the highest, evenly spread ones, and six random sets.
fn places(count: usize, denied: usize) -> Vec<BTreeSet<usize>> {
    let mut all = vec![
        (0..denied).collect(),
        (count - denied..count).collect(),
        (0..denied).map(|n| n * count / denied).collect(),
        // These are the numbers of the images that a run tries first.
        (0..denied)
            .map(|n| (2 * n + 1) * count / (2 * denied))
            .collect(),
    ];
    for seed in 0..6 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut every: Vec<_> = (0..count).collect();
        rng.shuffle(&mut every);
        all.push(every.into_iter().take(denied).collect());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn c2_r20_a_few_images_that_are_denied_hold_no_other_up() {
    for denied in [1, 2, 3, 4] {
        for places in places(50, denied) {
            let (world, wanted) = some_denied(20, 50, &places);
            let ended = world.reconcile(&wanted).await;
            assert_eq!(ended.exit(), 4);
            let counts = ["shared", "blocked", "failed", "not_tried"].map(|o| count(&ended, o));
            assert_eq!(
                counts,
                [50 - denied as u64, denied as u64, 0, 0],
                "{places:?}"
            );
            assert_eq!(world.cloud().writes().len(), 50, "each was tried once");
        }
    }
}

/// Runs until each image was tried. Asserts what must hold in each run, and a limit for the number of runs.
async fn runs_until_all_is_tried(world: &World, wanted: &Desired, count: usize, denied: usize) {
    let mut tried: BTreeSet<String> = BTreeSet::new();
    let most = denied.div_ceil(5) + 1;
    for run in 1.. {
        let before = world.cloud().writes().len();
        let ended = world.reconcile(wanted).await;
        let writes = world.cloud().writes()[before..].to_vec();
        let refused = writes.iter().filter(|call| call.answer == DENIED).count();
        let permitted = writes.iter().any(|call| call.answer == "ok");
        assert!(permitted || refused <= 5, "run {run}: {refused} denied");
        let images: BTreeSet<_> = writes
            .iter()
            .map(|call| image_of(call).to_owned())
            .collect();
        assert_eq!(
            images.len(),
            writes.len(),
            "run {run}: none was tried twice"
        );
        tried.extend(images);
        for image in ended.json["images"].as_array().expect("a list") {
            let (outcome, request) = (&image["outcome"], &image["request_id"]);
            let name = image["image_id"].as_str().expect("an id");
            let was_tried = writes.iter().any(|call| image_of(call) == name);
            match outcome.as_str().expect("a word") {
                "blocked" => assert!(was_tried, "run {run}: {image:#}"),
                "not_tried" => assert!(!was_tried && request.is_null(), "run {run}: {image:#}"),
                _ => {}
            }
        }
        if permitted {
            assert_eq!(
                self::count(&ended, "not_tried"),
                0,
                "run {run}: one success ends the doubt"
            );
        }
        if tried.len() == count {
            assert!(run <= most, "{run} runs for {denied} denied images");
            return;
        }
        assert!(run < most, "{} of {count} after {run} runs", tried.len());
    }
}

#[tokio::test(start_paused = true)]
async fn c2_l2_each_image_is_tried_within_one_run_for_five_denied_and_one() {
    for denied in [5, 6, 7, 12, 20, 45, 49] {
        for places in places(50, denied) {
            let (world, wanted) = some_denied(21, 50, &places);
            runs_until_all_is_tried(&world, &wanted, 50, denied).await;
            for n in (0..50).filter(|n| !places.contains(n)) {
                assert!(world.cloud().is_shared(TOKYO, &id(n)), "{n} of {places:?}");
            }
        }
    }
    // Every image is denied. There are fewer images than the five that one run tries, exactly five, or more.
    for count in 1..8 {
        let all: BTreeSet<_> = (0..count).collect();
        let (world, wanted) = some_denied(22, count, &all);
        runs_until_all_is_tried(&world, &wanted, count, count).await;
    }
}

#[tokio::test(start_paused = true)]
async fn c2_denied_images_take_turns_until_they_are_answered() {
    let world = World::new(23, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 12);
    deny_all(&world);
    let mut rounds = Vec::new();
    for _ in 0..6 {
        let before = world.cloud().writes().len();
        let ended = world.reconcile(&wanted).await;
        assert_eq!((ended.exit(), count(&ended, "blocked")), (4, 5));
        let writes = world.cloud().writes()[before..].to_vec();
        rounds.push(
            writes
                .iter()
                .map(|call| image_of(call).to_owned())
                .collect::<BTreeSet<_>>(),
        );
    }
    let (first, again) = rounds.split_at(3);
    let all = |rounds: &[BTreeSet<String>]| {
        rounds
            .iter()
            .flatten()
            .cloned()
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert_eq!((all(first), all(again)), (12, 12), "{rounds:?}");
    world.behave(Behaviour::default());
    let ended = world.reconcile(&wanted).await;
    assert_eq!((ended.exit(), count(&ended, "shared")), (0, 12));
    let scopes = world.ledger.scopes.borrow();
    let mut records = scopes
        .values()
        .flat_map(|inventory| inventory.images.values());
    assert!(records.all(|record| record.denied_since.is_none()));
}

#[tokio::test(start_paused = true)]
async fn c2_a_permitted_call_ends_a_denial_where_reading_is_denied() {
    for answer in [
        "",
        "UnsupportedOperation.ImageAlreadyShared",
        "OperationDenied.NeverHeardOf",
    ] {
        let world = World::new(38, REGIONAL);
        let wanted = world.add_to_share(&[TOKYO], 2);
        let refuse = |code: &'static str| Behaviour {
            refuse: Box::new(move |action, _, _| match action {
                MODIFY => Some(code).filter(|code| !code.is_empty()),
                _ => Some(DENIED),
            }),
            ..Behaviour::default()
        };
        let denied = || {
            let scopes = world.ledger.scopes.borrow();
            let records = scopes
                .values()
                .flat_map(|inventory| inventory.images.values());
            records
                .filter(|record| record.denied_since.is_some())
                .count()
        };
        world.behave(refuse(DENIED));
        world.reconcile(&wanted).await;
        assert_eq!(denied(), 2);
        world.behave(refuse(answer));
        world.reconcile(&wanted).await;
        assert_eq!(denied(), 0, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn c2_l4_five_are_denied_in_a_pass_however_often_it_observes() {
    let world = World::new(39, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 8);
    let calls = std::cell::Cell::new(0);
    world.behave(Behaviour {
        refuse: Box::new(move |action, _, _| {
            if action != MODIFY {
                return None;
            }
            calls.set(calls.get() + 1);
            // The results of five writes are unclear, so that the run observes the images and tries them again.
            let is_unclear = (4..=8).contains(&calls.get());
            Some(if is_unclear { "InternalError" } else { DENIED })
        }),
        ..Behaviour::default()
    });
    let ended = world.reconcile(&wanted).await;
    let refused = world
        .cloud()
        .writes()
        .iter()
        .filter(|call| call.answer == DENIED)
        .count();
    assert_eq!(refused, 5);
    // The run also tried the other three images.
    let counts = ["blocked", "failed", "not_tried"].map(|outcome| count(&ended, outcome));
    assert_eq!(counts, [5, 3, 0]);
}

#[tokio::test(start_paused = true)]
async fn c2_s21_what_is_as_desired_is_not_known_as_denied_any_longer() {
    let (world, wanted) = some_denied(37, 3, &(0..3).collect());
    world.reconcile(&wanted).await;
    let known = || {
        let scopes = world.ledger.scopes.borrow();
        scopes
            .values()
            .map(|inventory| inventory.images.len())
            .sum::<usize>()
    };
    assert_eq!(known(), 3);
    // A person shares two images, and the manifests no longer ask for the third.
    world.cloud().external_change(TOKYO, &id(0), true);
    world.cloud().external_change(TOKYO, &id(1), true);
    world.reconcile(&to_share(&[TOKYO], 2)).await;
    assert_eq!(known(), 0);
}

#[tokio::test(start_paused = true)]
async fn c2_l4_a_scope_that_denies_all_costs_five_calls_and_no_intent_more() {
    for endpoint in [REGIONAL, GLOBAL] {
        let world = World::new(24, endpoint);
        let wanted = world.add_to_share(&[TOKYO], 200);
        deny_all(&world);
        // A reply takes so long that all calls could be in flight before the first reply arrives.
        world.cloud().behaviour.borrow_mut().latency = Duration::from_secs(6);
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), 4);
        assert_eq!(
            (count(&ended, "blocked"), count(&ended, "not_tried")),
            (5, 195)
        );
        assert_eq!(world.cloud().writes().len(), 5);
        assert_eq!(world.ledger.intents().len(), 5, "none was recorded in vain");
        let outcomes = world.ledger.outcomes();
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.result == WriteResult::Rejected)
        );
        // The store marks only the five images whose own writes were denied.
        let scopes = world.ledger.scopes.borrow();
        let records = scopes.values().flat_map(|inventory| &inventory.images);
        let denied = records.filter(|(_, record)| record.denied_since.is_some());
        assert_eq!(denied.count(), 5);
        let not_tried = ended.json["images"].as_array().expect("a list").iter();
        let mut not_tried = not_tried.filter(|image| image["outcome"] == "not_tried");
        assert!(not_tried.all(|image| {
            image["request_id"].is_null()
                && image["error_code"] == DENIED
                && image["message"]
                    .as_str()
                    .is_some_and(|why| why.contains("5 different images"))
        }));
    }
}

#[tokio::test(start_paused = true)]
async fn c2_a_request_fault_costs_five_tries_and_blocks_no_other_image() {
    let world = World::new(25, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 20);
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| (action == MODIFY).then_some("InvalidParameter")),
        ..Behaviour::default()
    });
    let ended = world.reconcile(&wanted).await;
    assert_eq!(
        (count(&ended, "blocked"), count(&ended, "not_tried")),
        (5, 15)
    );
    assert_eq!(world.cloud().writes().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn c2_a_broken_account_costs_one_call_and_blocks_only_its_image() {
    let of_account = [
        "ResourceNotFound.RoleNotFound",
        "UnsupportedOperation.AssumeRoleFailed",
        "AuthFailure.SecretIdNotFound",
        "AuthFailure.SignatureFailure",
        "AuthFailure.MFAFailure",
        "UnauthorizedOperation.TokenInvalid",
        "IpInBlacklist",
    ];
    // Each region has an access point of its own, and each access point has a clock of its own.
    let of_region = [
        "UnsupportedRegion",
        "UnsupportedRegion.New",
        "AuthFailure.InvalidRegion",
        "AuthFailure.SignatureExpire",
    ];
    let cases = of_account
        .map(|code| (code, 1))
        .into_iter()
        .chain(of_region.map(|code| (code, 2)));
    for (code, calls) in cases {
        let world = World::new(26, REGIONAL);
        let wanted = world.add_to_share(&[TOKYO, SEOUL], 30);
        world.behave(Behaviour {
            refuse: Box::new(move |action, _, _| (action == MODIFY).then_some(code)),
            ..Behaviour::default()
        });
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), 4, "{code}");
        let writes = world.cloud().writes();
        assert_eq!(writes.len() as u64, calls, "{code}");
        assert_eq!(
            (
                count(&ended, "blocked"),
                count(&ended, "not_tried"),
                count(&ended, "failed")
            ),
            (calls, 60 - calls, 0),
            "{code}"
        );
        for image in ended.json["images"].as_array().expect("a list") {
            let own = writes.iter().any(|call| {
                image_of(call) == image["image_id"]
                    && call.region == image["region"].as_str().unwrap_or_default()
            });
            assert_eq!(image["outcome"] == "blocked", own, "{code}: {image:#}");
            assert_eq!(image["request_id"].is_null(), !own, "{code}: {image:#}");
            assert_eq!(image["error_code"], code);
        }
        let scopes = world.ledger.scopes.borrow();
        let mut records = scopes
            .values()
            .flat_map(|inventory| inventory.images.values());
        assert!(
            records.all(|record| record.denied_since.is_none()),
            "{code}: no image is denied"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn c2_l4_an_account_that_denies_all_costs_at_most_sixty_calls() {
    for endpoint in [REGIONAL, GLOBAL] {
        for latency in [1, 80, 3000] {
            let world = World::new(27, endpoint);
            let wanted = world.add_to_share(&regions(15), 20);
            deny_all(&world);
            world.cloud().behaviour.borrow_mut().latency = Duration::from_millis(latency);
            let ended = world.reconcile(&wanted).await;
            let writes = world.cloud().writes();
            assert!(writes.len() <= 60, "{} at {latency} ms", writes.len());
            let regions: BTreeSet<_> = writes.iter().map(|call| &call.region).collect();
            assert_eq!(regions.len(), 15, "each finds out for itself");
            assert_eq!(world.ledger.intents().len(), writes.len());
            let blocked = writes.len() as u64;
            assert_eq!(
                (count(&ended, "blocked"), count(&ended, "not_tried")),
                (blocked, 300 - blocked)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c2_l2_regions_that_deny_all_delay_no_other_region() {
    let world = World::new(28, REGIONAL);
    let denied = regions(15);
    let wanted = world.add_to_share(&denied, 20);
    let (last, _) = denied.split_last().expect("some");
    let good = *last;
    // Two lost replies make the permitted region the last one that is observed.
    let is_slow = move |action: &str, region: &str, _: &mut fastrand::Rng| {
        (action == "DescribeBlueprints" && region == good).then_some(support::Fault::LostBefore)
    };
    deny(&world, move |region, _| region != good);
    world.cloud().behaviour.borrow_mut().fault = {
        let left = std::cell::Cell::new(2);
        Box::new(move |action, region, rng| {
            let fault = is_slow(action, region, rng).filter(|_| left.get() > 0);
            left.set(left.get() - i32::from(fault.is_some()));
            fault
        })
    };
    let ended = world.reconcile(&wanted).await;
    assert_eq!(count(&ended, "shared"), 20, "{}", ended.json["summary"]);
    let refused = world
        .cloud()
        .writes()
        .iter()
        .filter(|call| call.answer == DENIED)
        .count();
    assert!(refused <= 60, "{refused}");
}

/// Runs with two account names, which have one key in common or one key each. Each name has regions of its own.
async fn two_names(world: &World, keys: [&str; 2], wanted: &Desired) -> Vec<ScopeOutcome> {
    let clients = ["a", "b"].iter().zip(keys).map(|(account, key)| {
        let credentials = sharekeeper::api::protocol::sign::Credentials::new(
            key.into(),
            sharekeeper::model::Secret::new("key".into()),
            None,
        );
        let account = AccountName::new(account).expect("a name");
        let connection = Connection {
            account: account.clone(),
            provider: sharekeeper::api::CredentialProvider::fixed(credentials),
            ..world.connection()
        };
        let client = ReadClient::new(std::rc::Rc::clone(&world.context), connection);
        (account, WriteClient::new(client))
    });
    let clients: BTreeMap<_, _> = clients.collect();
    let (selector, policy, stop) = (Selector::default(), Policy::default(), Stop::default());
    let engine = Engine {
        ledger: &world.ledger,
        listener: &Silent,
        stop: &stop,
        views: &RegionViews::default(),
    };
    let task = task(wanted, &selector, &policy);
    engine.reconcile(&clients, &task, TEN_MINUTES).await
}

#[tokio::test(start_paused = true)]
async fn c2_l4_two_names_of_one_key_share_the_bound_and_two_keys_do_not() {
    for (keys, most) in [(["one", "one"], 60), (["one", "two"], 70)] {
        let world = World::new(29, REGIONAL);
        let mut wanted = world.add_to_share(&regions(14), 20);
        deny_all(&world);
        let halves = regions(7);
        wanted.images = std::mem::take(&mut wanted.images)
            .into_iter()
            .map(|(mut key, image)| {
                let is_first = halves.contains(&key.scope.region.as_str());
                key.scope.account =
                    AccountName::new(if is_first { "a" } else { "b" }).expect("a name");
                (key, image)
            })
            .collect();
        let outcomes = two_names(&world, keys, &wanted).await;
        assert_eq!(outcomes.len(), 14);
        assert!(
            outcomes
                .iter()
                .all(|scope| scope.plan.write_pause().is_some())
        );
        let writes = world.cloud().writes().len();
        assert!(writes <= most, "{keys:?}: {writes}");
        let calls_of_one = writes.min(most);
        assert!(calls_of_one > 14, "{keys:?}: {writes}");
    }
}

#[tokio::test(start_paused = true)]
async fn c2_denied_shares_hold_no_cancel_up_whatever_asks_for_it() {
    for prune in [Prune::None, Prune::Exclusive] {
        let world = World::new(30, REGIONAL);
        let mut wanted = Vec::new();
        for n in 0..40 {
            world.cloud().add(TOKYO, &id(n), false);
            wanted.push((TOKYO, id(n), true));
        }
        for n in 40..45 {
            world.cloud().add(TOKYO, &id(n), true);
            if prune == Prune::None {
                wanted.push((TOKYO, id(n), false));
            }
        }
        // Every share is denied, and every cancel is permitted. CAM has one permission for both actions, but a condition
        // on the image can separate them.
        let up: BTreeSet<_> = (0..40).map(id).collect();
        deny(&world, move |_, image| up.contains(image));
        let policy = Policy {
            prune,
            max_cancels_percent: 100,
            ..Policy::default()
        };
        let mut runs = 0;
        while (40..45).any(|n| world.cloud().is_shared(TOKYO, &id(n))) {
            world
                .reconcile_under(&desired(wanted.clone()), &policy)
                .await;
            runs += 1;
            assert!(runs <= 9, "{prune:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c2_denied_cancels_block_themselves_alone() {
    let world = World::new(31, REGIONAL);
    for n in 0..30 {
        world.cloud().add(TOKYO, &id(n), true);
    }
    deny(&world, |_, image| {
        ["img-00000000", "img-00000001"].contains(&image) || image < id(3).as_str()
    });
    let wanted = desired((0..30).map(|n| (TOKYO, id(n), false)));
    let ended = world.reconcile(&wanted).await;
    assert_eq!(
        (count(&ended, "cancelled"), count(&ended, "blocked")),
        (27, 3)
    );
    assert_eq!(count(&ended, "not_tried"), 0);
}

#[tokio::test(start_paused = true)]
async fn c2_what_a_run_did_not_reach_is_not_tried_and_not_failed() {
    let world = World::new(32, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 200);
    let stop = Stop::default();
    let (ended, ()) = tokio::join!(world.reconcile_until(&wanted, &stop), async {
        world.pass(Duration::from_secs(5)).await;
        stop.trip(StopReason::TimedOut);
    });
    assert_eq!((ended.exit(), count(&ended, "failed")), (4, 0));
    let (shared, not_tried) = (count(&ended, "shared"), count(&ended, "not_tried"));
    assert!(shared > 50 && not_tried > 50, "{shared}, {not_tried}");
    assert_eq!(shared + not_tried, 200);
    // One scope is never observed, and another scope beside it is.
    let world = World::new(33, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO, SEOUL], 5);
    world.behave(Behaviour {
        refuse: Box::new(|action, region, _| {
            (action == "DescribeBlueprints" && region == SEOUL).then_some("InternalError")
        }),
        ..Behaviour::default()
    });
    let ended = world.reconcile(&wanted).await;
    let counts = ["shared", "failed", "not_tried"].map(|outcome| count(&ended, outcome));
    assert_eq!((ended.exit(), counts), (4, [5, 0, 5]));
    let unobserved = ended.json["images"].as_array().expect("a list").iter();
    let mut unobserved = unobserved.filter(|image| image["region"] == SEOUL);
    assert!(unobserved.all(|image| {
        image["error_code"] == "InternalError"
            && image["message"]
                .as_str()
                .is_some_and(|why| why.starts_with("not observed"))
    }));
}

#[tokio::test(start_paused = true)]
async fn c2_the_line_is_as_fast_as_without_a_doubt() {
    for latency in [1, 80, 1000] {
        let world = World::new(34, REGIONAL);
        let wanted = world.add_to_share(&[TOKYO], 500);
        world.cloud().behaviour.borrow_mut().latency = Duration::from_millis(latency);
        let ended = world.reconcile(&wanted).await;
        assert_eq!(ended.exit(), 0);
        let writes = world.cloud().writes();
        let line = writes[499].at.since(writes[0].at).as_secs_f64();
        // The first write is answered before others leave: until then nothing is known about the account or the delay of
        // the link.
        let most = 499.0 / 19.0 + 0.1 + 2.0 * latency as f64 / 1000.0;
        assert!(line < most, "{line} s at {latency} ms");
    }
}

/// The number of images in Tokyo that are shared.
fn shared(world: &World, count: usize) -> usize {
    (0..count)
        .filter(|n| world.cloud().is_shared(TOKYO, &id(*n)))
        .count()
}

fn writes_since(live: &Live<'_>, since: usize) -> Vec<Call> {
    live.world.cloud().writes()[since..].to_vec()
}

#[tokio::test(start_paused = true)]
async fn c2_r20_the_daemon_shares_all_but_the_denied_in_its_first_pass() {
    for denied in [1, 3, 4] {
        let (world, wanted) = some_denied(40, 50, &(0..denied).collect());
        reconciling(&world, async |live| {
            live.load(wanted.clone()).await;
            live.pass(20).await;
            assert_eq!(shared(&world, 50), 50 - denied);
            assert_eq!(live.image(TOKYO, &id(0)).reason, Reason::NoPermission);
            let next = live
                .image(TOKYO, &id(0))
                .details
                .and_then(|details| details.next_try);
            assert!(
                next.is_some_and(|next| next > world.cloud().now() + INTERVAL / 3),
                "{next:?}"
            );
            let transitions = live.transitions();
            assert_eq!(
                transitions.len(),
                1,
                "one permission is missing: {transitions:?}"
            );
            let first = world.cloud().writes().len();
            live.pass(24 * 3600).await;
            let later = writes_since(live, first);
            assert!(later.iter().all(|call| call.answer == DENIED));
            let (fewest, most) = (40 * denied, 110 * denied);
            assert!(
                (fewest..=most).contains(&later.len()),
                "{} in a day",
                later.len()
            );
            assert!(live.transitions().is_empty(), "once");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn c2_l2_the_daemon_gets_to_the_one_good_image_among_many_denied_ones() {
    for places in places(50, 49) {
        let good = (0..50).find(|n| !places.contains(n)).expect("one");
        let (world, wanted) = some_denied(41, 50, &places);
        reconciling(&world, async |live| {
            live.load(wanted.clone()).await;
            let took = live
                .until(|_| world.cloud().is_shared(TOKYO, &id(good)))
                .await;
            // The daemon makes ten passes, with pauses of at most five minutes between them.
            assert!(took <= 10 * 330, "{took} s");
            live.pass(600).await;
            assert_eq!(live.image(TOKYO, &id(good)).reason, Reason::Shared);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn c2_l4_the_daemon_tries_five_a_pass_where_all_is_denied() {
    let world = World::new(42, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO], 50);
    deny_all(&world);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.pass(10).await;
        assert_eq!(world.cloud().writes().len(), 5);
        let writes = world.cloud().writes();
        let tried: BTreeSet<_> = writes
            .iter()
            .map(|call| image_of(call).to_owned())
            .collect();
        for n in 0..50 {
            let image = live.image(TOKYO, &id(n));
            let details = image.details.expect("why");
            let was_tried = tried.contains(&id(n));
            let reason = if was_tried {
                Reason::NoPermission
            } else {
                Reason::NotTried
            };
            assert_eq!(
                (image.reason, details.request_id.is_some()),
                (reason, was_tried),
                "{n}"
            );
            assert_eq!(
                details.next_try.is_some(),
                was_tried,
                "what was not tried is not charged"
            );
        }
        assert!(
            live.publisher
                .board(|board| board.scopes()[&scope(TOKYO)].is_stalled())
        );
        let mut each: BTreeMap<Duration, usize> = BTreeMap::new();
        live.pass(24 * 3600).await;
        for call in world.cloud().writes() {
            *each
                .entry(Duration::from_secs(call.at.since_start().as_secs() / 10))
                .or_default() += 1;
        }
        let most = each.values().max();
        assert!(most <= Some(&5), "in ten seconds: {most:?}");
        let later = world.cloud().writes().len();
        assert!(later <= 5 * 320, "{later} in a day");
        let tried: BTreeSet<_> = world
            .cloud()
            .writes()
            .iter()
            .map(|call| image_of(call).to_owned())
            .collect();
        assert_eq!(tried.len(), 50);
        let transitions = live.transitions();
        assert_eq!(
            transitions,
            [(TransitionKind::Stalled, format!("default/{TOKYO}"))],
            "once in a day"
        );
        world.behave(Behaviour::default());
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(took <= 6 * 330, "{took} s");
        live.pass(600).await;
        let transitions = live.transitions();
        assert_eq!(
            transitions,
            [(TransitionKind::Recovered, format!("default/{TOKYO}"))]
        );
        assert!(
            !live
                .publisher
                .board(|board| board.scopes()[&scope(TOKYO)].is_stalled())
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c2_who_has_mended_the_policy_does_not_wait() {
    let world = World::new(43, REGIONAL);
    let wanted = world.add_to_share(&[TOKYO, SEOUL], 50);
    deny_all(&world);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.pass(6 * 3600).await;
        world.behave(Behaviour::default());
        live.update(Update::Asked).await;
        let took = live
            .until(|live| live.in_sync(TOKYO) && live.in_sync(SEOUL))
            .await;
        assert!(took <= 10, "{took} s");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c2_l4_the_daemon_pauses_an_account_that_denies_all_once() {
    let world = World::new(44, REGIONAL);
    let wanted = world.add_to_share(&regions(15), 20);
    deny_all(&world);
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.pass(12).await;
        let first = world.cloud().writes().len();
        assert!(first <= 60, "{first}");
        live.pass(3600).await;
        let later = world.cloud().writes().len() - first;
        // The daemon tries one image in each pass. With five images in each pass, there would be 900 writes or more.
        assert!(later <= 15 * 20, "{later} in an hour");
        let transitions = live.transitions();
        assert!(
            transitions
                .iter()
                .all(|(kind, _)| *kind == TransitionKind::Stalled),
            "{transitions:?}"
        );
        let of_account = transitions
            .iter()
            .filter(|(_, subject)| subject == "account default");
        assert_eq!(of_account.count(), 1, "{transitions:?}");
        assert!(
            transitions.len() <= 4,
            "and the scopes that came to rest before: {transitions:?}"
        );
        world.behave(Behaviour::default());
        let took = live
            .until(|live| regions(15).iter().all(|region| live.in_sync(region)))
            .await;
        assert!(took <= 330 * 6, "{took} s");
        live.pass(3600).await;
        let transitions = live.transitions();
        assert!(
            transitions
                .iter()
                .all(|(kind, _)| *kind == TransitionKind::Recovered),
            "{transitions:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c2_a_missing_role_is_reported_once_and_blocks_one_image() {
    let world = World::new(45, REGIONAL);
    let wanted = world.add_to_share(&regions(3), 20);
    world.behave(Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == MODIFY).then_some("ResourceNotFound.RoleNotFound")
        }),
        ..Behaviour::default()
    });
    reconciling(&world, async |live| {
        live.load(wanted.clone()).await;
        live.pass(3600).await;
        assert_eq!(
            live.transitions(),
            [(TransitionKind::Blocked, "account default".to_owned())]
        );
        let reasons = live.publisher.board(|board| {
            let images = board
                .scopes()
                .values()
                .flat_map(|scope| scope.images.values());
            images.map(|image| image.reason).collect::<Vec<_>>()
        });
        let missing = reasons
            .iter()
            .filter(|reason| **reason == Reason::RoleMissing)
            .count();
        let not_tried = reasons
            .iter()
            .filter(|reason| **reason == Reason::NotTried)
            .count();
        assert_eq!((missing, not_tried), (1, 59));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c2_a_preview_knows_nothing_of_a_rest() {
    let (world, wanted) = some_denied(46, 50, &(0..50).collect());
    let ended = world.reconcile(&wanted).await;
    assert!(ended.scopes[0].plan.write_pause().is_some());
    let mut not_tried = ended.scopes[0].plan.decisions.values();
    assert!(not_tried.any(|decision| matches!(decision.verdict, Verdict::NotTried(_))));
    assert_eq!(ended.json["synced"], Value::Bool(false));
}
