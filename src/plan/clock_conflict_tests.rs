//! Tests decisions that depend on the time, with two clocks that differ.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::*;
use crate::attempts::AttemptLog;
use crate::desired::{Completeness, DesiredShare};
use crate::inventory::Inventory;
use crate::model::Cause;
use crate::model::fixtures_tests::{img_a, tokyo};
use crate::model::{Monotonic, Selector};
use crate::observation::{Observation, Seen, Unobserved};
use crate::plan::fixtures_tests::{blueprint, no_instances, own, wanted};
use crate::plan::{Decision, Inputs, Plan, Policy, Prune, ScopeAccount, Verdict, Withheld, plan};
use crate::resolve::ResolvedScope;
use crate::windows::{Kind, Length, Schedule, Span, Starts, Window, Windows, Zone};

/// 14:00 on a Monday.
fn noon() -> Timestamp {
    Timestamp::from_timestamp(1_789_999_200, 0).expect("a date")
}

fn at(hours: i64) -> Timestamp {
    noon() + TimeDelta::hours(hours)
}

fn intent(from: Option<i64>, until: Option<i64>) -> DesiredShare {
    DesiredShare::Shared {
        from: from.map(at),
        until: until.map(at),
    }
}

/// The inputs of one case; everything else is ordinary.
struct Case {
    intent: DesiredShare,
    shared: bool,
    ahead: i64,
    windows: Windows,
    suspensions: Vec<Suspension>,
    unobserved: bool,
}

impl Case {
    fn new(intent: DesiredShare, shared: bool, ahead: i64) -> Self {
        Self {
            intent,
            shared,
            ahead,
            windows: Windows::default(),
            suspensions: Vec::new(),
            unobserved: false,
        }
    }

    /// Adds a window that allows changes for an hour from `cron` on.
    fn allowing(mut self, cron: &str) -> Self {
        let length = Length::new(Duration::from_secs(3600)).expect("a length");
        let schedule = Schedule::new(Starts::new(cron).expect("cron"), length);
        self.windows = Windows::new(vec![Window {
            kind: Kind::Allow,
            causes: Cause::ALL.into(),
            span: Span::Scheduled(schedule),
            zone: Zone::new("UTC").expect("a zone"),
            reason: None,
        }]);
        self
    }

    fn suspended(mut self, until: Option<i64>) -> Self {
        self.suspensions.push(Suspension {
            id: 7,
            reason: "a launch".into(),
            until: until.map(at),
            since: noon(),
            by: "me@here".into(),
            selector: Selector::default(),
        });
        self
    }

    fn plan(&self) -> Plan {
        let image = wanted(self.intent);
        let seen = Seen {
            shared: self
                .shared
                .then(|| (img_a(), blueprint("lhbp-1")))
                .into_iter()
                .collect(),
            own: own([img_a()]),
            instances: no_instances(),
            ..Seen::default()
        };
        let id = img_a();
        plan(&Inputs {
            scope: &tokyo(),
            account: &ScopeAccount::default(),
            desired: &ResolvedScope::by_id(
                Cow::Owned(BTreeMap::from([(&id, &image)])),
                &Selector::default(),
                &Completeness::Whole,
            ),
            observation: &match self.unobserved {
                true => Observation::Unobserved(Unobserved::new("page 3 of 7 failed")),
                false => Observation::Seen(seen),
            },
            inventory: &Inventory {
                suspensions: self.suspensions.clone(),
                ..Inventory::default()
            },
            attempts: &AttemptLog::default(),
            windows: &self.windows,
            policy: &Policy {
                prune: Prune::None,
                ..Policy::default()
            },
            approved: None,
            clocks: Clocks::new(noon(), TimeDelta::hours(self.ahead)),
            present: noon().into(),
            monotonic: Monotonic::default(),
        })
    }

    fn decision(&self) -> Decision {
        self.plan().decisions[&img_a()].clone()
    }
}

fn disputed(decision: &Decision) -> Option<ConflictSubject> {
    match &decision.verdict {
        Verdict::Withheld(why) => match &**why {
            Withheld::ClocksDisagree(disputed) => Some(disputed.about.clone()),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn b2_the_change_is_withheld_whichever_clock_asks_for_it() {
    for (shared, desired, cause) in [
        (true, ShareState::Unshared, Cause::Expired),
        (false, ShareState::Shared, Cause::Declared),
    ] {
        for (ahead, until) in [(20, 6), (-20, -6)] {
            let decision = Case::new(intent(None, Some(until)), shared, ahead).decision();
            assert_eq!((decision.desired, decision.cause), (desired, cause));
            assert!(matches!(
                disputed(&decision),
                Some(ConflictSubject::DesiredState { .. })
            ));
            assert!(decision.verdict.is_unsettled() && !decision.verdict.is_intended());
        }
    }
}

#[test]
fn b2_if_the_clocks_agree_on_the_state_this_machine_gives_the_cause() {
    // After it by one clock, before it by the other: not shared by either clock.
    for (ahead, cause) in [(-20, Cause::Expired), (20, Cause::Declared)] {
        let hours = if ahead < 0 { (-2, -1) } else { (1, 2) };
        let decision = Case::new(intent(Some(hours.0), Some(hours.1)), true, ahead).decision();
        assert_eq!(decision.verdict, Verdict::Act, "{ahead}");
        assert_eq!(
            (decision.desired, decision.cause),
            (ShareState::Unshared, cause)
        );
    }
}

#[test]
fn b2_an_unobserved_scope_is_reported_as_unobserved() {
    let mut case = Case::new(intent(None, Some(6)), true, 20);
    case.unobserved = true;
    assert!(matches!(case.decision().verdict, Verdict::Unobserved(_)));
}

#[test]
fn b2_a_suspension_by_both_clocks_comes_before_one_by_one_clock() {
    let case = || Case::new(intent(None, None), false, 20);
    let disputed = |case: Case| disputed(&case.decision());
    assert!(matches!(
        disputed(case().suspended(Some(6))),
        Some(ConflictSubject::Suspension {
            over_here: false,
            ..
        })
    ));
    assert_eq!(disputed(case().suspended(Some(6)).suspended(None)), None);
    assert!(!case().suspended(Some(6)).decision().verdict.is_unsettled());
    assert!(case().suspended(Some(6)).decision().verdict.is_intended());
    assert_eq!(case().suspended(Some(-1)).decision().verdict, Verdict::Act);
}

#[test]
fn b2_a_window_must_be_open_by_both_clocks() {
    for (cron, ahead, open_here) in [
        ("0 14 * * *", 20, Some(true)),
        ("0 10 * * *", 20, Some(false)),
        ("0 10,14 * * *", 20, None),
        ("0 2 * * *", 20, None),
    ] {
        let decision = Case::new(intent(None, None), false, ahead)
            .allowing(cron)
            .decision();
        let disputed_side = match disputed(&decision) {
            Some(ConflictSubject::Window { open_here, .. }) => Some(open_here),
            _ => None,
        };
        assert_eq!(disputed_side, open_here, "{cron}");
        assert!(decision.verdict.is_intended(), "{cron}");
        let acts = cron == "0 10,14 * * *";
        assert_eq!(decision.verdict == Verdict::Act, acts, "{cron}");
    }
}

#[test]
fn b2_the_next_change_is_when_the_first_clock_reaches_it() {
    let none = || Case::new(intent(None, None), false, 20);
    let behind = || Case::new(intent(None, None), false, -20);
    for (case, next_change_at) in [
        // The other clock is already past it.
        (Case::new(intent(None, Some(6)), true, 20), Some(6)),
        (Case::new(intent(None, Some(30)), true, 20), Some(10)),
        (Case::new(intent(None, Some(-6)), true, -20), Some(14)),
        (Case::new(intent(None, Some(6)), true, -20), Some(6)),
        (Case::new(intent(None, Some(-21)), true, -20), None),
        (Case::new(intent(Some(5), Some(6)), true, 0), Some(5)),
        (none().suspended(Some(6)), Some(6)),
        (none().suspended(Some(30)), Some(10)),
        (behind().suspended(Some(-6)), Some(14)),
        // By the API's clock it is 10:00, and 18:00 the day before.
        (none().allowing("0 14 * * *"), Some(4)),
        (none().allowing("0 10 * * *"), Some(20)),
        (behind().allowing("0 18 * * *"), Some(4)),
        // Closed by both: first 16:00 by this clock; then 11:00 by the other.
        (none().allowing("0 16 * * *"), Some(2)),
        (none().allowing("0 11 * * *"), Some(1)),
    ] {
        assert_eq!(
            case.plan().next_change_at,
            next_change_at.map(at),
            "{next_change_at:?}"
        );
    }
}

#[test]
fn b2_a_reason_names_both_times_and_the_remedy() {
    let cases = [
        Case::new(intent(None, Some(6)), true, 20),
        Case::new(intent(None, None), false, 20).suspended(Some(6)),
        Case::new(intent(None, None), false, 20).allowing("0 14 * * *"),
    ];
    for case in cases {
        let why = case.decision().verdict.why_not().expect("why");
        for part in [
            "2026-09-21T14:00:00Z",
            "2026-09-22T10:00:00Z",
            Clocks::REMEDY,
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
    }
}
