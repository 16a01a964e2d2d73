//! The colour class and the sign of a status. Each status has its own sign, so that nothing depends on colour alone.

use crate::model::ShareState;
use crate::status::SyncState;

/// How a status is marked: by a class of `page.css`, and by a sign as in plans.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Badge {
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
}

impl Badge {
    pub(super) const GOOD: Self = Self::new("good", "=");
    pub(super) const BUSY: Self = Self::new("busy", "…");
    pub(super) const WARN: Self = Self::new("warn", "~");
    /// A warning that something is unknown.
    pub(super) const UNKNOWN: Self = Self::new("warn", "?");
    pub(super) const BAD: Self = Self::new("bad", "!");

    const fn new(class: &'static str, sign: &'static str) -> Self {
        Self { class, sign }
    }

    /// The badge of an image. For a pending one, the sign shows which call will be made.
    pub(super) fn of_image(state: SyncState, desired: ShareState) -> Self {
        match (state, desired) {
            (SyncState::Blocked, _) => Self::BAD,
            (SyncState::Withheld, _) => Self::WARN,
            (SyncState::Unknown, _) => Self::UNKNOWN,
            (SyncState::Waiting, _) => Self::BUSY,
            (SyncState::Pending, ShareState::Shared) => Self::new("busy", "+"),
            (SyncState::Pending, ShareState::Unshared) => Self::new("busy", "-"),
            (SyncState::InSync, _) => Self::GOOD,
        }
    }
}
