//! The bounds of the command line on what a run may cancel, and which of two policies is stricter (S7).

use std::collections::BTreeMap;
use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{ImageId, Permission, Scope};

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
    /// Where the two caps come from, for people.
    pub cap_origins: CapOrigins,
    /// So many shares of ours may have vanished at once in a scope: a person has looked.
    pub accept_lost: AcceptedLosses,
    /// The manifests are incomplete: no CANCEL may be computed from them.
    pub shares_only: bool,
    /// Where reading is denied, an image counts as in the state that the API acknowledged for so long. It is no bound on
    /// what may be cancelled, so that a saved plan does not carry it.
    pub trust_acknowledged: TimeDelta,
    /// Nobody waits for a share until servers can be started from it: whoever asks comes back for that.
    pub no_wait: bool,
}

/// The losses that flags accept, by scope. Flags live as long as the process, and so does this, so that a policy can be
/// copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedLosses(&'static [(Scope, u32)]);

impl AcceptedLosses {
    pub const NONE: Self = Self(&[]);

    /// Each scope with the number of images that may be lost in it.
    pub fn iter(self) -> impl Iterator<Item = &'static (Scope, u32)> {
        self.0.iter()
    }
}

impl FromIterator<(Scope, u32)> for AcceptedLosses {
    fn from_iter<I: IntoIterator<Item = (Scope, u32)>>(losses: I) -> Self {
        // Sorted, so that equal losses are equal.
        let losses: BTreeMap<_, _> = losses.into_iter().collect();
        Self(losses.into_iter().collect::<Vec<_>>().leak())
    }
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

/// Where the caps of a [`Policy`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapOrigins {
    /// Where [`Policy::max_cancels`] comes from.
    pub count: BoundOrigin,
    /// Where [`Policy::max_cancels_percent`] comes from.
    pub percent: BoundOrigin,
}

impl CapOrigins {
    const DEFAULT: Self = Self {
        count: BoundOrigin::Default,
        percent: BoundOrigin::Default,
    };
}

/// Where a bound comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundOrigin {
    /// Nobody gave another value.
    Default,
    /// It stood on the command line.
    Flag,
    /// A variable of the environment holds it.
    Variable,
    SavedPlan,
}

impl BoundOrigin {
    /// The origin of `bound`, for a person.
    pub(super) fn of(self, bound: &Bound) -> &'static str {
        match (self, bound) {
            (Self::Default, _) => "the default",
            (Self::Flag, _) => "from the command line",
            (Self::Variable, Bound::MaxCancels(_)) => "from SHAREKEEPER_MAX_CANCELS",
            (Self::Variable, Bound::MaxCancelsPercent(_)) => "from SHAREKEEPER_MAX_CANCELS_PERCENT",
            (Self::Variable, _) => "from the environment",
            (Self::SavedPlan, _) => "from the saved plan",
        }
    }
}

/// One bound of a [`Policy`]; shown as the flag that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Prune(Prune),
    MaxCancels(u32),
    MaxCancelsPercent(u32),
    AcceptLost(AcceptedLosses),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prune(mode) => write!(f, "--prune {}", mode.as_str()),
            Self::MaxCancels(most) => write!(f, "--max-cancels {most}"),
            Self::MaxCancelsPercent(most) => write!(f, "--max-cancels-percent {most}"),
            Self::AcceptLost(none) if *none == AcceptedLosses::NONE => {
                f.write_str("no --accept-lost")
            }
            Self::AcceptLost(lost) => {
                let flags = lost.iter();
                let flags: Vec<_> = flags
                    .map(|(scope, n)| format!("--accept-lost {scope}={n}"))
                    .collect();
                f.write_str(&flags.join(" "))
            }
        }
    }
}

impl Policy {
    /// The policy of a command line without flags.
    pub const DEFAULT: Self = Self {
        prune: Prune::None,
        max_cancels: 10,
        max_cancels_percent: 25,
        cap_origins: CapOrigins::DEFAULT,
        accept_lost: AcceptedLosses::NONE,
        shares_only: false,
        trust_acknowledged: TimeDelta::hours(24),
        no_wait: false,
    };

    /// The size of the loss that may have happened in a scope; 0: none.
    pub fn accepted_loss(&self, scope: &Scope) -> u32 {
        let mut losses = self.accept_lost.iter();
        let of_scope = losses.find(|(of, _)| of == scope);
        of_scope.map_or(0, |(_, lost)| *lost)
    }

    /// Each bound that a flag sets.
    fn bounds(&self) -> [Bound; 4] {
        [
            Bound::Prune(self.prune),
            Bound::MaxCancels(self.max_cancels),
            Bound::MaxCancelsPercent(self.max_cancels_percent),
            Bound::AcceptLost(self.accept_lost),
        ]
    }

    /// The caps on what is pruned at once in a scope, each with where it comes from, for people.
    pub fn caps(&self) -> [(Bound, &'static str); 2] {
        let CapOrigins { count, percent } = self.cap_origins;
        let (most, part) = (
            Bound::MaxCancels(self.max_cancels),
            Bound::MaxCancelsPercent(self.max_cancels_percent),
        );
        let origins = (count.of(&most), percent.of(&part));
        [(most, origins.0), (part, origins.1)]
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
            // A loss is accepted if it is of exactly that size, so that any other size accepts something else.
            self.accept_lost
                .iter()
                .any(|(scope, lost)| allowed.accepted_loss(scope) != *lost),
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
            cap_origins: CapOrigins {
                count: match self.max_cancels < other.max_cancels {
                    true => self.cap_origins.count,
                    false => other.cap_origins.count,
                },
                percent: match self.max_cancels_percent < other.max_cancels_percent {
                    true => self.cap_origins.percent,
                    false => other.cap_origins.percent,
                },
            },
            accept_lost: self
                .accept_lost
                .iter()
                .filter(|(scope, lost)| other.accepted_loss(scope) == *lost)
                .cloned()
                .collect(),
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
