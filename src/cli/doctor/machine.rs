//! Doctor's checks of this machine: the manifests, the state directory, the commit, and the records of earlier runs. It
//! makes no calls.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cli::args::Paths;
use crate::cli::commit;
use crate::desired::Desired;
use crate::doctor::{self, Check, StateFindings};
use crate::history::HistoryEntry;
use crate::host::{SystemClock, SystemCommandRunner, free_space, may_write};
use crate::manifest::{self, GitBusyPolicy, Partial, Revision, RevisionError};
use crate::model::AccountName;
use crate::store::{HistoryQuery, Reader};
use crate::webhooks::Webhooks;

/// The number of history entries that are searched for outcomes that show permissions.
const OUTCOMES_MAX: usize = 200;

/// Reads the manifests. If some have errors, the valid files are used, because nothing is decided from them here.
pub(super) async fn manifests(paths: &Paths) -> (Check, Desired) {
    let clock = SystemClock::start();
    match manifest::load(
        &paths.paths,
        GitBusyPolicy::Read,
        &clock,
        &SystemCommandRunner,
    )
    .await
    {
        Ok(loaded) => (doctor::manifests(&loaded), loaded.desired),
        Err(broken) => {
            let check = doctor::manifests_broken(broken.diagnostics().errors());
            let good = broken.into_good().map(Partial::into_partial_desired);
            (check, good.unwrap_or_default())
        }
    }
}

/// Checks the state directory. Also returns the state itself, if it can be trusted.
pub(super) fn state(directory: &Path) -> (Check, Option<Reader>) {
    let mode = fs::metadata(directory).map(|metadata| metadata.permissions().mode());
    let existing = existing_ancestor(directory);
    let reader = Reader::open(directory);
    let (summary, reader) = match reader {
        Ok(reader) => match reader.summary() {
            Ok(summary) => (Ok(summary), Some(reader)),
            Err(error) => {
                let check = doctor::state_unreadable(&error.to_string());
                return (check, None);
            }
        },
        Err(error) => (Err(error), None),
    };
    let findings = StateFindings {
        path: directory,
        mode: mode.ok(),
        writable: may_write(&existing),
        free: free_space(&existing),
        summary,
    };
    (doctor::state_directory(&findings), reader)
}

/// Asks git for the commit of the manifests. `None` if the manifests do not exist, which their own check reports.
pub(super) async fn commit(paths: &Paths, reader: Option<&Reader>) -> Option<Check> {
    let revision = Revision::of(&paths.paths, &SystemCommandRunner).await;
    if matches!(revision, Revision::Unknown(RevisionError::Gone { .. })) {
        return None;
    }
    // A state that cannot be read is reported by the check of the state.
    let newest = reader.and_then(|reader| reader.newest().ok().flatten());
    let standing = commit::standing(&revision, newest).await;
    doctor::commit(&revision, &standing)
}

/// Checks the webhooks in `file`. Also returns the hosts that they call.
pub(super) fn webhooks(file: Option<&Path>) -> (Option<Check>, BTreeSet<String>) {
    let Some(file) = file else {
        return (None, BTreeSet::new());
    };
    match Webhooks::load(file) {
        Ok(webhooks) => {
            let hosts = webhooks.hosts();
            (Some(doctor::webhooks(&hosts)), hosts)
        }
        Err(error) => (Some(doctor::webhooks_broken(&error)), BTreeSet::new()),
    }
}

/// The innermost directory of a path that exists.
fn existing_ancestor(path: &Path) -> PathBuf {
    let mut levels = path.ancestors().filter(|level| level.exists());
    levels
        .next()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// The newest outcomes of an account's writes, in order. Empty if the state cannot be read, which its own check
/// reports.
pub(super) fn outcomes(reader: Option<&Reader>, account: &AccountName) -> Vec<HistoryEntry> {
    let query = HistoryQuery {
        accounts: BTreeSet::from([account.clone()]),
        events: BTreeSet::from(["outcome".to_owned()]),
        limit: Some(OUTCOMES_MAX),
        ..HistoryQuery::default()
    };
    let entries = reader.map(|reader| reader.history(&query));
    entries.and_then(Result::ok).unwrap_or_default()
}
