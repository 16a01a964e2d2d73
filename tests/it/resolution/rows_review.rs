//! Tests for faults that a review of resolution found. Each test name has the letter and number of the fault and says
//! what must hold instead.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use sharekeeper::attempts::AttemptLog;
use sharekeeper::desired::{
    DesiredShare, DocumentMetadata, Exclusion, ImageMatch, LockMode, LockedImage, Policy,
    PolicyLock,
};
use sharekeeper::inventory::{VersionClock, VersionKey};
use sharekeeper::model::{Glob, Monotonic, Permission, Timestamp};
use sharekeeper::observation::{CvmImage, CvmImages, OwnImage};
use sharekeeper::plan::{self, Plan, Prune, ScopeAccount, Verdict, Withheld};
use sharekeeper::resolve::{ResolvedScope, ResolvedVerdict};
use sharekeeper::windows::Windows;

use super::rows::{NOTHING, RETIRE, REVOKE, SHARE};
use super::setup::{
    HERE, SHARED, Setup, THERE, exclude, id, id_of, name, now, pin, policy, region, revoke,
};

/// The plan of a scope that prunes every image that no document names.
fn planned(setup: &Setup) -> Plan {
    let (resolution, desired) = (setup.resolve(), setup.desired());
    let plan = plan::plan(&plan::Inputs {
        scope: &setup.scope,
        desired: &ResolvedScope::new(&setup.scope, &desired, &resolution),
        account: &ScopeAccount::default(),
        observation: &setup.observation(),
        inventory: &setup.inventory,
        attempts: &AttemptLog::default(),
        windows: &Windows::default(),
        policy: &plan::Policy {
            prune: Prune::Exclusive,
            ..plan::Policy::default()
        },
        approved: None,
        clocks: setup.clocks,
        present: setup.clocks.machine().into(),
        monotonic: Monotonic::default(),
    });
    Plan {
        resolution: resolution.into(),
        ..plan
    }
}

/// The changes that the plan makes, with the id of each image.
fn acts(setup: &Setup) -> Vec<(String, Permission)> {
    let plan = planned(setup);
    let actions = plan.actions();
    let actions = actions.map(|(image, permission, _)| (image.to_string(), permission));
    actions.collect()
}

/// The change that the plan makes for one image.
fn acts_on(setup: &Setup, title: &str) -> Option<Permission> {
    let mut acts = acts(setup).into_iter();
    let act = acts.find(|(image, _)| *image == id_of(title).to_string());
    act.map(|(_, permission)| permission)
}

/// A share that begins in one hour.
fn to_come() -> DesiredShare {
    DesiredShare::Shared {
        from: Some(now() + TimeDelta::hours(1)),
        until: None,
    }
}

/// The clock that the store will remember for a version, if it changes.
fn clock(setup: &Setup, version: &str) -> Option<VersionClock> {
    let key = key(version);
    let update = setup.resolve().memory.versions;
    update.get(&key).cloned().flatten()
}

fn key(version: &str) -> VersionKey {
    VersionKey {
        policy: "p".into(),
        version: version.into(),
    }
}

/// A policy with a setting that needs CVM: an exclusion by tag, or the retirement of deprecated images.
fn by_cvm(retires: bool) -> Policy {
    let mut by_cvm = policy("p", "v*", 1, 1);
    by_cvm.retires_deprecated = retires;
    if !retires {
        let matches = ImageMatch {
            tags: [("release".to_owned(), Glob::new("rc"))].into(),
            ..ImageMatch::default()
        };
        by_cvm.exclude = vec![Exclusion {
            id: None,
            matches,
            reason: None,
        }];
    }
    by_cvm
}

#[test]
fn n2_a1_where_reading_is_denied_a_revoked_image_is_not_asked_for() {
    let mut revoked = policy("p", "v*", 1, 1);
    revoked.revocations = vec![revoke("v1")];
    let mut setup = Setup::with(revoked)
        .image("v1", 40)
        .image("x1", 30)
        .image("x2", 20)
        .declares("v1", SHARED)
        .declares("x1", SHARED)
        .declares_name("x2", SHARED);
    setup.is_denied = true;
    let resolution = setup.resolve();
    let image = &resolution.images[&id_of("v1")];
    assert_eq!(image.verdict.word(), "revoked", "{image:#?}");
    assert!(image.desired.is_none() && image.is_held, "{image:#?}");
    let share = |title: &str| (id_of(title).to_string(), Permission::Share);
    assert_eq!(
        acts(&setup),
        [share("x1"), share("x2")],
        "others are tried as before"
    );
    // A revocation that begins later does not forbid the share yet.
    let mut later = setup;
    let mut revoked = Arc::unwrap_or_clone(later.policies.remove(0));
    revoked.revocations[0].at = Some(now() + TimeDelta::hours(1));
    assert_eq!(
        acts(&later.and(revoked)),
        [share("v1"), share("x1"), share("x2")]
    );
}

#[test]
fn s1_a2_an_entry_that_begins_later_takes_nothing_back() {
    // The scopes: one with a policy, one with names only, and one with ids only.
    let shared = |setup: Setup| {
        setup
            .image("x1", 30)
            .shared("x1", "NORMAL")
            .image("x2", 30)
            .declares("x1", to_come())
    };
    for setup in [
        Setup::with(policy("p", "x2", 1, 0)),
        Setup::default().declares_name("x2", to_come()),
        Setup::default(),
    ] {
        let setup = shared(setup).declares("x2", to_come());
        let acts = acts(&setup);
        let cancels = acts.iter().filter(|(_, it)| *it == Permission::Cancel);
        assert_eq!(cancels.count(), 0, "{acts:?}: {:#?}", setup.resolve());
        let plan = planned(&setup);
        let decision = &plan.decisions[&id_of("x1")];
        assert_eq!(decision.verdict, Verdict::InSync, "{decision:#?}");
    }
    // The same holds for an entry by name, and the store still remembers the image that the name means.
    let setup = shared(Setup::default()).declares_name("x1", to_come());
    assert_eq!(acts(&setup), []);
    let learned = setup.resolve().memory.names;
    assert_eq!(learned.get(&name("x1")), Some(&Some(id_of("x1"))));
}

#[test]
fn n1_a2_what_a_name_meant_is_held_until_its_entry_has_begun() {
    for share in [SHARED, to_come()] {
        let setup = Setup::default()
            .image("v1", 10)
            .image("old", 50)
            .shared("old", "NORMAL")
            .declares_name("v1", share)
            .remembers("v1", &id_of("old"));
        assert_eq!(setup.says("old"), ("held", NOTHING), "{share:?}");
        let cancels = acts(&setup).into_iter();
        let mut cancels = cancels.filter(|(_, it)| *it == Permission::Cancel);
        assert_eq!(cancels.next(), None, "{share:?}");
        let learned = setup.resolve().memory.names;
        assert_eq!(learned.get(&name("v1")), None, "{share:?}");
    }
}

#[test]
fn n2_a2_a_policy_decides_until_an_entry_begins() {
    let setup = Setup::with(policy("p", "v*", 1, 1))
        .image("v1", 40)
        .image("v2", 30)
        .stands("v1", 9)
        .stands("v2", 9)
        .declares("v1", to_come());
    assert_eq!(acts(&setup), [("img-v1".into(), Permission::Cancel)]);
    // If the clocks disagree on whether the entry has begun, the image stays as it is.
    for hours in [2, -2] {
        let setup = Setup::default()
            .image("v1", 40)
            .shared("v1", "NORMAL")
            .declares_name("v1", to_come())
            .skewed(hours);
        assert_eq!(acts(&setup), [], "{hours}");
    }
}

#[test]
fn n4_a5_an_image_that_cvm_does_not_list_is_not_shared() {
    for retires in [false, true] {
        let setup = Setup::with(by_cvm(retires))
            .image("v1", 40)
            .image("v2", 30)
            .cvm("v1", CvmImage::default());
        assert_eq!(setup.says("v2"), ("held", NOTHING), "{retires}");
        assert_eq!(setup.says("v1"), ("newest", SHARE), "{retires}");
        let listed = setup.cvm("v2", CvmImage::default());
        assert_eq!(listed.says("v2"), ("newest", SHARE), "{retires}");
    }
}

#[test]
fn n4_a5_a_version_with_an_image_that_cvm_lacks_does_not_stand() {
    for retires in [false, true] {
        let mut by_version = by_cvm(retires);
        let regex = sharekeeper::desired::NameRegex::new(r"v(?<version>\d+)-(x86|arm)");
        by_version.matches = ImageMatch {
            name_regex: Some(regex.expect("a regex")),
            ..ImageMatch::default()
        };
        let setup = || {
            Setup::with(by_version.clone())
                .image("v1-x86", 40)
                .image("v2-x86", 30)
                .image("v2-arm", 30)
                .shared("v1-x86", "NORMAL")
                .shared("v2-x86", "NORMAL")
                .shared("v2-arm", "NORMAL")
                .cvm("v1-x86", CvmImage::default())
                .cvm("v2-x86", CvmImage::default())
        };
        let (word, effect) = setup().says("v1-x86");
        assert_eq!((word, effect), ("kept", NOTHING), "{retires}");
        assert_eq!(setup().says("v2-arm").0, "held", "{retires}");
        let listed = setup().cvm("v2-arm", CvmImage::default());
        assert_eq!(listed.says("v1-x86"), ("superseded", RETIRE), "{retires}");
    }
}

#[test]
fn n4_a6_a_field_that_is_empty_holds_the_image_and_matches_not_nothing() {
    type Empty = (fn(&mut ImageMatch), fn(&mut OwnImage));
    let fields: [Empty; 4] = [
        (
            |matches| matches.os_name = Some(Glob::new("Ubuntu*")),
            |own| own.os_name = "".into(),
        ),
        (
            |matches| matches.platform = Some(Glob::new("Ubuntu")),
            |own| own.platform = "".into(),
        ),
        (
            |matches| matches.architecture = Some(Glob::new("x86_64")),
            |own| own.architecture = "".into(),
        ),
        (|_| {}, |own| own.name = "".into()),
    ];
    for (n, (ask, empty)) in fields.into_iter().enumerate() {
        let mut asking = policy("p", "v*", 1, 1);
        ask(&mut asking.matches);
        let mut setup = Setup::with(asking)
            .image("v1", 40)
            .image("v2", 30)
            .image("x1", 20)
            .shared("v1", "NORMAL")
            .stands("v2", 9);
        empty(setup.own.get_mut(&id_of("v1")).expect("an image"));
        assert_eq!(setup.says("v1"), ("held", NOTHING), "{n}");
        assert_eq!(setup.says("v2"), ("newest", NOTHING), "{n}");
        assert_eq!(setup.says("x1"), ("unnamed", NOTHING), "{n}: differs");
        assert_eq!(acts(&setup), [], "{n}: nor is it pruned");
    }
}

#[test]
fn n4_a6_an_image_without_a_time_is_excluded_where_times_are_matched() {
    let limits: [fn(&mut ImageMatch, Timestamp); 2] = [
        |matches, at| matches.created_after = Some(at),
        |matches, at| matches.created_before = Some(at),
    ];
    for limit in limits {
        let mut dated = policy("p", "v*", 1, 1);
        limit(&mut dated.matches, now() - TimeDelta::hours(35));
        let mut setup = Setup::with(dated).image("v1", 40).shared("v1", "NORMAL");
        setup.own.get_mut(&id_of("v1")).expect("an image").created = None;
        assert_eq!(setup.says("v1"), ("excluded", NOTHING));
        assert_eq!(acts(&setup), [], "nor is it pruned");
    }
}

#[test]
fn n2_a7_no_clock_begins_while_the_clocks_disagree() {
    let setup = || {
        Setup::with(policy("p", "v*", 1, 1))
            .image("v1", 50)
            .image("v2", 40)
            .stands("v1", 9)
            .shared("v2", "NORMAL")
    };
    let begun = clock(&setup(), "v2").expect("it is new");
    assert_eq!(begun.stands_since, Some(now()));
    for hours in [-2, 2] {
        let in_doubt = clock(&setup().skewed(hours), "v2").expect("it is new");
        assert_eq!(in_doubt.stands_since, None, "{hours}");
        let runs = clock(&setup().skewed(hours), "v1").expect("fewer regions");
        let since = Some(now() - TimeDelta::hours(9));
        assert_eq!(runs.stands_since, since, "none ends");
        assert_eq!(setup().skewed(hours).says("v1"), ("kept", NOTHING));
    }
}

#[test]
fn n2_a7_retention_that_is_due_is_withheld_while_the_clocks_disagree() {
    for after in [0, 5] {
        let mut retires = policy("p", "v*", 1, 1);
        retires.keep.unshare_after = TimeDelta::hours(after);
        let setup = || {
            Setup::with(retires.clone())
                .image("v1", 50)
                .image("v2", 40)
                .stands("v1", 9)
                .stands("v2", 9)
        };
        assert_eq!(setup().says("v1"), ("superseded", RETIRE), "{after}");
        let in_doubt = setup().skewed(2);
        assert!(in_doubt.resolve().images[&id_of("v1")].is_held, "{after}");
        let plan = planned(&in_doubt);
        let decision = &plan.decisions[&id_of("v1")];
        let Verdict::Withheld(why) = &decision.verdict else {
            panic!("{after}: {decision:#?}");
        };
        assert!(matches!(**why, Withheld::Held(_)), "{after}: {why:?}");
        assert!(why.to_string().contains("clock"), "{why}");
        assert!(!decision.is_normal_course(), "a person must act");
        assert_eq!(acts(&in_doubt), [], "{after}");
        assert!(!plan.decisions.contains_key(&id_of("v2")) || in_sync(&plan, "v2"));
    }
}

fn in_sync(plan: &Plan, title: &str) -> bool {
    plan.decisions[&id_of(title)].verdict == Verdict::InSync
}

#[test]
fn n2_a9_an_image_that_is_built_anew_under_its_name_has_its_own_age() {
    let mut soaks = policy("p", "v*", 1, 0);
    soaks.min_age = TimeDelta::hours(24);
    let remembered = |image: &str| {
        let mut setup = Setup::with(soaks.clone()).image("v1", 1);
        let clock = VersionClock {
            age: Some(now() - TimeDelta::hours(90)),
            stands_since: Some(now() - TimeDelta::hours(60)),
            regions: [region(HERE)].into(),
            images: [id(image)].into(),
        };
        setup.inventory.memory.versions.insert(key("v1"), clock);
        setup
    };
    assert_eq!(remembered("img-v1").says("v1"), ("newest", SHARE));
    let anew = remembered("img-before");
    assert_eq!(anew.says("v1"), ("soaking", NOTHING));
    let clock = clock(&anew, "v1").expect("another build");
    assert_eq!(clock.age, Some(now() - TimeDelta::hours(1)));
    assert_eq!(clock.images, [id_of("v1")].into());
    assert_eq!(clock.stands_since, None);
}

/// A scope with v1, v2 and v3 whose policy requires a lock. v1 and v2 stand, and v1 is locked.
fn locked(mut required: Policy, titled: &str) -> Setup {
    required.lock = LockMode::Required;
    let image = LockedImage {
        id: id_of("v1"),
        name: name(titled),
        created: None,
    };
    let lock = PolicyLock {
        digest: required.digest.clone(),
        regions: [(region(HERE), vec![image])].into(),
        source: required.source.clone(),
    };
    let mut setup = Setup::with(required)
        .image("v1", 50)
        .image("v2", 40)
        .image("v3", 30)
        .stands("v1", 9)
        .stands("v2", 9);
    setup.locks.insert("p".into(), lock);
    setup
}

#[test]
fn n2_b2_a_locked_image_that_becomes_deprecated_stays_as_it_is() {
    let of = |deprecated| {
        let deprecated = CvmImage {
            deprecated,
            ..CvmImage::default()
        };
        locked(by_cvm(true), "v1")
            .cvm("v1", deprecated)
            .cvm("v2", CvmImage::default())
            .cvm("v3", CvmImage::default())
    };
    assert_eq!(of(false).says("v1"), ("newest", NOTHING));
    assert_eq!(of(false).says("v2"), ("superseded", RETIRE));
    assert_eq!(of(true).says("v1"), ("kept", NOTHING));
    assert_eq!(of(true).says("v3").1, NOTHING, "it is not locked");
    let mut unshared = of(true);
    unshared.seen.shared.remove(&id_of("v1"));
    assert_eq!(unshared.says("v1").1, NOTHING, "it is not shared anew");
}

#[test]
fn n2_b2_a_locked_image_that_is_excluded_or_renamed_holds_the_policy() {
    let mut excludes = policy("p", "v*", 1, 1);
    excludes.exclude = vec![exclude("img-v1")];
    let by_name = locked(policy("p", "v*", 1, 1), "v1");
    assert_eq!(by_name.says("v2"), ("superseded", RETIRE), "it can go");
    for setup in [
        locked(excludes, "v1"),
        locked(policy("p", "v*", 1, 1), "v0"),
    ] {
        let resolution = setup.resolve();
        assert!(resolution.policy_holds.contains_key("p"), "{resolution:#?}");
        for title in ["v1", "v2", "v3"] {
            assert_eq!(setup.says(title).1, NOTHING, "{title}");
        }
        assert_eq!(acts(&setup), []);
    }
}

#[test]
fn n2_b4_where_documents_may_be_missing_no_memory_is_deleted() {
    let setup = || {
        let mut setup = Setup::with(policy("p", "v*", 1, 1))
            .image("v1", 50)
            .stands("v1", 9)
            .image("v2", 40)
            .remembers("of-another", &id("img-other"));
        let clock = setup.inventory.memory.versions[&key("v1")].clone();
        let other = VersionKey {
            policy: "another".into(),
            version: "1".into(),
        };
        setup.inventory.memory.versions.insert(other, clock);
        setup
    };
    let deleted = |setup: &Setup| {
        let memory = setup.resolve().memory;
        let names = memory.names.values().filter(|it| it.is_none()).count();
        let versions = memory.versions.values().filter(|it| it.is_none()).count();
        (names, versions)
    };
    assert_eq!(deleted(&setup()), (1, 1));
    let mut partial = setup();
    partial.is_partial = true;
    assert_eq!(deleted(&partial), (0, 0));
    assert!(clock(&partial, "v2").is_some(), "what is new is learned");
    partial.policies.clear();
    assert_eq!(deleted(&partial), (0, 0), "with ids alone");
}

#[test]
fn s1_b6_images_that_a_policy_names_without_matching_them_are_not_pruned() {
    let mut named = policy("p", "v*", 1, 0);
    named.pins = vec![pin(&["pinned"], None)];
    named.exclude = vec![exclude("img-excluded")];
    named.revocations = vec![revoke("v9")];
    named.revocations[0].replacement = Some(name("replacement"));
    let titles = ["pinned", "excluded", "replacement", "locked", "nobodys"];
    let mut setup = Setup::with(named).image("v1", 50).stands("v1", 9);
    for title in titles {
        setup = setup.image(title, 30).shared(title, "NORMAL");
    }
    let lock = PolicyLock {
        digest: "of before".into(),
        regions: [(
            region(HERE),
            vec![LockedImage {
                id: id_of("locked"),
                name: name("locked"),
                created: None,
            }],
        )]
        .into(),
        source: setup.policies[0].source.clone(),
    };
    setup.locks.insert("p".into(), lock);
    let pruned = ("img-nobodys".to_owned(), Permission::Cancel);
    assert_eq!(acts(&setup), [pruned], "the others are left alone");
    for title in &titles[..4] {
        assert_eq!(setup.says(title), ("kept", NOTHING), "{title}");
    }
}

#[test]
fn n4_b7_a_region_that_is_added_makes_ages_uncertain_until_it_is_seen() {
    let setup = |regions: &[&str]| {
        let mut across = policy("p", "v*", 1, 1);
        across.regions.extend(regions.iter().map(|it| region(it)));
        let mut setup = Setup::with(across)
            .image("v1", 50)
            .image("v2", 40)
            .stands("v1", 9)
            .stands("v2", 9);
        for clock in setup.inventory.memory.versions.values_mut() {
            clock.regions = [region(HERE)].into();
        }
        setup
    };
    assert_eq!(setup(&[]).says("v1"), ("superseded", RETIRE));
    let added = setup(&[THERE]);
    assert_eq!(added.says("v1"), ("kept", NOTHING));
    assert!(added.resolve().unseen.contains(&region(THERE)));
    let seen = setup(&[THERE]).elsewhere(&[("v2", 60)]);
    assert_eq!(seen.says("v2"), ("superseded", RETIRE), "it is a late copy");
    let clock = clock(&seen, "v2").expect("it is certain");
    assert_eq!(clock.age, Some(now() - TimeDelta::hours(60)));
    assert_eq!(clock.regions, [region(HERE), region(THERE)].into());
}

#[test]
fn n2_b8_a_scope_with_ids_alone_forgets_what_names_and_versions_were() {
    let of = |is_seen| {
        let mut setup = Setup::with(policy("p", "v*", 1, 1))
            .image("v1", 50)
            .stands("v1", 9)
            .remembers("named", &id_of("v1"))
            .declares("v1", SHARED);
        setup.policies.clear();
        setup.is_seen = is_seen;
        setup.resolve()
    };
    let forgotten = of(true);
    assert!(forgotten.images.is_empty(), "the entries say it all");
    assert_eq!(forgotten.memory.names, [(name("named"), None)].into());
    assert_eq!(forgotten.memory.versions, [(key("v1"), None)].into());
    assert!(of(false).memory.is_empty(), "nothing was seen");
}

#[test]
fn n2_b9_protection_that_begins_later_outlasts_a_revoke() {
    let mut revoked = policy("p", "v*", 1, 0);
    revoked.revocations = vec![revoke("v1")];
    revoked.revocations[0].force = true;
    let setup = |share| {
        Setup::with(revoked.clone())
            .image("v1", 40)
            .stands("v1", 9)
            .declares("v1", share)
    };
    assert_eq!(setup(to_come()).says("v1"), ("revoked", REVOKE));
    for share in [SHARED, to_come()] {
        let protected = setup(share).protects("v1");
        assert_eq!(protected.says("v1"), ("declared", NOTHING), "{share:?}");
        assert_eq!(acts(&protected), [], "{share:?}");
    }
}

#[test]
fn n1_b11_a_revoke_does_not_pass_through_the_hold_of_a_name() {
    for forced in [false, true] {
        let mut revoked = policy("p", "v*", 1, 0);
        revoked.revocations = vec![revoke("old")];
        revoked.revocations[0].force = forced;
        let setup = |named: &str| {
            Setup::with(revoked.clone())
                .image("v1", 50)
                .image("old", 40)
                .shared("old", "NORMAL")
                .declares_name(named, SHARED)
                .remembers(named, &id_of("old"))
        };
        assert_eq!(setup("v2").says("old"), ("held", NOTHING), "missing");
        assert_eq!(setup("v1").says("old"), ("held", NOTHING), "means another");
        // An entry by id that wants the image shared does not change this.
        for named in ["v1", "v2"] {
            let declared = setup(named).declares("old", SHARED);
            assert_eq!(declared.says("old"), ("held", NOTHING), "{named}");
            assert_eq!(acts_on(&declared, "old"), None, "{named}");
        }
        let settled = setup("v1").shared("v1", "NORMAL");
        assert_eq!(settled.says("old"), ("revoked", REVOKE));
    }
}

#[test]
fn n2_b11_a_revoked_image_with_two_blueprints_is_held() {
    for forced in [false, true] {
        let mut revoked = policy("p", "v*", 1, 0);
        revoked.revocations = vec![revoke("v1")];
        revoked.revocations[0].force = forced;
        let mut setup = Setup::with(revoked).image("v1", 40).stands("v1", 9);
        assert_eq!(setup.says("v1"), ("revoked", REVOKE), "{forced}");
        let blueprints = vec!["lhbp-1".into(), "lhbp-2".into()];
        setup.seen.doubled.insert(id_of("v1"), blueprints);
        assert_eq!(setup.says("v1"), ("revoked", NOTHING), "{forced}");
        assert!(setup.resolve().images[&id_of("v1")].is_held, "{forced}");
        assert_eq!(acts(&setup), [], "{forced}");
    }
}

#[test]
fn s1_b11_a_replacement_is_left_alone_after_the_revoked_one_is_gone() {
    let mut revoked = policy("p", "v*", 1, 0);
    revoked.revocations = vec![revoke("v1")];
    revoked.revocations[0].replacement = Some(name("x1"));
    let setup = Setup::with(revoked)
        .image("v1", 40)
        .image("v2", 30)
        .image("x1", 10)
        .stands("v2", 9)
        .shared("x1", "NORMAL")
        .shared("x2", "NORMAL")
        .image("x2", 10);
    let pruned = ("img-x2".to_owned(), Permission::Cancel);
    assert_eq!(acts(&setup), [pruned]);
    let before = setup.stands("v1", 9);
    assert_eq!(before.says("x1"), ("kept", NOTHING), "it replaces v1");
}

#[test]
fn n2_b11_kept_says_why_versions_do_not_stand() {
    let mut soaks = policy("p", "v*", 1, 1);
    soaks.min_age = TimeDelta::hours(24);
    let why = |setup: &Setup| match &setup.resolve().images[&id_of("v1")].verdict {
        ResolvedVerdict::Kept(why) => why.to_string(),
        other => panic!("{other}"),
    };
    let setup = |hours| {
        Setup::with(soaks.clone())
            .image("v1", 90)
            .image("v2", hours)
            .stands("v1", 9)
    };
    let soaking = why(&setup(23).shared("v2", "NORMAL"));
    assert!(soaking.contains("v2 is soaking until"), "{soaking}");
    let syncing = why(&setup(40).shared("v2", "SYNCING"));
    assert!(syncing.contains("v2 is not NORMAL yet"), "{syncing}");
    soaks.regions.insert(region(THERE));
    let unseen = Setup::with(soaks.clone())
        .image("v1", 90)
        .image("v2", 40)
        .shared("v1", "NORMAL")
        .shared("v2", "NORMAL");
    let unseen = why(&unseen);
    assert!(unseen.contains("eu-frankfurt was not observed"), "{unseen}");
}

#[test]
fn n5_b11_times_of_entries_are_in_what_changes_next() {
    let (soon, later) = (TimeDelta::hours(1), TimeDelta::hours(2));
    let next = |share: DesiredShare| {
        let by_id = Setup::with(policy("p", "v*", 1, 1))
            .image("v1", 50)
            .declares("v1", share);
        let by_name = Setup::default()
            .image("v1", 50)
            .declares_name("v1", share)
            .remembers("v1", &id_of("v1"));
        let next = by_id.resolve().next_change_at;
        assert_eq!(next, by_name.resolve().next_change_at);
        next
    };
    let shared = |from: Option<TimeDelta>, until: Option<TimeDelta>| DesiredShare::Shared {
        from: from.map(|it| now() + it),
        until: until.map(|it| now() + it),
    };
    assert_eq!(next(shared(None, None)), None);
    assert_eq!(next(shared(Some(soon), Some(later))), Some(now() + soon));
    assert_eq!(next(shared(Some(-soon), Some(later))), Some(now() + later));
    assert_eq!(next(shared(None, Some(soon))), Some(now() + soon));
}

#[test]
fn n2_a6_an_image_that_a_lock_or_pin_cannot_judge_holds_the_policy() {
    let mut pinned = policy("p", "v*", 1, 1);
    pinned.matches.os_name = Some(Glob::new("Ubuntu*"));
    pinned.pins = vec![pin(&["v1"], None)];
    let mut setup = Setup::with(pinned)
        .image("v1", 50)
        .image("v2", 40)
        .stands("v1", 9)
        .stands("v2", 9);
    assert_eq!(setup.says("v2"), ("superseded", RETIRE));
    setup.own.get_mut(&id_of("v1")).expect("an image").os_name = "".into();
    assert_eq!(setup.says("v2").1, NOTHING);
    assert!(setup.resolve().policy_holds.contains_key("p"));
}

#[test]
fn n2_an_image_has_the_labels_of_each_document_that_speaks_of_it() {
    let labelled = |team: &str| {
        Arc::new(DocumentMetadata {
            name: team.into(),
            labels: Arc::new([("team".to_owned(), team.to_owned())].into()),
        })
    };
    let of = |title: &str, team: &str| {
        let mut of_team = policy(title, "v*", 1, 0);
        of_team.document = labelled(team);
        of_team
    };
    let mut revokes = of("q", "security");
    revokes.matches.name = Some(Glob::new("x*"));
    revokes.revocations = vec![revoke("v1")];
    let mut setup = Setup::with(of("p", "platform"))
        .and(revokes)
        .image("v1", 50)
        .image("v2", 40)
        .stands("v1", 9)
        .stands("v2", 9)
        .declares("v2", SHARED);
    let entry = setup.entries.get_mut(&id_of("v2")).expect("an entry");
    entry.document = labelled("web");
    let resolution = setup.resolve();
    let teams = |title: &str| {
        let desired = resolution.images[&id_of(title)].desired.as_ref();
        let labels = desired.expect("something is asked").labels();
        let teams: BTreeSet<_> = labels.map(|labels| labels["team"].clone()).collect();
        teams.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(teams("v1"), ["platform", "security"]);
    assert_eq!(teams("v2"), ["platform", "web"]);
}

/// A CVM listing of all images of another region, without special properties.
fn listed(setup: &Setup) -> CvmImages {
    let own = setup.elsewhere[&region(THERE)].own.keys();
    CvmImages::Known(own.map(|id| (id.clone(), CvmImage::default())).collect())
}

#[test]
fn n4_a5_a_copy_elsewhere_that_cannot_be_judged_retires_nothing_here() {
    let of = |asks_cvm: bool, is_judged: bool| {
        let mut across = by_cvm(asks_cvm);
        across.regions.insert(region(THERE));
        across.matches.os_name = Some(Glob::new("Ubuntu*"));
        let mut setup = Setup::with(across)
            .image("v1", 1)
            .image("v2", 40)
            .shared("v1", "NORMAL")
            .shared("v2", "NORMAL")
            .cvm("v1", CvmImage::default())
            .cvm("v2", CvmImage::default())
            .elsewhere(&[("v1", 50), ("v2", 39)]);
        let mut cvm = listed(&setup);
        let there = setup.elsewhere.get_mut(&region(THERE));
        let there = there.expect("it was seen");
        match (is_judged, &mut cvm) {
            (false, CvmImages::Known(images)) if asks_cvm => {
                images.remove(&id("img-v1x"));
            }
            (false, _) => {
                let copy = there.own.get_mut(&id("img-v1x")).expect("a copy");
                copy.os_name = "".into();
            }
            (true, _) => {}
        }
        there.cvm = cvm;
        setup
    };
    for asks_cvm in [false, true] {
        let judged = of(asks_cvm, true);
        assert_eq!(judged.says("v1"), ("superseded", RETIRE), "{asks_cvm}");
        let unjudged = of(asks_cvm, false);
        assert_eq!(unjudged.says("v2"), ("kept", NOTHING), "{asks_cvm}");
        let why = unjudged.resolve().images[&id_of("v2")].verdict.detail();
        let why = why.expect("why");
        assert!(why.contains("eu-frankfurt"), "{why}");
        let clock = clock(&unjudged, "v1").expect("it is new");
        assert_eq!((clock.age, clock.regions.len()), (None, 0), "{asks_cvm}");
    }
}

#[test]
fn n4_b7_an_age_outlives_a_region_that_is_added_and_not_seen() {
    let mut across = policy("p", "v*", 1, 1);
    across.regions.extend([region(THERE), region("ap-seoul")]);
    let mut setup = Setup::with(across)
        .image("v1", 1)
        .image("v2", 40)
        .stands("v1", 1)
        .stands("v2", 9)
        .elsewhere(&[("v2", 39)]);
    // The copy whose CreatedTime gave the age is deleted by now.
    let known = setup.inventory.memory.versions.get_mut(&key("v1"));
    let known = known.expect("a clock");
    known.age = Some(now() - TimeDelta::hours(50));
    known.regions = [region(HERE), region(THERE)].into();
    let (age, regions) = (known.age, known.regions.clone());
    assert_eq!(setup.says("v2"), ("newest", NOTHING));
    let update = setup.resolve().memory;
    setup.inventory.memory.apply(&update);
    let kept = &setup.inventory.memory.versions[&key("v1")];
    assert_eq!((kept.age, &kept.regions), (age, &regions));
    let there = setup.elsewhere[&region(THERE)].clone();
    setup.elsewhere.insert(region("ap-seoul"), there);
    assert_eq!(setup.says("v2"), ("newest", NOTHING));
    assert_eq!(setup.says("v1"), ("superseded", RETIRE));
}

#[test]
fn n4_a6_an_image_that_cannot_be_judged_for_once_keeps_its_age() {
    let mut across = policy("p", "v*", 1, 1);
    across.matches.os_name = Some(Glob::new("Ubuntu*"));
    across.regions.insert(region(THERE));
    let mut setup = Setup::with(across)
        .image("v1", 1)
        .image("v2", 40)
        .stands("v1", 1)
        .stands("v2", 9)
        .elsewhere(&[("v2", 39)]);
    // The copy whose CreatedTime gave the age is deleted by now.
    let known = setup.inventory.memory.versions.get_mut(&key("v1"));
    known.expect("a clock").age = Some(now() - TimeDelta::hours(50));
    assert_eq!(setup.says("v1"), ("superseded", RETIRE));
    let os_name = |setup: &mut Setup, text: &str| {
        setup.own.get_mut(&id_of("v1")).expect("an image").os_name = text.into();
    };
    os_name(&mut setup, "");
    assert_eq!(setup.says("v1"), ("held", NOTHING));
    let update = setup.resolve().memory;
    setup.inventory.memory.apply(&update);
    os_name(&mut setup, "Ubuntu 22.04");
    assert_eq!(setup.says("v2"), ("newest", NOTHING));
}
