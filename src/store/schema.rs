use rusqlite::{Connection, TransactionBehavior, params};

use super::chain;
use super::error::Fault;
use super::rows::stamp;
use crate::model::Timestamp;

/// In the file's header, for `file` and for us: "shkp".
pub(super) const APPLICATION_ID: u32 = 0x7368_6b70;

/// One step of the schema: step `n`, counted from 1, leads to version `n`. Steps are never changed once released.
pub(super) type Step = fn(&Connection) -> rusqlite::Result<()>;

/// All of them, in order.
pub(super) const STEPS: &[Step] = &[
    |conn| conn.execute_batch(include_str!("schema.sql")),
    |conn| conn.execute_batch(include_str!("schema_2.sql")),
    |conn| conn.execute_batch(include_str!("schema_3.sql")),
    |conn| conn.execute_batch(include_str!("schema_4.sql")),
];

/// The version that `steps` lead to.
pub(super) fn latest(steps: &[Step]) -> i64 {
    // A handful.
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) application_id: u32,
    pub(super) version: i64,
    /// There is not one table in it.
    pub(super) bare: bool,
}

/// Reads it. Nothing else in a database can be relied on before this has been looked at.
pub(super) fn label(conn: &Connection) -> rusqlite::Result<Label> {
    let id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok(Label {
        application_id: id.cast_unsigned(),
        version: conn.query_row("PRAGMA user_version", [], |row| row.get(0))?,
        bare: conn.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| row.get(0),
        )?,
    })
}

/// Brings the schema up to date, each step in a transaction of its own. Another process may be at it too: what is to
/// be done is seen under the write lock.
pub(super) fn migrate(conn: &mut Connection, steps: &[Step], now: Timestamp) -> Result<(), Fault> {
    loop {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = label(&transaction)?.version;
        let done = usize::try_from(version).unwrap_or(usize::MAX);
        let Some(step) = steps.get(done) else {
            return Ok(());
        };
        step(&transaction)?;
        if version == 0 {
            found(&transaction, now)?;
        }
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

/// Gives a new database its owner and an empty history.
fn found(conn: &Connection, now: Timestamp) -> Result<(), Fault> {
    conn.pragma_update(None, "application_id", APPLICATION_ID.cast_signed())?;
    // SQLite's generator is seeded by the operating system. The id need not be secret, only nobody else's.
    conn.execute(
        "INSERT INTO about (one, owner, created) VALUES (1, lower(hex(randomblob(16))), ?1)",
        params![stamp(now)],
    )?;
    chain::begin(conn, &owner(conn)?)
}

/// Whose database it is.
pub(super) fn owner(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("SELECT owner FROM about", [], |row| row.get(0))
}
