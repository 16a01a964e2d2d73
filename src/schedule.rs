//! SCHEDULE: when a scope is looked at next, and when an image that failed is tried again. Pure: the time and a random
//! number are arguments, and what comes back is the next wake-up. Knows neither timers nor why something failed.
//!
//! | what the pass left behind | looked at again |
//! |---|---|
//! | everything as desired | after the interval, a tenth sooner or later |
//! | an image that failed after retries | backoff from 30 s up to the interval |
//! | an image that a person must act on | backoff from the interval up to six of them |
//! | an image that is denied | with the first look after that backoff, five of them at most |
//! | an image that is still being made | backoff from 15 s up to the interval |
//! | a share that is not ready yet | backoff from 15 s up to 2 min, or the interval |
//! | a scope that was not seen | backoff from 5 s up to the interval |
//! | a scope in which the rest is not tried, because all that was tried is denied | backoff from 30 s up to the interval |
//! | something that time alone changes | then |
//! | a pass that was cut off | at once |
//!
//! Nothing but newer manifests leads to a pass within a second of the last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::attempts::{AttemptLog, LastResult, PendingAttempt, UnmetCondition};
use crate::execute::PROBES_MAX;
use crate::inventory::LAG;
use crate::model::{ImageId, Monotonic, Timestamp};
use crate::pace::Backoff;
use crate::plan::{Plan, Verdict};

/// Whatever happens, a scope rests for so long between passes: no fault becomes a hot loop.
pub const REST_MIN: Duration = Duration::from_secs(1);
/// The longest wait for an image that a person must act on, in intervals.
const BLOCKED_INTERVALS_MAX: u32 = 6;
const FAILED_BASE: Duration = Duration::from_secs(30);
const NOT_YET_BASE: Duration = Duration::from_secs(15);
const PENDING_BASE: Duration = Duration::from_secs(15);
const PENDING_MAX: Duration = Duration::from_secs(120);
const UNSEEN_BASE: Duration = Duration::from_secs(5);
const NOT_TRIED_BASE: Duration = Duration::from_secs(30);
/// Images that are known as denied, and are tried again in one pass: as many as show that the scope as a whole is.
const DENIED_AT_ONCE: usize = PROBES_MAX as usize;

/// One scope's part of the schedule.
#[derive(Debug, Default)]
pub struct ScopeSchedule {
    /// Images whose last write failed.
    retries: BTreeMap<ImageId, Retry>,
    /// Passes in a row that did not see the scope.
    unobserved: u32,
    /// Passes in a row that left an image behind that is still being made.
    not_yet: u32,
    /// Passes in a row that left a share behind that is not ready yet.
    pending: u32,
    /// Passes in a row that did not try all.
    not_tried: u32,
    /// Denied images that are due, and have no turn in this pass.
    held: BTreeSet<ImageId>,
    /// Those that have one, as they were before.
    released: BTreeMap<ImageId, PendingAttempt>,
    /// One that was denied has been permitted in the last pass: so may the others be.
    mended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Retry {
    failures: u32,
    at: Monotonic,
}

/// When a pass has ended.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Wall time, for what is asked for by the calendar.
    pub now: Timestamp,
    /// Monotonic time, for the rest.
    pub monotonic: Monotonic,
    /// A random number in `[0, 1)`, for the jitter.
    pub unit: f64,
}

/// How a pass ended, beyond its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// By itself.
    None,
    /// It was asked to end before its work was done.
    Short,
    /// No call can be made for the whole account: that is no image's fault.
    AccountBroken,
}

impl ScopeSchedule {
    /// What a pass that begins at `monotonic` should remember of `attempts`: what is due is tried as if for the first time, or
    /// once more, where one answer kept coming.
    pub fn begin(&mut self, mut attempts: AttemptLog, monotonic: Monotonic) -> AttemptLog {
        attempts.rest = None;
        self.held = self.surplus(&attempts, monotonic);
        self.released = BTreeMap::new();
        for (image, mut tried) in std::mem::take(&mut attempts.tried) {
            let is_remembered = match self.retries.get(&image) {
                Some(retry) => {
                    monotonic < retry.at || self.held.contains(&image) || tried.once_more()
                }
                None => !tried.last.is_given_up(),
            };
            let place = match is_remembered {
                true => &mut attempts.tried,
                false => &mut self.released,
            };
            place.insert(image, tried);
        }
        attempts
    }

    /// The denied images that are due beyond those that one pass tries, which have waited for longest.
    fn surplus(&self, attempts: &AttemptLog, monotonic: Monotonic) -> BTreeSet<ImageId> {
        if self.mended {
            return BTreeSet::new();
        }
        let due = self
            .retries
            .iter()
            .filter(|(image, retry)| retry.at <= monotonic && is_denied(attempts, image));
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(_, retry)| retry.at);
        let surplus = due.into_iter().skip(DENIED_AT_ONCE);
        surplus.map(|(image, _)| image.clone()).collect()
    }

    /// Takes in how a pass over the scope ended; when the next is due, at the latest. `attempts` loses what is settled.
    pub fn ended(
        &mut self,
        plan: &Plan,
        attempts: &mut AttemptLog,
        cut: Interruption,
        interval: Duration,
        at: At,
    ) -> Monotonic {
        self.settle(plan, attempts, cut, interval, at);
        let spread = interval.mul_f64(0.9 + 0.2 * at.unit);
        let mut next = at.monotonic + spread;
        if cut == Interruption::Short || self.mended {
            next = at.monotonic;
        }
        if let Some(next_change_at) = plan.next_change_at {
            let wait = (next_change_at - at.now).to_std().unwrap_or_default();
            next = next.min(at.monotonic + wait);
        }
        // Many images that are denied, each at a time of its own, would make a hot loop: they go with the next look.
        let retries = self
            .retries
            .iter()
            .filter(|(image, _)| !is_denied(attempts, image));
        let retries = retries.map(|(_, retry)| retry.at);
        // One that is due already had its try, or the scope was out of sight.
        next = retries
            .filter(|retry| at.monotonic < *retry)
            .fold(next, Monotonic::min);
        // A pass that writes waits for it itself; one that only looks comes back for it.
        next = plan.awaiting_until().into_iter().fold(next, Monotonic::min);
        self.not_yet = match plan.decisions.values().any(|d| is_not_yet(&d.verdict)) {
            true => self.not_yet + 1,
            false => 0,
        };
        self.pending = match plan.is_pending() {
            true => self.pending + 1,
            false => 0,
        };
        self.unobserved = match plan.unobserved() {
            Some(_) => self.unobserved + 1,
            None => 0,
        };
        self.not_tried = match plan.rest() {
            Some(_) => self.not_tried + 1,
            None => 0,
        };
        for (count, base, most) in [
            (self.not_yet, NOT_YET_BASE, interval),
            (self.pending, PENDING_BASE, interval.min(PENDING_MAX)),
            (self.unobserved, UNSEEN_BASE, interval),
            (self.not_tried, NOT_TRIED_BASE, interval),
        ] {
            if count > 0 {
                let wait = backoff(base, most).step(count);
                next = next.min(at.monotonic + jittered(wait, at.unit));
            }
        }
        next.max(at.monotonic + REST_MIN)
    }

    /// Who waits, and until when.
    pub fn retries(&self) -> impl Iterator<Item = (&ImageId, Monotonic)> {
        self.retries.iter().map(|(image, retry)| (image, retry.at))
    }

    /// Whether the last pass did not see the scope.
    pub fn is_out_of_sight(&self) -> bool {
        self.unobserved > 0
    }

    /// A person asks for everything to be tried again now.
    pub fn reset_backoff(&mut self) {
        *self = Self::default();
    }

    /// What is as desired is forgotten; what failed in this pass waits longer than before.
    fn settle(
        &mut self,
        plan: &Plan,
        attempts: &mut AttemptLog,
        cut: Interruption,
        interval: Duration,
        at: At,
    ) {
        if cut == Interruption::AccountBroken {
            attempts.tried.retain(|_, tried| !tried.last.is_given_up());
            return;
        }
        let named = |image: &ImageId| plan.decisions.get(image);
        attempts.tried.retain(|image, tried| match named(image) {
            Some(decision) => decision.verdict != Verdict::InSync,
            // Gone from the manifests: only a write whose effect may still show is remembered.
            None => match &tried.last {
                LastResult::Acknowledged { at: then, .. }
                | LastResult::Unclear { at: then, .. } => at.monotonic.since(*then) < LAG,
                _ => false,
            },
        });
        let in_sync = |image: &ImageId| named(image).is_none_or(|d| d.verdict == Verdict::InSync);
        attempts.doubted_since.retain(|image, _| !in_sync(image));
        // Who had a turn and was not tried after all waits on as before.
        let mut untried = std::mem::take(&mut self.held);
        let mut mended = false;
        for (image, tried) in std::mem::take(&mut self.released) {
            let verdict = named(&image).map(|decision| &decision.verdict);
            let is_done = verdict == Some(&Verdict::InSync);
            mended |= is_done && matches!(tried.last, LastResult::Denied(_));
            if matches!(verdict, Some(Verdict::NotTried(_))) && !attempts.tried.contains_key(&image)
            {
                untried.insert(image.clone());
                attempts.tried.insert(image, tried);
            }
        }
        // Nothing else waits: a write that was acknowledged or is open has a memory of its own.
        let mut before = std::mem::take(&mut self.retries);
        for (image, tried) in &attempts.tried {
            let backoff = match (&tried.last, named(image).map(|d| &d.verdict)) {
                (LastResult::Blocked(_) | LastResult::Denied(_), _)
                | (_, Some(Verdict::Blocked(_))) => {
                    backoff(interval, interval.saturating_mul(BLOCKED_INTERVALS_MAX))
                }
                (LastResult::Failed(_), _) | (_, Some(Verdict::Failed(_))) => {
                    backoff(FAILED_BASE, interval)
                }
                _ => continue,
            };
            let retry = match before.remove(image) {
                Some(waits) if at.monotonic < waits.at || untried.contains(image) => waits,
                earlier => {
                    let failures = earlier.map_or(0, |retry| retry.failures) + 1;
                    let wait = jittered(backoff.step(failures), at.unit);
                    Retry {
                        failures,
                        at: at.monotonic + wait,
                    }
                }
            };
            self.retries.insert(image.clone(), retry);
        }
        self.mended = mended
            && attempts
                .tried
                .keys()
                .any(|image| is_denied(attempts, image));
        if self.mended {
            let denied = self
                .retries
                .iter_mut()
                .filter(|(image, _)| is_denied(attempts, image));
            denied.for_each(|(_, retry)| retry.at = at.monotonic);
        }
    }
}

fn is_denied(attempts: &AttemptLog, image: &ImageId) -> bool {
    let tried = attempts.tried.get(image);
    tried.is_some_and(|tried| matches!(tried.last, LastResult::Denied(_)))
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
    matches!(verdict, Verdict::Blocked(problem) if problem.unmet == Some(UnmetCondition::NotYet))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
