//! The data that the daemon keeps for one scope, between passes and during one. Starting passes is the daemon's task.

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
    /// The attempts that the last pass left to the next. A running pass holds them itself.
    attempts: AttemptLog,
    due: Monotonic,
    running: Option<RunningPass>,
    /// Whether another pass must follow at once.
    rerun: bool,
    /// Whether a person asked during a pass for everything to be tried again.
    reset_requested: bool,
    /// The loss that was known when the last pass began.
    known_loss: Option<UnexpectedLoss>,
    /// The loss that a person has accepted since then, by asking for everything to be tried again.
    accepted_loss: Option<UnexpectedLoss>,
    /// Since when no manifest names the scope. Its attempts are kept for a while after that, and a loss for as long as
    /// the process runs: removing a scope and naming it again does not mean that a person accepts the loss.
    removed_since: Option<Monotonic>,
    /// Whether there is no further pass, because a fault in sharekeeper ended the last one.
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

    /// When the next pass begins; `None` while one runs, or if none will follow.
    pub(super) fn due(&self) -> Option<Monotonic> {
        let may_run = self.running.is_none() && !self.is_halted && !self.is_removed();
        may_run.then_some(self.due)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The slot of the running pass, if one runs.
    pub(super) fn slot(&self) -> Option<&PassSlot> {
        self.running.as_ref().map(|running| &running.slot)
    }

    /// Asks the running pass to end, if there is one.
    pub(super) fn stop(&self, reason: StopReason) {
        if let Some(running) = &self.running {
            running.stop.trip(reason);
        }
    }

    /// Whether no manifest names the scope any longer.
    pub(super) fn is_removed(&self) -> bool {
        self.removed_since.is_some()
    }

    /// Notes whether the newest manifests leave no work here. Returns whether anything must still be remembered.
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

    /// Notes that newer manifests ask for something else.
    pub(super) fn supersede(&mut self, now: Monotonic) {
        self.due = now;
        if self.is_running() {
            self.stop(StopReason::Superseded);
            self.rerun = true;
        }
    }

    /// Notes that a person asks for everything to be observed and tried again. The person knows everything reported so
    /// far.
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

    /// Notes that a pass begins. Returns the attempts that it should remember.
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

    /// Notes that no pass runs any longer, without a result of the last one.
    pub(super) fn free(&mut self) {
        self.running = None;
    }

    /// Records the result of a pass. Returns when the next pass is due. `retry_at` is when the account may be called
    /// again, if it is broken.
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

    /// Notes that a fault ended the last pass, so that none follows.
    pub(super) fn halt(&mut self) {
        self.is_halted = true;
    }
}
