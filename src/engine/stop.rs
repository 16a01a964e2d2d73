use std::cell::Cell;

use tokio::sync::Notify;

/// Why a run ends before its work does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// `--timeout` has passed.
    TimedOut,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// Newer manifests ask for something else.
    Superseded,
    /// SIGHUP: the terminal is gone.
    HungUp,
}

/// Tells everything that runs that no new call may start. The first reason stays.
#[derive(Default)]
pub struct Stop {
    reason: Cell<Option<StopReason>>,
    tripped: Notify,
}

impl Stop {
    /// Asks for the end.
    pub fn trip(&self, reason: StopReason) {
        if self.reason.get().is_none() {
            self.reason.set(Some(reason));
            self.tripped.notify_waiters();
        }
    }

    /// Why, if the end was asked for.
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
