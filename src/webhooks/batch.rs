//! The transitions of one message. The queue collects them; formats and texts read them.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::status::{Transition, TransitionKind};

/// The transitions of one message; there is always at least one, listed or omitted.
pub(super) struct Batch {
    /// The listed transitions, in the order in which they came.
    pub entries: Vec<Entry>,
    /// The transitions that no message lists.
    pub omitted: Omitted,
}

/// A transition that waits for one webhook.
#[derive(Clone)]
pub(super) struct Entry {
    /// The number of this transition among those of the webhook, in the order in which they came.
    pub number: u64,
    pub transition: Rc<Transition>,
    /// How many messages with it were given up.
    pub failures: u8,
}

/// Transitions that are only counted. They wait until a message with the counts is delivered.
#[derive(Clone, Default)]
pub(super) struct Omitted {
    pub by_kind: BTreeMap<TransitionKind, u64>,
    /// How many of them were in messages that were not delivered.
    pub undelivered: u64,
}

impl Batch {
    /// The number of transitions of each kind, listed or not.
    pub(super) fn counts(&self) -> BTreeMap<TransitionKind, u64> {
        let mut counts = self.omitted.by_kind.clone();
        for entry in &self.entries {
            *counts.entry(entry.transition.kind).or_default() += 1;
        }
        counts
    }

    /// The number of transitions that were in earlier messages which were not delivered.
    pub(super) fn undelivered(&self) -> u64 {
        let again = self.entries.iter().filter(|entry| entry.failures > 0);
        again.count() as u64 + self.omitted.undelivered
    }
}

impl Omitted {
    pub(super) fn total(&self) -> u64 {
        self.by_kind.values().sum()
    }

    pub(super) fn add(&mut self, kind: TransitionKind) {
        *self.by_kind.entry(kind).or_default() += 1;
    }

    pub(super) fn add_all(&mut self, others: Self) {
        for (kind, count) in others.by_kind {
            *self.by_kind.entry(kind).or_default() += count;
        }
        self.undelivered += others.undelivered;
    }
}
