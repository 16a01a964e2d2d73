//! The actions of STS: they identify the owner of a key, and issue temporary keys of roles.
//!
//! Sources: the documentation of the actions, and the lists of error codes in the official SDKs. No source says which
//! code of an action's list belongs to which mistake. Where a comment below calls a code a guess, only the list is known.

use chrono::DateTime;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::auth::Caller;
use super::call::{Refusal, parameters, refuse};
use super::cloud::Cloud;
use super::roles::{RoleArn, RoleIndex};
use super::temporary_keys::{Session, TemporaryKey};
use crate::api::protocol::wire::CallerIdentityRequest;
use crate::model::Timestamp;
use crate::words::rfc3339;

/// Lifetime of a temporary key if the call gives none, in seconds.
const DURATION_DEFAULT: i64 = 7_200;
/// The longest lifetime that a call can request, in seconds.
const DURATION_MAX: i64 = 43_200;
/// Session name of a key from the metadata service. It is a guess: the documentation only says that a session has a name.
const METADATA_SESSION: &str = "ins-simulated";

/// Body of `AssumeRole`. The real service also supports MFA (`SerialNumber`, `TokenCode`); the simulator does not.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AssumeRoleRequest {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<i64>,
    external_id: Option<String>,
    /// In the real service, this policy restricts the key; here only the role counts.
    #[serde(rename = "Policy")]
    _policy: Option<IgnoredAny>,
    #[serde(rename = "Tags")]
    _tags: Option<IgnoredAny>,
    #[serde(rename = "SourceIdentity")]
    _source_identity: Option<IgnoredAny>,
}

/// Body of `AssumeRoleWithWebIdentity`, with every documented field.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WebIdentityRequest {
    provider_id: String,
    web_identity_token: String,
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<i64>,
}

impl Cloud {
    /// Answers `GetCallerIdentity`. Every key belongs to the account itself or to a role; the world has no sub-users.
    pub(super) fn caller_identity(&self, caller: &Caller, body: &Value) -> Result<Value, Refusal> {
        let CallerIdentityRequest {} = parameters(body)?;
        let uin = &self.world.accounts[caller.account].uin;
        let (arn, user, principal, kind) = match &caller.session {
            None => (
                format!("qcs::cam:{uin}:uin/{uin}"),
                uin.clone(),
                uin,
                "CAMUser",
            ),
            Some(session) => (
                format!("qcs::sts:{uin}:assumed-role/{}", session.role.id()),
                format!("{}:{}", session.role.id(), session.name),
                &session.principal,
                "CAMRole",
            ),
        };
        Ok(json!({
            "Arn": arn,
            "AccountId": uin,
            "UserId": user,
            "PrincipalId": principal,
            "Type": kind,
        }))
    }

    /// Answers `AssumeRole`. A role's key may assume another role that trusts its account: the documentation does not
    /// forbid it.
    pub(super) fn assume_role(
        &mut self,
        caller: &Caller,
        body: &Value,
        date: Timestamp,
    ) -> Result<Value, Refusal> {
        let request: AssumeRoleRequest = parameters(body)?;
        check_name("RoleSessionName", &request.role_session_name, "+=,.@_-")?;
        let external_id = request.external_id.as_deref();
        if let Some(id) = external_id {
            check_name("ExternalId", id, "+=,.@:/_-")?;
        }
        let lifetime = self.lifetime(request.duration_seconds)?;
        let (arn, accounts) = (role_arn(&request.role_arn)?, &self.world.accounts);
        if !accounts.iter().any(|account| account.uin == arn.uin) {
            // A guess; according to its description, the code means that the account does not exist or cannot be used.
            let words = "The role's account does not exist.";
            return Err(refuse("InvalidParameter.AccountNotAvaliable", words));
        }
        let role = arn
            .find(accounts)
            .ok_or_else(|| refuse("ResourceNotFound.RoleNotFound", "The role does not exist."))?;
        let principal = accounts[caller.account].uin.clone();
        let trust = &role.of(accounts).trust;
        if !trust.trusts(&principal, external_id) {
            // The error does not reveal whether the account or the external id is wrong.
            let words = format!("Account {principal} may not assume this role (sts:AssumeRole).");
            return Err(refuse("UnauthorizedOperation", words));
        }
        let name = request.role_session_name;
        let session = Session {
            role,
            name,
            principal,
        };
        Ok(reply(&self.issue(session, lifetime, date)))
    }

    /// Answers `AssumeRoleWithWebIdentity`, whose calls are not signed.
    pub(super) fn assume_role_with_web_identity(
        &mut self,
        body: &Value,
        date: Timestamp,
    ) -> Result<Value, Refusal> {
        let request: WebIdentityRequest = parameters(body)?;
        check_name("RoleSessionName", &request.role_session_name, "+=,.@_-")?;
        let lifetime = self.lifetime(request.duration_seconds)?;
        let (arn, accounts) = (role_arn(&request.role_arn)?, &self.world.accounts);
        // A guess: the action's list has no other code for a nonexistent role.
        let role = arn
            .find(accounts)
            .ok_or_else(|| refuse("InternalError.GetRoleError", "The role cannot be read."))?;
        let trust = &role.of(accounts).trust;
        if trust.oidc_provider.as_deref() != Some(&request.provider_id) {
            // A guess; the other candidate is InvalidParameter.ParamError.
            let words = "The role does not trust this identity provider.";
            return Err(refuse("UnauthorizedOperation", words));
        }
        // White space around a token is part of the token.
        let given = &request.web_identity_token;
        let wanted = trust.web_identity_token.as_ref();
        if given.is_empty() || wanted.is_some_and(|wanted| wanted != given) {
            let words = "The WebIdentityToken is wrong or has expired.";
            return Err(refuse("InvalidParameter.WebIdentityTokenError", words));
        }
        let session = Session {
            role,
            name: request.role_session_name,
            // A guess: no account is calling, so it is the role's own account.
            principal: accounts[role.account].uin.clone(),
        };
        Ok(reply(&self.issue(session, lifetime, date)))
    }

    /// The key that the metadata service shows for its role: the same key until half of its lifetime has passed. This is
    /// a guess; the SDKs expect a new key in the last five minutes.
    pub(super) fn metadata_key(&mut self, role: RoleIndex, date: Timestamp) -> TemporaryKey {
        if let Some(shown) = self
            .temporary_keys
            .shown_by_metadata(role, date.timestamp())
        {
            return shown.clone();
        }
        let lifetime = self.at_most_token_lifetime(DURATION_DEFAULT);
        let session = Session {
            role,
            name: METADATA_SESSION.into(),
            principal: self.world.accounts[role.account].uin.clone(),
        };
        let temporary = self.issue(session, lifetime, date);
        self.temporary_keys.show_by_metadata(&temporary);
        temporary
    }

    fn issue(&mut self, session: Session, lifetime: i64, date: Timestamp) -> TemporaryKey {
        let (now, rng) = (date.timestamp(), &mut self.rng);
        self.temporary_keys.issue(session, now, lifetime, rng)
    }

    /// Lifetime of a key for which the call requests `wanted` seconds.
    fn lifetime(&self, wanted: Option<i64>) -> Result<i64, Refusal> {
        match wanted.unwrap_or(DURATION_DEFAULT) {
            // A guess; no minimum is documented.
            ..1 => Err(invalid_parameter("DurationSeconds is not positive.")),
            seconds if seconds > DURATION_MAX => Err(refuse(
                "InvalidParameter.OverTimeError",
                format!("DurationSeconds is above {DURATION_MAX}."),
            )),
            seconds => Ok(self.at_most_token_lifetime(seconds)),
        }
    }

    /// `seconds`, or the world's `tokenLifetime` if that is shorter.
    fn at_most_token_lifetime(&self, seconds: i64) -> i64 {
        let most = self.world.token_lifetime.map(|span| span.0.as_secs());
        most.and_then(|most| i64::try_from(most).ok())
            .map_or(seconds, |most| seconds.min(most))
    }
}

/// The expiry time of a key in the format of STS and the metadata service.
pub(super) fn expiration(temporary: &TemporaryKey) -> String {
    let date = DateTime::from_timestamp(temporary.expires, 0).unwrap_or(DateTime::UNIX_EPOCH);
    rfc3339(date)
}

fn reply(temporary: &TemporaryKey) -> Value {
    json!({
        "Credentials": {
            "Token": temporary.token,
            "TmpSecretId": temporary.secret_id,
            "TmpSecretKey": temporary.secret_key,
        },
        "ExpiredTime": temporary.expires,
        "Expiration": expiration(temporary),
    })
}

/// `InvalidParameter.ParamError` is the only code in the lists for a parameter that is wrong by itself.
fn invalid_parameter(words: impl Into<String>) -> Refusal {
    refuse("InvalidParameter.ParamError", words)
}

fn role_arn(text: &str) -> Result<RoleArn<'_>, Refusal> {
    RoleArn::parse(text).ok_or_else(|| invalid_parameter("RoleArn is malformed."))
}

/// The documented grammar of names: 2 to 128 letters, digits and some signs.
fn check_name(what: &str, text: &str, signs: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    let good = (2..=128).contains(&text.len()) && text.chars().all(plain);
    good.then_some(())
        .ok_or_else(|| invalid_parameter(format!("{what} is 2 to 128 letters, digits and {signs}")))
}

#[cfg(test)]
#[path = "sts_tests.rs"]
mod tests;
