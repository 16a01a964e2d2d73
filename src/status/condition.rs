//! Conditions of an image, like those of kstatus and Kubernetes: their status, and since when it has been so.

use crate::model::Timestamp;

/// One condition, as in kstatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether the condition holds.
    pub status: Truth,
    /// Time since when it has this status.
    pub since: Timestamp,
}

/// The status of a condition: yes, no, or unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    /// The status cannot be determined.
    Unknown,
}

impl Truth {
    /// The value of `status` in Kubernetes conditions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl Condition {
    /// The condition after an observation with this `status`; `since` changes only if the status changes.
    pub(super) fn updated(before: Option<Self>, status: Truth, now: Timestamp) -> Self {
        match before {
            Some(before) if before.status == status => before,
            _ => Self { status, since: now },
        }
    }

    /// Whether the condition is known to hold.
    pub fn holds(self) -> bool {
        self.status == Truth::True
    }
}
