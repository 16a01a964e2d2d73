//! The systemd notification protocol. Without systemd every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The process that supervises this one, where it is systemd; else nobody, and nothing is said.
pub struct Supervisor {
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Whoever the environment names.
    pub fn of_environment() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled(),
        }
    }

    /// Whether the environment names a notification socket.
    pub fn is_there(&self) -> bool {
        std::env::var_os("NOTIFY_SOCKET").is_some()
    }

    /// How often [`Supervisor::alive`] must be said, if it is waited for.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// What is configured was taken in, and work has begun.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The configuration is being read again; [`Supervisor::ready`] says when that is done.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// The end was asked for.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// The loop goes round.
    pub fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        tell(&[NotifyState::Status(line)]);
    }
}

/// There is nobody to report it to if that fails.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the supervisor cannot be told");
    }
}
