//! The table `loss_acceptances`: the losses that people have accepted. `inventory` decides which losses an acceptance
//! covers.

use rusqlite::{Connection, named_params};

use super::error::StoreError;
use super::rows::{self, format_time};
use crate::inventory::LossAcceptance;
use crate::model::{AccountName, Scope, Timestamp};

/// The acceptances of a scope.
pub(super) fn of_scope(
    conn: &Connection,
    scope: &Scope,
) -> Result<Vec<LossAcceptance>, StoreError> {
    rows::query_all(
        conn,
        "SELECT * FROM loss_acceptances WHERE account = ?1 AND region = ?2 ORDER BY lost",
        [scope.account.as_str(), scope.region.as_str()],
        |row| {
            let lost = row.number("lost")?;
            Ok(LossAcceptance {
                lost: u32::try_from(lost)
                    .map_err(|_| StoreError::unreadable(format_args!("lost {lost}")))?,
                images: row.parse_some("images", |text| serde_json::from_str(text).ok())?,
                by: row.get("who")?,
                since: row.time("since")?,
            })
        },
    )
}

/// Stores an acceptance by a person, in place of an earlier one for the same number.
pub(super) fn say(
    conn: &Connection,
    scope: &Scope,
    acceptance: &LossAcceptance,
) -> Result<(), StoreError> {
    put(conn, scope, acceptance)
}

/// Stores the images to which an acceptance was applied. An acceptance that a person has given since then stays as it is,
/// because it was not known when this one was applied.
pub(super) fn bind(
    conn: &Connection,
    scope: &Scope,
    acceptance: &LossAcceptance,
) -> Result<bool, StoreError> {
    let kept = said_at(conn, scope, acceptance.lost)?;
    if kept.is_some_and(|since| since != acceptance.since) {
        return Ok(false);
    }
    put(conn, scope, acceptance)?;
    Ok(true)
}

/// Moves the acceptances that people gave under an earlier name of an account. An acceptance of the same number under the
/// present name takes precedence.
pub(super) fn move_all(
    conn: &Connection,
    from: &Scope,
    to: &AccountName,
) -> Result<(), StoreError> {
    rows::execute(
        conn,
        "UPDATE OR IGNORE loss_acceptances SET account = ?1 WHERE account = ?2 AND region = ?3",
        [to.as_str(), from.account.as_str(), from.region.as_str()],
    )?;
    rows::execute(
        conn,
        "DELETE FROM loss_acceptances WHERE account = ?1 AND region = ?2",
        [from.account.as_str(), from.region.as_str()],
    )
}

fn said_at(conn: &Connection, scope: &Scope, lost: u32) -> Result<Option<Timestamp>, StoreError> {
    rows::query_first(
        conn,
        "SELECT since FROM loss_acceptances WHERE account = :account AND region = :region AND lost = :lost",
        named_params! {
            ":account": scope.account.as_str(),
            ":region": scope.region.as_str(),
            ":lost": lost,
        },
        |row| row.time("since"),
    )
}

fn put(conn: &Connection, scope: &Scope, acceptance: &LossAcceptance) -> Result<(), StoreError> {
    let images = acceptance.images.as_ref().map(serde_json::to_string);
    let images = images.transpose();
    let images =
        images.map_err(|error| StoreError::request(format!("the images of {scope}: {error}")))?;
    rows::execute(
        conn,
        "INSERT OR REPLACE INTO loss_acceptances (account, region, lost, images, who, since) \
         VALUES (:account, :region, :lost, :images, :who, :since)",
        named_params! {
            ":account": scope.account.as_str(),
            ":region": scope.region.as_str(),
            ":lost": acceptance.lost,
            ":images": images,
            ":who": acceptance.by,
            ":since": format_time(acceptance.since),
        },
    )
}
