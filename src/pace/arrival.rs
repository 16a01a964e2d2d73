//! Estimates when calls arrived at an access point, from how long their replies took. The API counts arrivals, and no
//! reply says when its call arrived. It must not know rates or what a call is.

use std::time::Duration;

use crate::model::Monotonic;

/// Calls on open connections arrive later than the quickest by at most this. What a reply takes beyond it is not spent on
/// the way: the service was busy.
const UNCERTAINTY_MAX: Duration = Duration::from_millis(60);
/// The same for calls that may have had to connect first, as long as no reply tells how far away the access point is.
const COLD_UNCERTAINTY: Duration = Duration::from_millis(250);
/// To connect takes two or three times as long as a call.
const CONNECT_CALLS: u32 = 3;
/// No call counts for longer than it would in the next window.
const COLD_UNCERTAINTY_MAX: Duration = Duration::from_secs(1);
/// Timers and schedulers, here and at the access point, are inexact by this.
const TIMER_SLACK: Duration = Duration::from_millis(2);
/// The quickest reply is only trusted after this many replies.
const REPLIES_MIN: u32 = 20;
/// The quickest of many replies is slower than the quickest possible one by more than this many parts of their spread
/// once in 150 times, where each delay is as likely as any other (e⁻⁵).
const SAMPLING_ERROR_PARTS: u32 = 5;
/// The quickest reply is that of the last few epochs, because the way may become longer.
const EPOCH: Duration = Duration::from_secs(60);
/// Few, because the way may become longer. Many, so that a way that was crowded for a while does not count as the
/// quickest possible one.
const EPOCHS: usize = 5;

/// What the replies to one kind of call tell of the way to an access point.
///
/// A call whose reply took longer than the quickest one arrived later by at most the difference. If it is the way there
/// that varied, it arrived later by exactly that.
#[derive(Debug, Default)]
pub(super) struct ArrivalEstimator {
    /// The quickest reply of this epoch, and of those before.
    quickest: [Option<Duration>; EPOCHS],
    epoch_ends: Monotonic,
    replies: u32,
}

impl ArrivalEstimator {
    /// Takes in how long a reply took.
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

    /// By how much a call may have arrived later than one that is as quick as possible. `took` is how long its reply
    /// took, if that is there; `cold` says whether the call may have had to connect first.
    pub(super) fn arrival_uncertainty(&self, took: Option<Duration>, cold: bool) -> Duration {
        let quickest = self.quickest.into_iter().flatten().min();
        let quickest = quickest.filter(|_| self.replies >= REPLIES_MIN);
        let by = match (took, quickest) {
            (Some(took), Some(quickest)) => {
                took.saturating_sub(quickest) + TIMER_SLACK + self.sampling_error()
            }
            // It arrived before its reply did.
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

    /// By how much the quickest reply so far is likely to be slower than the quickest possible one.
    fn sampling_error(&self) -> Duration {
        UNCERTAINTY_MAX * SAMPLING_ERROR_PARTS / self.replies.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::new(Duration::from_secs(seconds))
    }

    #[test]
    fn what_a_reply_took_beyond_the_quickest_bounds_its_way() {
        let mut arrival = ArrivalEstimator::default();
        arrival.add_reply(ms(90), at(1));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(90)), false),
            UNCERTAINTY_MAX,
            "one says little"
        );
        (1..20).for_each(|_| arrival.add_reply(ms(90), at(1)));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(90)), false),
            ms(15) + TIMER_SLACK,
            "twenty more"
        );
        (20..300).for_each(|_| arrival.add_reply(ms(90), at(1)));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(90)), false),
            ms(1) + TIMER_SLACK
        );
        (300..600).for_each(|_| arrival.add_reply(ms(70), at(2)));
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
    fn s6_a_call_that_may_have_to_connect_counts_for_as_long_as_that_can_take() {
        let mut arrival = ArrivalEstimator::default();
        assert_eq!(arrival.arrival_uncertainty(None, true), COLD_UNCERTAINTY);
        assert_eq!(arrival.arrival_uncertainty(Some(ms(800)), true), ms(800));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(8_000)), true),
            COLD_UNCERTAINTY_MAX
        );
        for _ in 0..REPLIES_MIN {
            arrival.add_reply(ms(200), at(1));
        }
        assert_eq!(arrival.arrival_uncertainty(None, true), ms(600));
    }

    #[test]
    fn a_way_that_became_longer_is_learnt_within_some_minutes() {
        let mut arrival = ArrivalEstimator::default();
        for _ in 0..REPLIES_MIN {
            arrival.add_reply(ms(70), at(0));
        }
        for minute in 1..5 {
            arrival.add_reply(ms(200), at(minute * 61));
            assert_eq!(
                arrival.arrival_uncertainty(Some(ms(200)), false),
                UNCERTAINTY_MAX
            );
        }
        arrival.add_reply(ms(200), at(5 * 61));
        assert_eq!(
            arrival.arrival_uncertainty(Some(ms(200)), false),
            TIMER_SLACK + arrival.sampling_error()
        );
    }
}
