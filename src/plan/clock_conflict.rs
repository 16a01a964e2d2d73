//! The disagreement of two clocks where a decision depends on the time: a change is made only if both clocks agree on it
//! (B2). These values describe the conflict; the planner decides what follows.

use std::fmt;

use crate::inventory::Suspension;
use crate::model::{Clocks, ShareState, Timestamp};
use crate::windows::Closed;
use crate::words::rfc3339;

/// This machine's clock and the access point's clock lead to different decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockConflict {
    /// Times that the two clocks show.
    pub clocks: Clocks,
    /// The subject on which they disagree.
    pub about: ConflictSubject,
}

/// The subject on which two clocks disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConflictSubject {
    /// Which state a manifest asks for.
    DesiredState {
        /// State by this machine's clock.
        machine: ShareState,
        /// State by the access point's clock.
        api: ShareState,
    },
    /// Whether a change window is open.
    Window {
        /// Why it is closed by one of the clocks.
        closed: Closed,
        /// Whether it is open by this machine's clock.
        open_here: bool,
    },
    /// Whether a suspension has ended.
    Suspension {
        suspension: Suspension,
        /// Whether it has ended by this machine's clock.
        over_here: bool,
    },
}

impl ClockConflict {
    /// Whether even the desired state is unknown.
    pub fn is_about_desired_state(&self) -> bool {
        matches!(self.about, ConflictSubject::DesiredState { .. })
    }
}

impl fmt::Display for ClockConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = self.clocks.machine();
        let there = self.clocks.api().unwrap_or(here);
        let show = |at: Timestamp| rfc3339(at);
        write!(
            f,
            "the clocks disagree: it is {} by this machine's and {} by the access point's, and ",
            show(here),
            show(there)
        )?;
        let (this, that) = ("this machine's", "the access point's");
        let sides = |first| if first { (this, that) } else { (that, this) };
        match &self.about {
            ConflictSubject::DesiredState { machine, api } => write!(
                f,
                "the manifest asks for `{}` by the first and for `{}` by the second",
                machine.as_str(),
                api.as_str()
            )?,
            ConflictSubject::Window { closed, open_here } => {
                let (open, shut) = sides(*open_here);
                write!(
                    f,
                    "by {open} changes are permitted, by {shut} {}",
                    closed.reason
                )?;
            }
            ConflictSubject::Suspension {
                suspension,
                over_here,
            } => {
                let (over, on) = sides(*over_here);
                write!(
                    f,
                    "by {over} this is over, by {on} it is not: {}",
                    suspension.describe()
                )?;
            }
        }
        write!(f, "; nothing is done until they agree: {}", Clocks::REMEDY)
    }
}

#[cfg(test)]
#[path = "clock_conflict_tests.rs"]
mod tests;
