//! The reasons why manifests cannot be used, as values: the daemon and the page show them, and problems with the same
//! text are reported only once.

use std::fmt;

use crate::manifest::{Diagnostic, Diagnostics};
use crate::words::plural;

/// One reason why manifests cannot be used. Displays on one line.
#[derive(Clone, Debug)]
pub enum ManifestProblem {
    /// A file has an error.
    Invalid(Diagnostic),
    /// This many further errors are not listed.
    Unlisted(usize),
    /// The repository or a commit of it cannot be used; holds the reason, and which commit stays in force.
    Repository(String),
}

impl ManifestProblem {
    /// All errors of a set, in the order in which they were found.
    pub(super) fn of(diagnostics: &Diagnostics) -> Vec<Self> {
        let listed = diagnostics.errors().iter().cloned().map(Self::Invalid);
        let unlisted = Some(diagnostics.unlisted()).filter(|count| *count > 0);
        listed.chain(unlisted.map(Self::Unlisted)).collect()
    }
}

/// Two problems are equal if they have the same text. A diagnostic also holds the text of its line, which may change
/// around the error: that is not a new problem.
impl PartialEq for ManifestProblem {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for ManifestProblem {}

impl fmt::Display for ManifestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(diagnostic) => diagnostic.fmt(f),
            Self::Unlisted(count) => {
                write!(f, "{} more are not listed", plural(*count as u64, "error"))
            }
            Self::Repository(reason) => f.write_str(reason),
        }
    }
}
