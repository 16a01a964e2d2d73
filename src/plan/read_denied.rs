//! The truth table where reading is denied. All that is known of an image is what the API answered to writes, in this run
//! and in earlier ones; whether it is as desired rests on that answer alone.
//!
//! | last answer | own writes towards it | verdict |
//! |---|---|---|
//! | | the other way, without an answer, not long ago | await |
//! | as desired, within `--trust-acknowledged` | none, or final | in sync |
//! | older, the other state, or none | none | act |
//! | | acknowledged, or already shared | in sync |
//! | | outcome unknown, not long ago | await |
//! | | outcome unknown, a few times | act again |
//! | | outcome unknown too often, or with the same answer several times in a row; or blocked; or given up | failed, blocked |

use chrono::TimeDelta;

use super::own_writes::{after_own_write, contradicted};
use super::recent_writes::wait_ends;
use super::{Awaiting, Inputs, Verdict};
use crate::attempts::{LastResult, Problem};
use crate::inventory::{AnsweredState, OpenIntent};
use crate::model::{ImageId, ShareState};

/// A write without an answer may still be on its way for so long: twice the deadline of a call, and some.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(20);

pub(super) fn decide(inputs: &Inputs<'_>, id: &ImageId, desired: ShareState) -> Verdict {
    let open = inputs
        .inventory
        .open_intents
        .get(id)
        .map_or(&[][..], Vec::as_slice);
    let mut other_way = open.iter().rev();
    let other_way = other_way.find(|intent| intent.permission.leads_to() != desired);
    if let Some(wait) = other_way.and_then(|intent| on_its_way(inputs, intent)) {
        return wait;
    }
    let word = word(inputs, id, desired, other_way);
    let Some(tried) = inputs.attempts.tried_towards(id, desired) else {
        return match word.is_some_and(|word| is_trusted(inputs, word)) {
            true => Verdict::InSync,
            false => Verdict::Act,
        };
    };
    match tried.last {
        LastResult::Acknowledged { .. } | LastResult::AlreadyShared { .. } => Verdict::InSync,
        // The recorded answer is the one to this write: otherwise its intent would still be open.
        LastResult::Unclear { .. }
            if word.is_some_and(|word| open.iter().all(|intent| intent.at < word.at)) =>
        {
            Verdict::InSync
        }
        _ => contradicted(tried, None, inputs.monotonic)
            .unwrap_or_else(|| after_own_write(tried, inputs.monotonic)),
    }
}

/// The last answer of the API, if it says that the image is as desired. It does not count if a later write towards the
/// opposite state ended without an answer.
fn word(
    inputs: &Inputs<'_>,
    id: &ImageId,
    desired: ShareState,
    other_way: Option<&OpenIntent>,
) -> Option<AnsweredState> {
    let word = inputs.inventory.images.get(id)?.last_answer?;
    let holds = word.state == desired && other_way.is_none_or(|intent| intent.at < word.at);
    holds.then_some(word)
}

fn is_trusted(inputs: &Inputs<'_>, word: AnsweredState) -> bool {
    // A date in the far future comes from a clock that was wrong.
    inputs.present.since(word.at).abs() < inputs.policy.trust_acknowledged
}

fn on_its_way(inputs: &Inputs<'_>, intent: &OpenIntent) -> Option<Verdict> {
    let until = wait_ends(inputs, inputs.present.since(intent.at), ON_ITS_WAY)?;
    let problem = Problem::new("an earlier write ended without an answer");
    Some(Verdict::Await {
        until,
        reason: Awaiting::Outcome(problem).into(),
    })
}
