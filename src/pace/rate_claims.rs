//! The rates to which the users of a shared bucket want to limit it. A claim lasts as long as its holder, so that the
//! limit follows the documents. This file must not know what a bucket does with its limit.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::BucketKey;

/// One holder's request for at most so many sends a second.
#[derive(Debug)]
pub struct RateClaim {
    holder: Rc<str>,
    /// Newer claims have larger numbers.
    number: u64,
    per_second: u32,
}

/// The claims to each bucket, by its key.
#[derive(Debug, Default)]
pub(super) struct RateClaims {
    by_bucket: RefCell<HashMap<BucketKey, Vec<Weak<RateClaim>>>>,
    created: Cell<u64>,
}

impl RateClaims {
    pub(super) fn create(&self, holder: &str, per_second: u32) -> Rc<RateClaim> {
        let number = self.created.get() + 1;
        self.created.set(number);
        Rc::new(RateClaim {
            holder: holder.into(),
            number,
            per_second,
        })
    }

    /// Adds a claim, unless a newer one of the same holder is known: a last call that still settles under an earlier
    /// document does not change the limit of the current one.
    pub(super) fn add(&self, key: &BucketKey, claim: &Rc<RateClaim>) {
        let mut by_bucket = self.by_bucket.borrow_mut();
        let claims = by_bucket.entry(key.clone()).or_default();
        let is_outdated = claims
            .iter()
            .filter_map(Weak::upgrade)
            .any(|known| known.holder == claim.holder && known.number >= claim.number);
        if is_outdated {
            return;
        }
        claims.retain(|known| {
            let known = known.upgrade();
            known.is_some_and(|known| known.holder != claim.holder)
        });
        claims.push(Rc::downgrade(claim));
    }

    /// The lowest rate currently claimed for a bucket, if there is a claim.
    pub(super) fn lowest(&self, key: &BucketKey) -> Option<u32> {
        let by_bucket = self.by_bucket.borrow();
        let claims = by_bucket.get(key)?.iter().filter_map(Weak::upgrade);
        claims.map(|claim| claim.per_second).min()
    }
}
