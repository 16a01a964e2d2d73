//! How the process was started, as far as a reader of the board needs it: what may be pruned, and which command-line
//! options reach this process and its state.

use std::sync::Arc;

use super::Board;
use crate::plan::Policy;

/// How the process was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSettings {
    /// Limits on pruning, and the caps.
    pub policy: Policy,
    /// Value of `--state-dir` for a command that uses the same state: an absolute path; `None` if it cannot be typed.
    pub state_dir: Option<String>,
    /// Manifest files and directories as absolute paths; empty if a command cannot take them.
    pub manifests: Vec<String>,
    /// Whether it works against the simulator.
    pub uses_sim: bool,
    /// Value of `--endpoint`, where it was given.
    pub endpoint: Option<String>,
    /// The process id, for sending signals.
    pub pid: u32,
}

impl Board {
    /// Sets how the process was started.
    pub fn with_run_settings(self, settings: Arc<RunSettings>) -> Self {
        Self {
            run_settings: Some(settings),
            ..self
        }
    }

    /// How the process was started; `None` on a board that is not shown.
    pub fn run_settings(&self) -> Option<&RunSettings> {
        self.run_settings.as_deref()
    }
}
