//! Derives the history outcome and the ownership from the reply to a write. Pure except for the clock: it must not
//! record anything.

use super::context::ScopeContext;
use super::plan_scope::PlannedScope;
use crate::api::Modified;
use crate::api::error::{CallError, Class, Refusal};
use crate::attempts::AttemptLog;
use crate::history::{WriteOutcome, WriteResult};
use crate::host::Host;
use crate::inventory::{AnsweredState, IntentId, InventoryEntry};
use crate::ledger::{Attempt, Ledger};
use crate::model::{Permission, ShareState, Timestamp};
use crate::observation::Observation;

/// The outcome of an attempt, and the image's inventory entry if the reply changes it.
pub(super) fn conclude<H: Host, L: Ledger>(
    (context, planned, attempts): (&ScopeContext<'_, H, L>, &PlannedScope, &AttemptLog),
    (intent, attempt): (IntentId, &Attempt),
    result: &Result<Modified, CallError>,
) -> (WriteOutcome, Option<InventoryEntry>) {
    let image = &attempt.key.image;
    let answered = Answered {
        planned,
        attempts,
        attempt,
        before: planned
            .inventory
            .images
            .get(image)
            .cloned()
            .unwrap_or_default(),
        at: context.present().stamp(),
    };
    let mut outcome = attempt.ended(intent, WriteResult::Unknown);
    let entry = match result {
        Ok(modified) => {
            let named = planned.desired_image(context.task, image);
            let is_protected = named.is_some_and(|image| image.protect);
            Some(answered.applied(modified, is_protected, &mut outcome))
        }
        Err(CallError::Refused(refusal)) => answered.refused(refusal, &mut outcome),
        Err(error) => {
            outcome.result = match error {
                CallError::Unclear(_) => WriteResult::Unknown,
                _ => WriteResult::NotSent,
            };
            outcome.message = Some(error.to_string());
            None
        }
    };
    (outcome, entry)
}

/// An answered attempt, and what was known before.
struct Answered<'a> {
    planned: &'a PlannedScope,
    attempts: &'a AttemptLog,
    attempt: &'a Attempt,
    before: InventoryEntry,
    at: Timestamp,
}

impl Answered<'_> {
    fn applied(
        &self,
        modified: &Modified,
        is_protected: bool,
        outcome: &mut WriteOutcome,
    ) -> InventoryEntry {
        outcome.result = WriteResult::Applied;
        outcome.blueprint_id = modified.blueprint_id.clone();
        outcome.request_id = modified.request_id.clone();
        let mut entry = self.before.clone();
        let blueprint = modified.blueprint_id.as_deref();
        entry.record_acknowledged(self.attempt.permission, blueprint, is_protected, self.at);
        entry.denied_since = None;
        entry
    }

    fn refused(&self, refusal: &Refusal, outcome: &mut WriteOutcome) -> Option<InventoryEntry> {
        outcome.result = match refusal.class {
            Class::Converged => WriteResult::AlreadyShared,
            Class::Unclear if !refusal.had_no_effect() => WriteResult::Unknown,
            _ => WriteResult::Rejected,
        };
        outcome.error_code = Some(refusal.code.clone());
        outcome.message = (!refusal.message.is_empty()).then(|| refusal.message.clone());
        outcome.request_id = refusal.request_id.clone();
        let mut entry = self.before.clone();
        if refusal.class == Class::Converged {
            let open = self
                .planned
                .inventory
                .open_intents
                .get(&self.attempt.key.image);
            entry.record_already_shared(open.map_or(&[], Vec::as_slice), self.at);
        } else if let Some((state, presumed)) = self.answered_state(refusal) {
            outcome.result = WriteResult::Rejected;
            entry.last_answer = Some(AnsweredState {
                at: self.at,
                state,
                presumed,
            });
        }
        entry.denied_since = match refusal.class {
            Class::ScopeBlocked | Class::OurFault if !refusal.is_of_region() => Some(self.at),
            Class::Converged | Class::Busy | Class::ImageBlocked => None,
            _ => entry.denied_since,
        };
        (entry != self.before).then_some(entry)
    }

    /// The state of the image according to the refusal, and whether that is only presumed. If reading is denied, any
    /// final refusal of a CANCEL counts as unshared for an image that we never shared; otherwise it would be cancelled
    /// forever.
    fn answered_state(&self, refusal: &Refusal) -> Option<(ShareState, bool)> {
        let permission = self.attempt.permission;
        if let Some(state) = refusal.known_state(permission) {
            return Some((state, false));
        }
        let is_blind = matches!(self.planned.observation, Observation::ReadDenied(_));
        let answered = self.before.last_answer.map(|word| word.state);
        let was_shared = self.before.owned.is_some() || answered == Some(ShareState::Shared);
        let settles = || {
            let (image, towards) = (&self.attempt.key.image, permission.leads_to());
            let tried = self.attempts.tried_towards(image, towards);
            let is_repeated = tried.is_some_and(|tried| tried.is_unclear_with(&refusal.code));
            refusal.settles_cancel(is_repeated)
        };
        let is_final = permission == Permission::Cancel && is_blind && !was_shared && settles();
        is_final.then_some((ShareState::Unshared, !refusal.had_no_effect()))
    }
}
