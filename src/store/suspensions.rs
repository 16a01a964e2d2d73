//! The table `suspensions`.

use rusqlite::{Connection, named_params};

use super::error::Fault;
use super::rows::{self, integer, stamp};
use crate::inventory::Suspension;
use crate::model::{Selector, Timestamp};

/// So many at a time. Each is looked at before every write.
pub(super) const SUSPENSIONS_MAX: usize = 1_000;

/// All that have not been ended by a person, in order; some may have ended by themselves.
pub(super) fn all(conn: &Connection) -> Result<Vec<Suspension>, Fault> {
    rows::all(conn, "SELECT * FROM suspensions ORDER BY id", [], |row| {
        Ok(Suspension {
            id: row.number("id")?,
            reason: row.get("reason")?,
            until: row.some_time("until")?,
            since: row.time("since")?,
            by: row.get("who")?,
            selector: row.parse("selector", |text| serde_json::from_str(text).ok())?,
        })
    })
}

/// Adds one, and returns it with its id.
pub(super) fn add(
    conn: &Connection,
    selector: Selector,
    until: Option<Timestamp>,
    by: &str,
    reason: &str,
    since: Timestamp,
) -> Result<Suspension, Fault> {
    let json = serde_json::to_string(&selector)
        .map_err(|error| Fault::request(format!("the selector {selector}: {error}")))?;
    rows::change(
        conn,
        "INSERT INTO suspensions (who, reason, since, until, selector) \
         VALUES (:who, :reason, :since, :until, :selector)",
        named_params! {
            ":who": by,
            ":reason": reason,
            ":since": stamp(since),
            ":until": until.map(stamp),
            ":selector": json,
        },
    )?;
    let id = conn.last_insert_rowid();
    Ok(Suspension {
        id: u64::try_from(id).map_err(|_| Fault::unreadable(format_args!("suspension {id}")))?,
        reason: reason.to_owned(),
        until,
        since,
        by: by.to_owned(),
        selector,
    })
}

/// Removes one.
pub(super) fn remove(conn: &Connection, id: u64) -> Result<(), Fault> {
    rows::change(
        conn,
        "DELETE FROM suspensions WHERE id = ?1",
        [integer(id)?],
    )
}
