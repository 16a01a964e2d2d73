//! The results of `doctor`: checks, each with a finding and, if necessary, a remedy. It turns values into lines and
//! makes no calls.

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
    StateFindings, commit, manifests, manifests_broken, state_directory, state_unreadable, version,
    webhooks, webhooks_broken,
};
pub use policy::PolicyDocument;
pub use reach::{Answer, access_point, reading, unasked};
pub use routes::{proxy_broken, routes};
pub use written::{is_of_role, service_role, write_permission};

/// The subject of a check. Checks are shown in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    Version,
    /// Whether the manifests can be read and are valid.
    Manifests,
    /// The place of the state.
    StateDirectory,
    /// The commit of the manifests, and whether it may be applied.
    Commit,
    /// Whether the settings of webhooks can be used.
    Webhooks,
    /// How the hosts that a run calls are reached.
    Proxy,
    /// Whether an account that the user named exists.
    Account,
    /// Whether there are credentials, and their source.
    Credentials,
    /// The account that the credentials belong to.
    Identity,
    /// This machine's clock, compared with the API's.
    Clock,
    /// Whether the API can be reached for a region.
    AccessPoint,
    /// Whether the key may read.
    ReadPermission,
    /// Whether the key may share images.
    WritePermission,
    /// Whether Lighthouse can assume its service role.
    ServiceRole,
    /// The rate that the account may use, and the accounts that share it.
    RateBudget,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is as it should be.
    Passed,
    /// It works, but may fail later.
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
    /// How each host is reached; filled for the proxy check alone.
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
    /// A check of the machine; `message` is one line. Untrusted text in it is made safe, and possible secrets are
    /// removed.
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

    /// Adds the remedy, what a person can do.
    #[must_use]
    pub fn remedy(self, remedy: impl AsRef<str>) -> Self {
        Self {
            remedy: Some(safe(&without_secrets(remedy.as_ref()))),
            ..self
        }
    }

    /// Sets the account that it is about.
    #[must_use]
    pub fn of(self, account: &AccountName) -> Self {
        Self {
            account: Some(account.to_string()),
            ..self
        }
    }

    /// Sets the region that it is about.
    #[must_use]
    pub fn at(self, region: Region) -> Self {
        Self {
            region: Some(region.as_str()),
            ..self
        }
    }
}

/// The document that `doctor -o json` prints.
#[derive(Debug, Serialize)]
pub struct DoctorDocument {
    format_version: u32,
    exit_code: ExitStatus,
    summary: Summary,
    checks: Vec<Check>,
}

/// The number of checks by status.
#[derive(Debug, Default, Serialize)]
struct Summary {
    passed: usize,
    warning: usize,
    failed: usize,
    skipped: usize,
}

impl DoctorDocument {
    /// Builds the document; checks of one account stand together. Only failed checks make the exit status 1.
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
