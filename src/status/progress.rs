//! The progress of writes in current passes. An acknowledged write has not been observed yet, so its image stays pending
//! until the next observation; these counts change in the meantime.

use std::ops::AddAssign;

use super::{Activity, Board, Counts, ScopeStatus};
use crate::plan::{Plan, Verdict};

/// Writes of all current passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Writes that the API acknowledged.
    pub acknowledged: u64,
    /// Acknowledged writes plus those that are still due.
    pub planned: u64,
}

impl AddAssign for Progress {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.planned += other.planned;
    }
}

impl Board {
    /// The writes of all current passes that have any.
    pub fn progress(&self) -> Progress {
        let mut all = Progress::default();
        let scopes = self.scopes.values();
        scopes
            .filter_map(|status| status.progress())
            .for_each(|one| all += one);
        all
    }
}

impl ScopeStatus {
    /// The writes of the current pass, if it has any.
    pub fn progress(&self) -> Option<Progress> {
        let Activity::Running {
            acknowledged,
            planned: Some(planned),
            ..
        } = self.activity
        else {
            return None;
        };
        // A write that was in flight when the plan was made can be acknowledged without being in any plan of this pass.
        (planned > 0).then_some(Progress {
            acknowledged: acknowledged.min(planned),
            planned,
        })
    }

    /// Writes that are still due: the pending images without an acknowledged write in this pass.
    pub fn writes_ahead(&self, counts: &Counts) -> usize {
        match self.progress() {
            Some(Progress {
                acknowledged,
                planned,
            }) => {
                let ahead = usize::try_from(planned - acknowledged).unwrap_or(usize::MAX);
                counts.pending.min(ahead)
            }
            None => counts.pending,
        }
    }

    /// Records the number of writes that a plan of the current pass still has to make.
    pub(super) fn writes_planned(&mut self, plan: &Plan) {
        if let Activity::Running {
            acknowledged,
            planned,
            ..
        } = &mut self.activity
        {
            let decisions = plan.decisions.values();
            let ahead = decisions.filter(|decision| decision.verdict == Verdict::Act);
            *planned = Some(*acknowledged + ahead.count() as u64);
        }
    }
}
