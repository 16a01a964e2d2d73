//! The credentials for a call: the present ones, once they are confirmed as the account's own. STS is asked before if a
//! document names the account. It must not know what the call is for.

use std::rc::Rc;

use super::client::ReadClient;
use super::credential_status::CredentialStatus;
use super::credentials::Lease;
use super::error::{CallError, Refusal};
use super::identity;
use super::protocol::wire::{Action, CallerIdentity, CallerIdentityRequest};
use crate::host::Host;
use crate::model::Region;

/// How often a call starts again because the credentials changed while it waited. Credentials that change more often
/// are used all the same.
pub(super) const ROUNDS_MAX: u32 = 3;

/// Credentials for a call, and what is known about them.
pub(super) struct ReadyCredentials {
    pub(super) lease: Lease,
    pub(super) status: Rc<CredentialStatus>,
}

impl<H: Host> ReadClient<H> {
    /// The credentials for the next call, once they are confirmed as the account's own. The error says that they are
    /// not, or that there are none. Every call begins here, except the one that checks this.
    pub(super) async fn ready(&self, region: Region) -> Result<ReadyCredentials, Refusal> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            let lease = self
                .connection
                .provider
                .current(&self.context, region)
                .await?;
            let status = self.status.of(lease.version);
            let ready = ReadyCredentials { lease, status };
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
            let answer = self.repeat(Action::GetCallerIdentity, region, ask).await;
            identity::verify(&self.connection.account, uin, answer)
        };
        ready.status.identity.get_or_check(find_out).await
    }

    /// The owner of the key. The action's documentation requires a region, which does not affect the answer. It is
    /// asked regardless of the account's status, because this call determines the status.
    pub(super) async fn caller_identity(
        &self,
        ready: &ReadyCredentials,
        region: Region,
    ) -> Result<CallerIdentity, CallError> {
        let (action, body) = (Action::GetCallerIdentity, CallerIdentityRequest::default());
        let permit = self.permit(action, region).await;
        self.call(ready, action, region, None, &body, permit).await
    }

    /// Whether other credentials are available now with which a refused call may succeed.
    pub(super) async fn has_newer(
        &self,
        ready: &ReadyCredentials,
        refusal: &Refusal,
        region: Region,
    ) -> bool {
        let provider = &self.connection.provider;
        refusal.blames_key()
            && provider
                .renew(&self.context, region, ready.lease.version)
                .await
    }

    /// Whether a call should start again because its credentials have been replaced or rejected.
    pub(super) fn is_outdated(&self, ready: &ReadyCredentials, rounds: u32) -> bool {
        rounds < ROUNDS_MAX && self.connection.provider.is_outdated(ready.lease.version)
    }

    /// Reads from the status of the credentials in use. The status of older ones does not apply to them.
    pub(super) fn known<T>(&self, what: impl Fn(&CredentialStatus) -> Option<T>) -> Option<T> {
        let status = self.status.newest();
        let is_past = self.connection.provider.has_newer(status.version);
        what(&status).filter(|_| !is_past)
    }
}
