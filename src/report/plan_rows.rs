//! The rows of `plan`'s JSON document: the changes for each image, and the changes that are not made, with the reason.

use serde::Serialize;

use super::{Source, asks_nothing};
use crate::desired::DesiredShare;
use crate::model::{Cause, ImageId, Labels, Permission, ShareState, Timestamp, Uin};
use crate::plan::{Decision, Plan, Verdict};
use crate::resolve::{NameProblem, UnresolvedName};
use crate::words::{brief, rfc3339, with_request_id};

/// A call that is needed.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    /// Null for a name that matches no image, or several.
    image_id: Option<String>,
    image_name: Option<String>,
    /// The previous image of the name, if the name now means another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    was_image_id: Option<ImageId>,
    /// Null if no change is determined until a person settles something.
    action: Option<&'static str>,
    cause: &'static str,
    source: Option<Source>,
    /// `metadata.name` of the document that asks for it.
    document: Option<String>,
    labels: Labels,
    protect: bool,
    /// When the desired share begins, if it does not begin at once.
    from: Option<Timestamp>,
    /// When the desired share expires.
    until: Option<Timestamp>,
    note: Option<String>,
}

/// A call that is needed but not made, or an image with a problem.
#[derive(Debug, Serialize)]
pub(super) struct HeldBack {
    #[serde(flatten)]
    change: Change,
    pub(super) reason: String,
    error_code: Option<String>,
    request_id: Option<String>,
}

impl Change {
    pub(super) fn of(plan: &Plan, image: &ImageId, decision: &Decision) -> Self {
        let entry = decision.entry.as_ref();
        Self {
            account: plan.scope.account.to_string(),
            uin: plan.uin.clone(),
            region: plan.scope.region.as_str(),
            image_id: Some(image.to_string()),
            image_name: decision.name.as_ref().map(ToString::to_string),
            was_image_id: plan.resolution.was.get(image).cloned(),
            action: (!asks_nothing(decision)).then(|| action(decision.desired)),
            cause: decision.cause.as_str(),
            source: decision.source.as_ref().map(Source::from),
            document: entry.map(|entry| entry.document.name.to_string()),
            labels: entry.map_or_else(Labels::new, |entry| (*entry.document.labels).clone()),
            protect: entry.is_some_and(|entry| entry.protect),
            from: entry.and_then(|entry| entry.from),
            until: decision.until,
            note: entry.and_then(|entry| entry.note.as_ref().map(ToString::to_string)),
        }
    }

    fn of_name(plan: &Plan, unresolved: &UnresolvedName) -> Self {
        let entry = &unresolved.entry;
        let (desired, until) = asked(entry.share);
        Self {
            account: plan.scope.account.to_string(),
            uin: plan.uin.clone(),
            region: plan.scope.region.as_str(),
            image_id: None,
            image_name: Some(unresolved.name.to_string()),
            was_image_id: unresolved.last_meaning.clone(),
            action: Some(action(desired)),
            cause: Cause::Declared.as_str(),
            source: Some(Source::from(&entry.source)),
            document: Some(entry.document.name.to_string()),
            labels: (*entry.document.labels).clone(),
            protect: entry.protect,
            from: match entry.share {
                DesiredShare::Shared { from, .. } => from,
                DesiredShare::Unshared | DesiredShare::ByPolicy { .. } => None,
            },
            until,
            note: entry.note.as_ref().map(ToString::to_string),
        }
    }
}

impl Change {
    /// The begin, the end and the note, if the document has them: facts that a reviewer must know besides the image.
    pub(super) fn terms(&self) -> String {
        let from = self.from.map(|from| format!("from {}", rfc3339(from)));
        let until = self.until.map(|until| format!("until {}", rfc3339(until)));
        let note = self.note.as_ref();
        let note = note.map(|note| format!("note: {}", brief(note)));
        let terms = [from, until, note].into_iter().flatten();
        terms.map(|term| format!("  {term}")).collect()
    }
}

impl HeldBack {
    pub(super) fn of(plan: &Plan, image: &ImageId, decision: &Decision) -> Self {
        let (error_code, request_id) = match &decision.verdict {
            Verdict::Pending(problem) | Verdict::Blocked(problem) | Verdict::Failed(problem) => {
                (problem.code.clone(), problem.request_id.clone())
            }
            // The RequestId belongs to another image.
            Verdict::NotTried(rest) => (rest.problem.code.clone(), None),
            Verdict::Unobserved(why) => (why.code.clone(), why.request_id.clone()),
            Verdict::InSync | Verdict::Act | Verdict::Await { .. } | Verdict::Withheld(_) => {
                (None, None)
            }
        };
        Self {
            change: Change::of(plan, image, decision),
            reason: decision.verdict.why_not().unwrap_or_default(),
            error_code,
            request_id,
        }
    }

    /// The row of a name that matches no image, or several, or that could not be looked up.
    pub(super) fn of_name(plan: &Plan, unresolved: &UnresolvedName) -> Self {
        let unseen = plan.unobserved();
        let unseen = unseen.filter(|_| unresolved.kind == NameProblem::NotSeen);
        Self {
            change: Change::of_name(plan, unresolved),
            reason: unresolved.problem.clone(),
            error_code: unseen.and_then(|unseen| unseen.code.clone()),
            request_id: unseen.and_then(|unseen| unseen.request_id.clone()),
        }
    }

    /// Why nothing is done, for a person, with the RequestId.
    pub(super) fn told(&self) -> String {
        with_request_id(&self.reason, self.request_id.as_deref())
    }
}

/// The desired state of an entry, and when it ends.
pub(super) fn asked(share: DesiredShare) -> (ShareState, Option<Timestamp>) {
    match share {
        DesiredShare::Unshared => (ShareState::Unshared, None),
        DesiredShare::Shared { until, .. } => (ShareState::Shared, until),
        DesiredShare::ByPolicy { state, .. } => (state, None),
    }
}

fn action(desired: ShareState) -> &'static str {
    match Permission::towards(desired) {
        Permission::Share => "share",
        Permission::Cancel => "cancel",
    }
}
