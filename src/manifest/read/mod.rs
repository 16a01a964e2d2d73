//! Finding manifests and reading them until they stand still and nothing of them is known to be missing. Their text is not
//! looked into here.

pub(super) mod case_collisions;
pub(super) mod completeness;
pub(super) mod fingerprint;
pub(super) mod near_misses;
pub(super) mod reading;
mod stable_read;
mod walk;
