//! Who may read the port: the token, and the check of the Host header against DNS rebinding.

use std::net::{IpAddr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST};
use sha2::Sha256;

use crate::model::is_loopback;

/// Minimum length of a token; a shorter one can be guessed.
const TOKEN_CHARS_MIN: usize = 16;
/// Maximum length of a token, well within the limit of header bytes.
const TOKEN_CHARS_MAX: usize = 1024;

/// The token that a client must send. It holds only a digest, so that nothing can be printed, and it compares in constant
/// time.
pub struct Token(Hmac<Sha256>);

/// The text is not a valid token. The error never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token has {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} characters of printable ASCII and no space; `openssl rand -hex 32` makes one"
)]
pub struct TokenError;

impl Token {
    /// Checks that the token can be sent in a header and cannot be guessed.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let fits = (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&text.len());
        if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError);
        }
        Ok(Self(digest(text.as_bytes())))
    }

    /// Whether a request carries the token, as a bearer token or as the password of any user.
    pub(super) fn authorizes(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else {
            return false;
        };
        let Some((scheme, value)) = given.to_str().ok().and_then(|text| text.split_once(' '))
        else {
            return false;
        };
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.matches(value.as_bytes());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let Ok(pair) = STANDARD.decode(value) else {
            return false;
        };
        let colon = pair.iter().position(|byte| *byte == b':');
        colon.is_some_and(|colon| self.matches(&pair[colon + 1..]))
    }

    fn matches(&self, given: &[u8]) -> bool {
        let known = self.0.clone().finalize().into_bytes();
        digest(given).verify_slice(&known).is_ok()
    }
}

/// Digests have the same length for all texts, so that every comparison takes equally long. The key need not be secret.
fn digest(text: &[u8]) -> Hmac<Sha256> {
    let key = sha2::digest::Key::<Hmac<Sha256>>::default();
    let mut mac = Hmac::<Sha256>::new(&key);
    mac.update(text);
    mac
}

/// Whether the Host header is a loopback name, the called address or a listed name. This prevents DNS rebinding: a page
/// of another site that points its own name at this address sends that name.
pub(super) fn is_host_allowed(headers: &HeaderMap, local: IpAddr, hosts: &[String]) -> bool {
    let mut given = headers.get_all(HOST).iter();
    let (Some(host), None) = (given.next(), given.next()) else {
        return false;
    };
    let Some(name) = host.to_str().ok().and_then(host_name) else {
        return false;
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let called = bare
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.to_canonical() == local.to_canonical());
    is_loopback(name) || called || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Name or address in a Host header, without the port.
fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address, not to a port.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let in_brackets = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let sound = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !name.is_empty() && !name.contains([':', '[', ']', '@', '/']),
    };
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    (sound && port).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(name: hyper::header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, HeaderValue::try_from(*value).unwrap());
        }
        headers
    }

    #[test]
    fn o4_s23_only_loopback_own_address_and_listed_hosts_are_accepted() {
        let hosts = ["Status.example.com".to_owned()];
        let meant = |host: &[&str], local: &str| {
            is_host_allowed(&headers(HOST, host), local.parse().unwrap(), &hosts)
        };
        for good in [
            "localhost",
            "LOCALHOST:7979",
            "a.localhost:1",
            "127.0.0.1:7979",
            "127.9.9.9",
            "[::1]:7979",
            "[::1]",
            "10.1.2.3:7979",
            "status.example.com",
            "status.example.com:443",
        ] {
            assert!(meant(&[good], "10.1.2.3"), "{good}");
        }
        assert!(meant(&["10.1.2.3:7979"], "::ffff:10.1.2.3"));
        assert!(meant(&["[fd00::1]:7979"], "fd00::1"));
        for bad in [
            "",
            ":7979",
            "evil.example",
            "evil.example:7979",
            "localhost.evil.example",
            "evillocalhost",
            "10.1.2.4",
            "[fd00::2]",
            "status.example.com.evil.example",
            "user@localhost",
            "localhost:x",
            "127.0.0.1.evil.example",
            "[localhost]",
            "::1",
        ] {
            assert!(!meant(&[bad], "10.1.2.3"), "{bad}");
        }
        assert!(!meant(&[], "127.0.0.1"), "no Host");
        assert!(!meant(&["localhost", "evil.example"], "127.0.0.1"), "two");
    }

    #[test]
    fn o5_a_token_is_accepted_as_bearer_and_as_password() {
        let token = Token::new("0123456789abcdef").unwrap();
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let takes = |values: &[&str]| token.authorizes(&headers(AUTHORIZATION, values));
        for good in [
            "Bearer 0123456789abcdef",
            "bearer  0123456789abcdef",
            &basic("me:0123456789abcdef"),
            &basic(":0123456789abcdef"),
        ] {
            assert!(takes(&[good]), "{good}");
        }
        for bad in [
            "",
            "0123456789abcdef",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Digest 0123456789abcdef",
            "Basic 0123456789abcdef",
            "Basic !",
            &basic("0123456789abcdef"),
            &basic("0123456789abcdef:x"),
        ] {
            assert!(!takes(&[bad]), "{bad}");
        }
        assert!(!takes(&[]));
        assert!(!takes(&["Bearer 0123456789abcdef", "Bearer x"]));
    }

    #[test]
    fn o5_a_guessable_or_unsendable_token_is_refused() {
        for bad in [
            "",
            "short",
            "0123456789abcde",
            "0123456789 abcdef",
            "0123456789abcdeü",
        ] {
            let error = Token::new(bad).err().expect("refused").to_string();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
    }
}
