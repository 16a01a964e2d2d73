//! One rate bucket: when the next call may leave, so that neither our rate nor the API's limit is exceeded. Pure: the
//! time is an argument. This file must not know who waits at the bucket or what a call is.

use std::collections::VecDeque;
use std::time::Duration;

use super::arrival::ArrivalEstimator;
use crate::model::Monotonic;

/// The API counts calls in a sliding second.
const WINDOW: Duration = Duration::from_secs(1);
/// A send that is requested at most this long after it could have left was kept waiting by the bucket: a timer wakes a
/// little late. A request at an idle bucket comes later than this.
const LATENESS_MAX: Duration = Duration::from_millis(10);
/// How far sends that the API's window delayed may catch up with their even spacing. With more, they would bunch; with
/// less, every call with a slow reply would lower the rate.
const BEHIND_MAX: Duration = Duration::from_millis(60);
/// How long a bucket goes without a throttled reply before its rate rises by one a second.
const RECOVERY_STEP: Duration = Duration::from_secs(5);
/// The minimum rate, so that a throttled bucket still makes progress.
const RATE_MIN: f64 = 1.0;

/// The rate limits of one bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Maximum number of sends in any sliding second.
    pub per_second: u32,
    /// Number of arrivals that the API allows in any sliding second.
    pub api_limit: u32,
    /// Writes are spaced evenly; pages may leave together.
    pub evenly: bool,
}

/// A log of the last sends, and a rate that falls when the API throttles and rises again.
///
/// It is a log and not a token bucket, because 20 tokens that are refilled at 20 a second allow 40 calls in one sliding
/// second.
///
/// The bucket keeps two windows. Our own rate counts sends. The API counts arrivals, and calls that leave evenly arrive
/// unevenly. Therefore the API's limit is applied to the latest moments at which the calls can have arrived, according to
/// their replies (`arrival`). So no call is refused even if calls overtake each other within the variation of the network
/// delay, and the rate loses no more than that delay.
///
/// A permit may be used late, at an unknown time. As long as a permit is open, its send may leave at any moment, so it
/// occupies a place in both windows. So no sliding second holds more sends than the rate at which the last of them was
/// permitted. A permit that is given back unused costs only its place in the even spacing.
#[derive(Debug)]
pub struct Bucket {
    pace: Pace,
    /// The rate after throttled replies; `None` if the API has not throttled, or if the rate has recovered.
    throttled_to: Option<f64>,
    /// The latest sends, oldest first, as far back as either window reaches.
    sends: VecDeque<Sent>,
    /// Permits that have neither been used nor given back.
    open_permits: u32,
    arrival: ArrivalEstimator,
    /// Earliest time of the next send when sends are spaced evenly.
    slot: Monotonic,
    /// Nothing leaves before this instant, after a throttled reply.
    closed_until: Monotonic,
    /// When a throttled reply last lowered the rate.
    slowed_at: Option<Monotonic>,
    /// When a reply last raised or lowered the rate.
    adjusted_at: Monotonic,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Monotonic,
    /// Whether the call may have had to connect first.
    cold: bool,
    /// How long its reply took; `None` until the reply arrives.
    took: Option<Duration>,
}

impl Bucket {
    /// A bucket at full rate that has sent nothing.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            throttled_to: None,
            sends: VecDeque::new(),
            open_permits: 0,
            arrival: ArrivalEstimator::default(),
            slot: Monotonic::default(),
            closed_until: Monotonic::default(),
            slowed_at: None,
            adjusted_at: Monotonic::default(),
        }
    }

    /// Sets the full rate. A reduction by throttled replies stays. Earlier sends count in the new rate's window, and the
    /// next send does not have to wait out the spacing of a lower rate.
    pub fn limit_to(&mut self, per_second: u32) {
        let before = self.rate();
        self.pace.per_second = per_second;
        if self.rate() > before {
            self.slot = self.slot.back(spacing(before)) + spacing(self.rate());
        }
    }

    /// The current number of sends a second.
    pub fn rate(&self) -> f64 {
        let full = f64::from(self.pace.per_second);
        self.throttled_to.map_or(full, |rate| rate.min(full))
    }

    /// The earliest moment at which a send may be permitted; `None` if another permit must end first.
    pub fn ready_at(&self) -> Option<Monotonic> {
        let mut at = self.closed_until;
        if self.pace.evenly || self.is_slowed() {
            at = at.max(self.slot);
        }
        let room = |limit: u32| limit.saturating_sub(self.open_permits);
        let sends = self.sends.iter().map(|sent| sent.at);
        let sends_pass = window_passes(sends.collect(), room(self.whole_rate()))?;
        let arrivals = self.sends.iter().map(|sent| self.arrived_by(sent));
        let arrivals_pass = window_passes(arrivals.collect(), room(self.pace.api_limit))?;
        Some(at.max(sends_pass).max(arrivals_pass))
    }

    /// Permits a send at `now`. The receiver of the permit must call [`Self::permit_ended`] once.
    pub fn permitted(&mut self, now: Monotonic) {
        let was_idle = self
            .ready_at()
            .is_some_and(|ready| now.since(ready) > LATENESS_MAX);
        let from = if was_idle {
            now
        } else {
            self.slot.max(now.back(BEHIND_MAX))
        };
        self.slot = from + spacing(self.rate());
        self.open_permits += 1;
    }

    /// Records that a permitted send leaves now. `cold` says whether it may have to connect first.
    pub fn left(&mut self, now: Monotonic, cold: bool) {
        self.sends.push_back(Sent {
            at: now,
            cold,
            took: None,
        });
        // Twice as many as a window holds, because a call with a slow reply counts for longer than a later one.
        let remembered = 2 * self.pace.api_limit.max(self.pace.per_second) as usize;
        while self.sends.len() > remembered {
            self.sends.pop_front();
        }
    }

    /// Ends a permit, which was used or is given back.
    pub fn permit_ended(&mut self) {
        self.open_permits = self.open_permits.saturating_sub(1);
    }

    /// Records that the API refused a call of `sent_at` because of the rate. Replies to calls that left before the rate
    /// last fell carry no new information.
    pub fn throttled(&mut self, sent_at: Monotonic, now: Monotonic) {
        if self.slowed_at.is_some_and(|slowed| sent_at <= slowed) {
            return;
        }
        self.throttled_to = Some((self.rate() / 2.0).max(RATE_MIN));
        self.slowed_at = Some(now);
        self.adjusted_at = now;
        // One whole window without a call, so that the API's count starts from zero.
        self.closed_until = now + WINDOW;
        self.slot = self.closed_until;
    }

    /// Records that the API answered a call of `sent_at` and did not throttle it.
    pub fn answered(&mut self, sent_at: Monotonic, now: Monotonic) {
        let took = now.since(sent_at);
        // Any of the calls that left together will do: together they have the same replies.
        let mut open = self.sends.iter_mut().rev();
        if let Some(sent) = open.find(|sent| sent.at == sent_at && sent.took.is_none()) {
            sent.took = Some(took);
            // A call that had to connect is no measure for calls that do not.
            if !sent.cold {
                self.arrival.add_reply(took, now);
            }
        }
        if let Some(rate) = self.throttled_to
            && now.since(self.adjusted_at) >= RECOVERY_STEP
        {
            // It rises to the API's limit and not to the full rate, because the full rate may be raised in the meantime.
            let most = f64::from(self.pace.api_limit.max(self.pace.per_second));
            self.throttled_to = Some(rate + 1.0).filter(|rate| *rate < most);
            self.adjusted_at = now;
        }
    }

    fn is_slowed(&self) -> bool {
        self.rate() < f64::from(self.pace.per_second)
    }

    /// The latest moment at which a send can have arrived, if the quickest possible network delay counts as zero.
    fn arrived_by(&self, sent: &Sent) -> Monotonic {
        sent.at + self.arrival.arrival_uncertainty(sent.took, sent.cold)
    }

    /// The rate as a count for the sliding window: rounded down, at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "1.0 ..= 20.0"
    )]
    fn whole_rate(&self) -> u32 {
        (self.rate().floor() as u32).max(1)
    }
}

/// The time between two evenly spaced sends.
fn spacing(rate: f64) -> Duration {
    Duration::from_secs_f64(1.0 / rate)
}

/// The moment from which fewer than `count` of `moments` lie within a window; `None` if there is none.
fn window_passes(mut moments: Vec<Monotonic>, count: u32) -> Option<Monotonic> {
    if count == 0 {
        return None;
    }
    let Some(nth) = moments.len().checked_sub(count as usize) else {
        return Some(Monotonic::default());
    };
    let (_, &mut oldest, _) = moments.select_nth_unstable(nth);
    Some(oldest + WINDOW)
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

    /// When the next send may leave, in a bucket without an open permit.
    fn ready(bucket: &Bucket) -> Monotonic {
        bucket.ready_at().expect("no permit is open")
    }

    /// Permits a send that leaves at the same moment.
    fn send(bucket: &mut Bucket, now: Monotonic, cold: bool) {
        bucket.permitted(now);
        bucket.left(now, cold);
        bucket.permit_ended();
    }

    /// Sends as early as allowed, each `lateness` milliseconds after it may leave.
    fn run(bucket: &mut Bucket, mut now: Monotonic, lateness: &[u64]) -> Vec<Monotonic> {
        lateness
            .iter()
            .map(|&late| {
                now = now.max(ready(bucket)) + ms(late);
                send(bucket, now, false);
                now
            })
            .collect()
    }

    fn most_in_window(sends: &[Monotonic], window: Duration) -> usize {
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
        let sends = run(&mut Bucket::new(WRITES), Monotonic::default(), &[0; 200]);
        let gaps: Vec<_> = sends.windows(2).map(|w| w[1].since(w[0])).collect();
        assert!(gaps.iter().all(|&g| g >= ms(52)), "{gaps:?}");
        assert_eq!(most_in_window(&sends, WINDOW), 19);
        // 200 writes at 19 a second take 10.5 s. Missing replies cost less than 1 %.
        assert!(sends[199].since(sends[0]) < Duration::from_secs_f64(199.0 / 19.0 * 1.01));
    }

    #[test]
    fn pages_leave_together_up_to_the_limit() {
        let sends = run(&mut Bucket::new(READS), Monotonic::default(), &[0; 25]);
        assert_eq!(sends[9], sends[0]);
        assert_eq!(sends[10], sends[0] + WINDOW + ms(60));
    }

    #[test]
    fn c16_s6_an_open_permit_takes_a_place_among_the_arrivals_too() {
        let (mut bucket, now) = (Bucket::new(READS), Monotonic::default());
        (0..5).for_each(|_| bucket.permitted(now));
        run(&mut bucket, now, &[0; 5]);
        assert_eq!(bucket.ready_at(), Some(now + WINDOW + ms(60)));
        (0..5).for_each(|_| bucket.permitted(now));
        assert_eq!(bucket.ready_at(), None, "nobody knows when they leave");
        bucket.permit_ended();
        assert_eq!(bucket.ready_at(), Some(now + WINDOW + ms(60)));
    }

    #[test]
    fn c5_an_idle_hour_saves_up_no_burst() {
        let mut bucket = Bucket::new(WRITES);
        run(&mut bucket, Monotonic::default(), &[0; 5]);
        let sends = run(
            &mut bucket,
            Monotonic::new(Duration::from_secs(3600)),
            &[0; 40],
        );
        assert_eq!(most_in_window(&sends, WINDOW), 19);
    }

    #[test]
    fn a16_throttling_halves_once_and_the_rate_comes_back() {
        let mut bucket = Bucket::new(WRITES);
        let sends = run(&mut bucket, Monotonic::default(), &[0; 3]);
        let now = sends[2] + ms(100);
        for &sent_at in &sends {
            bucket.throttled(sent_at, now);
        }
        assert!(
            (bucket.rate() - 9.5).abs() < f64::EPSILON,
            "three replies, one fall: {}",
            bucket.rate()
        );
        assert_eq!(bucket.ready_at(), Some(now + WINDOW));
        let mut now = now;
        for _ in 0..9 {
            now = now + RECOVERY_STEP;
            bucket.answered(now, now);
        }
        assert!((bucket.rate() - 18.5).abs() < f64::EPSILON);
        bucket.answered(now, now + RECOVERY_STEP);
        assert!(
            (bucket.rate() - 19.0).abs() < f64::EPSILON,
            "never above the configured rate"
        );
    }

    #[test]
    fn the_rate_never_falls_below_one_a_second() {
        let mut bucket = Bucket::new(WRITES);
        let mut now = Monotonic::default();
        for _ in 0..20 {
            now = now.max(ready(&bucket));
            send(&mut bucket, now, true);
            now = now + ms(1);
            bucket.throttled(now, now);
        }
        assert!((bucket.rate() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn c6_a_raised_rate_holds_from_the_next_send_on() {
        let mut bucket = Bucket::new(Pace {
            per_second: 1,
            ..WRITES
        });
        let sends = run(&mut bucket, Monotonic::default(), &[0; 3]);
        bucket.limit_to(19);
        let next = run(&mut bucket, sends[2], &[0; 40]);
        assert!(next[0].since(sends[2]) < ms(60), "{next:?}");
        assert!(next[39].since(next[0]) < ms(2_200), "{next:?}");
    }

    #[test]
    fn c6_a_raised_rate_does_not_undo_throttling() {
        let mut bucket = Bucket::new(WRITES);
        let now = run(&mut bucket, Monotonic::default(), &[0])[0] + ms(100);
        bucket.throttled(now, now);
        bucket.limit_to(5);
        assert!((bucket.rate() - 5.0).abs() < f64::EPSILON);
        bucket.limit_to(20);
        assert!((bucket.rate() - 9.5).abs() < f64::EPSILON);
        assert_eq!(bucket.ready_at(), Some(now + WINDOW));
    }

    proptest! {
        #[test]
        fn c6_s6_no_sliding_second_holds_more_than_the_rate_of_its_end(
            steps in prop::collection::vec((1u32..=20, 1usize..30), 1..12), evenly: bool,
        ) {
            let mut bucket = Bucket::new(Pace { per_second: 20, api_limit: 20, evenly });
            let (mut now, mut sends) = (Monotonic::default(), Vec::new());
            for (rate, count) in steps {
                bucket.limit_to(rate);
                for _ in 0..count {
                    now = run(&mut bucket, now, &[0])[0];
                    sends.push(now);
                    let recent = sends.iter().filter(|sent| now.since(**sent) < WINDOW);
                    prop_assert!(recent.count() <= rate as usize);
                }
            }
        }

        #[test]
        fn s6_no_sliding_second_holds_more_than_the_rate(
            rate in 1u32..=20, evenly: bool, lateness in prop::collection::vec(0u64..40, 1..200),
        ) {
            let pace = Pace { per_second: rate, api_limit: 20, evenly };
            let sends = run(&mut Bucket::new(pace), Monotonic::default(), &lateness);
            prop_assert!(most_in_window(&sends, WINDOW) <= rate as usize);
        }

        #[test]
        fn s6_arrivals_spread_by_60_ms_stay_within_the_apis_limit(
            delays in prop::collection::vec(60u64..=120, 100..300), evenly: bool, back in 0u64..100,
        ) {
            let pace = Pace { per_second: 20, api_limit: 20, evenly };
            // One of the first replies must be the quickest possible one, so that the bucket can learn it.
            let delays: Vec<_> = [60].into_iter().chain(delays).collect();
            let sends = exchange(&mut Bucket::new(pace), &delays, back, 0);
            prop_assert!(most_in_window(&arrivals(&sends, &delays), WINDOW) <= 20);
            let sends = run(&mut Bucket::new(pace), Monotonic::default(), &vec![0; delays.len()]);
            prop_assert!(most_in_window(&arrivals(&sends, &delays), WINDOW) <= 20, "nobody answers");
        }

        #[test]
        fn s6_calls_that_had_to_connect_first_stay_within_the_apis_limit(
            connects in prop::collection::vec(0u64..=200, 20), evenly: bool,
        ) {
            let pace = Pace { per_second: 20, api_limit: 20, evenly };
            let delays: Vec<_> = connects.into_iter().chain([0; 80]).map(|connect| 50 + connect).collect();
            let sends = exchange(&mut Bucket::new(pace), &delays, 50, 20);
            prop_assert!(most_in_window(&arrivals(&sends, &delays), WINDOW) <= 20);
        }
    }

    /// Sends as early as allowed, the first `cold` of them on new connections. Each call needs its delay to arrive, and
    /// its reply needs `back` milliseconds.
    fn exchange(bucket: &mut Bucket, delays: &[u64], back: u64, cold: usize) -> Vec<Monotonic> {
        let mut under_way: Vec<(Monotonic, Monotonic)> = Vec::new();
        let mut sends = Vec::new();
        for (n, delay) in delays.iter().enumerate() {
            loop {
                let ready = ready(bucket).max(sends.last().copied().unwrap_or_default());
                under_way.sort();
                match under_way.first() {
                    Some(&(reply, sent)) if reply <= ready => {
                        bucket.answered(sent, reply);
                        under_way.remove(0);
                    }
                    _ => {
                        send(bucket, ready, n < cold);
                        sends.push(ready);
                        under_way.push((ready + ms(delay + back), ready));
                        break;
                    }
                }
            }
        }
        sends
    }

    fn arrivals(sends: &[Monotonic], delays: &[u64]) -> Vec<Monotonic> {
        let mut arrivals: Vec<_> = sends.iter().zip(delays).map(|(&s, &d)| s + ms(d)).collect();
        arrivals.sort();
        arrivals
    }

    /// Seconds for 2,000 writes to an access point whose jitter on the path there is uniform up to 40 ms.
    fn seconds_for_2000_writes(rate: u32) -> f64 {
        let mut rng = fastrand::Rng::with_seed(7);
        let delays: Vec<_> = (0..2_001).map(|_| 45 + rng.u64(0..=40)).collect();
        let pace = Pace {
            per_second: rate,
            api_limit: 20,
            evenly: true,
        };
        let sends = exchange(&mut Bucket::new(pace), &delays, 45, 20);
        assert!(most_in_window(&arrivals(&sends, &delays), WINDOW) <= 20);
        let bunched = most_in_window(&sends, ms(100));
        assert!(bunched <= 4, "{bunched} in a tenth of a second");
        sends[2_000].since(sends[0]).as_secs_f64()
    }

    #[test]
    fn s6_jitter_costs_only_a_rate_that_equals_the_apis_limit() {
        let at_19 = seconds_for_2000_writes(19) / (2_000.0 / 19.0);
        assert!(at_19 < 1.003, "{at_19}");
        // Half of the jitter on average, 20 ms of each second, plus the cost of catching up and of inexact timers.
        let at_20 = seconds_for_2000_writes(20) / (2_000.0 / 20.0);
        assert!((1.015..1.028).contains(&at_20), "{at_20}");
    }
}
