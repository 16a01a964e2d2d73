//! Tracks suspensions and closed change windows, which hold changes back even if no pass is due. A person suspends
//! through another process, and a window closes as time passes, so both are checked every few seconds.

use std::convert::Infallible;
use std::time::Duration;

use super::{PassRunner, StatusPublisher};
use crate::host::{Clock, Host};

/// The longest delay until a suspension shows. Reading the state takes less than a millisecond.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps the board's suspensions and closed windows up to date for as long as the daemon runs. While the state cannot
/// be read, the last known suspensions stay.
pub async fn watch_holds<H: Host, R: PassRunner<H>>(
    runner: &R,
    clock: &impl Clock,
    publisher: &StatusPublisher<H>,
) -> Infallible {
    loop {
        match runner.suspensions().await {
            Ok(suspensions) => publisher.suspensions_read(suspensions),
            Err(error) => {
                tracing::debug!(%error, "the suspensions cannot be read");
                publisher.refresh_holds();
            }
        }
        clock.sleep_until(clock.monotonic() + LOOK_INTERVAL).await;
    }
}
