//! The request to end a run. Everything that runs asks it before each new call, and it must not know what runs.

use std::cell::Cell;

use tokio::sync::Notify;

/// Why a run ends before its work does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The time that `--timeout` gives has passed.
    TimedOut,
    /// A person pressed Ctrl-C (SIGINT).
    Interrupted,
    /// The service manager asked for it (SIGTERM).
    Terminated,
    /// Newer manifests ask for something else.
    Superseded,
    /// The terminal is gone (SIGHUP).
    HungUp,
}

/// Asks everything that runs to start no new call. The first reason stays.
#[derive(Default)]
pub struct Stop {
    reason: Cell<Option<StopReason>>,
    tripped: Notify,
}

impl Stop {
    /// Asks for the end, unless it was asked for before.
    pub fn trip(&self, reason: StopReason) {
        if self.reason.get().is_none() {
            self.reason.set(Some(reason));
            self.tripped.notify_waiters();
        }
    }

    /// Why the end was asked for, if it was.
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get()
    }

    /// Returns once the end is asked for.
    pub async fn tripped(&self) -> StopReason {
        loop {
            let tripped = self.tripped.notified();
            if let Some(reason) = self.reason.get() {
                return reason;
            }
            tripped.await;
        }
    }
}
