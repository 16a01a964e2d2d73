//! The accounts that a command works with, from the manifests' content and the flags.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Account, Desired};
use crate::model::{AccountName, Region, Selector};

/// Accounts by name, each with its `Account` document if there is one.
pub(super) type Documents<'a> = BTreeMap<AccountName, Option<&'a Account>>;

/// The selected accounts, and those that must be told apart from them.
pub(super) struct SelectedAccounts<'a> {
    pub(super) documents: Documents<'a>,
    /// The accounts to work on. For these, missing credentials are an error.
    pub(super) worked_on: BTreeSet<AccountName>,
}

/// The accounts in which `selector` selects something, with those that manifests name in the same regions.
pub(super) fn selected<'a>(desired: &'a Desired, selector: &Selector) -> SelectedAccounts<'a> {
    let scopes: Vec<_> = desired.by_scope(selector).into_keys().collect();
    let worked_on = scopes.iter().map(|scope| scope.account.clone());
    let regions: BTreeSet<Region> = scopes.iter().map(|scope| scope.region).collect();
    let rivals = regions.iter().flat_map(|region| desired.names_in(*region));
    let rivals = rivals.map(|(name, _)| name);
    let names = scopes.iter().map(|scope| scope.account.clone());
    SelectedAccounts {
        worked_on: worked_on.collect(),
        documents: names
            .chain(rivals)
            .map(|name| {
                let document = desired.accounts.get(&name);
                (name, document)
            })
            .collect(),
    }
}

/// Every account that the manifests name and `selector` allows, whether or not they name an image in it. If they name
/// no account, this is the default one.
pub(super) fn known<'a>(desired: &'a Desired, selector: &Selector) -> Documents<'a> {
    let mut names: BTreeSet<_> = desired.accounts.keys().cloned().collect();
    names.extend(desired.scopes().map(|scope| scope.account.clone()));
    if names.is_empty() {
        names.insert(AccountName::default());
    }
    names.retain(|name| selector.accounts.is_empty() || selector.accounts.contains(name));
    let documents = names.into_iter().map(|name| {
        let document = desired.accounts.get(&name);
        (name, document)
    });
    documents.collect()
}
