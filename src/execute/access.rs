//! Whether the key may write to a scope at all, learnt from the replies. A denial alone does not tell whether one image
//! is denied or all of them, so that a pass only probes until the first write is permitted. Knows no calls, only what
//! came of them.

use crate::attempts::Problem;

/// Different images that are denied, with none permitted, before the whole scope counts as denied. Until the first
/// write is permitted, no more than this many are in flight.
pub const PROBES_MAX: u32 = 5;

/// What a pass has learnt about the right to write to its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteAccess {
    /// No write was permitted yet; holds how many different images were denied.
    Unproven(u32),
    /// A write was permitted: an image that is denied from here on is denied alone.
    Proven,
}

impl Default for WriteAccess {
    fn default() -> Self {
        Self::Unproven(0)
    }
}

/// What one reply says about the right to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessEvidence {
    /// The key may write to the scope.
    Permitted,
    /// The key may not write to this image, or to any image of the scope.
    Denied(Problem),
    /// The reply says nothing about it, such as a lost connection.
    Inconclusive,
}
