//! The history as a chain: each entry's hash covers its own text and the hash of the entry before it, so that a
//! changed, missing or added entry shows. Whoever can write the file can also make a new chain; it guards against
//! accidents and damage, and against edits of a copy whose head is known elsewhere.

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::rows::{self, format_time};
use crate::history::HistoryEntry;

pub(super) type Hash = [u8; 32];

/// Where the chain begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The last entry that was rotated away; 0: none was.
    pub(super) anchor: u64,
    pub(super) anchor_hash: Hash,
    /// The newest entry; the anchor, if there is none.
    pub(super) head: u64,
    pub(super) head_hash: Hash,
    /// So many transactions have written to the database; see [`advance`].
    pub(super) generation: u64,
}

/// Where the chain of an owner begins, so that one installation's history cannot pass as another's.
pub(super) fn genesis(owner: &str) -> Hash {
    Sha256::new()
        .chain_update("sharekeeper history 1 ")
        .chain_update(owner)
        .finalize()
        .into()
}

/// The hash of an entry.
pub(super) fn link(before: &Hash, body: &str) -> Hash {
    Sha256::new()
        .chain_update(before)
        .chain_update(body)
        .finalize()
        .into()
}

/// Starts an empty chain.
pub(super) fn create(conn: &Connection, owner: &str) -> Result<(), StoreError> {
    let hash = genesis(owner);
    rows::execute(
        conn,
        "INSERT INTO chain (one, anchor_seq, anchor_hash, head_seq, head_hash) VALUES (1, 0, ?1, 0, ?1)",
        [hash],
    )?;
    Ok(())
}

/// Reads where the chain begins and ends.
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

/// Whether the history ends with the entry that the chain ends with. Where a database was copied over one whose log is
/// still there, it may not.
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

/// Counts a transaction that has written. Not each of them appends to the history, and a database that is set back must
/// show.
pub(super) fn advance(conn: &Connection) -> Result<(), StoreError> {
    rows::execute(conn, "UPDATE chain SET generation = generation + 1", [])
}

/// What an entry's columns repeat from its body.
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
