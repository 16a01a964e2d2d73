//! The client that writes: what [`ReadClient`] can, and the one action that changes something.

use super::client::{Gated, ReadClient};
use super::error::{CallError, Refusal};
use super::gate::{Gate, Pass};
use super::wire::{Action, ModifyReply, ModifyRequest};
use crate::host::Host;
use crate::model::{ImageId, Moment, Permission, Region};

/// One account's client with the method that writes.
pub struct WriteClient<H> {
    read: ReadClient<H>,
    /// Whether the account may share at all (service role).
    gate: Gate,
}

/// The right to send one write now.
pub struct WritePermit<'a> {
    pass: Pass<'a>,
    sent_at: Moment,
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
        Self {
            read,
            gate: Gate::default(),
        }
    }

    /// The part that reads.
    pub fn read(&self) -> &ReadClient<H> {
        &self.read
    }

    /// Why no write may be sent for this account, if so.
    pub fn broken(&self) -> Option<Refusal> {
        self.read.broken().or_else(|| self.gate.broken())
    }

    /// Waits for the turn to write for `region`. Dropping the future gives the turn up.
    pub async fn permit(&self, region: Region) -> Result<WritePermit<'_>, Refusal> {
        self.read.identify(region).await?;
        if let Some(refusal) = self.read.broken() {
            return Err(refusal);
        }
        let pass = self.gate.pass(&self.read.shared().host).await?;
        let sent_at = self
            .read
            .permit(Action::ModifyImageSharePermission, region)
            .await;
        Ok(WritePermit { pass, sent_at })
    }

    /// Sends one write. An error that is not a refusal leaves open whether it took effect.
    pub async fn modify(
        &self,
        permit: WritePermit<'_>,
        region: Region,
        image: &ImageId,
        permission: Permission,
    ) -> Result<Modified, CallError> {
        let body = ModifyRequest {
            image_id: image.to_string(),
            permission: permission.as_str().into(),
        };
        let action = Action::ModifyImageSharePermission;
        let sent = self
            .read
            .call::<ModifyReply>(action, region, Some(permission), &body, permit.sent_at)
            .await;
        permit.pass.settle(self.read.evidence(&sent, Gated::Writes));
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
