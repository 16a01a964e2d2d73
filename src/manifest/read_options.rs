//! Options for reading manifests. `read` and `git` both follow them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::spawn_blocking;

/// What to do while a git operation is in progress in the repository of the manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitBusyPolicy {
    /// Wait for it, and fail if it does not end. For commands that make decisions.
    Wait,
    /// Read the files as they are. For commands that only check them and may run as a hook of that very operation.
    Read,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    pub git: GitBusyPolicy,
    /// How long before the reading the caller watched the files without a change. If the files' times agree, this
    /// replaces the wait between the last change and the first reading. Zero if nobody watched.
    pub quiet_for: Duration,
    /// Read and parse on another thread, so that the caller's is not blocked.
    pub spawn_blocking: bool,
    /// Files below this directory are named relative to it.
    pub root: Option<PathBuf>,
    /// The git directory of the repository that the files below `root` were checked out from, if `root` has no `.git`.
    /// If `None`, repositories are found by their `.git`.
    pub git_directory: Option<PathBuf>,
    /// The value of `GIT_INDEX_FILE`, for a command that may run as a hook of a commit with a separate index. It
    /// applies only to the repository whose git directory contains it.
    pub index_file: Option<PathBuf>,
}

impl ReadOptions {
    /// Options for a caller that blocks on the reading and has not watched the files before.
    pub fn new(git: GitBusyPolicy) -> Self {
        Self {
            git,
            quiet_for: Duration::ZERO,
            spawn_blocking: false,
            root: None,
            git_directory: None,
            index_file: None,
        }
    }

    /// The name of a path in messages.
    pub(super) fn name(&self, path: &Path) -> String {
        let below = |root: &PathBuf| path.strip_prefix(root).ok();
        let name = match self.root.as_ref().and_then(below) {
            Some(below) if below.as_os_str().is_empty() => Path::new("."),
            Some(below) => below,
            None => path,
        };
        name.to_string_lossy().into_owned()
    }

    /// Runs reading or parsing, on another thread if the caller wants that.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if self.spawn_blocking {
            spawn_blocking(work).await
        } else {
            work()
        }
    }
}
