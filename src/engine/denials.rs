//! What the scopes that are called with one key know of denials together: while nothing is permitted, they send few
//! calls between them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::attempts::{Problem, WritePause};
use crate::model::Scope;
use crate::words::plural;

/// Scopes at rest, with no success in any, before it is the account that is taken to be denied.
const RESTING_MAX: usize = 3;
/// Denied calls of one account, with no success in between.
const PROBES_MAX: usize = 60;

/// What is known of denials under one key.
#[derive(Default)]
pub struct Denials {
    state: RefCell<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Calls that were denied since the last success, in the last pass over each scope.
    denied: BTreeMap<Scope, usize>,
    /// Scopes that have come to rest since then, in the last pass over each.
    resting: BTreeSet<Scope>,
    /// The whole account rests, until something is permitted.
    at_rest: bool,
    /// What was said last.
    said: Option<Problem>,
    /// Calls under way that may yet be denied.
    under_way: usize,
    /// Scopes that have not made their first call.
    waiting: usize,
}

impl State {
    /// Calls that were denied, may yet be, or cannot be refused to a scope.
    fn committed(&self) -> usize {
        self.denied.values().sum::<usize>() + self.under_way + self.waiting
    }

    fn permitted(&mut self) {
        *self = Self {
            under_way: self.under_way,
            waiting: self.waiting,
            ..Self::default()
        };
    }
}

/// One pass over a scope, which has a first call of its own: however many others are denied, each finds out for itself
/// whether it is.
pub(super) struct Share {
    denials: Rc<Denials>,
    scope: Scope,
    waits: Cell<bool>,
}

/// Whether a scope that is in doubt may make a call.
pub(super) enum Chance {
    /// It may.
    Now(Probe),
    /// Not before it is known how other scopes' calls end.
    Later,
    /// The account is at rest.
    Never(WritePause),
}

/// A call that may be denied. Dropped, it was not.
pub(super) struct Probe(Rc<Denials>);

impl Share {
    pub(super) fn begin(denials: &Rc<Denials>, scope: &Scope) -> Self {
        let mut state = denials.state.borrow_mut();
        state.denied.remove(scope);
        state.resting.remove(scope);
        state.waiting += 1;
        drop(state);
        Self {
            denials: Rc::clone(denials),
            scope: scope.clone(),
            waits: Cell::new(true),
        }
    }

    /// Resolves once it is worth asking again.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.denials.changed.notified()
    }

    pub(super) fn chance(&self) -> Chance {
        let mut state = self.denials.state.borrow_mut();
        if self.waits.replace(false) {
            state.waiting -= 1;
        } else if state.at_rest || state.committed() >= PROBES_MAX {
            if !state.at_rest && state.under_way > 0 {
                return Chance::Later;
            }
            state.at_rest = true;
            return Chance::Never(state.finding());
        }
        state.under_way += 1;
        Chance::Now(Probe(Rc::clone(&self.denials)))
    }

    pub(super) fn permitted(&self) {
        self.denials.state.borrow_mut().permitted();
        self.denials.changed.notify_waiters();
    }

    pub(super) fn denied(&self, problem: Problem) {
        let mut state = self.denials.state.borrow_mut();
        *state.denied.entry(self.scope.clone()).or_default() += 1;
        state.said = Some(problem);
    }

    /// All that was tried in the scope was denied.
    pub(super) fn rests(&self) {
        let mut state = self.denials.state.borrow_mut();
        state.resting.insert(self.scope.clone());
        state.at_rest |= state.resting.len() >= RESTING_MAX;
    }
}

impl State {
    fn finding(&self) -> WritePause {
        let problem = self.said.clone().unwrap_or_else(|| Problem::new("denied"));
        let regions = plural(self.denied.len() as u64, "region");
        let message =
            format!("all that was tried of this account, in {regions}, was denied: {problem}");
        WritePause::of_account(Problem { message, ..problem })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.waits.get() {
            self.denials.state.borrow_mut().waiting -= 1;
            self.denials.changed.notify_waiters();
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.state.borrow_mut().under_way -= 1;
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
#[path = "denials_tests.rs"]
mod tests;
