//! A directory in a git work tree that was searched for manifests. It decides which of git's entries would be read from
//! it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::repository::{self, Repository, Unreadable};
use super::tracked_entry::{EntryKind, TrackedEntry};
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::file_state::FileState;
use crate::manifest::paths::{is_ignored, is_manifest_name};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct SearchedDirectory {
    /// The path by which its files are named, as the user gave it.
    pub spelled: PathBuf,
    /// Relative to the top of the work tree; empty if it is the top.
    pub inside: PathBuf,
    pub repository: Repository,
    /// State of the index when the directory was searched.
    pub index: FileState,
    /// Whether it holds nothing except `.git`.
    pub is_empty: bool,
    /// Whether this is a searched submodule as seen from its superproject. Only the entry of the submodule itself
    /// counts then.
    is_submodule_entry: bool,
}

impl SearchedDirectory {
    /// `directory` is `spelled` with links resolved.
    pub(in crate::manifest) fn new(
        spelled: &Path,
        directory: &Path,
        repository: Repository,
        is_empty: bool,
    ) -> Self {
        let inside = directory.strip_prefix(&repository.top);
        Self {
            spelled: spelled.to_owned(),
            inside: inside.map_or_else(|_| PathBuf::new(), Path::to_owned),
            index: FileState::at(&repository.index()),
            repository,
            is_empty,
            is_submodule_entry: false,
        }
    }

    /// The searched submodule at `submodule`, as a directory of its superproject.
    pub(in crate::manifest) fn in_superproject(
        spelled: &Path,
        submodule: &Path,
        superproject: Repository,
    ) -> Self {
        Self {
            is_submodule_entry: true,
            ..Self::new(spelled, submodule, superproject, false)
        }
    }

    /// Whether a file is an index of this repository, for example one that git makes for the duration of a commit.
    /// `index` may be relative to the top of the work tree.
    pub(super) fn owns(&self, index: &Path) -> bool {
        let index = self.repository.top.join(index);
        let directory = index.parent().and_then(|it| fs::canonicalize(it).ok());
        let git_dir = fs::canonicalize(&self.repository.git_dir).ok();
        index.is_file() && directory.is_some() && directory == git_dir
    }

    /// The path of an entry of the index, if its manifest would be read from this directory.
    pub(in crate::manifest) fn path_of(&self, entry: &TrackedEntry) -> Option<PathBuf> {
        let below = entry.path.strip_prefix(&self.inside).ok()?;
        if self.is_submodule_entry && (entry.kind != EntryKind::Submodule || below != Path::new(""))
        {
            return None;
        }
        let mut parts = below.iter().map(OsStr::to_string_lossy);
        if parts.any(|part| is_ignored(&part)) {
            return None;
        }
        let name = entry.path.file_name().unwrap_or_default();
        let could_hold = entry.kind != EntryKind::File || is_manifest_name(&name.to_string_lossy());
        could_hold.then(|| match below.as_os_str().is_empty() {
            true => self.spelled.clone(),
            false => self.spelled.join(below),
        })
    }
}

/// The operation that is in progress, or may be, where a directory was searched.
pub(in crate::manifest) fn operation_in(
    searched: &Result<SearchedDirectory, Unreadable>,
) -> Option<Diagnostic> {
    match searched {
        Ok(searched) => repository::operation_in(&searched.repository.git_dir),
        Err(unreadable) => Some(unreadable.diagnostic()),
    }
}
