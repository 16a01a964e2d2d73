//! What follows from the time where two clocks show different ones: what both say, or nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::Withheld;
use crate::inventory::Suspension;
use crate::model::{Cause, Clocks, ShareState, Timestamp};
use crate::windows::{Closed, Windows};

/// This machine's clock and the access point's lead to different decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockDispute {
    /// What they show.
    pub clocks: Clocks,
    /// What they disagree about.
    pub about: Dispute,
}

/// What two clocks disagree about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dispute {
    /// Which state a manifest asks for.
    Wish {
        /// By this machine's clock.
        machine: ShareState,
        /// By the access point's.
        api: ShareState,
    },
    /// Whether a change window is open.
    Window {
        /// Why it is closed by one of them.
        closed: Closed,
        /// It is open by this machine's clock.
        open_here: bool,
    },
    /// Whether a suspension has ended.
    Suspension {
        /// Which.
        suspension: Suspension,
        /// It is over by this machine's clock.
        over_here: bool,
    },
}

impl ClockDispute {
    /// Whether not even the state that is asked for is known.
    pub fn is_about_the_wish(&self) -> bool {
        matches!(self.about, Dispute::Wish { .. })
    }
}

impl Withheld {
    pub(super) fn disputed(clocks: Clocks, about: Dispute) -> Self {
        Self::ClocksDisagree(ClockDispute { clocks, about }.into())
    }
}

impl fmt::Display for ClockDispute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = self.clocks.machine();
        let there = self.clocks.api().unwrap_or(here);
        let show = |at: Timestamp| at.format("%Y-%m-%dT%H:%M:%SZ");
        write!(
            f,
            "the clocks disagree: it is {} by this machine's and {} by the access point's, and ",
            show(here),
            show(there)
        )?;
        let (this, that) = ("this machine's", "the access point's");
        let sides = |first| if first { (this, that) } else { (that, this) };
        match &self.about {
            Dispute::Wish { machine, api } => write!(
                f,
                "the manifest asks for `{}` by the first and for `{}` by the second",
                machine.as_str(),
                api.as_str()
            )?,
            Dispute::Window { closed, open_here } => {
                let (open, shut) = sides(*open_here);
                write!(
                    f,
                    "by {open} changes are permitted, by {shut} {}",
                    closed.reason
                )?;
            }
            Dispute::Suspension {
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

/// For each cause, why changes may not be made now, by each clock. To find when a window opens can take a while, and the
/// answer holds for every image.
pub(super) struct Closings {
    clocks: Clocks,
    by_cause: BTreeMap<Cause, Closing>,
}

struct Closing {
    machine: Option<Closed>,
    api: Option<Closed>,
}

impl Closings {
    pub(super) fn new(windows: &Windows, clocks: Clocks) -> Self {
        let of = |cause| {
            let closed = |now| windows.permits(cause, now).err();
            let machine = closed(clocks.machine());
            // One clock, one answer.
            let api = match clocks.api() {
                Some(api) => closed(api),
                None => machine.clone(),
            };
            (cause, Closing { machine, api })
        };
        Self {
            clocks,
            by_cause: BTreeMap::from(Cause::ALL.map(of)),
        }
    }

    /// Why a change of this cause is withheld: it must be permitted by both clocks.
    pub(super) fn withhold(&self, cause: Cause) -> Option<Withheld> {
        let disputed = |closed: &Closed, open_here| {
            let closed = closed.clone();
            Withheld::disputed(self.clocks, Dispute::Window { closed, open_here })
        };
        match self.by_cause.get(&cause)? {
            Closing {
                machine: None,
                api: None,
            } => None,
            Closing {
                machine: Some(closed),
                api: Some(_),
            } => Some(Withheld::WindowClosed(closed.clone())),
            Closing {
                machine: None,
                api: Some(closed),
            } => Some(disputed(closed, true)),
            Closing {
                machine: Some(closed),
                api: None,
            } => Some(disputed(closed, false)),
        }
    }

    /// When changes of this cause are permitted next, as either clock will show it.
    pub(super) fn openings(&self, cause: Cause) -> impl Iterator<Item = Timestamp> {
        let closing = self.by_cause.get(&cause);
        let closed = closing
            .into_iter()
            .flat_map(|closing| [&closing.machine, &closing.api]);
        closed.flatten().filter_map(|closed| closed.opens)
    }
}

#[cfg(test)]
#[path = "dispute_tests.rs"]
mod tests;
