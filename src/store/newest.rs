//! The table `newest_commit`.

use rusqlite::{Connection, params};

use super::error::Fault;
use super::history_writer::HistoryWriter;
use super::rows::{self, is_storable, stamp};
use crate::model::{Commit, Timestamp};

/// The newest commit of the manifests that was worked on with a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Which.
    pub commit: Commit,
    /// When work on it began.
    pub since: Timestamp,
}

/// A commit that is to become the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advance {
    pub(super) commit: Commit,
    /// What was the newest when the two were compared.
    pub(super) over: Option<Commit>,
}

/// The newest commit, if there was one.
pub(super) fn newest(conn: &Connection) -> Result<Option<Newest>, Fault> {
    rows::first(
        conn,
        "SELECT hash, committed, since FROM newest_commit",
        [],
        |row| {
            Ok(Newest {
                commit: Commit {
                    hash: row.get("hash")?,
                    committed: row.time("committed")?,
                },
                since: row.time("since")?,
            })
        },
    )
}

/// Makes a commit the newest, unless the newest is no longer what the commit was compared with: then that is an error,
/// and nothing has changed.
pub(super) fn advance(pen: &HistoryWriter<'_>, advance: &Advance) -> Result<(), Fault> {
    let Advance { commit, over } = advance;
    let newest = newest(pen.conn)?.map(|newest| newest.commit);
    if newest.as_ref() == Some(commit) {
        return Ok(());
    }
    if newest != *over {
        let other = newest.map_or_else(|| "none".into(), |newest| newest.to_string());
        return Err(Fault::request(format!(
            "the newest commit of the manifests has become another one meanwhile ({other}): run this again"
        )));
    }
    // The order of a date that is nonsense would be lost, and none is told by it.
    if is_storable(commit.committed) {
        rows::change(
            pen.conn,
            "INSERT OR REPLACE INTO newest_commit (one, hash, committed, since) VALUES (1, ?1, ?2, ?3)",
            params![commit.hash, stamp(commit.committed), stamp(pen.now.clock())],
        )?;
    }
    Ok(())
}
