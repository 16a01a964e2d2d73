//! Decides when the next message may be sent to an address. Entries of the settings that have the same address share one
//! pace, and a wait that one of them is told applies to all of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::url::WebhookUrl;
use crate::model::Monotonic;

/// Shortest time between two messages: WeCom and DingTalk accept 20 a minute, and DingTalk blocks for ten minutes after
/// more.
pub(super) const GAP: Duration = Duration::from_secs(4);

/// The pace of each address that was called recently.
#[derive(Default)]
pub(super) struct AddressPaces(RefCell<BTreeMap<WebhookUrl, Pace>>);

#[derive(Clone, Copy)]
struct Pace {
    /// When the next message may be sent.
    next: Monotonic,
    /// No message may be sent before this time.
    banned_until: Monotonic,
}

impl AddressPaces {
    /// Reserves the next place at an address. Returns when its message may be sent.
    pub(super) fn take_place(&self, url: &WebhookUrl, now: Monotonic) -> Monotonic {
        let mut paces = self.0.borrow_mut();
        paces.retain(|_, pace| pace.next > now);
        let place = paces.get(url).map_or(now, |pace| pace.next);
        let banned_until = paces.get(url).map_or(now, |pace| pace.banned_until);
        let next = place + GAP;
        let url = url.clone();
        paces.insert(url, Pace { next, banned_until });
        place
    }

    /// Forbids messages to an address before `until`.
    pub(super) fn ban(&self, url: &WebhookUrl, until: Monotonic) {
        let mut paces = self.0.borrow_mut();
        let pace = paces.entry(url.clone()).or_insert(Pace {
            next: until,
            banned_until: until,
        });
        pace.next = pace.next.max(until);
        pace.banned_until = pace.banned_until.max(until);
    }

    /// Whether no message may be sent to an address at `now`, not even one that has its place.
    pub(super) fn is_banned(&self, url: &WebhookUrl, now: Monotonic) -> bool {
        let paces = self.0.borrow();
        paces.get(url).is_some_and(|pace| now < pace.banned_until)
    }
}
