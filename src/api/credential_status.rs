//! What is known about an account's credentials: their owner, whether they work, and whether they may write. None of it
//! applies to other credentials. It must not know how it is found out.

use std::cell::RefCell;
use std::rc::Rc;

use super::circuit_breaker::CircuitBreaker;
use super::identity::IdentityCheck;
use super::owner_lookup::OwnerLookup;

/// What is known about one version of an account's credentials.
#[derive(Default)]
pub(super) struct CredentialStatus {
    pub(super) version: u64,
    /// Whether they belong to the account.
    pub(super) identity: IdentityCheck,
    /// The owner of the credentials, if no document gives it.
    pub(super) owner: OwnerLookup,
    /// Whether they work at all, learnt from reads.
    pub(super) reads: Rc<CircuitBreaker>,
    /// Whether the account may share at all (service role), learnt from writes.
    pub(super) writes: Rc<CircuitBreaker>,
}

/// The status of the newest version of an account's credentials.
#[derive(Default)]
pub(super) struct LatestStatus(RefCell<Rc<CredentialStatus>>);

impl LatestStatus {
    /// The status of the credentials in use.
    pub(super) fn newest(&self) -> Rc<CredentialStatus> {
        Rc::clone(&self.0.borrow())
    }

    /// The status of `version`: empty if the version is new.
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
