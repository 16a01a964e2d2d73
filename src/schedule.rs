//! SCHEDULE: when a scope is looked at next, and when an image that failed is tried again. Pure: the time and a random
//! number are arguments, and what comes back is the next wake-up. Knows neither timers nor why something failed.
//!
//! | what the pass left behind | looked at again |
//! |---|---|
//! | everything as desired | after the interval, a tenth sooner or later |
//! | an image that failed after retries | backoff from 30 s up to the interval |
//! | an image that a person must act on | backoff from the interval up to six of them |
//! | an image that is still being made | backoff from 15 s up to the interval |
//! | a scope that was not seen | backoff from 5 s up to the interval |
//! | something that time alone changes | then |
//! | a pass that was cut off | at once |
//!
//! Nothing but newer manifests leads to a pass within a second of the last.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::memory::{Last, Memory, Unmet};
use crate::model::{ImageId, Moment, Timestamp};
use crate::pace::Backoff;
use crate::plan::{Plan, Verdict};

/// Whatever happens, a scope rests for so long between passes: no fault becomes a hot loop.
pub const REST_MIN: Duration = Duration::from_secs(1);
/// The longest wait for an image that a person must act on, in intervals.
const BLOCKED_INTERVALS_MAX: u32 = 6;
const FAILED_BASE: Duration = Duration::from_secs(30);
const NOT_YET_BASE: Duration = Duration::from_secs(15);
const UNSEEN_BASE: Duration = Duration::from_secs(5);
/// How long the effect of a write may take to show.
pub const STILL_SHOWS: Duration = Duration::from_secs(120);

/// One scope's part of the schedule.
#[derive(Debug, Default)]
pub struct Turns {
    /// Images whose last write failed.
    retries: BTreeMap<ImageId, Retry>,
    /// Passes in a row that did not see the scope.
    unseen: u32,
    /// Passes in a row that left an image behind that is still being made.
    not_yet: u32,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    failures: u32,
    at: Moment,
}

/// When a pass has ended.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Wall time, for what is asked for by the calendar.
    pub now: Timestamp,
    /// Monotonic time, for the rest.
    pub moment: Moment,
    /// A random number in `[0, 1)`, for the jitter.
    pub unit: f64,
}

/// How a pass ended, beyond its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// By itself.
    None,
    /// It was asked to end before its work was done.
    Short,
    /// No call can be made for the whole account: that is no image's fault.
    AccountBroken,
}

impl Turns {
    /// What a pass that begins at `moment` should remember of `memory`: what is due is tried as if for the first time.
    pub fn begin(&self, mut memory: Memory, moment: Moment) -> Memory {
        memory.tried.retain(|image, tried| {
            let given_up = matches!(tried.last, Last::Blocked(_) | Last::Failed(_));
            match self.retries.get(image) {
                Some(retry) => moment < retry.at,
                None => !given_up,
            }
        });
        memory
    }

    /// Takes in how a pass over the scope ended; when the next is due, at the latest. `memory` loses what is settled.
    pub fn ended(
        &mut self,
        plan: &Plan,
        memory: &mut Memory,
        cut: Cut,
        interval: Duration,
        at: At,
    ) -> Moment {
        self.settle(plan, memory, cut, interval, at);
        let spread = interval.mul_f64(0.9 + 0.2 * at.unit);
        let mut next = at.moment + spread;
        if cut == Cut::Short {
            next = at.moment;
        }
        if let Some(turns_at) = plan.turns_at {
            let wait = (turns_at - at.now).to_std().unwrap_or_default();
            next = next.min(at.moment + wait);
        }
        let retries = self.retries.values().map(|retry| retry.at);
        // One that is due already had its try, or the scope was out of sight.
        next = retries
            .filter(|retry| at.moment < *retry)
            .fold(next, Moment::min);
        // A pass that writes waits for it itself; one that only looks comes back for it.
        next = plan.awaiting_until().into_iter().fold(next, Moment::min);
        self.not_yet = match plan.decisions.values().any(|d| is_not_yet(&d.verdict)) {
            true => self.not_yet + 1,
            false => 0,
        };
        self.unseen = match plan.unseen() {
            Some(_) => self.unseen + 1,
            None => 0,
        };
        for (count, base) in [(self.not_yet, NOT_YET_BASE), (self.unseen, UNSEEN_BASE)] {
            if count > 0 {
                let wait = backoff(base, interval).step(count);
                next = next.min(at.moment + jittered(wait, at.unit));
            }
        }
        next.max(at.moment + REST_MIN)
    }

    /// Who waits, and until when.
    pub fn retries(&self) -> impl Iterator<Item = (&ImageId, Moment)> {
        self.retries.iter().map(|(image, retry)| (image, retry.at))
    }

    /// Whether the last pass did not see the scope.
    pub fn is_out_of_sight(&self) -> bool {
        self.unseen > 0
    }

    /// A person asks for everything to be tried again now.
    pub fn forgive(&mut self) {
        *self = Self::default();
    }

    /// What is as desired is forgotten; what failed in this pass waits longer than before.
    fn settle(&mut self, plan: &Plan, memory: &mut Memory, cut: Cut, interval: Duration, at: At) {
        if cut == Cut::AccountBroken {
            memory
                .tried
                .retain(|_, tried| !matches!(tried.last, Last::Blocked(_) | Last::Failed(_)));
            return;
        }
        let named = |image: &ImageId| plan.decisions.get(image);
        memory.tried.retain(|image, tried| match named(image) {
            Some(decision) => decision.verdict != Verdict::InSync,
            // Gone from the manifests: only a write whose effect may still show is remembered.
            None => match &tried.last {
                Last::Acknowledged { at: then, .. } | Last::Unclear { at: then, .. } => {
                    at.moment.since(*then) < STILL_SHOWS
                }
                _ => false,
            },
        });
        let in_sync = |image: &ImageId| named(image).is_none_or(|d| d.verdict == Verdict::InSync);
        memory.doubted_since.retain(|image, _| !in_sync(image));
        // Nothing else waits: a write that was acknowledged or is open has a memory of its own.
        let mut before = std::mem::take(&mut self.retries);
        for (image, tried) in &memory.tried {
            let backoff = match (&tried.last, named(image).map(|d| &d.verdict)) {
                (Last::Blocked(_), _) => {
                    backoff(interval, interval.saturating_mul(BLOCKED_INTERVALS_MAX))
                }
                (Last::Failed(_), _) | (_, Some(Verdict::Failed(_))) => {
                    backoff(FAILED_BASE, interval)
                }
                _ => continue,
            };
            let retry = match before.remove(image) {
                Some(waits) if at.moment < waits.at => waits,
                earlier => {
                    let failures = earlier.map_or(0, |retry| retry.failures) + 1;
                    let wait = jittered(backoff.step(failures), at.unit);
                    Retry {
                        failures,
                        at: at.moment + wait,
                    }
                }
            };
            self.retries.insert(image.clone(), retry);
        }
    }
}

/// Waits that double, up to `cap`.
fn backoff(base: Duration, cap: Duration) -> Backoff {
    Backoff {
        base: base.min(cap),
        cap,
    }
}

/// Half of it is certain, so that a wait is a wait; the other half spreads those who failed together.
pub fn jittered(wait: Duration, unit: f64) -> Duration {
    wait.mul_f64(0.5 + 0.5 * unit.clamp(0.0, 1.0))
}

fn is_not_yet(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Blocked(problem) if problem.unmet == Some(Unmet::NotYet))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
