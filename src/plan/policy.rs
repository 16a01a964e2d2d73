use std::collections::BTreeMap;

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
}

/// Percentages mean little of a few images.
pub const EXEMPT_BELOW: usize = 10;

/// Which images that no manifest names are cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prune {
    /// None.
    #[default]
    None,
    /// Those that sharekeeper itself shared.
    Owned,
    /// All that are shared, whoever did it.
    Exclusive,
}

impl Prune {
    /// All modes.
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

impl Prune {
    /// Looks the word up.
    pub fn new(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

impl Policy {
    /// Without flags.
    pub const DEFAULT: Self = Self {
        prune: Prune::None,
        max_cancels: 10,
        max_cancels_percent: 25,
        accept_lost: 0,
        shares_only: false,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The actions of a saved plan for one scope: nothing else may be done.
pub type License = BTreeMap<ImageId, Permission>;
