//! The history as a chain: the hash of each entry covers its own text and the hash of the entry before it, so that a
//! changed, missing or added entry shows. The chain guards against accidents and damage, and against edits of a copy whose
//! head is known elsewhere. It does not guard against somebody who can write the file, and so make a new chain.

use rusqlite::{Connection, Transaction};
use sha2::{Digest, Sha256};

use super::error::{ErrorKind, StoreError};
use super::rows::{self, format_time};
use crate::history::HistoryEntry;

pub(super) type Hash = [u8; 32];

/// The beginning and the end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The number of the last entry that was rotated away; 0 if none was.
    pub(super) anchor: u64,
    pub(super) anchor_hash: Hash,
    /// The number of the newest entry, or of the anchor if no entry is kept.
    pub(super) head: u64,
    pub(super) head_hash: Hash,
    /// The number of transactions that have written to the database; see [`advance`].
    pub(super) generation: u64,
}

/// The hash that the chain of an owner begins with. It differs, so that the history of one installation cannot pass as
/// that of another.
pub(super) fn genesis(owner: &str) -> Hash {
    Sha256::new()
        .chain_update("sharekeeper history 1 ")
        .chain_update(owner)
        .finalize()
        .into()
}

/// The hash of an entry with the text `body`, after an entry with the hash `before`.
pub(super) fn link(before: &Hash, body: &str) -> Hash {
    Sha256::new()
        .chain_update(before)
        .chain_update(body)
        .finalize()
        .into()
}

/// Creates the empty chain of an owner.
pub(super) fn create(conn: &Connection, owner: &str) -> Result<(), StoreError> {
    let hash = genesis(owner);
    rows::execute(
        conn,
        "INSERT INTO chain (one, anchor_seq, anchor_hash, head_seq, head_hash) VALUES (1, 0, ?1, 0, ?1)",
        [hash],
    )?;
    Ok(())
}

/// Reads the beginning and the end of the chain.
pub(super) fn ends(conn: &Connection) -> Result<Ends, StoreError> {
    let ends = rows::query_first(conn, "SELECT * FROM chain", [], |row| {
        Ok(Ends {
            anchor: row.number("anchor_seq")?,
            anchor_hash: row.get("anchor_hash")?,
            head: row.number("head_seq")?,
            head_hash: row.get("head_hash")?,
            generation: row.number("generation")?,
        })
    })?;
    ends.ok_or_else(|| StoreError::unreadable("the table chain"))
}

/// Whether the last entry of the history is the one at the end of the chain. It may not be if a database was copied over
/// another one whose log is still there.
pub(super) fn is_whole(conn: &Connection) -> Result<bool, StoreError> {
    let whole = rows::query_first(
        conn,
        "SELECT (head_seq = anchor_seq AND head_hash = anchor_hash) OR EXISTS \
         (SELECT 1 FROM history WHERE seq = head_seq AND hash = head_hash) AS whole FROM chain",
        [],
        |row| row.get("whole"),
    )?;
    whole.ok_or_else(|| StoreError::unreadable("the table chain"))
}

/// Counts a transaction that has written. Not every transaction appends to the history, but each must leave a trace, so
/// that a database that is set back is noticed.
pub(super) fn advance(conn: &Connection) -> Result<(), StoreError> {
    rows::execute(conn, "UPDATE chain SET generation = generation + 1", [])
}

/// Commits, and returns the ends of the chain.
pub(super) fn end_transaction(
    transaction: Transaction<'_>,
    has_written: bool,
) -> Result<Ends, StoreError> {
    if has_written {
        advance(&transaction)?;
    }
    let after = ends(&transaction)?;
    transaction.commit().map_err(|error| {
        let error = StoreError::from(error);
        match error.kind {
            ErrorKind::Transient => error,
            _ => StoreError::broken(error.to_string()).caused_by(error),
        }
    })?;
    Ok(after)
}

/// The columns of an entry, which repeat parts of its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) at: String,
    pub(super) event: String,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    pub(super) image: Option<String>,
}

impl Columns {
    pub(super) fn of(entry: &HistoryEntry) -> Self {
        let (scope, image) = (entry.event.scope(), entry.event.image());
        Self {
            at: format_time(entry.at),
            event: entry.event.as_str().to_owned(),
            account: scope.map(|scope| scope.account.as_str().to_owned()),
            region: scope.map(|scope| scope.region.as_str().to_owned()),
            image: image.map(|image| image.as_str().to_owned()),
        }
    }
}
