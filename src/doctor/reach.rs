//! Judges the answers of an access point: whether it can be reached, and whether the key may read there.

use std::time::Duration;

use super::{Check, CheckName, Status};
use crate::api::ProbeTarget;
use crate::api::error::{CallError, Class, Refusal};
use crate::model::Region;
use crate::words::{plural, with_request_id};

pub(super) const REACH: &str =
    "check name resolution, proxy, firewall, and the endpoint (`spec.endpoint`, `--endpoint`)";
const UNREADABLE: &str =
    "if the API itself answered, please report this: sharekeeper cannot read its reply";

/// The answer to a probe in one region.
pub struct Answer {
    pub region: Region,
    /// How long the answer took, or why there is none.
    pub took: Result<Duration, CallError>,
}

impl Answer {
    /// Whether nobody answered, so that nothing is known about permissions.
    pub fn is_silence(&self) -> bool {
        matches!(
            self.took,
            Err(CallError::NotSent(_) | CallError::Unclear(_))
        )
    }

    /// The API's refusal, if there was one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.took {
            Err(CallError::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }
}

/// Whether the access point `host` answers. A refusal is an answer; permissions are a separate check.
pub fn access_point(host: &str, answer: &Answer) -> Check {
    let check = |status, message: String| {
        Check::new(CheckName::AccessPoint, status, message).at(answer.region)
    };
    match &answer.took {
        Ok(took) => {
            let ms = took.as_millis();
            check(Status::Passed, format!("{host} answered in {ms} ms"))
        }
        Err(CallError::Refused(refusal)) => match refusal.class {
            Class::Throttled(_) | Class::Busy | Class::Unclear => check(
                Status::Warning,
                format!("{host} answered {}", said(refusal)),
            )
            .remedy("try again: this is temporary"),
            _ => {
                let id = refusal.request_id.as_deref();
                let answered = with_request_id(&refusal.code, id);
                check(Status::Passed, format!("{host} answered {answered}"))
            }
        },
        Err(CallError::AccountBroken(refusal)) => check(
            Status::Skipped,
            format!("{host} was not asked: {}", said(refusal)),
        ),
        Err(CallError::NotSent(detail)) => check(Status::Failed, detail.to_string()).remedy(REACH),
        Err(CallError::Unclear(detail)) => {
            check(Status::Failed, detail.to_string()).remedy(format!("{REACH}; {UNREADABLE}"))
        }
    }
}

/// A check for regions that were not asked.
pub fn unasked(regions: usize, why: &str) -> Check {
    let message = format!("{} not asked: {why}", plural(regions as u64, "region"));
    Check::new(CheckName::AccessPoint, Status::Skipped, message)
}

/// Whether the key may read with `target`, and what does not work without it.
pub fn reading(target: ProbeTarget<'_>, answers: &[&Answer]) -> Check {
    let action = target.action().as_str();
    let allowed = answers.iter().filter(|answer| answer.took.is_ok()).count();
    // An API that is too busy to answer has not refused.
    let refused = answers.iter().filter_map(|answer| {
        let refusal = answer.refusal()?;
        let is_busy = matches!(
            refusal.class,
            Class::Throttled(_) | Class::Busy | Class::Unclear
        );
        (!is_busy).then_some((answer.region, refusal))
    });
    let refused: Vec<_> = refused.collect();
    if let Some((region, first)) = refused.first() {
        let others = match refused.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let without = without(target, Some(first));
        let message = format!("{action} in {region}{others}: {}; {without}", said(first));
        return permission(refused_status(target), message).remedy(remedy_of(first));
    }
    let passed = plural(allowed as u64, "region");
    match answers.iter().find_map(|answer| silence(answer)) {
        _ if allowed > 0 => permission(Status::Passed, format!("{action} is answered in {passed}")),
        Some((region, detail)) => {
            let without = without(target, None);
            let message = format!("{action} in {region}: {detail}; {without}");
            permission(refused_status(target), message).remedy(format!("{REACH}; {UNREADABLE}"))
        }
        None => permission(
            Status::Skipped,
            format!("{action}: no answer shows whether it is allowed"),
        ),
    }
}

/// Code, message and RequestId. The remedy is shown separately.
fn said(refusal: &Refusal) -> String {
    with_request_id(&refusal.summary(), refusal.request_id.as_deref())
}

fn permission(status: Status, message: String) -> Check {
    Check::new(CheckName::ReadPermission, status, message)
}

/// The reason why no answer came.
fn silence(answer: &Answer) -> Option<(Region, String)> {
    match &answer.took {
        Err(error @ (CallError::NotSent(_) | CallError::Unclear(_))) => {
            Some((answer.region, error.to_string()))
        }
        _ => None,
    }
}

/// Whether a run can work without `target`.
fn refused_status(target: ProbeTarget<'_>) -> Status {
    match target {
        ProbeTarget::Blueprints | ProbeTarget::OwnImages | ProbeTarget::CvmImages => Status::Failed,
        ProbeTarget::Images(_) | ProbeTarget::Instances => Status::Warning,
    }
}

/// The consequences of not being able to read `target`.
fn without(target: ProbeTarget<'_>, refusal: Option<&Refusal>) -> &'static str {
    let is_denied =
        |refusal: &Refusal| refusal.class == Class::ScopeBlocked && !refusal.is_of_region();
    match target {
        ProbeTarget::Blueprints if !refusal.is_some_and(is_denied) => {
            "without it nothing can be observed, and nothing is done there"
        }
        ProbeTarget::Blueprints => {
            "without it nothing can be observed: declared changes are written, with `--trust-acknowledged` they count as done by the API's answer, and nothing is pruned"
        }
        ProbeTarget::Images(_) => {
            "without it, only trying shows which images cannot be shared, and nothing is pruned or imported"
        }
        ProbeTarget::OwnImages => {
            "without it, names of images cannot be resolved: nothing is done in regions where a manifest names images by name or has a policy"
        }
        ProbeTarget::Instances => {
            "without it, it is not known which images instances use: no pruned, expired, superseded or revoked image is cancelled unless its policy allows cancelling images in use (`inUse: cancel`, `force: true`)"
        }
        ProbeTarget::CvmImages => {
            "without it, policies that use family, tags or deprecation hold still: they neither share nor cancel anything, and nothing is pruned there"
        }
    }
}

fn remedy_of(refusal: &Refusal) -> String {
    match refusal.remedy() {
        Some(remedy) if refusal.class == Class::ScopeBlocked && !refusal.is_of_region() => {
            format!("{remedy}; `sharekeeper doctor --cam-policy` prints the policy")
        }
        Some(remedy) => remedy,
        None => "try again: this is temporary".to_owned(),
    }
}
