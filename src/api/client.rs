//! One call: signed, paced, bounded, and its reply typed. [`ReadClient`] has no way to write;
//! [`WriteClient`] adds the one action that does. Neither repeats a call, but for a clock that is off.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{CallError, Class, Refusal};
use super::gate::{Evidence, Gate, Pass};
use super::reply::parse;
use super::sign::{CONTENT_TYPE, Credentials, ToSign};
use super::wire::{
    Action, DescribeBlueprintsReply, DescribeBlueprintsRequest, DescribeImagesReply,
    DescribeImagesRequest, Filter, ModifyReply, ModifyRequest, PAGE_LIMIT_MAX, SERVICE, VERSION,
};
use crate::host::{Header, Host, Reply, Request, TransportError};
use crate::model::{Endpoint, ImageId, Moment, Permission, Region, Timestamp};
use crate::pace::{BucketKey, Pace, Pacer};
use crate::words::brief;

/// For connecting, sending and reading one call. Below the 10 s in which a stopping process must be
/// gone, so that a call in flight can still settle.
const CALL_DEADLINE: Duration = Duration::from_secs(8);
/// Writes a second where nothing is said: the console shares the quota of 20.
pub const DEFAULT_RATE: u32 = 19;
/// A clock further off than this is not corrected but reported.
const CLOCK_OFFSET_MAX: TimeDelta = TimeDelta::hours(24);

/// Where and as whom to call.
pub struct Connection {
    /// The access point.
    pub endpoint: Endpoint,
    /// Writes a second per access point, 1 to 20.
    pub rate: u32,
    /// The key.
    pub credentials: Credentials,
}

/// Calls made so far, by a whole run.
#[derive(Debug, Default)]
pub struct Calls {
    /// Describe calls sent.
    pub reads: Cell<u64>,
    /// Those of them that list blueprints.
    pub listings: Cell<u64>,
    /// Modify calls sent.
    pub writes: Cell<u64>,
    /// Replies that said the rate was exceeded.
    pub throttled: Cell<u64>,
}

/// What the clients of a run have in common.
pub struct Shared<H> {
    /// Time, network, dice.
    pub host: H,
    /// The rate buckets.
    pub pacer: Pacer,
    /// The count of calls.
    pub calls: Calls,
    /// Server time minus ours, learned from a `Date` header.
    clock_offset: Cell<TimeDelta>,
}

impl<H: Host> Shared<H> {
    /// Full buckets, nothing counted, the clock trusted.
    pub fn new(host: H) -> Rc<Self> {
        Rc::new(Self {
            host,
            pacer: Pacer::default(),
            calls: Calls::default(),
            clock_offset: Cell::default(),
        })
    }

    /// Wall time, corrected by what the server's `Date` has taught us.
    pub fn now(&self) -> Timestamp {
        let now = self.host.now();
        now.checked_add_signed(self.clock_offset.get())
            .unwrap_or(now)
    }

    /// Learns the server's time from `date`. True if signing again with it may help.
    fn learn(&self, date: Option<&str>, signed_at: i64) -> bool {
        let Some(server) = date.and_then(|d| DateTime::parse_from_rfc2822(d).ok()) else {
            return false;
        };
        let server = server.with_timezone(&Utc);
        let offset = server - self.host.now();
        if offset.abs() > CLOCK_OFFSET_MAX || (server.timestamp() - signed_at).abs() < 2 {
            return false;
        }
        if (offset - self.clock_offset.get()).abs() > TimeDelta::seconds(2) {
            tracing::warn!(
                seconds = offset.num_seconds(),
                "this machine's clock differs from the API's; signing with the API's time (set the clock)"
            );
        }
        self.clock_offset.set(offset);
        true
    }
}

/// One account's client without any method that writes.
pub struct ReadClient<H> {
    shared: Rc<Shared<H>>,
    connection: Connection,
    secret_id: Rc<str>,
    /// Whether the key works at all.
    gate: Gate,
}

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

impl<H: Host> ReadClient<H> {
    /// A client for one account.
    pub fn new(shared: Rc<Shared<H>>, connection: Connection) -> Self {
        let secret_id = connection.credentials.secret_id.as_str().into();
        Self {
            shared,
            connection,
            secret_id,
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
            host: self.connection.endpoint.host(region).into(),
            action: action.as_str(),
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

    async fn read<T: DeserializeOwned>(
        &self,
        action: Action,
        region: Region,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
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

    async fn permit(&self, action: Action, region: Region) -> Moment {
        let pace = match action {
            Action::ModifyImageSharePermission => Pace {
                per_second: self.connection.rate,
                api_limit: action.limit_per_second(),
                evenly: true,
            },
            Action::DescribeBlueprints | Action::DescribeImagesToShare => Pace {
                per_second: action.limit_per_second(),
                api_limit: action.limit_per_second(),
                evenly: false,
            },
        };
        self.shared
            .pacer
            .permit(&self.shared.host, &self.bucket(action, region), pace)
            .await
    }

    /// Sends, and sends once more if the clock was off and the reply tells the time.
    async fn call<T: DeserializeOwned>(
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
        let clock_off = matches!(&result, Err(CallError::Refused(r)) if r.class == Class::ClockOff);
        if !clock_off || !self.shared.learn(reply.date.as_deref(), signed_at) {
            return result;
        }
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
        let calls = &self.shared.calls;
        let count = match action {
            Action::ModifyImageSharePermission => &calls.writes,
            Action::DescribeBlueprints | Action::DescribeImagesToShare => &calls.reads,
        };
        count.set(count.get() + 1);
        if action == Action::DescribeBlueprints {
            calls.listings.set(calls.listings.get() + 1);
        }
        let timestamp = self.shared.now().timestamp();
        let request = self.request(action, region, body, timestamp)?;
        let host = &self.shared.host;
        let result = host.send(request).await;
        let took_ms = host.moment().since(sent_at).as_millis();
        match result {
            Ok(reply) => {
                tracing::trace!(action = action.as_str(), %region, status = reply.status, took_ms, "replied");
                Ok((reply, timestamp))
            }
            Err(error) => {
                tracing::debug!(action = action.as_str(), %region, took_ms, %error, "no reply");
                Err(match error {
                    TransportError::NotSent(detail) => {
                        CallError::NotSent(self.locate(region, &detail))
                    }
                    TransportError::Lost(detail) => {
                        CallError::Unclear(self.locate(region, &detail))
                    }
                })
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
        let Connection {
            endpoint,
            credentials,
            ..
        } = &self.connection;
        let host = endpoint.host(region);
        let to_sign = ToSign {
            service: SERVICE,
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
            plain("x-tc-version", VERSION.into()),
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
        let (pacer, now) = (&self.shared.pacer, self.shared.host.moment());
        let bucket = self.bucket(action, region);
        match &result {
            Err(CallError::Refused(Refusal {
                class: Class::Throttled(reach),
                code,
                ..
            })) => {
                let throttled = &self.shared.calls.throttled;
                throttled.set(throttled.get() + 1);
                pacer.throttled(&bucket, *reach, sent_at, now);
                tracing::debug!(action = action.as_str(), host = %bucket.host, code, "throttled");
            }
            _ => pacer.answered(&bucket, now),
        }
        result.map_err(|error| match error {
            CallError::Unclear(detail) => CallError::Unclear(self.locate(region, &detail)),
            other => other,
        })
    }

    /// Says where, because a run may use many access points.
    fn locate(&self, region: Region, detail: &str) -> String {
        format!(
            "{}: {}",
            self.connection.endpoint.host(region),
            brief(detail)
        )
    }

    fn evidence<T>(&self, result: &Result<T, CallError>, gated: Gated) -> Evidence {
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
enum Gated {
    Reads,
    Writes,
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
        self.read.gate.broken().or_else(|| self.gate.broken())
    }

    /// Waits for the turn to write for `region`. Dropping the future gives the turn up.
    pub async fn permit(&self, region: Region) -> Result<WritePermit<'_>, Refusal> {
        if let Some(refusal) = self.read.gate.broken() {
            return Err(refusal);
        }
        let pass = self.gate.pass(&self.read.shared.host).await?;
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
            return Err(CallError::Unclear(self.read.locate(region, detail)));
        };
        Ok(Modified {
            blueprint_id: blueprint_id.filter(|id| !id.is_empty()),
            request_id: reply.request_id,
        })
    }
}
