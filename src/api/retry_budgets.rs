//! The budgets of repeated calls, one for each target. It must not know when a call is repeated.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use smol_str::SmolStr;

use super::clocks::Caller;
use crate::pace::RetryBudget;

/// Who calls what: one outage concerns one of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RetryTarget {
    /// `None` for the machine's own metadata service, which knows no callers.
    pub(super) caller: Option<Caller>,
    pub(super) host: String,
    /// As in the `X-TC-Region` header, or empty.
    pub(super) region: SmolStr,
}

/// The budgets of all targets that have been called. They outlive the clients, because a new client of the same account
/// meets the same outage.
#[derive(Default)]
pub struct RetryBudgets {
    budgets: RefCell<BTreeMap<RetryTarget, Rc<RetryBudget>>>,
}

impl RetryBudgets {
    pub(super) fn of(&self, target: RetryTarget) -> Rc<RetryBudget> {
        Rc::clone(self.budgets.borrow_mut().entry(target).or_default())
    }
}
