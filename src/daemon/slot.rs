use std::rc::Rc;
use std::time::Duration;

use super::places::Place;
use crate::attempts::AttemptLog;
use crate::engine::{ScopeOutcome, Stop, StopReason};
use crate::inventory::{LAG, UnexpectedLoss};
use crate::model::Monotonic;
use crate::schedule::{Interruption, Now, ScopeSchedule};

/// One scope between and during its passes.
pub(super) struct Slot {
    pub(super) schedule: ScopeSchedule,
    /// What the last pass left to the next; while one runs, it has it.
    attempts: AttemptLog,
    due: Monotonic,
    /// Ends the pass that runs.
    pub(super) running: Option<Rc<Stop>>,
    /// What the pass that runs takes.
    pub(super) place: Option<Place>,
    /// Another pass is to follow at once.
    again: bool,
    /// A person asked for everything to be tried again while a pass was running.
    forgiven: bool,
    /// The loss that was known when the last pass began.
    known_loss: Option<UnexpectedLoss>,
    /// The one that a person has looked at since.
    forgiven_loss: Option<UnexpectedLoss>,
    /// Since when it is not worked on any longer. What it remembers of its writes outlives that for a while, and a doubt
    /// for as long as the process: who removes a scope and brings it back has not looked at what is lost in it.
    gone_since: Option<Monotonic>,
    /// There is no further pass: a fault in sharekeeper ended the last one.
    held: bool,
}

impl Slot {
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            schedule: ScopeSchedule::default(),
            attempts: AttemptLog::default(),
            due: now,
            running: None,
            place: None,
            again: false,
            forgiven: false,
            known_loss: None,
            forgiven_loss: None,
            gone_since: None,
            held: false,
        }
    }

    /// When the next pass begins; `None` while one runs, or if there is none.
    pub(super) fn due(&self) -> Option<Monotonic> {
        (self.running.is_none() && !self.held && !self.is_gone()).then_some(self.due)
    }

    /// Whether it is not worked on any longer.
    pub(super) fn is_gone(&self) -> bool {
        self.gone_since.is_some()
    }

    /// Takes in whether the newest manifests leave nothing to do here; whether there is anything left to remember.
    pub(super) fn is_kept(&mut self, is_gone: bool, now: Monotonic) -> bool {
        if !is_gone {
            if self.gone_since.take().is_some() {
                self.due = now;
            }
            return true;
        }
        let since = match self.gone_since {
            Some(since) => since,
            None => {
                self.supersede(now);
                *self.gone_since.insert(now)
            }
        };
        let is_recent = now.since(since) < LAG;
        self.running.is_some() || self.held || is_recent || self.attempts.loss.is_some()
    }

    /// Newer manifests ask for something else.
    pub(super) fn supersede(&mut self, now: Monotonic) {
        self.due = now;
        if let Some(stop) = &self.running {
            stop.trip(StopReason::Superseded);
            self.again = true;
        }
    }

    /// A person asks for everything to be looked at and tried again, and knows what was told of by now.
    pub(super) fn again(&mut self, now: Monotonic) {
        self.due = now;
        self.schedule.reset_backoff();
        if self.running.is_some() {
            self.forgiven = true;
            self.forgiven_loss = self.known_loss;
            self.again = true;
        } else {
            self.attempts.loss = None;
        }
        self.attempts.account_doubt = None;
    }

    /// A pass begins, with what it should remember.
    pub(super) fn begin(&mut self, stop: Rc<Stop>, place: Place, now: Monotonic) -> AttemptLog {
        self.running = Some(stop);
        self.place = Some(place);
        let mut attempts = self.schedule.begin(std::mem::take(&mut self.attempts), now);
        // One that was first seen after the signal was not meant by it.
        let forgiven = self.forgiven_loss.take();
        if forgiven.is_some() && attempts.loss == forgiven {
            attempts.loss = None;
        }
        self.known_loss = attempts.loss;
        attempts
    }

    /// A pass has ended; when the next is due. `retry` is when the account may be called again, if it is broken.
    pub(super) fn ended(
        &mut self,
        outcome: ScopeOutcome,
        cut: Interruption,
        interval: Duration,
        at: Now,
        retry: Option<Monotonic>,
    ) -> Monotonic {
        let ScopeOutcome { plan, mut attempts } = outcome;
        let next = self.schedule.ended(&plan, &mut attempts, cut, interval, at);
        if std::mem::take(&mut self.forgiven) {
            self.schedule.reset_backoff();
            attempts.account_doubt = None;
        }
        self.attempts = attempts;
        self.due = match retry {
            _ if std::mem::take(&mut self.again) => at.monotonic,
            Some(retry) => retry,
            None => next,
        };
        self.due
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
    }
}
