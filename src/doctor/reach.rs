//! What the answers of an access point mean: whether it can be reached, and whether the key may read there.

use std::time::Duration;

use super::{Check, CheckName, Status};
use crate::api::ProbeTarget;
use crate::api::error::{CallError, Class, Refusal};
use crate::model::Region;
use crate::words::{plural, with_request_id};

pub(super) const REACH: &str =
    "check name resolution, proxy, firewall, and the endpoint (`spec.endpoint`, `--endpoint`)";
const UNREADABLE: &str =
    "if it is the API itself that answered, please report this: sharekeeper cannot read its reply";

/// What came of a probe in one region.
pub struct Answer {
    pub region: Region,
    /// How long the answer took.
    pub took: Result<Duration, CallError>,
}

impl Answer {
    /// Nobody answered, so that it says nothing of permissions.
    pub fn is_silence(&self) -> bool {
        matches!(
            self.took,
            Err(CallError::NotSent(_) | CallError::Unclear(_))
        )
    }

    /// What the API said instead of yes.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.took {
            Err(CallError::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }
}

/// Whether the access point `host` answers. A refusal is an answer; what it says of permissions is another check.
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
            .remedy("try again: this passes"),
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

/// Regions that were not asked about.
pub fn unasked(regions: usize, why: &str) -> Check {
    let message = format!("{} not asked: {why}", plural(regions as u64, "region"));
    Check::new(CheckName::AccessPoint, Status::Skipped, message)
}

/// Whether the key may read with `look`, and what does not work where it may not.
pub fn reading(look: ProbeTarget<'_>, answers: &[&Answer]) -> Check {
    let action = look.action().as_str();
    let allowed = answers.iter().filter(|answer| answer.took.is_ok()).count();
    // One that is too busy to answer has not refused.
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
        let without = without(look, Some(first));
        let message = format!("{action} in {region}{others}: {}; {without}", said(first));
        return permission(refused_status(look), message).remedy(remedy_of(first));
    }
    let passed = plural(allowed as u64, "region");
    match answers.iter().find_map(|answer| silence(answer)) {
        _ if allowed > 0 => permission(Status::Passed, format!("{action} is answered in {passed}")),
        Some((region, detail)) => {
            let without = without(look, None);
            let message = format!("{action} in {region}: {detail}; {without}");
            permission(refused_status(look), message).remedy(format!("{REACH}; {UNREADABLE}"))
        }
        None => permission(
            Status::Skipped,
            format!("{action}: no answer from which it could be told"),
        ),
    }
}

/// Code, message and RequestId; the remedy stands beside them.
fn said(refusal: &Refusal) -> String {
    with_request_id(&refusal.summary(), refusal.request_id.as_deref())
}

fn permission(status: Status, message: String) -> Check {
    Check::new(CheckName::ReadPermission, status, message)
}

/// What was there in place of an answer.
fn silence(answer: &Answer) -> Option<(Region, String)> {
    match &answer.took {
        Err(error @ (CallError::NotSent(_) | CallError::Unclear(_))) => {
            Some((answer.region, error.to_string()))
        }
        _ => None,
    }
}

/// Whether a run gets anywhere without `look`.
fn refused_status(look: ProbeTarget<'_>) -> Status {
    match look {
        ProbeTarget::Blueprints | ProbeTarget::OwnImages | ProbeTarget::CvmImages => Status::Failed,
        ProbeTarget::Images(_) | ProbeTarget::Instances => Status::Warning,
    }
}

/// What does not work without `look`.
fn without(look: ProbeTarget<'_>, refusal: Option<&Refusal>) -> &'static str {
    let is_denied =
        |refusal: &Refusal| refusal.class == Class::ScopeBlocked && !refusal.is_of_region();
    match look {
        ProbeTarget::Blueprints if !refusal.is_some_and(is_denied) => {
            "without it nothing is seen, and nothing is done there"
        }
        ProbeTarget::Blueprints => {
            "without it nothing is seen: what manifests declare is written, and counts as done by the API's answer for `--trust-acknowledged`; nothing is pruned"
        }
        ProbeTarget::Images(_) => {
            "without it, what cannot be shared is found out by trying, and nothing is pruned or imported"
        }
        ProbeTarget::OwnImages => {
            "without it nobody knows which image a name means: nothing is done in regions where a manifest names images by name or has a policy"
        }
        ProbeTarget::Instances => {
            "without it nobody knows what instances use: no image is cancelled that is pruned, expired, superseded or revoked, unless its policy says that use does not matter (`inUse: cancel`, `force: true`)"
        }
        ProbeTarget::CvmImages => {
            "without it policies that ask for family, tags or deprecation hold still: they neither share nor cancel anything, and nothing is pruned there"
        }
    }
}

fn remedy_of(refusal: &Refusal) -> String {
    match refusal.remedy() {
        Some(remedy) if refusal.class == Class::ScopeBlocked && !refusal.is_of_region() => {
            format!("{remedy}; `sharekeeper doctor --cam-policy` prints the policy")
        }
        Some(remedy) => remedy,
        None => "try again: this passes".to_owned(),
    }
}
