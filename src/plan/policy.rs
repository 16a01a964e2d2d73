//! The limits of the command line on what a run may cancel, and how to find the stricter of two policies (S7).

use std::collections::BTreeMap;
use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{ImageId, Permission, Scope};

/// The limits on cancelling images that no manifest asks to cancel, and on how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which images are cancelled although no manifest names them.
    pub prune: Prune,
    /// The most images that one run may prune in one scope.
    pub max_cancels: u32,
    /// The same limit as a percentage of our shares in the scope (of all shares, with [`Prune::Exclusive`]). It does not
    /// apply to fewer than [`EXEMPT_BELOW`] images.
    pub max_cancels_percent: u32,
    /// Origins of the two caps, for people.
    pub cap_origins: CapOrigins,
    /// Numbers of our shares that may have vanished at once in each scope, because a person has checked them.
    pub accept_lost: AcceptedLosses,
    /// Whether the manifests are incomplete, so that no CANCEL may be computed from them.
    pub shares_only: bool,
    /// How long the API's answer counts as the state of an image where reading is denied. It does not limit what may be
    /// cancelled, so a saved plan does not contain it.
    pub trust_acknowledged: TimeDelta,
    /// Whether the caller does not wait until servers can be started from a share, because it checks again later.
    pub no_wait: bool,
}

/// The losses that flags accept, by scope. Flags live as long as the process, and so does this value, so that a policy
/// can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedLosses(&'static [(Scope, u32)]);

impl AcceptedLosses {
    pub const NONE: Self = Self(&[]);

    /// The scopes, each with the number of images that may be lost in it.
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

/// The number of images below which the percentage does not apply, because it would mean little.
pub const EXEMPT_BELOW: usize = 10;

/// Which images are cancelled although no manifest names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prune {
    #[default]
    None,
    /// The images that sharekeeper itself shared.
    Owned,
    /// All shared images, whoever shared them.
    Exclusive,
}

impl Prune {
    pub const ALL: [Self; 3] = [Self::None, Self::Owned, Self::Exclusive];

    /// The value of the flag `--prune`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Owned => "owned",
            Self::Exclusive => "exclusive",
        }
    }
}

/// The origins of the caps of a [`Policy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapOrigins {
    /// Origin of the value of [`Policy::max_cancels`].
    pub count: BoundOrigin,
    /// Origin of the value of [`Policy::max_cancels_percent`].
    pub percent: BoundOrigin,
}

impl CapOrigins {
    const DEFAULT: Self = Self {
        count: BoundOrigin::Default,
        percent: BoundOrigin::Default,
    };
}

/// The origin of a bound's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundOrigin {
    /// No other value was given.
    Default,
    /// A flag on the command line.
    Flag,
    /// A variable of the environment.
    Variable,
    SavedPlan,
}

impl BoundOrigin {
    /// Describes the origin of `bound` for a person.
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

    /// The accepted size of a loss in a scope; 0 if none is accepted.
    pub fn accepted_loss(&self, scope: &Scope) -> u32 {
        let mut losses = self.accept_lost.iter();
        let of_scope = losses.find(|(of, _)| of == scope);
        of_scope.map_or(0, |(_, lost)| *lost)
    }

    /// Each bound that a flag can set.
    fn bounds(&self) -> [Bound; 4] {
        [
            Bound::Prune(self.prune),
            Bound::MaxCancels(self.max_cancels),
            Bound::MaxCancelsPercent(self.max_cancels_percent),
            Bound::AcceptLost(self.accept_lost),
        ]
    }

    /// The caps on pruning at once in a scope, each with its origin, for people.
    pub fn caps(&self) -> [(Bound, &'static str); 2] {
        let CapOrigins { count, percent } = self.cap_origins;
        let (most, part) = (
            Bound::MaxCancels(self.max_cancels),
            Bound::MaxCancelsPercent(self.max_cancels_percent),
        );
        let origins = (count.of(&most), percent.of(&part));
        [(most, origins.0), (part, origins.1)]
    }

    /// The flags that turn the default into this policy.
    pub fn flags(&self) -> Vec<Bound> {
        let pairs = self.bounds().into_iter().zip(Self::DEFAULT.bounds());
        let differ = pairs.filter(|(own, default)| own != default);
        differ.map(|(own, _)| own).collect()
    }

    /// Each bound that allows something that the same bound of `allowed` forbids, paired with the latter.
    pub fn exceeds(&self, allowed: &Self) -> Vec<(Bound, Bound)> {
        let wider = [
            self.prune > allowed.prune,
            self.max_cancels > allowed.max_cancels,
            self.max_cancels_percent > allowed.max_cancels_percent,
            // A loss is accepted only at its exact size, so any other size accepts something else.
            self.accept_lost
                .iter()
                .any(|(scope, lost)| allowed.accepted_loss(scope) != *lost),
        ];
        let pairs = self.bounds().into_iter().zip(allowed.bounds());
        let wider = pairs.zip(wider).filter(|(_, wider)| *wider);
        wider.map(|(pair, _)| pair).collect()
    }

    /// Takes the stricter of each bound, so that the result allows only what both policies allow.
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

/// The actions of a saved plan for one scope. Nothing else may be done there.
pub type ApprovedActions = BTreeMap<ImageId, Permission>;
