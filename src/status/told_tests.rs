//! Tests that reports outlive the process: none is repeated, and each end is reported.

use std::sync::Arc;
use std::time::Duration;

use super::super::tests::plan_in;
use super::*;
use crate::attempts::{Problem, UnmetCondition};
use crate::model::fixtures_tests::{at_minute, scope, tokyo};
use crate::observation::Unobserved;
use crate::plan::{Plan, Verdict, Withheld};
use crate::status::{Activity, PassResult};

fn blocked_by(unmet: UnmetCondition) -> Verdict {
    Verdict::Blocked(Box::new(Problem {
        message: "it cannot be shared".into(),
        code: None,
        request_id: None,
        remedy: None,
        unmet: Some(unmet),
    }))
}

fn blocked() -> Verdict {
    blocked_by(UnmetCondition::Never)
}

fn unseen() -> Verdict {
    Verdict::Unobserved(Box::new(Unobserved::new("down")))
}

fn held() -> Verdict {
    Verdict::Withheld(Box::new(Withheld::PartialManifests))
}

fn plan(verdict: Verdict) -> Plan {
    plan_in(&tokyo(), verdict)
}

/// A plan without images, for a scope that was observed or not.
fn without_images(verdict: Verdict) -> Plan {
    let mut plan = plan(verdict);
    plan.decisions.clear();
    plan
}

/// A process that has read earlier reports and has loaded manifests that name these scopes.
fn started(told: &Told, scopes: &[Scope]) -> (Board, Vec<(TransitionKind, String)>) {
    let mut board = Board::new(at_minute(0), false);
    board.remember(Told::from_json(&told.to_json()).expect("ours"));
    let mut new = board.retain_scopes(|scope| scopes.contains(scope), at_minute(1));
    board.add_scopes(scopes.iter());
    new.extend(board.end_unnamed(at_minute(1)));
    new.extend(board.manifests_loaded(Default::default(), at_minute(1)));
    (board, told_of(new))
}

fn told_of(transitions: Vec<Transition>) -> Vec<(TransitionKind, String)> {
    let one = |transition: Transition| (transition.kind, transition.subject.to_string());
    transitions.into_iter().map(one).collect()
}

fn planned(board: &mut Board, plan: &Plan) -> Vec<TransitionKind> {
    board.pass_began(&plan.scope, at_minute(2));
    let new = board.planned(plan, at_minute(2));
    new.into_iter().map(|transition| transition.kind).collect()
}

fn passed(board: &mut Board, scope: &Scope, result: PassResult) -> Vec<TransitionKind> {
    let idle = Activity::Idle {
        next: at_minute(99),
    };
    let new = board.pass_ended(scope, result, Duration::from_secs(1), idle, at_minute(3));
    new.into_iter().map(|transition| transition.kind).collect()
}

fn expiring(verdict: Verdict, minute: i64) -> Plan {
    let mut plan = plan(verdict);
    for decision in plan.decisions.values_mut() {
        decision.until = Some(at_minute(minute));
    }
    plan
}

const NONE: [TransitionKind; 0] = [];

#[test]
fn g9_a_restart_repeats_no_report_and_reports_each_end() {
    use TransitionKind::{
        Blocked, DriftAppeared, DriftResolved, GuardCleared, GuardTripped, Unblocked,
    };
    for (first, kind, end) in [
        (vec![blocked()], Blocked, Unblocked),
        (
            vec![Verdict::InSync, Verdict::Act],
            DriftAppeared,
            DriftResolved,
        ),
        (vec![held()], GuardTripped, GuardCleared),
    ] {
        let (mut board, _) = started(&Told::default(), &[tokyo()]);
        let mut new = Vec::new();
        for verdict in &first {
            new.extend(planned(&mut board, &plan(verdict.clone())));
        }
        assert_eq!(new, [kind]);
        // Many restarts, with and without an observation.
        let last = first.last().expect("one").clone();
        for verdicts in [
            vec![],
            vec![unseen()],
            vec![last.clone()],
            vec![unseen(), last.clone()],
        ] {
            let (next, ended) = started(&board.told(), &[tokyo()]);
            assert_eq!(ended, []);
            board = next;
            for verdict in verdicts {
                assert_eq!(planned(&mut board, &plan(verdict)), NONE, "{kind:?}");
            }
        }
        for (now, expected) in [
            (plan(Verdict::InSync), vec![end]),
            (without_images(Verdict::InSync), vec![end]),
            (without_images(unseen()), vec![]),
        ] {
            let (mut board, _) = started(&board.told(), &[tokyo()]);
            assert_eq!(planned(&mut board, &now), expected, "{kind:?}");
            let (mut again, ended) = started(&board.told(), &[tokyo()]);
            assert_eq!(ended, []);
            let last = planned(&mut again, &plan(Verdict::InSync));
            assert_eq!(
                last.is_empty(),
                !expected.is_empty(),
                "{kind:?}: the end is reported once"
            );
        }
        // No manifest names the account and region any longer.
        let (gone, ended) = started(&board.told(), &[scope("ap-seoul")]);
        assert_eq!(
            ended.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
            [end]
        );
        assert_eq!(gone.told(), Told::default());
    }
}

#[test]
fn g9_another_reason_is_reported_and_the_same_expiry_is_not() {
    let (mut board, _) = started(&Told::default(), &[tokyo()]);
    assert_eq!(
        planned(&mut board, &plan(blocked())),
        [TransitionKind::Blocked]
    );
    let (mut board, _) = started(&board.told(), &[tokyo()]);
    let other = blocked_by(UnmetCondition::Absent);
    assert_eq!(planned(&mut board, &plan(other)), [TransitionKind::Blocked]);

    let day = Duration::from_secs(86_400);
    let report = |board: &mut Board| board.report_expiring(&tokyo(), day, at_minute(2)).len();
    let (mut board, _) = started(&Told::default(), &[tokyo()]);
    planned(&mut board, &expiring(Verdict::InSync, 60));
    assert_eq!(report(&mut board), 1);
    for (minute, count) in [(60, 0), (61, 1)] {
        let (mut next, _) = started(&board.told(), &[tokyo()]);
        planned(&mut next, &expiring(unseen(), minute));
        planned(&mut next, &expiring(Verdict::InSync, minute));
        assert_eq!(report(&mut next), count, "{minute}");
    }
}

#[test]
fn g9_stalls_of_scopes_accounts_and_manifests_outlive_a_restart() {
    use TransitionKind::{Recovered, Stalled};
    let broken = || {
        Verdict::Unobserved(Box::new(Unobserved {
            account_broken: true,
            ..Unobserved::new("no key")
        }))
    };
    for (verdict, passes) in [(broken(), 1), (unseen(), 3)] {
        let (mut board, _) = started(&Told::default(), &[tokyo()]);
        let mut new = Vec::new();
        for _ in 0..passes {
            planned(&mut board, &plan(verdict.clone()));
            new.extend(passed(&mut board, &tokyo(), PassResult::Unobserved));
        }
        assert_eq!(new, [Stalled]);
        let (mut board, ended) = started(&board.told(), &[tokyo()]);
        assert_eq!(ended, []);
        for _ in 0..4 {
            planned(&mut board, &plan(verdict.clone()));
            assert_eq!(passed(&mut board, &tokyo(), PassResult::Unobserved), NONE);
        }
        let (mut board, _) = started(&board.told(), &[tokyo()]);
        planned(&mut board, &plan(Verdict::InSync));
        assert_eq!(
            passed(&mut board, &tokyo(), PassResult::Synced),
            [Recovered]
        );
        assert_eq!(board.told(), Told::default());
    }
    let mut board = Board::new(at_minute(0), false);
    assert_eq!(
        told_of(board.manifests_failed(vec!["no".into()], at_minute(1))).len(),
        1
    );
    let told = board.told();
    let mut board = Board::new(at_minute(0), false);
    board.remember(told.clone());
    assert_eq!(
        told_of(board.manifests_failed(vec!["no".into()], at_minute(1))),
        []
    );
    assert_eq!(board.told(), told);
    let (board, ended) = started(&told, &[tokyo()]);
    assert_eq!(ended, [(Recovered, "manifests".to_owned())]);
    assert_eq!(board.told(), Told::default());
}

#[test]
fn g9_a_denied_account_recovers_after_all_scopes_were_observed() {
    let told = Told {
        denied_accounts: BTreeSet::from([AccountName::default()]),
        ..Told::default()
    };
    let (mut board, _) = started(&told, &[tokyo(), scope("ap-seoul")]);
    for (at, new) in [
        ("ap-tokyo", vec![]),
        ("ap-seoul", vec![TransitionKind::Recovered]),
    ] {
        planned(&mut board, &plan_in(&scope(at), Verdict::InSync));
        assert_eq!(passed(&mut board, &scope(at), PassResult::Synced), new);
    }
}

#[test]
fn g9_stored_reports_are_bounded_and_foreign_texts_refused() {
    for (text, error) in [
        ("", ToldError::Foreign),
        ("{}", ToldError::Foreign),
        ("[1]", ToldError::Foreign),
        (
            r#"{"format":"other","format_version":1}"#,
            ToldError::Foreign,
        ),
        (
            r#"{"format":"sharekeeper-told","format_version":1}"#,
            ToldError::Foreign,
        ),
        (
            r#"{"format":"sharekeeper-told","format_version":2}"#,
            ToldError::Newer,
        ),
    ] {
        assert_eq!(Told::from_json(text), Err(error), "{text}");
    }
    let key = |number: usize| ImageKey {
        scope: tokyo(),
        image: ImageId::new(&format!("img-{number:06}")).expect("an id"),
    };
    let reported = Reported {
        changed_outside: true,
        block: Some(Reason::ImageInUse),
        expiry: Some(at_minute(7)),
    };
    let told = Told {
        images: (0..IMAGES_MAX + 5).map(|n| (key(n), reported)).collect(),
        manifests: true,
        ..Told::default()
    };
    let text = told.to_json();
    assert!(text.len() < 3 << 20, "{}", text.len());
    let read = Told::from_json(&text).expect("ours");
    assert_eq!(read.images.len(), IMAGES_MAX);
    assert_eq!(read.images[&key(3)], reported);
    let unknown = text.replace("ImageInUse", "NoSuchReason");
    let read = Told::from_json(&unknown).expect("ours");
    assert_eq!(read.images[&key(3)].block, None);
}

#[test]
fn c12_unobserved_pruned_and_resolved_images_cause_no_report() {
    use TransitionKind::{Blocked, Unblocked};
    let (mut board, _) = started(&Told::default(), &[tokyo()]);
    assert_eq!(planned(&mut board, &plan(blocked())), [Blocked]);
    for _ in 0..3 {
        assert_eq!(planned(&mut board, &without_images(unseen())), NONE);
        let images = &board.scopes()[&tokyo()].images;
        let reasons: Vec<_> = images.values().map(|image| image.reason).collect();
        assert_eq!(reasons, [Reason::NotObserved]);
        assert_eq!(planned(&mut board, &plan(blocked())), NONE);
    }
    let mut denied = without_images(unseen());
    denied.view = crate::plan::View::ReadDenied(Unobserved::new("denied"));
    assert_eq!(planned(&mut board, &denied), NONE);
    assert_eq!(
        planned(&mut board, &without_images(Verdict::InSync)),
        [Unblocked]
    );
    // An image that denied reading never shows does not stay forever.
    assert_eq!(planned(&mut board, &plan(Verdict::InSync)), NONE);
    for image in
        Arc::make_mut(&mut Arc::make_mut(board.scopes.get_mut(&tokyo()).expect("one")).images)
            .values_mut()
    {
        image.source = Some(crate::desired::Source {
            file: "a.yaml".into(),
            line: 1,
        });
    }
    assert_eq!(planned(&mut board, &denied), NONE);
    assert!(board.scopes()[&tokyo()].images.is_empty());
}
