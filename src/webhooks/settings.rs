//! Reads the settings file of webhooks. The file is checked as a whole, and all problems are reported at once. None of
//! them quotes a secret.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::{Error, Spanned};

use super::bounded_read;
use super::format::Format;
use super::url::WebhookUrl;
use crate::model::Secret;
use crate::model::{AccountName, Region, Scope, is_object_name};
use crate::status::{Subject, Transition, TransitionKind};
use crate::words::brief;

/// Largest settings file, about a hundred times what anybody needs.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The most webhooks in one file: each has a queue, a connection and metrics.
const WEBHOOKS_MAX: usize = 50;
/// A longer word from the file is not shown, because it may be a secret.
const FIELD_LEN_MAX: usize = 32;

/// The checked webhooks of a settings file.
#[derive(Default)]
pub struct Webhooks(pub(super) Vec<Webhook>);

/// All problems that one reading of the settings file finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhooksError {
    /// One line for each problem: the file, the line if known, what is wrong and what to do. None quotes a secret.
    pub problems: Vec<String>,
}

impl fmt::Display for WebhooksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for WebhooksError {}

pub(super) struct Webhook {
    pub name: String,
    pub format: Format,
    pub target: Target,
    /// The file with the secret that signs messages, for formats with signatures.
    pub secret_file: Option<PathBuf>,
    kinds: BTreeSet<TransitionKind>,
    /// If empty, transitions of all accounts are sent.
    accounts: BTreeSet<AccountName>,
    /// If empty, transitions of all regions are sent.
    regions: BTreeSet<Region>,
}

pub(super) enum Target {
    Known(WebhookUrl),
    /// The file is read at each attempt, because the URL may be rotated.
    InFile(PathBuf),
}

impl Webhook {
    /// Whether the settings ask for this transition. A transition of the manifests or the state belongs to every account,
    /// and a transition of an account to every region, unless it names its regions.
    pub(super) fn subscribes_to(&self, transition: &Transition) -> bool {
        let mine =
            |account: &AccountName| self.accounts.is_empty() || self.accounts.contains(account);
        let here = |scope: &Scope| {
            mine(&scope.account)
                && (self.regions.is_empty() || self.regions.contains(&scope.region))
        };
        self.kinds.contains(&transition.kind)
            && match &transition.subject {
                Subject::Manifests | Subject::State => true,
                Subject::Account(account) => mine(account) && self.is_in_any(transition),
                Subject::Scope(scope) => here(scope),
                Subject::Image(key) => here(&key.scope),
                Subject::Selection(picked) => {
                    overlap(&self.accounts, &picked.accounts)
                        && overlap(&self.regions, &picked.regions)
                }
            }
    }

    fn is_in_any(&self, transition: &Transition) -> bool {
        let regions = transition.extent.as_ref().map(|extent| &extent.regions);
        regions.is_none_or(|regions| overlap(&self.regions, regions))
    }
}

/// Whether two sets have a common element. An empty set stands for everything.
fn overlap<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> bool {
    one.is_empty() || other.is_empty() || !one.is_disjoint(other)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    webhooks: Option<Vec<Spanned<RawWebhook>>>,
}

/// All fields are optional, so that a missing one is reported together with other problems.
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
    /// Reads and checks the settings file and the files that it names. Relative paths start in the directory of the
    /// settings file.
    pub fn load(path: &Path) -> Result<Self, WebhooksError> {
        let mut reader = SettingsReader {
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

impl Webhooks {
    /// The hosts that are called, each with its port unless it is the scheme's default. If a file with a URL cannot be
    /// read now, its host is left out: [`Self::load`] has read it before, and each delivery reads it again.
    pub fn hosts(&self) -> BTreeSet<String> {
        let urls = self.0.iter().filter_map(|webhook| match &webhook.target {
            Target::Known(url) => Some(url.clone()),
            Target::InFile(path) => {
                let file = bounded_read::read_secret(path).ok()?;
                WebhookUrl::new(file.secret.expose()).ok()
            }
        });
        urls.map(|url| url.host_and_port()).collect()
    }
}

struct SettingsReader<'p> {
    path: &'p Path,
    problems: Vec<String>,
    names: BTreeSet<String>,
}

impl SettingsReader<'_> {
    fn problem(&mut self, line: u64, problem: &str) {
        let path = self.path.display();
        self.problems.push(format!("{path}:{line}: {problem}"));
    }

    fn file(&mut self) -> Vec<Webhook> {
        let text = match bounded_read::read_text(self.path, FILE_BYTES_MAX) {
            Ok((text, _)) => text,
            Err(error) => {
                self.problems.push(error.to_string());
                return Vec::new();
            }
        };
        // A snippet of the file in an error could show a URL.
        let options = serde_saphyr::options! { with_snippet: false };
        let file: RawFile = match serde_saphyr::from_str_with_options(&text, options) {
            Ok(file) => file,
            Err(error) => {
                let line = error.location().map_or(1, |location| location.line());
                self.problem(line, &describe_yaml_error(error.without_snippet()));
                return Vec::new();
            }
        };
        let webhooks = file.webhooks.unwrap_or_default();
        if webhooks.is_empty() {
            self.problem(
                1,
                "the list `webhooks` is missing or empty: list one, or do not give this file",
            );
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
        let kinds = self.set_of(raw.on, "kind", |word| {
            TransitionKind::new(word).ok_or_else(|| {
                let known: Vec<_> = TransitionKind::ALL
                    .iter()
                    .map(|kind| kind.as_str())
                    .collect();
                format!("is not known; use one of {}", known.join(", "))
            })
        });
        let accounts = self.set_of(raw.accounts, "account", |word| {
            AccountName::new(word).ok_or_else(|| "is not the name of an `Account`".to_owned())
        });
        let regions = self.set_of(raw.regions, "region", |word| {
            Region::new(word).map_err(|error| format!("is {error}"))
        });
        Some(Webhook {
            name: name?,
            format: format?,
            target: target?,
            secret_file,
            kinds: if kinds.is_empty() {
                TransitionKind::ALL.into()
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
                "a `name` has only lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit",
            );
            return None;
        }
        if !self.names.insert(name.value.clone()) {
            let problem = format!(
                "another webhook already has the name `{}`: give this one its own name",
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
                let webhook_url = self.webhook_url(line, &url.value)?;
                let is_chat = format.is_some_and(Format::has_secret_url);
                if is_chat && !webhook_url.is_loopback() {
                    self.problem(
                        line,
                        "the URL of a chat's webhook is a secret: put it into a file, and give its path as `urlFile`",
                    );
                }
                Some(Target::Known(webhook_url))
            }
            (None, Some(file)) => {
                let line = file.referenced.line();
                let path = self.path_of(line, "urlFile", &file.value)?;
                let checked_secret = self.checked_secret(line, &path)?;
                self.webhook_url(line, checked_secret.expose())?;
                Some(Target::InFile(path))
            }
        }
    }

    fn webhook_url(&mut self, line: u64, text: &str) -> Option<WebhookUrl> {
        WebhookUrl::new(text)
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
        self.checked_secret(line, &path)?;
        Some(path)
    }

    /// Returns the path of a file that the settings name. Relative paths start in the directory of the settings file,
    /// wherever the process was started.
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

    /// Reads the secret once to check that it can be read; each attempt reads it again. Warns if every user can read it.
    fn checked_secret(&mut self, line: u64, path: &Path) -> Option<Secret> {
        match bounded_read::read_secret(path) {
            Ok(checked_secret) => {
                if checked_secret.world_readable {
                    tracing::warn!(
                        file = %path.display(),
                        "every user of this machine can read this secret: `chmod o= FILE`"
                    );
                }
                Some(checked_secret.secret)
            }
            Err(error) => {
                self.problem(line, &error.to_string());
                None
            }
        }
    }

    /// Parses the values of a list. An empty list is a problem, because a missing list means all.
    fn set_of<T: Ord>(
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
            let problem =
                format!("the list has no {what}: list one, or remove the field to mean all");
            self.problem(list.referenced.line(), &problem);
        }
        for word in list.value {
            match parse(&word.value) {
                Ok(value) => drop(found.insert(value)),
                Err(why) => {
                    let problem = match showable(&word.value) {
                        Some(word) => format!("the {what} `{word}` {why}"),
                        None => format!("a {what} in this list {why}"),
                    };
                    self.problem(word.referenced.line(), &problem);
                }
            }
        }
        found
    }
}

/// Returns the word if it can be shown, because it does not look like a URL or a key in the wrong place.
fn showable(word: &str) -> Option<&str> {
    let is_word = word
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_uppercase() || b"_-".contains(&b));
    (is_word && word.len() <= FIELD_LEN_MAX).then_some(word)
}

/// Describes a YAML error without quoting the file, which may contain a secret.
fn describe_yaml_error(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let known = expected.join("`, `");
            match showable(field) {
                Some(field) => {
                    format!("there is no field `{field}` here; the fields are `{known}`")
                }
                None => format!("there is no such field here; the fields are `{known}`"),
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
        // Other errors are about syntax or a limit, and do not quote the file.
        other => format!("this is not valid YAML: {}", brief(&other.to_string())),
    }
}
