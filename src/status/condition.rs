//! Conditions of an image, as kstatus and Kubernetes have them: what holds, and since when.

use crate::model::Timestamp;

/// One condition, as in kstatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether the condition holds.
    pub status: Truth,
    /// Since when it is so.
    pub since: Timestamp,
}

/// The status of a condition: yes, no, or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    /// It cannot be told.
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
    /// The same condition after an observation that says `status`: `since` moves only if that is new.
    pub(super) fn updated(before: Option<Self>, status: Truth, now: Timestamp) -> Self {
        match before {
            Some(before) if before.status == status => before,
            _ => Self { status, since: now },
        }
    }

    /// Whether it is known to hold.
    pub fn holds(self) -> bool {
        self.status == Truth::True
    }
}
