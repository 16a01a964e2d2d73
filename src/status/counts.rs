//! Counts of images by sync state. They are computed on each request: a pass over 30,000 images takes a millisecond.

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
    /// Images in any state that were seen in a state other than the desired one.
    pub drifted: usize,
    /// Images in any state that do not reach the desired state without a person.
    pub stalled: usize,
    /// Withheld images that stay withheld until a person changes that.
    pub held: usize,
    /// Images in sync for which only the API's answers to writes show it.
    pub by_word: usize,
}

impl Counts {
    /// Number of images in any state; each image is in exactly one.
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
