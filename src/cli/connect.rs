//! Manifests and flags → one connection for each account that is named.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::args::Target;
use crate::api::{Connection, CredentialProvider, DEFAULT_RATE, Environment, ProviderCache};
use crate::desired::{Account, CredentialSource, Desired};
use crate::model::{AccountName, Endpoint, Selector};

/// The accounts in which `selector` reaches something, and those that are only told apart from them.
pub(super) struct Reached<'a> {
    /// Each account with its document, where there is one.
    pub(super) accounts: BTreeMap<AccountName, Option<&'a Account>>,
    /// Those of them that are worked on: credentials that are missing for one are an error.
    pub(super) worked_on: BTreeSet<AccountName>,
}

/// The accounts in which `selector` reaches something, with those that name the same regions.
pub(super) fn accounts<'a>(desired: &'a Desired, selector: &Selector) -> Reached<'a> {
    let scopes: Vec<_> = desired.by_scope(selector).into_keys().collect();
    let worked_on = scopes.iter().map(|scope| scope.account.clone());
    let rivals = scopes.iter().flat_map(|scope| desired.rivals_of(scope));
    let names = scopes.iter().map(|scope| &scope.account).chain(rivals);
    Reached {
        worked_on: worked_on.collect(),
        accounts: names
            .map(|name| (name.clone(), desired.accounts.get(name)))
            .collect(),
    }
}

/// All accounts that `desired` names, whether or not it names an image there, as far as `selector` reaches; where it
/// names none, the one that there always is.
pub(super) fn known<'a>(
    desired: &'a Desired,
    selector: &Selector,
) -> BTreeMap<AccountName, Option<&'a Account>> {
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

/// Connections to the real API. The flag wins over the manifest; credentials come from where the
/// document says, never from either.
pub(super) fn connections(
    accounts: &BTreeMap<AccountName, Option<&Account>>,
    target: &Target,
    provider_cache: &ProviderCache,
) -> BTreeMap<AccountName, Connection> {
    let mut connections = BTreeMap::new();
    for (name, &account) in accounts {
        let connection = one(name, account, target, provider_cache);
        connections.insert(name.clone(), connection);
    }
    connections
}

/// One connection to the real API. Whether there are credentials for it is found out when they are needed.
pub(super) fn one(
    name: &AccountName,
    account: Option<&Account>,
    target: &Target,
    provider_cache: &ProviderCache,
) -> Connection {
    let endpoint = match &target.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => account
            .and_then(|account| account.endpoint.clone())
            .unwrap_or_default(),
    };
    let source = account.map(|account| &account.credentials);
    let provider = provider_cache.provider(source.unwrap_or(&CredentialSource::Ambient), &endpoint);
    tracing::debug!(account = %name, %endpoint, "calling");
    connection(name, endpoint, account, provider)
}

/// The credentials that this process can find.
pub(super) fn provider_cache() -> ProviderCache {
    ProviderCache::new(Environment::new(|name| std::env::var_os(name)))
}

/// One connection, at the account's rate and for nobody's key but its own.
pub(super) fn connection(
    name: &AccountName,
    endpoint: Endpoint,
    account: Option<&Account>,
    provider: Rc<CredentialProvider>,
) -> Connection {
    let rate = account
        .and_then(|account| account.rate)
        .unwrap_or(DEFAULT_RATE);
    Connection {
        account: name.clone(),
        uin: account.and_then(|account| account.uin.clone()),
        endpoint,
        rate,
        provider,
    }
}
