//! Tests that the API's limit holds for calls that have to wait for a connection, as in an HTTP/1.1 pool: each call takes
//! whichever connection is free first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::connection_reuse::ConnectionReuse;
use super::{Bucket, Pace};
use crate::model::Monotonic;
use crate::model::fixtures_tests::elapsed_ms;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A connection is open.
    Open,
    /// The reply to the call that left at this time has arrived.
    Reply(Monotonic),
}

/// A simulated access point at a fixed round-trip time.
struct AccessPoint {
    bucket: Bucket,
    reuse: ConnectionReuse,
    round_trip: Duration,
    connects_in: Duration,
    idle: usize,
    waiting: VecDeque<Monotonic>,
    events: BinaryHeap<Reverse<(Monotonic, Event)>>,
    arrivals: Vec<Monotonic>,
}

impl AccessPoint {
    fn new(rate: u32, round_trip: u64, connect_trips: u32) -> Self {
        let pace = Pace {
            per_second: rate,
            api_limit: 20,
            evenly: true,
        };
        let round_trip = Duration::from_millis(round_trip);
        Self {
            bucket: Bucket::new(pace),
            reuse: ConnectionReuse::default(),
            round_trip,
            connects_in: round_trip * connect_trips,
            idle: 0,
            waiting: VecDeque::new(),
            events: BinaryHeap::new(),
            arrivals: Vec::new(),
        }
    }

    /// Sends `count` calls, the first of them not before `from`, and handles all their events.
    fn calls(&mut self, count: usize, from: Monotonic) {
        let (mut left, mut last) = (count, from);
        loop {
            let ready = self.bucket.ready_at().expect("no permit is open");
            let ready = ready.max(last);
            match self.events.peek() {
                Some(&Reverse((when, what))) if left == 0 || when <= ready => {
                    self.events.pop();
                    self.handle(when, what);
                }
                None if left == 0 => return,
                _ => {
                    self.send(ready);
                    (left, last) = (left - 1, ready);
                }
            }
        }
    }

    fn send(&mut self, now: Monotonic) {
        self.bucket.permitted(now);
        let cold = self.reuse.call_leaves(now);
        self.bucket.left(now, cold);
        self.bucket.permit_ended();
        self.waiting.push_back(now);
        if self.idle > 0 {
            self.idle -= 1;
            self.connection_is_free(now);
        } else {
            let open = (now + self.connects_in, Event::Open);
            self.events.push(Reverse(open));
        }
    }

    fn handle(&mut self, now: Monotonic, what: Event) {
        if let Event::Reply(sent_at) = what {
            self.reuse.call_ended();
            self.bucket.answered(sent_at, now);
        }
        self.connection_is_free(now);
    }

    fn connection_is_free(&mut self, now: Monotonic) {
        match self.waiting.pop_front() {
            None => self.idle += 1,
            Some(sent_at) => {
                self.arrivals.push(now + self.round_trip / 2);
                let reply = (now + self.round_trip, Event::Reply(sent_at));
                self.events.push(Reverse(reply));
            }
        }
    }

    fn most_in_a_second(&self) -> usize {
        let within = |first: &Monotonic| {
            let later = self.arrivals.iter().filter(|arrival| *arrival >= first);
            let within = later.filter(|arrival| arrival.since(*first) < Duration::from_secs(1));
            within.count()
        };
        self.arrivals.iter().map(within).max().unwrap_or(0)
    }
}

#[test]
fn s6_calls_that_wait_for_a_connection_stay_within_the_apis_limit() {
    for round_trip in [10, 60, 90, 120, 200, 300] {
        for connect_trips in [2, 3] {
            for rate in [19, 20] {
                // An edit of many images, on no open connections or after an edit of a few images.
                for open in [0, 1, 3] {
                    let mut access_point = AccessPoint::new(rate, round_trip, connect_trips);
                    access_point.calls(open, elapsed_ms(0));
                    access_point.calls(100, elapsed_ms(12_000));
                    let most = access_point.most_in_a_second();
                    assert!(
                        most <= 20,
                        "{most}: {round_trip} ms, {connect_trips} trips, {rate} a second, {open} open"
                    );
                }
            }
        }
    }
}
