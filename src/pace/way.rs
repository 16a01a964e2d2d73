use std::time::Duration;

use crate::model::Moment;

/// By how much calls on open connections arrive unevenly, at most. What a reply takes beyond that is not its way: the
/// service was busy.
const SPREAD_MAX: Duration = Duration::from_millis(60);
/// The same for calls that may have had to connect first, which takes as long as two calls.
const COLD_SPREAD_MAX: Duration = Duration::from_millis(250);
/// What timers and schedulers here and there blur.
const BLUR: Duration = Duration::from_millis(2);
/// So many replies have been seen before the quickest is taken for as quick as can be.
const REPLIES_MIN: u32 = 20;
/// The quickest reply is that of the last one or two such times: the way may change.
const ERA: Duration = Duration::from_secs(60);
/// Connections that were not used for so long may be closed, so that calls have to connect again.
const IDLE: Duration = Duration::from_secs(30);
/// For so long after that, calls are likely to meet no open connection.
const COLD: Duration = Duration::from_secs(1);

/// What the replies to one kind of call tell of the way to an access point.
///
/// When a call arrived there nobody says. But one that took longer than the quickest cannot have arrived later than by
/// that much, and if the way there is what varied, it arrived just then.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// The quickest reply of this era, and of the one before.
    quickest: [Option<Duration>; 2],
    era_ends: Moment,
    replies: u32,
}

impl Way {
    /// A reply took so long.
    pub(super) fn took(&mut self, took: Duration, now: Moment) {
        if now >= self.era_ends {
            self.quickest = [None, self.quickest[0]];
            self.era_ends = now + ERA;
        }
        let quickest = self.quickest[0].map_or(took, |quickest| quickest.min(took));
        self.quickest[0] = Some(quickest);
        self.replies = self.replies.saturating_add(1);
    }

    /// By how much a call may have arrived later than one that is as quick as can be. `took` is how long its reply
    /// took, if that is there; `cold`, whether it may have had to connect first.
    pub(super) fn spread(&self, took: Option<Duration>, cold: bool) -> Duration {
        let most = if cold { COLD_SPREAD_MAX } else { SPREAD_MAX };
        let quickest = self.quickest.into_iter().flatten().min();
        match (took, quickest) {
            (Some(took), Some(quickest)) if self.replies >= REPLIES_MIN => {
                (took.saturating_sub(quickest) + BLUR).min(most)
            }
            _ => most,
        }
    }
}

/// Whether an access point has open connections, by when it was last called.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    last_call: Option<Moment>,
    cold_until: Moment,
}

impl Warmth {
    /// A call leaves: whether it may have to connect first.
    pub(super) fn call(&mut self, now: Moment) -> bool {
        let was_idle = self.last_call.is_none_or(|last| now.since(last) >= IDLE);
        self.last_call = Some(now);
        if was_idle {
            self.cold_until = now + COLD;
        }
        now < self.cold_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn at(seconds: u64) -> Moment {
        Moment::new(Duration::from_secs(seconds))
    }

    #[test]
    fn what_a_reply_took_beyond_the_quickest_bounds_its_way() {
        let mut way = Way::default();
        way.took(ms(90), at(1));
        assert_eq!(
            way.spread(Some(ms(90)), false),
            SPREAD_MAX,
            "one says little"
        );
        for _ in 1..REPLIES_MIN {
            way.took(ms(90), at(1));
        }
        assert_eq!(way.spread(Some(ms(90)), false), BLUR);
        way.took(ms(70), at(2));
        assert_eq!(
            way.spread(Some(ms(90)), false),
            ms(20) + BLUR,
            "it is known better"
        );
        assert_eq!(way.spread(None, false), SPREAD_MAX);
        assert_eq!(way.spread(Some(ms(900)), false), SPREAD_MAX);
        assert_eq!(way.spread(Some(ms(900)), true), COLD_SPREAD_MAX);
    }

    #[test]
    fn a_way_that_became_longer_is_learnt_within_two_eras() {
        let mut way = Way::default();
        for _ in 0..REPLIES_MIN {
            way.took(ms(70), at(0));
        }
        way.took(ms(200), at(61));
        assert_eq!(way.spread(Some(ms(200)), false), SPREAD_MAX);
        way.took(ms(200), at(122));
        assert_eq!(way.spread(Some(ms(200)), false), BLUR);
    }

    #[test]
    fn connections_are_cold_at_first_and_after_a_pause() {
        let mut warmth = Warmth::default();
        let cold = [0, 1, 2, 31, 61, 62].map(|seconds| warmth.call(at(seconds)));
        assert_eq!(cold, [true, false, false, false, true, false]);
    }
}
