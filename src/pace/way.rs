use std::time::Duration;

use crate::model::Monotonic;

/// By how much calls on open connections arrive unevenly, at most. What a reply takes beyond that is not its way: the
/// service was busy.
const SPREAD_MAX: Duration = Duration::from_millis(60);
/// The same for calls that may have had to connect first, as long as nothing is known of the way.
const COLD_SPREAD: Duration = Duration::from_millis(250);
/// To connect takes two or three times as long as a call.
const CONNECT_CALLS: u32 = 3;
/// No call counts for longer than it would in the next window.
const COLD_SPREAD_MAX: Duration = Duration::from_secs(1);
/// What timers and schedulers here and there blur.
const BLUR: Duration = Duration::from_millis(2);
/// So many replies have been seen before the quickest is taken for as quick as can be.
const REPLIES_MIN: u32 = 20;
/// The quickest of so many replies is slower than can be by more than this many parts of their spread once in 150
/// times, where each delay is as likely as any other (e⁻⁵).
const UNSURE_PARTS: u32 = 5;
/// The quickest reply is that of the last few such times: the way may become longer.
const ERA: Duration = Duration::from_secs(60);
/// Few, for that; many, so that a way that was crowded for a while is not taken for as quick as it can be.
const ERAS: usize = 5;
/// A connection that was not needed for one or two such times may be closed.
const IDLE: Duration = Duration::from_secs(15);
/// For so long after more connections are needed than were, calls may find none that is open.
const COLD: Duration = Duration::from_secs(1);

/// What the replies to one kind of call tell of the way to an access point.
///
/// When a call arrived there nobody says. But one that took longer than the quickest cannot have arrived later than by
/// that much, and if the way there is what varied, it arrived just then.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// The quickest reply of this era, and of those before.
    quickest: [Option<Duration>; ERAS],
    era_ends: Monotonic,
    replies: u32,
}

impl Way {
    /// A reply took so long.
    pub(super) fn took(&mut self, took: Duration, now: Monotonic) {
        if now >= self.era_ends {
            self.quickest.rotate_right(1);
            self.quickest[0] = None;
            self.era_ends = now + ERA;
        }
        let quickest = self.quickest[0].map_or(took, |quickest| quickest.min(took));
        self.quickest[0] = Some(quickest);
        self.replies = self.replies.saturating_add(1);
    }

    /// By how much a call may have arrived later than one that is as quick as can be. `took` is how long its reply
    /// took, if that is there; `cold`, whether it may have had to connect first.
    pub(super) fn spread(&self, took: Option<Duration>, cold: bool) -> Duration {
        let quickest = self.quickest.into_iter().flatten().min();
        let quickest = quickest.filter(|_| self.replies >= REPLIES_MIN);
        let by = match (took, quickest) {
            (Some(took), Some(quickest)) => took.saturating_sub(quickest) + BLUR + self.unsure(),
            // It arrived before its reply did.
            (Some(took), None) => took,
            (None, Some(quickest)) if cold => COLD_SPREAD.max(quickest * CONNECT_CALLS),
            (None, _) if cold => COLD_SPREAD,
            (None, _) => SPREAD_MAX,
        };
        by.min(if cold { COLD_SPREAD_MAX } else { SPREAD_MAX })
    }

    /// By how much the quickest reply is likely to be slower than one can be.
    fn unsure(&self) -> Duration {
        SPREAD_MAX * UNSURE_PARTS / self.replies.max(1)
    }
}

/// How many connections to an access point are open, by how many calls were under way at once.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    under_way: usize,
    /// The most at once, since less than [`IDLE`] ago and in the [`IDLE`] before.
    most: [usize; 2],
    turns_at: Monotonic,
    cold_until: Monotonic,
}

impl Warmth {
    /// A call leaves: whether it may have to connect first.
    pub(super) fn call(&mut self, now: Monotonic) -> bool {
        if now >= self.turns_at {
            let before = if now.since(self.turns_at) < IDLE {
                self.most[0]
            } else {
                self.under_way
            };
            self.most = [self.under_way, before];
            self.turns_at = now + IDLE;
        }
        let open = self.most[0].max(self.most[1]);
        self.under_way += 1;
        self.most[0] = self.most[0].max(self.under_way);
        if self.under_way > open {
            self.cold_until = now + COLD;
        }
        now < self.cold_until
    }

    /// A call has ended.
    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
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
        let mut way = Way::default();
        way.took(ms(90), at(1));
        assert_eq!(
            way.spread(Some(ms(90)), false),
            SPREAD_MAX,
            "one says little"
        );
        (1..20).for_each(|_| way.took(ms(90), at(1)));
        assert_eq!(
            way.spread(Some(ms(90)), false),
            ms(15) + BLUR,
            "twenty more"
        );
        (20..300).for_each(|_| way.took(ms(90), at(1)));
        assert_eq!(way.spread(Some(ms(90)), false), ms(1) + BLUR);
        (300..600).for_each(|_| way.took(ms(70), at(2)));
        assert_eq!(
            way.spread(Some(ms(90)), false),
            ms(20) + BLUR + way.unsure(),
            "it is known better"
        );
        assert_eq!(way.spread(None, false), SPREAD_MAX);
        assert_eq!(way.spread(Some(ms(900)), false), SPREAD_MAX);
        assert_eq!(
            way.spread(Some(ms(900)), true),
            ms(830) + BLUR + way.unsure()
        );
        assert_eq!(way.spread(None, true), COLD_SPREAD);
    }

    #[test]
    fn s6_a_call_that_may_have_to_connect_counts_for_as_long_as_that_can_take() {
        let mut way = Way::default();
        assert_eq!(way.spread(None, true), COLD_SPREAD);
        assert_eq!(way.spread(Some(ms(800)), true), ms(800));
        assert_eq!(way.spread(Some(ms(8_000)), true), COLD_SPREAD_MAX);
        for _ in 0..REPLIES_MIN {
            way.took(ms(200), at(1));
        }
        assert_eq!(way.spread(None, true), ms(600));
    }

    #[test]
    fn a_way_that_became_longer_is_learnt_within_some_minutes() {
        let mut way = Way::default();
        for _ in 0..REPLIES_MIN {
            way.took(ms(70), at(0));
        }
        for minute in 1..5 {
            way.took(ms(200), at(minute * 61));
            assert_eq!(way.spread(Some(ms(200)), false), SPREAD_MAX);
        }
        way.took(ms(200), at(5 * 61));
        assert_eq!(way.spread(Some(ms(200)), false), BLUR + way.unsure());
    }

    #[test]
    fn s6_connections_are_cold_at_first_after_a_pause_and_when_more_are_needed() {
        let mut warmth = Warmth::default();
        let mut alone = |seconds| {
            let cold = warmth.call(at(seconds));
            warmth.ended();
            cold
        };
        let cold = [0, 1, 2, 25, 56, 57, 58].map(&mut alone);
        assert_eq!(cold, [true, false, false, false, true, false, false]);
        assert!(!warmth.call(at(59)), "as many as there were");
        assert!(warmth.call(at(59)), "a second one at once");
        assert!(warmth.call(at(59)));
        (0..3).for_each(|_| warmth.ended());
        assert!(warmth.call(at(59)), "the new ones may not be open yet");
        assert!(!warmth.call(at(61)));
        assert!(!warmth.call(at(61)));
    }
}
