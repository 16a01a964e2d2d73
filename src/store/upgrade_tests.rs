//! R12: states of older versions are read as if already migrated. They are migrated on request or before a person's
//! change is stored, completely or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::crash_tests::{Image, torn};
use super::files::Files;
use super::fixtures_tests::{
    answer, back_to, block_on, by_hand, dump, files, key, noon, open as open_store, options, share,
    ticking,
};
use super::holder::Holder;
use super::images;
use super::lock::Lock;
use super::open::{self, WalIndex};
use super::schema::{self, MIGRATIONS};
use super::{HistoryQuery, OpenError, OperatorStore, Reader, StateSummary, Store, VerifyResult};
use crate::history::{HistoryEntry, WriteResult};
use crate::inventory::{Inventory, InventoryEntry, KnownAccounts, OwnedShare};
use crate::ledger::{Ledger, LedgerReader};
use crate::model::fixtures_tests::tokyo;
use crate::model::{Permission, Selector};

const OLDER: std::ops::RangeInclusive<usize> = 1..=7;

/// A state of an older version that has a row in each table of that version.
fn older(version: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_store(dir.path());
    let attempt = share("a");
    let intent = block_on(store.record_intent(&attempt)).expect("recorded");
    let mut entry = InventoryEntry::default();
    entry.record_acknowledged(Permission::Share, Some("lhbp-a"), false, noon());
    let outcome = answer(intent, &attempt, WriteResult::Applied);
    block_on(store.record_outcome(outcome, Some(entry))).expect("kept");
    block_on(store.record_intent(&share("open"))).expect("recorded");
    store.close().expect("closed");
    let mut operator = OperatorStore::open(dir.path(), &options(), ticking()).expect("open");
    let owned = OwnedShare::adopted("lhbp-b", noon());
    let adopted = operator.adopt(
        vec![(key("b"), owned)],
        &BTreeSet::new(),
        "ann@desk",
        "by hand",
    );
    adopted.expect("adopted");
    let suspended = operator.suspend(Selector::default(), None, "ann@desk", "so");
    suspended.expect("suspended");
    drop(operator);
    by_hand(
        dir.path(),
        "INSERT INTO newest_commit VALUES (1, 'abc', '2026-03-01T12:00:00.000000000Z', '2026-03-01T12:00:00.000000000Z');",
    );
    back_to(dir.path(), version);
    dir
}

/// Everything that a reader returns of a state.
#[derive(Debug, PartialEq)]
struct Told {
    summary: StateSummary,
    history: Vec<HistoryEntry>,
    verified: Option<VerifyResult>,
    inventory: Inventory,
    accounts: KnownAccounts,
}

fn content_of(dir: &Path) -> Told {
    let reader = Reader::open(dir).expect("a reader");
    let (scope, used) = (tokyo(), Arc::default());
    let read = reader.inventory_and_accounts(&scope, &used, None);
    let (inventory, accounts) = block_on(read).expect("readable");
    Told {
        summary: reader.summary().expect("a summary"),
        history: reader.history(&HistoryQuery::default()).expect("a history"),
        verified: reader.verify().expect("readable"),
        inventory,
        accounts,
    }
}

fn version(dir: &Path) -> i64 {
    let conn = Connection::open(dir.join("state.db")).expect("a database");
    schema::file_header(&conn).expect("a header").version
}

#[test]
fn r12_an_older_state_reads_as_if_it_were_migrated() {
    for older_version in OLDER {
        let dir = older(older_version);
        let before = files(dir.path());
        let mut as_it_is = content_of(dir.path());
        assert_eq!(files(dir.path()), before, "reading changes nothing");
        assert_eq!(as_it_is.summary.schema, older_version as i64);
        assert!(as_it_is.summary.is_older);
        assert_eq!(as_it_is.history.len(), 5);
        assert_eq!(as_it_is.inventory.images.len(), 2);
        assert_eq!(as_it_is.inventory.open_intents.len(), 1);
        assert!(as_it_is.accounts.scopes.contains_key(&tokyo()));
        assert_eq!(as_it_is.summary.newest.is_some(), older_version >= 2);
        assert!(matches!(
            as_it_is.verified,
            Some(VerifyResult::Intact { entries: 5, .. })
        ));

        open_store(dir.path()).close().expect("closed");
        as_it_is.summary.schema = schema::latest(MIGRATIONS);
        as_it_is.summary.is_older = false;
        assert_eq!(content_of(dir.path()), as_it_is, "version {older_version}");
    }
}

#[test]
fn r12_a_reader_of_an_older_state_reads_what_its_process_writes() {
    for older_version in OLDER {
        let dir = older(older_version);
        // The older process has the database open, and commits.
        let conn = Connection::open(dir.path().join("state.db")).expect("a database");
        conn.execute_batch("DELETE FROM suspensions").expect("done");
        let reader = Reader::open(dir.path()).expect("a reader");
        assert_eq!(reader.summary().expect("one").suspensions.len(), 0);
        conn.execute_batch("DELETE FROM open_intents")
            .expect("done");
        let inventory = block_on(reader.inventory(&tokyo())).expect("an inventory");
        assert_eq!(inventory.open_intents.len(), 0);
        // The state is migrated while the reader is open.
        drop(conn);
        open_store(dir.path()).close().expect("closed");
        let summary = reader.summary().expect("a summary");
        assert_eq!(summary.schema, schema::latest(MIGRATIONS));
    }
}

#[test]
fn r12_a_command_migrates_the_state_unless_an_older_process_uses_it() {
    for older_version in OLDER {
        let dir = older(older_version);
        let holder = Holder {
            pid: 4711,
            host: "build-7".into(),
            command: "run manifests".into(),
            since: noon(),
        };
        let lock = Lock::take(&Files::new(dir.path()), &holder).expect("the lock");
        let before = files(dir.path());
        let error = OperatorStore::open(dir.path(), &options(), ticking()).err();
        assert_eq!(files(dir.path()), before);
        let error = error.expect("refused");
        assert!(matches!(error, OpenError::HeldByOlder { .. }), "{error:?}");
        for part in [
            format!("has schema version {older_version}"),
            "process 4711 on build-7 (`run manifests`".into(),
            "stop that older sharekeeper and run this again".into(),
        ] {
            assert!(error.to_string().contains(&part), "{error}");
        }
        drop(lock);
        let mut operator = OperatorStore::open(dir.path(), &options(), ticking()).expect("open");
        let suspended = operator.suspend(Selector::default(), None, "ann@desk", "again");
        suspended.expect("suspended");
        assert_eq!(version(dir.path()), schema::latest(MIGRATIONS));
        assert_eq!(content_of(dir.path()).summary.suspensions.len(), 2);
    }
}

#[test]
fn r12_an_upgrade_on_request_keeps_a_copy_of_the_state_before() {
    for older_version in OLDER {
        let dir = older(older_version);
        let mut before = content_of(dir.path());
        fs::write(dir.path().join("state-schema-x.db.part"), "half").expect("written");
        let done = Store::upgrade(dir.path(), &options(), noon()).expect("upgraded");
        let done = done.expect("there is a state");
        let known = schema::latest(MIGRATIONS);
        assert_eq!((done.from, done.to), (older_version as i64, known));
        let backup = done.backup.expect("a copy");

        // The copy is a complete state, unchanged.
        let restored = tempfile::tempdir().expect("a directory");
        fs::copy(&backup, restored.path().join("state.db")).expect("copied");
        fs::copy(dir.path().join("owner"), restored.path().join("owner")).expect("copied");
        assert_eq!(content_of(restored.path()), before);

        before.summary.schema = known;
        before.summary.is_older = false;
        assert_eq!(content_of(dir.path()), before);
        let again = Store::upgrade(dir.path(), &options(), noon()).expect("upgraded");
        let again = again.expect("there is a state");
        assert_eq!((again.from, again.backup), (known, None));
    }
}

#[test]
fn g9_notified_problems_are_stored_and_an_older_state_has_none() {
    let dir = older(5);
    let store = open_store(dir.path());
    assert_eq!(block_on(store.told()), Ok(None));
    for document in ["{}", "{\"a\":1}"] {
        block_on(store.keep_told(document.to_owned())).expect("kept");
    }
    store.close().expect("closed");
    let store = open_store(dir.path());
    assert_eq!(block_on(store.told()), Ok(Some("{\"a\":1}".to_owned())));
}

#[test]
fn r12_an_upgrade_makes_no_state_and_refuses_a_locked_or_newer_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let none = dir.path().join("none");
    assert_eq!(Store::upgrade(&none, &options(), noon()), Ok(None));
    assert!(!none.exists());

    let dir = older(4);
    let held = open_lock(dir.path());
    let error = Store::upgrade(dir.path(), &options(), noon()).expect_err("refused");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert_eq!(version(dir.path()), 4);
    drop(held);
    by_hand(dir.path(), "PRAGMA user_version = 9");
    let error = Store::upgrade(dir.path(), &options(), noon()).expect_err("refused");
    assert!(matches!(error, OpenError::NewerSchema { .. }), "{error}");
}

fn open_lock(dir: &Path) -> Lock {
    let holder = options().holder(noon());
    Lock::take(&Files::new(dir), &holder).expect("the lock")
}

/// A crash can leave this at any point of a migration; the next process completes the migration.
#[test]
fn r12_s18_an_interrupted_migration_is_completed() {
    let mut rng = fastrand::Rng::with_seed(12);
    for older_version in OLDER {
        let dir = older(older_version);
        let owner = fs::read_to_string(dir.path().join("owner")).expect("an owner");
        let before = Image::of(dir.path());
        let mut conn = open::connect(&Files::new(dir.path())).expect("open");
        schema::migrate(&mut conn, MIGRATIONS, noon()).expect("migrated");
        let after = Image::of(dir.path());
        let is = dump(dir.path()).expect("readable");
        drop(conn);
        assert!(before.database == after.database, "only the log is written");
        let images = torn(&before, &after, &mut rng);
        assert!(images.len() > 5);
        for image in images {
            let laid = image.lay(Some(&owner));
            // A reader can read each of the versions on the way.
            let version = open::read(&Files::new(laid.path()), WalIndex::Repair, |conn| {
                schema::view_as_newest(conn).expect("viewed");
                let images = images::inventory(conn, &tokyo())
                    .expect("an inventory")
                    .images;
                Ok::<_, OpenError>(images.len())
            });
            assert_eq!(version, Ok(2));
            open_store(laid.path()).close().expect("closed");
            assert!(
                dump(laid.path()).expect("readable") == is,
                "version {older_version}"
            );
        }
    }
}
