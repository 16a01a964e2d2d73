//! Runs of a story in each of which one thing is different. All of them are made if `WORLD_VARIATIONS` is `all`, and an even part
//! otherwise; the processors share them.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::run::{Outcome, live_under};
use super::setup::{Notes, Setup};
use super::stories::Story;

/// Failures after which no more is tried.
const FAILURES_MAX: usize = 5;

/// A story and its run in which all is as it should be.
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

/// A run in which one thing is different, and how it is told.
pub(crate) struct Variation<'a> {
    pub(crate) first: &'a First,
    pub(crate) setup: Setup,
    pub(crate) what: String,
}

impl Variation<'_> {
    /// Whether all is well, and ends as the first run did.
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

/// An image that ends otherwise. A share that only seems to be ours is not pruned, and nothing else may differ.
fn differs<'n>(now: &'n Notes, then: &Notes) -> Option<&'n String> {
    let mut images = now.shared.iter();
    let other = images.find(|(image, shared)| {
        then.shared[*image] != **shared
            && !(**shared && now.probable.contains(*image))
            && !now.chanced.contains(*image)
    });
    other.map(|(image, _)| image)
}

/// Makes all the runs, or one of so many if nobody has asked for all. Returns how many.
pub(crate) fn check(runs: &[Variation<'_>], one_of: usize) -> usize {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    check_by(workers, runs, one_of)
}

/// The same, so many at a time.
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
