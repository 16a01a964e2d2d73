//! Connects one account to the real API, from its `Account` document and the flags. Whether its credentials work only
//! shows when they are used.

use std::rc::Rc;

use super::args::Target;
use crate::api::{Connection, CredentialProvider, DEFAULT_RATE, Environment, ProviderCache};
use crate::desired::{Account, CredentialSource};
use crate::model::{AccountName, Endpoint};

/// The cache of credentials for this process. A single one serves the whole process, because it knows which credentials
/// were fetched for which account.
pub(super) fn provider_cache() -> ProviderCache {
    ProviderCache::new(Environment::new(|name| std::env::var_os(name)))
}

/// A connection to the real API. For the access point, the flag overrides the document; credentials come from the
/// source in the document, and never from a flag.
pub(super) fn to_real_api(
    name: &AccountName,
    document: Option<&Account>,
    target: &Target,
    provider_cache: &ProviderCache,
) -> Connection {
    let endpoint = match &target.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => document
            .and_then(|account| account.endpoint.clone())
            .unwrap_or_default(),
    };
    let source = document.map(|account| &account.credentials);
    let provider = provider_cache.provider(source.unwrap_or(&CredentialSource::Ambient), &endpoint);
    tracing::debug!(account = %name, %endpoint, "calling");
    connection(name, endpoint, document, provider)
}

/// A connection at the account's own rate, which only the account's own key may use.
pub(super) fn connection(
    name: &AccountName,
    endpoint: Endpoint,
    document: Option<&Account>,
    provider: Rc<CredentialProvider>,
) -> Connection {
    let rate = document
        .and_then(|account| account.rate)
        .unwrap_or(DEFAULT_RATE);
    Connection {
        account: name.clone(),
        uin: document.and_then(|account| account.uin.clone()),
        endpoint,
        rate,
        provider,
    }
}
