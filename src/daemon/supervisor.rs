//! Reports to the daemon's supervisor (systemd): that the daemon is alive, and its status in one line. The protocol is
//! in `host`.

use std::convert::Infallible;
use std::time::Duration;

use super::StatusPublisher;
use crate::api::ClientContext;
use crate::host::{Host, Supervisor};

/// The time between two lines of `systemctl status`.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Reports that the daemon is ready; then reports, for as long as the daemon runs, that it is alive, and its status.
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
        // systemd recommends to notify the watchdog twice in its interval.
        STATUS_INTERVAL.min(watchdog / 2)
    });
    let mut last_line = String::new();
    loop {
        let (line, alive) = publisher.board(|board| (board.summary(), board.alive()));
        // A daemon that is not alive must be restarted, as `/healthz` says, too. So the watchdog gets no notification.
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
