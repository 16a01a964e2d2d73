//! Finds manifests, reads them until they no longer change, and compares them with git's list. It does not examine
//! their text.

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
