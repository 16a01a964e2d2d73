//! What the supervisor of a daemon (systemd) hears of it: that it lives, and where it stands in one line. How it is told
//! is `host`'s matter.

use std::convert::Infallible;
use std::time::Duration;

use super::StatusPublisher;
use crate::api::ClientContext;
use crate::host::{Host, Supervisor};

/// Time between two lines of `systemctl status`.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Tells the supervisor that the daemon is ready; then, for as long as the daemon runs, that it is alive and where it
/// stands.
pub async fn report_to_supervisor<H: Host>(
    supervisor: &Supervisor,
    context: &ClientContext<H>,
    publisher: &StatusPublisher<H>,
) -> Infallible {
    supervisor.ready();
    if !supervisor.is_there() {
        return std::future::pending().await;
    }
    let interval = supervisor.watchdog().map_or(STATUS_INTERVAL, |watchdog| {
        // Twice in the time, as systemd asks for.
        STATUS_INTERVAL.min(watchdog / 2)
    });
    let mut last_line = String::new();
    loop {
        let (line, alive) = publisher.board(|board| (board.summary(), board.alive()));
        // A daemon that is not alive is to be started anew, as `/healthz` says, too. So the watchdog is left to bark.
        if alive.is_ok() {
            supervisor.alive();
        }
        if line != last_line {
            supervisor.status(&line);
            last_line = line;
        }
        let host = &context.host;
        host.sleep_until(host.monotonic() + interval).await;
    }
}
