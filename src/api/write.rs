//! The client that writes: it has all methods of [`ReadClient`], and the one action that changes something. It must not
//! know why a write was decided.

use super::call::CallKind;
use super::circuit_breaker::AdmittedCall;
use super::client::ReadClient;
use super::error::{CallError, Class, Refusal};
use super::in_flight::Place;
use super::protocol::wire::{Action, ModifyReply, ModifyRequest};
use super::ready_credentials::ReadyCredentials;
use crate::host::Host;
use crate::model::{ImageId, Permission, Region};
use crate::pace::Permit;

/// One account's client with the method that writes.
pub struct WriteClient<H> {
    read: ReadClient<H>,
}

/// The right to send one write now, with its credentials.
pub struct WritePermit {
    ready: ReadyCredentials,
    admitted: AdmittedCall,
    permit: Permit,
    place: Place,
}

impl WritePermit {
    /// The version of the credentials that the write would be sent with.
    pub fn version(&self) -> u64 {
        self.ready.lease.version
    }
}

/// A write that the API acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modified {
    /// The new blueprint. Null after CANCEL, and possibly after SHARE.
    pub blueprint_id: Option<String>,
    /// The RequestId, for the vendor's support.
    pub request_id: Option<String>,
}

impl<H: Host> WriteClient<H> {
    /// Adds the method that writes to a client that reads.
    pub fn new(read: ReadClient<H>) -> Self {
        Self { read }
    }

    /// The same client without the method that writes.
    pub fn read(&self) -> &ReadClient<H> {
        &self.read
    }

    /// Why no write may be sent for this account, if that is so.
    pub fn broken(&self) -> Option<Refusal> {
        let writes = || self.read.known(|status| status.writes.broken());
        self.read.broken().or_else(writes)
    }

    /// Waits until a write for `region` may be sent. Dropping the future gives up its turn.
    pub async fn permit(&self, region: Region) -> Result<WritePermit, Refusal> {
        let action = Action::ModifyImageSharePermission;
        let mut rounds = 0;
        loop {
            rounds += 1;
            let ready = self.read.ready(region).await?;
            let outdated = || self.read.is_outdated(&ready, rounds);
            let refusal = match ready.status.reads.broken() {
                Some(refusal) => Err(refusal),
                None => ready.status.writes.admit(&self.read.context().host).await,
            };
            let admitted = match refusal {
                Err(_) if outdated() => continue,
                admitted => admitted?,
            };
            let permit = self.read.permit(action, region).await;
            let place = self.read.context().in_flight.write().await;
            if !outdated() {
                return Ok(WritePermit {
                    ready,
                    admitted,
                    permit,
                    place,
                });
            }
        }
    }

    /// Sends one write. After an error that is not a refusal, the outcome is open.
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
            admitted,
            permit,
            place,
        } = permit;
        let mut sent = self
            .read
            .call::<ModifyReply>(&ready, action, region, Some(permission), &body, permit)
            .await;
        drop(place);
        let report = self.read.report(&sent, CallKind::Write);
        if let Err(CallError::Refused(refusal)) = &mut sent
            && self.read.has_newer(&ready, refusal, region).await
        {
            // The owner of the intent repeats it, as after a wrong clock.
            refusal.class = Class::Busy;
        }
        admitted.settle(report);
        let reply = sent?;
        // This counts neither as a success nor as a failure: a read shows the outcome.
        let Some(blueprint_id) = reply.blueprint_id else {
            let detail = "the reply says neither that it was done nor that it was not";
            return Err(CallError::Unclear(
                self.read.locate(action, region, detail).into(),
            ));
        };
        Ok(Modified {
            blueprint_id: blueprint_id.filter(|id| !id.is_empty()),
            request_id: reply.request_id,
        })
    }
}
