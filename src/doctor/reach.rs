//! What the answers of an access point mean: whether it can be reached, and whether the key may read there.

use std::time::Duration;

use super::{Check, CheckName, Status};
use crate::api::ProbeTarget;
use crate::api::error::{CallError, Class, Refusal};
use crate::model::Region;
use crate::words::plural;

const REACH: &str =
    "check name resolution, proxy, firewall, and the endpoint (`spec.endpoint`, `--endpoint`)";

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
                format!("{host} answered {}", refusal.summary()),
            )
            .remedy("try again: this passes"),
            _ => check(
                Status::Passed,
                format!("{host} answered {}", refusal.code),
            ),
        },
        Err(CallError::AccountBroken(refusal)) => check(
            Status::Skipped,
            format!("{host} was not asked: {}", refusal.summary()),
        ),
        Err(CallError::NotSent(detail)) => check(Status::Failed, detail.to_string()).remedy(REACH),
        Err(CallError::Unclear(detail)) => check(Status::Failed, detail.to_string()).remedy(format!(
            "{REACH}; if it is the API itself that answered, please report this: sharekeeper cannot read its reply"
        )),
    }
}

/// Regions that were not asked about.
pub fn unasked(regions: usize, why: &str) -> Check {
    let message = format!("{} not asked: {why}", plural(regions as u64, "region"));
    Check::new(CheckName::AccessPoint, Status::Skipped, message)
}

/// Whether the key may read. Without DescribeBlueprints nothing can be observed; without DescribeImagesToShare it shows only
/// at the write that an image cannot be shared.
pub fn reading(look: ProbeTarget<'_>, answers: &[&Answer]) -> Check {
    let action = look.action().as_str();
    let check = |status, message: String| Check::new(CheckName::ReadPermission, status, message);
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
    let Some((region, first)) = refused.first() else {
        return match allowed {
            0 => check(
                Status::Skipped,
                format!("{action}: no answer from which it could be told"),
            ),
            _ => check(
                Status::Passed,
                format!(
                    "{action} is answered in {}",
                    plural(allowed as u64, "region")
                ),
            ),
        };
    };
    let others = match refused.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let goes_on = match look {
        ProbeTarget::Blueprints if first.class != Class::ScopeBlocked || first.is_of_region() => {
            "without it nothing is seen, and nothing is done there"
        }
        ProbeTarget::Blueprints => {
            "without it nothing is seen: what manifests declare is written, and counts as done by the API's answer for `--trust-acknowledged`; nothing is pruned"
        }
        ProbeTarget::Images(_) => {
            "without it, what cannot be shared is found out by trying, and nothing is pruned or imported"
        }
    };
    let message = format!(
        "{action} in {region}{others}: {}; {goes_on}",
        first.summary()
    );
    let status = match look {
        ProbeTarget::Blueprints => Status::Failed,
        ProbeTarget::Images(_) => Status::Warning,
    };
    let remedy = match first.class {
        Class::ScopeBlocked if !first.is_of_region() => format!(
            "allow lighthouse:{action} for this key in CAM; `sharekeeper doctor --cam-policy` prints the policy"
        ),
        _ => first
            .remedy()
            .unwrap_or("look the code up in the API's documentation")
            .to_owned(),
    };
    check(status, message).remedy(remedy)
}
