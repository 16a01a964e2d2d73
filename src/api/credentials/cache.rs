//! Keeps one provider per source of credentials, so that accounts of one source share what was fetched. It must not know
//! how credentials are fetched.

use std::cell::RefCell;
use std::rc::Rc;

use super::redirect::RoleChoice;
use super::{CredentialProvider, Environment};
use crate::desired::CredentialSource;
use crate::model::Endpoint;

/// Sources that are kept while nobody uses them. Manifests that come and go leave some behind.
const UNUSED_MAX: usize = 256;

/// The provider of each source, for as long as the process lives. Accounts of one source share what was fetched, and a new
/// connection finds what there is.
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

    /// The provider of `source` for an account at `endpoint`. Whether it has credentials is found out when they are
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
