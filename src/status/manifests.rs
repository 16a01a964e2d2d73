//! Where the manifests come from, and whether they can be used.

use super::{Board, Subject, Transition, TransitionKind};
use crate::model::Timestamp;

/// Where the manifests come from, and whether they can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestsStatus {
    /// For a person: paths, or a git URL with its ref, without secrets.
    pub origin: String,
    /// The git commit of the set in use.
    pub commit: Option<String>,
    /// When that set was loaded; `None`: there was no good one yet.
    pub loaded_at: Option<Timestamp>,
    /// Images that it names.
    pub images: usize,
    /// Policies that it has.
    pub policies: usize,
    /// What is wrong with what is there now; the last good set is used meanwhile. One line for each problem.
    pub problems: Vec<String>,
    /// Since when there are problems.
    pub broken_since: Option<Timestamp>,
    /// Times that manifests or their source could not be used, since the process began.
    pub errors: u64,
}

/// A set of manifests that can be used, as far as the board shows it.
#[derive(Clone, Debug, Default)]
pub struct LoadedManifests {
    /// The git commit that holds them, where it is known.
    pub commit: Option<String>,
    /// Images that they name.
    pub images: usize,
    /// Policies that they have.
    pub policies: usize,
    /// Why some files were left out, one line each.
    pub problems: Vec<String>,
}

impl Board {
    /// The same board with the manifests' origin, for a person.
    #[must_use]
    pub fn with_origin(mut self, origin: String) -> Self {
        self.manifests.origin = origin;
        self
    }

    /// A set of manifests was loaded and is used from now on. Returns what of it is new.
    pub fn manifests_loaded(&mut self, set: LoadedManifests, now: Timestamp) -> Vec<Transition> {
        self.manifests.commit = set.commit;
        self.manifests.loaded_at = Some(now);
        self.manifests.images = set.images;
        self.manifests.policies = set.policies;
        self.note_looked_over();
        self.manifests_have(set.problems, now)
    }

    /// Manifests or their source cannot be used; the last good set stays. Returns what of it is new.
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

    /// What follows from it that the manifests cannot be used.
    pub fn standstill(&self) -> &'static str {
        match self.loaded_at {
            Some(_) => "the manifests cannot be used, the last good ones are worked on meanwhile",
            None => "the manifests cannot be used, nothing is worked on until they can be",
        }
    }
}
