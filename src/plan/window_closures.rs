//! Why change windows forbid changes now, by this machine's clock and by the access point's clock. Both must permit a
//! change.

use std::collections::BTreeMap;

use super::clock_conflict::ConflictSubject;
use super::withheld::Withheld;
use crate::model::{Cause, Clocks, Timestamp};
use crate::windows::{Closed, Windows};

/// Why changes may not be made now, by cause and clock. The search for the next opening can take a while, and its result
/// applies to every image.
pub(super) struct WindowClosures {
    clocks: Clocks,
    by_cause: BTreeMap<Cause, Closing>,
}

struct Closing {
    machine: Option<Closed>,
    api: Option<Closed>,
}

impl WindowClosures {
    pub(super) fn new(windows: &Windows, clocks: Clocks) -> Self {
        let of = |cause| {
            let closed = |now| windows.permits(cause, now).err();
            let machine = closed(clocks.machine());
            // Without a second clock, there is one answer.
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

    /// Why a change of this cause is withheld: both clocks must permit it.
    pub(super) fn withhold(&self, cause: Cause) -> Option<Withheld> {
        let disputed = |closed: &Closed, open_here| {
            let closed = closed.clone();
            Withheld::disputed(self.clocks, ConflictSubject::Window { closed, open_here })
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

    /// The times at which changes of this cause are permitted next, by each clock.
    pub(super) fn openings(&self, cause: Cause) -> impl Iterator<Item = Timestamp> {
        let closing = self.by_cause.get(&cause);
        let closed = closing
            .into_iter()
            .flat_map(|closing| [&closing.machine, &closing.api]);
        closed.flatten().filter_map(|closed| closed.opens)
    }
}
