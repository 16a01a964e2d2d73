//! What a person wants to be notified of: that something begins, and that it ends.

use std::fmt;

use smol_str::SmolStr;

use super::extent::Extent;
use super::reason::Reason;
use crate::model::{AccountName, ImageKey, Scope, Selector, Timestamp};

/// Something that a person wants to be notified of once, when it begins and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When it was noticed.
    pub at: Timestamp,
    /// What it is about.
    pub subject: Subject,
    /// The name that people know the image by, where it is one and has a name. The board adds it.
    pub name: Option<SmolStr>,
    /// What happened to the subject.
    pub kind: TransitionKind,
    /// Why, for an image, a guard of a scope and a missing role of an account; `None` for stalls and for what was removed.
    pub reason: Option<Reason>,
    /// One line for a person, with the remedy where there is one.
    pub message: String,
    /// It is likely to come about for many at once, and is told together with them.
    pub is_of_many: bool,
    /// What it covers, where it stands for several or for all of an account.
    pub extent: Option<Box<Extent>>,
}

/// The part of the board that a transition is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Manifests,
    /// The directory that outlives the process.
    State,
    /// An account in all of its regions.
    Account(AccountName),
    /// An account in a region.
    Scope(Scope),
    Image(ImageKey),
    /// All that a suspension picks.
    Selection(Box<Selector>),
}

/// What can happen. A closed set: the settings of a webhook list the kinds that it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransitionKind {
    /// Somebody else changed an image that was as desired.
    DriftAppeared,
    /// An image that had drifted is as desired again.
    DriftResolved,
    /// An image cannot be brought to its desired state, and a person must act.
    Blocked,
    /// A blocked image is as desired, or no manifest names it any longer.
    Unblocked,
    /// A guard withholds changes.
    GuardTripped,
    /// No guard withholds changes any longer.
    GuardCleared,
    /// A share ends soon by itself.
    ExpiringSoon,
    /// Nothing is seen or done: of a scope, of an account, or because the manifests or the state cannot be used.
    Stalled,
    /// Something is seen and done again.
    Recovered,
    /// A person has suspended changes.
    Suspended,
    /// A suspension does not hold any longer.
    Resumed,
}

impl Transition {
    /// What happened to a subject that stands for itself, without a reason.
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

    /// Ends what was reported of a subject that no manifest names any longer.
    pub(super) fn of_removal(subject: Subject, kind: TransitionKind, now: Timestamp) -> Self {
        Self::new(subject, kind, "no manifest asks for it any longer", now)
    }

    /// The same, to be told together with others like it.
    pub(super) fn of_many(self) -> Self {
        Self {
            is_of_many: true,
            ..self
        }
    }
}

impl Subject {
    /// The account that it is about, or is part of.
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

    /// Looks the word up.
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
