//! The table `scopes`: whose the credentials were that the state was used with, and the rows of names that are not used
//! any longer.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, named_params};

use super::error::Fault;
use super::{images, rows};
use crate::inventory::{KnownAccount, KnownAccounts, UsedNames};
use crate::model::{AccountName, KeyDigest, Scope, Uin};

/// What the state knows of accounts, and the rows of the scope's region under names that manifests do not use there.
pub(super) fn accounts(
    conn: &Connection,
    scope: &Scope,
    used: &UsedNames,
) -> Result<KnownAccounts, Fault> {
    let scopes: BTreeMap<_, _> = all(conn)?.into_iter().collect();
    let here = scopes.keys().filter(|row| row.region == scope.region);
    let unused =
        here.filter(|row| row.account != scope.account && !used.here.contains(&row.account));
    let unused = unused.map(|row| Ok((row.account.clone(), images::rows_of(conn, row)?)));
    let unused = unused.collect::<Result<BTreeMap<_, _>, Fault>>()?;
    Ok(KnownAccounts { scopes, unused })
}

/// Every scope that the state was used with.
pub(super) fn all(conn: &Connection) -> Result<Vec<(Scope, KnownAccount)>, Fault> {
    let digest = |text: Option<String>| text.as_deref().and_then(KeyDigest::parse);
    rows::all(conn, "SELECT * FROM scopes", [], |row| {
        let uin: Option<String> = row.get("uin")?;
        let succeeded_by: Option<String> = row.get("succeeded_by")?;
        let known = KnownAccount {
            uin: uin.and_then(|uin| Uin::new(&uin).ok()),
            key: digest(row.get("key_digest")?),
            pruned_with: digest(row.get("pruned_with")?),
            succeeded_by: succeeded_by.as_deref().and_then(AccountName::new),
        };
        Ok((row.scope()?, known))
    })
}

/// Notes that the state is used with a scope.
pub(super) fn note(conn: &Connection, scope: &Scope) -> Result<(), Fault> {
    rows::change(
        conn,
        "INSERT OR IGNORE INTO scopes (account, region) VALUES (?1, ?2)",
        [scope.account.as_str(), scope.region.as_str()],
    )
}

/// Keeps whose the credentials of a scope are. What pruned last, and who succeeded, is kept apart.
pub(super) fn record(conn: &Connection, scope: &Scope, known: &KnownAccount) -> Result<(), Fault> {
    note(conn, scope)?;
    rows::change(
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

/// Keeps the key that prunes in a scope.
pub(super) fn pruned_with(conn: &Connection, scope: &Scope, key: &KeyDigest) -> Result<(), Fault> {
    rows::change(
        conn,
        "UPDATE scopes SET pruned_with = ?1 WHERE account = ?2 AND region = ?3 AND pruned_with IS NOT ?1",
        [key.as_str(), scope.account.as_str(), scope.region.as_str()],
    )
}

/// Keeps that a name took over images of another one, which then stood for the same account.
pub(super) fn succeed(conn: &Connection, row: &Scope, by: &AccountName) -> Result<(), Fault> {
    rows::change(
        conn,
        "UPDATE scopes SET succeeded_by = ?1 WHERE account = ?2 AND region = ?3 AND succeeded_by IS NULL",
        [by.as_str(), row.account.as_str(), row.region.as_str()],
    )
}

/// The account names under which anything of an image is kept in the scope's region, but for the scope's own and `used`
/// ones.
pub(super) fn unused_names_of(
    conn: &Connection,
    key: &crate::model::ImageKey,
    used: &BTreeSet<AccountName>,
) -> Result<Vec<AccountName>, Fault> {
    let names = rows::all(
        conn,
        "SELECT account FROM images WHERE region = ?1 AND image = ?2 AND account <> ?3",
        [
            key.scope.region.as_str(),
            key.image.as_str(),
            key.scope.account.as_str(),
        ],
        |row| row.parse("account", AccountName::new),
    )?;
    Ok(names
        .into_iter()
        .filter(|name| !used.contains(name))
        .collect())
}
