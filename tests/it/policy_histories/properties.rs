//! Checks the properties that must hold in every pass. They are written without the reference model, so that an error
//! in the model cannot hide a fault.

use std::collections::{BTreeMap, BTreeSet};

use sharekeeper::attempts::AttemptLog;
use sharekeeper::model::{Cause, ImageId, Monotonic, ShareState};
use sharekeeper::plan::{self, Decision, Plan, ScopeAccount, Verdict};
use sharekeeper::resolve::{Resolution, ResolvedScope};
use sharekeeper::windows::Windows;

use super::cloud::Cloud;
use crate::resolution::bridge::image_id;
use crate::resolution::setup::Setup;
use crate::resolution::world::{By, Image, Policy, Region, Share, World};

/// One pass in one region: the resolution and the plan.
pub(crate) struct Pass {
    pub(crate) here: usize,
    pub(crate) world: World,
    pub(crate) setup: Setup,
    pub(crate) resolution: Resolution,
    pub(crate) plan: Plan,
}

impl Pass {
    pub(crate) fn new(cloud: &Cloud, here: usize) -> Self {
        Self::of(cloud, here, cloud.world(here))
    }

    fn of(cloud: &Cloud, here: usize, world: World) -> Self {
        let setup = cloud.setup(here, &world);
        let resolution = setup.resolve();
        let plan = plan(&setup, &resolution);
        Self {
            here,
            world,
            setup,
            resolution,
            plan,
        }
    }
}

fn plan(setup: &Setup, resolution: &Resolution) -> Plan {
    let desired = setup.desired();
    let observation = setup.observation();
    plan::plan(&plan::Inputs {
        scope: &setup.scope,
        desired: &ResolvedScope::new(&setup.scope, &desired, resolution),
        account: &ScopeAccount::default(),
        observation: &observation,
        inventory: &setup.inventory,
        attempts: &AttemptLog::default(),
        windows: &Windows::default(),
        policy: &plan::Policy::default(),
        approved: None,
        clocks: setup.clocks,
        present: setup.clocks.machine().into(),
        monotonic: Monotonic::default(),
    })
}

/// Whether a policy is the cause of a change.
pub(crate) fn is_by_policy(cause: Cause) -> bool {
    matches!(cause, Cause::Policy | Cause::Retention | Cause::Revoked)
}

/// The changes that the plan makes.
pub(crate) fn actions(plan: &Plan) -> impl Iterator<Item = (&ImageId, &Decision)> {
    let decisions = plan.decisions.iter();
    decisions.filter(|(_, decision)| decision.verdict == Verdict::Act)
}

fn cancels(plan: &Plan) -> BTreeSet<&ImageId> {
    let cancels = actions(plan).filter(|(_, decision)| decision.desired == ShareState::Unshared);
    cancels.map(|(image, _)| image).collect()
}

/// Checks every property of a pass.
pub(crate) fn check(cloud: &Cloud, pass: &Pass, trail: &str) {
    let context = || {
        let decided: BTreeMap<_, _> = actions(&pass.plan)
            .map(|(image, decision)| (image, (decision.desired, decision.cause)))
            .collect();
        let words = pass.resolution.images.iter();
        let words: Vec<_> = words
            .map(|(image, resolved)| format!("{image} {}", resolved.verdict))
            .collect();
        format!("{trail}: {decided:?} {words:#?} {:#?}", pass.world)
    };
    pure_and_stable(pass, &context);
    let Some(here) = &pass.world.regions[0] else {
        assert_eq!(actions(&pass.plan).count(), 0, "not seen: {}", context());
        assert!(pass.resolution.memory.is_empty(), "{}", context());
        return;
    };
    one_verdict_each(pass, here, &context);
    enough_stay(pass, here, &context);
    what_nobody_names_stays(pass, here, &context);
    failures_cancel_nothing(cloud, pass, &context);
    for resolved in pass.resolution.images.values() {
        if let Some(until) = resolved.verdict.until() {
            let next = pass.resolution.next_change_at;
            assert!(next.is_some_and(|next| next <= until), "{}", context());
        }
    }
}

/// Resolution is deterministic, and the order of the documents does not matter.
fn pure_and_stable(pass: &Pass, context: &dyn Fn() -> String) {
    assert_eq!(pass.setup.resolve(), pass.resolution, "{}", context());
    let mut desired = pass.setup.desired();
    let mut policies = pass.setup.policies.clone();
    policies.reverse();
    desired.policies = &policies;
    let shuffled = pass.setup.resolve_desired(&desired);
    let (forth, back) = (gist(&pass.resolution), gist(&shuffled));
    assert_eq!(forth, back, "{}", context());
    assert_eq!(shuffled.memory, pass.resolution.memory, "{}", context());
}

/// The decisions of a resolution without its texts, because a text may name either of two documents.
fn gist(resolution: &Resolution) -> (Vec<String>, Vec<&str>, bool) {
    let images = resolution.images.iter().map(|(image, resolved)| {
        let desired = resolved.desired.as_ref();
        let asks = desired.map(|desired| (desired.share, desired.protect, &desired.bounds));
        format!("{image} {} {asks:?}", resolved.verdict.word())
    });
    let holds = resolution.policy_holds.keys().map(|name| &**name);
    (
        images.collect(),
        holds.collect(),
        resolution.prune_hold.is_some(),
    )
}

fn may_match(policy: &Policy, image: &Image) -> bool {
    image.name.contains(policy.letter)
}

fn matches(policy: &Policy, image: &Image) -> bool {
    may_match(policy, image) && (!policy.asks_family || image.in_family)
}

fn version<'i>(policy: &Policy, image: &'i Image) -> &'i str {
    let first = image.name.split('+').next().filter(|_| policy.grouped);
    first.unwrap_or(image.name)
}

fn is_revoked(world: &World, image: &Image) -> bool {
    let mut revokes = world.policies.iter().flat_map(|policy| &policy.revokes);
    revokes.any(|revoke| revoke.name == image.name && revoke.at.is_none_or(|at| at <= world.now))
}

/// Every image that a document concerns has a verdict.
fn one_verdict_each(pass: &Pass, here: &Region, context: &dyn Fn() -> String) {
    for image in &here.images {
        let mut policies = pass.world.policies.iter();
        let mut entries = pass.world.entries.iter();
        let is_spoken_of = policies.any(|policy| matches(policy, image))
            || entries
                .any(|entry| entry.by == By::Id(image.id) || entry.by == By::Name(image.name));
        let has_verdict = pass.resolution.images.contains_key(&image_id(image.id));
        assert!(has_verdict || !is_spoken_of, "{}: {}", image.id, context());
    }
}

/// Retention and revocations without `force` leave at least `minimum` versions with a NORMAL share.
fn enough_stay(pass: &Pass, here: &Region, context: &dyn Fn() -> String) {
    let cause = |image: &Image| {
        let decision = pass.plan.decisions.get(&image_id(image.id))?;
        let goes = decision.verdict == Verdict::Act && decision.desired == ShareState::Unshared;
        goes.then_some(decision.cause)
    };
    let is_forced = |image: &Image| {
        let mut revokes = pass
            .world
            .policies
            .iter()
            .flat_map(|policy| &policy.revokes);
        revokes.any(|revoke| revoke.name == image.name && revoke.force)
    };
    for policy in &pass.world.policies {
        let is_excluded =
            |image: &Image| policy.excluded.contains(&image.id) || image.created.is_none();
        let is_bounded = |image: &&Image| match cause(image) {
            Some(Cause::Retention) => matches(policy, image) && !is_excluded(image),
            Some(Cause::Revoked) => matches(policy, image) && !is_forced(image),
            _ => false,
        };
        if !here.images.iter().any(|image| is_bounded(&image)) {
            continue;
        }
        let is_pinned = |image: &Image| {
            let mut pins = policy.pins.iter();
            pins.any(|pin| pin.names.contains(&image.name))
        };
        let stay = here.images.iter().filter(|image| {
            matches(policy, image)
                && (!is_excluded(image) || is_pinned(image))
                && image.share == Some(Share::Normal)
                && cause(image).is_none()
                && !is_revoked(&pass.world, image)
        });
        let versions: BTreeSet<_> = stay.map(|image| version(policy, image)).collect();
        assert!(
            versions.len() >= policy.minimum,
            "policy {} is left with {versions:?}: {}",
            policy.name,
            context()
        );
    }
}

/// Without pruning, an image that no document names is never cancelled.
fn what_nobody_names_stays(pass: &Pass, here: &Region, context: &dyn Fn() -> String) {
    let cancels = cancels(&pass.plan);
    for image in &here.images {
        let mut policies = pass.world.policies.iter();
        let mut entries = pass.world.entries.iter();
        let is_named = policies.any(|policy| matches(policy, image))
            || is_revoked(&pass.world, image)
            || entries
                .any(|entry| entry.by == By::Id(image.id) || entry.by == By::Name(image.name));
        let is_cancelled = cancels.contains(&image_id(image.id));
        assert!(is_named || !is_cancelled, "{}: {}", image.id, context());
    }
}

/// If a listing fails or CVM cannot be read, this adds no CANCEL anywhere.
fn failures_cancel_nothing(cloud: &Cloud, pass: &Pass, context: &dyn Fn() -> String) {
    let cancels = cancels(&pass.plan);
    for failure in 0..5 {
        let mut world = pass.world.clone();
        match (failure, &mut world.regions[..]) {
            (0, [_, there]) => *there = None,
            (1, [Some(here), _]) => here.cvm_fails = true,
            (2, [_, Some(there)]) => there.cvm_fails = true,
            (3, [Some(here), Some(there)]) => {
                here.cvm_fails = true;
                there.cvm_fails = true;
            }
            (4, [here, _]) => *here = None,
            _ => continue,
        }
        let failed = Pass::of(cloud, pass.here, world);
        let more: Vec<_> = actions(&failed.plan)
            .filter(|(image, decision)| {
                decision.desired == ShareState::Unshared && !cancels.contains(image)
            })
            .collect();
        assert!(
            more.is_empty(),
            "failure {failure}: {more:#?} {}",
            context()
        );
    }
}
