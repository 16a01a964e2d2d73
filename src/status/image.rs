//! What is known of one image, and how a decision about it changes that.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use super::condition::{Condition, Truth};
use super::reason::Reason;
use crate::attempts::{Problem, UnmetCondition};
use crate::desired::Source;
use crate::model::{Cause, ShareState, Timestamp};
use crate::observation::Unobserved;
use crate::plan::{Actual, Awaiting, Decision, Verdict};
use crate::words::with_request_id;

/// What is known of one image, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageStatus {
    /// The name that people know it by, where it is known.
    pub name: Option<SmolStr>,
    /// The state asked for now.
    pub desired: ShareState,
    /// Why that state is asked for.
    pub cause: Cause,
    /// The state as last seen; `None` if the last observation did not show it.
    pub actual: Option<ShareState>,
    /// The blueprint that it shows as, where it is shared and known.
    pub blueprint: Option<Box<str>>,
    /// The manifest line that asks for it; none for an image that is pruned.
    pub source: Option<Source>,
    /// When the share that is asked for ends by itself.
    pub until: Option<Timestamp>,
    /// Why it has its sync state.
    pub reason: Reason,
    /// What is in the way; `None` if nothing is.
    pub details: Option<Box<StatusDetails>>,
    /// It is as desired.
    pub ready: Condition,
    /// It is seen to be in another state than desired.
    pub drifted: Condition,
    /// It will not become as desired without a person.
    pub stalled: Condition,
    /// It meets the conditions for sharing.
    pub eligible: Condition,
    /// It is held back until a person says otherwise, and needs nobody before that: suspended, protected, or shut out by
    /// windows that are not known to open.
    pub is_held_open: bool,
    /// What was reported of it, and is not over.
    pub(super) reported: Reported,
    /// Calls led to what is said of it, and only a call can show that it is over.
    is_of_calls: bool,
    /// It is tried again, and what is said of it is what the last try came to.
    is_tried_again: bool,
}

/// What was reported of an image and is not over, for all that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    /// Somebody else changed it after it had been as desired, and it has not been since.
    pub(super) changed_outside: bool,
    /// The reason for which a person must act, until it is as desired.
    pub(super) block: Option<Reason>,
    /// When its share ends, if it was said that this is soon.
    pub(super) expiry: Option<Timestamp>,
}

impl Reported {
    /// The block after a decision that leads to `reason`, if it brings anything new.
    fn block_after(self, decision: &Decision, reason: Option<Reason>) -> Option<Reason> {
        match reason {
            _ if decision.verdict == Verdict::InSync => None,
            Some(reason) if reason.blocks_image() => Some(reason),
            _ => self.block,
        }
    }
}

/// What is in the way of an image, beyond the one word of its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusDetails {
    /// One line for a person, with the remedy. Many images often have the same.
    pub message: Arc<str>,
    /// The API's error code.
    pub code: Option<String>,
    /// The RequestId that the vendor's support asks for.
    pub request_id: Option<String>,
    /// What a person can do, which ends `message` in parentheses, where the answer alone tells.
    pub remedy: Option<Box<str>>,
    /// When it is tried again, if that is not in the next pass.
    pub next_try: Option<Timestamp>,
}

impl ImageStatus {
    /// The status that a decision leads to, where `before` was known and `was` was reported.
    pub(super) fn updated(
        before: Option<&Self>,
        was: Reported,
        decision: &Decision,
        messages: &mut MessageCache,
        now: Timestamp,
    ) -> Self {
        let stands = before.filter(|before| before.stands_under(decision));
        let reason = stands.map_or_else(|| Reason::of(decision), |stands| stands.reason);
        let in_sync = decision.verdict == Verdict::InSync;
        let unobserved = matches!(decision.verdict, Verdict::Unobserved(_));
        let drifted = drifted(decision);
        let ready = match unobserved {
            true => Truth::Unknown,
            false => Truth::from(in_sync),
        };
        let condition =
            |get: fn(&Self) -> Condition, status| Condition::updated(before.map(get), status, now);
        let same_desired = before.filter(|before| before.desired == decision.desired);
        let was_ready = same_desired.is_some_and(|before| before.ready.holds());
        let was_changed = was.changed_outside && (before.is_none() || same_desired.is_some());
        // A share that expired or was asked to change was not changed by somebody else. Neither is what cannot be seen.
        let changed_outside = match drifted {
            Truth::True => was_ready || was_changed,
            Truth::Unknown => was_changed,
            Truth::False => was_changed && !in_sync,
        };
        Self {
            name: match (&decision.name, before) {
                // An observation that failed knows the names of entries alone.
                (None, Some(before)) if unobserved => before.name.clone(),
                (name, _) => name.clone(),
            },
            desired: decision.desired,
            cause: decision.cause,
            actual: decision.actual.state(),
            blueprint: match &decision.actual {
                Actual::Shared(Some(id)) => Some(id.as_str().into()),
                Actual::Shared(None) | Actual::Unshared => None,
                Actual::Unknown => before.and_then(|before| before.blueprint.clone()),
            },
            source: decision.source.clone(),
            until: decision.until,
            reason,
            details: match stands {
                Some(stands) => stands.details_without_next_try(),
                None => details(decision, messages),
            },
            ready: condition(|image| image.ready, ready),
            drifted: condition(|image| image.drifted, drifted),
            stalled: condition(|image| image.stalled, reason.needs_a_person().into()),
            eligible: match stands {
                Some(stands) => stands.eligible,
                None => condition(|image| image.eligible, eligible(decision)),
            },
            is_held_open: decision.verdict.is_held_open(),
            reported: Reported {
                changed_outside,
                block: was.block_after(decision, stands.is_none().then_some(reason)),
                expiry: was.expiry.filter(|until| Some(*until) == decision.until),
            },
            is_of_calls: stands.map_or_else(
                || is_of_calls(&decision.verdict),
                |stands| stands.is_of_calls,
            ),
            is_tried_again: stands.is_some(),
        }
    }

    /// The decision about an image that a scope which is out of sight does not show, and of which its plan therefore says
    /// nothing.
    pub(super) fn unseen(&self, why: &Unobserved) -> Decision {
        Decision {
            desired: self.desired,
            cause: self.cause,
            source: self.source.clone(),
            actual: Actual::Unknown,
            until: self.until,
            verdict: Verdict::Unobserved(Box::new(why.clone())),
            name: None,
            entry: None,
        }
    }

    /// Whether what is said of it stands under a decision that tries again or waits, and so brings nothing new. Otherwise a
    /// failure would seem to be over for as long as it is retried, and an alert about it would begin anew each time.
    fn stands_under(&self, decision: &Decision) -> bool {
        if self.desired != decision.desired {
            return false;
        }
        let is_in_the_way =
            self.is_of_calls || self.reason.is_blocked() || self.reason.is_withheld();
        match &decision.verdict {
            Verdict::Act => self.is_of_calls,
            Verdict::Await { reason, .. } => match **reason {
                Awaiting::OwnWrite | Awaiting::Outcome(_) => self.is_of_calls,
                Awaiting::Doubt(_) | Awaiting::Loss(_) | Awaiting::Regions => is_in_the_way,
            },
            Verdict::InSync
            | Verdict::Pending(_)
            | Verdict::Blocked(_)
            | Verdict::Withheld(_)
            | Verdict::Failed(_)
            | Verdict::NotTried(_)
            | Verdict::Unobserved(_) => false,
        }
    }

    /// No call is ever made, whatever is ahead.
    pub(super) fn is_only_observed(&mut self, messages: &mut MessageCache) {
        if self.reason == Reason::Pending && self.details.is_none() {
            let would = match self.desired {
                ShareState::Shared => "shared",
                ShareState::Unshared => "cancelled",
            };
            let message = format!("nothing is written (`--observe-only`); it would be {would}");
            self.details = Some(Box::new(StatusDetails {
                message: messages.shared(&message),
                code: None,
                request_id: None,
                remedy: None,
                next_try: None,
            }));
        }
    }

    /// A write to its scope was permitted. If it was not tried because none was, that is over: its call is ahead.
    pub(super) fn write_permitted(&mut self, now: Timestamp) {
        if self.waits_for_permission() {
            self.reason = Reason::Pending;
            self.details = None;
            self.stalled = Condition::updated(Some(self.stalled), Truth::False, now);
            (self.is_of_calls, self.is_tried_again) = (false, false);
        }
    }

    /// Whether it was not tried because others of its scope were denied, and is to be tried again.
    pub(super) fn waits_for_permission(&self) -> bool {
        self.is_tried_again && self.reason == Reason::NotTried
    }

    /// What is in the way, of an image whose next try is now.
    fn details_without_next_try(&self) -> Option<Box<StatusDetails>> {
        let mut details = self.details.clone()?;
        details.next_try = None;
        Some(details)
    }

    /// Whether somebody else changed it after it had been as desired, and it has not been since.
    pub fn is_changed_outside(&self) -> bool {
        self.reported.changed_outside
    }

    /// Whether it counts as desired by the API's answer to a write, because reading is denied.
    pub fn is_by_word(&self) -> bool {
        self.ready.holds() && self.actual.is_none()
    }

    /// Since when it has its sync state: since a person is needed, where one is.
    pub fn since(&self) -> Timestamp {
        if self.stalled.holds() {
            self.stalled.since
        } else {
            self.ready.since
        }
    }

    /// One line for a person about what is in the way, with the RequestId; empty if nothing is.
    pub(super) fn message_or_empty(&self) -> String {
        let details = self.details.as_ref();
        details.map_or_else(String::new, |details| {
            with_request_id(&details.message, details.request_id.as_deref())
        })
    }
}

/// Whether calls led to a verdict, so that only a call can show that it is over. Most conditions for sharing are looked at,
/// and are met as soon as a look says so.
fn is_of_calls(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Failed(_) | Verdict::NotTried(_) => true,
        Verdict::Blocked(problem) => match problem.unmet {
            None | Some(UnmetCondition::Leftover) => true,
            Some(
                UnmetCondition::Absent
                | UnmetCondition::NotYet
                | UnmetCondition::Never
                | UnmetCondition::Usable,
            ) => false,
        },
        Verdict::InSync
        | Verdict::Act
        | Verdict::Await { .. }
        | Verdict::Pending(_)
        | Verdict::Withheld(_)
        | Verdict::Unobserved(_) => false,
    }
}

/// Whether it is seen to be in another state than desired, so that it matters.
fn drifted(decision: &Decision) -> Truth {
    let in_sync = decision.verdict == Verdict::InSync;
    match decision.actual.state() {
        _ if decision.verdict.is_unsettled() => Truth::Unknown,
        _ if decision.is_normal_course() => Truth::False,
        Some(actual) => Truth::from(actual != decision.desired && !in_sync),
        None if in_sync => Truth::False,
        None => Truth::Unknown,
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

fn details(decision: &Decision, messages: &mut MessageCache) -> Option<Box<StatusDetails>> {
    let (code, request_id, remedy) = match &decision.verdict {
        Verdict::InSync | Verdict::Act => return None,
        Verdict::Pending(problem) | Verdict::Blocked(problem) | Verdict::Failed(problem) => {
            let remedy = problem.remedy.clone();
            (problem.code.clone(), problem.request_id.clone(), remedy)
        }
        // The RequestId is another image's.
        Verdict::NotTried(pause) => (
            pause.problem.code.clone(),
            None,
            pause.problem.remedy.clone(),
        ),
        Verdict::Unobserved(why) => (why.code.clone(), why.request_id.clone(), why.remedy.clone()),
        Verdict::Await { .. } | Verdict::Withheld(_) => (None, None, None),
    };
    Some(Box::new(StatusDetails {
        message: messages.shared(&decision.verdict.why_not()?),
        code,
        request_id,
        next_try: None,
        remedy,
    }))
}

/// Messages of one plan, so that images with the same message share its text.
#[derive(Default)]
pub(super) struct MessageCache(BTreeSet<Arc<str>>);

impl MessageCache {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(message) = self.0.get(text) {
            return Arc::clone(message);
        }
        let message: Arc<str> = text.into();
        self.0.insert(Arc::clone(&message));
        message
    }
}
