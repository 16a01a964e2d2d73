//! Each row of the truth table in `decide`, the rows of `read_denied`, and all small cases at once.

use super::*;

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
