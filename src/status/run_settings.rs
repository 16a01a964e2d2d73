//! How the process was started, as far as a reader of the board needs it: what may be pruned, and which commands reach
//! this very process and its state.

use std::sync::Arc;

use super::Board;
use crate::plan::Policy;

/// How the process was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSettings {
    /// What may be pruned, and the caps.
    pub policy: Policy,
    /// What `--state-dir` must be for a command that uses the same state: an absolute path; `None` if it cannot be typed.
    pub state_dir: Option<String>,
    /// Files and directories of the manifests, as absolute paths; empty where a command cannot be given them.
    pub manifests: Vec<String>,
    /// It works against the simulator.
    pub uses_sim: bool,
    /// `--endpoint`, where it was given.
    pub endpoint: Option<String>,
    /// The process id, for signals.
    pub pid: u32,
}

impl Board {
    /// Adds how the process was started.
    pub fn with_run_settings(self, settings: Arc<RunSettings>) -> Self {
        Self {
            run_settings: Some(settings),
            ..self
        }
    }

    /// How the process was started, on a board that is shown.
    pub fn run_settings(&self) -> Option<&RunSettings> {
        self.run_settings.as_deref()
    }
}
