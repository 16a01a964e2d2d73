//! One exchange with an access point: sign with the access point's own time, send, and record the time in the reply. It
//! is shared by an account's calls and the calls that fetch credentials. It must not know rates, counts or the meaning
//! of a reply; its callers add these.

use super::clocks::{AccessPoint, Caller, ReceivedAt};
use super::context::ClientContext;
use super::error::CallError;
use super::protocol::request::{CALL_DEADLINE, Destination, request};
use super::protocol::sign::Credentials;
use super::protocol::wire::Service;
use crate::host::{Host, Reply, Request, TransportError};
use crate::model::{Endpoint, Monotonic, Region};
use crate::words::brief;

/// A call that can be signed and sent several times.
pub(super) struct Exchange<'a, H> {
    pub(super) context: &'a ClientContext<H>,
    /// The caller for which the access point's clock is recorded.
    pub(super) caller: &'a Caller,
    pub(super) endpoint: &'a Endpoint,
    /// The region whose access point answers.
    pub(super) access_region: Region,
    pub(super) service: Service,
    pub(super) action: &'a str,
    /// The region that the call is about, which may differ from the one that answers.
    pub(super) region: &'a str,
    /// `None` if the body itself proves the identity of the caller.
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) body: &'a [u8],
}

/// A request that is ready to be sent. The API refuses it when its signature is a few minutes old.
pub(super) struct SignedRequest {
    request: Request,
    signed_at: i64,
}

/// A reply that has not been parsed yet.
pub(super) struct RawReply {
    pub(super) reply: Reply,
    /// The Unix time that its request was signed with.
    pub(super) signed_at: i64,
}

impl<H: Host> Exchange<'_, H> {
    /// Signs with the assumed time of the access point's clock.
    pub(super) fn sign(&self) -> Result<SignedRequest, CallError> {
        let (host, clocks) = (self.host(), &self.context.clocks);
        let now = self.context.host.now();
        let signed_at = clocks.signing(self.access_point(&host), now).timestamp();
        let to = Destination {
            url: self.endpoint.url(self.access_region),
            host,
            service: self.service,
            action: self.action,
            region: self.region,
        };
        let request = request(to, self.body, signed_at, self.credentials, CALL_DEADLINE)?;
        Ok(SignedRequest { request, signed_at })
    }

    /// Sends a request at `sent_at`, the current time.
    pub(super) async fn send(
        &self,
        signed: SignedRequest,
        sent_at: Monotonic,
    ) -> Result<RawReply, TransportError> {
        let SignedRequest { request, signed_at } = signed;
        let host = &self.context.host;
        let reply = host.send(request).await?;
        let received = ReceivedAt {
            now: host.now(),
            monotonic: host.monotonic(),
            took: host.monotonic().since(sent_at),
        };
        let (at, clocks) = (self.host(), &self.context.clocks);
        clocks.observe_reply(self.access_point(&at), reply.date.as_deref(), received);
        Ok(RawReply { reply, signed_at })
    }

    /// Records the time in a refusal of the signature from `signed_at` as too old. Returns true if signing again may
    /// help.
    pub(super) fn learn_clock(&self, date: Option<&str>, signed_at: i64) -> bool {
        let (host, now) = (self.host(), self.context.host.now());
        let clocks = &self.context.clocks;
        clocks.correct_signing(self.access_point(&host), date, signed_at, now)
    }

    /// The meaning of a missing reply for the call.
    pub(super) fn unanswered(&self, error: TransportError) -> CallError {
        CallError::no_reply(error, |detail| self.locate(detail))
    }

    /// Adds the access point to `detail`, because a run may use many.
    pub(super) fn locate(&self, detail: &str) -> String {
        locate(self.endpoint, self.access_region, detail)
    }

    /// The host that answers, with its port if it has one.
    pub(super) fn host(&self) -> String {
        self.endpoint.host(self.access_region)
    }

    fn access_point<'p>(&'p self, host: &'p str) -> AccessPoint<'p> {
        let caller = self.caller;
        AccessPoint { caller, host }
    }
}

/// Returns `detail` with its access point.
pub(super) fn locate(endpoint: &Endpoint, region: Region, detail: &str) -> String {
    format!("{}: {}", endpoint.host(region), brief(detail))
}
