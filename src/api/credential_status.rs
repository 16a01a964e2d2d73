//! What is known of the credentials in use. Others are a new question: whose they are, whether they work, and whether
//! they may write.

use std::cell::RefCell;
use std::rc::Rc;

use super::circuit_breaker::Gate;
use super::credentials::Issued;
use super::identity::Identity;
use super::owner::Answer;

/// What is known of one version of an account's credentials.
#[derive(Default)]
pub(super) struct Proof {
    pub(super) version: u64,
    /// Whether they are the account's own.
    pub(super) identity: Identity,
    /// Whose they are, where no document says so.
    pub(super) owner: Answer,
    /// Whether they work at all.
    pub(super) reads: Rc<Gate>,
    /// Whether the account may share at all (service role).
    pub(super) writes: Rc<Gate>,
}

/// The newest version's proof.
#[derive(Default)]
pub(super) struct Proofs(RefCell<Rc<Proof>>);

/// Credentials to call with, and what is known of them.
pub(super) struct Ready {
    pub(super) issued: Issued,
    pub(super) proof: Rc<Proof>,
}

impl Proofs {
    /// What is known of the credentials that are in use.
    pub(super) fn newest(&self) -> Rc<Proof> {
        Rc::clone(&self.0.borrow())
    }

    /// What is known of `version`, which is nothing if it is a new one.
    pub(super) fn of(&self, version: u64) -> Rc<Proof> {
        let mut newest = self.0.borrow_mut();
        if newest.version < version {
            *newest = Rc::new(Proof {
                version,
                ..Proof::default()
            });
        }
        Rc::clone(&newest)
    }
}
