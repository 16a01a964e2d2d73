use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cli::args::Paths;
use crate::cli::commit;
use crate::desired::Desired;
use crate::doctor::{self as found, Check, StateLook};
use crate::history::HistoryEntry;
use crate::host::{SystemClock, SystemCommandRunner, free_space, may_write};
use crate::manifest::{self, Partial, Revision, Unknown, WhileGitWorks};
use crate::model::AccountName;
use crate::store::{HistoryQuery, Reader};

/// Entries of the history in which something that tells is looked for.
const OUTCOMES_MAX: usize = 200;

/// Reads the manifests. Of a set with errors what is good is gone on with: nothing is decided on it here.
pub(super) async fn manifests(paths: &Paths) -> (Check, Desired) {
    let clock = SystemClock::start();
    match manifest::load(
        &paths.paths,
        WhileGitWorks::Read,
        &clock,
        &SystemCommandRunner,
    )
    .await
    {
        Ok(loaded) => (found::manifests(&loaded), loaded.desired),
        Err(broken) => {
            let check = found::manifests_broken(broken.diagnostics().errors());
            let good = broken.into_good().map(Partial::into_partial_desired);
            (check, good.unwrap_or_default())
        }
    }
}

/// Looks at the state directory; also the state itself, if it can be trusted.
pub(super) fn state(directory: &Path) -> (Check, Option<Reader>) {
    let mode = fs::metadata(directory).map(|found| found.permissions().mode());
    let there = there_of(directory);
    let reader = Reader::open(directory);
    let (summary, reader) = match reader {
        Ok(reader) => match reader.summary() {
            Ok(summary) => (Ok(summary), Some(reader)),
            Err(error) => {
                let check = found::state_unreadable(&error.to_string());
                return (check, None);
            }
        },
        Err(error) => (Err(error), None),
    };
    let look = StateLook {
        path: directory,
        mode: mode.ok(),
        writable: may_write(&there),
        free: free_space(&there),
        summary,
    };
    (found::state_directory(&look), reader)
}

/// Asks git for the commit of the manifests, unless they are not there, which is told of with them.
pub(super) async fn commit(paths: &Paths, reader: Option<&Reader>) -> Option<Check> {
    let revision = Revision::of(&paths.paths, &SystemCommandRunner).await;
    if matches!(revision, Revision::Unknown(Unknown::Gone { .. })) {
        return None;
    }
    // What cannot be read tells nothing, and is told of with the state.
    let newest = reader.and_then(|reader| reader.newest().ok().flatten());
    let standing = commit::standing(&revision, newest).await;
    found::commit(&revision, &standing)
}

/// What is there of a path.
fn there_of(path: &Path) -> PathBuf {
    let mut levels = path.ancestors().filter(|level| level.exists());
    levels
        .next()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// The newest outcomes of an account's writes, in order. What cannot be read tells nothing, and is told of with the
/// state.
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
