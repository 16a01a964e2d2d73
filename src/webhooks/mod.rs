//! Sends transitions of the board to webhooks: the settings, the formats of the chat products, signatures, queues
//! and retries. How transitions come about is not known here.
//!
//! [`WebhookSender`] takes transitions without waiting, and [`DeliveryWorker`] delivers them beside everything
//! else, so that a webhook that hangs delays nobody. Each webhook's queue, its messages, its attempts and every
//! file that is read have a limit. The URL of a chat's webhook is a secret: only its host is ever shown.

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

/// The two ends of the queues: one takes transitions, the other delivers them.
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
