use std::sync::Arc;

use crate::attempts::{Problem, UnmetCondition};
use crate::desired::Source;
use crate::model::{Cause, ShareState, Timestamp};
use crate::plan::{Actual, Decision, Verdict, Withheld};

/// What is known of one image, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageStatus {
    /// The state asked for now.
    pub desired: ShareState,
    /// Why.
    pub cause: Cause,
    /// The state as last seen; `None` if the last look did not show it.
    pub actual: Option<ShareState>,
    /// The blueprint that it shows as, where it is shared and known.
    pub blueprint: Option<Box<str>>,
    /// The manifest line that asks for it; none for an image that is pruned.
    pub source: Option<Source>,
    /// When the share that is asked for ends by itself.
    pub until: Option<Timestamp>,
    /// The short word for where it stands.
    pub reason: Reason,
    /// What is in the way, if anything is.
    pub trouble: Option<Box<Trouble>>,
    /// It is as desired.
    pub ready: Condition,
    /// It is seen to be in another state than desired.
    pub drifted: Condition,
    /// It will not become as desired without a person.
    pub stalled: Condition,
    /// It meets the conditions for sharing.
    pub eligible: Condition,
    /// Somebody else changed it after it had been as desired, and it has not been since.
    pub(super) changed_outside: bool,
    /// The reason for which it was last told that a person must act, until it is as desired.
    pub(super) blocked: Option<Reason>,
    /// That its share ends soon has been told.
    pub(super) expiry_told: bool,
}

/// What is in the way of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One line for a person, with the remedy. Many images often have the same.
    pub message: Arc<str>,
    /// The API's error code.
    pub code: Option<String>,
    /// For the vendor's support.
    pub request_id: Option<String>,
    /// When it is tried again, if that is not with the next look.
    pub next_try: Option<Timestamp>,
}

/// One condition, as in kstatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub status: Truth,
    /// Since when it is so.
    pub since: Timestamp,
}

/// Yes, no, or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be told.
    Unknown,
}

impl Truth {
    /// As in Kubernetes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The short word for where an image stands: a closed set, fit for a metric's label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them.
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
    /// The API answered too often that the rate is exceeded.
    Throttled,
    /// The key lacks a permission.
    NoPermission,
    /// The service role is missing, or cannot be assumed.
    RoleMissing,
    /// The API said no for another reason.
    Refused,
    /// Given up for now, after retries.
    Failed,
    /// A guard withholds it: too much at once, a suspicious view, incomplete manifests, clocks that disagree.
    GuardTripped,
    /// `protect: true`.
    Protected,
    /// A person said to leave it alone.
    Suspended,
    /// Outside the account's change windows.
    OutsideWindow,
    /// Somebody else keeps reversing us.
    Parked,
    /// It is not sharekeeper's own, so it is not pruned.
    NotOwned,
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
        )
    }

    /// Whether the image itself or the API stands in the way.
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

    /// Whether a person has to act on the image, whatever becomes of the rest.
    fn is_a_block(self) -> bool {
        (self.is_blocked() && self.needs_a_person()) || self == Self::Parked
    }

    fn of(decision: &Decision) -> Self {
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
            | Withheld::Disputed => Self::NotOwned,
            Withheld::PartialManifests
            | Withheld::UnknownManifests(_)
            | Withheld::Unobserved
            | Withheld::OwnImagesNotAsked
            | Withheld::OwnImagesUnknown(_)
            | Withheld::AccountUnproven(_)
            | Withheld::FirstRun(_)
            | Withheld::Lost(_)
            | Withheld::LostBefore(_)
            | Withheld::TooMany(_)
            | Withheld::ClocksDisagree(_)
            | Withheld::NotInPlan => Self::GuardTripped,
        }
    }
}

impl Condition {
    /// The same condition after a look that says `status`.
    fn turned(before: Option<Self>, status: Truth, now: Timestamp) -> Self {
        match before {
            Some(before) if before.status == status => before,
            _ => Self { status, since: now },
        }
    }

    /// Whether it is known to hold.
    pub fn holds(self) -> bool {
        self.status == Truth::True
    }
}

impl ImageStatus {
    /// What a decision says, in the light of what was known before.
    pub(super) fn after(
        before: Option<&Self>,
        decision: &Decision,
        words: &mut Words,
        now: Timestamp,
    ) -> Self {
        let reason = Reason::of(decision);
        let in_sync = decision.verdict == Verdict::InSync;
        let unobserved = matches!(decision.verdict, Verdict::Unobserved(_));
        let actual = decision.actual.state();
        let drifted = match actual {
            _ if decision.verdict.is_unsettled() => Truth::Unknown,
            Some(actual) => Truth::from(actual != decision.desired && !in_sync),
            None if in_sync => Truth::False,
            None => Truth::Unknown,
        };
        let ready = if unobserved {
            Truth::Unknown
        } else {
            Truth::from(in_sync)
        };
        let stalled = Truth::from(reason.needs_a_person());
        let turned =
            |get: fn(&Self) -> Condition, status| Condition::turned(before.map(get), status, now);
        let same_wish = before.filter(|before| before.desired == decision.desired);
        let was_ready = same_wish.is_some_and(|before| before.ready.holds());
        let was_changed = same_wish.is_some_and(|before| before.changed_outside);
        // What expires or was asked to change is not somebody else's doing; nor is what cannot be seen.
        let changed_outside = match drifted {
            Truth::True => was_ready || was_changed,
            Truth::Unknown => was_changed,
            Truth::False => was_changed && !in_sync,
        };
        Self {
            desired: decision.desired,
            cause: decision.cause,
            actual,
            blueprint: match &decision.actual {
                Actual::Shared(Some(id)) => Some(id.as_str().into()),
                Actual::Shared(None) | Actual::Unshared => None,
                Actual::Unknown => before.and_then(|before| before.blueprint.clone()),
            },
            source: decision.source.clone(),
            until: decision.until,
            reason,
            trouble: trouble(decision, words),
            ready: turned(|image| image.ready, ready),
            drifted: turned(|image| image.drifted, drifted),
            stalled: turned(|image| image.stalled, stalled),
            eligible: turned(|image| image.eligible, eligible(decision)),
            changed_outside,
            blocked: match reason {
                _ if in_sync => None,
                _ if reason.is_a_block() => Some(reason),
                _ => before.and_then(|before| before.blocked),
            },
            expiry_told: before
                .is_some_and(|before| before.expiry_told && before.until == decision.until),
        }
    }

    /// Whether somebody else changed it after it had been as desired, and it has not been since.
    pub fn is_changed_outside(&self) -> bool {
        self.changed_outside
    }
}

fn eligible(decision: &Decision) -> Truth {
    match &decision.verdict {
        Verdict::Blocked(problem) if is_ineligible(problem) => Truth::False,
        _ if decision.actual.state() == Some(ShareState::Shared) => Truth::True,
        _ => Truth::Unknown,
    }
}

/// Whether it is a condition for sharing that is not met.
fn is_ineligible(problem: &Problem) -> bool {
    match problem.unmet {
        Some(UnmetCondition::Absent | UnmetCondition::NotYet | UnmetCondition::Never) => true,
        Some(UnmetCondition::Usable | UnmetCondition::Leftover) | None => false,
    }
}

fn trouble(decision: &Decision, words: &mut Words) -> Option<Box<Trouble>> {
    let (code, request_id) = match &decision.verdict {
        Verdict::InSync | Verdict::Act => return None,
        Verdict::Pending(problem) | Verdict::Blocked(problem) | Verdict::Failed(problem) => {
            (problem.code.clone(), problem.request_id.clone())
        }
        // The RequestId is another image's.
        Verdict::NotTried(rest) => (rest.problem.code.clone(), None),
        Verdict::Unobserved(unobserved) => (unobserved.code.clone(), unobserved.request_id.clone()),
        Verdict::Await { .. } | Verdict::Withheld(_) => (None, None),
    };
    Some(Box::new(Trouble {
        message: words.keep(&decision.verdict.why_not()?),
        code,
        request_id,
        next_try: None,
    }))
}

/// Messages that many images have alike, kept once.
#[derive(Default)]
pub(super) struct Words(std::collections::BTreeSet<Arc<str>>);

impl Words {
    fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(kept) = self.0.get(text) {
            return Arc::clone(kept);
        }
        let kept: Arc<str> = text.into();
        self.0.insert(Arc::clone(&kept));
        kept
    }
}
