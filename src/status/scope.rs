//! What is known of one account in one region. Readers get it from the board by reference; nothing outside this module
//! changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::activity::Activity;
use super::finding::{self, Finding};
use super::image::{ImageStatus, Reported};
use super::policy_image::{self, PolicyImage};
use super::reads::Reads;
use super::reason::Reason;
use super::stall::ScopeStall;
use super::transition::{Subject, Transition, TransitionKind};
use super::write_bucket::WriteBucket;
use crate::history::WriteResult;
use crate::inventory::UnexpectedLoss;
use crate::model::{AccountName, ImageId, Permission, Scope, Timestamp, Uin};
use crate::pace::DurationHistogram;
use crate::plan::{Plan, View};

/// What is known of one account in one region. What grows with the images is shared by clones.
#[derive(Clone, Debug, Default)]
pub struct ScopeStatus {
    /// Each image that is named or to be pruned, in order.
    pub images: Arc<BTreeMap<ImageId, ImageStatus>>,
    /// The root account, as far as the last observation knew it.
    pub uin: Option<Uin>,
    /// Earlier names of the account, by which people may have suspended the scope.
    pub(super) aliases: Arc<BTreeSet<AccountName>>,
    /// Whether the last observation saw it; `None` before the first.
    pub view: Option<View>,
    /// When it was last seen whole.
    pub seen_at: Option<Timestamp>,
    /// When everything in it was last as desired.
    pub synced_at: Option<Timestamp>,
    /// Shared, named by no manifest, and sharekeeper's own.
    pub unmanaged_ours: usize,
    /// Shared, named by no manifest, and not sharekeeper's own.
    pub unmanaged_foreign: usize,
    /// Not the account's own images, as far as they were asked for: another account's, or left over from deleted ones.
    pub unmanaged_strays: usize,
    /// What a person should be warned of, though nothing is in the way.
    pub warnings: Arc<[String]>,
    /// What a person must settle, beside single images.
    pub findings: Arc<[Finding]>,
    /// What policies keep, leave alone or let wait.
    pub policy_images: Arc<[PolicyImage]>,
    /// Much of what is sharekeeper's own does not show.
    pub loss: Option<UnexpectedLoss>,
    /// What the daemon does with it at present.
    pub activity: Activity,
    /// Where its writes leave, as far as it is known.
    pub write_bucket: Option<WriteBucket>,
    /// Writes that the API answered or may have taken, by what they do and what came of it.
    pub changes: BTreeMap<(Permission, WriteResult), u64>,
    /// How long passes took.
    pub durations: DurationHistogram,
    /// When the last pass ended.
    pub passed_at: Option<Timestamp>,
    /// Passes in a row that did not see the scope.
    pub unseen_passes: u32,
    /// Whether an observation waits for its turn to read.
    pub reads: Reads,
    /// The message of the guard that withholds changes, as reported.
    reported_guard: Option<String>,
    pub(super) stall: ScopeStall,
    /// What an earlier process reported of images that no plan has spoken of since.
    pub(super) remembered: BTreeMap<ImageId, Reported>,
}

impl ScopeStatus {
    /// Whether nothing is seen or done in it.
    pub fn is_stalled(&self) -> bool {
        self.stall.is_stalled()
    }

    /// Takes in what an observation says of the scope as a whole.
    pub(super) fn observed(&mut self, plan: &Plan, now: Timestamp) {
        self.reads.observed();
        self.uin.clone_from(&plan.uin);
        self.aliases = Arc::clone(&plan.aliases);
        self.view = Some(plan.view.clone());
        self.unmanaged_ours = plan.unmanaged.ours.len();
        self.unmanaged_foreign = plan.unmanaged.foreign.len();
        self.unmanaged_strays = plan.unmanaged.strays.len();
        // An observation that failed has no warnings and finds nothing, which does not mean that they are over.
        if plan.unobserved().is_none() {
            self.warnings = plan.warnings().into();
            self.findings = finding::of_plan(plan, &self.findings, now).into();
            self.policy_images = policy_image::of_plan(plan).into();
        }
        self.loss = plan.loss;
        if plan.view == View::Seen {
            self.seen_at = Some(now);
        }
    }

    /// A guard is reported once for its scope, whatever the number of images.
    pub(super) fn guard_transition(&mut self, scope: &Scope, now: Timestamp) -> Option<Transition> {
        let tripped = self
            .images
            .values()
            .filter(|image| image.reason == Reason::GuardTripped)
            .find_map(|image| Some(image.details.as_ref()?.message.to_string()));
        let (kind, message) = match (&self.reported_guard, &tripped) {
            (None, Some(why)) => (TransitionKind::GuardTripped, why.clone()),
            (Some(_), None) if self.view == Some(View::Seen) => (
                TransitionKind::GuardCleared,
                "no guard withholds changes".to_owned(),
            ),
            // Where nothing was seen, the guard had nothing to judge.
            (Some(_), None) => return None,
            (None, None) | (Some(_), Some(_)) => {
                self.reported_guard = tripped;
                return None;
            }
        };
        self.reported_guard = tripped;
        Some(Transition {
            reason: Some(Reason::GuardTripped),
            ..Transition::new(Subject::Scope(scope.clone()), kind, message, now)
        })
    }

    /// Whether it was reported that a guard withholds changes.
    pub(super) fn is_guard_reported(&self) -> bool {
        self.reported_guard.is_some()
    }

    /// The status of a scope of which nothing is known but what an earlier process reported.
    pub(super) fn remembering(
        guard: bool,
        stall: bool,
        images: BTreeMap<ImageId, Reported>,
    ) -> Self {
        let mut status = Self {
            reported_guard: guard.then(String::new),
            remembered: images,
            ..Self::default()
        };
        status.stall.set_reported(stall);
        status
    }

    /// Ends what was reported of the scope, because no manifest names it any longer.
    pub(super) fn removal_transitions(&self, scope: &Scope, now: Timestamp) -> Vec<Transition> {
        let guard = self
            .reported_guard
            .is_some()
            .then_some(TransitionKind::GuardCleared);
        let stall = self
            .stall
            .is_reported()
            .then_some(TransitionKind::Recovered);
        let kinds = guard.into_iter().chain(stall);
        kinds
            .map(|kind| {
                let ended = Transition::of_removal(Subject::Scope(scope.clone()), kind, now);
                match kind {
                    TransitionKind::Recovered => ended.of_many(),
                    _ => ended,
                }
            })
            .collect()
    }
}
