//! The verdicts that follow from this run's writes towards the desired state, whether or not the scope can be read.

use std::time::Duration;

use super::remedy;
use super::result::{Awaiting, Verdict};
use crate::api::error::Hint;
use crate::attempts::{ImageAttempts, LastResult, Problem, RepeatedAnswer};
use crate::inventory::LAG;
use crate::model::{Monotonic, ShareState};
use crate::observation::{Blueprint, BlueprintState};

/// A write that no read ever shows is sent at most twice.
const ACKNOWLEDGED_MAX: u32 = 2;
/// How long an unanswered SHARE may still appear before it is sent again. It is short, because the answer to the second
/// SHARE, `ImageAlreadyShared`, is conclusive.
const SHARE_SETTLES: Duration = Duration::from_secs(2);
/// The same for CANCEL. It is longer, because the answer to a second CANCEL is not documented.
const CANCEL_SETTLES: Duration = Duration::from_secs(10);
/// Limit of unanswered writes for one image. With every tenth reply lost, eight in a row fail once in 10^8.
pub(super) const UNCLEAR_MAX: u32 = 8;
/// How often the same answer must come to one write, if observations show the opposite, until it counts.
const SAME_ANSWER_MAX: u32 = 2;
/// The same for an operation that failed: the first attempt, and two more.
const FAILED_OPERATION_MAX: u32 = 3;

/// The verdict where the answers and the observation contradict each other, and neither time nor another call can change
/// that.
pub(super) fn contradicted(
    tried: &ImageAttempts,
    shown: Option<&Blueprint>,
    monotonic: Monotonic,
) -> Option<Verdict> {
    let unusable = match shown.map(|shown| &shown.state) {
        Some(BlueprintState::Unusable(why)) => Some(*why),
        _ => None,
    };
    match (&tried.last, &tried.answer) {
        // A second CANCEL would not end a share in such a state.
        (LastResult::Acknowledged { at, request_id, .. }, _)
            if tried.towards == ShareState::Unshared && monotonic >= *at + LAG =>
        {
            let left_over = remedy::left_over(shown?, unusable?, request_id.clone());
            Some(Verdict::Blocked(left_over.into()))
        }
        (LastResult::Unclear { problem, .. }, Some(answer)) => {
            let said = Hint::of(problem.code.as_deref()?);
            if answer.times < most(said) {
                return None;
            }
            let until = answer.since + LAG;
            Some(match said {
                // The list may lag behind somebody else's CANCEL, or behind ours whose answer was lost.
                Hint::NotShared if unusable.is_none() && monotonic < until => Verdict::Await {
                    until,
                    reason: Awaiting::Outcome(problem.clone()).into(),
                },
                Hint::Passing | Hint::MayPass => Verdict::Failed(problem.clone().into()),
                Hint::NoImage | Hint::NotShared | Hint::Nothing => {
                    let RepeatedAnswer { times, .. } = *answer;
                    let problem = remedy::contradicted(problem, times, tried.towards, shown);
                    Verdict::Blocked(problem.into())
                }
            })
        }
        _ => None,
    }
}

/// How often in a row an answer must come to be believed.
fn most(said: Hint) -> u32 {
    match said {
        Hint::NoImage | Hint::NotShared | Hint::Nothing => SAME_ANSWER_MAX,
        Hint::MayPass => FAILED_OPERATION_MAX,
        Hint::Passing => UNCLEAR_MAX,
    }
}

/// The verdict that follows from this run's writes towards the desired state.
pub(super) fn after_own_write(tried: &ImageAttempts, monotonic: Monotonic) -> Verdict {
    match &tried.last {
        LastResult::Acknowledged { at, .. } if monotonic < *at + LAG => Verdict::Await {
            until: *at + LAG,
            reason: Awaiting::OwnWrite.into(),
        },
        LastResult::Acknowledged { .. } if tried.acknowledged < ACKNOWLEDGED_MAX => Verdict::Act,
        LastResult::Acknowledged { request_id, .. } => Verdict::Failed(Box::new(Problem {
            request_id: request_id.clone(),
            ..Problem::new(format!(
                "the API accepted the change {} times, but reading never showed it",
                tried.acknowledged
            ))
        })),
        LastResult::AlreadyShared { .. } => Verdict::InSync,
        LastResult::Unclear { at, problem } => {
            let settles = match tried.towards {
                ShareState::Shared => SHARE_SETTLES,
                ShareState::Unshared => CANCEL_SETTLES,
            };
            if tried.unclear >= UNCLEAR_MAX {
                Verdict::Failed(problem.clone().into())
            } else if monotonic < *at + settles {
                Verdict::Await {
                    until: *at + settles,
                    reason: Awaiting::Outcome(problem.clone()).into(),
                }
            } else {
                Verdict::Act
            }
        }
        LastResult::Blocked(problem) | LastResult::Denied(problem) => {
            Verdict::Blocked(problem.clone().into())
        }
        LastResult::Failed(problem) => Verdict::Failed(problem.clone().into()),
        LastResult::CutShort(_) => Verdict::Act,
    }
}
