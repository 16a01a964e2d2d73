//! The client that writes: what [`ReadClient`] can, and the one action that changes something.

use super::call::Gated;
use super::circuit_breaker::Probe;
use super::client::ReadClient;
use super::error::{CallError, Class, Refusal};
use super::protocol::wire::{Action, ModifyReply, ModifyRequest};
use super::ready_credentials::ReadyCredentials;
use crate::host::Host;
use crate::model::{ImageId, Monotonic, Permission, Region};

/// One account's client with the method that writes.
pub struct WriteClient<H> {
    read: ReadClient<H>,
}

/// The right to send one write now, and whose it is.
pub struct WritePermit {
    ready: ReadyCredentials,
    pass: Probe,
    permitted: Monotonic,
}

impl WritePermit {
    /// The version of the credentials that the write would be sent with.
    pub fn version(&self) -> u64 {
        self.ready.issued.version
    }
}

/// A write that the API acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modified {
    /// Null after CANCEL, and possibly after SHARE.
    pub blueprint_id: Option<String>,
    /// For the vendor's support.
    pub request_id: Option<String>,
}

impl<H: Host> WriteClient<H> {
    /// Adds the right to write.
    pub fn new(read: ReadClient<H>) -> Self {
        Self { read }
    }

    /// The part that reads.
    pub fn read(&self) -> &ReadClient<H> {
        &self.read
    }

    /// Why no write may be sent for this account, if so.
    pub fn broken(&self) -> Option<Refusal> {
        let writes = || self.read.known(|proof| proof.writes.broken());
        self.read.broken().or_else(writes)
    }

    /// Waits for the turn to write for `region`. Dropping the future gives the turn up.
    pub async fn permit(&self, region: Region) -> Result<WritePermit, Refusal> {
        let action = Action::ModifyImageSharePermission;
        let mut rounds = 0;
        loop {
            rounds += 1;
            let ready = self.read.ready(region).await?;
            let outdated = || self.read.is_outdated(&ready, rounds);
            let refusal = match ready.proof.reads.broken() {
                Some(refusal) => Err(refusal),
                None => ready.proof.writes.pass(&self.read.context().host).await,
            };
            let pass = match refusal {
                Err(_) if outdated() => continue,
                pass => pass?,
            };
            let permitted = self.read.permit(action, region).await;
            if !outdated() {
                return Ok(WritePermit {
                    ready,
                    pass,
                    permitted,
                });
            }
        }
    }

    /// Sends one write. An error that is not a refusal leaves open whether it took effect.
    pub async fn modify(
        &self,
        permit: WritePermit,
        region: Region,
        image: &ImageId,
        permission: Permission,
    ) -> Result<Modified, CallError> {
        let body = ModifyRequest {
            image_id: image.to_string(),
            permission: permission.as_str().into(),
        };
        let action = Action::ModifyImageSharePermission;
        let WritePermit {
            ready,
            pass,
            permitted,
        } = permit;
        let mut sent = self
            .read
            .call::<ModifyReply>(&ready, action, region, Some(permission), &body, permitted)
            .await;
        let evidence = self.read.evidence(&sent, Gated::Writes);
        if let Err(CallError::Refused(refusal)) = &mut sent
            && self.read.has_newer(&ready, refusal, region).await
        {
            // Repeated by whoever recorded its intent, as where a clock was off.
            refusal.class = Class::Busy;
        }
        pass.settle(evidence);
        let reply = sent?;
        // Not taken for a yes, nor for a no: looking tells.
        let Some(blueprint_id) = reply.blueprint_id else {
            let detail = "the reply says neither that it was done nor that it was not";
            return Err(CallError::Unclear(self.read.locate(action, region, detail)));
        };
        Ok(Modified {
            blueprint_id: blueprint_id.filter(|id| !id.is_empty()),
            request_id: reply.request_id,
        })
    }
}
