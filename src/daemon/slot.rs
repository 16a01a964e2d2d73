use std::rc::Rc;
use std::time::Duration;

use crate::engine::{ScopeOutcome, Stop, StopReason};
use crate::memory::Memory;
use crate::model::Moment;
use crate::schedule::{At, Cut, Turns};

/// One scope between and during its passes.
pub(super) struct Slot {
    pub(super) turns: Turns,
    /// What the last pass left to the next; while one runs, it has it.
    memory: Memory,
    due: Moment,
    /// Ends the pass that runs.
    pub(super) running: Option<Rc<Stop>>,
    /// Another pass is to follow at once.
    again: bool,
    /// A person asked for everything to be tried again while a pass was running.
    forgiven: bool,
    /// No manifest names it any longer.
    pub(super) gone: bool,
    /// There is no further pass: a fault in sharekeeper ended the last one.
    held: bool,
}

impl Slot {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            turns: Turns::default(),
            memory: Memory::default(),
            due: now,
            running: None,
            again: false,
            forgiven: false,
            gone: false,
            held: false,
        }
    }

    /// When the next pass begins; `None` while one runs, or if there is none.
    pub(super) fn due(&self) -> Option<Moment> {
        (self.running.is_none() && !self.held && !self.gone).then_some(self.due)
    }

    /// Newer manifests ask for something else.
    pub(super) fn supersede(&mut self, now: Moment) {
        self.due = now;
        if let Some(stop) = &self.running {
            stop.trip(StopReason::Superseded);
            self.again = true;
        }
    }

    /// A person asks for everything to be looked at and tried again.
    pub(super) fn again(&mut self, now: Moment) {
        self.due = now;
        self.turns.forgive();
        self.forgiven = true;
        self.again = self.running.is_some();
    }

    /// A pass begins, with what it should remember.
    pub(super) fn begin(&mut self, stop: Rc<Stop>, now: Moment) -> Memory {
        self.running = Some(stop);
        let mut memory = self.turns.begin(std::mem::take(&mut self.memory), now);
        if std::mem::take(&mut self.forgiven) {
            // Whoever asks for it has looked.
            memory.loss = None;
        }
        memory
    }

    /// A pass has ended; when the next is due. `retry` is when the account may be called again, if it is broken.
    pub(super) fn ended(
        &mut self,
        outcome: ScopeOutcome,
        cut: Cut,
        interval: Duration,
        at: At,
        retry: Option<Moment>,
    ) -> Moment {
        let ScopeOutcome { plan, mut memory } = outcome;
        let next = self.turns.ended(&plan, &mut memory, cut, interval, at);
        if self.forgiven {
            self.turns.forgive();
        }
        self.memory = memory;
        self.due = match retry {
            _ if std::mem::take(&mut self.again) => at.moment,
            Some(retry) => retry,
            None => next,
        };
        self.due
    }

    pub(super) fn rest(&mut self, until: Moment) {
        self.due = until;
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
    }
}
