//! The credentials that a call may be made with: the current ones, once it is known that they are the account's own. STS
//! is asked on the way where a document names the account. It must not know what the call is for.

use std::rc::Rc;

use super::client::ReadClient;
use super::credential_status::CredentialStatus;
use super::credentials::Lease;
use super::error::{CallError, Refusal};
use super::protocol::wire::{Action, CallerIdentity, CallerIdentityRequest};
use super::{identity, retry};
use crate::host::Host;
use crate::model::Region;

/// Times that a call begins anew because the credentials are others than when it took its place. Those that change
/// more often than that are called with all the same.
pub(super) const ROUNDS_MAX: u32 = 3;

/// Credentials to call with, and what is known of them.
pub(super) struct ReadyCredentials {
    pub(super) issued: Lease,
    pub(super) proof: Rc<CredentialStatus>,
}

impl<H: Host> ReadClient<H> {
    /// The credentials for the next call, once it is known that they are the account's own; the refusal if they are
    /// not, or if there are none. Every call but the one that finds it out comes this way first.
    pub(super) async fn ready(&self, region: Region) -> Result<ReadyCredentials, Refusal> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            let issued = self.connection.keys.current(&self.context, region).await?;
            let proof = self.proofs.of(issued.version);
            let ready = ReadyCredentials { issued, proof };
            match self.identify(&ready, region).await {
                Err(refusal)
                    if rounds < ROUNDS_MAX && self.has_newer(&ready, &refusal, region).await => {}
                Err(_) if self.is_outdated(&ready, rounds) => {}
                result => return result.map(|()| ready),
            }
        }
    }

    async fn identify(&self, ready: &ReadyCredentials, region: Region) -> Result<(), Refusal> {
        let Some(uin) = &self.connection.uin else {
            return Ok(());
        };
        let find_out = async {
            let ask = || self.caller_identity(ready, region);
            let answer = retry::while_it_helps(&self.context, ask).await;
            identity::judge(&self.connection.account, uin, answer)
        };
        ready.proof.identity.settle(find_out).await
    }

    /// Whose the key is. The region is a required parameter (the action's documentation), and changes nothing about the
    /// answer. Asked whatever is known of the account: that is how it gets known.
    pub(super) async fn caller_identity(
        &self,
        ready: &ReadyCredentials,
        region: Region,
    ) -> Result<CallerIdentity, CallError> {
        let (action, body) = (Action::GetCallerIdentity, CallerIdentityRequest::default());
        let sent_at = self.permit(action, region).await;
        self.call(ready, action, region, None, &body, sent_at).await
    }

    /// Whether a call that was refused may go better with other credentials, which there are by now.
    pub(super) async fn has_newer(
        &self,
        ready: &ReadyCredentials,
        refusal: &Refusal,
        region: Region,
    ) -> bool {
        let keys = &self.connection.keys;
        refusal.blames_key()
            && keys
                .renew(&self.context, region, ready.issued.version)
                .await
    }

    /// Whether a call should begin anew, because there are or must be other credentials by now.
    pub(super) fn is_outdated(&self, ready: &ReadyCredentials, rounds: u32) -> bool {
        rounds < ROUNDS_MAX && self.connection.keys.is_outdated(ready.issued.version)
    }

    /// What is known of the credentials in use. What was known of others before says nothing of newer ones.
    pub(super) fn known<T>(&self, what: impl Fn(&CredentialStatus) -> Option<T>) -> Option<T> {
        let proof = self.proofs.newest();
        let is_past = self.connection.keys.has_newer(proof.version);
        what(&proof).filter(|_| !is_past)
    }
}
