//! Keeps one provider per source of credentials, so that accounts with the same source share the fetched credentials.
//! It must not know how credentials are fetched.

use std::cell::RefCell;
use std::rc::Rc;

use super::redirect::RoleChoice;
use super::{CredentialProvider, Environment};
use crate::desired::CredentialSource;
use crate::model::Endpoint;

/// The number of unused sources that are kept. Manifests that change leave some behind.
const UNUSED_MAX: usize = 256;

/// The provider of each source, for the lifetime of the process. Accounts with the same source share the fetched
/// credentials, and a new connection finds them.
pub struct ProviderCache {
    environment: Rc<Environment>,
    known: RefCell<Vec<(CredentialSource, Endpoint, Rc<CredentialProvider>)>>,
}

impl ProviderCache {
    /// A cache without providers yet.
    pub fn new(environment: Environment) -> Self {
        Self {
            environment: Rc::new(environment),
            known: RefCell::default(),
        }
    }

    /// The provider of `source` for an account at `endpoint`. Whether it has credentials only shows when they are
    /// needed.
    pub fn provider(
        &self,
        source: &CredentialSource,
        endpoint: &Endpoint,
    ) -> Rc<CredentialProvider> {
        let sts = endpoint.sts();
        let mut known = self.known.borrow_mut();
        if known.len() >= UNUSED_MAX {
            known.retain(|(.., provider)| Rc::strong_count(provider) > 1);
        }
        let same = |(of, at, _): &&(CredentialSource, Endpoint, Rc<CredentialProvider>)| {
            of == source && *at == sts
        };
        if let Some((.., provider)) = known.iter().find(same) {
            return Rc::clone(provider);
        }
        let environment = Rc::clone(&self.environment);
        let provider = CredentialProvider::new(
            source.clone(),
            RoleChoice::Environment,
            environment,
            sts.clone(),
        );
        known.push((source.clone(), sts, Rc::clone(&provider)));
        provider
    }
}
