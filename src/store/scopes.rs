//! The table `scopes`: whose credentials the state was used with in each scope. With it, the rows of account names that are
//! no longer used are found and moved. Which rows may move is decided in `inventory::takeover`.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Params, named_params, params};

use super::error::StoreError;
use super::{images, losses, rows};
use crate::inventory::{KnownAccount, KnownAccounts, UsedNames};
use crate::model::{AccountName, ImageKey, KeyDigest, Scope, Uin};

/// What is known of accounts that may concern the scope, and the rows in the scope's region under other account names:
/// under names that manifests do not use there, and under names whose rows belong to account `uin`.
pub(super) fn accounts(
    conn: &Connection,
    scope: &Scope,
    used: &UsedNames,
    uin: Option<&Uin>,
) -> Result<KnownAccounts, StoreError> {
    let is_unused =
        |row: &Scope| row.account != scope.account && !used.anywhere.contains(&row.account);
    let elsewhere = used.anywhere.iter();
    let elsewhere = elsewhere.filter(|name| !used.here.contains_key(*name));
    let scopes = known(
        conn,
        // There is one part for each index: SQLite would read the whole table if one part asked for everything.
        "SELECT * FROM scopes WHERE account = :account \
         UNION SELECT * FROM scopes WHERE succeeded_by IS NOT NULL OR formerly IS NOT NULL \
         UNION SELECT * FROM scopes WHERE region = :region AND uin = :uin \
         UNION SELECT * FROM scopes WHERE region = :region AND account IN (SELECT value FROM json_each(:elsewhere)) \
         UNION SELECT * FROM scopes WHERE account IN (\
         SELECT name FROM account_names WHERE name NOT IN (SELECT value FROM json_each(:anywhere)))",
        named_params! {
            ":account": scope.account.as_str(),
            ":region": scope.region.as_str(),
            ":uin": uin.map(Uin::as_str),
            ":anywhere": names(used.anywhere.iter()),
            ":elsewhere": names(elsewhere),
        },
    )?;
    let left_over = scopes.keys().filter(|row| is_unused(row));
    let left_over = left_over.map(|row| Ok((row.clone(), has_images(conn, row)?)));
    let left_over = left_over.collect::<Result<BTreeMap<_, _>, StoreError>>()?;
    let left_over = left_over.into_iter().filter(|(_, has_images)| *has_images);
    let others = scopes.iter().filter(|(row, known)| {
        row.region == scope.region
            && row.account != scope.account
            && (!used.here.contains_key(&row.account)
                || (uin.is_some() && known.uin.as_ref() == uin))
    });
    let others = others.map(|(row, _)| Ok((row.account.clone(), images::scope_rows(conn, row)?)));
    let others = others.collect::<Result<BTreeMap<_, _>, StoreError>>()?;
    Ok(KnownAccounts {
        left_over: left_over.map(|(row, _)| row).collect(),
        scopes,
        others,
    })
}

/// Every scope that the state was used with.
pub(super) fn all(conn: &Connection) -> Result<BTreeMap<Scope, KnownAccount>, StoreError> {
    known(conn, "SELECT * FROM scopes", [])
}

fn known(
    conn: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<BTreeMap<Scope, KnownAccount>, StoreError> {
    let digest = |text: Option<String>| text.as_deref().and_then(KeyDigest::parse);
    let name = |text: Option<String>| text.as_deref().and_then(AccountName::new);
    let rows = rows::query_all(conn, sql, params, |row| {
        let uin: Option<String> = row.get("uin")?;
        let known = KnownAccount {
            uin: uin.and_then(|uin| Uin::new(&uin).ok()),
            key: digest(row.get("key_digest")?),
            pruned_with: digest(row.get("pruned_with")?),
            succeeded_by: name(row.get("succeeded_by")?),
            formerly: name(row.get("formerly")?),
        };
        Ok((row.scope()?, known))
    })?;
    Ok(rows.into_iter().collect())
}

/// Names as SQLite's JSON functions take them.
fn names<'n>(names: impl Iterator<Item = &'n AccountName>) -> String {
    let names: Vec<_> = names.map(AccountName::as_str).collect();
    serde_json::Value::from(names).to_string()
}

fn has_images(conn: &Connection, scope: &Scope) -> Result<bool, StoreError> {
    let found = rows::query_first(
        conn,
        "SELECT 1 FROM images WHERE account = ?1 AND region = ?2 LIMIT 1",
        [scope.account.as_str(), scope.region.as_str()],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Records that the state is used with a scope.
pub(super) fn add(conn: &Connection, scope: &Scope) -> Result<(), StoreError> {
    rows::execute(
        conn,
        "INSERT OR IGNORE INTO scopes (account, region) VALUES (?1, ?2)",
        [scope.account.as_str(), scope.region.as_str()],
    )
}

/// Records whose credentials a scope has. The key that pruned last and the successor are not changed.
pub(super) fn set_account(
    conn: &Connection,
    scope: &Scope,
    known: &KnownAccount,
) -> Result<(), StoreError> {
    add(conn, scope)?;
    rows::execute(
        conn,
        "UPDATE scopes SET uin = :uin, key_digest = :key WHERE account = :account AND region = :region",
        named_params! {
            ":uin": known.uin.as_ref().map(Uin::as_str),
            ":key": known.key.as_ref().map(KeyDigest::as_str),
            ":account": scope.account.as_str(),
            ":region": scope.region.as_str(),
        },
    )
}

/// Stores the key that pruned last in a scope.
pub(super) fn set_pruned_with(
    conn: &Connection,
    scope: &Scope,
    key: &KeyDigest,
) -> Result<(), StoreError> {
    rows::execute(
        conn,
        "UPDATE scopes SET pruned_with = ?1 WHERE account = ?2 AND region = ?3 AND pruned_with IS NOT ?1",
        [key.as_str(), scope.account.as_str(), scope.region.as_str()],
    )
}

/// Records that the account name `by` took over the images of the account name of `row`. An earlier takeover in the other
/// direction is no longer valid.
pub(super) fn set_successor(conn: &Connection, row: &Scope, by: &Scope) -> Result<(), StoreError> {
    let set = "UPDATE scopes SET succeeded_by = ?1 WHERE account = ?2 AND region = ?3";
    let of = |scope: &Scope| (scope.account.to_string(), scope.region.as_str());
    let ((earlier, region), (later, _)) = (of(row), of(by));
    rows::execute(conn, set, params![later, earlier, region])?;
    rows::execute(
        conn,
        "UPDATE scopes SET succeeded_by = NULL WHERE account = ?1 AND region = ?2 AND succeeded_by = ?3",
        params![later, region, earlier],
    )
}

/// Moves all rows of a scope to another account name, where they replace rows of the same images.
pub(super) fn move_all(
    conn: &Connection,
    from: &Scope,
    to: &AccountName,
) -> Result<(), StoreError> {
    for table in ["images", "open_intents"] {
        rows::execute(
            conn,
            &format!(
                "UPDATE OR REPLACE {table} SET account = ?1 WHERE account = ?2 AND region = ?3"
            ),
            [to.as_str(), from.account.as_str(), from.region.as_str()],
        )?;
    }
    losses::move_all(conn, from, to)
}

/// Moves the rows of a scope to the account name `uin-<uin>`, because the scope's own name means another account from now
/// on. The account that the rows belong to takes them over by its uin.
pub(super) fn set_aside(conn: &Connection, scope: &Scope, uin: &Uin) -> Result<Scope, StoreError> {
    let aside = AccountName::new(&format!("uin-{uin}"))
        .ok_or_else(|| StoreError::request(format!("no name for uin {uin}")))?;
    move_all(conn, scope, &aside)?;
    rows::execute(
        conn,
        "INSERT OR REPLACE INTO scopes (account, region, uin, key_digest, pruned_with, formerly) \
         SELECT ?1, region, uin, key_digest, pruned_with, account FROM scopes WHERE account = ?2 AND region = ?3",
        [
            aside.as_str(),
            scope.account.as_str(),
            scope.region.as_str(),
        ],
    )?;
    rows::execute(
        conn,
        "UPDATE scopes SET uin = NULL, key_digest = NULL, pruned_with = NULL, succeeded_by = NULL, formerly = NULL \
         WHERE account = ?1 AND region = ?2",
        [scope.account.as_str(), scope.region.as_str()],
    )?;
    Ok(Scope {
        account: aside,
        region: scope.region,
    })
}

/// The account names under which an image of the scope's region is stored, without the scope's own name, the `used`
/// names, and names that are known to mean another account. A name that has a row with the adopted blueprint is included:
/// the row proves that the name means this account.
pub(super) fn earlier_names_of(
    conn: &Connection,
    key: &ImageKey,
    used: &BTreeSet<AccountName>,
    blueprint: Option<&str>,
) -> Result<Vec<AccountName>, StoreError> {
    let names = rows::query_all(
        conn,
        "SELECT images.account AS account FROM images \
         LEFT JOIN scopes AS theirs ON theirs.account = images.account AND theirs.region = images.region \
         LEFT JOIN scopes AS ours ON ours.account = :account AND ours.region = images.region \
         WHERE images.region = :region AND images.image = :image AND images.account <> :account \
         AND (images.blueprint IS :blueprint OR theirs.uin IS NULL OR ours.uin IS NULL OR theirs.uin = ours.uin)",
        named_params! {
            ":region": key.scope.region.as_str(),
            ":image": key.image.as_str(),
            ":account": key.scope.account.as_str(),
            ":blueprint": blueprint,
        },
        |row| row.parse("account", AccountName::new),
    )?;
    Ok(names
        .into_iter()
        .filter(|name| !used.contains(name))
        .collect())
}
