//! The meaning of a failed call: each error code belongs to a class that decides what to do.
//!
//! The 12 codes of `ModifyImageSharePermission` are the complete list in its documentation; the common codes are from
//! the vendor's generic list. A code is first matched as a whole, then by the part before the dot. Messages are
//! localised and never matched.

use super::asked::Asked;
use super::protocol::wire::Action;
use crate::host::TransportError;
use crate::model::{Permission, ShareState};
use crate::pace::ThrottleScope;

/// Our own code: the credentials belong to another account than the manifest says.
pub const WRONG_ACCOUNT: &str = "WrongAccount";
/// Our own code: the owner of the credentials could not be determined.
pub const ACCOUNT_UNVERIFIED: &str = "AccountUnverified";
/// Our own code: there are no credentials to call with.
pub const NO_CREDENTIALS: &str = "NoCredentials";

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It certainly had no effect, because no connection was made.
    #[error(transparent)]
    NotSent(NoReply),
    /// The reply is missing or cannot be read, so a write may have taken effect.
    #[error(transparent)]
    Unclear(NoReply),
    /// The API said no.
    #[error("{0}")]
    Refused(Refusal),
    /// Nothing was sent, because the account is known to be broken, or is not confirmed as the right one.
    #[error("{0}")]
    AccountBroken(Refusal),
}

impl CallError {
    /// Whether the same call may succeed a moment later, although it gave no usable reply or the API was busy.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Unclear(_) => true,
            Self::Refused(refusal) => matches!(refusal.class, Class::Busy | Class::Unclear),
            Self::AccountBroken(_) => false,
        }
    }
}

/// Why a call has no readable reply, in one line for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NoReply {
    text: String,
    /// The transport's error; `None` if something else failed.
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

/// An error reply, or the reason why no call is made at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A code of the API, such as `UnsupportedOperation.ImageOccupied`, or one of ours: [`WRONG_ACCOUNT`],
    /// [`ACCOUNT_UNVERIFIED`], [`NO_CREDENTIALS`].
    pub code: String,
    /// The API's text, without control characters.
    pub message: String,
    /// The RequestId, for the vendor's support.
    pub request_id: Option<String>,
    /// The class, which decides what to do.
    pub class: Class,
    /// The subject of the call, and so the service that answered; `None` if the code is ours.
    pub asked: Option<Asked>,
    /// The host that answered, if it is not an access point of the vendor: it may have changed the signed parts.
    pub relay: Option<Box<str>>,
}

/// The reaction to an error reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The requested state already holds.
    Converged,
    /// The API is busy and has not acted: repeat the same call later.
    Busy,
    /// Failed with an open outcome: read first, then perhaps repeat the call.
    Unclear,
    /// Too many calls; holds which buckets must slow down.
    Throttled(ThrottleScope),
    /// A person must change the image, its use, or the manifest.
    ImageBlocked,
    /// Not permitted, or not offered here. May hold for one image, one region or one action.
    ScopeBlocked,
    /// A problem of the key, the service role or the account itself.
    AccountBlocked,
    /// The machine's clock is more than five minutes off.
    ClockOff,
    /// The request itself is wrong: a fault in sharekeeper.
    OurFault,
}

impl Class {
    /// The class of a code. `permission` is the one of a write, `None` for a read.
    pub fn of(code: &str, permission: Option<Permission>) -> Self {
        Self::of_whole(code, permission).unwrap_or_else(|| Self::of_family(code, permission))
    }

    fn of_whole(code: &str, permission: Option<Permission>) -> Option<Self> {
        use Permission::{Cancel, Share};
        Some(match (code, permission) {
            ("UnsupportedOperation.ImageAlreadyShared", Some(Share)) => Self::Converged,
            ("UnsupportedOperation.ImageOccupied", _) => Self::Busy,
            // Instances use it: waiting does not help, and a person must act.
            ("ResourceInUse.ImageInUse", Some(Cancel)) => Self::ImageBlocked,
            ("UnsupportedOperation.ImageUnableToShare", _)
            | ("InvalidParameterValue.InvalidImageIdMalformed", _) => Self::ImageBlocked,
            // Perhaps it is already gone, which CANCEL wants; a read shows it.
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
            // Other limits of this family concern numbers of resources, so waiting does not help.
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
            // CVM has its own names for an invalid request.
            "InvalidFilter" | "InvalidFilterValue" | "InvalidImageId" if permission.is_none() => {
                Self::OurFault
            }
            // An unknown code stops work on the image and is shown; a read just fails.
            _ if permission.is_some() => Self::ImageBlocked,
            _ => Self::Unclear,
        }
    }
}

/// How to continue after an answer of class [`Class::Unclear`] to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// For CANCEL: there is no such image.
    NoImage,
    /// For CANCEL: the image is not shared.
    NotShared,
    /// The documentation calls it a temporary error of the request.
    Passing,
    /// The documentation calls it a failure of the operation, which may be temporary.
    MayPass,
    /// Nothing is known to change with time.
    Nothing,
}

impl Hint {
    /// The hint that belongs to a code.
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

/// Whether the vendor's documentation of the codes calls this kind of refusal possibly temporary.
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
    /// Code and message, without the remedy.
    pub fn summary(&self) -> String {
        match self.message.trim_end_matches('.') {
            "" => self.code.clone(),
            message => format!("{}: {message}", self.code),
        }
    }

    /// The state that the image certainly has after the refusal of a write; `None` if the refusal does not show it.
    pub fn known_state(&self, permission: Permission) -> Option<ShareState> {
        match (self.class, Hint::of(&self.code), permission) {
            (Class::Converged, _, Permission::Share) => Some(ShareState::Shared),
            (_, Hint::NotShared, Permission::Cancel) => Some(ShareState::Unshared),
            _ => None,
        }
    }

    /// Whether the write certainly had no effect, although only a read shows the image's state.
    pub fn had_no_effect(&self) -> bool {
        matches!(Hint::of(&self.code), Hint::NoImage | Hint::NotShared)
    }

    /// Whether it is a final answer to the CANCEL of an image that was never shared. The API's documentation names no
    /// code for that. `is_repeated` means that the previous CANCEL was answered with the same code.
    pub fn settles_cancel(&self, is_repeated: bool) -> bool {
        let family = self.code.split('.').next();
        Hint::of(&self.code) == Hint::NoImage || (is_repeated && family == Some("FailedOperation"))
    }

    /// Whether it concerns the whole region: the API does not know the region, does not offer this action there, or has
    /// a clock there that is too wrong to sign with.
    pub fn is_of_region(&self) -> bool {
        let (family, _) = self.code.split_once('.').unwrap_or((&self.code, ""));
        self.class == Class::ScopeBlocked
            && (family == "UnsupportedRegion"
                || matches!(
                    self.code.as_str(),
                    "AuthFailure.InvalidRegion" | "AuthFailure.SignatureExpire"
                ))
    }

    /// Whether the API rejects the key itself, so that another key may help: it has expired, was deleted, or is half of
    /// a replaced pair.
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
    /// The cause and the remedy, in one line for a person, without the RequestId.
    pub fn told(&self) -> String {
        match self {
            Self::NotSent(detail) | Self::Unclear(detail) => detail.to_string(),
            Self::Refused(refusal) | Self::AccountBroken(refusal) => refusal.told(),
        }
    }

    /// The action and [`Self::told`].
    pub fn about(&self, action: Action) -> String {
        format!("{}: {}", action.as_str(), self.told())
    }

    /// The meaning of a missing reply for a call. `describe` makes the text for a person from the transport's text.
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
