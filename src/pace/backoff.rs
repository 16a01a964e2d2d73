//! How long to wait before something that failed is tried again. Pure: the random number is an argument. This file must
//! not know what failed.

use std::time::Duration;

/// Exponential backoff with full jitter: a random part of `base × 2^(attempt-1)`, capped, so that many callers that
/// failed together do not retry together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub base: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// The wait after `attempt` (from 1) failed; `unit` is a random number in `[0, 1)`.
    pub fn delay(&self, attempt: u32, unit: f64) -> Duration {
        self.step(attempt).mul_f64(unit.clamp(0.0, 1.0))
    }

    /// The wait after `attempt` failed, at least half of its step: for callers that must outlast something that takes a
    /// while.
    pub fn delay_of_half(&self, attempt: u32, unit: f64) -> Duration {
        self.step(attempt)
            .mul_f64((1.0 + unit.clamp(0.0, 1.0)) / 2.0)
    }

    /// The wait without jitter, for a single caller.
    pub fn step(&self, attempt: u32) -> Duration {
        let factor = 1u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let backoff = Backoff {
            base: Duration::from_millis(100),
            cap: Duration::from_secs(1),
        };
        let steps: Vec<_> = (1..=6).map(|n| backoff.step(n).as_millis()).collect();
        assert_eq!(steps, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.step(u32::MAX), Duration::from_secs(1));
        assert_eq!(backoff.delay(3, 0.5), Duration::from_millis(200));
        let halves = [0.0, 0.5, 1.0].map(|unit| backoff.delay_of_half(3, unit).as_millis());
        assert_eq!(halves, [200, 300, 400]);
    }
}
