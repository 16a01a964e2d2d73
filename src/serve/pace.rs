//! The rate at which documents are sent, all readers together. Without it, readers that ask again as soon as they are
//! answered would take a whole core for copying bytes.

use std::cell::Cell;
use std::time::Duration;

use crate::host::Clock;
use crate::model::Monotonic;

/// Bytes a second that leave on average.
const BYTES_PER_SECOND: u64 = 64 << 20;
/// What may leave at once after a pause, in time at that rate.
const BURST: Duration = Duration::from_millis(500);

/// When the bytes that were sent so far are paid for.
pub(super) struct SendPace(Cell<Monotonic>);

impl SendPace {
    pub(super) fn new(now: Monotonic) -> Self {
        Self(Cell::new(now))
    }

    /// Returns once so many bytes may leave.
    pub(super) async fn take(&self, bytes: usize, clock: &impl Clock) {
        let now = clock.monotonic();
        let paid_at = self.0.get();
        let base = paid_at.max(now);
        let cost = Duration::from_nanos(bytes as u64 * 1_000_000_000 / BYTES_PER_SECOND);
        self.0.set(base + cost);
        let wait = base.since(now);
        if wait > BURST {
            clock.sleep_until(now + (wait - BURST)).await;
        }
    }
}
