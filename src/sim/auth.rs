//! Checks who calls, as the API does: key, token, clock, signature.

use super::cloud::Arrival;
use super::issued::{Issued, Session};
use super::offered::Offered;
use super::world::Account;
use crate::api::protocol::sign::{ALGORITHM, ToSign};
use crate::api::protocol::wire::Service;
use crate::model::Secret;

/// Stands in the Authorization header of a call that is not signed.
const UNSIGNED: &str = "SKIP";
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
    /// The account that the key acts in, by index: its own, or that of the role.
    pub account: usize,
    /// With a temporary key.
    pub session: Option<Session>,
    pub service: Service,
}

/// A key that exists.
struct Known<'a> {
    account: usize,
    session: Option<&'a Session>,
    secret_key: &'a str,
    token: Option<&'a str>,
    /// The first second of server time in which it does not work.
    expires: Option<i64>,
}

impl<'a> Known<'a> {
    fn find(accounts: &'a [Account], issued: &'a Issued, secret_id: &str) -> Option<Self> {
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
                issued.get(secret_id).map(|temporary| Self {
                    account: temporary.session.role.account,
                    session: Some(&temporary.session),
                    secret_key: &temporary.secret_key,
                    token: Some(&temporary.token),
                    expires: Some(temporary.expires),
                })
            })
    }
}

/// Finds out who calls: nobody, where the action is one that goes unsigned.
pub(super) fn authenticate(
    accounts: &[Account],
    issued: &Issued,
    arrival: &Arrival,
    server_seconds: i64,
) -> Result<Option<Caller>, Refusal> {
    let header = arrival.header("authorization").unwrap_or_default();
    let unsigned = Offered::AssumeRoleWithWebIdentity.as_str();
    if header == UNSIGNED && arrival.header("x-tc-action") == Some(unsigned) {
        return Ok(None);
    }
    let authorization = Authorization::parse(header).ok_or_else(|| {
        refuse(
            "AuthFailure.InvalidAuthorization",
            "The Authorization header cannot be read.",
        )
    })?;
    let known = Known::find(accounts, issued, authorization.secret_id)
        .ok_or_else(|| refuse("AuthFailure.SecretIdNotFound", "The SecretId is not found."))?;
    if known.token != arrival.header("x-tc-token") {
        return Err(refuse(
            "AuthFailure.TokenFailure",
            "The token is wrong or missing.",
        ));
    }
    if known.expires.is_some_and(|end| end <= server_seconds) {
        let words = "The token has expired.";
        return Err(refuse("AuthFailure.TokenFailure", words));
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
    let key = Secret::new(known.secret_key.to_owned());
    let scope_fits = to_sign
        .credential_scope()
        .is_ok_and(|scope| scope == authorization.scope);
    let signature_fits = to_sign
        .signature(&key)
        .is_ok_and(|signature| signature == authorization.signature);
    if scope_fits && signature_fits {
        Ok(Some(Caller {
            account: known.account,
            session: known.session.cloned(),
            service,
        }))
    } else {
        Err(failure())
    }
}
