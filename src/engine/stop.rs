//! The request to end a run. Everything that runs checks it before each new call; it must not know what runs.

use std::cell::Cell;

use tokio::sync::Notify;

/// Why a run ends before its work does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The `--timeout` is over.
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
    /// Requests a stop, unless one was requested before.
    pub fn trip(&self, reason: StopReason) {
        if self.reason.get().is_none() {
            self.reason.set(Some(reason));
            self.tripped.notify_waiters();
        }
    }

    /// Why a stop was requested, if it was.
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get()
    }

    /// Returns once a stop is requested.
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
