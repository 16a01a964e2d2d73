//! Rate limits like those of the API, and counts of calls for `/_sim/state`. Time is an argument.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::model::Monotonic;

const WINDOW: Duration = Duration::from_secs(1);

/// A strict sliding-window log per account, host and action. A call is admitted if fewer calls than the limit were
/// admitted in the second before it.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    windows: HashMap<LimitKey, Window>,
}

/// The key of calls that count together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LimitKey {
    /// Index of the account that the key acts in, so that a new key starts no new window. `None` for unsigned calls,
    /// which all count together.
    pub account: Option<usize>,
    pub host: String,
    pub action: &'static str,
}

#[derive(Debug, Default)]
struct Window {
    admitted: VecDeque<Monotonic>,
    count: CallCount,
}

/// Calls of one key since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CallCount {
    pub calls: u64,
    pub throttled: u64,
    /// The most calls that were admitted within one second.
    pub busiest_second: usize,
}

impl Limiter {
    /// Whether a call that arrives at `now` is admitted.
    pub(super) fn admit(&mut self, key: LimitKey, limit: u32, now: Monotonic) -> bool {
        let window = self.windows.entry(key).or_default();
        while window
            .admitted
            .front()
            .is_some_and(|at| now.since(*at) >= WINDOW)
        {
            window.admitted.pop_front();
        }
        window.count.calls += 1;
        if window.admitted.len() >= limit as usize {
            window.count.throttled += 1;
            return false;
        }
        window.admitted.push_back(now);
        window.count.busiest_second = window.count.busiest_second.max(window.admitted.len());
        true
    }

    /// All counts, ordered by key.
    pub(super) fn counts(&self) -> Vec<(LimitKey, CallCount)> {
        let mut counts: Vec<_> = self
            .windows
            .iter()
            .map(|(key, window)| (key.clone(), window.count))
            .collect();
        counts.sort_by(|a, b| a.0.cmp(&b.0));
        counts
    }

    /// Resets the counts, but not the windows.
    pub(super) fn reset_counts(&mut self) {
        for window in self.windows.values_mut() {
            window.count = CallCount::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_limit_admits_exactly_so_many_calls_in_any_second(
            gaps in prop::collection::vec(0u64..200, 1..300), limit in 1u32..25,
        ) {
            let mut limiter = Limiter::default();
            let key = LimitKey { account: Some(0), host: "h".into(), action: "x" };
            let (mut at, mut admitted): (u64, Vec<u64>) = (0, Vec::new());
            for gap in gaps {
                at += gap;
                let recent = admitted.iter().filter(|&&earlier| at - earlier < 1000).count();
                let is_admitted = limiter.admit(key.clone(), limit, Monotonic::new(Duration::from_millis(at)));
                prop_assert_eq!(is_admitted, recent < limit as usize);
                if is_admitted {
                    admitted.push(at);
                }
            }
        }
    }
}
