//! Why it is not known whether manifests are complete: git cannot be asked, or a submodule is at another commit than
//! its superproject names.

use std::path::{Path, PathBuf};

use super::repository::Unreadable;
use super::shell_paths::{pathspec, word};
use crate::desired::Completeness;
use crate::host::CommandError;
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::read_options::ReadOptions;
use crate::words::safe;

/// Why the completeness of the manifests of a repository is unknown, and the remedy.
pub(in crate::manifest) struct Unverified {
    place: PathBuf,
    cause: Cause,
    help: String,
    /// Asking about other repositories would fail for the same reason.
    pub is_final: bool,
}

enum Cause {
    /// git gives no answer, for this reason.
    NotAsked(String),
    /// A submodule has another commit checked out than its superproject names.
    OtherCommit {
        here: Option<String>,
        named: Option<String>,
    },
}

impl Unverified {
    /// git failed in the work tree with this top.
    pub(in crate::manifest) fn git_failed(top: &Path, error: &CommandError) -> Self {
        const ELSEWHERE: &str = "or give paths outside of this repository";
        let help = match error {
            CommandError::NotRun { .. } => {
                format!("install git where sharekeeper runs, {ELSEWHERE}")
            }
            CommandError::TooSlow { .. } => {
                format!(
                    "find out why `git ls-files` takes so long here, give narrower paths, {ELSEWHERE}"
                )
            }
            CommandError::Failed { reason, .. }
                if reason.contains("dubious ownership") || reason.contains("unsafe repository") =>
            {
                format!(
                    "as the user that runs sharekeeper: `git config --global --add safe.directory {}`; {ELSEWHERE}",
                    word(top)
                )
            }
            CommandError::Failed { .. } => {
                format!(
                    "check the output of `git -C {} status`, repair the repository, {ELSEWHERE}",
                    word(top)
                )
            }
        };
        Self {
            place: top.to_owned(),
            cause: Cause::NotAsked(error.to_string()),
            help,
            is_final: !matches!(error, CommandError::Failed { .. }),
        }
    }

    /// The case that git cannot be asked, or that its answer is unusable.
    pub(in crate::manifest) fn new(top: &Path, reason: &str, help: &str) -> Self {
        Self {
            place: top.to_owned(),
            cause: Cause::NotAsked(reason.into()),
            help: help.into(),
            is_final: false,
        }
    }

    pub(in crate::manifest) fn unreadable(unreadable: &Unreadable) -> Self {
        Self::new(&unreadable.entry, &unreadable.reason, unreadable.help())
    }

    /// The submodule below `top` has commit `here` checked out, but its superproject names another one. It is read at
    /// `path` and tracked as `tracked`.
    pub(in crate::manifest) fn other_commit(
        top: &Path,
        (path, tracked): (&Path, &Path),
        here: Option<&str>,
        named: Option<&str>,
    ) -> Self {
        let (top, tracked) = (word(top), pathspec(tracked));
        Self {
            place: path.to_owned(),
            cause: Cause::OtherCommit {
                here: here.map(str::to_owned),
                named: named.map(str::to_owned),
            },
            help: format!(
                "`git submodule update` checks out the named commit: `git -C {top} submodule update --init -- {tracked}`; if the present commit is intended, `git add` confirms it: `git -C {top} add -- {tracked}`"
            ),
            is_final: false,
        }
    }

    fn reason(&self) -> String {
        match &self.cause {
            Cause::NotAsked(reason) => reason.clone(),
            Cause::OtherCommit { here, named } => {
                let here = here.as_deref().unwrap_or("no commit");
                let named = named.as_deref().unwrap_or("more than one");
                format!(
                    "the submodule is at another commit ({here}) than the repository around it names ({named})"
                )
            }
        }
    }

    fn warning(&self, options: &ReadOptions) -> Diagnostic {
        let reason = self.reason();
        let message = match self.cause {
            Cause::NotAsked(_) => format!(
                "git cannot be asked whether these are all of the manifests, so images that no manifest names are not cancelled: {reason}"
            ),
            Cause::OtherCommit { .. } => {
                format!("{reason}, so images that no manifest names are not cancelled")
            }
        };
        Diagnostic::warning_of_path(&options.name(&self.place), message, self.help.as_str())
    }

    /// The reason for withholding cancels.
    fn why(&self, options: &ReadOptions) -> String {
        let (place, reason) = (safe(&options.name(&self.place)), self.reason());
        match self.cause {
            Cause::NotAsked(_) => {
                format!("git cannot be asked about {place}: {reason}; {}", self.help)
            }
            Cause::OtherCommit { .. } => format!("{place}: {reason}; {}", self.help),
        }
    }
}

/// The completeness of a set, with a warning for each reason that makes it unknown.
pub(in crate::manifest) fn completeness(
    unverified: &[Unverified],
    options: &ReadOptions,
) -> (Completeness, Vec<Diagnostic>) {
    let warnings = unverified.iter().map(|reason| reason.warning(options));
    let completeness = match unverified.first() {
        None => Completeness::Whole,
        Some(first) => Completeness::Unknown(first.why(options).into()),
    };
    (completeness, warnings.collect())
}
