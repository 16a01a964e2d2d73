//! Migrates a state on request, and keeps a copy of the state before.

use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::files::Files;
use super::open::{self, DirectoryState, WalIndex};
use super::options::Options;
use super::schema::{self, MIGRATIONS};
use super::space;
use crate::model::Timestamp;

/// The result of migrating a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The schema version that was found.
    pub from: i64,
    /// The newest schema version, which the state has now.
    pub to: i64,
    /// The copy of the state before its migration; `None` if it was already of the newest version.
    pub backup: Option<PathBuf>,
    /// The size of the database in bytes before.
    pub bytes_before: u64,
    /// The size of the database in bytes now.
    pub bytes_after: u64,
}

/// Migrates the state in a directory, unless another process reconciles with it. Returns `None` if the directory was
/// never used.
pub(super) fn upgrade(
    dir: &Path,
    options: &Options,
    now: Timestamp,
) -> Result<Option<Upgrade>, OpenError> {
    let files = Files::new(dir);
    if open::inspect(&files, MIGRATIONS, WalIndex::Repair)? == DirectoryState::Unused {
        return Ok(None);
    }
    let taken = open::take(&files, &options.holder(now))?;
    let DirectoryState::InUse { version: from } = taken.found else {
        return Ok(None);
    };
    let to = schema::latest(MIGRATIONS);
    let backup = if from < to {
        let name = format!("state-schema-{from}-{}.db", now.format("%Y%m%dT%H%M%SZ"));
        Some(space::copy(&files, &taken.conn, &name)?)
    } else {
        None
    };
    let size = || Ok::<_, OpenError>(files.database_len()?.unwrap_or(0));
    let bytes_before = size()?;
    let opened = taken.bring_up_to_date(&files, now)?;
    space::convert(&files, &opened.conn)?;
    space::write_log_back(&files, &opened.conn)?;
    Ok(Some(Upgrade {
        from,
        to,
        backup,
        bytes_before,
        bytes_after: size()?,
    }))
}
