use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, named_params};

use super::error::Fault;
use super::rows::{self, stamp};
use crate::history::Entry;
use crate::model::{AccountName, ImageId, Region, Timestamp};

/// Picks entries of the history. An empty set picks everything; an entry about no image, such as a suspension, is
/// picked only where no account, region or image is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Any of these.
    pub accounts: BTreeSet<AccountName>,
    /// Any of these.
    pub regions: BTreeSet<Region>,
    /// Any of these.
    pub images: BTreeSet<ImageId>,
    /// Any of these; see [`crate::history::Event::WORDS`].
    pub events: BTreeSet<String>,
    /// Recorded at this time or later.
    pub since: Option<Timestamp>,
    /// Recorded before this time.
    pub until: Option<Timestamp>,
    /// Only the newest of what is picked.
    pub limit: Option<usize>,
}

/// The entries that `query` picks, in order.
pub(super) fn entries(conn: &Connection, query: &Query) -> Result<Vec<Entry>, Fault> {
    let limit = query
        .limit
        .map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let mut found = rows::all(
        conn,
        "SELECT seq, body FROM history \
         WHERE (:accounts IS NULL OR account IN (SELECT value FROM json_each(:accounts))) \
         AND (:regions IS NULL OR region IN (SELECT value FROM json_each(:regions))) \
         AND (:images IS NULL OR image IN (SELECT value FROM json_each(:images))) \
         AND (:events IS NULL OR event IN (SELECT value FROM json_each(:events))) \
         AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until) \
         ORDER BY seq DESC LIMIT :limit",
        named_params! {
            ":accounts": list(query.accounts.iter().map(AccountName::as_str)),
            ":regions": list(query.regions.iter().map(|region| region.as_str())),
            ":images": list(query.images.iter().map(ImageId::as_str)),
            ":events": list(query.events.iter().map(String::as_str)),
            ":since": query.since.map(stamp),
            ":until": query.until.map(stamp),
            ":limit": limit,
        },
        |row| {
            let seq = row.number("seq")?;
            let body: String = row.get("body")?;
            serde_json::from_str(&body)
                .map_err(|_| Fault::unreadable(format_args!("entry {seq} of the history")))
        },
    )?;
    found.reverse();
    Ok(found)
}

/// A set as one parameter, since SQLite bounds their number; NULL for the empty one.
fn list<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    let words: Vec<_> = words.map(serde_json::Value::from).collect();
    if words.is_empty() {
        Value::Null
    } else {
        Value::Text(serde_json::Value::Array(words).to_string())
    }
}
