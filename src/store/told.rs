//! The table `told`: the notified problems that are not over. `status` defines the document that is stored in it.

use rusqlite::Connection;

use super::error::StoreError;
use super::rows;

/// The document that was stored last, if there is one.
pub(super) fn document(conn: &Connection) -> Result<Option<String>, StoreError> {
    rows::query_first(conn, "SELECT document FROM told", [], |row| {
        row.get("document")
    })
}

/// Stores a document in place of the last one.
pub(super) fn keep(conn: &Connection, document: &str) -> Result<(), StoreError> {
    rows::execute(
        conn,
        "INSERT OR REPLACE INTO told (one, document) VALUES (1, ?1)",
        [document],
    )
}
