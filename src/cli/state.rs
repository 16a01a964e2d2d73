//! The state directory for commands: its place, the purposes for opening it, and the data that commands read from it.
//! Its content belongs to `store`.

use std::path::{Path, PathBuf};

use super::args::Common;
use super::output::{self, Failure};
use crate::host::{Clock, SystemClock};
use crate::inventory::Orphans;
use crate::ledger::{Ledger, LedgerReader};
use crate::model::{ImageKey, Labels, Present, Scope, Selector, Timestamp};
use crate::plan::Prune;
use crate::report::Parked;
use crate::store::{OperatorStore, Options, Reader, Store, Upgrade};
use crate::words::brief;

/// The place of the state. The simulator's state is separate, because its shares are not real.
pub(super) fn directory(common: &Common, sim: bool) -> Result<PathBuf, Failure> {
    let base = base(common)?;
    Ok(if sim { base.join("sim") } else { base })
}

/// The value of `--state-dir`, or its default.
pub(super) fn base(common: &Common) -> Result<PathBuf, Failure> {
    match &common.state_dir {
        Some(given) => Ok(given.clone()),
        None => xdg_state_directory(),
    }
}

/// sharekeeper's directory by the XDG Base Directory Specification, which does not allow relative paths.
pub(super) fn xdg_state_directory() -> Result<PathBuf, Failure> {
    let given = |name| std::env::var_os(name).map(PathBuf::from);
    let variable = |name| given(name).filter(|path| path.is_absolute());
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let refused = || {
        let relative = ["XDG_STATE_HOME", "HOME"].into_iter().find_map(|name| {
            let path = given(name).filter(|path| !path.as_os_str().is_empty())?;
            Some((name, path))
        });
        match relative {
            Some((name, path)) => Failure::new(format_args!(
                "{name} is a relative path (`{}`), which depends on where sharekeeper is started; make it absolute, or give --state-dir",
                brief(&path.to_string_lossy())
            )),
            None => Failure::new("neither XDG_STATE_HOME nor HOME is set; give --state-dir"),
        }
    };
    base.map(|base| base.join("sharekeeper"))
        .ok_or_else(refused)
}

/// The time that this machine's wall clock shows.
pub(super) fn now() -> Timestamp {
    SystemClock::start().now()
}

/// Opens the state for the one process that reconciles.
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
    Store::open(directory, &options, now).map_err(|error| Failure::from_error(&error))
}

/// Closes the state. Everything that was recorded is already stored, so a failure here is only a warning.
pub(super) fn close(store: Store) {
    // The loss of the state has already been reported.
    let is_reported = store.failure().is_some();
    if let Err(error) = store.close()
        && !is_reported
    {
        output::warn(format_args!("the state was not closed cleanly: {error}"));
    }
}

/// Opens the state for reading only.
pub(super) fn read(directory: &Path) -> Result<Reader, Failure> {
    Reader::open(directory).map_err(|error| Failure::from_error(&error))
}

/// Opens the state for requests of people about images, which are allowed while another process reconciles.
pub(super) fn open_for_operator(directory: &Path, command: &str) -> Result<OperatorStore, Failure> {
    OperatorStore::open(directory, &options(command), now)
        .map_err(|error| Failure::from_error(&error))
}

/// Migrates the state, unless a process reconciles with it. `None` if it was never used.
pub(super) fn upgrade(directory: &Path) -> Result<Option<Upgrade>, Failure> {
    Store::upgrade(directory, &options("state upgrade"), now())
        .map_err(|error| Failure::from_error(&error))
}

/// Deletes a state. Only the simulator's state is ever deleted.
pub(super) fn forget(directory: &Path) -> Result<(), Failure> {
    Store::forget(directory, &options("--sim-reset"), now)
        .map_err(|error| Failure::from_error(&error))
}

/// The person who runs this command, for the history: `USER@MACHINE`.
pub(super) fn operator_name() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    format!(
        "{}@{}",
        brief(user.as_deref().unwrap_or("somebody")),
        machine_name()
    )
}

fn options(command: &str) -> Options {
    Options::new(command, &machine_name())
}

fn machine_name() -> String {
    brief(&gethostname::gethostname().to_string_lossy())
}

/// A warning for a state that was never used before: it counts no share as ours, so `prune` may cancel other images
/// than the person expects. `None` if pruning is off.
pub(super) fn new_state_warning(directory: &Path, prune: Prune) -> Option<String> {
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
        "the state in {} is new, so no share counts as made by sharekeeper yet: {what}, or adopt the shares with \
         `sharekeeper adopt`",
        directory.display()
    ))
}

/// Images of ours in scopes that are not `is_named`.
pub(super) fn orphans(
    reader: &Reader,
    is_named: impl Fn(&Scope) -> bool,
) -> Result<Orphans, Failure> {
    let summary = reader.summary().map_err(Failure::new)?;
    let owned = summary.scopes.into_iter().map(|(scope, counts)| {
        let images = counts.acknowledged + counts.adopted + counts.probable;
        (scope, images)
    });
    Ok(Orphans::find(owned, is_named))
}

/// The parked images among those that `selector` selects.
pub(super) async fn parked_images(
    reader: &Reader,
    selector: &Selector,
) -> Result<Vec<Parked>, Failure> {
    let summary = reader.summary().map_err(Failure::new)?;
    let mut parked = Vec::new();
    for (scope, counts) in summary.scopes {
        if counts.parked == 0 || !selector.reaches(&scope) {
            continue;
        }
        let inventory = reader.inventory(&scope).await.map_err(Failure::new)?;
        for (image, entry) in inventory.images {
            let mut names = inventory.memory.names.iter();
            let image_name = names.find(|(_, meaning)| **meaning == image);
            let image_name = image_name.map(|(name, _)| name.clone());
            let key = ImageKey {
                scope: scope.clone(),
                image,
            };
            if let Some(since) = entry.parked_since
                && selector.matches(&key, &Labels::new())
            {
                parked.push(Parked {
                    key,
                    image_name,
                    since,
                });
            }
        }
    }
    Ok(parked)
}
