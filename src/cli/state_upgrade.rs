//! `state upgrade`: brings the state of an older version up to date, and keeps a copy of the old state.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::args::{Common, StateArguments, StateCommand, StateCommandArguments};
use super::output::{self, Failure};
use super::state;
use crate::report::{ExitStatus, FORMAT_VERSION};
use crate::store::Upgrade;
use crate::words::safe;

/// The document that `state upgrade -o json` prints.
#[derive(Serialize)]
struct UpgradeDocument {
    format_version: u32,
    exit_code: ExitStatus,
    state_dir: String,
    /// Whether the schema was migrated.
    upgraded: bool,
    /// The schema version before; null if the directory was never used.
    from_version: Option<i64>,
    /// The schema version now; null if the directory was never used.
    to_version: Option<i64>,
    /// The copy of the old state; null if there was nothing to migrate.
    backup: Option<String>,
    /// The size of `state.db` before and now.
    bytes_before: u64,
    bytes_after: u64,
}

pub(super) async fn run(
    arguments: &StateCommandArguments,
    common: &Common,
) -> Result<ExitStatus, Failure> {
    match &arguments.command {
        StateCommand::Upgrade(arguments) => upgrade(arguments, common),
    }
}

fn upgrade(arguments: &StateArguments, common: &Common) -> Result<ExitStatus, Failure> {
    let directory = state::directory(common, arguments.sim)?;
    let upgraded = state::upgrade(&directory)?;
    let document = UpgradeDocument::new(&directory, upgraded.as_ref());
    output::print(common.output, &document, &document.text())?;
    Ok(ExitStatus::Done)
}

impl UpgradeDocument {
    fn new(directory: &Path, upgrade: Option<&Upgrade>) -> Self {
        let backup = upgrade.and_then(|done| done.backup.as_deref());
        Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            state_dir: safe(&directory.to_string_lossy()),
            upgraded: upgrade.is_some_and(|done| done.from < done.to),
            from_version: upgrade.map(|done| done.from),
            to_version: upgrade.map(|done| done.to),
            backup: backup.map(|path| safe(&path.to_string_lossy())),
            bytes_before: upgrade.map_or(0, |done| done.bytes_before),
            bytes_after: upgrade.map_or(0, |done| done.bytes_after),
        }
    }

    fn text(&self) -> String {
        let mut text = match (self.from_version, self.to_version) {
            (Some(from), Some(to)) if self.upgraded => format!(
                "{}: upgraded from schema version {from} to {to}\n",
                self.state_dir
            ),
            (_, Some(to)) => format!(
                "{}: has the newest schema version already ({to})\n",
                self.state_dir
            ),
            (_, None) => format!(
                "{}: was never used, so there is nothing to upgrade\n",
                self.state_dir
            ),
        };
        // Writing to a string cannot fail.
        if let Some(backup) = &self.backup {
            let _ = writeln!(
                text,
                "the old state is in {backup}; delete it once it is no longer needed"
            );
        }
        if self.bytes_after < self.bytes_before {
            let _ = writeln!(
                text,
                "state.db: {} instead of {} bytes",
                self.bytes_after, self.bytes_before
            );
        }
        text
    }
}
