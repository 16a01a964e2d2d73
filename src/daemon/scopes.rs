//! The scopes that the daemon works on. With thousands of them, the start or end of a pass must not visit all: an
//! agenda shows which pass is due next.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use super::scope_state::ScopeState;
use crate::model::{Monotonic, Scope};

/// The state of each scope. The agenda and the set of running passes follow each change of a state.
#[derive(Default)]
pub(super) struct Scopes {
    states: BTreeMap<Scope, ScopeState>,
    /// When the next pass over each scope begins, the earliest first. A scope without a next pass is missing.
    agenda: BTreeSet<(Monotonic, Scope)>,
    /// Scopes over which a pass runs.
    running: BTreeSet<Scope>,
}

/// A scope that may be changed. The agenda is updated on drop.
pub(super) struct ScopeMut<'s> {
    scope: &'s Scope,
    state: &'s mut ScopeState,
    due_before: Option<Monotonic>,
    agenda: &'s mut BTreeSet<(Monotonic, Scope)>,
    running: &'s mut BTreeSet<Scope>,
}

impl Scopes {
    /// Gives access to one scope for changes.
    pub(super) fn get_mut<'s>(&'s mut self, scope: &'s Scope) -> Option<ScopeMut<'s>> {
        let state = self.states.get_mut(scope)?;
        Some(ScopeMut {
            scope,
            due_before: state.due(),
            state,
            agenda: &mut self.agenda,
            running: &mut self.running,
        })
    }

    /// Changes any number of scopes.
    pub(super) fn change_all(&mut self, change: impl FnOnce(&mut BTreeMap<Scope, ScopeState>)) {
        change(&mut self.states);
        let due = |(scope, state): (&Scope, &ScopeState)| Some((state.due()?, scope.clone()));
        self.agenda = self.states.iter().filter_map(due).collect();
        let running = self.states.iter().filter(|(_, state)| state.is_running());
        self.running = running.map(|(scope, _)| scope.clone()).collect();
    }

    /// The scopes whose next pass is due at `now`, each with the time at which it became due, the longest wait first.
    pub(super) fn due(
        &self,
        now: Monotonic,
    ) -> impl Iterator<Item = (Monotonic, &Scope, &ScopeState)> {
        let due = self.agenda.iter().take_while(move |(at, _)| *at <= now);
        due.filter_map(|(at, scope)| Some((*at, scope, self.states.get(scope)?)))
    }

    /// When the first pass after `now` begins.
    pub(super) fn next_due_after(&self, now: Monotonic) -> Option<Monotonic> {
        let mut later = self.agenda.iter().skip_while(|(at, _)| *at <= now);
        later.next().map(|(at, _)| *at)
    }

    /// The scopes over which a pass runs.
    pub(super) fn running(&self) -> impl Iterator<Item = (&Scope, &ScopeState)> {
        let running = self.running.iter();
        running.filter_map(|scope| Some((scope, self.states.get(scope)?)))
    }
}

impl Deref for ScopeMut<'_> {
    type Target = ScopeState;

    fn deref(&self) -> &ScopeState {
        self.state
    }
}

impl DerefMut for ScopeMut<'_> {
    fn deref_mut(&mut self) -> &mut ScopeState {
        self.state
    }
}

impl Drop for ScopeMut<'_> {
    fn drop(&mut self) {
        let due = self.state.due();
        if due != self.due_before {
            let entry = |at| (at, self.scope.clone());
            self.due_before.map(|at| self.agenda.remove(&entry(at)));
            self.agenda.extend(due.map(entry));
        }
        match self.state.is_running() {
            true if !self.running.contains(self.scope) => {
                self.running.insert(self.scope.clone());
            }
            true => {}
            false => {
                self.running.remove(self.scope);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::super::fair_share::{AccountKey, PassSlot};
    use super::*;
    use crate::engine::Stop;
    use crate::model::fixtures_tests::elapsed;
    use crate::model::{AccountName, Region};

    fn scope(number: usize) -> Scope {
        Scope {
            account: AccountName::default(),
            region: Region::all().nth(number).expect("a region"),
        }
    }

    fn change(state: &mut ScopeState, what: u8, now: Monotonic) {
        match what {
            0 => {
                let slot = PassSlot {
                    account: AccountKey::Name(AccountName::default()),
                    was_unobserved: false,
                };
                state.pass_began(Rc::new(Stop::default()), slot, now);
            }
            1 => state.free(),
            2 => state.supersede(now),
            3 => state.retry_all(now),
            4 => state.halt(),
            5 => drop(state.set_removed(true, now)),
            _ => drop(state.set_removed(false, now)),
        }
    }

    proptest! {
        /// The agenda and the running passes always equal the result of a search through all scopes.
        #[test]
        fn l2_the_agenda_follows_every_change(
            changes in prop::collection::vec((0usize..4, 0u8..7, 0u64..50, any::<bool>()), 0..60),
        ) {
            let mut scopes = Scopes::default();
            scopes.change_all(|states| states.extend((0..4).map(|number| (scope(number), ScopeState::new(elapsed(0))))));
            for (number, what, seconds, all) in changes {
                let now = elapsed(seconds);
                match all {
                    true => scopes.change_all(|states| states.values_mut().for_each(|state| change(state, what, now))),
                    false => change(&mut scopes.get_mut(&scope(number)).expect("a scope"), what, now),
                }
                let states = || scopes.states.iter();
                let mut due: Vec<_> = states().filter_map(|(scope, state)| Some((state.due()?, scope))).collect();
                due.sort();
                let (now_due, later): (Vec<_>, Vec<_>) = due.into_iter().partition(|(at, _)| *at <= now);
                let found: Vec<_> = scopes.due(now).map(|(at, scope, _)| (at, scope)).collect();
                prop_assert_eq!(found, now_due);
                prop_assert_eq!(scopes.next_due_after(now), later.first().map(|(at, _)| *at));
                let running: Vec<_> = states().filter(|(_, state)| state.is_running()).map(|(scope, _)| scope).collect();
                let found: Vec<_> = scopes.running().map(|(scope, _)| scope).collect();
                prop_assert_eq!(found, running);
            }
        }
    }
}
