//! One exchange with an access point: sign by the access point's own clock, send, and take in the time that the reply
//! tells. The calls of an account and those that fetch credentials share it. It must not know rates, counts or what a
//! reply means: who calls adds these.

use super::clocks::{AccessPoint, Caller, ReceivedAt};
use super::context::ClientContext;
use super::error::CallError;
use super::protocol::request::{CALL_DEADLINE, Destination, request};
use super::protocol::sign::Credentials;
use super::protocol::wire::Service;
use crate::host::{Host, Reply, Request, TransportError};
use crate::model::{Endpoint, Monotonic, Region};
use crate::words::brief;

/// A call, as it is signed and sent each time that it is made.
pub(super) struct Exchange<'a, H> {
    pub(super) context: &'a ClientContext<H>,
    /// Whose clock the access point's is held against.
    pub(super) caller: &'a Caller,
    pub(super) endpoint: &'a Endpoint,
    /// The region whose access point answers.
    pub(super) access_region: Region,
    pub(super) service: Service,
    pub(super) action: &'a str,
    /// The region that the call is about, which need not be the one that answers.
    pub(super) region: &'a str,
    /// `None` where the body itself proves who calls.
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) body: &'a [u8],
}

/// A request that is ready to leave. The API refuses it once its signature is a few minutes old.
pub(super) struct SignedRequest {
    request: Request,
    signed_at: i64,
}

/// A reply that nobody has read yet.
pub(super) struct RawReply {
    pub(super) reply: Reply,
    /// The Unix time that its request was signed with.
    pub(super) signed_at: i64,
}

impl<H: Host> Exchange<'_, H> {
    /// Signs by what the access point's clock is taken to show.
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

    /// Sends a request at `sent_at`, which is now.
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

    /// Takes in the time that comes with a refusal for the age of the signature of `signed_at`. True if signing again
    /// may help.
    pub(super) fn learn_clock(&self, date: Option<&str>, signed_at: i64) -> bool {
        let (host, now) = (self.host(), self.context.host.now());
        let clocks = &self.context.clocks;
        clocks.correct_signing(self.access_point(&host), date, signed_at, now)
    }

    /// What it means for the call that no reply came.
    pub(super) fn unanswered(&self, error: TransportError) -> CallError {
        CallError::no_reply(error, |detail| self.locate(detail))
    }

    /// Says which access point `detail` is about, because a run may use many.
    pub(super) fn locate(&self, detail: &str) -> String {
        locate(self.endpoint, self.access_region, detail)
    }

    /// The host that answers, with its port where it has one.
    pub(super) fn host(&self) -> String {
        self.endpoint.host(self.access_region)
    }

    fn access_point<'p>(&'p self, host: &'p str) -> AccessPoint<'p> {
        let caller = self.caller;
        AccessPoint { caller, host }
    }
}

/// `detail` with the access point that it is about.
pub(super) fn locate(endpoint: &Endpoint, region: Region, detail: &str) -> String {
    format!("{}: {}", endpoint.host(region), brief(detail))
}
