//! NOTICES: telling webhooks what has changed: who wants to know, in which words, signed how, and what if nobody answers.
//!
//! Knows the formats of chats, secrets in files, queues and retries; does not know how transitions come about. What is
//! told is taken without waiting ([`Outbox`]) and delivered beside everything else ([`Courier`]), so that a webhook that
//! hangs delays nobody. Bounded: each webhook's queue, its messages, its attempts, and every file that is read.
//!
//! A chat's webhook URL is a secret: of it, only the host is ever shown.

mod address;
mod answer;
mod courier;
mod files;
mod format;
mod mailbox;
mod settings;
mod text;

pub use courier::Courier;
pub use mailbox::{Outbox, Stats, channel};
pub use settings::{Webhooks, WebhooksError};

#[cfg(test)]
mod courier_tests;
#[cfg(test)]
mod fixtures_tests;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod settings_tests;
