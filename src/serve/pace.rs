//! The rate at which documents are sent to all readers together. Without it, readers that repeat their request as soon as
//! it is answered would use a whole core for copying bytes.

use std::cell::Cell;
use std::time::Duration;

use crate::host::Clock;
use crate::model::Monotonic;

/// The average number of bytes that are sent per second.
const BYTES_PER_SECOND: u64 = 64 << 20;
/// The amount that may be sent at once after a pause, as time at that rate.
const BURST: Duration = Duration::from_millis(500);

/// The time at which the bytes sent so far are within the rate.
pub(super) struct SendPace(Cell<Monotonic>);

impl SendPace {
    pub(super) fn new(now: Monotonic) -> Self {
        Self(Cell::new(now))
    }

    /// Returns once this many bytes may be sent.
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
