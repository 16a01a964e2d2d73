//! Reopens a state after a write to it failed, if it is still the same. A failed commit may have left data in the log;
//! nothing is built on it until all of it is in the database and on disk.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::chain::end_transaction;
use super::error::{ErrorKind, OpenError, StoreError};
use super::integrity::IntegrityCheck;
use super::open;
use super::patience::Patience;
use super::request::Settle;
use super::write_ahead_log::Checkpoint;

/// Why a state could not be reopened.
#[derive(Debug)]
pub(super) enum NotReopened {
    /// It still cannot be written.
    StillFailing(StoreError),
    /// The state is another or an earlier one, or there is none.
    Other(StoreError),
}

impl From<StoreError> for NotReopened {
    fn from(error: StoreError) -> Self {
        match error.kind {
            ErrorKind::Lost(_) => Self::Other(error),
            _ => Self::StillFailing(error),
        }
    }
}

impl From<OpenError> for NotReopened {
    fn from(error: OpenError) -> Self {
        Self::StillFailing(StoreError::broken(error.to_string()).caused_by(error))
    }
}

impl From<rusqlite::Error> for NotReopened {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Replaces the connection by a new one, if the files are those that were opened and contain the known history. `settle`
/// closes what the failed commit has left.
pub(super) fn reopen(
    slot: &mut Option<Connection>,
    integrity: &mut IntegrityCheck,
    patience: &Patience,
    settle: Settle,
) -> Result<(), NotReopened> {
    integrity.check_identity()?;
    // The last connection of a process takes its memory with it, and what SQLite believes to be on disk.
    *slot = None;
    let files = integrity.files().clone();
    let mut conn = open::connect_to_existing(&files)?;
    patience.install(&mut conn)?;
    integrity.check_identity()?;
    open::check_pages(&files, &conn)?;
    // The disk may have lost pages that it once refused to write, although they can still be read. Writing them into the
    // database writes them again.
    let is_written_back = patience.without_waiting(|| Checkpoint::Truncate.run(&conn))?;
    if !is_written_back {
        let text = "the log of the state cannot be written back while another process uses it";
        return Err(StoreError::broken(text).into());
    }
    let transaction = Transaction::new_unchecked(&conn, TransactionBehavior::Immediate)?;
    let known = integrity.check_history(&transaction)?;
    settle(&transaction, known)?;
    let ends = end_transaction(transaction, true)?;
    integrity.restart(ends)?;
    *slot = Some(conn);
    Ok(())
}
