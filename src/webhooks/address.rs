// The transport's own parser, so that what is checked is what is connected to.
use reqwest::Url;

use crate::model::is_loopback;

/// Shorter parts of a path, and those of lower-case letters alone (`hooks`, `services`), are words, not secrets.
const SECRET_PART_LEN_MIN: usize = 8;
/// A part of a path that is as long is a secret, whatever it is made of.
const LONG_PART_LEN_MIN: usize = 16;
/// A shorter value of a query is in any text by chance.
const SECRET_VALUE_LEN_MIN: usize = 4;

/// Where a webhook is. No `Debug`, no `Display`: the path and the query of a chat's URL are its secret.
#[derive(Clone)]
pub(super) struct Address(Url);

/// Why a text is not the address of a webhook. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    #[error("the URL cannot be read: give an absolute one that begins with `https://`")]
    Malformed,
    #[error("the URL begins neither with `https://` nor, for a loopback host, with `http://`")]
    Scheme,
    #[error(
        "plain http is allowed only to loopback hosts (127.0.0.1, [::1], localhost, *.localhost): use https"
    )]
    PlainHttp,
    #[error("the URL holds a user name or password: webhooks are called without one, remove it")]
    UserInfo,
}

impl Address {
    pub(super) fn new(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|_| AddressError::Malformed)?;
        let host = url.host_str().ok_or(AddressError::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => return Err(AddressError::PlainHttp),
            _ => return Err(AddressError::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::UserInfo);
        }
        Ok(Self(url))
    }

    /// The part that may be shown.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether it leads to this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(self.host())
    }

    /// All of it, for the transport.
    pub(super) fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// With further parameters in its query.
    pub(super) fn with(mut self, parameters: &[(&str, &str)]) -> Self {
        self.0.query_pairs_mut().extend_pairs(parameters);
        self
    }

    /// Whether `text` holds a part that must not be shown.
    pub(super) fn is_betrayed_by(&self, text: &str) -> bool {
        let path = self.0.path();
        if path.len() > 1 && text.contains(path) {
            return true;
        }
        let secret_part = |part: &&str| {
            let is_word = part.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            part.len() >= LONG_PART_LEN_MIN || (part.len() >= SECRET_PART_LEN_MIN && !is_word)
        };
        path.split('/')
            .filter(secret_part)
            .any(|part| text.contains(part))
            || self
                .0
                .query()
                .is_some_and(|query| !query.is_empty() && text.contains(query))
            || self.0.query_pairs().any(|(_, value)| {
                value.len() >= SECRET_VALUE_LEN_MIN && text.contains(value.as_ref())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o8_only_https_leaves_the_machine_however_the_url_is_written() {
        for good in [
            "https://hooks.example.com/services/T0/B0/xyz",
            "http://127.0.0.1:9/hook",
            "http://[::1]/",
            "http://localhost:80/a?b=c",
            "http://127.1/",
            "HTTPS://EXAMPLE.COM",
        ] {
            assert!(Address::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://example.com/", AddressError::PlainHttp),
            ("http://10.0.0.1/", AddressError::PlainHttp),
            ("http://localhost.example.com/", AddressError::PlainHttp),
            ("http://0.0.0.0/", AddressError::PlainHttp),
            // A browser's parser takes the backslash for a slash; so does the transport's.
            ("http://example.com\\@localhost/", AddressError::PlainHttp),
            ("http://localhost@example.com/", AddressError::PlainHttp),
            ("https://user:pass@example.com/", AddressError::UserInfo),
            ("ftp://example.com/", AddressError::Scheme),
            ("file:///etc/passwd", AddressError::Malformed),
            ("hooks.example.com/x", AddressError::Malformed),
            ("https://", AddressError::Malformed),
            ("", AddressError::Malformed),
        ] {
            assert_eq!(Address::new(bad).err(), Some(why), "{bad}");
        }
    }

    #[test]
    fn o8_a_part_of_the_secret_betrays_it_and_a_common_word_does_not() {
        let slack =
            Address::new("https://hooks.example.com/services/T012AB34C/B99/s3cretZ").unwrap();
        for text in ["at /services/T012AB34C/B99/s3cretZ", "team T012AB34C"] {
            assert!(slack.is_betrayed_by(text), "{text}");
        }
        assert!(!slack.is_betrayed_by("hooks.example.com: services are down"));
        let wecom =
            Address::new("https://qyapi.example.com/cgi-bin/webhook/send?key=693a-91f6").unwrap();
        assert!(wecom.is_betrayed_by("bad key 693a-91f6"));
        assert!(!wecom.is_betrayed_by("invalid webhook url, cannot send"));
        assert!(
            !Address::new("https://example.com")
                .unwrap()
                .is_betrayed_by("/")
        );
    }
}
