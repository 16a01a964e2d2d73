//! Tests which holds are in force when, and which changes are reported.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::*;
use crate::windows::{Kind, Length, Schedule, Span, Starts, Window, Zone};

fn at(minutes: i64) -> Timestamp {
    // Noon.
    Timestamp::from_timestamp(1_790_078_400, 0).expect("a date") + TimeDelta::minutes(minutes)
}

fn suspension(id: u64, until: Option<Timestamp>) -> Suspension {
    Suspension {
        id,
        reason: "an incident".into(),
        until,
        since: at(0),
        by: "ann@desk".into(),
        selector: Selector::default(),
    }
}

/// Closed for an hour from noon on, for changes of some causes.
fn at_noon(causes: &[Cause]) -> Windows {
    let hour = Length::new(std::time::Duration::from_secs(3_600)).expect("a length");
    Windows::new(vec![Window {
        kind: Kind::Deny,
        causes: causes.iter().copied().collect(),
        span: Span::Scheduled(Schedule::new(
            Starts::new("0 12 * * *").expect("cron"),
            hour,
        )),
        zone: Zone::new("UTC").expect("a zone"),
        reason: None,
    }])
}

fn held(windows: &Windows, clocks: Clocks, before: &Holds) -> Vec<ClosedWindow> {
    let accounts = BTreeMap::from([(AccountName::default(), windows.clone())]);
    Holds::at(&[], accounts.iter(), clocks, before).windows
}

#[test]
fn n2_a_suspension_is_in_force_until_it_is_over_by_each_clock() {
    let suspensions = [suspension(1, Some(at(10))), suspension(2, None)];
    for (minutes, ahead, in_force) in [(9, 0, 2), (10, 0, 1), (10, -60, 2), (9, 60, 2)] {
        let clocks = Clocks::new(at(minutes), TimeDelta::minutes(ahead));
        let holds = Holds::at(&suspensions, [].into_iter(), clocks, &Holds::default());
        assert_eq!(holds.suspensions.len(), in_force, "{minutes} {ahead}");
    }
}

#[test]
fn n2_a_window_is_closed_for_its_causes_by_either_clock() {
    let windows = at_noon(&[Cause::Pruned, Cause::Expired]);
    let none = Holds::default();
    for (minutes, ahead, is_closed) in
        [(-1, 0, false), (0, 0, true), (60, 0, false), (-5, 10, true)]
    {
        let clocks = Clocks::new(at(minutes), TimeDelta::minutes(ahead));
        let closed = held(&windows, clocks, &none);
        assert_eq!(!closed.is_empty(), is_closed, "{minutes} {ahead}");
        if let [one] = &closed[..] {
            assert_eq!(one.causes, [Cause::Expired, Cause::Pruned]);
            assert_eq!(one.opens, Some(at(60)));
        }
    }
}

#[test]
fn n2_the_answer_about_a_window_is_reused_until_it_opens() {
    let windows = at_noon(&Cause::ALL);
    let mut before = Holds {
        suspensions: Vec::new(),
        windows: held(&windows, Clocks::machine_only(at(0)), &Holds::default()),
    };
    before.windows[0].reason = "as it was".into();
    let later = held(&windows, Clocks::machine_only(at(59)), &before);
    assert_eq!(later, before.windows);
    assert_eq!(held(&windows, Clocks::machine_only(at(60)), &before), []);
    // The next day, the opening is searched again.
    let next_day = held(&windows, Clocks::machine_only(at(24 * 60)), &before);
    assert_eq!(next_day[0].opens, Some(at(25 * 60)));
}

#[test]
fn n2_the_board_reports_each_beginning_and_end_once() {
    let mut board = Board::new(at(0), false);
    let holds = Holds {
        suspensions: vec![suspension(1, None)],
        windows: held(
            &at_noon(&Cause::ALL),
            Clocks::machine_only(at(0)),
            &Holds::default(),
        ),
    };
    let changes = board.holds_now(holds.clone());
    assert_eq!(changes.ended, [""; 0]);
    assert!(changes.began[0].starts_with("everything: suspended by ann@desk: an incident"));
    assert!(changes.began[1].starts_with("account default: changes are not made now: "));
    let version = board.version();
    assert_eq!(board.holds_now(holds), HoldChanges::default());
    assert_eq!(board.version(), version, "nothing changed");
    let changes = board.holds_now(Holds::default());
    assert_eq!(changes.began, [""; 0]);
    assert_eq!(
        changes.ended,
        [
            "everything: suspension 1 is over",
            "account default: changes may be made again"
        ]
    );
    assert!(board.version() > version);
}

#[test]
fn n2_a_suspensions_start_and_end_are_reported_across_restarts() {
    let lines = |transitions: Vec<Transition>| -> Vec<String> {
        let lines = transitions.iter();
        let line =
            |one: &Transition| format!("{} {}: {}", one.kind.as_str(), one.subject, one.message);
        lines.map(line).collect()
    };
    let with = |suspensions| Holds {
        suspensions,
        windows: Vec::new(),
    };
    let prod = Suspension {
        selector: Selector {
            accounts: [AccountName::new("prod").expect("a name")].into(),
            ..Selector::default()
        },
        ..suspension(2, Some(at(60)))
    };
    let mut board = Board::new(at(0), false);
    board.holds_now(with(vec![suspension(1, None), prod.clone()]));
    assert_eq!(
        lines(board.report_suspensions(at(1))),
        [
            "suspended everything: an incident; by ann@desk (`sharekeeper resume 1` ends it)",
            "suspended account prod: an incident; by ann@desk, until 2026-09-22T13:00:00Z \
             (`sharekeeper resume 2` ends it)",
        ]
    );
    assert!(board.report_suspensions(at(2)).is_empty());
    let text = board.told().to_json();
    let mut next = Board::new(at(3), false);
    let read = super::super::Told::from_json(&text).expect("as it was written");
    next.remember(read);
    next.holds_now(with(vec![suspension(1, None)]));
    assert_eq!(
        lines(next.report_suspensions(at(61))),
        ["resumed account prod: suspension 2 is over"]
    );
    assert!(next.report_suspensions(at(62)).is_empty());
}

#[test]
fn n2_a_suspension_by_an_earlier_name_covers_the_account_today() {
    let mut board = Board::new(at(0), false);
    let region = |name| crate::model::Region::new(name).expect("a region");
    let [renamed, other] = ["ap-tokyo", "ap-seoul"].map(|name| Scope {
        account: AccountName::default(),
        region: region(name),
    });
    let before = AccountName::new("before").expect("a name");
    for (scope, aliases) in [(&renamed, vec![before.clone()]), (&other, Vec::new())] {
        board.pass_began(scope, at(0));
        let plan = Plan {
            aliases: Arc::new(aliases.into_iter().collect()),
            ..super::super::tests::plan_in(scope, Verdict::InSync)
        };
        board.planned(&plan, at(0));
    }
    let of = |regions: &[&'static str]| Holds {
        suspensions: vec![Suspension {
            selector: Selector {
                accounts: [before.clone()].into(),
                regions: regions.iter().map(|name| region(name)).collect(),
                ..Selector::default()
            },
            ..suspension(1, None)
        }],
        windows: Vec::new(),
    };
    for (regions, counts) in [
        (&[][..], [1, 0]),
        (&["ap-tokyo"], [1, 0]),
        (&["ap-seoul"], [0, 0]),
    ] {
        board.holds_now(of(regions));
        let found = [&renamed, &other].map(|scope| board.suspensions_of(scope));
        assert_eq!(found, counts, "{regions:?}");
    }
}
