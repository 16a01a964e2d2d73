//! Intents that an earlier process left open: which observation closes them, and what it makes ours.

use super::*;

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
