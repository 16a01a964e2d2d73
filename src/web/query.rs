//! Which part of the board is asked for: reads and writes the query of a URL.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::model::{AccountName, ImageId, ImageKey, Region, Scope};
use crate::status::{ImageStatus, Reason, Subject, Truth};
use crate::words;

/// How many characters of a search are used; the rest is ignored.
const SEARCH_CHARS_MAX: usize = 200;
/// How many words of a search are used. Each is searched for in every image.
const SEARCH_WORDS_MAX: usize = 8;

/// Which part of the board is asked for, by page and document alike. The default is the whole board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only scopes of this account.
    pub account: Option<AccountName>,
    /// Only scopes of this region.
    pub region: Option<Region>,
    /// Only the image with this id, in every scope.
    pub image: Option<ImageId>,
    /// Only images that have this reason.
    pub reason: Option<Reason>,
    /// Which images are listed; with `None`, the page decides.
    pub show: Option<Show>,
    /// Only images in which each word of this text is found.
    pub search: String,
    /// Page of the list of images, from 0.
    pub page: usize,
    /// Page of the table of accounts and regions, from 0.
    pub scopes_page: usize,
}

/// Which images are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Images that are not as desired.
    Wrong,
    All,
    /// Images whose share ends by itself.
    Expiring,
}

/// The error for a query with a value that its parameter cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be `{value}`: {remedy}")]
pub struct QueryError {
    name: &'static str,
    value: String,
    remedy: &'static str,
}

impl Show {
    /// The word for it in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::All => "all",
            Self::Expiring => "expiring",
        }
    }
}

impl Query {
    /// Reads the part of a URL after the `?`. Unknown names are ignored, because they may be meant for others; so is an
    /// empty value, which a form sends for an empty field.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut query = Self::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            if !value.is_empty() {
                query.set(&decoded(name), &value)?;
            }
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), QueryError> {
        let wrong = |name, remedy| QueryError {
            name,
            value: words::brief(value),
            remedy,
        };
        match name {
            "account" => {
                let account = AccountName::new(value);
                self.account =
                    Some(account.ok_or_else(|| wrong("account", "give an account's name"))?);
            }
            "region" => {
                let remedy = "give a region that supports image sharing, such as ap-singapore";
                self.region = Some(Region::new(value).map_err(|_| wrong("region", remedy))?);
            }
            "image" => {
                let remedy = "give an image id, such as img-6pb6lrmy";
                self.image = Some(ImageId::new(value).map_err(|_| wrong("image", remedy))?);
            }
            "reason" => {
                let remedy = "give a reason that an image has, such as NotEligible";
                let known = Reason::ALL.iter().find(|reason| reason.as_str() == value);
                self.reason = Some(*known.ok_or_else(|| wrong("reason", remedy))?);
            }
            "only" if value == Show::Wrong.as_str() => self.show = Some(Show::Wrong),
            "only" => return Err(wrong("only", "give wrong, or leave it out")),
            "show" => {
                let known = [Show::Wrong, Show::All, Show::Expiring];
                let show = known.into_iter().find(|show| show.as_str() == value);
                self.show = Some(show.ok_or_else(|| wrong("show", "give wrong, all or expiring"))?);
            }
            "page" => {
                self.page = page(value).ok_or_else(|| wrong("page", "give a number from 1"))?;
            }
            "scopes" => {
                let page = page(value);
                self.scopes_page = page.ok_or_else(|| wrong("scopes", "give a number from 1"))?;
            }
            "q" => self.search = value.chars().take(SEARCH_CHARS_MAX).collect(),
            _ => {}
        }
        Ok(())
    }

    /// The scope that is asked for, if it is a single one.
    pub(super) fn scope(&self) -> Option<Scope> {
        let account = self.account.clone()?;
        self.region.map(|region| Scope { account, region })
    }

    /// Whether any part of the scope is asked for.
    pub(super) fn picks_scope(&self, scope: &Scope) -> bool {
        let account = self.account.as_ref().is_none_or(|a| *a == scope.account);
        account && self.region.is_none_or(|region| region == scope.region)
    }

    /// Whether the image is asked for; its scope must be. Allocates nothing.
    pub(super) fn picks(&self, scope: &ScopeText, id: &ImageId, image: &ImageStatus) -> bool {
        self.image.as_ref().is_none_or(|asked| asked == id)
            && self.reason.is_none_or(|reason| reason == image.reason)
            && match self.show {
                Some(Show::Wrong) => image.ready.status != Truth::True,
                Some(Show::Expiring) => image.until.is_some(),
                Some(Show::All) | None => true,
            }
            && self.words().all(|word| found(word, scope, id, image))
    }

    /// Whether events about the image are asked for.
    pub(super) fn picks_key(&self, key: &ImageKey) -> bool {
        let image = self.image.as_ref();
        self.picks_scope(&key.scope) && image.is_none_or(|image| *image == key.image)
    }

    /// Whether events about the subject are asked for.
    pub(super) fn picks_subject(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Manifests | Subject::State | Subject::Selection(_) => true,
            Subject::Account(account) => self.account.as_ref().is_none_or(|a| a == account),
            Subject::Scope(scope) => self.picks_scope(scope),
            Subject::Image(key) => self.picks_key(key),
        }
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.search.split_whitespace().take(SEARCH_WORDS_MAX)
    }

    /// Whether only some of the images are asked for.
    pub(super) fn is_narrow(&self) -> bool {
        self.image.is_some() || self.reason.is_some() || !self.search.is_empty()
    }

    /// The same query with other scopes.
    pub(super) fn within(&self, scope: Option<&Scope>) -> Self {
        Self {
            account: scope.map(|scope| scope.account.clone()),
            region: scope.map(|scope| scope.region),
            page: 0,
            scopes_page: 0,
            ..self.clone()
        }
    }

    /// The same query with other images.
    pub(super) fn showing(&self, show: Option<Show>, reason: Option<Reason>) -> Self {
        Self {
            show,
            reason,
            page: 0,
            ..self.clone()
        }
    }

    /// The same query on another page.
    pub(super) fn on_page(&self, page: usize) -> Self {
        Self {
            page,
            ..self.clone()
        }
    }

    /// The query for everything that is known of an image, in any scope.
    pub(super) fn of_image(id: &ImageId) -> Self {
        Self {
            image: Some(id.clone()),
            ..Self::default()
        }
    }
}

/// Writes a relative link that begins with `?`, so that it works behind a reverse proxy with any path.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = |page: usize| (page > 0).then(|| page.saturating_add(1).to_string());
        let (page, scopes_page) = (page(self.page), page(self.scopes_page));
        let pairs = [
            ("account", self.account.as_ref().map(AccountName::as_str)),
            ("region", self.region.map(Region::as_str)),
            ("image", self.image.as_ref().map(ImageId::as_str)),
            ("reason", self.reason.map(Reason::as_str)),
            ("show", self.show.map(Show::as_str)),
            ("q", Some(&*self.search).filter(|text| !text.is_empty())),
            ("page", page.as_deref()),
            ("scopes", scopes_page.as_deref()),
        ];
        f.write_char('?')?;
        let given = pairs.into_iter().filter_map(|(n, v)| Some((n, v?)));
        for (position, (name, value)) in given.enumerate() {
            let and = if position > 0 { "&" } else { "" };
            write!(f, "{and}{name}=")?;
            encode(f, value)?;
        }
        Ok(())
    }
}

/// Parses a page's number, which counts from 1 in a URL.
fn page(value: &str) -> Option<usize> {
    value.parse::<usize>().ok()?.checked_sub(1)
}

/// The text of a scope, made once for all its images.
pub(super) struct ScopeText(String);

impl ScopeText {
    pub(super) fn new(scope: &Scope) -> Self {
        Self(scope.to_string())
    }
}

fn found(word: &str, scope: &ScopeText, id: &ImageId, image: &ImageStatus) -> bool {
    let details = image.details.as_deref();
    let texts = [
        Some(id.as_str()),
        image.name.as_deref(),
        Some(scope.0.as_str()),
        Some(image.reason.as_str()),
        image.blueprint.as_deref(),
        image.source.as_ref().map(|source| &*source.file),
        details.and_then(|details| details.code.as_deref()),
        details.and_then(|details| details.request_id.as_deref()),
        details.map(|details| &*details.message),
    ];
    texts.into_iter().flatten().any(|text| holds(text, word))
}

/// Whether `text` contains `word`, ignoring case.
fn holds(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    text.windows(word.len())
        .any(|part| part.eq_ignore_ascii_case(word))
}

/// Decodes percent escapes and `+`, as forms send them. Other text is not changed.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| hex::decode(hex).ok());
        match (first, hex.as_deref()) {
            (b'%', Some([byte])) => {
                bytes.push(*byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn encode(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                f.write_char(char::from(byte))?;
            }
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_can_be_read_back_from_its_own_text() {
        let text = "?account=prod&region=ap-tokyo&image=img-a&reason=NotEligible&show=all&q=a%20%3C%26%25%C3%A9%2B&page=3&scopes=2";
        let query = Query::parse(&text[1..]).unwrap();
        assert_eq!(query.search, "a <&%é+");
        assert_eq!((query.page, query.scopes_page), (2, 1));
        assert_eq!(query.to_string(), text);
        assert_eq!(Query::default().to_string(), "?");
    }

    #[test]
    fn unknown_names_are_ignored_and_impossible_values_are_errors() {
        assert_eq!(
            Query::parse("utm=x&q=&region=&&=&%zz=%"),
            Ok(Query::default())
        );
        assert_eq!(Query::parse("q=100%25+%").unwrap().search, "100% %");
        for bad in [
            "region=mars",
            "account=%00",
            "image=img-",
            "reason=x",
            "show=x",
            "only=good",
            "page=0",
            "scopes=0",
        ] {
            let error = Query::parse(bad).unwrap_err().to_string();
            assert!(error.contains("give "), "{bad}: {error}");
        }
        assert!(Query::parse("only=wrong").unwrap().show == Some(Show::Wrong));
        assert_eq!(
            Query::parse(&format!("q={}", "x".repeat(9_999)))
                .unwrap()
                .search
                .len(),
            SEARCH_CHARS_MAX
        );
    }
}
