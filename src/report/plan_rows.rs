//! The rows of `plan`'s JSON document: what is to be done about each image, and what is not, with why.

use serde::Serialize;

use super::{Source, asks_nothing};
use crate::desired::DesiredShare;
use crate::model::{Cause, ImageId, Labels, Permission, ShareState, Timestamp, Uin};
use crate::plan::{Decision, Plan, Verdict};
use crate::resolve::{NameProblem, UnresolvedName};

/// A call that is asked for.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    /// Null for a name that means no image, or several.
    image_id: Option<String>,
    image_name: Option<String>,
    /// What the name last meant, where it means another image now.
    #[serde(skip_serializing_if = "Option::is_none")]
    was_image_id: Option<ImageId>,
    /// Null where nothing is asked for until a person has settled something.
    action: Option<&'static str>,
    cause: &'static str,
    source: Option<Source>,
    /// `metadata.name` of the document that asks for it.
    document: Option<String>,
    labels: Labels,
    protect: bool,
    /// When the share that is asked for ends by itself.
    until: Option<Timestamp>,
    note: Option<String>,
}

/// A call that is asked for and not made, or an image that something is in the way of.
#[derive(Debug, Serialize)]
pub(super) struct HeldBack {
    #[serde(flatten)]
    change: Change,
    pub(super) reason: String,
    error_code: Option<String>,
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
            until,
            note: entry.note.as_ref().map(ToString::to_string),
        }
    }
}

impl HeldBack {
    pub(super) fn of(plan: &Plan, image: &ImageId, decision: &Decision) -> Self {
        Self {
            change: Change::of(plan, image, decision),
            reason: decision.verdict.why_not().unwrap_or_default(),
            error_code: match &decision.verdict {
                Verdict::Pending(problem)
                | Verdict::Blocked(problem)
                | Verdict::Failed(problem) => problem.code.clone(),
                Verdict::NotTried(rest) => rest.problem.code.clone(),
                Verdict::Unobserved(unobserved) => unobserved.code.clone(),
                Verdict::InSync | Verdict::Act | Verdict::Await { .. } | Verdict::Withheld(_) => {
                    None
                }
            },
        }
    }

    /// A name that means no image, or several, or that nobody could look up.
    pub(super) fn of_name(plan: &Plan, unresolved: &UnresolvedName) -> Self {
        let unseen = plan.unobserved();
        let unseen = unseen.filter(|_| unresolved.kind == NameProblem::NotSeen);
        Self {
            change: Change::of_name(plan, unresolved),
            reason: unresolved.problem.clone(),
            error_code: unseen.and_then(|unseen| unseen.code.clone()),
        }
    }
}

/// What an entry asks for, and when that ends.
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
