//! P8: of two commits the newer one stays, whichever is worked on last.

use chrono::TimeDelta;

use super::fixtures_tests::{block_on, by_hand, dump, files, noon, open, share, ticking};
use super::{Newest, Older, OpenError, Query, Reader, Remarks, Store, Verdict};
use crate::history::Event;
use crate::host::Ledger;
use crate::model::Commit;

/// A commit of so many minutes after noon.
fn commit(letter: &str, minutes: i64) -> Commit {
    Commit {
        hash: letter.repeat(40),
        committed: noon() + TimeDelta::minutes(minutes),
    }
}

fn advance(store: &Store, commit: &Commit, older: Older) -> Result<(), Newest> {
    block_on(store.advance(commit, older)).expect("kept")
}

fn newest(dir: &std::path::Path) -> Option<Commit> {
    let reader = Reader::open(dir).expect("a reader");
    let newest = reader.newest().expect("readable");
    assert_eq!(reader.summary().expect("readable").newest, newest);
    newest.map(|newest| newest.commit)
}

#[test]
fn p8_an_older_commit_is_refused_and_the_newest_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (commit("a", 0), commit("b", 1));
    assert_eq!(newest(dir.path()), None);
    let store = open(dir.path());
    assert_eq!(newest(dir.path()), None);
    advance(&store, &old, Older::Refuse).expect("the first");
    advance(&store, &new, Older::Refuse).expect("a newer one");
    let before = dump(dir.path()).expect("readable");
    let refused = advance(&store, &old, Older::Refuse).expect_err("an older one");
    assert_eq!(refused.commit, new);
    assert!(refused.since > noon());
    assert_eq!(dump(dir.path()).expect("readable"), before);
    drop(store);

    // The next process knows it too.
    let store = open(dir.path());
    assert_eq!(
        advance(&store, &old, Older::Refuse),
        Err(refused),
        "since when stays as well"
    );
}

#[test]
fn p8_what_has_no_order_passes_and_the_last_of_it_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (one, other) = (commit("a", 0), commit("b", 0));
    for commit in [&one, &other, &one] {
        advance(&store, commit, Older::Refuse).expect("of one second");
        assert_eq!(newest(dir.path()).as_ref(), Some(commit));
    }
}

#[test]
fn p8_who_goes_back_on_purpose_goes_on_from_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let [old, middle, new] = [commit("a", 0), commit("b", 1), commit("c", 2)];
    advance(&store, &new, Older::Refuse).expect("the first");
    advance(&store, &old, Older::Accept).expect("on purpose");
    assert_eq!(newest(dir.path()).as_ref(), Some(&old));
    advance(&store, &old, Older::Refuse).expect("the same");
    advance(&store, &middle, Older::Refuse).expect("newer than that");
    advance(&store, &old, Older::Refuse).expect_err("older again");
}

#[test]
fn p8_s17_the_same_commit_again_changes_no_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let commit = commit("a", 0);
    let run = || {
        let store = open(dir.path());
        advance(&store, &commit, Older::Refuse).expect("passes");
        store.close().expect("closed");
        files(dir.path())
    };
    let before = run();
    assert_eq!(run(), before);
}

#[test]
fn p8_a_date_that_is_nonsense_neither_refuses_nor_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let known = commit("a", 0);
    advance(&store, &known, Older::Refuse).expect("the first");
    let far = commit("b", 20_000 * 366 * 24 * 60);
    advance(&store, &far, Older::Refuse).expect("passes");
    assert_eq!(newest(dir.path()), Some(known));
}

#[test]
fn p8_intents_carry_the_commit_of_their_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    for (name, commit) in [
        ("a", Some("0a1b2c")),
        ("b", Some("3d4e5f-dirty")),
        ("c", None),
    ] {
        store.set_commit(commit.map(str::to_owned));
        block_on(store.intent(&share(name))).expect("recorded");
    }
    let entries = block_on(store.history(Query::default())).expect("a history");
    let commits: Vec<_> = entries
        .iter()
        .map(|entry| match &entry.event {
            Event::Intent(intent) => intent.commit.as_deref(),
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(commits, [Some("0a1b2c"), Some("3d4e5f-dirty"), None]);
}

/// Takes a state back to the schema that it was first made with.
fn age(dir: &std::path::Path) {
    by_hand(
        dir,
        "DROP TABLE newest_commit; ALTER TABLE chain DROP COLUMN generation; PRAGMA user_version = 1",
    );
}

#[test]
fn p8_s18_a_state_of_version_1_is_brought_up_to_date_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(store.intent(&share("a"))).expect("recorded");
    drop(store);
    age(dir.path());
    let old = files(dir.path());
    // Who only looks changes nothing, and says what will.
    let error = Reader::open(dir.path()).expect_err("refused");
    assert!(
        matches!(
            error,
            OpenError::Older {
                found: 1,
                known: 3,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(files(dir.path()), old);

    let store = open(dir.path());
    let commit = commit("a", 0);
    advance(&store, &commit, Older::Refuse).expect("there is a place for it");
    drop(store);
    let reader = Reader::open(dir.path()).expect("a reader");
    let summary = reader.summary().expect("readable");
    assert_eq!((summary.schema, summary.history.entries), (3, 1));
    assert_eq!(newest(dir.path()), Some(commit));
    let verdict = dump(dir.path()).expect("readable").1;
    assert!(matches!(verdict, Verdict::Sound { .. }), "{verdict:?}");

    age(dir.path());
    let options = super::fixtures_tests::options();
    Remarks::open(dir.path(), &options, ticking()).expect("people's commands do it as well");
    assert_eq!(newest(dir.path()), None);
}
