//! The cost of carrying out plans in calls and time, for the report of `plan`. It is an estimate; no decision uses it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Plan;

/// The cost of a set of plans, in calls and time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Describe calls: those that planning needed, and those that confirm the writes.
    pub reads: u64,
    /// Modify calls, if each succeeds at the first attempt.
    pub writes: u64,
    /// Time for the writes at the configured rate; access points work in parallel.
    pub eta: Duration,
}

/// One scope's plan and the rate bucket that its calls use.
#[derive(Clone, Debug)]
pub struct ScopeCost<'a> {
    /// The plan to carry out.
    pub plan: &'a Plan,
    /// Identifies the rate bucket: the caller and the host.
    pub bucket: (String, String),
    /// Writes a second that the bucket allows.
    pub rate: u32,
}

/// Adds up the cost of `scopes`. Planning needed `reads`; `listings` of them will be needed again.
pub fn budget(scopes: &[ScopeCost<'_>], reads: u64, listings: u64) -> Budget {
    let mut buckets: BTreeMap<&(String, String), (u64, u32)> = BTreeMap::new();
    for scope in scopes {
        let (writes, rate) = buckets.entry(&scope.bucket).or_insert((0, scope.rate));
        *writes += scope.plan.actions().count() as u64;
        // Accounts that share a key share its quota, so the slower setting counts.
        *rate = (*rate).min(scope.rate);
    }
    let writes = buckets.values().map(|(writes, _)| writes).sum();
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate, of fewer than 2^52 writes"
    )]
    let seconds = buckets
        .values()
        .map(|&(writes, rate)| writes.saturating_sub(1) as f64 / f64::from(rate.max(1)))
        .fold(0.0, f64::max);
    let reads = if writes == 0 { reads } else { reads + listings };
    Budget {
        reads,
        writes,
        eta: Duration::from_secs_f64(seconds),
    }
}
