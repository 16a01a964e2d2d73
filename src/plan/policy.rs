//! The bounds of the command line on what a run may cancel, and which of two policies is stricter (S7).

use std::collections::BTreeMap;
use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{ImageId, Permission};

/// What may be cancelled without a manifest that asks for it, and how much of it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which images that no manifest names are cancelled.
    pub prune: Prune,
    /// Most images pruned in one scope and run.
    pub max_cancels: u32,
    /// The same as a part of what is ours there (of all that is shared, with [`Prune::Exclusive`]), in percent; does not
    /// apply to fewer than [`EXEMPT_BELOW`].
    pub max_cancels_percent: u32,
    /// So many shares of ours may have vanished at once: a person has looked.
    pub accept_lost: u32,
    /// The manifests are incomplete: no CANCEL may be computed from them.
    pub shares_only: bool,
    /// Where reading is denied, an image counts as in the state that the API acknowledged for so long. It is no bound on
    /// what may be cancelled, so that a saved plan does not carry it.
    pub trust_acknowledged: TimeDelta,
    /// Nobody waits for a share until servers can be started from it: whoever asks comes back for that.
    pub no_wait: bool,
}

/// Percentages mean little of a few images.
pub const EXEMPT_BELOW: usize = 10;

/// Which images that no manifest names are cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prune {
    #[default]
    None,
    /// Those that sharekeeper itself shared.
    Owned,
    /// All that are shared, whoever did it.
    Exclusive,
}

impl Prune {
    pub const ALL: [Self; 3] = [Self::None, Self::Owned, Self::Exclusive];

    /// The word after `--prune`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Owned => "owned",
            Self::Exclusive => "exclusive",
        }
    }
}

/// One bound of a [`Policy`]; shown as the flag that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Prune(Prune),
    MaxCancels(u32),
    MaxCancelsPercent(u32),
    AcceptLost(u32),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prune(mode) => write!(f, "--prune {}", mode.as_str()),
            Self::MaxCancels(most) => write!(f, "--max-cancels {most}"),
            Self::MaxCancelsPercent(most) => write!(f, "--max-cancels-percent {most}"),
            Self::AcceptLost(lost) => write!(f, "--accept-lost {lost}"),
        }
    }
}

impl Policy {
    /// The policy of a command line without flags.
    pub const DEFAULT: Self = Self {
        prune: Prune::None,
        max_cancels: 10,
        max_cancels_percent: 25,
        accept_lost: 0,
        shares_only: false,
        trust_acknowledged: TimeDelta::hours(24),
        no_wait: false,
    };

    /// Each bound that a flag sets.
    fn bounds(&self) -> [Bound; 4] {
        [
            Bound::Prune(self.prune),
            Bound::MaxCancels(self.max_cancels),
            Bound::MaxCancelsPercent(self.max_cancels_percent),
            Bound::AcceptLost(self.accept_lost),
        ]
    }

    /// The flags that make this policy out of the default.
    pub fn flags(&self) -> Vec<Bound> {
        let pairs = self.bounds().into_iter().zip(Self::DEFAULT.bounds());
        let differ = pairs.filter(|(own, default)| own != default);
        differ.map(|(own, _)| own).collect()
    }

    /// Each bound that allows something that the same bound of `allowed` does not, with the latter.
    pub fn exceeds(&self, allowed: &Self) -> Vec<(Bound, Bound)> {
        let wider = [
            self.prune > allowed.prune,
            self.max_cancels > allowed.max_cancels,
            self.max_cancels_percent > allowed.max_cancels_percent,
            // A loss is accepted if it is of exactly that size, so that any other size accepts something else; 0 accepts none.
            self.accept_lost != 0 && self.accept_lost != allowed.accept_lost,
        ];
        let pairs = self.bounds().into_iter().zip(allowed.bounds());
        let wider = pairs.zip(wider).filter(|(_, wider)| *wider);
        wider.map(|(pair, _)| pair).collect()
    }

    /// Of each bound the stricter: it allows what both policies allow.
    pub fn stricter(&self, other: &Self) -> Self {
        Self {
            prune: self.prune.min(other.prune),
            max_cancels: self.max_cancels.min(other.max_cancels),
            max_cancels_percent: self.max_cancels_percent.min(other.max_cancels_percent),
            accept_lost: match self.accept_lost == other.accept_lost {
                true => self.accept_lost,
                false => 0,
            },
            shares_only: self.shares_only || other.shares_only,
            trust_acknowledged: self.trust_acknowledged.min(other.trust_acknowledged),
            no_wait: self.no_wait || other.no_wait,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The actions of a saved plan for one scope: nothing else may be done.
pub type ApprovedActions = BTreeMap<ImageId, Permission>;
