//! OUTCOME → the text and JSON documents of each command. Pure: values in, documents and lines out. The JSON documents
//! are a public interface (`format_version` 1): fields may be added but never changed.

mod adopt;
mod causes;
mod change_advice;
mod commit;
mod daemon_summary;
mod daemon_view;
mod exit;
mod explain;
mod explain_code;
mod history;
mod image_report;
mod images;
mod import;
mod lock;
mod names;
mod plan;
mod plan_rows;
mod preconditions;
mod reconcile;
mod scope_changes;
mod stale;
mod status;
mod strays;
mod style;
mod unresolved;
mod verdicts;
mod withheld_groups;

use serde::Serialize;

use crate::desired;
use crate::model::Cause;
use crate::plan::{Decision, Verdict, Withheld};
use crate::words::safe;

pub use adopt::{AdoptDocument, Adopted};
pub use causes::{CauseRow, UnreadRegions};
pub use commit::CommitCheck;
pub use daemon_summary::DaemonSummary;
pub use daemon_view::DaemonView;
pub use exit::ExitStatus;
pub use explain::{ExplainDocument, ExplainedName, ImageFacts};
pub use explain_code::CodeDocument;
pub(crate) use history::entries;
pub use history::{HistoryDocument, VerifyDocument};
pub use images::{ImageRow, ImagesDocument};
pub use import::{ImportDocument, ImportedFile, ImportedStray, UnseenScope};
pub use lock::{LockDocument, LockedRegion, PolicyCheck};
pub use plan::{PlanDocument, PlanShown};
pub use reconcile::{CallCounts, Ending, ReconcileDocument};
pub use stale::StaleDocument;
pub use status::{Parked, StatusDocument};
pub(crate) use style::{dim, heading};

/// The version of every JSON document.
pub const FORMAT_VERSION: u32 = 1;

/// A line in a manifest file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The path under which the manifest was found.
    pub file: String,
    /// Line number, starting at 1.
    pub line: u32,
}

impl From<&desired::Source> for Source {
    fn from(source: &desired::Source) -> Self {
        Self {
            file: source.file.to_string(),
            line: source.line,
        }
    }
}

/// The place that asks for an image, for a person. Nothing asks for an image that is pruned.
fn place(source: Option<&desired::Source>) -> String {
    match source {
        Some(source) => style::dim(safe(&source.to_string())),
        None => style::dim("no manifest names it"),
    }
}

/// Whether the image is held until a person settles something, so that neither a call nor a manifest line can be named.
fn asks_nothing(decision: &Decision) -> bool {
    decision.source.is_none()
        && matches!(&decision.verdict, Verdict::Withheld(why) if matches!(**why, Withheld::Held(_)))
}

/// The cause of a change for a person, with the policy that it comes from.
fn cause(decision: &Decision) -> String {
    let document = decision.entry.as_ref().map(|entry| &*entry.document.name);
    let cause = decision.cause.as_str();
    match (decision.cause, document) {
        (Cause::Retention | Cause::Revoked, Some(policy)) => {
            format!("{cause} by policy {}", safe(policy))
        }
        (Cause::Policy, Some(policy)) => format!("policy {}", safe(policy)),
        _ => cause.to_owned(),
    }
}

/// A failure before any decision, in the form that `-o json` prints.
#[derive(Debug, Serialize)]
pub struct ErrorDocument {
    format_version: u32,
    exit_code: ExitStatus,
    error: String,
}

impl ErrorDocument {
    /// `error` is one or more lines for a person.
    pub fn new(exit: ExitStatus, error: impl Into<String>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            error: error.into(),
        }
    }
}
