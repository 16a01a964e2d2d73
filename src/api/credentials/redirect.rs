//! Variables that make other tools use another account than the key's own: those of tccli, whose role is assumed as
//! tccli does, and those of Terraform, which are refused. To ignore them silently would mean to work in an account that
//! nobody intended.

use super::environment::Environment;
use super::error::CredentialError;
use crate::desired::{CredentialSource, Role};

/// tccli's pair: the role, and the name of the session.
pub(super) const ROLE: [&str; 2] = ["TENCENTCLOUD_ROLE_ARN", "TENCENTCLOUD_ROLE_SESSION_NAME"];
/// The variable that allows ignoring Terraform's variables.
const IGNORE: &str = "SHAREKEEPER_IGNORE_TERRAFORM";
/// Terraform's variables that decide whose credentials are used. Those for the destination or the region of calls
/// (`_DOMAIN`, `_PROTOCOL`, `_REGION`) are not among them: a key belongs to the same account wherever it is used.
pub const TERRAFORM: [&str; 17] = [
    "TENCENTCLOUD_PROFILE",
    "TENCENTCLOUD_SHARED_CREDENTIALS_DIR",
    "TENCENTCLOUD_CAM_ROLE_NAME",
    "TENCENTCLOUD_ASSUME_ROLE_ARN",
    // The provider's code spells this with two N, its documentation with one.
    "TENCENTCLOUD_ASSUME_ROLE_ARNN_FILE",
    "TENCENTCLOUD_ASSUME_ROLE_ARN_FILE",
    "TENCENTCLOUD_ASSUME_ROLE_SESSION_NAME",
    "TENCENTCLOUD_ASSUME_ROLE_SESSION_DURATION",
    "TENCENTCLOUD_ASSUME_ROLE_EXTERNAL_ID",
    "TENCENTCLOUD_ASSUME_ROLE_SOURCE_IDENTITY",
    "TENCENTCLOUD_ASSUME_ROLE_SERIAL_NUMBER",
    "TENCENTCLOUD_ASSUME_ROLE_TOKEN_CODE",
    "TENCENTCLOUD_ASSUME_ROLE_PROVIDER_ID",
    "TENCENTCLOUD_ASSUME_ROLE_WEB_IDENTITY_TOKEN",
    "TENCENTCLOUD_ASSUME_ROLE_WEB_IDENTITY_TOKEN_FILE",
    "TENCENTCLOUD_ASSUME_ROLE_SAML_ASSERTION",
    "TENCENTCLOUD_ASSUME_ROLE_PRINCIPAL_ARN",
];

/// The role that the keys of a source assume before any call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RoleChoice {
    /// The role in tccli's variables, if tccli reads this source; else the source's own role, if it has one.
    Environment,
    /// The source's own role, if it has one: a document defines further roles.
    Source,
    /// No role: the keys will assume the role in tccli's variables, which replaces the source's own role.
    None,
}

impl RoleChoice {
    /// The role in tccli's variables for the keys of `source`. A profile in a document corresponds to tccli's
    /// `--profile`, with which tccli reads no variables.
    pub(super) fn of_environment(
        self,
        source: &CredentialSource,
        environment: &Environment,
    ) -> Result<Option<Role>, CredentialError> {
        match (self, source) {
            (
                Self::Environment,
                CredentialSource::Ambient
                | CredentialSource::Environment
                | CredentialSource::Profile(None),
            ) => role(environment),
            _ => Ok(None),
        }
    }
}

/// The role of tccli's pair. tccli ignores half a pair; here it is an error, because the person meant another account
/// than the key's.
fn role(environment: &Environment) -> Result<Option<Role>, CredentialError> {
    let [arn, session] = ROLE;
    let (arn, session_name) = match (environment.text(arn)?, environment.text(session)?) {
        (None, None) => return Ok(None),
        (Some(arn), Some(session_name)) => (arn, session_name),
        (Some(_), None) => return Err(half(arn, session)),
        (None, Some(_)) => return Err(half(session, arn)),
    };
    if !Role::is_arn(&arn) {
        return Err(CredentialError::Broken(format!(
            "{} is not a role, such as `qcs::cam::uin/100000000001:roleName/keeper`",
            ROLE[0]
        )));
    }
    if !Role::is_session_name(&session_name) {
        return Err(CredentialError::Broken(format!(
            "{session} cannot be the name of a session: 2 to 128 letters, digits and `_=,.@-`"
        )));
    }
    Ok(Some(Role {
        arn,
        session_name: Some(session_name),
        duration_seconds: None,
        external_id: None,
    }))
}

fn half(set: &str, unset: &str) -> CredentialError {
    CredentialError::Broken(format!(
        "the role that the environment names is half set: {set} is set, but {unset} is not; set both, or unset {set} to \
         continue without a role"
    ))
}

/// Refuses to choose credentials if Terraform's variables would make Terraform choose others. Names all of them at
/// once, but no value.
pub(super) fn refuse_terraform(environment: &Environment) -> Result<(), CredentialError> {
    let set: Vec<_> = TERRAFORM
        .into_iter()
        .filter(|name| environment.is_set(name))
        .collect();
    if set.is_empty() || environment.switch(IGNORE)? {
        return Ok(());
    }
    let (is, it) = match set.as_slice() {
        [_] => ("is", "it"),
        _ => ("are", "them"),
    };
    Err(CredentialError::Broken(format!(
        "{} {is} set: with {it} Terraform would use other credentials, perhaps another account's, and sharekeeper does not \
         read {it}. Name the credentials with `credentials: {{from: …}}` in an `Account` document, or set \
         {IGNORE}=1 to ignore {it}",
        set.join(", ")
    )))
}
