//! What a failed call means: every error code typed into a class that says what to do.
//!
//! The 12 codes of `ModifyImageSharePermission` are its documentation's complete list; the common
//! codes are the vendor's generic list. Codes are matched whole first, then by the part before the
//! dot. Messages are localised and never matched on.

use super::asked::Asked;
use super::protocol::wire::Action;
use crate::host::TransportError;
use crate::model::{Permission, ShareState};
use crate::pace::ThrottleScope;

/// Our own code: the credentials belong to another account than the manifest says.
pub const WRONG_ACCOUNT: &str = "WrongAccount";
/// Our own code: whose the credentials are could not be found out.
pub const ACCOUNT_UNVERIFIED: &str = "AccountUnverified";
/// Our own code: there are no credentials to call with.
pub const NO_CREDENTIALS: &str = "NoCredentials";

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Certain to have had no effect: no connection was made.
    #[error(transparent)]
    NotSent(NoReply),
    /// The reply is missing or cannot be read, so a write may have taken effect.
    #[error(transparent)]
    Unclear(NoReply),
    /// The API said no.
    #[error("{0}")]
    Refused(Refusal),
    /// Nothing was sent, because the account is known to be broken, or not known to be the right one.
    #[error("{0}")]
    AccountBroken(Refusal),
}

/// Why a call has no reply that can be read, in one line for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NoReply {
    text: String,
    /// `None` if it is not the transport that failed.
    source: Option<TransportError>,
}

impl From<String> for NoReply {
    fn from(text: String) -> Self {
        Self { text, source: None }
    }
}

impl From<&str> for NoReply {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// An error reply, or why nothing is called at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The API's, such as `UnsupportedOperation.ImageOccupied`, or one of ours: [`WRONG_ACCOUNT`],
    /// [`ACCOUNT_UNVERIFIED`], [`NO_CREDENTIALS`].
    pub code: String,
    /// The API's words, cleaned of control characters.
    pub message: String,
    /// For the vendor's support.
    pub request_id: Option<String>,
    /// What to do about it.
    pub class: Class,
    /// What was asked, and so of whom; `None` where the code is ours.
    pub asked: Option<Asked>,
    /// The host that answered, where it is no access point of the vendor's: it may have changed what was signed.
    pub relay: Option<Box<str>>,
}

/// What to do about an error reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The state asked for holds already.
    Converged,
    /// Busy for now and not acted on: the same call again, later.
    Busy,
    /// Failed in a way that leaves the outcome open: look, then perhaps call again.
    Unclear,
    /// Too many calls; says which buckets have to slow down.
    Throttled(ThrottleScope),
    /// A person must change the image, its use, or the manifest.
    ImageBlocked,
    /// Not permitted, or not offered here; may hold for one image, one region or one action.
    ScopeBlocked,
    /// The key, the service role or the account itself.
    AccountBlocked,
    /// The machine's clock is more than five minutes off.
    ClockOff,
    /// The request itself is wrong: a fault in sharekeeper.
    OurFault,
}

impl Class {
    /// Types a code. `permission` is that of a write, `None` for a read.
    pub fn of(code: &str, permission: Option<Permission>) -> Self {
        Self::of_whole(code, permission).unwrap_or_else(|| Self::of_family(code, permission))
    }

    fn of_whole(code: &str, permission: Option<Permission>) -> Option<Self> {
        use Permission::{Cancel, Share};
        Some(match (code, permission) {
            ("UnsupportedOperation.ImageAlreadyShared", Some(Share)) => Self::Converged,
            ("UnsupportedOperation.ImageOccupied", _) => Self::Busy,
            // Instances use it: waiting does not help, a person must look.
            ("ResourceInUse.ImageInUse", Some(Cancel)) => Self::ImageBlocked,
            ("UnsupportedOperation.ImageUnableToShare", _)
            | ("InvalidParameterValue.InvalidImageIdMalformed", _) => Self::ImageBlocked,
            // Perhaps gone already, which is what CANCEL wants; reading tells.
            ("ResourceNotFound.ImageIdNotFound", Some(Cancel))
            | ("UnsupportedOperation.BlueprintHasNotShared", Some(Cancel)) => Self::Unclear,
            ("ResourceNotFound.RoleNotFound" | "UnsupportedOperation.AssumeRoleFailed", _) => {
                Self::AccountBlocked
            }
            ("AuthFailure.SignatureExpire", _) => Self::ClockOff,
            ("AuthFailure.UnauthorizedOperation" | "AuthFailure.InvalidRegion", _) => {
                Self::ScopeBlocked
            }
            ("UnauthorizedOperation.TokenInvalid" | "UnauthorizedOperation.InvalidToken", _) => {
                Self::AccountBlocked
            }
            (
                "RequestLimitExceeded.UinLimitExceeded"
                | "RequestLimitExceeded.GlobalRegionUinLimitExceeded",
                _,
            ) => Self::Throttled(ThrottleScope::Account),
            ("RequestLimitExceeded.IPLimitExceeded", _) => Self::Throttled(ThrottleScope::Host),
            // Other limits of this family are of things that there may be, which no waiting changes.
            ("LimitExceeded.RateLimitExceeded", _) => Self::Throttled(ThrottleScope::Bucket),
            _ => return None,
        })
    }

    fn of_family(code: &str, permission: Option<Permission>) -> Self {
        let (family, detail) = code.split_once('.').unwrap_or((code, ""));
        match family {
            "RequestLimitExceeded" => Self::Throttled(ThrottleScope::Bucket),
            "AuthFailure" | "IpInBlacklist" | "IpNotInWhitelist" => Self::AccountBlocked,
            "UnauthorizedOperation" | "UnsupportedRegion" => Self::ScopeBlocked,
            "InternalError" | "FailedOperation" => Self::Unclear,
            "ServiceUnavailable" | "ResourceUnavailable" | "ResourceInUse" => Self::Busy,
            "OperationDenied" | "UnsupportedOperation" if is_passing(detail) => Self::Busy,
            "InvalidAction"
            | "NoSuchVersion"
            | "NoSuchProduct"
            | "ActionOffline"
            | "InvalidRequest"
            | "UnsupportedProtocol"
            | "UnknownParameter"
            | "MissingParameter"
            | "InvalidParameter"
            | "InvalidParameterValue"
            | "RequestSizeLimitExceeded"
            | "ResponseSizeLimitExceeded"
            | "DryRunOperation" => Self::OurFault,
            // CVM has names of its own for a request that is wrong.
            "InvalidFilter" | "InvalidFilterValue" | "InvalidImageId" if permission.is_none() => {
                Self::OurFault
            }
            // An unknown code holds the image still and is shown; a read just fails.
            _ if permission.is_some() => Self::ImageBlocked,
            _ => Self::Unclear,
        }
    }
}

/// What an answer to a write of the class [`Class::Unclear`] says of how to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// To CANCEL: there is no such image.
    NoImage,
    /// To CANCEL: the image is not shared.
    NotShared,
    /// The documentation calls it an error of the request: it passes.
    Passing,
    /// The documentation calls it a failure of the operation: it may pass.
    MayPass,
    /// Nothing that time is known to change.
    Nothing,
}

impl Hint {
    /// What a code says of how to go on.
    pub fn of(code: &str) -> Self {
        match code {
            "ResourceNotFound.ImageIdNotFound" => Self::NoImage,
            "UnsupportedOperation.BlueprintHasNotShared" => Self::NotShared,
            "FailedOperation.RequestError" => Self::Passing,
            "FailedOperation.ImageOperationFailed" => Self::MayPass,
            code if code.split('.').next() == Some("InternalError") => Self::Passing,
            _ => Self::Nothing,
        }
    }
}

/// The kinds of refusal that may pass by themselves, as the vendor's documentation of the codes says.
fn is_passing(detail: &str) -> bool {
    [
        "InProgress",
        "Occupied",
        "SystemBusy",
        "LatestOperationUnfinished",
    ]
    .iter()
    .any(|kind| detail.contains(kind))
}

impl Refusal {
    /// Code and message, without what to do about it.
    pub fn summary(&self) -> String {
        match self.message.trim_end_matches('.') {
            "" => self.code.clone(),
            message => format!("{}: {message}", self.code),
        }
    }

    /// The state that the image is certain to be in after the refusal of a write; `None` if the refusal does not tell.
    pub fn known_state(&self, permission: Permission) -> Option<ShareState> {
        match (self.class, Hint::of(&self.code), permission) {
            (Class::Converged, _, Permission::Share) => Some(ShareState::Shared),
            (_, Hint::NotShared, Permission::Cancel) => Some(ShareState::Unshared),
            _ => None,
        }
    }

    /// Whether the write is certain to have had no effect, though only looking tells what state the image is in.
    pub fn had_no_effect(&self) -> bool {
        matches!(Hint::of(&self.code), Hint::NoImage | Hint::NotShared)
    }

    /// Whether it is a final answer to the CANCEL of an image that was never shared. The API's documentation names no
    /// code for that; `is_repeated`: the CANCEL before was answered with the same code.
    pub fn settles_cancel(&self, is_repeated: bool) -> bool {
        let family = self.code.split('.').next();
        Hint::of(&self.code) == Hint::NoImage || (is_repeated && family == Some("FailedOperation"))
    }

    /// Whether it is about the region as a whole: the API does not know it, does not offer this there, or has a clock
    /// there that cannot be signed by.
    pub fn is_of_region(&self) -> bool {
        let (family, _) = self.code.split_once('.').unwrap_or((&self.code, ""));
        self.class == Class::ScopeBlocked
            && (family == "UnsupportedRegion"
                || matches!(
                    self.code.as_str(),
                    "AuthFailure.InvalidRegion" | "AuthFailure.SignatureExpire"
                ))
    }

    /// Whether it is the key that the API does not take, so that another one may help: expired, deleted, or half of a
    /// pair that has been replaced.
    pub(super) fn blames_key(&self) -> bool {
        matches!(
            self.code.as_str(),
            "AuthFailure.TokenFailure"
                | "AuthFailure.SecretIdNotFound"
                | "AuthFailure.InvalidSecretId"
                | "AuthFailure.SignatureFailure"
                | "UnauthorizedOperation.TokenInvalid"
                | "UnauthorizedOperation.InvalidToken"
        )
    }
}

impl CallError {
    /// Why it failed and what helps, in one line for a person, without the RequestId.
    pub fn told(&self) -> String {
        match self {
            Self::NotSent(detail) | Self::Unclear(detail) => detail.to_string(),
            Self::Refused(refusal) | Self::AccountBroken(refusal) => refusal.told(),
        }
    }

    /// What was called, and [`Self::told`].
    pub fn about(&self, action: Action) -> String {
        format!("{}: {}", action.as_str(), self.told())
    }

    /// What it means for a call that the transport gave no reply. `describe` makes the text for a person from the
    /// transport's own words.
    pub(super) fn no_reply(error: TransportError, describe: impl FnOnce(&str) -> String) -> Self {
        let (TransportError::NotSent(detail) | TransportError::Lost(detail)) = &error;
        let text = describe(detail);
        let variant = match error {
            TransportError::NotSent(_) => Self::NotSent,
            TransportError::Lost(_) => Self::Unclear,
        };
        variant(NoReply {
            text,
            source: Some(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Permission::{Cancel, Share};

    #[test]
    fn t9_another_rate_limit_slows_down_and_an_unreadable_role_has_a_remedy() {
        for permission in [None, Some(Share), Some(Cancel)] {
            let class = Class::of("LimitExceeded.RateLimitExceeded", permission);
            assert_eq!(class, Class::Throttled(ThrottleScope::Bucket));
        }
        let other = Class::of("LimitExceeded.Images", Some(Share));
        assert_eq!(other, Class::ImageBlocked);
        for code in ["InternalError.GetRoleError", "InternalError.IllegalRole"] {
            let refusal = Refusal {
                code: code.into(),
                message: String::new(),
                request_id: None,
                class: Class::of(code, None),
                asked: Some(Asked::AssumeRole),
                relay: None,
            };
            let remedy = refusal.remedy().expect("a remedy");
            assert!(remedy.contains("trust policy"), "{remedy}");
        }
    }

    #[test]
    fn the_twelve_documented_codes_have_their_class() {
        let table = [
            (
                "UnsupportedOperation.ImageAlreadyShared",
                Share,
                Class::Converged,
            ),
            ("UnsupportedOperation.ImageOccupied", Share, Class::Busy),
            ("ResourceInUse.ImageInUse", Share, Class::Busy),
            ("ResourceInUse.ImageInUse", Cancel, Class::ImageBlocked),
            (
                "UnsupportedOperation.ImageUnableToShare",
                Share,
                Class::ImageBlocked,
            ),
            (
                "InvalidParameterValue.InvalidImageIdMalformed",
                Share,
                Class::ImageBlocked,
            ),
            (
                "ResourceNotFound.ImageIdNotFound",
                Share,
                Class::ImageBlocked,
            ),
            ("ResourceNotFound.ImageIdNotFound", Cancel, Class::Unclear),
            (
                "ResourceNotFound.RoleNotFound",
                Share,
                Class::AccountBlocked,
            ),
            (
                "UnsupportedOperation.AssumeRoleFailed",
                Share,
                Class::AccountBlocked,
            ),
            (
                "UnauthorizedOperation.NoPermission",
                Share,
                Class::ScopeBlocked,
            ),
            (
                "FailedOperation.ImageOperationFailed",
                Share,
                Class::Unclear,
            ),
            ("FailedOperation.RequestError", Cancel, Class::Unclear),
            ("InternalError.RequestError", Cancel, Class::Unclear),
        ];
        for (code, permission, class) in table {
            assert_eq!(Class::of(code, Some(permission)), class, "{code}");
        }
    }

    #[test]
    fn common_codes_match_whole_then_by_family() {
        let table = [
            (
                "RequestLimitExceeded",
                Class::Throttled(ThrottleScope::Bucket),
            ),
            (
                "RequestLimitExceeded.UinLimitExceeded",
                Class::Throttled(ThrottleScope::Account),
            ),
            (
                "RequestLimitExceeded.IPLimitExceeded",
                Class::Throttled(ThrottleScope::Host),
            ),
            (
                "RequestLimitExceeded.SomethingNew",
                Class::Throttled(ThrottleScope::Bucket),
            ),
            ("AuthFailure.SignatureExpire", Class::ClockOff),
            ("AuthFailure.SecretIdNotFound", Class::AccountBlocked),
            ("AuthFailure.TokenFailure", Class::AccountBlocked),
            ("AuthFailure.MFAFailure", Class::AccountBlocked),
            ("AuthFailure.UnauthorizedOperation", Class::ScopeBlocked),
            ("UnauthorizedOperation", Class::ScopeBlocked),
            ("UnauthorizedOperation.TokenInvalid", Class::AccountBlocked),
            ("UnsupportedRegion", Class::ScopeBlocked),
            ("InternalError", Class::Unclear),
            ("ServiceUnavailable", Class::Busy),
            ("OperationDenied.ImageInProgress", Class::Busy),
            ("OperationDenied", Class::ImageBlocked),
            ("LimitExceeded.Quota", Class::ImageBlocked),
            ("InvalidAction", Class::OurFault),
            ("UnknownParameter", Class::OurFault),
            ("IpInBlacklist", Class::AccountBlocked),
        ];
        for (code, class) in table {
            assert_eq!(Class::of(code, Some(Share)), class, "{code}");
        }
    }

    #[test]
    fn what_cvm_says_of_a_request_that_is_wrong_is_never_asked_again() {
        for code in [
            "InvalidFilter",
            "InvalidFilterValue.LimitExceeded",
            "InvalidImageId.Malformed",
            "InvalidParameter.InvalidParameterCoexistImageIdsFilters",
            "InvalidParameterValue.LimitExceeded",
        ] {
            assert_eq!(Class::of(code, None), Class::OurFault, "{code}");
        }
        for (code, class) in [
            ("UnauthorizedOperation", Class::ScopeBlocked),
            (
                "UnauthorizedOperation.MultiFactorUnauthorized",
                Class::ScopeBlocked,
            ),
            ("UnauthorizedOperation.InvalidToken", Class::AccountBlocked),
            ("InternalServerError", Class::Unclear),
        ] {
            assert_eq!(Class::of(code, None), class, "{code}");
        }
    }

    #[test]
    fn a_remedy_names_the_permission_that_cam_lacks() {
        for (action, permission) in [
            (Action::DescribeInstances, "lighthouse:DescribeInstances"),
            (Action::DescribeImages, "cvm:DescribeImages"),
        ] {
            let name = action.as_str();
            let refused = |code: &str| {
                CallError::Refused(Refusal {
                    code: code.into(),
                    message: "No.".into(),
                    request_id: None,
                    class: Class::of(code, None),
                    asked: Some(Asked::Read(action)),
                    relay: None,
                })
            };
            let denied = refused("UnauthorizedOperation.NoPermission").about(action);
            let expected = format!(
                "{name}: UnauthorizedOperation.NoPermission: No (allow {permission} for this key in CAM)"
            );
            assert_eq!(denied, expected);
            let elsewhere = refused("UnsupportedRegion").about(action);
            assert!(!elsewhere.contains("allow"), "{elsewhere}");
            let busy = refused("InternalError").about(action);
            assert_eq!(busy, format!("{name}: InternalError: No"));
            let silent = CallError::NotSent("cvm.test: refused".into()).about(action);
            assert_eq!(silent, format!("{name}: cvm.test: refused"));
        }
    }

    #[test]
    fn a_call_without_reply_shows_its_own_text_and_keeps_the_transports_error() {
        use std::error::Error;

        let lost = TransportError::Lost("reset by peer".into());
        let error = CallError::no_reply(lost.clone(), |detail| format!("api.example: {detail}"));
        assert_eq!(error.to_string(), "api.example: reset by peer");
        let source = error.source().map(ToString::to_string);
        assert_eq!(source, Some(lost.to_string()));
        let unreadable = CallError::Unclear("not JSON".into());
        assert!(unreadable.source().is_none());
        assert_eq!(unreadable.to_string(), "not JSON");
    }

    #[test]
    fn a17_s25_an_unknown_code_holds_the_image() {
        assert_eq!(
            Class::of("Brand.NewCode", Some(Cancel)),
            Class::ImageBlocked
        );
        assert_eq!(Class::of("Brand.NewCode", None), Class::Unclear);
    }
}
