//! Temporary credentials and their lifetime.

use std::time::Duration;

use crate::api::protocol::sign::Credentials;
use crate::model::{Monotonic, Timestamp};

/// The longest time before the end at which new ones are fetched.
const MARGIN_MAX: Duration = Duration::from_secs(300);
/// Replaces a shorter lifetime, because one of the clocks is wrong then. It is long enough to avoid constant fetches,
/// and short enough to notice the end.
const LIFE_MIN: Duration = Duration::from_secs(60);
/// Replaces a longer lifetime, because no credentials live for more than 12 hours.
const LIFE_MAX: Duration = Duration::from_secs(43_200);

/// Credentials as they were issued.
pub(super) struct TemporaryCredentials {
    pub(super) credentials: Credentials,
    /// The end in Unix seconds, by the clock of `issued_at`.
    pub(super) expires: i64,
    /// When they were issued, according to the reply. Their lifetime depends on that clock alone.
    pub(super) issued_at: Option<Timestamp>,
}

/// When credentials end, by the monotonic clock: a wall clock that jumps neither keeps dead credentials nor causes
/// constant fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// From then on, new ones must be fetched.
    pub(super) refresh_at: Monotonic,
    pub(super) ends_at: Monotonic,
}

impl Lifetime {
    /// The lifetime of credentials that end at `expires`. `jitter` spreads simultaneous fetches.
    pub(super) fn until(expires: i64, now: Timestamp, monotonic: Monotonic, jitter: f64) -> Self {
        let left = expires.saturating_sub(now.timestamp());
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
        let lifetime = left.clamp(LIFE_MIN, LIFE_MAX);
        let margin = (lifetime / 10).min(MARGIN_MAX);
        // Between the whole and half of the margin remains.
        let early = margin.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
        Self {
            refresh_at: monotonic + (lifetime - early),
            ends_at: monotonic + lifetime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime(seconds: i64, jitter: f64) -> (u64, u64) {
        let now = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
        let lifetime =
            Lifetime::until(now.timestamp() + seconds, now, Monotonic::default(), jitter);
        (
            lifetime.refresh_at.since_start().as_secs(),
            lifetime.ends_at.since_start().as_secs(),
        )
    }

    #[test]
    fn l8_a_lease_is_renewed_at_a_tenth_or_five_minutes_with_jitter() {
        assert_eq!(lifetime(7_200, 0.0), (6_900, 7_200));
        assert_eq!(lifetime(7_200, 1.0), (7_050, 7_200));
        assert_eq!(lifetime(600, 0.0), (540, 600));
        assert_eq!(lifetime(600, 1.0), (570, 600));
    }

    #[test]
    fn c2_a_life_that_makes_no_sense_is_bounded() {
        assert_eq!(lifetime(-5, 0.0).1, 60);
        assert_eq!(lifetime(i64::MAX - 1_790_000_000, 0.0).1, 43_200);
    }
}
