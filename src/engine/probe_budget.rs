//! Limits how many denied writes all scopes that use one key may make together. Until a write is permitted, each call
//! is a probe that may be denied, and an account whose key may not write at all should not get hundreds of calls. It
//! must not know what is written.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::attempts::{Problem, WritePause};
use crate::model::Scope;
use crate::words::plural;

/// The number of paused scopes, with no write permitted in any, that make the whole account count as denied.
const PAUSED_SCOPES_MAX: usize = 3;
/// The limit for denied calls of one account without a permitted write in between.
const DENIED_MAX: usize = 60;

/// The probes of all scopes that use one key.
#[derive(Default)]
pub struct ProbeBudget {
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Calls that were denied since the last permitted one, in the last pass over each scope.
    denied: BTreeMap<Scope, usize>,
    /// Scopes that have paused since then, in the last pass over each.
    paused: BTreeSet<Scope>,
    /// Whether the whole account pauses until a write is permitted.
    is_exhausted: bool,
    last_denial: Option<Problem>,
    /// Probes whose reply may still be a denial.
    in_flight: usize,
    /// Scopes that have not made their first call, which is reserved for them.
    reserved: usize,
}

/// One pass's part of the budget. Its first call is reserved: however many other scopes are denied, each scope finds
/// out for itself whether it is.
pub(super) struct ScopeBudget {
    budget: Rc<ProbeBudget>,
    scope: Scope,
    has_reserved: Cell<bool>,
}

/// Whether a scope without a permitted write may make a call.
pub(super) enum Grant {
    /// It may, and this probe counts until the reply.
    Granted(Probe),
    /// It may not before the replies to other scopes' probes are known.
    NotYet,
    /// It may not, because the whole account pauses.
    Exhausted(WritePause),
}

/// A call that may be denied, counted until it is dropped.
pub(super) struct Probe(Rc<ProbeBudget>);

impl ScopeBudget {
    /// Joins the scopes that share `budget`, with nothing denied in this pass yet.
    pub(super) fn join(budget: &Rc<ProbeBudget>, scope: &Scope) -> Self {
        let mut state = budget.state.borrow_mut();
        state.denied.remove(scope);
        state.paused.remove(scope);
        state.reserved += 1;
        drop(state);
        Self {
            budget: Rc::clone(budget),
            scope: scope.clone(),
            has_reserved: Cell::new(true),
        }
    }

    /// Resolves once a new request may get another answer.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.budget.changed.notified()
    }

    pub(super) fn request(&self) -> Grant {
        let mut state = self.budget.state.borrow_mut();
        if self.has_reserved.replace(false) {
            state.reserved -= 1;
        } else if state.is_exhausted || state.committed() >= DENIED_MAX {
            if !state.is_exhausted && state.in_flight > 0 {
                return Grant::NotYet;
            }
            state.is_exhausted = true;
            return Grant::Exhausted(state.pause());
        }
        state.in_flight += 1;
        Grant::Granted(Probe(Rc::clone(&self.budget)))
    }

    /// Notes a permitted write: the budget starts anew for all scopes.
    pub(super) fn permitted(&self) {
        self.budget.state.borrow_mut().reset();
        self.budget.changed.notify_waiters();
    }

    pub(super) fn denied(&self, problem: Problem) {
        let mut state = self.budget.state.borrow_mut();
        *state.denied.entry(self.scope.clone()).or_default() += 1;
        state.last_denial = Some(problem);
    }

    /// Notes that the scope pauses because all writes that were tried in it were denied.
    pub(super) fn paused(&self) {
        let mut state = self.budget.state.borrow_mut();
        state.paused.insert(self.scope.clone());
        state.is_exhausted |= state.paused.len() >= PAUSED_SCOPES_MAX;
    }
}

impl State {
    /// Calls that were denied, that may still be denied, or that are reserved.
    fn committed(&self) -> usize {
        self.denied.values().sum::<usize>() + self.in_flight + self.reserved
    }

    fn reset(&mut self) {
        *self = Self {
            in_flight: self.in_flight,
            reserved: self.reserved,
            ..Self::default()
        };
    }

    fn pause(&self) -> WritePause {
        let problem = self.last_denial.clone();
        let problem = problem.unwrap_or_else(|| Problem::new("denied"));
        let regions = plural(self.denied.len() as u64, "region");
        let message = format!(
            "all writes that were tried for this account, in {regions}, were denied: {problem}"
        );
        WritePause::of_account(Problem { message, ..problem })
    }
}

impl Drop for ScopeBudget {
    fn drop(&mut self) {
        if self.has_reserved.get() {
            self.budget.state.borrow_mut().reserved -= 1;
            self.budget.changed.notify_waiters();
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.state.borrow_mut().in_flight -= 1;
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
#[path = "probe_budget_tests.rs"]
mod tests;
