//! Facts that only a write shows. Doctor writes nothing, so it takes them from the history.

use super::{Check, CheckName, Status};
use crate::api::Asked;
use crate::api::error::{Class, Refusal};
use crate::history::{HistoryEntry, HistoryEvent, WriteOutcome, WriteResult};
use crate::model::{Permission, Timestamp};
use crate::words::{rfc3339, with_request_id};

/// The reason why nothing is tried.
const NO_PROBE: &str = "not probed: only a write can show it";
const ROLE_CODES: [&str; 2] = [
    "ResourceNotFound.RoleNotFound",
    "UnsupportedOperation.AssumeRoleFailed",
];

/// Whether the key may share, as far as the account's newest writes show it; `entries` are in order.
pub fn write_permission(entries: &[HistoryEntry]) -> Check {
    let told = newest(entries, |code| {
        Class::of(code, Some(Permission::Share)) == Class::ScopeBlocked
    });
    let about = CheckName::WritePermission;
    match told {
        Some((at, Some(outcome))) => {
            let refusal = refusal(outcome);
            let said = with_request_id(&refusal.summary(), refusal.request_id.as_deref());
            let message = format!("the last conclusive write, on {}, was refused: {said}", rfc3339(at));
            let remedy = refusal.remedy().unwrap_or_default();
            let policy = match refusal.is_of_region() {
                true => "",
                false => " (`sharekeeper doctor --cam-policy` prints the policy)",
            };
            Check::new(about, Status::Failed, message)
                .remedy(format!("{remedy}{policy}; then `sharekeeper reconcile` shows whether it helped"))
        }
        Some((at, None)) => {
            let message = format!("{NO_PROBE}; the last conclusive write, on {}, succeeded", rfc3339(at));
            Check::new(about, Status::Skipped, message)
        }
        None => Check::new(about, Status::Skipped, format!("{NO_PROBE}, and the history has none"))
            .remedy(
                "`sharekeeper reconcile` of one image with `--image` and `--region` shows it; `sharekeeper doctor --cam-policy` prints what the key must be allowed",
            ),
    }
}

/// Whether an error code concerns the role that Lighthouse assumes.
pub fn is_of_role(code: &str) -> bool {
    ROLE_CODES.contains(&code)
}

/// Whether Lighthouse may assume its role, as far as the account's newest writes show it, or by `met`: a refusal that a
/// read received just now.
pub fn service_role(entries: &[HistoryEntry], met: Option<&Refusal>) -> Check {
    let about = CheckName::ServiceRole;
    let failed = |refusal: &Refusal, when: String| {
        let message = format!("{when}: {}", refusal.summary());
        let message = with_request_id(&message, refusal.request_id.as_deref());
        Check::new(about, Status::Failed, message).remedy(refusal.remedy().unwrap_or_default())
    };
    if let Some(refusal) = met {
        return failed(refusal, "received just now".into());
    }
    match newest(entries, is_of_role) {
        Some((at, Some(outcome))) => failed(
            &refusal(outcome),
            format!("received by the last conclusive write, on {}", rfc3339(at)),
        ),
        Some((at, None)) => {
            let message = format!(
                "{NO_PROBE}; it worked for the last conclusive write, on {}",
                rfc3339(at)
            );
            Check::new(about, Status::Skipped, message)
        }
        None => Check::new(
            about,
            Status::Skipped,
            format!("{NO_PROBE}, and the history has none"),
        ),
    }
}

/// The newest conclusive outcome: a success, or a refusal whose code is `telling`. That code is returned, too.
fn newest(
    entries: &[HistoryEntry],
    telling: impl Fn(&str) -> bool,
) -> Option<(Timestamp, Option<&WriteOutcome>)> {
    entries.iter().rev().find_map(|entry| {
        let HistoryEvent::Outcome(outcome) = &entry.event else {
            return None;
        };
        match outcome.result {
            WriteResult::Applied | WriteResult::AlreadyShared => Some((entry.at, None)),
            _ if outcome.error_code.as_deref().is_some_and(&telling) => {
                Some((entry.at, Some(outcome)))
            }
            _ => None,
        }
    })
}

fn refusal(outcome: &WriteOutcome) -> Refusal {
    let code = outcome.error_code.clone().unwrap_or_default();
    Refusal {
        class: Class::of(&code, Some(outcome.permission)),
        message: outcome.message.clone().unwrap_or_default(),
        request_id: outcome.request_id.clone(),
        code,
        asked: Some(Asked::Write(outcome.permission)),
        relay: None,
    }
}
