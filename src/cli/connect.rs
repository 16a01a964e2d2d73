//! Manifests and flags → one connection for each account that is named.

use std::collections::{BTreeMap, BTreeSet};

use super::args::Target;
use super::output::Failure;
use crate::api::sign::Credentials;
use crate::api::{Connection, DEFAULT_RATE};
use crate::desired::{Account, CredentialSource, Desired};
use crate::model::{AccountName, Endpoint, Selector};

/// The accounts in which `selector` reaches something, each with its document where there is one.
pub(super) fn accounts<'a>(
    desired: &'a Desired,
    selector: &Selector,
) -> BTreeMap<AccountName, Option<&'a Account>> {
    let names: BTreeSet<_> = desired
        .by_scope(selector)
        .into_keys()
        .map(|scope| &scope.account)
        .collect();
    names
        .into_iter()
        .map(|name| (name.clone(), desired.accounts.get(name)))
        .collect()
}

/// Connections to the real API. The flag wins over the manifest; credentials come from where the
/// document says, never from either.
pub(super) fn connections(
    accounts: &BTreeMap<AccountName, Option<&Account>>,
    target: &Target,
) -> Result<BTreeMap<AccountName, Connection>, Failure> {
    let mut connections = BTreeMap::new();
    for (name, &account) in accounts {
        let connection = one(name, account, target).map_err(Failure::new)?;
        connections.insert(name.clone(), connection);
    }
    Ok(connections)
}

/// One connection to the real API; why there is none, with the remedy.
pub(super) fn one(
    name: &AccountName,
    account: Option<&Account>,
    target: &Target,
) -> Result<Connection, String> {
    let source = account
        .map(|account| account.credentials)
        .unwrap_or_default();
    let credentials = match source {
        CredentialSource::Environment => {
            Credentials::from_environment(&|name| std::env::var_os(name))
        }
    };
    let credentials = credentials.map_err(|error| format!("account `{name}`: {error}"))?;
    let endpoint = match &target.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => account
            .and_then(|account| account.endpoint.clone())
            .unwrap_or_default(),
    };
    tracing::debug!(account = %name, %endpoint, "calling");
    Ok(connection(name, endpoint, account, credentials))
}

/// One connection, at the account's rate and for nobody's key but its own.
pub(super) fn connection(
    name: &AccountName,
    endpoint: Endpoint,
    account: Option<&Account>,
    credentials: Credentials,
) -> Connection {
    let rate = account
        .and_then(|account| account.rate)
        .unwrap_or(DEFAULT_RATE);
    Connection {
        account: name.clone(),
        uin: account.and_then(|account| account.uin.clone()),
        endpoint,
        rate,
        credentials,
    }
}
