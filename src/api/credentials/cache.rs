use std::cell::RefCell;
use std::rc::Rc;

use super::redirect::Roles;
use super::{CredentialProvider, Environment};
use crate::desired::CredentialSource;
use crate::model::Endpoint;

/// Sources that are kept while nobody uses them. Manifests that come and go leave some behind.
const UNUSED_MAX: usize = 256;

/// The credentials of each source, for as long as the process lives: accounts of one source share what was fetched,
/// and who connects anew finds what there is.
pub struct ProviderCache {
    around: Rc<Environment>,
    known: RefCell<Vec<(CredentialSource, Endpoint, Rc<CredentialProvider>)>>,
}

impl ProviderCache {
    /// Nothing has been looked for.
    pub fn new(around: Environment) -> Self {
        Self {
            around: Rc::new(around),
            known: RefCell::default(),
        }
    }

    /// The credentials of `source` for an account at `endpoint`. Whether there are any is found out when they are
    /// needed.
    pub fn keys(&self, source: &CredentialSource, endpoint: &Endpoint) -> Rc<CredentialProvider> {
        let sts = endpoint.sts();
        let mut known = self.known.borrow_mut();
        if known.len() >= UNUSED_MAX {
            known.retain(|(.., keys)| Rc::strong_count(keys) > 1);
        }
        let same = |(of, at, _): &&(CredentialSource, Endpoint, Rc<CredentialProvider>)| {
            of == source && *at == sts
        };
        if let Some((.., keys)) = known.iter().find(same) {
            return Rc::clone(keys);
        }
        let around = Rc::clone(&self.around);
        let keys = CredentialProvider::new(source.clone(), Roles::Environment, around, sts.clone());
        known.push((source.clone(), sts, Rc::clone(&keys)));
        keys
    }
}
