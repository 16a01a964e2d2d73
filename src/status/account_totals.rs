//! Counts for an account over all of its regions. A count never falls while manifests name the account: the counts of a
//! region that they no longer name remain in it.

use std::collections::BTreeMap;

use super::{Board, PassResult};
use crate::model::{AccountName, Cause, Permission};

/// Counts for an account over all of its regions since the process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountTotals {
    /// Passes over its regions, by result.
    pub passes: BTreeMap<PassResult, u64>,
    /// Writes that the API acknowledged, by action and cause.
    pub applied: BTreeMap<(Permission, Cause), u64>,
}

impl Board {
    /// The totals of an account, if it has a scope on the board.
    pub(super) fn totals_of(&mut self, account: &AccountName) -> Option<&mut AccountTotals> {
        let is_named = self.scopes_of(account).next().is_some();
        is_named.then(|| self.account_totals.entry(account.clone()).or_default())
    }
}
