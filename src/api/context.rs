//! The data that the clients of a run share: the host, the rate buckets, the budgets of repetitions, the count of
//! calls and the clocks of access points. It must not know accounts or credentials.

use std::rc::Rc;

use super::call_stats::CallStats;
use super::clocks::ApiClocks;
use super::in_flight::InFlight;
use super::retry_budgets::RetryBudgets;
use crate::host::{Host, SteadyClock};
use crate::model::{Present, Timestamp};
use crate::pace::Pacer;

/// Shared by all clients of a run, whose accounts may share keys and access points.
pub struct ClientContext<H> {
    pub host: H,
    pub pacer: Pacer,
    pub calls: CallStats,
    pub clocks: ApiClocks,
    pub in_flight: InFlight,
    pub retries: RetryBudgets,
    steady: SteadyClock,
}

impl<H: Host> ClientContext<H> {
    /// A context before the first call.
    pub fn new(host: H) -> Rc<Self> {
        let context = Self {
            host,
            pacer: Pacer::default(),
            calls: CallStats::default(),
            clocks: ApiClocks::default(),
            in_flight: InFlight::default(),
            retries: RetryBudgets::default(),
            steady: SteadyClock::default(),
        };
        // From here on, a change of the wall clock is noticed.
        context.present();
        Rc::new(context)
    }

    /// The time of this machine's clock. Decisions use [`super::ReadClient::clocks`] instead.
    pub fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// The time for dates and durations, by this machine's clock alone.
    pub fn present(&self) -> Present {
        self.steady.read(self.host.now(), self.host.monotonic())
    }
}
