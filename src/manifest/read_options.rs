//! How manifests are read, as the caller wants it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::spawn_blocking;

/// What a git operation in the repository of the manifests means to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitBusyPolicy {
    /// It is waited for; if it does not end, there is no set. For all that decides something.
    Wait,
    /// The files are read as they stand. For what only checks them, and may be a hook of the very operation that
    /// would be waited for.
    Read,
}

/// How manifests are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// What a git operation in their repository means.
    pub git: GitBusyPolicy,
    /// For how long before the reading the caller was told of every change, and was told of none. If the times of the
    /// files bear that out, that was the wait between the last change and the first of two readings that agree.
    /// Zero: nobody looked.
    pub quiet_for: Duration,
    /// Read and parsed on another thread, so that the caller's goes on meanwhile.
    pub spawn_blocking: bool,
    /// Where given, files below it are named as seen from there.
    pub root: Option<PathBuf>,
    /// The state of the repository that the files below `root` were checked out of, which has no `.git` there. Without it,
    /// repositories are found by their `.git`.
    pub git_directory: Option<PathBuf>,
    /// What `GIT_INDEX_FILE` is set to, for who may be a hook of a commit that has an index of its own. It counts for the
    /// repository in whose git directory it lies, and for no other.
    pub index_file: Option<PathBuf>,
}

impl ReadOptions {
    /// For who waits for it, and has not looked before.
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

    /// How a path is named to people.
    pub(super) fn name(&self, path: &Path) -> String {
        let below = |root: &PathBuf| path.strip_prefix(root).ok();
        let name = match self.root.as_ref().and_then(below) {
            Some(below) if below.as_os_str().is_empty() => Path::new("."),
            Some(below) => below,
            None => path,
        };
        name.to_string_lossy().into_owned()
    }

    /// Runs what reads or parses.
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
