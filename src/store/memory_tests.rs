//! Tests that the store keeps what resolution remembers, forgets it when it can no longer be trusted, and records in the
//! history when a name means another image; and the migration from version 4.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::fixtures_tests::{
    answer, back_to, block_on, by_hand, dump, files, image, key, noon, open, share,
};
use super::open::{WalIndex, inspect};
use super::schema::{MIGRATIONS, latest};
use super::{HistoryQuery, OpenError, Reader, Store, VerifyResult};
use crate::history::{HistoryEntry, HistoryEvent, NameMoved, WriteResult};
use crate::inventory::{
    InventoryEntry, InventoryUpdate, KnownAccount, MemoryUpdate, ResolutionMemory, TakenOverName,
    Takeover, VersionClock, VersionKey,
};
use crate::ledger::{Attempt, Ledger, LedgerReader};
use crate::model::fixtures_tests::tokyo;
use crate::model::{AccountName, Cause, ImageId, ImageName, Permission, Region, Scope, Uin};

fn name(text: &str) -> ImageName {
    ImageName::new(text).expect("a name")
}

fn version(policy: &str, version: &str) -> VersionKey {
    VersionKey {
        policy: policy.into(),
        version: version.into(),
    }
}

fn clock() -> VersionClock {
    VersionClock {
        age: Some(noon() - TimeDelta::hours(24)),
        stands_since: Some(noon()),
        regions: [tokyo().region].into(),
        images: [image("a"), image("b")].into(),
    }
}

fn names<const N: usize>(names: [(&str, Option<&str>); N]) -> MemoryUpdate {
    let names = names.map(|(text, id)| (name(text), id.map(image)));
    MemoryUpdate {
        names: names.into(),
        versions: BTreeMap::new(),
    }
}

/// A name and a version, remembered for the first time.
fn first() -> MemoryUpdate {
    MemoryUpdate {
        versions: [(version("golden", "1.5"), Some(clock()))].into(),
        ..names([("golden", Some("a"))])
    }
}

fn keep(store: &Store, scope: &Scope, memory: MemoryUpdate) {
    let update = InventoryUpdate {
        memory,
        ..InventoryUpdate::default()
    };
    block_on(store.apply_update(scope, update)).expect("kept");
}

fn remembered(store: &impl LedgerReader, scope: &Scope) -> ResolutionMemory {
    block_on(store.inventory(scope)).expect("readable").memory
}

fn after(updates: &[MemoryUpdate]) -> ResolutionMemory {
    let mut memory = ResolutionMemory::default();
    updates.iter().for_each(|update| memory.apply(update));
    memory
}

fn under(account: &str) -> Scope {
    Scope {
        account: AccountName::new(account).expect("a name"),
        ..tokyo()
    }
}

fn elsewhere() -> Scope {
    Scope {
        region: Region::new("eu-frankfurt").expect("a region"),
        ..tokyo()
    }
}

fn history(store: &Store) -> Vec<HistoryEvent> {
    let entries = block_on(store.history(HistoryQuery::default())).expect("a history");
    entries.into_iter().map(|entry| entry.event).collect()
}

fn intact(dir: &Path) {
    let (_, verified) = dump(dir).expect("readable");
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );
}

fn any_update() -> impl Strategy<Value = MemoryUpdate> {
    // Names differ in case, and contain characters that are special in SQL or in a path.
    let text = prop::sample::select(vec!["a", "A", "ä", "a'b", "a%_", "名前", "a b"]);
    let id = prop::sample::select(vec!["a", "b", "c"]).prop_map(image);
    let at = || {
        prop::option::of((0..4_000_000_000_i64, 0..1_000_000_000_u32))
            .prop_map(|at| at.and_then(|(s, n)| DateTime::from_timestamp(s, n)))
    };
    let images = prop::collection::btree_set(id.clone(), 0..3);
    let clock = (at(), at(), images).prop_map(|(age, stands_since, images)| VersionClock {
        age,
        stands_since,
        images,
        regions: Region::all().take(2).collect(),
    });
    let policy = prop::sample::select(vec!["golden", "Golden"]);
    let key = (policy, prop::sample::select(vec!["", "1", "1.0", "a'b"]))
        .prop_map(|(policy, text)| version(policy, text));
    let names = prop::collection::btree_map(text.prop_map(name), prop::option::of(id), 0..4);
    let versions = prop::collection::btree_map(key, prop::option::of(clock), 0..4);
    (names, versions).prop_map(|(names, versions)| MemoryUpdate { names, versions })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_stored_memory_is_the_result_of_applying_the_updates(
        updates in prop::collection::vec((any_update(), any::<bool>()), 1..8)
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut store = open(dir.path());
        let mut expected = ResolutionMemory::default();
        keep(&store, &elsewhere(), first());
        for (update, restarts) in updates {
            expected.apply(&update);
            keep(&store, &tokyo(), update);
            prop_assert_eq!(&remembered(&store, &tokyo()), &expected);
            if restarts {
                drop(store);
                store = open(dir.path());
            }
        }
        let reader = Reader::open(dir.path()).expect("a reader");
        prop_assert_eq!(remembered(&reader, &tokyo()), expected);
        prop_assert_eq!(remembered(&reader, &elsewhere()), after(&[first()]));
    }
}

#[test]
fn forgotten_names_leave_no_row_and_status_counts_the_rest() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    keep(&store, &tokyo(), first());
    let second = MemoryUpdate {
        versions: [(version("golden", "1.6"), Some(VersionClock::default()))].into(),
        ..names([("other", Some("b"))])
    };
    keep(&store, &tokyo(), second);
    let counts = || {
        let reader = Reader::open(dir.path()).expect("a reader");
        let summary = reader.summary().expect("readable");
        let counts = summary.scopes.get(&tokyo()).copied();
        counts.map(|counts| (counts.names, counts.versions))
    };
    assert_eq!(counts(), Some((2, 2)));
    let gone = MemoryUpdate {
        versions: [(version("golden", "1.5"), None)].into(),
        ..names([("golden", None), ("never known", None)])
    };
    keep(&store, &tokyo(), gone);
    assert_eq!(counts(), Some((1, 1)));
    let rest = MemoryUpdate {
        versions: [(version("golden", "1.6"), None)].into(),
        ..names([("other", None)])
    };
    keep(&store, &tokyo(), rest);
    assert_eq!(counts(), None);
    assert_eq!(history(&store), [], "nobody wants to read of that");
}

#[test]
fn s18_a_value_that_no_version_writes_is_an_error_not_a_default() {
    for (sql, what) in [
        (
            "UPDATE name_meanings SET name = ' golden'",
            "name ` golden`",
        ),
        (
            "UPDATE name_meanings SET image = 'lhbp-a'",
            "image `lhbp-a`",
        ),
        ("UPDATE version_clocks SET age = 'noon'", "age `noon`"),
        (
            "UPDATE version_clocks SET stands_since = '2026-13-01'",
            "stands_since `2026-13-01`",
        ),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        keep(&store, &tokyo(), first());
        store.close().expect("closed");
        by_hand(dir.path(), sql);
        let reader = Reader::open(dir.path()).expect("a reader");
        let error = block_on(reader.inventory(&tokyo())).expect_err(sql);
        assert!(error.to_string().contains(what), "{sql}: {error}");
    }
}

#[test]
fn a_time_that_could_not_be_read_back_counts_as_unknown() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let late = DateTime::from_timestamp(253_402_300_800, 0).expect("the year 10000");
    let clock = VersionClock {
        age: Some(late),
        ..clock()
    };
    let update = MemoryUpdate {
        versions: [(version("golden", "1.5"), Some(clock.clone()))].into(),
        ..MemoryUpdate::default()
    };
    keep(&store, &tokyo(), update);
    let kept = remembered(&store, &tokyo()).versions;
    let expected = VersionClock { age: None, ..clock };
    assert_eq!(kept, [(version("golden", "1.5"), expected)].into());
}

/// A state in which the account of the fixtures' scope is known, and something is remembered there and in another region.
fn known(dir: &Path, uin: &Uin) -> Store {
    let store = open(dir);
    for scope in [tokyo(), elsewhere()] {
        let update = InventoryUpdate {
            account: Some(KnownAccount {
                uin: Some(uin.clone()),
                ..KnownAccount::default()
            }),
            memory: first(),
            ..InventoryUpdate::default()
        };
        block_on(store.apply_update(&scope, update)).expect("kept");
    }
    store
}

#[test]
fn s26_a_name_that_means_another_account_remembers_nothing_of_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let (was, is) = ("100000000001", "100000000002");
    let [was, is] = [was, is].map(|uin| Uin::new(uin).expect("a uin"));
    let store = known(dir.path(), &was);
    let of_other = names([("golden", Some("z"))]);
    let update = InventoryUpdate {
        set_aside: Some(was.clone()),
        account: Some(KnownAccount {
            uin: Some(is),
            ..KnownAccount::default()
        }),
        memory: of_other.clone(),
        ..InventoryUpdate::default()
    };
    block_on(store.apply_update(&tokyo(), update.clone())).expect("kept");
    assert_eq!(remembered(&store, &tokyo()), after(&[of_other]));
    let aside = under(&format!("uin-{was}"));
    assert_eq!(remembered(&store, &aside), ResolutionMemory::default());
    assert_eq!(remembered(&store, &elsewhere()), after(&[first()]));
    let moved = history(&store);
    let moved = moved.iter().find(|event| event.as_str() == "name_moved");
    assert_eq!(moved, None, "it is another account's name");

    // Another update has set the rows aside and has started afresh since.
    let late = InventoryUpdate {
        memory: MemoryUpdate::default(),
        ..update
    };
    block_on(store.apply_update(&tokyo(), late)).expect("kept");
    let kept = remembered(&store, &tokyo());
    assert_eq!(kept.names, [(name("golden"), image("z"))].into());
}

#[test]
fn s26_clocks_do_not_move_to_the_new_name_of_an_account() {
    let dir = tempfile::tempdir().expect("a directory");
    let uin = Uin::new("100000000001").expect("a uin");
    let store = known(dir.path(), &uin);
    block_on(store.record_intent(&share("a"))).expect("recorded");
    let mine = names([("other", Some("b"))]);
    let account = KnownAccount {
        uin: Some(uin),
        ..KnownAccount::default()
    };
    let update = InventoryUpdate {
        takeover: Takeover {
            names: vec![TakenOverName {
                from: tokyo().account,
                images: 1,
            }],
            expected: [(tokyo().account, account)].into(),
            ..Takeover::default()
        },
        memory: mine.clone(),
        ..InventoryUpdate::default()
    };
    let prod = under("prod");
    block_on(store.inventory(&prod)).expect("readable");
    block_on(store.apply_update(&prod, update)).expect("kept");
    let inventory = block_on(store.inventory(&prod)).expect("readable");
    assert!(inventory.open_intents.contains_key(&image("a")), "it moved");
    assert_eq!(inventory.memory, after(&[mine]));
    assert_eq!(remembered(&store, &tokyo()), ResolutionMemory::default());
    assert_eq!(remembered(&store, &elsewhere()), after(&[first()]));
}

#[test]
fn s19_the_history_records_when_a_name_means_another_image() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    keep(&store, &tokyo(), first());
    keep(&store, &tokyo(), names([("golden", Some("a"))]));
    assert_eq!(history(&store), [], "it means the same");
    keep(
        &store,
        &tokyo(),
        names([("golden", Some("b")), ("new", Some("a"))]),
    );
    let moved = |to, from| {
        HistoryEvent::NameMoved(NameMoved {
            key: key(to),
            image_name: name("golden"),
            was: image(from),
        })
    };
    assert_eq!(history(&store), [moved("b", "a")]);
    // For a meaning that was forgotten in between, no change is known.
    keep(&store, &tokyo(), names([("golden", None)]));
    keep(&store, &tokyo(), names([("golden", Some("c"))]));
    keep(&store, &tokyo(), names([("golden", Some("a"))]));
    assert_eq!(history(&store), [moved("b", "a"), moved("a", "c")]);
    let query = HistoryQuery {
        images: [image("b")].into(),
        ..HistoryQuery::default()
    };
    let found = block_on(store.history(query)).expect("a history");
    assert_eq!(found.len(), 1, "by the image that it means from then on");
    store.close().expect("closed");
    intact(dir.path());
}

#[test]
fn s19_intents_and_outcomes_contain_name_document_and_cause() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    for (id, permission, cause) in [
        ("a", Permission::Share, Cause::Policy),
        ("b", Permission::Cancel, Cause::Retention),
        ("c", Permission::Cancel, Cause::Revoked),
    ] {
        let attempt = Attempt {
            permission,
            cause,
            name: Some("golden 1.5".into()),
            document: Some("golden".into()),
            ..share(id)
        };
        let intent = block_on(store.record_intent(&attempt)).expect("recorded");
        let outcome = answer(intent, &attempt, WriteResult::Applied);
        block_on(store.record_outcome(outcome, Some(InventoryEntry::default()))).expect("kept");
        let events = history(&store);
        let [
            ..,
            HistoryEvent::Intent(intent),
            HistoryEvent::Outcome(outcome),
        ] = &events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!(intent.cause, cause);
        assert_eq!(intent.document.as_deref(), Some("golden"));
        assert_eq!(intent.image_name.as_deref(), Some("golden 1.5"));
        assert_eq!(outcome.image_name.as_deref(), Some("golden 1.5"));
    }
    store.close().expect("closed");
    intact(dir.path());
}

#[test]
fn s19_entries_of_earlier_versions_are_read_as_they_were_written() {
    for old in [
        r#"{"seq":1,"at":"2026-03-01T12:00:00Z","event":"intent","account":"default","region":"ap-tokyo","image_id":"img-a","permission":"share","cause":"declared","source":{"file":"a.yaml","line":3},"commit":"0a1b2c","attempt":1}"#,
        r#"{"seq":2,"at":"2026-03-01T12:00:01Z","event":"outcome","intent":1,"account":"default","region":"ap-tokyo","image_id":"img-a","permission":"share","result":"applied","request_id":"req-1","blueprint_id":"lhbp-1"}"#,
    ] {
        let entry: HistoryEntry = serde_json::from_str(old).expect("an entry");
        assert_eq!(entry.event.image_name(), None);
        assert_eq!(serde_json::to_string(&entry).expect("JSON"), old);
    }
}

#[test]
fn s18_a_state_of_version_4_is_migrated_and_an_older_binary_refuses_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let attempt = share("a");
    let intent = block_on(store.record_intent(&attempt)).expect("recorded");
    let mut entry = InventoryEntry::default();
    entry.record_acknowledged(Permission::Share, Some("lhbp-a"), false, noon());
    let outcome = answer(intent, &attempt, WriteResult::Applied);
    block_on(store.record_outcome(outcome, Some(entry))).expect("kept");
    let before = block_on(store.inventory(&tokyo())).expect("readable");
    store.close().expect("closed");
    back_to(dir.path(), 4);
    let old = files(dir.path());
    let reader = Reader::open(dir.path()).expect("a reader");
    assert_eq!(reader.summary().expect("readable").schema, 4);
    assert_eq!(files(dir.path()), old, "reading changes nothing");

    let store = open(dir.path());
    assert!(!store.is_new());
    let inventory = block_on(store.inventory(&tokyo())).expect("readable");
    assert_eq!(inventory, before);
    assert_eq!(inventory.memory, ResolutionMemory::default());
    keep(&store, &tokyo(), first());
    assert_eq!(remembered(&store, &tokyo()), after(&[first()]));
    store.close().expect("closed");
    intact(dir.path());

    let files = super::files::Files::new(dir.path());
    let error = inspect(&files, &MIGRATIONS[..4], WalIndex::Leave).expect_err("refused");
    let OpenError::NewerSchema { found, known, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((found, known), (latest(MIGRATIONS), 4));
}

/// All these ids have the form that the store checks when it reads them.
#[test]
fn a_name_may_mean_the_first_and_the_last_of_all_ids() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let update = MemoryUpdate {
        names: [
            (
                name(&"x".repeat(ImageName::LEN_MAX)),
                Some(ImageId::first()),
            ),
            (name("b"), Some(ImageId::last())),
        ]
        .into(),
        ..MemoryUpdate::default()
    };
    keep(&store, &tokyo(), update.clone());
    assert_eq!(remembered(&store, &tokyo()), after(&[update]));
}
