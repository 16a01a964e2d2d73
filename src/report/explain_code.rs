//! The output of `explain CODE`, as text and as JSON: the meaning of the API's error codes, how sharekeeper reacts to
//! each, and what a person can do.

use std::fmt::Write;

use serde::Serialize;

use super::style::heading;
use super::{ExitStatus, FORMAT_VERSION};
use crate::api::Asked;
use crate::api::error::{ACCOUNT_UNVERIFIED, Class, NO_CREDENTIALS, Refusal, WRONG_ACCOUNT};
use crate::manifest;
use crate::model::Permission;
use crate::pace::ThrottleScope;

/// Codes in the documentation of ModifyImageSharePermission, each with its meaning.
const OF_THE_ACTION: [(&str, &str); 12] = [
    (
        "UnsupportedOperation.ImageAlreadyShared",
        "the image is shared already",
    ),
    (
        "UnsupportedOperation.ImageOccupied",
        "another operation holds the image",
    ),
    ("ResourceInUse.ImageInUse", "something uses the image"),
    (
        "UnsupportedOperation.ImageUnableToShare",
        "the image does not meet the preconditions of sharing",
    ),
    (
        "InvalidParameterValue.InvalidImageIdMalformed",
        "the image id is malformed",
    ),
    (
        "ResourceNotFound.ImageIdNotFound",
        "the account has no such image in this region",
    ),
    (
        "ResourceNotFound.RoleNotFound",
        "the service role with which Lighthouse reads the account's images is missing",
    ),
    (
        "UnsupportedOperation.AssumeRoleFailed",
        "Lighthouse may not assume its service role",
    ),
    (
        "UnauthorizedOperation.NoPermission",
        "the key lacks the permission for this call",
    ),
    (
        "FailedOperation.ImageOperationFailed",
        "the operation on the image failed",
    ),
    ("FailedOperation.RequestError", "the request failed"),
    (
        "InternalError.RequestError",
        "the request failed inside the service",
    ),
];

/// Codes that any action may return, and sharekeeper's own codes.
const COMMON: [(&str, &str); 25] = [
    (
        "AuthFailure.SignatureExpire",
        "the time of the request is more than five minutes off",
    ),
    (
        "AuthFailure.SignatureFailure",
        "the signature does not match the key",
    ),
    (
        "AuthFailure.InvalidAuthorization",
        "the Authorization header cannot be read",
    ),
    (
        "AuthFailure.SecretIdNotFound",
        "the SecretId is unknown, deleted or disabled",
    ),
    (
        "AuthFailure.InvalidSecretId",
        "the SecretId is not an API key",
    ),
    (
        "AuthFailure.TokenFailure",
        "the temporary token is wrong or has expired",
    ),
    (
        "AuthFailure.MFAFailure",
        "the key needs multi-factor authentication",
    ),
    (
        "AuthFailure.UnauthorizedOperation",
        "CAM does not allow this call to the key",
    ),
    (
        "AuthFailure.InvalidRegion",
        "the region is not available to the account",
    ),
    (
        "UnauthorizedOperation",
        "CAM does not allow this call to the key",
    ),
    (
        "UnauthorizedOperation.TokenInvalid",
        "the token is not valid",
    ),
    (
        "UnsupportedOperation.BlueprintHasNotShared",
        "the blueprint is not shared",
    ),
    (
        "UnsupportedRegion",
        "the action is not offered in the region",
    ),
    (
        "RequestLimitExceeded",
        "more calls of the action than the API allows in a second",
    ),
    (
        "RequestLimitExceeded.UinLimitExceeded",
        "more calls than the API allows to the root account",
    ),
    (
        "RequestLimitExceeded.GlobalRegionUinLimitExceeded",
        "more calls than the API allows to the root account in all regions",
    ),
    (
        "RequestLimitExceeded.IPLimitExceeded",
        "more calls than the API allows to this machine's address",
    ),
    ("InternalError", "an error inside the service"),
    ("FailedOperation", "the operation failed"),
    ("ServiceUnavailable", "the service is down for now"),
    (
        "ResourceUnavailable",
        "the resource is not available for now",
    ),
    ("InvalidParameter", "a parameter of the request is wrong"),
    (
        WRONG_ACCOUNT,
        "sharekeeper's own: the credentials belong to another account than the manifest says",
    ),
    (
        ACCOUNT_UNVERIFIED,
        "sharekeeper's own: the account of the credentials could not be determined",
    ),
    (
        NO_CREDENTIALS,
        "sharekeeper's own: there are no credentials to call with",
    ),
];

/// Codes that only STS returns, when keys of a role are requested.
const OF_STS: [(&str, &str); 6] = [
    (
        "InternalError.GetRoleError",
        "STS cannot read the role: it does not exist, or does not trust this key",
    ),
    (
        "InternalError.IllegalRole",
        "STS does not accept the role: it is malformed, or does not trust this key",
    ),
    (
        "InvalidParameter.OverTimeError",
        "the keys were requested for a longer time than the role allows",
    ),
    (
        "InvalidParameter.AccountNotAvaliable",
        "the account that the role belongs to is not available",
    ),
    (
        "InvalidParameter.WebIdentityTokenError",
        "the identity provider does not confirm the token of the pod",
    ),
    (
        "FailedOperation.TempKeyNotAllowed",
        "a temporary key may not request the keys of this role",
    ),
];

/// How sharekeeper reacts to each of them.
const DONE_ABOUT_STS: &str =
    "stops the account, and requests the keys of the role again from time to time";

/// The document that `explain CODE -o json` prints.
#[derive(Debug, Serialize)]
pub struct CodeDocument {
    format_version: u32,
    exit_code: ExitStatus,
    code: &'static str,
    /// Whether the documentation of ModifyImageSharePermission lists it.
    of_share_permission: bool,
    /// Whether only STS returns it, when keys of a role are requested.
    of_sts: bool,
    meaning: &'static str,
    on_share: &'static str,
    on_cancel: &'static str,
    on_read: &'static str,
    remedy: String,
    /// Other remedies, if the code answered another action.
    other_remedies: Vec<OtherRemedy>,
}

/// What a person can do if the code answered an action other than SHARE.
#[derive(Debug, Serialize)]
struct OtherRemedy {
    /// `CANCEL`, or an action of STS.
    asked: &'static str,
    remedy: String,
}

impl CodeDocument {
    /// Explains a known code. Case does not matter.
    pub fn of(code: &str) -> Option<Self> {
        let (known, meaning) = known().find(|(known, _)| known.eq_ignore_ascii_case(code))?;
        let of_sts = OF_STS.iter().any(|(code, _)| *code == known);
        let remedy = remedy(known);
        let done = |permission| match of_sts {
            true => DONE_ABOUT_STS,
            false => done_about(known, permission),
        };
        Some(Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            code: known,
            of_share_permission: OF_THE_ACTION.iter().any(|(code, _)| *code == known),
            of_sts,
            meaning,
            on_share: done(Some(Permission::Share)),
            on_cancel: done(Some(Permission::Cancel)),
            on_read: done(None),
            other_remedies: other_remedies(known, &remedy),
            remedy,
        })
    }

    /// The known code that is most similar to `text`, if one is.
    pub fn nearest(text: &str) -> Option<&'static str> {
        manifest::nearest(text, known().map(|(code, _)| code))
    }

    /// Whether `text` looks like a code rather than the name of an image.
    pub fn is_like(text: &str) -> bool {
        let (family, detail) = text.split_once('.').unwrap_or((text, ""));
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.chars().all(|c| c.is_ascii_alphanumeric())
        };
        let has_family = known().any(|(code, _)| {
            let known = code.split('.').next();
            known.is_some_and(|known| known.eq_ignore_ascii_case(family))
        });
        Self::nearest(text).is_some() || (is_word(family) && is_word(detail) && has_family)
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    pub fn text(&self) -> String {
        let Self {
            code,
            of_sts,
            meaning,
            on_share,
            on_cancel,
            on_read,
            remedy,
            other_remedies,
            ..
        } = self;
        let mut text = format!("{}: {meaning}\n", heading(code));
        let mut answers = vec![
            ("to SHARE", on_share),
            ("to CANCEL", on_cancel),
            ("to a read", on_read),
        ];
        if *of_sts {
            answers = vec![("to STS", on_share)];
        } else if on_share == on_cancel {
            answers.remove(1);
            answers[0].0 = "to a write";
        }
        for (to, done) in answers {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:<18}{done}", format!("{to}:"));
        }
        let _ = writeln!(text, "  {:<18}{remedy}", "what you can do:");
        for OtherRemedy { asked, remedy } in other_remedies {
            let _ = writeln!(text, "  {:<17} {remedy}", format!("to {asked}:"));
        }
        text
    }
}

fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    OF_THE_ACTION.into_iter().chain(COMMON).chain(OF_STS)
}

/// How sharekeeper reacts to a code that answers a write or a read.
fn done_about(code: &str, permission: Option<Permission>) -> &'static str {
    match (Class::of(code, permission), permission) {
        (Class::Converged, _) => {
            "counts as done: the desired state holds; the share does not become sharekeeper's own"
        }
        (Class::Busy, _) => "waits, and repeats the call a few times",
        (Class::Unclear, Some(_)) => {
            "checks whether it took effect, and repeats it only if it did not, a few times"
        }
        (Class::Unclear, None) => "reads again, a few times; then nothing is done in that region",
        (Class::Throttled(ThrottleScope::Bucket), _) => {
            "slows down calls of this action to the access point, and calls again"
        }
        (Class::Throttled(ThrottleScope::Account), _) => {
            "slows down all calls of the account, and calls again"
        }
        (Class::Throttled(ThrottleScope::Host), _) => {
            "slows down all calls to the access point, and calls again"
        }
        (Class::ImageBlocked, _) => "leaves the image alone and reports it as blocked",
        (Class::ScopeBlocked, _) => {
            "pauses the calls that it may concern, and tries single ones from time to time"
        }
        (Class::AccountBlocked, _) => {
            "stops the account, and tries a single call from time to time"
        }
        (Class::ClockOff, _) => {
            "signs again by the service's clock; if that does not help, it stops and reports this"
        }
        (Class::OurFault, _) => "does not repeat the call, and reports it",
    }
}

/// The remedy in the table for a code that answers `asked`.
fn of_table(code: &str, asked: Asked) -> Option<String> {
    let refusal = Refusal {
        code: code.to_owned(),
        message: String::new(),
        request_id: None,
        class: Class::of(code, asked.permission()),
        asked: Some(asked),
        relay: None,
    };
    refusal.remedy()
}

/// The remedies that differ for other actions with the same code.
fn other_remedies(code: &str, remedy: &str) -> Vec<OtherRemedy> {
    let others = [
        Asked::Write(Permission::Cancel),
        Asked::AssumeRole,
        Asked::AssumePodsRole,
    ];
    let is_web_identity = code == "InvalidParameter.WebIdentityTokenError";
    let is_of_role = |asked: Asked| asked == Asked::AssumePodsRole || !is_web_identity;
    let is_ours = [WRONG_ACCOUNT, ACCOUNT_UNVERIFIED, NO_CREDENTIALS].contains(&code);
    let other = |asked: Asked| {
        let other = of_table(code, asked)
            .filter(|other| !is_ours && other != remedy && is_of_role(asked))?;
        // A remedy about roles does not apply to codes that no request for a role returns.
        let is_known = Class::of(code, None) != Class::Unclear || code.contains("Role");
        is_known.then_some(OtherRemedy {
            asked: match asked {
                Asked::Write(permission) => permission.as_str(),
                role => role.action(),
            },
            remedy: other,
        })
    };
    others.into_iter().filter_map(other).collect()
}

fn remedy(code: &str) -> String {
    let of_code = match code {
        NO_CREDENTIALS => Some(
            "provide credentials by environment variables, a profile, a file or a role; `sharekeeper doctor` lists the sources that were tried".to_owned(),
        ),
        WRONG_ACCOUNT | ACCOUNT_UNVERIFIED => {
            let refusal = Refusal {
                code: code.to_owned(),
                message: String::new(),
                request_id: None,
                class: Class::AccountBlocked,
                asked: None,
                relay: None,
            };
            refusal.remedy()
        }
        "InvalidParameter" => None,
        // No other call of STS returns it.
        "InvalidParameter.WebIdentityTokenError" => of_table(code, Asked::AssumePodsRole),
        of_sts if OF_STS.iter().any(|(code, _)| *code == of_sts) => {
            of_table(code, Asked::AssumeRole)
        }
        _ => of_table(code, Asked::Write(Permission::Share)),
    };
    let by_class = match Class::of(code, Some(Permission::Share)) {
        Class::Converged => {
            "nothing; to have the share counted as sharekeeper's own, `sharekeeper adopt`"
        }
        Class::Throttled(_) => {
            "nothing, if it passes; otherwise lower `rate` in the `Account` document: the console and other tools use the same quota"
        }
        Class::Busy | Class::Unclear => {
            "nothing, if it passes; otherwise check the image in the console, and ask the vendor's support with the RequestId"
        }
        Class::AccountBlocked | Class::ScopeBlocked => "run `sharekeeper doctor` to find the cause",
        _ => {
            "read the message; if it does not show what to fix, ask the vendor's support with the RequestId"
        }
    };
    of_code.unwrap_or_else(|| by_class.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_meaning_and_a_remedy() {
        for (code, _) in known() {
            let document = CodeDocument::of(code).expect("known");
            assert!(document.remedy.len() > 20, "{document:?}");
            assert!(document.text().contains(code));
        }
        let all: std::collections::BTreeSet<_> = known().collect();
        assert_eq!(all.len(), OF_THE_ACTION.len() + COMMON.len() + OF_STS.len());
    }

    #[test]
    fn the_remedy_depends_on_the_action() {
        let in_use = CodeDocument::of("resourceinuse.imageinuse").expect("known");
        assert_eq!(in_use.code, "ResourceInUse.ImageInUse");
        assert_ne!(in_use.on_share, in_use.on_cancel);
        assert!(in_use.of_share_permission);
        assert!(!in_use.remedy.contains("declare the image"), "{in_use:?}");
        let [to_cancel] = &*in_use.other_remedies else {
            panic!("{in_use:?}");
        };
        assert!(to_cancel.remedy.contains("declare the image `shared`"));
        let role = CodeDocument::of("ResourceNotFound.RoleNotFound").expect("known");
        let of_sts = role
            .other_remedies
            .iter()
            .find(|it| it.asked == "AssumeRole");
        assert!(
            of_sts.is_some_and(|it| it.remedy.contains("`roleArn`")),
            "{role:?}"
        );
        let throttled = CodeDocument::of("RequestLimitExceeded").expect("known");
        assert!(!throttled.of_share_permission);
        assert!(throttled.text().contains("to a write:"));
    }

    #[test]
    fn n3_an_sts_only_code_has_the_roles_remedy_and_no_write_answer() {
        for (code, word) in [
            ("InternalError.GetRoleError", "trust policy"),
            ("InternalError.IllegalRole", "trust policy"),
            ("InvalidParameter.OverTimeError", "`durationSeconds`"),
            ("InvalidParameter.AccountNotAvaliable", "correct its uin"),
            ("InvalidParameter.WebIdentityTokenError", "TKE_PROVIDER_ID"),
            ("FailedOperation.TempKeyNotAllowed", "permanent key"),
        ] {
            let document = CodeDocument::of(code).expect("known");
            assert!(document.of_sts, "{document:?}");
            assert!(document.remedy.contains(word), "{document:?}");
            let text = document.text();
            assert!(text.contains("to STS:"), "{text}");
            assert!(!text.contains("to a write:"), "{text}");
        }
    }

    #[test]
    fn an_unknown_code_is_told_apart_from_a_name() {
        let near = CodeDocument::nearest("UnsupportedOperation.ImageOcupied");
        assert_eq!(near, Some("UnsupportedOperation.ImageOccupied"));
        for code in [
            "UnsupportedOperation.ImageOcupied",
            "FailedOperation.SomethingQuiteDifferent",
        ] {
            assert!(CodeDocument::is_like(code), "{code}");
        }
        assert_eq!(
            CodeDocument::nearest("FailedOperation.SomethingQuiteDifferent"),
            None
        );
        for name in ["golden-ubuntu-1.5.1", "Ubuntu", "Windows.Server", "img-a"] {
            assert!(!CodeDocument::is_like(name), "{name}");
        }
    }
}
