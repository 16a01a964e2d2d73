//! Notifications for a person: that something begins, and that it ends.

use std::fmt;

use smol_str::SmolStr;

use super::extent::Extent;
use super::reason::Reason;
use crate::model::{AccountName, ImageKey, Scope, Selector, Timestamp};

/// An event that a person wants to be notified of once, when it begins and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Time when it was noticed.
    pub at: Timestamp,
    /// The subject that it concerns.
    pub subject: Subject,
    /// Name by which people know the image, if the subject is an image with a name. The board adds it.
    pub name: Option<SmolStr>,
    /// What happened to the subject.
    pub kind: TransitionKind,
    /// The reason, for an image, a guard of a scope and a missing role of an account; `None` for stalls and for removed
    /// subjects.
    pub reason: Option<Reason>,
    /// One line for a person, with the remedy where there is one.
    pub message: String,
    /// Whether it often happens to many subjects at once, so that it is combined with similar ones.
    pub is_of_many: bool,
    /// The covered subjects, if it represents several or a whole account.
    pub extent: Option<Box<Extent>>,
}

/// The part of the board that a transition concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Manifests,
    /// The state directory, which outlives the process.
    State,
    /// An account in all of its regions.
    Account(AccountName),
    /// An account in a single region.
    Scope(Scope),
    Image(ImageKey),
    /// Everything that a suspension covers.
    Selection(Box<Selector>),
}

/// The kinds of events. A closed set: the settings of a webhook list the kinds that it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransitionKind {
    /// Somebody else changed an image from its desired state.
    DriftAppeared,
    /// A drifted image is in the desired state again.
    DriftResolved,
    /// An image cannot reach its desired state, and a person must act.
    Blocked,
    /// A blocked image is in the desired state, or no manifest names it any longer.
    Unblocked,
    /// A guard withholds changes.
    GuardTripped,
    /// No guard withholds changes any longer.
    GuardCleared,
    /// A share expires soon.
    ExpiringSoon,
    /// Nothing is observed or done: in a scope, in an account, or because the manifests or the state cannot be used.
    Stalled,
    /// Observations and changes work again.
    Recovered,
    /// A person has suspended changes.
    Suspended,
    /// A suspension is over.
    Resumed,
}

impl Transition {
    /// An event of a single subject, without a reason.
    pub(super) fn new(
        subject: Subject,
        kind: TransitionKind,
        message: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            at: now,
            subject,
            name: None,
            kind,
            reason: None,
            message: message.into(),
            is_of_many: false,
            extent: None,
        }
    }

    /// Ends a report about a subject that no manifest names any longer.
    pub(super) fn of_removal(subject: Subject, kind: TransitionKind, now: Timestamp) -> Self {
        Self::new(subject, kind, "no manifest asks for it any longer", now)
    }

    /// Marks it for combined reporting with similar ones.
    pub(super) fn of_many(self) -> Self {
        Self {
            is_of_many: true,
            ..self
        }
    }
}

impl Subject {
    /// The account that the subject is or belongs to.
    pub fn account(&self) -> Option<&AccountName> {
        match self {
            Self::Manifests | Self::State | Self::Selection(_) => None,
            Self::Account(account) => Some(account),
            Self::Scope(scope) => Some(&scope.account),
            Self::Image(key) => Some(&key.scope.account),
        }
    }
}

impl TransitionKind {
    /// Every kind, in the order in which settings list them.
    pub const ALL: [Self; 11] = [
        Self::DriftAppeared,
        Self::DriftResolved,
        Self::Blocked,
        Self::Unblocked,
        Self::GuardTripped,
        Self::GuardCleared,
        Self::ExpiringSoon,
        Self::Stalled,
        Self::Recovered,
        Self::Suspended,
        Self::Resumed,
    ];

    /// The word in logs, documents and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DriftAppeared => "drift_appeared",
            Self::DriftResolved => "drift_resolved",
            Self::Blocked => "blocked",
            Self::Unblocked => "unblocked",
            Self::GuardTripped => "guard_tripped",
            Self::GuardCleared => "guard_cleared",
            Self::ExpiringSoon => "expiring_soon",
            Self::Stalled => "stalled",
            Self::Recovered => "recovered",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
        }
    }

    /// Finds the kind by its word.
    pub fn new(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether it is good news.
    pub const fn is_good(self) -> bool {
        matches!(
            self,
            Self::DriftResolved
                | Self::Unblocked
                | Self::GuardCleared
                | Self::Recovered
                | Self::Resumed
        )
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("state"),
            Self::Manifests => f.write_str("manifests"),
            Self::Account(account) => write!(f, "account {account}"),
            Self::Scope(scope) => scope.fmt(f),
            Self::Image(key) => key.fmt(f),
            Self::Selection(selector) => selector.fmt(f),
        }
    }
}
