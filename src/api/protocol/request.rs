//! A call in its wire format: headers, signature, body.

use std::time::Duration;

use super::sign::{CONTENT_TYPE, Credentials, ToSign};
use super::wire::Service;
use crate::api::error::CallError;
use crate::host::{Header, Method, ReplyBody, Request};

/// The limit for connecting, sending and reading one call. It is below the 10 s in which a stopping process must end,
/// so that a call in flight can still settle.
pub(in crate::api) const CALL_DEADLINE: Duration = Duration::from_secs(8);
/// Replaces a signature if the body itself proves the identity of the caller.
const UNSIGNED: &str = "SKIP";

/// The destination and the kind of a call.
pub(in crate::api) struct Destination<'a> {
    pub(in crate::api) url: String,
    /// The Host header, as it is signed.
    pub(in crate::api) host: String,
    pub(in crate::api) service: Service,
    pub(in crate::api) action: &'a str,
    /// The region that the call is about, which may differ from the destination.
    pub(in crate::api) region: &'a str,
}

/// The request, signed with `credentials` if there are any.
pub(in crate::api) fn request(
    to: Destination<'_>,
    body: &[u8],
    timestamp: i64,
    credentials: Option<&Credentials>,
    deadline: Duration,
) -> Result<Request, CallError> {
    let to_sign = ToSign {
        service: to.service.as_str(),
        host: &to.host,
        content_type: CONTENT_TYPE,
        timestamp,
        body,
        extra_headers: &[],
    };
    let authorization = match credentials {
        Some(credentials) => to_sign
            .authorization(credentials)
            .map_err(|error| CallError::NotSent(format!("cannot sign: {error}").into()))?,
        None => UNSIGNED.into(),
    };
    let plain = |name, value: String| Header {
        name,
        value,
        secret: false,
    };
    let secret = |name, value: String| Header {
        name,
        value,
        secret: true,
    };
    let mut headers = vec![
        plain("host", to.host),
        plain("content-type", CONTENT_TYPE.into()),
        plain("x-tc-action", to.action.into()),
        plain("x-tc-version", to.service.version().into()),
        plain("x-tc-timestamp", timestamp.to_string()),
        plain("x-tc-region", to.region.into()),
        // Reasons are localised, in Chinese unless requested otherwise.
        plain("x-tc-language", "en-US".into()),
        plain(
            "x-tc-requestclient",
            concat!("sharekeeper/", env!("CARGO_PKG_VERSION")).into(),
        ),
        secret("authorization", authorization),
    ];
    if let Some(token) = credentials.and_then(|credentials| credentials.token.as_ref()) {
        headers.push(secret("x-tc-token", token.expose().into()));
    }
    Ok(Request {
        method: Method::Post,
        url: to.url,
        headers,
        body: body.to_vec(),
        deadline,
        reads: ReplyBody::Whole,
    })
}
