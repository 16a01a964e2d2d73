//! The history as a chain: each entry's hash covers its own text and the hash of the entry before it, so that a
//! changed, missing or added entry shows. Whoever can write the file can also make a new chain; it guards against
//! accidents and damage, and against edits of a copy whose head is known elsewhere.

use rusqlite::{Connection, named_params};
use sha2::{Digest, Sha256};

use super::error::Fault;
use super::images;
use super::rows::{self, integer, stamp};
use crate::history::{Entry, Event};
use crate::model::Present;

/// So many entries are kept, unless the opener says otherwise.
pub const HISTORY_MAX: u64 = 100_000;
/// Rotation removes this part of the limit at a time, so that few transactions have that work.
const STEPS: u64 = 100;
/// An open intent keeps its entry, and with it all later ones, until there are so many times the limit. Its own row
/// has all that is needed to resolve it.
const PINNED_MAX: u64 = 2;

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
pub(super) fn begin(conn: &Connection, owner: &str) -> Result<(), Fault> {
    let hash = genesis(owner);
    rows::change(
        conn,
        "INSERT INTO chain (one, anchor_seq, anchor_hash, head_seq, head_hash) VALUES (1, 0, ?1, 0, ?1)",
        [hash],
    )?;
    Ok(())
}

/// Reads where the chain begins and ends.
pub(super) fn ends(conn: &Connection) -> Result<Ends, Fault> {
    let ends = rows::first(conn, "SELECT * FROM chain", [], |row| {
        Ok(Ends {
            anchor: row.number("anchor_seq")?,
            anchor_hash: row.get("anchor_hash")?,
            head: row.number("head_seq")?,
            head_hash: row.get("head_hash")?,
            generation: row.number("generation")?,
        })
    })?;
    ends.ok_or_else(|| Fault::unreadable("the table chain"))
}

/// Whether the history ends with the entry that the chain ends with. Where a database was copied over one whose log is
/// still there, it may not.
pub(super) fn is_whole(conn: &Connection) -> Result<bool, Fault> {
    let whole = rows::first(
        conn,
        "SELECT (head_seq = anchor_seq AND head_hash = anchor_hash) OR EXISTS \
         (SELECT 1 FROM history WHERE seq = head_seq AND hash = head_hash) AS whole FROM chain",
        [],
        |row| row.get("whole"),
    )?;
    whole.ok_or_else(|| Fault::unreadable("the table chain"))
}

/// Counts a transaction that has written. Not each of them appends to the history, and a database that is set back must
/// show.
pub(super) fn advance(conn: &Connection) -> Result<(), Fault> {
    rows::change(conn, "UPDATE chain SET generation = generation + 1", [])
}

/// Appends, within the transaction of whatever the entry tells of.
pub(super) struct Pen<'a> {
    pub(super) conn: &'a Connection,
    pub(super) now: Present,
    pub(super) history_max: u64,
}

impl Pen<'_> {
    /// Appends an entry, and returns its number.
    pub(super) fn append(&self, event: Event) -> Result<u64, Fault> {
        let ends = ends(self.conn)?;
        let entry = Entry {
            seq: ends.head + 1,
            at: self.now.clock(),
            event,
        };
        let body = serde_json::to_string(&entry)
            .map_err(|error| Fault::request(format!("entry {}: {error}", entry.seq)))?;
        let hash = link(&ends.head_hash, &body);
        let columns = Columns::of(&entry);
        rows::change(
            self.conn,
            "INSERT INTO history (seq, at, event, account, region, image, body, hash) \
             VALUES (:seq, :at, :event, :account, :region, :image, :body, :hash)",
            named_params! {
                ":seq": integer(entry.seq)?,
                ":at": columns.at,
                ":event": columns.event,
                ":account": columns.account,
                ":region": columns.region,
                ":image": columns.image,
                ":body": body,
                ":hash": hash,
            },
        )?;
        rows::change(
            self.conn,
            "UPDATE chain SET head_seq = ?1, head_hash = ?2",
            (integer(entry.seq)?, hash),
        )?;
        self.rotate(&Ends {
            head: entry.seq,
            head_hash: hash,
            ..ends
        })?;
        Ok(entry.seq)
    }

    fn rotate(&self, ends: &Ends) -> Result<(), Fault> {
        let count = ends.head - ends.anchor;
        if count <= self.history_max {
            return Ok(());
        }
        let step = (self.history_max / STEPS).max(1);
        let mut cut = ends.anchor + (count - self.history_max).max(step).min(count);
        if count < self.history_max.saturating_mul(PINNED_MAX)
            && let Some(open) = images::oldest_open(self.conn, ends.anchor)?
        {
            cut = cut.min(open.saturating_sub(1));
        }
        if cut <= ends.anchor {
            return Ok(());
        }
        let cut = integer(cut)?;
        rows::change(
            self.conn,
            "UPDATE chain SET anchor_seq = ?1, anchor_hash = (SELECT hash FROM history WHERE seq = ?1)",
            [cut],
        )?;
        rows::change(self.conn, "DELETE FROM history WHERE seq <= ?1", [cut])?;
        Ok(())
    }
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
    pub(super) fn of(entry: &Entry) -> Self {
        let (scope, image) = (entry.event.scope(), entry.event.image());
        Self {
            at: stamp(entry.at),
            event: entry.event.as_str().to_owned(),
            account: scope.map(|scope| scope.account.as_str().to_owned()),
            region: scope.map(|scope| scope.region.as_str().to_owned()),
            image: image.map(|image| image.as_str().to_owned()),
        }
    }
}
