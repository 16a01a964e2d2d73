//! What STS does: tells whose a key is, and gives out temporary keys of roles.
//!
//! Sources: the action's documentation and the lists of error codes in the official SDKs. Which code of an action's
//! list answers which mistake is nowhere said; where a line below calls it a guess, only the list is known.

use chrono::DateTime;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::auth::Caller;
use super::call::{Refusal, parameters, refuse};
use super::cloud::Cloud;
use super::issued::{Session, Temporary};
use super::roles::{RoleArn, RolePlace};
use crate::api::protocol::wire::CallerIdentityRequest;
use crate::model::Timestamp;

/// How long a temporary key works if nothing is asked for, in seconds.
const DURATION_DEFAULT: i64 = 7_200;
/// How long it can work.
const DURATION_MAX: i64 = 43_200;
/// The session of a server that took its role from the metadata service. A guess: the documentation only says that a
/// session has a name.
const METADATA_SESSION: &str = "ins-simulated";

/// Body of `AssumeRole`. The real service knows MFA as well (`SerialNumber`, `TokenCode`), the simulator does not.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AssumeRoleRequest {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<i64>,
    external_id: Option<String>,
    /// Narrows what the key may do at the real service; here, what the role may do counts alone.
    #[serde(rename = "Policy")]
    _policy: Option<IgnoredAny>,
    #[serde(rename = "Tags")]
    _tags: Option<IgnoredAny>,
    #[serde(rename = "SourceIdentity")]
    _source_identity: Option<IgnoredAny>,
}

/// Body of `AssumeRoleWithWebIdentity`.
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
    /// Answers `GetCallerIdentity`. Every key of a world is a user's, of the account itself, or a role's.
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

    /// Answers `AssumeRole`. A role's key may assume another role, if that one trusts its account: nothing in the
    /// documentation speaks against it.
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
            // A guess; the code's description is that the account does not exist or cannot be used.
            let words = "The role's account does not exist.";
            return Err(refuse("InvalidParameter.AccountNotAvaliable", words));
        }
        let role = arn
            .find(accounts)
            .ok_or_else(|| refuse("ResourceNotFound.RoleNotFound", "The role does not exist."))?;
        let principal = accounts[caller.account].uin.clone();
        let trust = &role.of(accounts).trust;
        if !trust.takes_account(&principal, external_id) {
            // Whether the account or the external id is at fault is not told, as anywhere with such checks.
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

    /// Answers `AssumeRoleWithWebIdentity`, which nobody signs.
    pub(super) fn assume_role_with_web_identity(
        &mut self,
        body: &Value,
        date: Timestamp,
    ) -> Result<Value, Refusal> {
        let request: WebIdentityRequest = parameters(body)?;
        check_name("RoleSessionName", &request.role_session_name, "+=,.@_-")?;
        let lifetime = self.lifetime(request.duration_seconds)?;
        let (arn, accounts) = (role_arn(&request.role_arn)?, &self.world.accounts);
        // A guess: the action's list has no other code for a role that is not there.
        let role = arn
            .find(accounts)
            .ok_or_else(|| refuse("InternalError.GetRoleError", "The role cannot be read."))?;
        let trust = &role.of(accounts).trust;
        if trust.oidc_provider.as_deref() != Some(&request.provider_id) {
            // A guess, between this code and InvalidParameter.ParamError.
            let words = "The role does not trust this identity provider.";
            return Err(refuse("UnauthorizedOperation", words));
        }
        // Taken as it comes: white space around a token is part of it.
        let given = &request.web_identity_token;
        let wanted = trust.web_identity_token.as_ref();
        if given.is_empty() || wanted.is_some_and(|wanted| wanted != given) {
            let words = "The WebIdentityToken is wrong or has expired.";
            return Err(refuse("InvalidParameter.WebIdentityTokenError", words));
        }
        let session = Session {
            role,
            name: request.role_session_name,
            // A guess: no account has asked, so it is the role's own.
            principal: accounts[role.account].uin.clone(),
        };
        Ok(reply(&self.issue(session, lifetime, date)))
    }

    /// What the metadata service shows for its role: the same key until half of its life is over (a guess; the SDKs
    /// count on a fresh one in the last five minutes).
    pub(super) fn metadata_key(&mut self, role: RolePlace, date: Timestamp) -> Temporary {
        if let Some(shown) = self.issued.on_metadata(role, date.timestamp()) {
            return shown.clone();
        }
        let lifetime = self.bounded(DURATION_DEFAULT);
        let session = Session {
            role,
            name: METADATA_SESSION.into(),
            principal: self.world.accounts[role.account].uin.clone(),
        };
        let temporary = self.issue(session, lifetime, date);
        self.issued.show_on_metadata(&temporary);
        temporary
    }

    fn issue(&mut self, session: Session, lifetime: i64, date: Timestamp) -> Temporary {
        let (now, rng) = (date.timestamp(), &mut self.rng);
        self.issued.issue(session, now, lifetime, rng)
    }

    /// How long a key works that is wanted for so long, in seconds.
    fn lifetime(&self, wanted: Option<i64>) -> Result<i64, Refusal> {
        match wanted.unwrap_or(DURATION_DEFAULT) {
            // A guess; no minimum is documented.
            ..1 => Err(parameter("DurationSeconds is not positive.")),
            seconds if seconds > DURATION_MAX => Err(refuse(
                "InvalidParameter.OverTimeError",
                format!("DurationSeconds is above {DURATION_MAX}."),
            )),
            seconds => Ok(self.bounded(seconds)),
        }
    }

    /// No longer than the world lets a token live.
    fn bounded(&self, seconds: i64) -> i64 {
        let most = self.world.token_lifetime.map(|span| span.0.as_secs());
        most.and_then(|most| i64::try_from(most).ok())
            .map_or(seconds, |most| seconds.min(most))
    }
}

/// A time as STS and the metadata service write it.
pub(super) fn expiration(temporary: &Temporary) -> String {
    let date = DateTime::from_timestamp(temporary.expires, 0).unwrap_or(DateTime::UNIX_EPOCH);
    date.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn reply(temporary: &Temporary) -> Value {
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

/// `InvalidParameter.ParamError`: the lists' only code for a parameter that is wrong in itself.
fn parameter(words: impl Into<String>) -> Refusal {
    refuse("InvalidParameter.ParamError", words)
}

fn role_arn(text: &str) -> Result<RoleArn<'_>, Refusal> {
    RoleArn::parse(text).ok_or_else(|| parameter("RoleArn is malformed."))
}

/// The documented grammar of names: 2 to 128 letters, digits and some signs.
fn check_name(what: &str, text: &str, signs: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
    let good = (2..=128).contains(&text.len()) && text.chars().all(plain);
    good.then_some(())
        .ok_or_else(|| parameter(format!("{what} is 2 to 128 letters, digits and {signs}")))
}

#[cfg(test)]
#[path = "sts_tests.rs"]
mod tests;
