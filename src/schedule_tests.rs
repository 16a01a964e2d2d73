//! Sequences of passes with different results: when the next pass is due, and which images it tries.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::*;
use crate::attempts::Problem;
use crate::model::fixtures_tests::image_id;
use crate::model::{AccountName, Cause, Region, Scope, ShareState};
use crate::observation::Unobserved;
use crate::plan::{Actual, Decision, Unmanaged, View};

const INTERVAL: Duration = Duration::from_secs(300);

fn at(seconds: u64) -> Now {
    let start = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
    Now {
        wall: start + TimeDelta::seconds(i64::try_from(seconds).expect("small")),
        monotonic: Monotonic::new(Duration::from_secs(seconds)),
        jitter: 1.0,
    }
}

fn plan(decisions: &[(&str, Verdict)]) -> Plan {
    let decisions = decisions.iter().map(|(image, verdict)| {
        let decision = Decision {
            desired: ShareState::Shared,
            cause: Cause::Declared,
            source: None,
            actual: Actual::Unknown,
            until: None,
            verdict: verdict.clone(),
            name: None,
            entry: None,
        };
        (image_id(image), decision)
    });
    Plan {
        uin: None,
        taken_over: Default::default(),
        aliases: Default::default(),
        scope: Scope {
            account: AccountName::default(),
            region: Region::new("ap-tokyo").expect("a region"),
        },
        view: View::Seen,
        prune_skipped: false,
        decisions: decisions.collect(),
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

fn attempts(last: LastResult) -> AttemptLog {
    let mut attempts = AttemptLog::default();
    attempts.record(image_id("img-a"), ShareState::Shared, last);
    attempts
}

fn problem() -> Problem {
    Problem::new("no")
}

/// The seconds from one pass to the next, over several passes with the same result.
fn waits(
    schedule: &mut ScopeSchedule,
    plan: &Plan,
    last: Option<&LastResult>,
    cut: Interruption,
    passes: u32,
) -> Vec<u64> {
    let mut now = at(0);
    let mut waits = Vec::new();
    let mut kept = AttemptLog::default();
    for _ in 0..passes {
        kept = schedule.begin(kept, now.monotonic);
        if let Some(last) = last {
            kept.record(image_id("img-a"), ShareState::Shared, last.clone());
        }
        let next = schedule.ended(plan, &mut kept, cut, INTERVAL, now);
        let wait = next.since(now.monotonic).as_secs();
        waits.push(wait);
        now = at(now.monotonic.since_start().as_secs() + wait.max(1));
    }
    waits
}

#[test]
fn a_scope_in_sync_is_observed_once_an_interval() {
    let plan = plan(&[("img-a", Verdict::InSync)]);
    let done = LastResult::Acknowledged {
        at: Monotonic::default(),
        blueprint_id: None,
        request_id: None,
    };
    let mut attempts = attempts(done);
    let mut schedule = ScopeSchedule::default();
    let early = schedule.ended(
        &plan,
        &mut attempts,
        Interruption::None,
        INTERVAL,
        Now {
            jitter: 0.0,
            ..at(0)
        },
    );
    let late = schedule.ended(
        &plan,
        &mut attempts,
        Interruption::None,
        INTERVAL,
        Now {
            jitter: 1.0,
            ..at(0)
        },
    );
    assert_eq!((early, late), (at(270).monotonic, at(330).monotonic));
    assert!(attempts.tried.is_empty());
}

#[test]
fn l4_an_image_that_needs_a_person_is_tried_ever_less_often() {
    let blocked = plan(&[("img-a", Verdict::Blocked(Box::new(problem())))]);
    let last = LastResult::Blocked(problem());
    let mut schedule = ScopeSchedule::default();
    let mut tries = Vec::new();
    let (mut kept, mut now) = (AttemptLog::default(), 0);
    while now < 24 * 3600 {
        kept = schedule.begin(kept, at(now).monotonic);
        if kept.tried.is_empty() {
            tries.push(now);
            kept.record(image_id("img-a"), ShareState::Shared, last.clone());
        }
        let next = schedule.ended(&blocked, &mut kept, Interruption::None, INTERVAL, at(now));
        now = next.since_start().as_secs();
    }
    let gaps: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= 300), "{gaps:?}");
    assert!(gaps.last() > Some(&1000), "{gaps:?}");
    // Six intervals at most, so that an image that was fixed is not kept waiting for hours.
    assert!(gaps.iter().all(|gap| *gap <= 2200), "{gaps:?}");
}

#[test]
fn l1_what_failed_is_tried_again_within_the_interval() {
    let failed = plan(&[("img-a", Verdict::Failed(Box::new(problem())))]);
    let last = LastResult::Failed(problem());
    let mut schedule = ScopeSchedule::default();
    let waits = waits(&mut schedule, &failed, Some(&last), Interruption::None, 8);
    assert_eq!(waits[0], 30);
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= INTERVAL.as_secs()));
}

#[test]
fn a_success_resets_the_backoff() {
    let failed = plan(&[("img-a", Verdict::Failed(Box::new(problem())))]);
    let last = LastResult::Failed(problem());
    let mut schedule = ScopeSchedule::default();
    let before = waits(&mut schedule, &failed, Some(&last), Interruption::None, 4);
    let fine = plan(&[("img-a", Verdict::InSync)]);
    waits(&mut schedule, &fine, None, Interruption::None, 1);
    let after = waits(&mut schedule, &failed, Some(&last), Interruption::None, 4);
    assert_eq!(before, after);
}

#[test]
fn l4_a_scope_that_is_never_seen_is_no_hot_loop() {
    let unobserved = Plan {
        view: View::Unobserved(Unobserved::new("down")),
        ..plan(&[(
            "img-a",
            Verdict::Unobserved(Box::new(Unobserved::new("down"))),
        )])
    };
    let waits = waits(
        &mut ScopeSchedule::default(),
        &unobserved,
        None,
        Interruption::None,
        10,
    );
    assert_eq!(waits[..3], [5, 10, 20]);
    assert!(waits[3..].iter().all(|wait| (20..=300).contains(wait)));
}

#[test]
fn an_image_that_is_still_being_made_is_observed_more_often() {
    let waiting = Problem::unmet(UnmetCondition::NotYet, "the image is CREATING");
    let plan = plan(&[("img-a", Verdict::Blocked(Box::new(waiting)))]);
    let waits = waits(
        &mut ScopeSchedule::default(),
        &plan,
        None,
        Interruption::None,
        6,
    );
    assert_eq!(waits[0], 15);
    assert!(waits[5] <= 300 && waits[5] > 100, "{waits:?}");
}

#[test]
fn an_accounts_fault_is_charged_to_no_image() {
    let blocked = plan(&[("img-a", Verdict::Blocked(Box::new(problem())))]);
    let mut attempts = attempts(LastResult::Blocked(problem()));
    let mut schedule = ScopeSchedule::default();
    schedule.ended(
        &blocked,
        &mut attempts,
        Interruption::AccountBroken,
        INTERVAL,
        at(0),
    );
    assert!(attempts.tried.is_empty());
    assert_eq!(schedule.retries().count(), 0);
}

#[test]
fn a_pass_that_was_cut_off_is_made_again_at_once_and_remembers_its_writes() {
    let plan = plan(&[("img-a", Verdict::Act)]);
    let done = LastResult::Acknowledged {
        at: at(9).monotonic,
        blueprint_id: None,
        request_id: None,
    };
    let mut attempts = attempts(done);
    let next =
        ScopeSchedule::default().ended(&plan, &mut attempts, Interruption::Short, INTERVAL, at(10));
    assert_eq!(next, at(10).monotonic + PASS_GAP_MIN);
    assert_eq!(attempts.tried.len(), 1);
}

#[test]
fn s4_an_acknowledged_write_is_kept_despite_earlier_failures() {
    let mut schedule = ScopeSchedule::default();
    let blocked = plan(&[("img-a", Verdict::Blocked(Box::new(problem())))]);
    let mut kept = attempts(LastResult::Blocked(problem()));
    let due = schedule.ended(&blocked, &mut kept, Interruption::None, INTERVAL, at(0));
    let now = due.since_start().as_secs();
    let mut kept = schedule.begin(kept, due);
    assert!(kept.tried.is_empty(), "it is tried again");
    let done = LastResult::Acknowledged {
        at: due,
        blueprint_id: None,
        request_id: None,
    };
    kept.record(image_id("img-a"), ShareState::Shared, done);
    let cut = plan(&[("img-a", Verdict::Act)]);
    let next = schedule.ended(&cut, &mut kept, Interruption::Short, INTERVAL, at(now));
    let kept = schedule.begin(kept, next);
    assert_eq!(kept.tried.len(), 1, "reads may not show it yet");
}

#[test]
fn l4_a_scope_that_is_only_observed_is_no_hot_loop() {
    let drifted = plan(&[("img-a", Verdict::Act)]);
    let waits = waits(
        &mut ScopeSchedule::default(),
        &drifted,
        None,
        Interruption::None,
        5,
    );
    assert!(waits.iter().all(|wait| *wait >= 270), "{waits:?}");
}

#[test]
fn time_alone_wakes_what_it_changes() {
    let mut plan = plan(&[("img-a", Verdict::InSync)]);
    plan.next_change_at = Some(at(42).wall);
    let next = ScopeSchedule::default().ended(
        &plan,
        &mut AttemptLog::default(),
        Interruption::None,
        INTERVAL,
        at(0),
    );
    assert_eq!(next, at(42).monotonic);
}

#[test]
fn s21_images_that_no_manifest_names_any_longer_are_forgotten() {
    let done = LastResult::Acknowledged {
        at: at(0).monotonic,
        blueprint_id: None,
        request_id: None,
    };
    let mut attempts = attempts(done);
    let mut schedule = ScopeSchedule::default();
    let nothing = Plan {
        decisions: BTreeMap::new(),
        ..plan(&[])
    };
    schedule.ended(
        &nothing,
        &mut attempts,
        Interruption::None,
        INTERVAL,
        at(100),
    );
    assert_eq!(attempts.tried.len(), 1, "its effect may still show");
    schedule.ended(
        &nothing,
        &mut attempts,
        Interruption::None,
        INTERVAL,
        at(121),
    );
    assert!(attempts.tried.is_empty());
}

#[test]
fn c13_a_share_that_is_not_ready_is_observed_more_often_but_ever_less() {
    let plan = plan(&[("img-a", Verdict::Pending(Box::new(problem())))]);
    let mut schedule = ScopeSchedule::default();
    let first = waits(&mut schedule, &plan, None, Interruption::None, 8);
    assert_eq!(first[..4], [15, 30, 60, 120]);
    assert!(first[4..].iter().all(|wait| *wait == 120), "{first:?}");
    let fine = self::plan(&[("img-a", Verdict::InSync)]);
    assert!(waits(&mut schedule, &fine, None, Interruption::None, 1)[0] >= 270);
    assert_eq!(
        waits(&mut schedule, &plan, None, Interruption::None, 1),
        [15],
        "anew"
    );
}

/// The answers to one image's writes, each a moment after the one before.
fn answers(attempts: &mut AttemptLog, code: &str, times: u32) {
    for _ in 0..times {
        let problem = Problem {
            code: Some(code.into()),
            ..problem()
        };
        let last = LastResult::Unclear {
            at: at(0).monotonic,
            problem,
        };
        attempts.record(image_id("img-a"), ShareState::Unshared, last);
    }
}

#[test]
fn t5_l4_what_one_answer_ended_is_tried_once_more_at_a_time() {
    let blocked = plan(&[("img-a", Verdict::Blocked(Box::new(problem())))]);
    let mut schedule = ScopeSchedule::default();
    let mut kept = AttemptLog::default();
    answers(&mut kept, "ResourceNotFound.ImageIdNotFound", 2);
    let mut now = 0;
    for _ in 0..5 {
        let next = schedule.ended(&blocked, &mut kept, Interruption::None, INTERVAL, at(now));
        let (_, due) = schedule.retries().next().expect("it waits");
        kept = schedule.begin(kept, next.min(at(now + 1).monotonic));
        let tried = &kept.tried[&image_id("img-a")];
        assert_eq!(
            tried.answer.as_ref().map(|answer| answer.times),
            Some(2),
            "not yet"
        );
        kept = schedule.begin(kept, due);
        let tried = &kept.tried[&image_id("img-a")];
        assert_eq!(tried.answer.as_ref().map(|answer| answer.times), Some(1));
        assert_eq!(tried.unclear, 1, "a day of answers is not one run's");
        answers(&mut kept, "ResourceNotFound.ImageIdNotFound", 1);
        now = due.since_start().as_secs();
    }
    // A different answer starts a new count.
    answers(&mut kept, "FailedOperation.Other", 1);
    schedule.ended(&blocked, &mut kept, Interruption::None, INTERVAL, at(now));
    let (_, due) = schedule.retries().next().expect("it waits");
    assert!(
        schedule.begin(kept, due).tried.is_empty(),
        "as if for the first time"
    );
}

/// Ends a pass in which the images of `tried` were denied and those of `untried` not tried. Returns when the next is
/// due.
fn denied(
    schedule: &mut ScopeSchedule,
    attempts: &mut AttemptLog,
    tried: &[String],
    untried: &[String],
    now: Now,
) -> Monotonic {
    for image in tried {
        attempts.record(
            image_id(image),
            ShareState::Shared,
            LastResult::Denied(problem()),
        );
    }
    let rest = Verdict::NotTried(Box::new(crate::attempts::WritePause::of_scope(problem())));
    let remembered: Vec<_> = attempts.tried.keys().map(ToString::to_string).collect();
    let blocked = remembered
        .iter()
        .map(|image| (image.as_str(), Verdict::Blocked(Box::new(problem()))));
    let untried = untried.iter().map(|image| (image.as_str(), rest.clone()));
    let decisions: Vec<_> = blocked.chain(untried).collect();
    schedule.ended(
        &plan(&decisions),
        attempts,
        Interruption::None,
        INTERVAL,
        now,
    )
}

fn images(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("img-{number:02}")).collect()
}

#[test]
fn c2_l4_a_paused_scope_is_observed_ever_later() {
    let (mut schedule, mut attempts, mut now) =
        (ScopeSchedule::default(), AttemptLog::default(), 0);
    let mut waits = Vec::new();
    for pass in 0..5 {
        attempts = schedule.begin(attempts, at(now).monotonic);
        let untried = images(5 * (pass + 1)..40);
        let tried = images(5 * pass..5 * (pass + 1));
        let next = denied(&mut schedule, &mut attempts, &tried, &untried, at(now));
        let charged: Vec<_> = schedule
            .retries()
            .map(|(image, _)| image.to_string())
            .collect();
        assert!(charged.iter().all(|image| !untried.contains(image)));
        waits.push(next.since_start().as_secs() - now);
        now += waits[pass];
    }
    assert_eq!(waits[..4], [30, 60, 120, 240]);
    assert!(waits[4] <= 300, "{waits:?}");
}

#[test]
fn c2_l4_denied_images_wake_no_pass_and_take_turns_five_at_a_time() {
    let (mut schedule, mut attempts) = (ScopeSchedule::default(), AttemptLog::default());
    let all = images(0..12);
    let next = denied(&mut schedule, &mut attempts, &all, &[], at(0));
    assert!(next >= at(270).monotonic, "not with the first of them");
    let mut tries = BTreeMap::new();
    for now in [1_000, 1_300, 1_600] {
        attempts = schedule.begin(attempts, at(now).monotonic);
        let due: Vec<_> = all
            .iter()
            .filter(|image| !attempts.tried.contains_key(&image_id(image)))
            .cloned()
            .collect();
        assert!(due.len() <= 5, "{due:?}");
        for image in &due {
            *tries.entry(image.clone()).or_insert(0) += 1;
        }
        denied(&mut schedule, &mut attempts, &due, &[], at(now));
    }
    assert_eq!(tries.len(), 12, "each had its turn: {tries:?}");
}

#[test]
fn c2_a_denied_image_that_was_not_tried_keeps_its_place() {
    let (mut schedule, mut attempts) = (ScopeSchedule::default(), AttemptLog::default());
    denied(&mut schedule, &mut attempts, &images(0..1), &[], at(0));
    let before: Vec<_> = schedule.retries().map(|(_, at)| at).collect();
    attempts = schedule.begin(attempts, at(1_000).monotonic);
    assert!(attempts.tried.is_empty(), "it has a turn");
    denied(&mut schedule, &mut attempts, &[], &images(0..1), at(1_000));
    assert!(is_denied(&attempts, &image_id("img-00")));
    let after: Vec<_> = schedule.retries().map(|(_, at)| at).collect();
    assert_eq!(before, after, "it is not charged");
}

#[test]
fn c2_l1_once_a_denied_image_is_permitted_the_others_are_tried_at_once() {
    let (mut schedule, mut attempts) = (ScopeSchedule::default(), AttemptLog::default());
    denied(&mut schedule, &mut attempts, &images(0..12), &[], at(0));
    attempts = schedule.begin(attempts, at(1_000).monotonic);
    let done = LastResult::Acknowledged {
        at: at(1_000).monotonic,
        blueprint_id: None,
        request_id: None,
    };
    let permitted: Vec<_> = images(0..12)
        .into_iter()
        .filter(|image| !attempts.tried.contains_key(&image_id(image)))
        .collect();
    assert_eq!(permitted.len(), 5);
    for image in &permitted {
        attempts.record(image_id(image), ShareState::Shared, done.clone());
    }
    let decisions = images(0..12);
    let decisions: Vec<_> = decisions
        .iter()
        .map(|image| match permitted.contains(image) {
            true => (image.as_str(), Verdict::InSync),
            false => (image.as_str(), Verdict::Blocked(Box::new(problem()))),
        })
        .collect();
    let next = schedule.ended(
        &plan(&decisions),
        &mut attempts,
        Interruption::None,
        INTERVAL,
        at(1_000),
    );
    assert_eq!(next, at(1_000).monotonic + PASS_GAP_MIN);
    attempts = schedule.begin(attempts, next);
    assert!(attempts.tried.is_empty(), "all have a turn");
}
