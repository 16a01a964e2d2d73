//! How much a kind of transition matters: what is shown first, and what makes room last.

use crate::status::TransitionKind;

/// From what matters most to good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// A guard withholds changes: somebody must look at it before anything goes on.
    Withheld,
    /// Nothing is seen or done in a scope or an account, or at all.
    Standstill,
    /// One image or one account's role needs a person.
    Blocked,
    /// Somebody else changed something, which is repaired without a person.
    Drift,
    /// Something will happen later.
    Notice,
    /// Something is over, or as it should be again.
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
