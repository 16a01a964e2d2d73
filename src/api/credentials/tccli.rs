//! tccli's `<profile>.credential`: JSON that it writes itself. Pure. Says where something is wrong, and never what
//! stands there.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::parsed::{FileFault, KeyUse, ParsedFile};
use super::value::{KeyParts, NamedValue};
use crate::desired::Role;

/// What becomes of a role that a profile names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnRole {
    Assumed,
    /// Another one takes its place.
    Ignored,
}

/// As tccli names them. What sharekeeper does not need may be anything.
#[derive(Deserialize)]
struct Profile {
    #[serde(rename = "secretId", default)]
    secret_id: Option<String>,
    #[serde(rename = "secretKey", default)]
    secret_key: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(rename = "role-arn", default)]
    role_arn: Option<String>,
    #[serde(rename = "role-session-name", default)]
    session_name: Option<String>,
    /// Unix seconds, of those that came of a login.
    #[serde(rename = "expiresAt", default)]
    expires_at: Option<f64>,
}

/// What stands in a profile; `now` in Unix seconds.
pub(super) fn parse(text: &str, own_role: OwnRole, now: i64) -> Result<ParsedFile, FileFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A list would be taken for the fields in their order.
    if text.trim_start().starts_with('[') {
        return Err(FileFault::Broken("is not what tccli writes".into()));
    }
    let profile: Profile = serde_json::from_str(text).map_err(|error| {
        // The error's own words may quote a key.
        FileFault::Broken(format!(
            "is not what tccli writes, at line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    let role = given(profile.role_arn)
        .filter(|_| own_role == OwnRole::Assumed)
        .map(|arn| (arn, given(profile.session_name)));
    let part = |name, value| NamedValue {
        name,
        value: given(value).map(Zeroizing::new),
    };
    let parts = KeyParts {
        id: part("secretId", profile.secret_id),
        key: part("secretKey", profile.secret_key),
        token: part("token", profile.token),
    };
    match given(profile.kind).as_deref() {
        None | Some("default") => {}
        Some("cvm-role") => {
            return Ok(ParsedFile {
                credentials: None,
                key_use: KeyUse::Metadata,
            });
        }
        // Which tccli renews when it is used, and nobody else can.
        Some("oauth" | "sso") => {
            let expires_at = profile.expires_at;
            if expires_at.is_some_and(|at| at <= now as f64) {
                let remedy = "its login has expired; log in again with `tccli auth login`";
                return Err(FileFault::Broken(remedy.into()));
            }
        }
        Some(_) => {
            let known = "`default`, `cvm-role`, `oauth` and `sso`";
            return Err(FileFault::Broken(format!(
                "has a `type` that is none of {known}"
            )));
        }
    }
    let credentials = match parts.into_credentials() {
        Ok(Some(credentials)) => credentials,
        Ok(None) => {
            return Err(FileFault::Absent(
                "has neither secretId nor secretKey".into(),
            ));
        }
        Err(problem) => return Err(FileFault::Broken(problem)),
    };
    let key_use = match role {
        None => KeyUse::AsIs,
        Some((arn, session_name)) => assuming(arn, session_name)?,
    };
    Ok(ParsedFile {
        credentials: Some(credentials),
        key_use,
    })
}

/// The role that the profile's keys assume, if it can be one.
fn assuming(arn: String, session_name: Option<String>) -> Result<KeyUse, FileFault> {
    let is_session_name = |name: &String| Role::is_session_name(name);
    if !Role::is_arn(&arn) {
        return Err(FileFault::Broken("has a `role-arn` that is not one".into()));
    }
    if !session_name.as_ref().is_none_or(is_session_name) {
        let what = "has a `role-session-name` that cannot be one";
        return Err(FileFault::Broken(what.into()));
    }
    Ok(KeyUse::Assume(Role {
        arn,
        session_name,
        duration_seconds: None,
        external_id: None,
    }))
}

/// tccli writes empty texts for what was not answered.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
