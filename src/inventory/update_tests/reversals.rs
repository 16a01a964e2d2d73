//! Somebody else who reverses our writes: how often that may happen before the image is parked.

use super::*;

#[test]
fn a22_s20_an_image_is_parked_at_the_third_reversal_in_an_hour() {
    let mut scene = Scene::settled();
    for (minute, blueprint) in [(10, "lhbp-2"), (20, "lhbp-3")] {
        scene.shows(None);
        scene.observe(minute);
        assert_eq!(scene.parked_since(), None, "repaired at {minute}");
        scene.repair(Permission::Share, minute, blueprint);
    }
    scene.shows(None);
    scene.observe(30);
    assert_eq!(scene.parked_since(), Some(at_minute(30)));
    assert!(
        matches!(&scene.notes[..], [InventoryNote::Parked(_)]),
        "{:?}",
        scene.notes
    );
    for minute in [31, 35, 39] {
        assert_eq!(scene.observe(minute), [], "reported once");
    }
}

/// The number of reversals after which the image is parked, if somebody reverses our write every `every` minutes from
/// minute `first` on and we repair it at once each time.
fn parked_after(first: i64, every: i64) -> Option<i64> {
    let mut scene = Scene::settled();
    for round in 0..10 {
        let minute = first + round * every;
        scene.shows(None);
        scene.observe(minute);
        if scene.parked_since().is_some() {
            return Some(round + 1);
        }
        scene.repair(Permission::Share, minute, &format!("lhbp-{}", round + 2));
    }
    None
}

#[test]
fn a22_s20_reversals_count_by_their_time_not_by_the_shares_age() {
    for first in [2, 59, 60, 60 * 24 * 30] {
        assert_eq!(
            parked_after(first, 1),
            Some(3),
            "repaired twice from {first}"
        );
    }
    assert_eq!(parked_after(1, 29), Some(3), "three within 58 minutes");
    assert_eq!(parked_after(1, 30), None, "no three within an hour");
}

#[test]
fn a22_s20_repeated_cancels_park_declared_and_pruned_images() {
    for mut scene in [Scene::wanting(UNSHARED), Scene::default()] {
        for minute in [0, 10, 20] {
            scene.repair(Permission::Cancel, minute, "");
            scene.shows(Some("lhbp-9"));
            scene.observe(minute + 9);
            assert_eq!(
                scene.parked_since().is_some(),
                minute == 20,
                "reversed at {minute}"
            );
        }
    }
}

#[test]
fn a22_an_entry_that_is_deleted_after_reversals_parks_nothing() {
    let mut scene = Scene::settled();
    scene.repair(Permission::Share, 2, "lhbp-2");
    scene.repair(Permission::Share, 3, "lhbp-3");
    scene.declared = None;
    for blueprint in [Some("lhbp-3"), None] {
        scene.shows(blueprint);
        scene.observe(4);
        assert_eq!(scene.parked_since(), None, "{blueprint:?}");
    }
}

#[test]
fn a22_what_is_parked_stays_so_until_a_person_ends_it() {
    let mut scene = Scene::wanting(SHARED);
    scene.inventory.images.insert(
        img_a(),
        InventoryEntry {
            parked_since: Some(at_minute(0)),
            ..InventoryEntry::default()
        },
    );
    for (minute, blueprint) in [(1, None), (100, Some("lhbp-9")), (10_000, None)] {
        scene.shows(blueprint);
        assert_eq!(scene.observe(minute), [], "{minute}");
    }
}

#[test]
fn a22_a_manifest_that_changes_its_mind_reverses_nobody() {
    let mut scene = Scene::wanting(SHARED);
    for (minute, desired) in [
        (0, SHARED),
        (1, UNSHARED),
        (2, SHARED),
        (3, UNSHARED),
        (4, SHARED),
    ] {
        scene.name(desired, false);
        scene.observe(minute);
        scene.repair(
            Permission::towards(desired),
            minute,
            &format!("lhbp-{minute}"),
        );
    }
    let entry = scene.entry().expect("an entry");
    assert_eq!(
        entry.reversals(SHARED, at_minute(5)),
        1,
        "the last, if it is gone"
    );
    assert_eq!(scene.notes, []);
}

#[test]
fn a22_a_write_that_never_showed_was_reversed_by_nobody() {
    let mut scene = Scene::wanting(SHARED);
    for minute in 0..5 {
        scene.acknowledge(Permission::Share, minute, None);
        scene.observe(minute);
    }
    assert_eq!(scene.parked_since(), None);
}
