//! What the clients of a run have in common: the host, the rate buckets, the count of calls, and how the clocks stand.

use std::rc::Rc;

use super::calls::Calls;
use super::clocks::ApiClocks;
use crate::host::{Host, SteadyClock};
use crate::model::{Present, Timestamp};
use crate::pace::Pacer;

/// What the clients of a run have in common.
pub struct ClientContext<H> {
    /// Time, network, dice.
    pub host: H,
    /// The rate buckets.
    pub pacer: Pacer,
    /// The count of calls.
    pub calls: Calls,
    /// The clocks of access points.
    pub clocks: ApiClocks,
    steady: SteadyClock,
}

impl<H: Host> ClientContext<H> {
    /// Full buckets, nothing counted, no clock known but this machine's.
    pub fn new(host: H) -> Rc<Self> {
        let context = Self {
            host,
            pacer: Pacer::default(),
            calls: Calls::default(),
            clocks: ApiClocks::default(),
            steady: SteadyClock::default(),
        };
        // From here on it shows if somebody sets the clock.
        context.present();
        Rc::new(context)
    }

    /// What this machine's clock shows. To decide by, see [`super::ReadClient::clocks`].
    pub fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// What things are dated with and durations are measured by: this machine's clock alone.
    pub fn present(&self) -> Present {
        self.steady.read(self.host.now(), self.host.monotonic())
    }
}
