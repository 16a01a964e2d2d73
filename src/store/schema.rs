//! The schema of the database: its migrations, and how a file is recognized as ours. Migrations are never changed once they
//! are released.

use rusqlite::{Connection, TransactionBehavior, params};

use super::chain;
use super::error::StoreError;
use super::rows::format_time;
use crate::model::Timestamp;

/// The `application_id` in the header of the file, by which the program `file` and we recognize it: "shkp".
pub(super) const APPLICATION_ID: u32 = 0x7368_6b70;

/// A migration of the schema: number `n`, counted from 1, leads to version `n`.
pub(super) type Migration = fn(&Connection) -> rusqlite::Result<()>;

/// All migrations, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    |conn| conn.execute_batch(include_str!("schema.sql")),
    |conn| conn.execute_batch(include_str!("schema_2.sql")),
    |conn| conn.execute_batch(include_str!("schema_3.sql")),
    |conn| conn.execute_batch(include_str!("schema_4.sql")),
    |conn| conn.execute_batch(include_str!("schema_5.sql")),
    |conn| conn.execute_batch(include_str!("schema_6.sql")),
    |conn| conn.execute_batch(include_str!("schema_7.sql")),
    |conn| conn.execute_batch(include_str!("schema_8.sql")),
];

/// What a reader adds to a state of version `n`, counted from 1, so that it reads as one of version `n + 1`: temporary
/// views that hide the tables of the same names. The file is not changed.
const VIEWS: [&str; 7] = [
    include_str!("read_1.sql"),
    include_str!("read_2.sql"),
    include_str!("read_3.sql"),
    include_str!("read_4.sql"),
    include_str!("read_5.sql"),
    include_str!("read_6.sql"),
    include_str!("read_7.sql"),
];

/// There are views for each migration except the first.
const _: () = assert!(VIEWS.len() + 1 == MIGRATIONS.len());

/// Lets a connection that only reads see a state of an older version as if it were of the newest.
pub(super) fn view_as_newest(conn: &Connection) -> rusqlite::Result<()> {
    let version = file_header(conn)?.version;
    let done = usize::try_from(version).unwrap_or(VIEWS.len() + 1);
    VIEWS
        .iter()
        .skip(done.saturating_sub(1))
        .try_for_each(|views| conn.execute_batch(views))
}

/// The schema version that `steps` lead to.
pub(super) fn latest(steps: &[Migration]) -> i64 {
    // There are only a handful, so that the conversion cannot fail.
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// The information in the header of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) application_id: u32,
    pub(super) version: i64,
    /// Whether the database has no table.
    pub(super) is_empty: bool,
}

/// Reads the header. Nothing else in a database can be trusted before the header is checked.
pub(super) fn file_header(conn: &Connection) -> rusqlite::Result<FileHeader> {
    let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok(FileHeader {
        application_id: id.cast_unsigned(),
        version: conn.query_row("PRAGMA user_version", [], |row| row.get(0))?,
        is_empty: conn.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| row.get(0),
        )?,
    })
}

/// Migrates the schema to the latest version, with one transaction for each migration. Another process may migrate at the
/// same time, so that the version is read under the write lock.
pub(super) fn migrate(
    conn: &mut Connection,
    steps: &[Migration],
    now: Timestamp,
) -> Result<(), StoreError> {
    loop {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = file_header(&transaction)?.version;
        let done = usize::try_from(version).unwrap_or(usize::MAX);
        let Some(step) = steps.get(done) else {
            return Ok(());
        };
        step(&transaction)?;
        if version == 0 {
            initialize(&transaction, now)?;
        }
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

/// Gives a new database its owner and an empty history.
fn initialize(conn: &Connection, now: Timestamp) -> Result<(), StoreError> {
    conn.pragma_update(None, "application_id", APPLICATION_ID.cast_signed())?;
    // The operating system seeds SQLite's generator. The id need not be secret, only unique.
    conn.execute(
        "INSERT INTO about (one, owner, created) VALUES (1, lower(hex(randomblob(16))), ?1)",
        params![format_time(now)],
    )?;
    chain::create(conn, &owner(conn)?)
}

/// The installation that the database belongs to.
pub(super) fn owner(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("SELECT owner FROM about", [], |row| row.get(0))
}
