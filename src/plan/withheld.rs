//! Why a guard forbids a change, and what a person can do about it.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::cap::CapExceeded;
use super::clock_conflict::{ClockConflict, ConflictSubject};
use crate::attempts::AccountDoubt;
use crate::inventory::{Suspension, UnexpectedLoss};
use crate::model::{Cause, Clocks, Scope, Timestamp};
use crate::windows::Closed;
use crate::words::{first_of, plural, rfc3339};

const PROTECTED: &str = "the image is protected; remove `protect: true` to let it be cancelled";
const PROTECTED_BEFORE: &str =
    "the image was protected when a manifest last named it; to let it go, declare it `unshared`";
const PARTIAL_MANIFESTS: &str =
    "some manifests have errors, so no CANCEL is made; fix them to let it be cancelled";
const PROBABLE: &str = "sharekeeper probably shared it, but the API's answer was lost; to let it be pruned, run `sharekeeper adopt \
                        --image` for it, or declare it `unshared`";
const NOT_OWNED: &str = "sharekeeper did not share it; declare it `unshared` to have it cancelled";
const DISPUTED: &str = "it shows as another blueprint than the one that sharekeeper created; if that is still so in ten minutes, \
                        the share belongs to somebody else";
const UNOBSERVED: &str = "nothing is pruned without an observation; let this key read (DescribeBlueprints), or wait until reading works";
const OWN_IMAGES_NOT_ASKED: &str =
    "it was not checked whether it is one of the account's own images";
const NOT_OWN_IMAGE: &str = "it is no longer among the account's own images, so CANCEL has no effect; if a blueprint is left over, \
                             delete that in the Lighthouse console or with DeleteBlueprints";
const NOT_OWNED_BY_POLICY: &str =
    "sharekeeper did not share it, and the policy retires only its own shares (`keep.owned: true`)";
const INSTANCES_NOT_ASKED: &str = "it was not checked whether instances use it";

/// Why a guard forbids a change. The text also tells a person the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// `protect: true`: CANCEL is forbidden for every cause.
    Protected,
    /// No manifest names it any longer, and the last one that did protected it.
    ProtectedBefore,
    /// Some manifests could not be read, so their desired state is unknown.
    PartialManifests,
    /// It is not known whether the manifests are complete; holds the reason and the remedy.
    UnknownManifests(Arc<str>),
    /// A person has suspended it.
    Suspended(Suspension),
    /// Another party kept reversing our changes.
    Parked(Timestamp),
    /// The account's windows for this cause are closed.
    WindowClosed(Closed),
    /// The share is probably ours, but the answer that would prove it was lost.
    Probable,
    NotOwned,
    /// Our share shows as another blueprint than before.
    Disputed,
    /// The scope could not be observed.
    Unobserved,
    /// It was not checked whether the image is the account's own. Only the draft of a plan has this reason.
    OwnImagesNotAsked,
    /// The account's own images could not be listed; holds the reason.
    OwnImagesUnknown(String),
    /// The image is no longer among the account's own.
    NotOwnImage,
    /// Many of our shares are not visible.
    Lost(Scope, UnexpectedLoss),
    /// Many of our shares were not visible earlier in this run, and were shared again.
    LostBefore(UnexpectedLoss),
    /// The account of the credentials is not known, and another account name could mean the same account; holds the
    /// reason.
    AccountUnproven(String),
    /// The first run under another account, or with a key that is not proven to belong to the same one.
    AccountChanged(AccountDoubt),
    /// More images would be pruned at once than the caps allow.
    TooMany(CapExceeded),
    /// The saved plan does not hold this action.
    NotInPlan,
    /// It depends on the time, and the clocks disagree about it.
    ClocksDisagree(Box<ClockConflict>),
    /// A person must settle what the documents mean for the image; holds the reason.
    Held(Arc<str>),
    /// Pruning is held for now; holds the reason.
    PruneHeld(Arc<str>),
    /// More CANCELs of one cause are due than a policy allows.
    PolicyCap(Box<PolicyCap>),
    /// The policy retires only our own shares.
    NotOwnedByPolicy,
    /// Instances use the blueprint; holds their ids.
    InUse(Vec<SmolStr>),
    /// It could not be checked whether instances use it; holds the reason.
    InUseUnknown(String),
    /// It was not checked whether instances use it. Only the draft of a plan has this reason.
    InstancesNotAsked,
}

/// More CANCELs of one cause are due in one region than a policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyCap {
    pub policy: Arc<str>,
    pub cause: Cause,
    /// Number of CANCELs that are due.
    pub due: usize,
    pub max: u32,
}

impl Withheld {
    pub(super) fn disputed(clocks: Clocks, about: ConflictSubject) -> Self {
        Self::ClocksDisagree(ClockConflict { clocks, about }.into())
    }
}

impl Withheld {
    /// Whether it is withheld until a person changes something: suspended without an end, protected, or excluded by
    /// windows that are not known to open.
    pub fn has_no_end(&self) -> bool {
        match self {
            Self::Suspended(suspension) => suspension.until.is_none(),
            Self::WindowClosed(closed) => closed.opens.is_none(),
            Self::Protected | Self::ProtectedBefore => true,
            _ => false,
        }
    }

    /// Whether the change is made once a window opens or a suspension ends: it counts against the caps and belongs in a
    /// saved plan.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Suspended(_) | Self::WindowClosed(_) => true,
            Self::ClocksDisagree(conflict) => !conflict.is_about_desired_state(),
            Self::Protected
            | Self::ProtectedBefore
            | Self::PartialManifests
            | Self::UnknownManifests(_)
            | Self::Parked(_)
            | Self::Probable
            | Self::NotOwned
            | Self::Disputed
            | Self::Unobserved
            | Self::OwnImagesNotAsked
            | Self::OwnImagesUnknown(_)
            | Self::NotOwnImage
            | Self::Lost(..)
            | Self::LostBefore(_)
            | Self::AccountUnproven(_)
            | Self::AccountChanged(_)
            | Self::TooMany(_)
            | Self::NotInPlan
            | Self::Held(_)
            | Self::PruneHeld(_)
            | Self::PolicyCap(_)
            | Self::NotOwnedByPolicy
            | Self::InUse(_)
            | Self::InUseUnknown(_)
            | Self::InstancesNotAsked => false,
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected => f.write_str(PROTECTED),
            Self::ProtectedBefore => f.write_str(PROTECTED_BEFORE),
            Self::PartialManifests => f.write_str(PARTIAL_MANIFESTS),
            Self::UnknownManifests(why) => write!(
                f,
                "it is not known whether a manifest is missing, and a missing one may name it: {why}"
            ),
            Self::Suspended(suspension) => f.write_str(&suspension.describe()),
            Self::Parked(since) => write!(
                f,
                "parked since {}: somebody else keeps reversing it; settle who owns the image, then run `sharekeeper resume --image` for it",
                rfc3339(*since)
            ),
            Self::WindowClosed(closed) => f.write_str(&closed.reason),
            Self::Probable => f.write_str(PROBABLE),
            Self::NotOwned => f.write_str(NOT_OWNED),
            Self::Disputed => f.write_str(DISPUTED),
            Self::Unobserved => f.write_str(UNOBSERVED),
            Self::OwnImagesNotAsked => f.write_str(OWN_IMAGES_NOT_ASKED),
            Self::OwnImagesUnknown(why) => write!(
                f,
                "nothing is pruned until it is known which images are the account's own: {why}"
            ),
            Self::NotOwnImage => f.write_str(NOT_OWN_IMAGE),
            Self::Lost(scope, UnexpectedLoss { lost, of }) => write!(
                f,
                "{lost} of {of} images that sharekeeper shared here are suddenly not shown as shared; \
                 check that these are the right account and credentials; if somebody has cancelled them, accept this with \
                 `--accept-lost {scope}={lost}`, or with `sharekeeper accept {scope}={lost}` where a process runs or the flag has \
                 accepted another loss before"
            ),
            Self::LostBefore(UnexpectedLoss { lost, of }) => write!(
                f,
                "earlier in this run {lost} of {of} images that sharekeeper shared here were not shown as shared, and were shared \
                 again; the same run cancels nothing: find out what happened, then run it again"
            ),
            Self::AccountUnproven(why) => write!(
                f,
                "nothing is pruned until it is known which account these credentials belong to: {why}; allow \
                 `sts:GetCallerIdentity` for the key, then give each account its `spec.uin`; `sharekeeper doctor` checks both"
            ),
            Self::AccountChanged(doubt) => f.write_str(&first_run(doubt)),
            Self::TooMany(exceeded) => write!(
                f,
                "{} would be pruned here, more than the caps allow: {exceeded}; so no CANCEL is made; if all of them are intended: {}",
                plural(exceeded.cancels as u64, "image"),
                exceeded.flags()
            ),
            Self::NotInPlan => f.write_str("not in the saved plan"),
            Self::ClocksDisagree(conflict) => conflict.fmt(f),
            Self::Held(why) | Self::PruneHeld(why) => f.write_str(why),
            Self::PolicyCap(cap) => cap.fmt(f),
            Self::NotOwnedByPolicy => f.write_str(NOT_OWNED_BY_POLICY),
            Self::InUse(instances) => f.write_str(&in_use(instances)),
            Self::InUseUnknown(why) => f.write_str(&in_use_unknown(why)),
            Self::InstancesNotAsked => f.write_str(INSTANCES_NOT_ASKED),
        }
    }
}

impl fmt::Display for PolicyCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} are due by policy `{}` here ({}), more than its `maxCancels: {}`, so none of them is made; if all of them are \
             intended, raise `keep.maxCancels`",
            plural(self.due as u64, "CANCEL"),
            self.policy,
            self.cause.as_str(),
            self.max
        )
    }
}

fn in_use(instances: &[SmolStr]) -> String {
    let ids: Vec<_> = instances.iter().map(ToString::to_string).collect();
    let count = plural(ids.len() as u64, "instance");
    format!("in use by {count}: {}", first_of(&ids))
}

fn in_use_unknown(why: &str) -> String {
    format!("it is not known whether instances use it, so it counts as used: {why}")
}

fn first_run(doubt: &AccountDoubt) -> String {
    match doubt {
        AccountDoubt::Changed { was, is } => format!(
            "the state was used with uin {was} under this account name, but the credentials belong to uin {is}, so this run \
             prunes nothing; check that uin {is} is intended, then run it again (`run`: send SIGHUP)"
        ),
        AccountDoubt::Unproven(why) => format!(
            "{why}, so this run prunes nothing; check that the account is the intended one, then run it again (`run`: send \
             SIGHUP); with `spec.uin` in the Account document this is known in advance"
        ),
    }
}
