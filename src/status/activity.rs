//! What a scope is doing, and how its passes end.

use crate::model::Timestamp;

/// What a scope is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// It waits for its first pass.
    #[default]
    New,
    /// A pass is under way.
    Running {
        /// When the pass began.
        since: Timestamp,
        /// Writes answered in it.
        answered: u64,
        /// Of these, those that the API acknowledged.
        acknowledged: u64,
        /// Writes that it has acknowledged or ahead, by its last plan; `None` before its first, and where nothing is written.
        planned: Option<u64>,
    },
    /// There is nothing to do until the next pass.
    Idle {
        /// When the next pass is due.
        next: Timestamp,
    },
    /// There are no further passes while the process lives, because of a fault in sharekeeper.
    Halted {
        /// One line for a person.
        why: String,
    },
}

impl Activity {
    /// The word in documents.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Running { .. } => "passing",
            Self::Idle { .. } => "resting",
            Self::Halted { .. } => "held",
        }
    }
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassResult {
    /// Everything is as desired.
    Synced,
    /// Some of it is not, and is tried again or waits for a person.
    Incomplete,
    /// The scope was not observed.
    Unobserved,
    /// Newer manifests or the end of the process ended it.
    Stopped,
    /// A fault in sharekeeper ended it.
    Panicked,
}

impl PassResult {
    /// Every result, in the order of the metrics' series.
    pub const ALL: [Self; 5] = [
        Self::Synced,
        Self::Incomplete,
        Self::Unobserved,
        Self::Stopped,
        Self::Panicked,
    ];

    /// The value of the metrics' label `result`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "synced",
            Self::Incomplete => "incomplete",
            Self::Unobserved => "unseen",
            Self::Stopped => "stopped",
            Self::Panicked => "panicked",
        }
    }
}
