//! How far the writes of passes that are under way have come. An acknowledged write is not yet seen, so its image stays
//! pending until the next look; this is what moves meanwhile.

use std::ops::AddAssign;

use super::{Activity, Board, Counts, ScopeStatus};
use crate::plan::{Plan, Verdict};

/// Writes of passes that are under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Writes that the API acknowledged.
    pub acknowledged: u64,
    /// Those and the writes that are ahead.
    pub planned: u64,
}

impl AddAssign for Progress {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.planned += other.planned;
    }
}

impl Board {
    /// The writes of all passes that are under way and have any to make.
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
    /// The writes of the pass that is under way, if it has any to make.
    pub fn progress(&self) -> Option<Progress> {
        let Activity::Running {
            acknowledged,
            planned: Some(planned),
            ..
        } = self.activity
        else {
            return None;
        };
        // A write can be acknowledged that no plan of this pass had, where one was in flight when it was made.
        (planned > 0).then_some(Progress {
            acknowledged: acknowledged.min(planned),
            planned,
        })
    }

    /// Writes that are ahead: of images that are pending, those that no write of this pass was acknowledged of.
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

    /// A plan of the pass that is under way says what it has to write from here on.
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
