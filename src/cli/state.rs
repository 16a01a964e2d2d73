//! The state directory, as commands use it.

use std::path::{Path, PathBuf};

use super::args::Common;
use super::output::Failure;
use crate::host::{Clock, SystemClock};
use crate::ledger::Ledger;
use crate::model::{Present, Scope, Timestamp};
use crate::plan::Prune;
use crate::store::{OpenError, OperatorStore, Options, Reader, Store};
use crate::words::plural;

/// Where the state is. The simulator's is apart: what it shared is no real share.
pub(super) fn directory(common: &Common, sim: bool) -> Result<PathBuf, Failure> {
    let base = match &common.state_dir {
        Some(given) => given.clone(),
        None => xdg()?,
    };
    Ok(if sim { base.join("sim") } else { base })
}

/// The XDG state directory.
fn xdg() -> Result<PathBuf, Failure> {
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    base.map(|base| base.join("sharekeeper"))
        .ok_or_else(|| Failure::new("neither XDG_STATE_HOME nor HOME is set; give --state-dir"))
}

/// The machine's wall clock.
pub(super) fn now() -> Timestamp {
    SystemClock::start().now()
}

/// The state of the one process that reconciles.
pub(super) fn open(
    directory: &Path,
    command: &str,
    commit: Option<String>,
    history_max: u64,
    now: impl Fn() -> Present + 'static,
) -> Result<Store, Failure> {
    let options = Options {
        commit,
        history_max,
        ..options(command)
    };
    Store::open(directory, &options, now).map_err(refused)
}

/// Everything is kept by now; what fails is tidying up.
pub(super) fn close(store: Store) {
    // What is lost was told of as that.
    let is_told = store.failure().is_some();
    if let Err(error) = store.close()
        && !is_told
    {
        super::output::warn(format_args!(
            "the state was not left in the best order: {error}"
        ));
    }
}

/// The state to look at.
pub(super) fn read(directory: &Path) -> Result<Reader, Failure> {
    Reader::open(directory).map_err(refused)
}

/// The state to remark on.
pub(super) fn remark(directory: &Path, command: &str) -> Result<OperatorStore, Failure> {
    OperatorStore::open(directory, &options(command), now).map_err(refused)
}

/// Removes a state. Only the simulator's is ever removed.
pub(super) fn forget(directory: &Path) -> Result<(), Failure> {
    Store::forget(directory, &options("--sim-reset"), now).map_err(refused)
}

/// Who runs this, for the history: user and machine.
pub(super) fn by() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    format!(
        "{}@{}",
        crate::words::brief(user.as_deref().unwrap_or("somebody")),
        machine()
    )
}

fn options(command: &str) -> Options {
    Options::new(command, &machine())
}

fn machine() -> String {
    crate::words::brief(&gethostname::gethostname().to_string_lossy())
}

fn refused(error: OpenError) -> Failure {
    Failure::from_error(&error)
}

/// A warning that a state which was never used before knows nothing as ours, where something is to be pruned.
pub(super) fn describe_new(directory: &Path, prune: Prune) -> Option<String> {
    let what = match prune {
        Prune::None => return None,
        Prune::Owned => {
            "`--prune owned` cancels none of them; if an earlier state knows them, give its --state-dir or restore it"
        }
        Prune::Exclusive => {
            "`--prune exclusive` counts all shares as somebody else's; if an earlier state knows them, give its --state-dir or restore it"
        }
    };
    Some(format!(
        "the state in {} is new, so no share counts as made by sharekeeper yet: {what}, or take the shares over with \
         `sharekeeper adopt`",
        directory.display()
    ))
}

/// Scopes that hold images of ours and that no manifest names. They are left alone: an account or a region that is
/// gone from the manifests may be gone by mistake.
pub(super) fn orphans(
    reader: &Reader,
    named: impl Fn(&Scope) -> bool,
) -> Result<Vec<(Scope, u64)>, Failure> {
    let summary = reader.summary().map_err(Failure::new)?;
    let scopes = summary.scopes.into_iter();
    let orphans = scopes.filter_map(|(scope, counts)| {
        let ours = counts.acknowledged + counts.adopted + counts.probable;
        (ours > 0 && !named(&scope)).then_some((scope, ours))
    });
    Ok(orphans.collect())
}

/// A warning of them.
pub(super) fn describe_orphans(orphans: &[(Scope, u64)]) -> Option<String> {
    if orphans.is_empty() {
        return None;
    }
    let images: u64 = orphans.iter().map(|(_, count)| count).sum();
    let scopes: Vec<_> = orphans.iter().map(|(scope, _)| scope.to_string()).collect();
    Some(format!(
        "{} that sharekeeper shared are left alone, because no manifest names their account and region any longer: {}; \
         if the account was renamed, the next run takes over what is proven to be its own; to have them cancelled, declare them `unshared`; to forget them, `sharekeeper adopt --release` with their `--account` and `--region`",
        plural(images, "image"),
        scopes.join(", ")
    ))
}
