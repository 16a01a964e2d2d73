//! What one message is about. The queue makes it, and formats and texts read it.

use crate::status::Transition;

/// The transitions of one message; never empty.
pub(super) struct Batch {
    /// In the order in which they came.
    pub transitions: Vec<Transition>,
    /// Number of transitions that were dropped since the last message.
    pub omitted: u64,
}
