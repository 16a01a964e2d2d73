//! Images that a person asked to leave alone: which ones, and until when by which clock.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{ImageKey, Labels, Selector, Timestamp};

/// Images that are left alone because a person said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Names it for `resume`.
    pub id: u64,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When it began.
    pub since: Timestamp,
    /// Who said so: user and host.
    pub by: String,
    /// Which images.
    pub selector: Selector,
}

impl Suspension {
    /// Clocks that differ from this machine's by more than this are not gone by: a suspension that has been over for
    /// longer is over by each of them.
    pub const CLOCK_SKEW_MAX: TimeDelta = TimeDelta::hours(24);

    /// Whether it is over by this machine's clock, which shows `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether it is over by every clock that is gone by.
    pub fn is_long_over(&self, now: Timestamp) -> bool {
        self.until
            .is_some_and(|until| now - until >= Self::CLOCK_SKEW_MAX)
    }

    /// Whether it holds for the key at `now`, by one clock. An image that no manifest names any longer has lost its labels; it may have
    /// had the ones that are meant.
    pub fn covers(&self, key: &ImageKey, labels: Option<&Labels>, now: Timestamp) -> bool {
        let picked = match labels {
            Some(labels) => self.selector.matches(key, labels),
            None => self.selector.matches_key(key),
        };
        picked && !self.is_over(now)
    }

    /// For a person: why, until when, and how to end it.
    pub fn describe(&self) -> String {
        let until = self
            .until
            .map(|until| format!(" until {}", until.format("%Y-%m-%dT%H:%M:%SZ")))
            .unwrap_or_default();
        format!(
            "suspended{until} by {}: {} (`sharekeeper resume {}` ends it)",
            self.by, self.reason, self.id
        )
    }
}
