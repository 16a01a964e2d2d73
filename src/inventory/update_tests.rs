//! The effects of observations on an inventory, step by step, in a scene with one image; and which views are not
//! trusted.

use super::*;
use crate::inventory::{AcknowledgedWrite, OwnershipState};
use crate::model::fixtures_tests::{at_minute, img_a};
use crate::model::{Permission, Timestamp};

const SHARED: ShareState = ShareState::Shared;
const UNSHARED: ShareState = ShareState::Unshared;
/// How long the API's replies count where reading is denied.
const TRUSTED: TimeDelta = TimeDelta::hours(24);

/// An inventory and a cloud with one image. Methods change both.
#[derive(Default)]
struct Scene {
    inventory: Inventory,
    seen: Seen,
    declared: Option<Declaration>,
    notes: Vec<InventoryNote>,
}

impl Scene {
    /// A manifest asks for `desired`.
    fn wanting(desired: ShareState) -> Self {
        let mut scene = Self::default();
        scene.name(desired, false);
        scene
    }

    fn name(&mut self, desired: ShareState, protected: bool) {
        self.declared = Some(Declaration {
            desired: Some(desired),
            protected: Some(protected),
        });
    }

    /// The image is desired, was shared by us at minute 0 as `lhbp-1`, and was observed at minute 1.
    fn settled() -> Self {
        let mut scene = Self::wanting(SHARED);
        scene.acknowledge(Permission::Share, 0, Some("lhbp-1"));
        scene.shows(Some("lhbp-1"));
        scene.observe(1);
        scene
    }

    fn shows(&mut self, blueprint: Option<&str>) {
        self.seen.shared.clear();
        if let Some(id) = blueprint {
            let (id, state) = (id.to_owned(), "NORMAL".to_owned());
            let name = Default::default();
            self.seen.shared.insert(
                img_a(),
                Blueprint {
                    id: id.into(),
                    state: state.as_str().into(),
                    name,
                },
            );
        }
    }

    fn intend(&mut self, permission: Permission, minute: i64, saw_opposite: bool) {
        let open = OpenIntent {
            intent: IntentId(1),
            permission,
            at: at_minute(minute),
            saw_opposite,
        };
        self.inventory
            .open_intents
            .entry(img_a())
            .or_default()
            .push(open);
    }

    fn acknowledge(&mut self, permission: Permission, minute: i64, blueprint: Option<&str>) {
        let protected = self.declared.and_then(|declared| declared.protected) == Some(true);
        let entry = self.inventory.images.entry(img_a()).or_default();
        entry.record_acknowledged(permission, blueprint, protected, at_minute(minute));
    }

    /// Makes a write, and an observation that shows its effect.
    fn repair(&mut self, permission: Permission, minute: i64, blueprint: &str) {
        let shares = permission == Permission::Share;
        self.acknowledge(permission, minute, shares.then_some(blueprint));
        self.shows(shares.then_some(blueprint));
        self.observe(minute);
        assert_eq!(self.entry().and_then(|entry| entry.parked_since), None);
    }

    /// Applies an observation that began in `minute`, and returns its changes.
    fn observe(&mut self, minute: i64) -> Vec<InventoryChange> {
        let id = img_a();
        let declared = self
            .declared
            .map(|declared| (&id, declared))
            .into_iter()
            .collect();
        let changes = update(
            &self.inventory,
            &self.seen,
            &declared,
            (0, TRUSTED),
            at_minute(minute),
        );
        self.inventory.apply(&changes);
        self.notes
            .extend(changes.iter().filter_map(|change| change.note.clone()));
        changes
    }

    fn resolution(&mut self, minute: i64) -> Option<(IntentId, bool)> {
        self.observe(minute).first()?.resolved.first().copied()
    }

    fn entry(&self) -> Option<&InventoryEntry> {
        self.inventory.images.get(&img_a())
    }

    fn owned(&self) -> Option<&OwnedShare> {
        self.entry()?.owned.as_ref()
    }

    fn ownership(&self) -> Option<OwnershipState> {
        self.owned().map(|owned| owned.ownership)
    }

    fn parked_since(&self) -> Option<Timestamp> {
        self.entry()?.parked_since
    }

    fn protected(&self) -> bool {
        self.entry().is_some_and(|entry| entry.protected)
    }
}

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
fn s10_a_lost_answer_makes_an_unshared_image_probably_ours() {
    for (saw_opposite, ownership) in [(true, Some(OwnershipState::Probable)), (false, None)] {
        let mut scene = Scene::wanting(SHARED);
        scene.intend(Permission::Share, 0, saw_opposite);
        scene.shows(Some("lhbp-1"));
        assert_eq!(scene.resolution(1), Some((IntentId(1), true)));
        assert_eq!(scene.ownership(), ownership);
        assert_eq!(scene.inventory.open_intents.len(), 0);
    }
}

#[test]
fn s9_s10_a_lost_answer_to_a_repair_is_not_taken_for_somebody_elses_share() {
    let repaired = || {
        let mut scene = Scene::settled();
        scene.name(SHARED, true);
        scene.shows(None);
        scene.observe(2);
        scene.intend(Permission::Share, 3, true);
        scene
    };
    let mut seen = repaired();
    seen.shows(Some("lhbp-2"));
    assert_eq!(seen.resolution(4), Some((IntentId(1), true)));
    let mut resolved = repaired();
    let open = resolved
        .inventory
        .open_intents
        .remove(&img_a())
        .expect("open");
    let entry = resolved
        .inventory
        .images
        .get_mut(&img_a())
        .expect("an entry");
    entry.record_already_shared(&open, at_minute(4));
    resolved.declared = None;
    resolved.shows(Some("lhbp-2"));
    resolved.observe(5);
    for scene in [seen, resolved] {
        let owned = scene.owned().expect("the one before was reversed");
        assert_eq!(
            owned.ownership,
            OwnershipState::Probable,
            "no answer proves it"
        );
        assert_eq!(owned.blueprint.as_deref(), Some("lhbp-2"));
        assert!(scene.protected(), "as before");
        assert_eq!(scene.notes, []);
    }
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
fn s9_an_open_intent_is_closed_by_what_shows_its_effect() {
    for (permission, before, after) in [
        (Permission::Share, None, Some("lhbp-1")),
        (Permission::Cancel, Some("lhbp-1"), None),
    ] {
        let mut scene = Scene::default();
        scene.intend(permission, 0, true);
        scene.shows(before);
        assert_eq!(scene.resolution(1), None, "it may still show");
        scene.shows(after);
        assert_eq!(scene.resolution(2), Some((IntentId(1), true)));
        assert_eq!(scene.observe(3), [], "once");
    }
}

#[test]
fn s9_an_open_intent_that_never_shows_is_closed_once_it_is_old() {
    let mut scene = Scene::default();
    scene.intend(Permission::Share, 0, true);
    for minute in 0..10 {
        assert_eq!(scene.observe(minute), []);
    }
    assert_eq!(scene.resolution(10), Some((IntentId(1), false)));
    assert_eq!(
        (scene.inventory.open_intents.len(), scene.entry()),
        (0, None)
    );
}

#[test]
fn s4_an_observation_that_began_before_a_write_says_nothing_about_it() {
    let mut scene = Scene::wanting(SHARED);
    scene.intend(Permission::Share, 5, true);
    scene.shows(Some("lhbp-1"));
    assert_eq!(scene.observe(4), [], "somebody else's, of before");
    let mut scene = Scene::wanting(SHARED);
    scene.acknowledge(Permission::Share, 5, Some("lhbp-1"));
    assert_eq!(scene.observe(4), [], "not missing");
    scene.shows(Some("lhbp-0"));
    assert_eq!(scene.observe(4), [], "not released");
    scene.shows(Some("lhbp-1"));
    assert_eq!(scene.observe(4), [], "not confirmed");
    assert_eq!(scene.observe(5).len(), 1);
    assert!(scene.owned().expect("ours").confirmed);
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

#[test]
fn protection_follows_the_manifest_and_survives_the_deletion_of_the_entry() {
    let mut scene = Scene::settled();
    assert!(!scene.protected());
    scene.name(SHARED, true);
    scene.observe(2);
    assert!(scene.protected(), "asked for");
    scene.declared = None;
    assert_eq!(scene.observe(3), []);
    assert!(
        scene.protected(),
        "the entry is gone, the protection is not"
    );
    scene.name(SHARED, false);
    scene.observe(4);
    assert!(!scene.protected(), "a manifest says so");
}

#[test]
fn protection_holds_for_a_foreign_share_that_is_not_observed() {
    let mut scene = Scene::default();
    scene.name(SHARED, true);
    scene.shows(Some("lhbp-9"));
    scene.observe(1);
    assert_eq!((scene.protected(), scene.owned()), (true, None));
    scene.declared = None;
    assert_eq!(scene.observe(2), []);
    scene.shows(None);
    assert_eq!(scene.observe(60), [], "a list can skip a row");
    scene.shows(Some("lhbp-9"));
    scene.observe(61);
    assert!(scene.protected());
    scene.name(UNSHARED, false);
    scene.observe(62);
    assert_eq!(scene.entry(), None, "a manifest says so");
}

#[test]
fn protection_holds_from_the_first_sight_of_what_is_probably_ours() {
    let mut scene = Scene::default();
    scene.name(SHARED, true);
    scene.intend(Permission::Share, 0, true);
    scene.shows(Some("lhbp-1"));
    scene.observe(1);
    assert!(scene.protected());
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
fn c3_an_observation_that_cannot_lag_ends_an_acknowledged_state() {
    let mut scene = Scene::wanting(SHARED);
    scene.acknowledge(Permission::Share, 0, Some("lhbp-1"));
    scene.shows(None);
    scene.observe(1);
    let acknowledged = |scene: &Scene| scene.entry().and_then(|entry| entry.last_answer);
    assert_eq!(
        acknowledged(&scene).map(|answer| (answer.at, answer.state)),
        Some((at_minute(0), ShareState::Shared))
    );
    scene.observe(2);
    assert_eq!(acknowledged(&scene), None);
}

#[test]
fn s17_where_nothing_happened_there_is_nothing_to_learn() {
    let mut unobserved = Scene::settled();
    unobserved.shows(None);
    unobserved.observe(2);
    let mut cancelled = Scene::settled();
    cancelled.acknowledge(Permission::Cancel, 2, None);
    cancelled.observe(4);
    for mut scene in [
        Scene::wanting(SHARED),
        Scene::settled(),
        unobserved,
        cancelled,
    ] {
        for minute in 5..10 {
            assert_eq!(scene.observe(minute), [], "{:?}", scene.entry());
        }
    }
}

#[test]
fn s17_entries_without_content_disappear() {
    let mut scene = Scene::wanting(UNSHARED);
    scene.acknowledge(Permission::Cancel, 0, None);
    scene.observe(1);
    assert!(scene.entry().is_some(), "it may be reversed");
    let day = 24 * 60;
    assert_eq!(scene.observe(day - 1), [], "the API's answer still counts");
    assert_eq!(scene.observe(day).len(), 1);
    assert_eq!(scene.entry(), None);
    assert_eq!(scene.observe(day + 1), []);
}

#[test]
fn an_entry_keeps_no_more_writes_than_park_an_image() {
    let mut entry = InventoryEntry::default();
    for minute in 0..100 {
        entry.record_acknowledged(Permission::Share, None, false, at_minute(minute));
    }
    let kept: Vec<_> = entry.writes.iter().map(|write| write.at).collect();
    assert_eq!(kept, [at_minute(97), at_minute(98), at_minute(99)]);
    let spent = InventoryEntry {
        owned: None,
        ..entry
    };
    let none = TimeDelta::zero();
    assert!(!spent.is_expired(at_minute(158), none));
    assert!(spent.is_expired(at_minute(159), none));
}

#[test]
fn c4_a_reply_is_kept_for_as_long_as_it_counts_where_reading_is_denied() {
    let mut scene = Scene::settled();
    scene.name(UNSHARED, false);
    scene.acknowledge(Permission::Cancel, 2, None);
    scene.shows(None);
    for minute in [3, 63, 120, 60 * 24 + 1] {
        scene.observe(minute);
        let entry = scene.inventory.images.get(&img_a());
        let answer = entry.and_then(|entry| entry.last_answer);
        assert_eq!(
            answer.map(|answer| answer.state),
            Some(UNSHARED),
            "{minute}"
        );
    }
    scene.observe(60 * 24 + 2);
    assert_eq!(
        scene.inventory.images.get(&img_a()),
        None,
        "nobody needs it"
    );
}

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
