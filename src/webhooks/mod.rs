//! Sends transitions of the board to webhooks: the settings, the formats of the chat products, signatures, queues and
//! retries. How transitions arise is no concern of this module.
//!
//! [`WebhookSender`] takes transitions without waiting, and [`DeliveryWorker`] delivers them independently of everything
//! else, so that a webhook that hangs delays nobody. There is a limit for each webhook's queue, its messages and its
//! attempts, and for every file that is read. The URL of a chat's webhook is a secret: only its host is ever shown.

mod address_pace;
mod batch;
mod bounded_read;
mod escape;
mod format;
mod message;
mod queue;
mod reply;
mod retry_after;
mod settings;
mod severity;
mod url;
mod worker;

pub use queue::{Stats, WebhookSender};
pub use settings::{Webhooks, WebhooksError};
pub use worker::DeliveryWorker;

/// Makes the two ends of the queues: one takes transitions, the other delivers them.
pub fn channel(webhooks: Webhooks) -> (WebhookSender, DeliveryWorker) {
    let sender = WebhookSender::new(webhooks);
    (sender.clone(), DeliveryWorker(sender))
}

#[cfg(test)]
mod fixtures_tests;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod settings_tests;
#[cfg(test)]
mod worker_tests;
