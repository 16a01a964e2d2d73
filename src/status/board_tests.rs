//! Tests the board: from plans and answers to the transitions that it reports and keeps.

use std::time::Duration;

use super::*;
use crate::attempts::{Problem, UnmetCondition};
use crate::history::WriteResult;
use crate::model::fixtures_tests::{at_minute, image_id, tokyo};
use crate::model::{Cause, ImageKey, Permission, ShareState};
use crate::observation::Unobserved;
use crate::plan::{Actual, Decision, Plan, Unmanaged, Verdict, View, Withheld};

fn decision(desired: ShareState, verdict: Verdict) -> Decision {
    let in_sync = verdict == Verdict::InSync;
    let shared = (desired == ShareState::Shared) == in_sync;
    Decision {
        desired,
        cause: Cause::Declared,
        source: None,
        actual: match verdict {
            Verdict::Unobserved(_) => Actual::Unknown,
            _ if shared => Actual::Shared(Some("lhbp-1".into())),
            _ => Actual::Unshared,
        },
        until: None,
        verdict,
        name: None,
        entry: None,
    }
}

fn plan_of(decision: Decision) -> Plan {
    Plan {
        scope: tokyo(),
        uin: None,
        taken_over: Default::default(),
        aliases: Default::default(),
        view: match &decision.verdict {
            Verdict::Unobserved(unobserved) => View::Unobserved(Unobserved::clone(unobserved)),
            _ => View::Seen,
        },
        prune_skipped: false,
        decisions: BTreeMap::from([(image_id("img-a"), decision)]),
        unmanaged: Unmanaged::default(),
        undocumented_states: Default::default(),
        presumed_unshared: Default::default(),
        loss: None,
        next_change_at: None,
        unresolved: Vec::new(),
        policy_holds: Default::default(),
        in_use: Default::default(),
        resolution: Default::default(),
    }
}

pub(super) fn plan_in(scope: &Scope, verdict: Verdict) -> Plan {
    Plan {
        scope: scope.clone(),
        uin: None,
        taken_over: Default::default(),
        aliases: Default::default(),
        ..plan(verdict)
    }
}

fn plan(verdict: Verdict) -> Plan {
    plan_of(decision(ShareState::Shared, verdict))
}

fn unobserved() -> Verdict {
    Verdict::Unobserved(Box::new(Unobserved::new("down")))
}

/// A board with a scope whose pass has started.
fn board() -> Board {
    let mut board = Board::new(at_minute(0), false);
    board.pass_began(&tokyo(), at_minute(0));
    board
}

/// The board's reports for these plans, made a minute apart.
fn reported(plans: impl IntoIterator<Item = Plan>) -> Vec<(i64, TransitionKind)> {
    let mut board = board();
    let mut reported = Vec::new();
    for (minute, plan) in (0..).zip(plans) {
        let transitions = board.planned(&plan, at_minute(minute));
        reported.extend(transitions.iter().map(|t| (minute, t.kind)));
    }
    reported
}

#[test]
fn drift_from_the_desired_state_is_reported_once() {
    use Verdict::{Act, InSync};
    let verdicts = [InSync, Act, Act, unobserved(), Act, InSync, InSync];
    assert_eq!(
        reported(verdicts.map(plan)),
        [
            (1, TransitionKind::DriftAppeared),
            (5, TransitionKind::DriftResolved)
        ]
    );
}

#[test]
fn a_newly_desired_state_is_not_drift() {
    let asked = [
        decision(ShareState::Shared, Verdict::Act),
        decision(ShareState::Shared, Verdict::InSync),
        decision(ShareState::Unshared, Verdict::Act),
        decision(ShareState::Unshared, Verdict::InSync),
    ];
    assert_eq!(reported(asked.map(plan_of)), []);
}

#[test]
fn each_reason_for_a_block_is_reported_once_and_so_is_its_end() {
    let refused = |code: &str| {
        Verdict::Blocked(Box::new(Problem {
            code: Some(code.into()),
            ..Problem::new("no")
        }))
    };
    let verdicts = [
        refused("UnauthorizedOperation.NoPermission"),
        refused("UnauthorizedOperation.NoPermission"),
        unobserved(),
        refused("UnauthorizedOperation.NoPermission"),
        refused("UnsupportedOperation.ImageUnableToShare"),
        Verdict::Act,
        Verdict::InSync,
    ];
    assert_eq!(
        reported(verdicts.map(plan)),
        [
            (0, TransitionKind::Blocked),
            (4, TransitionKind::Blocked),
            (6, TransitionKind::Unblocked)
        ]
    );
}

#[test]
fn an_image_that_is_still_being_created_is_not_reported() {
    let waits = Verdict::Blocked(Box::new(Problem::unmet(
        UnmetCondition::NotYet,
        "the image is CREATING",
    )));
    let mut board = board();
    assert!(board.planned(&plan(waits), at_minute(0)).is_empty());
    let image = &board.scopes[&tokyo()].images[&image_id("img-a")];
    assert_eq!(image.reason, Reason::WaitingForImage);
    assert_eq!(image.ready.status, Truth::False);
    assert_eq!(image.stalled.status, Truth::False);
    assert_eq!(image.eligible.status, Truth::False);
    assert_eq!(image.drifted.status, Truth::True);
}

#[test]
fn c13_t4_an_unusable_share_is_no_drift_and_waits_or_needs_a_person() {
    let unmet = |unmet| Verdict::Blocked(Box::new(Problem::unmet(unmet, "why")));
    let shared = |verdict| {
        let mut decision = decision(ShareState::Shared, verdict);
        decision.actual = Actual::Shared(Some("lhbp-1".into()));
        plan_of(decision)
    };
    let mut left_over = decision(ShareState::Unshared, unmet(UnmetCondition::Leftover));
    left_over.actual = Actual::Shared(Some("lhbp-1".into()));
    let syncing = Verdict::Pending(Box::new(Problem::new("not ready yet")));
    let table = [
        (
            shared(syncing.clone()),
            Reason::Syncing,
            SyncState::Waiting,
            false,
        ),
        (
            shared(unmet(UnmetCondition::Usable)),
            Reason::BlueprintUnusable,
            SyncState::Blocked,
            false,
        ),
        (
            plan_of(left_over),
            Reason::LeftoverBlueprint,
            SyncState::Blocked,
            true,
        ),
    ];
    for (plan, reason, state, drifted) in table {
        let mut board = board();
        let transitions = board.planned(&plan, at_minute(0));
        let image = &board.scopes[&tokyo()].images[&image_id("img-a")];
        assert_eq!((image.reason, image.sync_state()), (reason, state));
        let is_blocked = state == SyncState::Blocked;
        assert_eq!(image.stalled.holds(), is_blocked, "{reason:?}");
        assert_eq!(image.drifted.holds(), drifted, "{reason:?}");
        assert_eq!(image.eligible.status, Truth::True, "{reason:?}");
        assert!(image.details.is_some(), "{reason:?}");
        assert_eq!(
            transitions.len(),
            usize::from(is_blocked),
            "{transitions:?}"
        );
    }
    let verdicts = [
        Verdict::InSync,
        syncing,
        unmet(UnmetCondition::Usable),
        Verdict::InSync,
    ];
    assert_eq!(
        reported(verdicts.map(shared)),
        [(2, TransitionKind::Blocked), (3, TransitionKind::Unblocked)]
    );
}

#[test]
fn c13_warnings_of_a_scope_last_until_an_observation_has_none() {
    let undocumented_states = || {
        let mut plan = plan(Verdict::InSync);
        let undocumented_states = crate::plan::UndocumentedState {
            blueprint: "lhbp-1".into(),
            state: "BRAND_NEW".into(),
        };
        plan.undocumented_states
            .insert(image_id("img-a"), undocumented_states);
        plan
    };
    let mut board = board();
    let mut warnings = |plan: &Plan, minute| {
        board.planned(plan, at_minute(minute));
        board.scopes[&tokyo()].warnings.len()
    };
    let kept = [
        undocumented_states(),
        plan(unobserved()),
        undocumented_states(),
        plan(Verdict::InSync),
    ];
    let counts: Vec<_> = kept
        .iter()
        .zip(0..)
        .map(|(plan, minute)| warnings(plan, minute))
        .collect();
    assert_eq!(counts, [1, 1, 1, 0], "an unobserved image causes no report");
}

#[test]
fn a_guard_is_reported_once_and_not_cleared_without_observation() {
    let held = || Verdict::Withheld(Box::new(Withheld::PartialManifests));
    let verdicts = [held(), held(), unobserved(), held(), Verdict::InSync];
    assert_eq!(
        reported(verdicts.map(plan)),
        [
            (0, TransitionKind::GuardTripped),
            (4, TransitionKind::GuardCleared)
        ]
    );
}

#[test]
fn conditions_keep_the_time_since_which_they_hold() {
    let mut board = board();
    let verdicts = [Verdict::InSync, Verdict::InSync, Verdict::Act, Verdict::Act];
    for (minute, verdict) in (0..).zip(verdicts) {
        board.planned(&plan(verdict), at_minute(minute));
    }
    let image = &board.scopes[&tokyo()].images[&image_id("img-a")];
    assert_eq!(
        (image.ready.status, image.ready.since),
        (Truth::False, at_minute(2))
    );
    assert_eq!(
        (image.drifted.status, image.drifted.since),
        (Truth::True, at_minute(2))
    );
    assert_eq!(
        (image.stalled.status, image.stalled.since),
        (Truth::False, at_minute(0))
    );
    assert!(image.is_changed_outside());
}

fn passes(verdicts: impl IntoIterator<Item = (Verdict, PassResult)>) -> Vec<(i64, TransitionKind)> {
    let mut board = Board::new(at_minute(0), false);
    let mut reported = Vec::new();
    for (minute, (verdict, result)) in (0..).zip(verdicts) {
        board.pass_began(&tokyo(), at_minute(minute));
        board.planned(&plan(verdict), at_minute(minute));
        let idle = Activity::Idle {
            next: at_minute(99),
        };
        let took = Duration::from_secs(1);
        let transitions = board.pass_ended(&tokyo(), result, took, idle, at_minute(minute));
        reported.extend(transitions.iter().map(|t| (minute, t.kind)));
    }
    reported
}

#[test]
fn three_failed_passes_are_reported_and_one_lost_page_is_not() {
    use PassResult::{Stopped, Synced, Unobserved};
    let lost = || (unobserved(), Unobserved);
    let fine = || (Verdict::InSync, Synced);
    assert_eq!(passes([fine(), lost(), fine(), lost(), lost(), fine()]), []);
    let stopped = || (unobserved(), Stopped);
    assert_eq!(
        passes([lost(), lost(), stopped(), lost(), lost(), stopped(), fine()]),
        [(3, TransitionKind::Stalled), (6, TransitionKind::Recovered)]
    );
}

#[test]
fn a_broken_account_is_reported_at_once() {
    let broken = || {
        let unobserved = Unobserved {
            account_broken: true,
            ..Unobserved::new("the key does not work")
        };
        (
            Verdict::Unobserved(Box::new(unobserved)),
            PassResult::Unobserved,
        )
    };
    let fine = (Verdict::InSync, PassResult::Synced);
    assert_eq!(
        passes([broken(), broken(), fine]),
        [(0, TransitionKind::Stalled), (2, TransitionKind::Recovered)]
    );
}

#[test]
fn a_share_that_ends_is_reported_once_until_its_end_is_moved() {
    let mut board = board();
    let ends = |until| {
        plan_of(Decision {
            until: Some(until),
            ..decision(ShareState::Shared, Verdict::InSync)
        })
    };
    let hour = Duration::from_secs(3600);
    let mut reported = |plan: &Plan, now| {
        board.planned(plan, now);
        board.report_expiring(&tokyo(), hour, now).len()
    };
    assert_eq!(reported(&ends(at_minute(90)), at_minute(0)), 0);
    assert_eq!(reported(&ends(at_minute(90)), at_minute(30)), 1);
    assert_eq!(reported(&ends(at_minute(90)), at_minute(31)), 0);
    assert_eq!(reported(&ends(at_minute(95)), at_minute(50)), 1);
}

#[test]
fn s21_the_recent_events_on_the_board_are_bounded() {
    let mut board = board();
    for minute in 0..1000 {
        let verdict = if minute % 2 == 0 {
            Verdict::InSync
        } else {
            Verdict::Act
        };
        board.planned(&plan(verdict), at_minute(minute));
        board.answered(Change {
            at: at_minute(minute),
            key: ImageKey {
                scope: tokyo(),
                image: image_id("img-a"),
            },
            permission: Permission::Share,
            cause: Cause::Declared,
            result: WriteResult::Applied,
            code: None,
            message: None,
            request_id: None,
            source: None,
        });
    }
    assert_eq!(board.transitions.len(), RECENT_MAX);
    assert_eq!(board.changes.len(), RECENT_MAX);
    let applied = &board.account_totals[&AccountName::default()].applied;
    assert_eq!(applied.len(), 1);
    assert_eq!(applied[&(Permission::Share, Cause::Declared)], 1000);
}

#[test]
fn readiness_needs_a_try_for_every_scope_and_one_observation() {
    let mut board = Board::new(at_minute(0), false);
    let problem = "manifests: holds no manifests".to_owned();
    board.manifests_failed(vec![problem.clone()], at_minute(0));
    let reasons = board.ready().expect_err("no manifests");
    assert!(reasons[0].contains(&problem), "{reasons:?}");
    board.add_scopes([tokyo()].iter());
    board.manifests_loaded(LoadedManifests::default(), at_minute(0));
    board.pass_began(&tokyo(), at_minute(1));
    let reasons = board.ready().expect_err("not observed");
    assert_eq!(reasons, ["default/ap-tokyo: not observed yet"]);
    let mut ended = |verdict, activity, result| {
        board.planned(&plan(verdict), at_minute(2));
        board.pass_ended(&tokyo(), result, Duration::ZERO, activity, at_minute(2));
        (board.alive(), board.ready())
    };
    let idle = || Activity::Idle {
        next: at_minute(99),
    };
    let (alive, ready) = ended(Verdict::InSync, idle(), PassResult::Synced);
    assert_eq!((alive, ready), (Ok(()), Ok(())));
    // Reported once, even if it is found several times.
    let mut lost = Board::new(at_minute(0), false);
    for (times, now) in [(1, at_minute(3)), (0, at_minute(4))] {
        let transitions = lost.state_lost("the state was removed".into(), now);
        assert_eq!(transitions.len(), times);
        assert_eq!(lost.alive(), Err("the state was removed".to_owned()));
    }
    let (alive, ready) = ended(unobserved(), idle(), PassResult::Unobserved);
    assert_eq!(alive, Ok(()));
    assert_eq!(
        ready.expect_err("nothing is observed"),
        ["default/ap-tokyo: not observed: down"]
    );
    let halted = Activity::Halted {
        why: "a fault".into(),
    };
    let (alive, ready) = ended(Verdict::InSync, halted, PassResult::Panicked);
    assert_eq!(alive, Err("default/ap-tokyo: a fault".into()));
    assert!(ready.is_err());
}

#[test]
fn reports_end_when_no_manifest_names_their_subject() {
    let refused = Verdict::Blocked(Box::new(Problem::new("no")));
    let nothing = Plan {
        decisions: BTreeMap::new(),
        ..plan(Verdict::InSync)
    };
    let plans = [
        plan(Verdict::InSync),
        plan(Verdict::Act),
        plan(refused),
        nothing.clone(),
        nothing,
    ];
    assert_eq!(
        reported(plans),
        [
            (1, TransitionKind::DriftAppeared),
            (2, TransitionKind::Blocked),
            (3, TransitionKind::DriftResolved),
            (3, TransitionKind::Unblocked)
        ]
    );
    let mut board = board();
    board.planned(
        &plan(Verdict::Withheld(Box::new(Withheld::PartialManifests))),
        at_minute(1),
    );
    let kinds =
        |reported: Vec<Transition>| reported.into_iter().map(|t| t.kind).collect::<Vec<_>>();
    assert_eq!(kinds(board.retain_scopes(|_| true, at_minute(2))), []);
    assert_eq!(
        kinds(board.retain_scopes(|_| false, at_minute(3))),
        [TransitionKind::GuardCleared]
    );
    // A pass that was in progress does not report any of it again.
    assert!(board.planned(&plan(Verdict::Act), at_minute(4)).is_empty());
    assert!(board.scopes.is_empty());
}

/// A plan with an entry whose name matches no image, and with a policy that is held.
fn unsettled() -> Plan {
    let entry = crate::desired::DesiredImage {
        share: crate::desired::DesiredShare::Unshared,
        protect: false,
        source: crate::desired::Source {
            file: "a.yaml".into(),
            line: 3,
        },
        document: Default::default(),
        name: None,
        note: None,
        bounds: None,
        other_labels: Vec::new(),
    };
    let name = crate::model::ImageName::new("golden-1").expect("a name");
    Plan {
        unresolved: vec![crate::resolve::UnresolvedName {
            name,
            entry,
            images: Default::default(),
            last_meaning: None,
            kind: crate::resolve::NameProblem::Missing,
            problem: "no image here".into(),
        }],
        policy_holds: [("golden".into(), "a pin is missing".into())].into(),
        ..plan(Verdict::InSync)
    }
}

#[test]
fn findings_last_until_an_observation_is_without_them() {
    let mut board = board();
    let mut found = |plan: &Plan, minute| {
        board.planned(plan, at_minute(minute));
        let findings = board.scopes[&tokyo()].findings.iter();
        let found = findings.map(|finding| (finding.kind.as_str(), finding.since));
        (found.collect::<Vec<_>>(), board.summary())
    };
    let both = [
        ("unresolved_name", at_minute(1)),
        ("policy_hold", at_minute(1)),
    ];
    let (first, summary) = found(&unsettled(), 1);
    assert_eq!(first, both);
    assert!(
        summary.contains("2 names or policies need a person"),
        "{summary}"
    );
    assert_eq!(
        found(&plan(unobserved()), 2).0,
        both,
        "an unobserved scope causes no report"
    );
    assert_eq!(
        found(&unsettled(), 3).0,
        both,
        "the time when it was found stays"
    );
    let (none, summary) = found(&plan(Verdict::InSync), 4);
    assert_eq!(none, []);
    assert!(!summary.contains("need"), "{summary}");
}

#[test]
fn retention_that_waits_normally_is_no_drift_and_needs_no_person() {
    let kept = Decision {
        cause: Cause::Retention,
        actual: Actual::Shared(Some("lhbp-1".into())),
        ..decision(
            ShareState::Unshared,
            Verdict::Withheld(Withheld::InUse(vec!["lhins-1".into()]).into()),
        )
    };
    let mut board = board();
    assert_eq!(board.planned(&plan_of(kept), at_minute(1)), []);
    let counts = board.scopes[&tokyo()].counts();
    assert_eq!((counts.withheld, counts.drifted, counts.stalled), (1, 0, 0));
}

#[test]
fn an_images_name_stays_until_an_observation_shows_another() {
    let mut board = board();
    let key = ImageKey {
        scope: tokyo(),
        image: image_id("img-a"),
    };
    let named = Decision {
        name: Some("golden-1".into()),
        ..decision(ShareState::Shared, Verdict::InSync)
    };
    board.planned(&plan_of(named), at_minute(1));
    assert_eq!(board.image_name(&key), Some("golden-1"));
    board.planned(&plan(unobserved()), at_minute(2));
    assert_eq!(board.image_name(&key), Some("golden-1"));
    board.planned(&plan(Verdict::InSync), at_minute(3));
    assert_eq!(board.image_name(&key), None);
}

/// The states, reasons and numbers of images that need a person under these plans, made a minute apart.
fn stands(plans: impl IntoIterator<Item = Plan>) -> Vec<(SyncState, Reason, usize)> {
    let mut board = board();
    let plans = (0..).zip(plans);
    plans
        .map(|(minute, plan)| {
            board.planned(&plan, at_minute(minute));
            let status = &board.scopes[&tokyo()];
            let image = &status.images[&image_id("img-a")];
            (image.sync_state(), image.reason, status.counts().stalled)
        })
        .collect()
}

fn awaits(reason: crate::plan::Awaiting) -> Verdict {
    Verdict::Await {
        until: crate::model::Monotonic::default(),
        reason: Box::new(reason),
    }
}

#[test]
fn r2_a_verdict_lasts_through_retries_until_another_one() {
    use crate::plan::Awaiting::{Outcome, OwnWrite};
    let failed = |code: &str| {
        Verdict::Failed(Box::new(Problem {
            code: Some(code.into()),
            ..Problem::new("no")
        }))
    };
    let denied = Problem {
        code: Some("UnauthorizedOperation.NoPermission".into()),
        ..Problem::new("no")
    };
    let left_over = Problem::unmet(UnmetCondition::Leftover, "left over");
    let pause = crate::attempts::WritePause::of_scope(denied.clone());
    let table = [
        (failed("InternalError"), Reason::Failed, 1),
        (failed("RequestLimitExceeded"), Reason::Throttled, 0),
        (
            failed("UnsupportedOperation.ImageOccupied"),
            Reason::ImageOccupied,
            0,
        ),
        (Verdict::Blocked(Box::new(denied)), Reason::NoPermission, 1),
        (
            Verdict::Blocked(Box::new(left_over)),
            Reason::LeftoverBlueprint,
            1,
        ),
        (Verdict::NotTried(Box::new(pause)), Reason::NotTried, 1),
    ];
    for (verdict, reason, stalled) in table {
        let again = [
            Verdict::Act,
            awaits(Outcome(Problem::new("?"))),
            awaits(OwnWrite),
        ];
        let plans = [verdict.clone()].into_iter().chain(again);
        let plans = plans.chain([verdict, Verdict::InSync, Verdict::Act]);
        let blocked = (SyncState::Blocked, reason, stalled);
        assert_eq!(
            stands(plans.map(plan)),
            [
                blocked,
                blocked,
                blocked,
                blocked,
                blocked,
                (SyncState::InSync, Reason::Shared, 0),
                (SyncState::Pending, Reason::Pending, 0),
            ]
        );
    }
}

#[test]
fn r2_a_block_ends_when_an_observation_shows_its_end() {
    let unmet = |unmet| Verdict::Blocked(Box::new(Problem::unmet(unmet, "why")));
    let withheld = Verdict::Withheld(Box::new(Withheld::Protected));
    let pending = (SyncState::Pending, Reason::Pending, 0);
    for verdict in [
        unmet(UnmetCondition::Absent),
        unmet(UnmetCondition::Never),
        unmet(UnmetCondition::NotYet),
        unmet(UnmetCondition::Usable),
        withheld,
    ] {
        assert_eq!(stands([verdict, Verdict::Act].map(plan))[1], pending);
    }
    // Another state is desired now, and nothing is known about it yet.
    let failed = Verdict::Failed(Box::new(Problem::new("no")));
    let turned = [
        decision(ShareState::Shared, failed),
        decision(ShareState::Unshared, Verdict::Act),
    ];
    assert_eq!(stands(turned.map(plan_of))[1], pending);
}

#[test]
fn r2_a_guard_that_awaits_an_observation_is_not_reported_again() {
    use crate::plan::Awaiting::{Loss, Regions};
    let held = || Verdict::Withheld(Box::new(Withheld::PartialManifests));
    let verdicts = || {
        let again = [awaits(Loss("lost".into())), held(), awaits(Regions), held()];
        [held()].into_iter().chain(again)
    };
    let tripped = (SyncState::Withheld, Reason::GuardTripped, 1);
    assert_eq!(stands(verdicts().map(plan)), [tripped; 5]);
    assert_eq!(
        reported(verdicts().map(plan)),
        [(0, TransitionKind::GuardTripped)]
    );
}

#[test]
fn r2_untried_writes_are_due_again_after_a_permitted_write() {
    let mut board = board();
    let pause = crate::attempts::WritePause::of_scope(Problem::new("denied"));
    let states = |board: &Board| board.scopes[&tokyo()].images[&image_id("img-a")].sync_state();
    let permitted = |board: &mut Board, result| {
        board.answered(Change {
            at: at_minute(3),
            key: ImageKey {
                scope: tokyo(),
                image: image_id("img-b"),
            },
            permission: Permission::Share,
            cause: Cause::Declared,
            result,
            code: None,
            message: None,
            request_id: None,
            source: None,
        });
    };
    board.planned(&plan(Verdict::NotTried(Box::new(pause))), at_minute(1));
    board.pass_began(&tokyo(), at_minute(2));
    board.planned(&plan(Verdict::Act), at_minute(2));
    permitted(&mut board, WriteResult::Rejected);
    assert_eq!(states(&board), SyncState::Blocked);
    permitted(&mut board, WriteResult::Applied);
    assert_eq!(states(&board), SyncState::Pending);
    board.planned(&plan(Verdict::Act), at_minute(4));
    assert_eq!(states(&board), SyncState::Pending);
    assert_eq!(board.scopes[&tokyo()].counts().stalled, 0);
}
