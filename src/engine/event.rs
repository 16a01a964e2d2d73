//! What the engine reports while it runs, to whoever shows it. It must not know how events are shown.

use crate::history::WriteOutcome;
use crate::inventory::InventoryNote;
use crate::ledger::Attempt;
use crate::model::{ImageId, Scope};
use crate::observation::Reading;
use crate::plan::Plan;

/// One step of a run.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A scope was observed and planned.
    Planned {
        /// The plan that follows from the observation.
        plan: &'a Plan,
        /// Whether it is the run's first plan for the scope.
        first: bool,
    },
    /// A scope could not be observed, or only without its shares, or is not written to any longer.
    Trouble {
        /// The scope in trouble.
        scope: &'a Scope,
        /// One line for a person.
        what: String,
        /// Whether it is true of the whole account, so that its other scopes report the same.
        of_account: bool,
    },
    /// A write was answered, or it is known that no answer will come.
    Answered {
        /// The attempt that ended.
        attempt: &'a Attempt,
        /// How it ended, as the history has it.
        outcome: &'a WriteOutcome,
    },
    /// An observation changed what is ours or what is left alone.
    Noted {
        /// The scope that was observed.
        scope: &'a Scope,
        /// The image that it is about.
        image: &'a ImageId,
        /// The conclusion that was drawn.
        note: &'a InventoryNote,
    },
    /// An observation takes long because its pages wait for permits. Reported once for each observation.
    Reading {
        /// The scope that is read.
        scope: &'a Scope,
        /// How far the reading is.
        reading: Reading,
    },
    /// There is nothing to send while reads do not show yet what was written.
    Waiting {
        /// The scope that waits.
        scope: &'a Scope,
        /// How many images it waits for.
        images: usize,
    },
    /// There is nothing to send while no server can be started from shares yet.
    Syncing {
        /// The scope that waits.
        scope: &'a Scope,
        /// How many images it waits for.
        images: usize,
    },
}

/// Whoever shows a run: receives each [`Event`] of it.
pub trait Listener {
    /// Called on the engine's thread for each event, so it must not block.
    fn event(&self, event: Event<'_>);
}
