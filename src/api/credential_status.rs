//! What is known of an account's credentials: whose they are, whether they work, and whether they may write. Nothing of it
//! carries over to other credentials. It must not know how any of it is found out.

use std::cell::RefCell;
use std::rc::Rc;

use super::circuit_breaker::CircuitBreaker;
use super::identity::IdentityCheck;
use super::owner_lookup::OwnerLookup;

/// What is known of one version of an account's credentials.
#[derive(Default)]
pub(super) struct CredentialStatus {
    pub(super) version: u64,
    /// Whether they are the account's own.
    pub(super) identity: IdentityCheck,
    /// Whose they are, where no document says so.
    pub(super) owner: OwnerLookup,
    /// Whether they work at all.
    pub(super) reads: Rc<CircuitBreaker>,
    /// Whether the account may share at all (service role).
    pub(super) writes: Rc<CircuitBreaker>,
}

/// The status of the newest version of an account's credentials.
#[derive(Default)]
pub(super) struct LatestStatus(RefCell<Rc<CredentialStatus>>);

impl LatestStatus {
    /// What is known of the credentials that are in use.
    pub(super) fn newest(&self) -> Rc<CredentialStatus> {
        Rc::clone(&self.0.borrow())
    }

    /// What is known of `version`: nothing if the version is new.
    pub(super) fn of(&self, version: u64) -> Rc<CredentialStatus> {
        let mut newest = self.0.borrow_mut();
        if newest.version < version {
            *newest = Rc::new(CredentialStatus {
                version,
                ..CredentialStatus::default()
            });
        }
        Rc::clone(&newest)
    }
}
