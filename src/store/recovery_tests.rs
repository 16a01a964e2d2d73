//! C7, C15: tests of a state that cannot be written for a while, and of one that another process has locked.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;
use super::files::Files;
use super::fixtures_tests::{answer, block_on, dump, noon, open, open_with, share};
use super::history_writer::HistoryWriter;
use super::{HistoryQuery, Recovery, Store, VerifyResult, chain, transactions};
use crate::history::{HistoryEvent, WriteResult};
use crate::ledger::{Ledger, LedgerReader};
use crate::model::fixtures_tests::tokyo;

/// A state with one intent, beside a backup of its database from before that.
struct Used {
    root: tempfile::TempDir,
    store: Store,
}

impl Used {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("state");
        let store = open(&dir);
        block_on(store.record_intent(&share("early"))).expect("recorded");
        store.close().expect("closed");
        fs::copy(dir.join("state.db"), root.path().join("backup")).expect("copied");
        let store = open_with(&dir, || {});
        block_on(store.record_intent(&share("a"))).expect("recorded");
        Self { root, store }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn recover(&self) -> Recovery {
        block_on(self.store.recover())
    }

    /// Makes a write fail as if the disk had an error.
    fn break_disk(&self) {
        let failed = self
            .store
            .write(|_| Err::<(), _>(StoreError::broken("disk I/O error")));
        block_on(failed).expect_err("broken");
        assert!(self.store.failure().is_some());
    }

    fn pragma(&self, name: &'static str, value: i64) {
        let set = self.store.read(move |conn| {
            Ok(conn
                .query_row(&format!("PRAGMA {name} = {value}"), [], |_| Ok(()))
                .or_else(|error| match error {
                    rusqlite::Error::QueryReturnedNoRows => Ok(()),
                    error => Err(error),
                })?)
        });
        block_on(set).expect("set");
    }

    fn intents(&self) -> usize {
        let history = block_on(self.store.history(HistoryQuery::default())).expect("a history");
        let intents = history
            .iter()
            .filter(|entry| matches!(entry.event, HistoryEvent::Intent(_)));
        intents.count()
    }
}

fn intact(dir: &Path) {
    let (_, verified) = dump(dir).expect("readable");
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );
}

type Fault = fn(&Used);

/// Ways in which writes fail. After each of them, one intent was refused.
const FAULTS: [(&str, Fault); 3] = [
    ("an error of the disk, once", |used| used.break_disk()),
    ("a file system that was made read-only", |used| {
        used.pragma("query_only", 1);
        block_on(used.store.record_intent(&share("b"))).expect_err("refused");
    }),
    ("a full disk", |used| {
        used.pragma("max_page_count", 1);
        // A small write may still find space.
        for round in 0..2 {
            while block_on(used.store.record_intent(&share("b"))).is_ok() {}
            assert!(used.store.failure().is_none(), "it may pass");
            let checked = used.recover();
            assert_eq!(checked == Recovery::Writable, round == 0, "{checked:?}");
        }
    }),
];

#[test]
fn c7_each_kind_of_failed_write_is_reported_and_the_state_recovers() {
    for (name, fault) in FAULTS {
        let used = Used::new();
        fault(&used);
        let failure = used.store.failure().expect(name).to_string();
        assert!(failure.contains("no more is written"), "{name}: {failure}");
        assert_eq!(block_on(used.store.until_failure()).to_string(), failure);
        block_on(used.store.record_intent(&share("c"))).expect_err(name);
        let (before, _) = dump(&used.dir()).expect("readable");

        assert_eq!(used.recover(), Recovery::Writable, "{name}");
        assert_eq!(used.store.failure(), None, "{name}");
        block_on(used.store.until_recovery());
        let (after, _) = dump(&used.dir()).expect("readable");
        let history = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.starts_with("history"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(
            history(&after),
            history(&before),
            "{name}: nothing refused is there"
        );
        block_on(used.store.record_intent(&share("d"))).expect(name);
        // A state that continues is checked as before.
        assert_eq!(used.recover(), Recovery::Writable, "{name}");
        intact(&used.dir());
        let dir = used.dir();
        used.store.close().expect("closed");
        intact(&dir);
    }
}

#[test]
fn c7_a_problem_that_passes_does_not_count_as_a_failure() {
    let used = Used::new();
    used.pragma("max_page_count", 1);
    while block_on(used.store.record_intent(&share("b"))).is_ok() {}
    assert_eq!(used.recover(), Recovery::Writable);
    used.pragma("max_page_count", 100_000);
    block_on(used.store.record_intent(&share("c"))).expect("recorded");
    for _ in 0..3 {
        assert_eq!(used.recover(), Recovery::Writable);
    }
    assert_eq!(used.store.failure(), None);
}

#[test]
fn c7_intents_left_by_a_failed_commit_are_closed_as_not_sent() {
    let used = Used::new();
    let kept = block_on(used.store.inventory(&tokyo())).expect("an inventory");
    used.break_disk();
    // The commit failed, but its pages are in the log.
    let mut conn = Connection::open(used.dir().join("state.db")).expect("a database");
    let transaction = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .expect("begun");
    let writer = HistoryWriter {
        conn: &transaction,
        now: noon().into(),
        history_max: 100,
    };
    let decision = transactions::record_intent(&writer, &share("b"), None).expect("recorded");
    assert!(matches!(
        decision,
        transactions::IntentDecision::Recorded(_)
    ));
    chain::advance(&transaction).expect("advanced");
    transaction.commit().expect("committed");
    drop(conn);

    assert_eq!(used.recover(), Recovery::Writable);
    let inventory = block_on(used.store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(
        inventory, kept,
        "the intent that was granted is open, and no other"
    );
    let history = block_on(used.store.history(HistoryQuery::default())).expect("a history");
    let Some(HistoryEvent::Outcome(last)) = history.last().map(|entry| &entry.event) else {
        panic!("{history:?}")
    };
    assert_eq!(last.result, WriteResult::NotSent);
    assert_eq!(last.key.image.as_str(), "img-b");
    intact(&used.dir());
}

#[test]
fn c7_b5_another_state_in_its_place_is_not_used() {
    type Tamper = fn(&Used);
    let tamperings: [(&str, Tamper, &str); 6] = [
        (
            "removed",
            |used| fs::remove_file(used.dir().join("state.db")).expect("removed"),
            "state.db was removed",
        ),
        (
            "the whole directory removed",
            |used| fs::remove_dir_all(used.dir()).expect("removed"),
            "state was removed",
        ),
        (
            "another file",
            |used| {
                let (from, to) = (used.root.path().join("backup"), used.dir().join("state.db"));
                fs::rename(from, to).expect("moved");
            },
            "state.db was replaced",
        ),
        (
            "an earlier content of the file",
            |used| {
                let (from, to) = (used.root.path().join("backup"), used.dir().join("state.db"));
                fs::write(to, fs::read(from).expect("a backup")).expect("written");
                let log = fs::File::options()
                    .write(true)
                    .open(used.dir().join("state.db-wal"));
                log.expect("a log").set_len(0).expect("emptied");
            },
            "set back to an earlier state",
        ),
        (
            "another owner",
            |used| fs::write(used.dir().join("owner"), "somebody").expect("written"),
            "owner names the owner",
        ),
        (
            "another process has the lock",
            |used| {
                fs::remove_file(used.dir().join("lock")).expect("removed");
                fs::write(used.dir().join("lock"), "").expect("written");
            },
            "lock was replaced",
        ),
    ];
    for (name, tamper, words) in tamperings {
        let used = Used::new();
        used.break_disk();
        tamper(&used);
        let found = used.recover();
        let Recovery::Gone(error) = &found else {
            panic!("{name}: {found:?}")
        };
        assert!(error.to_string().contains(words), "{name}: {error}");
        let failure = used.store.failure().expect(name);
        assert_eq!(failure.to_string(), error.to_string(), "{name}");
        block_on(used.store.record_intent(&share("c"))).expect_err(name);
        if words.contains("state.db was removed") {
            assert!(!used.dir().join("state.db").exists(), "no new one is begun");
        }
    }
}

#[test]
fn c7_b5_a_state_that_is_lost_without_a_failed_write_stays_refused() {
    let used = Used::new();
    fs::remove_file(used.dir().join("state.db")).expect("removed");
    for _ in 0..2 {
        let found = used.recover();
        assert!(matches!(found, Recovery::Failing(_)), "{found:?}");
    }
    let outcome = answer(
        crate::inventory::IntentId(2),
        &share("a"),
        WriteResult::Applied,
    );
    block_on(used.store.record_outcome(outcome, None)).expect("saved, as far as that goes");
}

#[test]
fn c7_a_log_that_another_process_reads_must_first_be_written_back() {
    let used = Used::new();
    let reader = Connection::open(used.dir().join("state.db")).expect("a database");
    reader
        .execute_batch("BEGIN; SELECT * FROM chain")
        .expect("read");
    used.break_disk();
    for _ in 0..2 {
        let found = used.recover();
        let Recovery::Failing(error) = found else {
            panic!("{found:?}")
        };
        assert!(
            error.to_string().contains("while another process uses it"),
            "{error}"
        );
        assert!(used.store.failure().is_some());
    }
    drop(reader);
    assert_eq!(used.recover(), Recovery::Writable);
    assert_eq!(used.intents(), 2);
}

/// Holds the write lock of the database as another process would, until it is dropped.
fn lock_out(dir: &Path) -> Connection {
    let conn = Connection::open(dir.join("state.db")).expect("a database");
    conn.execute_batch("BEGIN IMMEDIATE").expect("locked");
    conn
}

/// The longest that a stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(10);

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the promise is about the time that passes"
)]
fn c15_l7_a_stop_does_not_wait_for_each_transaction_that_is_blocked() {
    let used = Used::new();
    let other = lock_out(&used.dir());
    let (stopped, when) = mpsc::channel();
    block_on(async {
        let first = share("b");
        let waiting = used.store.record_intent(&first);
        let rest = async {
            // By now the first waits for the lock, or soon will.
            used.store.stop();
            stopped.send(Instant::now()).expect("a receiver");
            for name in ["c", "d", "e"] {
                let refused = used.store.record_intent(&share(name)).await;
                let text = refused.expect_err("refused").to_string();
                assert!(text.contains("another process is writing"), "{text}");
            }
        };
        let (first, ()) = tokio::join!(waiting, rest);
        first.expect_err("refused");
    });
    let dir = used.dir();
    let Used { root, store } = used;
    store.close().expect("what is left in the log is not lost");
    assert!(when.recv().expect("stopped").elapsed() < STOP_WITHIN);
    drop(other);
    let store = open(&dir);
    let history = block_on(store.history(HistoryQuery::default())).expect("a history");
    assert_eq!(history.len(), 2, "all that was acknowledged");
    drop((store, root));
}

#[test]
fn c15_an_outcome_is_recorded_if_the_lock_is_released_in_time() {
    let used = Used::new();
    let attempt = share("a");
    let other = lock_out(&used.dir());
    let (sender, receiver) = mpsc::channel::<()>();
    let holding = thread::spawn(move || {
        // It is released once the outcome has been handed over.
        let _ = receiver.recv();
        drop(other);
    });
    used.store.stop();
    block_on(async {
        let outcome = answer(
            crate::inventory::IntentId(2),
            &attempt,
            WriteResult::Applied,
        );
        let recorded = used.store.record_outcome(outcome, None);
        let (recorded, ()) = tokio::join!(recorded, async move { drop(sender) });
        recorded.expect("recorded");
    });
    holding.join().expect("ended");
    let inventory = block_on(used.store.inventory(&tokyo())).expect("an inventory");
    let open = inventory.open_intents.keys().map(|image| image.as_str());
    assert_eq!(open.collect::<Vec<_>>(), ["img-early"]);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the promise is about the time that passes"
)]
fn c15_a_close_does_not_wait_long_for_readers_or_writers() {
    let used = Used::new();
    let other = lock_out(&used.dir());
    let began = Instant::now();
    let dir = used.dir();
    let Used { root, store } = used;
    store.close().expect("closed");
    assert!(began.elapsed() < STOP_WITHIN);
    assert!(
        Files::new(&dir).wal_len().expect("a log") > 0,
        "the log was kept"
    );
    drop((other, root));
}
