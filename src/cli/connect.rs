//! How one account is connected to the real API: its `Account` document and the flags together. Whether its credentials
//! work is found out when they are needed.

use std::rc::Rc;

use super::args::Target;
use crate::api::{Connection, CredentialProvider, DEFAULT_RATE, Environment, ProviderCache};
use crate::desired::{Account, CredentialSource};
use crate::model::{AccountName, Endpoint};

/// The credentials that this process can find. One cache serves a whole process: it knows what was fetched, and for whom.
pub(super) fn provider_cache() -> ProviderCache {
    ProviderCache::new(Environment::new(|name| std::env::var_os(name)))
}

/// A connection to the real API. For the access point, the flag wins over the document; credentials come from where the
/// document says, and never from a flag.
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
