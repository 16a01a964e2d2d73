//! Estimates when calls arrived at an access point, from how long their replies took. The API counts arrivals, and no
//! reply says when its call arrived. This file must not know rates or what a call is.

use std::time::Duration;

use crate::model::Monotonic;

/// Calls on open connections arrive at most this much later than the quickest call. A reply that takes longer than that
/// was not slowed by the network: the service was busy.
const UNCERTAINTY_MAX: Duration = Duration::from_millis(60);
/// The same for calls that may have to connect first, until replies show how far away the access point is.
const COLD_UNCERTAINTY: Duration = Duration::from_millis(250);
/// Opening a connection takes two or three times as long as a call.
const CONNECT_CALLS: u32 = 3;
/// No call counts for longer than it would in the next window.
const COLD_UNCERTAINTY_MAX: Duration = Duration::from_secs(1);
/// The inaccuracy of timers and schedulers, here and at the access point.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// The quickest reply is trusted only after this many replies.
const REPLIES_MIN: u32 = 20;
/// The quickest of many replies exceeds the quickest possible one by more than this many parts of their spread once in
/// 150 times (e⁻⁵), if every delay is equally likely.
const SAMPLING_ERROR_PARTS: u32 = 5;
/// The quickest reply is taken from the last few epochs, because the network path may become longer.
const EPOCH: Duration = Duration::from_secs(60);
/// Few, because the network path may become longer. Many, so that a path that was congested for a while does not count as
/// the quickest possible one.
const EPOCHS: usize = 5;

/// What the replies to one kind of call show about the network path to an access point.
///
/// A call whose reply took longer than the quickest one arrived later by at most the difference; by exactly the
/// difference if only the path to the access point varied.
#[derive(Debug, Default)]
pub(super) struct ArrivalEstimator {
    /// The quickest reply of this epoch, and of each epoch before it.
    quickest: [Option<Duration>; EPOCHS],
    epoch_ends: Monotonic,
    replies: u32,
}

impl ArrivalEstimator {
    /// Records how long a reply took.
    pub(super) fn add_reply(&mut self, took: Duration, now: Monotonic) {
        if now >= self.epoch_ends {
            self.quickest.rotate_right(1);
            self.quickest[0] = None;
            self.epoch_ends = now + EPOCH;
        }
        let quickest = self.quickest[0].map_or(took, |quickest| quickest.min(took));
        self.quickest[0] = Some(quickest);
        self.replies = self.replies.saturating_add(1);
    }

    /// How much later a call may have arrived than the quickest possible one. `took` is how long its reply took, if the
    /// reply has arrived; `cold` says whether the call may have had to connect first.
    pub(super) fn arrival_uncertainty(&self, took: Option<Duration>, cold: bool) -> Duration {
        let quickest = self.quickest.into_iter().flatten().min();
        let quickest = quickest.filter(|_| self.replies >= REPLIES_MIN);
        let by = match (took, quickest) {
            (Some(took), Some(quickest)) => {
                took.saturating_sub(quickest) + TIMER_SLACK + self.sampling_error()
            }
            // A call arrives before its reply does.
            (Some(took), None) => took,
            (None, Some(quickest)) if cold => COLD_UNCERTAINTY.max(quickest * CONNECT_CALLS),
            (None, _) if cold => COLD_UNCERTAINTY,
            (None, _) => UNCERTAINTY_MAX,
        };
        by.min(if cold {
            COLD_UNCERTAINTY_MAX
        } else {
            UNCERTAINTY_MAX
        })
    }

    /// How much slower the quickest reply so far probably is than the quickest possible one.
    fn sampling_error(&self) -> Duration {
        UNCERTAINTY_MAX * SAMPLING_ERROR_PARTS / self.replies.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures_tests::elapsed;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_replys_delay_beyond_the_quickest_bounds_its_arrival() {
        let mut arrival = ArrivalEstimator::default();
        arrival.add_reply(ms(90), elapsed(1));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(90)), false),
            UNCERTAINTY_MAX,
            "one says little"
        );
        (1..20).for_each(|_| arrival.add_reply(ms(90), elapsed(1)));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(90)), false),
            ms(15) + TIMER_SLACK,
            "twenty more"
        );
        (20..300).for_each(|_| arrival.add_reply(ms(90), elapsed(1)));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(90)), false),
            ms(1) + TIMER_SLACK
        );
        (300..600).for_each(|_| arrival.add_reply(ms(70), elapsed(2)));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(90)), false),
            ms(20) + TIMER_SLACK + arrival.sampling_error(),
            "it is known better"
        );
        assert_eq!(arrival.arrival_uncertainty(None, false), UNCERTAINTY_MAX);
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(900)), false),
            UNCERTAINTY_MAX
        );
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(900)), true),
            ms(830) + TIMER_SLACK + arrival.sampling_error()
        );
        assert_eq!(arrival.arrival_uncertainty(None, true), COLD_UNCERTAINTY);
    }

    #[test]
    fn s6_a_call_that_may_connect_first_counts_as_long_as_that_can_take() {
        let mut arrival = ArrivalEstimator::default();
        assert_eq!(arrival.arrival_uncertainty(None, true), COLD_UNCERTAINTY);
        assert_eq!(arrival.arrival_uncertainty(Some(ms(800)), true), ms(800));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(8_000)), true),
            COLD_UNCERTAINTY_MAX
        );
        for _ in 0..REPLIES_MIN {
            arrival.add_reply(ms(200), elapsed(1));
        }
        assert_eq!(arrival.arrival_uncertainty(None, true), ms(600));
    }

    #[test]
    fn a_longer_network_path_is_recognized_within_some_minutes() {
        let mut arrival = ArrivalEstimator::default();
        for _ in 0..REPLIES_MIN {
            arrival.add_reply(ms(70), elapsed(0));
        }
        for minute in 1..5 {
            arrival.add_reply(ms(200), elapsed(minute * 61));
            assert_eq!(
                arrival.arrival_uncertainty(Some(ms(200)), false),
                UNCERTAINTY_MAX
            );
        }
        arrival.add_reply(ms(200), elapsed(5 * 61));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(200)), false),
            TIMER_SLACK + arrival.sampling_error()
        );
    }
}
