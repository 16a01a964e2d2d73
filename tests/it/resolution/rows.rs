//! Tests the decision table of image selection row by row; `rows_pins` and `rows_more` have the other rows. Each test
//! begins with its row: the part before `|` is the situation, and the part after it is the decision.

use std::sync::Arc;

use chrono::TimeDelta;
use sharekeeper::desired::{Availability, DesiredShare, ImageMatch, NameRegex};
use sharekeeper::model::{Cause, Glob};
use sharekeeper::observation::{CvmImage, CvmImages};
use sharekeeper::resolve::NameProblem;

use super::setup::{Effect, SHARED, Setup, THERE, exclude, id, id_of, name, policy, region};

pub(crate) const SHARE: Effect = Effect::Share(Cause::Policy);
pub(crate) const RETIRE: Effect = Effect::Cancel(Cause::Retention);
pub(crate) const REVOKE: Effect = Effect::Cancel(Cause::Revoked);
pub(crate) const NOTHING: Effect = Effect::Nothing;

#[test]
fn n2_newest_counts_versions_that_hold_a_place_per_region() {
    // The number in `newest: 3` | counts the versions that hold a place, in each region separately.
    let setup = Setup::with(policy("p", "v*", 3, 1))
        .image("v1", 50)
        .image("v2", 40)
        .image("v3", 30)
        .image("v4", 20)
        .unfit("v4", "CREATEFAILED")
        .image("v5", 10);
    assert_eq!(setup.says("v5"), ("newest", SHARE));
    assert_eq!(setup.says("v4"), ("ineligible", NOTHING));
    assert_eq!(setup.says("v3"), ("newest", SHARE));
    assert_eq!(setup.says("v2"), ("newest", SHARE));
    assert_eq!(setup.says("v1"), ("superseded", NOTHING));
}

#[test]
fn n2_with_availability_all_a_version_waits_for_every_region() {
    // With `availability: all` | the same versions count, as soon as they exist in every region.
    let mut everywhere = policy("p", "v*", 1, 1);
    everywhere.availability = Availability::All;
    everywhere.regions.insert(region(THERE));
    let setup = || {
        Setup::with(everywhere.clone())
            .image("v1", 50)
            .image("v2", 10)
    };
    let before = setup().elsewhere(&[("v1", 50)]);
    assert_eq!(before.says("v2"), ("waiting", NOTHING));
    assert_eq!(before.says("v1"), ("newest", SHARE));
    let after = setup().elsewhere(&[("v1", 50), ("v2", 9)]);
    assert_eq!(after.says("v2"), ("newest", SHARE));
    assert_eq!(after.says("v1"), ("superseded", NOTHING));
    let unseen = setup();
    assert_eq!(unseen.says("v2"), ("waiting", NOTHING));
    assert_eq!(unseen.says("v1"), ("waiting", NOTHING));
    assert!(unseen.resolve().unseen.contains(&region(THERE)));
}

#[test]
fn n2_without_a_version_group_the_whole_name_is_the_version() {
    // `version` has no group | the whole name is the version, so that each version has one image in a region.
    let mut by_regex = policy("p", "*", 1, 1);
    by_regex.matches.name = None;
    by_regex.matches.name_regex = Some(NameRegex::new(r"v\d(-arm)?").expect("an expression"));
    let setup = Setup::with(by_regex).image("v1", 20).image("v1-arm", 10);
    assert_eq!(setup.says("v1-arm"), ("newest", SHARE));
    assert_eq!(setup.says("v1"), ("superseded", NOTHING));
}

fn by_version() -> sharekeeper::desired::Policy {
    let mut by_version = policy("p", "*", 1, 1);
    by_version.matches.name = None;
    let regex = NameRegex::new(r"(?<version>v\d)(-arm)?").expect("an expression");
    by_version.matches.name_regex = Some(regex);
    by_version
}

#[test]
fn n2_all_images_of_a_version_must_be_normal_before_it_stands() {
    // One version has several images (x86, arm) | all are shared, and all must be NORMAL before the version stands.
    let setup = || {
        Setup::with(by_version())
            .image("v1", 30)
            .image("v2", 20)
            .image("v2-arm", 10)
            .shared("v1", "NORMAL")
            .shared("v2", "NORMAL")
    };
    let half = setup();
    assert_eq!(half.says("v2-arm"), ("newest", SHARE));
    assert_eq!(half.says("v1"), ("kept", NOTHING));
    let syncing = setup().shared("v2-arm", "SYNCING");
    assert_eq!(syncing.says("v1"), ("kept", NOTHING));
    let whole = setup().shared("v2-arm", "NORMAL");
    assert_eq!(whole.says("v1"), ("superseded", RETIRE));
    let broken = setup().shared("v2-arm", "SYNCING_FAILED");
    assert_eq!(broken.says("v1"), ("kept", NOTHING));
    assert_eq!(broken.says("v2-arm").0, "broken");
}

#[test]
fn n2_of_two_policies_the_one_decides_that_wants_it_most() {
    // Two policies match one image | the policy that wants it most decides; retention needs the consent of all; the
    // caps, `owned` and `inUse` of each policy apply.
    let both = |hours| {
        let mut second = policy("q", "v*", 1, 1);
        second.keep.unshare_after = TimeDelta::hours(hours);
        second.keep.owned = true;
        second.keep.max_cancels = 1;
        second.keep.cancels_in_use = true;
        Setup::with(policy("p", "v*", 1, 1))
            .and(second)
            .image("v1", 40)
            .image("v2", 30)
            .stands("v1", 9)
            .stands("v2", 9)
    };
    assert_eq!(both(48).says("v1"), ("overlap", NOTHING));
    let go = both(5);
    assert_eq!(go.says("v1"), ("superseded", RETIRE));
    let resolution = go.resolve();
    let desired = resolution.images[&id_of("v1")].desired.as_ref();
    let bounds = desired.and_then(|desired| desired.bounds.as_ref());
    let bounds = bounds.expect("bounds");
    let policies = [("p".into(), 5), ("q".into(), 1)];
    assert_eq!(bounds.policies, policies.into(), "caps of each");
    assert!(bounds.owned && !bounds.in_use, "of each: {bounds:?}");
    let wanted = go.and(policy("r", "v1", 1, 0));
    assert_eq!(wanted.says("v1"), ("newest", NOTHING));
}

#[test]
fn n2_a_policy_that_excludes_an_image_does_not_keep_it() {
    // Retention needs the consent of all policies that do not exclude the image.
    let mut second = policy("q", "v*", 1, 1);
    second.exclude = vec![exclude("img-v1")];
    second.keep.unshare_after = TimeDelta::hours(48);
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .and(second)
        .image("v1", 40)
        .image("v2", 30)
        .stands("v1", 9)
        .stands("v2", 9);
    assert_eq!(setup.says("v1"), ("superseded", RETIRE));
}

#[test]
fn n2_an_explicit_unshared_inside_newest_goes_at_once() {
    // An entry declares an image in `newest` as `unshared` | its share is cancelled at once, and the next version
    // takes its place.
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .image("v1", 40)
        .image("v2", 30)
        .stands("v2", 9)
        .declares("v2", DesiredShare::Unshared);
    let declared = Effect::Cancel(Cause::Declared);
    assert_eq!(setup.says("v2"), ("declared", declared));
    assert_eq!(setup.says("v1"), ("newest", SHARE));
}

#[test]
fn n2_an_explicit_shared_outside_newest_stays_and_needs_no_soak() {
    // An entry declares an image outside of `newest` as `shared` | it stays, and it needs no soak.
    let mut soaks = policy("p", "v*", 1, 1);
    soaks.min_age = TimeDelta::hours(24);
    let setup = Setup::with(soaks)
        .image("v1", 50)
        .image("v2", 40)
        .image("v3", 1)
        .stands("v1", 9)
        .stands("v2", 9)
        .declares("v1", SHARED)
        .declares("v3", SHARED);
    assert_eq!(setup.says("v1"), ("declared", NOTHING));
    let declared = Effect::Share(Cause::Declared);
    assert_eq!(setup.says("v3"), ("declared", declared));
}

#[test]
fn n1_an_id_and_a_name_that_disagree_are_a_conflict() {
    // Two entries, by id and by name, give one image different states | `conflict`, and neither entry applies.
    let setup = |by_name| {
        Setup::default()
            .image("v1", 50)
            .stands("v1", 9)
            .declares("v1", SHARED)
            .declares_name("v1", by_name)
    };
    assert_eq!(
        setup(DesiredShare::Unshared).says("v1"),
        ("conflict", NOTHING)
    );
    assert_eq!(setup(SHARED).says("v1"), ("declared", NOTHING));
}

#[test]
fn n2_a_shared_image_keeps_its_place_whatever_its_own_state() {
    // An image is USING, SYNCING, or became unfit after it was shared | it keeps its place. If it is not shared, it
    // is `ineligible`.
    let setup = || {
        Setup::with(policy("p", "v*", 1, 1))
            .image("v1", 50)
            .image("v2", 40)
    };
    for state in ["USING", "SYNCING", "CREATEFAILED"] {
        let shared = setup().stands("v2", 9).unfit("v2", state).stands("v1", 9);
        assert_eq!(shared.says("v2"), ("newest", NOTHING), "{state}");
        assert_eq!(shared.says("v1"), ("superseded", RETIRE), "{state}");
        let unshared = setup().unfit("v2", state);
        assert_eq!(unshared.says("v2"), ("ineligible", NOTHING), "{state}");
        assert_eq!(unshared.says("v1"), ("newest", SHARE), "{state}");
    }
}

#[test]
fn n5_a_young_image_that_is_shared_holds_its_place_and_stands_later() {
    // A young image is shared already | it holds its place, but it stands only after the soak is over.
    let mut soaks = policy("p", "v*", 1, 1);
    soaks.min_age = TimeDelta::hours(24);
    let setup = |hours| {
        Setup::with(soaks.clone())
            .image("v1", 50)
            .image("v2", hours)
            .stands("v1", 9)
            .shared("v2", "NORMAL")
    };
    assert_eq!(setup(23).says("v2"), ("newest", NOTHING));
    assert_eq!(setup(23).says("v1"), ("kept", NOTHING));
    assert_eq!(setup(24).says("v1"), ("superseded", RETIRE));
}

#[test]
fn n2_an_excluded_image_that_is_shared_is_left_alone() {
    // An excluded image is shared | it is left as it is, even by pruning, because a document knows it.
    let mut excludes = policy("p", "v*", 1, 1);
    excludes.exclude = vec![exclude("img-v3")];
    let setup = Setup::with(excludes)
        .image("v1", 50)
        .image("v2", 40)
        .image("v3", 30)
        .stands("v1", 9)
        .stands("v2", 9)
        .stands("v3", 9);
    assert_eq!(setup.says("v3"), ("excluded", NOTHING));
    assert_eq!(setup.says("v2"), ("newest", NOTHING), "v3 is not counted");
    assert_eq!(setup.says("v1"), ("superseded", RETIRE));
    assert!(setup.resolve().images.contains_key(&id_of("v3")), "known");
}

#[test]
fn n2_a_deprecated_image_goes_once_newest_others_stand() {
    // A deprecated image is shared (`deprecated: retire`) | it holds no place, and its share is cancelled as soon as
    // `newest` other versions stand.
    let mut retires = policy("p", "v*", 1, 1);
    retires.retires_deprecated = true;
    let old = CvmImage {
        deprecated: true,
        ..CvmImage::default()
    };
    let setup = || {
        Setup::with(retires.clone())
            .image("v1", 50)
            .image("v2", 40)
            .stands("v2", 9)
            .cvm("v1", CvmImage::default())
            .cvm("v2", old.clone())
    };
    assert_eq!(setup().says("v1"), ("newest", SHARE));
    assert_eq!(setup().says("v2"), ("kept", NOTHING));
    let stands = setup().shared("v1", "NORMAL");
    assert_eq!(stands.says("v2"), ("superseded", RETIRE));
}

#[test]
fn n2_what_no_longer_matches_is_unnamed() {
    // The policy document was deleted, or the image was renamed so that `match` excludes it | `unnamed`: only
    // `--prune` cancels its share.
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .image("v1", 50)
        .image("x1", 60)
        .stands("v1", 9)
        .stands("x1", 9);
    assert_eq!(setup.says("x1"), ("unnamed", NOTHING));
    assert_eq!(setup.resolve().prune_hold, None);
}

#[test]
fn n4_where_nothing_matches_every_prune_waits() {
    // `match` matches nothing in a region | nothing is retired there, and all pruning there waits.
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .and(policy("q", "x*", 1, 1))
        .image("x1", 60)
        .stands("x1", 9);
    assert!(setup.resolve().prune_hold.is_some());
    assert_eq!(setup.says("x1"), ("newest", NOTHING));
}

#[test]
fn n1_a_name_that_no_image_has_is_held() {
    // No image has a declared name | the image that the name last meant is held.
    let setup = Setup::default()
        .image("golden-1.5.0", 10)
        .image("old", 50)
        .shared("old", "NORMAL")
        .declares_name("golden-1.5.1", SHARED)
        .remembers("golden-1.5.1", &id_of("old"));
    assert_eq!(setup.says("old"), ("held", NOTHING));
    let resolution = setup.resolve();
    assert!(resolution.prune_hold.is_some());
    let [unresolved] = &resolution.unresolved[..] else {
        panic!("{:?}", resolution.unresolved);
    };
    assert_eq!(unresolved.kind, NameProblem::Missing);
    assert_eq!(unresolved.last_meaning, Some(id_of("old")));
    assert!(
        unresolved.problem.contains("golden-1.5.0"),
        "the nearest: {unresolved:?}"
    );
}

#[test]
fn n1_what_a_missing_name_last_meant_is_held_against_policies() {
    // The image that the name last meant is `held`, even if a policy would retire it.
    let setup = |is_held| {
        let setup = Setup::with(policy("p", "o*", 1, 0))
            .image("old", 50)
            .image("open", 40)
            .stands("old", 9)
            .stands("open", 9);
        match is_held {
            true => setup
                .declares_name("v1", SHARED)
                .remembers("v1", &id_of("old")),
            false => setup,
        }
    };
    assert_eq!(setup(false).says("old"), ("superseded", RETIRE));
    assert_eq!(setup(true).says("old"), ("held", NOTHING));
}

#[test]
fn n1_a_name_that_two_images_have_holds_both() {
    // Two images have a declared name | both are held.
    let setup = Setup::default()
        .image("v1", 50)
        .image_as(id("img-other"), "v1", 40)
        .shared("v1", "NORMAL")
        .declares_name("v1", SHARED);
    let resolution = setup.resolve();
    for image in [id_of("v1"), id("img-other")] {
        let resolved = &resolution.images[&image];
        assert_eq!(resolved.verdict.word(), "held", "{image}");
        assert_eq!(resolved.desired, None, "{image}");
    }
    assert_eq!(resolution.unresolved[0].kind, NameProblem::Ambiguous);
    assert_eq!(resolution.unresolved[0].images.len(), 2);
    assert!(resolution.prune_hold.is_some());
}

#[test]
fn n1_a_names_new_image_is_normal_before_the_old_one_is_unnamed() {
    // A declared name means another id now | the new image must be NORMAL first, then the old image is `unnamed`.
    let setup = || {
        Setup::default()
            .image("v1", 10)
            .image("old", 50)
            .shared("old", "NORMAL")
            .declares_name("v1", SHARED)
            .remembers("v1", &id_of("old"))
    };
    let declared = Effect::Share(Cause::Declared);
    assert_eq!(setup().says("v1"), ("declared", declared));
    for before in [setup(), setup().shared("v1", "SYNCING")] {
        let (word, effect) = before.says("old");
        assert_eq!(effect, NOTHING);
        assert_ne!(word, "unnamed");
        assert_eq!(before.resolve().memory.names.get(&name("v1")), None);
    }
    let after = setup().shared("v1", "NORMAL");
    let learned = after.resolve().memory.names.get(&name("v1")).cloned();
    assert_eq!(learned, Some(Some(id_of("v1"))));
    let mut next = after;
    let memory = &mut next.inventory.memory;
    memory.names.insert(name("v1"), id_of("v1"));
    assert_eq!(next.says("old"), ("unnamed", NOTHING));
    assert_eq!(next.resolve().prune_hold, None);
}

#[test]
fn n4_where_cvm_is_unreadable_nothing_is_retired_or_shared() {
    // CVM cannot be read | nothing is cancelled there.
    let mut by_family = policy("p", "v*", 1, 0);
    by_family.matches = ImageMatch {
        family: Some(Glob::new("golden")),
        ..ImageMatch::default()
    };
    let golden = CvmImage {
        family: Some("golden".into()),
        ..CvmImage::default()
    };
    let setup = || {
        Setup::with(by_family.clone())
            .image("v1", 50)
            .image("v2", 40)
            .image("v3", 60)
            .stands("v1", 9)
            .stands("v2", 9)
            .cvm("v1", golden.clone())
            .cvm("v2", golden.clone())
            .cvm("v3", golden.clone())
    };
    assert_eq!(setup().says("v1"), ("superseded", RETIRE));
    let mut unreadable = setup();
    unreadable.seen.cvm = CvmImages::Unknown("UnauthorizedOperation".into());
    for image in ["v1", "v2", "v3"] {
        assert_eq!(unreadable.says(image).1, NOTHING, "{image}");
        assert_ne!(unreadable.says(image).0, "unnamed", "never \"no match\"");
    }
    let resolution = unreadable.resolve();
    assert!(resolution.prune_hold.is_some());
    assert!(resolution.policy_holds.contains_key(&Arc::<str>::from("p")));
}
