//! Adapts the board to manifests with other scopes: new scopes wait for their first observation, and reports about
//! removed scopes end.

use std::sync::Arc;

use super::image_transitions;
use super::{Board, Subject, Transition, TransitionKind};
use crate::model::{AccountName, Scope, Timestamp};

impl Board {
    /// Adds the scopes that the board does not have yet, without any knowledge of them.
    pub fn add_scopes<'s>(&mut self, scopes: impl Iterator<Item = &'s Scope>) {
        for scope in scopes {
            if !self.scopes.contains_key(scope) {
                let status = self.take_up(scope);
                self.scopes.insert(scope.clone(), Arc::new(status));
            }
        }
        self.version += 1;
    }

    /// Removes the scopes that `keep` rejects. Returns the end of the reports about them, and about accounts without any
    /// scope left.
    pub fn retain_scopes(
        &mut self,
        keep: impl Fn(&Scope) -> bool,
        now: Timestamp,
    ) -> Vec<Transition> {
        let mut transitions = Vec::new();
        self.scopes.retain(|scope, status| {
            if keep(scope) {
                return true;
            }
            self.past_durations.add_all(&status.durations);
            transitions.extend(status.removal_transitions(scope, now));
            let shown = status.images.iter();
            let shown = shown.map(|(image, status)| (image, &status.reported));
            for (image, reported) in shown.chain(&status.remembered) {
                let ended = image_transitions::of_removal(*reported, scope, image.clone(), now);
                transitions.extend(ended);
            }
            false
        });
        let scopes = &self.scopes;
        let is_named = |account: &AccountName| scopes.keys().any(|s| s.account == *account);
        let mut keep_account = |account: &AccountName, kind| {
            if is_named(account) {
                return true;
            }
            let subject = Subject::Account(account.clone());
            transitions.push(Transition::of_removal(subject, kind, now));
            false
        };
        self.account_totals.retain(|account, _| is_named(account));
        self.broken_accounts
            .retain(|account, _| keep_account(account, TransitionKind::Recovered));
        self.denied_accounts
            .retain(|account| keep_account(account, TransitionKind::Recovered));
        self.accounts_without_role
            .retain(|account| keep_account(account, TransitionKind::Unblocked));
        self.record(transitions)
    }
}
