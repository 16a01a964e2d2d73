//! When a call may leave. There is one rate bucket per caller, access point and action, and everything that calls shares
//! it. Single calls draw from a bucket in first-come order, so that scopes behind one access point take turns. Calls that
//! belong together, such as the pages of a listing, go before those of larger groups. A permit to call is a value: until it
//! is used or dropped, its call may leave at any moment as far as the bucket knows, so that permits that are used late
//! exceed no rate. Backoff and a histogram of durations are here, too, because they stand beside rates in each client.
//!
//! It must not know what a call is.

mod arrival;
mod backoff;
mod bucket;
mod connection_reuse;
mod fair_order;
mod histogram;
mod queue;
mod rate_claims;

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

/// What the API counts by: sub-account, access region (the host a call enters at) and action.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey {
    /// The secret id, or what else stands for who calls. Two `Account` documents with one key share its quota.
    pub caller: Rc<str>,
    /// `host` or `host:port`, as in the Host header.
    pub host: Rc<str>,
    pub action: &'static str,
}

/// Which buckets a throttled reply concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleScope {
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
    buckets: RefCell<HashMap<BucketKey, Rc<BucketQueue>>>,
    /// By host, because calls of all actions share connections.
    connection_reuse: RefCell<HashMap<Rc<str>, ConnectionReuse>>,
    rate_claims: RateClaims,
}

impl Pacer {
    /// A new group for calls that belong together.
    pub fn group(&self, key: &BucketKey, pace: Pace) -> CallGroup {
        CallGroup::at(&self.queue(key, pace))
    }

    /// Waits until a call may leave. `call` says which call of a group it is, if it belongs to one. Dropping the future gives
    /// the turn up and counts nothing.
    pub async fn permit(
        &self,
        clock: &impl Clock,
        key: &BucketKey,
        pace: Pace,
        call: Option<GroupCall<'_>>,
    ) -> Permit {
        let queue = self.queue(key, pace);
        // With another key by now, the group waits at another bucket.
        match call.filter(|call| call.is_at(&queue)) {
            Some(call) => queue.permit(clock, call).await,
            None => queue.permit(clock, CallGroup::at(&queue).call(0)).await,
        }
    }

    /// A call to the access point of `key` leaves at `now`. The caller owes [`Self::ended`].
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

    /// A call that had left has ended, with a reply or without.
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

    /// A call of `sent_at` was answered. That tells how long the way is, and lets a slowed bucket recover.
    pub fn answered(&self, key: &BucketKey, sent_at: Monotonic, now: Monotonic) {
        if let Some(queue) = self.buckets.borrow().get(key) {
            queue.bucket.borrow_mut().answered(sent_at, now);
            queue.wake();
        }
    }

    /// A claim of `holder` to no more than `per_second` sends from the buckets for which [`Self::claim`] is called with it.
    /// It lasts until it is dropped, and takes the place of an earlier claim of the same holder.
    pub fn new_claim(&self, holder: &str, per_second: u32) -> Rc<RateClaim> {
        self.rate_claims.create(holder, per_second)
    }

    /// Limits a bucket to what is claimed, from its next call on. With several claims, the lowest counts.
    pub fn claim(&self, key: &BucketKey, claim: &Rc<RateClaim>) {
        self.rate_claims.add(key, claim);
        self.limit_to_claims(key);
    }

    /// Sends a second at present, where the bucket has been used.
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

    /// Claims come and go with the documents that they stand for, so that they are asked before each call.
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
    async fn p7_who_gives_up_in_line_takes_no_turn_from_the_next() {
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
        // A newer document of the same name; the earlier one still settles a call.
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

    /// Makes a call once it may leave, and returns when that was.
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
                assert!(waiting.now_or_never().is_none(), "the first is still open");
            }
            later(10).await;
        }
        let [given_up, second, third] = line;
        drop(given_up);
        drop(first);
        let dropped = clock.monotonic();
        let minute = Duration::from_secs(60);
        let second = timeout(minute, second).await.expect("its turn");
        assert_eq!(second.at(), dropped, "one that is dropped has not left");
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
    async fn c8_a_call_that_comes_while_a_large_listing_waits_for_its_slot_goes_before_it() {
        let (pacer, clock, key) = (Pacer::default(), SystemClock::start(), reads());
        let large = pacer.group(&key, READS);
        large.wait_to_start(40).await;
        let page = || call(&pacer, &clock, Some(large.call(0))).boxed_local();
        let mut pages: Vec<_> = (0..30).map(|_| page()).collect();
        let left = pages.iter_mut().filter_map(FutureExt::now_or_never);
        assert_eq!(left.count(), 10, "the first second's");
        let mut small = call(&pacer, &clock, None).boxed_local();
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
        // One of the first one's calls has the turn, and waits for its slot.
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
