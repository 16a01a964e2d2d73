//! One call: signed, paced, bounded, and its reply typed. [`ReadClient`] has no way to write;
//! [`super::WriteClient`] adds the one action that does. Neither repeats a call, but for a clock that is off and for
//! credentials that have been replaced.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::circuit_breaker::Report;
use super::clocks::{AccessPoint, Arrival, Caller};
use super::context::ClientContext;
use super::credential_status::{CredentialStatus, Proofs, ReadyCredentials};
use super::credentials::{CredentialProvider, KeyError};
use super::error::{CallError, Class, Refusal};
use super::identity;
use super::protocol::reply::parse;
use super::protocol::request::{CALL_DEADLINE, Destination, request};
use super::protocol::wire::{
    Action, CallerIdentity, CallerIdentityRequest, DescribeBlueprintsReply,
    DescribeBlueprintsRequest, DescribeImagesReply, DescribeImagesRequest, Filter, ListImagesReply,
    PAGE_LIMIT_MAX, Service,
};
use super::retry;
use crate::host::{Host, Reply, TransportError};
use crate::model::{AccountName, Clocks, Endpoint, ImageId, Monotonic, Permission, Region, Uin};
use crate::observation::SeenAt;
use crate::pace::{BucketKey, Call, Pace, Place};
use crate::words::brief;

/// Writes a second where nothing is said: the console shares the quota of 20.
pub const DEFAULT_RATE: u32 = 19;
/// Times that a call begins anew because the credentials are others than when it took its place. Those that change
/// more often than that are called with all the same.
pub(super) const ROUNDS_MAX: u32 = 3;

/// Where and as whom to call.
pub struct Connection {
    /// The account's name in the manifests.
    pub account: AccountName,
    /// Whose the key must be. If given, STS is asked before the first call, and unless it says the same,
    /// no call is made; if not, it is not asked, because a key may lack the permission for it.
    pub uin: Option<Uin>,
    /// The access point.
    pub endpoint: Endpoint,
    /// Writes a second per access point, 1 to 20.
    pub rate: u32,
    /// What is called with.
    pub keys: Rc<CredentialProvider>,
}

/// One account's client without any method that writes.
pub struct ReadClient<H> {
    context: Rc<ClientContext<H>>,
    pub(super) connection: Connection,
    /// Where STS answers.
    sts: Endpoint,
    /// What is known of the credentials.
    pub(super) proofs: Proofs,
    /// Whose the clocks of its access points are.
    pub(super) caller: Caller,
}

impl<H: Host> ReadClient<H> {
    /// A client for one account. That an account must not be called with the credentials that there are it does not
    /// forget: a run that comes later makes a new one.
    pub fn new(context: Rc<ClientContext<H>>, connection: Connection) -> Self {
        let sts = connection.endpoint.sts();
        let caller = Caller::Account(connection.account.clone());
        Self {
            context,
            connection,
            sts,
            proofs: Proofs::default(),
            caller,
        }
    }

    /// What it shares with the run's other clients.
    pub fn context(&self) -> &ClientContext<H> {
        &self.context
    }

    /// Who calls: what rates, and permissions, are counted by. Two account names may have one key.
    pub fn caller_id(&self) -> Rc<str> {
        self.connection.keys.bucket()
    }

    /// The bucket that calls of `action` for `region` draw from.
    pub fn bucket(&self, action: Action, region: Region) -> BucketKey {
        BucketKey {
            secret_id: self.caller_id(),
            host: self.endpoint(action).host(region).into(),
            action: action.as_str(),
        }
    }

    /// What this machine's clock shows, and that of the access point of `region`, as far as it has told the time.
    pub fn clocks(&self, region: Region) -> Clocks {
        let host = self.connection.endpoint.host(region);
        let (now, monotonic) = (self.context.host.now(), self.context.host.monotonic());
        self.context
            .clocks
            .show(self.access_point(&host), now, monotonic)
    }

    pub(super) fn access_point<'a>(&'a self, host: &'a str) -> AccessPoint<'a> {
        let caller = &self.caller;
        AccessPoint { caller, host }
    }

    pub(super) fn endpoint(&self, action: Action) -> &Endpoint {
        match action.service() {
            Service::Lighthouse => &self.connection.endpoint,
            Service::Sts => &self.sts,
        }
    }

    /// Writes a second per access point.
    pub fn rate(&self) -> u32 {
        self.connection.rate
    }

    /// A place in the line for calls that belong together.
    pub fn place(&self, action: Action, region: Region) -> Place {
        let bucket = self.bucket(action, region);
        self.context.pacer.place(&bucket, self.pace(action))
    }

    /// One page of the blueprints that may stand for a shared image. `call` is its place in the listing.
    pub async fn describe_blueprints(
        &self,
        region: Region,
        offset: u32,
        call: Option<Call<'_>>,
    ) -> Result<Answered<DescribeBlueprintsReply>, CallError> {
        // Whether an image shared from CVM shows as PRIVATE or SHARED is not documented: ask for both.
        let types = Filter {
            name: "blueprint-type".into(),
            values: vec!["PRIVATE".into(), "SHARED".into()],
        };
        let body = DescribeBlueprintsRequest {
            offset: Some(offset.into()),
            limit: Some(PAGE_LIMIT_MAX.into()),
            filters: Some(vec![types]),
            ..Default::default()
        };
        self.read(Action::DescribeBlueprints, region, &body, call)
            .await
    }

    /// Up to 100 blueprints, of whatever kind they are.
    pub async fn describe_blueprints_by_id(
        &self,
        region: Region,
        ids: Vec<String>,
    ) -> Result<Answered<DescribeBlueprintsReply>, CallError> {
        let body = DescribeBlueprintsRequest {
            blueprint_ids: Some(ids),
            limit: Some(PAGE_LIMIT_MAX.into()),
            ..Default::default()
        };
        self.read(Action::DescribeBlueprints, region, &body, None)
            .await
    }

    /// What hinders sharing each of up to 100 images. `call` is its place among the questions about more.
    pub async fn describe_images(
        &self,
        region: Region,
        ids: &[ImageId],
        call: Option<Call<'_>>,
    ) -> Result<Answered<DescribeImagesReply>, CallError> {
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let body = DescribeImagesRequest {
            image_ids: (!ids.is_empty()).then_some(ids),
            limit: Some(PAGE_LIMIT_MAX.into()),
            ..Default::default()
        };
        self.read(Action::DescribeImagesToShare, region, &body, call)
            .await
    }

    /// One page of the images that are the account's own, from `offset` on.
    pub async fn describe_own_images(
        &self,
        region: Region,
        offset: u32,
    ) -> Result<Answered<ListImagesReply>, CallError> {
        let body = DescribeImagesRequest {
            offset: Some(offset.into()),
            limit: Some(PAGE_LIMIT_MAX.into()),
            filters: Some(vec![Filter {
                name: "image-type".into(),
                values: vec!["PRIVATE_IMAGE".into()],
            }]),
            ..Default::default()
        };
        self.read(Action::DescribeImagesToShare, region, &body, None)
            .await
    }

    /// Why no call may be made for this account, if that is known.
    pub fn broken(&self) -> Option<Refusal> {
        self.known(|proof| proof.identity.refusal().or_else(|| proof.reads.broken()))
    }

    /// What is known of the credentials in use. What was known of others before says nothing of newer ones.
    pub(super) fn known<T>(&self, what: impl Fn(&CredentialStatus) -> Option<T>) -> Option<T> {
        let proof = self.proofs.newest();
        let is_past = self.connection.keys.has_newer(proof.version);
        what(&proof).filter(|_| !is_past)
    }

    /// Finds out whether there are credentials, so that what is missing on this machine is told before anything is
    /// begun.
    pub async fn prepare(&self, region: Region) -> Result<(), KeyError> {
        let current = self.connection.keys.current(&self.context, region).await;
        current.map(|_| ())
    }

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

    /// Reads once the turn has come.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        action: Action,
        region: Region,
        body: &impl Serialize,
        call: Option<Call<'_>>,
    ) -> Result<Answered<T>, CallError> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            let ready = self.ready(region).await.map_err(CallError::AccountBroken)?;
            let pass = match ready.proof.reads.pass(&self.context.host).await {
                Err(_) if self.is_outdated(&ready, rounds) => continue,
                pass => pass.map_err(CallError::AccountBroken)?,
            };
            let sent_at = self.permit_at(action, region, call).await;
            let asked = SeenAt::new(sent_at, self.context.host.now());
            if self.is_outdated(&ready, rounds) {
                continue;
            }
            let result = self.call(&ready, action, region, None, body, sent_at).await;
            let took = self.context.host.monotonic().since(sent_at);
            let again = match &result {
                Err(CallError::Refused(refusal)) if rounds < ROUNDS_MAX => {
                    self.has_newer(&ready, refusal, region).await
                }
                _ => false,
            };
            pass.settle(self.evidence(&result, Gated::Reads));
            if !again {
                return result.map(|reply| Answered { reply, asked, took });
            }
        }
    }

    /// How fast calls of `action` may leave.
    fn pace(&self, action: Action) -> Pace {
        match action {
            Action::ModifyImageSharePermission => Pace {
                per_second: self.connection.rate,
                api_limit: action.limit_per_second(),
                evenly: true,
            },
            Action::DescribeBlueprints
            | Action::DescribeImagesToShare
            | Action::GetCallerIdentity => Pace {
                per_second: action.limit_per_second(),
                api_limit: action.limit_per_second(),
                evenly: false,
            },
        }
    }

    /// Waits for the turn to call.
    pub(super) async fn permit(&self, action: Action, region: Region) -> Monotonic {
        self.permit_at(action, region, None).await
    }

    async fn permit_at(&self, action: Action, region: Region, call: Option<Call<'_>>) -> Monotonic {
        let host = &self.context.host;
        let turn = self.context.calls.queue(action, host.monotonic());
        let (bucket, pace) = (self.bucket(action, region), self.pace(action));
        let pacer = &self.context.pacer;
        let permitted = pacer.permit(host, &bucket, pace, call).await;
        turn.taken(permitted);
        permitted
    }

    /// Sends a call whose turn came at `permitted`, and sends once more if the clock was off and the reply tells the time.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        ready: &ReadyCredentials,
        action: Action,
        region: Region,
        permission: Option<Permission>,
        body: &impl Serialize,
        permitted: Monotonic,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| {
            CallError::NotSent(format!("the request cannot be written: {error}"))
        })?;
        let exchanged = self
            .exchange(ready, action, region, &body, permitted)
            .await?;
        let result = self.read_reply(action, region, permission, &exchanged);
        if result.is_ok() {
            self.connection.keys.proven(ready.issued.version);
        }
        let mut refusal = match result {
            Err(CallError::Refused(refusal)) if refusal.class == Class::ClockOff => refusal,
            result => return result,
        };
        let Exchanged {
            reply, signed_at, ..
        } = exchanged;
        let host = self.endpoint(action).host(region);
        let (at, now) = (self.access_point(&host), self.context.host.now());
        let (clocks, date) = (&self.context.clocks, reply.date.as_deref());
        if !clocks.learn(at, date, signed_at, now) {
            return Err(CallError::Refused(self.of_one_clock(refusal, action)));
        }
        if permission.is_some() {
            // A write is repeated by whoever recorded its intent: each send has an intent of its own.
            refusal.class = Class::Busy;
            return Err(CallError::Refused(refusal));
        }
        self.context.calls.repeated();
        let permitted = self.permit(action, region).await;
        let exchanged = self
            .exchange(ready, action, region, &body, permitted)
            .await?;
        let result = self.read_reply(action, region, permission, &exchanged);
        result.map_err(|error| match error {
            CallError::Refused(refusal) => CallError::Refused(self.of_one_clock(refusal, action)),
            other => other,
        })
    }

    /// Where each region has an access point, a clock that cannot be signed by is one region's trouble, not the
    /// account's.
    fn of_one_clock(&self, mut refusal: Refusal, action: Action) -> Refusal {
        let is_one_of_many = match action.service() {
            Service::Lighthouse => self.connection.endpoint.is_regional(),
            Service::Sts => false,
        };
        if refusal.class == Class::ClockOff && is_one_of_many {
            refusal.class = Class::ScopeBlocked;
        }
        refusal
    }

    /// One exchange over the transport, of a call whose turn came at `permitted`.
    async fn exchange(
        &self,
        ready: &ReadyCredentials,
        action: Action,
        region: Region,
        body: &[u8],
        permitted: Monotonic,
    ) -> Result<Exchanged, CallError> {
        self.context.calls.sent(action);
        let (endpoint, host) = (self.endpoint(action), &self.context.host);
        let access_point = endpoint.host(region);
        let at = self.access_point(&access_point);
        let timestamp = self.context.clocks.signing(at, host.now()).timestamp();
        let to = Destination {
            url: endpoint.url(region),
            host: access_point.clone(),
            service: action.service(),
            action: action.as_str(),
            region: region.as_str(),
        };
        let credentials = Some(&*ready.issued.credentials);
        let request = request(to, body, timestamp, credentials, CALL_DEADLINE)?;
        let (pacer, bucket) = (&self.context.pacer, self.bucket(action, region));
        let sent_at = host.monotonic();
        pacer.left(&bucket, permitted, sent_at);
        let result = host.send(request).await;
        pacer.ended(&bucket);
        let took = host.monotonic().since(sent_at);
        let took_ms = took.as_millis();
        self.context.calls.took(action, took);
        match result {
            Ok(reply) => {
                let arrival = Arrival {
                    now: host.now(),
                    monotonic: host.monotonic(),
                    took,
                };
                let date = reply.date.as_deref();
                self.context.clocks.replied(at, date, arrival);
                tracing::trace!(action = action.as_str(), %region, status = reply.status, took_ms, "replied");
                Ok(Exchanged {
                    reply,
                    bucket,
                    sent_at,
                    signed_at: timestamp,
                })
            }
            Err(error) => {
                tracing::debug!(action = action.as_str(), %region, took_ms, %error, "no reply");
                let error = match error {
                    TransportError::NotSent(detail) => {
                        CallError::NotSent(self.locate(action, region, &detail))
                    }
                    TransportError::Lost(detail) => {
                        CallError::Unclear(self.locate(action, region, &detail))
                    }
                };
                self.context.calls.ended(action, region, Some(&error));
                Err(error)
            }
        }
    }

    fn read_reply<T: DeserializeOwned>(
        &self,
        action: Action,
        region: Region,
        permission: Option<Permission>,
        exchanged: &Exchanged,
    ) -> Result<T, CallError> {
        let Exchanged {
            reply,
            bucket,
            sent_at,
            ..
        } = exchanged;
        let result = parse(reply, permission);
        let error = result.as_ref().err();
        self.context.calls.ended(action, region, error);
        let (pacer, now) = (&self.context.pacer, self.context.host.monotonic());
        match &result {
            Err(CallError::Refused(Refusal {
                class: Class::Throttled(reach),
                code,
                ..
            })) => {
                pacer.throttled(bucket, *reach, *sent_at, now);
                tracing::debug!(action = action.as_str(), host = %bucket.host, code, "throttled");
            }
            _ => pacer.answered(bucket, *sent_at, now),
        }
        result.map_err(|error| match error {
            CallError::Unclear(detail) => CallError::Unclear(self.locate(action, region, &detail)),
            other => other,
        })
    }

    /// Says where, because a run may use many access points.
    pub(super) fn locate(&self, action: Action, region: Region, detail: &str) -> String {
        format!("{}: {}", self.endpoint(action).host(region), brief(detail))
    }

    /// What a call's result says about the account.
    pub(super) fn evidence<T>(&self, result: &Result<T, CallError>, gated: Gated) -> Report {
        match result {
            Ok(_) => Report::Proof,
            Err(CallError::Refused(refusal)) => match refusal.class {
                Class::AccountBlocked | Class::ClockOff => Report::Broken(refusal.clone()),
                // Denied reading proves the key; denied writing proves nothing about the next write.
                Class::ScopeBlocked | Class::OurFault if gated == Gated::Writes => Report::None,
                Class::Throttled(_) => Report::None,
                _ => Report::Proof,
            },
            Err(_) => Report::None,
        }
    }
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// The answer.
    pub reply: T,
    /// When it was asked for: what it shows is no older.
    pub asked: SeenAt,
    /// How long the call took once its turn had come.
    pub took: Duration,
}

/// A call and its reply.
struct Exchanged {
    reply: Reply,
    /// What it was drawn from.
    bucket: BucketKey,
    /// When it left.
    sent_at: Monotonic,
    /// The timestamp that it was signed with.
    signed_at: i64,
}

/// Which gate a call went through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gated {
    Reads,
    Writes,
}
