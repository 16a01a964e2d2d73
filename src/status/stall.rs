//! Whether nothing is observed or done in one scope, and why. This file knows neither the other scopes of the account nor
//! the board.

use super::activity::PassResult;
use super::reason::Reason;
use crate::attempts::WritePause;
use crate::plan::{Plan, Verdict};

/// Consecutive passes that must fail to observe a scope before it counts as stalled. One lost page means nothing.
const UNSEEN_PASSES_MAX: u32 = 3;

/// Whether nothing is observed or done in a scope.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeStall {
    /// Nothing is observed or done in it, for any reason.
    is_stalled: bool,
    /// It was reported on its own, so its end will be reported too.
    is_reported: bool,
    /// Consecutive passes that did not observe it, although its account works as far as is known.
    lost_passes: u32,
    /// The board's version when the last pass started.
    began_at_version: u64,
    /// Why its changes are not tried, until a write is permitted or no longer denied.
    write_pause: Option<WritePause>,
    /// Whether a write has been permitted since the last pass started.
    has_permitted: bool,
}

impl ScopeStall {
    /// Whether nothing is observed or done in the scope, for any reason.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Whether the scope was reported on its own.
    pub(super) fn is_reported(&self) -> bool {
        self.is_reported
    }

    /// Whether too many consecutive passes did not observe the scope, although its account works as far as is known.
    pub(super) fn is_lost(&self) -> bool {
        self.lost_passes >= UNSEEN_PASSES_MAX
    }

    /// Whether the last pass started after the board had this version.
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

    /// Stores whether the scope is reported on its own.
    pub(super) fn set_reported(&mut self, is_reported: bool) {
        self.is_reported = is_reported;
    }

    /// Records the start of a pass at this version of the board.
    pub(super) fn pass_began(&mut self, version: u64) {
        self.began_at_version = version;
        // Only the next pass shows which images are denied on their own.
        if std::mem::take(&mut self.has_permitted) {
            self.write_pause = None;
        }
    }

    /// Records which changes a plan leaves untried. A plan that leaves none untried ends the pause, unless all its images
    /// were denied one by one in the meantime.
    pub(super) fn planned(&mut self, plan: &Plan) {
        let mut verdicts = plan.decisions.values().map(|decision| &decision.verdict);
        if let Some(pause) = plan.write_pause() {
            self.has_permitted = false;
            self.write_pause = Some(pause.clone());
        } else if plan.unobserved().is_none() && !verdicts.any(|verdict| self.explains(verdict)) {
            self.write_pause = None;
        }
    }

    /// Records that the API permitted a write. Returns whether it is the first since the last pass started.
    pub(super) fn write_permitted(&mut self) -> bool {
        !std::mem::replace(&mut self.has_permitted, true)
    }

    /// Records the end of a pass. `unseen_passes` counts the consecutive passes that did not observe the scope.
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
            // An interrupted pass shows neither a stall nor a recovery.
            PassResult::Stopped => {}
            PassResult::Synced | PassResult::Incomplete | PassResult::Panicked => {
                *unseen_passes = 0;
                self.lost_passes = 0;
                self.is_stalled = is_halted || self.write_pause.is_some();
            }
        }
    }

    /// Whether an image is denied for the same reason as the write pause.
    pub(super) fn explains(&self, verdict: &Verdict) -> bool {
        match (verdict, &self.write_pause) {
            (Verdict::Blocked(problem), Some(pause)) => {
                problem.unmet.is_none() && problem.code == pause.problem.code && !lacks_role(pause)
            }
            _ => false,
        }
    }

    /// Why nothing is done in the scope, or in its whole account. A missing service role has its own report instead.
    pub(super) fn denial(&self, of_account: bool) -> Option<String> {
        let pause = self.write_pause.as_ref()?;
        (pause.of_account == of_account && !lacks_role(pause))
            .then(|| format!("nothing is done in it: {}", pause.problem.told()))
    }
}

fn lacks_role(pause: &WritePause) -> bool {
    Reason::of_problem(&pause.problem, Reason::NotTried) == Reason::RoleMissing
}
