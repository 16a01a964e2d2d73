//! Decides when the daemon writes a summary of its board for other processes. It must not know the summary's content or
//! place.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;

use super::StatusPublisher;
use crate::host::{Clock, Host};
use crate::model::Timestamp;
use crate::status::Board;

/// The shortest time between the end of one summary and the start of the next.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// A summary is written after this time even if nothing has changed, so that readers know that the daemon is alive.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Calls `leave` with a clone of the board whenever the board has changed, and at each heartbeat. The clone costs the
/// engine about a millisecond; all further work must happen elsewhere.
pub async fn keep_summary<H: Host>(
    clock: &impl Clock,
    publisher: &StatusPublisher<H>,
    leave: impl AsyncFn(Board, Timestamp),
) -> Infallible {
    loop {
        let board = publisher.board(Board::clone);
        let (version, began) = (board.version(), clock.monotonic());
        leave(board, publisher.now()).await;
        clock.sleep_until(clock.monotonic() + INTERVAL_MIN).await;
        let changed = pin!(publisher.newer_than(version));
        let heartbeat = pin!(clock.sleep_until(began + HEARTBEAT_INTERVAL));
        select(changed, heartbeat).await;
    }
}
