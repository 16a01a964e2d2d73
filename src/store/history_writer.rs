//! Appends entries to the history and removes the oldest ones, within the transaction that makes the changes which the
//! entries describe. It must not know what an entry means.

use rusqlite::{Connection, named_params};

use super::chain::{self, Columns, Ends};
use super::error::StoreError;
use super::images;
use super::rows::{self, integer};
use crate::history::{HistoryEntry, HistoryEvent};
use crate::model::Present;

/// The number of entries that are kept, unless [`super::Options::history_max`] says otherwise.
pub const HISTORY_MAX: u64 = 100_000;
/// Rotation removes a fraction of the limit at a time, one part in this many, so that few transactions have to rotate.
const STEPS: u64 = 100;
/// An open intent keeps its entry and all later ones, until the history has this many times the limit. Then they are
/// removed, because the row of the intent has all that is needed to resolve it.
const PINNED_MAX: u64 = 2;
/// The largest number of entries that are removed at once, which takes about ten milliseconds.
const ROTATED_MAX: u64 = 5_000;

/// The `by` of entries that were caused by an observation and not by a person.
pub(super) const OBSERVATION: &str = "observation";

/// The history within one transaction; the changes that the new entries describe are made in the same transaction.
pub(super) struct HistoryWriter<'a> {
    pub(super) conn: &'a Connection,
    pub(super) now: Present,
    pub(super) history_max: u64,
}

impl HistoryWriter<'_> {
    /// Appends an entry for `event`, and returns its number.
    pub(super) fn append(&self, event: HistoryEvent) -> Result<u64, StoreError> {
        let ends = chain::ends(self.conn)?;
        let entry = HistoryEntry {
            seq: ends.head + 1,
            at: self.now.clock(),
            event,
        };
        let body = serde_json::to_string(&entry)
            .map_err(|error| StoreError::request(format!("entry {}: {error}", entry.seq)))?;
        let hash = chain::link(&ends.head_hash, &body);
        let columns = Columns::of(&entry);
        rows::execute(
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
        rows::execute(
            self.conn,
            "UPDATE chain SET head_seq = ?1, head_hash = ?2",
            (integer(entry.seq)?, hash),
        )?;
        rotate(
            self.conn,
            self.history_max,
            &Ends {
                head: entry.seq,
                head_hash: hash,
                ..ends
            },
        )?;
        Ok(entry.seq)
    }
}

/// Removes the oldest entries, if there are more than `history_max`; only so many at a time that nobody notices a delay.
/// Returns whether any were removed.
pub(super) fn rotate(conn: &Connection, history_max: u64, ends: &Ends) -> Result<bool, StoreError> {
    let count = ends.head - ends.anchor;
    if count <= history_max {
        return Ok(false);
    }
    let step = (history_max / STEPS).max(1);
    let surplus = (count - history_max).max(step).min(count);
    let mut last = ends.anchor + surplus.min(ROTATED_MAX);
    if count < history_max.saturating_mul(PINNED_MAX)
        && let Some(open) = images::oldest_open(conn, ends.anchor)?
    {
        last = last.min(open.saturating_sub(1));
    }
    if last <= ends.anchor {
        return Ok(false);
    }
    let last = integer(last)?;
    rows::execute(
        conn,
        "UPDATE chain SET anchor_seq = ?1, anchor_hash = (SELECT hash FROM history WHERE seq = ?1)",
        [last],
    )?;
    rows::execute(conn, "DELETE FROM history WHERE seq <= ?1", [last])?;
    Ok(true)
}
