//! Runs stories with one difference each. If `WORLD_VARIATIONS` is `all`, it makes all these runs, and otherwise an
//! evenly spaced part of them. Several threads share the runs.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::run::{Outcome, live_under};
use super::setup::{Notes, Setup};
use super::stories::Story;

/// The number of failures after which no further run starts.
const FAILURES_MAX: usize = 5;

/// A story, and its run without any difference.
pub(crate) struct First {
    pub(crate) story: Story,
    pub(crate) outcome: Outcome,
}

impl First {
    pub(crate) fn of(stories: Vec<Story>, on_disk: bool) -> Vec<Self> {
        let setup = Setup {
            is_first: true,
            on_disk,
            ..Setup::default()
        };
        let first = |story: Story| {
            let outcome = live_under(&story.scenario, &setup);
            let violations = &outcome.violations;
            assert!(violations.is_empty(), "{}: {violations:#?}", story.name);
            assert!(outcome.writes > 0, "{}: nothing happens", story.name);
            Self { story, outcome }
        };
        stories.into_iter().map(first).collect()
    }
}

/// A run with one difference, and the text that describes it.
pub(crate) struct Variation<'a> {
    pub(crate) first: &'a First,
    pub(crate) setup: Setup,
    pub(crate) what: String,
}

impl Variation<'_> {
    /// Checks that no invariant is violated, and that the run ends in the same state as the first run.
    fn check(&self) -> Result<(), String> {
        let Self { first, setup, what } = self;
        let outcome = live_under(&first.story.scenario, setup);
        let (now, then) = (&outcome.notes, &first.outcome.notes);
        let why = if !outcome.violations.is_empty() {
            format!("{:#?}\n{}", outcome.violations, outcome.record.text())
        } else if !now.is_reached {
            "it does not come to that".into()
        } else if let Some(image) = differs(now, then) {
            format!("{image} is otherwise: {now:#?}\n{}", outcome.record.text())
        } else {
            return Ok(());
        };
        Err(format!("{}, {what}: {why}", first.story.name))
    }
}

/// An image with another end state. Only a share that is probably ours may remain, because it is not pruned.
fn differs<'n>(now: &'n Notes, then: &Notes) -> Option<&'n String> {
    let mut images = now.shared.iter();
    let other = images.find(|(image, shared)| {
        then.shared[*image] != **shared
            && !(**shared && now.probable.contains(*image))
            && !now.chanced.contains(*image)
    });
    other.map(|(image, _)| image)
}

/// Makes all runs if they are requested, and otherwise one of every `one_of`. Returns their number.
pub(crate) fn check(runs: &[Variation<'_>], one_of: usize) -> usize {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    check_by(workers, runs, one_of)
}

/// Makes the same runs with this number of threads.
pub(crate) fn check_by(workers: usize, runs: &[Variation<'_>], one_of: usize) -> usize {
    let is_all = env::var("WORLD_VARIATIONS").is_ok_and(|which| which == "all");
    let every = if is_all { 1 } else { one_of };
    let runs: Vec<_> = runs.iter().step_by(every).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let has_enough = || failures.lock().expect("no panic").len() >= FAILURES_MAX;
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if has_enough() {
                        return;
                    }
                    if let Err(failure) = run.check() {
                        failures.lock().expect("no panic").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    runs.len()
}
