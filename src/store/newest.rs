//! The table `newest_commit`.

use rusqlite::{Connection, params};

use super::chain::Pen;
use super::error::Fault;
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

/// What becomes of a commit that is older than the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Older {
    /// It is refused, and the newest stays what it is.
    Refuse,
    /// It takes the place of the newest: somebody went back on purpose, and goes on from there.
    Accept,
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

/// Begins work on a commit, unless it is older than the newest and `older` refuses it: then that one is returned, and
/// nothing has changed.
pub(super) fn advance(
    pen: &Pen<'_>,
    commit: &Commit,
    older: Older,
) -> Result<Result<(), Newest>, Fault> {
    let newest = newest(pen.conn)?;
    if let Some(newest) = newest {
        if newest.commit == *commit {
            return Ok(Ok(()));
        }
        if older == Older::Refuse && commit.is_older_than(&newest.commit) {
            return Ok(Err(newest));
        }
    }
    // Of a date that is nonsense no order can be kept, and none is told by it.
    if is_storable(commit.committed) {
        rows::change(
            pen.conn,
            "INSERT OR REPLACE INTO newest_commit (one, hash, committed, since) VALUES (1, ?1, ?2, ?3)",
            params![commit.hash, stamp(commit.committed), stamp(pen.now.clock())],
        )?;
    }
    Ok(Ok(()))
}
