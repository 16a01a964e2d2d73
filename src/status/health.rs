//! The health of the process: the state directory, liveness, readiness, and one line for the supervisor.

use super::{Activity, Board, Counts, Subject, Transition, TransitionKind};
use crate::model::{Scope, Timestamp};
use crate::plan::View;
use crate::words::plural;

/// Whether the state directory can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateStatus {
    /// The state directory had never been used before, and there is something to prune: nothing counts as ours.
    pub is_new: bool,
    /// Why nothing can be recorded, and therefore nothing is done.
    pub lost: Option<String>,
    /// A problem of the state that does not stop the work.
    pub warning: Option<String>,
}

impl Board {
    /// Records that the state directory had never been used before this process opened it.
    pub fn state_created(&mut self) {
        self.state.is_new = true;
        self.version += 1;
    }

    /// Records a problem of the state that does not stop the work, or its end.
    pub fn state_hindered(&mut self, warning: Option<String>) {
        self.state.warning = warning;
        self.version += 1;
    }

    /// Records that the state can be written again. Returns the new transitions.
    pub fn state_recovered(&mut self, now: Timestamp) -> Vec<Transition> {
        let was_lost = self.state.lost.take().is_some();
        let message = "the state can be written again; sharekeeper continues";
        let transition = Transition::new(Subject::State, TransitionKind::Recovered, message, now);
        self.record(was_lost.then_some(transition).into_iter().collect())
    }

    /// Records that the state cannot be written any longer. Returns the new transitions.
    pub fn state_lost(&mut self, why: String, now: Timestamp) -> Vec<Transition> {
        let is_known = self.state.lost.replace(why.clone()).is_some();
        let message = format!("nothing is done: {why}");
        let transition = Transition::new(Subject::State, TransitionKind::Stalled, message, now);
        self.record((!is_known).then_some(transition).into_iter().collect())
    }

    /// One line about the whole process, for the status of the supervisor (systemd).
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
        let lost = match self.state.lost {
            Some(_) => "nothing is done, because the state cannot be used any longer; ",
            None => "",
        };
        let findings = match self.findings() {
            0 => String::new(),
            1 => "; a name or policy needs a person".to_owned(),
            findings => format!("; {findings} names or policies need a person"),
        };
        let held = match counts.held {
            0 => String::new(),
            held => format!(", {held} withheld until a person changes that"),
        };
        let observed = match self.observe_only {
            true => "; nothing is written (observe only)",
            false => "",
        };
        format!(
            "{lost}{} of {images} as desired{stalled}{held}{findings}{broken}{observed}",
            counts.in_sync
        )
    }

    /// Whether the process does its work; the error says why it should be restarted.
    pub fn alive(&self) -> Result<(), String> {
        if let Some(lost) = &self.state.lost {
            return Err(lost.clone());
        }
        let halted = self
            .scopes
            .iter()
            .find_map(|(scope, status)| match &status.activity {
                Activity::Halted { why } => Some(format!("{scope}: {why}")),
                _ => None,
            });
        halted.map_or(Ok(()), Err)
    }

    /// The number of picked scopes whose first observation by this process has not ended. Nothing is known of their
    /// images, so counts of images do not contain them.
    pub fn awaiting_first_observation(&self, is_picked: impl Fn(&Scope) -> bool) -> usize {
        let picked = self.scopes.iter().filter(|(scope, _)| is_picked(scope));
        picked.filter(|(_, status)| status.view.is_none()).count()
    }

    /// Notes whether every scope has been observed or tried once.
    pub(super) fn note_looked_over(&mut self) {
        // Each pass calls this, so it must not walk over all scopes once the answer is known.
        if self.is_looked_over || self.manifests.loaded_at.is_none() {
            return;
        }
        let mut scopes = self.scopes.values();
        self.is_looked_over = scopes.all(|status| status.view.is_some());
    }

    /// Whether every scope in the manifests was tried once, and at least one could be observed; the errors say why not,
    /// one line each. The duration of writes does not matter. Neither do scopes that newer manifests add, because they
    /// are observed as soon as possible, nor manifests that broke after a valid set was loaded, because that set stays in
    /// use.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons: Vec<String> = self.alive().err().into_iter().collect();
        if self.manifests.loaded_at.is_none() {
            reasons.push(match self.manifests.problems.first() {
                Some(problem) => format!("no valid manifests yet: {problem}"),
                None => "the manifests have not been read yet".into(),
            });
        }
        let unseen = self
            .scopes
            .iter()
            .filter(|(_, status)| status.view.is_none());
        if !self.is_looked_over {
            reasons.extend(
                unseen
                    .clone()
                    .map(|(scope, _)| format!("{scope}: not observed yet")),
            );
        }
        let unobserved = self.scopes.iter().filter_map(|(scope, status)| {
            let Some(View::Unobserved(unobserved)) = &status.view else {
                return None;
            };
            Some(format!("{scope}: not observed: {}", unobserved.told()))
        });
        let unobserved: Vec<_> = unobserved.collect();
        // A single scope that cannot be observed does not make the process unready; if none can be observed, nothing
        // works.
        let looked_at = self.scopes.len() - unseen.count();
        if !unobserved.is_empty() && unobserved.len() == looked_at {
            reasons.extend(unobserved);
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons)
        }
    }
}
