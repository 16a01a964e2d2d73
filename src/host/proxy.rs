//! Decides which hosts are called through a proxy, from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, by the
//! rules of reqwest. The settings are a value, so that only one place reads the environment. A password in them is
//! never shown.

use std::ffi::OsString;
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::near::is_near;
use crate::model::Secret;

/// Both spellings of each variable. The first one that is set counts, even if it is empty.
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NONE: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// A variable that web servers set for CGI programs. There, a client can set `HTTP_PROXY` by a header.
const CGI: &str = "REQUEST_METHOD";

/// The kinds of proxy, each with its default port.
const SCHEMES: [(&str, u16); 6] = [
    ("http", 80),
    ("https", 443),
    ("socks4", 1080),
    ("socks4a", 1080),
    ("socks5", 1080),
    ("socks5h", 1080),
];

/// The proxies for calls. By default, no call uses a proxy.
///
/// Loopback hosts, the machine's metadata and addresses of the machine's own network are always called directly.
#[derive(Clone, Default)]
pub struct ProxySettings {
    https: Option<Arc<Proxy>>,
    http: Option<Arc<Proxy>>,
    /// Matches all hosts except those that `NO_PROXY` names.
    intercepted: Option<Arc<Matcher>>,
}

/// A proxy, of which only host and port are ever shown.
pub struct Proxy {
    /// The URL, including user and password.
    url: Secret,
    address: String,
    variable: &'static str,
    is_logged: AtomicBool,
}

/// A variable with an invalid value. The value may hold a password, so it is not quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} cannot be used: {why}; its value is not shown, because it may hold a password")]
pub struct ProxyError {
    variable: &'static str,
    why: Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Malformed {
    #[error("it holds bytes that are not text; correct or unset it")]
    NotText,
    #[error(
        "a proxy begins with `http://`, `https://`, `socks5://`, `socks5h://`, `socks4://` or `socks4a://`"
    )]
    Scheme,
    #[error(
        "a proxy is `http://host:port` or `http://user:password@host:port` and no more; in user and password, write `@` as `%40`, `:` as `%3A`, `/` as `%2F`, `?` as `%3F`, `#` as `%23` and `%` as `%25`"
    )]
    Address,
}

impl ProxySettings {
    /// Reads the variables of this process. No other place does that.
    pub fn from_environment() -> Result<Self, ProxyError> {
        Self::new(|name| std::env::var_os(name))
    }

    /// Builds the settings from variables.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ProxyError> {
        if variable(CGI).is_some() {
            return Ok(Self::default());
        }
        let first = |names: [&'static str; 2]| {
            let mut set = names.into_iter();
            let set = set.find_map(|name| variable(name).map(|value| (name, value)));
            let text = set.map(|(name, value)| match value.into_string() {
                Ok(text) => Ok((name, text)),
                Err(_) => Err(ProxyError {
                    variable: name,
                    why: Malformed::NotText,
                }),
            });
            text.transpose()
        };
        let proxy = |names| {
            let set = first(names)?.filter(|(_, text)| !text.is_empty());
            let proxy = set.map(|(name, text)| Proxy::new(name, text));
            Ok(proxy.transpose()?.map(Arc::new))
        };
        let (https, http, all) = (proxy(HTTPS)?, proxy(HTTP)?, proxy(ALL)?);
        let exempt = first(NONE)?.map(|(_, text)| text).unwrap_or_default();
        // The address of this proxy does not matter, because the matcher only decides which hosts are exempt.
        let intercepted = Matcher::builder().all("http://proxy").no(exempt).build();
        Ok(Self {
            https: https.or_else(|| all.clone()),
            http: http.or(all),
            intercepted: Some(Arc::new(intercepted)),
        })
    }

    /// The proxy for calls of `url`; `None` if they are direct.
    pub fn proxy_for(&self, url: &str) -> Option<&Proxy> {
        let uri: Uri = url.parse().ok()?;
        let proxy = match uri.scheme_str() {
            Some("https") => self.https.as_deref()?,
            Some("http") => self.http.as_deref()?,
            _ => return None,
        };
        if is_near(uri.host()?) {
            return None;
        }
        self.intercepted.as_ref()?.intercept(&uri)?;
        Some(proxy)
    }
}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = |proxy: &Option<Arc<Proxy>>| proxy.as_ref().map(|it| it.address.clone());
        f.debug_struct("ProxySettings")
            .field("https", &address(&self.https))
            .field("http", &address(&self.http))
            .finish_non_exhaustive()
    }
}

impl Proxy {
    fn new(variable: &'static str, text: String) -> Result<Self, ProxyError> {
        let text = Secret::new(text);
        let parsed = Self::parse(text.expose()).map_err(|why| ProxyError { variable, why })?;
        Ok(Self {
            url: parsed.0,
            address: parsed.1,
            variable,
            is_logged: AtomicBool::new(false),
        })
    }

    /// Parses a proxy: the URL with the port written out, and the address without user and password.
    ///
    /// The check is stricter than that of common clients. These split a password with an `@`, a `/` or a `#` in it, and
    /// take a part of it as the host.
    fn parse(text: &str) -> Result<(Secret, String), Malformed> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        let known = SCHEMES.iter().find(|(name, _)| *name == scheme);
        let &(scheme, default_port) = known.ok_or(Malformed::Scheme)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (user, host_port) = match authority.split_once('@') {
            Some((user, host_port)) => (Some(user), host_port),
            None => (None, authority),
        };
        let is_user_info = |user: &str| {
            let mut bytes = user.bytes();
            let fits = bytes.all(|b| b.is_ascii_graphic() && !b"/?#[]\\@\"<>^`{|}".contains(&b));
            fits && has_whole_escapes(user)
        };
        if !user.is_none_or(is_user_info) {
            return Err(Malformed::Address);
        }
        let (host, port) = host_and_port(host_port).ok_or(Malformed::Address)?;
        let address = format!("{host}:{}", port.unwrap_or(default_port));
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let url = Secret::new(format!("{scheme}://{user}{address}"));
        // The transport would ignore a URL that it cannot parse, and call the host directly.
        reqwest::Url::parse(url.expose()).map_err(|_| Malformed::Address)?;
        url.expose()
            .parse::<Uri>()
            .map_err(|_| Malformed::Address)?;
        Ok((url, address))
    }

    /// Host and port, the only parts that may be shown.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The variable that contains it.
    pub fn variable(&self) -> &'static str {
        self.variable
    }

    /// The URL with user and password, for the transport alone.
    pub(super) fn expose(&self) -> &str {
        self.url.expose()
    }

    /// Logs before the first call that calls go through it.
    pub(super) fn log_once(&self) {
        if !self.is_logged.swap(true, Ordering::Relaxed) {
            tracing::info!(
                proxy = self.address,
                variable = self.variable,
                "calls go through a proxy"
            );
        }
    }
}

/// Splits `host`, `host:port` or `[v6]:port` into host and port. The host must be a name that can be shown and called.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
        None => {
            let mut bytes = host.bytes();
            !host.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        }
    };
    let port = match port {
        "" => None,
        port => Some(
            port.strip_prefix(':')?
                .parse()
                .ok()
                .filter(|&port| port > 0)?,
        ),
    };
    is_host.then_some((host, port))
}

/// Whether each `%` is followed by two hexadecimal digits.
fn has_whole_escapes(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        let code = part.as_bytes().get(..2);
        code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
