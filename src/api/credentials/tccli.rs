//! tccli's `<profile>.credential`: JSON that tccli writes. Pure. Errors give the place, and never the content.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::parsed::{FileFault, KeyUse, ParsedFile};
use super::value::{KeyParts, NamedValue};
use crate::api::protocol::wire::lenient;
use crate::desired::Role;

const UNKNOWN_TYPE: &str = "has a `type` that is none of `default`, `cvm-role`, `oauth` and `sso`";

/// How a role in a profile is treated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnRole {
    Assumed,
    /// Ignored, because another role replaces it.
    Ignored,
}

/// The fields by tccli's names. Fields that sharekeeper does not need may be anything.
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
    /// The end of a login, in Unix seconds.
    #[serde(rename = "expiresAt", default)]
    expires_at: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    sso: Option<SsoLogin>,
}

/// tccli's data about a single sign-on, next to the keys.
#[derive(Deserialize)]
struct SsoLogin {
    /// The end of the single sign-on, in Unix seconds.
    #[serde(rename = "expiresAt", default)]
    expires_at: Option<f64>,
}

/// Parses a profile; `now` is in Unix seconds.
pub(super) fn parse(text: &str, own_role: OwnRole, now: i64) -> Result<ParsedFile, FileFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Serde would take a list as the fields in their order.
    if text.trim_start().starts_with('[') {
        return Err(FileFault::Broken("is not what tccli writes".into()));
    }
    let profile: Profile = serde_json::from_str(text).map_err(|error| {
        // The error's own text may quote a key.
        FileFault::Broken(format!(
            "is not what tccli writes, at line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    let role = given(profile.role_arn)
        .filter(|_| own_role == OwnRole::Assumed)
        .map(|arn| (arn, given(profile.session_name)));
    let token = given(profile.token);
    let has_token = token.is_some();
    let part = |name, value| NamedValue {
        name,
        value: given(value).map(Zeroizing::new),
    };
    let parts = KeyParts {
        id: part("secretId", profile.secret_id),
        key: part("secretKey", profile.secret_key),
        token: part("token", token),
    };
    match given(profile.kind).as_deref() {
        None | Some("default") => {}
        Some("cvm-role") => {
            return Ok(ParsedFile {
                credentials: None,
                key_use: KeyUse::Metadata,
            });
        }
        // tccli renews these when it is used, and no other tool can.
        Some(kind @ ("oauth" | "sso")) => {
            let sso = profile.sso.filter(|_| kind == "sso");
            let ends = sso.and_then(|login| login.expires_at);
            let ends = ends.or(profile.expires_at);
            if ends.is_some_and(|at| at <= now as f64) {
                return Err(FileFault::Broken(expired(kind, has_token)));
            }
        }
        Some(_) => return Err(FileFault::Broken(UNKNOWN_TYPE.into())),
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

/// The role that the profile's keys assume, if it is valid.
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

/// The error for a profile whose login is over. A key without a token is not from a login, so the remains of a login
/// block it.
fn expired(kind: &str, has_token: bool) -> String {
    let login = match kind {
        "sso" => "`tccli sso login`",
        _ => "`tccli auth login`",
    };
    match has_token {
        true => format!("its login has expired; log in again with {login}"),
        false => format!(
            "is of type `{kind}` and its login has expired: remove `type` and `expiresAt` if its key is a permanent one, or log in \
             again with {login}"
        ),
    }
}

/// tccli writes empty texts for questions without an answer.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
