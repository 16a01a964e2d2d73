//! NOTICES: telling webhooks what has changed: who wants to know, in which words, signed how, and what if nobody answers.
//!
//! Knows the formats of chats, secrets in files, queues and retries; does not know how transitions come about. What is
//! told is taken without waiting ([`WebhookSender`]) and delivered beside everything else ([`DeliveryWorker`]), so that a webhook that
//! hangs delays nobody. Bounded: each webhook's queue, its messages, its attempts, and every file that is read.
//!
//! A chat's webhook URL is a secret: of it, only the host is ever shown.

mod address;
mod answer;
mod batch;
mod files;
mod format;
mod queue;
mod settings;
mod text;
mod worker;

pub use queue::{Stats, WebhookSender};
pub use settings::{Webhooks, WebhooksError};
pub use worker::DeliveryWorker;

/// The two ends: one is told, the other delivers.
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
