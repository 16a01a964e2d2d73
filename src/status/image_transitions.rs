//! Transitions of one image between two observations, and their ends when no manifest names it any longer.

use std::collections::BTreeSet;

use super::image::{ImageStatus, Reported};
use super::reason::Reason;
use super::transition::{Subject, Transition, TransitionKind};
use crate::model::{AccountName, ImageId, ImageKey, Scope, ShareState, Timestamp};

/// The new transitions of an image, where `was` holds its open reports.
pub(super) fn between(
    was: Reported,
    after: &ImageStatus,
    key: impl Fn() -> ImageKey,
    now: Timestamp,
) -> Vec<Transition> {
    let transition = |kind, message: String| Transition {
        reason: Some(after.reason),
        ..Transition::new(Subject::Image(key()), kind, message, now)
    };
    let mut transitions = Vec::new();
    if after.reported.changed_outside && !was.changed_outside {
        let what = match after.desired {
            ShareState::Shared => "somebody else has cancelled its share",
            ShareState::Unshared => "somebody else has shared it",
        };
        transitions.push(transition(TransitionKind::DriftAppeared, what.into()));
    } else if was.changed_outside && after.ready.holds() {
        let message = "it is in the desired state again".into();
        transitions.push(transition(TransitionKind::DriftResolved, message));
    }
    match (was.block, after.reported.block) {
        // A missing role is reported for the account.
        (_, Some(Reason::RoleMissing)) | (Some(Reason::RoleMissing), None) => {}
        (was, Some(is)) if was != Some(is) => {
            let blocked = transition(TransitionKind::Blocked, after.message_or_empty());
            transitions.push(with_others(blocked, is));
        }
        (Some(was), None) => {
            let unblocked = transition(
                TransitionKind::Unblocked,
                "it is in the desired state".into(),
            );
            transitions.push(with_others(unblocked, was));
        }
        _ => {}
    }
    transitions
}

/// Marks a missing permission, which usually affects many images at once, for combined reporting.
fn with_others(transition: Transition, reason: Reason) -> Transition {
    match reason {
        Reason::NoPermission => transition.of_many(),
        _ => transition,
    }
}

/// Ends the reports about an image that no manifest names any longer. A missing role belongs to its account instead.
pub(super) fn of_removal(
    reported: Reported,
    scope: &Scope,
    id: ImageId,
    now: Timestamp,
) -> impl Iterator<Item = Transition> {
    let key = ImageKey {
        scope: scope.clone(),
        image: id,
    };
    let ended = |kind| Transition::of_removal(Subject::Image(key.clone()), kind, now);
    let drift = reported
        .changed_outside
        .then(|| ended(TransitionKind::DriftResolved));
    let blocked = reported
        .block
        .filter(|reason| *reason != Reason::RoleMissing);
    let blocked = blocked.map(|reason| with_others(ended(TransitionKind::Unblocked), reason));
    drift.into_iter().chain(blocked)
}

/// Reports a missing service role once for its account, and not for each image. `reported` are the accounts with such a
/// report, and `was` is the image's previous report.
pub(super) fn of_service_role(
    reported: &mut BTreeSet<AccountName>,
    account: &AccountName,
    was: Option<Reason>,
    after: &ImageStatus,
    now: Timestamp,
) -> Option<Transition> {
    const MISSING: Option<Reason> = Some(Reason::RoleMissing);
    let (was, is) = (was == MISSING, after.reported.block == MISSING);
    let (kind, message) = if is && !was && reported.insert(account.clone()) {
        (TransitionKind::Blocked, after.message_or_empty())
    } else if was && !is && reported.remove(account) {
        (
            TransitionKind::Unblocked,
            "its images can be shared".to_owned(),
        )
    } else {
        return None;
    };
    let transition = Transition::new(Subject::Account(account.clone()), kind, message, now);
    Some(Transition {
        reason: Some(after.reason),
        ..transition.of_many()
    })
}
