//! The status of one image, and how a decision about the image changes it.

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

/// The status of one image, and since when it has been so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageStatus {
    /// Name by which people know it, if it has one.
    pub name: Option<SmolStr>,
    /// The state that is desired now.
    pub desired: ShareState,
    /// Why that state is desired.
    pub cause: Cause,
    /// The state when it was last seen; `None` if the last observation did not show it.
    pub actual: Option<ShareState>,
    /// The blueprint that it is shared as, where it is known.
    pub blueprint: Option<Box<str>>,
    /// Manifest line that asks for it; `None` for an image that is pruned.
    pub source: Option<Source>,
    /// When the desired share expires.
    pub until: Option<Timestamp>,
    /// Why it has its sync state.
    pub reason: Reason,
    /// What prevents the change; `None` if nothing does.
    pub details: Option<Box<StatusDetails>>,
    /// Holds while the image is in the desired state.
    pub ready: Condition,
    /// Holds while it is seen in a state other than the desired one.
    pub drifted: Condition,
    /// Holds while it does not reach the desired state without a person.
    pub stalled: Condition,
    /// Holds while it meets the conditions for sharing.
    pub eligible: Condition,
    /// It is withheld until a person changes that, and needs nobody until then: suspended, protected, or excluded by
    /// windows that are not known to open.
    pub is_held_open: bool,
    /// Reports about it that are not over.
    pub(super) reported: Reported,
    /// Whether its status results from calls, so that only a call can end it.
    is_of_calls: bool,
    /// Whether it is being retried, so that its status is that of the last attempt.
    is_tried_again: bool,
}

/// Reports about an image that are not over, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    /// Somebody else changed it from the desired state, and it has not returned to it.
    pub(super) changed_outside: bool,
    /// Why a person must act, until it is in the desired state.
    pub(super) block: Option<Reason>,
    /// When its share expires, if it was reported that this is soon.
    pub(super) expiry: Option<Timestamp>,
}

impl Reported {
    /// The block after a decision that leads to `reason`, where `None` brings no new reason.
    fn block_after(self, decision: &Decision, reason: Option<Reason>) -> Option<Reason> {
        match reason {
            _ if decision.verdict == Verdict::InSync => None,
            Some(reason) if reason.blocks_image() => Some(reason),
            _ => self.block,
        }
    }
}

/// What prevents a change of an image, in more detail than its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusDetails {
    /// One line for a person, with the remedy. Many images often share one text.
    pub message: Arc<str>,
    /// The API's error code.
    pub code: Option<String>,
    /// RequestId, for which the vendor's support asks.
    pub request_id: Option<String>,
    /// The remedy, which ends `message` in parentheses, if the answer alone determines it.
    pub remedy: Option<Box<str>>,
    /// Time of the next attempt, if it is not the next pass.
    pub next_try: Option<Timestamp>,
}

impl ImageStatus {
    /// The status after a decision, where `before` was the previous status and `was` the open reports.
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
        // A share that expired or whose desired state changed was not changed by somebody else. Neither was an image that
        // cannot be seen.
        let changed_outside = match drifted {
            Truth::True => was_ready || was_changed,
            Truth::Unknown => was_changed,
            Truth::False => was_changed && !in_sync,
        };
        Self {
            name: match (&decision.name, before) {
                // A failed observation only knows the names in entries.
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

    /// A decision for an image of an unobserved scope, whose plan does not mention the image.
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

    /// Whether the status stays as it is under a decision that retries or waits and so brings nothing new. Otherwise a
    /// failure would seem to be over during each retry, and an alert about it would start again each time.
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

    /// Notes that no call is ever made, even if one is due.
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

    /// Handles a permitted write to its scope. If the image was not tried because writes were denied, that is over, and
    /// its call is due.
    pub(super) fn write_permitted(&mut self, now: Timestamp) {
        if self.waits_for_permission() {
            self.reason = Reason::Pending;
            self.details = None;
            self.stalled = Condition::updated(Some(self.stalled), Truth::False, now);
            (self.is_of_calls, self.is_tried_again) = (false, false);
        }
    }

    /// Whether it was not tried because other writes of its scope were denied, and is going to be retried.
    pub(super) fn waits_for_permission(&self) -> bool {
        self.is_tried_again && self.reason == Reason::NotTried
    }

    /// The details of an image whose next attempt is now.
    fn details_without_next_try(&self) -> Option<Box<StatusDetails>> {
        let mut details = self.details.clone()?;
        details.next_try = None;
        Some(details)
    }

    /// Whether somebody else changed it from the desired state, and it has not returned to it.
    pub fn is_changed_outside(&self) -> bool {
        self.reported.changed_outside
    }

    /// Whether it counts as in sync by the API's answer to a write, because reading is denied.
    pub fn is_by_word(&self) -> bool {
        self.ready.holds() && self.actual.is_none()
    }

    /// Since when it has its sync state. If a person is needed: since when.
    pub fn since(&self) -> Timestamp {
        if self.stalled.holds() {
            self.stalled.since
        } else {
            self.ready.since
        }
    }

    /// One line for a person about what prevents the change, with the RequestId; empty if nothing does.
    pub(super) fn message_or_empty(&self) -> String {
        let details = self.details.as_ref();
        details.map_or_else(String::new, |details| {
            with_request_id(&details.message, details.request_id.as_deref())
        })
    }
}

/// Whether a verdict results from calls, so that only a call can end it. Most conditions for sharing are observed
/// instead, and are met as soon as an observation shows it.
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

/// Whether it is seen in a state other than the desired one in a way that matters.
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

/// Whether the problem is an unmet condition for sharing.
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
        // The RequestId belongs to another image.
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
