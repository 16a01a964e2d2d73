//! This machine's present time, used to date events and to measure durations.

use chrono::TimeDelta;

use super::Timestamp;

/// This machine's time, and how wrong it can be about the age of something: when somebody sets a clock, the time since an
/// earlier stamp becomes longer or shorter than it really was. Stamps use the latest possible time and measurements the
/// earliest, so that a duration never ends too early. It can end late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    clock: Timestamp,
    early: Timestamp,
    late: Timestamp,
}

impl Present {
    /// The clock's time, and the earliest and latest times that it could show if nobody had set it lately.
    pub fn new(clock: Timestamp, early: Timestamp, late: Timestamp) -> Self {
        Self {
            clock,
            early: early.min(clock),
            late: late.max(clock),
        }
    }

    /// The clock's time, for people to read.
    pub const fn clock(self) -> Timestamp {
        self.clock
    }

    /// The date of an event from which a duration is measured later.
    pub const fn stamp(self) -> Timestamp {
        self.late
    }

    /// The minimum time since an event that was dated with a [`Present::stamp`].
    pub fn since(self, stamp: Timestamp) -> TimeDelta {
        self.early - stamp
    }

    /// Whether an event that was dated with a [`Present::stamp`] is later than this.
    pub fn is_before(self, stamp: Timestamp) -> bool {
        self.late < stamp
    }
}

/// For a clock that nobody has set.
impl From<Timestamp> for Present {
    fn from(clock: Timestamp) -> Self {
        Self::new(clock, clock, clock)
    }
}
