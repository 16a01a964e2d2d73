//! The tables `images` and `open_intents`: the inventory of every scope. What the rows mean is left to `inventory`.

use std::collections::BTreeMap;

use rusqlite::{Connection, named_params};

use super::error::StoreError;
use super::rows::{self, NamedRow, format_time, integer, ownership_text};
use super::{losses, memory, suspensions};
use crate::inventory::{IntentId, Inventory, InventoryEntry, OpenIntent, OwnedShare, ScopeRows};
use crate::model::{AccountName, ImageId, ImageKey, Permission, Scope, Timestamp};

/// Everything known of a scope. It includes the suspensions of all account names, because a name may be an earlier one of
/// this account.
pub(super) fn inventory(conn: &Connection, scope: &Scope) -> Result<Inventory, StoreError> {
    let ScopeRows {
        images,
        open_intents,
        acceptances,
    } = scope_rows(conn, scope)?;
    let mut suspensions = suspensions::all(conn)?;
    suspensions.retain(|suspension| {
        let regions = &suspension.selector.regions;
        regions.is_empty() || regions.contains(&scope.region)
    });
    Ok(Inventory {
        images,
        open_intents,
        suspensions,
        memory: memory::of_scope(conn, scope)?,
        acceptances,
    })
}

/// The rows of a scope that move along when its account gets another name.
pub(super) fn scope_rows(conn: &Connection, scope: &Scope) -> Result<ScopeRows, StoreError> {
    let images = rows::query_all(
        conn,
        "SELECT * FROM images WHERE account = :account AND region = :region",
        named_params! {
            ":account": scope.account.as_str(),
            ":region": scope.region.as_str(),
        },
        |row| Ok((row.image()?, entry_in(row)?)),
    )?;
    Ok(ScopeRows {
        images: images.into_iter().collect(),
        open_intents: open_intents_of_scope(conn, scope)?,
        acceptances: losses::of_scope(conn, scope)?,
    })
}

/// The writes of a scope whose outcome is unknown, by image, the oldest first.
pub(super) fn open_intents_of_scope(
    conn: &Connection,
    scope: &Scope,
) -> Result<BTreeMap<ImageId, Vec<OpenIntent>>, StoreError> {
    let open = rows::query_all(
        conn,
        "SELECT * FROM open_intents WHERE account = :account AND region = :region ORDER BY intent",
        named_params! {
            ":account": scope.account.as_str(),
            ":region": scope.region.as_str(),
        },
        |row| Ok((row.image()?, open_in(row)?.intent)),
    )?;
    let mut images: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (image, intent) in open {
        images.entry(image).or_default().push(intent);
    }
    Ok(images)
}

/// The entry of an image, if there is one.
pub(super) fn entry(
    conn: &Connection,
    key: &ImageKey,
) -> Result<Option<InventoryEntry>, StoreError> {
    rows::query_first(
        conn,
        "SELECT * FROM images WHERE account = :account AND region = :region AND image = :image",
        named_params! {
            ":account": key.scope.account.as_str(),
            ":region": key.scope.region.as_str(),
            ":image": key.image.as_str(),
        },
        entry_in,
    )
}

/// Stores the entry of an image, or deletes it if `entry` is `None`. An entry that is stored already is not written again.
pub(super) fn put(
    conn: &Connection,
    key: &ImageKey,
    entry: Option<&InventoryEntry>,
) -> Result<(), StoreError> {
    if self::entry(conn, key)?.as_ref() == entry {
        return Ok(());
    }
    let Some(entry) = entry else {
        rows::execute(
            conn,
            "DELETE FROM images WHERE account = :account AND region = :region AND image = :image",
            named_params! {
                ":account": key.scope.account.as_str(),
                ":region": key.scope.region.as_str(),
                ":image": key.image.as_str(),
            },
        )?;
        return Ok(());
    };
    let owned = entry.owned.as_ref();
    let json = |what, json: serde_json::Result<String>| {
        json.map_err(|error| StoreError::request(format!("the {what} of {key}: {error}")))
    };
    let writes = json("writes", serde_json::to_string(&entry.writes))?;
    let said = entry.last_answer.map(|word| serde_json::to_string(&word));
    let said = said.map(|said| json("word", said)).transpose()?;
    rows::execute(
        conn,
        "INSERT OR REPLACE INTO images (account, region, image, standing, since, blueprint, confirmed, \
         missing_since, disputed_since, cancelled, protected, parked_since, writes, word, denied_since) \
         VALUES (:account, :region, :image, :standing, :since, :blueprint, :confirmed, \
         :missing_since, :disputed_since, :cancelled, :protected, :parked_since, :writes, :word, :denied_since)",
        named_params! {
            ":account": key.scope.account.as_str(),
            ":region": key.scope.region.as_str(),
            ":image": key.image.as_str(),
            ":standing": owned.map(|owned| ownership_text(owned.ownership)),
            ":since": owned.map(|owned| format_time(owned.since)),
            ":blueprint": owned.and_then(|owned| owned.blueprint.as_deref()),
            ":confirmed": owned.is_some_and(|owned| owned.confirmed),
            ":missing_since": owned.and_then(|owned| owned.missing_since).map(format_time),
            ":disputed_since": owned.and_then(|owned| owned.disputed_since).map(format_time),
            ":cancelled": owned.is_some_and(|owned| owned.cancelled),
            ":protected": entry.protected,
            ":parked_since": entry.parked_since.map(format_time),
            ":writes": writes,
            ":word": said,
            ":denied_since": entry.denied_since.map(format_time),
        },
    )
}

fn entry_in(row: &NamedRow<'_>) -> Result<InventoryEntry, StoreError> {
    let owned = match row.ownership()? {
        None => None,
        Some(ownership) => Some(OwnedShare {
            ownership,
            since: row.time("since")?,
            blueprint: row.get("blueprint")?,
            confirmed: row.get("confirmed")?,
            missing_since: row.some_time("missing_since")?,
            disputed_since: row.some_time("disputed_since")?,
            cancelled: row.get("cancelled")?,
        }),
    };
    Ok(InventoryEntry {
        owned,
        writes: row.parse("writes", |text| serde_json::from_str(text).ok())?,
        parked_since: row.some_time("parked_since")?,
        protected: row.get("protected")?,
        last_answer: row.parse_some("word", |text| serde_json::from_str(text).ok())?,
        denied_since: row.some_time("denied_since")?,
    })
}

/// One row of the table `open_intents`.
pub(super) struct OpenIntentRow {
    pub(super) intent: OpenIntent,
    /// Whether the history already has the outcome, namely that it is unknown.
    pub(super) answered: bool,
}

/// The open intents of an image, the oldest first.
pub(super) fn open_intents(
    conn: &Connection,
    key: &ImageKey,
) -> Result<Vec<OpenIntentRow>, StoreError> {
    rows::query_all(
        conn,
        "SELECT * FROM open_intents WHERE account = :account AND region = :region AND image = :image \
         ORDER BY intent",
        named_params! {
            ":account": key.scope.account.as_str(),
            ":region": key.scope.region.as_str(),
            ":image": key.image.as_str(),
        },
        open_in,
    )
}

/// The open intents of all images that were recorded after entry `seq` of the history.
pub(super) fn open_intents_after(
    conn: &Connection,
    seq: u64,
) -> Result<Vec<(ImageKey, OpenIntent)>, StoreError> {
    rows::query_all(
        conn,
        "SELECT * FROM open_intents WHERE intent > ?1 ORDER BY intent",
        [integer(seq)?],
        |row| {
            let key = ImageKey {
                scope: row.scope()?,
                image: row.image()?,
            };
            Ok((key, open_in(row)?.intent))
        },
    )
}

fn open_in(row: &NamedRow<'_>) -> Result<OpenIntentRow, StoreError> {
    Ok(OpenIntentRow {
        intent: OpenIntent {
            intent: IntentId(row.number("intent")?),
            permission: row.permission()?,
            at: row.time("at")?,
            saw_opposite: row.get("saw_opposite")?,
        },
        answered: row.get("answered")?,
    })
}

/// Stores an intent whose outcome is not known yet.
pub(super) fn add_open_intent(
    conn: &Connection,
    key: &ImageKey,
    intent: u64,
    permission: Permission,
    saw_opposite: bool,
    at: Timestamp,
) -> Result<(), StoreError> {
    rows::execute(
        conn,
        "INSERT INTO open_intents (account, region, image, intent, permission, at, saw_opposite, answered) \
         VALUES (:account, :region, :image, :intent, :permission, :at, :saw_opposite, 0)",
        named_params! {
            ":account": key.scope.account.as_str(),
            ":region": key.scope.region.as_str(),
            ":image": key.image.as_str(),
            ":intent": integer(intent)?,
            ":permission": permission.as_str(),
            ":at": format_time(at),
            ":saw_opposite": saw_opposite,
        },
    )
}

/// The account name under which an open intent is stored. It may differ from the one with which it was recorded.
pub(super) fn account_of(
    conn: &Connection,
    intent: IntentId,
) -> Result<Option<AccountName>, StoreError> {
    rows::query_first(
        conn,
        "SELECT account FROM open_intents WHERE intent = ?1",
        [integer(intent.0)?],
        |row| row.parse("account", AccountName::new),
    )
}

/// Records that the history has the outcome of an intent, and that it is unknown.
pub(super) fn mark_answered(conn: &Connection, intent: IntentId) -> Result<(), StoreError> {
    rows::execute(
        conn,
        "UPDATE open_intents SET answered = 1 WHERE intent = ?1",
        [integer(intent.0)?],
    )
}

/// Moves the open intents of an image from one account name to another, and stores `entry` under the new name in place of
/// the old entry.
pub(super) fn move_to_account(
    conn: &Connection,
    from: &ImageKey,
    to: &ImageKey,
    entry: Option<&InventoryEntry>,
) -> Result<(), StoreError> {
    put(conn, from, None)?;
    put(conn, to, entry)?;
    rows::execute(
        conn,
        "UPDATE open_intents SET account = :to WHERE account = :from AND region = :region AND image = :image",
        named_params! {
            ":to": to.scope.account.as_str(),
            ":from": from.scope.account.as_str(),
            ":region": from.scope.region.as_str(),
            ":image": from.image.as_str(),
        },
    )
}

/// Deletes an intent whose outcome is known.
pub(super) fn close_intent(conn: &Connection, intent: IntentId) -> Result<(), StoreError> {
    rows::execute(
        conn,
        "DELETE FROM open_intents WHERE intent = ?1",
        [integer(intent.0)?],
    )
}

/// The number of the oldest history entry after `anchor` that records an open intent.
pub(super) fn oldest_open(conn: &Connection, anchor: u64) -> Result<Option<u64>, StoreError> {
    let mut oldest =
        conn.prepare_cached("SELECT min(intent) FROM open_intents WHERE intent > ?1")?;
    let oldest: Option<i64> = oldest.query_row([integer(anchor)?], |row| row.get(0))?;
    Ok(oldest.and_then(|intent| u64::try_from(intent).ok()))
}
