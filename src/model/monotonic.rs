//! Instants of the monotonic clock, for durations, pacing and backoff; a `Timestamp` is for calendar time.

use std::ops::Add;
use std::time::Duration;

/// An instant of the monotonic clock: the time since the clock was created. Pacing and backoff use it, so that a jump of
/// the wall clock neither causes a burst nor stalls them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The instant `since_start` after the clock was created.
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// Time since the clock was created.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time from `earlier` until this instant; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The instant `duration` earlier, but not before the clock was created.
    #[must_use]
    pub const fn back(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}
