//! Detects whether manifests may have changed, without reading them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::near_misses;
use crate::host::Places;
use crate::manifest::file_state::FileState;
use crate::manifest::git::repository;
use crate::manifest::paths::{
    self, DEPTH_MAX, VOLUME_LINK, is_ignored, is_manifest_name, or_current_dir,
};

/// The state of the manifests at some paths, without their content. Two are equal only if no file was written and no
/// name or link leads elsewhere. Files that reading would ignore are not in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// The entries in the order in which they were found.
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    /// The path with links resolved; `None` for a broken link.
    resolved: Option<PathBuf>,
    state: FileState,
}

impl Fingerprint {
    /// Takes the fingerprint of the manifests at `paths`, and the directories to watch for changes of them.
    pub fn of(paths: &[PathBuf]) -> (Self, Places) {
        let mut walk = Walk::default();
        for path in paths {
            walk.given(path);
        }
        (walk.fingerprint, walk.places)
    }
}

#[derive(Default)]
struct Walk {
    fingerprint: Fingerprint,
    places: Places,
}

impl Walk {
    /// A path that the user gave.
    fn given(&mut self, path: &Path) {
        self.links_to(path);
        let resolved = self.entry(path);
        let is_directory = matches!(
            self.fingerprint.entries.last(),
            Some(Entry {
                state: FileState::Directory { .. },
                ..
            })
        );
        if let Some(root) = resolved {
            if is_directory {
                self.directory(&root, 0);
            } else if let (Some(parent), Some(name)) = (root.parent(), root.file_name()) {
                self.places.add_for(parent, name);
            }
        }
        // The commit may change even if the files do not.
        for index in repository::indexes(path) {
            self.entry(&index);
        }
    }

    /// Watches everything that leads to a given path: its own name and each link above it, or the first missing
    /// component.
    fn links_to(&mut self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else {
            return;
        };
        for part in path.ancestors() {
            let (Some(parent), Some(name)) = (part.parent(), part.file_name()) else {
                continue;
            };
            if part == path || !fs::symlink_metadata(part).is_ok_and(|part| part.is_dir()) {
                self.places.add_for(or_current_dir(parent), name);
            }
            if part == path {
                self.places
                    .add_for(or_current_dir(parent), VOLUME_LINK.as_ref());
            }
        }
    }

    fn directory(&mut self, path: &Path, depth: usize) {
        self.places.add(path);
        let entries = match paths::entries(path) {
            Ok(entries) if depth <= DEPTH_MAX => entries,
            Ok(_) => return,
            Err(error) => return self.note_unreadable(path, &error),
        };
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if name == ".git" && depth > 0 {
                self.repository_at(&path);
            }
            if is_ignored(&name) {
                continue;
            }
            let kind = match entry.file_type() {
                Ok(kind) => kind,
                Err(error) => {
                    self.note_unreadable(&path, &error);
                    continue;
                }
            };
            if kind.is_dir() {
                self.entry(&path);
                self.directory(&path, depth + 1);
            } else if is_manifest_name(&name)
                || kind.is_symlink()
                || near_misses::is_near_miss(&name)
            {
                // Any link may lead to a directory, which is a problem.
                let resolved = self.entry(&path);
                let beside = resolved.as_deref().and_then(Path::parent);
                if let Some(beside) = beside.filter(|&beside| Some(beside) != path.parent()) {
                    self.places.add(beside);
                }
            }
        }
    }

    /// Adds a repository below a given path, such as a submodule, because entries of its index may be missing.
    fn repository_at(&mut self, entry: &Path) {
        let repository = entry.parent().map(repository::repository_at);
        let index = match repository {
            Some(Ok(Some(repository))) => repository.index(),
            _ => entry.to_owned(),
        };
        self.entry(&index);
    }

    /// Adds an entry. Returns the path with links resolved.
    fn entry(&mut self, path: &Path) -> Option<PathBuf> {
        let found = fs::canonicalize(path).and_then(|resolved| {
            let metadata = fs::metadata(&resolved)?;
            Ok((resolved, metadata))
        });
        match found {
            Ok((resolved, metadata)) => {
                self.fingerprint.entries.push(Entry {
                    path: path.to_owned(),
                    resolved: Some(resolved.clone()),
                    state: FileState::of(&metadata),
                });
                Some(resolved)
            }
            Err(error) => {
                self.note_unreadable(path, &error);
                None
            }
        }
    }

    fn note_unreadable(&mut self, path: &Path, error: &io::Error) {
        self.fingerprint.entries.push(Entry {
            path: path.to_owned(),
            resolved: None,
            state: FileState::Unreadable(error.kind()),
        });
    }
}

#[cfg(test)]
#[path = "fingerprint_tests.rs"]
mod tests;
