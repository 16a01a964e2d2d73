//! Tests the reports about scopes and accounts over several passes.

use std::time::Duration;

use super::super::tests::plan_in;
use super::*;
use crate::attempts::{Problem, WritePause};
use crate::model::fixtures_tests::{at_minute, scope};
use crate::plan::Verdict;

const REGIONS: [&str; 3] = ["ap-tokyo", "ap-seoul", "ap-bangkok"];

/// The result that a pass finds in a scope.
#[derive(Clone, Copy)]
enum Finding {
    Fine,
    Lost,
    Broken,
    Interrupted,
}
use Finding::{Broken, Fine, Interrupted, Lost};

struct Daemon {
    board: Board,
    minute: i64,
}

impl Daemon {
    fn new() -> Self {
        Self {
            board: Board::new(at_minute(0), false),
            minute: 0,
        }
    }

    fn began(&mut self, region: &str) {
        self.board
            .pass_began(&scope(region), at_minute(self.minute));
    }

    /// Ends a pass, and returns the reports.
    fn ended(&mut self, region: &str, finding: Finding) -> Vec<String> {
        let unobserved = |account_broken| {
            Verdict::Unobserved(Box::new(Unobserved {
                account_broken,
                ..Unobserved::new("why")
            }))
        };
        let (verdict, result) = match finding {
            Fine => (Verdict::InSync, PassResult::Synced),
            Lost => (unobserved(false), PassResult::Unobserved),
            Broken => (unobserved(true), PassResult::Unobserved),
            Interrupted => (unobserved(false), PassResult::Stopped),
        };
        let (scope, now) = (scope(region), at_minute(self.minute));
        self.board.planned(&plan_in(&scope, verdict), now);
        let idle = Activity::Idle {
            next: at_minute(999),
        };
        let transitions = self
            .board
            .pass_ended(&scope, result, Duration::ZERO, idle, now);
        lines(&transitions)
    }

    /// Runs passes over all regions in parallel, a minute later.
    fn round(&mut self, finding: Finding) -> Vec<String> {
        self.minute += 1;
        REGIONS.iter().for_each(|region| self.began(region));
        let mut reported = Vec::new();
        for region in REGIONS {
            reported.extend(self.ended(region, finding));
        }
        reported
    }

    fn stalled(&self) -> usize {
        let scopes = self.board.scopes.values();
        scopes.filter(|status| status.is_stalled()).count()
    }
}

fn lines(transitions: &[Transition]) -> Vec<String> {
    let lines = transitions.iter();
    lines
        .map(|transition| format!("{} {}", transition.kind.as_str(), transition.subject))
        .collect()
}

#[test]
fn c9_a_broken_account_is_reported_once_for_all_regions_and_rounds() {
    let mut daemon = Daemon::new();
    assert!(daemon.round(Fine).is_empty());
    assert_eq!(daemon.round(Broken), ["stalled account default"]);
    for _ in 0..10 {
        assert!(daemon.round(Broken).is_empty());
        assert_eq!(daemon.stalled(), REGIONS.len());
    }
    assert_eq!(daemon.round(Fine), ["recovered account default"]);
    assert!(daemon.round(Fine).is_empty());
    assert_eq!(daemon.stalled(), 0);
    assert_eq!(daemon.round(Broken), ["stalled account default"]);
}

#[test]
fn a_pass_from_before_the_break_does_not_prove_a_recovery() {
    let mut daemon = Daemon::new();
    let [tokyo, seoul, _] = REGIONS;
    daemon.began(tokyo);
    daemon.began(seoul);
    assert_eq!(daemon.ended(tokyo, Broken), ["stalled account default"]);
    assert!(daemon.ended(seoul, Fine).is_empty());
    assert!(daemon.round(Broken).is_empty());
    daemon.began(seoul);
    assert_eq!(daemon.ended(seoul, Fine), ["recovered account default"]);
}

#[test]
fn a_network_failure_is_reported_only_after_the_account_works() {
    let mut daemon = Daemon::new();
    let [tokyo, seoul, _] = REGIONS;
    assert_eq!(daemon.round(Broken).len(), 1);
    for _ in 0..5 {
        assert!(daemon.round(Lost).is_empty());
    }
    daemon.began(tokyo);
    assert_eq!(daemon.ended(tokyo, Fine), ["recovered account default"]);
    daemon.began(seoul);
    assert_eq!(
        daemon.ended(seoul, Lost),
        ["stalled default/ap-seoul"],
        "it has been lost for long, independently of the account"
    );
    daemon.began(seoul);
    assert!(daemon.ended(seoul, Interrupted).is_empty());
    daemon.began(seoul);
    assert_eq!(daemon.ended(seoul, Fine), ["recovered default/ap-seoul"]);
}

#[test]
fn a_stalled_region_of_a_broken_account_recovers_when_observed() {
    let mut daemon = Daemon::new();
    let [tokyo, ..] = REGIONS;
    for _ in 0..2 {
        assert!(daemon.round(Lost).is_empty());
    }
    assert_eq!(daemon.round(Lost).len(), REGIONS.len());
    assert_eq!(daemon.round(Broken), ["stalled account default"]);
    daemon.began(tokyo);
    assert_eq!(
        daemon.ended(tokyo, Fine),
        ["recovered account default", "recovered default/ap-tokyo"]
    );
}

#[test]
fn l4_a_missing_service_role_is_reported_once_for_all_images() {
    let refused = |code: &str| {
        Verdict::Blocked(Box::new(Problem {
            code: Some(code.into()),
            ..Problem::new("no")
        }))
    };
    let mut board = Board::new(at_minute(0), false);
    REGIONS
        .iter()
        .for_each(|region| board.pass_began(&scope(region), at_minute(0)));
    let mut planned = |region: &str, verdict: Verdict| {
        lines(&board.planned(&plan_in(&scope(region), verdict), at_minute(1)))
    };
    let missing = || refused("ResourceNotFound.RoleNotFound");
    let [tokyo, seoul, bangkok] = REGIONS;
    assert_eq!(planned(tokyo, missing()), ["blocked account default"]);
    for region in REGIONS {
        assert!(planned(region, missing()).is_empty());
    }
    assert_eq!(
        planned(seoul, Verdict::InSync),
        ["unblocked account default"]
    );
    assert!(planned(tokyo, Verdict::Act).is_empty());
    assert!(planned(tokyo, Verdict::InSync).is_empty());
    assert_eq!(
        planned(bangkok, refused("UnauthorizedOperation.NoPermission")),
        ["blocked default/ap-bangkok/img-a"],
        "a problem of an image is reported for the image"
    );
}

#[test]
fn an_account_without_scopes_is_forgotten() {
    let mut daemon = Daemon::new();
    assert_eq!(daemon.round(Broken).len(), 1);
    let over = daemon.board.retain_scopes(|_| false, at_minute(9));
    let over: Vec<_> = over
        .iter()
        .map(|transition| (transition.kind, transition.subject.to_string()))
        .collect();
    assert_eq!(
        over,
        [(TransitionKind::Recovered, "account default".to_owned())]
    );
    assert!(daemon.board.broken_accounts.is_empty());
    assert!(daemon.round(Fine).is_empty());
}

/// Plans three denied images, or leaves all but the refused one untried, and ends the pass.
fn denied(
    board: &mut Board,
    region: &str,
    pause: Option<WritePause>,
    result: PassResult,
) -> Vec<String> {
    let code = Some("UnauthorizedOperation.NoPermission".to_owned());
    let problem = || Problem {
        code: code.clone(),
        ..Problem::new("no")
    };
    let mut plan = plan_in(&scope(region), Verdict::Blocked(Box::new(problem())));
    let (_, first) = plan.decisions.first_key_value().expect("one");
    let mut second = first.clone();
    if let Some(mut pause) = pause {
        pause.problem = problem();
        second.verdict = Verdict::NotTried(Box::new(pause));
    }
    let image = crate::model::ImageId::new("img-b").expect("an id");
    plan.decisions.insert(image, second);
    board.pass_began(&scope(region), at_minute(0));
    let mut transitions = board.planned(&plan, at_minute(1));
    let idle = Activity::Idle {
        next: at_minute(999),
    };
    transitions.extend(board.pass_ended(
        &scope(region),
        result,
        Duration::ZERO,
        idle,
        at_minute(1),
    ));
    lines(&transitions)
}

fn permitted(board: &mut Board, region: &str) {
    board.answered(crate::status::Change {
        at: at_minute(1),
        key: crate::model::ImageKey {
            scope: scope(region),
            image: crate::model::ImageId::new("img-a").expect("an id"),
        },
        permission: crate::model::Permission::Share,
        cause: crate::model::Cause::Declared,
        result: crate::history::WriteResult::Applied,
        code: None,
        message: None,
        request_id: None,
        source: None,
    });
}

#[test]
fn c2_a_paused_scope_is_one_report_until_a_write_is_permitted() {
    let mut board = Board::new(at_minute(0), false);
    let [tokyo, ..] = REGIONS;
    let pause = || Some(WritePause::of_scope(Problem::new("no")));
    let incomplete = PassResult::Incomplete;
    assert_eq!(
        denied(&mut board, tokyo, pause(), incomplete),
        ["stalled default/ap-tokyo"]
    );
    assert!(board.scopes[&scope(tokyo)].is_stalled());
    // Each image was denied on its own in the meantime, so nothing is left untried.
    for pause in [pause(), None, pause(), None] {
        assert!(denied(&mut board, tokyo, pause, incomplete).is_empty());
    }
    permitted(&mut board, tokyo);
    assert_eq!(
        denied(&mut board, tokyo, None, incomplete),
        [
            "blocked default/ap-tokyo/img-a",
            "blocked default/ap-tokyo/img-b",
            "recovered default/ap-tokyo"
        ],
        "from here on, each image is denied on its own"
    );
    assert!(!board.scopes[&scope(tokyo)].is_stalled());
}

#[test]
fn c2_a_paused_account_is_reported_once_for_all_regions() {
    let mut board = Board::new(at_minute(0), false);
    let pause = || Some(WritePause::of_account(Problem::new("no")));
    let [tokyo, others @ ..] = REGIONS;
    let incomplete = PassResult::Incomplete;
    assert_eq!(
        denied(&mut board, tokyo, pause(), incomplete),
        ["stalled account default"]
    );
    for region in others.iter().chain(&REGIONS) {
        assert!(
            denied(&mut board, region, pause(), incomplete).is_empty(),
            "{region}"
        );
    }
    // An interrupted pass proves nothing.
    assert!(denied(&mut board, tokyo, None, PassResult::Stopped).is_empty());
    for region in others {
        permitted(&mut board, region);
        let reported = denied(&mut board, region, None, incomplete);
        assert!(
            !reported.iter().any(|line| line.starts_with("recovered")),
            "{reported:?}"
        );
    }
    permitted(&mut board, tokyo);
    let reported = denied(&mut board, tokyo, None, incomplete);
    assert!(
        reported.contains(&"recovered account default".to_owned()),
        "{reported:?}"
    );
}
