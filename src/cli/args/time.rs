//! Instants and durations in the notation of people.

use std::time::Duration;

use crate::model::Timestamp;
use crate::words::date_fault;

/// Parses a duration that is not zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match duration_or_zero(text)? {
        Duration::ZERO => Err("the duration must not be zero".into()),
        duration => Ok(duration),
    }
}

/// Parses a duration of up to a year, which may be zero.
pub(super) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    /// Far below what a clock value can hold.
    const DURATION_MAX: Duration = Duration::from_secs(365 * 86_400);
    let duration = humantime::parse_duration(text)
        // The library's error would quote the text.
        .map_err(|_| "a duration has a form such as `90s`, `10m` or `1h 30m`".to_owned())?;
    match duration > DURATION_MAX {
        true => Err("the duration is longer than a year".into()),
        false => Ok(duration),
    }
}

/// An instant, or a distance from now.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum When {
    /// An instant, written like `2027-01-31T00:00:00Z`.
    At(Timestamp),
    /// A distance from now, written like `8h`.
    Distance(Duration),
}

impl When {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        /// A clock value cannot hold longer distances, and nobody means them.
        const DISTANCE_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);
        match humantime::parse_duration(text) {
            Ok(distance) if distance <= DISTANCE_MAX => Ok(Self::Distance(distance)),
            Ok(_) => Err("the duration is longer than 100 years; omit it to set no limit".into()),
            Err(_) => Err(date_fault(text).unwrap_or_else(|| {
                "neither an instant like `2027-01-31T00:00:00Z` nor a duration like `8h`".into()
            })),
        }
    }

    /// The instant, or the one at this distance after `now`.
    pub(in crate::cli) fn ahead(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Distance(distance) => now + distance,
        }
    }

    /// The instant, or the one at this distance before `now`.
    pub(in crate::cli) fn ago(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Distance(distance) => now - distance,
        }
    }
}
