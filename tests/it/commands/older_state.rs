//! Makes state databases of older schema versions from a database of the newest version, for tests of migrations.

use rusqlite::Connection;

/// The statements that take a state back by one version. The first one goes back to version 1.
const STEPS: [&str; 7] = [
    "DROP TABLE newest_commit; PRAGMA user_version = 1;",
    "DROP TABLE scopes; ALTER TABLE chain DROP COLUMN generation; PRAGMA user_version = 2;",
    "ALTER TABLE images DROP COLUMN word; ALTER TABLE images DROP COLUMN denied_since; PRAGMA user_version = 3;",
    "DROP TABLE name_meanings; DROP TABLE version_clocks; PRAGMA user_version = 4;",
    "DROP TRIGGER scopes_name_accounts; DROP TABLE account_names; DROP INDEX scopes_uin; DROP INDEX scopes_taken_over; \
     PRAGMA user_version = 5;",
    "DROP TABLE told; PRAGMA user_version = 6;",
    "DROP TABLE loss_acceptances; PRAGMA user_version = 7;",
];

/// The older versions of the schema.
pub(crate) const OLDER: std::ops::RangeInclusive<usize> = 1..=STEPS.len();

/// Takes a state of the newest version back to an older one by undoing each migration since then.
pub(crate) fn back_to(database: &Connection, version: usize) {
    for step in STEPS.iter().skip(version - 1).rev() {
        database.execute_batch(step).expect("taken back");
    }
}
