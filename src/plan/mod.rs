//! DESIRED + OBSERVATION + INVENTORY + ATTEMPTS → PLAN. Pure and total: the same arguments always give the same plan, and
//! each desired image gets exactly one [`Verdict`]. A refusal is a verdict with its reason, never an error.
//!
//! The planner knows neither clocks nor the network. The execution of a plan takes no further decision.

mod account;
mod budget;
mod cap;
mod clock_conflict;
mod decide;
#[cfg(test)]
mod fixtures_tests;
mod guard;
mod inputs;
mod next_change;
mod own_writes;
mod plan_key;
mod policy;
mod read_denied;
mod recent_writes;
mod remedy;
mod result;
mod saved;
mod sorted_lookup;
mod unnamed;
mod warning;
mod window_closures;
mod withheld;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::attempts::AttemptLog;
use crate::desired::{DesiredImage, DesiredShare};
use crate::model::{Cause, ImageId, ShareState};
use crate::observation::{Blueprint, Observation};
use crate::resolve::ResolvedVerdict;
use sorted_lookup::SortedLookup;
use window_closures::WindowClosures;

pub use account::{AccountProof, ScopeAccount};
pub use budget::{Budget, ScopeCost, budget};
pub use cap::CapExceeded;
pub use clock_conflict::{ClockConflict, ConflictSubject};
pub use inputs::Inputs;
pub use plan_key::{PlanKey, PlanKeyError};
pub use policy::{
    AcceptedLosses, ApprovedActions, Bound, BoundOrigin, CapOrigins, EXEMPT_BELOW, Policy, Prune,
};
pub use result::{
    Actual, Awaiting, Decision, Entry, Plan, Stray, UndocumentedState, Unmanaged, Verdict, View,
};
pub use saved::{BoundsExceeded, PlanDifference, SavedAction, SavedPlan, SavedPlanError};
pub use withheld::{PolicyCap, Withheld};

/// Decides for every image of the scope that a manifest names or that is due for pruning.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut shown = SortedLookup::new(inputs.shown());
    let named = inputs.desired.images.iter().map(|(&id, &image)| {
        let decision = named_decision(inputs, id, image, shown.find(id));
        (id.clone(), decision)
    });
    let mut decisions: BTreeMap<_, _> = named.collect();
    let held = inputs.desired.held.iter();
    let held = held.filter(|(id, _)| !inputs.desired.images.contains_key(*id));
    let held = held.map(|(&id, &verdict)| {
        let decision = held_decision(inputs, id, verdict);
        (id.clone(), decision)
    });
    decisions.extend(held);
    let mut unmanaged = Unmanaged::default();
    for image in inputs.unnamed() {
        if inputs.prunes(image) {
            decisions
                .entry(image.clone())
                .or_insert_with(|| unnamed_decision(inputs, image));
        } else if let Some(stray) = inputs.stray(image) {
            unmanaged.strays.insert(image.clone(), stray);
        } else if inputs.owns(image) {
            unmanaged.ours.insert(image.clone());
        } else {
            unmanaged.foreign.insert(image.clone());
        }
    }
    let closures = WindowClosures::new(inputs.windows, inputs.clocks);
    let loss = guard::apply(inputs, &closures, &mut decisions);
    guard::policy_caps(inputs, &mut decisions);
    guard::pause_writes(inputs.attempts, &mut decisions);
    let next_change_at = next_change::next_change_at(inputs, &closures, &decisions);
    Plan {
        scope: inputs.scope.clone(),
        uin: inputs.account.uin.clone(),
        taken_over: BTreeSet::new(),
        aliases: Arc::default(),
        view: match inputs.observation {
            Observation::Seen(_) => View::Seen,
            Observation::ReadDenied(why) => View::ReadDenied(why.clone()),
            Observation::Unobserved(why) => View::Unobserved(why.clone()),
        },
        prune_skipped: inputs.policy.prune != Prune::None
            && !matches!(inputs.observation, Observation::Seen(_)),
        undocumented_states: warning::undocumented_states(inputs, &decisions),
        presumed_unshared: warning::presumed_unshared(inputs, &decisions),
        unmanaged,
        loss,
        next_change_at,
        unresolved: inputs
            .desired
            .unresolved
            .iter()
            .map(|&name| name.clone())
            .collect(),
        policy_holds: inputs.desired.policy_holds.clone(),
        in_use: warning::declared_in_use(inputs, &decisions),
        decisions,
        resolution: Arc::default(),
    }
}

/// The decision for an image that a person must settle first: nothing is done.
fn held_decision(inputs: &Inputs<'_>, id: &ImageId, verdict: &ResolvedVerdict) -> Decision {
    let shown = inputs.shown().get(id);
    let actual = match (inputs.observation, shown) {
        (Observation::Seen(_), Some(shown)) => Actual::Shared(Some(shown.id.clone())),
        (Observation::Seen(_), None) => Actual::Unshared,
        (Observation::ReadDenied(_) | Observation::Unobserved(_), _) => Actual::Unknown,
    };
    Decision {
        desired: actual.state().unwrap_or(ShareState::Shared),
        cause: Cause::Declared,
        source: None,
        actual,
        until: None,
        verdict: Verdict::Withheld(Withheld::Held(verdict.to_string().into()).into()),
        name: image_name(inputs, id, None, shown),
        entry: None,
    }
}

/// The name by which people know an image: the name in its entry, or else the image's own name, or else the name of its
/// blueprint.
fn image_name(
    inputs: &Inputs<'_>,
    id: &ImageId,
    entry: Option<&DesiredImage>,
    shown: Option<&Blueprint>,
) -> Option<SmolStr> {
    let declared = entry.and_then(|entry| entry.name.as_ref());
    let known = match declared {
        Some(name) => return Some(name.as_str().into()),
        None => inputs.own_images().get(id).map(|own| &own.name),
    };
    let shown = shown.map(|shown| &shown.name);
    known.or(shown).filter(|name| !name.is_empty()).cloned()
}

fn named_decision(
    inputs: &Inputs<'_>,
    id: &ImageId,
    image: &DesiredImage,
    shown: Option<&Blueprint>,
) -> Decision {
    let ((mut desired, mut cause), by_api) = inputs.clocks.ask(|now| image.share.at(now));
    let (actual, mut verdict) = decide::decide(inputs, id, desired, shown);
    let says_nothing_yet = inputs.clocks.all(|now| image.share.is_to_come(now));
    if says_nothing_yet && !matches!(verdict, Verdict::Unobserved(_)) {
        // An image that is already shared stays as it is.
        desired = actual.state().unwrap_or(desired);
        verdict = Verdict::InSync;
    }
    if let Some(why) = inputs.desired.broken.get(id)
        && verdict == Verdict::InSync
        && desired == ShareState::Shared
    {
        verdict = Verdict::Blocked(remedy::broken(shown, why).into());
    }
    if let Some(why) = inputs.desired.held.get(id)
        && verdict == Verdict::Act
    {
        verdict = Verdict::Withheld(Withheld::Held(why.to_string().into()).into());
    }
    if let Some((state, why)) = by_api
        && state != desired
        && !matches!(verdict, Verdict::Unobserved(_))
    {
        let about = ConflictSubject::DesiredState {
            machine: desired,
            api: state,
        };
        verdict = Verdict::Withheld(Withheld::disputed(inputs.clocks, about).into());
        if actual.state() == Some(desired) {
            (desired, cause) = (state, why);
        }
    }
    Decision {
        desired,
        cause,
        source: Some(image.source.clone()),
        actual,
        until: match image.share {
            DesiredShare::Shared { until, .. } => {
                until.filter(|until| inputs.clocks.machine() < *until)
            }
            DesiredShare::Unshared | DesiredShare::ByPolicy { .. } => None,
        },
        verdict,
        name: image_name(inputs, id, Some(image), shown),
        entry: Some(Entry {
            document: Arc::clone(&image.document),
            protect: image.protect,
            from: match image.share {
                DesiredShare::Shared { from, .. } => from,
                DesiredShare::Unshared | DesiredShare::ByPolicy { .. } => None,
            },
            note: image.note.clone(),
        }),
    }
}

fn unnamed_decision(inputs: &Inputs<'_>, id: &ImageId) -> Decision {
    let shown = inputs.shown().get(id);
    let (actual, verdict) = decide::decide(inputs, id, ShareState::Unshared, shown);
    Decision {
        desired: ShareState::Unshared,
        cause: Cause::Pruned,
        source: None,
        actual,
        until: None,
        verdict,
        name: image_name(inputs, id, None, shown),
        entry: None,
    }
}

/// The images that are about to be shared for the first time. Their eligibility is requested before a write is sent.
pub fn share_candidates(plan: &Plan, attempts: &AttemptLog) -> Vec<ImageId> {
    let candidates = plan.decisions.iter().filter(|(id, decision)| {
        decision.verdict == Verdict::Act
            && decision.desired == ShareState::Shared
            && attempts.tried_towards(id, ShareState::Shared).is_none()
    });
    candidates.map(|(id, _)| id.clone()).collect()
}

/// Whether the plan cancels a share, now or once a temporary guard no longer withholds it. Then the account's instances
/// must be known.
pub fn needs_instances(plan: &Plan) -> bool {
    let mut decisions = plan.decisions.values();
    decisions.any(|decision| {
        let is_ahead = match &decision.verdict {
            Verdict::Withheld(why) => **why == Withheld::InstancesNotAsked,
            verdict => *verdict == Verdict::Act,
        };
        decision.desired == ShareState::Unshared && is_ahead
    })
}

/// Whether the plan prunes an image, now or once a temporary guard (a window, a suspension, a cap, clocks that disagree)
/// no longer withholds it. Then the account's own images must be known.
pub fn needs_own_images(plan: &Plan) -> bool {
    let mut decisions = plan.decisions.values();
    decisions.any(|decision| {
        let is_ahead = || match &decision.verdict {
            Verdict::Withheld(why) => {
                let counts = matches!(**why, Withheld::OwnImagesNotAsked | Withheld::TooMany(_));
                counts || decision.verdict.is_intended()
            }
            verdict => verdict.is_intended(),
        };
        decision.cause == Cause::Pruned && is_ahead()
    })
}
