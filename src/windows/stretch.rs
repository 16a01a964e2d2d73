//! The stretches of time during which one window is active, merged where they touch.

use std::borrow::Cow;

use chrono::TimeDelta;

use crate::model::Timestamp;

/// The stretches of time in which a window that starts on one day is active.
pub(super) struct Stretches<'w> {
    /// The instant that the runs are relative to.
    pub base: Timestamp,
    /// In order, and separate from each other.
    pub runs: Cow<'w, [Run]>,
}

/// A stretch relative to some instant. It includes `start` and excludes `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub start: TimeDelta,
    pub end: TimeDelta,
}

impl Stretches<'_> {
    /// The end of the stretch that contains `at`.
    pub(super) fn end_of(&self, at: Timestamp) -> Option<Timestamp> {
        let at = at.signed_duration_since(self.base);
        let begun = self.runs.partition_point(|run| run.start <= at);
        let run = self.runs.get(begun.checked_sub(1)?)?;
        (at < run.end).then(|| self.base.checked_add_signed(run.end))?
    }

    /// The first start after `at`.
    pub(super) fn start_after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = at.signed_duration_since(self.base);
        let begun = self.runs.partition_point(|run| run.start <= at);
        self.base.checked_add_signed(self.runs.get(begun)?.start)
    }
}

/// Joins stretches of one length where they touch. `starts` must be in order.
pub(super) fn join(starts: impl Iterator<Item = TimeDelta>, length: TimeDelta) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for start in starts {
        let end = start + length;
        match runs.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => runs.push(Run { start, end }),
        }
    }
    runs
}
