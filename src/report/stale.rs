//! The output of `reconcile --plan` for a stale plan, as text and as JSON.

use serde::Serialize;

use super::{ExitStatus, FORMAT_VERSION};
use crate::plan::PlanDifference;
use crate::words::plural;

/// The document that `reconcile --plan` prints when it refuses.
#[derive(Debug, Serialize)]
pub struct StaleDocument {
    format_version: u32,
    exit_code: ExitStatus,
    error: String,
    /// The differences since the plan was made.
    moved: Vec<PlanDifference>,
}

impl StaleDocument {
    /// Builds the document from at least one difference.
    pub fn new(moved: Vec<PlanDifference>) -> Self {
        let actions = plural(moved.len() as u64, "action");
        Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Stale,
            error: format!(
                "the saved plan is stale, so nothing was done: {actions} would be different now; make a new one with `sharekeeper plan --out`"
            ),
            moved,
        }
    }

    /// Why nothing was done.
    pub fn error(&self) -> &str {
        &self.error
    }

    /// The differences, for a person.
    pub fn text(&self) -> String {
        self.moved
            .iter()
            .map(|moved| format!("  {moved}\n"))
            .collect()
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }
}
