//! Whether the summary that a daemon left is still current, so that `status` may show it.

use chrono::TimeDelta;
use serde::Serialize;

use super::daemon_summary::DaemonSummary;
use crate::host::{Presence, ProcessIdentity};
use crate::model::Timestamp;
use crate::store::Holder;
use crate::words::{brief, rfc3339};

/// An older summary is not shown as live. The daemon rewrites it at least every ten seconds.
const AGE_MAX: TimeDelta = TimeDelta::minutes(1);

/// The daemon's summary as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonView {
    /// No daemon has left a summary.
    None,
    /// The summary of the daemon that holds the state, at most a minute old.
    Live(Box<DaemonSummary>),
    /// The summary is out of date, or cannot be read.
    Stale(StaleSummary),
}

/// A summary that is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaleSummary {
    pid: Option<u32>,
    written_at: Option<Timestamp>,
    /// The reason, as one line for a person.
    reason: String,
}

impl DaemonView {
    /// Checks a summary. `presence` says whether its process runs, as far as that can be determined.
    pub fn of(
        summary: &[u8],
        holder: Option<&Holder>,
        presence: impl FnOnce(&ProcessIdentity) -> Option<Presence>,
        now: Timestamp,
    ) -> Self {
        let Some(summary) = DaemonSummary::read(summary) else {
            return Self::unreadable("it does not have the format of this version of sharekeeper");
        };
        match why_stale(&summary, holder, presence(summary.process()), now) {
            None => Self::Live(Box::new(summary)),
            Some(why) => Self::Stale(StaleSummary {
                pid: Some(summary.pid()),
                written_at: Some(summary.written_at()),
                reason: why.to_owned(),
            }),
        }
    }

    /// A summary that cannot be read.
    pub fn unreadable(why: &str) -> Self {
        Self::Stale(StaleSummary {
            pid: None,
            written_at: None,
            reason: brief(why),
        })
    }
}

impl StaleSummary {
    pub(super) fn line(&self) -> String {
        let of = match (self.pid, self.written_at) {
            (Some(pid), Some(at)) => format!(" of process {pid}, written at {}", rfc3339(at)),
            _ => String::new(),
        };
        format!("Not shown: the summary{of}: {}", self.reason)
    }
}

/// Why a summary is not current, unless it is.
fn why_stale(
    summary: &DaemonSummary,
    holder: Option<&Holder>,
    presence: Option<Presence>,
    now: Timestamp,
) -> Option<&'static str> {
    match presence {
        Some(Presence::Ended) => return Some("the process has ended"),
        Some(Presence::OtherBoot) => {
            return Some("it was written before this machine started, or on another machine");
        }
        // For a process in a container, the lock and the time decide.
        Some(Presence::Running | Presence::OtherNamespace) | None => {}
    }
    if holder.is_none_or(|holder| holder.pid != summary.pid()) {
        return Some("the process no longer reconciles with this state");
    }
    let age = now.signed_duration_since(summary.written_at());
    if age > AGE_MAX {
        return Some("the process has written no summary for over a minute; it may be stuck");
    }
    (age < -AGE_MAX).then_some("its time is in the future by this machine's clock")
}
