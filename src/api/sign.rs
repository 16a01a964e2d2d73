//! TC3-HMAC-SHA256 exactly as the official SDK signs: `content-type;host` are the signed headers,
//! and the date in the scope is the UTC date of the very timestamp that is sent.
//!
//! Knows bytes and time; knows nothing of actions, retries or where credentials come from.

use std::fmt;

use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The algorithm's name, as it stands in the header and in the string to sign.
pub const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// The content type that is sent and signed. The SDK sends it without a charset.
pub const CONTENT_TYPE: &str = "application/json";

/// A secret that can be used but not shown: no `Debug`, `Display`, `Serialize` or `Clone`. Wiped when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        // Not shrunk to fit: that would leave a copy behind.
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for signers, the token header and addresses that are secret.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// A key pair, and the token of a temporary one. Like a [`Secret`], it cannot be shown.
pub struct Credentials {
    /// `AKID…`; identifies the key, is not secret by itself, and keys the rate buckets.
    pub secret_id: String,
    /// Signs.
    pub secret_key: Secret,
    /// Sent as `X-TC-Token` with temporary keys.
    pub token: Option<Secret>,
}

impl Credentials {
    /// Whether the other ones are the very same.
    pub(super) fn are(&self, other: &Self) -> bool {
        self.secret_id == other.secret_id
            && self.secret_key.0 == other.secret_key.0
            && self.token.as_ref().map(Secret::expose) == other.token.as_ref().map(Secret::expose)
    }
}

/// What a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    /// The service's name, such as `lighthouse`.
    pub service: &'a str,
    /// The Host header as sent, with a port where there is one.
    pub host: &'a str,
    /// The Content-Type header as sent.
    pub content_type: &'a str,
    /// Unix seconds; also sent as `X-TC-Timestamp`.
    pub timestamp: i64,
    /// The body's exact bytes (or `UNSIGNED-PAYLOAD`, where a peer sends that header).
    pub body: &'a [u8],
    /// Further signed headers, lower-case names in order, all after `host`. sharekeeper signs
    /// none, as the SDK; the simulator accepts peers that sign `x-tc-action` too.
    pub extra_headers: &'a [(&'a str, &'a str)],
}

/// A timestamp that no calendar date belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOutOfRange;

impl fmt::Display for TimestampOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the timestamp is outside the calendar")
    }
}

impl std::error::Error for TimestampOutOfRange {}

impl ToSign<'_> {
    /// Step 1: the canonical request.
    pub fn canonical_request(&self) -> String {
        let mut headers = format!("content-type:{}\nhost:{}\n", self.content_type, self.host);
        for (name, value) in self.extra_headers {
            headers.push_str(&format!("{name}:{value}\n"));
        }
        let names = self.signed_headers();
        let digest = hex::encode(Sha256::digest(self.body));
        format!("POST\n/\n\n{headers}\n{names}\n{digest}")
    }

    /// The names of the signed headers, joined by `;`.
    fn signed_headers(&self) -> String {
        let extra = self.extra_headers.iter().map(|(name, _)| *name);
        ["content-type", "host"]
            .into_iter()
            .chain(extra)
            .collect::<Vec<_>>()
            .join(";")
    }

    /// `<date>/<service>/tc3_request`. One instant gives both the date and the timestamp, so a
    /// signature made at midnight cannot mix two days.
    pub fn credential_scope(&self) -> Result<String, TimestampOutOfRange> {
        Ok(format!("{}/{}/tc3_request", self.date()?, self.service))
    }

    /// Step 2: the string to sign.
    pub fn string_to_sign(&self) -> Result<String, TimestampOutOfRange> {
        Ok(format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            self.timestamp,
            self.credential_scope()?,
            hex::encode(Sha256::digest(self.canonical_request())),
        ))
    }

    /// Step 3: the lower-case hex signature.
    pub fn signature(&self, secret_key: &Secret) -> Result<String, TimestampOutOfRange> {
        let date = self.date()?;
        let key = Zeroizing::new(format!("TC3{}", secret_key.expose()));
        let key = hmac(key.as_bytes(), date.as_bytes());
        let key = hmac(key.as_slice(), self.service.as_bytes());
        let key = hmac(key.as_slice(), b"tc3_request");
        let signature = hmac(key.as_slice(), self.string_to_sign()?.as_bytes());
        Ok(hex::encode(*signature))
    }

    /// Step 4: the Authorization header.
    pub fn authorization(&self, credentials: &Credentials) -> Result<String, TimestampOutOfRange> {
        Ok(format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
            credentials.secret_id,
            self.credential_scope()?,
            self.signed_headers(),
            self.signature(&credentials.secret_key)?,
        ))
    }

    fn date(&self) -> Result<String, TimestampOutOfRange> {
        let instant = DateTime::from_timestamp(self.timestamp, 0).ok_or(TimestampOutOfRange)?;
        Ok(instant.format("%Y-%m-%d").to_string())
    }
}

/// HMAC-SHA256. What is derived from a key is wiped as the key is.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}
