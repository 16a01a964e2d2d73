//! Decides when a call may leave. There is one rate bucket per caller, access point and action, and everything that calls
//! shares it. Single calls draw from a bucket in first-come order, so that scopes behind one access point alternate.
//! Calls that belong together, such as the pages of a listing, go before those of larger groups. A permit to call is a
//! value: until it is used or dropped, the bucket assumes that its call may leave at any moment, so that late use exceeds
//! no rate. Backoff, the budget of repetitions and a histogram of durations are here too, because every client needs
//! them beside rates.
//!
//! This module must not know what a call is.

mod arrival;
mod backoff;
mod bucket;
mod connection_reuse;
mod fair_order;
mod histogram;
mod queue;
mod rate_claims;
mod retry_budget;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::host::Clock;
use crate::model::Monotonic;

pub use backoff::Backoff;
pub use bucket::{Bucket, Pace};
use connection_reuse::ConnectionReuse;
pub use histogram::DurationHistogram;
use queue::BucketQueue;
pub use queue::{CallGroup, GroupCall, Permit};
pub use rate_claims::RateClaim;
use rate_claims::RateClaims;
pub use retry_budget::RetryBudget;

/// The key by which the API counts calls: sub-account, access region (the host that a call enters at) and action.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey {
    /// The secret id, or another value that identifies the caller. Two `Account` documents with one key share its quota.
    pub caller: Rc<str>,
    /// `host` or `host:port`, as in the Host header.
    pub host: Rc<str>,
    pub action: &'static str,
}

/// The set of buckets that a throttled reply concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleScope {
    /// Only this action at this access point.
    Bucket,
    /// All calls of the account (`UinLimitExceeded`).
    Account,
    /// All calls to this access point (`IPLimitExceeded`).
    Host,
}

/// Hands out permits to send.
#[derive(Default)]
pub struct Pacer {
    buckets: RefCell<HashMap<BucketKey, Rc<BucketQueue>>>,
    /// Keyed by host, because calls of all actions share connections.
    connection_reuse: RefCell<HashMap<Rc<str>, ConnectionReuse>>,
    rate_claims: RateClaims,
}

impl Pacer {
    /// Creates a group for calls that belong together.
    pub fn group(&self, key: &BucketKey, pace: Pace) -> CallGroup {
        CallGroup::at(&self.queue(key, pace))
    }

    /// Waits until a call may leave. `call` is its place in a group, if it belongs to one. Dropping the future gives up
    /// the place in the queue and counts nothing.
    pub async fn permit(
        &self,
        clock: &impl Clock,
        key: &BucketKey,
        pace: Pace,
        call: Option<GroupCall<'_>>,
    ) -> Permit {
        let queue = self.queue(key, pace);
        // If the key has changed in the meantime, the group waits at another bucket.
        match call.filter(|call| call.is_at(&queue)) {
            Some(call) => queue.permit(clock, call).await,
            None => queue.permit(clock, CallGroup::at(&queue).call(0)).await,
        }
    }

    /// Records that a call to the access point of `key` leaves at `now`. The caller must call [`Self::ended`] when it
    /// ends.
    pub fn left(&self, key: &BucketKey, permit: Permit, now: Monotonic) {
        let mut reuse = self.connection_reuse.borrow_mut();
        let cold = match reuse.get_mut(&key.host) {
            Some(known) => known.call_leaves(now),
            None => {
                let new = reuse.entry(Rc::clone(&key.host)).or_default();
                new.call_leaves(now)
            }
        };
        permit.used(now, cold);
    }

    /// Records that a call has ended, with a reply or without.
    pub fn ended(&self, key: &BucketKey) {
        if let Some(reuse) = self.connection_reuse.borrow_mut().get_mut(&key.host) {
            reuse.call_ended();
        }
    }

    /// Slows the buckets that a throttled reply concerns.
    pub fn throttled(
        &self,
        key: &BucketKey,
        scope: ThrottleScope,
        sent_at: Monotonic,
        now: Monotonic,
    ) {
        for (other, queue) in self.buckets.borrow().iter() {
            let concerned = match scope {
                ThrottleScope::Bucket => other == key,
                ThrottleScope::Account => other.caller == key.caller,
                ThrottleScope::Host => other.host == key.host,
            };
            if concerned {
                queue.bucket.borrow_mut().throttled(sent_at, now);
                queue.wake();
            }
        }
    }

    /// Records that a call of `sent_at` was answered. The reply shows the network delay, and lets a slowed bucket
    /// recover.
    pub fn answered(&self, key: &BucketKey, sent_at: Monotonic, now: Monotonic) {
        if let Some(queue) = self.buckets.borrow().get(key) {
            queue.bucket.borrow_mut().answered(sent_at, now);
            queue.wake();
        }
    }

    /// Creates a claim of `holder`, for no more than `per_second` sends from the buckets that [`Self::claim`] is called
    /// for. It lasts until it is dropped, and replaces an earlier claim of the same holder.
    pub fn new_claim(&self, holder: &str, per_second: u32) -> Rc<RateClaim> {
        self.rate_claims.create(holder, per_second)
    }

    /// Limits a bucket to the claim, from its next call on. With several claims, the lowest counts.
    pub fn claim(&self, key: &BucketKey, claim: &Rc<RateClaim>) {
        self.rate_claims.add(key, claim);
        self.limit_to_claims(key);
    }

    /// The current number of sends a second; `None` if the bucket has not been used.
    pub fn rate(&self, key: &BucketKey) -> Option<f64> {
        self.limit_to_claims(key);
        self.buckets.borrow().get(key).map(|queue| queue.rate())
    }

    fn queue(&self, key: &BucketKey, pace: Pace) -> Rc<BucketQueue> {
        let mut buckets = self.buckets.borrow_mut();
        let queue = buckets
            .entry(key.clone())
            .or_insert_with(|| Rc::new(BucketQueue::new(pace)));
        let queue = Rc::clone(queue);
        drop(buckets);
        self.limit_to_claims(key);
        queue
    }

    /// Claims come and go with their documents, so they are evaluated before each call.
    fn limit_to_claims(&self, key: &BucketKey) {
        if let Some(queue) = self.buckets.borrow().get(key)
            && let Some(per_second) = self.rate_claims.lowest(key)
        {
            queue.bucket.borrow_mut().limit_to(per_second);
        }
    }
}

#[cfg(test)]
mod connection_reuse_tests;
#[cfg(test)]
mod late_permit_tests;
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;
    use crate::host::SystemClock;

    #[tokio::test(start_paused = true)]
    async fn p7_a_call_that_gives_up_its_place_delays_no_other() {
        const PACE: Pace = Pace {
            per_second: 10,
            api_limit: 20,
            evenly: true,
        };
        let (pacer, clock) = (Pacer::default(), SystemClock::start());
        let key = BucketKey {
            caller: "AKID".into(),
            host: "lighthouse".into(),
            action: "ModifyImageSharePermission",
        };
        let permit = || {
            let permit = pacer.permit(&clock, &key, PACE, None);
            permit.map(|permit| permit.at()).boxed_local()
        };
        permit().await;
        // The first of these is next and waits for its slot; the others queue behind it.
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

    #[test]
    fn c6_the_lowest_claim_counts_for_as_long_as_it_is_held() {
        const WRITES: Pace = Pace {
            per_second: 19,
            api_limit: 20,
            evenly: true,
        };
        let (pacer, key) = (Pacer::default(), reads());
        pacer.queue(&key, WRITES);
        let rate = || pacer.rate(&key).expect("a bucket").round() as u32;
        let claim = |holder, per_second| {
            let claim = pacer.new_claim(holder, per_second);
            pacer.claim(&key, &claim);
            claim
        };
        let first = claim("first", 10);
        let second = claim("second", 3);
        assert_eq!(rate(), 3);
        // A newer document of the same name, while a call under the earlier one still settles.
        let newer = claim("second", 7);
        pacer.claim(&key, &second);
        assert_eq!(rate(), 7);
        drop(newer);
        assert_eq!(rate(), 10);
        let others = pacer.new_claim("others", 1);
        let elsewhere = BucketKey {
            host: "elsewhere".into(),
            ..reads()
        };
        pacer.claim(&elsewhere, &others);
        assert_eq!(rate(), 10, "each bucket has claims of its own");
        drop(first);
    }

    const READS: Pace = Pace {
        per_second: 10,
        api_limit: 10,
        evenly: false,
    };

    fn reads() -> BucketKey {
        BucketKey {
            caller: "AKID".into(),
            host: "lighthouse".into(),
            action: "DescribeBlueprints",
        }
    }

    /// Makes a call as soon as it may leave, and returns when it left.
    async fn call(pacer: &Pacer, clock: &SystemClock, group: Option<GroupCall<'_>>) -> Monotonic {
        let permit = pacer.permit(clock, &reads(), READS, group).await;
        let at = permit.at();
        pacer.left(&reads(), permit, at);
        at
    }

    #[tokio::test(start_paused = true)]
    async fn c16_s6_a_permit_keeps_its_place_until_it_is_used_or_dropped() {
        const ONE: Pace = Pace {
            per_second: 1,
            ..READS
        };
        let (pacer, clock, key) = (Pacer::default(), SystemClock::start(), reads());
        let permit = || pacer.permit(&clock, &key, ONE, None).boxed_local();
        let later = |seconds| clock.sleep_until(clock.monotonic() + Duration::from_secs(seconds));
        let first = permit().await;
        let mut line = [permit(), permit(), permit()];
        for _ in 0..2 {
            for waiting in &mut line {
                assert!(
                    waiting.now_or_never().is_none(),
                    "the first permit is still open"
                );
            }
            later(10).await;
        }
        let [given_up, second, third] = line;
        drop(given_up);
        drop(first);
        let dropped = clock.monotonic();
        let minute = Duration::from_secs(60);
        let second = timeout(minute, second).await.expect("its turn");
        assert_eq!(second.at(), dropped, "a dropped permit counts as not sent");
        let mut third = third;
        assert!((&mut third).now_or_never().is_none());
        later(10).await;
        assert!((&mut third).now_or_never().is_none());
        let left = clock.monotonic();
        pacer.left(&key, second, left);
        let third = timeout(minute, third).await.expect("its turn");
        assert_eq!(third.at(), left + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn c8_a_single_call_goes_before_waiting_pages_of_a_large_listing() {
        let (pacer, clock, key) = (Pacer::default(), SystemClock::start(), reads());
        let large = pacer.group(&key, READS);
        large.wait_to_start(40).await;
        let page = || call(&pacer, &clock, Some(large.call(0))).boxed_local();
        let mut pages: Vec<_> = (0..30).map(|_| page()).collect();
        let left = pages.iter_mut().filter_map(FutureExt::now_or_never);
        assert_eq!(left.count(), 10, "the first second's");
        let mut small = call(&pacer, &clock, None).boxed_local();
        assert_eq!((&mut small).now_or_never(), None);
        // All of them wait for the second slot and are woken together.
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
    async fn c8_p7_an_abandoned_listing_makes_room_and_leaves_no_call() {
        let (pacer, clock, key) = (Pacer::default(), SystemClock::start(), reads());
        let most = 600;
        let group = || pacer.group(&key, READS);
        let (first, second, third) = (group(), group(), group());
        first.wait_to_start(most).await;
        let mut waits = second.wait_to_start(most).boxed_local();
        assert_eq!((&mut waits).now_or_never(), None);
        let mut also_waits = third.wait_to_start(most).boxed_local();
        assert_eq!((&mut also_waits).now_or_never(), None);
        for _ in 0..10 {
            call(&pacer, &clock, Some(first.call(0))).await;
        }
        // A call of the first group is next and waits for its slot.
        let mut next = call(&pacer, &clock, Some(first.call(0))).boxed_local();
        assert_eq!((&mut next).now_or_never(), None);
        let mut single = call(&pacer, &clock, None).boxed_local();
        assert_eq!((&mut single).now_or_never(), None);
        drop(next);
        drop(waits);
        drop(second);
        drop(first);
        assert_eq!(single.await, Monotonic::new(Duration::from_millis(1_250)));
        also_waits.await;
        assert_eq!(third.calls_before(), 0);
    }
}
