//! Temporary credentials from STS. Its replies hold keys, so no part of a reply that cannot be parsed is shown. It must
//! not know what the credentials are used for.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::temporary::TemporaryCredentials;
use crate::api::asked::Asked;
use crate::api::clocks::{self, Caller};
use crate::api::context::ClientContext;
use crate::api::error::{CallError, Class};
use crate::api::exchange::{Exchange, RawReply};
use crate::api::protocol::reply;
use crate::api::protocol::sign::Credentials;
use crate::api::protocol::wire::{self, Object, ReplyBody, Service};
use crate::api::retry;
use crate::api::retry_budgets::RetryTarget;
use crate::desired::Role;
use crate::host::{Host, Reply};
use crate::model::{Endpoint, Region, Secret};

/// The default lifetime of credentials in seconds, which is also the API's.
pub(super) const SECONDS: u32 = 7_200;
/// The default name in the audit trail.
pub(super) const SESSION: &str = "sharekeeper";

/// The body of an `AssumeRole` request.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleRequest<'a> {
    role_arn: &'a str,
    role_session_name: &'a str,
    duration_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
}

/// The body of an `AssumeRoleWithWebIdentity` request.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WebIdentityRequest<'a> {
    pub(super) provider_id: &'a str,
    pub(super) web_identity_token: &'a str,
    pub(super) role_arn: &'a str,
    pub(super) role_session_name: &'a str,
    pub(super) duration_seconds: u32,
}

/// The part of both replies that is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedReply {
    credentials: Object<AssumedKeys>,
    /// In Unix seconds, by STS's clock.
    expired_time: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedKeys {
    token: String,
    tmp_secret_id: String,
    tmp_secret_key: String,
}

/// STS, as called for one region.
pub(super) struct StsClient<'a, H> {
    pub(super) context: &'a ClientContext<H>,
    pub(super) endpoint: &'a Endpoint,
    pub(super) region: Region,
    /// The caller under which the access point's clock is recorded.
    pub(super) caller: Caller,
}

impl<'a, H: Host> StsClient<'a, H> {
    /// The same client for another access point.
    pub(super) fn at(&self, endpoint: &'a Endpoint) -> StsClient<'a, H> {
        StsClient {
            context: self.context,
            endpoint,
            region: self.region,
            caller: self.caller.clone(),
        }
    }

    /// Assumes a role with the credentials `with`.
    pub(super) async fn assume_role(
        &self,
        role: &Role,
        with: &Credentials,
    ) -> Result<TemporaryCredentials, CallError> {
        let body = AssumeRoleRequest {
            role_arn: &role.arn,
            role_session_name: role.session_name.as_deref().unwrap_or(SESSION),
            duration_seconds: role.duration_seconds.unwrap_or(SECONDS),
            external_id: role.external_id.as_deref(),
        };
        let body = encode(&body)?;
        let region = self.region.as_str();
        let ask = || self.ask(Asked::AssumeRole, region, &body, Some(with));
        self.repeat(region, ask).await
    }

    async fn repeat<T, F>(&self, region: &str, ask: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let budget = self.context.retries.of(RetryTarget {
            caller: Some(self.caller.clone()),
            host: self.endpoint.host(self.region),
            region: region.into(),
        });
        retry::while_it_helps(self.context, &budget, ask).await
    }

    /// Assumes a role with a token as the identity. Of STS's answers, only the code is shown, because the text may
    /// quote the token.
    pub(super) async fn assume_role_with_web_identity(
        &self,
        region: &str,
        body: &WebIdentityRequest<'_>,
    ) -> Result<TemporaryCredentials, CallError> {
        let body = encode(body)?;
        let ask = || self.ask(Asked::AssumePodsRole, region, &body, None);
        let mut result = self.repeat(region, ask).await;
        if let Err(CallError::Refused(refusal)) = &mut result {
            refusal.message.clear();
        }
        result
    }

    /// One exchange, and a second one if STS refused the signature as too old and the reply shows the time to sign
    /// with.
    async fn ask(
        &self,
        asked: Asked,
        region: &str,
        body: &[u8],
        with: Option<&Credentials>,
    ) -> Result<TemporaryCredentials, CallError> {
        let exchange = Exchange {
            context: self.context,
            caller: &self.caller,
            endpoint: self.endpoint,
            access_region: self.region,
            service: Service::Sts,
            action: asked.action(),
            region,
            credentials: with,
            body,
        };
        let RawReply { reply, signed_at } = self.send(&exchange).await?;
        let date = reply.date.clone();
        match read(&exchange, asked, reply) {
            Err(CallError::Refused(refusal)) if refusal.class == Class::ClockOff => {
                if !exchange.learn_clock(date.as_deref(), signed_at) {
                    return Err(CallError::Refused(refusal));
                }
                let again = self.send(&exchange).await?;
                read(&exchange, asked, again.reply)
            }
            result => result,
        }
    }

    async fn send(&self, exchange: &Exchange<'_, H>) -> Result<RawReply, CallError> {
        self.context.calls.read_sent();
        let signed = exchange.sign()?;
        let sent = exchange.send(signed, self.context.host.monotonic()).await;
        sent.map_err(|error| exchange.unanswered(error))
    }
}

fn read<H: Host>(
    exchange: &Exchange<'_, H>,
    asked: Asked,
    reply: Reply,
) -> Result<TemporaryCredentials, CallError> {
    let (status, date) = (reply.status, reply.date);
    let body = Zeroizing::new(reply.body);
    let Ok(ReplyBody { error, request_id }) = wire::response(&body) else {
        let detail = format!("answered HTTP {status} with something other than the API's JSON");
        return Err(CallError::Unclear(exchange.locate(&detail).into()));
    };
    if let Some(error) = error {
        let mut refusal = reply::refusal(error, request_id, asked, &exchange.host());
        if let Class::Throttled(_) = refusal.class {
            // There is no bucket that could slow down.
            refusal.class = Class::Busy;
        }
        return Err(CallError::Refused(refusal));
    }
    if status != 200 {
        let detail = format!("answered HTTP {status}");
        return Err(CallError::Unclear(exchange.locate(&detail).into()));
    }
    let AssumedReply {
        credentials: Object(temporary),
        expired_time,
    } = wire::response(&body)
        .map_err(|error| CallError::Unclear(exchange.locate(&shape_error(&error)).into()))?;
    TemporaryCredentials::new(
        temporary.tmp_secret_id,
        temporary.tmp_secret_key,
        temporary.token,
        expired_time,
        date.as_deref(),
    )
    .map_err(|detail| CallError::Unclear(exchange.locate(&detail).into()))
}

/// The place in a reply with secrets that could not be parsed. Serde's own message quotes the reply, so it is not
/// shown.
pub(super) fn shape_error(error: &serde_json::Error) -> String {
    format!(
        "the reply has an unexpected shape, at line {}, column {}",
        error.line(),
        error.column()
    )
}

fn encode(body: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, CallError> {
    serde_json::to_vec(body)
        .map(Zeroizing::new)
        .map_err(|_| CallError::NotSent("the request cannot be written".into()))
}

impl TemporaryCredentials {
    /// Takes over the parts of a reply with the time `date`, if they are valid.
    pub(super) fn new(
        id: String,
        key: String,
        token: String,
        expires: i64,
        date: Option<&str>,
    ) -> Result<Self, String> {
        let (key, token) = (Secret::new(key), Secret::new(token));
        let all = [id.as_str(), key.expose(), token.expose()];
        if all
            .iter()
            .any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err("the reply holds invalid credentials".into());
        }
        Ok(Self {
            credentials: Credentials::new(id, key, Some(token)),
            expires,
            issued_at: clocks::parse_date(date),
        })
    }
}
