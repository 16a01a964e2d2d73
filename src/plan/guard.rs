//! What forbids an action, as filters over a finished draft. The order is that of the reasons a person should be
//! told first.
//!
//! A guard that trips withholds every CANCEL of its scope, not the surplus: the first tenth of a wrong list is still
//! wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::dispute::{Closings, Dispute};
use super::{
    AccountProof, Awaiting, Decision, EXEMPT_BELOW, Inputs, Policy, Prune, Verdict, Withheld,
};
use crate::attempts::AttemptLog;
use crate::desired::{Completeness, DesiredShare};
use crate::inventory::{InventoryEntry, Owned, OwnershipState, UnexpectedLoss};
use crate::model::{Cause, ImageId, ImageKey, Monotonic, Permission, ShareState};
use crate::observation::{Observation, OwnImages, Seen};

/// How long a suspiciously small list is looked at again before it is held against us.
const LOSS_SETTLES: Duration = Duration::from_secs(10);

type Decisions = BTreeMap<ImageId, Decision>;

/// Turns actions that must not be taken into verdicts that say why; the loss that was noticed, if one was.
pub(super) fn apply(
    inputs: &Inputs<'_>,
    closings: &Closings,
    decisions: &mut Decisions,
) -> Option<UnexpectedLoss> {
    for (image, decision) in decisions.iter_mut() {
        if decision.verdict == Verdict::Act
            && let Some(why) = single(inputs, closings, image, decision)
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

/// Where the scope or its account is in the way, what is left to do is not tried. Last of all: what a guard forbids
/// would not be done either way.
pub(super) fn rest(attempts: &AttemptLog, decisions: &mut Decisions) {
    let Some(rest) = &attempts.write_pause else {
        return;
    };
    for decision in decisions.values_mut() {
        if decision.verdict == Verdict::Act {
            decision.verdict = Verdict::NotTried(rest.clone().into());
        }
    }
}

/// Reasons that concern one image.
fn single(
    inputs: &Inputs<'_>,
    closings: &Closings,
    image: &ImageId,
    decision: &Decision,
) -> Option<Withheld> {
    let named = || inputs.wanted.images.get(image);
    let record = inputs.inventory.images.get(image);
    let owned = record.and_then(|record| record.owned.as_ref());
    let cancels = decision.desired == ShareState::Unshared;
    if cancels && named().is_some_and(|image| image.protect) {
        return Some(Withheld::Protected);
    }
    if cancels && named().is_none() && record.is_some_and(|record| record.protected) {
        return Some(Withheld::ProtectedBefore);
    }
    if cancels && inputs.policy.shares_only {
        return Some(Withheld::PartialManifests);
    }
    if decision.cause == Cause::Pruned
        && let Completeness::Unknown(why) = inputs.wanted.completeness
    {
        return Some(Withheld::UnknownManifests(Arc::clone(why)));
    }
    if decision.cause == Cause::Pruned
        && let Some(why) = not_approved(inputs, owned)
    {
        return Some(why);
    }
    if let Some(why) = suspended(inputs, image) {
        return Some(why);
    }
    if let Some(since) = record.and_then(|record| record.parked_since) {
        return Some(Withheld::Parked(since));
    }
    if let Some(why) = closings.withhold(decision.cause) {
        return Some(why);
    }
    let permission = Permission::towards(decision.desired);
    match inputs.approved {
        Some(approved) if approved.get(image) != Some(&permission) => Some(Withheld::NotInPlan),
        _ if decision.cause == Cause::Pruned => not_own(inputs.own_images(), image),
        _ => None,
    }
}

/// Why an image is not pruned that is not known to be the account's own. Last, so that the images are asked for only
/// where nothing else is in the way.
fn not_own(own: &OwnImages, image: &ImageId) -> Option<Withheld> {
    match own {
        OwnImages::Known(own) if own.contains(image) => None,
        OwnImages::Known(_) => Some(Withheld::NotOwnImage),
        OwnImages::Unknown(why) => Some(Withheld::OwnImagesUnknown(why.clone())),
        OwnImages::NotAsked => Some(Withheld::OwnImagesNotAsked),
    }
}

/// Why the image is left alone, if a suspension covers it: one that both clocks call over does not any longer. Mostly
/// there is none at all.
fn suspended(inputs: &Inputs<'_>, image: &ImageId) -> Option<Withheld> {
    let suspensions = &inputs.inventory.suspensions;
    if suspensions.is_empty() {
        return None;
    }
    let key = ImageKey {
        scope: inputs.scope.clone(),
        image: image.clone(),
    };
    let named = inputs.wanted.images.get(image);
    let labels = named.map(|image| &*image.labels);
    let mut disputed = None;
    for suspension in suspensions {
        match inputs
            .clocks
            .ask(|now| suspension.covers(&key, labels, now))
        {
            (true, None) => return Some(Withheld::Suspended(suspension.clone())),
            (false, None) => {}
            (covers, Some(_)) => {
                let about = Dispute::Suspension {
                    suspension: suspension.clone(),
                    over_here: !covers,
                };
                disputed = disputed.or(Some(Withheld::disputed(inputs.clocks, about)));
            }
        }
    }
    disputed
}

/// Why an image that no manifest names must not be pruned.
fn not_approved(inputs: &Inputs<'_>, owned: Option<&Owned>) -> Option<Withheld> {
    if !matches!(inputs.observation, Observation::Seen(_)) {
        return Some(Withheld::Unobserved);
    }
    match &inputs.account.proof {
        AccountProof::Certain => {}
        AccountProof::Unproven(why) => return Some(Withheld::AccountUnproven(why.clone())),
        AccountProof::FirstRun(doubt) => return Some(Withheld::FirstRun(doubt.clone())),
    }
    if inputs.policy.prune != Prune::Owned {
        return None;
    }
    match owned {
        Some(owned) if owned.disputed_since.is_some() => Some(Withheld::Disputed),
        Some(owned) if owned.ownership == OwnershipState::Probable => Some(Withheld::Probable),
        Some(_) => None,
        None => Some(Withheld::NotOwned),
    }
}

/// Whether much of what is ours does not show, and no person has accepted that.
fn loss(inputs: &Inputs<'_>, seen: &Seen) -> Option<UnexpectedLoss> {
    let shared = |intent: DesiredShare| {
        let clocks = inputs.clocks;
        clocks.any(|now| intent.at(now).0 == ShareState::Shared)
    };
    let wanted = |image: &ImageId| {
        let image = inputs.wanted.get(image);
        image.is_none_or(|image| shared(image.intent))
    };
    let loss = inputs.inventory.loss(seen, wanted);
    loss.filter(|loss| !loss.is_accepted(inputs.policy.accept_lost))
}

/// Whoever acts on a view that lacks much of what is ours cancels too much, or shares all anew. What is shared anew
/// makes the view whole again, but not right: for the rest of the run nothing is cancelled.
fn unexpected_loss(inputs: &Inputs<'_>, now: Option<UnexpectedLoss>, decisions: &mut Decisions) {
    let why = match (now, inputs.attempts.loss) {
        (Some(loss), _) => Withheld::Lost(loss),
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
            Some(_) => patience(inputs.monotonic, until, &why),
            None => Verdict::Withheld(why.clone().into()),
        };
    }
}

fn patience(monotonic: Monotonic, until: Monotonic, loss: &Withheld) -> Verdict {
    if monotonic < until {
        Verdict::Await {
            until,
            reason: Awaiting::Loss(loss.to_string()).into(),
        }
    } else {
        Verdict::Withheld(loss.clone().into())
    }
}

/// Too much would be pruned at once.
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
    // What this run has cancelled already counts: the cap holds for the run, not for each of its looks.
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
        // What waits for its hour is judged now: a plan that is saved is to be one that can be carried out.
        if decision.verdict.is_intended() && decision.desired == ShareState::Unshared {
            decision.verdict = Verdict::Withheld(Withheld::TooMany(over).into());
        }
    }
}

/// Of how many images the percentage is: ours, or all that are shared, with those that this run has pruned. What this
/// run has shared itself does not count: it would make room for more.
fn base(inputs: &Inputs<'_>, seen: &Seen, decisions: &Decisions) -> usize {
    let ours = |record: &InventoryEntry| record.owned.as_ref().is_some_and(|owned| owned.confirmed);
    let images = inputs.inventory.images.iter();
    let mut base: BTreeSet<_> = match inputs.policy.prune {
        Prune::Exclusive => {
            let shared = seen.shared.keys();
            shared.filter(|image| !seen.own.lack(image)).collect()
        }
        // What an earlier run has cancelled, and a lagging list still shows, is among them.
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

/// By how much a scope's pruning exceeds its caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapExceeded {
    /// Images that would be pruned.
    pub cancels: usize,
    /// What `--max-cancels` must be at least, if it is in the way.
    pub needs_count: Option<usize>,
    /// What `--max-cancels-percent` must be at least, if it is in the way.
    pub needs_percent: Option<usize>,
}

impl CapExceeded {
    /// Holds `cancels` of `of` images against the caps; `None`: within them.
    fn check_cap(cancels: usize, of: usize, policy: &Policy) -> Option<Self> {
        let needs_count = (cancels > policy.max_cancels as usize).then_some(cancels);
        let percent = (cancels * 100).div_ceil(of);
        let needs_percent = (of >= EXEMPT_BELOW
            && cancels * 100 > of * policy.max_cancels_percent as usize)
            .then_some(percent);
        (needs_count.is_some() || needs_percent.is_some()).then_some(Self {
            cancels,
            needs_count,
            needs_percent,
        })
    }

    /// The flags that let it pass.
    pub fn flags(&self) -> String {
        let flags = [
            self.needs_count.map(|n| format!("--max-cancels {n}")),
            self.needs_percent
                .map(|n| format!("--max-cancels-percent {n}")),
        ];
        flags.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
