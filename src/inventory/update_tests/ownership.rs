//! Which shares are ours, how certain that is, and which observations end it.

use super::*;

#[test]
fn s10_only_an_acknowledged_share_makes_an_image_ours() {
    let mut scene = Scene::wanting(SHARED);
    scene.shows(Some("lhbp-1"));
    assert_eq!(
        scene.observe(0),
        [],
        "it is as desired, and not by our doing"
    );
    scene.acknowledge(Permission::Cancel, 1, None);
    assert_eq!(scene.owned(), None);
    scene.acknowledge(Permission::Share, 2, Some("lhbp-1"));
    assert_eq!(scene.ownership(), Some(OwnershipState::Acknowledged));
}

#[test]
fn s10_a8_already_shared_is_ours_only_with_an_open_share_of_ours() {
    let open = |permission, saw_opposite| OpenIntent {
        intent: IntentId(1),
        permission,
        at: at_minute(0),
        saw_opposite,
    };
    let share = open(Permission::Share, true);
    for (earlier, ownership) in [
        (None, None),
        (Some(open(Permission::Share, false)), None),
        (Some(open(Permission::Cancel, true)), None),
        (Some(share), Some(OwnershipState::Probable)),
    ] {
        let mut entry = InventoryEntry::default();
        entry.record_already_shared(earlier.as_slice(), at_minute(1));
        let is = entry.owned.as_ref().map(|owned| owned.ownership);
        assert_eq!(is, ownership, "{earlier:?}");
        assert_eq!(entry.writes, [], "the API did nothing");
    }
    let mut entry = Scene::settled().entry().expect("an entry").clone();
    let before = entry.owned.clone();
    entry.record_already_shared(&[share], at_minute(2));
    assert_eq!(entry.owned, before, "certainty is not given up");
}

#[test]
fn s10_a_list_that_skipped_a_row_takes_no_certainty_away() {
    let mut scene = Scene::settled();
    scene.shows(None);
    scene.observe(2);
    scene.intend(Permission::Share, 3, true);
    scene.shows(Some("lhbp-1"));
    assert_eq!(scene.resolution(4), Some((IntentId(1), true)));
    assert_eq!(scene.ownership(), Some(OwnershipState::Acknowledged));
    let mut late = Scene::wanting(SHARED);
    late.acknowledge(Permission::Share, 0, None);
    late.intend(Permission::Share, 3, true);
    late.shows(Some("lhbp-1"));
    late.observe(4);
    assert_eq!(
        late.ownership(),
        Some(OwnershipState::Acknowledged),
        "the first of two"
    );
}

#[test]
fn s10_what_is_probable_stays_so_until_the_api_says_it_outright() {
    let mut scene = Scene::wanting(SHARED);
    scene.intend(Permission::Share, 0, true);
    scene.shows(Some("lhbp-1"));
    for minute in 1..30 {
        scene.observe(minute);
        assert_eq!(scene.ownership(), Some(OwnershipState::Probable));
    }
    scene.acknowledge(Permission::Share, 30, Some("lhbp-2"));
    assert_eq!(scene.ownership(), Some(OwnershipState::Acknowledged));
}

#[test]
fn s10_ownership_and_writes_are_confirmed_by_observation_alone() {
    let mut scene = Scene::wanting(SHARED);
    scene.acknowledge(Permission::Share, 0, None);
    let confirmed = |scene: &Scene| {
        let entry = scene.entry().expect("an entry");
        let owned = entry.owned.as_ref().expect("ours");
        (owned.confirmed, entry.writes[0].confirmed)
    };
    scene.observe(1);
    assert_eq!(confirmed(&scene), (false, false));
    scene.shows(Some("lhbp-1"));
    scene.observe(2);
    assert_eq!(confirmed(&scene), (true, true));
    assert_eq!(
        scene.owned().expect("ours").blueprint.as_deref(),
        Some("lhbp-1")
    );
}

#[test]
fn d11_another_blueprint_is_somebody_elses_share() {
    let mut scene = Scene::settled();
    scene.shows(Some("lhbp-2"));
    scene.observe(2);
    assert_eq!(scene.notes, [], "it may be a replica that lags");
    scene.observe(12);
    assert_eq!(scene.owned(), None);
    let [InventoryNote::Released(why)] = &scene.notes[..] else {
        panic!("{:?}", scene.notes)
    };
    assert!(why.contains("lhbp-2") && why.contains("lhbp-1"), "{why}");
    assert_eq!(scene.observe(13), [], "reported once");
}

#[test]
fn d11_s10_another_blueprint_than_that_of_our_share_is_not_ours() {
    let mut scene = Scene::wanting(SHARED);
    scene.acknowledge(Permission::Share, 0, Some("lhbp-1"));
    scene.shows(Some("lhbp-2"));
    scene.observe(60);
    assert!(
        scene
            .owned()
            .is_some_and(|owned| owned.disputed_since.is_some())
    );
    scene.observe(70);
    assert_eq!(scene.owned(), None, "taken back and shared anew meanwhile");
    assert!(
        matches!(&scene.notes[..], [InventoryNote::Released(_)]),
        "{:?}",
        scene.notes
    );
}

#[test]
fn s11_an_image_is_forgotten_after_two_observations_without_it() {
    let mut scene = Scene::settled();
    scene.shows(None);
    for minute in 2..12 {
        scene.observe(minute);
        assert_eq!(
            scene.ownership(),
            Some(OwnershipState::Acknowledged),
            "{minute}"
        );
    }
    scene.observe(12);
    assert_eq!(scene.owned(), None);
    assert!(
        matches!(&scene.notes[..], [InventoryNote::Released(_)]),
        "{:?}",
        scene.notes
    );
}

#[test]
fn s11_one_observation_forgets_nothing_however_late_it_is() {
    let mut scene = Scene::settled();
    scene.shows(None);
    scene.observe(60 * 24);
    assert_eq!(scene.ownership(), Some(OwnershipState::Acknowledged));
}

#[test]
fn s11_a_row_that_was_skipped_and_shows_again_begins_anew() {
    let mut scene = Scene::settled();
    scene.shows(None);
    scene.observe(2);
    scene.shows(Some("lhbp-1"));
    scene.observe(8);
    scene.shows(None);
    scene.observe(12);
    assert_eq!(
        scene.ownership(),
        Some(OwnershipState::Acknowledged),
        "not missing since minute 2"
    );
    assert_eq!(scene.notes, []);
}

#[test]
fn s11_our_own_cancel_is_forgotten_as_soon_as_it_shows_and_not_before() {
    let mut scene = Scene::settled();
    scene.name(UNSHARED, false);
    scene.acknowledge(Permission::Cancel, 2, None);
    assert_eq!(scene.observe(3), [], "reading lags");
    assert!(scene.owned().expect("ours as yet").cancelled);
    scene.shows(None);
    scene.observe(4);
    assert_eq!((scene.owned(), &scene.notes[..]), (None, &[][..]));
}

#[test]
fn s11_a9_a_cancel_whose_answer_was_lost_is_our_doing_too() {
    let mut scene = Scene::settled();
    scene.intend(Permission::Cancel, 2, true);
    scene.shows(None);
    assert_eq!(scene.resolution(3), Some((IntentId(1), true)));
    assert_eq!((scene.owned(), &scene.notes[..]), (None, &[][..]));
}

#[test]
fn c17_s11_a_cancel_without_effect_does_not_end_slow_forgetting() {
    for (declared, protected) in [(Some(SHARED), true), (Some(UNSHARED), false), (None, false)] {
        let mut scene = Scene::settled();
        scene.declared = None;
        if let Some(desired) = declared {
            scene.name(desired, protected);
        }
        scene.acknowledge(Permission::Cancel, 2, None);
        scene.shows(Some("lhbp-1"));
        scene.observe(3);
        let owned = scene.owned().expect("still ours");
        assert!(owned.cancelled, "the observation may lag behind the CANCEL");
        scene.observe(4);
        let owned = scene.owned().expect("still ours");
        assert!(!owned.cancelled, "it had no effect");
        scene.shows(None);
        scene.observe(5);
        let owned = scene.owned().expect("a list can skip a row");
        assert_eq!(owned.missing_since, Some(at_minute(5)));
    }
}

#[test]
fn c17_a_cancel_that_shows_late_is_still_our_doing() {
    let mut scene = Scene::settled();
    scene.declared = None;
    scene.acknowledge(Permission::Cancel, 2, None);
    scene.shows(Some("lhbp-1"));
    scene.observe(3);
    scene.shows(None);
    let changes = scene.observe(4);
    assert!(changes.iter().all(|change| change.note.is_none()));
    assert_eq!(scene.owned(), None);
}

#[test]
fn a7_s11_another_blueprint_ends_ownership_only_if_it_stays() {
    let mut scene = Scene::settled();
    scene.shows(None);
    scene.observe(2);
    scene.acknowledge(Permission::Share, 3, Some("lhbp-2"));
    scene.shows(Some("lhbp-1"));
    scene.observe(4);
    let owned = scene
        .owned()
        .expect("a replica that lags shows the older one");
    assert!(owned.disputed_since.is_some(), "not pruned meanwhile");
    scene.shows(Some("lhbp-2"));
    scene.observe(5);
    assert_eq!(scene.owned().and_then(|owned| owned.disputed_since), None);
    scene.shows(Some("lhbp-3"));
    scene.observe(6);
    scene.observe(15);
    assert!(scene.owned().is_some());
    scene.observe(16);
    assert_eq!(scene.owned(), None);
}

#[test]
fn what_a_person_adopts_is_ours_from_then_on() {
    let mut scene = Scene::wanting(SHARED);
    let owned = Some(OwnedShare::adopted("lhbp-1", at_minute(0)));
    scene.inventory.images.insert(
        img_a(),
        InventoryEntry {
            owned,
            protected: true,
            ..InventoryEntry::default()
        },
    );
    scene.name(SHARED, true);
    scene.shows(Some("lhbp-1"));
    assert_eq!(scene.observe(1), []);
    assert_eq!(scene.ownership(), Some(OwnershipState::Adopted));
    scene.shows(Some("lhbp-2"));
    scene.observe(2);
    scene.observe(12);
    assert_eq!(
        scene.owned(),
        None,
        "the one that the person accepted is another"
    );
}
