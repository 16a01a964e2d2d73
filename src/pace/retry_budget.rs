//! How many calls to one target may be repeated. Each call that succeeds pays for one repetition, so that a partial
//! outage doubles the calls at most, and a full one is soon met with first attempts only (L5). Pure. This file must not
//! know what a call is.

use std::cell::Cell;

/// The most repetitions without a success in between. It is enough for a few passes of three rounds that repeat each of
/// their calls.
const REPETITIONS_MAX: u32 = 40;

/// The repetitions that are left for the calls to one target.
#[derive(Debug)]
pub struct RetryBudget {
    left: Cell<u32>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            left: Cell::new(REPETITIONS_MAX),
        }
    }
}

impl RetryBudget {
    /// Records a call that succeeded.
    pub fn succeeded(&self) {
        self.left.set((self.left.get() + 1).min(REPETITIONS_MAX));
    }

    /// Uses one repetition. Returns whether there was one left.
    #[must_use]
    pub fn take(&self) -> bool {
        let left = self.left.get().checked_sub(1);
        left.inspect(|left| self.left.set(*left)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_that_are_left(budget: &RetryBudget) -> usize {
        (0..1000).take_while(|_| budget.take()).count()
    }

    #[test]
    fn l5_without_a_success_nothing_more_is_repeated() {
        let budget = RetryBudget::default();
        assert_eq!(all_that_are_left(&budget), REPETITIONS_MAX as usize);
        assert!(!budget.take());
        (0..3).for_each(|_| budget.succeeded());
        assert_eq!(all_that_are_left(&budget), 3);
    }

    #[test]
    fn l5_successes_are_not_saved_up() {
        let budget = RetryBudget::default();
        (0..10_000).for_each(|_| budget.succeeded());
        assert_eq!(all_that_are_left(&budget), REPETITIONS_MAX as usize);
    }
}
