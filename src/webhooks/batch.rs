//! What one message is about. The queue makes it, and formats and texts read it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::status::{Transition, TransitionKind};

/// What one message is about; never empty.
pub(super) struct Batch {
    /// In the order in which they came.
    pub entries: Vec<Entry>,
    /// What no message lists.
    pub omitted: Omitted,
}

/// A transition that waits for one webhook.
#[derive(Clone)]
pub(super) struct Entry {
    /// Counts the transitions of the webhook, in the order in which they came.
    pub number: u64,
    pub transition: Rc<Transition>,
    /// Messages with it that were given up.
    pub failures: u8,
}

/// Transitions that are only counted, until a message that counts them gets through.
#[derive(Clone, Default)]
pub(super) struct Omitted {
    pub by_kind: BTreeMap<TransitionKind, u64>,
    /// How many of them were in messages that did not get through.
    pub undelivered: u64,
}

impl Batch {
    /// The number of transitions of each kind, whether they are listed or not.
    pub(super) fn counts(&self) -> BTreeMap<TransitionKind, u64> {
        let mut counts = self.omitted.by_kind.clone();
        for entry in &self.entries {
            *counts.entry(entry.transition.kind).or_default() += 1;
        }
        counts
    }

    /// The number of transitions that were in earlier messages, which did not get through.
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
