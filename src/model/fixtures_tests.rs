//! Identifiers and instants that the unit tests of many modules use. A test that depends on a particular day or hour
//! makes its own.

use std::time::Duration;

use chrono::TimeDelta;

use super::{AccountName, ImageId, Monotonic, Region, Scope, Timestamp};

/// The wall-clock instant this long after a fixed one.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_790_000_000, 0).expect("a date") + TimeDelta::seconds(seconds)
}

/// [`at`], counted in minutes.
pub(crate) fn at_minute(minutes: i64) -> Timestamp {
    at(60 * minutes)
}

/// The monotonic instant at which this many seconds have elapsed.
pub(crate) fn elapsed(seconds: u64) -> Monotonic {
    Monotonic::new(Duration::from_secs(seconds))
}

/// [`elapsed`], counted in milliseconds.
pub(crate) fn elapsed_ms(milliseconds: u64) -> Monotonic {
    Monotonic::new(Duration::from_millis(milliseconds))
}

/// A region of the account `default`.
pub(crate) fn scope(region: &str) -> Scope {
    scope_of(AccountName::DEFAULT, region)
}

/// A region of a named account.
pub(crate) fn scope_of(account: &str, region: &str) -> Scope {
    Scope {
        account: AccountName::new(account).expect("a name"),
        region: Region::new(region).expect("a region"),
    }
}

/// The scope of tests that need only one: `default/ap-tokyo`.
pub(crate) fn tokyo() -> Scope {
    scope("ap-tokyo")
}

/// An image by its whole id.
pub(crate) fn image_id(text: &str) -> ImageId {
    ImageId::new(text).expect("an id")
}

/// The image of tests that need only one.
pub(crate) fn img_a() -> ImageId {
    image_id("img-a")
}
