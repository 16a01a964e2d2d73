//! Delivers the queued transitions: one message at a time to each webhook, with retries. What a message says is in
//! `format` and `message`.

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use super::batch::Batch;
use super::bounded_read;
use super::format::Delivery;
use super::queue::{Queue, WebhookSender};
use super::reply::{self, DeliveryResult};
use super::settings::Target;
use super::url::WebhookUrl;
use crate::host::{Host, Rng, TransportError};
use crate::pace::Backoff;
use crate::words::brief;

/// Six attempts take two to three minutes, which outlasts a restart and a chat's rate limit per minute.
pub(super) const ATTEMPTS_MAX: u32 = 6;
/// Delay between two attempts.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(5),
    cap: Duration::from_secs(120),
};
/// Time between messages: WeCom and DingTalk accept 20 a minute, and DingTalk blocks for ten minutes after more.
/// Transitions of the meantime go together.
pub(super) const GAP: Duration = Duration::from_secs(4);

/// Delivers what the [`WebhookSender`] takes.
pub struct DeliveryWorker(pub(super) WebhookSender);

/// Why an attempt did not succeed. Contains no secret.
struct Failure {
    /// Host of the URL, if the URL could be read.
    host: Option<String>,
    reason: String,
    retry: bool,
}

impl DeliveryWorker {
    /// Delivers for ever, to all webhooks side by side. A message in delivery is lost when this is dropped.
    pub async fn run<H: Host>(self, host: &H) {
        join_all(self.0.0.iter().map(|queue| serve(queue, host))).await;
        // Without webhooks there is nothing to do.
        pending().await
    }
}

async fn serve<H: Host>(queue: &Queue, host: &H) {
    loop {
        let batch = queue.next().await;
        match deliver(queue, batch, host).await {
            Ok(()) => queue.sent.set(queue.sent.get() + 1),
            Err(Failure {
                host: to, reason, ..
            }) => {
                queue.failed.set(queue.failed.get() + 1);
                tracing::warn!(
                    webhook = %queue.webhook.name,
                    host = %to.unwrap_or_else(|| "unknown".to_owned()),
                    reason,
                    "a notification was not delivered"
                );
            }
        }
        host.sleep_until(host.monotonic() + GAP).await;
    }
}

/// Attempts the delivery until it is accepted, refused for good, or attempted [`ATTEMPTS_MAX`] times.
async fn deliver<H: Host>(queue: &Queue, batch: Batch, host: &H) -> Result<(), Failure> {
    let delivery = Delivery {
        id: id(host),
        written_at: host.now(),
        batch,
    };
    let mut attempt = 1;
    loop {
        match send(queue, &delivery, host).await {
            Err(failure) if failure.retry && attempt < ATTEMPTS_MAX => {
                tracing::debug!(
                    webhook = %queue.webhook.name,
                    attempt,
                    reason = failure.reason,
                    "a notification will be tried again"
                );
                let wait = BACKOFF.delay(attempt, host.next_f64());
                host.sleep_until(host.monotonic() + wait).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// One attempt. It reads URL and secret anew, so that a rotation needs no restart.
async fn send<H: Host>(queue: &Queue, delivery: &Delivery, host: &H) -> Result<(), Failure> {
    let webhook = &queue.webhook;
    let unusable = |reason: String| Failure {
        host: None,
        // Somebody may be writing the file at this moment.
        retry: true,
        reason,
    };
    let read = |path: &Path| match bounded_read::read_secret(path) {
        Ok(file) => Ok(file.secret),
        Err(error) => Err(unusable(error.to_string())),
    };
    let url = match &webhook.target {
        Target::Known(url) => url.clone(),
        Target::InFile(path) => {
            let text = read(path)?;
            WebhookUrl::new(text.expose())
                .map_err(|error| unusable(format!("{}: {error}", path.display())))?
        }
    };
    let secret = webhook.secret_file.as_deref().map(read).transpose()?;
    let request = webhook
        .format
        .request(delivery, &url, secret.as_ref(), host.now());
    let result = match host.send(request).await {
        Ok(reply) => reply::classify(webhook.format, &reply),
        Err(TransportError::NotSent(detail)) => {
            DeliveryResult::Retry("could not connect".into(), detail)
        }
        Err(TransportError::Lost(detail)) => DeliveryResult::Retry("no reply".into(), detail),
    };
    let (what, detail, retry) = match result {
        DeliveryResult::Delivered => return Ok(()),
        DeliveryResult::Retry(what, detail) => (what, detail, true),
        DeliveryResult::Rejected(what, detail) => (what, detail, false),
    };
    let leaks =
        url.leaks_into(&detail) || secret.is_some_and(|secret| detail.contains(secret.expose()));
    let reason = match detail.as_str() {
        "" => what,
        _ if leaks => what,
        detail => format!("{what}: {}", brief(detail)),
    };
    Err(Failure {
        host: Some(url.host().to_owned()),
        reason,
        retry,
    })
}

/// 128 random bits in hex. The id tells deliveries apart and is no secret.
fn id(rng: &impl Rng) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number in [0, 2^32)"
    )]
    let word = || (rng.next_f64() * f64::from(u32::MAX)) as u32;
    (0..4).map(|_| format!("{:08x}", word())).collect()
}
