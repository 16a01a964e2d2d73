//! WINDOWS: when changes may be made, as an account's manifest declares.
//!
//! A pure calendar: windows and an instant in, "open" or "closed until" out. The rules are those of Argo CD's sync
//! windows: an active `deny` closes; where there are `allow` windows and none is active, it is closed; otherwise it is
//! open. Only windows that cover the cause of a change count for it. Everything is parsed once, so that a check is cheap.
//! This module knows nothing of manifests, plans or clocks.

mod daily;
mod schedule;
mod stretch;
mod window;
mod zone;

use chrono::{DateTime, TimeDelta};

use crate::model::{Cause, Timestamp};

pub use daily::{Daily, Days, TimeOfDay};
pub use schedule::{Length, Schedule, Starts, StartsError};
pub use window::{Kind, Span, Window};
pub use zone::Zone;

/// How far ahead the search for the next opening goes.
const HORIZON: TimeDelta = TimeDelta::days(366);
/// The beginning of 2028, a leap year: it has every day of the calendar.
const LEAP_YEAR: Timestamp = DateTime::from_timestamp_secs(1_830_297_600).expect("in the calendar");
/// The most ends and starts that a search examines, so that even windows that alternate every minute cost little. A
/// window that ends twice an hour has fewer in a year.
const STEPS_MAX: u32 = 20_000;

/// An account's change windows. Without windows, everything is permitted at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

/// Why a change may not be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The first instant at which changes of this cause are permitted; `None` if none was found within a year.
    pub opens: Option<Timestamp>,
    /// For a person: which window closes, until when, and the remedy.
    pub reason: String,
}

enum Closing<'w> {
    /// An active `deny` window, and when it ends.
    Denied(&'w Window, Timestamp),
    /// There are `allow` windows, and none is active.
    NotAllowed,
}

/// The first time at which no window closes.
enum Opening {
    At(Timestamp),
    /// Never, because of a `deny` that never ends.
    Never,
    /// Not within the time that was searched.
    NotWithin,
    /// The search took too many steps.
    Unknown,
}

impl Windows {
    /// The most windows that an account may have: each is checked before each write.
    pub const MAX: usize = 100;

    /// Collects the windows of one account.
    pub fn new(windows: Vec<Window>) -> Self {
        Self(windows)
    }

    /// Whether a change of this cause may be made at `at`, without a search for the next opening.
    pub fn is_open(&self, cause: Cause, at: Timestamp) -> bool {
        self.closing(cause, at).is_none()
    }

    /// Whether a change of this cause may be made at `at`. If not, the error holds the reason and the next opening.
    pub fn permits(&self, cause: Cause, at: Timestamp) -> Result<(), Closed> {
        let Some(closing) = self.closing(cause, at) else {
            return Ok(());
        };
        let opens = self.opening(cause, at);
        let (what, zone) = match closing {
            Closing::Denied(window, _) => (format!("a window is active: {window}"), window.zone),
            Closing::NotAllowed => {
                let word = cause.as_str();
                let what = format!("no window that allows `{word}` changes is active");
                let opener = opens.and_then(|at| self.active(Kind::Allow, cause, at));
                (what, opener.map_or(Zone::UTC, |(window, _)| window.zone))
            }
        };
        let until = match opens {
            Some(at) => format!("opens {}", zone.show(at)),
            None => "no opening was found within a year".to_owned(),
        };
        let reason = format!("{what}; {until}; to act sooner, change the account's `spec.windows`");
        Err(Closed { opens, reason })
    }

    fn of(&self, kind: Kind, cause: Cause) -> impl Iterator<Item = &Window> {
        let windows = self.0.iter();
        windows.filter(move |window| window.kind == kind && window.causes.contains(&cause))
    }

    /// The first active window, and when it ends.
    fn active(&self, kind: Kind, cause: Cause, at: Timestamp) -> Option<(&Window, Timestamp)> {
        self.of(kind, cause)
            .find_map(|window| Some((window, window.end_of(at)?)))
    }

    fn closing(&self, cause: Cause, at: Timestamp) -> Option<Closing<'_>> {
        if let Some((window, end)) = self.active(Kind::Deny, cause, at) {
            return Some(Closing::Denied(window, end));
        }
        let restricted = self.of(Kind::Allow, cause).next().is_some();
        let allowed = || self.active(Kind::Allow, cause, at).is_some();
        (restricted && !allowed()).then_some(Closing::NotAllowed)
    }

    /// Whether no change of this cause can ever be made. `false` also where this takes too many steps to find out.
    pub fn are_never_open(&self, cause: Cause) -> bool {
        let days_alone = self
            .0
            .iter()
            .all(|window| matches!(window.span, Span::Daily(_)));
        let in_a_leap_year = self.first_open(cause, LEAP_YEAR, HORIZON);
        match in_a_leap_year {
            Opening::At(_) | Opening::Unknown => false,
            Opening::Never => true,
            // A weekly pattern shows within a year. A day of the month falls on every day of the week within 28 years.
            Opening::NotWithin if days_alone => true,
            Opening::NotWithin => {
                let opening = self.first_open(cause, LEAP_YEAR, HORIZON * 28);
                matches!(opening, Opening::Never | Opening::NotWithin)
            }
        }
    }

    /// The first instant from `at` on, within a year, at which no window closes.
    fn opening(&self, cause: Cause, at: Timestamp) -> Option<Timestamp> {
        match self.first_open(cause, at, HORIZON) {
            Opening::At(at) => Some(at),
            Opening::Never | Opening::NotWithin | Opening::Unknown => None,
        }
    }

    /// The first instant from `at` on at which no window closes. Only the end of a `deny` or the start of an `allow` can
    /// open, so the search goes from one to the next.
    fn first_open(&self, cause: Cause, at: Timestamp, horizon: TimeDelta) -> Opening {
        if self.of(Kind::Deny, cause).any(Window::is_always) {
            return Opening::Never;
        }
        let Some(limit) = at.checked_add_signed(horizon) else {
            return Opening::Unknown;
        };
        let mut at = at;
        for _ in 0..STEPS_MAX {
            let next = match self.closing(cause, at) {
                None => return Opening::At(at),
                Some(Closing::Denied(_, end)) => Some(end),
                Some(Closing::NotAllowed) => self
                    .of(Kind::Allow, cause)
                    .filter_map(|window| window.start_after(at, limit))
                    .min(),
            };
            match next {
                Some(next) if next <= limit => at = next,
                _ => return Opening::NotWithin,
            }
        }
        Opening::Unknown
    }
}

#[cfg(test)]
mod calendar_tests;
#[cfg(test)]
mod permits_tests;
