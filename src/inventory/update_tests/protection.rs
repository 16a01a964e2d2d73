//! Protection that a manifest asked for, and how long it outlives the manifest.

use super::*;

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
