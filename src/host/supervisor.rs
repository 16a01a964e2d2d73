//! The systemd notification protocol. Without systemd every call does nothing.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use sd_notify::NotifyState;

/// Messages that are kept until the supervisor takes them. There are more only if it has not listened for long.
const UNSENT_MAX: usize = 16;

/// The process that supervises this one, where it is systemd; else nobody, and nothing is said.
pub struct Supervisor {
    /// The path of the socket at which it listens.
    socket: Option<OsString>,
    watchdog: Option<Duration>,
    /// What it could not take yet, in order.
    unsent: RefCell<VecDeque<String>>,
}

impl Supervisor {
    /// Whoever the environment names.
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

    /// How often [`Supervisor::alive`] must be said, if it is waited for.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// What is configured was taken in, and work has begun.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The configuration is being read again; [`Supervisor::ready`] says when that is done.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    /// The end was asked for.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// The loop goes round.
    pub fn alive(&self) {
        if self.send_unsent() {
            // One that cannot be told is made up for by the next.
            let _ = self.send(&message(&[NotifyState::Watchdog]));
        }
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        self.tell(&[NotifyState::Status(line)]);
    }

    /// Sends a message, or keeps it until the supervisor takes it.
    fn tell(&self, state: &[NotifyState<'_>]) {
        {
            let mut unsent = self.unsent.borrow_mut();
            if unsent.len() == UNSENT_MAX {
                unsent.pop_front();
            }
            unsent.push_back(message(state));
        }
        self.send_unsent();
    }

    /// Sends what the supervisor could not take before. Returns whether nothing is left.
    fn send_unsent(&self) -> bool {
        let mut unsent = self.unsent.borrow_mut();
        while let Some(next) = unsent.front() {
            match self.send(next) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // There is nobody to report it to.
                Err(error) => tracing::debug!(%error, "the supervisor cannot be told"),
                Ok(()) => {}
            }
            unsent.pop_front();
        }
        true
    }

    /// Never waits: a supervisor that does not listen for a while must not hold up the loop.
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
        // Writing to a string does not fail.
        let _ = writeln!(message, "{state}");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g6_a_supervisor_that_does_not_listen_holds_nothing_up_and_hears_later_what_it_must() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).expect("a socket");
        let supervisor = Supervisor {
            socket: Some(path.into()),
            watchdog: None,
            unsent: RefCell::default(),
        };
        // Far more than its queue takes.
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
