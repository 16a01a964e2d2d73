//! What is in force when, and what is new of it.

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
fn n2_what_is_known_of_a_window_is_kept_until_it_opens() {
    let windows = at_noon(&Cause::ALL);
    let mut before = Holds {
        suspensions: Vec::new(),
        windows: held(&windows, Clocks::machine_only(at(0)), &Holds::default()),
    };
    before.windows[0].reason = "as it was".into();
    let later = held(&windows, Clocks::machine_only(at(59)), &before);
    assert_eq!(later, before.windows);
    assert_eq!(held(&windows, Clocks::machine_only(at(60)), &before), []);
    // The next day it is looked for anew.
    let next_day = held(&windows, Clocks::machine_only(at(24 * 60)), &before);
    assert_eq!(next_day[0].opens, Some(at(25 * 60)));
}

#[test]
fn n2_the_board_tells_once_what_begins_and_what_ends() {
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
    assert_eq!(board.version(), version, "nothing is new");
    let changes = board.holds_now(Holds::default());
    assert_eq!(changes.began, [""; 0]);
    assert_eq!(
        changes.ended,
        [
            "everything: suspension 1 does not hold any longer",
            "account default: changes may be made again"
        ]
    );
    assert!(board.version() > version);
}
