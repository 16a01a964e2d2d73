//! Tests what the ledger promises to the engine, with the real store beneath it: intents and outcomes over restarts,
//! changes by people in between, suspensions, and readers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::fixtures_tests::{
    answer, block_on, files, image, key, noon, open, options, share, ticking,
};
use super::suspensions::SUSPENSIONS_MAX;
use super::{HistoryQuery, OperatorStore, Options, Reader, Store, SuspensionFilter, VerifyResult};
use crate::history::{HistoryEvent, WriteResult};
use crate::inventory::{
    AnsweredState, Declaration, IntentId, Inventory, InventoryChange, InventoryEntry,
    InventoryNote, OwnedShare, OwnershipState, update,
};
use crate::ledger::{Attempt, Ledger, LedgerReader, WriteRefused};
use crate::model::fixtures_tests::tokyo;
use crate::model::{Permission, Present, Selector, ShareState, Timestamp};

async fn shared(store: &Store, name: &str) -> InventoryEntry {
    let attempt = share(name);
    let intent = store.record_intent(&attempt).await.expect("recorded");
    let mut entry = InventoryEntry::default();
    entry.record_acknowledged(Permission::Share, Some("lhbp-1"), true, noon());
    store
        .record_outcome(
            answer(intent, &attempt, WriteResult::Applied),
            Some(entry.clone()),
        )
        .await
        .expect("kept");
    entry
}

fn words(store: &Store) -> Vec<&'static str> {
    let entries = block_on(store.history(HistoryQuery::default())).expect("a history");
    entries.iter().map(|entry| entry.event.as_str()).collect()
}

#[test]
fn s9_an_intent_and_its_outcome_are_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let entry = block_on(shared(&store, "a"));
    let lost = share("b");
    let intent = block_on(store.record_intent(&lost)).expect("recorded");
    block_on(store.record_outcome(answer(intent, &lost, WriteResult::Unknown), None))
        .expect("kept");
    let before = block_on(store.inventory(&tokyo())).expect("an inventory");
    drop(store);

    let store = open(dir.path());
    let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory, before);
    assert_eq!(inventory.images, BTreeMap::from([(image("a"), entry)]));
    let open = inventory.open_intents[&image("b")][0];
    assert_eq!((open.intent, open.saw_opposite), (intent, true));
    assert_eq!(words(&store), ["intent", "outcome", "intent", "outcome"]);
    let reader = Reader::open(dir.path()).expect("a reader");
    assert_eq!(
        block_on(reader.inventory(&tokyo())).expect("an inventory"),
        inventory
    );
}

#[test]
fn s9_writes_that_wait_for_the_disk_share_a_commit() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let before = commits(dir.path());
    let attempts: Vec<_> = (0..200).map(|n| share(&format!("a{n}"))).collect();
    let intents = attempts.iter().map(|attempt| store.record_intent(attempt));
    let intents = block_on(futures_util::future::join_all(intents));
    let intents: Result<BTreeSet<_>, _> = intents.into_iter().collect();
    assert_eq!(intents, Ok((1..=200).map(IntentId).collect()));
    let commits = commits(dir.path()) - before;
    assert!(commits < 100, "{commits}");
}

/// Counts the commits in the log: the last frame of each has the length of the database after it.
fn commits(dir: &std::path::Path) -> usize {
    let log = std::fs::read(dir.join("state.db-wal")).expect("a log");
    let frames = log[32..].chunks(24 + 4096);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[test]
fn s19_an_attempt_has_at_most_one_outcome() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let attempt = share("a");
    let intent = block_on(store.record_intent(&attempt)).expect("recorded");
    let once = |result| block_on(store.record_outcome(answer(intent, &attempt, result), None));
    once(WriteResult::Unknown).expect("kept");
    let error = once(WriteResult::Applied).expect_err("a second one");
    assert!(error.to_string().contains("one at most"), "{error}");
    assert_eq!(words(&store), ["intent", "outcome"]);
}

#[test]
fn s9_s19_an_older_intent_stays_open_until_an_answer_settles_it() {
    for (answered, left, applied) in [
        (WriteResult::NotSent, 1, None),
        (WriteResult::Rejected, 1, None),
        (WriteResult::Unknown, 2, None),
        (WriteResult::Applied, 0, Some(false)),
        (WriteResult::AlreadyShared, 0, Some(true)),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let attempt = share("a");
        let first = block_on(store.record_intent(&attempt)).expect("recorded");
        block_on(store.record_outcome(answer(first, &attempt, WriteResult::Unknown), None))
            .expect("kept");
        let second = block_on(store.record_intent(&attempt)).expect("recorded");
        block_on(store.record_outcome(answer(second, &attempt, answered), None)).expect("kept");
        let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
        let open = inventory.open_intents.get(&image("a")).map_or(0, Vec::len);
        assert_eq!(open, left, "{answered:?}");
        let entries = block_on(store.history(HistoryQuery::default())).expect("a history");
        let resolved = entries.iter().find_map(|entry| match &entry.event {
            HistoryEvent::Resolved(resolved) => Some((resolved.intent, resolved.applied)),
            _ => None,
        });
        assert_eq!(
            resolved,
            applied.map(|applied| (first, applied)),
            "{answered:?}"
        );
    }
}

#[test]
fn s18_a_state_in_use_cannot_be_removed_and_a_closed_one_goes_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(shared(&store, "a"));
    let refused = Store::forget(dir.path(), &options(), ticking());
    assert!(
        matches!(refused, Err(crate::store::OpenError::Locked { .. })),
        "{refused:?}"
    );
    drop(store);
    Store::forget(dir.path(), &options(), ticking()).expect("removed");
    let store = open(dir.path());
    let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory.images.len(), 0);
}

#[test]
fn s1_an_image_that_a_person_releases_is_not_pruned_by_the_next_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(shared(&store, "a"));
    let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
    let cancel = Attempt {
        permission: Permission::Cancel,
        needs_ownership: true,
        ..share("a")
    };
    let under_way = block_on(store.record_intent(&cancel)).expect("it is ours");
    let mut operator =
        OperatorStore::open(dir.path(), &options(), ticking()).expect("an operator store");
    let released = operator.release(vec![key("a")], "ann@desk", "by hand");
    assert_eq!(released.expect("released").len(), 1);
    let refused = block_on(store.record_intent(&cancel));
    assert_eq!(refused, Err(WriteRefused::NotOurs));
    let mut entry = inventory.images[&image("a")].clone();
    entry.record_acknowledged(Permission::Cancel, None, false, noon());
    let outcome = answer(under_way, &cancel, WriteResult::Applied);
    block_on(store.record_outcome(outcome, Some(entry))).expect("kept");
    let after = block_on(store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(
        after.images[&image("a")].owned,
        None,
        "an answer does not undo what a person said"
    );
}

#[test]
fn s19_updates_close_intents_and_record_why_images_leave() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(shared(&store, "a"));
    let intent = block_on(store.record_intent(&share("b"))).expect("recorded");
    block_on(store.inventory(&tokyo())).expect("an inventory");
    let owned = OwnedShare::adopted("lhbp-2", noon());
    let changes = vec![
        InventoryChange {
            image: image("a"),
            entry: None,
            resolved: Vec::new(),
            note: Some(InventoryNote::Released("it went away".into())),
        },
        InventoryChange {
            image: image("b"),
            entry: Some(InventoryEntry {
                owned: Some(owned),
                ..InventoryEntry::default()
            }),
            resolved: vec![(intent, true)],
            note: None,
        },
    ];
    let mut expected = block_on(store.inventory(&tokyo())).expect("an inventory");
    expected.apply(&changes);
    block_on(store.apply_update(&tokyo(), changes.into())).expect("kept");
    assert_eq!(
        block_on(store.inventory(&tokyo())).expect("an inventory"),
        expected
    );
    assert_eq!(words(&store)[3..], ["released", "resolved"]);
}

#[test]
fn s17_an_update_that_changes_nothing_writes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let entry = block_on(shared(&store, "a"));
    drop(store);
    let before = files(dir.path());
    let store = open(dir.path());
    block_on(async {
        store.inventory(&tokyo()).await.expect("an inventory");
        store
            .apply_update(&tokyo(), Vec::new().into())
            .await
            .expect("kept");
        let same = InventoryChange {
            image: image("a"),
            entry: Some(entry),
            resolved: Vec::new(),
            note: None,
        };
        store
            .apply_update(&tokyo(), vec![same].into())
            .await
            .expect("kept");
        store
            .history(HistoryQuery::default())
            .await
            .expect("a history");
    });
    store.close().expect("closed");
    let reader = Reader::open(dir.path()).expect("a reader");
    reader.summary().expect("a summary");
    assert_eq!(files(dir.path()), before);
}

#[test]
fn s16_a_reader_leaves_no_trace_and_reads_what_is_committed() {
    let dir = tempfile::tempdir().expect("a directory");
    let never = dir.path().join("never");
    let reader = Reader::open(&never).expect("a reader");
    assert_eq!(
        block_on(reader.inventory(&tokyo())).expect("an inventory"),
        Inventory::default()
    );
    assert_eq!(reader.verify(), Ok(None));
    assert_eq!(reader.summary().expect("a summary").owner, None);
    assert!(!never.exists());

    let state = dir.path().join("state");
    let store = open(&state);
    block_on(shared(&store, "a"));
    let summary = || {
        let before = files(&state);
        let reader = Reader::open(&state).expect("a reader");
        let summary = reader.summary().expect("a summary");
        assert_eq!(summary.scopes[&tokyo()].acknowledged, 1);
        assert_eq!(summary.history.entries, 2);
        assert!(matches!(
            reader.verify(),
            Ok(Some(VerifyResult::Intact { .. }))
        ));
        assert_eq!(files(&state), before);
        summary
    };
    let holder = summary().holder.expect("a holder");
    assert_eq!(
        (holder.pid, holder.host.as_str()),
        (std::process::id(), "build-7")
    );
    drop(store);
    assert_eq!(summary().holder, None);
    // A copy without the log and its index, such as a backup.
    for name in ["state.db-wal", "state.db-shm", "lock"] {
        std::fs::remove_file(state.join(name)).expect("removed");
    }
    summary();
}

#[test]
fn a_suspension_holds_from_the_next_write_and_affects_no_other_image() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut operator =
        OperatorStore::open(dir.path(), &options(), ticking()).expect("an operator store");
    let selector = Selector {
        images: [image("a")].into(),
        ..Selector::default()
    };
    let suspension = operator
        .suspend(selector.clone(), None, "ann@desk", "being rebuilt")
        .expect("suspended");
    let (held, free) = (share("a"), share("b"));
    let (held, free) =
        block_on(async { tokio::join!(store.record_intent(&held), store.record_intent(&free)) });
    assert_eq!(
        held,
        Err(WriteRefused::Suspended(Box::new(suspension.clone())))
    );
    free.expect("recorded");
    let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory.suspensions, std::slice::from_ref(&suspension));

    let ended = operator.resume(&SuspensionFilter::Selector(Selector::default()), "ann@desk");
    assert_eq!(ended, Ok(vec![]), "another selector");
    let ended = operator.resume(&SuspensionFilter::Ids(vec![suspension.id]), "ann@desk");
    assert_eq!(ended, Ok(vec![suspension.clone()]));
    block_on(store.record_intent(&share("a"))).expect("recorded");
    assert_eq!(words(&store), ["suspended", "intent", "resumed", "intent"]);
    let again = operator.suspend(selector, Some(noon()), "ann@desk", "again");
    assert!(again.expect("suspended").id > suspension.id);
    block_on(store.record_intent(&share("c")))
        .expect("one that has ended by itself forbids nothing");
}

#[test]
fn an_update_does_not_undo_a_persons_change_since_its_observation() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(shared(&store, "a"));
    let mut parked = block_on(store.inventory(&tokyo())).expect("an inventory");
    let entry = parked.images.get_mut(&image("a")).expect("an entry");
    entry.parked_since = Some(noon());
    let change = InventoryChange {
        image: image("a"),
        entry: Some(entry.clone()),
        resolved: Vec::new(),
        note: Some(InventoryNote::Parked("reversed".into())),
    };
    let apply = || block_on(store.apply_update(&tokyo(), vec![change.clone()].into()));
    apply().expect("kept");
    let mut operator =
        OperatorStore::open(dir.path(), &options(), ticking()).expect("an operator store");
    let unparked = operator.unpark(vec![key("a"), key("b")], "ann@desk", "talked to them");
    assert_eq!(unparked, Ok(vec![key("a")]));
    // The change starts from what was known before the person unparked the image.
    apply().expect("kept");
    let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory.images[&image("a")].parked_since, None);
    assert_eq!(words(&store)[2..], ["parked", "unparked"]);
    apply().expect("kept");
    assert_eq!(words(&store)[2..], ["parked", "unparked", "parked"]);
    // An outcome neither parks nor unparks an image, whatever its entry contains.
    let intent = block_on(store.record_intent(&share("a"))).expect("recorded");
    let outcome = answer(intent, &share("a"), WriteResult::Applied);
    block_on(store.record_outcome(outcome, Some(InventoryEntry::default()))).expect("kept");
    let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory.images[&image("a")].parked_since, Some(noon()));
}

/// Opens a store and an operator store, both with the time `now`.
fn at(dir: &std::path::Path, now: Timestamp) -> (Store, OperatorStore) {
    let clock = move || now;
    let store = Store::open(dir, &options(), clock).expect("a store");
    (
        store,
        OperatorStore::open(dir, &options(), clock).expect("an operator store"),
    )
}

#[test]
fn b2_a_suspension_forbids_writes_until_it_is_over_by_both_clocks() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, mut operator) = at(dir.path(), noon());
    let ends = noon() + TimeDelta::hours(6);
    let said = operator.suspend(Selector::default(), Some(ends), "ann@desk", "a launch");
    said.expect("suspended");
    drop((store, operator));
    for (hours_later, api_ahead, holds) in [
        (0, 20, true),
        (0, -20, true),
        (7, 0, false),
        (7, 20, false),
        (7, -20, true),
        (25, -20, true),
        (27, -20, false),
    ] {
        let (store, _) = at(dir.path(), noon() + TimeDelta::hours(hours_later));
        let attempt = Attempt {
            api_ahead: TimeDelta::hours(api_ahead),
            ..share("a")
        };
        let allowed = block_on(store.recheck_forbidden(&attempt));
        assert_eq!(allowed.is_err(), holds, "{hours_later} {api_ahead}");
        let intent = block_on(store.record_intent(&attempt));
        assert_eq!(intent.is_err(), holds, "{hours_later} {api_ahead}");
    }
}

#[test]
fn b2_a_suspension_is_removed_only_once_it_is_over_by_every_clock() {
    let dir = tempfile::tempdir().expect("a directory");
    for (hours_later, left) in [(0, 1), (7, 2), (29, 3), (30, 3)] {
        let (store, mut operator) = at(dir.path(), noon() + TimeDelta::hours(hours_later));
        let ends = (hours_later == 0).then(|| noon() + TimeDelta::hours(6));
        let said = operator.suspend(Selector::default(), ends, "ann@desk", "a launch");
        said.expect("suspended");
        let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
        assert_eq!(inventory.suspensions.len(), left, "after {hours_later} h");
    }
}

#[test]
fn a_reader_opened_before_the_state_reads_it_once_it_exists() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("state");
    let reader = Reader::open(&dir).expect("a reader");
    let nothing = block_on(reader.inventory(&tokyo())).expect("an inventory");
    assert!(reader.is_new() && nothing == Inventory::default());
    let store = open(&dir);
    block_on(store.record_intent(&share("a"))).expect("recorded");
    let inventory = block_on(reader.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory.open_intents.len(), 1);
    assert!(!reader.is_new());
    // A state that has disappeared again is not read as a new one.
    store.close().expect("closed");
    std::fs::remove_dir_all(&dir).expect("removed");
    block_on(reader.inventory(&tokyo())).expect_err("refused");
}

#[test]
fn b2_suspensions_that_are_over_do_not_count_towards_the_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_store, mut operator) = at(dir.path(), noon());
    let mut suspend = |until| operator.suspend(Selector::default(), until, "ann@desk", "a launch");
    for _ in 0..SUSPENSIONS_MAX {
        suspend(Some(noon())).expect("over at once");
    }
    for _ in 0..SUSPENSIONS_MAX {
        suspend(None).expect("there is room");
    }
    let refused = suspend(None).expect_err("refused").to_string();
    assert!(refused.contains("1000 suspensions"), "{refused}");
}

#[test]
fn c11_an_intent_gets_the_late_time_and_the_history_the_clocks() {
    let dir = tempfile::tempdir().expect("a directory");
    let late = noon() + TimeDelta::minutes(15);
    let present = Present::new(noon(), noon(), late);
    let store = Store::open(dir.path(), &options(), move || present).expect("a store");
    block_on(store.record_intent(&share("a"))).expect("recorded");
    let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory.open_intents[&image("a")][0].at, late);
    let history = block_on(store.history(HistoryQuery::default())).expect("a history");
    assert_eq!(history[0].at, noon());
}

#[test]
fn people_adopt_and_release_images() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut operator =
        OperatorStore::open(dir.path(), &options(), ticking()).expect("an operator store");
    let owned = OwnedShare::adopted("lhbp-9", noon());
    operator
        .adopt(
            vec![(key("a"), owned.clone()), (key("b"), owned)],
            &Default::default(),
            "ann@desk",
            "made by hand",
        )
        .expect("adopted");
    let released = operator.release(vec![key("b"), key("c")], "ann@desk", "a mistake");
    assert_eq!(released, Ok(vec![key("b")]));
    let reader = Reader::open(dir.path()).expect("a reader");
    let inventory = block_on(reader.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory.images.len(), 1);
    let owned = inventory.images[&image("a")].owned.as_ref().expect("ours");
    assert_eq!(owned.ownership, OwnershipState::Adopted);
    let of_b = HistoryQuery {
        images: [image("b")].into(),
        ..HistoryQuery::default()
    };
    let entries = reader.history(&of_b).expect("a history");
    let words: Vec<_> = entries.iter().map(|entry| entry.event.as_str()).collect();
    assert_eq!(words, ["adopted", "released"]);
}

#[test]
fn an_entry_is_read_as_it_was_stored_to_the_nanosecond() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let at = noon() + TimeDelta::nanoseconds(123_456_789);
    let mut entry = InventoryEntry::default();
    entry.record_acknowledged(Permission::Share, None, false, at);
    entry.record_acknowledged(Permission::Cancel, None, false, at);
    let owned = entry.owned.as_mut().expect("ours");
    owned.missing_since = Some(at);
    owned.ownership = OwnershipState::Probable;
    let attempt = share("a");
    let intent = block_on(store.record_intent(&attempt)).expect("recorded");
    let outcome = answer(intent, &attempt, WriteResult::Applied);
    block_on(store.record_outcome(outcome, Some(entry.clone()))).expect("kept");
    let inventory = block_on(store.inventory(&tokyo())).expect("an inventory");
    assert_eq!(inventory.images[&image("a")], entry);
    let named = Declaration {
        desired: Some(ShareState::Shared),
        protected: Some(false),
    };
    let names = BTreeMap::from([(&attempt.key.image, named)]);
    let seen = crate::observation::Seen::default();
    let changes = update(
        &inventory,
        &seen,
        &names,
        (0, TimeDelta::hours(24)),
        at + TimeDelta::hours(1),
    );
    assert!(!changes.is_empty());
}

#[test]
fn the_history_is_filtered_by_subject_and_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        commit: Some("0a1b2c".into()),
        ..options()
    };
    let store = Store::open(dir.path(), &options, ticking()).expect("a store");
    for name in ["a", "b", "a", "c"] {
        block_on(shared(&store, name));
    }
    let find = |query: HistoryQuery| block_on(store.history(query)).expect("a history");
    let all = find(HistoryQuery::default());
    assert_eq!(all.len(), 8);
    assert!(all.iter().zip(1..).all(|(entry, seq)| entry.seq == seq));
    let HistoryEvent::Intent(intent) = &all[0].event else {
        panic!("{:?}", all[0])
    };
    assert_eq!(intent.commit.as_deref(), Some("0a1b2c"));
    let of_a = find(HistoryQuery {
        images: [image("a")].into(),
        events: ["intent".to_owned()].into(),
        ..HistoryQuery::default()
    });
    assert_eq!(of_a, [all[0].clone(), all[4].clone()]);
    let newest = find(HistoryQuery {
        accounts: [tokyo().account].into(),
        regions: [tokyo().region].into(),
        limit: Some(2),
        ..HistoryQuery::default()
    });
    assert_eq!(newest, all[6..]);
    let between = find(HistoryQuery {
        since: Some(all[2].at),
        until: Some(all[4].at),
        ..HistoryQuery::default()
    });
    assert_eq!(between, all[2..4]);
    let nowhere = HistoryQuery {
        regions: [crate::model::Region::new("ap-seoul").expect("a region")].into(),
        ..HistoryQuery::default()
    };
    assert_eq!(find(nowhere), []);
}

#[test]
fn c4_d1_the_apis_answer_about_an_image_outlives_the_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let entry = InventoryEntry {
        last_answer: Some(AnsweredState {
            at: noon(),
            state: ShareState::Unshared,
            presumed: true,
        }),
        denied_since: Some(noon()),
        ..InventoryEntry::default()
    };
    let store = open(dir.path());
    let attempt = share("a");
    let intent = block_on(store.record_intent(&attempt)).expect("recorded");
    let outcome = answer(intent, &attempt, WriteResult::Rejected);
    block_on(store.record_outcome(outcome, Some(entry.clone()))).expect("kept");
    store.close().expect("closed");
    let store = open(dir.path());
    let inventory = block_on(store.inventory(&tokyo())).expect("read");
    assert_eq!(inventory.images[&image("a")], entry);
}

#[test]
fn c2_a_refusal_changes_only_the_apis_answer_about_the_image() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    block_on(shared(&store, "a"));
    // The entry was read before the share above was recorded.
    let stale = InventoryEntry {
        denied_since: Some(noon()),
        ..InventoryEntry::default()
    };
    let attempt = share("a");
    let intent = block_on(store.record_intent(&attempt)).expect("recorded");
    let before = block_on(store.inventory(&tokyo())).expect("read").images[&image("a")].clone();
    let outcome = answer(intent, &attempt, WriteResult::Rejected);
    block_on(store.record_outcome(outcome, Some(stale))).expect("kept");
    let after = block_on(store.inventory(&tokyo())).expect("read").images[&image("a")].clone();
    assert!(after.owned.is_some());
    let expected = InventoryEntry {
        denied_since: Some(noon()),
        ..before
    };
    assert_eq!(after, expected);
}
