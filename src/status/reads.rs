//! Whether the observation of a scope waits for the read rate limit. That is reported once, until a pass does not wait.

use super::{Board, scope_mut};
use crate::model::Scope;
use crate::observation::Reading;

/// Whether the observations of a scope wait for the read rate limit.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Progress of the current observation when it was found to wait; `None` if none waits.
    pub waits: Option<Reading>,
    /// Whether an observation of the current pass, or else of the last one, had to wait.
    has_waited: bool,
    is_reported: bool,
}

impl Reads {
    pub(super) fn pass_began(&mut self) {
        self.has_waited = false;
    }

    pub(super) fn observed(&mut self) {
        self.waits = None;
    }

    pub(super) fn pass_ended(&mut self) {
        self.waits = None;
        self.is_reported = self.has_waited;
    }
}

impl Board {
    /// Records that the observation of a scope waits for the rate limit. Returns whether to report it.
    pub fn read_delayed(&mut self, scope: &Scope, reading: Reading) -> bool {
        let Some(status) = scope_mut(&mut self.scopes, scope) else {
            return false;
        };
        let reads = &mut status.reads;
        reads.waits = Some(reading);
        reads.has_waited = true;
        self.version += 1;
        !std::mem::replace(&mut reads.is_reported, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountName, Region, Timestamp};
    use crate::status::{Activity, PassResult};

    #[test]
    fn c8_waiting_is_reported_once_until_a_pass_does_not_wait() {
        let now = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
        let mut board = Board::new(now, false);
        let scope = Scope {
            account: AccountName::default(),
            region: Region::first(),
        };
        let reading = Reading {
            read: 1,
            pages: Some(20),
            before: 19,
            per_second: 1.0,
        };
        assert!(
            !board.read_delayed(&scope, reading),
            "no pass is in progress"
        );
        let mut reported = Vec::new();
        for delayed in [2, 1, 0, 1] {
            board.pass_began(&scope, now);
            for _ in 0..delayed {
                reported.push(board.read_delayed(&scope, reading));
                assert_eq!(board.scopes[&scope].reads.waits, Some(reading));
            }
            let (result, took) = (PassResult::Synced, std::time::Duration::ZERO);
            board.pass_ended(&scope, result, took, Activity::New, now);
            assert_eq!(board.scopes[&scope].reads.waits, None);
        }
        assert_eq!(reported, [true, false, false, true]);
    }
}
