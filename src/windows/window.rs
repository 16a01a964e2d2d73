//! One change window: which changes it allows or denies, when, and in which time zone.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use chrono::{NaiveDate, TimeDelta};

use super::daily::Daily;
use super::schedule::Schedule;
use super::stretch::Stretches;
use super::zone::Zone;
use crate::model::{Cause, Timestamp};
use crate::words::brief;

/// What a window does while it is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Changes are made only while a window of this kind is active.
    Allow,
    /// No changes are made, even if an allow window is active.
    Deny,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Allow, Self::Deny];

    /// The word used in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// Finds the kind by its word.
    pub fn new(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The times at which a window is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// On days of the week, from one time of day to another.
    Daily(Daily),
    /// From the times of a cron expression, for a fixed length.
    Scheduled(Schedule),
}

#[derive(Clone, PartialEq, Eq)]
pub struct Window {
    pub kind: Kind,
    /// The causes of the changes that the window affects.
    pub causes: BTreeSet<Cause>,
    /// The times at which it is active.
    pub span: Span,
    pub zone: Zone,
    /// The reason that people see.
    pub reason: Option<String>,
}

impl Window {
    /// Whether the window never ends.
    pub(super) fn is_always(&self) -> bool {
        match &self.span {
            Span::Daily(daily) => daily.is_always(),
            Span::Scheduled(schedule) => schedule.is_always(),
        }
    }

    /// When the window ends, if it is active at `at`. It may start again at the same moment.
    pub(super) fn end_of(&self, at: Timestamp) -> Option<Timestamp> {
        let reach = match &self.span {
            Span::Daily(_) => Daily::REACH,
            Span::Scheduled(schedule) => schedule.reach(),
        };
        let today = self.zone.local(at)?.date();
        // The search goes backwards, because the last start ends last. It begins with tomorrow, because where the clock
        // is put back over midnight, it may already have been tomorrow.
        let mut days = days(today, -i64::from(reach)..=1).rev();
        days.find_map(|day| self.stretches(day)?.end_of(at))
    }

    /// The next start after `at`, if it is not after `limit`.
    pub(super) fn start_after(&self, at: Timestamp, limit: Timestamp) -> Option<Timestamp> {
        let today = self.zone.local(at)?.date();
        let ahead = limit.signed_duration_since(at).num_days();
        // Yesterday's starts too: where the clock is put back over midnight, it may become yesterday again.
        let mut starts = days(today, -1..=ahead.saturating_add(1))
            .map(|day| self.stretches(day)?.start_after(at));
        let first = starts.find_map(|start| start)?;
        // For the same reason, the next day's first start may come before this day's.
        let second = starts.next().flatten();
        Some(second.map_or(first, |second| first.min(second))).filter(|start| *start <= limit)
    }

    /// The stretches in which the window is active if it starts on `day`.
    fn stretches(&self, day: NaiveDate) -> Option<Stretches<'_>> {
        match &self.span {
            Span::Daily(daily) => daily.stretches(day, self.zone),
            Span::Scheduled(schedule) => schedule.stretches(day, self.zone),
        }
    }
}

/// Days by their distance from `today`.
fn days(
    today: NaiveDate,
    range: RangeInclusive<i64>,
) -> impl DoubleEndedIterator<Item = NaiveDate> {
    range.filter_map(move |days| today.checked_add_signed(TimeDelta::try_days(days)?))
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.as_str())?;
        if self.causes.len() < Cause::ALL.len() {
            let causes: Vec<_> = self.causes.iter().map(|cause| cause.as_str()).collect();
            write!(f, "{} ", causes.join(","))?;
        }
        match &self.span {
            Span::Daily(daily) => write!(f, "{daily}")?,
            Span::Scheduled(schedule) => write!(f, "{schedule}")?,
        }
        write!(f, " {}", self.zone)?;
        match &self.reason {
            Some(reason) => write!(f, " ({})", brief(reason)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
