use super::{Activity, Board, Counts};
use crate::plan::View;
use crate::words::plural;

impl Board {
    /// One line for whoever asks the supervisor.
    pub fn summary(&self) -> String {
        let mut counts = Counts::default();
        for scope in self.scopes.values() {
            counts += scope.counts();
        }
        let images = plural(counts.total() as u64, "image");
        let stalled = match counts.stalled {
            0 => String::new(),
            stalled => format!(", {stalled} need a person"),
        };
        let broken = match self.manifests.problems.is_empty() {
            true => "",
            false => "; the manifests cannot be used",
        };
        format!("{} of {images} as desired{stalled}{broken}", counts.in_sync)
    }

    /// Whether the process does its work; if not, why it should be started anew.
    pub fn alive(&self) -> Result<(), String> {
        let held = self
            .scopes
            .iter()
            .find_map(|(scope, status)| match &status.activity {
                Activity::Held { why } => Some(format!("{scope}: {why}")),
                _ => None,
            });
        held.map_or(Ok(()), Err)
    }

    /// Whether everything was looked at once, and something can be seen; if not, why not, in one line each. Manifests
    /// that broke after a good set was loaded do not matter: that one is worked on.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons: Vec<String> = self.alive().err().into_iter().collect();
        if self.manifests.loaded_at.is_none() {
            reasons.push(match self.manifests.problems.first() {
                Some(problem) => format!("no good manifests yet: {problem}"),
                None => "the manifests are not read yet".into(),
            });
        }
        let new = |(_, status): &(_, &super::ScopeStatus)| status.passed_at.is_none();
        let waiting = self.scopes.iter().filter(new);
        reasons.extend(waiting.map(|(scope, _)| format!("{scope}: not looked at yet")));
        let unseen = self.scopes.iter().filter_map(|(scope, status)| {
            let Some(View::Unseen(unseen)) = &status.view else {
                return None;
            };
            Some(format!("{scope}: not observed: {unseen}"))
        });
        let unseen: Vec<_> = unseen.collect();
        // One that is out of sight is its own affair; if all are, nothing works.
        if !unseen.is_empty() && unseen.len() == self.scopes.len() {
            reasons.extend(unseen);
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons)
        }
    }
}
