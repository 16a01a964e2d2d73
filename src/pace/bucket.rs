use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Moment;

/// The API counts calls in a sliding second.
const WINDOW: Duration = Duration::from_secs(1);
/// Sends evenly spaced here arrive unevenly there. The API's own limit is kept over a window longer
/// by this much, so that calls whose way takes 60 ms less than others' still fit.
const ARRIVAL_JITTER: Duration = Duration::from_millis(60);
/// A timer wakes a little late. Up to this much the next slot is not moved, or every late wake-up
/// would lower the rate.
const LATENESS_FORGIVEN: Duration = Duration::from_millis(10);
/// How long a bucket stays clean before a throttled rate rises by one a second.
const RECOVERY_STEP: Duration = Duration::from_secs(5);
/// A throttled bucket still makes progress.
const RATE_MIN: f64 = 1.0;

/// How fast one bucket may be drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Sends in any sliding second, at most.
    pub per_second: u32,
    /// What the API allows in a sliding second at its end.
    pub api_limit: u32,
    /// Writes are spread evenly; pages may leave together.
    pub evenly: bool,
}

/// One rate bucket: a log of the last sends, and a rate that falls when the API throttles and rises
/// again. Pure; the time is an argument.
///
/// A log, not a token bucket: a bucket of 20 tokens refilled at 20 a second lets 40 calls fall into
/// one sliding second.
#[derive(Debug)]
pub struct Bucket {
    pace: Pace,
    rate: f64,
    /// The latest sends, oldest first; no more than either limit looks back.
    sends: VecDeque<Moment>,
    /// Where the next send belongs when they are spread evenly.
    slot: Moment,
    /// Nothing leaves before this, after a throttled reply.
    closed_until: Moment,
    /// When the rate last fell.
    slowed_at: Option<Moment>,
    /// When the rate last rose or fell.
    adjusted_at: Moment,
}

impl Bucket {
    /// A bucket at full rate that has sent nothing.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            rate: f64::from(pace.per_second),
            sends: VecDeque::new(),
            slot: Moment::default(),
            closed_until: Moment::default(),
            slowed_at: None,
            adjusted_at: Moment::default(),
        }
    }

    /// Lowers the full rate, for an account that shares this bucket and asks for less.
    pub fn limit_to(&mut self, per_second: u32) {
        self.pace.per_second = self.pace.per_second.min(per_second);
        self.rate = self.rate.min(f64::from(self.pace.per_second));
    }

    /// Sends a second at present.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The earliest moment at which a send may leave.
    pub fn ready_at(&self) -> Moment {
        let mut at = self.closed_until;
        if self.pace.evenly || self.is_slowed() {
            at = at.max(self.slot);
        }
        at = at.max(self.after(self.whole_rate(), WINDOW));
        at.max(self.after(self.pace.api_limit, WINDOW + ARRIVAL_JITTER))
    }

    /// Counts a send that leaves at `now`.
    pub fn sent(&mut self, now: Moment) {
        let late = now.since(self.slot);
        let from = if late <= LATENESS_FORGIVEN {
            self.slot
        } else {
            now
        };
        self.slot = from + Duration::from_secs_f64(1.0 / self.rate);
        self.sends.push_back(now);
        let remembered = self.pace.api_limit.max(self.pace.per_second) as usize;
        while self.sends.len() > remembered {
            self.sends.pop_front();
        }
    }

    /// The API refused a call that was sent at `sent_at` for its rate. Replies to calls that had left
    /// before the rate last fell say nothing new.
    pub fn throttled(&mut self, sent_at: Moment, now: Moment) {
        if self.slowed_at.is_some_and(|slowed| sent_at <= slowed) {
            return;
        }
        self.rate = (self.rate / 2.0).max(RATE_MIN);
        self.slowed_at = Some(now);
        self.adjusted_at = now;
        // One whole window without a call, so that the API's count starts afresh.
        self.closed_until = now + WINDOW;
        self.slot = self.closed_until;
    }

    /// The API answered a call without throttling it.
    pub fn answered(&mut self, now: Moment) {
        if self.is_slowed() && now.since(self.adjusted_at) >= RECOVERY_STEP {
            self.rate = (self.rate + 1.0).min(f64::from(self.pace.per_second));
            self.adjusted_at = now;
        }
    }

    fn is_slowed(&self) -> bool {
        self.rate < f64::from(self.pace.per_second)
    }

    /// The rate as a count for the sliding window: rounded down, never below one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1.0 ..= 20.0"
    )]
    fn whole_rate(&self) -> u32 {
        (self.rate.floor() as u32).max(1)
    }

    /// When a window of `length` that holds the last `count` sends has passed.
    fn after(&self, count: u32, length: Duration) -> Moment {
        let back = (count as usize)
            .checked_sub(1)
            .and_then(|i| self.sends.iter().rev().nth(i));
        back.map_or(Moment::default(), |&send| send + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WRITES: Pace = Pace {
        per_second: 19,
        api_limit: 20,
        evenly: true,
    };
    const READS: Pace = Pace {
        per_second: 10,
        api_limit: 10,
        evenly: false,
    };

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Sends `count` times as early as allowed, each `late` milliseconds after it may.
    fn run(bucket: &mut Bucket, mut now: Moment, lateness: &[u64]) -> Vec<Moment> {
        lateness
            .iter()
            .map(|&late| {
                now = now.max(bucket.ready_at()) + ms(late);
                bucket.sent(now);
                now
            })
            .collect()
    }

    fn most_in_window(sends: &[Moment], window: Duration) -> usize {
        (0..sends.len())
            .map(|i| {
                sends[i..]
                    .iter()
                    .take_while(|s| s.since(sends[i]) < window)
                    .count()
            })
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn s6_writes_are_evenly_spaced() {
        let sends = run(&mut Bucket::new(WRITES), Moment::default(), &[0; 200]);
        let gaps: Vec<_> = sends.windows(2).map(|w| w[1].since(w[0])).collect();
        assert!(gaps.iter().all(|&g| g >= ms(52)), "{gaps:?}");
        assert_eq!(most_in_window(&sends, WINDOW), 19);
        // 200 writes at 19 a second take 10.5 s; the jitter allowance costs less than 1 %.
        assert!(sends[199].since(sends[0]) < Duration::from_secs_f64(199.0 / 19.0 * 1.01));
    }

    #[test]
    fn pages_leave_together_up_to_the_limit() {
        let sends = run(&mut Bucket::new(READS), Moment::default(), &[0; 25]);
        assert_eq!(sends[9], sends[0]);
        assert_eq!(sends[10], sends[0] + WINDOW + ARRIVAL_JITTER);
    }

    #[test]
    fn c5_an_idle_hour_saves_up_no_burst() {
        let mut bucket = Bucket::new(WRITES);
        run(&mut bucket, Moment::default(), &[0; 5]);
        let sends = run(
            &mut bucket,
            Moment::new(Duration::from_secs(3600)),
            &[0; 40],
        );
        assert_eq!(most_in_window(&sends, WINDOW), 19);
    }

    #[test]
    fn a16_throttling_halves_once_and_the_rate_comes_back() {
        let mut bucket = Bucket::new(WRITES);
        let sends = run(&mut bucket, Moment::default(), &[0; 3]);
        let now = sends[2] + ms(100);
        for &sent_at in &sends {
            bucket.throttled(sent_at, now);
        }
        assert!(
            (bucket.rate() - 9.5).abs() < f64::EPSILON,
            "three replies, one fall: {}",
            bucket.rate()
        );
        assert_eq!(bucket.ready_at(), now + WINDOW);
        let mut now = now;
        for _ in 0..9 {
            now = now + RECOVERY_STEP;
            bucket.answered(now);
        }
        assert!((bucket.rate() - 18.5).abs() < f64::EPSILON);
        bucket.answered(now + RECOVERY_STEP);
        assert!(
            (bucket.rate() - 19.0).abs() < f64::EPSILON,
            "never above the configured rate"
        );
    }

    #[test]
    fn the_rate_never_falls_below_one_a_second() {
        let mut bucket = Bucket::new(WRITES);
        let mut now = Moment::default();
        for _ in 0..20 {
            now = now.max(bucket.ready_at());
            bucket.sent(now);
            now = now + ms(1);
            bucket.throttled(now, now);
        }
        assert!((bucket.rate() - 1.0).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn s6_no_sliding_second_holds_more_than_the_rate(
            rate in 1u32..=20, evenly: bool, lateness in prop::collection::vec(0u64..40, 1..200),
        ) {
            let pace = Pace { per_second: rate, api_limit: 20, evenly };
            let sends = run(&mut Bucket::new(pace), Moment::default(), &lateness);
            prop_assert!(most_in_window(&sends, WINDOW) <= rate as usize);
        }

        #[test]
        fn s6_arrivals_spread_by_60_ms_stay_within_the_apis_limit(
            delays in prop::collection::vec(60u64..=120, 100..300), evenly: bool,
        ) {
            let pace = Pace { per_second: 20, api_limit: 20, evenly };
            let sends = run(&mut Bucket::new(pace), Moment::default(), &vec![0; delays.len()]);
            let mut arrivals: Vec<_> = sends.iter().zip(&delays).map(|(&s, &d)| s + ms(d)).collect();
            arrivals.sort();
            prop_assert!(most_in_window(&arrivals, WINDOW) <= 20);
        }
    }
}
