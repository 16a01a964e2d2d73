//! Tests the guards for names and policies: images in use, caps of policies, and images that are not pruned.

use std::borrow::Cow;

use chrono::TimeDelta;

use super::*;
use crate::attempts::{AccountDoubt, LastResult};
use crate::desired::DocumentMetadata;
use crate::inventory::{Inventory, Suspension};
use crate::ledger::Attempt;
use crate::model::fixtures_tests::{at, image_id, img_a, tokyo};
use crate::model::{Clocks, Labels, Selector, Uin};
use crate::observation::{BlueprintState, Unobserved};
use crate::plan::fixtures_tests::{blueprint, no_instances, own, wanted};
use crate::plan::{Actual, Plan, Policy, ScopeAccount, needs_instances, needs_own_images, plan};
use crate::resolve::{ResolvedScope, ResolvedVerdict};
use crate::windows::Windows;

const RETENTION: DesiredShare = by_policy(Cause::Retention);
const REVOKED: DesiredShare = by_policy(Cause::Revoked);

const fn by_policy(cause: Cause) -> DesiredShare {
    DesiredShare::ByPolicy {
        state: ShareState::Unshared,
        cause,
    }
}

fn expired() -> DesiredShare {
    DesiredShare::Shared {
        from: None,
        until: Some(at(0) - TimeDelta::hours(1)),
    }
}

/// An observed scope and its desired state. Every image that is added is shared.
struct Scene {
    images: BTreeMap<ImageId, DesiredImage>,
    left_alone: BTreeSet<ImageId>,
    held: BTreeMap<ImageId, ResolvedVerdict>,
    prune_hold: Option<Arc<str>>,
    completeness: Completeness,
    account: ScopeAccount,
    seen: Seen,
    inventory: Inventory,
    attempts: AttemptLog,
    broken: BTreeMap<ImageId, Arc<str>>,
    /// Whether reading the shares is denied.
    is_denied: bool,
}

impl Scene {
    /// A scope without a desired state, whose region has no instances.
    fn new() -> Self {
        Self {
            images: BTreeMap::new(),
            left_alone: BTreeSet::new(),
            held: BTreeMap::new(),
            prune_hold: None,
            completeness: Completeness::Whole,
            account: ScopeAccount::default(),
            seen: Seen {
                own: own([]),
                instances: no_instances(),
                ..Seen::default()
            },
            inventory: Inventory::default(),
            attempts: AttemptLog::default(),
            broken: BTreeMap::new(),
            is_denied: false,
        }
    }

    /// One image with the desired `share`; `None`: no document names it.
    fn of(share: Option<DesiredShare>) -> Self {
        let mut scene = Self::new();
        scene.show(&img_a());
        if let Some(share) = share {
            scene.images.insert(img_a(), wanted(share));
        }
        scene
    }

    fn show(&mut self, image: &ImageId) {
        let shown = blueprint(&format!("lhbp-{image}"));
        self.seen.shared.insert(image.clone(), shown);
        let mut images = match std::mem::take(&mut self.seen.own) {
            OwnImages::Known(images) => images,
            OwnImages::NotAsked | OwnImages::Unknown(_) => BTreeMap::new(),
        };
        if let OwnImages::Known(new) = own([image.clone()]) {
            images.extend(new);
        }
        self.seen.own = OwnImages::Known(images);
    }

    /// Adds an image that is cancelled for `cause` if each of the policies agrees, given with its cap.
    fn cancel(&mut self, image: &ImageId, cause: Cause, policies: &[(&str, u32)]) {
        self.show(image);
        let bounds = CancelBounds {
            policies: policies
                .iter()
                .map(|(policy, max)| ((*policy).into(), *max))
                .collect(),
            ..CancelBounds::default()
        };
        let asked = DesiredImage {
            bounds: Some(bounds.into()),
            ..wanted(by_policy(cause))
        };
        self.images.insert(image.clone(), asked);
    }

    fn bound(&mut self, bounds: CancelBounds) {
        let image = self.images.get_mut(&img_a()).expect("something is asked");
        image.bounds = Some(bounds.into());
    }

    /// Marks the image as ours, by the API's answer.
    fn own(&mut self, protected: bool) {
        let entry = self.inventory.images.entry(img_a()).or_default();
        entry.record_acknowledged(Permission::Share, None, protected, at(0) - LAG);
        entry.writes.clear();
    }

    /// Records that this run has cancelled the image, which is not visible any longer.
    fn cancelled(&mut self, image: &ImageId) {
        self.seen.shared.remove(image);
        let last = LastResult::Acknowledged {
            at: Monotonic::default(),
            blueprint_id: None,
            request_id: None,
        };
        self.attempts
            .record(image.clone(), ShareState::Unshared, last);
    }

    /// Makes `lhins-1` and `lhins-2` use the blueprint of the image.
    fn use_it(&mut self, image: &ImageId) {
        let users = vec!["lhins-1".into(), "lhins-2".into()];
        let blueprint = self.seen.shared[image].id.clone();
        self.seen.instances = Instances::Known([(blueprint, users)].into());
    }

    fn plan(&self) -> Plan {
        let selector = Selector::default();
        let images = self.images.iter().collect();
        let mut desired = ResolvedScope::by_id(Cow::Owned(images), &selector, &self.completeness);
        desired.left_alone = self.left_alone.iter().collect();
        desired.held = self.held.iter().collect();
        desired.prune_hold = self.prune_hold.as_ref();
        desired.broken = self.broken.iter().collect();
        let observation = match self.is_denied {
            true => Observation::ReadDenied(Unobserved::new("denied")),
            false => Observation::Seen(self.seen.clone()),
        };
        plan(&Inputs {
            scope: &tokyo(),
            desired: &desired,
            account: &self.account,
            observation: &observation,
            inventory: &self.inventory,
            attempts: &self.attempts,
            windows: &Windows::default(),
            policy: &Policy {
                prune: Prune::Exclusive,
                ..Policy::default()
            },
            approved: None,
            clocks: Clocks::machine_only(at(0)),
            present: at(0).into(),
            monotonic: Monotonic::default(),
        })
    }

    fn decision(&self) -> Decision {
        self.plan().decisions[&img_a()].clone()
    }

    fn verdict(&self) -> Verdict {
        self.decision().verdict
    }
}

/// Longer than any read can lag.
const LAG: TimeDelta = TimeDelta::days(1);

fn withheld(why: Withheld) -> Verdict {
    Verdict::Withheld(why.into())
}

/// Every cause that can lead to a CANCEL.
fn cancels() -> [(Cause, Option<DesiredShare>); 5] {
    [
        (Cause::Declared, Some(DesiredShare::Unshared)),
        (Cause::Expired, Some(expired())),
        (Cause::Pruned, None),
        (Cause::Retention, Some(RETENTION)),
        (Cause::Revoked, Some(REVOKED)),
    ]
}

#[test]
fn n6_an_image_in_use_is_kept_unless_declared_unshared() {
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        assert_eq!(scene.decision().cause, cause);
        assert_eq!(scene.verdict(), Verdict::Act, "nothing uses it: {cause:?}");
        let another = image_id("img-b");
        scene.show(&another);
        scene.images.insert(
            another.clone(),
            wanted(DesiredShare::Shared {
                from: None,
                until: None,
            }),
        );
        scene.use_it(&another);
        assert_eq!(scene.verdict(), Verdict::Act, "another is used: {cause:?}");
        scene.use_it(&img_a());
        let users = vec!["lhins-1".into(), "lhins-2".into()];
        let plan = scene.plan();
        let (verdict, in_use) = match cause {
            Cause::Declared => (Verdict::Act, BTreeMap::from([(img_a(), users)])),
            _ => (withheld(Withheld::InUse(users)), BTreeMap::new()),
        };
        assert_eq!(plan.decisions[&img_a()].verdict, verdict, "{cause:?}");
        assert_eq!(plan.in_use, in_use, "{cause:?}");
    }
}

#[test]
fn n6_s25_unlisted_instances_may_use_any_image() {
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.seen.instances = Instances::Unknown("denied".into());
        let verdict = match cause {
            Cause::Declared => Verdict::Act,
            _ => withheld(Withheld::InUseUnknown("denied".into())),
        };
        assert_eq!(scene.verdict(), verdict, "{cause:?}");
    }
}

#[test]
fn a_declared_unshared_warns_of_the_instances_that_use_it() {
    let mut scene = Scene::of(Some(DesiredShare::Unshared));
    assert_eq!(scene.plan().warnings(), [""; 0]);
    scene.use_it(&img_a());
    let warnings = scene.plan().warnings();
    let [warning] = warnings.as_slice() else {
        panic!("one warning: {warnings:?}");
    };
    for part in [
        "img-a",
        "declared unshared",
        "2 instances",
        "lhins-1",
        "lhins-2",
    ] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    scene.images.get_mut(&img_a()).expect("it is named").protect = true;
    assert_eq!(scene.plan().warnings(), [""; 0], "it is not cancelled");
}

#[test]
fn in_use_cancel_and_force_let_a_policys_share_go() {
    for share in [RETENTION, REVOKED] {
        let mut scene = Scene::of(Some(share));
        scene.bound(CancelBounds {
            in_use: true,
            ..CancelBounds::default()
        });
        scene.use_it(&img_a());
        assert_eq!(scene.verdict(), Verdict::Act, "{share:?}");
        assert_eq!(
            scene.plan().in_use,
            BTreeMap::new(),
            "no document declared it"
        );
        scene.seen.instances = Instances::Unknown("denied".into());
        assert_eq!(scene.verdict(), Verdict::Act, "{share:?}");
    }
}

#[test]
fn instances_are_listed_only_before_an_otherwise_allowed_cancel() {
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.seen.instances = Instances::NotAsked;
        let plan = scene.plan();
        let verdict = withheld(Withheld::InstancesNotAsked);
        assert_eq!(plan.decisions[&img_a()].verdict, verdict, "{cause:?}");
        assert!(needs_instances(&plan), "{cause:?}");
        // If another guard forbids the action, instances do not matter.
        scene.own(true);
        let mut named = scene.images.values_mut();
        if let Some(image) = named.next() {
            image.protect = true;
        }
        let plan = scene.plan();
        assert!(!needs_instances(&plan), "{cause:?}: {plan:?}");
    }
    let mut scene = Scene::of(None);
    scene.seen.instances = Instances::NotAsked;
    scene.seen.own = OwnImages::NotAsked;
    let plan = scene.plan();
    assert!(
        needs_own_images(&plan) && !needs_instances(&plan),
        "first whether it is the account's own"
    );
    let mut scene = Scene::of(Some(DesiredShare::Unshared));
    scene.seen.shared.clear();
    scene.seen.instances = Instances::NotAsked;
    assert!(!needs_instances(&scene.plan()), "nothing is cancelled");
}

/// Which of the due images are cancelled.
fn going(scene: &Scene) -> Vec<String> {
    let plan = scene.plan();
    plan.actions()
        .map(|(image, ..)| image.to_string())
        .collect()
}

fn retired(count: usize, policies: &[(&str, u32)]) -> Scene {
    let mut scene = Scene::new();
    for n in 0..count {
        scene.cancel(&image_id(&format!("img-{n}")), Cause::Retention, policies);
    }
    scene
}

#[test]
fn a_cap_of_five_allows_five_cancels_and_none_of_six() {
    assert_eq!(going(&retired(5, &[("golden", 5)])).len(), 5);
    let scene = retired(6, &[("golden", 5)]);
    assert_eq!(going(&scene), [""; 0]);
    let cap = Withheld::PolicyCap(
        PolicyCap {
            policy: "golden".into(),
            cause: Cause::Retention,
            due: 6,
            max: 5,
        }
        .into(),
    );
    for decision in scene.plan().decisions.values() {
        assert_eq!(decision.verdict, withheld(cap.clone()));
    }
    assert_eq!(going(&retired(1, &[("golden", 0)])), [""; 0]);
}

#[test]
fn cancels_withheld_for_another_reason_do_not_count_for_a_cap() {
    let mut scene = retired(6, &[("golden", 5)]);
    scene.use_it(&image_id("img-3"));
    let rest = ["img-0", "img-1", "img-2", "img-4", "img-5"];
    assert_eq!(going(&scene), rest);
    scene.seen.instances = no_instances();
    scene
        .images
        .get_mut(&image_id("img-3"))
        .expect("due")
        .protect = true;
    assert_eq!(going(&scene), rest);
    // Declared CANCELs do not count either.
    let mut scene = retired(5, &[("golden", 5)]);
    scene.show(&image_id("img-5"));
    scene
        .images
        .insert(image_id("img-5"), wanted(DesiredShare::Unshared));
    assert_eq!(going(&scene).len(), 6);
}

#[test]
fn a_cap_holds_for_each_policy_and_cause_by_itself() {
    let mut scene = retired(2, &[("golden", 2)]);
    for image in ["img-r", "img-s"] {
        scene.cancel(&image_id(image), Cause::Revoked, &[("golden", 2)]);
    }
    for image in ["img-x", "img-y"] {
        scene.cancel(&image_id(image), Cause::Retention, &[("other", 2)]);
    }
    assert_eq!(going(&scene).len(), 6);
    scene.cancel(&image_id("img-t"), Cause::Revoked, &[("golden", 2)]);
    assert_eq!(going(&scene), ["img-0", "img-1", "img-x", "img-y"]);
}

#[test]
fn an_image_of_two_policies_counts_for_both_and_needs_both() {
    let mut scene = Scene::new();
    let both = [("golden", 1), ("other", 3)];
    scene.cancel(&image_id("img-a"), Cause::Retention, &both);
    scene.cancel(&image_id("img-b"), Cause::Retention, &[("other", 3)]);
    assert_eq!(going(&scene), ["img-a", "img-b"]);
    scene.cancel(&image_id("img-c"), Cause::Retention, &both);
    assert_eq!(going(&scene), ["img-b"], "golden allows one, two are due");
    scene.cancel(&image_id("img-d"), Cause::Retention, &[("other", 3)]);
    assert_eq!(going(&scene), [""; 0], "other allows three, four are due");
}

#[test]
fn a_policy_with_keep_owned_retires_no_share_of_others() {
    let mut scene = Scene::of(Some(RETENTION));
    scene.bound(CancelBounds {
        owned: true,
        ..CancelBounds::default()
    });
    assert_eq!(scene.verdict(), withheld(Withheld::NotOwnedByPolicy));
    scene.own(false);
    assert_eq!(scene.verdict(), Verdict::Act);
    let mut scene = Scene::of(Some(RETENTION));
    scene.bound(CancelBounds::default());
    assert_eq!(scene.verdict(), Verdict::Act, "whoever shared it");
}

#[test]
fn s7_a_cap_counts_what_this_run_has_cancelled_for_the_same_cause() {
    let mut scene = retired(6, &[("golden", 5)]);
    for n in 0..3 {
        scene.cancelled(&image_id(&format!("img-{n}")));
    }
    assert_eq!(going(&scene), [""; 0], "three of six are cancelled");
    let cap = PolicyCap {
        policy: "golden".into(),
        cause: Cause::Retention,
        due: 6,
        max: 5,
    };
    let verdict = &scene.plan().decisions[&image_id("img-3")].verdict;
    assert_eq!(*verdict, withheld(Withheld::PolicyCap(cap.into())));
    // CANCELs for another cause or another policy do not count.
    for (cause, policy) in [(Cause::Revoked, "golden"), (Cause::Retention, "other")] {
        let mut scene = retired(5, &[("golden", 5)]);
        for n in 5..9 {
            let image = image_id(&format!("img-{n}"));
            scene.cancel(&image, cause, &[(policy, 5)]);
            scene.cancelled(&image);
        }
        assert_eq!(going(&scene).len(), 5, "{cause:?} of {policy}");
    }
    let mut within = retired(5, &[("golden", 5)]);
    within.cancelled(&image_id("img-0"));
    assert_eq!(going(&within).len(), 4, "five in all");
}

#[test]
fn s10_shares_in_doubt_are_not_a_policys_own() {
    let mut scene = Scene::of(Some(RETENTION));
    scene.bound(CancelBounds {
        owned: true,
        ..CancelBounds::default()
    });
    scene.own(false);
    assert_eq!(scene.verdict(), Verdict::Act);
    let in_doubt = |doubt: fn(&mut OwnedShare)| {
        let mut inventory = scene.inventory.clone();
        let entry = inventory.images.get_mut(&img_a()).expect("it is known");
        doubt(entry.owned.as_mut().expect("it is ours"));
        inventory
    };
    let disputed = in_doubt(|owned| owned.disputed_since = Some(at(0)));
    let probable = in_doubt(|owned| owned.ownership = OwnershipState::Probable);
    for (inventory, why) in [
        (disputed, Withheld::Disputed),
        (probable, Withheld::Probable),
    ] {
        scene.inventory = inventory;
        assert_eq!(scene.verdict(), withheld(why));
    }
    scene.bound(CancelBounds::default());
    assert_eq!(scene.verdict(), Verdict::Act, "whoever shared it");
}

/// Labels of the document of one team.
fn of_team(team: &str) -> Arc<Labels> {
    let labels: Labels = [("team".to_owned(), team.to_owned())].into();
    Arc::new(labels)
}

/// A suspension that the team `platform` has made.
fn suspension() -> Suspension {
    Suspension {
        id: 1,
        reason: "a freeze".into(),
        until: None,
        since: at(0),
        by: "somebody@host".into(),
        selector: Selector {
            labels: Labels::clone(&of_team("platform")),
            ..Selector::default()
        },
    }
}

#[test]
fn a_suspension_of_any_document_of_an_image_covers_it() {
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.inventory.suspensions = vec![suspension()];
        let covered = withheld(Withheld::Suspended(suspension()));
        let Some(image) = scene.images.get_mut(&img_a()) else {
            assert_eq!(scene.verdict(), covered, "it may have had the labels");
            continue;
        };
        image.other_labels = vec![of_team("web")];
        assert_eq!(scene.verdict(), Verdict::Act, "{cause:?}");
        let image = scene.images.get_mut(&img_a()).expect("it is named");
        image.other_labels.push(of_team("platform"));
        assert_eq!(scene.verdict(), covered, "{cause:?}");
    }
}

#[test]
fn before_a_write_each_document_is_checked_for_a_suspension() {
    let attempt = |labels: &[Arc<Labels>]| Attempt {
        key: ImageKey {
            scope: tokyo(),
            image: img_a(),
        },
        permission: Permission::Cancel,
        cause: Cause::Retention,
        source: None,
        labels: labels.to_vec(),
        name: None,
        document: None,
        number: 1,
        saw_opposite: true,
        needs_ownership: false,
        aliases: Arc::default(),
        key_digest: None,
        api_ahead: TimeDelta::zero(),
    };
    let covers = |labels: &[Arc<Labels>]| attempt(labels).is_covered_by(&suspension(), at(0));
    let (web, platform) = (of_team("web"), of_team("platform"));
    assert!(!covers(std::slice::from_ref(&web)));
    assert!(covers(&[Arc::clone(&platform), Arc::clone(&web)]));
    assert!(covers(&[web, platform]), "whichever stands first");
    assert!(covers(&[]), "it may have had the labels");
}

#[test]
fn s26_nothing_is_retired_while_the_account_is_unproven() {
    let why = "two names may be one account".to_owned();
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.account.proof = AccountProof::Unproven(why.clone());
        let verdict = match cause {
            Cause::Pruned | Cause::Retention => withheld(Withheld::AccountUnproven(why.clone())),
            _ => Verdict::Act,
        };
        assert_eq!(scene.verdict(), verdict, "{cause:?}");
    }
}

#[test]
fn n6_each_blueprint_of_a_doubled_image_may_be_in_use() {
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        let all = vec!["lhbp-img-a".into(), "lhbp-second".into()];
        scene.seen.doubled.insert(img_a(), all);
        assert_eq!(scene.verdict(), Verdict::Act, "nothing uses it: {cause:?}");
        let users = |n: usize| vec![format!("lhins-{n}").into()];
        let by_second = [("lhbp-second".into(), users(2))].into();
        scene.seen.instances = Instances::Known(by_second);
        let plan = scene.plan();
        let (verdict, in_use) = match cause {
            Cause::Declared => (Verdict::Act, BTreeMap::from([(img_a(), users(2))])),
            _ => (withheld(Withheld::InUse(users(2))), BTreeMap::new()),
        };
        assert_eq!(plan.decisions[&img_a()].verdict, verdict, "{cause:?}");
        assert_eq!(plan.in_use, in_use, "{cause:?}");
    }
}

#[test]
fn n6_an_expired_share_is_withheld_where_what_is_shared_cannot_be_read() {
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.seen.instances = Instances::NotAsked;
        scene.is_denied = true;
        let plan = scene.plan();
        let Some(decision) = plan.decisions.get(&img_a()) else {
            assert_eq!(cause, Cause::Pruned);
            continue;
        };
        match (cause, &decision.verdict) {
            (Cause::Declared, verdict) => assert_eq!(*verdict, Verdict::Act),
            (_, Verdict::Withheld(why)) => {
                let is_unknown = matches!(**why, Withheld::InUseUnknown(_) | Withheld::Unobserved);
                assert!(is_unknown, "{cause:?}: {why:?}");
                assert_eq!(cause == Cause::Pruned, **why == Withheld::Unobserved);
            }
            (cause, verdict) => panic!("{cause:?}: {verdict:?}"),
        }
    }
}

#[test]
fn s24_a_share_that_a_policy_calls_broken_is_blocked_in_any_state() {
    let wanted_by_policy = DesiredShare::ByPolicy {
        state: ShareState::Shared,
        cause: Cause::Policy,
    };
    for state in [
        BlueprintState::Normal,
        BlueprintState::Unknown("ODD".into()),
        BlueprintState::Unknown("".into()),
    ] {
        let mut scene = Scene::of(Some(wanted_by_policy));
        let shown = scene.seen.shared.get_mut(&img_a()).expect("it is shown");
        shown.state = state.clone();
        assert_eq!(scene.verdict(), Verdict::InSync, "{state:?}");
        let why = "several blueprints exist for the image";
        scene.broken.insert(img_a(), why.into());
        let Verdict::Blocked(problem) = scene.verdict() else {
            panic!("{state:?}: {:?}", scene.verdict());
        };
        assert!(problem.message.contains(why), "{problem}");
        assert!(problem.message.contains("lhbp-img-a"), "{problem}");
        // The state of an image that is cancelled does not matter.
        scene.images.insert(img_a(), wanted(RETENTION));
        assert_eq!(scene.verdict(), Verdict::Act, "{state:?}");
    }
}

#[test]
fn a_hold_on_pruning_withholds_only_pruning() {
    let why: Arc<str> = "no image here is called `golden`".into();
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.prune_hold = Some(Arc::clone(&why));
        let verdict = match cause {
            Cause::Pruned => withheld(Withheld::PruneHeld(Arc::clone(&why))),
            _ => Verdict::Act,
        };
        assert_eq!(scene.verdict(), verdict, "{cause:?}");
    }
}

#[test]
fn an_earlier_protection_holds_until_an_entry_overrides_it() {
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.own(true);
        let verdict = match cause {
            Cause::Declared | Cause::Expired => Verdict::Act,
            _ => withheld(Withheld::ProtectedBefore),
        };
        assert_eq!(scene.verdict(), verdict, "{cause:?}");
    }
}

#[test]
fn protection_withholds_every_cause_of_a_cancel() {
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        let Some(image) = scene.images.get_mut(&img_a()) else {
            continue;
        };
        image.protect = true;
        assert_eq!(scene.verdict(), withheld(Withheld::Protected), "{cause:?}");
    }
}

#[test]
fn g3_retention_waits_until_the_manifests_are_complete() {
    let why: Arc<str> = "git is missing; install it".into();
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.completeness = Completeness::Unknown(Arc::clone(&why));
        let verdict = match cause {
            Cause::Pruned | Cause::Retention => {
                withheld(Withheld::UnknownManifests(Arc::clone(&why)))
            }
            _ => Verdict::Act,
        };
        assert_eq!(scene.verdict(), verdict, "{cause:?}");
    }
}

#[test]
fn c1_after_a_change_of_the_account_nothing_is_retired_in_that_run() {
    let uin = |text| Uin::new(text).expect("a uin");
    let doubt = AccountDoubt::Changed {
        was: uin("100000000001"),
        is: uin("100000000002"),
    };
    for (cause, share) in cancels() {
        let mut scene = Scene::of(share);
        scene.account.proof = AccountProof::AccountChanged(doubt.clone());
        let verdict = match cause {
            Cause::Pruned | Cause::Retention => withheld(Withheld::AccountChanged(doubt.clone())),
            _ => Verdict::Act,
        };
        assert_eq!(scene.verdict(), verdict, "{cause:?}");
    }
}

#[test]
fn s1_an_image_that_documents_leave_alone_is_not_pruned() {
    let mut scene = Scene::of(None);
    assert_eq!(scene.verdict(), Verdict::Act, "no document mentions it");
    scene.left_alone.insert(img_a());
    for ours in [false, true] {
        if ours {
            scene.own(false);
        }
        let plan = scene.plan();
        assert!(plan.decisions.is_empty(), "{plan:?}");
        assert_eq!(
            plan.unmanaged,
            Default::default(),
            "nor does it count as unnamed"
        );
    }
}

#[test]
fn an_image_that_a_person_must_settle_is_held_in_its_state() {
    for shared in [true, false] {
        let mut scene = Scene::of(None);
        if !shared {
            scene.seen.shared.clear();
        }
        let verdict = ResolvedVerdict::Held("two images are called `golden`".into());
        scene.held.insert(img_a(), verdict.clone());
        scene.left_alone.insert(img_a());
        let plan = scene.plan();
        let decision = &plan.decisions[&img_a()];
        let why = Withheld::Held(verdict.to_string().into());
        assert_eq!(decision.verdict, withheld(why));
        let actual = match shared {
            true => Actual::Shared(Some("lhbp-img-a".into())),
            false => Actual::Unshared,
        };
        assert_eq!(decision.actual, actual);
        assert_eq!(
            Some(decision.desired),
            actual.state(),
            "no change is asked for"
        );
        assert!(!decision.is_normal_course(), "a person must act");
        assert_eq!(plan.actions().count(), 0);
    }
}

#[test]
fn only_withheld_retention_needs_no_person() {
    let in_use = || Withheld::InUse(vec!["lhins-1".into()]);
    let decision = |cause, verdict| Decision {
        cause,
        verdict,
        ..Scene::of(Some(RETENTION)).decision()
    };
    for cause in Cause::ALL {
        for why in [in_use(), Withheld::NotOwnedByPolicy] {
            let decision = decision(cause, withheld(why));
            assert_eq!(decision.is_normal_course(), cause == Cause::Retention);
        }
    }
    let cap = PolicyCap {
        policy: "golden".into(),
        cause: Cause::Retention,
        due: 6,
        max: 5,
    };
    for why in [
        Withheld::InUseUnknown("denied".into()),
        Withheld::PolicyCap(cap.into()),
        Withheld::UnknownManifests("git is missing".into()),
        Withheld::Protected,
        Withheld::ProtectedBefore,
    ] {
        let decision = decision(Cause::Retention, withheld(why));
        assert!(!decision.is_normal_course(), "{:?}", decision.verdict);
    }
    let unobserved = Verdict::Unobserved(Unobserved::new("denied").into());
    for verdict in [Verdict::Act, Verdict::InSync, unobserved] {
        assert!(!decision(Cause::Retention, verdict).is_normal_course());
    }
}

#[test]
fn each_reason_is_one_sentence_and_names_its_subject() {
    let cap = PolicyCap {
        policy: "golden".into(),
        cause: Cause::Retention,
        due: 6,
        max: 5,
    };
    for (why, parts) in [
        (
            Withheld::PolicyCap(cap.into()),
            ["6 CANCELs", "`golden`", "maxCancels: 5"],
        ),
        (
            Withheld::InUse(vec!["lhins-1".into(), "lhins-2".into()]),
            ["2 instances", "lhins-1", "lhins-2"],
        ),
        (
            Withheld::InUseUnknown("it is denied".into()),
            ["instances", "is not known", "counts as used: it is denied"],
        ),
        (
            Withheld::NotOwnedByPolicy,
            ["did not share it", "policy", "`keep.owned: true`"],
        ),
    ] {
        let text = why.to_string();
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("  ") && !text.contains('\n'), "{text}");
    }
}

/// A policy's document also gives the image its name.
#[test]
fn a_decision_names_the_document_that_asks_for_it() {
    let mut scene = Scene::of(Some(RETENTION));
    let document = Arc::new(DocumentMetadata {
        name: "golden".into(),
        ..DocumentMetadata::default()
    });
    let image = scene.images.get_mut(&img_a()).expect("it is named");
    image.document = Arc::clone(&document);
    image.note = Some("the old kernel".into());
    let entry = scene.decision().entry.expect("a document asks for it");
    assert_eq!(entry.document, document);
    assert_eq!(entry.note.as_deref(), Some("the old kernel"));
    assert!(!entry.protect);
    assert_eq!(
        Scene::of(None).decision().entry,
        None,
        "no document asks for it"
    );
}
