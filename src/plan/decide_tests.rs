//! Tests each row of the truth table in `decide`, and the rows of `read_denied`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{TimeDelta, TimeZone};

use super::*;
use crate::attempts::LastResult;
use crate::desired::{Completeness, DesiredImage, DesiredShare};
use crate::inventory::{IntentId, Inventory, InventoryEntry, LAG_MAX, OpenIntent};
use crate::model::fixtures_tests::{elapsed, img_a, tokyo};
use crate::model::{Clocks, Permission, Selector, Timestamp};
use crate::observation::{OwnImages, Precondition, Unobserved};
use crate::plan::fixtures_tests::{blueprint, no_instances, own, wanted};
use crate::plan::own_writes::UNCLEAR_MAX;
use crate::plan::{
    Inputs, Plan, Policy, Prune, ScopeAccount, Withheld, needs_own_images, plan, share_candidates,
};
use crate::resolve::ResolvedScope;
use crate::windows::Windows;

const SHARED: DesiredShare = DesiredShare::Shared {
    from: None,
    until: None,
};

fn unobserved() -> Unobserved {
    Unobserved {
        reason: "page 3 of 7 failed".into(),
        code: None,
        request_id: None,
        account_broken: false,
        remedy: None,
        is_stop: false,
    }
}

fn seen(shared: bool, eligibility: Option<Eligibility>) -> Observation {
    let mut seen = Seen::default();
    if shared {
        seen.shared.insert(img_a(), blueprint("lhbp-1"));
    }
    seen.eligibility.extend(eligibility.map(|e| (img_a(), e)));
    seen.own = own([img_a()]);
    seen.instances = no_instances();
    Observation::Seen(seen)
}

fn tried(towards: ShareState, last: LastResult) -> AttemptLog {
    let mut attempts = AttemptLog::default();
    attempts.record(img_a(), towards, last);
    attempts
}

fn acknowledged(seconds: u64) -> LastResult {
    LastResult::Acknowledged {
        at: elapsed(seconds),
        blueprint_id: None,
        request_id: None,
    }
}

fn unclear(seconds: u64) -> LastResult {
    LastResult::Unclear {
        at: elapsed(seconds),
        problem: Problem::new("lost"),
    }
}

fn noon() -> Timestamp {
    let date = chrono::Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0);
    date.single().expect("a date")
}

fn planned(
    image: &DesiredImage,
    observation: &Observation,
    attempts: &AttemptLog,
    seconds: u64,
) -> Plan {
    planned_with(&Inventory::default(), image, observation, attempts, seconds)
}

/// Like [`planned`], with an inventory that an earlier process left in the store.
fn planned_with(
    inventory: &Inventory,
    image: &DesiredImage,
    observation: &Observation,
    attempts: &AttemptLog,
    seconds: u64,
) -> Plan {
    let now = noon();
    let id = img_a();
    let selector = Selector::default();
    let wanted = ResolvedScope::by_id(
        Cow::Owned(BTreeMap::from([(&id, image)])),
        &selector,
        &Completeness::Whole,
    );
    plan(&Inputs {
        scope: &tokyo(),
        account: &ScopeAccount::default(),
        desired: &wanted,
        observation,
        inventory,
        attempts,
        windows: &Windows::default(),
        policy: &Policy::default(),
        approved: None,
        clocks: Clocks::machine_only(now),
        present: now.into(),
        monotonic: elapsed(seconds),
    })
}

fn verdict(
    intent: DesiredShare,
    observation: &Observation,
    attempts: &AttemptLog,
    seconds: u64,
) -> Verdict {
    planned(&wanted(intent), observation, attempts, seconds).decisions[&img_a()]
        .verdict
        .clone()
}

#[test]
fn s17_an_image_in_the_desired_state_is_left_alone() {
    let none = AttemptLog::default();
    assert_eq!(
        verdict(SHARED, &seen(true, None), &none, 0),
        Verdict::InSync
    );
    assert_eq!(
        verdict(DesiredShare::Unshared, &seen(false, None), &none, 0),
        Verdict::InSync
    );
}

#[test]
fn a_difference_is_acted_on() {
    let none = AttemptLog::default();
    assert_eq!(verdict(SHARED, &seen(false, None), &none, 0), Verdict::Act);
    assert_eq!(
        verdict(DesiredShare::Unshared, &seen(true, None), &none, 0),
        Verdict::Act
    );
}

#[test]
fn a1_s2_an_unobserved_scope_gets_no_change() {
    let none = AttemptLog::default();
    for intent in [SHARED, DesiredShare::Unshared] {
        let verdict = verdict(intent, &Observation::Unobserved(unobserved()), &none, 0);
        assert_eq!(verdict, Verdict::Unobserved(Box::new(unobserved())));
    }
}

#[test]
fn a_protected_image_is_never_cancelled() {
    let image = DesiredImage {
        protect: true,
        ..wanted(DesiredShare::Unshared)
    };
    let plan = planned(&image, &seen(true, None), &AttemptLog::default(), 0);
    assert_eq!(
        plan.decisions[&img_a()].verdict,
        Verdict::Withheld(Box::new(Withheld::Protected))
    );
    assert_eq!(plan.actions().count(), 0);
    let read_denied = planned(
        &image,
        &Observation::ReadDenied(unobserved()),
        &AttemptLog::default(),
        0,
    );
    assert_eq!(
        read_denied.actions().count(),
        0,
        "not even if reading is denied"
    );
}

#[test]
fn a6_s4_an_acknowledged_write_is_awaited_and_repeated_once_at_most() {
    let (missing, mut attempts) = (
        seen(false, None),
        tried(ShareState::Shared, acknowledged(10)),
    );
    assert!(matches!(
        verdict(SHARED, &missing, &attempts, 11),
        Verdict::Await { .. }
    ));
    assert!(matches!(
        verdict(SHARED, &missing, &attempts, 129),
        Verdict::Await { .. }
    ));
    assert_eq!(verdict(SHARED, &missing, &attempts, 130), Verdict::Act);
    attempts.record(img_a(), ShareState::Shared, acknowledged(131));
    assert!(matches!(
        verdict(SHARED, &missing, &attempts, 200),
        Verdict::Await { .. }
    ));
    assert!(matches!(
        verdict(SHARED, &missing, &attempts, 300),
        Verdict::Failed(_)
    ));
}

#[test]
fn t2_a_write_with_unknown_outcome_is_observed_before_a_retry() {
    let (missing, attempts) = (seen(false, None), tried(ShareState::Shared, unclear(10)));
    assert_eq!(
        verdict(SHARED, &seen(true, None), &attempts, 10),
        Verdict::InSync
    );
    assert!(matches!(
        verdict(SHARED, &missing, &attempts, 11),
        Verdict::Await { .. }
    ));
    assert_eq!(verdict(SHARED, &missing, &attempts, 12), Verdict::Act);
    let cancel = tried(ShareState::Unshared, unclear(10));
    assert!(matches!(
        verdict(DesiredShare::Unshared, &seen(true, None), &cancel, 19),
        Verdict::Await { .. }
    ));
    assert_eq!(
        verdict(DesiredShare::Unshared, &seen(true, None), &cancel, 20),
        Verdict::Act
    );
}

#[test]
fn unknown_outcomes_end_in_failure() {
    let mut attempts = AttemptLog::default();
    for n in 0..UNCLEAR_MAX.into() {
        attempts.record(img_a(), ShareState::Shared, unclear(n));
    }
    assert!(matches!(
        verdict(SHARED, &seen(false, None), &attempts, 1000),
        Verdict::Failed(_)
    ));
}

#[test]
fn a8_already_shared_counts_as_in_sync_before_a_read_shows_it() {
    let attempts = tried(
        ShareState::Shared,
        LastResult::AlreadyShared { request_id: None },
    );
    assert_eq!(
        verdict(SHARED, &seen(false, None), &attempts, 0),
        Verdict::InSync
    );
}

#[test]
fn attempts_towards_one_state_do_not_stop_the_other() {
    let attempts = tried(ShareState::Shared, LastResult::Blocked(Problem::new("no")));
    assert!(matches!(
        verdict(SHARED, &seen(false, None), &attempts, 0),
        Verdict::Blocked(_)
    ));
    assert_eq!(
        verdict(DesiredShare::Unshared, &seen(true, None), &attempts, 0),
        Verdict::Act
    );
}

#[test]
fn a15_a20_an_unshareable_image_costs_no_write() {
    let none = AttemptLog::default();
    let failed = |failed| {
        Some(Eligibility::Unshareable {
            failed,
            reason: "why".into(),
        })
    };
    for (eligibility, words) in [
        (Some(Eligibility::Absent), "no such image"),
        (failed(vec![Precondition::NotImported]), "imported"),
        (
            failed(vec![Precondition::NotWholeInstance]),
            "full-instance",
        ),
        (failed(vec![Precondition::CloudInit]), "CloudInit"),
        (
            failed(vec![Precondition::Normal("CREATING".into())]),
            "CREATING",
        ),
    ] {
        match verdict(SHARED, &seen(false, eligibility), &none, 0) {
            Verdict::Blocked(problem) => assert!(problem.message.contains(words), "{problem}"),
            other => panic!("{words}: {other:?}"),
        }
    }
    assert_eq!(
        verdict(SHARED, &seen(false, Some(Eligibility::Shareable)), &none, 0),
        Verdict::Act
    );
}

#[test]
fn unshareable_without_a_visible_reason_is_observed_again() {
    let doubtful = seen(
        false,
        Some(Eligibility::Unshareable {
            failed: vec![],
            reason: "platform".into(),
        }),
    );
    let mut attempts = AttemptLog::default();
    assert!(matches!(
        verdict(SHARED, &doubtful, &attempts, 10),
        Verdict::Await { .. }
    ));
    attempts.unshareable_since.insert(img_a(), elapsed(10));
    assert!(matches!(
        verdict(SHARED, &doubtful, &attempts, 15),
        Verdict::Await { .. }
    ));
    assert!(
        matches!(verdict(SHARED, &doubtful, &attempts, 16), Verdict::Blocked(p) if p.message.contains("platform"))
    );
}

#[test]
fn with_reading_denied_the_answers_to_own_writes_decide() {
    let read_denied = Observation::ReadDenied(unobserved());
    let none = AttemptLog::default();
    assert_eq!(verdict(SHARED, &read_denied, &none, 0), Verdict::Act);
    assert_eq!(
        verdict(DesiredShare::Unshared, &read_denied, &none, 0),
        Verdict::Act
    );
    for last in [
        acknowledged(0),
        LastResult::AlreadyShared { request_id: None },
    ] {
        let attempts = tried(ShareState::Shared, last);
        assert_eq!(verdict(SHARED, &read_denied, &attempts, 0), Verdict::InSync);
    }
    assert_eq!(
        verdict(
            DesiredShare::Unshared,
            &read_denied,
            &tried(ShareState::Unshared, acknowledged(0)),
            0
        ),
        Verdict::InSync
    );
}

/// The inventory after an earlier process: the API acknowledged `permission` this long ago.
fn written(permission: Permission, age: TimeDelta) -> Inventory {
    let mut record = InventoryEntry::default();
    record.record_acknowledged(permission, Some("lhbp-1"), false, noon() - age);
    Inventory {
        images: BTreeMap::from([(img_a(), record)]),
        ..Inventory::default()
    }
}

/// The inventory after an earlier process: a write this long ago whose answer was lost.
fn unanswered(permission: Permission, age: TimeDelta) -> Inventory {
    let open = OpenIntent {
        intent: IntentId(1),
        permission,
        at: noon() - age,
        saw_opposite: true,
    };
    Inventory {
        open_intents: BTreeMap::from([(img_a(), vec![open])]),
        ..Inventory::default()
    }
}

fn verdict_after(
    inventory: &Inventory,
    intent: DesiredShare,
    observation: &Observation,
) -> Verdict {
    let image = wanted(intent);
    let plan = planned_with(
        inventory,
        &image,
        observation,
        &AttemptLog::default(),
        1_000,
    );
    plan.decisions[&img_a()].verdict.clone()
}

/// When a verdict's wait ends, in seconds.
fn waits_until(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::Await { until, .. } => Some(until.since_start().as_secs()),
        _ => None,
    }
}

const BOTH: [(Permission, DesiredShare); 2] = [
    (Permission::Share, DesiredShare::Unshared),
    (Permission::Cancel, SHARED),
];

#[test]
fn c3_s4_a_recent_opposite_write_is_awaited_though_not_visible() {
    for (permission, wish) in BOTH {
        let shown = seen(permission == Permission::Cancel, None);
        for left in [
            written(permission, TimeDelta::seconds(5)),
            unanswered(permission, TimeDelta::seconds(5)),
        ] {
            let verdict = verdict_after(&left, wish, &shown);
            assert_eq!(waits_until(&verdict), Some(1_115), "{verdict:?}");
        }
        for left in [
            written(permission, LAG_MAX),
            unanswered(permission, LAG_MAX),
        ] {
            assert_eq!(
                verdict_after(&left, wish, &shown),
                Verdict::InSync,
                "too old to appear"
            );
        }
        for last in [acknowledged(995), unclear(995)] {
            let attempts = tried(permission.leads_to(), last);
            let verdict = verdict(wish, &shown, &attempts, 1_000);
            assert_eq!(waits_until(&verdict), Some(1_115), "of this run");
        }
    }
}

#[test]
fn c3_s4_a_visible_opposite_write_is_undone_at_once() {
    for (permission, wish) in BOTH {
        let shown = seen(permission == Permission::Share, None);
        let left = written(permission, TimeDelta::seconds(5));
        assert_eq!(verdict_after(&left, wish, &shown), Verdict::Act);
    }
}

#[test]
fn c3_an_unconfirmed_write_of_an_earlier_run_is_awaited() {
    for (permission, _) in BOTH {
        let wish = match permission {
            Permission::Share => SHARED,
            Permission::Cancel => DesiredShare::Unshared,
        };
        let unshareable = Eligibility::Unshareable {
            failed: Vec::new(),
            reason: "it is shared already".into(),
        };
        let shown = seen(permission == Permission::Cancel, Some(unshareable));
        let mut left = written(permission, TimeDelta::seconds(20));
        assert_eq!(
            waits_until(&verdict_after(&left, wish, &shown)),
            Some(1_100)
        );
        let record = left.images.get_mut(&img_a()).expect("a record");
        record.writes[0].confirmed = true;
        let verdict = verdict_after(&left, wish, &shown);
        assert_eq!(
            verdict == Verdict::Act,
            permission == Permission::Cancel,
            "the write has appeared since, so this is drift: {verdict:?}"
        );
    }
}

#[test]
fn c3_l1_a_future_date_is_awaited_for_at_most_the_lag() {
    let read_denied = Observation::ReadDenied(unobserved());
    for (permission, wish) in BOTH {
        let shown = seen(permission == Permission::Cancel, None);
        for (ahead, seconds) in [(60, Some(1_120)), (120, None), (5 * 3_600, None)] {
            let age = TimeDelta::seconds(-ahead);
            for left in [written(permission, age), unanswered(permission, age)] {
                assert_eq!(
                    waits_until(&verdict_after(&left, wish, &shown)),
                    seconds,
                    "{ahead}"
                );
            }
            let open = unanswered(permission, age);
            assert_eq!(
                waits_until(&verdict_after(&open, wish, &read_denied)),
                None,
                "{ahead}"
            );
        }
    }
    let left = written(Permission::Share, TimeDelta::hours(-5));
    assert_eq!(
        verdict_after(&left, SHARED, &seen(false, None)),
        Verdict::Act
    );
}

#[test]
fn c3_s4_an_unnamed_image_is_pruned_once_our_share_is_visible() {
    let pruned = |prune, left: &Inventory| {
        let plan = unnamed(&seen(false, None), left, &AttemptLog::default(), prune);
        let decision = plan.decisions.get(&img_a());
        decision.map(|decision| waits_until(&decision.verdict))
    };
    let left = written(Permission::Share, TimeDelta::seconds(5));
    for prune in [Prune::Owned, Prune::Exclusive] {
        assert_eq!(pruned(prune, &left), Some(Some(615)));
        let old = written(Permission::Share, LAG_MAX);
        assert_eq!(pruned(prune, &old), None, "the plan does not mention it");
    }
    let open = unanswered(Permission::Share, TimeDelta::seconds(5));
    assert_eq!(pruned(Prune::Exclusive, &open), Some(Some(615)));
    let mut shown = written(Permission::Share, TimeDelta::seconds(5));
    let record = shown.images.get_mut(&img_a()).expect("a record");
    record.writes[0].confirmed = true;
    assert_eq!(
        pruned(Prune::Owned, &shown),
        None,
        "an observation has shown it since"
    );
    assert_eq!(pruned(Prune::None, &left), None);
}

#[test]
fn c4_s24_where_reading_is_denied_the_apis_answer_counts_for_a_day() {
    let read_denied = Observation::ReadDenied(unobserved());
    for (permission, other_wish) in BOTH {
        let wish = match permission {
            Permission::Share => SHARED,
            Permission::Cancel => DesiredShare::Unshared,
        };
        for (hours, verdict) in [
            (0, Verdict::InSync),
            (23, Verdict::InSync),
            (24, Verdict::Act),
        ] {
            let left = written(permission, TimeDelta::hours(hours));
            assert_eq!(
                verdict_after(&left, wish, &read_denied),
                verdict,
                "after {hours} h"
            );
            assert_eq!(verdict_after(&left, other_wish, &read_denied), Verdict::Act);
        }
        let plan = planned_with(
            &written(permission, TimeDelta::hours(1)),
            &wanted(wish),
            &read_denied,
            &AttemptLog::default(),
            0,
        );
        assert_eq!(plan.decisions[&img_a()].actual, Actual::Unknown);
        let wrong_clock = written(permission, TimeDelta::days(-400));
        assert_eq!(
            verdict_after(&wrong_clock, wish, &read_denied),
            Verdict::Act
        );
    }
}

#[test]
fn c4_a_later_unanswered_write_voids_the_apis_earlier_answer() {
    let read_denied = Observation::ReadDenied(unobserved());
    let mut left = written(Permission::Share, TimeDelta::hours(2));
    left.open_intents = unanswered(Permission::Cancel, TimeDelta::hours(1)).open_intents;
    assert_eq!(verdict_after(&left, SHARED, &read_denied), Verdict::Act);
    left.open_intents = unanswered(Permission::Cancel, TimeDelta::hours(3)).open_intents;
    assert_eq!(
        verdict_after(&left, SHARED, &read_denied),
        Verdict::InSync,
        "the unanswered write came first"
    );
    left.open_intents = unanswered(Permission::Cancel, TimeDelta::seconds(5)).open_intents;
    assert_eq!(
        waits_until(&verdict_after(&left, SHARED, &read_denied)),
        Some(1_015),
        "the unanswered write may still be in flight"
    );
}

#[test]
fn c4_a_lost_answer_is_not_replaced_by_an_old_answer() {
    let read_denied = Observation::ReadDenied(unobserved());
    let mut left = written(Permission::Share, TimeDelta::hours(30));
    left.open_intents = unanswered(Permission::Share, TimeDelta::seconds(5)).open_intents;
    let attempts = tried(ShareState::Shared, unclear(995));
    let plan = planned_with(&left, &wanted(SHARED), &read_denied, &attempts, 1_000);
    assert_eq!(plan.decisions[&img_a()].verdict, Verdict::Act);
}

#[test]
fn eligibility_is_requested_only_for_first_shares() {
    let asked = |intent, attempts: &AttemptLog| {
        let plan = planned(
            &wanted(intent),
            &seen(intent == DesiredShare::Unshared, None),
            attempts,
            1000,
        );
        share_candidates(&plan, attempts).len()
    };
    assert_eq!(asked(SHARED, &AttemptLog::default()), 1);
    assert_eq!(asked(SHARED, &tried(ShareState::Shared, unclear(0))), 0);
    assert_eq!(asked(DesiredShare::Unshared, &AttemptLog::default()), 0);
}

/// Checks every row of the truth table at once: for any inputs, at most one call per image follows, and none when the
/// scope was not observed or the image is in the desired state.
#[test]
fn s15_s17_no_forbidden_call_follows_from_any_small_case() {
    let lasts = [
        None,
        Some(acknowledged(0)),
        Some(unclear(0)),
        Some(LastResult::AlreadyShared { request_id: None }),
        Some(LastResult::Blocked(Problem::new("no"))),
        Some(LastResult::Failed(Problem::new("no"))),
    ];
    let eligibilities = [
        None,
        Some(Eligibility::Shareable),
        Some(Eligibility::Absent),
    ];
    let mut cases = 0;
    for intent in [SHARED, DesiredShare::Unshared] {
        for protect in [false, true] {
            for shared in [None, Some(false), Some(true)] {
                for last in &lasts {
                    for eligibility in &eligibilities {
                        for seconds in [0, 5, 500] {
                            let image = DesiredImage {
                                protect,
                                ..wanted(intent)
                            };
                            let observation = shared
                                .map_or(Observation::Unobserved(unobserved()), |s| {
                                    seen(s, eligibility.clone())
                                });
                            let (state, _) = intent.at(chrono::DateTime::UNIX_EPOCH);
                            let attempts = last
                                .clone()
                                .map_or_else(AttemptLog::default, |last| tried(state, last));
                            let plan = planned(&image, &observation, &attempts, seconds);
                            let again = planned(&image, &observation, &attempts, seconds);
                            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
                            let acts = plan.actions().count();
                            let differs = shared
                                .is_some_and(|shared| shared != (state == ShareState::Shared));
                            let guarded = protect && state == ShareState::Unshared;
                            assert!(acts == 0 || (differs && !guarded), "{plan:?}");
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cases, 2 * 2 * 3 * 6 * 3 * 3);
}

#[test]
fn g3_s1_unknown_completeness_withholds_only_what_no_manifest_names() {
    let why = Completeness::Unknown("git is missing; install it".into());
    let until = |days| DesiredShare::Shared {
        from: None,
        until: Some(
            chrono::Utc
                .with_ymd_and_hms(2026, 5, days, 0, 0, 0)
                .unwrap(),
        ),
    };
    let verdict = |named: Option<DesiredShare>, shared, completeness: &Completeness| {
        let image = named.map(wanted);
        let id = img_a();
        let policy = Policy {
            prune: crate::plan::Prune::Exclusive,
            ..Policy::default()
        };
        let plan = plan(&Inputs {
            scope: &tokyo(),
            account: &ScopeAccount::default(),
            desired: &ResolvedScope::by_id(
                Cow::Owned(image.iter().map(|image| (&id, image)).collect()),
                &Selector::default(),
                completeness,
            ),
            observation: &seen(shared, None),
            inventory: &Inventory::default(),
            attempts: &AttemptLog::default(),
            windows: &Windows::default(),
            policy: &policy,
            approved: None,
            clocks: Clocks::machine_only(
                chrono::Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).unwrap(),
            ),
            present: chrono::Utc
                .with_ymd_and_hms(2026, 6, 1, 0, 0, 0)
                .unwrap()
                .into(),
            monotonic: elapsed(0),
        });
        plan.decisions[&id].verdict.clone()
    };
    for (what, named, shared) in [
        ("a SHARE", Some(SHARED), false),
        ("declared unshared", Some(DesiredShare::Unshared), true),
        ("an expiry", Some(until(1)), true),
        ("pruned", None, true),
    ] {
        assert_eq!(
            verdict(named, shared, &Completeness::Whole),
            Verdict::Act,
            "{what}"
        );
        let unknown = verdict(named, shared, &why);
        if named.is_some() {
            assert_eq!(unknown, Verdict::Act, "{what}");
            continue;
        }
        assert!(
            matches!(&unknown, Verdict::Withheld(why) if matches!(**why, Withheld::UnknownManifests(_)))
        );
        let reason = unknown.why_not().expect("a reason");
        assert!(reason.ends_with("git is missing; install it"), "{reason}");
        // A saved plan would not do it later either.
        assert!(!unknown.is_intended());
    }
}

/// The image, shown as a blueprint in the given state.
fn seen_as(state: &str) -> Observation {
    let Observation::Seen(mut seen) = seen(true, None) else {
        panic!("it is seen")
    };
    for blueprint in seen.shared.values_mut() {
        blueprint.state = state.into();
    }
    Observation::Seen(seen)
}

/// An answer that leaves the outcome open.
fn answered(seconds: u64, code: &str) -> LastResult {
    let problem = Problem {
        code: Some(code.into()),
        ..Problem::new(format!("{code}: no"))
    };
    LastResult::Unclear {
        at: elapsed(seconds),
        problem,
    }
}

/// `times` such answers to CANCEL, ten seconds apart.
fn answers(code: &str, times: u64) -> AttemptLog {
    let mut attempts = AttemptLog::default();
    for n in 0..times {
        attempts.record(img_a(), ShareState::Unshared, answered(10 * n, code));
    }
    attempts
}

const GONE: &str = "ResourceNotFound.ImageIdNotFound";
const NOT_SHARED: &str = "UnsupportedOperation.BlueprintHasNotShared";
const UNUSABLE: [&str; 5] = [
    "CREATEFAILED",
    "SYNCING_FAILED",
    "OFFLINE",
    "ISOLATING",
    "ISOLATED",
];

#[test]
fn c13_t4_a_share_counts_once_servers_can_be_started_from_it() {
    let none = AttemptLog::default();
    for state in ["NORMAL", "BRAND_NEW", "", "normal"] {
        let verdict = verdict(SHARED, &seen_as(state), &none, 0);
        assert_eq!(verdict, Verdict::InSync, "{state}");
    }
    match verdict(SHARED, &seen_as("SYNCING"), &none, 0) {
        Verdict::Pending(problem) => assert!(problem.message.contains("not ready yet")),
        other => panic!("{other:?}"),
    }
    for state in UNUSABLE {
        match verdict(SHARED, &seen_as(state), &none, 0) {
            Verdict::Blocked(problem) => {
                assert!(problem.message.contains(state), "{problem}");
                assert_eq!(problem.unmet, Some(UnmetCondition::Usable));
            }
            other => panic!("{state}: {other:?}"),
        }
        let cancel = verdict(DesiredShare::Unshared, &seen_as(state), &none, 0);
        assert_eq!(cancel, Verdict::Act, "{state}");
        // A CANCEL that is still open may remove the share.
        let open = tried(ShareState::Unshared, unclear(0));
        let waits = verdict(SHARED, &seen_as(state), &open, 1);
        assert!(matches!(waits, Verdict::Await { .. }), "{state}: {waits:?}");
    }
}

#[test]
fn t4_a_blueprint_that_outlasts_cancel_and_the_lag_is_left_over() {
    for state in UNUSABLE {
        let attempts = tried(ShareState::Unshared, acknowledged(10));
        let verdict_at =
            |seconds| verdict(DesiredShare::Unshared, &seen_as(state), &attempts, seconds);
        assert!(matches!(verdict_at(129), Verdict::Await { .. }), "{state}");
        match verdict_at(130) {
            Verdict::Blocked(problem) => assert_eq!(problem.unmet, Some(UnmetCondition::Leftover)),
            other => panic!("{state}: {other:?}"),
        }
    }
    // A usable blueprint is worth a second CANCEL.
    let attempts = tried(ShareState::Unshared, acknowledged(10));
    for state in ["NORMAL", "SYNCING", "BRAND_NEW"] {
        let verdict = verdict(DesiredShare::Unshared, &seen_as(state), &attempts, 130);
        assert_eq!(verdict, Verdict::Act, "{state}");
    }
}

#[test]
fn t5_the_answer_no_image_counts_after_two_times() {
    for state in ["NORMAL", "SYNCING_FAILED"] {
        let shown = seen_as(state);
        let once = answers(GONE, 1);
        assert!(matches!(
            verdict(DesiredShare::Unshared, &shown, &once, 9),
            Verdict::Await { .. }
        ));
        assert_eq!(
            verdict(DesiredShare::Unshared, &shown, &once, 10),
            Verdict::Act
        );
        match verdict(DesiredShare::Unshared, &shown, &answers(GONE, 2), 10) {
            Verdict::Blocked(problem) => {
                assert!(problem.message.contains("lhbp-1"), "{problem}");
                assert_eq!(problem.code.as_deref(), Some(GONE));
                assert_eq!(problem.unmet, Some(UnmetCondition::Leftover));
            }
            other => panic!("{other:?}"),
        }
    }
    // A9: if it is gone from the list as well, it is in the desired state.
    let gone = verdict(
        DesiredShare::Unshared,
        &seen(false, None),
        &answers(GONE, 2),
        10,
    );
    assert_eq!(gone, Verdict::InSync);
    // Where reading is denied, a missing stored answer means that the share was ours: its blueprint may be left over.
    let read_denied = Observation::ReadDenied(unobserved());
    match verdict(DesiredShare::Unshared, &read_denied, &answers(GONE, 2), 30) {
        Verdict::Blocked(problem) => assert_eq!(problem.unmet, Some(UnmetCondition::Leftover)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn t4_t5_two_not_shared_answers_are_believed_after_the_read_lag() {
    let twice = answers(NOT_SHARED, 2);
    for state in ["NORMAL", "SYNCING", "BRAND_NEW"] {
        let verdict_at =
            |seconds| verdict(DesiredShare::Unshared, &seen_as(state), &twice, seconds);
        for seconds in [10, 60, 119] {
            assert!(
                matches!(verdict_at(seconds), Verdict::Await { until, .. } if until == elapsed(120))
            );
        }
        assert!(matches!(verdict_at(120), Verdict::Blocked(_)), "{state}");
    }
    for state in UNUSABLE {
        let verdict = verdict(DesiredShare::Unshared, &seen_as(state), &twice, 10);
        assert!(
            matches!(verdict, Verdict::Blocked(_)),
            "{state}: {verdict:?}"
        );
    }
}

#[test]
fn t5_a_repeated_answer_ends_the_retries_by_its_kind() {
    let table = [
        ("FailedOperation.CheckMFAError", 2, false),
        ("FailedOperation", 2, false),
        ("FailedOperation.ImageOperationFailed", 3, true),
        ("FailedOperation.RequestError", 8, true),
        ("InternalError.RequestError", 8, true),
        ("InternalError", 8, true),
    ];
    for (code, most, may_pass) in table {
        let ends = |times| {
            verdict(
                DesiredShare::Unshared,
                &seen(true, None),
                &answers(code, times),
                500,
            )
        };
        assert_eq!(ends(most - 1), Verdict::Act, "{code}");
        match (ends(most), may_pass) {
            (Verdict::Failed(problem), true) | (Verdict::Blocked(problem), false) => {
                assert_eq!(problem.code.as_deref(), Some(code));
            }
            (other, _) => panic!("{code}: {other:?}"),
        }
    }
}

#[test]
fn t5_only_equal_answers_to_one_desired_state_count_in_a_row() {
    let mut attempts = answers(GONE, 1);
    attempts.record(
        img_a(),
        ShareState::Unshared,
        answered(10, "FailedOperation.A"),
    );
    attempts.record(img_a(), ShareState::Unshared, answered(20, GONE));
    let shown = seen(true, None);
    assert_eq!(
        verdict(DesiredShare::Unshared, &shown, &attempts, 30),
        Verdict::Act
    );
    // A lost reply does not count.
    attempts.record(img_a(), ShareState::Unshared, unclear(30));
    assert_eq!(
        verdict(DesiredShare::Unshared, &shown, &attempts, 40),
        Verdict::Act
    );
    attempts.record(img_a(), ShareState::Unshared, answered(40, GONE));
    assert!(matches!(
        verdict(DesiredShare::Unshared, &shown, &attempts, 50),
        Verdict::Blocked(_)
    ));
    // Answers to CANCEL do not count for SHARE; nor for CANCEL after one was acknowledged.
    let mut turned = answers("FailedOperation.A", 1);
    turned.record(
        img_a(),
        ShareState::Shared,
        answered(10, "FailedOperation.A"),
    );
    assert_eq!(
        verdict(SHARED, &seen(false, None), &turned, 20),
        Verdict::Act
    );
    let mut done = answers(GONE, 1);
    done.record(img_a(), ShareState::Unshared, acknowledged(10));
    done.record(img_a(), ShareState::Unshared, answered(200, GONE));
    assert_eq!(
        verdict(DesiredShare::Unshared, &shown, &done, 210),
        Verdict::Act
    );
}

/// The plan at second 500 if no manifest names anything.
fn unnamed(
    observation: &Observation,
    inventory: &Inventory,
    attempts: &AttemptLog,
    prune: Prune,
) -> Plan {
    let policy = Policy {
        prune,
        ..Policy::default()
    };
    plan(&Inputs {
        scope: &tokyo(),
        account: &ScopeAccount::default(),
        desired: &ResolvedScope::by_id(
            Cow::Owned(BTreeMap::new()),
            &Selector::default(),
            &Completeness::Whole,
        ),
        observation,
        inventory,
        attempts,
        windows: &Windows::default(),
        policy: &policy,
        approved: None,
        clocks: Clocks::machine_only(noon()),
        present: noon().into(),
        monotonic: elapsed(500),
    })
}

/// The plan for an image that is shared and that no manifest names, with `--prune exclusive`.
fn pruned(own: OwnImages, attempts: &AttemptLog) -> Plan {
    let Observation::Seen(mut seen) = seen(true, None) else {
        panic!("it is seen")
    };
    seen.own = own;
    let seen = Observation::Seen(seen);
    unnamed(&seen, &Inventory::default(), attempts, Prune::Exclusive)
}

#[test]
fn t8_only_images_known_as_the_accounts_own_are_pruned() {
    let none = AttemptLog::default();
    let withheld = |plan: &Plan| match &plan.decisions[&img_a()].verdict {
        Verdict::Withheld(why) => Withheld::clone(why),
        other => panic!("{other:?}"),
    };
    let draft = pruned(OwnImages::NotAsked, &none);
    assert_eq!(withheld(&draft), Withheld::OwnImagesNotAsked);
    assert!(
        needs_own_images(&draft),
        "then the own images are requested"
    );
    let unknown = pruned(OwnImages::Unknown(Unobserved::new("denied")), &none);
    assert_eq!(
        withheld(&unknown),
        Withheld::OwnImagesUnknown("denied".into())
    );
    let known = pruned(own([img_a()]), &none);
    assert_eq!(known.decisions[&img_a()].verdict, Verdict::Act);
    let other = pruned(own([]), &none);
    assert!(other.decisions.is_empty() && !needs_own_images(&other));
    assert_eq!(other.unmanaged.strays[&img_a()].blueprint, "lhbp-1");
    assert!(!other.is_gone(&img_a()), "the blueprint is still there");
    // An image that this run tried to cancel before it was deleted is reported, and not tried again.
    let tried = pruned(own([]), &answers(GONE, 1));
    assert_eq!(withheld(&tried), Withheld::NotOwnImage);
}
