//! Tests the second half of the decision table of image selection row by row. Each test begins with its row:
//! situation `|` decision.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sharekeeper::desired::{DesiredShare, LockMode, LockedImage, Order, Policy, PolicyLock};
use sharekeeper::inventory::Inventory;
use sharekeeper::model::{Cause, ImageId};

use super::rows::{NOTHING, RETIRE, SHARE};
use super::setup::{
    Effect, HERE, SHARED, Setup, THERE, id, id_of, name, now, pin, policy, region, revoke,
};

fn across_regions() -> Policy {
    let mut across = policy("p", "v*", 1, 1);
    across.regions.insert(region(THERE));
    across
}

#[test]
fn n4_what_is_not_certain_because_of_another_region_retires_nothing() {
    // The listing of a region failed | nothing is cancelled there. In other regions, uncertain ages and copies retire
    // nothing.
    let setup = || {
        Setup::with(across_regions())
            .image("v1", 50)
            .image("v2", 40)
            .shared("v1", "NORMAL")
            .shared("v2", "NORMAL")
    };
    let unseen = setup();
    assert_eq!(unseen.says("v2"), ("newest", NOTHING));
    assert_eq!(unseen.says("v1"), ("kept", NOTHING));
    assert!(unseen.resolve().unseen.contains(&region(THERE)));
    let seen = setup().elsewhere(&[]);
    assert_eq!(seen.says("v1"), ("superseded", RETIRE));
    let known = setup().stands("v2", 5);
    assert_eq!(known.says("v1"), ("superseded", RETIRE), "by the store");
    let mut failed = seen;
    failed.is_seen = false;
    let resolution = failed.resolve();
    assert!(resolution.memory.is_empty(), "nothing is learned");
    let verdicts = resolution.images.values();
    let mut words = verdicts.map(|image| image.verdict.word());
    assert!(words.all(|word| word == "not seen"));
}

#[test]
fn n4_a_late_copy_is_no_newer_build() {
    // SyncImages made a copy later | the copy is no newer build: the age of a version is its earliest `CreatedTime`.
    let setup = Setup::with(across_regions())
        .image("v1", 1)
        .image("v2", 40)
        .elsewhere(&[("v1", 50), ("v2", 39)]);
    assert_eq!(setup.says("v2"), ("newest", SHARE));
    assert_eq!(setup.says("v1"), ("superseded", NOTHING));
    let resolution = setup.resolve();
    let versions = resolution.memory.versions.iter();
    let ages: BTreeMap<_, _> = versions
        .map(|(key, clock)| (&*key.version, clock.as_ref().and_then(|clock| clock.age)))
        .collect();
    assert_eq!(ages["v1"], Some(now() - TimeDelta::hours(50)));
    assert_eq!(ages["v2"], Some(now() - TimeDelta::hours(40)));
}

#[test]
fn n2_a_late_copy_needs_no_soak_of_its_own() {
    // The age of a version is its earliest CreatedTime in any region of the policy.
    let mut soaks = across_regions();
    soaks.min_age = TimeDelta::hours(24);
    let setup = || Setup::with(soaks.clone()).image("v1", 1);
    assert_eq!(setup().elsewhere(&[]).says("v1"), ("soaking", NOTHING));
    let copied = setup().elsewhere(&[("v1", 30)]);
    assert_eq!(copied.says("v1"), ("newest", SHARE));
}

#[test]
fn n2_while_the_clock_is_not_trusted_no_soak_ends_and_nothing_goes() {
    // The clocks differ | while no clock is trusted, no soak ends, and nothing is cancelled.
    let mut soaks = policy("p", "v*", 1, 1);
    soaks.min_age = TimeDelta::hours(24);
    let setup = || {
        Setup::with(soaks.clone())
            .image("v0", 60)
            .image("v1", 50)
            .stands("v0", 9)
            .stands("v1", 9)
            .image("v2", 24)
    };
    assert_eq!(setup().says("v2"), ("newest", SHARE));
    assert_eq!(setup().says("v0"), ("superseded", RETIRE));
    for hours in [-2, 2] {
        assert_eq!(setup().skewed(hours).says("v0").1, NOTHING, "{hours}");
    }
    assert_eq!(setup().skewed(-2).says("v2"), ("soaking", NOTHING));
}

#[test]
fn n2_what_cannot_be_ordered_is_excluded() {
    // `CreatedTime` is unreadable, the name is no semantic version, or it is outside of `range` | `excluded: …`
    let mut ordered = policy("p", "*", 1, 1);
    let range = semver::VersionReq::parse(">=1.4, <2").expect("a range");
    ordered.order = Order::Semver(Some(range));
    let mut setup = Setup::with(ordered)
        .image("1.5.0", 50)
        .image("1.6.0", 40)
        .image("2.0.0", 30)
        .image("nightly", 20);
    setup.own.get_mut(&id_of("1.6.0")).expect("it").created = None;
    for excluded in ["1.6.0", "2.0.0", "nightly"] {
        assert_eq!(setup.says(excluded), ("excluded", NOTHING), "{excluded}");
    }
    assert_eq!(setup.says("1.5.0"), ("newest", SHARE));
}

/// The names in the order in which a policy shares them, found by removing the first one repeatedly.
fn order(order: &Order, names: &[&str]) -> Vec<String> {
    let mut left: Vec<_> = names.iter().enumerate().collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let mut by = policy("p", "*", 1, 0);
        by.order = order.clone();
        let mut setup = Setup::with(by);
        for (n, name) in &left {
            let image = id(&format!("img-{n}"));
            setup = setup.image_as(image, name, 10);
        }
        let resolution = setup.resolve();
        let newest = |n: &usize| {
            let image = &resolution.images[&id(&format!("img-{n}"))];
            image.verdict.word() == "newest"
        };
        let before = left.len();
        left.retain(|(n, name)| {
            if newest(n) {
                ordered.push((**name).to_owned());
            }
            !newest(n)
        });
        assert!(left.len() < before, "{left:?}: {resolution:#?}");
    }
    ordered
}

#[test]
fn n2_semantic_versions_are_read_liberally_and_ordered() {
    // A leading `v`, missing parts (0) and leading zeros are allowed; a pre-release is older than its release; the
    // build part is ignored.
    let names = [
        "v1.10",
        "1.9.9",
        "1.09.8",
        "v1.9.8-rc.2",
        "1.9.8-rc.1",
        "v1",
        "0.9.0+b7",
    ];
    assert_eq!(order(&Order::Semver(None), &names), names);
}

#[test]
fn n2_a_pre_release_is_in_a_range_only_if_the_range_names_one() {
    // A range includes pre-releases only if it names one.
    for (range, word) in [(">=1.4", "excluded"), (">=1.5.0-rc.1", "newest")] {
        let mut ordered = policy("p", "*", 2, 1);
        let parsed = semver::VersionReq::parse(range).expect("a range");
        ordered.order = Order::Semver(Some(parsed));
        let setup = Setup::with(ordered)
            .image("1.4.0", 50)
            .image("1.5.0-rc.1", 40);
        assert_eq!(setup.says("1.5.0-rc.1").0, word, "{range}");
    }
}

#[test]
fn n2_names_are_ordered_by_numbers_and_then_by_bytes() {
    // `order: name` | compares runs of digits as numbers, and everything else as bytes.
    let names = ["v10", "v9b", "v9a", "v9", "v8.10", "v8.9", "u11"];
    assert_eq!(order(&Order::Name, &names), names);
}

#[test]
fn n5_an_overlap_does_not_end_by_a_successor_that_does_not_stand() {
    // `unshareAfter`, and the successor is SYNCING / has failed / becomes bad again | the overlap has no end yet /
    // the successor is skipped / the overlap begins again.
    let mut overlaps = policy("p", "v*", 1, 1);
    overlaps.keep.unshare_after = TimeDelta::hours(72);
    let setup = || {
        Setup::with(overlaps.clone())
            .image("v1", 300)
            .image("v2", 200)
            .stands("v1", 200)
    };
    let syncing = setup().shared("v2", "SYNCING");
    assert_eq!(syncing.says("v1"), ("kept", NOTHING));
    let failed = setup().shared("v2", "SYNCING_FAILED");
    assert_eq!(failed.says("v2").0, "broken");
    assert_eq!(failed.says("v1"), ("newest", NOTHING));
    let stood = setup().stands("v2", 71);
    assert_eq!(stood.says("v1"), ("overlap", NOTHING));
    let next = stood.resolve().next_change_at;
    assert_eq!(next, Some(now() + TimeDelta::hours(1)));
    let stood = setup().stands("v2", 72);
    assert_eq!(stood.says("v1"), ("superseded", RETIRE));
    let again = setup().stands("v2", 72).shared("v2", "SYNCING");
    let memory = again.resolve().memory.versions;
    let row = memory.iter().find(|(key, _)| &*key.version == "v2");
    let (_, clock) = row.expect("a change");
    let since = clock.as_ref().and_then(|clock| clock.stands_since);
    assert_eq!(since, None, "it begins anew");
}

#[test]
fn n5_newer_builds_do_not_prolong_an_overlap() {
    // A new build each day with `unshareAfter: 72h` | each version is retired 72 h after the `newest` versions before
    // it began to stand.
    let mut overlaps = policy("p", "v*", 1, 1);
    overlaps.keep.unshare_after = TimeDelta::hours(72);
    let setup = Setup::with(overlaps)
        .image("v1", 96)
        .image("v2", 72)
        .image("v3", 48)
        .image("v4", 24)
        .stands("v1", 96)
        .stands("v2", 72)
        .stands("v3", 48)
        .stands("v4", 24);
    assert_eq!(setup.says("v1"), ("superseded", RETIRE));
    assert_eq!(setup.says("v2"), ("overlap", NOTHING));
    assert_eq!(setup.says("v3"), ("overlap", NOTHING));
    let next = setup.resolve().next_change_at;
    assert_eq!(next, Some(now() + TimeDelta::hours(24)));
}

#[test]
fn n1_after_a_lost_store_overlaps_begin_anew_and_pruning_waits() {
    // The store was lost | overlaps begin again. The last meaning of names is unknown, so pruning waits.
    let mut overlaps = policy("p", "v*", 1, 1);
    overlaps.keep.unshare_after = TimeDelta::hours(72);
    let setup = || {
        Setup::with(overlaps.clone())
            .image("v1", 300)
            .image("v2", 200)
            .image("named", 100)
            .stands("v1", 100)
            .stands("v2", 100)
            .declares_name("named", SHARED)
    };
    let kept = setup().remembers("named", &id_of("named"));
    assert_eq!(kept.says("v1"), ("superseded", RETIRE));
    assert_eq!(kept.resolve().prune_hold, None);
    let mut lost = setup();
    lost.inventory = Inventory::default();
    assert_eq!(lost.says("v1"), ("overlap", NOTHING));
    assert!(lost.resolve().prune_hold.is_some());
}

#[test]
fn n5_without_a_kept_store_overlaps_never_end() {
    // One-shot runs in CI without a stored state | overlaps never end.
    let mut overlaps = policy("p", "v*", 1, 1);
    overlaps.keep.unshare_after = TimeDelta::hours(1);
    for day in 0..30 {
        let setup = Setup::with(overlaps.clone())
            .image("v1", 24 * (day + 9))
            .image("v2", 24 * (day + 5))
            .shared("v1", "NORMAL")
            .shared("v2", "NORMAL");
        assert_eq!(setup.says("v1"), ("overlap", NOTHING), "day {day}");
    }
}

#[test]
fn n2_every_cancel_of_a_policy_carries_its_cap() {
    // `maxCancels: 5`, and five / six CANCELs are due | five are made / none is made (the planner counts them).
    let mut setup = Setup::with(policy("p", "v*", 1, 1));
    for n in 1..=7 {
        let title = format!("v{n}");
        setup = setup.image(&title, 100 - n).stands(&title, 9);
    }
    let resolution = setup.resolve();
    for n in 1..=6 {
        let image = &resolution.images[&id_of(&format!("v{n}"))];
        let desired = image.desired.as_ref().expect("it goes");
        let bounds = desired.bounds.as_ref().expect("a bound");
        assert_eq!(bounds.policies, [("p".into(), 5)].into(), "v{n}");
        assert!(!bounds.owned && !bounds.in_use, "v{n}");
    }
}

#[test]
fn n2_a_failed_blueprint_is_left_inside_newest_and_retired_outside() {
    // A blueprint has failed, and its image is in `newest` / is superseded anyway | the image is `broken` and left to
    // a person, and an older one takes the place / it is retired.
    let setup = || {
        Setup::with(policy("p", "v*", 1, 1))
            .image("v1", 50)
            .image("v2", 40)
            .shared("v2", "SYNCING_FAILED")
    };
    assert_eq!(setup().says("v2"), ("broken", NOTHING));
    assert_eq!(setup().says("v1"), ("newest", SHARE));
    let superseded = setup().image("v3", 10).stands("v3", 9);
    assert_eq!(superseded.says("v2"), ("superseded", RETIRE));
}

#[test]
fn n2_two_blueprints_are_broken_and_one_without_an_image_is_foreign() {
    // An image has two blueprints / a blueprint has no own image | `broken` / `foreign`, and there is no action.
    let mut setup = Setup::with(policy("p", "v*", 1, 1))
        .image("v1", 50)
        .image("v2", 40)
        .stands("v2", 9)
        .shared("v1", "NORMAL")
        .shared("vanished", "NORMAL");
    setup.seen.doubled.insert(id_of("v1"), Vec::new());
    assert_eq!(setup.says("v1"), ("broken", NOTHING));
    let (word, effect) = setup.says("vanished");
    assert!(matches!(word, "foreign" | "unnamed"), "{word}");
    assert_eq!(effect, NOTHING);
}

#[test]
fn n5_a_superseded_share_that_is_lost_is_not_shared_again() {
    // Others cancelled a superseded share during its overlap | it is not shared again.
    let mut overlaps = policy("p", "v*", 1, 1);
    overlaps.keep.unshare_after = TimeDelta::hours(72);
    let setup = Setup::with(overlaps)
        .image("v1", 50)
        .image("v2", 40)
        .stands("v1", 40)
        .stands("v2", 9);
    assert_eq!(setup.says("v1"), ("overlap", NOTHING));
    let mut lost = setup;
    lost.seen.shared.remove(&id_of("v1"));
    let own = lost.own.get_mut(&id_of("v1")).expect("an image");
    own.eligibility = sharekeeper::observation::Eligibility::Shareable;
    assert_eq!(lost.says("v1"), ("superseded", NOTHING));
}

#[test]
fn n2_an_entry_that_begins_later_says_nothing_yet_but_names_the_image() {
    // An entry has a `from` in the future | the entry has no effect yet, so that a policy decides, but the image
    // counts as named.
    let later = DesiredShare::Shared {
        from: Some(now() + TimeDelta::hours(1)),
        until: None,
    };
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .image("v1", 50)
        .image("v2", 40)
        .image("x1", 30)
        .stands("v1", 9)
        .stands("v2", 9)
        .shared("x1", "NORMAL")
        .declares("v1", later)
        .declares("v2", later)
        .declares("x1", later);
    assert_eq!(setup.says("v2"), ("newest", NOTHING));
    assert_eq!(setup.says("v1"), ("superseded", RETIRE));
    assert_ne!(setup.says("x1").0, "unnamed", "it is not pruned");
}

#[test]
fn n2_an_expired_entry_goes_whatever_a_policy_wants() {
    // Declared `unshared` > …: an entry whose `until` has passed asks for `unshared`, with a cause of its own.
    let over = DesiredShare::Shared {
        from: None,
        until: Some(now()),
    };
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .image("v1", 50)
        .stands("v1", 9)
        .declares("v1", over);
    let expired = Effect::Cancel(Cause::Expired);
    assert_eq!(setup.says("v1"), ("declared", expired));
}

#[test]
fn n2_foreign_shares_count_inside_newest_and_owned_bounds_the_rest() {
    // `keep.owned` and shares of others | in `newest` they count; outside of it they stay (the planner withholds the
    // CANCEL).
    let mut owned = policy("p", "v*", 1, 1);
    owned.keep.owned = true;
    let setup = Setup::with(owned)
        .image("v1", 50)
        .image("v2", 40)
        .stands("v1", 9)
        .stands("v2", 9);
    assert_eq!(setup.says("v2"), ("newest", NOTHING));
    let resolution = setup.resolve();
    let desired = resolution.images[&id_of("v1")].desired.as_ref();
    let bounds = desired.and_then(|desired| desired.bounds.as_ref());
    assert!(bounds.is_some_and(|bounds| bounds.owned), "{resolution:#?}");
}

fn locked(images: &[(&str, &ImageId)], digest: &str) -> (Policy, PolicyLock) {
    let mut required = policy("p", "v*", 1, 1);
    required.lock = LockMode::Required;
    let images = images.iter().map(|(title, image)| LockedImage {
        id: (*image).clone(),
        name: name(title),
        created: None,
    });
    let lock = PolicyLock {
        digest: digest.into(),
        regions: [(region(HERE), images.collect())].into(),
        source: required.source.clone(),
    };
    (required, lock)
}

#[test]
fn n2_the_ids_of_a_required_lock_take_the_part_of_newest() {
    // `lock: required` | the ids of the lock replace `newest`, and also its number in rule 4.
    let (required, lock) = locked(&[("v1", &id_of("v1")), ("v2", &id_of("v2"))], "digest");
    let setup = |second: bool| {
        let setup = Setup::with(required.clone())
            .image("v0", 60)
            .image("v1", 50)
            .image("v2", 40)
            .image("v3", 30)
            .stands("v0", 9)
            .stands("v1", 9);
        let mut setup = match second {
            true => setup.stands("v2", 9),
            false => setup,
        };
        setup.locks.insert("p".into(), lock.clone());
        setup
    };
    assert_eq!(setup(false).says("v1"), ("newest", NOTHING));
    assert_eq!(setup(false).says("v2"), ("newest", SHARE));
    assert_eq!(setup(false).says("v3"), ("superseded", NOTHING));
    assert_eq!(setup(false).says("v0").1, NOTHING, "both must stand");
    assert_eq!(setup(true).says("v0"), ("superseded", RETIRE));
}

#[test]
fn n2_a_locked_id_that_is_gone_is_a_pin_that_is_missing() {
    // Revocations and declarations take precedence over the lock. A locked id that no longer exists is like a missing
    // pin.
    let (required, lock) = locked(&[("v1", &id_of("v1")), ("v2", &id("img-gone"))], "digest");
    let mut setup = Setup::with(required)
        .image("v0", 60)
        .image("v1", 50)
        .image("v3", 30)
        .stands("v0", 9)
        .stands("v3", 9);
    setup.locks.insert("p".into(), lock);
    for image in ["v0", "v1", "v3"] {
        assert_eq!(setup.says(image).1, NOTHING, "{image}");
    }
    assert!(setup.resolve().policy_holds.contains_key("p"));
    let declared = setup.declares("v3", DesiredShare::Unshared);
    let cancel = Effect::Cancel(Cause::Declared);
    assert_eq!(declared.says("v3"), ("declared", cancel), "above it");
}

#[test]
fn n2_without_its_lock_a_policy_that_requires_one_writes_nothing() {
    // `lock: required` | only the images in `sharekeeper.lock.yaml` are ever written. A digest that differs makes the
    // lock stale.
    let (required, stale) = locked(&[("v2", &id_of("v2"))], "another");
    let setup = || {
        Setup::with(required.clone())
            .image("v1", 50)
            .image("v2", 40)
            .image("v3", 30)
            .stands("v1", 9)
    };
    let mut with_stale = setup();
    with_stale.locks.insert("p".into(), stale);
    for setup in [setup(), with_stale] {
        for image in ["v1", "v3"] {
            assert_eq!(setup.says(image).1, NOTHING, "{image}");
        }
        assert!(setup.resolve().policy_holds.contains_key("p"));
    }
}

#[test]
fn n2_a_pin_by_region_says_nothing_elsewhere() {
    // `pin: {regions: [eu-frankfurt], …}` | a pin replaces `newest` only in its region.
    let mut pinned = across_regions();
    pinned.pins = vec![pin(&["v1"], None)];
    pinned.pins[0].regions = Some([region(THERE)].into());
    let setup = Setup::with(pinned)
        .image("v1", 50)
        .image("v2", 40)
        .elsewhere(&[]);
    assert_eq!(setup.says("v2"), ("newest", SHARE));
    assert_eq!(setup.says("v1"), ("superseded", NOTHING));
}

#[test]
fn n2_a_revoke_by_id_is_about_that_image_alone() {
    // A revocation | may name any own image of the regions, by name or by id.
    let mut revoked = policy("p", "v*", 1, 0);
    let mut by_id = revoke("v1");
    by_id.image = sharekeeper::desired::ImageRef::Id(id_of("x1"));
    revoked.revocations = vec![by_id];
    let setup = Setup::with(revoked)
        .image("v1", 50)
        .image("x1", 40)
        .stands("v1", 9)
        .shared("x1", "NORMAL");
    let cancel = Effect::Cancel(Cause::Revoked);
    assert_eq!(
        setup.says("x1"),
        ("revoked", cancel),
        "outside `match`, too"
    );
    assert_eq!(setup.says("v1"), ("newest", NOTHING));
}

#[test]
fn n2_an_image_that_is_not_protected_by_its_own_listing_keeps_its_place() {
    // `IsShareable: false` for an image that is shared | has no meaning.
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .image("v1", 50)
        .stands("v1", 9);
    let own = &setup.own[&id_of("v1")];
    assert_eq!(own.eligibility, super::setup::unshareable());
    assert_eq!(setup.says("v1"), ("newest", NOTHING));
}

#[test]
fn n2_listing_order_and_order_of_documents_do_not_matter() {
    // Rule 12: `resolution` is pure. Candidates, policies, observation, store and time determine the verdicts.
    let one = || policy("p", "v*", 1, 1);
    let mut other = policy("q", "*1", 1, 0);
    other.revocations = vec![revoke("v2")];
    let images = |setup: Setup| {
        setup
            .image("v1", 50)
            .image("v2", 40)
            .image("x1", 30)
            .stands("v1", 9)
            .shared("v2", "NORMAL")
    };
    let forth = images(Setup::with(one()).and(other.clone()));
    let back = images(Setup::with(other).and(one()));
    assert_eq!(forth.resolve(), back.resolve());
    assert_eq!(forth.resolve(), forth.resolve());
}
