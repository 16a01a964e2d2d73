//! Tests which shares are cancelled, which are left alone and who owns them, over several runs with one
//! ledger. Time is paused, and other users change the simulated cloud as well.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::support::cloud::live::scope;
use crate::support::cloud::world::{Ended, GLOBAL, REGIONAL, World, id};
use crate::support::cloud::{Behaviour, Fault, desired};
use sharekeeper::desired::{Desired, DesiredShare};
use sharekeeper::history::WriteResult;
use sharekeeper::host::Clock;
use sharekeeper::inventory::{InventoryNote, OwnershipState, Suspension};
use sharekeeper::model::{ImageId, ImageKey, Permission, Selector};
use sharekeeper::plan::{Policy, Prune};

const TOKYO: &str = "ap-tokyo";
const MINUTE: Duration = Duration::from_secs(60);

/// Manifests that declare images of Tokyo.
fn tokyo(images: &[(&str, bool)]) -> Desired {
    desired(
        images
            .iter()
            .map(|(image, shared)| (TOKYO, (*image).to_owned(), *shared)),
    )
}

fn key(region: &str, image: &str) -> ImageKey {
    ImageKey {
        scope: scope(region),
        image: ImageId::new(image).expect("an id"),
    }
}

fn prune(prune: Prune) -> Policy {
    Policy {
        prune,
        ..Policy::DEFAULT
    }
}

/// A policy that prunes all shares that we own, whatever their number.
const PRUNE_ALL_OURS: Policy = Policy {
    prune: Prune::Owned,
    max_cancels: 1000,
    max_cancels_percent: 100,
    ..Policy::DEFAULT
};

impl World {
    fn ownership(&self, image: &str) -> Option<OwnershipState> {
        let record = self.ledger.record(&key(TOKYO, image))?;
        Some(record.owned?.ownership)
    }

    fn is_shared(&self, image: &str) -> bool {
        self.cloud().is_shared(TOKYO, image)
    }

    /// Images for which a CANCEL was sent.
    fn cancels(&self) -> Vec<String> {
        let writes = self.cloud().writes().into_iter();
        let cancels = writes.filter(|call| call.body["Permission"] == "CANCEL");
        cancels
            .map(|call| call.body["ImageId"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// S9: every write that arrived was recorded exactly once, and every write that is recorded as answered
    /// arrived.
    fn assert_each_write_was_recorded(&self, which: &dyn std::fmt::Display) {
        let mut counts: BTreeMap<_, (usize, usize, usize)> = BTreeMap::new();
        for intent in self.ledger.intents() {
            counts.entry((intent.key, intent.permission)).or_default().0 += 1;
        }
        for outcome in self.ledger.outcomes() {
            let counts = counts.entry((outcome.key, outcome.permission)).or_default();
            match outcome.result {
                WriteResult::NotSent => counts.0 -= 1,
                _ => counts.1 += 1,
            }
        }
        for call in self.cloud().writes() {
            let image = call.body["ImageId"].as_str().expect("an id");
            let permission = match call.body["Permission"].as_str() {
                Some("SHARE") => Permission::Share,
                _ => Permission::Cancel,
            };
            let counts = counts
                .entry((key(&call.region, image), permission))
                .or_default();
            counts.2 += usize::from(call.answer != "NotSent");
        }
        for (write, (intents, answers, arrived)) in counts {
            assert!(
                answers <= arrived && arrived <= intents,
                "{which}: {write:?}: {intents} intents, {arrived} arrived, {answers} answered"
            );
        }
    }
}

/// Tokyo after a first run: `img-keep` and `img-drop` are ours, `img-found` was shared by somebody else
/// before a manifest named it, and `img-foreign` is named by no manifest.
async fn settled() -> World {
    let world = World::new(1, REGIONAL);
    for (image, shared) in [
        ("img-keep", false),
        ("img-drop", false),
        ("img-found", true),
        ("img-foreign", true),
    ] {
        world.cloud().add(TOKYO, image, shared);
    }
    let wanted = tokyo(&[("img-keep", true), ("img-drop", true), ("img-found", true)]);
    assert_eq!(world.reconcile(&wanted).await.exit(), 0);
    assert_eq!(world.cloud().writes().len(), 2);
    world.pass(MINUTE).await;
    world
}

/// The manifests after everything except `img-keep` was removed.
fn kept() -> Desired {
    tokyo(&[("img-keep", true)])
}

#[tokio::test(start_paused = true)]
async fn s1_what_no_manifest_names_is_pruned_as_far_as_asked_and_no_further() {
    for (mode, cancelled) in [
        (Prune::None, &[][..]),
        (Prune::Owned, &["img-drop"][..]),
        (
            Prune::Exclusive,
            &["img-drop", "img-foreign", "img-found"][..],
        ),
    ] {
        let world = settled().await;
        for _ in 0..3 {
            let ended = world.reconcile_under(&kept(), &prune(mode)).await;
            assert_eq!(ended.exit(), 0, "{mode:?}: {:#}", ended.json);
            world.pass(15 * MINUTE).await;
        }
        assert_eq!(world.cancels(), cancelled, "{mode:?}");
        assert!(world.is_shared("img-keep"));
        assert_eq!(
            world.ownership("img-keep"),
            Some(OwnershipState::Acknowledged)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s1_an_unshared_image_that_is_declared_so_needs_no_pruning() {
    let world = settled().await;
    let wanted = tokyo(&[("img-keep", true), ("img-foreign", false)]);
    assert_eq!(world.reconcile(&wanted).await.exit(), 0);
    assert_eq!(world.cancels(), ["img-foreign"]);
}

#[tokio::test(start_paused = true)]
async fn protection_that_goes_with_its_entry_still_withholds() {
    let world = settled().await;
    let mut wanted = tokyo(&[("img-keep", true), ("img-drop", true)]);
    for image in wanted.images.values_mut() {
        image.protect = true;
    }
    world.reconcile(&wanted).await;
    for mode in [Prune::Owned, Prune::Exclusive] {
        let ended = world.reconcile_under(&kept(), &prune(mode)).await;
        assert_eq!(ended.exit(), 3, "{:#}", ended.json);
        assert!(ended.message("img-drop").contains("was protected"));
        assert!(world.is_shared("img-drop"));
    }
    let unprotected = tokyo(&[("img-keep", true), ("img-drop", true)]);
    world.reconcile(&unprotected).await;
    world.reconcile_under(&kept(), &prune(Prune::Owned)).await;
    assert!(!world.is_shared("img-drop"), "a manifest has let it go");
}

#[tokio::test(start_paused = true)]
async fn s7_a_cap_that_trips_withholds_every_cancel_of_its_scope_and_no_other() {
    let world = World::new(2, REGIONAL);
    let mut first = Vec::new();
    for (region, ids) in [(TOKYO, 0..12), ("ap-seoul", 12..24)] {
        for n in ids {
            world.cloud().add(region, &id(n), false);
            first.push((region, id(n), true));
        }
        world.cloud().add(region, "img-new", false);
        world.cloud().add(region, "img-old", true);
    }
    assert_eq!(world.reconcile(&desired(first)).await.exit(), 0);
    // Tokyo keeps one of twelve images, and Seoul keeps all except two.
    let second = [
        (TOKYO, id(0), true),
        (TOKYO, "img-new".to_owned(), true),
        (TOKYO, "img-old".to_owned(), false),
        ("ap-seoul", "img-old".to_owned(), false),
    ];
    let second = desired(
        second
            .into_iter()
            .chain((12..22).map(|n| ("ap-seoul", id(n), true))),
    );
    let ended = world.reconcile_under(&second, &prune(Prune::Owned)).await;
    assert_eq!(ended.exit(), 3, "{:#}", ended.json["summary"]);
    assert!(ended.message(&id(5)).contains("--max-cancels 11"));
    assert!((0..12).all(|n| world.is_shared(&id(n))), "not even a few");
    assert!(world.is_shared("img-old"), "not even what is declared");
    assert!(world.is_shared("img-new"), "SHARE goes on");
    for gone in ["img-0022", "img-0023", "img-old"] {
        assert!(
            !world.cloud().is_shared("ap-seoul", gone),
            "{gone} of another scope"
        );
    }
    let named = Policy {
        max_cancels: 11,
        max_cancels_percent: 100,
        ..prune(Prune::Owned)
    };
    assert_eq!(world.reconcile_under(&second, &named).await.exit(), 0);
    assert!((1..12).all(|n| !world.is_shared(&id(n))));
}

#[tokio::test(start_paused = true)]
async fn s7_the_cap_holds_for_a_run_not_for_each_observation() {
    let world = World::new(3, REGIONAL);
    for n in 0..4 {
        world.cloud().add(TOKYO, &id(n), true);
    }
    world.cloud().add(TOKYO, "img-keep", true);
    let policy = Policy {
        max_cancels: 3,
        ..prune(Prune::Exclusive)
    };
    world.cloud().external_change(TOKYO, &id(3), false);
    let others = async {
        world.pass(Duration::from_millis(150)).await;
        world.cloud().external_change(TOKYO, &id(3), true);
    };
    let wanted = kept();
    let (ended, ()) = futures_util::join!(world.reconcile_under(&wanted, &policy), others);
    assert_eq!(ended.exit(), 3, "{:#}", ended.json);
    assert!(ended.message(&id(3)).contains("--max-cancels 4"));
    assert_eq!(world.cancels().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a1_s2_page_three_of_seven_failing_cancels_nothing_even_if_all_may_go() {
    let world = World::new(4, REGIONAL);
    for n in 0..650 {
        world.cloud().add(TOKYO, &id(n), true);
    }
    world.cloud().add("ap-seoul", "img-foreign", true);
    world.behave(Behaviour {
        refuse: Box::new(|action, region, body| {
            let third = action == "DescribeBlueprints" && region == TOKYO && body["Offset"] == 200;
            third.then_some("FailedOperation.DescribeBlueprintsFailed")
        }),
        ..Behaviour::default()
    });
    let wanted = desired([
        (TOKYO, id(0), true),
        (TOKYO, id(1), false),
        ("ap-seoul", "img-gone".to_owned(), false),
    ]);
    let policy = Policy {
        prune: Prune::Exclusive,
        ..PRUNE_ALL_OURS
    };
    let ended = world.reconcile_under(&wanted, &policy).await;
    assert_eq!(ended.exit(), 4, "{:#}", ended.json["summary"]);
    assert_eq!(world.cancels(), ["img-foreign"], "the other scope goes on");
}

#[tokio::test(start_paused = true)]
async fn s10_a8_already_shared_is_success_but_not_ownership() {
    let world = World::new(5, REGIONAL);
    world.cloud().add(TOKYO, "img-keep", true);
    world.cloud().add(TOKYO, "img-drop", false);
    let somebody = async {
        // The change happens after the observation, and before the write arrives.
        world.pass(Duration::from_millis(170)).await;
        world.cloud().external_change(TOKYO, "img-drop", true);
    };
    let wanted = tokyo(&[("img-keep", true), ("img-drop", true)]);
    let (ended, ()) = futures_util::join!(world.reconcile(&wanted), somebody);
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    assert_eq!(
        world.ledger.outcomes()[0].result,
        WriteResult::AlreadyShared
    );
    assert_eq!(world.ownership("img-drop"), None);
    let ended = world.reconcile_under(&kept(), &PRUNE_ALL_OURS).await;
    assert_eq!((ended.exit(), world.cancels()), (0, vec![]));
}

/// Loses the answer to the first SHARE, which takes effect.
fn first_answer_lost() -> Behaviour {
    let lost = Cell::new(false);
    Behaviour {
        fault: Box::new(move |action, _, _| {
            let first = action.starts_with("Modify") && !lost.replace(true);
            first.then_some(Fault::LostAfter)
        }),
        ..Behaviour::default()
    }
}

#[tokio::test(start_paused = true)]
async fn s10_t2_a_share_whose_answer_was_lost_is_probably_ours_and_not_pruned() {
    let world = World::new(6, REGIONAL);
    world.cloud().add(TOKYO, "img-drop", false);
    world.cloud().add(TOKYO, "img-keep", true);
    world.behave(first_answer_lost());
    let wanted = tokyo(&[("img-keep", true), ("img-drop", true)]);
    assert_eq!(world.reconcile(&wanted).await.exit(), 0);
    assert_eq!(world.cloud().writes().len(), 1);
    assert_eq!(world.ownership("img-drop"), Some(OwnershipState::Probable));
    let ended = world.reconcile_under(&kept(), &PRUNE_ALL_OURS).await;
    assert_eq!(ended.exit(), 3);
    assert!(ended.message("img-drop").contains("probably"));
    assert_eq!(world.cancels(), [""; 0]);
    let declared = tokyo(&[("img-keep", true), ("img-drop", false)]);
    assert_eq!(world.reconcile(&declared).await.exit(), 0);
    assert!(!world.is_shared("img-drop"), "a manifest says so");
}

#[tokio::test(start_paused = true)]
async fn a13_s10_an_error_that_leaves_the_outcome_open_is_like_a_lost_answer() {
    let world = World::new(16, REGIONAL);
    world.cloud().add(TOKYO, "img-keep", false);
    let (context, failed) = (Rc::clone(&world.context), Cell::new(false));
    world.behave(Behaviour {
        refuse: Box::new(move |action, _, _| {
            let fails = action.starts_with("Modify") && !failed.replace(true);
            if fails {
                context.host.external_change(TOKYO, "img-keep", true);
            }
            fails.then_some("FailedOperation.ImageOperationFailed")
        }),
        ..Behaviour::default()
    });
    assert_eq!(world.reconcile(&kept()).await.exit(), 0);
    assert_eq!(
        world.cloud().writes().len(),
        1,
        "it shows, in spite of the error"
    );
    assert_eq!(world.ownership("img-keep"), Some(OwnershipState::Probable));
}

#[tokio::test(start_paused = true)]
async fn s10_a_lost_answer_proves_nothing_where_nothing_was_seen_before() {
    let world = World::new(17, REGIONAL);
    world.cloud().add(TOKYO, "img-keep", false);
    let denied = |action: &str, _: &str, _: &serde_json::Value| {
        (action == "DescribeBlueprints").then_some("UnauthorizedOperation.NoPermission")
    };
    world.behave(Behaviour {
        refuse: Box::new(denied),
        ..first_answer_lost()
    });
    assert_eq!(world.reconcile(&kept()).await.exit(), 0);
    world.behave(Behaviour::default());
    assert_eq!(world.reconcile(&kept()).await.exit(), 0);
    assert!(world.is_shared("img-keep"));
    assert_eq!(world.ownership("img-keep"), None);
}

#[tokio::test(start_paused = true)]
async fn s9_s10_a_repair_whose_answer_was_lost_is_still_probably_ours() {
    let world = settled().await;
    world.cloud().external_change(TOKYO, "img-drop", false);
    world.behave(first_answer_lost());
    let wanted = tokyo(&[("img-keep", true), ("img-drop", true)]);
    assert_eq!(world.reconcile(&wanted).await.exit(), 0);
    assert_eq!(world.ownership("img-drop"), Some(OwnershipState::Probable));
    let notes = world.ledger.notes.borrow();
    assert!(notes.is_empty(), "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn d11_what_somebody_else_shared_anew_is_theirs() {
    let world = settled().await;
    world.cloud().external_change(TOKYO, "img-drop", false);
    world.cloud().external_change(TOKYO, "img-drop", true);
    let ended = world.reconcile_under(&kept(), &PRUNE_ALL_OURS).await;
    assert_eq!((ended.exit(), world.cancels()), (3, vec![]));
    world.pass(11 * MINUTE).await;
    let ended = world.reconcile_under(&kept(), &PRUNE_ALL_OURS).await;
    assert_eq!((ended.exit(), world.cancels()), (0, vec![]));
    assert!(matches!(
        &world.ledger.notes.borrow()[..],
        [(_, InventoryNote::Released(_))]
    ));
}

#[tokio::test(start_paused = true)]
async fn s11_a_row_that_a_listing_skips_is_not_forgotten() {
    let world = settled().await;
    let left = Cell::new(1);
    world.behave(Behaviour {
        tamper: Box::new(move |_, _, page| {
            if left.replace(0) == 1 {
                let rows = page["BlueprintSet"].as_array_mut().expect("a list");
                rows.retain(|row| row["ImageId"] != "img-drop");
                page["TotalCount"] = rows.len().into();
            }
        }),
        ..Behaviour::default()
    });
    world.reconcile_under(&kept(), &PRUNE_ALL_OURS).await;
    assert!(world.is_shared("img-drop"), "it did not show");
    world.pass(60 * MINUTE).await;
    world.reconcile_under(&kept(), &PRUNE_ALL_OURS).await;
    assert!(!world.is_shared("img-drop"), "it is still ours");
}

#[tokio::test(start_paused = true)]
async fn s11_a_share_that_is_gone_for_ten_minutes_is_no_longer_owned() {
    let world = settled().await;
    world.cloud().external_change(TOKYO, "img-drop", false);
    for _ in 0..3 {
        assert_eq!(
            world.ownership("img-drop"),
            Some(OwnershipState::Acknowledged)
        );
        world.reconcile(&kept()).await;
        world.pass(5 * MINUTE).await;
    }
    assert_eq!(world.ownership("img-drop"), None);
    world.cloud().external_change(TOKYO, "img-drop", true);
    world.reconcile_under(&kept(), &PRUNE_ALL_OURS).await;
    assert_eq!(world.cancels(), [""; 0]);
}

/// Twelve images of ours, and the manifests that declare them.
async fn twelve(seed: u64) -> (World, Desired) {
    let world = World::new(seed, REGIONAL);
    let wanted = desired((0..12).map(|n| (TOKYO, id(n), true)));
    for n in 0..12 {
        world.cloud().add(TOKYO, &id(n), false);
    }
    world.cloud().add(TOKYO, "img-old", true);
    assert_eq!(world.reconcile(&wanted).await.exit(), 0);
    world.pass(MINUTE).await;
    (world, wanted)
}

/// Until `until`, every listing succeeds and is empty.
fn blank_until(world: &World, until: Duration) -> Behaviour {
    let context = Rc::clone(&world.context);
    let until = world.cloud().monotonic() + until;
    Behaviour {
        tamper: Box::new(move |_, _, page| {
            if context.host.monotonic() < until {
                *page = serde_json::json!({"TotalCount": 0, "BlueprintSet": [], "RequestId": "r"});
            }
        }),
        ..Behaviour::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a4_s7_a_suddenly_empty_list_holds_all_until_a_person_decides() {
    let (world, wanted) = twelve(7).await;
    let before = world.cloud().writes().len();
    for n in 0..12 {
        world.cloud().external_change(TOKYO, &id(n), false);
    }
    let ended = world
        .reconcile_under(&wanted, &prune(Prune::Exclusive))
        .await;
    assert_eq!(ended.exit(), 3, "{:#}", ended.json);
    assert!(
        ended
            .message(&id(0))
            .contains("--accept-lost default/ap-tokyo=12")
    );
    assert_eq!(world.cloud().writes().len(), before);
    assert!(
        ended.took >= Duration::from_secs(10),
        "it observes again first"
    );
    for other in [11, 13] {
        let not_exactly = Policy {
            accept_lost: [(scope(TOKYO), other)].into_iter().collect(),
            ..Policy::DEFAULT
        };
        let ended = world.reconcile_under(&wanted, &not_exactly).await;
        assert_eq!(ended.exit(), 3, "{other}");
    }
    assert_eq!(world.cloud().writes().len(), before);
    let accepted = Policy {
        accept_lost: [(scope(TOKYO), 12)].into_iter().collect(),
        ..Policy::DEFAULT
    };
    assert_eq!(world.reconcile_under(&wanted, &accepted).await.exit(), 0);
    assert!((0..12).all(|n| world.is_shared(&id(n))));
}

#[tokio::test(start_paused = true)]
async fn a4_a_list_that_was_empty_for_a_moment_costs_nothing() {
    let (world, wanted) = twelve(8).await;
    let before = world.cloud().writes().len();
    world.behave(blank_until(&world, Duration::from_secs(8)));
    let ended = world.reconcile_under(&wanted, &prune(Prune::Owned)).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
    assert_eq!(world.cloud().writes().len(), before);
}

#[tokio::test(start_paused = true)]
async fn a4_a_loss_withholds_cancels_of_what_is_left() {
    let (world, _) = twelve(9).await;
    for n in 0..4 {
        world.cloud().external_change(TOKYO, &id(n), false);
    }
    let rest = desired((0..11).map(|n| (TOKYO, id(n), true)).chain([(
        TOKYO,
        "img-old".to_owned(),
        false,
    )]));
    let ended = world.reconcile_under(&rest, &prune(Prune::Owned)).await;
    assert_eq!(ended.exit(), 3, "{:#}", ended.json);
    assert_eq!(world.cancels(), [""; 0]);
    assert!(ended.message(&id(11)).contains("4 of 12"));
}

#[tokio::test(start_paused = true)]
async fn a22_s20_after_two_reversals_the_image_is_parked_and_reported() {
    // The result does not depend on the age of the share.
    for stood in [MINUTE, 300 * MINUTE] {
        let world = World::new(10, REGIONAL);
        world.cloud().add(TOKYO, "img-keep", false);
        let mut repaired = Vec::new();
        for round in 0..6 {
            let ended = world.reconcile(&kept()).await;
            repaired.push(ended.exit());
            world
                .pass(if round == 0 { stood } else { 5 * MINUTE })
                .await;
            if world.is_shared("img-keep") {
                world.cloud().external_change(TOKYO, "img-keep", false);
            }
        }
        assert_eq!(
            repaired,
            [0, 0, 0, 3, 3, 3],
            "shared, repaired twice, parked"
        );
        assert_eq!(world.cloud().writes().len(), 3);
        let notes = world.ledger.notes.borrow();
        let parked = notes
            .iter()
            .filter(|(_, note)| matches!(note, InventoryNote::Parked(_)));
        assert_eq!(parked.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a22_s20_what_somebody_keeps_sharing_anew_is_pruned_three_times_at_most() {
    let world = World::new(11, REGIONAL);
    world.cloud().add(TOKYO, "img-keep", true);
    world.cloud().add(TOKYO, "img-foreign", true);
    let mut exits = Vec::new();
    for _ in 0..6 {
        let ended = world
            .reconcile_under(&kept(), &prune(Prune::Exclusive))
            .await;
        exits.push(ended.exit());
        world.pass(5 * MINUTE).await;
        if !world.is_shared("img-foreign") {
            world.cloud().external_change(TOKYO, "img-foreign", true);
        }
    }
    assert_eq!(exits, [0, 0, 0, 3, 3, 3]);
    assert_eq!(world.cancels().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn s20_two_controllers_that_disagree_stop_fighting() {
    let world = World::new(12, REGIONAL);
    let other = world.beside();
    world.cloud().add(TOKYO, "img-keep", false);
    let (shares, cancels) = (kept(), tokyo(&[("img-keep", false)]));
    let mut exits = Vec::new();
    for _ in 0..8 {
        exits.push(world.reconcile(&shares).await.exit());
        world.pass(MINUTE).await;
        exits.push(other.reconcile(&cancels).await.exit());
        world.pass(MINUTE).await;
    }
    assert_eq!(world.cloud().writes().len(), 6, "three each");
    assert_eq!(exits[8..], [3, 0, 3, 0, 3, 0, 3, 0], "one has parked it");
}

#[tokio::test(start_paused = true)]
async fn s20_two_controllers_that_agree_do_not_notice_each_other() {
    let world = World::new(13, REGIONAL);
    let other = world.beside();
    let wanted = desired((0..12).map(|n| (TOKYO, id(n), true)));
    for n in 0..12 {
        world.cloud().add(TOKYO, &id(n), false);
    }
    let (one, two) = futures_util::join!(world.reconcile(&wanted), other.reconcile(&wanted));
    assert_eq!((one.exit(), two.exit()), (0, 0));
    let owners = |n| {
        let image = id(n);
        let owners = [&world, &other].map(|world| world.ownership(&image));
        owners.into_iter().flatten().count()
    };
    assert!((0..12).all(|n| owners(n) == 1), "each share is one's own");
    let before = world.cloud().writes().len();
    for _ in 0..3 {
        futures_util::join!(world.reconcile(&wanted), other.reconcile(&wanted));
        world.pass(10 * MINUTE).await;
    }
    assert_eq!(world.cloud().writes().len(), before);
}

#[tokio::test(start_paused = true)]
async fn s9_d1_a_full_disk_lets_no_call_leave() {
    let world = settled().await;
    world.cloud().add(TOKYO, "img-new", false);
    let wanted = tokyo(&[("img-keep", true), ("img-new", true), ("img-found", false)]);
    let before = world.cloud().writes().len();
    world.ledger.full.set(true);
    let ended = world.reconcile_under(&wanted, &PRUNE_ALL_OURS).await;
    assert_eq!(ended.exit(), 4, "{:#}", ended.json);
    assert!(ended.message("img-new").contains("no space left"));
    assert_eq!(world.cloud().writes().len(), before);
    world.ledger.full.set(false);
    let ended = world.reconcile_under(&wanted, &PRUNE_ALL_OURS).await;
    assert_eq!(ended.exit(), 0, "{:#}", ended.json);
}

/// A hundred images to be shared, which takes five seconds.
fn hundred(world: &World) -> Desired {
    for n in 0..100 {
        world.cloud().add(TOKYO, &id(n), false);
    }
    desired((0..100).map(|n| (TOKYO, id(n), true)))
}

#[tokio::test(start_paused = true)]
async fn s9_d1_a_disk_that_fills_up_during_a_run_stops_the_next_call() {
    let world = World::new(14, REGIONAL);
    let wanted = hundred(&world);
    let fills_up = async {
        world.pass(Duration::from_secs(2)).await;
        world.ledger.full.set(true);
        world.ledger.intents().len()
    };
    let (ended, intents) = futures_util::join!(world.reconcile(&wanted), fills_up);
    assert_eq!(ended.exit(), 4);
    assert!(world.cloud().writes().len() <= intents, "each was recorded");
    world.ledger.full.set(false);
    assert_eq!(world.reconcile(&wanted).await.exit(), 0);
}

#[tokio::test(start_paused = true)]
async fn p5_a_suspension_made_during_a_run_stops_the_very_next_write() {
    let world = World::new(15, REGIONAL);
    let wanted = hundred(&world);
    let start = world.cloud().now();
    let suspends = async {
        world.pass(Duration::from_secs(2)).await;
        world.ledger.suspensions.borrow_mut().push(Suspension {
            id: 1,
            reason: "a launch".into(),
            until: Some(start + 5 * MINUTE),
            since: start,
            by: "me@here".into(),
            selector: Selector::default(),
        });
        world.ledger.intents().len()
    };
    let (ended, intents) = futures_util::join!(world.reconcile(&wanted), suspends);
    assert_eq!(ended.exit(), 3, "{:#}", ended.json["summary"]);
    assert!(ended.message(&id(99)).contains("a launch"));
    assert_eq!(world.ledger.intents().len(), intents);
    let writes = world.cloud().writes().len();
    assert!(writes <= intents && writes > 20, "{writes}");
    world.pass(5 * MINUTE).await;
    assert_eq!(
        world.reconcile(&wanted).await.exit(),
        0,
        "it ends by itself"
    );
}

/// Twenty images in two regions under faults. Runs are killed at any moment, writes arrive after their sender
/// has died, and somebody else shares one of our images anew. Every fifth image is owned by somebody else.
struct Killed {
    world: World,
    rng: fastrand::Rng,
    seed: u64,
}

const REGIONS: [&str; 2] = [TOKYO, "ap-seoul"];

fn is_foreign(n: usize) -> bool {
    n.is_multiple_of(5)
}

/// The image that another team takes from us.
const TAKEN: usize = 3;

impl Killed {
    fn new(seed: u64) -> Self {
        let world = World::new(
            seed,
            if seed.is_multiple_of(2) {
                REGIONAL
            } else {
                GLOBAL
            },
        );
        for region in REGIONS {
            for n in 0..10 {
                world.cloud().add(region, &id(n), is_foreign(n));
            }
        }
        world.behave(Behaviour {
            fault: Box::new(|_, _, rng| {
                (rng.f64() < 0.1).then(|| Fault::ALL[rng.usize(..Fault::ALL.len())])
            }),
            lag: Duration::from_millis(seed % 4 * 400),
            straggling: Duration::from_secs(seed % 3),
            ..Behaviour::default()
        });
        let rng = fastrand::Rng::with_seed(seed);
        Self { world, rng, seed }
    }

    /// Manifests of our own images, each in the state that `state` returns; `None` means that no manifest
    /// names it.
    fn wanted(state: impl Fn(usize) -> Option<bool>) -> Desired {
        let images = REGIONS
            .into_iter()
            .flat_map(|region| (0..10).map(move |n| (region, n)));
        let ours = images.filter(|(_, n)| !is_foreign(*n));
        desired(ours.filter_map(|(region, n)| Some((region, id(n), state(n)?))))
    }

    /// A random time in milliseconds, where short times are more likely.
    fn while_up_to(&mut self, most: [u64; 3]) -> Duration {
        let most = most[self.rng.usize(..most.len())];
        Duration::from_millis(self.rng.u64(..most))
    }

    /// One to four runs, each of which is killed after a random time and followed by a random pause.
    async fn runs(&mut self, wanted: &Desired) {
        for _ in 0..self.rng.usize(1..5) {
            let life = self.while_up_to([1_000, 3_000, 12_000]);
            tokio::select! {
                biased;
                () = self.world.pass(life) => {}
                _ = self.world.reconcile_under(wanted, &PRUNE_ALL_OURS) => {}
            }
            self.world.assert_each_write_was_recorded(&self.seed);
            let pause = self.while_up_to([10, 5_000, 60_000]);
            self.world.pass(pause).await;
        }
    }

    /// Another team cancels one of our shares, and then shares the image as its own.
    fn take(&self) {
        for region in REGIONS {
            let cloud = self.world.cloud();
            if cloud.is_shared(region, &id(TAKEN)) {
                cloud.external_change(region, &id(TAKEN), false);
            }
            cloud.external_change(region, &id(TAKEN), true);
        }
    }

    /// Reconciles without faults until no action is left.
    async fn at_last(&self, wanted: &Desired) -> Ended {
        self.world.behave(Behaviour::default());
        self.world.pass(MINUTE).await;
        self.world.reconcile_under(wanted, &PRUNE_ALL_OURS).await;
        // After this time, a share with another blueprint is known to be owned by somebody else.
        self.world.pass(11 * MINUTE).await;
        self.world.reconcile_under(wanted, &PRUNE_ALL_OURS).await
    }
}

async fn killed(seed: u64) {
    let mut killed = Killed::new(seed);
    killed.runs(&Killed::wanted(|_| Some(true))).await;
    // All writes have arrived and are visible by then. A program that observes before it writes cannot
    // prevent an earlier race.
    killed.world.pass(Duration::from_secs(20)).await;
    killed.take();
    killed.world.pass(Duration::from_secs(2)).await;
    // Half of the images stay, a quarter is declared unshared, and the manifests no longer name the rest.
    let state = |n: usize| match n {
        1 | 2 | 4 | 6 => Some(true),
        7 | 8 => Some(false),
        _ => None,
    };
    let wanted = Killed::wanted(state);
    killed.runs(&wanted).await;
    let ended = killed.at_last(&wanted).await;
    let world = &killed.world;
    let probable = |region: &str, n| {
        let record = world.ledger.record(&key(region, &id(n)));
        let owned = record.and_then(|record| record.owned);
        owned.is_some_and(|owned| owned.ownership == OwnershipState::Probable)
    };
    let mut withheld = 0;
    for (region, n) in REGIONS
        .into_iter()
        .flat_map(|region| (0..10).map(move |n| (region, n)))
    {
        let is = world.cloud().is_shared(region, &id(n));
        match state(n) {
            Some(should) => assert_eq!(is, should, "seed {seed}: {region} {n}"),
            None if is_foreign(n) || n == TAKEN => {
                assert!(is, "seed {seed}: {region} {n} was theirs")
            }
            None => assert!(
                !is || probable(region, n),
                "seed {seed}: {region} {n} was ours"
            ),
        }
        withheld += usize::from(state(n).is_none() && is && probable(region, n));
    }
    let exit = if withheld > 0 { 3 } else { 0 };
    assert_eq!(ended.exit(), exit, "seed {seed}: {:#}", ended.json);
    for cancelled in world.cloud().cancelled.borrow().iter() {
        let declared = wanted.images.get(&key(&cancelled.region, &cancelled.image));
        let declared = declared.is_some_and(|image| image.share == DesiredShare::Unshared);
        assert!(cancelled.ours || declared, "seed {seed}: {cancelled:?}");
    }
    world.assert_each_write_was_recorded(&seed);
    let (writes, changes) = (world.cloud().writes().len(), world.ledger.changes.get());
    world.pass(MINUTE).await;
    world.reconcile_under(&wanted, &PRUNE_ALL_OURS).await;
    let after = (world.cloud().writes().len(), world.ledger.changes.get());
    assert_eq!(after, (writes, changes), "seed {seed}: S17");
}

#[tokio::test(start_paused = true)]
async fn s1_s9_l1_p7_killed_runs_converge_and_cancel_nothing_of_others() {
    for seed in 0..300 {
        killed(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn s9_p7_wherever_a_run_is_killed_the_next_one_takes_each_step_once() {
    for life in (0..1_200).step_by(10).map(Duration::from_millis) {
        for straggling in [0, 1].map(Duration::from_secs) {
            let world = settled().await;
            world.cloud().add(TOKYO, "img-new", false);
            world.behave(Behaviour {
                straggling,
                ..Behaviour::default()
            });
            let before = world.cloud().writes().len();
            let wanted = tokyo(&[("img-keep", true), ("img-new", true), ("img-found", false)]);
            tokio::select! {
                biased;
                () = world.pass(life) => {}
                _ = world.reconcile_under(&wanted, &PRUNE_ALL_OURS) => {}
            }
            let ended = world.reconcile_under(&wanted, &PRUNE_ALL_OURS).await;
            assert_eq!(ended.exit(), 0, "{life:?}: {:#}", ended.json);
            world.pass(MINUTE).await;
            world.assert_each_write_was_recorded(&life.as_millis());
            let writes = world.cloud().writes().split_off(before);
            let done = writes.iter().filter(|call| call.answer == "ok").count();
            assert_eq!((done, writes.len()), (3, 3), "{life:?}: {writes:#?}");
            assert!(world.is_shared("img-foreign"));
        }
    }
}
