//! Queries of the history: the entries that a person asks for, and whether a person has changed something since an entry.

use std::collections::BTreeSet;

use rusqlite::{Connection, named_params, params_from_iter};

use super::error::StoreError;
use super::history_writer::OBSERVATION;
use super::rows::{self, format_time, integer};
use crate::history::HistoryEntry;
use crate::model::{AccountName, ImageId, ImageKey, Region, Scope, Timestamp};

/// Selects entries of the history. An empty set selects everything. An entry that is not about an image, such as a
/// suspension, is selected only if no account, region or image is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Entries about any of these account names.
    pub accounts: BTreeSet<AccountName>,
    /// Entries about any of these regions.
    pub regions: BTreeSet<Region>,
    /// Entries about any of these images.
    pub images: BTreeSet<ImageId>,
    /// Events of any of these kinds; see [`crate::history::HistoryEvent::NAMES`].
    pub events: BTreeSet<String>,
    /// Entries recorded at this time or later.
    pub since: Option<Timestamp>,
    /// Entries recorded before this time.
    pub until: Option<Timestamp>,
    /// The largest number of entries; the newest ones are selected.
    pub limit: Option<usize>,
}

/// The entries that `query` selects, the oldest first.
pub(super) fn entries(
    conn: &Connection,
    query: &HistoryQuery,
) -> Result<Vec<HistoryEntry>, StoreError> {
    // The statement has only the conditions that are asked for; otherwise SQLite would use no index.
    let asked = [
        (
            "account IN (SELECT value FROM json_each(?))",
            list(query.accounts.iter().map(AccountName::as_str)),
        ),
        (
            "region IN (SELECT value FROM json_each(?))",
            list(query.regions.iter().map(|region| region.as_str())),
        ),
        (
            "image IN (SELECT value FROM json_each(?))",
            list(query.images.iter().map(ImageId::as_str)),
        ),
        (
            "event IN (SELECT value FROM json_each(?))",
            list(query.events.iter().map(String::as_str)),
        ),
        ("at >= ?", query.since.map(format_time)),
        ("at < ?", query.until.map(format_time)),
    ];
    let (conditions, parameters): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .filter_map(|(condition, parameter)| Some((condition, parameter?)))
        .unzip();
    let condition = match conditions.as_slice() {
        [] => String::new(),
        some => format!("WHERE {}", some.join(" AND ")),
    };
    // To SQLite, a negative limit means no limit.
    let limit = query
        .limit
        .map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let sql = format!("SELECT seq, body FROM history {condition} ORDER BY seq DESC LIMIT {limit}");
    let mut found = rows::query_all(conn, &sql, params_from_iter(parameters), |row| {
        let seq = row.number("seq")?;
        let body: String = row.get("body")?;
        serde_json::from_str(&body)
            .map_err(|_| StoreError::unreadable(format_args!("entry {seq} of the history")))
    })?;
    found.reverse();
    Ok(found)
}

/// A set as one parameter, because SQLite limits the number of parameters; `None` for the empty set.
fn list<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let words: Vec<_> = words.map(serde_json::Value::from).collect();
    (!words.is_empty()).then(|| serde_json::Value::Array(words).to_string())
}

/// Whether a person has changed what is kept of an image in an entry after `since`.
pub(super) fn is_changed_by_operator(
    conn: &Connection,
    key: &ImageKey,
    since: u64,
) -> Result<bool, StoreError> {
    let mut changed = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM history WHERE image = ?1 AND seq > ?2 AND account = ?3 AND region = ?4 \
         AND event IN ('adopted', 'released', 'unparked') AND body ->> 'by' <> ?5)",
    )?;
    let of = (
        key.image.as_str(),
        integer(since)?,
        key.scope.account.as_str(),
        key.scope.region.as_str(),
        OBSERVATION,
    );
    Ok(changed.query_row(of, |row| row.get(0))?)
}

/// Whether a person has changed what is kept of any image of a scope in an entry after `since`.
pub(super) fn is_scope_changed_by_operator(
    conn: &Connection,
    scope: &Scope,
    since: u64,
) -> Result<bool, StoreError> {
    let changed = rows::query_first(
        conn,
        "SELECT 1 FROM history WHERE seq > :since AND account = :account AND region = :region \
         AND event IN ('adopted', 'released', 'unparked') AND body ->> 'by' <> :observation",
        named_params! {
            ":since": integer(since)?,
            ":account": scope.account.as_str(),
            ":region": scope.region.as_str(),
            ":observation": OBSERVATION,
        },
        |_| Ok(()),
    )?;
    Ok(changed.is_some())
}
