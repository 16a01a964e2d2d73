//! Makes the request of a delivery in each format: body, headers and signature. The text for people comes from `message`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::json;

use super::batch::Batch;
use super::url::WebhookUrl;
use super::{escape, message};
use crate::api::protocol::sign::{CONTENT_TYPE, hmac};
use crate::host::{Header, Method, ReplyBody, Request};
use crate::model::{AccountName, ImageId, Secret, Selector, Timestamp};
use crate::status::{Extent, Subject, Transition};
use crate::words::safe;

/// Time limit for connecting, sending and the headers of the reply. A receiver that answers later may still have accepted
/// the message.
const DEADLINE: Duration = Duration::from_secs(30);
/// How much of a reply's body is read. A chat's verdict has about 100 bytes, and comes together with the headers.
const REPLY_BODY: ReplyBody = ReplyBody::Within {
    wait: Duration::from_secs(5),
    bytes_max: 64 * 1024,
};
/// The most transitions in one JSON document; the rest goes into the next one.
pub(super) const LISTED_MAX: usize = 100;
/// Longest message of a transition in a JSON document.
const MESSAGE_CHARS_MAX: usize = 2000;
/// Slack cuts texts of more than 40,000 characters.
const SLACK_LEN_MAX: usize = 39_000;
/// WeCom refuses markdown of more than 4,096 bytes.
const WECOM_LEN_MAX: usize = 4096;
/// Feishu and DingTalk refuse requests with a body of more than 20 KB.
const FEISHU_LEN_MAX: usize = 19_000;

/// The kind of receiver: a program that reads JSON, or a chat product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Slack,
    Wecom,
    Feishu,
    Dingtalk,
}

/// One message, which does not change between attempts.
pub(super) struct Delivery {
    pub id: String,
    pub written_at: Timestamp,
    pub batch: Batch,
}

impl Format {
    pub(super) const ALL: [Self; 5] = [
        Self::Json,
        Self::Slack,
        Self::Wecom,
        Self::Feishu,
        Self::Dingtalk,
    ];

    /// The word for it in the settings.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
            Self::Wecom => "wecom",
            Self::Feishu => "feishu",
            Self::Dingtalk => "dingtalk",
        }
    }

    pub(super) fn new(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// Whether the URL is a secret: anybody who knows the URL of a chat can write to it.
    pub(super) const fn has_secret_url(self) -> bool {
        !matches!(self, Self::Json)
    }

    /// Whether messages of this format can be signed.
    pub(super) const fn signs(self) -> bool {
        matches!(self, Self::Json | Self::Feishu | Self::Dingtalk)
    }

    /// The most transitions that one message takes from the queue. A message to a chat counts those that it does not
    /// list.
    pub(super) const fn batch_len_max(self) -> usize {
        match self {
            Self::Json => LISTED_MAX,
            Self::Slack | Self::Wecom | Self::Feishu | Self::Dingtalk => usize::MAX,
        }
    }

    /// Returns the request for an attempt at `now`. The signature contains that time, because receivers accept it only
    /// for a while.
    pub(super) fn request(
        self,
        delivery: &Delivery,
        url: &WebhookUrl,
        secret: Option<&Secret>,
        now: Timestamp,
    ) -> Request {
        let batch = &delivery.batch;
        let mut url = url.clone();
        let mut headers = vec![header("content-type", CONTENT_TYPE.to_owned())];
        let body = match self {
            Self::Json => {
                let body = json_body(delivery);
                headers.extend(json_headers(delivery, &body, secret, now));
                body
            }
            Self::Slack => json!({
                "text": message::compose(batch, escape::for_slack, SLACK_LEN_MAX),
                "link_names": false,
                "unfurl_links": false,
                "unfurl_media": false,
            })
            .to_string(),
            Self::Wecom => {
                let content = message::compose(batch, escape::for_chats, WECOM_LEN_MAX);
                json!({"msgtype": "markdown", "markdown": {"content": content}}).to_string()
            }
            Self::Feishu => {
                let text = message::compose(batch, escape::for_chats, FEISHU_LEN_MAX);
                let mut body = json!({"msg_type": "text", "content": {"text": text}});
                if let Some(secret) = secret {
                    let timestamp = now.timestamp().to_string();
                    body["sign"] = feishu_sign(&timestamp, secret).into();
                    body["timestamp"] = timestamp.into();
                }
                body.to_string()
            }
            Self::Dingtalk => {
                if let Some(secret) = secret {
                    let timestamp = now.timestamp_millis().to_string();
                    let sign = dingtalk_sign(&timestamp, secret);
                    url = url.with_query(&[("timestamp", &timestamp), ("sign", &sign)]);
                }
                let content = message::compose(batch, escape::for_chats, FEISHU_LEN_MAX);
                json!({"msgtype": "text", "text": {"content": content}}).to_string()
            }
        };
        Request {
            method: Method::Post,
            url: url.expose().to_owned(),
            headers,
            body: body.into_bytes(),
            deadline: DEADLINE,
            reads: REPLY_BODY,
        }
    }
}

fn header(name: &'static str, value: String) -> Header {
    Header {
        name,
        value,
        secret: false,
    }
}

/// Headers with which a receiver of JSON can tell deliveries apart and check the signature.
fn json_headers(
    delivery: &Delivery,
    body: &str,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Vec<Header> {
    let timestamp = now.timestamp().to_string();
    let signature = secret.map(|secret| {
        let signed = format!("{timestamp}.{body}");
        let digest = hex::encode(hmac(secret.expose().as_bytes(), signed.as_bytes()));
        header("x-sharekeeper-signature-256", format!("sha256={digest}"))
    });
    [
        header("x-sharekeeper-delivery", delivery.id.clone()),
        header("x-sharekeeper-timestamp", timestamp),
    ]
    .into_iter()
    .chain(signature)
    .collect()
}

/// Signs for Feishu, which wants an empty message signed with a key made of timestamp and secret (see its documentation
/// of custom bots).
pub(super) fn feishu_sign(timestamp: &str, secret: &Secret) -> String {
    let key = format!("{timestamp}\n{}", secret.expose());
    STANDARD.encode(hmac(key.as_bytes(), b""))
}

pub(super) fn dingtalk_sign(timestamp: &str, secret: &Secret) -> String {
    let signed = format!("{timestamp}\n{}", secret.expose());
    STANDARD.encode(hmac(secret.expose().as_bytes(), signed.as_bytes()))
}

#[derive(Serialize)]
struct WebhookBody<'a> {
    format_version: u32,
    id: &'a str,
    sent_at: String,
    transitions: Vec<TransitionDocument<'a>>,
    /// Number of transitions that no document lists, because too many waited or a document with them was refused.
    more: u64,
}

#[derive(Serialize)]
struct TransitionDocument<'a> {
    at: String,
    kind: &'static str,
    subject: SubjectDocument<'a>,
    reason: Option<&'static str>,
    message: String,
    #[serde(flatten)]
    extent: Option<ExtentDocument>,
}

/// The images and regions of a transition that stands for several.
#[derive(Serialize)]
struct ExtentDocument {
    /// How many images are affected in total.
    count: u64,
    regions: Vec<&'static str>,
    /// Names or ids of the first few images, if each was affected on its own.
    images: Vec<String>,
}

#[derive(Serialize)]
struct SubjectDocument<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<&'a Selector>,
}

fn json_body(delivery: &Delivery) -> String {
    let document = WebhookBody {
        format_version: 1,
        id: &delivery.id,
        sent_at: instant(delivery.written_at),
        transitions: delivery
            .batch
            .entries
            .iter()
            .map(|entry| TransitionDocument::new(&entry.transition))
            .collect(),
        more: delivery.batch.omitted.total(),
    };
    #[expect(
        clippy::expect_used,
        reason = "strings and numbers in structs always become JSON"
    )]
    serde_json::to_string(&document).expect("strings and numbers in structs always become JSON")
}

impl<'a> TransitionDocument<'a> {
    fn new(transition: &'a Transition) -> Self {
        let (r#type, account, scope, image) = match &transition.subject {
            Subject::Manifests => ("manifests", None, None, None),
            Subject::Selection(_) => ("selection", None, None, None),
            Subject::State => ("state", None, None, None),
            Subject::Account(account) => ("account", Some(account), None, None),
            Subject::Scope(scope) => ("scope", Some(&scope.account), Some(scope), None),
            Subject::Image(key) => {
                let scope = &key.scope;
                ("image", Some(&scope.account), Some(scope), Some(&key.image))
            }
        };
        let message = transition.message.chars().take(MESSAGE_CHARS_MAX);
        Self {
            at: instant(transition.at),
            kind: transition.kind.as_str(),
            subject: SubjectDocument {
                r#type,
                account: account.map(AccountName::as_str),
                region: scope.map(|scope| scope.region.as_str()),
                image_id: image.map(ImageId::as_str),
                image_name: transition.name.as_deref().map(safe),
                selector: match &transition.subject {
                    Subject::Selection(selector) => Some(selector),
                    _ => None,
                },
            },
            reason: transition.reason.map(crate::status::Reason::as_str),
            message: safe(&message.collect::<String>()),
            extent: transition.extent.as_deref().map(ExtentDocument::of),
        }
    }
}

impl ExtentDocument {
    fn of(extent: &Extent) -> Self {
        Self {
            count: extent.images,
            regions: extent
                .regions
                .iter()
                .map(|region| region.as_str())
                .collect(),
            images: extent.names.iter().map(|name| safe(name)).collect(),
        }
    }
}

fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
