//! Checks who calls, as the API does: key, token, clock, signature. And tells, as STS does.

use serde_json::{Value, json};

use super::cloud::{Arrival, parameters};
use super::world::Account;
use crate::api::sign::{ALGORITHM, Secret, ToSign};
use crate::api::wire::{CallerIdentity, CallerIdentityRequest, Service};

/// How far a request's timestamp may be off, in seconds.
const CLOCK_TOLERANCE: i64 = 300;

/// An error code, and words for it.
pub(super) type Refusal = (String, String);

pub(super) fn refuse(code: &str, message: impl Into<String>) -> Refusal {
    (code.into(), message.into())
}

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

/// Who calls, and which service. The real API tells services apart by their hosts, which must then be the
/// signature's; here one host serves all, and the signature alone says which is meant.
pub(super) struct Caller {
    /// The account whose key signed, by index.
    pub account: usize,
    pub service: Service,
}

/// Finds out who calls.
pub(super) fn authenticate(
    accounts: &[Account],
    arrival: &Arrival,
    server_seconds: i64,
) -> Result<Caller, Refusal> {
    let header = arrival.header("authorization").unwrap_or_default();
    let authorization = Authorization::parse(header).ok_or_else(|| {
        refuse(
            "AuthFailure.InvalidAuthorization",
            "The Authorization header cannot be read.",
        )
    })?;
    let index = accounts
        .iter()
        .position(|account| account.secret_id == authorization.secret_id)
        .ok_or_else(|| refuse("AuthFailure.SecretIdNotFound", "The SecretId is not found."))?;
    if accounts[index].token.as_deref() != arrival.header("x-tc-token") {
        return Err(refuse(
            "AuthFailure.TokenFailure",
            "The token is wrong or missing.",
        ));
    }
    let timestamp: i64 = arrival
        .header("x-tc-timestamp")
        .and_then(|seconds| seconds.parse().ok())
        .ok_or_else(|| {
            refuse(
                "AuthFailure.InvalidAuthorization",
                "X-TC-Timestamp is missing or no number.",
            )
        })?;
    if (timestamp - server_seconds).abs() > CLOCK_TOLERANCE {
        return Err(refuse(
            "AuthFailure.SignatureExpire",
            "The timestamp is more than five minutes off.",
        ));
    }
    let failure = || {
        refuse(
            "AuthFailure.SignatureFailure",
            "The signature does not match.",
        )
    };
    let named = authorization.scope.split('/').nth(1);
    let service = Service::ALL
        .into_iter()
        .find(|service| Some(service.as_str()) == named)
        .ok_or_else(failure)?;
    let names: Vec<_> = authorization.signed_headers.split(';').collect();
    let ["content-type", "host", extra @ ..] = names.as_slice() else {
        return Err(failure());
    };
    let extra = extra
        .iter()
        .map(|name| Some((*name, arrival.header(name)?.trim())));
    // x-tc-action is signed in lower case by the clients that sign it.
    let extra: Option<Vec<_>> = extra.collect();
    let extra: Vec<_> = extra
        .ok_or_else(failure)?
        .into_iter()
        .map(|(n, v)| (n, v.to_lowercase()))
        .collect();
    let extra: Vec<_> = extra
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let unsigned = arrival.header("x-tc-content-sha256") == Some("UNSIGNED-PAYLOAD");
    let to_sign = ToSign {
        service: service.as_str(),
        host: &arrival.host,
        content_type: arrival.header("content-type").unwrap_or_default(),
        timestamp,
        body: if unsigned {
            b"UNSIGNED-PAYLOAD"
        } else {
            &arrival.body
        },
        extra_headers: &extra,
    };
    let key = Secret::new(accounts[index].secret_key.clone());
    let scope_fits = to_sign
        .credential_scope()
        .is_ok_and(|scope| scope == authorization.scope);
    let signature_fits = to_sign
        .signature(&key)
        .is_ok_and(|signature| signature == authorization.signature);
    if scope_fits && signature_fits {
        Ok(Caller {
            account: index,
            service,
        })
    } else {
        Err(failure())
    }
}

/// Answers `GetCallerIdentity`. Every key of a world is a user's, of the account itself.
pub(super) fn caller_identity(account: &Account, body: &Value) -> Result<Value, Refusal> {
    let CallerIdentityRequest {} = parameters(body)?;
    let uin = &account.uin;
    Ok(json!(CallerIdentity {
        arn: format!("qcs::cam:{uin}:uin/{uin}"),
        account_id: uin.clone(),
        user_id: uin.clone(),
        principal_id: uin.clone(),
        r#type: "CAMUser".into(),
        request_id: None,
    }))
}
