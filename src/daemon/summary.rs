//! When the daemon leaves a summary of what it knows for other processes. What is in it, and where it is left, is not
//! known here.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;

use super::StatusPublisher;
use crate::host::{Clock, Host};
use crate::model::Timestamp;
use crate::status::Board;

/// Least time between the end of one summary and the beginning of the next.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// A summary is left anew after so long, though nothing has changed, so that readers know that the daemon lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Has `leave` leave a summary of the board whenever it has changed, and at each heartbeat. A clone of the board costs the
/// engine about a millisecond; all further work is to be done elsewhere.
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
