//! The systemd notification protocol. Without systemd every call does nothing.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use sd_notify::NotifyState;

/// The number of messages that are kept for a supervisor that does not read. More are waiting only if it has not read
/// for long.
const UNSENT_MAX: usize = 16;

/// The process that supervises this one, if that is systemd. Otherwise, all methods do nothing.
pub struct Supervisor {
    /// The path of the supervisor's socket.
    socket: Option<OsString>,
    watchdog: Option<Duration>,
    /// Messages that it could not receive yet, in order.
    unsent: RefCell<VecDeque<String>>,
}

impl Supervisor {
    /// The supervisor that the environment names, if any.
    pub fn of_environment() -> Self {
        Self {
            socket: std::env::var_os("NOTIFY_SOCKET"),
            watchdog: sd_notify::watchdog_enabled(),
            unsent: RefCell::default(),
        }
    }

    /// Whether the environment names a notification socket.
    pub fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// The interval within which [`Supervisor::alive`] must be called, if the supervisor expects that.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Reports that the configuration was read and that work has begun.
    pub fn ready(&self) {
        self.send_or_keep(&[NotifyState::Ready]);
    }

    /// Reports that the configuration is being read again; [`Supervisor::ready`] reports the end of that.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send_or_keep(&[NotifyState::Reloading, now]),
            Err(_) => self.send_or_keep(&[NotifyState::Reloading]),
        }
    }

    /// Reports that a stop was requested.
    pub fn stopping(&self) {
        self.send_or_keep(&[NotifyState::Stopping]);
    }

    /// Reports that the main loop is alive.
    pub fn alive(&self) {
        if self.send_unsent() {
            // If a notification fails, the next one replaces it.
            let _ = self.send(&message(&[NotifyState::Watchdog]));
        }
    }

    /// Sets the line that `systemctl status` shows.
    pub fn status(&self, line: &str) {
        self.send_or_keep(&[NotifyState::Status(line)]);
    }

    /// Sends a message, or keeps it until the supervisor can receive it.
    fn send_or_keep(&self, state: &[NotifyState<'_>]) {
        {
            let mut unsent = self.unsent.borrow_mut();
            if unsent.len() == UNSENT_MAX {
                unsent.pop_front();
            }
            unsent.push_back(message(state));
        }
        self.send_unsent();
    }

    /// Sends the kept messages. Returns whether none is left.
    fn send_unsent(&self) -> bool {
        let mut unsent = self.unsent.borrow_mut();
        while let Some(next) = unsent.front() {
            match self.send(next) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // There is no other place to report this error to.
                Err(error) => tracing::debug!(%error, "the supervisor cannot be notified"),
                Ok(()) => {}
            }
            unsent.pop_front();
        }
        true
    }

    /// Never waits: a supervisor that does not read for a while must not block the loop.
    fn send(&self, message: &str) -> io::Result<()> {
        let Some(path) = &self.socket else {
            return Ok(());
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        socket.send(message.as_bytes()).map(|_| ())
    }
}

/// One line for each state.
fn message(states: &[NotifyState<'_>]) -> String {
    let mut message = String::new();
    for state in states {
        // Writing to a string cannot fail.
        let _ = writeln!(message, "{state}");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g6_a_supervisor_that_does_not_read_delays_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).expect("a socket");
        let supervisor = Supervisor {
            socket: Some(path.into()),
            watchdog: None,
            unsent: RefCell::default(),
        };
        // Far more messages than its queue can hold.
        for _ in 0..10_000 {
            supervisor.alive();
        }
        supervisor.reloading();
        supervisor.ready();
        supervisor.stopping();
        assert_eq!(supervisor.unsent.borrow().len(), 3);
        listener.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 4096];
        let mut heard = String::new();
        let mut hear = || {
            while let Ok(length) = listener.recv(&mut buffer) {
                heard.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
            }
            std::mem::take(&mut heard)
        };
        let before = hear();
        assert!(before.starts_with("WATCHDOG=1\n"), "{before}");
        assert!(!before.contains("READY"), "{before}");
        supervisor.alive();
        let after = hear();
        let lines = after
            .lines()
            .filter(|line| !line.starts_with("MONOTONIC_USEC="));
        let lines: Vec<_> = lines.collect();
        assert_eq!(
            lines,
            ["RELOADING=1", "READY=1", "STOPPING=1", "WATCHDOG=1"]
        );
    }
}
