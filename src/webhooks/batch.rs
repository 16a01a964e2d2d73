use crate::status::Transition;

/// What one message tells of; never empty.
pub(super) struct Batch {
    /// In the order in which they came.
    pub transitions: Vec<Transition>,
    /// How many more there were.
    pub missed: u64,
}
