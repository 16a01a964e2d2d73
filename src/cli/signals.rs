use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::hangup::Hangup;
use super::output;
use crate::engine::{Stop, StopReason};
use crate::report::ExitStatus;

/// Both ways of being asked to end. The first asks, the second takes.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn recv(&mut self) -> (StopReason, ExitStatus) {
        tokio::select! {
            _ = self.interrupt.recv() => (StopReason::Interrupted, ExitStatus::Interrupted),
            _ = self.terminate.recv() => (StopReason::Terminated, ExitStatus::Terminated),
        }
    }
}

/// SIGINT, SIGTERM or SIGHUP ends a command. Returns only if signals cannot be had.
pub(super) async fn end_command(stop: &Stop) -> io::Error {
    let listen = || Ok((Ends::listen()?, Hangup::listen()?));
    let (mut ends, mut hangup) = match listen() {
        Ok(signals) => signals,
        Err(error) => return error,
    };
    loop {
        let (reason, status) = tokio::select! {
            end = ends.recv() => end,
            () = hangup.recv() => (StopReason::HungUp, ExitStatus::HungUp),
        };
        end(stop, reason, status);
    }
}

/// SIGINT or SIGTERM ends a daemon. Returns only if signals cannot be had.
pub(super) async fn end_daemon(stop: &Stop) -> io::Error {
    let mut ends = match Ends::listen() {
        Ok(ends) => ends,
        Err(error) => return error,
    };
    loop {
        let (reason, status) = ends.recv().await;
        end(stop, reason, status);
    }
}

/// SIGHUP, which would end a daemon if nobody listened.
pub(super) fn hang_up() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

fn end(stop: &Stop, reason: StopReason, status: ExitStatus) {
    if stop.reason().is_some() {
        leave_at_once(status);
    }
    output::note(
        "stopping: no new calls; waiting for those in flight (once more to leave at once)",
    );
    stop.trip(reason);
}

#[expect(clippy::disallowed_methods, reason = "the second signal means at once")]
fn leave_at_once(status: ExitStatus) {
    std::process::exit(status.code().into());
}
