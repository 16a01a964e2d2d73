//! The origin of the manifests, and whether they can be used.

use super::{Board, Subject, Transition, TransitionKind};
use crate::model::Timestamp;

/// The origin of the manifests, and whether they can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestsStatus {
    /// For a person: paths, or a git URL with its ref, without secrets.
    pub origin: String,
    /// The git commit of the set in use.
    pub commit: Option<String>,
    /// When that set was loaded; `None` if there has been no valid set yet.
    pub loaded_at: Option<Timestamp>,
    /// Number of images that it names.
    pub images: usize,
    /// Number of policies that it has.
    pub policies: usize,
    /// The problems of the current files, one line each; meanwhile, the last valid set is used.
    pub problems: Vec<String>,
    /// Time since when there are problems.
    pub broken_since: Option<Timestamp>,
    /// How often the manifests or their source could not be used since the process started.
    pub errors: u64,
}

/// The properties of a valid set of manifests that the board shows.
#[derive(Clone, Debug, Default)]
pub struct LoadedManifests {
    /// Git commit that holds them, where it is known.
    pub commit: Option<String>,
    /// Number of images that they name.
    pub images: usize,
    /// Number of policies that they have.
    pub policies: usize,
    /// Why some files were left out, one line each.
    pub problems: Vec<String>,
}

impl Board {
    /// Sets the manifests' origin, as text for a person.
    #[must_use]
    pub fn with_origin(mut self, origin: String) -> Self {
        self.manifests.origin = origin;
        self
    }

    /// Records that a set of manifests was loaded and is used from now on. Returns the new transitions.
    pub fn manifests_loaded(&mut self, set: LoadedManifests, now: Timestamp) -> Vec<Transition> {
        self.manifests.commit = set.commit;
        self.manifests.loaded_at = Some(now);
        self.manifests.images = set.images;
        self.manifests.policies = set.policies;
        self.note_looked_over();
        self.manifests_have(set.problems, now)
    }

    /// Records that the manifests or their source cannot be used; the last valid set stays in use. Returns the new
    /// transitions.
    pub fn manifests_failed(&mut self, problems: Vec<String>, now: Timestamp) -> Vec<Transition> {
        self.manifests_have(problems, now)
    }

    fn manifests_have(&mut self, problems: Vec<String>, now: Timestamp) -> Vec<Transition> {
        let status = &mut self.manifests;
        let was_broken = status.broken_since.is_some() || self.remembered.manifests;
        self.remembered.manifests = false;
        if problems.is_empty() {
            status.broken_since = None;
        } else {
            status.errors += 1;
            status.broken_since = status.broken_since.or(Some(now));
        }
        status.problems = problems;
        let (kind, message) = match (was_broken, status.broken_since.is_some()) {
            (false, true) => (TransitionKind::Stalled, status.failure_message()),
            (true, false) => (
                TransitionKind::Recovered,
                "the manifests can be used again".into(),
            ),
            (false, false) | (true, true) => return self.record(Vec::new()),
        };
        let transition = Transition::new(Subject::Manifests, kind, message, now);
        self.record(vec![transition])
    }
}

impl ManifestsStatus {
    fn failure_message(&self) -> String {
        let first = self.problems.first().map_or("", String::as_str);
        let more = match self.problems.len() {
            0 | 1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        format!("{}: {first}{more}", self.standstill())
    }

    /// What it means that the manifests cannot be used.
    pub fn standstill(&self) -> &'static str {
        match self.loaded_at {
            Some(_) => "the manifests cannot be used; the last good ones stay in force",
            None => "the manifests cannot be used; nothing is done until they can be used",
        }
    }
}
