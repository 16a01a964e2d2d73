use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::model::Monotonic;

const WINDOW: Duration = Duration::from_secs(1);

/// A strict sliding-window log per (account, host, action): a call is let in if fewer than the limit were let
/// in during the second before it.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    windows: HashMap<Key, Window>,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    /// The account that the key acts in, by index: a new key, or a role's next temporary one, begins no new window.
    /// None for calls that nobody signs, which all count together.
    pub account: Option<usize>,
    pub host: String,
    pub action: &'static str,
}

#[derive(Debug, Default)]
struct Window {
    let_in: VecDeque<Monotonic>,
    count: Count,
}

/// What came through one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub calls: u64,
    pub throttled: u64,
    /// The most that were let in within one second.
    pub busiest_second: usize,
}

impl Limiter {
    /// Whether a call that arrives at `now` is let in.
    pub(super) fn admit(&mut self, key: Key, limit: u32, now: Monotonic) -> bool {
        let window = self.windows.entry(key).or_default();
        while window
            .let_in
            .front()
            .is_some_and(|at| now.since(*at) >= WINDOW)
        {
            window.let_in.pop_front();
        }
        window.count.calls += 1;
        if window.let_in.len() >= limit as usize {
            window.count.throttled += 1;
            return false;
        }
        window.let_in.push_back(now);
        window.count.busiest_second = window.count.busiest_second.max(window.let_in.len());
        true
    }

    /// What came through, in order.
    pub(super) fn counts(&self) -> Vec<(Key, Count)> {
        let mut counts: Vec<_> = self
            .windows
            .iter()
            .map(|(key, window)| (key.clone(), window.count))
            .collect();
        counts.sort_by(|a, b| a.0.cmp(&b.0));
        counts
    }

    /// Forgets the counts, not the windows.
    pub(super) fn reset_counts(&mut self) {
        for window in self.windows.values_mut() {
            window.count = Count::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_limit_in_a_second_and_never_refused_below_it(
            gaps in prop::collection::vec(0u64..200, 1..300), limit in 1u32..25,
        ) {
            let mut limiter = Limiter::default();
            let key = Key { account: Some(0), host: "h".into(), action: "x" };
            let (mut at, mut let_in): (u64, Vec<u64>) = (0, Vec::new());
            for gap in gaps {
                at += gap;
                let recent = let_in.iter().filter(|&&earlier| at - earlier < 1000).count();
                let admitted = limiter.admit(key.clone(), limit, Monotonic::new(Duration::from_millis(at)));
                prop_assert_eq!(admitted, recent < limit as usize);
                if admitted {
                    let_in.push(at);
                }
            }
        }
    }
}
