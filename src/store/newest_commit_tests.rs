//! P8: of two commits, the newer one is kept, whichever is worked on last.

use chrono::TimeDelta;

use super::fixtures_tests::{back_to, block_on, dump, files, noon, open, share, ticking};
use super::schema::{MIGRATIONS, latest};
use super::{HistoryQuery, OperatorStore, Reader, Store, VerifyResult};
use crate::history::HistoryEvent;
use crate::ledger::{Ledger, LedgerError, WriteRefused};
use crate::model::Commit;

/// Makes a commit dated this many minutes after noon.
fn commit(letter: &str, minutes: i64) -> Commit {
    Commit {
        hash: letter.repeat(40),
        committed: noon() + TimeDelta::minutes(minutes),
    }
}

/// Begins work on a commit that is newer than the newest one, and observes once.
fn advance(store: &Store, commit: &Commit) -> Result<(), LedgerError> {
    let newest = block_on(store.newest()).expect("readable");
    store.advance_on_first_observation(commit.clone(), newest.map(|newest| newest.commit));
    block_on(store.mark_observed())
}

fn newest(dir: &std::path::Path) -> Option<Commit> {
    let reader = Reader::open(dir).expect("a reader");
    let newest = reader.newest().expect("readable");
    assert_eq!(reader.summary().expect("readable").newest, newest);
    newest.map(|newest| newest.commit)
}

#[test]
fn p8_the_newest_commit_and_its_time_outlive_the_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (commit("a", 0), commit("b", 1));
    assert_eq!(newest(dir.path()), None);
    let store = open(dir.path());
    assert_eq!(newest(dir.path()), None);
    advance(&store, &old).expect("the first");
    advance(&store, &new).expect("a newer one");
    let known = block_on(store.newest()).expect("readable");
    assert!(known.as_ref().is_some_and(|known| known.since > noon()));
    drop(store);
    assert_eq!(newest(dir.path()), Some(new));
    let store = open(dir.path());
    assert_eq!(block_on(store.newest()), Ok(known));
    // Whether to go back to an older commit is decided by the caller.
    advance(&store, &old).expect("on purpose");
    assert_eq!(newest(dir.path()), Some(old));
}

#[test]
fn p8_a_commit_becomes_the_newest_with_the_first_observation() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let new = commit("b", 1);
    let before = dump(dir.path()).expect("readable");
    store.advance_on_first_observation(new.clone(), None);
    assert_eq!(dump(dir.path()).expect("readable"), before);
    block_on(store.mark_observed()).expect("kept");
    assert_eq!(newest(dir.path()), Some(new));
    let after = dump(dir.path()).expect("readable");
    block_on(store.mark_observed()).expect("nothing to keep");
    assert_eq!(dump(dir.path()).expect("readable"), after);
}

#[test]
fn p8_if_reading_is_denied_the_first_intent_makes_it_the_newest() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let new = commit("b", 1);
    store.advance_on_first_observation(new.clone(), None);
    block_on(store.record_intent(&share("a"))).expect("recorded");
    assert_eq!(newest(dir.path()), Some(new));
}

#[test]
fn p8_nothing_is_done_if_another_commit_has_become_the_newest() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let [known, new, other] = [commit("a", 0), commit("b", 1), commit("c", 2)];
    advance(&store, &known).expect("the first");
    for over in [None, Some(other.clone())] {
        store.advance_on_first_observation(new.clone(), over);
        let before = dump(dir.path()).expect("readable");
        for _ in 0..2 {
            let error = block_on(store.mark_observed()).expect_err("compared with another");
            assert!(error.to_string().contains(&known.hash), "{error}");
            let refused = block_on(store.record_intent(&share("a"))).expect_err("no intent");
            assert!(matches!(refused, WriteRefused::Failed(_)), "{refused}");
        }
        assert_eq!(dump(dir.path()).expect("readable"), before);
    }
    // It is not a conflict if the same commit has become the newest in the meantime.
    store.advance_on_first_observation(known.clone(), None);
    block_on(store.mark_observed()).expect("the same");
    assert_eq!(newest(dir.path()), Some(known));
}

#[test]
fn p8_s17_the_same_commit_again_changes_no_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let commit = commit("a", 0);
    let run = || {
        let store = open(dir.path());
        advance(&store, &commit).expect("kept");
        store.close().expect("closed");
        files(dir.path())
    };
    let before = run();
    assert_eq!(run(), before);
}

#[test]
fn p8_a_nonsensical_date_is_not_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let known = commit("a", 0);
    advance(&store, &known).expect("the first");
    let far = commit("b", 20_000 * 366 * 24 * 60);
    advance(&store, &far).expect("passes");
    assert_eq!(newest(dir.path()), Some(known));
}

#[test]
fn p8_intents_are_recorded_with_the_current_commit() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    for (name, commit) in [
        ("a", Some("0a1b2c")),
        ("b", Some("3d4e5f-dirty")),
        ("c", None),
    ] {
        store.set_commit(commit.map(str::to_owned));
        block_on(store.record_intent(&share(name))).expect("recorded");
    }
    let entries = block_on(store.history(HistoryQuery::default())).expect("a history");
    let commits: Vec<_> = entries
        .iter()
        .map(|entry| match &entry.event {
            HistoryEvent::Intent(intent) => intent.commit.as_deref(),
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(commits, [Some("0a1b2c"), Some("3d4e5f-dirty"), None]);
}

#[test]
fn p8_s18_a_state_of_version_1_is_migrated_with_everything_in_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(store.record_intent(&share("a"))).expect("recorded");
    drop(store);
    back_to(dir.path(), 1);
    let old = files(dir.path());
    // Reading changes nothing.
    let reader = Reader::open(dir.path()).expect("a reader");
    let summary = reader.summary().expect("readable");
    assert_eq!((summary.schema, summary.history.entries), (1, 1));
    assert_eq!(files(dir.path()), old);

    let store = open(dir.path());
    let commit = commit("a", 0);
    advance(&store, &commit).expect("there is a place for it");
    drop(store);
    let reader = Reader::open(dir.path()).expect("a reader");
    let summary = reader.summary().expect("readable");
    let newest_schema = latest(MIGRATIONS);
    assert_eq!(
        (summary.schema, summary.history.entries),
        (newest_schema, 1)
    );
    assert_eq!(newest(dir.path()), Some(commit));
    let verified = dump(dir.path()).expect("readable").1;
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );

    back_to(dir.path(), 1);
    let options = super::fixtures_tests::options();
    OperatorStore::open(dir.path(), &options, ticking()).expect("people's commands do it as well");
    assert_eq!(newest(dir.path()), None);
}
