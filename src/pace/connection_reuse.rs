//! Estimates which calls may have to open a connection first, from how many calls were under way at once. The HTTP client
//! owns the connection pool and does not report it. This file must not know rates or what a call is.

use std::time::Duration;

use crate::model::Monotonic;

/// A connection that is unused for one or two intervals of this length may be closed.
const IDLE: Duration = Duration::from_secs(15);
/// How long a call may find no open connection after more connections are needed than before.
const COLD: Duration = Duration::from_secs(1);

/// How many connections to an access point are open, according to how many calls were under way at once.
#[derive(Debug, Default)]
pub(super) struct ConnectionReuse {
    under_way: usize,
    /// The most calls at once, in the current interval of [`IDLE`] and in the previous one.
    most: [usize; 2],
    interval_ends: Monotonic,
    cold_until: Monotonic,
}

impl ConnectionReuse {
    /// Records that a call leaves. Returns true if it may have to connect first.
    pub(super) fn call_leaves(&mut self, now: Monotonic) -> bool {
        if now >= self.interval_ends {
            let before = if now.since(self.interval_ends) < IDLE {
                self.most[0]
            } else {
                self.under_way
            };
            self.most = [self.under_way, before];
            self.interval_ends = now + IDLE;
        }
        let open = self.most[0].max(self.most[1]);
        self.under_way += 1;
        self.most[0] = self.most[0].max(self.under_way);
        if self.under_way > open {
            self.cold_until = now + COLD;
        }
        now < self.cold_until
    }

    /// Records that a call has ended, with a reply or without.
    pub(super) fn call_ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures_tests::elapsed;

    #[test]
    fn s6_connections_are_cold_at_start_after_a_pause_and_on_growth() {
        let mut reuse = ConnectionReuse::default();
        let mut alone = |seconds| {
            let cold = reuse.call_leaves(elapsed(seconds));
            reuse.call_ended();
            cold
        };
        let cold = [0, 1, 2, 25, 56, 57, 58].map(&mut alone);
        assert_eq!(cold, [true, false, false, false, true, false, false]);
        assert!(!reuse.call_leaves(elapsed(59)), "as many as there were");
        assert!(reuse.call_leaves(elapsed(59)), "a second one at once");
        assert!(reuse.call_leaves(elapsed(59)));
        (0..3).for_each(|_| reuse.call_ended());
        assert!(
            reuse.call_leaves(elapsed(59)),
            "the new ones may not be open yet"
        );
        assert!(!reuse.call_leaves(elapsed(61)));
        assert!(!reuse.call_leaves(elapsed(61)));
    }
}
