//! What the API answers to CANCEL again and again, and blueprints that no server can be started from.

use super::*;

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
