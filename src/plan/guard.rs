//! The guards: filters over drafted decisions that turn an action into `Verdict::Withheld` with a reason. Where several
//! guards forbid an action, the first in the order below gives the reason.
//!
//! An exceeded cap withholds every CANCEL of its scope, not only the surplus: if the list of images is wrong, its first
//! tenth is wrong too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::cap::CapExceeded;
use super::clock_conflict::ConflictSubject;
use super::window_closures::WindowClosures;
use super::{AccountProof, Awaiting, Decision, Inputs, PolicyCap, Prune, Verdict, Withheld};
use crate::attempts::AttemptLog;
use crate::desired::{CancelBounds, Completeness, DesiredImage, DesiredShare};
use crate::inventory::{InventoryEntry, OwnedShare, OwnershipState, UnexpectedLoss};
use crate::model::{Cause, ImageId, ImageKey, Monotonic, Permission, ShareState};
use crate::observation::{Instances, Observation, OwnImages, Seen};

/// How long a scope with an unexpected loss is observed again before its actions are withheld: a lagging list may
/// recover.
const LOSS_SETTLES: Duration = Duration::from_secs(10);

type Decisions = BTreeMap<ImageId, Decision>;

/// Withholds the actions that a guard forbids. Returns the unexpected loss, if there is one.
pub(super) fn apply(
    inputs: &Inputs<'_>,
    closures: &WindowClosures,
    decisions: &mut Decisions,
) -> Option<UnexpectedLoss> {
    for (image, decision) in decisions.iter_mut() {
        if decision.verdict == Verdict::Act
            && let Some(why) = image_guards(inputs, closures, image, decision)
        {
            decision.verdict = Verdict::Withheld(why.into());
        }
    }
    let Observation::Seen(seen) = inputs.observation else {
        return None;
    };
    let loss = loss(inputs, seen);
    unexpected_loss(inputs, loss, decisions);
    blast_radius(inputs, seen, decisions);
    loss
}

/// Marks the remaining actions as not tried where writes to the scope or its account are paused. Runs after the guards,
/// because an action that a guard forbids would not be done in any case.
pub(super) fn pause_writes(attempts: &AttemptLog, decisions: &mut Decisions) {
    let Some(pause) = &attempts.write_pause else {
        return;
    };
    for decision in decisions.values_mut() {
        if decision.verdict == Verdict::Act {
            decision.verdict = Verdict::NotTried(pause.clone().into());
        }
    }
}

/// The guards that examine a single image, in order of precedence.
fn image_guards(
    inputs: &Inputs<'_>,
    closures: &WindowClosures,
    image: &ImageId,
    decision: &Decision,
) -> Option<Withheld> {
    let named = || inputs.desired.images.get(image).copied();
    let is_entry = |image: &DesiredImage| !matches!(image.share, DesiredShare::ByPolicy { .. });
    let entry = inputs.inventory.images.get(image);
    let owned = entry.and_then(|entry| entry.owned.as_ref());
    let cancels = decision.desired == ShareState::Unshared;
    if cancels && named().is_some_and(|image| image.protect) {
        return Some(Withheld::Protected);
    }
    if cancels && !named().is_some_and(is_entry) && entry.is_some_and(|entry| entry.protected) {
        return Some(Withheld::ProtectedBefore);
    }
    if cancels && inputs.policy.shares_only {
        return Some(Withheld::PartialManifests);
    }
    // Looked up only for a CANCEL: there may be many SHAREs.
    let of_policy = cancels.then(named).flatten();
    let bounds = of_policy.and_then(|image| image.bounds.as_deref());
    if let Some(why) = cause_guards(inputs, decision.cause, owned) {
        return Some(why);
    }
    if cancels
        && bounds.is_some_and(|bounds| bounds.owned)
        && let Some(why) = not_owned(owned, Withheld::NotOwnedByPolicy)
    {
        return Some(why);
    }
    if let Some(why) = suspended(inputs, image) {
        return Some(why);
    }
    if let Some(since) = entry.and_then(|entry| entry.parked_since) {
        return Some(Withheld::Parked(since));
    }
    if let Some(why) = closures.withhold(decision.cause) {
        return Some(why);
    }
    let permission = Permission::towards(decision.desired);
    match inputs.approved {
        Some(approved) if approved.get(image) != Some(&permission) => Some(Withheld::NotInPlan),
        _ => None,
    }
    .or_else(|| match decision.cause {
        Cause::Pruned => not_own(inputs.own_images(), image),
        _ => None,
    })
    .or_else(|| match cancels {
        true => in_use(inputs, image, decision.cause, bounds),
        false => None,
    })
}

/// The guards for pruning. Some of them also apply to retention, because it cancels every share that the policy matches,
/// whoever made it.
fn cause_guards(inputs: &Inputs<'_>, cause: Cause, owned: Option<&OwnedShare>) -> Option<Withheld> {
    let (prunes, retires) = (cause == Cause::Pruned, cause == Cause::Retention);
    if (prunes || retires)
        && let Completeness::Unknown(why) = inputs.desired.completeness
    {
        return Some(Withheld::UnknownManifests(Arc::clone(why)));
    }
    if retires {
        return account_in_doubt(inputs);
    }
    if !prunes {
        return None;
    }
    let hold = || inputs.desired.prune_hold.map(Arc::clone);
    not_prunable(inputs, owned).or_else(|| hold().map(Withheld::PruneHeld))
}

/// Withholds the CANCEL of an image that instances use or may use. This guard is the last one, so that instances are
/// listed only if no other guard forbids the action. It does not apply to a declared `unshared`, because its author sees
/// the plan.
fn in_use(
    inputs: &Inputs<'_>,
    image: &ImageId,
    cause: Cause,
    bounds: Option<&CancelBounds>,
) -> Option<Withheld> {
    let is_asked_for = cause == Cause::Declared || bounds.is_some_and(|bounds| bounds.in_use);
    match inputs.instances() {
        // The list is still requested, so that a person can be warned.
        Instances::NotAsked if inputs.shown().contains_key(image) => {
            Some(Withheld::InstancesNotAsked)
        }
        _ if is_asked_for => None,
        Instances::NotAsked if !matches!(inputs.observation, Observation::Seen(_)) => {
            let why = "it is not possible to read which blueprint it is shared as";
            Some(Withheld::InUseUnknown(why.into()))
        }
        Instances::NotAsked => None,
        Instances::Unknown(why) => Some(Withheld::InUseUnknown(why.clone())),
        Instances::Known(_) => inputs.users_of(image).map(Withheld::InUse),
    }
}

/// Withholds the CANCELs of one cause that a policy asks for, if more are due than the policy allows. CANCELs withheld
/// for another reason do not count. CANCELs that this run has already made do: the cap applies to the run, not to each
/// observation.
pub(super) fn policy_caps(inputs: &Inputs<'_>, decisions: &mut Decisions) {
    let mut due: BTreeMap<(Arc<str>, Cause), (usize, u32)> = BTreeMap::new();
    for (image, decision) in decisions.iter() {
        let is_done = || {
            let tried = inputs.attempts.tried_towards(image, ShareState::Unshared);
            decision.desired == ShareState::Unshared && tried.is_some()
        };
        if !is_due(decision) && !is_done() {
            continue;
        }
        for (policy, max) in bounds_of(inputs, image).iter().flat_map(|it| &it.policies) {
            let key = (Arc::clone(policy), decision.cause);
            due.entry(key).or_insert((0, *max)).0 += 1;
        }
    }
    due.retain(|_, (due, max)| *due > *max as usize);
    if due.is_empty() {
        return;
    }
    for (image, decision) in decisions
        .iter_mut()
        .filter(|(_, decision)| is_due(decision))
    {
        let bounds = bounds_of(inputs, image);
        let mut policies = bounds.iter().flat_map(|bounds| bounds.policies.keys());
        let over = policies.find_map(|policy| {
            let (due, max) = due.get(&(Arc::clone(policy), decision.cause))?;
            Some(PolicyCap {
                policy: Arc::clone(policy),
                cause: decision.cause,
                due: *due,
                max: *max,
            })
        });
        if let Some(cap) = over {
            decision.verdict = Verdict::Withheld(Withheld::PolicyCap(cap.into()).into());
        }
    }
}

fn is_due(decision: &Decision) -> bool {
    decision.verdict == Verdict::Act && decision.desired == ShareState::Unshared
}

fn bounds_of(inputs: &Inputs<'_>, image: &ImageId) -> Option<Arc<CancelBounds>> {
    inputs.desired.images.get(image)?.bounds.clone()
}

/// Withholds pruning of an image that is not known to be the account's own. This guard comes late, so that the account's
/// images are requested only if no earlier guard forbids the action.
fn not_own(own: &OwnImages, image: &ImageId) -> Option<Withheld> {
    match own {
        OwnImages::Known(own) if own.contains_key(image) => None,
        OwnImages::Known(_) => Some(Withheld::NotOwnImage),
        OwnImages::Unknown(why) => Some(Withheld::OwnImagesUnknown(why.reason.clone())),
        OwnImages::NotAsked => Some(Withheld::OwnImagesNotAsked),
    }
}

/// Withholds a change that a suspension covers. A suspension ends only when both clocks agree that it is over. Most
/// scopes have no suspension.
fn suspended(inputs: &Inputs<'_>, image: &ImageId) -> Option<Withheld> {
    let suspensions = &inputs.inventory.suspensions;
    if suspensions.is_empty() {
        return None;
    }
    let key = ImageKey {
        scope: inputs.scope.clone(),
        image: image.clone(),
    };
    let named = inputs.desired.images.get(image);
    let labels: Vec<_> = named.into_iter().flat_map(|image| image.labels()).collect();
    let labels = labels.iter().map(|labels| &***labels);
    let mut disputed = None;
    for suspension in suspensions {
        match inputs
            .clocks
            .ask(|now| suspension.covers_any(&key, labels.clone(), now))
        {
            (true, None) => return Some(Withheld::Suspended(suspension.clone())),
            (false, None) => {}
            (covers, Some(_)) => {
                let about = ConflictSubject::Suspension {
                    suspension: suspension.clone(),
                    over_here: !covers,
                };
                disputed = disputed.or(Some(Withheld::disputed(inputs.clocks, about)));
            }
        }
    }
    disputed
}

/// Withholds pruning because of the account, or because of who shared the image.
fn not_prunable(inputs: &Inputs<'_>, owned: Option<&OwnedShare>) -> Option<Withheld> {
    if !matches!(inputs.observation, Observation::Seen(_)) {
        return Some(Withheld::Unobserved);
    }
    if let Some(why) = account_in_doubt(inputs) {
        return Some(why);
    }
    if inputs.policy.prune != Prune::Owned {
        return None;
    }
    not_owned(owned, Withheld::NotOwned)
}

/// Withholds every CANCEL that no entry asks for while the account is in doubt.
fn account_in_doubt(inputs: &Inputs<'_>) -> Option<Withheld> {
    match &inputs.account.proof {
        AccountProof::Certain => None,
        AccountProof::Unproven(why) => Some(Withheld::AccountUnproven(why.clone())),
        AccountProof::AccountChanged(doubt) => Some(Withheld::AccountChanged(doubt.clone())),
    }
}

/// Why a share does not count as ours; `none` is the reason if nothing shows that it is.
fn not_owned(owned: Option<&OwnedShare>, none: Withheld) -> Option<Withheld> {
    match owned {
        Some(owned) if owned.disputed_since.is_some() => Some(Withheld::Disputed),
        Some(owned) if owned.ownership == OwnershipState::Probable => Some(Withheld::Probable),
        Some(_) => None,
        None => Some(none),
    }
}

/// The unexpected loss, unless a person has accepted it.
fn loss(inputs: &Inputs<'_>, seen: &Seen) -> Option<UnexpectedLoss> {
    let shared = |intent: DesiredShare| {
        let clocks = inputs.clocks;
        clocks.any(|now| intent.at(now).0 == ShareState::Shared)
    };
    let wanted = |image: &ImageId| {
        let image = inputs.desired.get(image);
        image.is_none_or(|image| shared(image.share))
    };
    let inventory = inputs.inventory;
    let loss = inventory.unexpected_loss(seen, wanted)?;
    let missing = inventory.missing(seen, wanted);
    let accept_lost = inputs.policy.accepted_loss(inputs.scope);
    (!inventory.is_loss_accepted(&missing, accept_lost)).then_some(loss)
}

/// An observation that lacks many owned images may be wrong, and acting on it would cancel too much or share everything
/// again. Sharing the images again makes the observation complete but does not explain the loss. Therefore nothing is
/// cancelled for the rest of the run.
fn unexpected_loss(inputs: &Inputs<'_>, now: Option<UnexpectedLoss>, decisions: &mut Decisions) {
    let why = match (now, inputs.attempts.loss) {
        (Some(loss), _) => Withheld::Lost(inputs.scope.clone(), loss),
        (None, Some(before)) => Withheld::LostBefore(before),
        (None, None) => return,
    };
    let until = inputs
        .attempts
        .unexpected_loss_since
        .unwrap_or(inputs.monotonic)
        + LOSS_SETTLES;
    let holds = |decision: &Decision| {
        let shares_too = now.is_some_and(|loss| loss.holds_shares());
        decision.verdict == Verdict::Act && (decision.desired == ShareState::Unshared || shares_too)
    };
    for decision in decisions.values_mut().filter(|decision| holds(decision)) {
        decision.verdict = match now {
            Some(_) => await_or_withhold(inputs.monotonic, until, &why),
            None => Verdict::Withheld(why.clone().into()),
        };
    }
}

fn await_or_withhold(monotonic: Monotonic, until: Monotonic, loss: &Withheld) -> Verdict {
    if monotonic < until {
        Verdict::Await {
            until,
            reason: Awaiting::Loss(loss.to_string()).into(),
        }
    } else {
        Verdict::Withheld(loss.clone().into())
    }
}

/// Withholds every CANCEL of the scope if the run would prune more than the caps allow (S7).
fn blast_radius(inputs: &Inputs<'_>, seen: &Seen, decisions: &mut Decisions) {
    let pruned = |decision: &&Decision| decision.cause == Cause::Pruned;
    let ahead = decisions
        .values()
        .filter(pruned)
        .filter(|decision| decision.verdict.is_intended())
        .count();
    if ahead == 0 {
        return;
    }
    // Images that this run has already cancelled count: the cap applies to the run, not to each observation.
    let before = decisions
        .iter()
        .filter(|(image, decision)| {
            pruned(decision)
                && !decision.verdict.is_intended()
                && inputs
                    .attempts
                    .tried_towards(image, ShareState::Unshared)
                    .is_some()
        })
        .count();
    let over_all = base(inputs, seen, decisions);
    let cancels = ahead + before;
    let over = CapExceeded::check_cap(cancels, over_all.max(cancels), inputs.policy);
    let Some(over) = over else { return };
    for decision in decisions.values_mut() {
        // Changes that wait for a change window count now, so that a saved plan can be carried out later.
        if decision.verdict.is_intended() && decision.desired == ShareState::Unshared {
            decision.verdict = Verdict::Withheld(Withheld::TooMany(over).into());
        }
    }
}

/// The number of images that `--max-cancels-percent` refers to: the owned images, or all shared ones with `--prune
/// exclusive`, plus the images that this run has pruned. Images that this run has shared do not count, because they would
/// raise the cap.
fn base(inputs: &Inputs<'_>, seen: &Seen, decisions: &Decisions) -> usize {
    let ours = |entry: &InventoryEntry| entry.owned.as_ref().is_some_and(|owned| owned.confirmed);
    let images = inputs.inventory.images.iter();
    let mut base: BTreeSet<_> = match inputs.policy.prune {
        Prune::Exclusive => {
            let shared = seen.shared.keys();
            shared.filter(|image| !seen.own.lack(image)).collect()
        }
        // Includes images that an earlier run has cancelled and a lagging list still shows.
        Prune::Owned | Prune::None => images.filter(|(_, r)| ours(r)).map(|(id, _)| id).collect(),
    };
    let tried = |image: &ImageId, state| inputs.attempts.tried_towards(image, state).is_some();
    let pruned = decisions.iter().filter(|(image, decision)| {
        decision.cause == Cause::Pruned && tried(image, ShareState::Unshared)
    });
    base.extend(pruned.map(|(image, _)| image));
    base.retain(|image| !tried(image, ShareState::Shared));
    base.len()
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
