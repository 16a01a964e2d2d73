//! Events of a running engine, for the component that shows them. It must not know how events are shown.

use crate::history::WriteOutcome;
use crate::inventory::InventoryNote;
use crate::ledger::Attempt;
use crate::model::{ImageId, Scope};
use crate::observation::Reading;
use crate::plan::Plan;

/// An event of a run.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A scope was observed and planned.
    Planned {
        /// The plan that follows from the observation.
        plan: &'a Plan,
        /// Whether it is the run's first plan for the scope.
        first: bool,
    },
    /// A scope could not be observed, or only without its shares, or is no longer written to.
    Trouble {
        /// The scope in trouble.
        scope: &'a Scope,
        /// One line for a person.
        what: String,
        /// Whether it concerns the whole account, so that its other scopes report the same.
        of_account: bool,
    },
    /// A write was answered, or it is certain that no answer will come.
    Answered {
        /// The attempt that ended.
        attempt: &'a Attempt,
        /// The outcome, as the history records it.
        outcome: &'a WriteOutcome,
    },
    /// An observation changed which images are ours or are left alone.
    Noted {
        /// The scope that was observed.
        scope: &'a Scope,
        /// The image that the note is about.
        image: &'a ImageId,
        /// The conclusion that was drawn.
        note: &'a InventoryNote,
    },
    /// An observation takes long because its pages wait for permits. Reported once for each observation.
    Reading {
        /// The scope that is read.
        scope: &'a Scope,
        /// The progress of the reading.
        reading: Reading,
    },
    /// Nothing is left to send, but reads do not show the latest writes yet.
    Waiting {
        /// The scope that waits.
        scope: &'a Scope,
        /// The number of images that it waits for.
        images: usize,
    },
    /// Nothing is left to send, but no server can be started from some shares yet.
    Syncing {
        /// The scope that waits.
        scope: &'a Scope,
        /// The number of images that it waits for.
        images: usize,
    },
}

/// Receives each [`Event`] of a run, usually to show it.
pub trait Listener {
    /// Called on the engine's thread for each event, so it must not block.
    fn event(&self, event: Event<'_>);
}
