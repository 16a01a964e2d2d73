//! What doctor finds on this machine: manifests, their commit, and the state directory.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Check, CheckName, Status};
use crate::manifest::{Diagnostic, Loaded, Revision};
use crate::report::CommitCheck;
use crate::store::{OpenError, StateSummary};
use crate::webhooks::WebhooksError;
use crate::words::plural;

/// The free space below which a warning is due. The state grows by a few kilobytes a write.
const SPACE_MIN: u64 = 100 * 1024 * 1024;
const OTHERS: u32 = 0o007;

/// The findings about the state directory.
pub struct StateFindings<'a> {
    pub path: &'a Path,
    /// The permission bits of the directory; `None` if it does not exist.
    pub mode: Option<u32>,
    /// Whether files can be created in it or, if it does not exist, in the existing part of its path.
    pub writable: bool,
    /// Free bytes on the disk, if the system reports them.
    pub free: Option<u64>,
    /// A summary of the state in it.
    pub summary: Result<StateSummary, OpenError>,
}

/// The version and platform of this program.
pub fn version() -> Check {
    let build = if cfg!(debug_assertions) {
        ", a debug build"
    } else {
        ""
    };
    let message = format!(
        "sharekeeper {} on {} {}{build}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    Check::new(CheckName::Version, Status::Passed, message)
}

/// Webhooks whose settings are valid; `hosts` are their hosts.
pub fn webhooks(hosts: &BTreeSet<String>) -> Check {
    let count = plural(hosts.len() as u64, "host");
    let message = format!("valid; {count} to call, and nothing was sent");
    Check::new(CheckName::Webhooks, Status::Passed, message)
}

/// Settings of webhooks that `run` would refuse at its start.
pub fn webhooks_broken(error: &WebhooksError) -> Check {
    let count = plural(error.problems.len() as u64, "problem");
    let first = error.problems.first().map_or("", String::as_str);
    let message = format!("{count}, the first: {first}");
    Check::new(CheckName::Webhooks, Status::Failed, message)
        .remedy("correct the file: `run` does not start with it")
}

/// Manifests that have no errors.
pub fn manifests(loaded: &Loaded) -> Check {
    let counts = format!(
        "{} valid, {}",
        plural(loaded.documents as u64, "document"),
        plural(loaded.desired.entries() as u64, "image")
    );
    match loaded.warnings.as_slice() {
        [] => Check::new(CheckName::Manifests, Status::Passed, counts),
        [first, ..] => {
            let warnings = plural(loaded.warnings.len() as u64, "warning");
            let message = format!("{counts}; {warnings}, the first: {first}");
            Check::new(CheckName::Manifests, Status::Warning, message)
                .remedy("`sharekeeper validate` shows each at its place")
        }
    }
}

pub fn manifests_broken(errors: &[Diagnostic]) -> Check {
    let message = match errors.first() {
        Some(first) => format!(
            "{}, the first: {first}",
            plural(errors.len() as u64, "error")
        ),
        None => "they cannot be read".into(),
    };
    Check::new(CheckName::Manifests, Status::Failed, message).remedy(
        "`sharekeeper validate` shows each at its place; where there are none yet, `sharekeeper import` writes them",
    )
}

/// The commit of the manifests, compared with the newest one that the state knows. `None` if neither is known.
pub fn commit(revision: &Revision, standing: &CommitCheck) -> Option<Check> {
    let status = match standing {
        CommitCheck::Fine => Status::Passed,
        CommitCheck::ByDate { .. } | CommitCheck::Older { .. } => Status::Warning,
        CommitCheck::Unknown { newest: None, .. } => Status::Warning,
        CommitCheck::Unknown { .. } => Status::Failed,
    };
    let Some(forecast) = standing.forecast() else {
        let checkout = revision.checkout()?;
        let dirty = match checkout.is_dirty() {
            true => ", with changes that are not committed",
            false => "",
        };
        let message = format!("the manifests are of commit {}{dirty}", checkout.commit());
        return Some(Check::new(CheckName::Commit, status, message));
    };
    let check = Check::new(CheckName::Commit, status, forecast);
    Some(match standing.remedy() {
        Some(remedy) => check.remedy(remedy),
        None => check,
    })
}

/// The state directory. If the state has a fault, its own error says what to do.
pub fn state_directory(findings: &StateFindings<'_>) -> Check {
    let path = findings.path.display();
    let check = |status, message: String| Check::new(CheckName::StateDirectory, status, message);
    let summary = match &findings.summary {
        Ok(summary) => summary,
        Err(error) => {
            return check(Status::Failed, error.to_string())
                .remedy("fix it first: `reconcile` refuses it, too");
        }
    };
    if !findings.writable {
        let message = format!("{path} cannot be written to by this user");
        return check(Status::Failed, message)
            .remedy("give the directory to the user that reconciles, or give another --state-dir");
    }
    let Some(mode) = findings.mode else {
        let message = format!("{path} does not exist yet; the first `reconcile` creates it");
        return check(Status::Passed, message);
    };
    let what = match &summary.owner {
        Some(owner) => format!(
            "schema version {}, owner {owner}, {} in the history (`history verify` checks them)",
            summary.schema,
            crate::report::entries(summary.history.entries)
        ),
        None => "not used yet".into(),
    };
    let holder = match &summary.holder {
        Some(holder) => format!("in use by {holder}"),
        None => "not in use at the moment".into(),
    };
    let free = findings
        .free
        .map(|bytes| format!(", {} MB free", bytes / (1024 * 1024)));
    let mode = mode & 0o7777;
    let message = format!(
        "{path} (mode {mode:04o}{}): {what}; {holder}",
        free.unwrap_or_default()
    );
    if mode & OTHERS != 0 {
        return check(Status::Warning, message)
            .remedy(format!("deny others access with `chmod o= {path}`"));
    }
    if summary.is_older {
        return check(Status::Warning, message).remedy(
            "an older sharekeeper wrote it; `sharekeeper state upgrade` brings it up to date, as does the next `reconcile`",
        );
    }
    if findings.free.is_some_and(|bytes| bytes < SPACE_MIN) {
        return check(Status::Warning, message)
            .remedy("make room: without it no write can be recorded, and none is sent");
    }
    check(Status::Passed, message)
}

/// A state without a usable place, or one that could not be read after all.
pub fn state_unreadable(why: &str) -> Check {
    Check::new(CheckName::StateDirectory, Status::Failed, why).remedy(
        "`sharekeeper status` shows whether this persists; --state-dir selects another place",
    )
}
