//! Why an image has its sync state: one word from a closed set, for JSON documents, metrics and searches.

use crate::attempts::{Problem, UnmetCondition};
use crate::model::{Cause, ShareState};
use crate::plan::{Decision, Verdict, Withheld};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why an image has its sync state, in one word of a closed set that is suitable as a metric's label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of the page's groups and the metrics' series.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason in CamelCase, like reasons of Kubernetes conditions.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// Shared, in the desired state.
    Shared,
    /// Not shared, in the desired state.
    Cancelled,
    /// Not shared, because its `until` has passed.
    Expired,
    /// A call is due now.
    Pending,
    /// The API accepted the call, but no read shows it yet; or the outcome of a call is open.
    Confirming,
    /// The image is still being created; it is shared once it is NORMAL.
    WaitingForImage,
    /// Shared, but its blueprint is still SYNCING: no server can be started from it yet.
    Syncing,
    /// Shared, but its blueprint is in a state that no server can be started from.
    BlueprintUnusable,
    /// Due for CANCEL, but its blueprint is left over: CANCEL has no effect on it.
    LeftoverBlueprint,
    /// It does not meet the conditions for sharing.
    NotEligible,
    /// No image has this id.
    ImageNotFound,
    /// Servers use it, so it cannot be cancelled.
    ImageInUse,
    /// Another operation on the image is in progress.
    ImageOccupied,
    /// The API answered too often that its rate limit was exceeded.
    Throttled,
    /// The key lacks a permission.
    NoPermission,
    /// The service role is missing, or cannot be assumed.
    RoleMissing,
    /// The API refused the call for another reason.
    Refused,
    /// Given up for now, after retries.
    Failed,
    /// A guard withholds the change: too many at once, a suspicious observation, incomplete manifests, clocks that
    /// disagree.
    GuardTripped,
    /// The entry has `protect: true`.
    Protected,
    /// A person suspended changes of it.
    Suspended,
    /// Outside the account's change windows.
    OutsideWindow,
    /// Another party keeps reversing our changes.
    Parked,
    /// It is not sharekeeper's own share, so it is not pruned.
    NotOwned,
    /// A policy would retire it but leaves it for now: instances use it, or it is not ours.
    Kept,
    /// A person must first settle what the documents mean: a name, or entries that disagree.
    Held,
    /// It was not tried, because its account or region prevents all changes there.
    NotTried,
    /// The scope could not be observed.
    NotObserved,
    /// The credentials do not work, or belong to another account.
    AccountBroken,
}

impl Reason {
    /// Whether a person must act.
    pub const fn needs_a_person(self) -> bool {
        matches!(
            self,
            Self::BlueprintUnusable
                | Self::LeftoverBlueprint
                | Self::NotEligible
                | Self::ImageNotFound
                | Self::ImageInUse
                | Self::NoPermission
                | Self::RoleMissing
                | Self::Refused
                | Self::Failed
                | Self::GuardTripped
                | Self::Parked
                | Self::NotOwned
                | Self::Held
                | Self::NotTried
                | Self::AccountBroken
        )
    }

    /// Whether something forbids a desired change.
    pub const fn is_withheld(self) -> bool {
        matches!(
            self,
            Self::GuardTripped
                | Self::Protected
                | Self::Suspended
                | Self::OutsideWindow
                | Self::Parked
                | Self::NotOwned
                | Self::Kept
                | Self::Held
        )
    }

    /// Whether the image itself or the API prevents the change.
    pub const fn is_blocked(self) -> bool {
        matches!(
            self,
            Self::BlueprintUnusable
                | Self::LeftoverBlueprint
                | Self::NotEligible
                | Self::ImageNotFound
                | Self::ImageInUse
                | Self::ImageOccupied
                | Self::Throttled
                | Self::NoPermission
                | Self::RoleMissing
                | Self::Refused
                | Self::Failed
        )
    }

    /// Whether a person must act on the image itself, independently of other images.
    pub(super) fn blocks_image(self) -> bool {
        (self.is_blocked() && self.needs_a_person()) || self == Self::Parked
    }

    pub(super) fn of(decision: &Decision) -> Self {
        match &decision.verdict {
            Verdict::InSync => match (decision.desired, decision.cause) {
                (ShareState::Shared, _) => Self::Shared,
                (ShareState::Unshared, Cause::Expired) => Self::Expired,
                (ShareState::Unshared, _) => Self::Cancelled,
            },
            Verdict::Act => Self::Pending,
            Verdict::Await { .. } => Self::Confirming,
            Verdict::Pending(_) => Self::Syncing,
            Verdict::Blocked(problem) => Self::of_problem(problem, Self::Refused),
            Verdict::Failed(problem) => Self::of_problem(problem, Self::Failed),
            Verdict::Withheld(_) if decision.is_normal_course() => Self::Kept,
            Verdict::Withheld(why) => Self::of_withheld(why),
            Verdict::NotTried(_) => Self::NotTried,
            Verdict::Unobserved(unobserved) if unobserved.account_broken => Self::AccountBroken,
            Verdict::Unobserved(_) => Self::NotObserved,
        }
    }

    pub(super) fn of_problem(problem: &Problem, other: Self) -> Self {
        match problem.unmet {
            Some(UnmetCondition::Absent) => return Self::ImageNotFound,
            Some(UnmetCondition::NotYet) => return Self::WaitingForImage,
            Some(UnmetCondition::Never) => return Self::NotEligible,
            Some(UnmetCondition::Usable) => return Self::BlueprintUnusable,
            Some(UnmetCondition::Leftover) => return Self::LeftoverBlueprint,
            None => {}
        }
        let code = problem.code.as_deref().unwrap_or_default();
        let family = code.split('.').next().unwrap_or_default();
        match (code, family) {
            ("ResourceInUse.ImageInUse", _) => Self::ImageInUse,
            ("UnsupportedOperation.ImageOccupied", _) => Self::ImageOccupied,
            ("UnsupportedOperation.ImageUnableToShare", _) => Self::NotEligible,
            ("ResourceNotFound.ImageIdNotFound", _) => Self::ImageNotFound,
            ("ResourceNotFound.RoleNotFound" | "UnsupportedOperation.AssumeRoleFailed", _) => {
                Self::RoleMissing
            }
            ("UnauthorizedOperation.TokenInvalid" | "UnauthorizedOperation.InvalidToken", _) => {
                Self::AccountBroken
            }
            ("AuthFailure.InvalidRegion", _) => other,
            (_, "UnauthorizedOperation") | ("AuthFailure.UnauthorizedOperation", _) => {
                Self::NoPermission
            }
            (_, "AuthFailure") => Self::AccountBroken,
            (_, "RequestLimitExceeded") => Self::Throttled,
            _ => other,
        }
    }

    fn of_withheld(why: &Withheld) -> Self {
        match why {
            Withheld::Protected | Withheld::ProtectedBefore => Self::Protected,
            Withheld::Suspended(_) => Self::Suspended,
            Withheld::WindowClosed(_) => Self::OutsideWindow,
            Withheld::Parked(_) => Self::Parked,
            Withheld::Probable
            | Withheld::NotOwned
            | Withheld::NotOwnImage
            | Withheld::NotOwnedByPolicy
            | Withheld::Disputed => Self::NotOwned,
            Withheld::InUse(_) | Withheld::InUseUnknown(_) => Self::ImageInUse,
            Withheld::Held(_) => Self::Held,
            Withheld::PartialManifests
            | Withheld::UnknownManifests(_)
            | Withheld::Unobserved
            | Withheld::OwnImagesNotAsked
            | Withheld::OwnImagesUnknown(_)
            | Withheld::AccountUnproven(_)
            | Withheld::AccountChanged(_)
            | Withheld::Lost(..)
            | Withheld::LostBefore(_)
            | Withheld::TooMany(_)
            | Withheld::ClocksDisagree(_)
            | Withheld::PruneHeld(_)
            | Withheld::PolicyCap(_)
            | Withheld::InstancesNotAsked
            | Withheld::NotInPlan => Self::GuardTripped,
        }
    }
}
