//! Manifests and flags → one connection for each account that is named.

use std::collections::{BTreeMap, BTreeSet};

use super::args::{Narrow, Target};
use super::output::Failure;
use crate::api::sign::Credentials;
use crate::api::{Connection, DEFAULT_RATE};
use crate::desired::{Account, CredentialSource, Desired, DesiredImage};
use crate::model::{AccountName, Endpoint, ImageKey};

impl Narrow {
    /// Drops what the flags leave out. What is left out is not touched: it is not in the plan.
    pub(super) fn apply(&self, desired: &mut Desired) {
        desired.images.retain(|key, image| self.selects(key, image));
    }

    fn selects(&self, key: &ImageKey, image: &DesiredImage) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        any(
            self.regions.is_empty(),
            self.regions.contains(&key.scope.region),
        ) && any(
            self.accounts.is_empty(),
            self.accounts.contains(&key.scope.account),
        ) && any(self.images.is_empty(), self.images.contains(&key.image))
            && self
                .labels
                .iter()
                .all(|(name, value)| image.labels.get(name) == Some(value))
    }
}

/// The accounts that `desired` has images for, each with its document where there is one.
pub(super) fn accounts(desired: &Desired) -> BTreeMap<AccountName, Option<&Account>> {
    let names: BTreeSet<_> = desired
        .images
        .keys()
        .map(|key| &key.scope.account)
        .collect();
    names
        .into_iter()
        .map(|name| (name.clone(), desired.accounts.get(name)))
        .collect()
}

/// Connections to the real API. The flag wins over the manifest; credentials come from where the
/// document says, never from either.
pub(super) fn connections(
    desired: &Desired,
    target: &Target,
) -> Result<BTreeMap<AccountName, Connection>, Failure> {
    let mut connections = BTreeMap::new();
    for (name, account) in accounts(desired) {
        let source = account
            .map(|account| account.credentials)
            .unwrap_or_default();
        let credentials = match source {
            CredentialSource::Environment => {
                Credentials::from_environment(&|name| std::env::var_os(name))
            }
        };
        let credentials =
            credentials.map_err(|error| Failure::new(format_args!("account `{name}`: {error}")))?;
        let endpoint = match &target.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => account
                .and_then(|account| account.endpoint.clone())
                .unwrap_or_default(),
        };
        tracing::info!(account = %name, %endpoint, "calling");
        let connection = connection(&name, endpoint, account, credentials);
        connections.insert(name, connection);
    }
    Ok(connections)
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
