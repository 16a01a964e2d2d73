//! The tables `name_meanings` and `version_clocks`: what resolution remembers of every scope. `inventory` and `resolve`
//! decide what the rows mean.

use std::sync::Arc;

use rusqlite::{Connection, named_params};

use super::error::StoreError;
use super::rows::{self, NamedRow, format_time, is_storable};
use crate::inventory::{MemoryUpdate, ResolutionMemory, VersionClock, VersionKey};
use crate::model::{ImageId, ImageName, Scope, Timestamp};

/// A name that means another image than it last meant.
pub(super) struct MovedName {
    pub(super) name: ImageName,
    pub(super) from: ImageId,
    pub(super) to: ImageId,
}

/// Everything that is remembered of a scope.
pub(super) fn of_scope(conn: &Connection, scope: &Scope) -> Result<ResolutionMemory, StoreError> {
    let of_scope = [scope.account.as_str(), scope.region.as_str()];
    let names = rows::query_all(
        conn,
        "SELECT name, image FROM name_meanings WHERE account = ?1 AND region = ?2",
        of_scope,
        |row| Ok((name_in(row)?, row.image()?)),
    )?;
    let versions = rows::query_all(
        conn,
        "SELECT policy, version, age, stands_since, regions, images FROM version_clocks WHERE account = ?1 AND region = ?2",
        of_scope,
        |row| Ok((version_in(row)?, clock_in(row)?)),
    )?;
    Ok(ResolutionMemory {
        names: names.into_iter().collect(),
        versions: versions.into_iter().collect(),
    })
}

/// Stores the changes of an update to the memory of a scope, and returns the names that mean another image from now on.
pub(super) fn apply(
    conn: &Connection,
    scope: &Scope,
    update: &MemoryUpdate,
) -> Result<Vec<MovedName>, StoreError> {
    let mut moved = Vec::new();
    for (name, image) in &update.names {
        let before = meaning(conn, scope, name)?;
        if let (Some(from), Some(to)) = (before, image)
            && from != *to
        {
            moved.push(MovedName {
                name: name.clone(),
                from,
                to: to.clone(),
            });
        }
        put_name(conn, scope, name, image.as_ref())?;
    }
    for (version, clock) in &update.versions {
        put_version(conn, scope, version, clock.as_ref())?;
    }
    Ok(moved)
}

/// Deletes everything that is remembered of a scope, because it can no longer be trusted when the next observation uses
/// it.
pub(super) fn forget(conn: &Connection, scope: &Scope) -> Result<(), StoreError> {
    for table in ["name_meanings", "version_clocks"] {
        rows::execute(
            conn,
            &format!("DELETE FROM {table} WHERE account = ?1 AND region = ?2"),
            [scope.account.as_str(), scope.region.as_str()],
        )?;
    }
    Ok(())
}

/// The number of names whose meaning is remembered, by scope.
pub(super) fn count_names(conn: &Connection) -> Result<Vec<(Scope, u64)>, StoreError> {
    count(conn, "name_meanings")
}

/// The number of versions whose clocks are remembered, by scope.
pub(super) fn count_versions(conn: &Connection) -> Result<Vec<(Scope, u64)>, StoreError> {
    count(conn, "version_clocks")
}

fn count(conn: &Connection, table: &str) -> Result<Vec<(Scope, u64)>, StoreError> {
    rows::query_all(
        conn,
        &format!("SELECT account, region, count(*) AS rows FROM {table} GROUP BY account, region"),
        [],
        |row| Ok((row.scope()?, row.number("rows")?)),
    )
}

/// The image that a name last meant, if that is known.
fn meaning(
    conn: &Connection,
    scope: &Scope,
    name: &ImageName,
) -> Result<Option<ImageId>, StoreError> {
    rows::query_first(
        conn,
        "SELECT image FROM name_meanings WHERE account = ?1 AND region = ?2 AND name = ?3",
        [scope.account.as_str(), scope.region.as_str(), name.as_str()],
        |row| row.image(),
    )
}

fn put_name(
    conn: &Connection,
    scope: &Scope,
    name: &ImageName,
    image: Option<&ImageId>,
) -> Result<(), StoreError> {
    let (account, region) = (scope.account.as_str(), scope.region.as_str());
    match image {
        Some(image) => rows::execute(
            conn,
            "INSERT OR REPLACE INTO name_meanings (account, region, name, image) VALUES (?1, ?2, ?3, ?4)",
            [account, region, name.as_str(), image.as_str()],
        ),
        None => rows::execute(
            conn,
            "DELETE FROM name_meanings WHERE account = ?1 AND region = ?2 AND name = ?3",
            [account, region, name.as_str()],
        ),
    }
}

fn put_version(
    conn: &Connection,
    scope: &Scope,
    version: &VersionKey,
    clock: Option<&VersionClock>,
) -> Result<(), StoreError> {
    let Some(clock) = clock else {
        return rows::execute(
            conn,
            "DELETE FROM version_clocks \
             WHERE account = :account AND region = :region AND policy = :policy AND version = :version",
            named_params! {
                ":account": scope.account.as_str(),
                ":region": scope.region.as_str(),
                ":policy": &*version.policy,
                ":version": &*version.version,
            },
        );
    };
    rows::execute(
        conn,
        "INSERT OR REPLACE INTO version_clocks (account, region, policy, version, age, stands_since, regions, images) \
         VALUES (:account, :region, :policy, :version, :age, :stands_since, :regions, :images)",
        named_params! {
            ":account": scope.account.as_str(),
            ":region": scope.region.as_str(),
            ":policy": &*version.policy,
            ":version": &*version.version,
            ":age": time(clock.age),
            ":stands_since": time(clock.stands_since),
            ":regions": serde_json::json!(clock.regions).to_string(),
            ":images": serde_json::json!(clock.images).to_string(),
        },
    )
}

/// A time as it is stored. The age comes from the API: one that could not be read back counts as unknown, which only
/// delays things.
fn time(at: Option<Timestamp>) -> Option<String> {
    at.filter(|at| is_storable(*at)).map(format_time)
}

fn name_in(row: &NamedRow<'_>) -> Result<ImageName, StoreError> {
    row.parse("name", |text| ImageName::new(text).ok())
}

fn version_in(row: &NamedRow<'_>) -> Result<VersionKey, StoreError> {
    Ok(VersionKey {
        policy: Arc::from(row.get::<String>("policy")?),
        version: Arc::from(row.get::<String>("version")?),
    })
}

fn clock_in(row: &NamedRow<'_>) -> Result<VersionClock, StoreError> {
    Ok(VersionClock {
        age: row.some_time("age")?,
        stands_since: row.some_time("stands_since")?,
        regions: row.parse("regions", |text| serde_json::from_str(text).ok())?,
        images: row.parse("images", |text| serde_json::from_str(text).ok())?,
    })
}
