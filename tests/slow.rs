//! Slow and large accounts, on a paused clock: accounts that hang, listings of many pages, and who waits for them.

mod support;

use sharekeeper::api::sign::{Credentials, Secret};
use sharekeeper::api::{Connection, Keys};
use sharekeeper::daemon::{Connect, Reconciling};
use sharekeeper::desired::{Account, Desired};
use sharekeeper::model::{AccountName, Endpoint};
use sharekeeper::plan::Policy;
use support::desired;
use support::live::{Live, reconciling, run_connected, settings};
use support::world::{GLOBAL, REGIONAL, World, id, regions};

const TOKYO: &str = "ap-tokyo";

/// Each account has a key and access points of its own.
struct Apart<'w>(&'w World);

impl Connect for Apart<'_> {
    fn connect(&self, name: &AccountName, _: Option<&Account>) -> Result<Connection, String> {
        let endpoint = format!("https://{name}.{{region}}.tencentcloudapi.com");
        let secret = Secret::new("key".into());
        Ok(Connection {
            account: name.clone(),
            endpoint: Endpoint::new(&endpoint).expect("an endpoint"),
            keys: Keys::fixed(Credentials::new(format!("AKID{name}"), secret, None)),
            ..self.0.connection()
        })
    }
}

/// Adds an unshared image to the cloud, and the wish that it be shared.
fn want(world: &World, all: &mut Desired, account: &str, region: &'static str, image: &str) {
    world.cloud().add(region, image, false);
    for (mut key, image) in desired([(region, image.to_owned(), true)]).images {
        key.scope.account = AccountName::new(account).expect("a name");
        all.images.insert(key, image);
    }
}

/// Accounts `acc00`, `acc01`, …, of which each names an image in so many regions and whose hosts do not answer.
fn hung(world: &World, all: &mut Desired, accounts: usize, in_regions: usize) {
    let names: Vec<_> = (0..accounts).map(|n| format!("acc{n:02}")).collect();
    for name in &names {
        for region in regions(in_regions) {
            want(world, all, name, region, &format!("img-{name}"));
        }
    }
    *world.cloud().hung.borrow_mut() = names;
}

/// How many seconds each of so many edits of `account` waits, one every ten minutes.
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
    let work = Reconciling {
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
            // Whose accounts the other names are is asked once with the patience that a working STS may need.
            let (first, later) = waits.split_first().expect("edits");
            assert!(*first <= 12, "{accounts}: {waits:?}");
            assert!(later.iter().all(|&wait| wait <= 3), "{accounts}: {waits:?}");
        })
        .await;
    }
}

/// More accounts that hang than there are places.
#[tokio::test(start_paused = true)]
async fn c5_l2_more_accounts_that_hang_than_places_delay_no_edit_once_that_is_known() {
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

/// Regions of one account that hang, and another one of its regions.
#[tokio::test(start_paused = true)]
async fn c5_l2_regions_that_hang_delay_no_other_region_of_their_account() {
    let world = World::new(15, REGIONAL);
    let mut all = Desired::default();
    let others = regions(15).into_iter().filter(|region| *region != TOKYO);
    let hosts = others.map(|region| {
        want(&world, &mut all, "acme", region, "img-a");
        format!("acme.{region}")
    });
    *world.cloud().hung.borrow_mut() = hosts.collect();
    daemon(&world, async |live| {
        live.load(all.clone()).await;
        let waits = edits(live, all, "acme", 4).await;
        assert!(waits[1..].iter().all(|&wait| wait <= 3), "{waits:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c8_an_edit_of_a_small_region_does_not_wait_behind_a_look_at_a_large_one() {
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
            // And the large one is read all the same, in the time that its pages need.
            let took = live.until(|live| live.in_sync(TOKYO)).await;
            assert!(
                took <= 10 + images as u64 / 900,
                "{images} images: {took} s"
            );
        })
        .await;
    }
}

/// A scope that shares 20,000 images asks about each; one that shares a single image asks about that.
#[tokio::test(start_paused = true)]
async fn c8_an_edit_of_a_small_region_does_not_wait_for_what_a_large_one_asks_of_its_images() {
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
