//! What `doctor` found: checks, each with what was seen and, where it is called for, what to do. Values in, lines out:
//! nothing here asks anybody.

mod account;
mod machine;
mod policy;
mod reach;
mod routes;
mod written;

use std::fmt::Write;

use anstyle::AnsiColor;
use serde::Serialize;

use crate::model::{AccountName, Region};
use crate::report::{ExitStatus, FORMAT_VERSION, heading};
use crate::words::{safe, without_secrets};

pub use account::{clocks, credentials, identity, rate_budget, told_apart};
pub use machine::{
    StateLook, commit, manifests, manifests_broken, state_directory, state_unreadable, version,
    webhooks, webhooks_broken,
};
pub use policy::PolicyDocument;
pub use reach::{Answer, access_point, reading, unasked};
pub use routes::{proxy_broken, routes};
pub use written::{is_of_role, service_role, write_permission};

/// What a check is about, in the order in which it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    Version,
    /// Whether the manifests can be read and are valid.
    Manifests,
    /// Where the state is kept.
    StateDirectory,
    /// Which commit the manifests are of, and whether it may be worked on.
    Commit,
    /// Whether the settings of webhooks can be used.
    Webhooks,
    /// How the hosts are reached that a run calls.
    Proxy,
    /// An account that is asked for.
    Account,
    /// Whether there are any, and where from.
    Credentials,
    /// The account that the credentials belong to.
    Identity,
    /// This machine's clock against the API's.
    Clock,
    /// Whether the API is reached for a region.
    AccessPoint,
    /// Whether the key may look.
    ReadPermission,
    /// Whether the key may share.
    WritePermission,
    /// Whether Lighthouse may do what it is asked to.
    ServiceRole,
    /// What the account may spend, and with whom it shares that.
    RateBudget,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Passed,
    /// Works, and may not for long.
    Warning,
    /// The check failed, and a run would, too.
    Failed,
    /// It could not be checked.
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    name: CheckName,
    account: Option<String>,
    region: Option<&'static str>,
    status: Status,
    message: String,
    remedy: Option<String>,
    /// How each host is reached, in the check of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<routes::Route>,
}

impl CheckName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Manifests => "manifests",
            Self::StateDirectory => "state directory",
            Self::Commit => "commit",
            Self::Webhooks => "webhooks",
            Self::Proxy => "proxy",
            Self::Account => "account",
            Self::Credentials => "credentials",
            Self::Identity => "identity",
            Self::Clock => "clock",
            Self::AccessPoint => "access point",
            Self::ReadPermission => "read permission",
            Self::WritePermission => "write permission",
            Self::ServiceRole => "service role",
            Self::RateBudget => "rate budget",
        }
    }
}

impl Status {
    fn paint(self) -> String {
        let (word, colour) = match self {
            Self::Passed => ("passed", AnsiColor::Green),
            Self::Warning => ("warning", AnsiColor::Yellow),
            Self::Failed => ("failed", AnsiColor::Red),
            Self::Skipped => ("skipped", AnsiColor::Cyan),
        };
        let style = colour.on_default();
        format!("{style}{word:<7}{style:#}")
    }
}

impl Check {
    /// A check of the machine; `message` is one line. Foreign text in it is made safe, and loses what may be a secret.
    pub fn new(name: CheckName, status: Status, message: impl AsRef<str>) -> Self {
        Self {
            name,
            account: None,
            region: None,
            status,
            message: safe(&without_secrets(message.as_ref())),
            remedy: None,
            routes: Vec::new(),
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(self, remedy: impl AsRef<str>) -> Self {
        Self {
            remedy: Some(safe(&without_secrets(remedy.as_ref()))),
            ..self
        }
    }

    /// Says whose it is.
    #[must_use]
    pub fn of(self, account: &AccountName) -> Self {
        Self {
            account: Some(account.to_string()),
            ..self
        }
    }

    /// Adds the account and region that it is about.
    #[must_use]
    pub fn at(self, region: Region) -> Self {
        Self {
            region: Some(region.as_str()),
            ..self
        }
    }
}

/// What `doctor -o json` prints.
#[derive(Debug, Serialize)]
pub struct DoctorDocument {
    format_version: u32,
    exit_code: ExitStatus,
    summary: Summary,
    checks: Vec<Check>,
}

/// Checks by how they ended.
#[derive(Debug, Default, Serialize)]
struct Summary {
    passed: usize,
    warning: usize,
    failed: usize,
    skipped: usize,
}

impl DoctorDocument {
    /// Of `checks`, those of one account together. Only what failed makes the exit status 1.
    pub fn new(checks: Vec<Check>) -> Self {
        let mut summary = Summary::default();
        for check in &checks {
            match check.status {
                Status::Passed => summary.passed += 1,
                Status::Warning => summary.warning += 1,
                Status::Failed => summary.failed += 1,
                Status::Skipped => summary.skipped += 1,
            }
        }
        let exit = match summary.failed {
            0 => ExitStatus::Done,
            _ => ExitStatus::Error,
        };
        Self {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            summary,
            checks,
        }
    }

    /// The process's exit status, which is also the document's.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    pub fn text(&self) -> String {
        const NAME_WIDTH: usize = 16;
        let mut text = String::new();
        let mut account = None;
        // Writing to a String cannot fail.
        for check in &self.checks {
            if check.account.as_deref() != account {
                account = check.account.as_deref();
                let name = heading(format_args!("Account {}", account.unwrap_or_default()));
                let _ = writeln!(text, "\n{name}");
            }
            let (status, name) = (check.status.paint(), check.name.as_str());
            let _ = write!(text, "{status}  {name:<NAME_WIDTH$}  ");
            if let Some(region) = check.region {
                let _ = write!(text, "{region}: ");
            }
            let _ = writeln!(text, "{}", check.message);
            if let Some(remedy) = &check.remedy {
                let _ = writeln!(text, "{:7}  {:<NAME_WIDTH$}  → {remedy}", "", "");
            }
        }
        let Summary {
            passed,
            warning,
            failed,
            skipped,
        } = &self.summary;
        let _ = writeln!(
            text,
            "\nDoctor: {passed} passed, {warning} with a warning, {failed} failed, {skipped} skipped."
        );
        text
    }
}
