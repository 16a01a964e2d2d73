//! Whether nothing is seen or done in one scope, and why. Knows neither the other scopes of its account nor the board.

use super::activity::PassResult;
use super::reason::Reason;
use crate::attempts::WritePause;
use crate::plan::{Plan, Verdict};

/// Passes in a row that did not see a scope before it counts as stalled. One lost page means nothing.
const UNSEEN_PASSES_MAX: u32 = 3;

/// Whether nothing is seen or done in a scope.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeStall {
    /// Nothing is seen or done in it, for whatever reason.
    is_stalled: bool,
    /// It was reported on its own, and its end will be.
    is_reported: bool,
    /// Passes in a row that did not see it, though its account works for all that is known.
    lost_passes: u32,
    /// The board's version when the last pass began.
    began_at_version: u64,
    /// Why what is to be done in it is not tried, until something is permitted or nothing is denied any longer.
    write_pause: Option<WritePause>,
    /// A write has been permitted since the last pass began.
    has_permitted: bool,
}

impl ScopeStall {
    /// Whether nothing is seen or done in the scope, for whatever reason.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Whether the scope was reported on its own.
    pub(super) fn is_reported(&self) -> bool {
        self.is_reported
    }

    /// Whether too many passes in a row did not see the scope, though its account works for all that is known.
    pub(super) fn is_lost(&self) -> bool {
        self.lost_passes >= UNSEEN_PASSES_MAX
    }

    /// Whether the last pass began after the board had this version.
    pub(super) fn began_after(&self, version: u64) -> bool {
        self.began_at_version > version
    }

    /// Whether writes are paused in the scope.
    pub(super) fn is_paused(&self) -> bool {
        self.write_pause.is_some()
    }

    /// Why writes are paused in the scope, if they are.
    pub(super) fn write_pause(&self) -> Option<&WritePause> {
        self.write_pause.as_ref()
    }

    /// Keeps whether the scope is reported on its own.
    pub(super) fn set_reported(&mut self, is_reported: bool) {
        self.is_reported = is_reported;
    }

    /// A pass begins, at this version of the board.
    pub(super) fn pass_began(&mut self, version: u64) {
        self.began_at_version = version;
        // Only the next pass tells which of the images are denied alone.
        if std::mem::take(&mut self.has_permitted) {
            self.write_pause = None;
        }
    }

    /// Takes in what a plan leaves untried. A plan that leaves nothing untried ends the pause, unless all its images were
    /// denied one by one in the meantime.
    pub(super) fn planned(&mut self, plan: &Plan) {
        let mut verdicts = plan.decisions.values().map(|decision| &decision.verdict);
        if let Some(pause) = plan.write_pause() {
            self.has_permitted = false;
            self.write_pause = Some(pause.clone());
        } else if plan.unobserved().is_none() && !verdicts.any(|verdict| self.explains(verdict)) {
            self.write_pause = None;
        }
    }

    /// The API permitted a write. Returns whether it is the first since the last pass began.
    pub(super) fn write_permitted(&mut self) -> bool {
        !std::mem::replace(&mut self.has_permitted, true)
    }

    /// Takes in how a pass ended. `unseen_passes` counts those in a row that did not see the scope.
    pub(super) fn pass_ended(
        &mut self,
        result: PassResult,
        unseen_passes: &mut u32,
        is_halted: bool,
        account_broken: bool,
    ) {
        match result {
            PassResult::Unobserved => {
                *unseen_passes += 1;
                self.lost_passes = if account_broken {
                    0
                } else {
                    self.lost_passes + 1
                };
                let is_unseen = *unseen_passes >= UNSEEN_PASSES_MAX;
                self.is_stalled |= is_halted || account_broken || is_unseen;
            }
            // A pass that was interrupted says nothing either way.
            PassResult::Stopped => {}
            PassResult::Synced | PassResult::Incomplete | PassResult::Panicked => {
                *unseen_passes = 0;
                self.lost_passes = 0;
                self.is_stalled = is_halted || self.write_pause.is_some();
            }
        }
    }

    /// Whether an image is denied for the reason for which writes are paused.
    pub(super) fn explains(&self, verdict: &Verdict) -> bool {
        match (verdict, &self.write_pause) {
            (Verdict::Blocked(problem), Some(pause)) => {
                problem.unmet.is_none() && problem.code == pause.problem.code && !lacks_role(pause)
            }
            _ => false,
        }
    }

    /// Why nothing is done in the scope, or in its whole account. A missing service role is reported as such instead.
    pub(super) fn denial(&self, of_account: bool) -> Option<String> {
        let pause = self.write_pause.as_ref()?;
        (pause.of_account == of_account && !lacks_role(pause))
            .then(|| format!("nothing is done in it: {}", pause.problem.told()))
    }
}

fn lacks_role(pause: &WritePause) -> bool {
    Reason::of_problem(&pause.problem, Reason::NotTried) == Reason::RoleMissing
}
