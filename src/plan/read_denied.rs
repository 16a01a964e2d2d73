//! The truth table for scopes that cannot be read. The API's answers to writes, in this run and in earlier ones, are all
//! that is known about an image, and they alone decide whether it is in sync.
//!
//! | last answer | own writes towards it | verdict |
//! |---|---|---|
//! | | opposite write, without an answer, recent | await |
//! | as desired, within `--trust-acknowledged` | none, or final | in sync |
//! | older, the other state, or none | none | act |
//! | | acknowledged, or already shared | in sync |
//! | | outcome unknown, recent | await |
//! | | outcome unknown, a few times | act again |
//! | | outcome unknown too often, or the same answer several times in a row; or blocked; or given up | failed, blocked |

use chrono::TimeDelta;

use super::own_writes::{after_own_write, contradicted};
use super::recent_writes::wait_ends;
use super::{Awaiting, Inputs, Verdict};
use crate::attempts::{LastResult, Problem};
use crate::inventory::{AnsweredState, OpenIntent};
use crate::model::{ImageId, ShareState};

/// How long a write without an answer may still be in flight: a little more than twice the deadline of a call.
const IN_FLIGHT: TimeDelta = TimeDelta::seconds(20);

pub(super) fn decide(inputs: &Inputs<'_>, id: &ImageId, desired: ShareState) -> Verdict {
    let open = inputs
        .inventory
        .open_intents
        .get(id)
        .map_or(&[][..], Vec::as_slice);
    let mut opposite = open.iter().rev();
    let opposite = opposite.find(|intent| intent.permission.leads_to() != desired);
    if let Some(wait) = opposite.and_then(|intent| in_flight(inputs, intent)) {
        return wait;
    }
    let answer = last_answer(inputs, id, desired, opposite);
    let Some(tried) = inputs.attempts.tried_towards(id, desired) else {
        return match answer.is_some_and(|answer| is_trusted(inputs, answer)) {
            true => Verdict::InSync,
            false => Verdict::Act,
        };
    };
    match tried.last {
        LastResult::Acknowledged { .. } | LastResult::AlreadyShared { .. } => Verdict::InSync,
        // The recorded answer belongs to this write: otherwise its intent would still be open.
        LastResult::Unclear { .. }
            if answer.is_some_and(|answer| open.iter().all(|intent| intent.at < answer.at)) =>
        {
            Verdict::InSync
        }
        _ => contradicted(tried, None, inputs.monotonic)
            .unwrap_or_else(|| after_own_write(tried, inputs.monotonic)),
    }
}

/// The API's last answer, if it says that the image is in the desired state. It does not count if a later write towards
/// the opposite state ended without an answer.
fn last_answer(
    inputs: &Inputs<'_>,
    id: &ImageId,
    desired: ShareState,
    opposite: Option<&OpenIntent>,
) -> Option<AnsweredState> {
    let answer = inputs.inventory.images.get(id)?.last_answer?;
    let holds = answer.state == desired && opposite.is_none_or(|intent| intent.at < answer.at);
    holds.then_some(answer)
}

fn is_trusted(inputs: &Inputs<'_>, answer: AnsweredState) -> bool {
    // A date in the far future comes from a wrong clock.
    inputs.present.since(answer.at).abs() < inputs.policy.trust_acknowledged
}

fn in_flight(inputs: &Inputs<'_>, intent: &OpenIntent) -> Option<Verdict> {
    let until = wait_ends(inputs, inputs.present.since(intent.at), IN_FLIGHT)?;
    let problem = Problem::new("an earlier write ended without an answer");
    Some(Verdict::Await {
        until,
        reason: Awaiting::Outcome(problem).into(),
    })
}
