//! The planner's results for a scope and each of its images: values that the engine carries out and the reports show.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::withheld::Withheld;
use crate::attempts::{Problem, WritePause};
use crate::desired::{DocumentMetadata, Source};
use crate::inventory::UnexpectedLoss;
use crate::model::{
    AccountName, Cause, ImageId, Monotonic, Permission, Scope, ShareState, Timestamp, Uin,
};
use crate::observation::Unobserved;
use crate::resolve::{Resolution, UnresolvedName};

/// The plan for one scope.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scope: Scope,
    /// The root account, where it is known.
    pub uin: Option<Uin>,
    /// Account names whose inventory rows the scope takes over.
    pub taken_over: BTreeSet<AccountName>,
    /// Earlier names of the account, which people may have used to suspend the scope.
    pub aliases: Arc<BTreeSet<AccountName>>,
    /// Whether the scope was observed.
    pub view: View,
    /// Pruning was requested, but the scope was not observed, so nothing was pruned.
    pub prune_skipped: bool,
    /// One decision for each desired image and for each image that is due for pruning, in order of the ids.
    pub decisions: BTreeMap<ImageId, Decision>,
    /// Images that are shared, that no manifest names, and that are left alone.
    pub unmanaged: Unmanaged,
    /// Blueprints in an undocumented state, for images that are shared as desired.
    pub undocumented_states: BTreeMap<ImageId, UndocumentedState>,
    /// Images that count as not shared, although the API never confirmed it.
    pub presumed_unshared: BTreeSet<ImageId>,
    /// Set if many owned images are not visible.
    pub loss: Option<UnexpectedLoss>,
    /// The first time, by this machine's clock, at which a decision may change without any other event: a share begins or
    /// ends, a window opens, or a suspension is over by one of the clocks.
    pub next_change_at: Option<Timestamp>,
    /// Names in selected entries that match no image, or several. A person must act.
    pub unresolved: Vec<UnresolvedName>,
    /// Why selected policies make no change, by policy name. A person must act.
    pub policy_holds: BTreeMap<Arc<str>, Arc<str>>,
    /// Instances that use an image which a manifest declares `unshared` and whose share is still cancelled. At the end of
    /// a pass, the final plan also contains the images that the pass has cancelled.
    pub in_use: BTreeMap<ImageId, Vec<SmolStr>>,
    /// The desired state of each image, where documents name images by more than ids.
    pub resolution: Arc<Resolution>,
}

/// Whether a scope was observed when it was planned. A plan without decisions needs this too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    Seen,
    /// Reading is denied; the API's answers to writes are all that is known.
    ReadDenied(Unobserved),
    /// The scope was not observed; holds the reason.
    Unobserved(Unobserved),
}

impl View {
    /// The word that documents use.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::ReadDenied(_) => "blind",
            Self::Unobserved(_) => "unseen",
        }
    }

    /// Why the scope was not seen, unless it was.
    pub const fn why(&self) -> Option<&Unobserved> {
        match self {
            Self::Seen => None,
            Self::ReadDenied(why) | Self::Unobserved(why) => Some(why),
        }
    }
}

/// Images that are shared, that no manifest names, and that are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unmanaged {
    /// Images that the inventory lists as owned.
    pub ours: BTreeSet<ImageId>,
    /// Images that somebody else seems to have shared.
    pub foreign: BTreeSet<ImageId>,
    /// Images that are known not to belong to the account: CANCEL has no effect on them.
    pub strays: BTreeMap<ImageId, Stray>,
}

/// A blueprint whose image is not among the account's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The blueprint id, `lhbp-…`.
    pub blueprint: SmolStr,
    /// Whether sharekeeper shared it, so that it is left over from a deleted image. Otherwise it may belong to another
    /// account.
    pub ours: bool,
}

/// A blueprint in a state that is not documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndocumentedState {
    /// The blueprint id, `lhbp-…`.
    pub blueprint: SmolStr,
    /// Text of the state; empty if the API gave none.
    pub state: String,
}

/// The planner's decision for one image.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The desired state. If the clocks disagree about it, the state that would need a change.
    pub desired: ShareState,
    /// Why the state is desired. If the clocks disagree only about the cause, this machine's clock decides.
    pub cause: Cause,
    /// The manifest line that asks for it; `None` for an image that is pruned.
    pub source: Option<Source>,
    /// The state as last seen.
    pub actual: Actual,
    /// When the desired share expires.
    pub until: Option<Timestamp>,
    pub verdict: Verdict,
    /// The image's name, where it is known.
    pub name: Option<SmolStr>,
    /// The other fields of its document entry; `None` for an image that is pruned or held.
    pub entry: Option<Entry>,
}

/// The fields of a document entry besides the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub document: Arc<DocumentMetadata>,
    /// Whether CANCEL is forbidden for every cause.
    pub protect: bool,
    /// When the desired share begins, if it does not begin at once.
    pub from: Option<Timestamp>,
    pub note: Option<Arc<str>>,
}

/// The state of an image, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actual {
    /// Shared; holds the blueprint id if it is known.
    Shared(Option<SmolStr>),
    Unshared,
    Unknown,
}

/// The action for one image, or why nothing is done. Reasons are boxed, because most images are in sync and a plan may
/// hold a million of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    InSync,
    /// One call towards the desired state.
    Act,
    /// Observe again before anything else, until `until` at the latest.
    Await {
        /// The time at which another decision is made.
        until: Monotonic,
        /// The event that the image waits for.
        reason: Box<Awaiting>,
    },
    /// The image is shared as desired, but no server can be started from it yet. Waiting may be enough.
    Pending(Box<Problem>),
    /// A person must act before it can change.
    Blocked(Box<Problem>),
    /// A guard forbids the change.
    Withheld(Box<Withheld>),
    /// Given up after retries; holds the last problem.
    Failed(Box<Problem>),
    /// One call, which is not tried for now, because writes to the scope or its account are paused.
    NotTried(Box<WritePause>),
    /// The scope was not observed, so nothing is done.
    Unobserved(Box<Unobserved>),
}

/// The event that an image waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaiting {
    /// The API acknowledged our write, but no read shows it yet.
    OwnWrite,
    /// The outcome of our write is unknown; it may still appear.
    Outcome(Problem),
    /// The API says that the image cannot be shared, but its fields do not show why. It may already be shared and not
    /// visible yet. Holds the API's reason.
    Doubt(String),
    /// Many owned images are not visible; the next observation may show them.
    Loss(String),
    /// Other regions of its policy have not been observed yet.
    Regions,
}

impl Actual {
    /// The state, where it is known.
    pub fn state(&self) -> Option<ShareState> {
        match self {
            Self::Shared(_) => Some(ShareState::Shared),
            Self::Unshared => Some(ShareState::Unshared),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Awaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnWrite => f.write_str("accepted by the API, but reading does not show it yet"),
            Self::Outcome(problem) => write!(f, "the outcome is unknown: {problem}"),
            Self::Doubt(reason) if reason.is_empty() => {
                f.write_str("the API says it cannot be shared")
            }
            Self::Doubt(reason) => write!(f, "the API says it cannot be shared: {reason}"),
            Self::Loss(what) => f.write_str(what),
            Self::Regions => f.write_str("other regions of its policy have not been seen yet"),
        }
    }
}

impl Verdict {
    /// Whether it is a call now, or once a window opens, a suspension ends or writes are no longer paused. A saved plan
    /// contains these, and the caps count them.
    pub fn is_intended(&self) -> bool {
        match self {
            Self::Act | Self::NotTried(_) => true,
            Self::Withheld(why) => why.is_temporary(),
            Self::InSync
            | Self::Await { .. }
            | Self::Pending(_)
            | Self::Blocked(_)
            | Self::Failed(_)
            | Self::Unobserved(_) => false,
        }
    }

    /// Whether the clocks disagree about the desired state, so that a call may or may not be needed.
    pub fn is_unsettled(&self) -> bool {
        matches!(self, Self::Withheld(why)
            if matches!(&**why, Withheld::ClocksDisagree(conflict) if conflict.is_about_desired_state()))
    }

    /// Whether a guard holds the image until a person changes something.
    pub fn is_held_open(&self) -> bool {
        matches!(self, Self::Withheld(why) if why.has_no_end())
    }

    /// Why no call is made, as text; `None` if one is made.
    pub fn why_not(&self) -> Option<String> {
        Some(match self {
            Self::Act => return None,
            Self::InSync => "already as desired".into(),
            Self::Await { reason, .. } => reason.to_string(),
            Self::Pending(problem) | Self::Blocked(problem) | Self::Failed(problem) => {
                problem.to_string()
            }
            Self::Withheld(why) => why.to_string(),
            Self::NotTried(pause) => pause.to_string(),
            Self::Unobserved(unobserved) => format!("not observed: {unobserved}"),
        })
    }
}

impl Decision {
    /// Whether it is withheld in normal operation, so that no person must act: an image that a policy would retire is in
    /// use or not ours.
    pub fn is_normal_course(&self) -> bool {
        self.cause == Cause::Retention
            && matches!(&self.verdict, Verdict::Withheld(why)
                if matches!(**why, Withheld::InUse(_) | Withheld::NotOwnedByPolicy))
    }

    /// Whether a policy asks for it.
    pub fn is_by_policy(&self) -> bool {
        matches!(
            self.cause,
            Cause::Policy | Cause::Retention | Cause::Revoked
        )
    }

    /// Whether the image is in sync only by the API's answers to writes, because reading is denied.
    pub fn is_by_word(&self) -> bool {
        self.verdict == Verdict::InSync && self.actual == Actual::Unknown
    }
}

impl Plan {
    /// The calls of the plan, in order.
    pub fn actions(&self) -> impl Iterator<Item = (&ImageId, Permission, &Decision)> {
        let acts = self
            .decisions
            .iter()
            .filter(|(_, decision)| decision.verdict == Verdict::Act);
        acts.map(|(id, decision)| (id, Permission::towards(decision.desired), decision))
    }

    /// Makes the actions of policies wait until the other regions were observed; the next round checks that.
    pub fn await_regions(&mut self, now: Monotonic) {
        let actions = self.decisions.values_mut();
        let actions = actions.filter(|it| it.verdict == Verdict::Act && it.is_by_policy());
        for decision in actions {
            decision.verdict = Verdict::Await {
                until: now,
                reason: Awaiting::Regions.into(),
            };
        }
    }

    /// Why the scope was not observed, unless it was.
    pub fn unobserved(&self) -> Option<&Unobserved> {
        match &self.view {
            View::Unobserved(unobserved) => Some(unobserved),
            View::Seen | View::ReadDenied(_) => None,
        }
    }

    /// Why reading is denied, if the plan was made without it.
    pub fn read_denied(&self) -> Option<&Unobserved> {
        match &self.view {
            View::ReadDenied(unobserved) => Some(unobserved),
            View::Seen | View::Unobserved(_) => None,
        }
    }

    /// Whether the scope was observed, and the image is not shared in it and no manifest names it.
    pub fn is_gone(&self, image: &ImageId) -> bool {
        self.view == View::Seen
            && !self.decisions.contains_key(image)
            && !self.unmanaged.ours.contains(image)
            && !self.unmanaged.foreign.contains(image)
            && !self.unmanaged.strays.contains_key(image)
    }

    /// Whether an image is shared but not ready yet, so that it is worth observing again.
    pub fn is_pending(&self) -> bool {
        let mut decisions = self.decisions.values();
        decisions.any(|decision| matches!(decision.verdict, Verdict::Pending(_)))
    }

    /// Why the remaining changes are not tried for now, if writes are paused.
    pub fn write_pause(&self) -> Option<&WritePause> {
        let mut verdicts = self.decisions.values().map(|decision| &decision.verdict);
        verdicts.find_map(|verdict| match verdict {
            Verdict::NotTried(pause) => Some(&**pause),
            _ => None,
        })
    }

    /// The earliest end of a wait, if any decision waits.
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
