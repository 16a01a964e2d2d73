//! What an entry keeps of writes and answers, and when it disappears.

use super::*;

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
