//! What is held back although nothing may be due: suspensions and closed change windows. A person suspends through another
//! process, and a window closes by the clock alone, so both are looked for every few seconds.

use std::convert::Infallible;
use std::time::Duration;

use super::{PassRunner, StatusPublisher};
use crate::host::{Clock, Host};

/// How soon a suspension shows, at the latest. A read of the state takes less than a millisecond.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps the board's suspensions and closed windows as they are in force, for as long as the daemon runs. While the state
/// cannot be read, those that were read last stay.
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
