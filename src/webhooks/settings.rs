use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::{Error, Spanned};

use super::address::Address;
use super::files;
use super::format::Format;
use crate::model::{AccountName, Region, Scope, is_object_name};
use crate::status::{Kind, Subject, Transition};
use crate::words::brief;

/// Largest file: some hundred times what anybody needs.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Each has a queue, a connection and metrics of its own.
const WEBHOOKS_MAX: usize = 50;
/// A longer name of a field is not shown: it may be anything.
const FIELD_LEN_MAX: usize = 32;

/// Who is to be told, checked.
#[derive(Default)]
pub struct Webhooks(pub(super) Vec<Webhook>);

/// What is wrong with the file: all that could be found at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhooksError {
    /// One line each: file, line where there is one, what is wrong and what to do. None quotes a secret.
    pub problems: Vec<String>,
}

impl fmt::Display for WebhooksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for WebhooksError {}

/// One of them.
pub(super) struct Webhook {
    pub name: String,
    pub format: Format,
    pub target: Target,
    /// Signs, where the format has signatures.
    pub secret_file: Option<PathBuf>,
    kinds: BTreeSet<Kind>,
    /// Empty: all.
    accounts: BTreeSet<AccountName>,
    /// Empty: all.
    regions: BTreeSet<Region>,
}

/// Where its URL is.
pub(super) enum Target {
    Known(Address),
    /// Read anew for each attempt, because it may be rotated.
    InFile(PathBuf),
}

impl Webhook {
    /// Whether it asked to be told of this. What is about the manifests or the state is about every account, and what is about an
    /// account about every region.
    pub(super) fn wants(&self, transition: &Transition) -> bool {
        let mine =
            |account: &AccountName| self.accounts.is_empty() || self.accounts.contains(account);
        let here = |scope: &Scope| {
            mine(&scope.account)
                && (self.regions.is_empty() || self.regions.contains(&scope.region))
        };
        self.kinds.contains(&transition.kind)
            && match &transition.subject {
                Subject::Manifests | Subject::State => true,
                Subject::Account(account) => mine(account),
                Subject::Scope(scope) => here(scope),
                Subject::Image(key) => here(&key.scope),
            }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    webhooks: Option<Vec<Spanned<RawWebhook>>>,
}

/// Everything optional, so that what is missing is reported with everything else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawWebhook {
    name: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    url_file: Option<Spanned<String>>,
    secret_file: Option<Spanned<String>>,
    on: Option<Spanned<Vec<Spanned<String>>>>,
    accounts: Option<Spanned<Vec<Spanned<String>>>>,
    regions: Option<Spanned<Vec<Spanned<String>>>>,
}

impl Webhooks {
    /// Reads and checks the file, and the files that it names. Those are looked for beside it, where they are relative.
    pub fn load(path: &Path) -> Result<Self, WebhooksError> {
        let mut reader = Reader {
            path,
            problems: Vec::new(),
            names: BTreeSet::new(),
        };
        let webhooks = reader.file();
        if reader.problems.is_empty() {
            Ok(Self(webhooks))
        } else {
            Err(WebhooksError {
                problems: reader.problems,
            })
        }
    }
}

struct Reader<'p> {
    path: &'p Path,
    problems: Vec<String>,
    names: BTreeSet<String>,
}

impl Reader<'_> {
    fn problem(&mut self, line: u64, problem: &str) {
        let path = self.path.display();
        self.problems.push(format!("{path}:{line}: {problem}"));
    }

    fn file(&mut self) -> Vec<Webhook> {
        let text = match files::read(self.path, FILE_BYTES_MAX) {
            Ok((text, _)) => text,
            Err(problem) => {
                self.problems.push(problem);
                return Vec::new();
            }
        };
        // A snippet would show a URL.
        let options = serde_saphyr::options! { with_snippet: false };
        let file: RawFile = match serde_saphyr::from_str_with_options(&text, options) {
            Ok(file) => file,
            Err(error) => {
                let line = error.location().map_or(1, |location| location.line());
                self.problem(line, &shape(error.without_snippet()));
                return Vec::new();
            }
        };
        let webhooks = file.webhooks.unwrap_or_default();
        if webhooks.is_empty() {
            self.problem(1, "there are no `webhooks`: list one, or give no file");
        }
        if let Some(extra) = webhooks.get(WEBHOOKS_MAX) {
            let problem = format!("there are more than {WEBHOOKS_MAX} webhooks: remove some");
            self.problem(extra.referenced.line(), &problem);
            return Vec::new();
        }
        webhooks
            .into_iter()
            .filter_map(|webhook| self.webhook(webhook))
            .collect()
    }

    fn webhook(&mut self, raw: Spanned<RawWebhook>) -> Option<Webhook> {
        let (line, raw) = (raw.referenced.line(), raw.value);
        let name = self.name(line, raw.name);
        let format = self.format(line, raw.format);
        let target = self.target(line, raw.url, raw.url_file, format);
        let secret_file = raw
            .secret_file
            .and_then(|file| self.secret_file(&file, format));
        let kinds = self.each(raw.on, "kind", |word| {
            Kind::new(word).ok_or_else(|| {
                let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                format!("is not known; there are {}", known.join(", "))
            })
        });
        let accounts = self.each(raw.accounts, "account", |word| {
            AccountName::new(word).ok_or_else(|| "is not the name of an `Account`".to_owned())
        });
        let regions = self.each(raw.regions, "region", |word| {
            Region::new(word).map_err(|error| format!("is {error}"))
        });
        Some(Webhook {
            name: name?,
            format: format?,
            target: target?,
            secret_file,
            kinds: if kinds.is_empty() {
                Kind::ALL.into()
            } else {
                kinds
            },
            accounts,
            regions,
        })
    }

    fn name(&mut self, line: u64, name: Option<Spanned<String>>) -> Option<String> {
        let Some(name) = name else {
            self.problem(line, "the webhook has no `name`: give it one");
            return None;
        };
        let line = name.referenced.line();
        if !is_object_name(&name.value) {
            self.problem(
                line,
                "a `name` has lower-case letters, digits, `-` and `.` only, and begins and ends with a letter or digit",
            );
            return None;
        }
        if !self.names.insert(name.value.clone()) {
            let problem = format!(
                "another webhook is named `{}` already: give it a name of its own",
                name.value
            );
            self.problem(line, &problem);
        }
        Some(name.value)
    }

    fn format(&mut self, line: u64, format: Option<Spanned<String>>) -> Option<Format> {
        let known: Vec<_> = Format::ALL.iter().map(|format| format.as_str()).collect();
        let known = known.join(", ");
        let Some(format) = format else {
            let problem = format!("the webhook has no `format`: give one of {known}");
            self.problem(line, &problem);
            return None;
        };
        let found = Format::new(&format.value);
        if found.is_none() {
            let problem = format!("the `format` is not known: give one of {known}");
            self.problem(format.referenced.line(), &problem);
        }
        found
    }

    fn target(
        &mut self,
        line: u64,
        url: Option<Spanned<String>>,
        file: Option<Spanned<String>>,
        format: Option<Format>,
    ) -> Option<Target> {
        match (url, file) {
            (None, None) => {
                self.problem(line, "the webhook has no `urlFile` and no `url`: give one");
                None
            }
            (Some(url), Some(_)) => {
                let problem = "both `url` and `urlFile` are given: remove one";
                self.problem(url.referenced.line(), problem);
                None
            }
            (Some(url), None) => {
                let line = url.referenced.line();
                let address = self.address(line, &url.value)?;
                let is_chat = format.is_some_and(Format::has_secret_url);
                if is_chat && !address.is_loopback() {
                    self.problem(
                        line,
                        "the URL of a chat's webhook is a secret: put it into a file, and name that with `urlFile`",
                    );
                }
                Some(Target::Known(address))
            }
            (None, Some(file)) => {
                let line = file.referenced.line();
                let path = self.path_of(line, "urlFile", &file.value)?;
                let kept = self.kept(line, &path)?;
                self.address(line, kept.expose())?;
                Some(Target::InFile(path))
            }
        }
    }

    fn address(&mut self, line: u64, text: &str) -> Option<Address> {
        Address::new(text)
            .map_err(|error| self.problem(line, &error.to_string()))
            .ok()
    }

    fn secret_file(&mut self, file: &Spanned<String>, format: Option<Format>) -> Option<PathBuf> {
        let line = file.referenced.line();
        let path = self.path_of(line, "secretFile", &file.value)?;
        if let Some(format) = format.filter(|format| !format.signs()) {
            let problem = format!(
                "webhooks of {} have no signatures: remove `secretFile`",
                format.as_str()
            );
            self.problem(line, &problem);
        }
        self.kept(line, &path)?;
        Some(path)
    }

    /// Relative paths begin beside the settings, wherever the process was started.
    fn path_of(&mut self, line: u64, field: &str, text: &str) -> Option<PathBuf> {
        if text.contains("://") || text.is_empty() {
            let problem =
                format!("`{field}` is the path of a file that holds the secret, not the secret");
            self.problem(line, &problem);
            return None;
        }
        let beside = self.path.parent().unwrap_or(Path::new(""));
        Some(beside.join(text))
    }

    /// Whether the secret can be read, and a warning if everybody can. This once; it is read again when it is used.
    fn kept(&mut self, line: u64, path: &Path) -> Option<crate::model::Secret> {
        match files::secret(path) {
            Ok(kept) => {
                if kept.open {
                    tracing::warn!(
                        file = %path.display(),
                        "every user of this machine can read this secret: `chmod o= FILE`"
                    );
                }
                Some(kept.secret)
            }
            Err(problem) => {
                self.problem(line, &problem);
                None
            }
        }
    }

    /// The values of a list; an empty one is a mistake, because none given means all.
    fn each<T: Ord>(
        &mut self,
        list: Option<Spanned<Vec<Spanned<String>>>>,
        what: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> BTreeSet<T> {
        let mut found = BTreeSet::new();
        let Some(list) = list else {
            return found;
        };
        if list.value.is_empty() {
            let problem = format!("no {what} is listed: list one, or leave the field out for all");
            self.problem(list.referenced.line(), &problem);
        }
        for word in list.value {
            match parse(&word.value) {
                Ok(value) => drop(found.insert(value)),
                Err(why) => {
                    let problem = match presentable(&word.value) {
                        Some(word) => format!("the {what} `{word}` {why}"),
                        None => format!("a {what} that is listed here {why}"),
                    };
                    self.problem(word.referenced.line(), &problem);
                }
            }
        }
        found
    }
}

/// A word that can be shown, because it is not a URL or a key that stands in the wrong place.
fn presentable(word: &str) -> Option<&str> {
    let is_word = word
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_uppercase() || b"_-".contains(&b));
    (is_word && word.len() <= FIELD_LEN_MAX).then_some(word)
}

/// What is wrong with the shape of the file, without what stands there: it may be a secret.
fn shape(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let known = expected.join("`, `");
            match presentable(field) {
                Some(field) => format!("there is no field `{field}` here; there are `{known}`"),
                None => format!("there is no such field here; there are `{known}`"),
            }
        }
        Error::DuplicateMappingKey { .. } => "this field is given twice: remove one".to_owned(),
        Error::Unexpected { expected, .. } => match *expected {
            "mapping start" => "expected fields here, such as `name: …`".to_owned(),
            "sequence start" => "expected a list here, such as `[…]`".to_owned(),
            "string scalar" => "expected a text here".to_owned(),
            other => format!("expected {other} here"),
        },
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {expected} here")
        }
        // Of the syntax, or of a limit: nothing that was read is part of these.
        other => format!(
            "this is not YAML as it should be: {}",
            brief(&other.to_string())
        ),
    }
}
