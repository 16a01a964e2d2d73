//! One call: signed, paced, bounded, and its reply typed. [`ReadClient`] has no way to write;
//! [`super::WriteClient`] adds the one action that does. Neither repeats a call, but for a clock that is off.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{CallError, Class, Refusal};
use super::gate::{Evidence, Gate};
use super::identity::{self, Identity};
use super::reply::parse;
use super::retry;
use super::shared::Shared;
use super::sign::{CONTENT_TYPE, Credentials, ToSign};
use super::wire::{
    Action, CallerIdentity, CallerIdentityRequest, DescribeBlueprintsReply,
    DescribeBlueprintsRequest, DescribeImagesReply, DescribeImagesRequest, Filter, PAGE_LIMIT_MAX,
    Service,
};
use crate::host::{Header, Host, Reply, Request, TransportError};
use crate::model::{AccountName, Endpoint, ImageId, Moment, Permission, Region, Uin};
use crate::pace::{BucketKey, Pace};
use crate::words::brief;

/// For connecting, sending and reading one call. Below the 10 s in which a stopping process must be
/// gone, so that a call in flight can still settle.
const CALL_DEADLINE: Duration = Duration::from_secs(8);
/// Writes a second where nothing is said: the console shares the quota of 20.
pub const DEFAULT_RATE: u32 = 19;

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
    /// The key.
    pub credentials: Credentials,
}

/// One account's client without any method that writes.
pub struct ReadClient<H> {
    shared: Rc<Shared<H>>,
    connection: Connection,
    /// Where STS answers.
    sts: Endpoint,
    secret_id: Rc<str>,
    /// Whether the key is the account's own.
    identity: Identity,
    /// Whether the key works at all.
    gate: Gate,
}

impl<H: Host> ReadClient<H> {
    /// A client for one account and key. That an account must not be called it does not forget: a run that
    /// comes later makes a new one.
    pub fn new(shared: Rc<Shared<H>>, connection: Connection) -> Self {
        let secret_id = connection.credentials.secret_id.as_str().into();
        let sts = connection.endpoint.sts();
        Self {
            shared,
            connection,
            sts,
            secret_id,
            identity: Identity::default(),
            gate: Gate::default(),
        }
    }

    /// What it shares with the run's other clients.
    pub fn shared(&self) -> &Shared<H> {
        &self.shared
    }

    /// The bucket that calls of `action` for `region` draw from.
    pub fn bucket(&self, action: Action, region: Region) -> BucketKey {
        BucketKey {
            secret_id: Rc::clone(&self.secret_id),
            host: self.endpoint(action).host(region).into(),
            action: action.as_str(),
        }
    }

    fn endpoint(&self, action: Action) -> &Endpoint {
        match action.service() {
            Service::Lighthouse => &self.connection.endpoint,
            Service::Sts => &self.sts,
        }
    }

    /// Writes a second per access point.
    pub fn rate(&self) -> u32 {
        self.connection.rate
    }

    /// One page of the blueprints that may stand for a shared image.
    pub async fn describe_blueprints(
        &self,
        region: Region,
        offset: u32,
    ) -> Result<DescribeBlueprintsReply, CallError> {
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
        self.read(Action::DescribeBlueprints, region, &body).await
    }

    /// What hinders sharing each of up to 100 images.
    pub async fn describe_images(
        &self,
        region: Region,
        ids: &[ImageId],
    ) -> Result<DescribeImagesReply, CallError> {
        let body = DescribeImagesRequest {
            image_ids: Some(ids.iter().map(ToString::to_string).collect()),
            limit: Some(PAGE_LIMIT_MAX.into()),
            ..Default::default()
        };
        self.read(Action::DescribeImagesToShare, region, &body)
            .await
    }

    /// Whose the key is, asked once. The region is a required parameter (the action's documentation), and
    /// changes nothing about the answer. Asked whatever is known of the account: that is how it gets known.
    pub async fn caller_identity(&self, region: Region) -> Result<CallerIdentity, CallError> {
        let (action, body) = (Action::GetCallerIdentity, CallerIdentityRequest::default());
        let sent_at = self.permit(action, region).await;
        self.call(action, region, None, &body, sent_at).await
    }

    /// Why no call may be made for this account, if that is known.
    pub fn broken(&self) -> Option<Refusal> {
        self.identity.refusal().or_else(|| self.gate.broken())
    }

    /// Waits until it is known that the key is the account's own; the refusal if it is not. Every call but
    /// the one that finds it out comes this way first.
    pub(super) async fn identify(&self, region: Region) -> Result<(), Refusal> {
        let Some(uin) = &self.connection.uin else {
            return Ok(());
        };
        let find_out = async {
            let ask = || self.caller_identity(region);
            let answer = retry::while_it_helps(&self.shared, ask).await;
            identity::judge(&self.connection.account, uin, answer)
        };
        self.identity.settle(find_out).await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        action: Action,
        region: Region,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        self.identify(region)
            .await
            .map_err(CallError::AccountBroken)?;
        let pass = self
            .gate
            .pass(&self.shared.host)
            .await
            .map_err(CallError::AccountBroken)?;
        let sent_at = self.permit(action, region).await;
        let result = self.call(action, region, None, body, sent_at).await;
        pass.settle(self.evidence(&result, Gated::Reads));
        result
    }

    /// Waits for the turn to call.
    pub(super) async fn permit(&self, action: Action, region: Region) -> Moment {
        let pace = match action {
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
        };
        let host = &self.shared.host;
        let turn = self.shared.calls.queue(action, host.moment());
        let bucket = self.bucket(action, region);
        let sent_at = self.shared.pacer.permit(host, &bucket, pace).await;
        turn.taken(sent_at);
        sent_at
    }

    /// Sends, and sends once more if the clock was off and the reply tells the time.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        action: Action,
        region: Region,
        permission: Option<Permission>,
        body: &impl Serialize,
        sent_at: Moment,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| {
            CallError::NotSent(format!("the request cannot be written: {error}"))
        })?;
        let (reply, signed_at) = self.exchange(action, region, &body, sent_at).await?;
        let result = self.read_reply(action, region, permission, &reply, sent_at);
        let mut refusal = match result {
            Err(CallError::Refused(refusal)) if refusal.class == Class::ClockOff => refusal,
            result => return result,
        };
        if !self.shared.learn(reply.date.as_deref(), signed_at) {
            return Err(CallError::Refused(refusal));
        }
        if permission.is_some() {
            // A write is repeated by whoever recorded its intent: each send has an intent of its own.
            refusal.class = Class::Busy;
            return Err(CallError::Refused(refusal));
        }
        self.shared.calls.repeated();
        let sent_at = self.permit(action, region).await;
        let (reply, _) = self.exchange(action, region, &body, sent_at).await?;
        self.read_reply(action, region, permission, &reply, sent_at)
    }

    /// One exchange over the transport; also the timestamp it was signed with.
    async fn exchange(
        &self,
        action: Action,
        region: Region,
        body: &[u8],
        sent_at: Moment,
    ) -> Result<(Reply, i64), CallError> {
        self.shared.calls.sent(action);
        let timestamp = self.shared.now().timestamp();
        let request = self.request(action, region, body, timestamp)?;
        let host = &self.shared.host;
        let result = host.send(request).await;
        let took = host.moment().since(sent_at);
        let took_ms = took.as_millis();
        self.shared.calls.took(action, took);
        match result {
            Ok(reply) => {
                tracing::trace!(action = action.as_str(), %region, status = reply.status, took_ms, "replied");
                Ok((reply, timestamp))
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
                self.shared.calls.ended(action, region, Some(&error));
                Err(error)
            }
        }
    }

    fn request(
        &self,
        action: Action,
        region: Region,
        body: &[u8],
        timestamp: i64,
    ) -> Result<Request, CallError> {
        let (endpoint, credentials) = (self.endpoint(action), &self.connection.credentials);
        let host = endpoint.host(region);
        let to_sign = ToSign {
            service: action.service().as_str(),
            host: &host,
            content_type: CONTENT_TYPE,
            timestamp,
            body,
            extra_headers: &[],
        };
        let authorization = to_sign
            .authorization(credentials)
            .map_err(|error| CallError::NotSent(format!("cannot sign: {error}")))?;
        let plain = |name, value: String| Header {
            name,
            value,
            secret: false,
        };
        let mut headers = vec![
            plain("host", host),
            plain("content-type", CONTENT_TYPE.into()),
            plain("x-tc-action", action.as_str().into()),
            plain("x-tc-version", action.service().version().into()),
            plain("x-tc-timestamp", timestamp.to_string()),
            plain("x-tc-region", region.as_str().into()),
            // Reasons come localised, in Chinese unless asked otherwise.
            plain("x-tc-language", "en-US".into()),
            plain(
                "x-tc-requestclient",
                concat!("sharekeeper/", env!("CARGO_PKG_VERSION")).into(),
            ),
            Header {
                name: "authorization",
                value: authorization,
                secret: true,
            },
        ];
        if let Some(token) = &credentials.token {
            headers.push(Header {
                name: "x-tc-token",
                value: token.expose().into(),
                secret: true,
            });
        }
        Ok(Request {
            url: endpoint.url(region),
            headers,
            body: body.to_vec(),
            deadline: CALL_DEADLINE,
        })
    }

    fn read_reply<T: DeserializeOwned>(
        &self,
        action: Action,
        region: Region,
        permission: Option<Permission>,
        reply: &Reply,
        sent_at: Moment,
    ) -> Result<T, CallError> {
        let result = parse(reply, permission);
        let error = result.as_ref().err();
        self.shared.calls.ended(action, region, error);
        let (pacer, now) = (&self.shared.pacer, self.shared.host.moment());
        let bucket = self.bucket(action, region);
        match &result {
            Err(CallError::Refused(Refusal {
                class: Class::Throttled(reach),
                code,
                ..
            })) => {
                pacer.throttled(&bucket, *reach, sent_at, now);
                tracing::debug!(action = action.as_str(), host = %bucket.host, code, "throttled");
            }
            _ => pacer.answered(&bucket, now),
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
    pub(super) fn evidence<T>(&self, result: &Result<T, CallError>, gated: Gated) -> Evidence {
        match result {
            Ok(_) => Evidence::Proof,
            Err(CallError::Refused(refusal)) => match refusal.class {
                Class::AccountBlocked | Class::ClockOff => Evidence::Broken(refusal.clone()),
                // Denied reading proves the key; denied writing proves nothing about the next write.
                Class::ScopeBlocked | Class::OurFault if gated == Gated::Writes => Evidence::None,
                Class::Throttled(_) => Evidence::None,
                _ => Evidence::Proof,
            },
            Err(_) => Evidence::None,
        }
    }
}

/// Which gate a call went through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gated {
    Reads,
    Writes,
}
