//! The table `suspensions`: the images that people want to be left alone. `inventory` decides whether a suspension covers
//! an image.

use rusqlite::{Connection, named_params};

use super::error::StoreError;
use super::rows::{self, format_time, integer};
use crate::inventory::Suspension;
use crate::model::{Selector, Timestamp};

/// The largest number of suspensions at a time, because each is checked before every write.
pub(super) const SUSPENSIONS_MAX: usize = 1_000;

/// All suspensions that no person has ended, by id. Some may have ended on their own.
pub(super) fn all(conn: &Connection) -> Result<Vec<Suspension>, StoreError> {
    rows::query_all(conn, "SELECT * FROM suspensions ORDER BY id", [], |row| {
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

/// Stores a suspension, and returns it with its id.
pub(super) fn add(
    conn: &Connection,
    selector: Selector,
    until: Option<Timestamp>,
    by: &str,
    reason: &str,
    since: Timestamp,
) -> Result<Suspension, StoreError> {
    let json = serde_json::to_string(&selector)
        .map_err(|error| StoreError::request(format!("the selector {selector}: {error}")))?;
    rows::execute(
        conn,
        "INSERT INTO suspensions (who, reason, since, until, selector) \
         VALUES (:who, :reason, :since, :until, :selector)",
        named_params! {
            ":who": by,
            ":reason": reason,
            ":since": format_time(since),
            ":until": until.map(format_time),
            ":selector": json,
        },
    )?;
    let id = conn.last_insert_rowid();
    Ok(Suspension {
        id: u64::try_from(id)
            .map_err(|_| StoreError::unreadable(format_args!("suspension {id}")))?,
        reason: reason.to_owned(),
        until,
        since,
        by: by.to_owned(),
        selector,
    })
}

/// Deletes a suspension by its id.
pub(super) fn remove(conn: &Connection, id: u64) -> Result<(), StoreError> {
    rows::execute(
        conn,
        "DELETE FROM suspensions WHERE id = ?1",
        [integer(id)?],
    )
}
