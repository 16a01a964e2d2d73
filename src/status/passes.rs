//! The effects of a pass over a scope on the board: its start, plans, writes and end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::image::{MessageCache, Reported};
use super::{
    Activity, Board, Change, ImageStatus, PassResult, ScopeStatus, Subject, Transition,
    TransitionKind, image_transitions, push_recent, scope_mut,
};
use crate::history::WriteResult;
use crate::model::{ImageId, ImageKey, Scope, Timestamp};
use crate::plan::{Decision, Plan, View};
use crate::words::rfc3339;

impl Board {
    /// Records the start of a pass over a scope.
    pub fn pass_began(&mut self, scope: &Scope, now: Timestamp) {
        let status = Arc::make_mut(self.scopes.entry(scope.clone()).or_default());
        status.activity = Activity::Running {
            since: now,
            answered: 0,
            acknowledged: 0,
            planned: None,
        };
        status.reads.pass_began();
        self.version += 1;
        status.stall.pass_began(self.version);
    }

    /// Records a plan after an observation. Returns the new transitions.
    pub fn planned(&mut self, plan: &Plan, now: Timestamp) -> Vec<Transition> {
        let (mut transitions, mut messages) = (Vec::new(), MessageCache::default());
        // The scope may have been removed during the pass.
        let Some(status) = scope_mut(&mut self.scopes, &plan.scope) else {
            return transitions;
        };
        let mut images = BTreeMap::new();
        status.stall.planned(plan);
        if !self.observe_only {
            status.writes_planned(plan);
        }
        let unseen = status.unseen_images(plan);
        for (image, decision) in plan.decisions.iter().chain(&unseen) {
            let before = status.images.get(image);
            let was = match before {
                Some(before) => before.reported,
                None => status.remembered.remove(image).unwrap_or_default(),
            };
            let mut after = ImageStatus::updated(before, was, decision, &mut messages, now);
            if self.observe_only {
                after.is_only_observed(&mut messages);
            }
            if status.stall.explains(&decision.verdict) {
                // Reported once, for the scope.
                after.reported.block = was.block;
            }
            let key = || ImageKey {
                scope: plan.scope.clone(),
                image: image.clone(),
            };
            transitions.extend(image_transitions::between(was, &after, key, now));
            transitions.extend(image_transitions::of_service_role(
                &mut self.accounts_without_role,
                &plan.scope.account,
                was.block,
                &after,
                now,
            ));
            images.insert(image.clone(), after);
        }
        let before = std::mem::replace(&mut status.images, Arc::new(images));
        let gone = before
            .iter()
            .map(|(image, before)| (image, before.reported));
        let mut gone: Vec<_> = gone
            .filter(|(image, _)| !status.images.contains_key(*image))
            .map(|(image, reported)| (image.clone(), reported))
            .collect();
        if plan.view == View::Seen {
            gone.extend(std::mem::take(&mut status.remembered));
        }
        for (image, reported) in gone {
            let ended = image_transitions::of_removal(reported, &plan.scope, image, now);
            transitions.extend(ended);
        }
        status.observed(plan, now);
        transitions.extend(status.guard_transition(&plan.scope, now));
        self.note_looked_over();
        self.record(transitions)
    }

    /// Records the answer to a write.
    pub fn answered(&mut self, change: Change) {
        if let Some(status) = scope_mut(&mut self.scopes, &change.key.scope) {
            status.answered(&change);
        }
        if change.result == WriteResult::Applied
            && let Some(totals) = self.totals_of(&change.key.scope.account)
        {
            let kind = (change.permission, change.cause);
            *totals.applied.entry(kind).or_default() += 1;
        }
        push_recent(&mut self.changes, change);
        self.version += 1;
    }

    /// Records the end of a pass and the `activity` that follows. Returns the new transitions.
    pub fn pass_ended(
        &mut self,
        scope: &Scope,
        result: PassResult,
        took: Duration,
        activity: Activity,
        now: Timestamp,
    ) -> Vec<Transition> {
        let Some(status) = scope_mut(&mut self.scopes, scope) else {
            return Vec::new();
        };
        status.durations.add(took);
        status.passed_at = Some(now);
        if result == PassResult::Synced {
            status.synced_at = Some(now);
        }
        status.activity = activity;
        status.reads.pass_ended();
        if let Some(totals) = self.totals_of(&scope.account) {
            *totals.passes.entry(result).or_default() += 1;
        }
        let transitions = self.stall_transitions(scope, result, now);
        self.record(transitions)
    }

    /// Records when failed images are tried again.
    pub fn retries_scheduled(
        &mut self,
        scope: &Scope,
        retries: impl Iterator<Item = (ImageId, Timestamp)>,
    ) {
        let Some(status) = scope_mut(&mut self.scopes, scope) else {
            return;
        };
        let mut retries = retries.peekable();
        if retries.peek().is_some() {
            let images = Arc::make_mut(&mut status.images);
            for (image, at) in retries {
                let image = images.get_mut(&image);
                if let Some(details) = image.and_then(|image| image.details.as_mut()) {
                    details.next_try = Some(at);
                }
            }
        }
        self.version += 1;
    }

    /// Reports each share of a scope that expires within `ahead` once.
    pub fn report_expiring(
        &mut self,
        scope: &Scope,
        ahead: Duration,
        now: Timestamp,
    ) -> Vec<Transition> {
        let ends_soon = |image: &ImageStatus| {
            let until = image.until.filter(|until| *until <= now + ahead);
            until.filter(|until| image.reported.expiry != Some(*until))
        };
        let any_ends = |status: &&mut Arc<ScopeStatus>| {
            let mut images = status.images.values();
            images.any(|image| ends_soon(image).is_some())
        };
        let Some(status) = self.scopes.get_mut(scope).filter(any_ends) else {
            return Vec::new();
        };
        let mut transitions = Vec::new();
        for (image, status) in Arc::make_mut(&mut Arc::make_mut(status).images) {
            let Some(until) = ends_soon(status) else {
                continue;
            };
            status.reported.expiry = Some(until);
            let subject = Subject::Image(ImageKey {
                scope: scope.clone(),
                image: image.clone(),
            });
            let until = rfc3339(until);
            let message = format!("the share ends at {until}; to keep it, change its `until`");
            transitions.push(Transition {
                reason: Some(status.reason),
                ..Transition::new(subject, TransitionKind::ExpiringSoon, message, now)
            });
        }
        if transitions.is_empty() {
            return transitions;
        }
        self.record(transitions)
    }
}

impl ScopeStatus {
    /// Images that a plan does not mention because the scope was not observed: images that are pruned, and those that
    /// names and policies select. An image that cannot be seen causes no report.
    fn unseen_images(&self, plan: &Plan) -> BTreeMap<ImageId, Decision> {
        let (why, is_blind) = match &plan.view {
            View::Seen => return BTreeMap::new(),
            View::ReadDenied(why) => (why, false),
            View::Unobserved(why) => (why, true),
        };
        // Reading may stay denied forever, so only images with an open report are kept then.
        let is_kept = |image: &ImageStatus| {
            is_blind || image.source.is_none() || image.reported != Reported::default()
        };
        let images = self.images.iter();
        images
            .filter(|(image, status)| !plan.decisions.contains_key(*image) && is_kept(status))
            .map(|(image, status)| (image.clone(), status.unseen(why)))
            .collect()
    }

    /// Records the answer to a write, except for a write that was never sent.
    fn answered(&mut self, change: &Change) {
        let is_permitted = matches!(
            change.result,
            WriteResult::Applied | WriteResult::AlreadyShared
        );
        if let Activity::Running {
            answered,
            acknowledged,
            ..
        } = &mut self.activity
        {
            *answered += 1;
            *acknowledged += u64::from(is_permitted);
        }
        if change.result != WriteResult::NotSent {
            let kind = (change.permission, change.result);
            *self.changes.entry(kind).or_default() += 1;
        }
        if is_permitted && self.stall.write_permitted() {
            // If no image waits, the part that clones share need not be copied.
            if self.images.values().any(ImageStatus::waits_for_permission) {
                let images = Arc::make_mut(&mut self.images).values_mut();
                images.for_each(|image| image.write_permitted(change.at));
            }
        }
    }
}
