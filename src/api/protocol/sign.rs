//! TC3-HMAC-SHA256 exactly as the official SDK signs: `content-type;host` are the signed headers, and the date in the
//! scope is the UTC date of the timestamp that is sent.
//!
//! It works on bytes and time, and must not know actions, retries or the origin of credentials.

use std::cell::RefCell;
use std::fmt::{self, Write};

use chrono::{DateTime, NaiveDate};
use hmac::{Hmac, KeyInit, Mac};
use sha2::digest::Update;
use sha2::{Digest, Sha256};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::model::Secret;

/// The algorithm's name, as it appears in the header and in the string to sign.
pub const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// The content type that is sent and signed. The SDK sends it without a charset.
pub const CONTENT_TYPE: &str = "application/json";

/// Space for the Authorization header: with an id of the usual 36 characters, it has 244.
const AUTHORIZATION_BYTES: usize = 256;

/// A key pair, and the token of a temporary one. Like a [`Secret`], it cannot be shown.
pub struct Credentials {
    /// The id `AKID…`. It identifies the key, is not secret by itself, and is the key of rate buckets.
    pub secret_id: String,
    pub secret_key: Secret,
    /// Sent as `X-TC-Token` with temporary keys.
    pub token: Option<Secret>,
    /// The signing key of the last signature, because most calls have the same day and service as the previous one.
    newest: RefCell<Option<Box<SigningKey>>>,
}

impl Credentials {
    /// A key pair, and its token if it is temporary.
    pub fn new(secret_id: String, secret_key: Secret, token: Option<Secret>) -> Self {
        Self {
            secret_id,
            secret_key,
            token,
            newest: RefCell::new(None),
        }
    }

    /// Whether both credentials are identical.
    pub(in crate::api) fn is_same_as(&self, other: &Self) -> bool {
        self.secret_id == other.secret_id
            && self.secret_key.expose() == other.secret_key.expose()
            && self.token.as_ref().map(Secret::expose) == other.token.as_ref().map(Secret::expose)
    }

    /// Signs with the key for that day and service.
    fn sign(&self, to_sign: &ToSign<'_>, date: NaiveDate) -> [u8; 32] {
        let mut newest = self.newest.borrow_mut();
        let holds = |key: &&SigningKey| key.date == date && *key.service == *to_sign.service;
        if let Some(key) = newest.as_deref().filter(holds) {
            return key.sign(to_sign);
        }
        let key = SigningKey::derive(&self.secret_key, date, to_sign.service);
        newest.insert(Box::new(key)).sign(to_sign)
    }
}

/// The signing key of a secret key for one UTC day and one service: step 3 without the last hash. It is wiped like the
/// key.
struct SigningKey {
    date: NaiveDate,
    service: Box<str>,
    mac: Hmac<Sha256>,
}

impl SigningKey {
    fn derive(secret_key: &Secret, date: NaiveDate, service: &str) -> Self {
        let key = Zeroizing::new(format!("TC3{}", secret_key.expose()));
        let key = hmac(key.as_bytes(), date.to_string().as_bytes());
        let key = hmac(key.as_slice(), service.as_bytes());
        let key = hmac(key.as_slice(), b"tc3_request");
        Self {
            date,
            service: service.into(),
            mac: keyed(key.as_slice()),
        }
    }

    fn sign(&self, to_sign: &ToSign<'_>) -> [u8; 32] {
        let mut mac = self.mac.clone();
        to_sign.write_string(self.date, &mut Feed(&mut mac));
        mac.finalize().into_bytes().into()
    }
}

/// The input of a signature.
#[derive(Clone, Copy, Debug)]
pub struct ToSign<'a> {
    /// The service's name, such as `lighthouse`.
    pub service: &'a str,
    /// The Host header as sent, with a port if there is one.
    pub host: &'a str,
    /// The Content-Type header as sent.
    pub content_type: &'a str,
    /// Unix seconds; also sent as `X-TC-Timestamp`.
    pub timestamp: i64,
    /// The body's exact bytes (or `UNSIGNED-PAYLOAD`, if a peer sends that header).
    pub body: &'a [u8],
    /// Further signed headers: lower-case names in order, all after `host`. sharekeeper signs none, like the SDK; the
    /// simulator also accepts peers that sign `x-tc-action`.
    pub extra_headers: &'a [(&'a str, &'a str)],
}

/// The error for a timestamp outside the calendar.
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
        let mut text = String::new();
        self.write_request(&mut text);
        text
    }

    /// The scope `<date>/<service>/tc3_request`. One instant gives both the date and the timestamp, so a signature made
    /// at midnight cannot mix two days.
    pub fn credential_scope(&self) -> Result<String, TimestampOutOfRange> {
        let mut text = String::new();
        self.write_scope(self.date()?, &mut text);
        Ok(text)
    }

    /// Step 2: the string to sign.
    pub fn string_to_sign(&self) -> Result<String, TimestampOutOfRange> {
        let mut text = String::new();
        self.write_string(self.date()?, &mut text);
        Ok(text)
    }

    /// Step 3: the lower-case hex signature.
    pub fn signature(&self, secret_key: &Secret) -> Result<String, TimestampOutOfRange> {
        let key = SigningKey::derive(secret_key, self.date()?, self.service);
        Ok(hex::encode(key.sign(self)))
    }

    /// Step 4: the Authorization header.
    pub fn authorization(&self, credentials: &Credentials) -> Result<String, TimestampOutOfRange> {
        let date = self.date()?;
        let mut header = String::with_capacity(AUTHORIZATION_BYTES);
        let id = &credentials.secret_id;
        write(&mut header, format_args!("{ALGORITHM} Credential={id}/"));
        self.write_scope(date, &mut header);
        header.push_str(", SignedHeaders=");
        self.write_names(&mut header);
        header.push_str(", Signature=");
        header.push_str(&hex::encode(credentials.sign(self, date)));
        Ok(header)
    }

    fn date(&self) -> Result<NaiveDate, TimestampOutOfRange> {
        let instant = DateTime::from_timestamp(self.timestamp, 0).ok_or(TimestampOutOfRange)?;
        Ok(instant.date_naive())
    }

    fn write_request(&self, to: &mut impl Write) {
        write(
            to,
            format_args!(
                "POST\n/\n\ncontent-type:{}\nhost:{}\n",
                self.content_type, self.host
            ),
        );
        for (name, value) in self.extra_headers {
            write(to, format_args!("{name}:{value}\n"));
        }
        write(to, format_args!("\n"));
        self.write_names(to);
        let digest = hex::encode(Sha256::digest(self.body));
        write(to, format_args!("\n{digest}"));
    }

    fn write_string(&self, date: NaiveDate, to: &mut impl Write) {
        write(to, format_args!("{ALGORITHM}\n{}\n", self.timestamp));
        self.write_scope(date, to);
        let mut request = Sha256::new();
        self.write_request(&mut Feed(&mut request));
        write(to, format_args!("\n{}", hex::encode(request.finalize())));
    }

    fn write_scope(&self, date: NaiveDate, to: &mut impl Write) {
        write(to, format_args!("{date}/{}/tc3_request", self.service));
    }

    /// The names of the signed headers, joined by `;`.
    fn write_names(&self, to: &mut impl Write) {
        write(to, format_args!("content-type;host"));
        for (name, _) in self.extra_headers {
            write(to, format_args!(";{name}"));
        }
    }
}

/// A signing key is kept as two states of the hash. Wiping these is a feature of the library that is easily lost, so
/// this checks it.
const _: fn() = || {
    fn is_wiped<T: ZeroizeOnDrop>() {}
    is_wiped::<Sha256>();
};

/// Feeds text to a hash without a copy.
struct Feed<'h, H>(&'h mut H);

impl<H: Update> Write for Feed<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// Writes formatted text to a string or a hash.
#[expect(clippy::expect_used, reason = "neither refuses anything")]
fn write(to: &mut impl Write, text: fmt::Arguments<'_>) {
    to.write_fmt(text).expect("neither refuses anything");
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// HMAC-SHA256. The result is wiped like a key, because it is derived from one.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = keyed(key);
    Mac::update(&mut mac, message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}
