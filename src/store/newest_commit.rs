//! The table `newest_commit`: the newest commit of the manifests that was worked on, so that an older one does not
//! replace it. How two commits compare is decided elsewhere.

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::history_writer::HistoryWriter;
use super::rows::{self, format_time, is_storable};
use crate::model::{Commit, Timestamp};

/// The newest commit of the manifests that was worked on with a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestCommit {
    pub commit: Commit,
    /// When work on the commit began.
    pub since: Timestamp,
}

/// A commit that should become the newest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommitAdvance {
    pub(super) commit: Commit,
    /// The newest commit when the two were compared.
    pub(super) over: Option<Commit>,
}

/// The newest commit that was worked on, if there was one.
pub(super) fn newest(conn: &Connection) -> Result<Option<NewestCommit>, StoreError> {
    rows::query_first(
        conn,
        "SELECT hash, committed, since FROM newest_commit",
        [],
        |row| {
            Ok(NewestCommit {
                commit: Commit {
                    hash: row.get("hash")?,
                    committed: row.time("committed")?,
                },
                since: row.time("since")?,
            })
        },
    )
}

/// Makes a commit the newest one. If the newest commit is no longer the one that it was compared with, this is an error
/// and nothing changes.
pub(super) fn advance(
    writer: &HistoryWriter<'_>,
    advance: &CommitAdvance,
) -> Result<(), StoreError> {
    let CommitAdvance { commit, over } = advance;
    let newest = newest(writer.conn)?.map(|newest| newest.commit);
    if newest.as_ref() == Some(commit) {
        return Ok(());
    }
    if newest != *over {
        let other = newest.map_or_else(|| "none".into(), |newest| newest.to_string());
        return Err(StoreError::request(format!(
            "the newest commit of the manifests has changed in the meantime (it is {other}): run this again"
        )));
    }
    // A nonsensical date cannot be stored in sortable form, and nothing can be compared with it.
    if is_storable(commit.committed) {
        rows::execute(
            writer.conn,
            "INSERT OR REPLACE INTO newest_commit (one, hash, committed, since) VALUES (1, ?1, ?2, ?3)",
            params![
                commit.hash,
                format_time(commit.committed),
                format_time(writer.now.clock())
            ],
        )?;
    }
    Ok(())
}
