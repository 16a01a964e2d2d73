//! The share state of an image over time, and the blueprints that its shares create.

use sharekeeper::model::Monotonic;

#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The changes of the share state, in order of time.
    pub(super) history: Vec<Change>,
    pub(super) shareable: bool,
}

/// The beginning of a share state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) since: Monotonic,
    pub(super) shared: bool,
    /// Whether sharekeeper made the change. Only sharekeeper uses the API.
    pub(super) ours: bool,
}

impl Image {
    pub(super) fn shared_at(&self, monotonic: Monotonic) -> bool {
        self.history
            .iter()
            .rev()
            .find(|change| change.since <= monotonic)
            .is_some_and(|change| change.shared)
    }

    /// When the share state at this time began.
    pub(super) fn changed_at(&self, monotonic: Monotonic) -> Monotonic {
        let mut changes = self.history.iter().rev();
        let last = changes.find(|change| change.since <= monotonic);
        last.map_or(Monotonic::default(), |change| change.since)
    }

    /// Each share creates a new blueprint with a new id.
    pub(super) fn blueprint_at(&self, id: &str, monotonic: Monotonic) -> String {
        let shares = self
            .history
            .iter()
            .filter(|change| change.shared && change.since <= monotonic)
            .count();
        match shares {
            1 => format!("lhbp-{id}"),
            n => format!("lhbp-{id}-{n}"),
        }
    }
}
