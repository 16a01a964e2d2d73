//! Recent writes, of this process or an earlier one, that the observation may not show yet. They count whatever the
//! desired state is now: an acknowledged share appears in the end, even if no manifest asks for it any longer (S4).

use chrono::TimeDelta;

use super::{Awaiting, Inputs, Verdict};
use crate::attempts::{ImageAttempts, LastResult, Problem};
use crate::inventory::{InventoryEntry, LAG, LAG_MAX, OpenIntent};
use crate::model::{ImageId, Monotonic, ShareState};

/// The wait for an image that shows as `desired` although a recent write towards the opposite state may still appear. The
/// wait ends once the newest such write is older than [`LAG_MAX`].
pub(super) fn await_opposite_write(
    inputs: &Inputs<'_>,
    id: &ImageId,
    desired: ShareState,
) -> Option<Verdict> {
    let opposite = inputs.attempts.tried.get(id);
    let opposite = opposite.filter(|tried| tried.towards != desired);
    let entry = inputs.inventory.images.get(id);
    let open = inputs.inventory.open_intents.get(id);
    let waits = [
        opposite.and_then(of_this_run),
        entry.and_then(|entry| acknowledged(inputs, entry, desired)),
        open.and_then(|open| unanswered(inputs, open, desired)),
    ];
    let newest = waits.into_iter().flatten().max_by_key(|(until, _)| *until);
    let (until, reason) = newest.filter(|(until, _)| inputs.monotonic < *until)?;
    Some(Verdict::Await {
        until,
        reason: reason.into(),
    })
}

/// Whether an image that is not visible may still appear because of a recent SHARE of ours that no observation has shown.
/// An image that was visible and is gone needs no wait: a pass that prunes observes again in any case.
pub(super) fn may_still_appear(inputs: &Inputs<'_>, id: &ImageId) -> bool {
    let entry = inputs.inventory.images.get(id);
    let newest = entry.and_then(|entry| entry.writes.last());
    let was_shown =
        newest.is_some_and(|write| write.confirmed && write.towards == ShareState::Shared);
    !was_shown && await_opposite_write(inputs, id, ShareState::Unshared).is_some()
}

/// The wait for an image that does not show as `desired`, although the API acknowledged a recent write of an earlier
/// process and no observation has confirmed it.
pub(super) fn await_unconfirmed_write(
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

fn of_this_run(tried: &ImageAttempts) -> Option<(Monotonic, Awaiting)> {
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
    entry: &InventoryEntry,
    desired: ShareState,
) -> Option<(Monotonic, Awaiting)> {
    let answer = entry.last_answer.filter(|answer| answer.state != desired)?;
    let until = lag_ends(inputs, inputs.present.since(answer.at))?;
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

/// The end of the time in which an observation may lag behind a write of age `age`; `None` if it has passed.
fn lag_ends(inputs: &Inputs<'_>, age: TimeDelta) -> Option<Monotonic> {
    wait_ends(inputs, age, LAG_MAX)
}

/// The moment at which `most` will have passed since an event of age `age`; `None` if it has passed. A date in the future
/// comes from a clock that has been set back since; waiting for it would never end.
pub(super) fn wait_ends(inputs: &Inputs<'_>, age: TimeDelta, most: TimeDelta) -> Option<Monotonic> {
    let left = (most - age).min(most).to_std().ok()?;
    (!left.is_zero() && age > -most).then(|| inputs.monotonic + left)
}
