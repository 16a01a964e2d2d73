//! The current activity of a scope, and the results of its passes.

use crate::model::Timestamp;

/// The current activity of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// It waits for its first pass.
    #[default]
    New,
    /// A pass is in progress.
    Running {
        /// Start time of the pass.
        since: Timestamp,
        /// Writes that the API has answered in this pass.
        answered: u64,
        /// The acknowledged writes among these.
        acknowledged: u64,
        /// Acknowledged writes plus writes still due, according to the pass's last plan; `None` before its first plan and
        /// where nothing is written.
        planned: Option<u64>,
    },
    /// Nothing is to be done until the next pass.
    Idle {
        /// Time at which the next pass is due.
        next: Timestamp,
    },
    /// A bug in sharekeeper stopped the scope; it has no further passes while the process lives.
    Halted {
        /// One line that explains it to a person.
        why: String,
    },
}

impl Activity {
    /// The word in JSON documents.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Running { .. } => "passing",
            Self::Idle { .. } => "resting",
            Self::Halted { .. } => "held",
        }
    }
}

/// The result of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PassResult {
    /// Everything is in the desired state.
    Synced,
    /// Some images are not in the desired state; they are tried again or wait for a person.
    Incomplete,
    /// The scope was not observed.
    Unobserved,
    /// Newer manifests or the end of the process stopped it.
    Stopped,
    /// A bug in sharekeeper ended it.
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
