//! R13: tests how much disk space the state takes: free pages, the write-ahead log, and what a write appends.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::crash_tests::{Image, torn};
use super::files::Files;
use super::fixtures_tests::{
    block_on, by_hand, dump, noon, open, open_with, options, share, ticking,
};
use super::history_writer::HistoryWriter;
use super::open::LOG_SIZE;
use super::{Options, Reader, Recovery, Store, VerifyResult, space, transactions};
use crate::ledger::Ledger;

fn number(dir: &Path, pragma: &str) -> i64 {
    let conn = Connection::open(dir.join("state.db")).expect("a database");
    conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
        .expect("a number")
}

fn len(dir: &Path, name: &str) -> u64 {
    fs::metadata(dir.join(name)).map_or(0, |metadata| metadata.len())
}

/// Adds entries to the history in one transaction, as many runs do over years.
fn grow(dir: &Path, entries: usize) {
    let mut conn = super::open::connect(&Files::new(dir)).expect("open");
    let transaction = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .expect("begun");
    let writer = HistoryWriter {
        conn: &transaction,
        now: noon().into(),
        history_max: 1_000_000,
    };
    for number in 0..entries {
        let attempt = share(&format!("{number:08}"));
        transactions::record_intent(&writer, &attempt, None).expect("recorded");
    }
    transaction
        .execute_batch("DELETE FROM open_intents")
        .expect("closed");
    transaction.commit().expect("committed");
}

/// Turns a state into one from before free pages could be released.
fn make_rigid(dir: &Path) {
    by_hand(dir, "PRAGMA auto_vacuum = NONE; VACUUM;");
    assert_eq!(number(dir, "auto_vacuum"), 0);
}

fn keeps(history_max: u64) -> Options {
    Options {
        history_max,
        ..options()
    }
}

#[test]
fn r13_a_new_state_can_release_free_pages_and_an_older_one_is_converted() {
    let dir = tempfile::tempdir().expect("a directory");
    open(dir.path()).close().expect("closed");
    assert_eq!(number(dir.path(), "auto_vacuum"), 2);
    grow(dir.path(), 50);
    make_rigid(dir.path());
    let before = dump(dir.path()).expect("readable");
    // Reading alone changes nothing.
    Reader::open(dir.path()).expect("a reader");
    assert_eq!(number(dir.path(), "auto_vacuum"), 0);
    open(dir.path()).close().expect("closed");
    assert_eq!(number(dir.path(), "auto_vacuum"), 2);
    assert_eq!(dump(dir.path()).expect("readable"), before);
    Store::upgrade(dir.path(), &options(), noon()).expect("nothing to do");
    assert_eq!(dump(dir.path()).expect("readable"), before);
}

#[test]
fn r13_s18_an_interrupted_conversion_leaves_the_state_unchanged() {
    let dir = tempfile::tempdir().expect("a directory");
    open(dir.path()).close().expect("closed");
    grow(dir.path(), 100);
    make_rigid(dir.path());
    by_hand(dir.path(), "PRAGMA wal_checkpoint(TRUNCATE)");
    let owner = fs::read_to_string(dir.path().join("owner")).expect("an owner");
    let was = dump(dir.path()).expect("readable");
    let before = Image::of(dir.path());
    let conn = super::open::connect(&Files::new(dir.path())).expect("open");
    conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
        .expect("converted");
    let after = Image::of(dir.path());
    drop(conn);
    assert!(before.database == after.database, "only the log is written");
    let images = torn(&before, &after, &mut fastrand::Rng::with_seed(13));
    assert!(images.len() > 10);
    for image in images {
        let laid = image.lay(Some(&owner));
        assert!(dump(laid.path()).expect("readable") == was);
        open(laid.path()).close().expect("closed");
        assert_eq!(number(laid.path(), "auto_vacuum"), 2);
        assert!(dump(laid.path()).expect("readable") == was);
    }
}

#[test]
fn r13_a_smaller_limit_shrinks_the_file_within_a_run() {
    for rigid in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        open(dir.path()).close().expect("closed");
        grow(dir.path(), 16_000);
        if rigid {
            make_rigid(dir.path());
        }
        by_hand(dir.path(), "PRAGMA wal_checkpoint(TRUNCATE)");
        let before = len(dir.path(), "state.db");
        assert!(before > 3_000_000, "{before}");
        // This run itself has nothing to write.
        let store = Store::open(dir.path(), &keeps(100), ticking()).expect("a store");
        store.close().expect("closed");
        let after = len(dir.path(), "state.db");
        assert!(after < before / 10, "{after} of {before}, rigid: {rigid}");
        let summary = Reader::open(dir.path()).expect("a reader").summary();
        assert_eq!(summary.expect("readable").history.entries, 100);
        let (_, verified) = dump(dir.path()).expect("readable");
        assert!(
            matches!(verified, VerifyResult::Intact { entries: 100, .. }),
            "{verified:?}"
        );
        // The next process continues where this one ended.
        let store = open(dir.path());
        block_on(store.record_intent(&share("a"))).expect("recorded");
    }
}

#[test]
fn r13_upkeep_works_in_steps_and_keeps_pages_for_the_next_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    open(dir.path()).close().expect("closed");
    grow(dir.path(), 6_000);
    let conn = super::open::connect(&Files::new(dir.path())).expect("open");
    let mut upkeep = space::Upkeep::new(10);
    let pages = || -> (i64, i64) {
        let get = |pragma: &str| {
            conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
                .expect("a number")
        };
        (get("page_count"), get("freelist_count"))
    };
    let mut steps = 0;
    let mut before = pages().0;
    while upkeep.is_due(&conn).expect("counted") {
        assert!(upkeep.step(&conn).expect("done"));
        let now = pages().0;
        assert!(before - now <= 300, "{before} to {now}");
        (before, steps) = (now, steps + 1);
    }
    assert!(steps > 3, "{steps}");
    let (all, free) = pages();
    assert!(all < 200 && free <= 64, "{all} pages, {free} free");
}

#[test]
fn r13_the_log_is_bounded_and_shrinks_once_a_reader_has_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_with(dir.path(), || {});
    let write = |count: u64| {
        let mut seen = 0;
        for number in 0..count {
            block_on(store.record_intent(&share(&format!("{number}")))).expect("recorded");
            seen = len(dir.path(), "state.db-wal").max(seen);
        }
        seen
    };
    let bound = LOG_SIZE + 1024 * 1024;
    assert!(write(600) < bound);
    // A reader starts and does not end.
    let reader = Connection::open(dir.path().join("state.db")).expect("a database");
    reader
        .execute_batch("BEGIN; SELECT * FROM chain")
        .expect("read");
    assert!(write(600) > bound, "nothing is lost, and nothing waits");
    drop(reader);
    assert_eq!(block_on(store.recover()), Recovery::Writable);
    assert_eq!(len(dir.path(), "state.db-wal"), 0);
    block_on(store.record_intent(&share("z"))).expect("recorded");
    store.close().expect("closed");
    let (_, verified) = dump(dir.path()).expect("readable");
    assert!(
        matches!(verified, VerifyResult::Intact { entries: 1_201, .. }),
        "{verified:?}"
    );
}

#[test]
fn r13_outcomes_wait_for_each_other_and_for_the_next_intent() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let attempts: Vec<_> = (0..20).map(|number| share(&format!("{number}"))).collect();
    let intents = attempts.iter().map(|attempt| store.record_intent(attempt));
    let intents = block_on(futures_util::future::join_all(intents));
    let generation = || -> i64 {
        let conn = Connection::open(dir.path().join("state.db")).expect("a database");
        conn.query_row("SELECT generation FROM chain", [], |row| row.get(0))
            .expect("a number")
    };
    let before = generation();
    block_on(async {
        let outcomes = intents.into_iter().zip(&attempts).map(|(intent, attempt)| {
            let intent = intent.expect("recorded");
            let result = crate::history::WriteResult::Applied;
            store.record_outcome(super::fixtures_tests::answer(intent, attempt, result), None)
        });
        for outcome in futures_util::future::join_all(outcomes).await {
            outcome.expect("recorded");
        }
    });
    assert_eq!(generation() - before, 1);
}
