//! Tests slow and large accounts on a paused clock: accounts that hang, listings of many pages, and which
//! other work they delay.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::cloud::live::{Live, reconciling, run, run_connected, scope, settings};
use crate::support::cloud::world::{GLOBAL, REGIONAL, World, id, regions, task};
use crate::support::cloud::{Behaviour, Call, desired};
use serde_json::{Value, json};
use sharekeeper::api::protocol::sign::Credentials;
use sharekeeper::api::{Connection, CredentialProvider, WriteClient};
use sharekeeper::daemon::{Connect, Reconciler, Settings};
use sharekeeper::desired::{Account, Desired, DesiredShare};
use sharekeeper::engine::{Engine, Event, Listener, RegionViews, ScopeOutcome, Stop};
use sharekeeper::host::{Clock, SystemClock};
use sharekeeper::model::{AccountName, Endpoint, Secret, Selector};
use sharekeeper::observation::Reading;
use sharekeeper::plan::{Policy, Verdict};
use sharekeeper::status::Board;
use sharekeeper::web::{Query, page, write_board_document};

const TOKYO: &str = "ap-tokyo";

/// Connects each account with its own key and its own endpoints.
struct Apart<'w>(&'w World);

impl Connect for Apart<'_> {
    fn connect(&self, name: &AccountName, _: Option<&Account>) -> Result<Connection, String> {
        let endpoint = format!("https://{name}.{{region}}.tencentcloudapi.com");
        let secret = Secret::new("key".into());
        Ok(Connection {
            account: name.clone(),
            endpoint: Endpoint::new(&endpoint).expect("an endpoint"),
            provider: CredentialProvider::fixed(Credentials::new(
                format!("AKID{name}"),
                secret,
                None,
            )),
            ..self.0.connection()
        })
    }
}

/// Adds an unshared image to the cloud, and declares it as shared in the manifests.
fn want(world: &World, all: &mut Desired, account: &str, region: &'static str, image: &str) {
    world.cloud().add(region, image, false);
    for (mut key, image) in desired([(region, image.to_owned(), true)]).images {
        key.scope.account = AccountName::new(account).expect("a name");
        all.images.insert(key, image);
    }
}

/// Adds accounts `acc00`, `acc01`, …, whose hosts do not answer. The manifests name an image of each account
/// in so many regions.
fn hung(world: &World, all: &mut Desired, accounts: usize, in_regions: usize) {
    let names: Vec<_> = (0..accounts).map(|n| format!("acc{n:02}")).collect();
    for name in &names {
        for region in regions(in_regions) {
            want(world, all, name, region, &format!("img-{name}"));
        }
    }
    world.cloud().behaviour.borrow_mut().hung = names;
}

/// Makes one edit of `account` every ten minutes, and returns how many seconds each of them waited.
async fn edits(live: &Live<'_>, mut all: Desired, account: &str, edits: usize) -> Vec<u64> {
    let mut waits = Vec::new();
    for edit in 0..edits {
        let image = format!("img-e{edit:02}");
        want(live.world, &mut all, account, TOKYO, &image);
        live.load(all.clone()).await;
        let is_done = |live: &Live<'_>| live.world.cloud().is_shared(TOKYO, &image);
        waits.push(live.until(is_done).await);
        live.pass(600).await;
    }
    waits
}

async fn daemon<'w>(world: &'w World, script: impl AsyncFnOnce(&Live<'w>)) {
    let work = Reconciler {
        ledger: &world.ledger,
    };
    let settings = settings(Policy::default());
    run_connected(world, &work, &Apart(world), settings, script).await;
}

#[tokio::test(start_paused = true)]
async fn c5_l2_accounts_that_hang_delay_no_edit_of_another() {
    for accounts in [1, 5, 8, 14, 20] {
        let world = World::new(15, REGIONAL);
        let mut all = Desired::default();
        hung(&world, &mut all, accounts, 15);
        for n in 0..6 {
            want(&world, &mut all, "zebra", TOKYO, &id(n));
        }
        daemon(&world, async |live| {
            live.load(all.clone()).await;
            let waits = edits(live, all, "zebra", 4).await;
            // The daemon asks STS once which accounts the names mean. The first edit waits for that, with the
            // timeout that a slow STS may need.
            let (first, later) = waits.split_first().expect("edits");
            assert!(*first <= 12, "{accounts}: {waits:?}");
            assert!(later.iter().all(|&wait| wait <= 3), "{accounts}: {waits:?}");
        })
        .await;
    }
}

/// More accounts hang than the daemon has places for concurrent passes.
#[tokio::test(start_paused = true)]
async fn c5_l2_more_hanging_accounts_than_slots_delay_no_edit() {
    let world = World::new(15, REGIONAL);
    let mut all = Desired::default();
    hung(&world, &mut all, 70, 2);
    daemon(&world, async |live| {
        live.load(all.clone()).await;
        live.pass(900).await;
        let waits = edits(live, all, "zebra", 3).await;
        assert!(waits[1..].iter().all(|&wait| wait <= 3), "{waits:?}");
    })
    .await;
}

/// Some regions of one account hang, and another region of the account answers.
#[tokio::test(start_paused = true)]
async fn c5_l2_regions_that_hang_delay_no_other_region_of_their_account() {
    let world = World::new(15, REGIONAL);
    let mut all = Desired::default();
    let others = regions(15).into_iter().filter(|region| *region != TOKYO);
    let hosts = others.map(|region| {
        want(&world, &mut all, "acme", region, "img-a");
        format!("acme.{region}")
    });
    world.cloud().behaviour.borrow_mut().hung = hosts.collect();
    daemon(&world, async |live| {
        live.load(all.clone()).await;
        let waits = edits(live, all, "acme", 4).await;
        assert!(waits[1..].iter().all(|&wait| wait <= 3), "{waits:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c8_an_edit_of_a_small_region_overtakes_a_large_observation() {
    for images in [1_000, 5_000, 20_000] {
        let world = World::new(32, GLOBAL);
        let large = |n: usize| (TOKYO, format!("img-{n:06}"), true);
        for (region, image, _) in (0..images).map(large) {
            world.cloud().add(region, &image, true);
        }
        world.cloud().add("ap-seoul", "img-a", false);
        let tokyo = desired((0..images).map(large));
        reconciling(&world, async |live| {
            live.load(tokyo.clone()).await;
            live.pass(2).await;
            let mut both = tokyo.clone();
            let edit = desired([("ap-seoul", "img-a".to_owned(), true)]);
            both.images.extend(edit.images);
            live.load(both).await;
            let took = live
                .until(|_| world.cloud().is_shared("ap-seoul", "img-a"))
                .await;
            assert!(took <= 3, "{images} images: {took} s");
            // The large region is read as well, in the time that its pages need.
            let took = live.until(|live| live.in_sync(TOKYO)).await;
            assert!(
                took <= 10 + images as u64 / 900,
                "{images} images: {took} s"
            );
        })
        .await;
    }
}

/// A scope that shares 20,000 images asks about each of them; a scope that shares one image asks about that
/// one.
#[tokio::test(start_paused = true)]
async fn c8_an_edit_of_a_small_region_overtakes_eligibility_calls() {
    let world = World::new(32, GLOBAL);
    let images = 20_000;
    let large = |n: usize| (TOKYO, format!("img-{n:06}"), true);
    for (region, image, _) in (0..images).map(large) {
        world.cloud().add_image(region, &image, false, false);
    }
    world.cloud().add("ap-seoul", "img-a", false);
    let mut both = desired((0..images).map(large));
    let edit = desired([("ap-seoul", "img-a".to_owned(), true)]);
    reconciling(&world, async |live| {
        live.load(both.clone()).await;
        live.pass(2).await;
        let asked = world.cloud().calls_of("DescribeImagesToShare").len();
        assert!((20..150).contains(&asked), "it is under way: {asked}");
        both.images.extend(edit.images);
        live.load(both).await;
        let took = live
            .until(|_| world.cloud().is_shared("ap-seoul", "img-a"))
            .await;
        assert!(took <= 2, "{took} s");
    })
    .await;
}

/// Other programs use most of the quota for listings, so that one call in so many seconds succeeds.
fn one_listing_in(seconds: u64) -> Behaviour {
    let last = Cell::new(None);
    let clock = SystemClock::start();
    Behaviour {
        refuse: Box::new(move |action, _, _| {
            let now = Some(clock.monotonic().since_start().as_secs() / seconds);
            let is_over = action == "DescribeBlueprints" && last.replace(now) == now;
            is_over.then_some("RequestLimitExceeded")
        }),
        ..Behaviour::default()
    }
}

#[tokio::test(start_paused = true)]
async fn c8_l1_large_scopes_on_a_small_quota_are_written_and_converge() {
    let world = World::new(7, GLOBAL);
    let mut wanted = Vec::new();
    for region in regions(15) {
        for n in 0..2_000 {
            world.cloud().add(region, &id(n), n > 0);
            wanted.push((region, id(n), true));
        }
    }
    world.behave(one_listing_in(1));
    let wanted = desired(wanted);
    let heard = Heard::default();
    let ended = reconcile_within(&world, &wanted, &heard, Duration::from_secs(900)).await;
    assert_eq!(world.cloud().writes().len(), 15);
    for outcome in &ended {
        let verdicts = outcome.plan.decisions.values();
        let in_sync = verdicts.filter(|decision| decision.verdict == Verdict::InSync);
        assert_eq!(in_sync.count(), 2_000, "{}", outcome.plan.scope);
    }
    // Each region is listed twice, and no page is read twice in one listing.
    let pages = world.cloud().calls_of("DescribeBlueprints").into_iter();
    let pages = pages.filter(|call| call.answer == "ok" && !by_id(call));
    assert_eq!(pages.count(), 2 * 15 * 20);
    // Waiting is reported once for each listing that takes long.
    let reports = heard.0.borrow();
    assert!((15..=30).contains(&reports.len()), "{reports:?}");
    assert!(
        reports.iter().any(|(_, reading)| reading.before > 20),
        "{reports:?}"
    );
}

/// Records the reports about listings that take long.
#[derive(Default)]
struct Heard(RefCell<Vec<(String, Reading)>>);

impl Listener for Heard {
    fn event(&self, event: Event<'_>) {
        if let Event::Reading { scope, reading } = event {
            self.0.borrow_mut().push((scope.to_string(), reading));
        }
    }
}

async fn reconcile_within(
    world: &World,
    desired: &Desired,
    listener: &Heard,
    timeout: Duration,
) -> Vec<ScopeOutcome> {
    let (selector, policy) = (Selector::default(), Policy::default());
    let task = task(desired, &selector, &policy);
    let accounts = BTreeMap::from([(AccountName::default(), WriteClient::new(world.client()))]);
    let engine = Engine {
        ledger: &world.ledger,
        listener,
        stop: &Stop::default(),
        views: &RegionViews::default(),
    };
    engine.reconcile(&accounts, &task, timeout).await
}

#[tokio::test(start_paused = true)]
async fn c8_a_fast_observation_is_not_reported() {
    let world = World::new(7, GLOBAL);
    let wanted = many_shares(&world, 300);
    let heard = Heard::default();
    reconcile_within(&world, &wanted, &heard, Duration::from_secs(900)).await;
    assert_eq!(heard.0.borrow().len(), 0);
}

/// One listing takes longer than a whole pass is allowed to take.
#[tokio::test(start_paused = true)]
async fn c8_l1_passes_that_time_out_while_observing_still_converge() {
    let world = World::new(8, REGIONAL);
    let wanted = twenty_pages(&world);
    world.behave(one_listing_in(10));
    let work = Reconciler {
        ledger: &world.ledger,
    };
    let settings = Settings {
        timeout: Duration::from_secs(60),
        ..settings(Policy::default())
    };
    run(&world, &work, settings, async |live| {
        live.load(wanted).await;
        live.pass(15).await;
        let reading = live
            .publisher
            .board(|board| board.scopes()[&scope(TOKYO)].reads.waits);
        let reading = reading.expect("it reports that it waits");
        assert_eq!((reading.read, reading.pages), (1, Some(20)));
        assert!(reading.per_second <= 2.0, "{reading}");
        let took = live.until(|live| live.in_sync(TOKYO)).await;
        assert!(took <= 500, "two observations and the writes: {took}");
        assert_eq!(world.cloud().writes().len(), 20, "each once");
        let reading = live
            .publisher
            .board(|board| board.scopes()[&scope(TOKYO)].reads.waits);
        assert_eq!(reading, None, "the observation is over");
    })
    .await;
}

/// Declares 2,000 shared images on 20 pages, whose listing takes longer than three minutes. Each page has one
/// image to cancel.
fn twenty_pages(world: &World) -> Desired {
    let images = (0..2_000).map(|n| (TOKYO, id(n), n % 100 != 50));
    let wanted = desired(images);
    for key in wanted.images.keys() {
        world.cloud().add(TOKYO, key.image.as_str(), true);
    }
    wanted
}

fn number_of(image: &Value) -> usize {
    let digits = image.as_str().expect("an id").strip_prefix("img-");
    digits.expect("ours").parse().expect("a number")
}

/// The id of the first blueprint of an image. It stays valid as long as nobody has cancelled the share.
fn blueprint_of(image: &Value) -> Value {
    json!(format!("lhbp-{}", image.as_str().expect("an id")))
}

/// The age of the newest observation of an image when its CANCEL arrived. The observation is the listing page
/// with the image, or an answer to a question by id.
fn age(world: &World, cancel: &Call) -> Duration {
    let image = &cancel.body["ImageId"];
    let page = number_of(image) / 100 * 100;
    let shows = |call: &Call| match call.body["BlueprintIds"].as_array() {
        Some(ids) => ids.contains(&blueprint_of(image)),
        None => call.body["Offset"] == page,
    };
    let observations = world.cloud().calls_of("DescribeBlueprints").into_iter();
    let observations =
        observations.filter(|call| call.answer == "ok" && call.at < cancel.at && shows(call));
    let newest = observations
        .map(|call| call.at)
        .max()
        .expect("it was observed");
    cancel.at.since(newest)
}

fn by_id(call: &Call) -> bool {
    call.body["BlueprintIds"].is_array()
}

#[tokio::test(start_paused = true)]
async fn c8_s4_what_was_observed_minutes_ago_is_asked_about_again() {
    let world = World::new(8, REGIONAL);
    let wanted = twenty_pages(&world);
    world.behave(one_listing_in(10));
    let ended = world.reconcile(&wanted).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json["summary"]);
    let writes = world.cloud().writes();
    assert_eq!(writes.len(), 20, "each once");
    for write in &writes {
        let age = age(&world, write);
        assert!(age <= Duration::from_secs(121), "{age:?}: {}", write.body);
    }
    let observations = world.cloud().calls_of("DescribeBlueprints");
    let observations: Vec<_> = observations
        .iter()
        .filter(|call| call.answer == "ok")
        .collect();
    let asked: Vec<_> = observations.iter().filter(|call| by_id(call)).collect();
    let asked_about = asked
        .iter()
        .map(|call| call.body["BlueprintIds"].as_array());
    let asked_about: Vec<_> = asked_about.flatten().map(Vec::len).collect();
    assert_eq!(asked_about, [11], "those of old pages, in one question");
    let asked = asked.len();
    assert_eq!(
        observations.len() - asked,
        40,
        "the observation, and the one after it"
    );
}

#[tokio::test(start_paused = true)]
async fn c8_s4_no_cancel_leaves_for_an_image_whose_share_is_another_one_by_now() {
    let world = World::new(8, REGIONAL);
    let wanted = twenty_pages(&world);
    world.behave(one_listing_in(10));
    let (gone, anew) = (json!("img-0050"), json!("img-0150"));
    let (_, seen_anew) = tokio::join!(world.reconcile(&wanted), async {
        // The listing is complete by then, and the question about its outdated part was not sent yet.
        world.pass(Duration::from_secs(195)).await;
        let mut observations = world.cloud().calls_of("DescribeBlueprints").into_iter();
        assert!(!observations.any(|call| by_id(&call) && call.answer == "ok"));
        world.cloud().external_change(TOKYO, "img-0050", false);
        world.cloud().external_change(TOKYO, "img-0150", false);
        world.cloud().external_change(TOKYO, "img-0150", true);
        world.cloud().monotonic()
    });
    let writes = world.cloud().writes();
    let of = |image: &Value| {
        let of = writes
            .iter()
            .filter(|write| write.body["ImageId"] == *image);
        of.map(|write| write.at).collect::<Vec<_>>()
    };
    assert_eq!(of(&gone), [], "nothing is left to be taken back");
    let [cancelled] = of(&anew)[..] else {
        panic!("taken back once: {writes:?}")
    };
    // The listing that shows the new share begins after the first one has ended.
    let pages = world.cloud().calls_of("DescribeBlueprints").into_iter();
    let mut pages = pages.filter(|call| call.body["Offset"] == 100 && call.answer == "ok");
    let looked_again = pages
        .find(|call| call.at > seen_anew)
        .expect("observed again");
    assert!(cancelled > looked_again.at, "after that was seen");
}

#[tokio::test(start_paused = true)]
async fn c8_s4_no_cancel_of_a_replaced_or_deleted_blueprint_leaves() {
    let world = World::new(8, REGIONAL);
    let wanted = twenty_pages(&world);
    world.behave(Behaviour {
        tamper: Box::new(|_, _, page| {
            // Only the answers to questions by id hold fewer images than a page.
            let is_by_id = page["TotalCount"].as_u64() < Some(50);
            let rows = page["BlueprintSet"].as_array_mut().expect("rows");
            for row in rows.iter_mut().filter(|_| is_by_id) {
                match row["BlueprintId"].as_str() {
                    Some("lhbp-img-0250") => row["ImageId"] = json!("img-9998"),
                    Some("lhbp-img-0350") => row["BlueprintState"] = json!("DELETING"),
                    _ => {}
                }
            }
        }),
        ..one_listing_in(10)
    });
    world.reconcile(&wanted).await;
    let writes = world.cloud().writes();
    let of = |image: &str| writes.iter().any(|write| write.body["ImageId"] == image);
    assert!(
        of("img-0150") && of("img-0450"),
        "their shares are as they were"
    );
    assert!(!of("img-0250") && !of("img-0350"), "theirs are not");
}

#[tokio::test(start_paused = true)]
async fn c8_s4_without_a_good_answer_nothing_leaves_on_what_is_old() {
    type Spoil = Box<dyn Fn(&mut Value)>;
    let spoils: [Spoil; 4] = [
        Box::new(|page| page["TotalCount"] = json!(1_000)),
        Box::new(|page| page["BlueprintSet"][0]["BlueprintId"] = json!("lhbp-another")),
        Box::new(|page| page["BlueprintSet"][0] = page["BlueprintSet"][1].clone()),
        Box::new(|page| *page = json!({"RequestId": "r"})),
    ];
    for (case, spoil) in spoils.into_iter().enumerate() {
        let world = World::new(8, REGIONAL);
        let wanted = twenty_pages(&world);
        world.behave(Behaviour {
            // Only the answers to questions by id hold fewer images than a page.
            tamper: Box::new(move |_, _, page| {
                let rows = page["BlueprintSet"].as_array().map_or(0, Vec::len);
                if rows < 50 {
                    spoil(page);
                }
            }),
            ..one_listing_in(10)
        });
        let ended = world.reconcile(&wanted).await;
        let writes = world.cloud().writes();
        let asked = world.cloud().calls_of("DescribeBlueprints");
        assert!(asked.iter().any(by_id), "{case}: it was asked");
        assert!((5..20).contains(&writes.len()), "{case}: {}", writes.len());
        for write in &writes {
            let age = age(&world, write);
            assert!(
                age <= Duration::from_secs(121),
                "{case}: {age:?}: {}",
                write.body
            );
            assert!(
                number_of(&write.body["ImageId"]) > 500,
                "{case}: {}",
                write.body
            );
        }
        assert_ne!(ended.exit(), 0, "{case}");
    }
}

/// Declares so many images to share that the last of them waits for its turn for more than two minutes.
fn many_shares(world: &World, count: usize) -> Desired {
    for n in 0..count {
        world.cloud().add(TOKYO, &id(n), false);
    }
    desired((0..count).map(|n| (TOKYO, id(n), true)))
}

fn asked_of_shares(world: &World) -> Vec<Call> {
    world.cloud().calls_of("DescribeImagesToShare")
}

#[tokio::test(start_paused = true)]
async fn c8_s4_shares_that_wait_for_long_are_asked_about_again_and_lose_no_turn() {
    const IMAGES: usize = 4_000;
    let world = World::new(8, REGIONAL);
    let wanted = many_shares(&world, IMAGES);
    let ended = world.reconcile(&wanted).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json["summary"]);
    let writes = world.cloud().writes();
    assert_eq!(writes.len(), IMAGES, "each once");
    let asked = asked_of_shares(&world);
    for write in &writes {
        let image = &write.body["ImageId"];
        let about = asked.iter().filter(|call| {
            let ids = call.body["ImageIds"].as_array().expect("ids");
            call.at < write.at && ids.contains(image)
        });
        let newest = about.map(|call| call.at).max().expect("asked about");
        let age = write.at.since(newest);
        assert!(age <= Duration::from_secs(121), "{age:?}: {image}");
    }
    // The first questions take 40 calls. Images whose turn comes after 90 seconds are asked about again, 100
    // images in each call.
    assert!((60..=65).contains(&asked.len()), "{}", asked.len());
    let observations = world.cloud().calls_of("DescribeBlueprints");
    let first = observations.iter().filter(|call| call.body["Offset"] == 0);
    assert_eq!(first.count(), 2, "nothing else is observed again");
    let line = writes[IMAGES - 1].at.since(writes[0].at).as_secs_f64();
    let at_best = IMAGES as f64 / 19.0;
    assert!(line < at_best * 1.01, "{line} s instead of {at_best}");
}

#[tokio::test(start_paused = true)]
async fn c8_s4_no_share_leaves_for_an_image_that_cannot_be_shared_by_now() {
    const IMAGES: usize = 3_000;
    let world = World::new(8, REGIONAL);
    let wanted = many_shares(&world, IMAGES);
    let (ended, ()) = tokio::join!(world.reconcile(&wanted), async {
        world.pass(Duration::from_secs(60)).await;
        // Somebody shares one of the waiting images, and makes another one unfit for sharing.
        world.cloud().external_change(TOKYO, "img-2900", true);
        world.cloud().add_image(TOKYO, "img-2950", false, false);
    });
    let writes = world.cloud().writes();
    assert_eq!(writes.len(), IMAGES - 2);
    let of = |image: &str| writes.iter().any(|write| write.body["ImageId"] == image);
    assert!(!of("img-2900") && !of("img-2950"));
    let outcome = |image: &str| {
        let mut outcomes = ended.outcomes().into_iter();
        outcomes
            .find(|(id, _)| *id == image)
            .expect("is reported")
            .1
    };
    assert_eq!(outcome("img-2900"), "in_sync");
    assert_eq!(outcome("img-2950"), "blocked");
}

#[tokio::test(start_paused = true)]
async fn c8_s1_a_share_whose_time_is_over_when_its_turn_comes_is_not_made() {
    const IMAGES: usize = 3_000;
    let world = World::new(8, REGIONAL);
    let mut wanted = many_shares(&world, IMAGES);
    let until = world.cloud().now() + Duration::from_secs(100);
    for image in wanted.images.values_mut() {
        image.share = DesiredShare::Shared {
            from: None,
            until: Some(until),
        };
    }
    let over = world.cloud().monotonic() + Duration::from_secs(100);
    world.reconcile(&wanted).await;
    let shares = world.cloud().writes().into_iter();
    let shares = shares.filter(|write| write.body["Permission"] == "SHARE");
    let last = shares.map(|write| write.at).max().expect("some were made");
    assert!(last <= over + Duration::from_millis(100), "{last:?}");
}

#[test]
fn c8_an_observation_that_waits_is_on_the_page_and_in_the_document() {
    let now = chrono::DateTime::from_timestamp(1_790_000_000, 0).expect("a date");
    let mut board = Board::new(now, false);
    let scope = scope(TOKYO);
    board.pass_began(&scope, now);
    let shown = |board: &Board| {
        let (query, mut document) = (Query::parse("").expect("a query"), Vec::new());
        write_board_document(&mut document, board, &query, now).expect("memory");
        let document: Value = serde_json::from_slice(&document).expect("JSON");
        (
            document["scopes"][0]["reading"].clone(),
            page(board, &query, now),
        )
    };
    let words = "waits for its turn to read";
    let (reading, html) = shown(&board);
    assert!(reading.is_null() && !html.contains(words));
    let waits = Reading {
        read: 3,
        pages: Some(20),
        before: 40,
        per_second: 1.0,
    };
    board.read_delayed(&scope, waits);
    let (reading, html) = shown(&board);
    let expected = json!({"read": 3, "pages": 20, "calls_before": 40, "per_second": 1.0});
    assert_eq!(reading, expected);
    let line = "3 of 20 pages read so far, 40 calls of others before it, at 1.0 a second";
    assert!(html.contains(&format!("{words}: {line}")), "{html}");
}

/// A scope whose listing takes longer than two minutes, with as many images to cancel as to share. Questions
/// about images to share are refused with `code`.
async fn unasked(code: &'static str, runs: usize) -> (World, BTreeMap<String, usize>) {
    let world = World::new(8, REGIONAL);
    let wanted = desired((0..2_000).map(|n| (TOKYO, id(n), n % 100 != 50)));
    for n in 0..2_000 {
        world.cloud().add(TOKYO, &id(n), n % 100 != 60);
    }
    let slow = one_listing_in(10).refuse;
    world.behave(Behaviour {
        refuse: Box::new(move |action, region, body| match action {
            "DescribeImagesToShare" => Some(code),
            _ => slow(action, region, body),
        }),
        ..Behaviour::default()
    });
    for _ in 0..runs {
        world.reconcile(&wanted).await;
    }
    let mut writes = BTreeMap::new();
    for write in world.cloud().writes() {
        let permission = write.body["Permission"].as_str().expect("a permission");
        *writes.entry(permission.to_owned()).or_default() += 1;
    }
    (world, writes)
}

#[tokio::test(start_paused = true)]
async fn c8_l2_images_that_nobody_may_ask_about_are_shared() {
    let (world, writes) = unasked("UnauthorizedOperation.NoPermission", 2).await;
    assert_eq!(
        writes,
        BTreeMap::from([("CANCEL".into(), 20), ("SHARE".into(), 20)])
    );
    assert!(world.cloud().is_shared(TOKYO, &id(60)));
}

#[tokio::test(start_paused = true)]
async fn c8_s4_l2_images_without_an_answer_are_not_shared_nor_delay_cancels() {
    let (_, writes) = unasked("InternalError", 2).await;
    assert_eq!(writes, BTreeMap::from([("CANCEL".into(), 20)]));
}
