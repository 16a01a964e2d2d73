//! Shared by the tests of the store: a directory, a clock that ticks, and attempts.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use chrono::{TimeDelta, TimeZone, Utc};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::files::Files;
use super::open::WalIndex;
use super::schema::MIGRATIONS;
use super::verify::{VerifyResult, verify};
use super::{OpenError, Options, Store};
use crate::history::{WriteOutcome, WriteResult};
use crate::inventory::IntentId;
use crate::ledger::Attempt;
use crate::model::fixtures_tests::tokyo;
use crate::model::{Cause, ImageId, ImageKey, Labels, Permission, Timestamp};

/// Noon of 1 March 2026.
pub(super) fn noon() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap()
}

/// A clock that advances by 1.000001 s each time it is read.
pub(super) fn ticking() -> impl Fn() -> Timestamp + 'static {
    let reads = Cell::new(0);
    move || {
        reads.set(reads.get() + 1);
        noon() + TimeDelta::microseconds(1_000_001) * reads.get()
    }
}

pub(super) fn options() -> Options {
    Options::new("reconcile manifests", "build-7")
}

pub(super) fn open(dir: &Path) -> Store {
    Store::open(dir, &options(), ticking()).expect("a store")
}

/// A store that calls `recheck_delay` instead of waiting before it checks once more.
pub(super) fn open_with(dir: &Path, recheck_delay: impl FnMut() + Send + 'static) -> Store {
    Store::open_with(dir, &options(), ticking(), Box::new(recheck_delay)).expect("a store")
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

pub(super) fn image(name: &str) -> ImageId {
    ImageId::new(&format!("img-{name}")).expect("an id")
}

pub(super) fn key(name: &str) -> ImageKey {
    ImageKey {
        scope: tokyo(),
        image: image(name),
    }
}

pub(super) fn share(name: &str) -> Attempt {
    Attempt {
        key: key(name),
        permission: Permission::Share,
        cause: Cause::Declared,
        source: None,
        labels: vec![Arc::new(Labels::new())],
        name: None,
        document: None,
        number: 1,
        saw_opposite: true,
        needs_ownership: false,
        aliases: Default::default(),
        key_digest: None,
        api_ahead: chrono::TimeDelta::zero(),
    }
}

pub(super) fn answer(intent: IntentId, attempt: &Attempt, result: WriteResult) -> WriteOutcome {
    WriteOutcome {
        request_id: Some("req-1".into()),
        ..attempt.ended(intent, result)
    }
}

/// The files of a directory, each with its size and a digest of its content. The index of the log holds no state, so that
/// only its presence counts.
pub(super) fn files(dir: &Path) -> BTreeMap<String, (usize, String)> {
    fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let content = match name.as_str() {
                "state.db-shm" => Vec::new(),
                _ => fs::read(&path).expect("content"),
            };
            let digest = hex::encode(Sha256::digest(&content));
            (name, (content.len(), digest))
        })
        .collect()
}

/// Returns everything that a database contains, and whether its history is intact.
pub(super) fn dump(dir: &Path) -> Result<(String, VerifyResult), OpenError> {
    let files = Files::new(dir);
    super::open::read(&files, WalIndex::Leave, |conn| {
        let verified = contents(conn).and_then(|text| Ok((text, verify(conn)?)));
        verified.map_err(|error| OpenError::Damaged {
            path: files.database(),
            detail: error.to_string(),
        })
    })
}

fn contents(conn: &Connection) -> Result<String, StoreError> {
    let mut text = String::new();
    for table in [
        "about",
        "images",
        "open_intents",
        "suspensions",
        "loss_acceptances",
        "newest_commit",
        "scopes",
        "name_meanings",
        "version_clocks",
        "history",
        "chain",
    ] {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                text.push_str(&format!("{table} {:?} ", row.get_ref(column)?));
            }
            text.push('\n');
        }
    }
    Ok(text)
}

/// Takes a state of the newest schema back to an older version: the reverse of the migrations since then.
pub(super) fn back_to(dir: &Path, version: usize) {
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
    assert_eq!(
        STEPS.len() + 1,
        MIGRATIONS.len(),
        "each migration has its way back"
    );
    for step in STEPS.iter().skip(version - 1).rev() {
        by_hand(dir, step);
    }
}

/// Runs SQL on a connection beside the store, as a person could with sqlite3.
pub(super) fn by_hand(dir: &Path, sql: &str) {
    let conn = Connection::open(dir.join("state.db")).expect("a database");
    conn.execute_batch(sql).expect("done");
}
