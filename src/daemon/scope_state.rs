//! What the daemon keeps of one scope between its passes and while one runs. It starts no pass: that is the daemon's.

use std::rc::Rc;
use std::time::Duration;

use super::fair_share::PassSlot;
use crate::attempts::AttemptLog;
use crate::engine::{ScopeOutcome, Stop, StopReason};
use crate::inventory::{LAG, UnexpectedLoss};
use crate::model::Monotonic;
use crate::schedule::{Interruption, Now, ScopeSchedule};

/// One scope between and during its passes.
pub(super) struct ScopeState {
    pub(super) schedule: ScopeSchedule,
    /// What the last pass left to the next; while one runs, it has it.
    attempts: AttemptLog,
    due: Monotonic,
    running: Option<RunningPass>,
    /// Another pass is to follow at once.
    rerun: bool,
    /// A person asked for everything to be tried again while a pass was running.
    reset_requested: bool,
    /// The loss that was known when the last pass began.
    known_loss: Option<UnexpectedLoss>,
    /// The loss that a person has accepted since, by asking for everything to be tried again.
    accepted_loss: Option<UnexpectedLoss>,
    /// Since when no manifest names the scope. What it remembers of its writes outlives that for a while, and a loss
    /// for as long as the process: removing a scope and naming it again does not mean that a person accepts the loss.
    removed_since: Option<Monotonic>,
    /// There is no further pass: a fault in sharekeeper ended the last one.
    is_halted: bool,
}

struct RunningPass {
    stop: Rc<Stop>,
    slot: PassSlot,
}

impl ScopeState {
    /// The state of a scope that is due at `now`.
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            schedule: ScopeSchedule::default(),
            attempts: AttemptLog::default(),
            due: now,
            running: None,
            rerun: false,
            reset_requested: false,
            known_loss: None,
            accepted_loss: None,
            removed_since: None,
            is_halted: false,
        }
    }

    /// When the next pass begins; `None` while one runs, or if there is none.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let may_run = self.running.is_none() && !self.is_halted && !self.is_removed();
        may_run.then_some(self.due)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// What the pass that runs takes of the passes that may run at a time.
    pub(super) fn slot(&self) -> Option<&PassSlot> {
        self.running.as_ref().map(|running| &running.slot)
    }

    /// Asks the pass that runs to end, if one does.
    pub(super) fn stop(&self, reason: StopReason) {
        if let Some(running) = &self.running {
            running.stop.trip(reason);
        }
    }

    /// Whether no manifest names the scope any longer.
    pub(super) fn is_removed(&self) -> bool {
        self.removed_since.is_some()
    }

    /// Takes in whether the newest manifests leave nothing to do here. Returns whether there is anything left to remember.
    pub(super) fn set_removed(&mut self, is_removed: bool, now: Monotonic) -> bool {
        if !is_removed {
            if self.removed_since.take().is_some() {
                self.due = now;
            }
            return true;
        }
        let since = match self.removed_since {
            Some(since) => since,
            None => {
                self.supersede(now);
                *self.removed_since.insert(now)
            }
        };
        let is_recent = now.since(since) < LAG;
        self.is_running() || self.is_halted || is_recent || self.attempts.loss.is_some()
    }

    /// Newer manifests ask for something else.
    pub(super) fn supersede(&mut self, now: Monotonic) {
        self.due = now;
        if self.is_running() {
            self.stop(StopReason::Superseded);
            self.rerun = true;
        }
    }

    /// A person asks for everything to be observed and tried again, and knows what was reported by now.
    pub(super) fn retry_all(&mut self, now: Monotonic) {
        self.due = now;
        self.schedule.reset_backoff();
        if self.is_running() {
            self.reset_requested = true;
            self.accepted_loss = self.known_loss;
            self.rerun = true;
        } else {
            self.attempts.loss = None;
        }
        self.attempts.account_doubt = None;
    }

    /// A pass begins. Returns what it should remember.
    pub(super) fn pass_began(
        &mut self,
        stop: Rc<Stop>,
        slot: PassSlot,
        now: Monotonic,
    ) -> AttemptLog {
        self.running = Some(RunningPass { stop, slot });
        let mut attempts = self.schedule.begin(std::mem::take(&mut self.attempts), now);
        // A loss that was first seen after the signal is not the one that the person accepted.
        let accepted = self.accepted_loss.take();
        if accepted.is_some() && attempts.loss == accepted {
            attempts.loss = None;
        }
        self.known_loss = attempts.loss;
        attempts
    }

    /// No pass runs any longer, whatever came of the last one.
    pub(super) fn free(&mut self) {
        self.running = None;
    }

    /// Takes in what a pass came to. Returns when the next is due. `retry_at` is when the account may be called again, if
    /// it is broken.
    pub(super) fn pass_ended(
        &mut self,
        outcome: ScopeOutcome,
        interruption: Interruption,
        interval: Duration,
        at: Now,
        retry_at: Option<Monotonic>,
    ) -> Monotonic {
        let ScopeOutcome { plan, mut attempts } = outcome;
        let next = self
            .schedule
            .ended(&plan, &mut attempts, interruption, interval, at);
        if std::mem::take(&mut self.reset_requested) {
            self.schedule.reset_backoff();
            attempts.account_doubt = None;
        }
        self.attempts = attempts;
        self.due = match retry_at {
            _ if std::mem::take(&mut self.rerun) => at.monotonic,
            Some(retry_at) => retry_at,
            None => next,
        };
        self.due
    }

    /// A fault ended the last pass: there is no further one.
    pub(super) fn halt(&mut self) {
        self.is_halted = true;
    }
}
