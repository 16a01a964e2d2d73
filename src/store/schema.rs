use rusqlite::{Connection, TransactionBehavior, params};

use super::chain;
use super::error::StoreError;
use super::rows::format_time;
use crate::model::Timestamp;

/// In the file's header, for `file` and for us: "shkp".
pub(super) const APPLICATION_ID: u32 = 0x7368_6b70;

/// One step of the schema: step `n`, counted from 1, leads to version `n`. Steps are never changed once released.
pub(super) type Migration = fn(&Connection) -> rusqlite::Result<()>;

/// All of them, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    |conn| conn.execute_batch(include_str!("schema.sql")),
    |conn| conn.execute_batch(include_str!("schema_2.sql")),
    |conn| conn.execute_batch(include_str!("schema_3.sql")),
    |conn| conn.execute_batch(include_str!("schema_4.sql")),
];

/// The version that `steps` lead to.
pub(super) fn latest(steps: &[Migration]) -> i64 {
    // A handful.
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) application_id: u32,
    pub(super) version: i64,
    /// There is not one table in it.
    pub(super) is_empty: bool,
}

/// Reads it. Nothing else in a database can be relied on before this has been looked at.
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

/// Brings the schema up to date, each step in a transaction of its own. Another process may be at it too: what is to
/// be done is seen under the write lock.
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
    // SQLite's generator is seeded by the operating system. The id need not be secret, only nobody else's.
    conn.execute(
        "INSERT INTO about (one, owner, created) VALUES (1, lower(hex(randomblob(16))), ?1)",
        params![format_time(now)],
    )?;
    chain::create(conn, &owner(conn)?)
}

/// Whose database it is.
pub(super) fn owner(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("SELECT owner FROM about", [], |row| row.get(0))
}
