//! Whether the key may write to a scope at all, learnt from the replies. A single denial does not show whether one
//! image is denied or all are, so a pass only probes until the first write is permitted. This module makes no calls; it
//! only judges their results.

use crate::attempts::Problem;

/// The number of different denied images, with none permitted, that make the whole scope count as denied. Until the
/// first write is permitted, no more than this many are in flight.
pub const PROBES_MAX: u32 = 5;

/// What a pass has learnt about the key's right to write to its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteAccess {
    /// No write was permitted yet. Holds the number of different denied images.
    Unproven(u32),
    /// A write was permitted. From now on, a denial concerns only its own image.
    Proven,
}

impl Default for WriteAccess {
    fn default() -> Self {
        Self::Unproven(0)
    }
}

/// What a reply shows about the right to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessEvidence {
    /// The key may write to the scope.
    Permitted,
    /// The key may not write to this image, or to any image of the scope.
    Denied(Problem),
    /// The reply shows nothing about it, such as a lost connection.
    Inconclusive,
}
