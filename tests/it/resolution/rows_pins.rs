//! Tests the rows of the decision table of image selection that are about pins and revocations. Each test begins with
//! its row: situation `|` decision.

use std::sync::Arc;

use chrono::TimeDelta;
use sharekeeper::desired::DesiredShare;
use sharekeeper::model::Cause;

use super::rows::{NOTHING, RETIRE, REVOKE, SHARE};
use super::setup::{Effect, SHARED, Setup, exclude, id_of, name, now, pin, policy, revoke};

#[test]
fn n2_a_pin_replaces_newest_and_knows_excluded_ones() {
    // A pin replaces `newest` in its region. It can only name images that `match` covers, but it may name excluded
    // ones.
    let mut pinned = policy("p", "v*", 1, 1);
    pinned.pins = vec![pin(&["v1"], None)];
    pinned.exclude = vec![exclude("img-v1")];
    let setup = || Setup::with(pinned.clone()).image("v1", 30).image("v2", 20);
    let before = setup().stands("v2", 5);
    assert_eq!(before.says("v1"), ("pinned", SHARE));
    assert_eq!(before.says("v2").1, NOTHING, "the pinned one is not NORMAL");
    let mut plain = pinned.clone();
    plain.exclude.clear();
    let after = Setup::with(plain)
        .image("v1", 30)
        .image("v2", 20)
        .stands("v1", 1)
        .stands("v2", 5);
    assert_eq!(after.says("v1"), ("pinned", NOTHING));
    assert_eq!(after.says("v2"), ("superseded", RETIRE));
}

#[test]
fn n2_while_a_pinned_image_is_not_normal_nothing_goes() {
    // A pinned image is not NORMAL yet | it is shared first, and nothing is cancelled before it is NORMAL.
    let mut pinned = policy("p", "v*", 1, 1);
    pinned.pins = vec![pin(&["v1"], None)];
    let setup = || {
        Setup::with(pinned.clone())
            .image("v1", 30)
            .image("v2", 20)
            .image("v3", 10)
            .stands("v2", 5)
    };
    for setup in [setup(), setup().shared("v1", "SYNCING")] {
        assert_eq!(setup.says("v1").0, "pinned");
        assert_eq!(setup.says("v2").1, NOTHING);
        assert_eq!(setup.says("v3").1, NOTHING, "exactly the pinned ones");
    }
    assert_eq!(setup().says("v1"), ("pinned", SHARE));
}

#[test]
fn n2_while_a_pin_cannot_be_met_nothing_goes_and_nothing_is_shared() {
    // A pinned image is missing, revoked, declared unshared, or outside of `match` | nothing is cancelled there, and
    // nothing new is shared.
    let setup = |pins: &[&str]| {
        let mut pinned = policy("p", "v*", 1, 1);
        pinned.pins = vec![pin(pins, None)];
        pinned.revocations = vec![revoke("v4")];
        Setup::with(pinned)
            .image("v1", 50)
            .image("v2", 40)
            .image("v3", 30)
            .image("v4", 20)
            .image("v5", 10)
            .image("x1", 60)
            .stands("v1", 9)
            .stands("v2", 9)
            .declares("v3", DesiredShare::Unshared)
    };
    for pins in [["v2", "gone"], ["v2", "v4"], ["v2", "v3"], ["v2", "x1"]] {
        let setup = setup(&pins);
        for image in ["v1", "v2", "v5", "x1"] {
            assert_eq!(setup.says(image).1, NOTHING, "{image} with {pins:?}");
        }
        let holds = setup.resolve().policy_holds;
        assert!(holds.contains_key(&Arc::<str>::from("p")), "{pins:?}");
    }
    let met = setup(&["v2"]);
    assert_eq!(met.says("v1"), ("superseded", RETIRE), "and so it can fail");
    assert!(met.resolve().policy_holds.is_empty());
}

#[test]
fn n3_a_pin_of_one_and_minimum_two_leaves_the_best_other() {
    // A pin of one version with `minimum: 2` | the best other version stays.
    let mut pinned = policy("p", "v*", 2, 2);
    pinned.pins = vec![pin(&["v1"], None)];
    let setup = Setup::with(pinned)
        .image("v1", 40)
        .image("v2", 30)
        .image("v3", 20)
        .stands("v1", 9)
        .stands("v2", 9)
        .stands("v3", 9);
    assert_eq!(setup.says("v1"), ("pinned", NOTHING));
    assert_eq!(setup.says("v3"), ("kept", NOTHING));
    assert_eq!(setup.says("v2"), ("superseded", RETIRE));
}

#[test]
fn n2_a_pin_whose_date_is_over_is_as_if_it_were_not_there() {
    // The date of a pin has passed | the pin has no effect, and images that it retired are shared again in their
    // order.
    let mut pinned = policy("p", "v*", 1, 1);
    pinned.pins = vec![pin(&["v1"], Some(now()))];
    let setup = Setup::with(pinned)
        .image("v1", 40)
        .image("v2", 30)
        .stands("v1", 9);
    assert_eq!(setup.says("v2"), ("newest", SHARE));
    assert_eq!(setup.says("v1"), ("kept", NOTHING));
}

#[test]
fn n3_minimum_does_not_bound_a_declared_unshared() {
    // `minimum`, and a share that breaks or that others cancel, or a declared `unshared` | `minimum` does not
    // restrict these.
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .image("v1", 40)
        .stands("v1", 9)
        .declares("v1", DesiredShare::Unshared);
    let declared = Effect::Cancel(Cause::Declared);
    assert_eq!(setup.says("v1"), ("declared", declared));
}

#[test]
fn n3_a_revoke_of_the_only_share_waits_and_force_does_not() {
    // A revocation of the only share | waits for the next version. With `force: true` it does not wait.
    let mut revoked = policy("p", "v*", 1, 1);
    revoked.revocations = vec![revoke("v1")];
    let setup = |policy| Setup::with(policy).image("v1", 40).stands("v1", 9);
    assert_eq!(setup(revoked.clone()).says("v1"), ("revoked", NOTHING));
    let next = setup(revoked.clone()).image("v2", 10);
    assert_eq!(next.says("v1"), ("revoked", NOTHING));
    assert_eq!(next.says("v2"), ("newest", SHARE));
    let next = setup(revoked.clone())
        .image("v2", 10)
        .shared("v2", "NORMAL");
    assert_eq!(next.says("v1"), ("revoked", REVOKE));
    revoked.revocations[0].force = true;
    assert_eq!(setup(revoked.clone()).says("v1"), ("revoked", REVOKE));
    revoked.revocations[0].force = false;
    revoked.keep.minimum = 0;
    assert_eq!(setup(revoked).says("v1"), ("revoked", REVOKE));
}

#[test]
fn n3_a_replacement_is_wanted_as_long_as_the_revoked_one_is_shared() {
    // A revocation with a `replacement` | the replacement is wanted, regardless of soak and order, as long as the
    // revoked image is shared. After that it is an ordinary image.
    let mut revoked = policy("p", "v*", 1, 0);
    revoked.min_age = TimeDelta::hours(24);
    revoked.revocations = vec![revoke("v3")];
    revoked.revocations[0].replacement = Some(name("v1"));
    let setup = || {
        Setup::with(revoked.clone())
            .image("v1", 1)
            .image("v2", 30)
            .image("v3", 40)
            .stands("v2", 5)
    };
    let before = setup().stands("v3", 9);
    assert_eq!(before.says("v1").1, SHARE);
    assert_eq!(before.says("v3"), ("revoked", NOTHING));
    let syncing = setup().stands("v3", 9).shared("v1", "SYNCING");
    assert_eq!(syncing.says("v3"), ("revoked", NOTHING));
    let normal = setup().stands("v3", 9).shared("v1", "NORMAL");
    assert_eq!(normal.says("v3"), ("revoked", REVOKE));
    assert_eq!(normal.says("v1").1, NOTHING);
    assert_eq!(setup().says("v1"), ("soaking", NOTHING), "it is ordinary");
}

#[test]
fn n3_a_replacement_outside_the_match_does_not_count() {
    // An image outside of `match` does not count toward `minimum`.
    let mut revoked = policy("p", "v*", 1, 1);
    revoked.revocations = vec![revoke("v1")];
    revoked.revocations[0].replacement = Some(name("x1"));
    let setup = Setup::with(revoked)
        .image("v1", 40)
        .image("x1", 10)
        .stands("v1", 9)
        .shared("x1", "NORMAL");
    assert_eq!(setup.says("v1"), ("revoked", NOTHING));
    let counted = setup.image("v2", 20).shared("v2", "NORMAL");
    assert_eq!(counted.says("v1"), ("revoked", REVOKE));
}

#[test]
fn n6_force_of_a_revoke_overrides_its_use_and_else_all_must() {
    // A revocation of an image in use | the CANCEL is withheld, and the exit status is 3. With `force` or
    // `inUse: cancel` it is made.
    for (force, in_use, goes) in [
        (false, false, false),
        (true, false, true),
        (false, true, true),
    ] {
        let mut revoked = policy("p", "v*", 1, 0);
        revoked.revocations = vec![revoke("v1")];
        revoked.revocations[0].force = force;
        revoked.keep.cancels_in_use = in_use;
        let setup = Setup::with(revoked).image("v1", 40).stands("v1", 9);
        assert_eq!(setup.says("v1"), ("revoked", REVOKE));
        let resolution = setup.resolve();
        let desired = resolution.images[&id_of("v1")].desired.as_ref();
        let bounds = desired.and_then(|desired| desired.bounds.as_ref());
        assert_eq!(bounds.is_some_and(|bounds| bounds.in_use), goes, "{force}");
    }
}

#[test]
fn n2_revoke_over_shared_and_protect_over_revoke() {
    // A revocation and a declared `shared` / `protect` / declared `unshared` | the revocation / `protect` /
    // `unshared` applies at once.
    let mut revoked = policy("p", "v*", 1, 1);
    revoked.revocations = vec![revoke("v1")];
    let setup = || {
        Setup::with(revoked.clone())
            .image("v1", 40)
            .image("v2", 30)
            .stands("v1", 9)
    };
    let enough = || setup().stands("v2", 9);
    let shared = enough().declares("v1", SHARED);
    assert_eq!(shared.says("v1"), ("revoked", REVOKE));
    let protected = enough().declares("v1", SHARED).protects("v1");
    assert_eq!(protected.says("v1").1, NOTHING);
    let unshared = setup().declares("v1", DesiredShare::Unshared);
    let declared = Effect::Cancel(Cause::Declared);
    assert_eq!(unshared.says("v1"), ("declared", declared));
    let gone = Setup::with(revoked).image("v1", 40).declares("v1", SHARED);
    assert_eq!(gone.says("v1"), ("revoked", NOTHING), "never shared again");
}

#[test]
fn n3_a_revoke_of_what_another_policy_matches_keeps_its_minimum() {
    // A revocation of an image that another policy matches | the image has no place and no count there, and the
    // `minimum` of that policy is kept, too.
    let mut first = policy("p", "x*", 1, 0);
    first.revocations = vec![revoke("v1")];
    let setup = |minimum| {
        Setup::with(first.clone())
            .and(policy("q", "v*", 1, minimum))
            .image("v1", 10)
            .image("v2", 30)
            .image("x1", 30)
            .stands("v1", 9)
    };
    assert_eq!(setup(1).says("v1"), ("revoked", NOTHING));
    assert_eq!(setup(1).says("v2"), ("newest", SHARE), "v1 has no place");
    assert_eq!(setup(0).says("v1"), ("revoked", REVOKE));
    let next = setup(1).shared("v2", "NORMAL");
    assert_eq!(next.says("v1"), ("revoked", REVOKE));
}

#[test]
fn n2_a_revoke_to_come_is_ordinary_but_for_its_replacement() {
    // A revocation with an `at` in the future | the image is ordinary until then, but the `replacement` is shared
    // already.
    let mut revoked = policy("p", "v*", 1, 1);
    revoked.revocations = vec![revoke("v2")];
    revoked.revocations[0].at = Some(now() + TimeDelta::hours(1));
    revoked.revocations[0].replacement = Some(name("v1"));
    let setup = Setup::with(revoked)
        .image("v1", 40)
        .image("v2", 30)
        .stands("v2", 9);
    assert_eq!(setup.says("v2"), ("newest", NOTHING));
    assert_eq!(setup.says("v1").1, SHARE);
    let next = setup.resolve().next_change_at;
    assert_eq!(next, Some(now() + TimeDelta::hours(1)));
}
