//! Images by where they stand, counted anew by whoever asks: a pass over 30,000 of them takes a millisecond.

use std::ops::AddAssign;
use std::time::Duration;

use super::{Board, ImageStatus, Reason, ScopeStatus, Truth};
use crate::model::{Scope, Timestamp};

/// Where an image stands: exactly one of these, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// The image itself or the API is in the way.
    Blocked,
    /// A guard, a person or the hour forbids the change.
    Withheld,
    /// It was not seen.
    Unknown,
    /// Time alone may bring it there: a lagging read, an image that is still being made, a blueprint that is SYNCING.
    Waiting,
    /// A call is ahead.
    Pending,
    /// As desired.
    InSync,
}

impl Standing {
    /// The word in documents and on the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Withheld => "withheld",
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::InSync => "in_sync",
        }
    }
}

/// How many images stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// As desired.
    pub in_sync: usize,
    /// A call is ahead.
    pub pending: usize,
    /// The image itself or the API is in the way.
    pub blocked: usize,
    /// A guard, a person or the hour forbids the change.
    pub withheld: usize,
    /// Time alone may bring them there.
    pub waiting: usize,
    /// Not seen.
    pub unknown: usize,
    /// Of all of them, those that are seen to be in another state than desired.
    pub drifted: usize,
    /// Of all of them, those that will not become as desired without a person.
    pub stalled: usize,
    /// Of those that are as desired, those of which only the API's answers to writes say so.
    pub by_word: usize,
}

impl Counts {
    /// All images.
    pub const fn total(&self) -> usize {
        self.in_sync + self.pending + self.blocked + self.withheld + self.waiting + self.unknown
    }

    fn add(&mut self, image: &ImageStatus) {
        let count = match image.standing() {
            Standing::Blocked => &mut self.blocked,
            Standing::Withheld => &mut self.withheld,
            Standing::Unknown => &mut self.unknown,
            Standing::Waiting => &mut self.waiting,
            Standing::Pending => &mut self.pending,
            Standing::InSync => &mut self.in_sync,
        };
        *count += 1;
        self.drifted += usize::from(image.drifted.holds());
        self.stalled += usize::from(image.stalled.holds());
        self.by_word += usize::from(image.is_by_word());
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.in_sync += other.in_sync;
        self.pending += other.pending;
        self.blocked += other.blocked;
        self.withheld += other.withheld;
        self.waiting += other.waiting;
        self.unknown += other.unknown;
        self.drifted += other.drifted;
        self.stalled += other.stalled;
        self.by_word += other.by_word;
    }
}

impl ImageStatus {
    /// Where it stands.
    pub fn standing(&self) -> Standing {
        match (self.ready.status, self.reason) {
            (Truth::True, _) => Standing::InSync,
            (Truth::Unknown, _) => Standing::Unknown,
            (Truth::False, Reason::Pending) => Standing::Pending,
            (Truth::False, Reason::Confirming | Reason::WaitingForImage | Reason::Syncing) => {
                Standing::Waiting
            }
            (Truth::False, reason) if reason.is_withheld() => Standing::Withheld,
            (Truth::False, _) => Standing::Blocked,
        }
    }

    /// Whether it counts as desired by the API's answer to a write, because reading is denied.
    pub fn is_by_word(&self) -> bool {
        self.ready.holds() && self.actual.is_none()
    }

    /// Since when it stands so: since a person is needed, where one is.
    pub fn since(&self) -> Timestamp {
        if self.stalled.holds() {
            self.stalled.since
        } else {
            self.ready.since
        }
    }
}

impl ScopeStatus {
    /// Its images, counted.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for image in self.images.values() {
            counts.add(image);
        }
        counts
    }
}

impl Board {
    /// How long the calls that are ahead of a scope take, at the present rate. Those of other scopes that leave through
    /// the same lane are ahead of it, too: they take turns. `pending` is asked for each of those scopes.
    pub fn eta(&self, scope: &Scope, pending: impl Fn(&Scope) -> usize) -> Option<Duration> {
        let lane = self.scopes.get(scope)?.lane.as_ref()?;
        if self.observe_only || pending(scope) == 0 {
            return None;
        }
        let shares_it = |other: &(&Scope, &ScopeStatus)| {
            let same_host = other.1.lane.as_ref().is_some_and(|o| o.host == lane.host);
            same_host && other.0.account == scope.account
        };
        let sharing = self.scopes.iter().filter(shares_it);
        let calls: usize = sharing.map(|(scope, _)| pending(scope)).sum();
        Duration::try_from_secs_f64(calls as f64 / lane.per_second).ok()
    }
}
