//! Why manifests cannot be used, as values: the daemon and the page show them, and equal ones are reported once.

use std::fmt;

use crate::manifest::{Diagnostic, Diagnostics};
use crate::words::plural;

/// One reason why manifests cannot be used. Displays on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestProblem {
    /// A file has an error.
    Invalid(Diagnostic),
    /// So many further errors are not listed.
    Unlisted(usize),
    /// The repository or a commit of it cannot be used; holds the reason, and what stays in force.
    Repository(String),
}

impl ManifestProblem {
    /// Every error of a set, in the order in which they were found.
    pub(super) fn of(diagnostics: &Diagnostics) -> Vec<Self> {
        let listed = diagnostics.errors().iter().cloned().map(Self::Invalid);
        let unlisted = Some(diagnostics.unlisted()).filter(|count| *count > 0);
        listed.chain(unlisted.map(Self::Unlisted)).collect()
    }
}

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
