//! What a person can do about a refusal: one table, by the service that answered, the subject of the call and the code.
//! Every text that names a remedy for a code takes it from here, so that no two places disagree.

use std::fmt;

use super::asked::Asked;
use super::error::{ACCOUNT_UNVERIFIED, Class, Refusal, WRONG_ACCOUNT};
use super::protocol::wire::Service;
use crate::model::Permission;
use crate::words::with_request_id;

/// The service and the subject that a row applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A relay between sharekeeper and the API, which is not an access point of the vendor.
    Relay,
    /// STS, asked for keys of a role.
    Role,
    /// STS, asked for keys of a pod's role.
    Pod,
    /// The metadata service of this machine.
    Machine,
    /// Lighthouse, asked to share an image.
    Share,
    /// Lighthouse, asked to end a share.
    Cancel,
    /// Lighthouse, asked to share or to end a share.
    Write,
    /// Lighthouse, asked for anything.
    Lighthouse,
    /// No service: the code is one of ours.
    Ours,
    /// Any service of the cloud.
    Anyone,
}

/// One rule in the table.
struct Row {
    who: Who,
    /// A whole code, or a family as `Family.*`, which includes the bare `Family`. A lone `*` means any code.
    code: &'static str,
    /// What to do; `None` if the code is temporary, or if only a read shows its meaning. `{permission}` and `{relay}`
    /// stand for the CAM permission and for the host that answered.
    remedy: Option<&'static str>,
}

const fn row(who: Who, code: &'static str, remedy: &'static str) -> Row {
    Row {
        who,
        code,
        remedy: Some(remedy),
    }
}

const fn passes(who: Who, code: &'static str) -> Row {
    Row {
        who,
        code,
        remedy: None,
    }
}

const RELAY: &str = "`{relay}` stands between sharekeeper and the API: it must pass on `Host` and `Content-Type` unchanged, because the signature \
     covers them; if it does, the SecretKey does not belong to the SecretId";
const ROLE_TRUST: &str =
    "check that the role exists, and that its trust policy lets this key assume it";
const POD_TRUST: &str = "let the trust policy of the role in TKE_ROLE_ARN name the cluster's identity provider and this service account";
const SECRET_ID: &str = "the SecretId is unknown or disabled; check it in the CAM console";
const SECRET_KEY: &str = "the SecretKey does not belong to the SecretId";
const TOKEN: &str = "the temporary token has expired or is wrong; fetch a new one";
const MFA: &str = "use a key or a role that needs no multi-factor authentication";
const REGION: &str = "the region is not open to this account, or the action is not offered there; open it in the console, or remove the region from the \
     manifests; the access point is that of `endpoint`";
const PERMISSION: &str = "allow {permission} for this key in CAM";
const ADDRESS: &str = "let the network policy of the key in CAM allow this machine's address";
const FAULT: &str = "this is a fault in sharekeeper; please report it with the RequestId";
/// The text for an unknown code.
const UNKNOWN: &str =
    "sharekeeper does not know this code; ask the vendor's support, with the RequestId";

/// The first row that matches decides.
const TABLE: &[Row] = &[
    row(Who::Relay, "AuthFailure.SignatureFailure", RELAY),
    row(Who::Relay, "AuthFailure.InvalidAuthorization", RELAY),
    // The roles that provide credentials.
    row(
        Who::Role,
        "ResourceNotFound.RoleNotFound",
        "the role in `roleArn` does not exist: correct it in the `Account` document, the profile or TENCENTCLOUD_ROLE_ARN, or create the role in CAM",
    ),
    row(Who::Role, "InternalError.GetRoleError", ROLE_TRUST),
    row(Who::Role, "InternalError.IllegalRole", ROLE_TRUST),
    row(
        Who::Role,
        "InvalidParameter.OverTimeError",
        "`durationSeconds` in the `Account` document is more than the role allows: lower it, or raise the role's maximum session duration in CAM",
    ),
    row(
        Who::Role,
        "InvalidParameter.AccountNotAvaliable",
        "the account that `roleArn` names is not available: correct its uin",
    ),
    row(
        Who::Role,
        "InvalidParameter.*",
        "correct the role in the `Account` document: `roleArn`, `sessionName`, `durationSeconds` or `externalId`",
    ),
    row(
        Who::Role,
        "InvalidParameterValue.*",
        "correct the role in the `Account` document: `roleArn`, `sessionName`, `durationSeconds` or `externalId`",
    ),
    row(Who::Role, "UnauthorizedOperation.TokenInvalid", TOKEN),
    row(
        Who::Role,
        "UnauthorizedOperation.*",
        "allow sts:AssumeRole of this role for the key in CAM, and let the role's trust policy name the key's account",
    ),
    row(
        Who::Role,
        "AuthFailure.UnauthorizedOperation",
        "allow sts:AssumeRole of this role for the key in CAM, and let the role's trust policy name the key's account",
    ),
    row(
        Who::Role,
        "FailedOperation.TempKeyNotAllowed",
        "let the source of the role be a permanent key: STS does not accept a temporary one for it",
    ),
    row(
        Who::Pod,
        "ResourceNotFound.RoleNotFound",
        "the role in TKE_ROLE_ARN does not exist: correct the annotation of the pod's service account, or create the role in CAM",
    ),
    row(Who::Pod, "InternalError.GetRoleError", POD_TRUST),
    row(Who::Pod, "InternalError.IllegalRole", POD_TRUST),
    row(
        Who::Pod,
        "InvalidParameter.WebIdentityTokenError",
        "STS does not accept the pod's token: check that the identity provider in TKE_PROVIDER_ID has this cluster's public key and the token's audience",
    ),
    row(
        Who::Pod,
        "InvalidParameter.*",
        "check TKE_ROLE_ARN and TKE_PROVIDER_ID, which the cluster sets in the pod, and the identity provider in CAM",
    ),
    row(Who::Pod, "UnauthorizedOperation.*", POD_TRUST),
    row(Who::Pod, "AuthFailure.UnauthorizedOperation", POD_TRUST),
    row(
        Who::Pod,
        "UnsupportedRegion.*",
        "correct TKE_REGION: STS does not know the region",
    ),
    row(
        Who::Pod,
        "AuthFailure.InvalidRegion",
        "correct TKE_REGION: STS does not know the region",
    ),
    row(
        Who::Machine,
        "*",
        "check the role that is bound to this instance in the CVM console",
    ),
    // Shares and their ends.
    row(
        Who::Share,
        "ResourceInUse.ImageInUse",
        "something holds the image, such as a copy or a server that is being made from it; it is shared once that has ended",
    ),
    row(
        Who::Cancel,
        "ResourceInUse.ImageInUse",
        "something uses the image, such as a Lighthouse server made from it; remove that first, or declare the image `shared`",
    ),
    row(
        Who::Write,
        "UnsupportedOperation.ImageUnableToShare",
        "the image does not meet the conditions for sharing; see DescribeImagesToShare",
    ),
    // For CANCEL, the meaning depends on the observation.
    passes(Who::Cancel, "ResourceNotFound.ImageIdNotFound"),
    row(
        Who::Lighthouse,
        "ResourceNotFound.ImageIdNotFound",
        "check the image id, the region and the account; an image belongs to one region",
    ),
    row(
        Who::Lighthouse,
        "InvalidParameterValue.InvalidImageIdMalformed",
        "correct the image id; it is `img-` followed by lower-case letters and digits",
    ),
    row(
        Who::Lighthouse,
        "ResourceNotFound.RoleNotFound",
        "create the Lighthouse service role by opening the image sharing page of the Lighthouse console once",
    ),
    row(
        Who::Lighthouse,
        "UnsupportedOperation.AssumeRoleFailed",
        "check the trust policy of the Lighthouse service role in CAM",
    ),
    passes(Who::Write, "UnsupportedOperation.ImageAlreadyShared"),
    passes(Who::Write, "UnsupportedOperation.BlueprintHasNotShared"),
    passes(Who::Write, "UnsupportedOperation.ImageOccupied"),
    // Our own codes.
    row(
        Who::Ours,
        WRONG_ACCOUNT,
        "load the account's own credentials, not another environment's or profile's, or correct `uin` in its `Account` document",
    ),
    row(
        Who::Ours,
        ACCOUNT_UNVERIFIED,
        "fix that, or remove `uin` from the `Account` document",
    ),
    passes(Who::Ours, "*"),
    // Keys, for every service.
    row(Who::Anyone, "AuthFailure.SecretIdNotFound", SECRET_ID),
    row(Who::Anyone, "AuthFailure.InvalidSecretId", SECRET_ID),
    row(Who::Anyone, "AuthFailure.AccessKeyIllegal", SECRET_ID),
    row(Who::Anyone, "AuthFailure.SignatureFailure", SECRET_KEY),
    row(Who::Anyone, "AuthFailure.InvalidAuthorization", SECRET_KEY),
    row(Who::Anyone, "AuthFailure.TokenFailure", TOKEN),
    row(Who::Anyone, "UnauthorizedOperation.TokenInvalid", TOKEN),
    row(Who::Anyone, "UnauthorizedOperation.InvalidToken", TOKEN),
    row(
        Who::Anyone,
        "AuthFailure.SignatureExpire",
        "set this machine's clock",
    ),
    row(Who::Anyone, "AuthFailure.MFAFailure", MFA),
    row(Who::Anyone, "FailedOperation.CheckMFAError", MFA),
    row(Who::Anyone, "FailedOperation.MFATypeNotSupported", MFA),
    row(
        Who::Anyone,
        "UnauthorizedOperation.MultiFactorUnauthorized",
        MFA,
    ),
    row(Who::Anyone, "IpInBlacklist.*", ADDRESS),
    row(Who::Anyone, "IpNotInWhitelist.*", ADDRESS),
    row(Who::Anyone, "AuthFailure.InvalidRegion", REGION),
    row(Who::Anyone, "UnsupportedRegion.*", REGION),
    row(Who::Anyone, "AuthFailure.UnauthorizedOperation", PERMISSION),
    row(Who::Anyone, "UnauthorizedOperation.*", PERMISSION),
    // Temporary errors, which need no remedy.
    passes(Who::Anyone, "RequestLimitExceeded.*"),
    passes(Who::Anyone, "LimitExceeded.RateLimitExceeded"),
    passes(Who::Anyone, "InternalError.*"),
    passes(Who::Anyone, "FailedOperation.*"),
    passes(Who::Anyone, "ServiceUnavailable.*"),
    passes(Who::Anyone, "ResourceUnavailable.*"),
    passes(Who::Anyone, "ResourceInUse.*"),
];

impl Who {
    fn fits(self, refusal: &Refusal) -> bool {
        let asked = refusal.asked;
        match self {
            Self::Relay => refusal.relay.is_some(),
            Self::Role => asked == Some(Asked::AssumeRole),
            Self::Pod => asked == Some(Asked::AssumePodsRole),
            Self::Machine => asked == Some(Asked::MachinesRole),
            Self::Share => asked == Some(Asked::Write(Permission::Share)),
            Self::Cancel => asked == Some(Asked::Write(Permission::Cancel)),
            Self::Write => matches!(asked, Some(Asked::Write(_))),
            Self::Lighthouse => asked.and_then(Asked::service) == Some(Service::Lighthouse),
            Self::Ours => asked.is_none(),
            Self::Anyone => true,
        }
    }
}

impl Row {
    fn fits(&self, refusal: &Refusal) -> bool {
        self.who.fits(refusal) && is_of(&refusal.code, self.code)
    }
}

/// Whether `code` matches `pattern`.
fn is_of(code: &str, pattern: &str) -> bool {
    match pattern.strip_suffix("*") {
        None => code == pattern,
        Some(family) => {
            let bare = family.trim_end_matches('.');
            code.starts_with(family) || code == bare
        }
    }
}

impl Refusal {
    /// What a person can do; `None` if the error is temporary, or if only a read shows its meaning.
    pub fn remedy(&self) -> Option<String> {
        remedy(self)
    }

    /// Code, message and remedy, without the RequestId, so that refusals with one cause have the same text.
    pub fn told(&self) -> String {
        match self.remedy() {
            Some(remedy) => format!("{} ({remedy})", self.summary()),
            None => self.summary(),
        }
    }
}

/// The complete text, with the RequestId.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_request_id(&self.told(), self.request_id.as_deref()))
    }
}

fn remedy(refusal: &Refusal) -> Option<String> {
    if let Some(row) = TABLE.iter().find(|row| row.fits(refusal)) {
        let filled = |remedy: &str| {
            let permission = refusal.asked.map(Asked::cam_permission);
            remedy
                .replace("{permission}", permission.as_deref().unwrap_or("it"))
                .replace("{relay}", refusal.relay.as_deref().unwrap_or("something"))
        };
        return row.remedy.map(filled);
    }
    match refusal.class {
        Class::OurFault => Some(FAULT.to_owned()),
        Class::Converged | Class::Busy | Class::Throttled(_) => None,
        Class::Unclear
        | Class::ImageBlocked
        | Class::ScopeBlocked
        | Class::AccountBlocked
        | Class::ClockOff => Some(UNKNOWN.to_owned()),
    }
}

#[cfg(test)]
#[path = "remedy_tests.rs"]
mod tests;
