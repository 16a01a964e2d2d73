//! The data that every step of a pass over one scope works with. It must not know the steps.

use super::Engine;
use super::event::Event;
use super::probe_budget::ScopeBudget;
use super::scope_task::ScopeTask;
use crate::api::{ClientContext, WriteClient};
use crate::host::Host;
use crate::ledger::Ledger;
use crate::model::{Clocks, Present};
use crate::observation::ObservedAt;

/// One scope with its client, its ledger and its part of the task.
pub(super) struct ScopeContext<'a, H, L> {
    pub(super) engine: &'a Engine<'a, L>,
    pub(super) client: &'a WriteClient<H>,
    pub(super) task: &'a ScopeTask<'a>,
    /// The scope's part of its account's budget for denied calls.
    pub(super) budget: ScopeBudget,
}

impl<H: Host, L: Ledger> ScopeContext<'_, H, L> {
    pub(super) fn client_context(&self) -> &ClientContext<H> {
        self.client.read().context()
    }

    pub(super) fn host(&self) -> &H {
        &self.client_context().host
    }

    pub(super) fn present(&self) -> Present {
        self.client_context().present()
    }

    /// The current time by this machine's clock and by the access point's.
    pub(super) fn clocks(&self) -> Clocks {
        self.client.read().clocks(self.task.scope.region)
    }

    /// The current time by both clocks of this machine; the monotonic clock stands still while the machine sleeps.
    pub(super) fn seen_at(&self) -> ObservedAt {
        ObservedAt::new(self.host().monotonic(), self.host().now())
    }

    pub(super) fn emit(&self, event: Event<'_>) {
        self.engine.listener.event(event);
    }

    /// Whether the ledger refuses every request from now on.
    pub(super) fn is_lost(&self) -> bool {
        self.engine.ledger.failure().is_some()
    }
}
