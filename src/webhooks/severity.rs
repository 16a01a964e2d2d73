//! How important a kind of transition is: the most important is shown first, and dropped last.

use crate::status::TransitionKind;

/// The severities, from the most important one to good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// A guard withholds changes: a person must look at it before work goes on.
    Withheld,
    /// A scope, an account or everything is at a standstill.
    Standstill,
    /// One image, or the role of one account, needs a person.
    Blocked,
    /// Somebody else changed something; it is repaired without a person.
    Drift,
    /// Something is going to happen later.
    Notice,
    /// Something has ended, or is as it should be again.
    Good,
}

impl Severity {
    pub(super) const COUNT: usize = Self::Good as usize + 1;

    pub(super) const fn of(kind: TransitionKind) -> Self {
        match kind {
            TransitionKind::GuardTripped => Self::Withheld,
            TransitionKind::Stalled => Self::Standstill,
            TransitionKind::Blocked => Self::Blocked,
            TransitionKind::DriftAppeared => Self::Drift,
            TransitionKind::ExpiringSoon | TransitionKind::Suspended => Self::Notice,
            TransitionKind::DriftResolved
            | TransitionKind::Unblocked
            | TransitionKind::GuardCleared
            | TransitionKind::Recovered
            | TransitionKind::Resumed => Self::Good,
        }
    }

    pub(super) const fn icon(self) -> &'static str {
        match self {
            Self::Withheld | Self::Standstill | Self::Blocked | Self::Drift => "🔴",
            Self::Notice => "🟡",
            Self::Good => "✅",
        }
    }
}
