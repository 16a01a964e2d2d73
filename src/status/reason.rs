//! Why an image has its sync state: one word from a closed set, for documents, metrics and searches.

use crate::attempts::{Problem, UnmetCondition};
use crate::model::{Cause, ShareState};
use crate::plan::{Decision, Verdict, Withheld};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why an image has its sync state, in one word: a closed set, fit for a metric's label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of the page's groups and the metrics' series.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// CamelCase, as the reasons of Kubernetes conditions are.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// Shared, as desired.
    Shared,
    /// Not shared, as desired.
    Cancelled,
    /// Not shared, because its `until` has passed.
    Expired,
    /// A call is ahead.
    Pending,
    /// The API said yes, and reading does not show it yet; or the outcome of a call is open.
    Confirming,
    /// The image is still being made; it is shared once it is NORMAL.
    WaitingForImage,
    /// Shared, and its blueprint is still SYNCING: no server can be started from it yet.
    Syncing,
    /// Shared, and its blueprint is in a state that no server can be started from.
    BlueprintUnusable,
    /// To be cancelled, and its blueprint is left over: CANCEL does nothing about it.
    LeftoverBlueprint,
    /// It does not meet the conditions for sharing.
    NotEligible,
    /// There is no such image.
    ImageNotFound,
    /// Servers use it, so that it cannot be cancelled.
    ImageInUse,
    /// Another operation holds it.
    ImageOccupied,
    /// The API answered too many times that its rate limit was exceeded.
    Throttled,
    /// The key lacks a permission.
    NoPermission,
    /// The service role is missing, or cannot be assumed.
    RoleMissing,
    /// The API refused it for another reason.
    Refused,
    /// Given up for now, after retries.
    Failed,
    /// A guard withholds it: too much at once, a suspicious view, incomplete manifests, clocks that disagree.
    GuardTripped,
    /// `protect: true`.
    Protected,
    /// A person suspended changes of it.
    Suspended,
    /// Outside the account's change windows.
    OutsideWindow,
    /// Somebody else keeps reversing us.
    Parked,
    /// It is not sharekeeper's own, so it is not pruned.
    NotOwned,
    /// A policy would retire it, and leaves it for now: instances use it, or it is not ours.
    Kept,
    /// What documents mean by it must be settled first: a name, or entries that disagree.
    Held,
    /// It was not tried, because its account or region is in the way of all that is to be done there.
    NotTried,
    /// The scope could not be seen.
    NotObserved,
    /// The credentials do not work, or are another account's.
    AccountBroken,
}

impl Reason {
    /// Whether a person has to act.
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

    /// Whether something forbids a change that is asked for.
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

    /// Whether the image itself or the API is in the way.
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

    /// Whether a person has to act on the image itself, whatever becomes of the rest.
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
