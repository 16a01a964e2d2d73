//! DESIRED + OBSERVED + MEMORY → PLAN. Pure and total: the same arguments always give the same plan,
//! and each desired image gets exactly one [`Verdict`]. What is refused is a verdict with its reason,
//! never an error.
//!
//! Knows neither clocks nor the network; executing a plan takes no further decision.

mod account;
mod budget;
mod decide;
mod dispute;
mod earlier;
mod guard;
mod plan_key;
mod policy;
mod read_denied;
mod remedy;
mod saved;
mod walk;
mod warning;
mod withheld;

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use crate::attempts::{AttemptLog, PendingAttempt, Problem, WritePause};
use crate::desired::{DesiredImage, DesiredScope, DesiredShare, Source};
use crate::inventory::{Inventory, UnexpectedLoss};
use crate::model::{
    AccountName, Cause, Clocks, ImageId, ImageKey, Labels, Monotonic, Permission, Present, Scope,
    ShareState, Timestamp, Uin,
};
use crate::observation::{Blueprint, Observation, OwnImages, Unobserved};
use crate::windows::Windows;
use dispute::Closings;
use walk::Walk;

pub use account::{AccountProof, ScopeAccount};
pub use budget::{Budget, ScopeCost, budget};
pub use dispute::{ClockDispute, Dispute};
pub use guard::CapExceeded;
pub use plan_key::{PlanKey, PlanKeyError};
pub use policy::{ApprovedActions, Bound, EXEMPT_BELOW, Policy, Prune};
pub use saved::{Moved, SavedAction, SavedPlan, SavedPlanError, TooWide};
pub use warning::Odd;
pub use withheld::Withheld;

/// Everything that a plan for one scope follows from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Account and region.
    pub scope: &'a Scope,
    /// What the manifests ask for.
    pub wanted: &'a DesiredScope<'a>,
    /// Whose the images are.
    pub account: &'a ScopeAccount,
    /// The last look.
    pub observation: &'a Observation,
    /// What is known of earlier: what is ours, what is suspended.
    pub inventory: &'a Inventory,
    /// What this run wrote.
    pub attempts: &'a AttemptLog,
    /// When the account may be changed.
    pub windows: &'a Windows,
    /// What may be pruned.
    pub policy: &'a Policy,
    /// The saved plan that is carried out, if one is.
    pub approved: Option<&'a ApprovedActions>,
    /// Evaluate `from`, `until`, windows and suspensions: what follows from the time is done only where both agree.
    pub clocks: Clocks,
    /// Measures how long ago writes were that the store knows of.
    pub present: Present,
    /// Measures how long ago writes of this process were.
    pub monotonic: Monotonic,
}

/// What to do about one scope.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Account and region.
    pub scope: Scope,
    /// The root account, where it is known.
    pub uin: Option<Uin>,
    /// Account names whose rows the scope takes over with this look.
    pub taken_over: BTreeSet<AccountName>,
    /// Whether it was seen.
    pub view: View,
    /// Pruning was asked for, and what there is to prune could not be seen.
    pub unpruned: bool,
    /// One decision for each desired image, and for each that is to be pruned, in order of the ids.
    pub decisions: BTreeMap<ImageId, Decision>,
    /// What is shared, named by no manifest, and left alone.
    pub unmanaged: Unmanaged,
    /// Of what is shared as desired, each blueprint in a state that is not documented.
    pub odd: BTreeMap<ImageId, Odd>,
    /// What counts as not shared, though the API never said so.
    pub presumed: BTreeSet<ImageId>,
    /// Much of what is ours does not show.
    pub loss: Option<UnexpectedLoss>,
    /// What this machine's clock shows at the first instant at which time alone may change a decision, because one of
    /// the clocks says so: a share begins or ends, a window opens, a suspension is over.
    pub next_change_at: Option<Timestamp>,
}

/// Whether a scope was seen when it was planned. A scope without a decision can be out of sight, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// All of it.
    Seen,
    /// Reading is denied; what is known comes from the answers to writes.
    ReadDenied(Unobserved),
    /// Not.
    Unobserved(Unobserved),
}

/// What is shared, named by no manifest, and left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unmanaged {
    /// Shared by sharekeeper.
    pub ours: BTreeSet<ImageId>,
    /// Shared by somebody else, or so it seems.
    pub foreign: BTreeSet<ImageId>,
    /// Not the account's own images, as far as they were asked for: CANCEL does nothing about these.
    pub strays: BTreeMap<ImageId, Stray>,
}

/// A blueprint whose image is not among the account's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// `lhbp-…`.
    pub blueprint: SmolStr,
    /// Sharekeeper shared it, so that it is left over from an image that was deleted. Else it may be another account's.
    pub ours: bool,
}

/// What to do about one image.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The state asked for now. Where the clocks disagree about that, the one that would be a change.
    pub desired: ShareState,
    /// Why. Where the clocks agree about the state and not about the cause, this machine's says it.
    pub cause: Cause,
    /// The manifest line that asks for it; none for an image that is pruned.
    pub source: Option<Source>,
    /// The state as last seen.
    pub actual: Actual,
    /// When a share that is asked for ends by itself.
    pub until: Option<Timestamp>,
    /// What follows.
    pub verdict: Verdict,
}

/// The state of an image as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actual {
    /// Shared; with the blueprint, where it is known.
    Shared(Option<SmolStr>),
    /// Not shared.
    Unshared,
    /// Not seen.
    Unknown,
}

/// What follows for one image. The reasons are boxed: most images are in sync, and a plan may hold a million.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to do.
    InSync,
    /// One call, towards the desired state.
    Act,
    /// Look again before anything else, until `until` at the latest.
    Await {
        /// Then another decision falls.
        until: Monotonic,
        /// What is waited for.
        reason: Box<Awaiting>,
    },
    /// Shared as desired, and no server can be started from it yet; time alone may do.
    Pending(Box<Problem>),
    /// A person must act.
    Blocked(Box<Problem>),
    /// A guard forbids it.
    Withheld(Box<Withheld>),
    /// Given up.
    Failed(Box<Problem>),
    /// One call, which is not tried for now: the scope or its account is in the way, and not the image.
    NotTried(Box<WritePause>),
    /// The scope was not seen: hold still.
    Unobserved(Box<Unobserved>),
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
    /// Much of what is ours does not show; the next look may show it.
    Loss(String),
}

impl Verdict {
    /// Whether it is a call, were it not for the hour or for a person who asks to wait: what a plan says that is
    /// carried out later.
    pub fn is_intended(&self) -> bool {
        match self {
            Self::Act | Self::NotTried(_) => true,
            Self::Withheld(why) => match &**why {
                Withheld::Suspended(_) | Withheld::WindowClosed(_) => true,
                Withheld::ClocksDisagree(disputed) => !disputed.is_about_the_wish(),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the clocks disagree about the state that is asked for, so that there may be a call or none.
    pub fn is_unsettled(&self) -> bool {
        matches!(self, Self::Withheld(why)
            if matches!(&**why, Withheld::ClocksDisagree(disputed) if disputed.is_about_the_wish()))
    }

    /// Why there is no call, in words; `None` if there is one.
    pub fn why_not(&self) -> Option<String> {
        Some(match self {
            Self::Act => return None,
            Self::InSync => "already as desired".into(),
            Self::Await { reason, .. } => reason.to_string(),
            Self::Pending(problem) | Self::Blocked(problem) | Self::Failed(problem) => {
                problem.to_string()
            }
            Self::Withheld(why) => why.to_string(),
            Self::NotTried(rest) => rest.to_string(),
            Self::Unobserved(unobserved) => format!("not observed: {unobserved}"),
        })
    }
}

/// Decides for every image of the scope that a manifest names or that is to be pruned.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut shown = Walk::new(inputs.shown());
    let named = inputs.wanted.images.iter().map(|(&id, &image)| {
        let decision = named(inputs, id, image, shown.find(id));
        (id.clone(), decision)
    });
    let mut decisions: BTreeMap<_, _> = named.collect();
    let mut unmanaged = Unmanaged::default();
    for image in inputs.unnamed() {
        if inputs.prunes(image) {
            decisions
                .entry(image.clone())
                .or_insert_with(|| unnamed_image(inputs, image));
        } else if let Some(stray) = inputs.stray(image) {
            unmanaged.strays.insert(image.clone(), stray);
        } else if inputs.owns(image) {
            unmanaged.ours.insert(image.clone());
        } else {
            unmanaged.foreign.insert(image.clone());
        }
    }
    let closings = Closings::new(inputs.windows, inputs.clocks);
    let loss = guard::apply(inputs, &closings, &mut decisions);
    guard::rest(inputs.attempts, &mut decisions);
    let next_change_at = next_change_at(inputs, &closings, &decisions);
    Plan {
        scope: inputs.scope.clone(),
        uin: inputs.account.uin.clone(),
        taken_over: BTreeSet::new(),
        view: match inputs.observation {
            Observation::Seen(_) => View::Seen,
            Observation::ReadDenied(why) => View::ReadDenied(why.clone()),
            Observation::Unobserved(why) => View::Unobserved(why.clone()),
        },
        unpruned: inputs.policy.prune != Prune::None
            && !matches!(inputs.observation, Observation::Seen(_)),
        odd: warning::odd(inputs, &decisions),
        presumed: warning::presumed(inputs, &decisions),
        decisions,
        unmanaged,
        loss,
        next_change_at,
    }
}

fn next_change_at(
    inputs: &Inputs<'_>,
    closings: &Closings,
    decisions: &BTreeMap<ImageId, Decision>,
) -> Option<Timestamp> {
    let wanted = inputs.wanted.images.values();
    let asked = wanted.flat_map(|image| image.intent.turns());
    let withheld = decisions.values().flat_map(|decision| {
        let (end, openings) = match &decision.verdict {
            Verdict::Withheld(why) => match &**why {
                Withheld::Suspended(suspension) => (suspension.until, None),
                Withheld::WindowClosed(_) => (None, Some(closings.openings(decision.cause))),
                Withheld::ClocksDisagree(disputed) => match &disputed.about {
                    Dispute::Wish { .. } => (None, None),
                    Dispute::Window { .. } => (None, Some(closings.openings(decision.cause))),
                    Dispute::Suspension { suspension, .. } => (suspension.until, None),
                },
                _ => (None, None),
            },
            _ => (None, None),
        };
        end.into_iter().chain(openings.into_iter().flatten())
    });
    let turns = asked.chain(withheld);
    turns.filter_map(|at| inputs.clocks.reach(at)).min()
}

impl Inputs<'_> {
    /// Images that no manifest names, and that there may be something to say of: those that are seen, those that this
    /// run has cancelled, those that a recent SHARE of ours may yet bring into view, and, where nothing is seen, those of
    /// the saved plan.
    fn unnamed(&self) -> BTreeSet<&ImageId> {
        let cancelled = |(image, tried): (_, &PendingAttempt)| {
            (tried.towards == ShareState::Unshared).then_some(image)
        };
        let cancelled = self.attempts.tried.iter().filter_map(cancelled);
        let mut images: BTreeSet<_> = cancelled
            .filter(|image| !self.wanted.names(image))
            .collect();
        let mut wanted = Walk::new(&self.wanted.images);
        let mut is_unnamed = |image: &&ImageId| {
            wanted.find(*image).is_none() && !self.wanted.unselected.contains_key(*image)
        };
        match self.observation {
            Observation::Seen(seen) => {
                images.extend(seen.shared.keys().filter(&mut is_unnamed));
                let written = self
                    .inventory
                    .images
                    .keys()
                    .chain(self.inventory.open_intents.keys());
                let may_show = |image: &&ImageId| {
                    earlier::may_yet_show(self, image)
                        && !self.wanted.names(image)
                        && self.prunes(image)
                };
                images.extend(written.filter(may_show));
            }
            Observation::ReadDenied(_) | Observation::Unobserved(_) => {
                let licensed = self.approved.into_iter().flat_map(BTreeMap::keys);
                images.extend(licensed.filter(&mut is_unnamed));
            }
        }
        images
    }

    /// What the last look shows as shared.
    fn shown(&self) -> &BTreeMap<ImageId, Blueprint> {
        static NOTHING: BTreeMap<ImageId, Blueprint> = BTreeMap::new();
        match self.observation {
            Observation::Seen(seen) => &seen.shared,
            Observation::ReadDenied(_) | Observation::Unobserved(_) => &NOTHING,
        }
    }

    /// Whether an image that no manifest names is to be cancelled, guards aside.
    fn prunes(&self, image: &ImageId) -> bool {
        let mode = match self.policy.prune {
            Prune::None => false,
            // One that this run has cancelled is not ours any longer, and is still to be told of.
            Prune::Owned => {
                let cancelled = self.attempts.tried_towards(image, ShareState::Unshared);
                self.owns(image) || cancelled.is_some()
            }
            Prune::Exclusive => true,
        };
        // One that this run has tried to cancel is still to be told of.
        let tried = self.attempts.tried_towards(image, ShareState::Unshared);
        if tried.is_none() && self.stray(image).is_some() {
            return false;
        }
        let key = || ImageKey {
            scope: self.scope.clone(),
            image: image.clone(),
        };
        mode && self.wanted.selector.matches(&key(), &Labels::new())
    }

    /// What there is to say of a blueprint that is known to be of no image of the account's own.
    fn stray(&self, image: &ImageId) -> Option<Stray> {
        let shown = self.shown().get(image)?;
        self.own_images().lack(image).then(|| Stray {
            blueprint: shown.id.clone(),
            ours: self.owns(image),
        })
    }

    fn own_images(&self) -> &OwnImages {
        match self.observation {
            Observation::Seen(seen) => &seen.own,
            Observation::ReadDenied(_) | Observation::Unobserved(_) => &OwnImages::NotAsked,
        }
    }

    fn owns(&self, image: &ImageId) -> bool {
        self.inventory
            .images
            .get(image)
            .is_some_and(|record| record.owned.is_some())
    }
}

fn named(
    inputs: &Inputs<'_>,
    id: &ImageId,
    image: &DesiredImage,
    shown: Option<&Blueprint>,
) -> Decision {
    let ((mut desired, mut cause), by_api) = inputs.clocks.ask(|now| image.intent.at(now));
    let (actual, mut verdict) = decide::decide(inputs, id, desired, shown);
    if let Some((state, why)) = by_api
        && state != desired
        && !matches!(verdict, Verdict::Unobserved(_))
    {
        let about = Dispute::Wish {
            machine: desired,
            api: state,
        };
        verdict = Verdict::Withheld(Withheld::disputed(inputs.clocks, about).into());
        if actual.state() == Some(desired) {
            (desired, cause) = (state, why);
        }
    }
    Decision {
        desired,
        cause,
        source: Some(image.source.clone()),
        actual,
        until: match image.intent {
            DesiredShare::Shared { until, .. } => {
                until.filter(|until| inputs.clocks.machine() < *until)
            }
            DesiredShare::Unshared => None,
        },
        verdict,
    }
}

fn unnamed_image(inputs: &Inputs<'_>, id: &ImageId) -> Decision {
    let shown = inputs.shown().get(id);
    let (actual, verdict) = decide::decide(inputs, id, ShareState::Unshared, shown);
    Decision {
        desired: ShareState::Unshared,
        cause: Cause::Pruned,
        source: None,
        actual,
        until: None,
        verdict,
    }
}

/// The images that are about to be shared for the first time: those whose eligibility is worth asking
/// for before a write is spent on them.
pub fn share_candidates(plan: &Plan, attempts: &AttemptLog) -> Vec<ImageId> {
    let candidates = plan.decisions.iter().filter(|(id, decision)| {
        decision.verdict == Verdict::Act
            && decision.desired == ShareState::Shared
            && attempts.tried_towards(id, ShareState::Shared).is_none()
    });
    candidates.map(|(id, _)| id.clone()).collect()
}

/// Whether something is about to be done about an image that no manifest names, now or at its hour, so that it has to be
/// known whether it is the account's own.
pub fn needs_own_images(plan: &Plan) -> bool {
    let mut decisions = plan.decisions.values();
    decisions.any(|decision| {
        let is_ahead = || match &decision.verdict {
            Verdict::Withheld(why) => {
                let counts = matches!(**why, Withheld::OwnImagesNotAsked | Withheld::TooMany(_));
                counts || decision.verdict.is_intended()
            }
            verdict => verdict.is_intended(),
        };
        decision.cause == Cause::Pruned && is_ahead()
    })
}

impl Decision {
    /// Whether the image is as desired by the API's answers to writes, because reading is denied.
    pub fn is_by_word(&self) -> bool {
        self.verdict == Verdict::InSync && self.actual == Actual::Unknown
    }
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

    /// Why the scope was not seen, if it was not.
    pub fn unobserved(&self) -> Option<&Unobserved> {
        match &self.view {
            View::Unobserved(unobserved) => Some(unobserved),
            View::Seen | View::ReadDenied(_) => None,
        }
    }

    /// Why reading is denied, if it is and the plan was made without it.
    pub fn read_denied(&self) -> Option<&Unobserved> {
        match &self.view {
            View::ReadDenied(unobserved) => Some(unobserved),
            View::Seen | View::Unobserved(_) => None,
        }
    }

    /// Whether the scope was seen, and the image is not shared in it, though no manifest names it.
    pub fn is_gone(&self, image: &ImageId) -> bool {
        self.view == View::Seen
            && !self.decisions.contains_key(image)
            && !self.unmanaged.ours.contains(image)
            && !self.unmanaged.foreign.contains(image)
            && !self.unmanaged.strays.contains_key(image)
    }

    /// Whether an image is shared and not ready yet, so that it is worth another look.
    pub fn is_pending(&self) -> bool {
        let mut decisions = self.decisions.values();
        decisions.any(|decision| matches!(decision.verdict, Verdict::Pending(_)))
    }

    /// Why what is still to do is not tried for now, if so.
    pub fn rest(&self) -> Option<&WritePause> {
        let mut verdicts = self.decisions.values().map(|decision| &decision.verdict);
        verdicts.find_map(|verdict| match verdict {
            Verdict::NotTried(rest) => Some(&**rest),
            _ => None,
        })
    }

    /// When the first of the decisions that wait falls, if any waits.
    pub fn awaiting_until(&self) -> Option<Monotonic> {
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
