//! SCHEDULE: when the next pass over a scope is due, and when an image that failed is tried again. Pure: the time and a
//! random number are arguments, and the result is when to wake up. It must not know timers, or why something failed.
//!
//! | what the pass left behind | next pass |
//! |---|---|
//! | everything is as desired | after the interval, a tenth sooner or later |
//! | an image that failed after retries | backoff from 30 s up to the interval |
//! | an image that a person must act on | backoff from the interval up to six of them |
//! | an image that is denied | with the first pass after that backoff, five of them at most |
//! | an image that is still being made | backoff from 15 s up to the interval |
//! | a share that is not ready yet | backoff from 15 s up to 2 min, or the interval |
//! | a scope that was not observed | backoff from 5 s up to the interval |
//! | a scope with untried images, because all tried ones were denied | backoff from 30 s up to the interval |
//! | a change that is due at a known time | at that time |
//! | a pass that was interrupted | at once |
//!
//! Only newer manifests start a pass within a second of the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::attempts::{AttemptLog, ImageAttempts, LastResult, UnmetCondition};
use crate::execute::PROBES_MAX;
use crate::inventory::LAG;
use crate::model::{ImageId, Monotonic, Timestamp};
use crate::pace::Backoff;
use crate::plan::{Plan, Verdict};

/// The shortest time between two passes over a scope, so that no fault becomes a hot loop.
pub const PASS_GAP_MIN: Duration = Duration::from_secs(1);
/// The longest wait for an image that needs a person, in intervals.
const BLOCKED_INTERVALS_MAX: u32 = 6;
const FAILED_BASE: Duration = Duration::from_secs(30);
const NOT_YET_BASE: Duration = Duration::from_secs(15);
const PENDING_BASE: Duration = Duration::from_secs(15);
const PENDING_MAX: Duration = Duration::from_secs(120);
const UNOBSERVED_BASE: Duration = Duration::from_secs(5);
const NOT_TRIED_BASE: Duration = Duration::from_secs(30);
/// The number of denied images that one pass tries again: enough to show whether the whole scope is denied.
const DENIED_PER_PASS_MAX: usize = PROBES_MAX as usize;

/// What the passes over one scope have left behind, as far as it decides when the next one is due.
#[derive(Debug, Default)]
pub struct ScopeSchedule {
    /// Images whose last write failed.
    retries: BTreeMap<ImageId, ScheduledRetry>,
    /// Consecutive passes that did not observe the scope.
    unobserved: u32,
    /// Consecutive passes after which an image was still being made.
    not_yet: u32,
    /// Consecutive passes after which a share was not ready yet.
    pending: u32,
    /// Consecutive passes that left images untried.
    not_tried: u32,
    /// Denied images that are due but are not tried in this pass, because enough others are.
    deferred: BTreeSet<ImageId>,
    /// The images that this pass tries again, with the attempts made before it.
    released: BTreeMap<ImageId, ImageAttempts>,
    /// Whether a denied image was permitted in the last pass. The other denied images may be permitted now, too.
    access_restored: bool,
}

#[derive(Clone, Copy, Debug)]
struct ScheduledRetry {
    /// Consecutive failures; the backoff grows with them.
    failures: u32,
    due: Monotonic,
}

/// The current time in the forms that a schedule needs.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The wall clock of this machine, for decisions by date.
    pub wall: Timestamp,
    /// The monotonic clock, which measures all waits.
    pub monotonic: Monotonic,
    /// A random number in `[0, 1)` that spreads waits.
    pub jitter: f64,
}

/// What ended a pass before its work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The pass ended by itself.
    None,
    /// The pass was asked to end.
    Short,
    /// No call of the account works, which is not the fault of any image.
    AccountBroken,
}

impl ScopeSchedule {
    /// The part of `attempts` that a pass which begins at `monotonic` should remember. An image whose retry is due is
    /// tried as if for the first time, or once more if the same answer kept coming.
    pub fn begin(&mut self, mut attempts: AttemptLog, monotonic: Monotonic) -> AttemptLog {
        attempts.write_pause = None;
        self.deferred = self.surplus(&attempts, monotonic);
        self.released = BTreeMap::new();
        for (image, mut tried) in std::mem::take(&mut attempts.tried) {
            let is_remembered = match self.retries.get(&image) {
                Some(retry) => {
                    monotonic < retry.due
                        || self.deferred.contains(&image)
                        || tried.allow_one_retry()
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

    /// The denied images that are due, without the [`DENIED_PER_PASS_MAX`] ones that have waited longest.
    fn surplus(&self, attempts: &AttemptLog, monotonic: Monotonic) -> BTreeSet<ImageId> {
        if self.access_restored {
            return BTreeSet::new();
        }
        let due = self
            .retries
            .iter()
            .filter(|(image, retry)| retry.due <= monotonic && is_denied(attempts, image));
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(_, retry)| retry.due);
        let surplus = due.into_iter().skip(DENIED_PER_PASS_MAX);
        surplus.map(|(image, _)| image.clone()).collect()
    }

    /// Records how a pass over the scope ended, drops settled attempts from `attempts`, and returns the latest time at
    /// which the next pass is due.
    pub fn ended(
        &mut self,
        plan: &Plan,
        attempts: &mut AttemptLog,
        interruption: Interruption,
        interval: Duration,
        now: Now,
    ) -> Monotonic {
        if interruption == Interruption::AccountBroken {
            attempts.tried.retain(|_, tried| !tried.last.is_given_up());
        } else {
            drop_settled(plan, attempts, now.monotonic);
            let untried = self.take_back_untried(plan, attempts);
            self.schedule_retries(plan, attempts, &untried, interval, now);
            self.wake_denied(attempts, now.monotonic);
        }
        self.count_passes(plan);
        self.next_pass(plan, attempts, interruption, interval, now)
    }

    /// Returns the images that this pass should have tried again but did not, without the deferred ones. They keep
    /// their place. Also notes whether a denied image was permitted.
    fn take_back_untried(&mut self, plan: &Plan, attempts: &mut AttemptLog) -> BTreeSet<ImageId> {
        let mut untried = std::mem::take(&mut self.deferred);
        self.access_restored = false;
        for (image, tried) in std::mem::take(&mut self.released) {
            let verdict = verdict(plan, &image);
            self.access_restored |=
                verdict == Some(&Verdict::InSync) && matches!(tried.last, LastResult::Denied(_));
            if matches!(verdict, Some(Verdict::NotTried(_))) && !attempts.tried.contains_key(&image)
            {
                untried.insert(image.clone());
                attempts.tried.insert(image, tried);
            }
        }
        untried
    }

    /// Schedules a retry for each image that failed, after a wait that grows each time. A retry that is not due yet, or
    /// whose image was not tried, stays as it is. An acknowledged or open write needs no retry: `attempts` remembers
    /// it.
    fn schedule_retries(
        &mut self,
        plan: &Plan,
        attempts: &AttemptLog,
        untried: &BTreeSet<ImageId>,
        interval: Duration,
        now: Now,
    ) {
        let mut before = std::mem::take(&mut self.retries);
        for (image, tried) in &attempts.tried {
            let backoff = match (&tried.last, verdict(plan, image)) {
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
                Some(waits) if now.monotonic < waits.due || untried.contains(image) => waits,
                earlier => {
                    let failures = earlier.map_or(0, |retry| retry.failures) + 1;
                    let wait = jittered(backoff.step(failures), now.jitter);
                    ScheduledRetry {
                        failures,
                        due: now.monotonic + wait,
                    }
                }
            };
            self.retries.insert(image.clone(), retry);
        }
    }

    /// Makes all denied images due once one of them was permitted.
    fn wake_denied(&mut self, attempts: &AttemptLog, monotonic: Monotonic) {
        let mut tried = attempts.tried.keys();
        self.access_restored &= tried.any(|image| is_denied(attempts, image));
        if self.access_restored {
            let denied = self
                .retries
                .iter_mut()
                .filter(|(image, _)| is_denied(attempts, image));
            denied.for_each(|(_, retry)| retry.due = monotonic);
        }
    }

    fn count_passes(&mut self, plan: &Plan) {
        let not_yet = plan.decisions.values().any(|d| is_not_yet(&d.verdict));
        for (count, is_so) in [
            (&mut self.not_yet, not_yet),
            (&mut self.pending, plan.is_pending()),
            (&mut self.unobserved, plan.unobserved().is_some()),
            (&mut self.not_tried, plan.write_pause().is_some()),
        ] {
            *count = if is_so { *count + 1 } else { 0 };
        }
    }

    /// The earliest time at which a pass is needed, but not within [`PASS_GAP_MIN`].
    fn next_pass(
        &self,
        plan: &Plan,
        attempts: &AttemptLog,
        interruption: Interruption,
        interval: Duration,
        now: Now,
    ) -> Monotonic {
        let spread = interval.mul_f64(0.9 + 0.2 * now.jitter);
        let mut next = now.monotonic + spread;
        if interruption == Interruption::Short || self.access_restored {
            next = now.monotonic;
        }
        if let Some(next_change_at) = plan.next_change_at {
            let wait = (next_change_at - now.wall).to_std().unwrap_or_default();
            next = next.min(now.monotonic + wait);
        }
        // Many denied images, each due at its own time, would make a hot loop. They wait for a pass that is due for
        // another reason.
        let retries = self
            .retries
            .iter()
            .filter(|(image, _)| !is_denied(attempts, image));
        let retries = retries.map(|(_, retry)| retry.due);
        // A retry that is already due was made in this pass, unless the scope was unobserved. Then the next pass makes
        // it.
        next = retries
            .filter(|due| now.monotonic < *due)
            .fold(next, Monotonic::min);
        // A pass that writes waits until its writes show. A pass that only observes leaves that to a later pass.
        next = plan.awaiting_until().into_iter().fold(next, Monotonic::min);
        for (count, base, most) in [
            (self.not_yet, NOT_YET_BASE, interval),
            (self.pending, PENDING_BASE, interval.min(PENDING_MAX)),
            (self.unobserved, UNOBSERVED_BASE, interval),
            (self.not_tried, NOT_TRIED_BASE, interval),
        ] {
            if count > 0 {
                let wait = backoff(base, most).step(count);
                next = next.min(now.monotonic + jittered(wait, now.jitter));
            }
        }
        next.max(now.monotonic + PASS_GAP_MIN)
    }

    /// Each image that waits for a retry, and the time at which it is due.
    pub fn retries(&self) -> impl Iterator<Item = (&ImageId, Monotonic)> {
        self.retries.iter().map(|(image, retry)| (image, retry.due))
    }

    /// Whether the last pass did not observe the scope.
    pub fn is_unobserved(&self) -> bool {
        self.unobserved > 0
    }

    /// Makes everything due now, because a person has asked for it.
    pub fn reset_backoff(&mut self) {
        *self = Self::default();
    }
}

/// Drops the attempts at images that are as desired. Also drops those at images that the manifests no longer name, once
/// their effect must show.
fn drop_settled(plan: &Plan, attempts: &mut AttemptLog, monotonic: Monotonic) {
    attempts
        .tried
        .retain(|image, tried| match verdict(plan, image) {
            Some(verdict) => *verdict != Verdict::InSync,
            None => match &tried.last {
                LastResult::Acknowledged { at, .. } | LastResult::Unclear { at, .. } => {
                    monotonic.since(*at) < LAG
                }
                _ => false,
            },
        });
    attempts
        .unshareable_since
        .retain(|image, _| verdict(plan, image).is_some_and(|verdict| *verdict != Verdict::InSync));
}

fn verdict<'p>(plan: &'p Plan, image: &ImageId) -> Option<&'p Verdict> {
    plan.decisions.get(image).map(|decision| &decision.verdict)
}

fn is_denied(attempts: &AttemptLog, image: &ImageId) -> bool {
    let tried = attempts.tried.get(image);
    tried.is_some_and(|tried| matches!(tried.last, LastResult::Denied(_)))
}

/// A backoff that doubles from `base` up to `cap`. A `base` larger than `cap` counts as `cap`.
fn backoff(base: Duration, cap: Duration) -> Backoff {
    Backoff {
        base: base.min(cap),
        cap,
    }
}

/// Half of `wait`, plus a random part of the other half, so that retries of simultaneous failures spread out. `jitter`
/// is a random number in `[0, 1)`.
pub fn jittered(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

fn is_not_yet(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Blocked(problem) if problem.unmet == Some(UnmetCondition::NotYet))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
