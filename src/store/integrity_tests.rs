//! B5: tests of a state that is removed, replaced, emptied or set back under a running store.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fixtures_tests::{
    answer, block_on, by_hand, dump, image, key, noon, open, open_with, options, share, ticking,
};
use super::{HistoryQuery, OpenError, OperatorStore, Reader, Store, VerifyResult};
use crate::history::WriteResult;
use crate::inventory::{InventoryChange, InventoryEntry, OwnedShare};
use crate::ledger::{Ledger, LedgerReader, WriteRefused};
use crate::model::Selector;
use crate::model::fixtures_tests::tokyo;

const DATABASE: [&str; 3] = ["state.db", "state.db-wal", "state.db-shm"];

/// A directory in use, and a backup of what was in it before the last intent.
struct Used {
    root: tempfile::TempDir,
    store: Store,
    pauses: Arc<AtomicUsize>,
}

impl Used {
    /// With `folded`, the log was written back, so that the database holds everything.
    fn new(folded: bool) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("state");
        for name in ["a", "b"] {
            let store = open(&dir);
            block_on(store.record_intent(&share(name))).expect("recorded");
            store.close().expect("closed");
            if name == "a" {
                fs::copy(dir.join("state.db"), root.path().join("backup")).expect("copied");
            }
        }
        let pauses = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pauses);
        let store = open_with(&dir, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        if !folded {
            block_on(store.record_intent(&share("c"))).expect("recorded");
        }
        Self {
            root,
            store,
            pauses,
        }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn backup(&self) -> PathBuf {
        self.root.path().join("backup")
    }
}

fn remove(dir: &Path, names: &[&str]) {
    for name in names {
        fs::remove_file(dir.join(name)).expect("removed");
    }
}

fn set_len(path: &Path, len: u64) {
    let file = fs::File::options().write(true).open(path);
    file.expect("a file").set_len(len).expect("cut");
}

type Tamper = fn(&Used);

/// Cases of what can happen to a directory, with the file that the error names and the words that it uses.
const TAMPERINGS: [(&str, Tamper, &str, &str); 16] = [
    (
        "rm state.db*",
        |used| remove(&used.dir(), &DATABASE),
        "state/state.db",
        "removed or moved away",
    ),
    (
        "rm state.db",
        |used| remove(&used.dir(), &DATABASE[..1]),
        "state/state.db",
        "removed or moved away",
    ),
    (
        "rm state.db-wal",
        |used| remove(&used.dir(), &DATABASE[1..2]),
        "state/state.db-wal",
        "removed or moved away",
    ),
    (
        "rm state.db-shm",
        |used| remove(&used.dir(), &DATABASE[2..]),
        "state/state.db-shm",
        "removed or moved away",
    ),
    (
        "rm -r state",
        |used| fs::remove_dir_all(used.dir()).expect("removed"),
        "state",
        "removed or moved away",
    ),
    (
        "mv state state.old",
        |used| fs::rename(used.dir(), used.root.path().join("old")).expect("moved"),
        "state",
        "removed or moved away",
    ),
    (
        "mv state state.old; a new one is begun",
        |used| {
            fs::rename(used.dir(), used.root.path().join("old")).expect("moved");
            open(&used.dir()).close().expect("closed");
        },
        "state/state.db",
        "replaced by another file",
    ),
    (
        "mv backup state.db",
        |used| fs::rename(used.backup(), used.dir().join("state.db")).expect("moved"),
        "state/state.db",
        "replaced by another file",
    ),
    (
        "cp backup state.db",
        |used| {
            fs::copy(used.backup(), used.dir().join("state.db")).expect("copied");
        },
        "state/state.db",
        "",
    ),
    (
        "truncate -s 0 state.db",
        |used| set_len(&used.dir().join("state.db"), 0),
        "state/state.db",
        "emptied",
    ),
    (
        "truncate -s 4096 state.db",
        |used| set_len(&used.dir().join("state.db"), 4096),
        "state/state.db",
        "cut short",
    ),
    (
        "rm lock",
        |used| remove(&used.dir(), &["lock"]),
        "state/lock",
        "another process may reconcile beside this one",
    ),
    (
        "mv other lock",
        |used| {
            let other = used.root.path().join("other");
            fs::write(&other, "").expect("written");
            fs::rename(other, used.dir().join("lock")).expect("moved");
        },
        "state/lock",
        "another process may reconcile beside this one",
    ),
    (
        "rm owner",
        |used| remove(&used.dir(), &["owner"]),
        "state/owner",
        "removed or moved away",
    ),
    (
        "another owner",
        |used| fs::write(used.dir().join("owner"), "somebody\n").expect("written"),
        "state/owner",
        "names the owner \"somebody\"",
    ),
    (
        "set back by way of SQLite",
        |used| {
            by_hand(&used.dir(), "UPDATE chain SET generation = generation - 1");
        },
        "state/state.db",
        "set back",
    ),
];

#[test]
fn b5_s18_no_intent_is_granted_once_the_state_has_been_tampered_with() {
    for (name, tamper, file, words) in TAMPERINGS {
        for folded in [false, true] {
            let used = Used::new(folded);
            assert_eq!(used.store.failure(), None, "{name}");
            tamper(&used);
            let refusal = match block_on(used.store.record_intent(&share("d"))) {
                Err(WriteRefused::Failed(error)) => error,
                other => panic!("{name}, folded {folded}: {other:?}"),
            };
            let path = used.root.path().join(file).display().to_string();
            for part in [
                &format!("{path} "),
                words,
                "nothing more is sent",
                "start it again",
            ] {
                assert!(
                    refusal.to_string().contains(part),
                    "{name}, folded {folded}: {refusal}"
                );
            }
            // The failure lasts, and nothing is checked again.
            for attempt in [share("d"), share("e")] {
                let again = block_on(used.store.record_intent(&attempt));
                assert_eq!(again, Err(WriteRefused::Failed(refusal.clone())), "{name}");
                let again = block_on(used.store.recheck_forbidden(&attempt));
                assert_eq!(again, Err(WriteRefused::Failed(refusal.clone())), "{name}");
            }
            assert_eq!(
                block_on(used.store.inventory(&tokyo())),
                Err(refusal.clone())
            );
            assert_eq!(used.pauses.load(Ordering::Relaxed), 1, "{name}");
            assert_eq!(used.store.failure(), Some(refusal.clone()), "{name}");
            assert_eq!(block_on(used.store.until_failure()), refusal, "{name}");
            assert_eq!(used.store.close(), Err(refusal), "{name}");
        }
    }
}

#[test]
fn b5_s18_a_wal_that_is_set_back_or_cut_is_noticed() {
    let used = Used::new(false);
    set_len(&used.dir().join("state.db-wal"), 32);
    let refusal = block_on(used.store.record_intent(&share("d"))).expect_err("refused");
    assert!(
        refusal.to_string().contains("state.db-wal was cut short"),
        "{refusal}"
    );

    // The beginning of the log was overwritten and the rest is as before, so that its length shows nothing.
    let used = Used::new(false);
    let log = used.dir().join("state.db-wal");
    let before = fs::read(&log).expect("a log");
    for _ in 0..1_000 {
        block_on(used.store.check()).expect("well");
    }
    let attempt = share("d");
    block_on(used.store.record_intent(&attempt)).expect("recorded");
    assert_eq!(fs::read(&log).expect("a log").len(), before.len());
    fs::write(&log, before).expect("written");
    let refusal = block_on(used.store.record_intent(&share("e"))).expect_err("refused");
    assert!(matches!(refusal, WriteRefused::Failed(_)), "{refusal}");
    assert!(used.store.failure().is_some(), "{refusal}");
}

#[test]
fn b5_s18_a_file_that_is_back_within_a_second_is_accepted() {
    for name in ["state.db", "state.db-wal", "state.db-shm", "lock", "owner"] {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, away) = (dir.path().join(name), dir.path().join("away"));
        let back = (away.clone(), file.clone());
        let store = open_with(dir.path(), move || {
            fs::rename(&back.0, &back.1).expect("moved back");
        });
        let attempt = share("a");
        let intent = block_on(store.record_intent(&attempt)).expect("recorded");
        fs::rename(&file, &away).expect("moved");
        block_on(store.record_outcome(answer(intent, &attempt, WriteResult::Applied), None))
            .expect("kept");
        fs::rename(&file, &away).expect("moved");
        block_on(store.record_intent(&share("b"))).expect("recorded");
        assert_eq!(store.failure(), None, "{name}");
        store.close().expect("closed");
        let (_, verified) = dump(dir.path()).expect("readable");
        assert!(
            matches!(verified, VerifyResult::Intact { entries: 3, .. }),
            "{verified:?}"
        );
    }
}

#[test]
fn b5_s18_changes_by_peoples_commands_are_not_taken_for_tampering() {
    let used = Used::new(false);
    let mut operator =
        OperatorStore::open(&used.dir(), &options(), ticking()).expect("an operator store");
    for round in 0..3 {
        let suspended = operator.suspend(Selector::default(), None, "ann@desk", "so");
        suspended.expect("suspended");
        let adopted = vec![(
            key(&format!("n{round}")),
            OwnedShare::adopted("lhbp-1", noon()),
        )];
        operator
            .adopt(adopted, &Default::default(), "ann@desk", "so")
            .expect("adopted");
        let refused = block_on(used.store.record_intent(&share("d")));
        assert!(
            matches!(refused, Err(WriteRefused::Suspended(_))),
            "{refused:?}"
        );
        let which = super::SuspensionFilter::All;
        operator.resume(&which, "ann@desk").expect("ended");
        block_on(used.store.record_intent(&share("d"))).expect("recorded");
    }
    // The same content in a new file, and a file whose time alone was changed.
    let owner = used.dir().join("owner");
    let text = fs::read(&owner).expect("an owner");
    fs::remove_file(&owner).expect("removed");
    fs::write(&owner, text).expect("written");
    block_on(used.store.record_intent(&share("e"))).expect("recorded");
    assert_eq!(used.pauses.load(Ordering::Relaxed), 0);
}

#[test]
fn b5_s18_setting_back_the_update_of_an_observation_is_noticed() {
    let used = Used::new(false);
    let generation = |dir: &Path| {
        let files = super::files::Files::new(dir);
        super::open::read(&files, super::open::WalIndex::Leave, |conn| {
            Ok::<_, OpenError>(super::chain::ends(conn).expect("a chain"))
        })
        .expect("readable")
    };
    let before = generation(&used.dir());
    let change = InventoryChange {
        image: image("c"),
        entry: Some(InventoryEntry {
            protected: true,
            ..InventoryEntry::default()
        }),
        resolved: Vec::new(),
        note: None,
    };
    block_on(used.store.apply_update(&tokyo(), vec![change].into())).expect("kept");
    let after = generation(&used.dir());
    assert_eq!(after.head, before.head, "nothing is in the history");
    assert_eq!(after.generation, before.generation + 1);
    by_hand(
        &used.dir(),
        &format!(
            "UPDATE chain SET generation = {}; DELETE FROM images",
            before.generation
        ),
    );
    let refusal = block_on(used.store.record_intent(&share("d"))).expect_err("refused");
    assert!(refusal.to_string().contains("set back"), "{refusal}");
}

#[test]
fn b5_s18_another_longer_history_is_not_taken_for_a_later_state() {
    let used = Used::new(false);
    by_hand(
        &used.dir(),
        "UPDATE chain SET generation = generation + 5, head_seq = head_seq + 1; \
         DROP TRIGGER history_is_not_changed; UPDATE history SET hash = zeroblob(32)",
    );
    let refusal = block_on(used.store.record_intent(&share("d"))).expect_err("refused");
    assert!(refusal.to_string().contains("set back"), "{refusal}");
}

#[test]
fn b5_s9_outcomes_are_recorded_as_far_as_possible() {
    let attempt = share("d");
    let entries = |dir: &Path| {
        let reader = Reader::open(dir).expect("a reader");
        let entries = reader.history(&HistoryQuery::default()).expect("a history");
        let last = entries.last().expect("an entry").event.as_str();
        (entries.len(), last)
    };
    for (tamper, dir) in [
        // They are there once the directory is put back.
        (TAMPERINGS[5].1, "old"),
        (TAMPERINGS[11].1, "state"),
        (TAMPERINGS[13].1, "state"),
    ] {
        let used = Used::new(false);
        let intent = block_on(used.store.record_intent(&attempt)).expect("recorded");
        tamper(&used);
        block_on(used.store.record_intent(&share("e"))).expect_err("refused");
        block_on(
            used.store
                .record_outcome(answer(intent, &attempt, WriteResult::Applied), None),
        )
        .expect("kept");
        assert_eq!(entries(&used.root.path().join(dir)), (5, "outcome"));
    }
    // The outcome is the first request after the removal.
    let used = Used::new(false);
    let intent = block_on(used.store.record_intent(&attempt)).expect("recorded");
    TAMPERINGS[5].1(&used);
    block_on(
        used.store
            .record_outcome(answer(intent, &attempt, WriteResult::Applied), None),
    )
    .expect("kept");
    assert!(used.store.failure().is_some());
    assert_eq!(entries(&used.root.path().join("old")), (5, "outcome"));
    // A file that was replaced is not written to.
    let used = Used::new(false);
    let intent = block_on(used.store.record_intent(&attempt)).expect("recorded");
    TAMPERINGS[8].1(&used);
    block_on(
        used.store
            .record_outcome(answer(intent, &attempt, WriteResult::Applied), None),
    )
    .expect_err("refused");
    drop(used.store);
    let database = fs::read(used.root.path().join("state/state.db")).expect("a database");
    let backup = fs::read(used.root.path().join("backup")).expect("a backup");
    assert!(database == backup);
}

#[test]
fn b5_s18_the_next_start_uses_the_state_put_in_place_or_refuses_it() {
    // After a removal as a whole, there is a new state, which says that it is new.
    let used = Used::new(false);
    assert!(!used.store.is_new());
    TAMPERINGS[4].1(&used);
    block_on(used.store.check()).expect_err("refused");
    drop(used.store);
    assert!(open(&used.root.path().join("state")).is_new());
    assert!(!open(&used.root.path().join("state")).is_new());

    let used = Used::new(false);
    TAMPERINGS[0].1(&used);
    block_on(used.store.check()).expect_err("refused");
    drop(used.store);
    let error = Store::open(&used.root.path().join("state"), &options(), ticking()).err();
    assert!(
        matches!(error, Some(OpenError::Missing { .. })),
        "{error:?}"
    );

    // After a backup was restored, no page of later content remains.
    let used = Used::new(false);
    let backup = used.root.path().join("copy");
    fs::create_dir(&backup).expect("made");
    fs::copy(used.backup(), backup.join("state.db")).expect("copied");
    let before = dump(&backup).expect("readable").0;
    TAMPERINGS[7].1(&used);
    block_on(used.store.check()).expect_err("refused");
    drop(used.store);
    let dir = used.root.path().join("state");
    drop(open(&dir));
    assert_eq!(dump(&dir).expect("readable").0, before);

    // Only the log was removed from outside: nothing of it is lost.
    let used = Used::new(false);
    let before = dump(&used.dir()).expect("readable").0;
    TAMPERINGS[2].1(&used);
    block_on(used.store.check()).expect_err("refused");
    drop(used.store);
    let dir = used.root.path().join("state");
    drop(open(&dir));
    assert_eq!(dump(&dir).expect("readable").0, before);
}

#[test]
fn b5_s18_closing_a_store_writes_nothing_into_another_state() {
    // A backup that is copied or moved into place after the last write.
    for number in [7, 8] {
        let used = Used::new(false);
        let backup = fs::read(used.backup()).expect("a backup");
        TAMPERINGS[number].1(&used);
        let database = used.dir().join("state.db");
        let refusal = used.store.close().expect_err("refused");
        assert!(
            refusal.to_string().contains("state/state.db was"),
            "{refusal}"
        );
        assert!(fs::read(database).expect("a database") == backup);
    }
}

#[test]
fn b5_s20_a_process_whose_lock_file_is_gone_stops_for_the_new_one() {
    let used = Used::new(false);
    remove(&used.dir(), &["lock"]);
    let second = open(&used.dir());
    block_on(second.record_intent(&share("d"))).expect("recorded");
    let refusal = block_on(used.store.record_intent(&share("e"))).expect_err("refused");
    assert!(
        refusal.to_string().contains("state/lock was replaced"),
        "{refusal}"
    );
    drop(used.store);
    block_on(second.record_intent(&share("f"))).expect("recorded");
    second.close().expect("closed");
}

#[test]
fn b5_s18_a_state_is_new_until_it_has_been_opened_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    assert!(store.is_new());
    drop(store);
    assert!(
        !open(dir.path()).is_new(),
        "though nothing was done with it"
    );
    let dir = tempfile::tempdir().expect("a directory");
    drop(OperatorStore::open(dir.path(), &options(), ticking()).expect("an operator store"));
    assert!(!open(dir.path()).is_new());
}

#[test]
fn b5_a_history_that_does_not_end_with_its_chain_is_refused_at_start() {
    for tamper in [
        "UPDATE chain SET head_seq = head_seq + 1",
        "UPDATE chain SET head_hash = zeroblob(32)",
        "DROP TRIGGER history_is_not_shortened; DELETE FROM history WHERE seq = (SELECT max(seq) FROM history)",
    ] {
        let used = Used::new(true);
        drop(used.store);
        let dir = used.root.path().join("state");
        by_hand(&dir, tamper);
        match Store::open(&dir, &options(), ticking()).err() {
            Some(OpenError::Damaged { detail, .. }) => {
                assert!(detail.contains("mixture of two states"), "{detail}");
            }
            other => panic!("{tamper}: {other:?}"),
        }
    }
}

#[test]
fn b5_a_history_that_is_rotated_away_completely_is_accepted() {
    let used = Used::new(true);
    drop(used.store);
    let dir = used.root.path().join("state");
    by_hand(
        &dir,
        "UPDATE chain SET anchor_seq = head_seq, anchor_hash = head_hash; DELETE FROM history",
    );
    drop(open(&dir));
}
