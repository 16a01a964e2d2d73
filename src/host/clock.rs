//! The real clock and the real source of random numbers.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the source of time and random numbers"
)]

use std::future::Future;

use chrono::Utc;
use tokio::time::Instant;

use super::{Clock, Rng};
use crate::model::{Monotonic, Timestamp};

/// The machine's clocks. Under tokio's paused time, the monotonic clock pauses, too.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Utc::now()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.start.elapsed())
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        tokio::time::sleep_until(self.start + at.since_start())
    }
}

/// Random numbers for jitter, seeded by the operating system.
pub struct SystemRng;

impl Rng for SystemRng {
    fn next_f64(&self) -> f64 {
        fastrand::f64()
    }
}
