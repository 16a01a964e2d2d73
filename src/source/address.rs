//! Addresses of git repositories and names of refs, checked so that git cannot take them for anything else.

use std::fmt;
use std::net::Ipv6Addr;

use crate::model::is_loopback;

/// Protocols of URLs. None of them is taken for the name of a host: `https:/host` is a URL in which a slash is missing.
const SCHEMES: [&str; 6] = ["https", "http", "ssh", "git", "file", "ftp"];
/// The longest URL or ref that is accepted; no real one is longer.
const LENGTH_MAX: usize = 2048;

/// The URL of a git repository: `https://`, `ssh://`, `user@host:path` or `file:///`. Displays without the user.
///
/// It holds no secret, because it is shown among the arguments of programs and in logs. git can take it neither for an
/// option nor for the name of another program.
#[derive(Clone, PartialEq, Eq)]
pub struct GitUrl {
    text: String,
    is_plain_http: bool,
}

/// Why a text is not accepted as the URL of a git repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitUrlError {
    /// The text has none of the known forms.
    #[error(
        "a repository is `https://host/path`, `ssh://user@host/path`, `user@host:path` or `file:///path`"
    )]
    Form,
    /// The text has a character that must be encoded in a URL.
    #[error(
        "a repository's URL must not contain spaces or control characters: write them as `%20` and the like"
    )]
    Character,
    /// The secret would be visible to everybody who lists processes.
    #[error(
        "a repository's URL must not contain a password or token, because everybody on this machine could see it: use a credential helper of git, `GIT_ASKPASS`, or an SSH key"
    )]
    Secret,
    /// The URL uses plain http to another machine.
    #[error(
        "plain http is allowed only to loopback hosts (127.0.0.1, [::1], localhost, *.localhost): use https or ssh"
    )]
    PlainHttp,
}

impl GitUrl {
    /// Checks the form of the URL, and that it contains no secret.
    pub fn new(text: &str) -> Result<Self, GitUrlError> {
        if text.len() > LENGTH_MAX || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(GitUrlError::Character);
        }
        let is_plain_http = match text.split_once("://") {
            Some(("https", rest)) => web(rest).map(|_| false)?,
            Some(("http", rest)) if is_loopback(web(rest)?) => true,
            Some(("http", _)) => return Err(GitUrlError::PlainHttp),
            Some(("ssh", rest)) => ssh(rest).map(|()| false)?,
            Some(("file", rest)) if rest.len() > 1 && rest.starts_with('/') => false,
            Some(_) => return Err(GitUrlError::Form),
            None => scp(text).map(|()| false)?,
        };
        Ok(Self {
            text: text.to_owned(),
            is_plain_http,
        })
    }

    /// The URL as git takes it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_plain_http(&self) -> bool {
        self.is_plain_http
    }
}

/// Returns the host of a web URL. A user in it is refused too, because some hosts take a token in its place.
fn web(rest: &str) -> Result<&str, GitUrlError> {
    let (authority, path) = rest.split_once('/').ok_or(GitUrlError::Form)?;
    if authority.contains('@') || path.contains(['?', '#']) {
        return Err(GitUrlError::Secret);
    }
    host(authority, true).ok_or(GitUrlError::Form)
}

fn ssh(rest: &str) -> Result<(), GitUrlError> {
    let (authority, _) = rest.split_once('/').ok_or(GitUrlError::Form)?;
    let at = user(authority)?;
    host(at, true).map(|_| ()).ok_or(GitUrlError::Form)
}

/// Checks `[user@]host:path`. With another colon, git would run a program (`ext::…`); with a slash before the colon, it
/// would be a path.
fn scp(text: &str) -> Result<(), GitUrlError> {
    let (authority, path) = match text.find("]:") {
        Some(end) => (&text[..=end], &text[end + 2..]),
        None => text.split_once(':').ok_or(GitUrlError::Form)?,
    };
    // `user:password@host:path`, whatever the password contains; also after the name of a protocol whose slash is
    // missing.
    let may_be_password = path.rsplit_once('@').is_some_and(|(before, after)| {
        let names_no_path = !before.contains('/') || after.contains(':');
        before.contains(':') || (!authority.contains('@') && names_no_path)
    });
    if may_be_password || path.contains('?') {
        return Err(GitUrlError::Secret);
    }
    if SCHEMES.contains(&authority.to_ascii_lowercase().as_str()) {
        return Err(GitUrlError::Form);
    }
    let at = user(authority)?;
    let fits = !path.is_empty() && !path.starts_with([':', '-']) && host(at, false).is_some();
    fits.then_some(()).ok_or(GitUrlError::Form)
}

/// Returns the part after the user, if there is a user.
fn user(authority: &str) -> Result<&str, GitUrlError> {
    let Some((user, rest)) = authority.rsplit_once('@') else {
        return Ok(authority);
    };
    if user.contains(':') {
        return Err(GitUrlError::Secret);
    }
    let fits = user.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    fits.then_some(rest).ok_or(GitUrlError::Form)
}

/// The host of `host`, `host:port` or `[v6]:port`.
fn host(authority: &str, may_have_port: bool) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let fits = host.starts_with(|c: char| c.is_ascii_alphanumeric())
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            fits.then_some((host, port))?
        }
    };
    let port_fits = match port.strip_prefix(':') {
        Some(port) => may_have_port && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    port_fits.then_some(host)
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.split_once("://") {
            Some(("ssh", rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                let host = authority
                    .rsplit_once('@')
                    .map_or(authority, |(_, host)| host);
                write!(f, "ssh://{host}/{path}")
            }
            Some(_) => f.write_str(&self.text),
            None => {
                let authority = self.text.split(':').next().unwrap_or_default();
                let user = authority.find('@').map_or(0, |at| at + 1);
                f.write_str(&self.text[user..])
            }
        }
    }
}

impl fmt::Debug for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A branch, a tag, the full name of a ref (`refs/…`), `HEAD`, or the full hash of a commit. A name that is both a branch
/// and a tag means the branch.
/// tag is the branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitRef(String);

/// The error for a text that is not the name of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a ref is a branch, a tag, a full name such as `refs/heads/main`, or the full hash of a commit"
)]
pub struct GitRefError;

impl GitRef {
    /// Checks the text by git's rules, and that it names one ref and nothing else.
    pub fn new(text: &str) -> Result<Self, GitRefError> {
        let barred = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\\"'".contains(c);
        let component = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.ends_with('.')
                && !part.ends_with(".lock")
        };
        let fits = text.len() <= LENGTH_MAX
            && !text.starts_with(['-', '+'])
            && text != "@"
            && !text.contains(barred)
            && !text.contains("..")
            && !text.contains("@{")
            && text.split('/').all(component);
        fits.then(|| Self(text.to_owned())).ok_or(GitRefError)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a full name, `HEAD` or a full hash, which can mean only one thing whatever other refs exist.
    pub(super) fn is_exact(&self) -> bool {
        let is_hash =
            matches!(self.0.len(), 40 | 64) && self.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.0 == "HEAD" || self.0.starts_with("refs/") || is_hash
    }
}

impl fmt::Display for GitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
