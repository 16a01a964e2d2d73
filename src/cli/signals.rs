//! What the signals of the operating system ask of a process: to stop, at once if they ask twice, or to read everything
//! anew. What follows from a stop is not known here.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::output;
use crate::engine::{Stop, StopReason};
use crate::host::{is_signal_ignored, kill_programs};
use crate::report::ExitStatus;

/// SIGINT and SIGTERM. The first asks for an end; the second does not wait for it.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
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

/// SIGHUP, for a command that should not outlive its terminal. It is not heard where whoever started the process had it
/// ignored, as `nohup` does: to listen would undo that.
struct Hangup(Option<Signal>);

impl Hangup {
    fn listen() -> io::Result<Self> {
        let hangup = SignalKind::hangup();
        if is_signal_ignored(hangup) {
            return Ok(Self(None));
        }
        signal(hangup).map(Some).map(Self)
    }

    async fn recv(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Lets SIGINT, SIGTERM or SIGHUP stop a command. Returns only if the process cannot listen for signals.
pub(super) async fn stop_command(stop: &Stop) -> io::Error {
    let listen = || Ok((StopSignals::listen()?, Hangup::listen()?));
    let (mut signals, mut hangup) = match listen() {
        Ok(listening) => listening,
        Err(error) => return error,
    };
    loop {
        let (reason, exit) = tokio::select! {
            received = signals.recv() => received,
            () = hangup.recv() => (StopReason::HungUp, ExitStatus::HungUp),
        };
        request_stop(stop, reason, exit);
    }
}

/// Lets SIGINT or SIGTERM stop a daemon. Returns only if the process cannot listen for signals.
pub(super) async fn stop_daemon(stop: &Stop) -> io::Error {
    let mut signals = match StopSignals::listen() {
        Ok(listening) => listening,
        Err(error) => return error,
    };
    loop {
        let (reason, exit) = signals.recv().await;
        request_stop(stop, reason, exit);
    }
}

/// SIGHUP as a daemon takes it: a request to reload. It would end the process if nobody listened.
pub(super) fn reload_requests() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

fn request_stop(stop: &Stop, reason: StopReason, exit: ExitStatus) {
    if stop.reason().is_some() {
        leave_at_once(exit);
    }
    output::note(
        "stopping: no new calls; waiting for those in flight (once more to leave at once)",
    );
    stop.trip(reason);
}

#[expect(clippy::disallowed_methods, reason = "the second signal means at once")]
fn leave_at_once(exit: ExitStatus) {
    // Nothing is dropped here, so what git started would live on.
    kill_programs();
    std::process::exit(exit.code().into());
}
