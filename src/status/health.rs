//! Whether the process does its work: the state directory, liveness, readiness, and one line for the supervisor.

use super::{Activity, Board, Counts, Subject, Transition, TransitionKind};
use crate::model::Timestamp;
use crate::plan::View;
use crate::words::plural;

/// Whether the state directory can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateStatus {
    /// It had never been used before this process opened it, and there is something to prune: nothing counts as ours.
    pub is_new: bool,
    /// Why nothing can be recorded, and so nothing is done.
    pub lost: Option<String>,
    /// What hinders it without an end to work.
    pub warning: Option<String>,
}

impl Board {
    /// The state had never been used before this process opened it.
    pub fn state_created(&mut self) {
        self.state.is_new = true;
        self.version += 1;
    }

    /// What hinders the state without an end to work, if anything does.
    pub fn state_hindered(&mut self, warning: Option<String>) {
        self.state.warning = warning;
        self.version += 1;
    }

    /// It can be recorded again what is done. Returns what of it is new.
    pub fn state_recovered(&mut self, now: Timestamp) -> Vec<Transition> {
        let was_lost = self.state.lost.take().is_some();
        let message = "the state can be written again, so work goes on";
        let transition = Transition::new(Subject::State, TransitionKind::Recovered, message, now);
        self.record(was_lost.then_some(transition).into_iter().collect())
    }

    /// Nothing can be recorded any longer. Returns what of it is new.
    pub fn state_lost(&mut self, why: String, now: Timestamp) -> Vec<Transition> {
        let is_known = self.state.lost.replace(why.clone()).is_some();
        let message = format!("nothing is done: {why}");
        let transition = Transition::new(Subject::State, TransitionKind::Stalled, message, now);
        self.record((!is_known).then_some(transition).into_iter().collect())
    }

    /// One line for whoever asks the supervisor (systemd) for the status.
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
            held => format!(", {held} held back until a person says otherwise"),
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

    /// Whether the process does its work; if not, why it should be started anew.
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

    /// There may be nothing left that waits for its first look.
    pub(super) fn note_looked_over(&mut self) {
        // Each pass asks, so that this must not be a walk over all scopes once it is known.
        if self.is_looked_over || self.manifests.loaded_at.is_none() {
            return;
        }
        let mut scopes = self.scopes.values();
        self.is_looked_over = scopes.all(|status| status.view.is_some());
    }

    /// Whether all that the manifests name was looked at once, and something can be seen; if not, why not, in one line each.
    /// How long writes take does not matter, nor do scopes that newer manifests add: they are looked at as soon as may be.
    /// Manifests that broke after a good set was loaded do not matter: that set is in use.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons: Vec<String> = self.alive().err().into_iter().collect();
        if self.manifests.loaded_at.is_none() {
            reasons.push(match self.manifests.problems.first() {
                Some(problem) => format!("no good manifests yet: {problem}"),
                None => "the manifests are not read yet".into(),
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
                    .map(|(scope, _)| format!("{scope}: not looked at yet")),
            );
        }
        let unobserved = self.scopes.iter().filter_map(|(scope, status)| {
            let Some(View::Unobserved(unobserved)) = &status.view else {
                return None;
            };
            Some(format!("{scope}: not observed: {}", unobserved.told()))
        });
        let unobserved: Vec<_> = unobserved.collect();
        // One scope that cannot be observed does not make the process unready; if none can be, nothing works.
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
