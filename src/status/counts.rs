//! Images counted by sync state, anew by whoever asks: a pass over 30,000 of them takes a millisecond.

use std::ops::AddAssign;

use super::{ImageStatus, ScopeStatus, SyncState};

/// Images of one or more scopes, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub in_sync: usize,
    pub pending: usize,
    pub blocked: usize,
    pub withheld: usize,
    pub waiting: usize,
    pub unknown: usize,
    /// Of all of them, those that are seen to be in another state than desired.
    pub drifted: usize,
    /// Of all of them, those that will not become as desired without a person.
    pub stalled: usize,
    /// Of those that are withheld, those that stay so until a person says otherwise.
    pub held: usize,
    /// Of those that are as desired, those of which only the API's answers to writes say so.
    pub by_word: usize,
}

impl Counts {
    /// Images in any state; each is in exactly one.
    pub const fn total(&self) -> usize {
        self.in_sync + self.pending + self.blocked + self.withheld + self.waiting + self.unknown
    }

    fn add(&mut self, image: &ImageStatus) {
        let count = match image.sync_state() {
            SyncState::Blocked => &mut self.blocked,
            SyncState::Withheld => &mut self.withheld,
            SyncState::Unknown => &mut self.unknown,
            SyncState::Waiting => &mut self.waiting,
            SyncState::Pending => &mut self.pending,
            SyncState::InSync => &mut self.in_sync,
        };
        *count += 1;
        self.drifted += usize::from(image.drifted.holds());
        self.stalled += usize::from(image.stalled.holds());
        self.held += usize::from(image.is_held_open);
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
        self.held += other.held;
        self.by_word += other.by_word;
    }
}

impl ScopeStatus {
    /// Counts the images of the scope.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for image in self.images.values() {
            counts.add(image);
        }
        counts
    }
}
