//! The time at which time alone may change a decision of a plan, so that its scope is observed again then.

use std::collections::BTreeMap;

use super::clock_conflict::ConflictSubject;
use super::inputs::Inputs;
use super::result::{Decision, Verdict};
use super::window_closures::WindowClosures;
use super::withheld::Withheld;
use crate::model::{ImageId, Timestamp};

/// The first instant, by this machine's clock, at which a share begins or ends, a window opens or a suspension is over.
pub(super) fn next_change_at(
    inputs: &Inputs<'_>,
    closures: &WindowClosures,
    decisions: &BTreeMap<ImageId, Decision>,
) -> Option<Timestamp> {
    let wanted = inputs.desired.images.values();
    let asked = wanted.flat_map(|image| image.share.changes_at());
    let withheld = decisions.values().flat_map(|decision| {
        let (end, openings) = match &decision.verdict {
            Verdict::Withheld(why) => match &**why {
                Withheld::Suspended(suspension) => (suspension.until, None),
                Withheld::WindowClosed(_) => (None, Some(closures.openings(decision.cause))),
                Withheld::ClocksDisagree(conflict) => match &conflict.about {
                    ConflictSubject::DesiredState { .. } => (None, None),
                    ConflictSubject::Window { .. } => {
                        (None, Some(closures.openings(decision.cause)))
                    }
                    ConflictSubject::Suspension { suspension, .. } => (suspension.until, None),
                },
                _ => (None, None),
            },
            _ => (None, None),
        };
        end.into_iter().chain(openings.into_iter().flatten())
    });
    let changes_at = asked.chain(withheld);
    let changes_at = changes_at.filter_map(|at| inputs.clocks.reach(at));
    changes_at.chain(inputs.desired.next_change_at).min()
}
