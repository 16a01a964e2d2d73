//! What the planner says of a scope and of each of its images: values that the engine carries out and the reports show.

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

/// What to do about one scope.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scope: Scope,
    /// The root account, where it is known.
    pub uin: Option<Uin>,
    /// Account names whose inventory rows the scope takes over.
    pub taken_over: BTreeSet<AccountName>,
    /// Earlier names of the account, by which people may have suspended the scope.
    pub aliases: Arc<BTreeSet<AccountName>>,
    /// Whether the scope was observed.
    pub view: View,
    /// Pruning was asked for, but the scope was not observed, so that nothing was pruned.
    pub prune_skipped: bool,
    /// One decision for each desired image, and for each that is to be pruned, in order of the ids.
    pub decisions: BTreeMap<ImageId, Decision>,
    /// Images that are shared, that no manifest names, and that are left alone.
    pub unmanaged: Unmanaged,
    /// Of the images that are shared as desired, those whose blueprint is in an undocumented state.
    pub undocumented_states: BTreeMap<ImageId, UndocumentedState>,
    /// Images that count as not shared, though the API never said so.
    pub presumed_unshared: BTreeSet<ImageId>,
    /// Set if many owned images do not show.
    pub loss: Option<UnexpectedLoss>,
    /// The first time, by this machine's clock, at which a decision may change without any other event: a share begins or
    /// ends, a window opens, or a suspension is over by one of the clocks.
    pub next_change_at: Option<Timestamp>,
    /// Names of selected entries that mean no image, or several. A person must act.
    pub unresolved: Vec<UnresolvedName>,
    /// Why selected policies hold still, by their names. A person must act.
    pub policy_holds: BTreeMap<Arc<str>, Arc<str>>,
    /// Instances that use an image which a manifest declares `unshared` and whose share is cancelled all the same. Once a pass
    /// is over, the plan that it ended with has those that the pass has cancelled.
    pub in_use: BTreeMap<ImageId, Vec<SmolStr>>,
    /// What the documents ask of each image, where they name images by more than ids.
    pub resolution: Arc<Resolution>,
}

/// Whether a scope was observed when it was planned. A plan without decisions needs it, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    Seen,
    /// Reading is denied; what is known comes from the answers to writes.
    ReadDenied(Unobserved),
    /// Not observed; holds the reason.
    Unobserved(Unobserved),
}

impl View {
    /// The word in documents.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::ReadDenied(_) => "blind",
            Self::Unobserved(_) => "unseen",
        }
    }

    /// Why the scope was not seen, if it was not.
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
    /// Images that are known not to be the account's own: CANCEL has no effect on them.
    pub strays: BTreeMap<ImageId, Stray>,
}

/// A blueprint whose image is not among the account's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The blueprint id, `lhbp-…`.
    pub blueprint: SmolStr,
    /// sharekeeper shared it, so that it is left over from a deleted image. Otherwise it may belong to another account.
    pub ours: bool,
}

/// A blueprint in a state that is not documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndocumentedState {
    /// The blueprint id, `lhbp-…`.
    pub blueprint: SmolStr,
    /// What the state is called; empty where there is none.
    pub state: String,
}

/// What to do about one image.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The desired state. If the clocks disagree about it, the state that would be a change.
    pub desired: ShareState,
    /// Why it is desired. If the clocks disagree about the cause alone, this machine's clock decides.
    pub cause: Cause,
    /// The manifest line that asks for it; none for an image that is pruned.
    pub source: Option<Source>,
    /// The state as last seen.
    pub actual: Actual,
    /// When the desired share ends by itself.
    pub until: Option<Timestamp>,
    pub verdict: Verdict,
    /// The image's name, where it is known.
    pub name: Option<SmolStr>,
    /// What else the document says of it; none for an image that is pruned or held.
    pub entry: Option<Entry>,
}

/// What a document says of an image, besides the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub document: Arc<DocumentMetadata>,
    /// Never CANCEL, whatever asks for it.
    pub protect: bool,
    /// When the share that is asked for begins, where it does not begin at once.
    pub from: Option<Timestamp>,
    pub note: Option<Arc<str>>,
}

/// The state of an image as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actual {
    /// Shared; holds the blueprint id if it is known.
    Shared(Option<SmolStr>),
    Unshared,
    Unknown,
}

/// What to do about one image, or why nothing is done. Reasons are boxed because most images are in sync and a plan may
/// hold a million of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    InSync,
    /// One call, towards the desired state.
    Act,
    /// Observe again before anything else, until `until` at the latest.
    Await {
        /// Then another decision falls.
        until: Monotonic,
        /// What is waited for.
        reason: Box<Awaiting>,
    },
    /// Shared as desired, but no server can be started from it yet. Waiting may be enough.
    Pending(Box<Problem>),
    /// A person must act.
    Blocked(Box<Problem>),
    /// A guard forbids it.
    Withheld(Box<Withheld>),
    /// Given up after retries; holds the last problem.
    Failed(Box<Problem>),
    /// One call, which is not tried for now because writes to the scope or its account are paused.
    NotTried(Box<WritePause>),
    /// The scope was not observed, so nothing is done.
    Unobserved(Box<Unobserved>),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaiting {
    /// The API acknowledged our write, and reading does not show it yet.
    OwnWrite,
    /// The outcome of our write is unknown; it may still show.
    Outcome(Problem),
    /// The API says that the image cannot be shared, and its fields do not show why. It may be shared already without
    /// showing yet. Holds the API's reason.
    Doubt(String),
    /// Many owned images do not show; the next observation may show them.
    Loss(String),
    /// Other regions of its policy have not been seen yet.
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
    /// Whether it is a call now, or once a window opens, a suspension ends or writes are no longer paused. A saved plan holds
    /// these, and the caps count them.
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

    /// Whether the clocks disagree about the state that is asked for, so that there may be a call or none.
    pub fn is_unsettled(&self) -> bool {
        matches!(self, Self::Withheld(why)
            if matches!(&**why, Withheld::ClocksDisagree(conflict) if conflict.is_about_desired_state()))
    }

    /// Whether a guard holds the image until a person says otherwise.
    pub fn is_held_open(&self) -> bool {
        matches!(self, Self::Withheld(why) if why.has_no_end())
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
            Self::NotTried(pause) => pause.to_string(),
            Self::Unobserved(unobserved) => format!("not observed: {unobserved}"),
        })
    }
}

impl Decision {
    /// Whether it is withheld in the normal course of things, so that no person need act: what a policy would retire is in use
    /// or not ours.
    pub fn is_normal_course(&self) -> bool {
        self.cause == Cause::Retention
            && matches!(&self.verdict, Verdict::Withheld(why)
                if matches!(**why, Withheld::InUse(_) | Withheld::NotOwnedByPolicy))
    }

    /// Whether policies ask for it.
    pub fn is_by_policy(&self) -> bool {
        matches!(
            self.cause,
            Cause::Policy | Cause::Retention | Cause::Revoked
        )
    }

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

    /// Lets what policies ask for wait until the other regions were seen, which is looked at in the next round.
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

    /// Whether an image is shared and not ready yet, so that it is worth observing again.
    pub fn is_pending(&self) -> bool {
        let mut decisions = self.decisions.values();
        decisions.any(|decision| matches!(decision.verdict, Verdict::Pending(_)))
    }

    /// Why what is still to do is not tried for now, if so.
    pub fn write_pause(&self) -> Option<&WritePause> {
        let mut verdicts = self.decisions.values().map(|decision| &decision.verdict);
        verdicts.find_map(|verdict| match verdict {
            Verdict::NotTried(pause) => Some(&**pause),
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
