//! Rate buckets, shared by everything that calls: one per (key, access point, action). Single calls draw from it in
//! first-come order, so that scopes behind one access point take turns; calls that belong together, such as the pages of
//! a listing, go before those of larger ones. And how long to wait before
//! something that failed is tried again, and how long things took.
//!
//! Knows when a call may leave; does not know what the call is.

mod backoff;
mod bucket;
mod durations;
mod line;
mod queue;
mod way;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::host::Clock;
use crate::model::Monotonic;

pub use backoff::Backoff;
pub use bucket::{Bucket, Pace};
pub use durations::Durations;
use queue::Queue;
pub use queue::{Call, Place};
use way::Warmth;

/// What the API counts by: sub-account, access region (the host a call enters at) and action.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey {
    /// The secret id, or what else stands for who calls: two `Account` documents with one key share its quota.
    pub secret_id: Rc<str>,
    /// `host` or `host:port`.
    pub host: Rc<str>,
    /// The action's name.
    pub action: &'static str,
}

/// How far a throttled reply reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This action at this access point.
    Bucket,
    /// The whole account (`UinLimitExceeded`).
    Account,
    /// Everything sent to this access point (`IPLimitExceeded`).
    Host,
}

/// Hands out permits to send.
#[derive(Default)]
pub struct Pacer {
    buckets: RefCell<HashMap<BucketKey, Rc<Queue>>>,
    /// By host: calls of all actions share connections.
    warmth: RefCell<HashMap<Rc<str>, Warmth>>,
}

impl Pacer {
    /// A place for calls that belong together.
    pub fn place(&self, key: &BucketKey, pace: Pace) -> Place {
        Place::at(&self.queue(key, pace))
    }

    /// Waits for the turn and the slot, counts the send, and returns the moment it is counted at. `call` is its place
    /// among those that it belongs to, if there are any. Dropping the future gives the turn up and counts nothing.
    pub async fn permit(
        &self,
        clock: &impl Clock,
        key: &BucketKey,
        pace: Pace,
        call: Option<Call<'_>>,
    ) -> Monotonic {
        let queue = self.queue(key, pace);
        // Who calls with another key by now has no place there.
        match call.filter(|call| call.is_at(&queue)) {
            Some(call) => queue.permit(clock, call).await,
            None => queue.permit(clock, Place::at(&queue).call(0)).await,
        }
    }

    /// A call whose turn came at `permitted` leaves at `now`. [`Self::ended`] is owed.
    pub fn left(&self, key: &BucketKey, permitted: Monotonic, now: Monotonic) {
        let mut warmth = self.warmth.borrow_mut();
        let cold = match warmth.get_mut(&key.host) {
            Some(known) => known.call(now),
            None => warmth.entry(Rc::clone(&key.host)).or_default().call(now),
        };
        if let Some(queue) = self.buckets.borrow().get(key) {
            queue.bucket.borrow_mut().left(permitted, now, cold);
        }
    }

    /// A call that had left has ended, however it did.
    pub fn ended(&self, key: &BucketKey) {
        if let Some(warmth) = self.warmth.borrow_mut().get_mut(&key.host) {
            warmth.ended();
        }
    }

    /// Slows what a throttled reply concerns.
    pub fn throttled(&self, key: &BucketKey, reach: Reach, sent_at: Monotonic, now: Monotonic) {
        for (other, queue) in self.buckets.borrow().iter() {
            let concerned = match reach {
                Reach::Bucket => other == key,
                Reach::Account => other.secret_id == key.secret_id,
                Reach::Host => other.host == key.host,
            };
            if concerned {
                queue.bucket.borrow_mut().throttled(sent_at, now);
                queue.stir();
            }
        }
    }

    /// A call that was sent at `sent_at` was answered: it tells of the way, and lets a slowed bucket recover.
    pub fn answered(&self, key: &BucketKey, sent_at: Monotonic, now: Monotonic) {
        if let Some(queue) = self.buckets.borrow().get(key) {
            queue.bucket.borrow_mut().answered(sent_at, now);
            queue.stir();
        }
    }

    /// Sends a second at present, where the bucket has been used.
    pub fn rate(&self, key: &BucketKey) -> Option<f64> {
        self.buckets.borrow().get(key).map(|queue| queue.rate())
    }

    fn queue(&self, key: &BucketKey, pace: Pace) -> Rc<Queue> {
        let mut buckets = self.buckets.borrow_mut();
        if let Some(queue) = buckets.get(key) {
            queue.bucket.borrow_mut().limit_to(pace.per_second);
            return Rc::clone(queue);
        }
        let queue = Rc::new(Queue::new(pace));
        buckets.insert(key.clone(), Rc::clone(&queue));
        queue
    }
}

#[cfg(test)]
mod connections_tests;
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::host::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn p7_who_gives_up_in_line_takes_no_turn_from_the_next() {
        const PACE: Pace = Pace {
            per_second: 10,
            api_limit: 20,
            evenly: true,
        };
        let (pacer, clock) = (Pacer::default(), SystemClock::start());
        let key = BucketKey {
            secret_id: "AKID".into(),
            host: "lighthouse".into(),
            action: "ModifyImageSharePermission",
        };
        let permit = || pacer.permit(&clock, &key, PACE, None).boxed_local();
        permit().await;
        // The first of these has the turn and waits for its slot; the others stand behind it.
        let mut line = [permit(), permit(), permit(), permit()];
        for waiting in &mut line {
            assert_eq!(waiting.now_or_never(), None);
        }
        let [turn, second, third, last] = line;
        drop(third);
        drop(turn);
        let slots = [second.await, last.await].map(Monotonic::since_start);
        assert_eq!(slots, [100, 200].map(Duration::from_millis));
    }

    const READS: Pace = Pace {
        per_second: 10,
        api_limit: 10,
        evenly: false,
    };

    fn reads() -> BucketKey {
        BucketKey {
            secret_id: "AKID".into(),
            host: "lighthouse".into(),
            action: "DescribeBlueprints",
        }
    }

    #[tokio::test(start_paused = true)]
    async fn c8_a_call_that_comes_while_a_large_listing_waits_for_its_slot_goes_before_it() {
        let (pacer, clock, key) = (Pacer::default(), SystemClock::start(), reads());
        let large = pacer.place(&key, READS);
        large.goes_on(40).await;
        let page = || {
            let page = pacer.permit(&clock, &key, READS, Some(large.call(0)));
            page.boxed_local()
        };
        let mut pages: Vec<_> = (0..30).map(|_| page()).collect();
        let left = pages.iter_mut().filter_map(FutureExt::now_or_never);
        assert_eq!(left.count(), 10, "the first second's");
        let small = pacer.permit(&clock, &key, READS, None);
        let mut small = small.boxed_local();
        assert_eq!((&mut small).now_or_never(), None);
        // All of them wait for the second slot, and are woken at once.
        let mut waiting = futures_util::future::join_all(pages.split_off(10));
        let first = tokio::select! {
            biased;
            _ = &mut waiting => None,
            at = &mut small => Some(at),
        };
        let second = Monotonic::new(Duration::from_millis(1_250));
        assert_eq!(first, Some(second));
        let rest = waiting.await;
        assert_eq!(rest.iter().filter(|at| **at == second).count(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn c8_p7_a_listing_that_is_given_up_makes_room_and_leaves_no_call_behind() {
        let (pacer, clock, key) = (Pacer::default(), SystemClock::start(), reads());
        let most = 600;
        let place = || pacer.place(&key, READS);
        let (first, second, third) = (place(), place(), place());
        first.goes_on(most).await;
        let mut waits = second.goes_on(most).boxed_local();
        assert_eq!((&mut waits).now_or_never(), None);
        let mut also_waits = third.goes_on(most).boxed_local();
        assert_eq!((&mut also_waits).now_or_never(), None);
        for _ in 0..10 {
            pacer.permit(&clock, &key, READS, Some(first.call(0))).await;
        }
        // One of the first one's calls has the turn, and waits for its slot.
        let mut call = pacer
            .permit(&clock, &key, READS, Some(first.call(0)))
            .boxed_local();
        assert_eq!((&mut call).now_or_never(), None);
        let mut single = pacer.permit(&clock, &key, READS, None).boxed_local();
        assert_eq!((&mut single).now_or_never(), None);
        drop(call);
        drop(waits);
        drop(second);
        drop(first);
        assert_eq!(single.await, Monotonic::new(Duration::from_millis(1_250)));
        also_waits.await;
        assert_eq!(third.calls_before(), 0);
    }
}
