//! This machine's clock, and the clocks of access points that differ from it. A change that depends on the date is made
//! only where both clocks agree; durations are measured with this machine's clock alone.

use crate::support::cloud as support;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::support::cloud::live::{observing, reconciling, scope};
use crate::support::cloud::world::{Ended, GLOBAL, REGIONAL, TEN_MINUTES, World, task};
use crate::support::cloud::{Behaviour, Silent, desired};
use chrono::TimeDelta;
use sharekeeper::api::protocol::sign::Credentials;
use sharekeeper::api::{Connection, CredentialProvider, ReadClient, WriteClient};
use sharekeeper::desired::{Account, CredentialSource, Desired, DesiredShare, Source};
use sharekeeper::engine::{Engine, RegionViews, ScopeOutcome, Stop, Task};
use sharekeeper::host::Clock;
use sharekeeper::inventory::Suspension;
use sharekeeper::model::{AccountName, Cause, ImageId, ImageKey, Secret, Selector, Timestamp};
use sharekeeper::plan::{Policy, SavedPlan, Verdict};
use sharekeeper::report::{CallCounts, Ending, ReconcileDocument};
use sharekeeper::status::Reason;
use sharekeeper::windows::{Kind, Length, Schedule, Span, Starts, Window, Windows, Zone};

const TOKYO: &str = "ap-tokyo";
const BANGKOK: &str = "ap-bangkok";

fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

/// The clock of the whole cloud is ahead of ours by `offset`.
fn ahead(offset: TimeDelta) -> Behaviour {
    Behaviour {
        clock_offset: offset,
        ..Behaviour::default()
    }
}

/// Only the clock of one host, or the clock for the calls with one key, is ahead of ours.
fn ahead_at(name: &'static str, offset: TimeDelta) -> Behaviour {
    Behaviour {
        other_clock: Box::new(move |host, key| {
            (host.starts_with(name) || key == name).then_some(offset)
        }),
        ..Behaviour::default()
    }
}

/// One image in Tokyo that the manifests share from one instant until another.
fn between(from: Option<Timestamp>, until: Option<Timestamp>) -> Desired {
    let mut wanted = desired([(TOKYO, "img-a".to_owned(), true)]);
    for image in wanted.images.values_mut() {
        image.share = DesiredShare::Shared { from, until };
    }
    wanted
}

/// A world with that image, and the time of its clock.
fn world(shared: bool) -> (World, Timestamp) {
    let world = World::new(1, REGIONAL);
    world.cloud().add(TOKYO, "img-a", shared);
    let now = world.cloud().now();
    (world, now)
}

fn writes(world: &World) -> usize {
    world.cloud().writes().len()
}

/// Asserts that the message of a withheld change names the times of both clocks and the remedy.
fn names_both(message: &str, here: Timestamp, offset: TimeDelta) {
    let minute = |at: Timestamp| at.format("%Y-%m-%dT%H:%M").to_string();
    for part in [
        &minute(here),
        &minute(here + offset),
        "set the clock",
        "doctor",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn b2_what_one_clock_alone_calls_expired_is_withheld() {
    // The share has ended by only one of the two clocks. The cloud's clock is ahead or behind, by a lot or by a little.
    for (offset, until, shared) in [
        (hours(20), hours(6), true),
        (hours(20), hours(6), false),
        (-hours(20), -hours(6), true),
        (-hours(20), -hours(6), false),
        (seconds(200), seconds(100), true),
        (-seconds(200), -seconds(100), true),
        (seconds(31), seconds(15), true),
    ] {
        let (world, now) = world(shared);
        world.behave(ahead(offset));
        let ended = world.reconcile(&between(None, Some(now + until))).await;
        assert_eq!(ended.exit(), 3, "{offset}: {:#}", ended.json);
        assert_eq!(ended.outcomes(), [("img-a", "withheld")]);
        assert_eq!(writes(&world), 0, "{offset}");
        names_both(ended.message("img-a"), now, offset);
    }
}

#[tokio::test(start_paused = true)]
async fn b2_what_one_clock_alone_calls_begun_is_withheld() {
    for (offset, from) in [(hours(20), hours(6)), (-hours(20), -hours(6))] {
        for shared in [false, true] {
            let (world, now) = world(shared);
            world.behave(ahead(offset));
            let ended = world.reconcile(&between(Some(now + from), None)).await;
            assert_eq!((ended.exit(), writes(&world)), (3, 0), "{offset}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn b2_what_both_clocks_say_is_done_and_what_needs_no_clock_too() {
    let (shared, unshared) = (true, false);
    for offset in [hours(20), -hours(20)] {
        for (from, until, is) in [
            (None, None, shared),
            (Some(-hours(30)), None, shared),
            (None, Some(hours(30)), shared),
            (None, Some(-hours(30)), unshared),
            // By one clock the share has not begun, and by the other it has ended, so that both say unshared.
            (Some(-hours(2)), Some(-hours(1)), unshared),
        ] {
            let (world, now) = world(!is);
            world.behave(ahead(offset));
            let at = |delta: Option<TimeDelta>| delta.map(|delta| now + delta);
            let ended = world.reconcile(&between(at(from), at(until))).await;
            assert_eq!(
                ended.exit(),
                0,
                "{offset} {from:?} {until:?}: {:#}",
                ended.json
            );
            assert_eq!(world.cloud().is_shared(TOKYO, "img-a"), is);
            assert_eq!(writes(&world), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn b2_before_a_share_begins_by_both_clocks_nothing_is_done() {
    for offset in [hours(20), -hours(20)] {
        for is_shared in [true, false] {
            let (world, now) = world(is_shared);
            world.behave(ahead(offset));
            let ended = world.reconcile(&between(Some(now + hours(30)), None)).await;
            assert_eq!(ended.exit(), 0, "{offset}: {:#}", ended.json);
            assert_eq!(world.cloud().is_shared(TOKYO, "img-a"), is_shared);
            assert_eq!(writes(&world), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn b10_half_a_minute_is_agreement() {
    for (offset, until, exit) in [
        (seconds(29), seconds(15), 0),
        (-seconds(29), seconds(15), 0),
        (seconds(31), seconds(15), 3),
    ] {
        let (world, now) = world(true);
        world.behave(ahead(offset));
        let ended = world.reconcile(&between(None, Some(now + until))).await;
        assert_eq!(ended.exit(), exit, "{offset}");
        assert!(world.cloud().is_shared(TOKYO, "img-a"), "{offset}");
    }
}

fn name(account: &str) -> AccountName {
    AccountName::new(account).expect("a name")
}

/// Accounts a and b. Each has a key of its own and five images in Tokyo, all of which are shared.
fn two_accounts(world: &World, until: Timestamp) -> Desired {
    let mut wanted = Desired::default();
    for account in ["a", "b"] {
        for n in 0..5 {
            let image = format!("img-{account}{n}");
            world.cloud().add(TOKYO, &image, true);
            let one = between(None, Some(until)).images;
            let (mut key, image_wanted) = one.into_iter().next().expect("one");
            key.scope.account = name(account);
            key.image = ImageId::new(&image).expect("an id");
            wanted.images.insert(key, image_wanted);
        }
    }
    wanted
}

fn client(world: &World, account: &str) -> ReadClient<support::Cloud> {
    let id = format!("AKID{account}");
    let key = Credentials::new(id, Secret::new("key".into()), None);
    let connection = Connection {
        account: name(account),
        provider: CredentialProvider::fixed(key),
        ..world.connection()
    };
    ReadClient::new(Rc::clone(&world.context), connection)
}

async fn reconcile_both(world: &World, wanted: &Desired) -> (Vec<ScopeOutcome>, u8) {
    let (selector, policy) = (Selector::default(), Policy::default());
    let task = task(wanted, &selector, &policy);
    let clients =
        ["a", "b"].map(|account| (name(account), WriteClient::new(client(world, account))));
    let engine = Engine {
        ledger: &world.ledger,
        listener: &Silent,
        stop: &Stop::default(),
        views: &RegionViews::default(),
    };
    let scopes = engine
        .reconcile(&BTreeMap::from(clients), &task, TEN_MINUTES)
        .await;
    let ending = Ending {
        lost: None,
        stopped: None,
        calls: CallCounts::default(),
        elapsed: Duration::ZERO,
    };
    let exit = ReconcileDocument::new(&scopes, ending, &[])
        .exit_status()
        .code();
    (scopes, exit)
}

#[tokio::test(start_paused = true)]
async fn b2_one_accounts_clock_never_touches_anothers_behind_one_host() {
    for offset in [hours(20), -hours(20), hours(2)] {
        let world = World::new(2, GLOBAL);
        let now = world.cloud().now();
        let until = if offset > hours(0) {
            hours(1)
        } else {
            -hours(1)
        };
        let wanted = two_accounts(&world, now + until);
        world.behave(Behaviour {
            uins: BTreeMap::from([("AKIDb", "100000000002")]),
            ..ahead_at("AKIDb", offset)
        });
        let (scopes, exit) = reconcile_both(&world, &wanted).await;
        assert_eq!(exit, 3, "what is b's is withheld");
        let held = |account: &str| {
            let scope = scopes
                .iter()
                .find(|s| s.plan.scope.account == name(account));
            let decisions = scope.expect("a scope").plan.decisions.values();
            decisions
                .filter(|d| matches!(d.verdict, Verdict::Withheld(_)))
                .count()
        };
        assert_eq!((held("a"), held("b")), (0, 5), "{offset}");
        let cancelled = world.cloud().cancelled.borrow();
        let of_b = cancelled.iter().filter(|c| c.image.starts_with("img-b"));
        assert_eq!(of_b.count(), 0);
        // Only a's clock and this machine's clock decide about a's images.
        assert_eq!(cancelled.len(), if offset > hours(0) { 0 } else { 5 });
        let refused = world.cloud().calls.borrow();
        let refused = refused
            .iter()
            .filter(|call| call.answer.ends_with("Expire"));
        assert!(
            refused.count() <= 2,
            "b's offset is learned once at each access point, a's never"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn b2_one_regions_clock_never_touches_anothers() {
    let world = World::new(3, REGIONAL);
    let now = world.cloud().now();
    let mut wanted = desired([TOKYO, BANGKOK].map(|region| (region, "img-a".to_owned(), true)));
    for region in [TOKYO, BANGKOK] {
        world.cloud().add(region, "img-a", true);
    }
    for image in wanted.images.values_mut() {
        let until = Some(now + hours(6));
        image.share = DesiredShare::Shared { from: None, until };
    }
    world.behave(ahead_at("lighthouse.ap-bangkok", hours(20)));
    let ended = world.reconcile(&wanted).await;
    assert_eq!(ended.exit(), 3);
    let mut outcomes = ended.outcomes();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [("img-a", "in_sync"), ("img-a", "withheld")]);
    // The daemon observes both regions repeatedly, and comes to the same result.
    reconciling(&world, async |live| {
        live.load(wanted).await;
        live.pass(3 * 3600).await;
        assert!(live.in_sync(TOKYO) && !live.in_sync(BANGKOK));
        assert_eq!(live.image(BANGKOK, "img-a").reason, Reason::GuardTripped);
        assert_eq!(writes(&world), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b2_l2_a_clock_that_cannot_be_signed_by_stops_its_region_alone() {
    let world = World::new(3, REGIONAL);
    for region in [TOKYO, BANGKOK] {
        world.cloud().add(region, "img-a", false);
    }
    let wanted = desired([TOKYO, BANGKOK].map(|region| (region, "img-a".to_owned(), true)));
    world.behave(ahead_at("lighthouse.ap-bangkok", hours(30)));
    let ended = world.reconcile(&wanted).await;
    assert!(world.cloud().is_shared(TOKYO, "img-a"), "{:#}", ended.json);
    assert!(!world.cloud().is_shared(BANGKOK, "img-a"));
    assert_ne!(ended.exit(), 0);
    let message = ended.message("img-a");
    assert!(message.contains("SignatureExpire"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn b2_the_clock_of_sts_decides_nothing() {
    let world = World {
        uin: Some("100000000001"),
        ..World::new(4, REGIONAL)
    };
    world.cloud().add(TOKYO, "img-a", true);
    let until = world.cloud().now() + hours(6);
    world.behave(ahead_at("sts", hours(20)));
    let ended = world.reconcile(&between(None, Some(until))).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    let news = world.context.clocks.take_reports(world.cloud().now());
    assert!(news.len() == 1 && news[0].text.contains("sts."), "{news:?}");
    // Now the clock of STS agrees with ours, and all other clocks are ahead.
    world.behave(Behaviour {
        other_clock: Box::new(|host, _| host.starts_with("sts").then(TimeDelta::zero)),
        ..ahead(hours(20))
    });
    assert_eq!(world.reconcile(&between(None, Some(until))).await.exit(), 3);
}

fn suspension(since: Timestamp, until: Option<Timestamp>) -> Suspension {
    Suspension {
        id: 7,
        reason: "a launch".into(),
        until,
        since,
        by: "me@here".into(),
        selector: Selector::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn b2_a_suspension_ends_only_when_both_clocks_say_so() {
    for (offset, until, exit) in [
        (hours(20), hours(6), 3),
        (-hours(20), -hours(6), 3),
        (hours(20), -hours(1), 0),
        (-hours(20), -hours(21), 0),
        (hours(20), hours(21), 3),
    ] {
        for hides in [false, true] {
            let (world, now) = world(false);
            world.behave(ahead(offset));
            let held = suspension(now, Some(now + until));
            world.ledger.suspensions.borrow_mut().push(held);
            // Even if the run does not see the suspension, the ledger itself refuses the write.
            world.ledger.hides_suspensions.set(hides);
            let (stop, wanted) = (Stop::default(), between(None, None));
            let run = world.reconcile_until(&wanted, &stop);
            let ends = async {
                world.pass(Duration::from_secs(60)).await;
                stop.trip(sharekeeper::engine::StopReason::TimedOut);
            };
            let (ended, ()) = futures_util::join!(run, ends);
            assert_eq!(writes(&world), usize::from(exit == 0), "{offset} {until}");
            if hides {
                continue;
            }
            assert_eq!(ended.exit(), exit, "{offset} {until}: {:#}", ended.json);
            if until.abs() < hours(20) && exit == 3 {
                names_both(ended.message("img-a"), now, offset);
                assert!(ended.message("img-a").contains("resume 7"));
            }
        }
    }
}

/// One image in Tokyo, whose account allows changes only in a window that starts at `cron` and lasts for `length`.
fn only_in(cron: &str, length: Duration) -> Desired {
    let mut wanted = desired([(TOKYO, "img-a".to_owned(), true)]);
    let (starts, length) = (Starts::new(cron), Length::new(length));
    let schedule = Schedule::new(starts.expect("cron"), length.expect("a length"));
    let account = Account {
        uin: None,
        endpoint: None,
        rate: None,
        credentials: CredentialSource::Ambient,
        windows: Windows::new(vec![Window {
            kind: Kind::Allow,
            causes: Cause::ALL.into(),
            span: Span::Scheduled(schedule),
            zone: Zone::new("UTC").expect("a zone"),
            reason: None,
        }]),
        source: Source {
            file: "test.yaml".into(),
            line: 1,
        },
    };
    wanted.accounts.insert(AccountName::default(), account);
    wanted
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn b2_a_window_is_open_only_by_both_clocks() {
    // It is 14:13 by this machine's clock. Twenty hours later it is 10:13, and twenty hours earlier it is 18:13.
    for (offset, cron, says) in [
        (hours(20), "0 14 * * *", Some("the clocks disagree")),
        (hours(20), "0 10 * * *", Some("the clocks disagree")),
        (-hours(20), "0 14 * * *", Some("the clocks disagree")),
        (-hours(20), "0 18 * * *", Some("the clocks disagree")),
        (hours(20), "0 2 * * *", Some("no window that allows")),
        (hours(20), "0 10,14 * * *", None),
        (-hours(20), "0 14,18 * * *", None),
    ] {
        let (world, now) = world(false);
        world.behave(ahead(offset));
        let ended = world.reconcile(&only_in(cron, HOUR)).await;
        assert_eq!(
            writes(&world),
            usize::from(says.is_none()),
            "{offset} {cron}"
        );
        assert_eq!(ended.exit(), if says.is_some() { 3 } else { 0 });
        let Some(says) = says else { continue };
        let message = ended.message("img-a");
        assert!(message.starts_with(says), "{offset} {cron}: {message}");
        if says.contains("disagree") {
            names_both(message, now, offset);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn b2_a_window_that_closes_by_the_other_clock_holds_the_next_call() {
    // It is 14:59:20 by the API's clock, and the window closes at 15:00.
    let world = World::new(5, REGIONAL);
    let images = || (0..2000).map(|n| (TOKYO, format!("img-{n:04}"), true));
    for (region, image, _) in images() {
        world.cloud().add(region, &image, false);
    }
    let mut wanted = desired(images());
    wanted.accounts = only_in("0 14 * * *", HOUR).accounts;
    world.behave(ahead(seconds(46 * 60)));
    let ended = world.reconcile(&wanted).await;
    assert_eq!(ended.exit(), 3);
    let closes = Duration::from_secs(40);
    let late = world.cloud().writes().into_iter();
    let late = late.filter(|call| call.at.since_start() > closes + Duration::from_secs(1));
    assert!(writes(&world) > 100, "it was under way");
    assert_eq!(late.count(), 0, "of {}", writes(&world));
}

#[tokio::test(start_paused = true)]
async fn b2_the_daemon_wakes_when_both_agree_and_then_acts() {
    for (offset, until, acts_after) in [
        (hours(20), hours(6), hours(6)),
        (-hours(20), hours(1), hours(21)),
        (seconds(200), seconds(1000), seconds(1000)),
    ] {
        let (world, now) = world(true);
        world.behave(ahead(offset));
        reconciling(&world, async |live| {
            live.load(between(None, Some(now + until))).await;
            let until_then = acts_after - seconds(2);
            live.pass(until_then.num_seconds().unsigned_abs()).await;
            assert!(world.cloud().is_shared(TOKYO, "img-a"), "{offset}");
            live.pass(6).await;
            assert!(!world.cloud().is_shared(TOKYO, "img-a"), "{offset}");
            assert!(live.in_sync(TOKYO), "{offset}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn b2_a_clock_that_is_set_ends_what_was_withheld_and_nothing_was_done() {
    let (world, now) = world(true);
    world.behave(ahead(hours(20)));
    reconciling(&world, async |live| {
        live.load(between(None, Some(now + hours(6)))).await;
        live.pass(1800).await;
        assert_eq!(live.image(TOKYO, "img-a").reason, Reason::GuardTripped);
        world.behave(Behaviour::default());
        live.pass(600).await;
        assert!(live.in_sync(TOKYO));
        assert_eq!(writes(&world), 0);
        let transitions = live.transitions();
        assert_eq!(
            transitions.len(),
            2,
            "once that it is held, once that it is not: {transitions:?}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b2_a_daemon_whose_clock_is_set_meanwhile_expires_nothing_early() {
    for jump in [hours(10), -hours(10), seconds(400)] {
        let (world, now) = world(true);
        reconciling(&world, async |live| {
            live.load(between(None, Some(now + hours(6)))).await;
            live.pass(100).await;
            world.cloud().jumped.set(jump);
            world.behave(ahead(-jump));
            live.pass(5 * 3600).await;
            assert!(world.cloud().is_shared(TOKYO, "img-a"), "{jump}");
            // A person sets the clock right again.
            world.cloud().jumped.set(hours(0));
            world.behave(Behaviour::default());
            live.pass(3300).await;
            assert!(world.cloud().is_shared(TOKYO, "img-a"), "{jump}");
            live.pass(700).await;
            assert!(
                !world.cloud().is_shared(TOKYO, "img-a"),
                "{jump}: it is over"
            );
            assert_eq!(writes(&world), 1);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn b2_a_daemon_that_only_observes_withholds_likewise() {
    let (world, now) = world(true);
    world.behave(ahead(hours(20)));
    observing(&world, async |live| {
        live.load(between(None, Some(now + hours(6)))).await;
        live.pass(60).await;
        let image = live.image(TOKYO, "img-a");
        assert_eq!(image.reason, Reason::GuardTripped);
        assert!(!image.is_changed_outside());
        names_both(&image.details.expect("details").message, now, hours(20));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn b2_a_saved_plan_cancels_nothing_that_the_clocks_disagree_about() {
    let (world, now) = world(true);
    let wanted = between(None, Some(now + hours(6)));
    let (selector, policy) = (Selector::default(), Policy::default());
    let task = task(&wanted, &selector, &policy);
    // The plan is made while the clocks agree that the share has ended, then while they disagree, then while they agree
    // that it has not ended.
    for (then, actions) in [(Some(hours(7)), 1), (None, 0), (Some(hours(0)), 0)] {
        match then {
            Some(jump) => {
                world.cloud().jumped.set(jump);
                world.behave(Behaviour::default());
            }
            None => world.behave(ahead(hours(20))),
        }
        let made = world.preview(&task).await;
        let uins = BTreeMap::new();
        let made = made.iter().map(|scope| &scope.plan);
        let saved = SavedPlan::new(made, &selector, &policy, uins, None, now);
        assert_eq!(saved.actions.len(), actions, "{then:?}");
        world.cloud().jumped.set(hours(0));
        world.behave(ahead(hours(20)));
        let moved = world.preview(&task).await;
        assert_eq!(saved.differences(moved.iter().map(|scope| &scope.plan)), []);
        let approved_by_scope = saved.approved_by_scope();
        let licensed = Task {
            approved_by_scope: Some(&approved_by_scope),
            ..task
        };
        let ended = world.run(&licensed, &Stop::default()).await;
        assert_eq!((ended.exit(), writes(&world)), (3, 0), "{then:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn b2_s7_what_one_clock_wants_shared_can_be_lost() {
    let world = World::new(7, REGIONAL);
    let images = ["img-a", "img-b"];
    let mut wanted = desired(images.map(|image| (TOKYO, image.to_owned(), true)));
    for image in images {
        world.cloud().add(TOKYO, image, false);
    }
    for _ in 0..2 {
        assert_eq!(world.reconcile(&wanted).await.exit(), 0);
    }
    for image in images {
        world.cloud().external_change(TOKYO, image, false);
    }
    for (offset, until) in [(-hours(20), -hours(6)), (hours(20), hours(6))] {
        let until = Some(world.cloud().now() + until);
        for image in wanted.images.values_mut() {
            image.share = DesiredShare::Shared { from: None, until };
        }
        world.behave(ahead(offset));
        for minutes in [0, 11] {
            world.pass(Duration::from_secs(60 * minutes)).await;
            let ended = world.reconcile(&wanted).await;
            let loss = ended.scopes[0].plan.loss;
            assert_eq!(loss.map(|loss| loss.lost), Some(2), "{offset}");
            assert!(
                is_ours(&world),
                "{offset}: nothing follows from such a view"
            );
        }
    }
}

fn key() -> ImageKey {
    ImageKey {
        scope: scope(TOKYO),
        image: ImageId::new("img-a").expect("an id"),
    }
}

fn is_ours(world: &World) -> bool {
    let record = world.ledger.record(&key());
    record.is_some_and(|record| record.owned.is_some())
}

/// Kills a run while its SHARE is in flight. What the API shows lags by ten seconds.
async fn killed(world: &World) {
    world.pass(Duration::from_secs(60)).await;
    let lags = Behaviour {
        lag: Duration::from_secs(10),
        ..Behaviour::default()
    };
    world.behave(lags);
    let wanted = between(None, None);
    let run = world.reconcile(&wanted);
    let killed = world.pass(Duration::from_millis(220));
    futures_util::future::select(std::pin::pin!(run), std::pin::pin!(killed)).await;
    world.pass(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn c11_a_young_intent_is_awaited_whatever_the_clocks_show() {
    for minutes in [0, 15, -15, 600, -600] {
        for is_set in [false, true] {
            let (world, _) = world(false);
            killed(&world).await;
            let offset = TimeDelta::minutes(minutes);
            // Either this machine's clock is set to another time, or the API's clock is wrong.
            if is_set {
                world.cloud().jumped.set(offset);
            }
            world.behave(Behaviour {
                lag: Duration::from_secs(10),
                clock_offset: -offset,
                ..Behaviour::default()
            });
            let ended: Ended = world.reconcile(&between(None, None)).await;
            assert_eq!(ended.exit(), 0, "{minutes} {is_set}: {:#}", ended.json);
            assert!(
                is_ours(&world),
                "{minutes} {is_set}: no longer known as ours"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn c11_s11_a_clock_that_is_set_forgets_nothing_early() {
    for minutes in [0, 15, -15, 1200, -1200] {
        let (world, _) = world(false);
        assert_eq!(world.reconcile(&between(None, None)).await.exit(), 0);
        assert_eq!(world.reconcile(&between(None, None)).await.exit(), 0);
        assert!(is_ours(&world));
        // Another party takes the share back, and no manifest asks for it any longer.
        world.cloud().external_change(TOKYO, "img-a", false);
        world.cloud().add(TOKYO, "img-b", true);
        let other = desired([(TOKYO, "img-b".to_owned(), true)]);
        world.reconcile(&other).await;
        world.cloud().jumped.set(TimeDelta::minutes(minutes));
        for _ in 0..9 {
            world.pass(Duration::from_secs(60)).await;
            world.reconcile(&other).await;
            assert!(
                is_ours(&world),
                "{minutes} min: forgotten before ten minutes"
            );
        }
        world.cloud().jumped.set(hours(0));
        world.pass(3 * HOUR).await;
        world.reconcile(&other).await;
        assert!(!is_ours(&world), "{minutes} min: forgotten in the end");
    }
}

#[tokio::test(start_paused = true)]
async fn c11_s11_the_apis_clock_measures_nothing() {
    for offset in [hours(20), -hours(20)] {
        let (world, _) = world(false);
        assert_eq!(world.reconcile(&between(None, None)).await.exit(), 0);
        world.reconcile(&between(None, None)).await;
        world.cloud().external_change(TOKYO, "img-a", false);
        world.cloud().add(TOKYO, "img-b", true);
        let other = desired([(TOKYO, "img-b".to_owned(), true)]);
        world.reconcile(&other).await;
        world.behave(ahead(offset));
        world.pass(Duration::from_secs(590)).await;
        world.reconcile(&other).await;
        assert!(is_ours(&world), "{offset}: ten minutes are not over");
        world.pass(Duration::from_secs(20)).await;
        world.reconcile(&other).await;
        assert!(!is_ours(&world), "{offset}: they are");
    }
}

#[tokio::test(start_paused = true)]
async fn c11_s20_a_step_never_lets_reversals_be_forgotten() {
    for minutes in [0, 61, -61] {
        let (world, _) = world(false);
        reconciling(&world, async |live| {
            live.load(between(None, None)).await;
            live.until(|live| live.in_sync(TOKYO)).await;
            for round in 0..3 {
                live.pass(330).await;
                if round == 2 {
                    world.cloud().jumped.set(TimeDelta::minutes(minutes));
                    world.behave(ahead(-TimeDelta::minutes(minutes)));
                }
                world.cloud().external_change(TOKYO, "img-a", false);
                live.pass(330).await;
            }
            let reason = live.image(TOKYO, "img-a").reason;
            assert_eq!(reason, Reason::Parked, "{minutes} min");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn b10_each_access_point_is_warned_of_once() {
    let world = World::new(6, REGIONAL);
    for region in [TOKYO, BANGKOK] {
        world.cloud().add(region, "img-a", true);
    }
    let wanted = desired([TOKYO, BANGKOK].map(|region| (region, "img-a".to_owned(), true)));
    world.behave(ahead_at("lighthouse.ap-bangkok", seconds(-45)));
    let ended = world.reconcile(&wanted).await;
    assert_eq!(ended.exit(), 0, "nothing depends on the time");
    let now = world.cloud().now();
    let news = world.context.clocks.take_reports(now);
    let [one] = &*news else { panic!("{news:?}") };
    assert!(one.text.contains("lighthouse.ap-bangkok"), "{}", one.text);
    assert!(
        one.text.contains("45.") || one.text.contains("44."),
        "{}",
        one.text
    );
    names_both(&one.text, now, seconds(-45));
    world.reconcile(&wanted).await;
    assert_eq!(world.context.clocks.take_reports(now), []);
}
