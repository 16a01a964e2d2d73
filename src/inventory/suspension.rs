//! What people ask for with `suspend`: which images are left alone, and until when. Two clocks can disagree about the
//! end, so that the time is always a parameter.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{ImageKey, Labels, Selector, Timestamp};
use crate::words::rfc3339;

/// A request of a person to leave images alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// The number that `resume` takes.
    pub id: u64,
    /// The reason, as the person gave it.
    pub reason: String,
    /// When the suspension ends by itself; `None` if only a person ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When the person asked for it.
    pub since: Timestamp,
    /// The person, as `user@host`.
    pub by: String,
    /// The images that are left alone.
    pub selector: Selector,
}

impl Suspension {
    /// A clock that differs from this machine's by more than this is not used. A suspension that has been over for longer
    /// is therefore over by every clock that is.
    pub const CLOCK_SKEW_MAX: TimeDelta = TimeDelta::hours(24);

    /// Whether the suspension is over by a clock that shows `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether the suspension is over by every clock that is used, when this machine's clock shows `now`.
    pub fn is_long_over(&self, now: Timestamp) -> bool {
        self.until
            .is_some_and(|until| now - until >= Self::CLOCK_SKEW_MAX)
    }

    /// Whether the suspension holds for the image by a clock that shows `now`. An image that no manifest names any longer
    /// has lost its labels; it may have had those that the selector asks for, so that a selector of labels matches it.
    pub fn covers(&self, key: &ImageKey, labels: Option<&Labels>, now: Timestamp) -> bool {
        let picked = match labels {
            Some(labels) => self.selector.matches(key, labels),
            None => self.selector.matches_key(key),
        };
        picked && !self.is_over(now)
    }

    /// [`Suspension::covers`], where several documents may speak of the image: it holds if it does for one of them. Without
    /// labels, no document does.
    pub fn covers_any<'l>(
        &self,
        key: &ImageKey,
        labels: impl Iterator<Item = &'l Labels>,
        now: Timestamp,
    ) -> bool {
        let mut labels = labels.peekable();
        match labels.peek() {
            None => self.covers(key, None, now),
            Some(_) => labels.any(|labels| self.covers(key, Some(labels), now)),
        }
    }

    /// The suspension as text for people: why, until when, and how to end it.
    pub fn describe(&self) -> String {
        let until = self
            .until
            .map(|until| format!(" until {}", rfc3339(until)))
            .unwrap_or_default();
        format!(
            "suspended{until} by {}: {} (`sharekeeper resume {}` ends it)",
            self.by, self.reason, self.id
        )
    }
}
