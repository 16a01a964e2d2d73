//! DESIRED + OBSERVED + MEMORY → PLAN. Pure and total: the same arguments always give the same plan,
//! and each desired image gets exactly one [`Verdict`]. What is refused is a verdict with its reason,
//! never an error.
//!
//! Knows neither clocks nor the network; executing a plan takes no further decision.

mod budget;
mod decide;

use std::collections::BTreeMap;

use crate::desired::{DesiredImage, Source};
use crate::memory::{Memory, Problem};
use crate::model::{Cause, ImageId, Moment, Permission, Scope, ShareState, Timestamp};
use crate::observed::{Observation, Unseen};

pub use budget::{Budget, ScopeCost, budget};

/// The desired images of one scope.
pub type ScopeImages<'a> = BTreeMap<&'a ImageId, &'a DesiredImage>;

/// What to do about one scope.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Account and region.
    pub scope: Scope,
    /// One decision for each desired image, in order of the ids.
    pub decisions: BTreeMap<ImageId, Decision>,
}

/// What to do about one image.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The state asked for now.
    pub desired: ShareState,
    /// Why.
    pub cause: Cause,
    /// The manifest line that asks for it.
    pub source: Source,
    /// The state as last seen.
    pub actual: Actual,
    /// What follows.
    pub verdict: Verdict,
}

/// The state of an image as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actual {
    /// Shared; with the blueprint, where it is known.
    Shared(Option<String>),
    /// Not shared.
    Unshared,
    /// Not seen.
    Unknown,
}

/// What follows for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to do.
    InSync,
    /// One call, towards the desired state.
    Act,
    /// Look again before anything else, until `until` at the latest.
    Await {
        /// Then another decision falls.
        until: Moment,
        /// What is waited for.
        reason: Awaiting,
    },
    /// A person must act.
    Blocked(Problem),
    /// A guard forbids it.
    Withheld(Withheld),
    /// Given up.
    Failed(Problem),
    /// The scope was not seen: hold still.
    Unseen(Unseen),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaiting {
    /// The API acknowledged our write, and reading does not show it yet.
    OwnWrite,
    /// The outcome of our write is unknown; it may still show.
    Outcome(Problem),
    /// The API calls the image unshareable without a reason that its fields show. It may be shared
    /// already, unseen as yet. Holds the API's words.
    Doubt(String),
}

/// Why a guard forbids a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// `protect: true`: never CANCEL, whatever asks for it.
    Protected,
}

impl Withheld {
    /// For a person: the reason and the way out.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Protected => {
                "the image is protected; remove `protect: true` to let it be cancelled"
            }
        }
    }
}

/// Decides for every desired image of `scope`. `now` evaluates `from` and `until`; `moment` measures
/// how long ago own writes were.
pub fn plan(
    scope: &Scope,
    images: &ScopeImages<'_>,
    observation: &Observation,
    memory: &Memory,
    now: Timestamp,
    moment: Moment,
) -> Plan {
    let decisions = images.iter().map(|(&id, image)| {
        let (desired, cause) = image.intent.at(now);
        let (actual, verdict) = decide::decide(id, image, desired, observation, memory, moment);
        let source = image.source.clone();
        (
            id.clone(),
            Decision {
                desired,
                cause,
                source,
                actual,
                verdict,
            },
        )
    });
    Plan {
        scope: scope.clone(),
        decisions: decisions.collect(),
    }
}

/// The images that are about to be shared for the first time: those whose eligibility is worth asking
/// for before a write is spent on them.
pub fn share_candidates(plan: &Plan, memory: &Memory) -> Vec<ImageId> {
    let candidates = plan.decisions.iter().filter(|(id, decision)| {
        decision.verdict == Verdict::Act
            && decision.desired == ShareState::Shared
            && memory.tried_towards(id, ShareState::Shared).is_none()
    });
    candidates.map(|(id, _)| id.clone()).collect()
}

impl Plan {
    /// The calls that the plan asks for, in order.
    pub fn actions(&self) -> impl Iterator<Item = (&ImageId, Permission, &Decision)> {
        let acts = self
            .decisions
            .iter()
            .filter(|(_, decision)| decision.verdict == Verdict::Act);
        acts.map(|(id, decision)| (id, Permission::towards(decision.desired), decision))
    }

    /// When the first of the decisions that wait falls, if any waits.
    pub fn awaiting_until(&self) -> Option<Moment> {
        let awaiting = self
            .decisions
            .values()
            .filter_map(|decision| match decision.verdict {
                Verdict::Await { until, .. } => Some(until),
                _ => None,
            });
        awaiting.min()
    }
}
