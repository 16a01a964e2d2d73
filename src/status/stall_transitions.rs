//! Reports about scopes and accounts in which nothing is observed or done. A problem of an account is reported once, and
//! not for each of its scopes.

use super::{
    Activity, Board, PassResult, ScopeStatus, Subject, Transition, TransitionKind, scope_mut,
};
use crate::model::{AccountName, Scope, Timestamp};
use crate::observation::Unobserved;
use crate::plan::View;

/// The message for an account that was broken and works again.
pub(super) const ACCOUNT_WORKS: &str = "it works again";

impl Board {
    /// Records the end of a pass. Returns the new transitions of the scope and of its account.
    pub(super) fn stall_transitions(
        &mut self,
        scope: &Scope,
        result: PassResult,
        now: Timestamp,
    ) -> Vec<Transition> {
        let Some(status) = scope_mut(&mut self.scopes, scope) else {
            return Vec::new();
        };
        let unobserved = status.unobserved_in(result).cloned();
        let is_broken = unobserved.as_ref().is_some_and(|why| why.account_broken);
        let why = unobserved.map(|why| why.told()).unwrap_or_default();
        let is_halted = status.halted_because().is_some();
        status
            .stall
            .pass_ended(result, &mut status.unseen_passes, is_halted, is_broken);
        let was_seen = matches!(result, PassResult::Synced | PassResult::Incomplete);
        let mut transitions = Vec::new();
        let account = self.account_transition(scope, was_seen, is_broken.then_some(&*why), now);
        transitions.extend(account);
        transitions.extend(self.scope_transition(scope, was_seen, &why, now));
        if was_seen {
            transitions.extend(self.denial_transition(&scope.account, now));
        }
        transitions
    }

    /// The transition of an account that breaks or works again. `broken` is the reason if a pass over `scope` found it
    /// broken.
    fn account_transition(
        &mut self,
        scope: &Scope,
        was_seen: bool,
        broken: Option<&str>,
        now: Timestamp,
    ) -> Option<Transition> {
        let status = self.scopes.get(scope)?;
        let (kind, message) = match (self.broken_accounts.get(&scope.account), broken) {
            (None, Some(why)) => {
                let account = scope.account.clone();
                self.broken_accounts.insert(account, self.version);
                (
                    TransitionKind::Stalled,
                    format!("nothing is observed or done in it: {why}"),
                )
            }
            // A pass that started before the account broke does not prove that it works again.
            (Some(&at), _) if was_seen && status.stall.began_after(at) => {
                self.broken_accounts.remove(&scope.account);
                (TransitionKind::Recovered, ACCOUNT_WORKS.to_owned())
            }
            (None | Some(_), _) => return None,
        };
        let subject = Subject::Account(scope.account.clone());
        Some(Transition::new(subject, kind, message, now).of_many())
    }

    /// The transition of a scope that stalls on its own or recovers. `why` is the reason why it was not observed, if it
    /// was not.
    fn scope_transition(
        &mut self,
        scope: &Scope,
        was_seen: bool,
        why: &str,
        now: Timestamp,
    ) -> Option<Transition> {
        let status = scope_mut(&mut self.scopes, scope)?;
        // Scopes of an account that is reported as broken are not reported separately.
        let is_lost = status.stall.is_lost() && !self.broken_accounts.contains_key(&scope.account);
        let (message, is_stalled) = match (status.halted_because(), status.stall.denial(false)) {
            (Some(why), _) => (why.to_owned(), true),
            (None, Some(denial)) if was_seen => (denial, true),
            (None, denial) => (format!("not observed: {why}"), is_lost || denial.is_some()),
        };
        let (kind, message) = if is_stalled && !status.stall.is_reported() {
            (TransitionKind::Stalled, message)
        } else if was_seen && status.stall.is_reported() && !is_stalled && !status.stall.is_paused()
        {
            (
                TransitionKind::Recovered,
                "sharekeeper works on it again".to_owned(),
            )
        } else {
            return None;
        };
        status.stall.set_reported(kind == TransitionKind::Stalled);
        let subject = Subject::Scope(scope.clone());
        Some(Transition::new(subject, kind, message, now).of_many())
    }

    /// Reports once that all writes of an account are denied, until none of its scopes has this problem.
    fn denial_transition(&mut self, account: &AccountName, now: Timestamp) -> Option<Transition> {
        let why = self
            .scopes_of(account)
            .find_map(|(_, status)| status.stall.denial(true));
        // An earlier process's report about the account may still be true for a scope that was not observed yet.
        let were_all_seen = self
            .scopes_of(account)
            .all(|(_, status)| status.was_ever_seen());
        let (kind, message) = match why {
            Some(why) if self.denied_accounts.insert(account.clone()) => {
                (TransitionKind::Stalled, why)
            }
            None if were_all_seen && self.denied_accounts.remove(account) => (
                TransitionKind::Recovered,
                "sharekeeper works on it again".to_owned(),
            ),
            _ => return None,
        };
        let subject = Subject::Account(account.clone());
        Some(Transition::new(subject, kind, message, now).of_many())
    }
}

impl ScopeStatus {
    /// Why a pass with this result did not observe the scope, unless it did.
    fn unobserved_in(&self, result: PassResult) -> Option<&Unobserved> {
        match (&self.view, result) {
            (Some(View::Unobserved(why)), PassResult::Unobserved) => Some(why),
            _ => None,
        }
    }

    /// Whether this process has observed it, or works on it although reading is denied.
    fn was_ever_seen(&self) -> bool {
        self.seen_at.is_some() || matches!(self.view, Some(View::ReadDenied(_)))
    }

    fn halted_because(&self) -> Option<&str> {
        match &self.activity {
            Activity::Halted { why } => Some(why),
            Activity::New | Activity::Running { .. } | Activity::Idle { .. } => None,
        }
    }
}

#[cfg(test)]
#[path = "stall_transitions_tests.rs"]
mod tests;
