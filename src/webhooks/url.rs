//! The URL of a webhook. It is checked so that no message leaves this machine unencrypted, and is kept out of texts,
//! because the path and the query of a chat's URL are its secret.

// The URL parser is the transport's own, so that the checked host is the host that is called.
use reqwest::Url;

use crate::model::is_loopback;

/// Shorter parts of a path are not secrets, and neither are parts of lower-case letters alone (`hooks`, `services`).
const SECRET_PART_LEN_MIN: usize = 8;
/// A part of a path of at least this length is a secret, whatever its letters are.
const LONG_PART_LEN_MIN: usize = 16;
/// A shorter query value may occur in other texts by chance.
const SECRET_VALUE_LEN_MIN: usize = 4;

/// A checked URL. It has no `Debug` and no `Display`, so that its secret cannot be printed by mistake.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WebhookUrl(Url);

/// Why a text is not accepted as the URL of a webhook. Never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WebhookUrlError {
    #[error("the URL cannot be read: give an absolute one that begins with `https://`")]
    Malformed,
    #[error("the URL begins neither with `https://` nor, for a loopback host, with `http://`")]
    Scheme,
    #[error(
        "plain http is allowed only to loopback hosts (127.0.0.1, [::1], localhost, *.localhost): use https"
    )]
    PlainHttp,
    #[error("the URL has a user name or password: webhooks are called without one, so remove it")]
    UserInfo,
}

impl WebhookUrl {
    pub(super) fn new(text: &str) -> Result<Self, WebhookUrlError> {
        let mut url = Url::parse(text).map_err(|_| WebhookUrlError::Malformed)?;
        let host = url.host_str().ok_or(WebhookUrlError::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => return Err(WebhookUrlError::PlainHttp),
            _ => return Err(WebhookUrlError::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::UserInfo);
        }
        // A fragment is never sent, and would make two addresses of one.
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The part that may be shown: the host.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host, with the port unless it is the scheme's default.
    pub(super) fn host_and_port(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// Whether the host is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(self.host())
    }

    /// The whole URL, to be used by the transport only.
    pub(super) fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// Adds these parameters to the query of the URL.
    pub(super) fn with_query(mut self, parameters: &[(&str, &str)]) -> Self {
        self.0.query_pairs_mut().extend_pairs(parameters);
        self
    }

    /// Whether `text` contains a secret part of the URL.
    pub(super) fn leaks_into(&self, text: &str) -> bool {
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
    fn o8_only_https_may_leave_the_machine_however_the_url_is_written() {
        for good in [
            "https://hooks.example.com/services/T0/B0/xyz",
            "http://127.0.0.1:9/hook",
            "http://[::1]/",
            "http://localhost:80/a?b=c",
            "http://127.1/",
            "HTTPS://EXAMPLE.COM",
        ] {
            assert!(WebhookUrl::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://example.com/", WebhookUrlError::PlainHttp),
            ("http://10.0.0.1/", WebhookUrlError::PlainHttp),
            ("http://localhost.example.com/", WebhookUrlError::PlainHttp),
            ("http://0.0.0.0/", WebhookUrlError::PlainHttp),
            // Browsers treat a backslash as a slash, and so does the transport.
            (
                "http://example.com\\@localhost/",
                WebhookUrlError::PlainHttp,
            ),
            ("http://localhost@example.com/", WebhookUrlError::PlainHttp),
            ("https://user:pass@example.com/", WebhookUrlError::UserInfo),
            ("ftp://example.com/", WebhookUrlError::Scheme),
            ("file:///etc/passwd", WebhookUrlError::Malformed),
            ("hooks.example.com/x", WebhookUrlError::Malformed),
            ("https://", WebhookUrlError::Malformed),
            ("", WebhookUrlError::Malformed),
        ] {
            assert_eq!(WebhookUrl::new(bad).err(), Some(why), "{bad}");
        }
    }

    #[test]
    fn o8_a_part_of_the_secret_is_found_in_text_and_common_words_are_not() {
        let slack =
            WebhookUrl::new("https://hooks.example.com/services/T012AB34C/B99/s3cretZ").unwrap();
        for text in ["at /services/T012AB34C/B99/s3cretZ", "team T012AB34C"] {
            assert!(slack.leaks_into(text), "{text}");
        }
        assert!(!slack.leaks_into("hooks.example.com: services are down"));
        let wecom = WebhookUrl::new("https://qyapi.example.com/cgi-bin/webhook/send?key=693a-91f6")
            .unwrap();
        assert!(wecom.leaks_into("bad key 693a-91f6"));
        assert!(!wecom.leaks_into("invalid webhook url, cannot send"));
        assert!(
            !WebhookUrl::new("https://example.com")
                .unwrap()
                .leaks_into("/")
        );
    }
}
