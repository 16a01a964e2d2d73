//! The queue of each webhook: bounded, filled without waiting, drained a batch at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

use super::batch::Batch;
use super::settings::{Webhook, Webhooks};
use crate::status::Transition;

/// The most transitions that wait for one webhook, of some 300 bytes each. Nobody reads more.
pub(super) const QUEUE_MAX: usize = 1000;

/// Takes transitions for all webhooks. Cheap to clone.
#[derive(Clone)]
pub struct WebhookSender(pub(super) Rc<[Queue]>);

/// Counts of one webhook, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Name of the webhook in the settings.
    pub name: String,
    /// Messages that the webhook accepted.
    pub sent: u64,
    /// Messages that were given up after refusal or retries.
    pub failed: u64,
    /// Transitions that never became part of a message, because too many waited already.
    pub dropped: u64,
    /// Transitions that wait now, without those of the message in delivery.
    pub queued: usize,
}

/// A webhook and the transitions that wait for it.
pub(super) struct Queue {
    pub webhook: Webhook,
    waiting: RefCell<Waiting>,
    filled: Notify,
    pub sent: Cell<u64>,
    pub failed: Cell<u64>,
    dropped: Cell<u64>,
}

#[derive(Default)]
struct Waiting {
    transitions: VecDeque<Transition>,
    /// Dropped since the last message. The next message counts them.
    omitted: u64,
}

impl WebhookSender {
    pub(super) fn new(webhooks: Webhooks) -> Self {
        let queues = webhooks.0.into_iter().map(Queue::new);
        Self(queues.collect())
    }

    /// Queues the transitions for the webhooks that subscribe to them. Never waits: a full queue drops its oldest
    /// transitions and counts them.
    pub fn send(&self, transitions: &[Transition]) {
        for queue in self.0.iter() {
            for transition in transitions {
                if queue.webhook.subscribes_to(transition) {
                    queue.put(transition.clone());
                }
            }
        }
    }

    /// Counts of each webhook, in the order of the settings.
    pub fn stats(&self) -> Vec<Stats> {
        let stats = |queue: &Queue| Stats {
            name: queue.webhook.name.clone(),
            sent: queue.sent.get(),
            failed: queue.failed.get(),
            dropped: queue.dropped.get(),
            queued: queue.waiting.borrow().transitions.len(),
        };
        self.0.iter().map(stats).collect()
    }
}

impl Queue {
    fn new(webhook: Webhook) -> Self {
        Self {
            webhook,
            waiting: RefCell::default(),
            filled: Notify::new(),
            sent: Cell::new(0),
            failed: Cell::new(0),
            dropped: Cell::new(0),
        }
    }

    fn put(&self, transition: Transition) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.transitions.len() == QUEUE_MAX {
            waiting.transitions.pop_front();
            waiting.omitted += 1;
            self.dropped.set(self.dropped.get() + 1);
        }
        waiting.transitions.push_back(transition);
        self.filled.notify_one();
    }

    /// Waits until there is a transition, and takes as many as one message holds.
    pub(super) async fn next(&self) -> Batch {
        loop {
            if let Some(batch) = self.take() {
                return batch;
            }
            self.filled.notified().await;
        }
    }

    fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting.borrow_mut();
        let most = self.webhook.format.batch_len_max();
        let count = waiting.transitions.len().min(most);
        (count > 0).then(|| Batch {
            transitions: waiting.transitions.drain(..count).collect(),
            omitted: std::mem::take(&mut waiting.omitted),
        })
    }
}
