//! Views that are not trusted, because so many shares are missing from them: they change nothing.

use super::*;

/// An inventory of `count` images of ours, and an observation that misses the first `gone` of them.
fn vanishing(count: usize, gone: usize) -> (Inventory, Seen) {
    let (mut inventory, mut seen) = (Inventory::default(), Seen::default());
    for n in 0..count {
        let id = ImageId::new(&format!("img-{n}")).expect("an id");
        let mut entry = InventoryEntry::default();
        entry.record_acknowledged(Permission::Share, Some("lhbp-1"), false, at_minute(0));
        entry.owned.as_mut().expect("ours").confirmed = true;
        inventory.images.insert(id.clone(), entry);
        if n >= gone {
            let (id_, state) = ("lhbp-1".to_owned(), "NORMAL".to_owned());
            let name = Default::default();
            seen.shared.insert(
                id,
                Blueprint {
                    id: id_.into(),
                    state: state.as_str().into(),
                    name,
                },
            );
        }
    }
    (inventory, seen)
}

#[test]
fn a4_a_loss_is_over_a_quarter_and_over_one_of_desired_shares() {
    for (count, gone, loss) in [
        (1, 1, None),
        (4, 1, None),
        (8, 2, None),
        (7, 2, Some(UnexpectedLoss { lost: 2, of: 7 })),
        (40, 10, None),
        (40, 11, Some(UnexpectedLoss { lost: 11, of: 40 })),
    ] {
        let (inventory, seen) = vanishing(count, gone);
        assert_eq!(
            inventory.unexpected_loss(&seen, |_| true),
            loss,
            "{gone} of {count}"
        );
        assert_eq!(
            inventory.unexpected_loss(&seen, |_| false),
            None,
            "nobody wants them"
        );
    }
    let (mut inventory, seen) = vanishing(4, 4);
    for entry in inventory.images.values_mut() {
        entry.owned.as_mut().expect("ours").confirmed = false;
    }
    assert_eq!(
        inventory.unexpected_loss(&seen, |_| true),
        None,
        "they never showed"
    );
}

#[test]
fn a4_s11_p10_a_suspicious_observation_forgets_nothing() {
    let (mut inventory, seen) = vanishing(40, 40);
    for minute in [2, 5, 13, 60 * 24] {
        let changes = update(
            &inventory,
            &seen,
            &BTreeMap::new(),
            (39, TRUSTED),
            at_minute(minute),
        );
        assert_eq!(changes, [], "in minute {minute}");
        inventory.apply(&changes);
    }
    let changes = update(
        &inventory,
        &seen,
        &BTreeMap::new(),
        (40, TRUSTED),
        at_minute(60 * 24 + 1),
    );
    inventory.apply(&changes);
    assert!(
        inventory.images.values().all(|entry| entry.owned.is_none()),
        "a person has decided"
    );
    assert!(changes.iter().all(|change| change.note.is_some()));
}

#[test]
fn a4_s19_a_suspicious_observation_resolves_and_parks_nothing() {
    let (mut inventory, seen) = vanishing(12, 12);
    let id = ImageId::new("img-0").expect("an id");
    let open = OpenIntent {
        intent: IntentId(1),
        permission: Permission::Cancel,
        at: at_minute(1),
        saw_opposite: true,
    };
    inventory.open_intents.insert(id.clone(), vec![open]);
    let entry = inventory.images.get_mut(&id).expect("an entry");
    entry.protected = true;
    for minute in [20, 21, 22] {
        entry.record_acknowledged(Permission::Share, Some("lhbp-1"), true, at_minute(minute));
        entry.writes.last_mut().expect("a write").confirmed = true;
    }
    let wanted = Declaration {
        desired: Some(SHARED),
        protected: Some(true),
    };
    let declared = BTreeMap::from([(&id, wanted)]);
    assert_eq!(
        update(&inventory, &seen, &declared, (0, TRUSTED), at_minute(30)),
        []
    );
}

#[test]
fn d4_a_cancel_that_was_cut_off_is_no_loss() {
    let (mut inventory, seen) = vanishing(4, 4);
    for (intent, id) in (1..).zip(inventory.images.keys()) {
        let open = OpenIntent {
            intent: IntentId(intent),
            permission: Permission::Cancel,
            at: at_minute(1),
            saw_opposite: true,
        };
        inventory.open_intents.insert(id.clone(), vec![open]);
    }
    assert_eq!(inventory.unexpected_loss(&seen, |_| true), None);
    let changes = update(
        &inventory,
        &seen,
        &BTreeMap::new(),
        (0, TRUSTED),
        at_minute(2),
    );
    inventory.apply(&changes);
    assert!(inventory.images.values().all(|entry| entry.owned.is_none()));
}

#[test]
fn b2_what_the_clocks_disagree_about_is_neither_let_go_nor_parked() {
    let ids = ["img-a", "img-b"].map(|id| ImageId::new(id).expect("an id"));
    let declared = |desired| {
        let declared = Declaration {
            desired,
            protected: Some(false),
        };
        ids.iter()
            .map(|id| (id, declared))
            .collect::<BTreeMap<_, _>>()
    };
    let changes = |inventory: &Inventory, desired| {
        update(
            inventory,
            &Seen::default(),
            &declared(desired),
            (0, TRUSTED),
            at_minute(20),
        )
    };
    // Both of the two images are missing. This is no loss only if they may be missing.
    let mut inventory = Inventory::default();
    for id in &ids {
        let owned = Some(OwnedShare::adopted("lhbp-1", at_minute(0)));
        let entry = InventoryEntry {
            owned,
            ..InventoryEntry::default()
        };
        inventory.images.insert(id.clone(), entry);
    }
    assert_eq!(changes(&inventory, Some(UNSHARED)).len(), 2);
    for wanted in [Some(SHARED), None] {
        assert_eq!(changes(&inventory, wanted), [], "{wanted:?}");
    }
    // The image counts as reversed three times, if it should be shared at all.
    let writes = [0, 6, 12].map(|minutes| AcknowledgedWrite {
        at: at_minute(minutes),
        towards: SHARED,
        confirmed: true,
    });
    let entry = InventoryEntry {
        writes: writes.into(),
        ..InventoryEntry::default()
    };
    let inventory = Inventory {
        images: BTreeMap::from([(ids[0].clone(), entry)]),
        ..Inventory::default()
    };
    assert_eq!(changes(&inventory, Some(SHARED)).len(), 1);
    assert_eq!(changes(&inventory, None), []);
}
