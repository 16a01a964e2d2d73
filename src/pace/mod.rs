//! Rate buckets, shared by everything that calls: one per (key, access point, action), drawn from in
//! first-come order, so that scopes behind one access point take turns. And how long to wait before
//! something that failed is tried again, and how long things took.
//!
//! Knows when a call may leave; does not know what the call is.

mod backoff;
mod bucket;
mod durations;
mod way;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::Mutex;

use crate::host::Clock;
use crate::model::Moment;

pub use backoff::Backoff;
pub use bucket::{Bucket, Pace};
pub use durations::Durations;
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
    buckets: RefCell<HashMap<BucketKey, Rc<Shared>>>,
    /// By host: calls of all actions share connections.
    warmth: RefCell<HashMap<Rc<str>, Warmth>>,
}

struct Shared {
    /// Held while waiting for the slot: tokio's mutex is fair, so turns are taken in order.
    turn: Mutex<()>,
    bucket: RefCell<Bucket>,
}

impl Pacer {
    /// Waits for the turn and the slot, counts the send, and returns the moment it is counted at.
    /// Dropping the future gives the place up and counts nothing.
    pub async fn permit(&self, clock: &impl Clock, key: &BucketKey, pace: Pace) -> Moment {
        let shared = self.shared(key, pace);
        let _turn = shared.turn.lock().await;
        loop {
            let ready_at = shared.bucket.borrow().ready_at();
            let now = clock.moment();
            if now >= ready_at {
                shared.bucket.borrow_mut().sent(now);
                return now;
            }
            clock.sleep_until(ready_at).await;
        }
    }

    /// A call whose turn came at `permitted` leaves at `now`. [`Self::ended`] is owed.
    pub fn left(&self, key: &BucketKey, permitted: Moment, now: Moment) {
        let mut warmth = self.warmth.borrow_mut();
        let cold = match warmth.get_mut(&key.host) {
            Some(known) => known.call(now),
            None => warmth.entry(Rc::clone(&key.host)).or_default().call(now),
        };
        if let Some(shared) = self.buckets.borrow().get(key) {
            shared.bucket.borrow_mut().left(permitted, now, cold);
        }
    }

    /// A call that had left has ended, however it did.
    pub fn ended(&self, key: &BucketKey) {
        if let Some(warmth) = self.warmth.borrow_mut().get_mut(&key.host) {
            warmth.ended();
        }
    }

    /// Slows what a throttled reply concerns.
    pub fn throttled(&self, key: &BucketKey, reach: Reach, sent_at: Moment, now: Moment) {
        for (other, shared) in self.buckets.borrow().iter() {
            let concerned = match reach {
                Reach::Bucket => other == key,
                Reach::Account => other.secret_id == key.secret_id,
                Reach::Host => other.host == key.host,
            };
            if concerned {
                shared.bucket.borrow_mut().throttled(sent_at, now);
            }
        }
    }

    /// A call that was sent at `sent_at` was answered: it tells of the way, and lets a slowed bucket recover.
    pub fn answered(&self, key: &BucketKey, sent_at: Moment, now: Moment) {
        if let Some(shared) = self.buckets.borrow().get(key) {
            shared.bucket.borrow_mut().answered(sent_at, now);
        }
    }

    /// Sends a second at present, where the bucket has been used.
    pub fn rate(&self, key: &BucketKey) -> Option<f64> {
        self.buckets
            .borrow()
            .get(key)
            .map(|shared| shared.bucket.borrow().rate())
    }

    fn shared(&self, key: &BucketKey, pace: Pace) -> Rc<Shared> {
        let mut buckets = self.buckets.borrow_mut();
        if let Some(shared) = buckets.get(key) {
            shared.bucket.borrow_mut().limit_to(pace.per_second);
            return Rc::clone(shared);
        }
        let shared = Rc::new(Shared {
            turn: Mutex::new(()),
            bucket: RefCell::new(Bucket::new(pace)),
        });
        buckets.insert(key.clone(), Rc::clone(&shared));
        shared
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
        let permit = || pacer.permit(&clock, &key, PACE).boxed_local();
        permit().await;
        // The first of these has the turn and waits for its slot; the others stand behind it.
        let mut line = [permit(), permit(), permit(), permit()];
        for waiting in &mut line {
            assert_eq!(waiting.now_or_never(), None);
        }
        let [turn, second, third, last] = line;
        drop(third);
        drop(turn);
        let slots = [second.await, last.await].map(Moment::since_start);
        assert_eq!(slots, [100, 200].map(Duration::from_millis));
    }
}
