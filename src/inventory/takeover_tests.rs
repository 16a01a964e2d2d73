//! G2 and C1: which rows of other account names a scope takes over, and which rows it leaves.

use super::*;
use crate::inventory::{AcknowledgedWrite, IntentId};
use crate::model::fixtures_tests::{at, image_id};
use crate::model::{Permission, ShareState};
use crate::observation::Blueprint;

fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("a name")
}

fn ours(blueprint: Option<&str>) -> InventoryEntry {
    let mut entry = InventoryEntry::default();
    entry.record_acknowledged(Permission::Share, blueprint, false, at(0));
    entry
}

fn parked() -> InventoryEntry {
    InventoryEntry {
        parked_since: Some(at(1)),
        protected: true,
        ..InventoryEntry::default()
    }
}

fn open(intent: u64) -> OpenIntent {
    OpenIntent {
        intent: IntentId(intent),
        permission: Permission::Share,
        at: at(0),
        saw_opposite: true,
    }
}

fn seen(shared: &[(&str, &str)]) -> Seen {
    let shared = shared.iter().map(|(id, blueprint)| {
        let blueprint = Blueprint {
            id: (*blueprint).into(),
            state: "NORMAL".into(),
            name: Default::default(),
        };
        (image_id(id), blueprint)
    });
    Seen {
        shared: shared.collect(),
        ..Seen::default()
    }
}

fn unused(rows: &[(&str, InventoryEntry)]) -> BTreeMap<AccountName, ScopeRows> {
    let images = rows.iter().map(|(id, entry)| (image_id(id), entry.clone()));
    let rows = ScopeRows {
        images: images.collect(),
        ..ScopeRows::default()
    };
    BTreeMap::from([(name("legacy"), rows)])
}

fn taken(
    rows: &[(&str, InventoryEntry)],
    account_match: AccountMatch,
    shown: Option<&[(&str, &str)]>,
) -> (Inventory, Takeover) {
    let mut inventory = Inventory::default();
    let shown = shown.map(seen);
    let taken = inventory.take_over(
        unused(rows),
        |_| account_match,
        shown.as_ref(),
        |id| *id == image_id("img-named"),
    );
    (inventory, taken)
}

fn ids(takeover: &Takeover) -> Vec<&str> {
    takeover.rows.iter().map(|row| row.image.as_str()).collect()
}

#[test]
fn g2_a_proven_name_hands_over_everything_even_unseen() {
    let rows = [("img-a", ours(Some("lhbp-a"))), ("img-b", parked())];
    let (inventory, taken) = taken(&rows, AccountMatch::Proven, None);
    let all = TakenOverName {
        from: name("legacy"),
        images: 2,
    };
    assert_eq!((taken.names, taken.rows), (vec![all], vec![]));
    assert_eq!(inventory.images[&image_id("img-a")], ours(Some("lhbp-a")));
    assert!(inventory.images[&image_id("img-b")].protected);
}

#[test]
fn c1_an_open_name_hands_over_what_its_blueprint_proves() {
    let rows = [
        ("img-same", ours(Some("lhbp-same"))),
        ("img-other", ours(Some("lhbp-old"))),
        ("img-gone", ours(Some("lhbp-gone"))),
        ("img-unknown", ours(None)),
    ];
    let shown = [
        ("img-same", "lhbp-same"),
        ("img-other", "lhbp-new"),
        ("img-unknown", "lhbp-x"),
    ];
    let (inventory, taken) = taken(&rows, AccountMatch::Possible, Some(&shown));
    assert_eq!(ids(&taken), ["img-same", "img-unknown"]);
    let proves: Vec<_> = taken
        .rows
        .iter()
        .map(TakenOverRow::proves_the_name)
        .collect();
    assert_eq!(proves, [true, false]);
    let ownership = |id: &str| {
        inventory.images[&image_id(id)]
            .owned
            .as_ref()
            .map(|o| o.ownership)
    };
    assert_eq!(ownership("img-same"), Some(OwnershipState::Acknowledged));
    assert_eq!(ownership("img-unknown"), Some(OwnershipState::Probable));
}

#[test]
fn c1_an_open_name_hands_over_nothing_unseen_and_a_barred_one_never() {
    let rows = [("img-a", ours(Some("lhbp-a"))), ("img-named", parked())];
    assert_eq!(
        taken(&rows, AccountMatch::Possible, None).1,
        Takeover::default()
    );
    let shown = [("img-a", "lhbp-a"), ("img-named", "lhbp-n")];
    let (inventory, taken) = taken(&rows, AccountMatch::Excluded, Some(&shown));
    assert_eq!(
        (taken, inventory),
        (Takeover::default(), Inventory::default())
    );
}

#[test]
fn g2_what_holds_back_counts_and_stays_where_it_is() {
    let held = |blueprint| InventoryEntry {
        owned: ours(blueprint).owned,
        ..parked()
    };
    let rows = [
        ("img-named", parked()),
        ("img-shown", parked()),
        ("img-neither", parked()),
        ("img-reshared", held(Some("lhbp-old"))),
    ];
    let shown = [("img-shown", "lhbp-s"), ("img-reshared", "lhbp-new")];
    for account_match in [AccountMatch::Possible, AccountMatch::InUseElsewhere] {
        let (inventory, taken) = taken(&rows, account_match, Some(&shown));
        assert_eq!(taken, Takeover::default(), "{account_match:?}");
        for id in ["img-named", "img-shown", "img-reshared"] {
            let entry = &inventory.images[&image_id(id)];
            assert!(entry.protected && entry.parked_since.is_some(), "{id}");
            assert_eq!(entry.owned, None, "{id}");
        }
        assert!(!inventory.images.contains_key(&image_id("img-neither")));
    }
}

#[test]
fn g2_what_is_known_under_the_own_name_wins_and_restraints_add_up() {
    let mut inventory = Inventory::default();
    let own = ours(Some("lhbp-new"));
    inventory.images.insert(image_id("img-a"), own.clone());
    inventory
        .open_intents
        .insert(image_id("img-a"), vec![open(7)]);
    let mut rows = unused(&[(
        "img-a",
        InventoryEntry {
            writes: vec![AcknowledgedWrite {
                at: at(0),
                towards: ShareState::Unshared,
                confirmed: true,
            }],
            ..parked()
        },
    )]);
    let legacy = rows.get_mut(&name("legacy")).expect("is there");
    legacy.open_intents.insert(image_id("img-a"), vec![open(3)]);
    legacy.open_intents.insert(image_id("img-b"), vec![open(4)]);
    let taken = inventory.take_over(rows, |_| AccountMatch::Proven, None, |_| false);
    assert_eq!(
        ids(&taken),
        ["img-a"],
        "a row that is joined goes by itself"
    );
    assert_eq!(
        taken.names[0].images, 2,
        "an open write without a row goes along"
    );
    let entry = &inventory.images[&image_id("img-a")];
    assert_eq!((&entry.owned, &entry.writes), (&own.owned, &own.writes));
    assert_eq!((entry.parked_since, entry.protected), (Some(at(1)), true));
    let intents: Vec<_> = inventory.open_intents[&image_id("img-a")]
        .iter()
        .map(|open| open.intent.0)
        .collect();
    assert_eq!(intents, [3, 7], "the oldest first");
}

/// A state that was used under several names in one region.
struct State(KnownAccounts);

impl State {
    fn new(rows: &[(&str, KnownAccount)]) -> Self {
        let mut known = KnownAccounts::default();
        for (account, row) in rows {
            known.scopes.insert(under(account, "ap-tokyo"), row.clone());
        }
        Self(known)
    }
}

fn under(account: &str, region: &str) -> Scope {
    Scope {
        account: name(account),
        region: crate::model::Region::new(region).expect("a region"),
    }
}

fn uin(text: &str) -> Uin {
    Uin::new(text).expect("a uin")
}

fn known(uin_: Option<&str>, key: Option<&str>, succeeded_by: Option<&str>) -> KnownAccount {
    KnownAccount {
        uin: uin_.map(uin),
        key: key.map(KeyDigest::of),
        succeeded_by: succeeded_by.map(name),
        ..KnownAccount::default()
    }
}

fn used(here: &[(&str, Option<&str>)], elsewhere: &[&str]) -> UsedNames {
    let here: BTreeMap<_, _> = here.iter().map(|(n, u)| (name(n), u.map(uin))).collect();
    let anywhere = here
        .keys()
        .cloned()
        .chain(elsewhere.iter().map(|n| name(n)));
    UsedNames {
        anywhere: anywhere.collect(),
        here,
        is_complete: true,
    }
}

#[test]
fn g2_rows_follow_the_uin_where_a_name_moves_to_another_account() {
    // `b` meant uin 2 and means uin 1 now; `c` means uin 2.
    let state = State::new(&[("b", known(Some("2"), None, None))]);
    let (one, two) = (uin("1"), uin("2"));
    let names = used(&[("b", Some("1")), ("c", Some("2"))], &[]);
    fn claim(uin: Option<&Uin>) -> AccountIdentity<'_> {
        AccountIdentity { uin, key: None }
    }
    let account_match = |scope: &str, uin: &Uin| {
        state.0.account_match(
            &name("b"),
            &under(scope, "ap-tokyo"),
            &names,
            claim(Some(uin)),
        )
    };
    assert_eq!(account_match("c", &two), AccountMatch::Proven);
    assert_eq!(account_match("d", &one), AccountMatch::Excluded);
    // If the present account of `b` is unknown, it keeps its rows.
    let unknown = used(&[("b", None), ("c", Some("2"))], &[]);
    let scope = under("c", "ap-tokyo");
    let found = state
        .0
        .account_match(&name("b"), &scope, &unknown, claim(Some(&two)));
    assert_eq!(found, AccountMatch::Excluded);
    // If both uins are known, they decide, whatever the keys are.
    let mixed = State::new(&[("old", known(Some("2"), Some("AKID"), None))]);
    let key = KeyDigest::of("AKID");
    let both = AccountIdentity {
        uin: Some(&one),
        key: Some(&key),
    };
    let found = mixed.0.account_match(&name("old"), &scope, &names, both);
    assert_eq!(found, AccountMatch::Excluded);
}

#[test]
fn g2_a_key_decides_only_where_a_uin_is_missing() {
    let (one, two) = (uin("1"), uin("2"));
    let key = KeyDigest::of("AKIDone");
    let row = |uin: Option<&Uin>| KnownAccount {
        uin: uin.cloned(),
        key: Some(key.clone()),
        ..KnownAccount::default()
    };
    let identity = |uin| AccountIdentity {
        uin,
        key: Some(&key),
    };
    assert!(!row(Some(&one)).is_same_account(identity(Some(&two))));
    assert!(row(Some(&one)).is_same_account(identity(Some(&one))));
    for (known, claims) in [(None, Some(&two)), (Some(&one), None), (None, None)] {
        assert!(row(known).is_same_account(identity(claims)));
    }
    let keyless = AccountIdentity {
        uin: None,
        key: None,
    };
    assert!(!KnownAccount::default().is_same_account(keyless));
}

#[test]
fn g2_a_suspension_follows_each_name_that_an_account_had() {
    let none = AccountIdentity {
        uin: None,
        key: None,
    };
    let aliases = |state: &State, names: &UsedNames, identity, suspended: &[&str]| {
        let suspended = suspended.iter().map(|n| name(n)).collect();
        let scope = under("live", "ap-tokyo");
        let found = state.0.aliases(&scope, names, identity, &suspended);
        found.iter().map(AccountName::to_string).collect::<Vec<_>>()
    };
    let live = used(&[("live", None)], &[]);
    // The alias follows through a chain of names, and through a name that only a suspension knows.
    let chain = State::new(&[
        ("default", known(None, None, Some("prod"))),
        ("prod", known(None, Some("AKIDold"), None)),
    ]);
    let found = aliases(&chain, &live, none, &["never-used"]);
    assert_eq!(found, ["default", "never-used", "prod"]);
    // A name that certainly means another account is no alias, and neither is one that is used for another region.
    let two = uin("2");
    let state = State::new(&[
        ("other", known(Some("1"), None, None)),
        ("sibling", known(Some("2"), None, None)),
    ]);
    let me = AccountIdentity {
        uin: Some(&two),
        key: None,
    };
    assert_eq!(aliases(&state, &live, me, &["other"]), ["sibling"]);
    let elsewhere = used(&[("live", None)], &["sibling", "suspended"]);
    let found = aliases(&state, &elsewhere, me, &["suspended"]);
    assert_eq!(found, ["sibling"], "it had images in this very region");
    let nowhere = State::new(&[]);
    assert_eq!(aliases(&nowhere, &elsewhere, me, &["suspended"]), [""; 0]);
    // If manifests are missing, nothing shows whether one of them uses the name. A suspension holds in doubt.
    let partial = UsedNames {
        is_complete: false,
        ..used(&[("live", None)], &[])
    };
    let found = aliases(&state, &partial, me, &["other", "suspended"]);
    assert_eq!(found, ["sibling", "suspended"]);
}

#[test]
fn c9_an_accepted_loss_applies_when_the_new_name_is_observed() {
    let accepted = |lost| LossAcceptance {
        lost,
        images: None,
        by: "operator@host".to_owned(),
        since: Default::default(),
    };
    for (account_match, follows) in [
        (AccountMatch::Proven, true),
        (AccountMatch::Possible, false),
        (AccountMatch::InUseElsewhere, false),
        (AccountMatch::Excluded, false),
    ] {
        let mut inventory = Inventory::default();
        let mut rows = unused(&[]);
        for rows in rows.values_mut() {
            rows.acceptances = vec![accepted(7)];
        }
        inventory.take_over(rows, |_| account_match, Some(&seen(&[])), |_| false);
        let missing = (0..7).map(|n| image_id(&format!("img-{n}"))).collect();
        assert_eq!(
            inventory.is_loss_accepted(&missing, 0),
            follows,
            "{account_match:?}"
        );
    }
}
