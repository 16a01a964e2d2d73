//! How the looks at a scope go: whether one waits for its turn to read. That is told of once, until a pass does not wait.

use super::Board;
use crate::model::Scope;
use crate::observation::Reading;

/// How the looks at a scope go.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// How far the look was that is under way, when it was found to take long.
    pub waits: Option<Reading>,
    /// A look of the pass that is under way, or else of the last one, took long.
    took_long: bool,
    told: bool,
}

impl Reads {
    pub(super) fn pass_began(&mut self) {
        self.took_long = false;
    }

    pub(super) fn looked(&mut self) {
        self.waits = None;
    }

    pub(super) fn pass_ended(&mut self) {
        self.waits = None;
        self.told = self.took_long;
    }
}

impl Board {
    /// A look at a scope takes long; whether that is to be told.
    pub fn reading(&mut self, scope: &Scope, reading: Reading) -> bool {
        let Some(status) = self.scopes.get_mut(scope) else {
            return false;
        };
        let reads = &mut status.reads;
        reads.waits = Some(reading);
        reads.took_long = true;
        self.version += 1;
        !std::mem::replace(&mut reads.told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountName, Region, Timestamp};
    use crate::status::{Activity, PassResult};

    #[test]
    fn c8_waiting_is_told_of_once_until_a_pass_does_not_wait() {
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
        assert!(!board.reading(&scope, reading), "no pass is under way");
        let mut told = Vec::new();
        for looks_that_wait in [2, 1, 0, 1] {
            board.pass_began(&scope, now);
            for _ in 0..looks_that_wait {
                told.push(board.reading(&scope, reading));
                assert_eq!(board.scopes[&scope].reads.waits, Some(reading));
            }
            let (result, took) = (PassResult::Synced, std::time::Duration::ZERO);
            board.pass_ended(&scope, result, took, Activity::New, now);
            assert_eq!(board.scopes[&scope].reads.waits, None);
        }
        assert_eq!(told, [true, false, false, true]);
    }
}
