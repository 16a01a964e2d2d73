//! One call of an account: it waits for its permit, is sent, counted and timed, and its reply is parsed. A call is
//! repeated only for a wrong clock or for replaced credentials. It must not know the purpose of the call.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::asked::Asked;
use super::circuit_breaker::Report;
use super::client::{ReadClient, TimedReply};
use super::error::{CallError, Class, Refusal};
use super::exchange::{self, Exchange, RawReply};
use super::protocol::reply::parse;
use super::protocol::wire::{Action, Service};
use super::ready_credentials::{ROUNDS_MAX, ReadyCredentials};
use crate::host::Host;
use crate::model::{Monotonic, Permission, Region};
use crate::observation::ObservedAt;
use crate::pace::{BucketKey, GroupCall, Permit};

/// A call whose reply has not been parsed yet.
struct AnsweredCall {
    raw: RawReply,
    /// The bucket that its permit came from.
    bucket: BucketKey,
    sent_at: Monotonic,
}

/// The circuit breaker that a call goes through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    Read,
    /// A read that no other call depends on.
    SideRead,
    Write,
}

impl CallKind {
    /// The kind of a call that changes nothing.
    fn of_read(action: Action) -> Self {
        match action {
            Action::DescribeInstances | Action::DescribeImages => Self::SideRead,
            Action::ModifyImageSharePermission
            | Action::DescribeBlueprints
            | Action::DescribeImagesToShare
            | Action::GetCallerIdentity => Self::Read,
        }
    }
}

impl<H: Host> ReadClient<H> {
    /// Makes a call that changes nothing, once it has its permit. `call` is its place in a group.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        action: Action,
        region: Region,
        body: &impl Serialize,
        call: Option<GroupCall<'_>>,
    ) -> Result<TimedReply<T>, CallError> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            let ready = self.ready(region).await.map_err(CallError::AccountBroken)?;
            let admitted = match ready.status.reads.admit(&self.context.host).await {
                Err(_) if self.is_outdated(&ready, rounds) => continue,
                admitted => admitted.map_err(CallError::AccountBroken)?,
            };
            let permit = self.permit_at(action, region, call).await;
            let _place = self.context.in_flight.read().await;
            let sent_at = self.context.host.monotonic();
            let asked = ObservedAt::new(sent_at, self.context.host.now());
            if self.is_outdated(&ready, rounds) {
                continue;
            }
            let result = self.call(&ready, action, region, None, body, permit).await;
            let took = self.context.host.monotonic().since(sent_at);
            // A key that CVM rejects may still work at Lighthouse.
            let is_cvm = action.service() == Service::Cvm;
            let again = match &result {
                Err(CallError::Refused(refusal)) if rounds < ROUNDS_MAX && !is_cvm => {
                    self.has_newer(&ready, refusal, region).await
                }
                _ => false,
            };
            admitted.settle(self.report(&result, CallKind::of_read(action)));
            if !again {
                return result.map(|reply| TimedReply { reply, asked, took });
            }
        }
    }

    /// Waits until a call may be sent.
    pub(super) async fn permit(&self, action: Action, region: Region) -> Permit {
        self.permit_at(action, region, None).await
    }

    async fn permit_at(
        &self,
        action: Action,
        region: Region,
        call: Option<GroupCall<'_>>,
    ) -> Permit {
        let host = &self.context.host;
        let queued = self.context.calls.enqueue(action, host.monotonic());
        self.claim_rate(region);
        let (bucket, pace) = (self.bucket(action, region), self.pace(action));
        let pacer = &self.context.pacer;
        let permit = pacer.permit(host, &bucket, pace, call).await;
        queued.permitted(permit.at());
        permit
    }

    /// Makes a call that has its permit. A read is sent once more if the API refused its signature as too old and the
    /// reply shows the time to sign with.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        ready: &ReadyCredentials,
        action: Action,
        region: Region,
        permission: Option<Permission>,
        body: &impl Serialize,
        permit: Permit,
    ) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| {
            CallError::NotSent(format!("the request cannot be written: {error}").into())
        })?;
        let exchange = Exchange {
            context: &self.context,
            caller: &self.caller,
            endpoint: self.endpoint(action),
            access_region: region,
            service: action.service(),
            action: action.as_str(),
            region: region.as_str(),
            credentials: Some(&ready.lease.credentials),
            body: &body,
        };
        let answered = self.send(&exchange, action, permit).await?;
        let result = self.read_reply(&exchange, action, permission, &answered);
        if result.is_ok() {
            self.connection.provider.accepted(ready.lease.version);
        }
        let mut refusal = match result {
            Err(CallError::Refused(refusal)) if refusal.class == Class::ClockOff => refusal,
            result => return result,
        };
        let RawReply { reply, signed_at } = answered.raw;
        if !exchange.learn_clock(reply.date.as_deref(), signed_at) {
            return Err(CallError::Refused(self.of_one_clock(refusal, action)));
        }
        if permission.is_some() {
            // The owner of the intent repeats a write, because each send needs its own intent.
            refusal.class = Class::Busy;
            return Err(CallError::Refused(refusal));
        }
        self.context.calls.repeated();
        let permit = self.permit(action, region).await;
        let answered = self.send(&exchange, action, permit).await?;
        let result = self.read_reply(&exchange, action, permission, &answered);
        result.map_err(|error| match error {
            CallError::Refused(refusal) => CallError::Refused(self.of_one_clock(refusal, action)),
            other => other,
        })
    }

    /// If each region has its own access point, a clock that is too wrong to sign with blocks one region, not the
    /// account.
    fn of_one_clock(&self, mut refusal: Refusal, action: Action) -> Refusal {
        let is_one_of_many = match action.service() {
            Service::Lighthouse => self.connection.endpoint.is_regional(),
            Service::Sts | Service::Cvm => false,
        };
        if refusal.class == Class::ClockOff && is_one_of_many {
            refusal.class = Class::ScopeBlocked;
        }
        refusal
    }

    /// Sends a call that has its permit, and counts and times it.
    async fn send(
        &self,
        exchange: &Exchange<'_, H>,
        action: Action,
        permit: Permit,
    ) -> Result<AnsweredCall, CallError> {
        let (calls, pacer, host) = (&self.context.calls, &self.context.pacer, &self.context.host);
        let region = exchange.access_region;
        calls.sent(action);
        let signed = exchange.sign()?;
        let bucket = self.bucket(action, region);
        let sent_at = host.monotonic();
        pacer.left(&bucket, permit, sent_at);
        let result = exchange.send(signed, sent_at).await;
        pacer.ended(&bucket);
        let took = host.monotonic().since(sent_at);
        let took_ms = took.as_millis();
        calls.took(action, took);
        match result {
            Ok(raw) => {
                let status = raw.reply.status;
                tracing::trace!(action = action.as_str(), %region, status, took_ms, "replied");
                Ok(AnsweredCall {
                    raw,
                    bucket,
                    sent_at,
                })
            }
            Err(error) => {
                tracing::debug!(action = action.as_str(), %region, took_ms, %error, "no reply");
                let error = exchange.unanswered(error);
                calls.ended(&self.connection.account, action, region, Some(&error));
                Err(error)
            }
        }
    }

    fn read_reply<T: DeserializeOwned>(
        &self,
        exchange: &Exchange<'_, H>,
        action: Action,
        permission: Option<Permission>,
        answered: &AnsweredCall,
    ) -> Result<T, CallError> {
        let AnsweredCall {
            raw,
            bucket,
            sent_at,
        } = answered;
        let result = parse(&raw.reply, Asked::of(action, permission), &bucket.host);
        let error = result.as_ref().err();
        let (account, region) = (&self.connection.account, exchange.access_region);
        self.context.calls.ended(account, action, region, error);
        let (pacer, now) = (&self.context.pacer, self.context.host.monotonic());
        match &result {
            Err(CallError::Refused(Refusal {
                class: Class::Throttled(scope),
                code,
                ..
            })) => {
                pacer.throttled(bucket, *scope, *sent_at, now);
                tracing::debug!(action = action.as_str(), host = %bucket.host, code, "throttled");
            }
            _ => pacer.answered(bucket, *sent_at, now),
        }
        result.map_err(|error| match error {
            CallError::Unclear(detail) => {
                CallError::Unclear(exchange.locate(&detail.to_string()).into())
            }
            other => other,
        })
    }

    /// Adds the access point to `detail`, because a run may use many.
    pub(super) fn locate(&self, action: Action, region: Region, detail: &str) -> String {
        exchange::locate(self.endpoint(action), region, detail)
    }

    /// Reports to the circuit breaker what the result of a call shows about the account.
    pub(super) fn report<T>(&self, result: &Result<T, CallError>, kind: CallKind) -> Report {
        match result {
            Ok(_) => Report::Healthy,
            Err(CallError::Refused(refusal)) => match refusal.class {
                // If a key does not work at all, the next call that something depends on shows it.
                Class::AccountBlocked | Class::ClockOff if kind == CallKind::SideRead => {
                    Report::Inconclusive
                }
                Class::AccountBlocked | Class::ClockOff => Report::Broken(refusal.clone()),
                // A denied read proves that the key works. A denied write proves nothing about the next write.
                Class::ScopeBlocked | Class::OurFault if kind == CallKind::Write => {
                    Report::Inconclusive
                }
                Class::Throttled(_) => Report::Inconclusive,
                _ => Report::Healthy,
            },
            Err(_) => Report::Inconclusive,
        }
    }
}
