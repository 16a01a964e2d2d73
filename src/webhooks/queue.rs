//! The queue of each webhook: it has a limit, is filled without waiting, and is emptied a batch at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

use super::batch::{Batch, Entry, Omitted};
use super::settings::{Webhook, Webhooks};
use super::severity::Severity;
use crate::status::Transition;

/// The most transitions that wait for one webhook. One has about 300 bytes, which all webhooks share.
pub(super) const QUEUE_MAX: usize = 10_000;
/// How many messages with a transition may be given up before it is only counted: its text may be the reason why the
/// receiver fails.
const FAILURES_MAX: u8 = 3;

/// Takes transitions for all webhooks. Cloning it is cheap.
#[derive(Clone)]
pub struct WebhookSender(pub(super) Rc<[Queue]>);

/// Counts of one webhook, for the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Name of the webhook in the settings.
    pub name: String,
    /// Messages that the webhook accepted.
    pub sent: u64,
    /// Messages that were given up after a refusal or after retries.
    pub failed: u64,
    /// Transitions that no message lists, because too many waited.
    pub dropped: u64,
    /// Transitions that wait now, without those of the message in delivery. Transitions of messages that were given up
    /// wait for the next message.
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
    /// Whether a message is being delivered.
    pub is_delivering: Cell<bool>,
    /// Wakes the task that waits until nothing is left to deliver.
    pub rested: Notify,
    /// Whether a reply's body, which says more than its status, did not arrive and this was logged.
    pub has_unread_reply: Cell<bool>,
}

#[derive(Default)]
struct Waiting {
    /// The entries of each severity, in the order in which they came.
    entries: [VecDeque<Entry>; Severity::COUNT],
    len: usize,
    /// The number of the next transition.
    next_number: u64,
    omitted: Omitted,
    /// Whether all entries were given up before, and wait to be sent with a new one.
    is_held: bool,
}

impl WebhookSender {
    pub(super) fn new(webhooks: Webhooks) -> Self {
        let queues = webhooks.0.into_iter().map(Queue::new);
        Self(queues.collect())
    }

    /// Queues the transitions for the webhooks that subscribe to them. Never waits: a full queue drops its least
    /// important transitions, the oldest first, and counts them.
    pub fn send(&self, transitions: &[Transition]) {
        for transition in transitions {
            let mut shared = None;
            for queue in self.0.iter() {
                if queue.webhook.subscribes_to(transition) {
                    let shared = shared.get_or_insert_with(|| Rc::new(transition.clone()));
                    queue.put(Rc::clone(shared));
                }
            }
        }
    }

    /// Whether everything that was sent is delivered or given up.
    pub fn is_idle(&self) -> bool {
        !self.0.iter().any(Queue::is_busy)
    }

    /// Returns once everything that was sent is delivered or given up. Only one task at a time may wait for it.
    pub async fn idle(&self) {
        for queue in self.0.iter() {
            while queue.is_busy() {
                queue.rested.notified().await;
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
            queued: queue.waiting.borrow().len,
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
            is_delivering: Cell::new(false),
            rested: Notify::new(),
            has_unread_reply: Cell::new(false),
        }
    }

    fn is_busy(&self) -> bool {
        self.is_delivering.get() || self.waiting.borrow().is_ready()
    }

    fn put(&self, transition: Rc<Transition>) {
        let mut waiting = self.waiting.borrow_mut();
        let entry = Entry {
            number: waiting.next_number,
            transition,
            failures: 0,
        };
        waiting.next_number += 1;
        waiting.is_held = false;
        waiting.of(&entry).push_back(entry);
        self.make_room(&mut waiting);
        self.filled.notify_one();
    }

    /// Drops one of the least important entries, the oldest first, if the queue is too long. Called after each entry that
    /// is added.
    fn make_room(&self, waiting: &mut Waiting) {
        waiting.len += 1;
        if waiting.len <= QUEUE_MAX {
            return;
        }
        let of_least = waiting.entries.iter_mut().rev();
        if let Some(entry) = of_least.filter_map(VecDeque::pop_front).next() {
            waiting.len -= 1;
            waiting.omit(&entry);
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// Waits until there is something to send.
    pub(super) async fn filled(&self) {
        while !self.waiting.borrow().is_ready() {
            self.filled.notified().await;
        }
    }

    /// Takes as many entries as one message holds, if there is something to send.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.is_ready() {
            return None;
        }
        let len = waiting.len.min(self.webhook.format.batch_len_max());
        let first = |waiting: &mut Waiting| {
            let fronts = waiting
                .entries
                .iter_mut()
                .filter(|of_one| !of_one.is_empty());
            let oldest = fronts.min_by_key(|of_one| of_one.front().map(|entry| entry.number))?;
            oldest.pop_front()
        };
        let entries: Vec<_> = (0..len).filter_map(|_| first(&mut waiting)).collect();
        waiting.len -= entries.len();
        Some(Batch {
            entries,
            omitted: std::mem::take(&mut waiting.omitted),
        })
    }

    /// Takes back a message that was given up: the next one lists or counts its transitions. Transitions of a refused
    /// message are not listed again, because their text may be the reason for the refusal.
    pub(super) fn give_back(&self, batch: Batch, is_refused: bool) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.omitted.add_all(batch.omitted);
        // All of them are older than the waiting ones.
        for mut entry in batch.entries.into_iter().rev() {
            entry.failures += 1;
            if is_refused || entry.failures >= FAILURES_MAX {
                waiting.omit(&entry);
            } else {
                waiting.of(&entry).push_front(entry);
                self.make_room(&mut waiting);
            }
        }
        // New entries are tried at once.
        let untried = waiting.entries.iter().filter_map(VecDeque::back);
        waiting.is_held = untried.filter(|entry| entry.failures == 0).count() == 0;
    }
}

impl Waiting {
    fn is_ready(&self) -> bool {
        self.len > 0 && !self.is_held
    }

    /// The queue in which an entry waits.
    fn of(&mut self, entry: &Entry) -> &mut VecDeque<Entry> {
        &mut self.entries[Severity::of(entry.transition.kind) as usize]
    }

    /// From now on, the entry is only counted.
    fn omit(&mut self, entry: &Entry) {
        self.omitted.add(entry.transition.kind);
        self.omitted.undelivered += u64::from(entry.failures > 0);
    }
}
