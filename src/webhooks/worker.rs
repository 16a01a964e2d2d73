//! Delivers the queued transitions: one message at a time to each webhook, with retries. `format` and `message` decide
//! the contents of a message.

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use super::address_pace::AddressPaces;
use super::batch::Batch;
use super::bounded_read;
use super::format::Delivery;
use super::queue::{Queue, WebhookSender};
use super::reply::{self, DeliveryResult};
use super::retry_after;
use super::settings::Target;
use super::url::WebhookUrl;
use crate::host::{Host, Rng, TransportError};
use crate::model::{Monotonic, Secret};
use crate::pace::Backoff;
use crate::words::brief;

/// How long a message is tried, not counting the pauses that its receiver asks for. It is longer than the restart of a
/// receiver and than a chat's limit per minute.
pub(super) const TRIED_FOR: Duration = Duration::from_secs(600);
/// The delay between two attempts.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(10),
    cap: Duration::from_secs(240),
};
/// While waiting for an address, the settings are read again after this time, because the address may have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Delivers the transitions that the [`WebhookSender`] takes.
pub struct DeliveryWorker(pub(super) WebhookSender);

/// Why an attempt failed. Contains no secret.
struct Failure {
    /// Host of the URL, if the URL could be read.
    host: Option<String>,
    reason: String,
    retry: bool,
}

/// Delivers the transitions that wait for one webhook.
struct QueueWorker<'a, H> {
    queue: &'a Queue,
    paces: &'a AddressPaces,
    host: &'a H,
}

impl DeliveryWorker {
    /// Delivers for ever, to all webhooks side by side. A message in delivery is lost when this future is dropped.
    pub async fn run<H: Host>(self, host: &H) {
        let paces = AddressPaces::default();
        let worker = |queue| QueueWorker {
            queue,
            paces: &paces,
            host,
        };
        let workers = self.0.0.iter().map(worker);
        join_all(workers.map(|worker| async move { worker.serve().await })).await;
        // Without webhooks there is nothing to deliver.
        pending().await
    }
}

impl<H: Host> QueueWorker<'_, H> {
    async fn serve(&self) {
        loop {
            self.queue.filled().await;
            // Transitions that come until the address is free go into the same message.
            let address = self.free_address().await;
            if let Some(batch) = self.queue.take() {
                self.queue.is_delivering.set(true);
                self.deliver_or_give_back(batch, address).await;
                self.queue.is_delivering.set(false);
                self.queue.rested.notify_one();
            }
        }
    }

    async fn deliver_or_give_back(&self, batch: Batch, address: Result<WebhookUrl, Failure>) {
        let delivery = Delivery {
            id: id(self.host),
            written_at: self.host.now(),
            batch,
        };
        let Err(failure) = self.deliver(&delivery, address).await else {
            self.queue.sent.set(self.queue.sent.get() + 1);
            return;
        };
        self.queue.failed.set(self.queue.failed.get() + 1);
        self.queue.give_back(delivery.batch, !failure.retry);
        tracing::warn!(
            webhook = %self.queue.webhook.name,
            host = %failure.host.unwrap_or_else(|| "unknown".to_owned()),
            reason = failure.reason,
            "a notification was not delivered; the next one includes its events"
        );
    }

    /// Attempts the delivery until it is accepted, refused for good, or [`TRIED_FOR`] has passed. The first attempt goes
    /// to `address`.
    async fn deliver(
        &self,
        delivery: &Delivery,
        mut address: Result<WebhookUrl, Failure>,
    ) -> Result<(), Failure> {
        let last_attempt = self.host.monotonic() + TRIED_FOR;
        let mut attempt = 1;
        loop {
            let result = match address {
                Ok(url) => self.send(delivery, &url).await,
                Err(failure) => Err(failure),
            };
            let now = self.host.monotonic();
            let failure = match result {
                Err(failure) if failure.retry && now < last_attempt => failure,
                result => return result,
            };
            tracing::debug!(
                webhook = %self.queue.webhook.name,
                attempt,
                reason = failure.reason,
                "a notification will be tried again"
            );
            let pause = BACKOFF.delay_of_half(attempt, self.host.next_f64());
            self.host.sleep_until(last_attempt.min(now + pause)).await;
            address = self.free_address().await;
            attempt += 1;
        }
    }

    /// Waits until a message may be sent. Returns its address, read again each time, so that a rotation needs no restart.
    async fn free_address(&self) -> Result<WebhookUrl, Failure> {
        loop {
            let url = self.address()?;
            let place = self.paces.take_place(&url, self.host.monotonic());
            if self.awaits_place(&url, place).await?
                && !self.paces.is_banned(&url, self.host.monotonic())
            {
                return Ok(url);
            }
        }
    }

    /// Waits for the place at an address. Returns whether that is still the current address.
    async fn awaits_place(&self, url: &WebhookUrl, place: Monotonic) -> Result<bool, Failure> {
        loop {
            let now = self.host.monotonic();
            if now >= place {
                return Ok(true);
            }
            self.host.sleep_until(place.min(now + LOOK_AGAIN)).await;
            if self.address()? != *url {
                return Ok(false);
            }
        }
    }

    fn address(&self) -> Result<WebhookUrl, Failure> {
        match &self.queue.webhook.target {
            Target::Known(url) => Ok(url.clone()),
            Target::InFile(path) => WebhookUrl::new(read(path)?.expose())
                .map_err(|error| unusable(format!("{}: {error}", path.display()))),
        }
    }

    /// Makes one attempt. Reads the secret again each time, so that a rotation needs no restart.
    async fn send(&self, delivery: &Delivery, url: &WebhookUrl) -> Result<(), Failure> {
        let webhook = &self.queue.webhook;
        let secret = webhook.secret_file.as_deref().map(read).transpose()?;
        let request = webhook
            .format
            .request(delivery, url, secret.as_ref(), self.host.now());
        let result = match self.host.send(request).await {
            Ok(reply) => {
                let result = reply::classify(webhook.format, &reply);
                if let Some(ban) = retry_after::ban(&reply, self.host.now())
                    && !matches!(result, DeliveryResult::Delivered | DeliveryResult::Unread)
                {
                    self.paces.ban(url, self.host.monotonic() + ban);
                }
                result
            }
            Err(TransportError::NotSent(detail)) => {
                DeliveryResult::Retry("could not connect".into(), detail)
            }
            Err(TransportError::Lost(detail)) => DeliveryResult::Retry("no reply".into(), detail),
        };
        let (what, detail, retry) = match result {
            DeliveryResult::Delivered => return Ok(()),
            DeliveryResult::Unread => {
                self.warn_of_unread_reply(url);
                return Ok(());
            }
            DeliveryResult::Retry(what, detail) => (what, detail, true),
            DeliveryResult::Rejected(what, detail) => (what, detail, false),
        };
        let leaks = url.leaks_into(&detail)
            || secret.is_some_and(|secret| detail.contains(secret.expose()));
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

    /// Logs once that a chat's replies cannot be read, so that it is unknown whether the chat shows the messages.
    fn warn_of_unread_reply(&self, url: &WebhookUrl) {
        if !self.queue.has_unread_reply.replace(true) {
            tracing::warn!(
                webhook = %self.queue.webhook.name,
                host = url.host(),
                "a notification counts as delivered, but the body of the reply, which says whether it was, did not arrive"
            );
        }
    }
}

fn unusable(reason: String) -> Failure {
    Failure {
        host: None,
        // Somebody may be writing the file at this moment.
        retry: true,
        reason,
    }
}

fn read(path: &Path) -> Result<Secret, Failure> {
    match bounded_read::read_secret(path) {
        Ok(file) => Ok(file.secret),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// Makes 128 random bits in hex. The id tells deliveries apart and is not a secret.
fn id(rng: &impl Rng) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number in [0, 2^32)"
    )]
    let word = || (rng.next_f64() * f64::from(u32::MAX)) as u32;
    (0..4).map(|_| format!("{:08x}", word())).collect()
}
