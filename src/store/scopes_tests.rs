//! Tests account names that appear and disappear: the migration to version 3, rows that a new name takes over, and
//! commands that use an old name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use rusqlite::Connection;

use super::fixtures_tests::{
    answer, back_to, block_on, by_hand, dump, files, image, noon, open, options, share, ticking,
};
use super::open::{WalIndex, inspect};
use super::schema::{MIGRATIONS, latest, migrate};
use super::scopes;
use super::{HistoryQuery, OpenError, OperatorStore, Reader, VerifyResult};
use crate::history::{HistoryEvent, WriteResult};
use crate::inventory::{
    AccountIdentity, AccountMatch, InventoryEntry, InventoryUpdate, KnownAccount, OwnedShare,
    OwnershipState, ScopeRows, TakenOverName, Takeover, UsedNames,
};
use crate::ledger::{Attempt, Ledger, LedgerReader, WriteRefused};
use crate::model::fixtures_tests::tokyo;
use crate::model::{AccountName, ImageKey, KeyDigest, Permission, Region, Scope, Selector, Uin};
use crate::observation::{Blueprint, Seen};

fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("a name")
}

/// The scope of the fixtures under another account name.
fn under(account: &str) -> Scope {
    Scope {
        account: name(account),
        ..tokyo()
    }
}

fn key(account: &str, id: &str) -> ImageKey {
    ImageKey {
        scope: under(account),
        image: image(id),
    }
}

fn ours(blueprint: &str) -> InventoryEntry {
    let mut entry = InventoryEntry::default();
    entry.record_acknowledged(Permission::Share, Some(blueprint), false, noon());
    entry
}

/// A state in which `default` has shared `a` and `b`, and has a write of `c` without an outcome.
fn used(dir: &Path) {
    let store = open(dir);
    for id in ["a", "b"] {
        let attempt = share(id);
        let intent = block_on(store.record_intent(&attempt)).expect("recorded");
        let outcome = answer(intent, &attempt, WriteResult::Applied);
        let entry = ours(&format!("lhbp-{id}"));
        block_on(store.record_outcome(outcome, Some(entry))).expect("kept");
    }
    block_on(store.record_intent(&share("c"))).expect("recorded");
    store.close().expect("closed");
}

/// The update from an observation of `prod` where all rows of `default` belong to it.
fn gone_over() -> InventoryUpdate {
    InventoryUpdate {
        takeover: Takeover {
            names: vec![TakenOverName {
                from: name("default"),
                images: 3,
            }],
            expected: BTreeMap::from([(name("default"), KnownAccount::default())]),
            ..Takeover::default()
        },
        ..InventoryUpdate::default()
    }
}

fn used_names(here: &[&str]) -> UsedNames {
    let here = here.iter().map(|account| (name(account), None));
    let here: BTreeMap<_, _> = here.collect();
    UsedNames {
        anywhere: here.keys().cloned().collect(),
        here,
        is_complete: true,
    }
}

/// Lets `prod` take over the rows that an observation of `shared` proves, and returns the images that it took.
fn take_over(dir: &Path, shared: &[&str]) -> Vec<String> {
    let store = open(dir);
    let (scope, used) = (under("prod"), used_names(&["prod"]));
    let used = Arc::new(used);
    let read = store.inventory_and_accounts(&scope, &used, None);
    let (mut inventory, known) = block_on(read).expect("readable");
    let shown = shared.iter().map(|id| {
        let blueprint = Blueprint {
            id: format!("lhbp-{id}").into(),
            state: "NORMAL".into(),
            name: Default::default(),
        };
        (image(id), blueprint)
    });
    let seen = Seen {
        shared: shown.collect(),
        ..Seen::default()
    };
    let digest = KeyDigest::of("AKIDnew");
    let identity = AccountIdentity {
        uin: None,
        key: Some(&digest),
    };
    let (known, others) = known.split();
    let account_match =
        |earlier: &AccountName| known.account_match(earlier, &scope, &used, identity);
    let mut takeover = inventory.take_over(others, account_match, Some(&seen), |_| false);
    takeover.expected = known.in_region(scope.region, takeover.sources());
    let taken: Vec<_> = takeover
        .rows
        .iter()
        .map(|taken| taken.image.to_string())
        .collect();
    let update = InventoryUpdate {
        takeover,
        ..InventoryUpdate::default()
    };
    block_on(store.apply_update(&scope, update)).expect("kept");
    store.close().expect("closed");
    taken
}

fn rows(dir: &Path, account: &str) -> ScopeRows {
    let reader = Reader::open(dir).expect("a reader");
    let inventory = block_on(reader.inventory(&under(account))).expect("readable");
    ScopeRows {
        images: inventory.images,
        open_intents: inventory.open_intents,
        acceptances: inventory.acceptances,
    }
}

#[test]
fn c1_s18_a_state_of_version_2_is_migrated_and_an_older_binary_refuses_it() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    back_to(dir.path(), 2);
    let old = files(dir.path());
    let reader = Reader::open(dir.path()).expect("a reader");
    assert_eq!(reader.summary().expect("readable").schema, 2);
    assert_eq!(files(dir.path()), old, "reading changes nothing");

    open(dir.path()).close().expect("closed");
    let reader = Reader::open(dir.path()).expect("a reader");
    let summary = reader.summary().expect("readable");
    assert_eq!(summary.schema, latest(MIGRATIONS));
    let known = &summary.accounts[&tokyo()];
    let nobody = KnownAccount::default();
    assert_eq!(*known, nobody, "whose they were nobody knows");
    assert_eq!(rows(dir.path(), "default").images.len(), 2);
    let verified = dump(dir.path()).expect("readable").1;
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );

    // An older binary knows only two versions.
    let files = super::files::Files::new(dir.path());
    let error = inspect(&files, &MIGRATIONS[..2], WalIndex::Leave).expect_err("refused");
    let OpenError::NewerSchema { found, known, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((found, known), (latest(MIGRATIONS), 2));
}

#[test]
fn c1_rows_of_an_unused_name_move_as_observations_prove_them() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    back_to(dir.path(), 2);
    assert_eq!(take_over(dir.path(), &["a"]), ["img-a"]);
    assert_eq!(rows(dir.path(), "prod").images.len(), 1);
    let left = rows(dir.path(), "default");
    assert_eq!(
        left.images.keys().map(|id| id.as_str()).collect::<Vec<_>>(),
        ["img-b"]
    );
    assert_eq!(
        left.open_intents.len(),
        1,
        "what no observation proves stays"
    );
    let reader = Reader::open(dir.path()).expect("a reader");
    let summary = reader.summary().expect("readable");
    assert_eq!(summary.scopes[&tokyo()].acknowledged, 1, "status lists it");
    assert_eq!(summary.accounts[&tokyo()].succeeded_by, Some(name("prod")));
    let entries = reader.history(&HistoryQuery::default()).expect("a history");
    let taken: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            HistoryEvent::TakenOver(taken) => Some((
                taken.image.as_ref().map(ToString::to_string),
                taken.from.to_string(),
            )),
            _ => None,
        })
        .collect();
    let from_default = (Some("img-a".to_owned()), "default".to_owned());
    assert_eq!(taken, [from_default], "each row is noted");
    let verified = dump(dir.path()).expect("readable").1;
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );
    // A later observation shows the rest.
    assert_eq!(take_over(dir.path(), &["a", "b", "c"]), ["img-b", "img-c"]);
    assert_eq!(rows(dir.path(), "default"), ScopeRows::default());
    assert_eq!(rows(dir.path(), "prod").open_intents.len(), 1);
    assert_eq!(take_over(dir.path(), &["a", "b", "c"]), [""; 0], "once");
}

#[test]
fn g2_two_names_mean_one_account_by_uin_or_by_key() {
    let uin = |text: &str| Uin::new(text).expect("a uin");
    let (one, two) = (uin("100000000001"), uin("100000000002"));
    let (key_one, key_two) = (KeyDigest::of("AKIDone"), KeyDigest::of("AKIDtwo"));
    let known = |uin: Option<&Uin>, key: Option<&KeyDigest>| KnownAccount {
        uin: uin.cloned(),
        key: key.cloned(),
        ..KnownAccount::default()
    };
    let table = [
        // The account that the state knows, and the account that the scope has now.
        (
            known(Some(&one), None),
            Some(&one),
            &key_two,
            AccountMatch::Proven,
        ),
        (
            known(None, Some(&key_one)),
            None,
            &key_one,
            AccountMatch::Proven,
        ),
        (
            known(Some(&one), Some(&key_one)),
            Some(&two),
            &key_two,
            AccountMatch::Excluded,
        ),
        (
            known(None, None),
            Some(&one),
            &key_one,
            AccountMatch::Possible,
        ),
        (
            known(Some(&one), Some(&key_one)),
            None,
            &key_two,
            AccountMatch::Possible,
        ),
    ];
    let account_match = |account: KnownAccount, uin, key, used: &UsedNames| {
        let mut accounts = crate::inventory::KnownAccounts::default();
        accounts.scopes.insert(under("legacy"), account);
        let identity = AccountIdentity {
            uin,
            key: Some(key),
        };
        accounts.account_match(&name("legacy"), &under("prod"), used, identity)
    };
    for (account, uin, key, expected) in table {
        let used = used_names(&["prod"]);
        let found = account_match(account.clone(), uin, key, &used);
        assert_eq!(found, expected, "{account:?}");
        // A name that is used in another region still has a meaning, unless it is proven to be the same account.
        let elsewhere = UsedNames {
            anywhere: used_names(&["prod", "legacy"]).anywhere,
            ..used.clone()
        };
        let unproven = |account_match| match account_match {
            AccountMatch::Possible => AccountMatch::InUseElsewhere,
            other => other,
        };
        let found = account_match(account.clone(), uin, key, &elsewhere);
        assert_eq!(found, unproven(expected), "{account:?}");
        // With incomplete manifests, it is unknown which names are used.
        let partial = UsedNames {
            is_complete: false,
            ..used
        };
        assert_eq!(
            account_match(account, uin, key, &partial),
            unproven(expected)
        );
        let here = used_names(&["prod", "legacy"]);
        let same = known(Some(&one), None);
        assert_eq!(
            account_match(same, Some(&one), &key_one, &here),
            AccountMatch::Excluded
        );
    }
}

#[test]
fn g2_a_suspension_by_an_earlier_name_forbids_the_next_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut operator = OperatorStore::open(dir.path(), &options(), ticking()).expect("opens");
    let selector = Selector {
        accounts: [name("legacy")].into(),
        ..Selector::default()
    };
    operator
        .suspend(selector, None, "ann@desk", "release")
        .expect("suspended");
    let attempt = Attempt {
        key: key("prod", "a"),
        ..share("a")
    };
    block_on(store.record_intent(&attempt)).expect("another account's suspension");
    let renamed = Attempt {
        aliases: BTreeSet::from([name("legacy")]).into(),
        ..attempt
    };
    let refused = block_on(store.record_intent(&renamed)).expect_err("refused");
    assert!(matches!(refused, WriteRefused::Suspended(_)), "{refused}");
    let refused = block_on(store.recheck_forbidden(&renamed)).expect_err("refused");
    assert!(matches!(refused, WriteRefused::Suspended(_)), "{refused}");
}

#[test]
fn g2_adopting_under_the_new_name_ends_the_row_of_the_old_one() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    let mut operator = OperatorStore::open(dir.path(), &options(), ticking()).expect("opens");
    let adopted = vec![(key("prod", "a"), OwnedShare::adopted("lhbp-a", noon()))];
    let names = BTreeSet::from([name("prod")]);
    operator
        .adopt(adopted, &names, "ann@desk", "by hand")
        .expect("adopted");
    drop(operator);
    let left = rows(dir.path(), "default").images;
    assert_eq!(
        left.keys().map(|id| id.as_str()).collect::<Vec<_>>(),
        ["img-b"]
    );
    let owned = rows(dir.path(), "prod").images[&image("a")].owned.clone();
    assert_eq!(
        owned.map(|owned| owned.ownership),
        Some(OwnershipState::Adopted)
    );
    let verified = dump(dir.path()).expect("readable").1;
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );
}

#[test]
fn c1_the_rows_of_a_name_that_means_another_account_are_set_aside() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    let uin = |text: &str| Uin::new(text).expect("a uin");
    let account = |text: &str| {
        Some(KnownAccount {
            uin: Some(uin(text)),
            ..KnownAccount::default()
        })
    };
    let store = open(dir.path());
    block_on(store.inventory(&tokyo())).expect("readable");
    let first = InventoryUpdate {
        account: account("1"),
        ..InventoryUpdate::default()
    };
    block_on(store.apply_update(&tokyo(), first)).expect("kept");
    let moved = InventoryUpdate {
        set_aside: Some(uin("1")),
        account: account("2"),
        ..InventoryUpdate::default()
    };
    block_on(store.apply_update(&tokyo(), moved)).expect("kept");
    // Whoever has uin 1 now finds them, under any name.
    let used = Arc::new(used_names(&["prod", "default"]));
    let (prod, one) = (under("prod"), uin("1"));
    let read = store.inventory_and_accounts(&prod, &used, Some(&one));
    let (_, known) = block_on(read).expect("readable");
    let (known, others) = known.split();
    assert_eq!(others.len(), 1);
    let (aside, rows) = others.first_key_value().expect("one");
    assert_eq!(rows.images.len(), 2);
    let identity = AccountIdentity {
        uin: Some(&one),
        key: None,
    };
    let found = known.account_match(aside, &under("prod"), &used, identity);
    assert_eq!(found, AccountMatch::Proven);
    let suspended = BTreeSet::new();
    let aliases = known.aliases(&under("prod"), &used, identity, &suspended);
    assert!(aliases.contains(&name("default")), "{aliases:?}");
    store.close().expect("closed");
    assert_eq!(self::rows(dir.path(), "default"), ScopeRows::default());
    let verified = dump(dir.path()).expect("readable").1;
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );
}

#[test]
fn c1_all_rows_of_a_proven_name_move_at_once_with_one_entry() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    let store = open(dir.path());
    block_on(store.inventory(&under("prod"))).expect("readable");
    block_on(store.apply_update(&under("prod"), gone_over())).expect("kept");
    // The answer to a write that was in flight when the name changed.
    let attempt = share("c");
    let open = block_on(store.inventory(&under("prod")))
        .expect("readable")
        .open_intents;
    let intent = open[&image("c")][0].intent;
    let late = answer(intent, &attempt, WriteResult::Applied);
    block_on(store.record_outcome(late, Some(ours("lhbp-c")))).expect("kept under the new name");
    store.close().expect("closed");
    let prod = rows(dir.path(), "prod");
    assert_eq!((prod.images.len(), prod.open_intents.len()), (3, 0));
    assert_eq!(rows(dir.path(), "default"), ScopeRows::default());
    let reader = Reader::open(dir.path()).expect("a reader");
    let entries = reader.history(&HistoryQuery::default()).expect("a history");
    let taken = entries
        .iter()
        .filter(|entry| matches!(entry.event, HistoryEvent::TakenOver(_)));
    assert_eq!(taken.count(), 1);
    let verified = dump(dir.path()).expect("readable").1;
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );
}

#[test]
fn c1_a_persons_change_after_the_observation_is_not_overwritten() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    let store = open(dir.path());
    block_on(store.inventory(&under("prod"))).expect("readable");
    let mut operator = OperatorStore::open(dir.path(), &options(), ticking()).expect("a state");
    let released = operator.release(vec![key("default", "a")], "ann@desk", "not ours");
    assert_eq!(released, Ok(vec![key("default", "a")]));
    block_on(store.apply_update(&under("prod"), gone_over())).expect("kept");
    assert_eq!(rows(dir.path(), "prod"), ScopeRows::default());
    // The next observation has read the person's change.
    block_on(store.inventory(&under("prod"))).expect("readable");
    block_on(store.apply_update(&under("prod"), gone_over())).expect("kept");
    store.close().expect("closed");
    let images = rows(dir.path(), "prod").images;
    assert_eq!(images[&image("a")].owned, None);
    assert!(images[&image("b")].owned.is_some());
}

#[test]
fn c1_adopting_does_not_change_the_row_of_another_account() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    by_hand(dir.path(), "UPDATE scopes SET uin = '2'");
    let store = open(dir.path());
    let account = KnownAccount {
        uin: Uin::new("1").ok(),
        ..KnownAccount::default()
    };
    let update = InventoryUpdate {
        account: Some(account),
        ..InventoryUpdate::default()
    };
    block_on(store.apply_update(&under("prod"), update)).expect("kept");
    store.close().expect("closed");
    let mut operator = OperatorStore::open(dir.path(), &options(), ticking()).expect("opens");
    let adopted = vec![(
        key("prod", "a"),
        OwnedShare::adopted("lhbp-of-prod", noon()),
    )];
    let names = BTreeSet::from([name("prod")]);
    operator
        .adopt(adopted, &names, "ann@desk", "by hand")
        .expect("adopted");
    drop(operator);
    assert_eq!(rows(dir.path(), "default").images.len(), 2);
}

#[test]
fn g2_a_name_that_now_means_another_account_keeps_its_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    let store = open(dir.path());
    block_on(store.inventory(&under("prod"))).expect("readable");
    // The update of another scope was stored first, and records whose the name is now.
    let account = KnownAccount {
        uin: Uin::new("2").ok(),
        ..KnownAccount::default()
    };
    let first = InventoryUpdate {
        account: Some(account),
        ..InventoryUpdate::default()
    };
    block_on(store.apply_update(&tokyo(), first)).expect("kept");
    block_on(store.apply_update(&under("prod"), gone_over())).expect("kept");
    store.close().expect("closed");
    assert_eq!(rows(dir.path(), "default").images.len(), 2);
    assert_eq!(rows(dir.path(), "prod"), ScopeRows::default());
}

/// One row of `scopes`: numbers for its account name, region and uin, and for the name that took it over.
type Row = (u8, u8, Option<u8>, Option<u8>);

fn number_in_region((account, region, ..): &Row) -> Scope {
    let regions = [Region::new("ap-tokyo"), Region::new("ap-seoul")];
    Scope {
        account: name(&format!("account-{account}")),
        region: regions[usize::from(*region)].expect("a region"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The indexes must not change the result.
    #[test]
    fn l2_the_known_accounts_are_those_that_a_walk_over_all_rows_finds(
        rows in prop::collection::vec((0u8..6, 0u8..2, prop::option::of(0u8..3), prop::option::weighted(0.2, 0u8..6)), 0..12),
        anywhere in prop::collection::btree_set(0u8..6, 0..6),
        here in prop::collection::btree_set(0u8..6, 0..6),
        uin_number in prop::option::of(0u8..3),
    ) {
        let mut conn = Connection::open_in_memory().expect("a database");
        migrate(&mut conn, MIGRATIONS, noon()).expect("migrated");
        let numbered = |number: &u8| name(&format!("account-{number}"));
        let number_as_uin = |number: u8| Uin::new(&format!("10{number}")).expect("a uin");
        for row in &rows {
            let of = number_in_region(row);
            let known = KnownAccount { uin: row.2.map(number_as_uin), ..KnownAccount::default() };
            scopes::set_account(&conn, &of, &known).expect("kept");
            let by = row.3.map(|by| Scope { account: numbered(&by), ..of.clone() });
            by.map_or(Ok(()), |by| scopes::set_successor(&conn, &of, &by)).expect("kept");
        }
        let used = UsedNames {
            here: here.intersection(&anywhere).map(|number| (numbered(number), None)).collect(),
            anywhere: anywhere.iter().map(numbered).collect(),
            is_complete: true,
        };
        let (scope, uin) = (number_in_region(&(0, 0, None, None)), uin_number.map(number_as_uin));
        let found = scopes::accounts(&conn, &scope, &used, uin.as_ref()).expect("readable");
        let mut all = scopes::all(&conn).expect("readable");
        all.retain(|row, known| {
            let is_of_account = uin.is_some() && known.uin == uin;
            row.account == scope.account
                || known.succeeded_by.is_some()
                || !used.anywhere.contains(&row.account)
                || (row.region == scope.region && (is_of_account || !used.here.contains_key(&row.account)))
        });
        prop_assert_eq!(found.scopes, all);
    }
}

#[test]
fn c9_an_accepted_loss_follows_the_name_of_its_account() {
    let dir = tempfile::tempdir().expect("a directory");
    used(dir.path());
    let accept = |account: &str, losses: &[u32], by: &str| {
        let mut operator = OperatorStore::open(dir.path(), &options(), ticking()).expect("opened");
        for lost in losses {
            let losses = BTreeMap::from([(under(account), *lost)]);
            operator.accept_losses(&losses, by).expect("kept");
        }
    };
    accept("default", &[2, 3], "before@host");
    accept("prod", &[3], "after@host");
    let store = open(dir.path());
    block_on(store.inventory(&under("prod"))).expect("readable");
    block_on(store.apply_update(&under("prod"), gone_over())).expect("kept");
    store.close().expect("closed");
    let kept = rows(dir.path(), "prod").acceptances;
    let kept: Vec<_> = kept.iter().map(|one| (one.lost, one.by.as_str())).collect();
    assert_eq!(kept, [(2, "before@host"), (3, "after@host")]);
    assert_eq!(rows(dir.path(), "default"), ScopeRows::default());
    let verified = dump(dir.path()).expect("readable").1;
    assert!(
        matches!(verified, VerifyResult::Intact { .. }),
        "{verified:?}"
    );
}
