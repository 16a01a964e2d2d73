//! Writes of an earlier process that its inventory remembers: which are awaited, and for how long they count.

use super::*;

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
