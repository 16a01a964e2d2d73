//! The result for one image in a run: the plan's last verdict combined with the writes.

use serde::Serialize;

use super::Source;
use super::plan_rows::asked;
use super::style::Sign;
use crate::api::error::Class;
use crate::attempts::{AttemptLog, ImageAttempts, LastResult, Problem};
use crate::model::{Cause, ImageId, ShareState, Uin};
use crate::plan::{Actual, Decision, Plan, Verdict};
use crate::resolve::{NameProblem, UnresolvedName};
use crate::words::with_request_id;

/// Why a planned change was not made although nothing prevented it.
pub(super) const RUN_ENDED: &str = "the run ended first";

#[derive(Debug, Serialize)]
pub(super) struct ImageReport {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    /// Null for a name that matches no image, or several.
    image_id: Option<String>,
    image_name: Option<String>,
    desired: &'static str,
    actual: &'static str,
    outcome: &'static str,
    cause: &'static str,
    blueprint_id: Option<String>,
    error_code: Option<String>,
    pub(super) message: Option<String>,
    request_id: Option<String>,
    source: Option<Source>,
}

/// The result for one image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageOutcome {
    InSync,
    Shared,
    Cancelled,
    Blocked,
    Failed,
    Withheld,
    Pending,
    NotTried,
}

impl ImageOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Shared => "shared",
            Self::Cancelled => "cancelled",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Withheld => "withheld",
            Self::Pending => "pending",
            Self::NotTried => "not_tried",
        }
    }

    pub(super) const fn sign(self) -> Option<Sign> {
        match self {
            Self::InSync => None,
            Self::Shared => Some(Sign::Share),
            Self::Cancelled => Some(Sign::Cancel),
            Self::Blocked => Some(Sign::Blocked),
            Self::Failed => Some(Sign::Failed),
            Self::Withheld => Some(Sign::Withheld),
            Self::Pending => Some(Sign::Pending),
            Self::NotTried => Some(Sign::Pending),
        }
    }
}

/// Why an image was not tried, as one text for many images.
pub(super) fn why_not_tried(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::NotTried(pause) => pause.problem.told(),
        Verdict::Await { reason, .. } => reason.to_string(),
        _ => format!("{RUN_ENDED}; run it again to continue"),
    }
}

/// The result for an image, for a person: the id that servers are started from, or the problem and the RequestId that the
/// vendor's support asks for.
pub(super) fn described(report: &ImageReport) -> String {
    match (&report.message, &report.blueprint_id) {
        (Some(message), _) => with_request_id(message, report.request_id.as_deref()),
        (None, Some(blueprint)) => format!("{} as {blueprint}", report.outcome),
        (None, None) => report.outcome.to_owned(),
    }
}

pub(super) fn image_report(
    plan: &Plan,
    image: &ImageId,
    decision: &Decision,
    attempts: &AttemptLog,
) -> (ImageOutcome, ImageReport) {
    let tried = attempts.tried_towards(image, decision.desired);
    let (outcome, problem) = outcome(decision, tried);
    let (acknowledged_blueprint, request_id) = acknowledgement(tried);
    let (actual, blueprint_id) = match &decision.actual {
        Actual::Shared(blueprint) => {
            let shown = blueprint.as_ref().map(ToString::to_string);
            ("shared", shown.or(acknowledged_blueprint))
        }
        Actual::Unshared => ("unshared", None),
        Actual::Unknown => ("unknown", acknowledged_blueprint),
    };
    let (message, error_code, request_id) = match problem {
        Some(problem) => (
            Some(problem.message),
            problem.code,
            problem.request_id.or(request_id),
        ),
        None => (None, None, request_id),
    };
    let report = ImageReport {
        account: plan.scope.account.to_string(),
        uin: plan.uin.clone(),
        region: plan.scope.region.as_str(),
        image_id: Some(image.to_string()),
        image_name: decision.name.as_ref().map(ToString::to_string),
        desired: decision.desired.as_str(),
        actual,
        outcome: outcome.as_str(),
        cause: decision.cause.as_str(),
        blueprint_id,
        error_code,
        message,
        request_id,
        source: decision.source.as_ref().map(Source::from),
    };
    (outcome, report)
}

/// The result for a name that matches no image, or several, or that could not be looked up.
pub(super) fn name_report(plan: &Plan, name: &UnresolvedName) -> (ImageOutcome, ImageReport) {
    let (outcome, unseen) = match name.kind {
        NameProblem::Missing | NameProblem::Ambiguous => (ImageOutcome::Blocked, None),
        NameProblem::NotSeen => (ImageOutcome::NotTried, plan.unobserved()),
    };
    let report = ImageReport {
        account: plan.scope.account.to_string(),
        uin: plan.uin.clone(),
        region: plan.scope.region.as_str(),
        image_id: None,
        image_name: Some(name.name.to_string()),
        desired: asked(name.entry.share).0.as_str(),
        actual: "unknown",
        outcome: outcome.as_str(),
        cause: Cause::Declared.as_str(),
        blueprint_id: None,
        error_code: unseen.and_then(|unseen| unseen.code.clone()),
        message: Some(name.problem.clone()),
        request_id: unseen.and_then(|unseen| unseen.request_id.clone()),
        source: Some(Source::from(&name.entry.source)),
    };
    (outcome, report)
}

/// The problem that keeps the image from its desired state, if the API refused a call.
pub(super) fn not_as_desired(
    decision: &Decision,
    tried: Option<&ImageAttempts>,
) -> Option<Problem> {
    match &decision.verdict {
        Verdict::InSync | Verdict::Withheld(_) | Verdict::Pending(_) => None,
        _ => match outcome(decision, tried) {
            (ImageOutcome::Blocked | ImageOutcome::Failed | ImageOutcome::NotTried, problem)
                if tried.is_some() || !matches!(decision.verdict, Verdict::Unobserved(_)) =>
            {
                problem
            }
            _ => None,
        },
    }
}

/// Combines the last plan's verdict with the writes.
fn outcome(decision: &Decision, tried: Option<&ImageAttempts>) -> (ImageOutcome, Option<Problem>) {
    let written = tried.is_some_and(|tried| match decision.is_by_word() {
        // A final answer other than an acknowledgement means that there was nothing to do.
        true => tried.acknowledged > 0,
        false => tried.acknowledged + tried.unclear > 0,
    });
    let was_tried = tried.is_some();
    match &decision.verdict {
        Verdict::InSync if written && decision.desired == ShareState::Shared => {
            (ImageOutcome::Shared, None)
        }
        Verdict::InSync if written => (ImageOutcome::Cancelled, None),
        Verdict::InSync => (ImageOutcome::InSync, None),
        Verdict::Pending(problem) => (ImageOutcome::Pending, Some(Problem::clone(problem))),
        Verdict::Blocked(problem) => (ImageOutcome::Blocked, Some(Problem::clone(problem))),
        Verdict::Withheld(why) => (ImageOutcome::Withheld, Some(Problem::new(why.to_string()))),
        Verdict::Failed(problem) => (ImageOutcome::Failed, Some(Problem::clone(problem))),
        // An image that was tried before the scope became unobservable, or before its writes were paused.
        Verdict::Unobserved(_) | Verdict::NotTried(_) if was_tried => undecided(decision, tried),
        // The failed call belonged to another image, and so does the RequestId.
        Verdict::NotTried(pause) => {
            let problem = Problem {
                request_id: None,
                message: pause.to_string(),
                ..pause.problem.clone()
            };
            (ImageOutcome::NotTried, Some(problem))
        }
        Verdict::Unobserved(why) if why.is_stop => undecided(decision, tried),
        Verdict::Unobserved(unobserved) => {
            let problem = Problem {
                code: unobserved.code.clone(),
                request_id: unobserved.request_id.clone(),
                ..Problem::new(format!("not observed: {unobserved}"))
            };
            (ImageOutcome::NotTried, Some(problem))
        }
        // The run ended before another decision about the image.
        Verdict::Act | Verdict::Await { .. } => undecided(decision, tried),
    }
}

fn undecided(
    decision: &Decision,
    tried: Option<&ImageAttempts>,
) -> (ImageOutcome, Option<Problem>) {
    match tried.map(|tried| &tried.last) {
        Some(LastResult::Blocked(problem) | LastResult::Denied(problem)) => {
            (ImageOutcome::Blocked, Some(Problem::clone(problem)))
        }
        Some(LastResult::Failed(problem) | LastResult::Unclear { problem, .. }) => {
            (ImageOutcome::Failed, Some(Problem::clone(problem)))
        }
        // A throttled reply is no decision about the image.
        Some(LastResult::CutShort(problem)) => {
            let is_throttled = problem.code.as_deref().is_some_and(is_throttling);
            let (outcome, so_far) = match is_throttled {
                true => (ImageOutcome::NotTried, "not tried to the end"),
                false => (ImageOutcome::Failed, "not tried again"),
            };
            let problem = Problem {
                message: format!("{so_far}: {RUN_ENDED}; before that, {problem}"),
                ..problem.clone()
            };
            (outcome, Some(problem))
        }
        Some(LastResult::AlreadyShared { .. }) => (ImageOutcome::InSync, None),
        Some(LastResult::Acknowledged { request_id, .. }) => {
            let outcome = match decision.desired {
                ShareState::Shared => ImageOutcome::Shared,
                ShareState::Unshared => ImageOutcome::Cancelled,
            };
            let message = "accepted by the API, but the run ended before reading showed it";
            let problem = Problem {
                request_id: request_id.clone(),
                ..Problem::new(message)
            };
            (outcome, Some(problem))
        }
        None => {
            let message = match &decision.verdict {
                Verdict::Await { reason, .. } => reason.to_string(),
                _ => format!("not tried: {RUN_ENDED}"),
            };
            (ImageOutcome::NotTried, Some(Problem::new(message)))
        }
    }
}

fn is_throttling(code: &str) -> bool {
    matches!(Class::of(code, None), Class::Throttled(_))
}

fn acknowledgement(tried: Option<&ImageAttempts>) -> (Option<String>, Option<String>) {
    match tried.map(|tried| &tried.last) {
        Some(LastResult::Acknowledged {
            blueprint_id,
            request_id,
            ..
        }) => (blueprint_id.clone(), request_id.clone()),
        Some(LastResult::AlreadyShared { request_id }) => (None, request_id.clone()),
        _ => (None, None),
    }
}
