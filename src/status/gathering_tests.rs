//! Tests the combined reports of beginnings and ends for many subjects, over several passes.

use std::sync::Arc;

use super::super::tests::plan_in;
use super::super::{PassResult, Told};
use super::*;
use crate::attempts::Problem;
use crate::model::ImageId;
use crate::model::fixtures_tests::{at_minute, scope};
use crate::observation::Unobserved;
use crate::plan::Verdict;

const REGIONS: [&str; 3] = ["ap-bangkok", "ap-seoul", "ap-tokyo"];

struct Daemon {
    board: Board,
    minute: i64,
}

/// A verdict for each image of a scope.
fn denied() -> Verdict {
    Verdict::Blocked(Box::new(Problem {
        code: Some("UnauthorizedOperation.NoPermission".into()),
        remedy: Some("grant it".into()),
        ..Problem::new("not allowed (grant it)")
    }))
}

/// The access point of each region is down, or the account is broken.
fn unseen(region: &str, account_broken: bool) -> Verdict {
    Verdict::Unobserved(Box::new(Unobserved {
        account_broken,
        ..Unobserved::new(format!("lighthouse.{region}.example: timed out"))
    }))
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

    /// Ends a pass with this verdict for this many images, and returns the reports.
    fn ended(&mut self, region: &str, verdict: &Verdict, images: usize) -> Vec<Transition> {
        let now = at_minute(self.minute);
        let mut plan = plan_in(&scope(region), verdict.clone());
        let (_, decision) = plan.decisions.pop_first().expect("one image");
        let ids = (0..images).map(|n| ImageId::new(&format!("img-{n}")).expect("an id"));
        plan.decisions = ids.map(|id| (id, decision.clone())).collect();
        let result = match verdict {
            Verdict::InSync => PassResult::Synced,
            Verdict::Unobserved(_) => PassResult::Unobserved,
            _ => PassResult::Incomplete,
        };
        let planned = self.board.planned(&plan, now);
        let mut transitions = self.board.gather(planned, now);
        let idle = Activity::Idle {
            next: at_minute(9999),
        };
        let ended = self
            .board
            .pass_ended(&scope(region), result, Duration::ZERO, idle, now);
        transitions.extend(self.board.gather(ended, now));
        transitions
    }

    /// Runs passes over all regions in parallel, a minute later.
    fn round(&mut self, verdict: impl Fn(&str) -> Verdict, images: usize) -> Vec<Transition> {
        self.minute += 1;
        REGIONS.iter().for_each(|region| self.began(region));
        let ended = |region| self.ended(region, &verdict(region), images);
        REGIONS.into_iter().flat_map(ended).collect()
    }

    fn later(&mut self, minutes: i64) -> Vec<Transition> {
        self.minute += minutes;
        self.board.gather(Vec::new(), at_minute(self.minute))
    }
}

/// Kind, subject, number of regions and number of images.
fn lines(transitions: &[Transition]) -> Vec<String> {
    let line = |one: &Transition| {
        let extent = one.extent.as_deref().cloned().unwrap_or_default();
        let (kind, regions) = (one.kind.as_str(), extent.regions.len());
        format!("{kind} {} {regions} {}", one.subject, extent.images)
    };
    transitions.iter().map(line).collect()
}

fn fine(_: &str) -> Verdict {
    Verdict::InSync
}

/// Nothing is shared yet, so a denied image has not drifted.
fn asked(_: &str) -> Verdict {
    Verdict::Act
}

fn dead(region: &str) -> Verdict {
    unseen(region, false)
}

#[test]
fn n10_a_dead_access_point_is_reported_once_and_so_is_its_end() {
    let mut daemon = Daemon::new();
    assert!(daemon.round(fine, 4).is_empty());
    assert!(daemon.round(dead, 4).is_empty());
    assert!(daemon.round(dead, 4).is_empty());
    let transitions = daemon.round(dead, 4);
    assert_eq!(lines(&transitions), ["stalled account default 3 12"]);
    assert_eq!(
        transitions[0].message,
        "not observed: lighthouse.{region}.example: timed out"
    );
    for _ in 0..5 {
        assert!(daemon.round(dead, 4).is_empty());
    }
    assert_eq!(
        lines(&daemon.round(fine, 4)),
        ["recovered account default 3 12"]
    );
    assert!(daemon.round(fine, 4).is_empty());
    let shown = daemon.board.transitions().iter().cloned();
    assert_eq!(shown.count(), 2, "the board shows the reports");
}

#[test]
fn n10_a_later_stall_with_a_reported_cause_is_not_reported() {
    let mut daemon = Daemon::new();
    let [bangkok, seoul, tokyo] = REGIONS;
    daemon.round(fine, 4);
    for _ in 0..2 {
        assert!(daemon.round(dead, 4).is_empty());
    }
    daemon.began(bangkok);
    let transitions = daemon.ended(bangkok, &dead(bangkok), 4);
    assert_eq!(lines(&transitions), ["stalled account default 3 12"]);
    for region in [seoul, tokyo] {
        daemon.began(region);
        assert!(daemon.ended(region, &dead(region), 4).is_empty());
    }
    daemon.began(seoul);
    assert!(daemon.ended(seoul, &Verdict::InSync, 4).is_empty());
    let transitions = daemon.later(6);
    assert_eq!(
        lines(&transitions),
        ["recovered default/ap-seoul 1 4"],
        "the others may never recover"
    );
    daemon.began(bangkok);
    assert!(daemon.ended(bangkok, &Verdict::InSync, 4).is_empty());
    daemon.began(tokyo);
    let transitions = daemon.ended(tokyo, &Verdict::InSync, 4);
    assert_eq!(lines(&transitions), ["recovered account default 2 8"]);
}

#[test]
fn n10_images_denied_in_one_round_are_one_report_with_a_count() {
    let mut daemon = Daemon::new();
    daemon.round(asked, 32);
    let transitions = daemon.round(|_| denied(), 32);
    assert_eq!(lines(&transitions), ["blocked account default 3 96"]);
    let extent = transitions[0].extent.as_deref().expect("several");
    assert_eq!(extent.names.len(), NAMED_MAX);
    assert!(daemon.round(|_| denied(), 32).is_empty());
    // Another image is reported on its own.
    daemon.began("ap-tokyo");
    let transitions = daemon.ended("ap-tokyo", &denied(), 33);
    assert_eq!(lines(&transitions), ["blocked default/ap-tokyo/img-32 0 0"]);
    let transitions = daemon.round(fine, 33);
    assert_eq!(lines(&transitions), ["unblocked account default 3 97"]);
}

#[test]
fn n10_a_broken_account_is_reported_with_all_its_images() {
    let mut daemon = Daemon::new();
    daemon.round(fine, 5);
    let transitions = daemon.round(|region| unseen(region, true), 5);
    assert_eq!(lines(&transitions), ["stalled account default 3 15"]);
    assert_eq!(
        lines(&daemon.round(fine, 5)),
        ["recovered account default 3 15"]
    );
}

#[test]
fn n10_a_long_pass_delays_no_report_by_more_than_a_minute() {
    let mut daemon = Daemon::new();
    daemon.round(asked, 2);
    daemon.began("ap-seoul");
    daemon.began("ap-tokyo");
    assert!(daemon.ended("ap-tokyo", &denied(), 2).is_empty());
    assert!(daemon.board.is_gathering());
    let transitions = daemon.later(1);
    assert_eq!(lines(&transitions), ["blocked default/ap-tokyo 1 2"]);
    assert!(!daemon.board.is_gathering());
}

#[test]
fn n10_a_problem_that_ends_before_its_report_is_not_reported() {
    let mut daemon = Daemon::new();
    daemon.round(asked, 2);
    daemon.began("ap-seoul");
    for verdict in [denied(), Verdict::InSync] {
        daemon.began("ap-tokyo");
        assert!(daemon.ended("ap-tokyo", &verdict, 2).is_empty());
    }
    assert!(!daemon.board.is_gathering());
    assert!(daemon.later(60).is_empty());
}

#[test]
fn n10_a_restart_reports_what_still_waited() {
    let mut daemon = Daemon::new();
    daemon.round(asked, 2);
    let nothing = daemon.board.told();
    daemon.began("ap-seoul");
    daemon.began("ap-tokyo");
    daemon.ended("ap-tokyo", &denied(), 2);
    assert_eq!(daemon.board.told(), nothing, "it was not reported yet");
    daemon.later(1);
    let transitions = daemon.board.told();
    assert_ne!(transitions, nothing);
    daemon.ended("ap-seoul", &denied(), 2);
    // One region is in sync and the other is not: the end waits, so the stored reports stay.
    let both = daemon.board.told();
    daemon.began("ap-tokyo");
    assert!(daemon.ended("ap-tokyo", &Verdict::InSync, 2).is_empty());
    assert_eq!(daemon.board.told(), both);

    let text = both.to_json();
    let mut next = Daemon::new();
    next.board
        .remember(Told::from_json(&text).expect("as it was written"));
    let scopes = ["ap-seoul", "ap-tokyo"].map(scope);
    next.board.add_scopes(scopes.iter());
    next.began("ap-seoul");
    assert!(next.ended("ap-seoul", &Verdict::InSync, 2).is_empty());
    next.began("ap-tokyo");
    let transitions = next.ended("ap-tokyo", &Verdict::InSync, 2);
    assert_eq!(lines(&transitions), ["unblocked account default 2 4"]);
}

#[test]
fn n10_regions_with_other_causes_are_reported_on_their_own() {
    let mut daemon = Daemon::new();
    daemon.round(fine, 1);
    let other = |region: &str| match region {
        "ap-seoul" => Verdict::Unobserved(Box::new(Unobserved::new("no route"))),
        region => dead(region),
    };
    assert!(daemon.round(other, 1).is_empty());
    assert!(daemon.round(other, 1).is_empty());
    let mut transitions = lines(&daemon.round(other, 1));
    transitions.sort();
    assert_eq!(
        transitions,
        [
            "stalled account default 2 2",
            "stalled default/ap-seoul 1 1"
        ]
    );
    let scopes: Vec<Arc<_>> = daemon.board.scopes().values().cloned().collect();
    assert!(scopes.iter().all(|status| status.is_stalled()));
}
