//! How an image compares with its desired state, in six values (Argo CD calls it the sync status).

use super::condition::Truth;
use super::image::ImageStatus;
use super::reason::Reason;

/// How an image compares with its desired state, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncState {
    /// The image itself or the API prevents the change.
    Blocked,
    /// A guard, a suspension or a change window forbids the change.
    Withheld,
    /// It was not observed.
    Unknown,
    /// Time alone may resolve it: a lagging read, an image that is still being created, a blueprint that is SYNCING.
    Waiting,
    /// A call is due now.
    Pending,
    InSync,
}

impl SyncState {
    /// The word in JSON documents, on the page and in metrics.
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

impl ImageStatus {
    /// How the image compares with its desired state.
    pub fn sync_state(&self) -> SyncState {
        match (self.ready.status, self.reason) {
            (Truth::True, _) => SyncState::InSync,
            (Truth::Unknown, _) => SyncState::Unknown,
            (Truth::False, Reason::Pending) => SyncState::Pending,
            (Truth::False, Reason::Confirming | Reason::WaitingForImage | Reason::Syncing) => {
                SyncState::Waiting
            }
            (Truth::False, reason) if reason.is_withheld() => SyncState::Withheld,
            (Truth::False, _) => SyncState::Blocked,
        }
    }
}
