//! The meaning of a failed call for an observation: whether reading is denied, and whether the account is broken.

use crate::api::error::{CallError, Class, Refusal};
use crate::observation::{Observation, Unobserved};

/// The reason why the listing of blueprints cannot be used after a failed call. Other listings replace it with their
/// own.
pub(super) fn reason(error: CallError) -> Unobserved {
    let reason = error.told();
    match error {
        CallError::NotSent(_) | CallError::Unclear(_) => Unobserved::new(reason),
        CallError::AccountBroken(refusal) => Unobserved {
            account_broken: true,
            ..of_refusal(reason, refusal)
        },
        CallError::Refused(refusal) => Unobserved {
            account_broken: matches!(refusal.class, Class::AccountBlocked | Class::ClockOff),
            ..of_refusal(reason, refusal)
        },
    }
}

/// The observation of a scope whose first call failed. A key that may not read may still be allowed to write.
pub(super) fn unobserved(error: CallError) -> Observation {
    let is_denied = matches!(&error, CallError::Refused(refusal)
        if refusal.class == Class::ScopeBlocked && !refusal.is_of_region());
    match is_denied {
        true => Observation::ReadDenied(reason(error)),
        false => Observation::Unobserved(reason(error)),
    }
}

fn of_refusal(reason: String, refusal: Refusal) -> Unobserved {
    Unobserved {
        reason,
        remedy: refusal.remedy().map(Into::into),
        code: Some(refusal.code),
        request_id: refusal.request_id,
        account_broken: false,
        is_stop: false,
    }
}
