//! What the clients of a run have in common: the host, the rate buckets, the count of calls, and what is
//! known of the API's clock.

use std::cell::Cell;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};

use super::calls::Calls;
use crate::host::Host;
use crate::model::Timestamp;
use crate::pace::Pacer;

/// A clock further off than this is not corrected but reported.
const CLOCK_OFFSET_MAX: TimeDelta = TimeDelta::hours(24);

/// What the clients of a run have in common.
pub struct Shared<H> {
    /// Time, network, dice.
    pub host: H,
    /// The rate buckets.
    pub pacer: Pacer,
    /// The count of calls.
    pub calls: Calls,
    /// Server time minus ours, learned from a `Date` header.
    clock_offset: Cell<TimeDelta>,
}

impl<H: Host> Shared<H> {
    /// Full buckets, nothing counted, the clock trusted.
    pub fn new(host: H) -> Rc<Self> {
        Rc::new(Self {
            host,
            pacer: Pacer::default(),
            calls: Calls::default(),
            clock_offset: Cell::default(),
        })
    }

    /// Wall time, corrected by what the server's `Date` has taught us.
    pub fn now(&self) -> Timestamp {
        let now = self.host.now();
        now.checked_add_signed(self.clock_offset.get())
            .unwrap_or(now)
    }

    /// The API's time minus this machine's, as far as it had to be learned; zero: the clock is trusted.
    pub fn clock_offset(&self) -> TimeDelta {
        self.clock_offset.get()
    }

    /// The server's time, as its `date` tells it, minus ours.
    pub(super) fn offset_of(&self, date: Option<&str>) -> Option<TimeDelta> {
        Some(read(date)? - self.host.now())
    }

    /// Learns the server's time from `date`. True if signing again with it may help.
    pub(super) fn learn(&self, date: Option<&str>, signed_at: i64) -> bool {
        let Some(server) = read(date) else {
            return false;
        };
        let offset = server - self.host.now();
        if offset.abs() > CLOCK_OFFSET_MAX || (server.timestamp() - signed_at).abs() < 2 {
            return false;
        }
        if (offset - self.clock_offset.get()).abs() > TimeDelta::seconds(2) {
            tracing::warn!(
                seconds = offset.num_seconds(),
                "this machine's clock differs from the API's; signing with the API's time (set the clock)"
            );
        }
        self.clock_offset.set(offset);
        true
    }
}

/// The time of a `Date` header.
fn read(date: Option<&str>) -> Option<Timestamp> {
    let date = DateTime::parse_from_rfc2822(date?).ok()?;
    Some(date.with_timezone(&Utc))
}
