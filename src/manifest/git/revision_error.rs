//! Why a repository does not show the commit of the manifests, and the remedy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::CommandError;
use crate::words::{brief, safe};

/// Why a repository does not show the commit of the manifests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// git is missing, or may not be run.
    #[error("git cannot be run: {}", safe(.reason))]
    NoGit {
        /// Message of the operating system.
        reason: String,
    },
    /// git did not answer within the deadline.
    #[error("git did not answer within {} s in {}", .deadline.as_secs(), shown(.repository))]
    Slow {
        repository: PathBuf,
        deadline: Duration,
    },
    /// Another user owns the repository, so git reads nothing of it.
    #[error("git does not trust {}, because another user owns it", shown(.repository))]
    Untrusted { repository: PathBuf },
    /// Nothing was committed yet, or `HEAD` is not a commit.
    #[error("no commit is checked out in {}", shown(.repository))]
    NoCommit { repository: PathBuf },
    /// The manifests are from two checkouts, so they have no single commit.
    #[error("the manifests are from two checkouts, {} and {}", shown(.one), shown(.other))]
    Several { one: PathBuf, other: PathBuf },
    /// Some manifests are in a repository and others are not.
    #[error("{} is in a git repository, but {} is not in one", shown(.inside), shown(.outside))]
    Outside {
        /// A directory with manifests in a repository.
        inside: PathBuf,
        /// A directory with manifests outside of any repository.
        outside: PathBuf,
    },
    /// A path cannot be resolved any longer, though it was read a moment ago.
    #[error("{} cannot be followed: {}", shown(.path), safe(.reason))]
    Gone {
        /// The path as it was given.
        path: PathBuf,
        /// Message of the operating system.
        reason: String,
    },
    /// Any other error of git; the reason is git's own text.
    #[error("git cannot read {}: {}", shown(.repository), brief(.reason))]
    Failed { repository: PathBuf, reason: String },
}

impl RevisionError {
    /// The meaning of an error from git.
    pub(super) fn of(error: CommandError, repository: &Path) -> Self {
        let repository = repository.to_owned();
        match error {
            CommandError::NotRun { reason, .. } => Self::NoGit { reason },
            CommandError::TooSlow { deadline, .. } => Self::Slow {
                repository,
                deadline,
            },
            // git has one status for all its refusals. The second wording is from its first versions that refuse.
            CommandError::Failed { reason, .. }
                if ["dubious ownership", "unsafe repository"]
                    .iter()
                    .any(|words| reason.contains(words)) =>
            {
                Self::Untrusted { repository }
            }
            CommandError::Failed { status, reason, .. } => Self::Failed {
                repository,
                reason: if reason.is_empty() { status } else { reason },
            },
        }
    }

    /// How the user can make the commit known.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoGit { .. } => {
                "install git where sharekeeper runs, or add its directory to `PATH`".into()
            }
            Self::Slow { repository, .. } => format!(
                "run this command again; if that does not help, find out why `git -C {} status` is slow",
                quoted(repository)
            ),
            Self::Untrusted { repository } => format!(
                "run `git config --global --add safe.directory {}` as the user that runs sharekeeper, if you trust that repository",
                quoted(repository)
            ),
            Self::NoCommit { .. } => "commit the manifests first".into(),
            Self::Several { .. } | Self::Outside { .. } => {
                "give only paths of one checkout, and use a separate state directory for the others"
                    .into()
            }
            Self::Gone { .. } => "check the path, then run this again".into(),
            Self::Failed { repository, .. } => format!(
                "make `git -C {} status` work for the user that runs sharekeeper",
                quoted(repository)
            ),
        }
    }
}

/// A path in the form for messages.
pub(super) fn shown(path: &Path) -> String {
    safe(&path.to_string_lossy())
}

/// A path in a command that people copy into a shell.
fn quoted(path: &Path) -> String {
    let text = shown(path);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
