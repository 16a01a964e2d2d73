//! S18, D4 and D6: images of the files as a crash can leave them, each of which must open as the state before or
//! after the commit that was under way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::fixtures_tests::{
    answer, block_on, dump, image, key, noon, open, open_with, options, share, ticking,
};
use super::{OperatorStore, Store, SuspensionFilter, VerifyResult};
use crate::history::WriteResult;
use crate::inventory::{
    IntentId, InventoryChange, InventoryEntry, InventoryNote, InventoryUpdate, MemoryUpdate,
    OwnedShare, VersionClock, VersionKey,
};
use crate::ledger::{Attempt, Ledger, LedgerReader};
use crate::model::fixtures_tests::tokyo;
use crate::model::{ImageName, Permission, Selector};

const WAL_HEADER: usize = 32;
const WAL_FRAME: usize = 24 + 4096;

/// The content of the database and of its log on disk.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) database: Vec<u8>,
    pub(super) log: Vec<u8>,
}

impl Image {
    pub(super) fn of(dir: &Path) -> Self {
        let read = |name| fs::read(dir.join(name)).unwrap_or_default();
        Self {
            database: read("state.db"),
            log: read("state.db-wal"),
        }
    }

    /// Writes it to a new directory. The index of the log is missing, because a crash loses memory.
    pub(super) fn lay(&self, owner: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("state.db"), &self.database).expect("written");
        fs::write(dir.path().join("state.db-wal"), &self.log).expect("written");
        if let Some(owner) = owner {
            fs::write(dir.path().join("owner"), owner).expect("written");
        }
        dir
    }
}

/// The offsets at which a write of the log can stop: at each frame, and at some bytes between.
fn cuts(from: usize, to: usize, rng: &mut fastrand::Rng) -> Vec<usize> {
    let frames = (WAL_HEADER..to).step_by(WAL_FRAME);
    let mut cuts: Vec<_> = frames.filter(|cut| (from..to).contains(cut)).collect();
    cuts.extend((0..4).map(|_| rng.usize(from..to)));
    cuts.extend([from, to - 1]);
    cuts
}

/// The images that a crash can leave between two images that differ only in the log: the first part of the new log,
/// followed by the old content, by nothing, or by zeros.
pub(super) fn torn(before: &Image, after: &Image, rng: &mut fastrand::Rng) -> Vec<Image> {
    let same = before.log.iter().zip(&after.log);
    let from = same.take_while(|(old, new)| old == new).count();
    let mut images = Vec::new();
    for cut in cuts(from, after.log.len(), rng) {
        let written = &after.log[..cut];
        let stood = before.log.get(cut..).unwrap_or_default();
        let zeros = vec![0; after.log.len() - cut];
        let rest = [stood, &[], &zeros][rng.usize(..3)];
        images.push(Image {
            database: before.database.clone(),
            log: [written, rest].concat(),
        });
    }
    images
}

type OpenIntents = BTreeMap<&'static str, (IntentId, Attempt)>;

/// Makes a random change to what is remembered of a name and of a version.
fn memory(name: &str, rng: &mut fastrand::Rng) -> MemoryUpdate {
    let key = VersionKey {
        policy: "golden".into(),
        version: name.into(),
    };
    let clock = VersionClock {
        age: rng.bool().then(noon),
        stands_since: rng.bool().then(noon),
        ..VersionClock::default()
    };
    let meaning = image(["a", "b", "c"][rng.usize(..3)]);
    let name = ImageName::new(name).expect("a name");
    MemoryUpdate {
        names: [(name, rng.bool().then_some(meaning))].into(),
        versions: [(key, rng.bool().then_some(clock))].into(),
    }
}

/// Makes one commit of a random kind.
fn step(
    store: &Store,
    operator: &mut OperatorStore,
    open: &mut OpenIntents,
    rng: &mut fastrand::Rng,
) {
    let name = ["a", "b", "c"][rng.usize(..3)];
    match rng.u8(..6) {
        0 => {
            let owned = OwnedShare::adopted("lhbp-3", noon());
            let adopted = operator.adopt(
                vec![(key(name), owned)],
                &Default::default(),
                "ann@desk",
                "by hand",
            );
            adopted.expect("adopted");
        }
        1 => {
            let change = InventoryChange {
                image: image(name),
                entry: rng.bool().then(|| InventoryEntry {
                    parked_since: Some(noon()),
                    ..InventoryEntry::default()
                }),
                resolved: open
                    .remove(name)
                    .map(|(intent, _)| (intent, rng.bool()))
                    .into_iter()
                    .collect(),
                note: Some(InventoryNote::Parked("reversed".into())),
            };
            block_on(store.inventory(&tokyo())).expect("an inventory");
            let update = InventoryUpdate {
                memory: memory(name, rng),
                ..vec![change].into()
            };
            block_on(store.apply_update(&tokyo(), update)).expect("kept");
        }
        2 => {
            let ended = operator
                .resume(&SuspensionFilter::All, "ann@desk")
                .expect("ended");
            if ended.is_empty() {
                let until = Some(noon());
                let suspended = operator.suspend(Selector::default(), until, "ann@desk", "so");
                suspended.expect("suspended");
            }
        }
        _ => {
            if let Some((intent, attempt)) = open.remove(name) {
                let mut entry = InventoryEntry::default();
                entry.record_acknowledged(attempt.permission, Some("lhbp-1"), false, noon());
                let outcome = answer(intent, &attempt, WriteResult::Applied);
                block_on(store.record_outcome(outcome, Some(entry))).expect("kept");
            } else {
                let attempt = Attempt {
                    permission: [Permission::Share, Permission::Cancel][rng.usize(..2)],
                    ..share(name)
                };
                let intent = block_on(store.record_intent(&attempt)).expect("recorded");
                open.insert(name, (intent, attempt));
            }
        }
    }
}

/// A test cannot cut the power, so it checks that SQLite is configured to wait for the disk.
#[test]
fn d1_s9_each_connection_that_writes_waits_for_the_disk() {
    const FULL: i64 = 2;
    fn settings(conn: &Connection) -> rusqlite::Result<(i64, String)> {
        let synchronous = conn.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        let mode = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        Ok((synchronous, mode))
    }
    let safe = (FULL, "wal".to_owned());
    let of_store = |store: &Store| {
        let asked = block_on(store.read(|conn| Ok(settings(conn)?)));
        asked.expect("an answer")
    };
    let operator =
        |dir: &Path| OperatorStore::open(dir, &options(), ticking()).expect("an operator store");
    for store_first in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        if !store_first {
            let first = operator(dir.path());
            assert_eq!(settings(&first.conn), Ok(safe.clone()), "a new directory");
        }
        let store = open(dir.path());
        assert_eq!(of_store(&store), safe, "new: {store_first}");
        block_on(store.record_intent(&share("a"))).expect("recorded");
        assert_eq!(of_store(&store), safe, "after a commit");
        let beside = operator(dir.path());
        assert_eq!(settings(&beside.conn), Ok(safe.clone()), "beside a store");
        drop(beside);
        store.close().expect("closed");
        let alone = operator(dir.path());
        assert_eq!(settings(&alone.conn), Ok(safe.clone()), "without a store");
        drop(alone);
        assert_eq!(of_store(&open(dir.path())), safe, "opened again");
    }
}

#[test]
fn s18_d4_d6_each_crash_image_opens_as_the_state_before_or_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open_with(dir.path(), || {});
    let owner = store.owner().to_owned();
    let mut operator =
        OperatorStore::open(dir.path(), &options(), ticking()).expect("an operator store");
    let mut rng = fastrand::Rng::with_seed(7);
    let mut open_intents = OpenIntents::new();
    let mut images = 0;
    for turn in 0..40 {
        let before = Image::of(dir.path());
        let (was, _) = dump(dir.path()).expect("readable");
        if turn % 10 == 9 {
            // The log is written back, and the next commit overwrites it from the beginning.
            let conn = super::open::connect(&super::files::Files::new(dir.path())).expect("open");
            let written = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            written.expect("written back");
            let after = Image::of(dir.path());
            assert!(before.log == after.log);
            for _ in 0..10 {
                let cut = rng.usize(..=after.database.len());
                let stood = before.database.get(cut..).unwrap_or_default();
                let torn = Image {
                    database: [&after.database[..cut], stood].concat(),
                    log: after.log.clone(),
                };
                let laid = torn.lay(Some(&owner));
                assert_eq!(dump(laid.path()).expect("readable").0, was);
            }
            // The log was written back without the store.
            drop(store);
            store = open_with(dir.path(), || {});
        }
        let before = Image::of(dir.path());
        step(&store, &mut operator, &mut open_intents, &mut rng);
        let after = Image::of(dir.path());
        assert!(before.database == after.database, "only the log is written");
        let (is, _) = dump(dir.path()).expect("readable");
        for torn in torn(&before, &after, &mut rng) {
            let laid = torn.lay(Some(&owner));
            let (found, verified) = dump(laid.path()).expect("readable");
            assert!(
                found == was || found == is,
                "turn {turn}: neither before nor after"
            );
            assert!(
                matches!(verified, VerifyResult::Intact { .. }),
                "{verified:?}"
            );
            images += 1;
            if images % 50 == 0 {
                let store = Store::open(laid.path(), &options(), ticking()).expect("a store");
                block_on(store.record_intent(&share("z"))).expect("recorded");
                drop(store);
                let (_, verified) = dump(laid.path()).expect("readable");
                assert!(
                    matches!(verified, VerifyResult::Intact { .. }),
                    "{verified:?}"
                );
            }
        }
    }
    assert!(images > 300, "{images}");
}

#[test]
fn s18_d4_an_interrupted_first_use_is_started_again() {
    let made = tempfile::tempdir().expect("a directory");
    let store = open(made.path());
    let whole = Image::of(made.path());
    drop(store);
    let header = Image {
        database: whole.database[..4096].to_vec(),
        log: Vec::new(),
    };
    let nothing = Image {
        database: Vec::new(),
        log: Vec::new(),
    };
    assert!(
        header.database == whole.database,
        "the schema is in the log"
    );
    let mut images = torn(&header, &whole, &mut fastrand::Rng::with_seed(7));
    images.extend([nothing, header, whole]);
    for image in &images {
        let laid = image.lay(None);
        fs::write(laid.path().join("owner.new"), "half").expect("written");
        if image.log.is_empty() {
            fs::write(laid.path().join("state.db-journal"), [0; 512]).expect("written");
        }
        let store = Store::open(laid.path(), &options(), ticking()).expect("a store");
        block_on(store.record_intent(&share("a"))).expect("recorded");
        let owner = store.owner().to_owned();
        drop(store);
        assert_eq!(open(laid.path()).owner(), owner);
    }
}
