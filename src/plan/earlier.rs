//! Writes of a moment ago, of this process or an earlier one, that the last look may not show yet. They count whichever
//! way the wish points now: a share that was acknowledged shows in the end, even if nobody wants it any longer.

use chrono::TimeDelta;

use super::{Awaiting, Inputs, Verdict};
use crate::attempts::{LastResult, PendingAttempt, Problem};
use crate::inventory::{InventoryEntry, LAG, LAG_MAX, OpenIntent};
use crate::model::{ImageId, Monotonic, ShareState};

/// What to wait for where an image shows as `desired`, and a recent write the other way may still show. The wait ends as
/// the newest of these writes is older than a look can lag.
pub(super) fn contradicts(
    inputs: &Inputs<'_>,
    id: &ImageId,
    desired: ShareState,
) -> Option<Verdict> {
    let other_way = inputs.attempts.tried.get(id);
    let other_way = other_way.filter(|tried| tried.towards != desired);
    let record = inputs.inventory.images.get(id);
    let open = inputs.inventory.open_intents.get(id);
    let waits = [
        other_way.and_then(of_this_run),
        record.and_then(|record| acknowledged(inputs, record, desired)),
        open.and_then(|open| unanswered(inputs, open, desired)),
    ];
    let newest = waits.into_iter().flatten().max_by_key(|(until, _)| *until);
    let (until, reason) = newest.filter(|(until, _)| inputs.monotonic < *until)?;
    Some(Verdict::Await {
        until,
        reason: reason.into(),
    })
}

/// Whether an image that is not shown may yet be, by a recent SHARE of ours that no look has shown. One that has been
/// shown and is gone is the next look's matter: whoever prunes looks again and again.
pub(super) fn may_yet_show(inputs: &Inputs<'_>, id: &ImageId) -> bool {
    let record = inputs.inventory.images.get(id);
    let newest = record.and_then(|record| record.writes.last());
    let was_shown =
        newest.is_some_and(|write| write.confirmed && write.towards == ShareState::Shared);
    !was_shown && contradicts(inputs, id, ShareState::Unshared).is_some()
}

/// What to wait for where an image does not show as `desired`, though an earlier process was told that it is, a moment
/// ago, and no look has shown it since.
pub(super) fn unconfirmed(
    inputs: &Inputs<'_>,
    id: &ImageId,
    desired: ShareState,
) -> Option<Verdict> {
    let write = inputs.inventory.images.get(id)?.writes.last()?;
    let until = (!write.confirmed && write.towards == desired)
        .then(|| lag_ends(inputs, inputs.present.since(write.at)))??;
    Some(Verdict::Await {
        until,
        reason: Awaiting::OwnWrite.into(),
    })
}

fn of_this_run(tried: &PendingAttempt) -> Option<(Monotonic, Awaiting)> {
    match &tried.last {
        LastResult::Acknowledged { at, .. } => Some((*at + LAG, Awaiting::OwnWrite)),
        LastResult::Unclear { at, problem } => {
            Some((*at + LAG, Awaiting::Outcome(problem.clone())))
        }
        LastResult::AlreadyShared { .. }
        | LastResult::Blocked(_)
        | LastResult::Denied(_)
        | LastResult::Failed(_)
        | LastResult::CutShort(_) => None,
    }
}

fn acknowledged(
    inputs: &Inputs<'_>,
    record: &InventoryEntry,
    desired: ShareState,
) -> Option<(Monotonic, Awaiting)> {
    let word = record.last_answer.filter(|word| word.state != desired)?;
    let until = lag_ends(inputs, inputs.present.since(word.at))?;
    Some((until, Awaiting::OwnWrite))
}

fn unanswered(
    inputs: &Inputs<'_>,
    open: &[OpenIntent],
    desired: ShareState,
) -> Option<(Monotonic, Awaiting)> {
    let mut newest = open.iter().rev();
    let intent = newest.find(|intent| intent.permission.leads_to() != desired)?;
    let until = lag_ends(inputs, inputs.present.since(intent.at))?;
    let problem = Problem::new("an earlier write ended without an answer");
    Some((until, Awaiting::Outcome(problem)))
}

/// When a look cannot lag any longer behind a write of `age` ago; `None`: by now.
fn lag_ends(inputs: &Inputs<'_>, age: TimeDelta) -> Option<Monotonic> {
    wait_ends(inputs, age, LAG_MAX)
}

/// When `most` has gone by since something of `age` ago; `None`: it has by now. A date in the future is of a clock that has
/// been set back since: who waited for that to come would wait anew with each look.
pub(super) fn wait_ends(inputs: &Inputs<'_>, age: TimeDelta, most: TimeDelta) -> Option<Monotonic> {
    let left = (most - age).min(most).to_std().ok()?;
    (!left.is_zero() && age > -most).then(|| inputs.monotonic + left)
}
