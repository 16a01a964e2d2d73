//! Tests that permits that are used late or never exceed no rate, whenever they end, and starve no other call.

use std::time::Duration;

use proptest::prelude::*;

use super::{Bucket, Pace};
use crate::model::Monotonic;

const SECOND: Duration = Duration::from_secs(1);
/// The latest that a call arrives after the quickest one, in milliseconds.
const DELAY_MAX: u64 = 60;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// How a simulated caller uses a permit.
#[derive(Clone, Debug)]
struct Use {
    /// For how many milliseconds the permit is open.
    held: u64,
    /// How many milliseconds its call needs to arrive; `None` if the permit is never used.
    delay: Option<u64>,
    /// The rate that is set before the permit is taken.
    rate: Option<u32>,
}

fn a_use() -> impl Strategy<Value = Use> {
    let held = prop_oneof![Just(0), 0u64..200, 0u64..4_000];
    let delay = prop::option::weighted(0.8, 0..=DELAY_MAX);
    let rate = prop::option::weighted(0.05, 1u32..=20);
    (held, delay, rate).prop_map(|(held, delay, rate)| Use { held, delay, rate })
}

/// A permit that has neither been used nor given back.
struct Open {
    ends: Monotonic,
    number: usize,
    rate: u32,
    delay: Option<u64>,
}

/// A call that has left.
struct Sent {
    at: Monotonic,
    arrived: Monotonic,
    /// Number of its permit, and the rate at that time.
    permitted: (usize, u32),
}

/// A bucket and callers that take permits from it as early as they may.
struct Draws {
    bucket: Bucket,
    open: Vec<Open>,
    sent: Vec<Sent>,
}

impl Draws {
    /// Takes a permit for each of `uses`, and waits until all of them have ended. With `together`, permits end all
    /// together, every 1.5 seconds.
    fn all(uses: Vec<Use>, evenly: bool, together: bool) -> Self {
        let pace = Pace {
            per_second: 20,
            api_limit: 20,
            evenly,
        };
        let mut draws = Self {
            bucket: Bucket::new(pace),
            open: Vec::new(),
            sent: Vec::new(),
        };
        let (mut now, mut rate) = (Monotonic::default(), pace.per_second);
        for (number, each) in uses.into_iter().enumerate() {
            rate = each.rate.unwrap_or(rate);
            draws.bucket.limit_to(rate);
            now = draws.wait_for_permit(now);
            let ends = match together {
                true => Monotonic::new(ms(
                    (now.since_start().as_secs_f64() / 1.5) as u64 * 1_500 + 1_500
                )),
                false => now + ms(each.held),
            };
            draws.open.push(Open {
                ends,
                number,
                rate,
                delay: each.delay,
            });
        }
        while !draws.open.is_empty() {
            now = draws.end_first();
        }
        draws.assert_ready_soon(now);
        draws
    }

    /// Waits for the next permit. Permits that end before it comes end in the meantime.
    fn wait_for_permit(&mut self, mut now: Monotonic) -> Monotonic {
        loop {
            if self.open.is_empty() {
                self.assert_ready_soon(now);
            }
            let ready = self.bucket.ready_at().map(|ready| ready.max(now));
            let ends = self.open.iter().map(|open| open.ends).min();
            match ready.filter(|ready| ends.is_none_or(|ends| *ready < ends)) {
                Some(ready) => {
                    self.bucket.permitted(ready);
                    return ready;
                }
                None => now = self.end_first(),
            }
        }
    }

    fn end_first(&mut self) -> Monotonic {
        self.open.sort_by_key(|open| open.ends);
        let Open {
            ends,
            number,
            rate,
            delay,
        } = self.open.remove(0);
        if let Some(delay) = delay {
            self.bucket.left(ends, false);
            self.sent.push(Sent {
                at: ends,
                arrived: ends + ms(delay),
                permitted: (number, rate),
            });
        }
        self.bucket.permit_ended();
        ends
    }

    fn assert_ready_soon(&self, now: Monotonic) {
        let ready = self.bucket.ready_at().expect("no permit is open");
        assert!(
            ready.since(now) <= SECOND + ms(DELAY_MAX),
            "the next permit starves"
        );
    }
}

/// Those of `all` in the second that ends at `end`.
fn second_before<T>(all: &[T], moment: impl Fn(&T) -> Monotonic, end: Monotonic) -> Vec<&T> {
    let within = |it: &&T| moment(it) <= end && end.since(moment(it)) < SECOND;
    all.iter().filter(within).collect()
}

proptest! {
    #[test]
    fn c16_s6_late_and_unused_permits_exceed_no_rate_and_starve_no_call(
        uses in prop::collection::vec(a_use(), 1..150), evenly: bool, together: bool,
    ) {
        let draws = Draws::all(uses, evenly, together);
        for last in &draws.sent {
            let sent = second_before(&draws.sent, |sent| sent.at, last.at);
            let (_, rate) = sent.iter().map(|sent| sent.permitted).max().expect("the last send itself");
            prop_assert!(sent.len() <= rate as usize, "{} at {rate}", sent.len());
            let arrived = second_before(&draws.sent, |sent| sent.arrived, last.arrived);
            prop_assert!(arrived.len() <= 20, "{} arrived", arrived.len());
        }
    }
}
