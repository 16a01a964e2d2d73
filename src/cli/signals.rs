//! The meaning of signals for a process: to stop, to stop at once if repeated, or to read everything again. They are
//! received from the start and on a separate thread, so that they work even if everything else hangs. It must not know
//! the consequences of a stop.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Handle;
use tokio::sync::watch;

use super::args::OutputFormat;
use super::{output, shutdown};
use crate::engine::{Stop, StopReason};
use crate::host::{is_signal_ignored, receive_signals};
use crate::report::ExitStatus;

/// How a command handles a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Conduct {
    /// The command line has not been parsed yet, so signals are kept.
    #[default]
    Undecided,
    /// There is nothing to settle, so the process exits.
    Leave,
    /// Running work is settled first.
    Settle,
    /// The same for SIGINT and SIGTERM. SIGHUP is a request to reload.
    Reload,
}

/// The requests so far.
#[derive(Clone, Copy, Debug, Default)]
struct Requests {
    conduct: Conduct,
    stop: Option<StopReason>,
    hangups: u64,
    format: OutputFormat,
}

/// The immediate reaction to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    None,
    /// The stop that has begun must end within its deadline.
    StartDeadline(ExitStatus),
    Leave(ExitStatus),
}

impl Requests {
    fn hear(&mut self, signal: i32) -> Reaction {
        let reason = match signal {
            SIGHUP => {
                self.hangups += 1;
                if matches!(self.conduct, Conduct::Undecided | Conduct::Reload) {
                    return Reaction::None;
                }
                StopReason::HungUp
            }
            SIGINT => StopReason::Interrupted,
            _ => StopReason::Terminated,
        };
        if self.stop.is_some() || self.conduct == Conduct::Leave {
            return Reaction::Leave(exit(reason));
        }
        self.stop = Some(reason);
        Reaction::StartDeadline(exit(reason))
    }

    fn decide(&mut self, conduct: Conduct) -> Reaction {
        self.conduct = conduct;
        let is_hung_up = self.hangups > 0 && conduct != Conduct::Reload;
        match self.stop.or(is_hung_up.then_some(StopReason::HungUp)) {
            Some(reason) if conduct == Conduct::Leave => Reaction::Leave(exit(reason)),
            _ => Reaction::None,
        }
    }
}

/// The exit status of a process that a signal ended.
fn exit(reason: StopReason) -> ExitStatus {
    match reason {
        StopReason::Interrupted => ExitStatus::Interrupted,
        StopReason::HungUp => ExitStatus::HungUp,
        _ => ExitStatus::Terminated,
    }
}

/// SIGINT, SIGTERM and SIGHUP, as this process has received them since it began.
pub(super) struct SignalListener {
    requests: Arc<watch::Sender<Requests>>,
    handle: Handle,
    /// Whether the command now handles stops itself.
    is_taken: Cell<bool>,
}

impl SignalListener {
    /// Starts to listen. Signals before the command line is parsed are kept. SIGHUP is not listened for if the process
    /// was started to ignore it, as by `nohup`, because listening would undo that.
    pub(super) fn start() -> io::Result<Self> {
        let mut incoming = match is_signal_ignored(SIGHUP) {
            true => receive_signals(&[SIGTERM, SIGINT]),
            false => receive_signals(&[SIGHUP, SIGTERM, SIGINT]),
        }?;
        let requests = Arc::new(watch::Sender::new(Requests::default()));
        let handle = incoming.handle();
        let hears = Arc::clone(&requests);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in incoming.forever() {
                    react(&hears, |requests| requests.hear(signal));
                }
            })?;
        Ok(Self {
            requests,
            handle,
            is_taken: Cell::new(false),
        })
    }

    /// The command has nothing to settle yet: a signal ends it, including one that has already come.
    pub(super) fn leave(&self, format: OutputFormat) {
        self.conduct(Conduct::Leave, format);
    }

    /// The command is a daemon: SIGHUP asks it to reload, even if the process was started to ignore it.
    pub(super) fn reload(&self, format: OutputFormat) -> io::Result<()> {
        self.handle.add_signal(SIGHUP)?;
        self.conduct(Conduct::Reload, format);
        Ok(())
    }

    fn conduct(&self, conduct: Conduct, format: OutputFormat) {
        react(&self.requests, |requests| {
            requests.format = format;
            requests.decide(conduct)
        });
    }

    /// Lets signals stop a command that has something to settle from now on.
    pub(super) async fn stop_work(&self, stop: &Stop) -> Infallible {
        let reason = self.stopped().await;
        output::note(
            "stopping: no new calls; waiting for those in flight (repeat the signal to exit at once)",
        );
        stop.trip(reason);
        std::future::pending().await
    }

    /// Returns once a stop is requested. The caller must handle it from then on.
    pub(super) async fn stopped(&self) -> StopReason {
        self.is_taken.set(true);
        let Requests {
            conduct, format, ..
        } = *self.requests.borrow();
        if conduct == Conduct::Leave {
            self.conduct(Conduct::Settle, format);
        }
        self.asked().await
    }

    /// Returns once a stop is requested, unless the command handles stops by now.
    pub(super) async fn stopped_at_start(&self) -> StopReason {
        let reason = self.asked().await;
        if self.is_taken.get() {
            std::future::pending().await
        }
        reason
    }

    async fn asked(&self) -> StopReason {
        let mut requests = self.requests.subscribe();
        let asked = requests.wait_for(|requests| requests.stop.is_some());
        match asked.await.map(|requests| requests.stop) {
            Ok(Some(reason)) => reason,
            // The sender lives as long as this listener.
            _ => std::future::pending().await,
        }
    }

    /// Returns once SIGHUP has come more than `seen` times, with the number of times.
    pub(super) async fn hung_up(&self, seen: u64) -> u64 {
        let mut requests = self.requests.subscribe();
        match requests.wait_for(|requests| requests.hangups > seen).await {
            Ok(requests) => requests.hangups,
            // The sender lives as long as this listener.
            Err(_) => std::future::pending().await,
        }
    }
}

fn react(requests: &watch::Sender<Requests>, change: impl FnOnce(&mut Requests) -> Reaction) {
    let mut reaction = Reaction::None;
    requests.send_modify(|requests| reaction = change(requests));
    match reaction {
        Reaction::None => {}
        Reaction::StartDeadline(exit) => {
            let format = requests.borrow().format;
            shutdown::start_deadline(exit, format);
        }
        Reaction::Leave(exit) => shutdown::leave_at_once(exit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINATED: Reaction = Reaction::Leave(ExitStatus::Terminated);
    const INTERRUPTED: Reaction = Reaction::Leave(ExitStatus::Interrupted);

    #[test]
    fn g9_what_comes_before_the_command_is_known_is_done_once_it_is() {
        let early = |signal, conduct| {
            let mut requests = Requests::default();
            let at_once = requests.hear(signal);
            assert!(!matches!(at_once, Reaction::Leave(_)), "{signal}");
            let then = requests.decide(conduct);
            (then, requests.stop, requests.hangups)
        };
        let none = Reaction::None;
        assert_eq!(early(SIGHUP, Conduct::Reload), (none, None, 1));
        let (then, ..) = early(SIGHUP, Conduct::Leave);
        assert_eq!(then, Reaction::Leave(ExitStatus::HungUp));
        assert_eq!(early(SIGTERM, Conduct::Leave).0, TERMINATED);
        assert_eq!(early(SIGINT, Conduct::Leave).0, INTERRUPTED);
        let stop = Some(StopReason::Terminated);
        assert_eq!(early(SIGTERM, Conduct::Reload), (none, stop, 0));
    }

    #[test]
    fn p2_the_first_stop_settles_and_the_second_leaves() {
        for conduct in [Conduct::Settle, Conduct::Reload] {
            let mut requests = Requests::default();
            requests.decide(conduct);
            let first = requests.hear(SIGTERM);
            assert_eq!(first, Reaction::StartDeadline(ExitStatus::Terminated));
            assert_eq!(requests.stop, Some(StopReason::Terminated));
            assert_eq!(requests.hear(SIGINT), INTERRUPTED);
        }
        let mut daemon = Requests::default();
        daemon.decide(Conduct::Reload);
        for _ in 0..3 {
            assert_eq!(daemon.hear(SIGHUP), Reaction::None);
        }
        assert_eq!((daemon.stop, daemon.hangups), (None, 3));
        let mut command = Requests::default();
        command.decide(Conduct::Settle);
        let hangup = command.hear(SIGHUP);
        assert_eq!(hangup, Reaction::StartDeadline(ExitStatus::HungUp));
    }
}
