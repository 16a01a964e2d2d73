//! Finds manifests, reads them until they no longer change, and compares them with what git has. Their text is not
//! looked into here.

pub(super) mod case_collisions;
pub(super) mod completeness;
pub(super) mod fingerprint;
pub(super) mod near_misses;
mod open;
pub(super) mod reading;
mod stable_read;
pub(super) mod unlinked;
mod walk;

pub(crate) use walk::{FILE_BYTES_MAX, TOTAL_BYTES_MAX};
