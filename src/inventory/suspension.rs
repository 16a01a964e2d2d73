//! Suspensions: which images a person wants left alone, and until when. Two clocks can disagree about the end, so the
//! time is always a parameter.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{ImageKey, Labels, Selector, Timestamp};
use crate::words::rfc3339;

/// A person's request to leave images alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// The number that `resume` takes.
    pub id: u64,
    /// The reason, as the person gave it.
    pub reason: String,
    /// When the suspension ends by itself; `None` if only a person can end it.
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
    /// A clock that differs from this machine's by more than this is not used. Therefore a suspension that has been
    /// over for longer is over by every clock that is used.
    pub const CLOCK_SKEW_MAX: TimeDelta = TimeDelta::hours(24);

    /// Whether the suspension is over by a clock that shows `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether the suspension is over by every clock that is used, if this machine's clock shows `now`.
    pub fn is_long_over(&self, now: Timestamp) -> bool {
        self.until
            .is_some_and(|until| now - until >= Self::CLOCK_SKEW_MAX)
    }

    /// Whether the suspension covers the image by a clock that shows `now`. An image that no manifest names any longer
    /// has lost its labels. It may have had the labels that the selector asks for, so a selector of labels matches it.
    pub fn covers(&self, key: &ImageKey, labels: Option<&Labels>, now: Timestamp) -> bool {
        let picked = match labels {
            Some(labels) => self.selector.matches(key, labels),
            None => self.selector.matches_key(key),
        };
        picked && !self.is_over(now)
    }

    /// [`Suspension::covers`] for an image that several documents may mention: one match is enough. Without labels, no
    /// document mentions it.
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

    /// The suspension as text for people: the reason, the end, and the command that ends it.
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
