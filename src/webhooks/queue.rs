use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

use super::batch::Batch;
use super::settings::{Webhook, Webhooks};
use crate::status::Transition;

/// Transitions that wait for one webhook. Some 300 bytes each, and more than anybody reads.
pub(super) const QUEUE_MAX: usize = 1000;

/// Where news is left for all webhooks. Cheap to clone.
#[derive(Clone)]
pub struct WebhookSender(pub(super) Rc<[Queue]>);

/// How one webhook is doing, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The webhook's name in the settings.
    pub name: String,
    /// Messages that it took.
    pub sent: u64,
    /// Messages that were given up.
    pub failed: u64,
    /// Transitions that never became part of a message, because too many waited already.
    pub dropped: u64,
    /// Transitions that wait now, without those of the message that is under way.
    pub queued: usize,
}

/// One webhook, with what waits for it.
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
    /// Dropped since the last message, which the next one counts.
    missed: u64,
}

impl WebhookSender {
    pub(super) fn new(webhooks: Webhooks) -> Self {
        let queues = webhooks.0.into_iter().map(Queue::new);
        Self(queues.collect())
    }

    /// Leaves news for whoever wants it. Never waits; where a queue is full, its oldest make room and are counted.
    pub fn tell(&self, transitions: &[Transition]) {
        for mailbox in self.0.iter() {
            for transition in transitions {
                if mailbox.webhook.wants(transition) {
                    mailbox.put(transition.clone());
                }
            }
        }
    }

    /// How each webhook is doing, in the order of the settings.
    pub fn stats(&self) -> Vec<Stats> {
        let stats = |mailbox: &Queue| Stats {
            name: mailbox.webhook.name.clone(),
            sent: mailbox.sent.get(),
            failed: mailbox.failed.get(),
            dropped: mailbox.dropped.get(),
            queued: mailbox.waiting.borrow().transitions.len(),
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
            waiting.missed += 1;
            self.dropped.set(self.dropped.get() + 1);
        }
        waiting.transitions.push_back(transition);
        self.filled.notify_one();
    }

    /// What waits, as soon as anything does: as much of it as fits one message.
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
        let most = self.webhook.format.taken_max();
        let count = waiting.transitions.len().min(most);
        (count > 0).then(|| Batch {
            transitions: waiting.transitions.drain(..count).collect(),
            missed: std::mem::take(&mut waiting.missed),
        })
    }
}
