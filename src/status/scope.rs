//! The status of one account in one region. Readers get it from the board by reference; nothing outside this module
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

/// The status of one account in one region. Clones share the parts that grow with the images.
#[derive(Clone, Debug, Default)]
pub struct ScopeStatus {
    /// Images that are named or due for pruning, in order.
    pub images: Arc<BTreeMap<ImageId, ImageStatus>>,
    /// The uin of the root account, if the last observation knew it.
    pub uin: Option<Uin>,
    /// Earlier names of the account, which people may have used to suspend the scope.
    pub(super) aliases: Arc<BTreeSet<AccountName>>,
    /// Whether the last observation saw the scope; `None` before the first.
    pub view: Option<View>,
    /// When the scope was last observed completely.
    pub seen_at: Option<Timestamp>,
    /// When all its images were last in the desired state.
    pub synced_at: Option<Timestamp>,
    /// Number of shares that no manifest names and that are sharekeeper's own.
    pub unmanaged_ours: usize,
    /// Number of shares that no manifest names and that are not sharekeeper's own.
    pub unmanaged_foreign: usize,
    /// Number of shares whose image is not the account's own, as far as this was checked: another account's, or left over
    /// from deleted images.
    pub unmanaged_strays: usize,
    /// Warnings for a person that block nothing.
    pub warnings: Arc<[String]>,
    /// Points that a person must settle, apart from single images.
    pub findings: Arc<[Finding]>,
    /// Images that policies keep, leave alone or let wait.
    pub policy_images: Arc<[PolicyImage]>,
    /// Set if many of sharekeeper's own shares are not visible.
    pub loss: Option<UnexpectedLoss>,
    /// The daemon's current activity in the scope.
    pub activity: Activity,
    /// The rate bucket of its writes, as far as it is known.
    pub write_bucket: Option<WriteBucket>,
    /// Writes that the API answered or may have received, by action and result.
    pub changes: BTreeMap<(Permission, WriteResult), u64>,
    /// Durations of its passes.
    pub durations: DurationHistogram,
    /// When the last pass ended.
    pub passed_at: Option<Timestamp>,
    /// Consecutive passes that did not observe the scope.
    pub unseen_passes: u32,
    /// Whether an observation waits for the read rate limit.
    pub reads: Reads,
    /// The reported message of the guard that withholds changes.
    reported_guard: Option<String>,
    pub(super) stall: ScopeStall,
    /// An earlier process's reports about images that no plan has mentioned since.
    pub(super) remembered: BTreeMap<ImageId, Reported>,
}

impl ScopeStatus {
    /// Whether nothing is observed or done in it.
    pub fn is_stalled(&self) -> bool {
        self.stall.is_stalled()
    }

    /// Records the results of an observation for the whole scope.
    pub(super) fn observed(&mut self, plan: &Plan, now: Timestamp) {
        self.reads.observed();
        self.uin.clone_from(&plan.uin);
        self.aliases = Arc::clone(&plan.aliases);
        self.view = Some(plan.view.clone());
        self.unmanaged_ours = plan.unmanaged.ours.len();
        self.unmanaged_foreign = plan.unmanaged.foreign.len();
        self.unmanaged_strays = plan.unmanaged.strays.len();
        // A failed observation has no warnings and no findings, which does not mean that they are over.
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

    /// Reports a guard once for its scope, for any number of images.
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
            // Without an observation, the guard had nothing to check.
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

    /// Whether a guard is reported to withhold changes.
    pub(super) fn is_guard_reported(&self) -> bool {
        self.reported_guard.is_some()
    }

    /// The status of a scope of which only an earlier process's reports are known.
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

    /// Ends the reports about the scope, because no manifest names it any longer.
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
