//! Authenticates the caller as the API does: key, token, clock, signature. `cloud` checks the permissions of the key.

use super::account::Account;
use super::action::SimAction;
use super::call::{IncomingCall, Refusal, refuse};
use super::temporary_keys::{Session, TemporaryKeys};
use crate::api::protocol::sign::{ALGORITHM, ToSign};
use crate::api::protocol::wire::Service;
use crate::model::Secret;

/// The Authorization header of an unsigned call.
const UNSIGNED: &str = "SKIP";
/// The largest allowed difference between a call's timestamp and the server's time, in seconds.
const CLOCK_TOLERANCE: i64 = 300;

/// The parts of an Authorization header.
struct Authorization<'a> {
    secret_id: &'a str,
    scope: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let rest = header.strip_prefix(ALGORITHM)?.trim_start();
        let field = |name: &str| {
            rest.split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let (secret_id, scope) = field("Credential")?.split_once('/')?;
        Some(Self {
            secret_id,
            scope,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }
}

/// The caller and the requested service. The real API tells services apart by their hosts. Here one host serves all
/// services, and the signature's scope names the service.
pub(super) struct Caller {
    /// Index of the account that the key acts in: its own account, or the role's.
    pub account: usize,
    /// Set if the key is temporary.
    pub session: Option<Session>,
    pub service: Service,
}

/// A key of the world, or one that STS has issued.
struct KnownKey<'a> {
    account: usize,
    session: Option<&'a Session>,
    secret_key: &'a str,
    token: Option<&'a str>,
    /// The first second of server time in which the key no longer works.
    expires: Option<i64>,
}

impl<'a> KnownKey<'a> {
    fn find(
        accounts: &'a [Account],
        temporary_keys: &'a TemporaryKeys,
        secret_id: &str,
    ) -> Option<Self> {
        accounts
            .iter()
            .position(|account| account.secret_id == secret_id && !account.revoked)
            .map(|index| Self {
                account: index,
                session: None,
                secret_key: &accounts[index].secret_key,
                token: accounts[index].token.as_deref(),
                expires: None,
            })
            .or_else(|| {
                temporary_keys.get(secret_id).map(|temporary| Self {
                    account: temporary.session.role.account,
                    session: Some(&temporary.session),
                    secret_key: &temporary.secret_key,
                    token: Some(&temporary.token),
                    expires: Some(temporary.expires),
                })
            })
    }
}

impl KnownKey<'_> {
    /// Checks that the key works now, with the token in the call.
    fn check_token(&self, given: Option<&str>, server_seconds: i64) -> Result<(), Refusal> {
        let failure = |words: &str| Err(refuse("AuthFailure.TokenFailure", words));
        if self.token != given {
            return failure("The token is wrong or missing.");
        }
        if self.expires.is_some_and(|end| end <= server_seconds) {
            return failure("The token has expired.");
        }
        Ok(())
    }
}

/// Identifies the caller; `None` for the one action that is not signed.
pub(super) fn authenticate(
    accounts: &[Account],
    temporary_keys: &TemporaryKeys,
    incoming: &IncomingCall,
    server_seconds: i64,
) -> Result<Option<Caller>, Refusal> {
    let header = incoming.header("authorization").unwrap_or_default();
    let unsigned = SimAction::AssumeRoleWithWebIdentity.as_str();
    if header == UNSIGNED && incoming.header("x-tc-action") == Some(unsigned) {
        return Ok(None);
    }
    let authorization = Authorization::parse(header).ok_or_else(|| {
        refuse(
            "AuthFailure.InvalidAuthorization",
            "The Authorization header cannot be read.",
        )
    })?;
    let known = KnownKey::find(accounts, temporary_keys, authorization.secret_id)
        .ok_or_else(|| refuse("AuthFailure.SecretIdNotFound", "The SecretId is not found."))?;
    known.check_token(incoming.header("x-tc-token"), server_seconds)?;
    let timestamp = timestamp(incoming, server_seconds)?;
    let service = signed_service(incoming, &authorization, known.secret_key, timestamp);
    let service = service.ok_or_else(|| {
        refuse(
            "AuthFailure.SignatureFailure",
            "The signature does not match.",
        )
    })?;
    Ok(Some(Caller {
        account: known.account,
        session: known.session.cloned(),
        service,
    }))
}

/// The call's timestamp in seconds, if it is close enough to the server's time.
fn timestamp(incoming: &IncomingCall, server_seconds: i64) -> Result<i64, Refusal> {
    let header = incoming.header("x-tc-timestamp");
    let timestamp: i64 = header
        .and_then(|seconds| seconds.parse().ok())
        .ok_or_else(|| {
            refuse(
                "AuthFailure.InvalidAuthorization",
                "X-TC-Timestamp is missing or not a number.",
            )
        })?;
    if (timestamp - server_seconds).abs() > CLOCK_TOLERANCE {
        return Err(refuse(
            "AuthFailure.SignatureExpire",
            "The timestamp is more than five minutes off.",
        ));
    }
    Ok(timestamp)
}

/// The service that the signature is for; `None` if the signature does not match the call.
fn signed_service(
    incoming: &IncomingCall,
    authorization: &Authorization<'_>,
    secret_key: &str,
    timestamp: i64,
) -> Option<Service> {
    let named = authorization.scope.split('/').nth(1)?;
    let mut services = Service::ALL.into_iter();
    let service = services.find(|service| service.as_str() == named)?;
    let names: Vec<_> = authorization.signed_headers.split(';').collect();
    let ["content-type", "host", extra @ ..] = names.as_slice() else {
        return None;
    };
    // Clients that sign x-tc-action sign its lower-case form.
    let lower = |name: &str| Some(incoming.header(name)?.trim().to_lowercase());
    let values: Option<Vec<_>> = extra.iter().map(|name| lower(name)).collect();
    let values = values?;
    let extra = extra.iter().zip(&values);
    let extra: Vec<_> = extra.map(|(name, value)| (*name, value.as_str())).collect();
    let unsigned = incoming.header("x-tc-content-sha256") == Some("UNSIGNED-PAYLOAD");
    let to_sign = ToSign {
        service: service.as_str(),
        host: &incoming.host,
        content_type: incoming.header("content-type").unwrap_or_default(),
        timestamp,
        body: if unsigned {
            b"UNSIGNED-PAYLOAD"
        } else {
            &incoming.body
        },
        extra_headers: &extra,
    };
    let scope_fits = to_sign.credential_scope().ok()? == authorization.scope;
    let key = Secret::new(secret_key.to_owned());
    let signature_fits = to_sign.signature(&key).ok()? == authorization.signature;
    (scope_fits && signature_fits).then_some(service)
}
