//! The present of this machine, to date things with and to measure durations by.

use chrono::TimeDelta;

use super::Timestamp;

/// This machine's time, and how far it can be wrong about how long ago something was: a clock that is set makes the time
/// since an earlier stamp longer or shorter than it was. What is dated is dated late, and what is measured is measured
/// from early on, so that a duration is never over too soon. It can take longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    clock: Timestamp,
    early: Timestamp,
    late: Timestamp,
}

impl Present {
    /// What the clock shows; and the earliest and the latest that it could show, had it not been set lately.
    pub fn new(clock: Timestamp, early: Timestamp, late: Timestamp) -> Self {
        Self {
            clock,
            early: early.min(clock),
            late: late.max(clock),
        }
    }

    /// What the clock shows, for people.
    pub const fn clock(self) -> Timestamp {
        self.clock
    }

    /// The date of something that a duration is measured from later on.
    pub const fn stamp(self) -> Timestamp {
        self.late
    }

    /// How long ago something was that was dated with a [`Present::stamp`], at least.
    pub fn since(self, stamp: Timestamp) -> TimeDelta {
        self.early - stamp
    }

    /// Whether something that was dated with a [`Present::stamp`] came later than this.
    pub fn is_before(self, stamp: Timestamp) -> bool {
        self.late < stamp
    }
}

/// Of a clock that nobody has set.
impl From<Timestamp> for Present {
    fn from(clock: Timestamp) -> Self {
        Self::new(clock, clock, clock)
    }
}
