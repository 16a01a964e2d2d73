//! One account is one scope at run time. The tests run the engine and the daemon on a paused clock, with keys that turn
//! out to belong to one account or to two.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::support::cloud::live::{Apart, Live, apart, reconciling, run_connected, settings};
use crate::support::cloud::world::{GLOBAL, REGIONAL, TEN_MINUTES, World, regions, task};
use crate::support::cloud::{Behaviour, Fault, Silent, desired, desired_of, with_rate};
use sharekeeper::api::protocol::sign::Credentials;
use sharekeeper::api::{
    Connection, CredentialProvider, Environment, ProviderCache, ReadClient, WriteClient,
};
use sharekeeper::daemon::{Connect, Reconciler};
use sharekeeper::desired::{Account, CredentialSource, Desired};
use sharekeeper::engine::{Engine, RegionViews, ScopeOutcome, Stop};
use sharekeeper::model::{AccountName, Endpoint, Secret, Selector};
use sharekeeper::plan::{Policy, Prune, Verdict};

const TOKYO: &str = "ap-tokyo";

fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("a name")
}

/// Images in Tokyo, each under the name of an account.
fn named(images: &[(&str, &str, bool)]) -> Desired {
    let images = images.iter();
    desired_of(images.map(|&(account, image, shared)| (account, TOKYO, image.to_owned(), shared)))
}

/// Connections whose key id is `AKID` followed by the text that `keys` has for the account name.
struct Keyed<'w> {
    world: &'w World,
    keys: BTreeMap<&'static str, &'static str>,
    /// One account name, with credentials that change during the run.
    rotating: Option<(&'static str, Rc<CredentialProvider>)>,
}

impl<'w> Keyed<'w> {
    fn new(world: &'w World, keys: &[(&'static str, &'static str)]) -> Self {
        Self {
            world,
            keys: keys.iter().copied().collect(),
            rotating: None,
        }
    }

    fn connection(&self, account: &AccountName) -> Connection {
        let id = format!("AKID{}", self.keys[account.as_str()]);
        let fixed =
            || CredentialProvider::fixed(Credentials::new(id, Secret::new("key".into()), None));
        let keys = match &self.rotating {
            Some((name, keys)) if *name == account.as_str() => Rc::clone(keys),
            _ => fixed(),
        };
        Connection {
            account: account.clone(),
            provider: keys,
            ..self.world.connection()
        }
    }

    async fn reconcile(&self, wanted: &Desired, prune: Prune) -> Vec<ScopeOutcome> {
        let accounts = self.keys.keys().map(|account| {
            let connection = self.connection(&name(account));
            let client = ReadClient::new(Rc::clone(&self.world.context), connection);
            (name(account), WriteClient::new(client))
        });
        let accounts = accounts.collect();
        let policy = Policy {
            prune,
            ..Policy::default()
        };
        let (selector, stop) = (Selector::default(), Stop::default());
        let engine = Engine {
            ledger: &self.world.ledger,
            listener: &Silent,
            stop: &stop,
            views: &RegionViews::default(),
        };
        let task = task(wanted, &selector, &policy);
        engine.reconcile(&accounts, &task, TEN_MINUTES).await
    }
}

impl Connect for Keyed<'_> {
    fn connect(&self, account: &AccountName, _: Option<&Account>) -> Result<Connection, String> {
        Ok(self.connection(account))
    }
}

fn world(seed: u64, endpoint: &'static str, images: &[(&str, bool)]) -> World {
    let world = World::new(seed, endpoint);
    for (image, shared) in images {
        world.cloud().add(TOKYO, image, *shared);
    }
    world
}

fn cancels(world: &World) -> usize {
    let writes = world.cloud().writes();
    let cancels = writes
        .iter()
        .filter(|call| call.body["Permission"] == "CANCEL");
    cancels.count()
}

/// The ids of the withheld images in all scopes.
fn withheld(scopes: &[ScopeOutcome]) -> Vec<String> {
    let decisions = scopes.iter().flat_map(|scope| &scope.plan.decisions);
    let withheld =
        decisions.filter(|(_, decision)| matches!(decision.verdict, Verdict::Withheld(_)));
    withheld.map(|(image, _)| image.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn c1_r12_an_entry_that_moves_between_two_names_of_one_key_stays_shared() {
    let world = world(
        12,
        REGIONAL,
        &[("img-1", false), ("img-2", false), ("img-3", false)],
    );
    let keyed = Keyed::new(&world, &[("a", "one"), ("b", "one")]);
    let first = named(&[
        ("a", "img-1", true),
        ("a", "img-2", true),
        ("b", "img-3", true),
    ]);
    let second = named(&[
        ("a", "img-1", true),
        ("b", "img-2", true),
        ("b", "img-3", true),
    ]);
    for wanted in [&first, &second, &second] {
        for prune in Prune::ALL {
            let scopes = keyed.reconcile(wanted, prune).await;
            assert!(scopes.iter().all(|scope| scope.plan.unobserved().is_some()));
            world.pass(Duration::from_secs(3600)).await;
        }
    }
    assert_eq!(world.cloud().writes(), []);
}

#[tokio::test(start_paused = true)]
async fn c1_r13_r26_two_keys_of_one_uin_are_refused_whatever_they_ask_for() {
    let world = world(13, REGIONAL, &[("img-1", true), ("img-2", true)]);
    let keyed = Keyed::new(&world, &[("a", "one"), ("b", "two")]);
    for wanted in [
        named(&[("a", "img-1", true), ("b", "img-2", true)]),
        named(&[("a", "img-1", true), ("b", "img-1", false)]),
    ] {
        for prune in Prune::ALL {
            let scopes = keyed.reconcile(&wanted, prune).await;
            for scope in &scopes {
                let why = &scope.plan.unobserved().expect("is refused").reason;
                assert!(why.contains("both are uin 100000000001"), "{why}");
            }
        }
    }
    assert_eq!(world.cloud().writes(), []);
}

#[tokio::test(start_paused = true)]
async fn c1_a_third_name_of_two_accounts_is_found_wherever_it_stands() {
    let world = world(
        14,
        REGIONAL,
        &[("img-1", false), ("img-2", false), ("img-3", false)],
    );
    world.behave(Behaviour {
        uins: BTreeMap::from([("AKIDtwo", "100000000002")]),
        ..Behaviour::default()
    });
    let wanted = named(&[
        ("a", "img-1", true),
        ("b", "img-2", true),
        ("c", "img-3", true),
    ]);
    for keys in [
        [("a", "one"), ("b", "two"), ("c", "three")],
        [("a", "two"), ("b", "one"), ("c", "three")],
    ] {
        let keyed = Keyed::new(&world, &keys);
        keyed.reconcile(&wanted, Prune::None).await;
        assert_eq!(world.cloud().writes(), [], "{keys:?}");
    }
    let keyed = Keyed::new(&world, &[("a", "one"), ("b", "two")]);
    let wanted = named(&[("a", "img-1", true), ("b", "img-2", true)]);
    keyed.reconcile(&wanted, Prune::None).await;
    assert_eq!(world.cloud().writes().len(), 2, "two accounts are two");
}

#[tokio::test(start_paused = true)]
async fn c1_another_key_of_the_same_account_prunes_as_before() {
    let images = [("img-1", false), ("img-2", false), ("img-3", false)];
    let world = world(20, REGIONAL, &images);
    let all: Vec<_> = ["img-1", "img-2", "img-3"].map(|id| ("a", id, true)).into();
    let first = Keyed::new(&world, &[("a", "one")]);
    first.reconcile(&named(&all), Prune::Owned).await;
    first.reconcile(&named(&all[..2]), Prune::Owned).await;
    assert_eq!(cancels(&world), 1);
    assert_eq!(world.cloud().calls_of("GetCallerIdentity").len(), 0);
    // The key is replaced. STS is asked about the new key once, and the cloud still shows our own shares.
    let second = Keyed::new(&world, &[("a", "two")]);
    let scopes = second.reconcile(&named(&all[..1]), Prune::Owned).await;
    assert_eq!(withheld(&scopes), [""; 0]);
    assert_eq!(cancels(&world), 2);
    assert_eq!(world.cloud().calls_of("GetCallerIdentity").len(), 1);
}

/// STS refuses to say whose account a key belongs to.
fn mute() -> Behaviour {
    Behaviour {
        refuse: Box::new(|action, _, _| {
            (action == "GetCallerIdentity").then_some("UnauthorizedOperation")
        }),
        ..Behaviour::default()
    }
}

#[tokio::test(start_paused = true)]
async fn t1_s26_our_own_shares_prove_a_replaced_key() {
    let world = world(21, REGIONAL, &[("img-1", false), ("img-2", false)]);
    let all = named(&[("a", "img-1", true), ("a", "img-2", true)]);
    let first = Keyed::new(&world, &[("a", "one")]);
    first.reconcile(&all, Prune::Owned).await;
    world.behave(mute());
    let second = Keyed::new(&world, &[("a", "two")]);
    let one = named(&[("a", "img-1", true)]);
    let scopes = second.reconcile(&one, Prune::Owned).await;
    assert_eq!(withheld(&scopes), [""; 0]);
    assert_eq!(cancels(&world), 1);
    // From then on the new key is the known one, and STS is not asked again.
    let asked = world.cloud().calls_of("GetCallerIdentity").len();
    world.cloud().external_change(TOKYO, "img-1", false);
    second.reconcile(&one, Prune::Owned).await;
    assert_eq!(world.cloud().calls_of("GetCallerIdentity").len(), asked);
}

#[tokio::test(start_paused = true)]
async fn t1_s26_a_key_that_nothing_proves_never_prunes() {
    let world = world(22, REGIONAL, &[("img-1", false), ("img-2", true)]);
    let wanted = named(&[("a", "img-1", true)]);
    let first = Keyed::new(&world, &[("a", "one")]);
    first.reconcile(&wanted, Prune::None).await;
    // The second key belongs to another account, where the declared image is shared too, but as another blueprint.
    world.cloud().external_change(TOKYO, "img-1", false);
    world.cloud().external_change(TOKYO, "img-1", true);
    world.behave(mute());
    let second = Keyed::new(&world, &[("a", "two")]);
    for prune in [Prune::Exclusive, Prune::None, Prune::Exclusive] {
        let scopes = second.reconcile(&wanted, prune).await;
        let expected: &[_] = match prune {
            Prune::Exclusive => &["img-2"],
            _ => &[],
        };
        assert_eq!(withheld(&scopes), expected);
    }
    assert_eq!(cancels(&world), 0);
    // The known key still prunes as before.
    let scopes = first.reconcile(&wanted, Prune::Exclusive).await;
    assert_eq!(withheld(&scopes), [""; 0]);
    assert_eq!(cancels(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn c1_l2_sts_that_hangs_delays_others_once_and_withholds_prunes() {
    let world = world(
        15,
        REGIONAL,
        &[("img-1", false), ("img-2", true), ("img-3", true)],
    );
    world.behave(Behaviour {
        fault: Box::new(|action, _, _| {
            (action == "GetCallerIdentity").then_some(Fault::LostBefore)
        }),
        ..Behaviour::default()
    });
    let keyed = Keyed::new(&world, &[("a", "one"), ("b", "two")]);
    let wanted = named(&[("a", "img-1", true), ("b", "img-2", true)]);
    let scopes = keyed.reconcile(&wanted, Prune::Exclusive).await;
    assert!(
        world.cloud().is_shared(TOKYO, "img-1"),
        "what is declared is done"
    );
    assert_eq!(cancels(&world), 0);
    assert!(withheld(&scopes).contains(&"img-3".to_owned()));
    let first = world.cloud().writes()[0].at.since_start();
    let asked = world.cloud().calls_of("GetCallerIdentity").len();
    assert!(asked <= 8, "{asked} questions");
    // During this time, STS can be asked about each of the two keys at most once.
    assert!(first <= Duration::from_secs(45), "{first:?}");
}

/// Puts a key into a file by a rename, as a rotation does.
fn rotate(path: &Path, id: &str) {
    let beside = path.with_extension("new");
    let text = format!("[default]\nsecret_id = {id}\nsecret_key = key\n");
    fs::write(&beside, text).expect("is written");
    fs::rename(&beside, path).expect("is renamed");
}

#[tokio::test(start_paused = true)]
async fn c1_c6_a_key_that_becomes_a_rivals_ends_the_writes_of_its_plan() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("credentials");
    rotate(&path, "AKIDone");
    let names: Vec<_> = (0..30).map(|n| format!("img-{n}")).collect();
    let images: Vec<_> = names.iter().map(|id| (id.as_str(), false)).collect();
    let world = world(19, GLOBAL, &images);
    let source = CredentialSource::File {
        path: Some(path.clone()),
        section: None,
    };
    let mut keyed = Keyed::new(&world, &[("a", "one"), ("b", "two")]);
    let ring = ProviderCache::new(Environment::new(|_| None));
    keyed.rotating = Some(("a", ring.provider(&source, &Endpoint::default())));
    let count = Cell::new(0);
    world.behave(Behaviour {
        uins: BTreeMap::from([("AKIDtwo", "100000000002")]),
        refuse: Box::new(move |action, _, _| {
            if action == "ModifyImageSharePermission" {
                count.set(count.get() + 1);
                // From the fifth write on, both names have the same key.
                if count.get() == 5 {
                    rotate(&path, "AKIDtwo");
                }
            }
            None
        }),
        ..Behaviour::default()
    });
    let of_a = names.iter().skip(1).map(|id| ("a", id.as_str(), true));
    let wanted: Vec<_> = of_a.chain([("b", "img-0", true)]).collect();
    let scopes = keyed.reconcile(&named(&wanted), Prune::None).await;
    let writes = world.cloud().writes().len();
    // The writes that were in flight still settle.
    assert!((5..12).contains(&writes), "{writes} writes");
    assert!(scopes.iter().any(|scope| scope.plan.unobserved().is_some()));
}

/// Runs a daemon with the connections of `keyed` until the script ends.
async fn daemon(keyed: &Keyed<'_>, policy: Policy, script: impl AsyncFnOnce(&Live<'_>)) {
    let work = Reconciler {
        ledger: &keyed.world.ledger,
    };
    run_connected(keyed.world, &work, keyed, settings(policy), script).await;
}

#[tokio::test(start_paused = true)]
async fn c1_the_daemon_holds_both_names_still_and_goes_on_once_they_are_one() {
    let world = world(
        16,
        GLOBAL,
        &[("img-1", false), ("img-2", false), ("img-3", false)],
    );
    let keyed = Keyed::new(&world, &[("a", "one"), ("b", "two"), ("default", "one")]);
    let policy = Policy {
        prune: Prune::Owned,
        ..Policy::default()
    };
    daemon(&keyed, policy, async |live| {
        live.load(named(&[("a", "img-1", true), ("b", "img-2", true)]))
            .await;
        live.pass(3600).await;
        assert_eq!(world.cloud().writes(), [], "an hour of refusals");
        let reasons = live.publisher.board(|board| {
            let scopes = board.scopes().values();
            let views = scopes.filter_map(|scope| scope.view.clone());
            format!("{:?}", views.collect::<Vec<_>>())
        });
        assert!(reasons.contains("both are uin 100000000001"), "{reasons}");
        live.load(named(&[("a", "img-1", true), ("a", "img-2", true)]))
            .await;
        live.pass(60).await;
        assert_eq!(world.cloud().writes().len(), 2);
        // The account gets another name while the daemon runs, and the same edit drops one image.
        live.load(named(&[
            ("default", "img-1", true),
            ("default", "img-3", true),
        ]))
        .await;
        live.pass(60).await;
        assert!(world.cloud().is_shared(TOKYO, "img-1"));
        assert!(world.cloud().is_shared(TOKYO, "img-3"));
        assert!(
            !world.cloud().is_shared(TOKYO, "img-2"),
            "what was dropped is pruned"
        );
        assert_eq!(cancels(&world), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c1_parking_goes_along_with_a_new_name() {
    let world = world(17, GLOBAL, &[("img-1", false), ("img-2", false)]);
    let keyed = Keyed::new(&world, &[("a", "one"), ("b", "one")]);
    daemon(&keyed, Policy::default(), async |live| {
        live.load(named(&[("a", "img-1", true)])).await;
        live.pass(60).await;
        for _ in 0..4 {
            world.cloud().external_change(TOKYO, "img-1", false);
            live.pass(400).await;
        }
        let parked = world.cloud().writes().len();
        live.pass(3600).await;
        assert_eq!(world.cloud().writes().len(), parked, "it is parked");
        live.load(named(&[("b", "img-1", true), ("b", "img-2", true)]))
            .await;
        live.pass(3600).await;
        assert_eq!(
            world.cloud().writes().len(),
            parked + 1,
            "under the new name, too"
        );
        assert!(world.cloud().is_shared(TOKYO, "img-2"));
        assert!(!world.cloud().is_shared(TOKYO, "img-1"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn c1_an_account_that_changes_under_its_name_prunes_nothing_in_that_run() {
    let world = world(18, GLOBAL, &[("img-1", false), ("img-2", true)]);
    let wanted = named(&[("a", "img-1", true)]);
    let first = Keyed::new(&world, &[("a", "one"), ("other", "x")]);
    let mut both = wanted.clone();
    // A second account name makes it necessary to find out whose account the key belongs to.
    both.images.extend(
        desired([("ap-seoul", "img-9".to_owned(), false)])
            .images
            .into_iter()
            .map(|(mut key, image)| {
                key.scope.account = name("other");
                (key, image)
            }),
    );
    let scopes = first.reconcile(&both, Prune::Owned).await;
    assert_eq!(withheld(&scopes), [""; 0]);
    world.behave(Behaviour {
        uin: "100000000002",
        ..Behaviour::default()
    });
    let second = Keyed::new(&world, &[("a", "new"), ("other", "x")]);
    let scopes = second.reconcile(&both, Prune::Exclusive).await;
    assert_eq!(withheld(&scopes), ["img-2"]);
    assert_eq!(cancels(&world), 0, "the first run in another account");
    second.reconcile(&both, Prune::Exclusive).await;
    assert_eq!(cancels(&world), 1, "the next one goes on");
}

#[tokio::test(start_paused = true)]
async fn c1_a_write_on_its_way_while_the_account_is_renamed_is_recorded() {
    let world = world(21, GLOBAL, &[("img-1", false), ("img-2", false)]);
    let keyed = Keyed::new(&world, &[("a", "one"), ("b", "one")]);
    world.behave(Behaviour {
        latency: Duration::from_secs(4),
        ..Behaviour::default()
    });
    let policy = Policy {
        prune: Prune::Owned,
        ..Policy::default()
    };
    daemon(&keyed, policy, async |live| {
        live.load(named(&[("a", "img-1", true)])).await;
        // The observations of the region and of the image take four seconds each. After that, the write is in flight.
        live.until(|_| !world.ledger.intents().is_empty()).await;
        live.pass(1).await;
        live.load(named(&[("b", "img-1", true), ("b", "img-2", true)]))
            .await;
        live.pass(120).await;
        let shares = world.cloud().writes();
        assert_eq!(shares.len(), 2, "{shares:?}");
        // The share is certainly ours, and so the daemon prunes it like any other.
        live.load(named(&[("b", "img-2", true)])).await;
        live.pass(120).await;
        assert!(!world.cloud().is_shared(TOKYO, "img-1"));
    })
    .await;
}

/// The desired state of accounts that have keys and access points of their own, with one image to share in each of these
/// regions.
fn apart_accounts(world: &World, accounts: &[String], regions: &[&'static str]) -> Desired {
    let mut all = Vec::new();
    for account in accounts {
        for &region in regions {
            let image = format!("img-{account}");
            world.cloud().add(region, &image, false);
            all.push((account.as_str(), region, image, true));
        }
    }
    desired_of(all)
}

#[tokio::test(start_paused = true)]
async fn l2_more_scopes_than_there_are_passes_at_a_time_take_turns() {
    let world = World::new(31, REGIONAL);
    let names: Vec<_> = (0..6).map(|n| format!("a{n}")).collect();
    let wanted = apart_accounts(&world, &names, &regions(15));
    world.behave(Behaviour {
        uins: apart(&names),
        ..Behaviour::default()
    });
    let work = Reconciler {
        ledger: &world.ledger,
    };
    let (keys, settings) = (Apart(&world), settings(Policy::default()));
    run_connected(&world, &work, &keys, settings, async |live| {
        live.load(wanted.clone()).await;
        live.until(|_| world.cloud().writes().len() == wanted.images.len())
            .await;
        live.pass(600).await;
        assert_eq!(
            world.cloud().writes().len(),
            90,
            "each scope is written once"
        );
        let is_in_sync = |live: &Live<'_>| {
            live.publisher.board(|board| {
                let images = || {
                    board
                        .scopes()
                        .values()
                        .flat_map(|scope| scope.images.values())
                };
                images().count() == 90 && images().all(|image| image.ready.holds())
            })
        };
        assert!(is_in_sync(live));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn l2_an_account_whose_access_points_hang_delays_no_other() {
    let world = World::new(32, REGIONAL);
    let names = ["hung".to_owned(), "zebra".to_owned()];
    // The accounts have no region in common. In a common region, STS would first be asked whether they are two accounts.
    let all = regions(15);
    let (healthy, hung) = all.split_first().expect("regions");
    let mut wanted = apart_accounts(&world, &names[..1], hung);
    let zebra = apart_accounts(&world, &names[1..], &[healthy]);
    wanted.images.extend(zebra.images);
    world.behave(Behaviour {
        uins: apart(&names),
        hung: vec!["hung".to_owned()],
        ..Behaviour::default()
    });
    let work = Reconciler {
        ledger: &world.ledger,
    };
    let (keys, settings) = (Apart(&world), settings(Policy::default()));
    run_connected(&world, &work, &keys, settings, async |live| {
        live.load(wanted.clone()).await;
        let took = live
            .until(|_| world.cloud().is_shared(healthy, "img-zebra"))
            .await;
        assert!(took <= 5, "{took} s");
        let calls = world.cloud().calls.borrow();
        let hung = calls.iter().filter(|call| call.answer == "hung");
        assert!(hung.count() > 0, "it was tried");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s6_a_rate_that_is_lowered_in_the_manifests_holds_from_then_on() {
    let world = World::new(33, REGIONAL);
    let wanted = |count: usize| {
        let images = (0..count).map(|n| (TOKYO, format!("img-{n:04}"), true));
        desired(images)
    };
    for n in 0..400 {
        world.cloud().add(TOKYO, &format!("img-{n:04}"), false);
    }
    reconciling(&world, async |live| {
        live.load(with_rate(wanted(100), 19)).await;
        live.pass(20).await;
        let before = world.cloud().writes().len();
        assert_eq!(before, 100);
        live.load(with_rate(wanted(400), 2)).await;
        live.pass(20).await;
        let lowered = world.cloud().writes().len() - before;
        assert!((20..=42).contains(&lowered), "{lowered} in 20 s");
    })
    .await;
}
