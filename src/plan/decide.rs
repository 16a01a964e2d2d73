//! The planner's truth table, row by row. Except in the first row, the desired state differs from the actual state.
//! Actions that a guard forbids (see `guard`) are filtered from the rows that act.
//!
//! | seen | own writes towards it | other condition | verdict |
//! |---|---|---|---|
//! | as desired | | | in sync |
//! | as desired | opposite write, acknowledged or outcome unknown, recent, in this run or an earlier one | | await |
//! | shared as desired, in a failed state | | | blocked |
//! | shared as desired, syncing | | | pending |
//! | other | acknowledged, recent | | await the read |
//! | other | acknowledged once, long ago | | act again |
//! | other | acknowledged twice, long ago | | failed |
//! | still shared, in a failed state | CANCEL acknowledged, long ago | | blocked |
//! | other | answered `ImageAlreadyShared` | | in sync |
//! | other | outcome unknown, recent | | await |
//! | other | outcome unknown, a few times | | act again |
//! | other | outcome unknown, too often | | failed |
//! | other | the same answer repeatedly, which leaves the outcome open | the answer says that it is not shared | await, then blocked |
//! | other | the same | the answer is documented as temporary | act again, then failed |
//! | other | the same | | blocked |
//! | other | blocked, or given up | | blocked, failed |
//! | SHARE needed | none | absent, or a precondition fails | blocked |
//! | SHARE needed | none | unshareable for no visible reason | await, then blocked |
//! | other | none, but acknowledged by an earlier run, recent, and never seen | | await |
//! | other | none | | act |
//! | reading denied | | | see `read_denied` |
//! | unobserved | | | unobserved |

use std::time::Duration;

use super::own_writes::{after_own_write, contradicted};
use super::{Actual, Awaiting, Inputs, Verdict, read_denied, recent_writes, remedy};
use crate::attempts::{AttemptLog, Problem, UnmetCondition};
use crate::model::{ImageId, Monotonic, ShareState};
use crate::observation::{Blueprint, BlueprintState, Eligibility, Observation, Precondition, Seen};

/// How long the list of blueprints may lag before the planner believes "unshareable".
const DOUBT_SETTLES: Duration = Duration::from_secs(6);

/// The actual state of an image, and its verdict before the guards. `shown` is the blueprint that the observation shows
/// for the image.
pub(super) fn decide(
    inputs: &Inputs<'_>,
    id: &ImageId,
    desired: ShareState,
    shown: Option<&Blueprint>,
) -> (Actual, Verdict) {
    let (actual, seen) = match inputs.observation {
        Observation::Unobserved(unobserved) => {
            return (
                Actual::Unknown,
                Verdict::Unobserved(unobserved.clone().into()),
            );
        }
        Observation::ReadDenied(_) => {
            return (Actual::Unknown, read_denied::decide(inputs, id, desired));
        }
        Observation::Seen(seen) => (by_sight(shown), seen),
    };
    if actual.state() == Some(desired) {
        let pending = recent_writes::await_opposite_write(inputs, id, desired);
        return (actual, pending.unwrap_or_else(|| as_desired(shown)));
    }
    let verdict = match inputs.attempts.tried_towards(id, desired) {
        Some(tried) => contradicted(tried, shown, inputs.monotonic)
            .unwrap_or_else(|| after_own_write(tried, inputs.monotonic)),
        None => recent_writes::await_unconfirmed_write(inputs, id, desired)
            .unwrap_or_else(|| first_time(id, desired, seen, inputs.attempts, inputs.monotonic)),
    };
    // The API's answer that the image is already shared counts as much as an observation.
    match verdict {
        Verdict::InSync => (Actual::Shared(None), Verdict::InSync),
        verdict => (actual, verdict),
    }
}

fn by_sight(shown: Option<&Blueprint>) -> Actual {
    match shown {
        Some(blueprint) => Actual::Shared(Some(blueprint.id.clone())),
        None => Actual::Unshared,
    }
}

/// A share is complete once servers can be created from it.
fn as_desired(shown: Option<&Blueprint>) -> Verdict {
    let Some(shown) = shown else {
        return Verdict::InSync;
    };
    match shown.state {
        BlueprintState::Normal | BlueprintState::Unknown(_) => Verdict::InSync,
        BlueprintState::Syncing => Verdict::Pending(remedy::syncing(shown).into()),
        BlueprintState::Unusable(why) => Verdict::Blocked(remedy::unusable(shown, why).into()),
    }
}

fn first_time(
    id: &ImageId,
    desired: ShareState,
    seen: &Seen,
    attempts: &AttemptLog,
    monotonic: Monotonic,
) -> Verdict {
    let eligibility = seen.eligibility.get(id);
    let (ShareState::Shared, Some(eligibility)) = (desired, eligibility) else {
        return Verdict::Act;
    };
    match eligibility {
        Eligibility::Shareable => Verdict::Act,
        Eligibility::Absent => {
            let absent = "no such image here; check the image id, the region and the account";
            Verdict::Blocked(Problem::unmet(UnmetCondition::Absent, absent).into())
        }
        Eligibility::Unshareable { failed, .. } if !failed.is_empty() => {
            let all: Vec<_> = failed.iter().map(ToString::to_string).collect();
            let unmet = if failed.iter().all(Precondition::passes_by_itself) {
                UnmetCondition::NotYet
            } else {
                UnmetCondition::Never
            };
            Verdict::Blocked(Problem::unmet(unmet, all.join("; ")).into())
        }
        Eligibility::Unshareable { reason, .. } => {
            let until = *attempts.unshareable_since.get(id).unwrap_or(&monotonic) + DOUBT_SETTLES;
            let doubt = Awaiting::Doubt(reason.clone());
            if monotonic < until {
                Verdict::Await {
                    until,
                    reason: doubt.into(),
                }
            } else {
                Verdict::Blocked(Problem::unmet(UnmetCondition::Never, doubt.to_string()).into())
            }
        }
    }
}

#[cfg(test)]
#[path = "decide_tests/mod.rs"]
mod tests;
