//! The machine's own role, from the metadata service of a CVM instance.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::provider_kind::Metadata;
use super::sts::shape_error;
use super::temporary::TemporaryCredentials;
use crate::api::asked::Asked;
use crate::api::context::ClientContext;
use crate::api::error::{CallError, Class, Refusal};
use crate::api::protocol::wire::Object;
use crate::api::retry;
use crate::api::retry_budgets::RetryTarget;
use crate::desired::Role;
use crate::host::{Header, Host, Method, Reply, ReplyBody, Request};
use crate::words::brief;

/// The path of the roles' names, and below it their credentials.
const PATH: &str = "/latest/meta-data/cam/security-credentials/";
/// The service is on the machine's own network, so it answers at once or does not exist.
const DEADLINE: Duration = Duration::from_secs(1);

/// Whether there are credentials. Read first, because without them the rest may be anything.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Success {
    code: String,
}

/// A role's credentials. No part of them is shown.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    tmp_secret_id: String,
    tmp_secret_key: String,
    token: String,
    expired_time: i64,
}

/// Fetches the role's credentials.
pub(super) async fn fetch<H: Host>(
    context: &ClientContext<H>,
    from: &Metadata,
) -> Result<TemporaryCredentials, CallError> {
    let role = match &from.role {
        Some(role) => role.clone(),
        None => name(context, from).await?,
    };
    let path = format!("{PATH}{role}");
    let reply = get(context, from, &path).await?;
    if reply.status == 404 {
        let detail = format!(
            "this machine has no role `{}`; bind it to the instance in the CVM console",
            brief(&role)
        );
        return Err(CallError::NotSent(detail.into()));
    }
    let (body, date) = (Zeroizing::new(reply.body), reply.date);
    if reply.status != 200 {
        return Err(answered(reply.status));
    }
    let Success { code } = read(&body)?;
    if code != "Success" {
        let refusal = Refusal {
            code: brief(&code),
            message: String::new(),
            request_id: None,
            class: Class::Unclear,
            asked: Some(Asked::MachinesRole),
            relay: None,
        };
        let remedy = refusal.remedy().unwrap_or_default();
        let code = refusal.code;
        let detail = format!("the role's credentials are not available: `{code}` ({remedy})");
        return Err(CallError::Unclear(detail.into()));
    }
    let role_credentials: RoleCredentials = read(&body)?;
    TemporaryCredentials::new(
        role_credentials.tmp_secret_id,
        role_credentials.tmp_secret_key,
        role_credentials.token,
        role_credentials.expired_time,
        date.as_deref(),
    )
    .map_err(|detail| CallError::Unclear(detail.into()))
}

/// Parses a document. No part of it is quoted.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    let read = serde_json::from_slice::<Object<T>>(body);
    let read = read.map_err(|error| CallError::Unclear(shape_error(&error).into()))?;
    Ok(read.0)
}

/// The name of the machine's role.
async fn name<H: Host>(context: &ClientContext<H>, from: &Metadata) -> Result<String, CallError> {
    let reply = get(context, from, PATH).await?;
    if reply.status == 404 {
        let detail = "this machine has no role; bind one to the instance in the CVM console";
        return Err(CallError::NotSent(detail.into()));
    }
    if reply.status != 200 {
        return Err(answered(reply.status));
    }
    let name = String::from_utf8(reply.body).unwrap_or_default();
    let name = name.trim();
    if !Role::is_name(name) {
        let detail = "the name of this machine's role cannot be one";
        return Err(CallError::Unclear(detail.into()));
    }
    Ok(name.to_owned())
}

/// Asks, and repeats the request if that may help. If the machine's role is only the last source to try, the service
/// most likely does not exist, so one answer is needed before repeating.
async fn get<H: Host>(
    context: &ClientContext<H>,
    from: &Metadata,
    path: &str,
) -> Result<Reply, CallError> {
    let url = format!("{}{path}", from.url);
    let send = || async {
        let sent = context.host.send(request(url.clone(), &from.url)).await;
        sent.map_err(|error| CallError::no_reply(error, brief))
    };
    if from.tried.is_some() {
        let reply = send().await?;
        if !is_passing(reply.status) {
            return Ok(reply);
        }
        retry::pause(context, 1).await;
    }
    let ask = || async {
        let reply = send().await?;
        if is_passing(reply.status) {
            return Err(answered(reply.status));
        }
        Ok(reply)
    };
    let budget = context.retries.of(RetryTarget {
        caller: None,
        host: from.url.clone(),
        region: "".into(),
    });
    retry::while_it_helps(context, &budget, ask).await
}

/// Whether the status means that another answer may come soon.
fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 500..=599)
}

fn request(url: String, base: &str) -> Request {
    Request {
        method: Method::Get,
        url,
        headers: vec![Header {
            name: "host",
            value: base.trim_start_matches("http://").to_owned(),
            secret: false,
        }],
        body: Vec::new(),
        deadline: DEADLINE,
        reads: ReplyBody::Whole,
    }
}

fn answered(status: u16) -> CallError {
    CallError::Unclear(format!("the metadata service answered HTTP {status}").into())
}
