//! The planner's truth table, row by row. `desired ≠ actual` throughout but for the first row. What a guard forbids
//! (see `guard`) is filtered from the rows that act.
//!
//! | seen | own writes towards it | else | verdict |
//! |---|---|---|---|
//! | as desired | | | in sync |
//! | as desired | the other way, outcome unknown, not long ago | | await |
//! | other | acknowledged, not long ago | | await the read |
//! | other | acknowledged, long ago, once | | act again |
//! | other | acknowledged twice, long ago | | failed |
//! | other | answered `ImageAlreadyShared` | | in sync |
//! | other | outcome unknown, not long ago | | await |
//! | other | outcome unknown, a few times | | act again |
//! | other | outcome unknown, too often | | failed |
//! | other | blocked, or given up | | blocked, failed |
//! | SHARE needed | none | absent, or a precondition fails | blocked |
//! | SHARE needed | none | unshareable for no visible reason | await, then blocked |
//! | other | none | | act |
//! | blind | acknowledged, or already shared | | in sync |
//! | unseen | | | unseen |

use std::time::Duration;

use super::{Actual, Awaiting, Inputs, Verdict};
use crate::memory::{Last, Memory, Problem, Tried, Unmet};
use crate::model::{ImageId, Moment, ShareState};
use crate::observed::{Blueprint, Eligibility, Observation, Precondition, Seen};

/// How long a read may lag behind an acknowledged write before the write is repeated.
const LAG_MAX: Duration = Duration::from_secs(120);
/// A write that never shows is sent twice, no more.
const ACKNOWLEDGED_MAX: u32 = 2;
/// How long an unanswered SHARE may still show before it is sent again. Short: the answer to the
/// second, `ImageAlreadyShared`, tells for certain.
const SHARE_SETTLES: Duration = Duration::from_secs(2);
/// The same for CANCEL. Longer: what a second CANCEL answers is not documented.
const CANCEL_SETTLES: Duration = Duration::from_secs(10);
/// Unanswered writes for one image. With every tenth reply lost, eight in a row fail once in 10^8.
const UNCLEAR_MAX: u32 = 8;
/// How long the list of blueprints may lag before "unshareable" is believed.
const DOUBT_SETTLES: Duration = Duration::from_secs(6);

/// The state of an image as last known, and what follows, guards aside. `shown` is what the last look shows of it.
pub(super) fn decide(
    inputs: &Inputs<'_>,
    id: &ImageId,
    desired: ShareState,
    shown: Option<&Blueprint>,
) -> (Actual, Verdict) {
    let tried = inputs.memory.tried_towards(id, desired);
    let (actual, seen) = match inputs.observation {
        Observation::Unseen(unseen) => {
            return (Actual::Unknown, Verdict::Unseen(unseen.clone().into()));
        }
        Observation::Blind(_) => (by_word(tried), None),
        Observation::Seen(seen) => (by_sight(shown), Some(seen)),
    };
    if actual.state() == Some(desired) {
        let other_way = inputs
            .memory
            .tried
            .get(id)
            .filter(|tried| tried.towards != desired);
        let pending = other_way.and_then(|tried| still_open(tried, inputs.moment));
        return (actual, pending.unwrap_or(Verdict::InSync));
    }
    let verdict = match tried {
        Some(tried) => after_own_write(tried, inputs.moment),
        None => first_time(id, desired, seen, inputs.memory, inputs.moment),
    };
    // The API's own word that the image is shared already is as good as seeing it.
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

/// What the API's answers to our writes say, where reading is denied.
fn by_word(tried: Option<&Tried>) -> Actual {
    match tried {
        Some(Tried {
            last: Last::Acknowledged { blueprint_id, .. },
            towards: ShareState::Shared,
            ..
        }) => Actual::Shared(blueprint_id.as_deref().map(Into::into)),
        Some(Tried {
            last: Last::Acknowledged { .. },
            ..
        }) => Actual::Unshared,
        Some(Tried {
            last: Last::AlreadyShared { .. },
            ..
        }) => Actual::Shared(None),
        _ => Actual::Unknown,
    }
}

fn after_own_write(tried: &Tried, moment: Moment) -> Verdict {
    match &tried.last {
        Last::Acknowledged { at, .. } if moment < *at + LAG_MAX => Verdict::Await {
            until: *at + LAG_MAX,
            reason: Awaiting::OwnWrite.into(),
        },
        Last::Acknowledged { .. } if tried.acknowledged < ACKNOWLEDGED_MAX => Verdict::Act,
        Last::Acknowledged { request_id, .. } => Verdict::Failed(Box::new(Problem {
            request_id: request_id.clone(),
            ..Problem::new(format!(
                "the API accepted the change {} times, but reading never showed it",
                tried.acknowledged
            ))
        })),
        Last::AlreadyShared { .. } => Verdict::InSync,
        Last::Unclear { at, problem } => {
            let settles = match tried.towards {
                ShareState::Shared => SHARE_SETTLES,
                ShareState::Unshared => CANCEL_SETTLES,
            };
            if tried.unclear >= UNCLEAR_MAX {
                Verdict::Failed(problem.clone().into())
            } else if moment < *at + settles {
                Verdict::Await {
                    until: *at + settles,
                    reason: Awaiting::Outcome(problem.clone()).into(),
                }
            } else {
                Verdict::Act
            }
        }
        Last::Blocked(problem) | Last::Denied(problem) => Verdict::Blocked(problem.clone().into()),
        Last::Failed(problem) => Verdict::Failed(problem.clone().into()),
        Last::CutShort(_) => Verdict::Act,
    }
}

/// A write the other way whose outcome is open may still take effect.
fn still_open(tried: &Tried, moment: Moment) -> Option<Verdict> {
    match &tried.last {
        Last::Unclear { at, problem } if moment < *at + CANCEL_SETTLES => Some(Verdict::Await {
            until: *at + CANCEL_SETTLES,
            reason: Awaiting::Outcome(problem.clone()).into(),
        }),
        _ => None,
    }
}

fn first_time(
    id: &ImageId,
    desired: ShareState,
    seen: Option<&Seen>,
    memory: &Memory,
    moment: Moment,
) -> Verdict {
    let eligibility = seen.and_then(|seen| seen.eligibility.get(id));
    let (ShareState::Shared, Some(eligibility)) = (desired, eligibility) else {
        return Verdict::Act;
    };
    match eligibility {
        Eligibility::Shareable => Verdict::Act,
        Eligibility::Absent => {
            let absent = "no such image here; check the image id, the region and the account";
            Verdict::Blocked(Problem::unmet(Unmet::Absent, absent).into())
        }
        Eligibility::Unshareable { failed, .. } if !failed.is_empty() => {
            let all: Vec<_> = failed.iter().map(ToString::to_string).collect();
            let unmet = if failed.iter().all(Precondition::passes_by_itself) {
                Unmet::NotYet
            } else {
                Unmet::Never
            };
            Verdict::Blocked(Problem::unmet(unmet, all.join("; ")).into())
        }
        Eligibility::Unshareable { reason, .. } => {
            let until = *memory.doubted_since.get(id).unwrap_or(&moment) + DOUBT_SETTLES;
            let doubt = Awaiting::Doubt(reason.clone());
            if moment < until {
                Verdict::Await {
                    until,
                    reason: doubt.into(),
                }
            } else {
                Verdict::Blocked(Problem::unmet(Unmet::Never, doubt.to_string()).into())
            }
        }
    }
}

impl Actual {
    /// The state, where it is known.
    pub fn state(&self) -> Option<ShareState> {
        match self {
            Self::Shared(_) => Some(ShareState::Shared),
            Self::Unshared => Some(ShareState::Unshared),
            Self::Unknown => None,
        }
    }
}

impl std::fmt::Display for Awaiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OwnWrite => f.write_str("accepted by the API, but reading does not show it yet"),
            Self::Outcome(problem) => write!(f, "the outcome is unknown: {problem}"),
            Self::Doubt(reason) if reason.is_empty() => {
                f.write_str("the API says it cannot be shared")
            }
            Self::Doubt(reason) => write!(f, "the API says it cannot be shared: {reason}"),
            Self::Loss(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
