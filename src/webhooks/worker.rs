use std::future::pending;
use std::time::Duration;

use futures_util::future::join_all;

use super::address::Address;
use super::answer::{self, Verdict};
use super::batch::Batch;
use super::files;
use super::format::Delivery;
use super::queue::{Queue, WebhookSender};
use super::settings::Target;
use crate::host::{Host, Rng, TransportError};
use crate::pace::Backoff;
use crate::words::brief;

/// The first one and five more: over two to three minutes, which outlasts a restart and a chat's limit by the minute.
pub(super) const ATTEMPTS_MAX: u32 = 6;
/// Between attempts.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(5),
    cap: Duration::from_secs(120),
};
/// Between messages: WeCom and DingTalk take 20 a minute, and DingTalk is silent for ten minutes after more. What
/// comes meanwhile is told together.
pub(super) const GAP: Duration = Duration::from_secs(4);

/// Delivers what the [`WebhookSender`] is told.
pub struct DeliveryWorker(pub(super) WebhookSender);

/// Why an attempt did not succeed. Holds no secret.
struct Failure {
    /// Whose it is, where the URL could be read.
    host: Option<String>,
    reason: String,
    again: bool,
}

impl DeliveryWorker {
    /// Delivers for ever, one message at a time to each webhook, and to all of them side by side. What is under way
    /// when this is dropped is lost.
    pub async fn run<H: Host>(self, host: &H) {
        join_all(self.0.0.iter().map(|mailbox| serve(mailbox, host))).await;
        // There was no webhook, and so there is nothing to do.
        pending().await
    }
}

async fn serve<H: Host>(mailbox: &Queue, host: &H) {
    loop {
        let batch = mailbox.next().await;
        match deliver(mailbox, batch, host).await {
            Ok(()) => mailbox.sent.set(mailbox.sent.get() + 1),
            Err(Failure {
                host: to, reason, ..
            }) => {
                mailbox.failed.set(mailbox.failed.get() + 1);
                tracing::warn!(
                    webhook = %mailbox.webhook.name,
                    host = %to.unwrap_or_else(|| "unknown".to_owned()),
                    reason,
                    "a notification was not delivered"
                );
            }
        }
        host.sleep_until(host.monotonic() + GAP).await;
    }
}

/// Tries until it is taken, refused for good, or tried often enough.
async fn deliver<H: Host>(mailbox: &Queue, batch: Batch, host: &H) -> Result<(), Failure> {
    let letter = Delivery {
        id: id(host),
        written_at: host.now(),
        batch,
    };
    let mut attempt = 1;
    loop {
        match send(mailbox, &letter, host).await {
            Err(failure) if failure.again && attempt < ATTEMPTS_MAX => {
                tracing::debug!(
                    webhook = %mailbox.webhook.name,
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

/// One attempt. URL and secret are read for it, so that a rotation needs no restart.
async fn send<H: Host>(mailbox: &Queue, letter: &Delivery, host: &H) -> Result<(), Failure> {
    let webhook = &mailbox.webhook;
    let unusable = |reason: String| Failure {
        host: None,
        // Somebody may be writing the file just now.
        again: true,
        reason,
    };
    let read = |path| files::secret(path).map(|kept| kept.secret);
    let address = match &webhook.target {
        Target::Known(address) => address.clone(),
        Target::InFile(path) => {
            let url = read(path).map_err(unusable)?;
            Address::new(url.expose())
                .map_err(|error| unusable(format!("{}: {error}", path.display())))?
        }
    };
    let secret = webhook.secret_file.as_deref().map(read).transpose();
    let secret = secret.map_err(unusable)?;
    let request = webhook
        .format
        .request(letter, &address, secret.as_ref(), host.now());
    let verdict = match host.send(request).await {
        Ok(reply) => answer::judge(webhook.format, &reply),
        Err(TransportError::NotSent(detail)) => Verdict::Again("could not connect".into(), detail),
        Err(TransportError::Lost(detail)) => Verdict::Again("no reply".into(), detail),
    };
    let (what, detail, again) = match verdict {
        Verdict::Taken => return Ok(()),
        Verdict::Again(what, detail) => (what, detail, true),
        Verdict::Never(what, detail) => (what, detail, false),
    };
    let betrayed = address.is_betrayed_by(&detail)
        || secret.is_some_and(|secret| detail.contains(secret.expose()));
    let reason = match detail.as_str() {
        "" => what,
        _ if betrayed => what,
        detail => format!("{what}: {}", brief(detail)),
    };
    Err(Failure {
        host: Some(address.host().to_owned()),
        reason,
        again,
    })
}

/// 128 bits in hex. Tells deliveries apart, and is no secret.
fn id(rng: &impl Rng) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number in [0, 2^32)"
    )]
    let word = || (rng.next_f64() * f64::from(u32::MAX)) as u32;
    (0..4).map(|_| format!("{:08x}", word())).collect()
}
