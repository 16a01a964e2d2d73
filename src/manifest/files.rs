//! Finding and reading manifests. The only part of this module that touches files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::source::SourceText;

/// A million images take some 90 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Of all files together; they are held in memory while they are parsed.
const TOTAL_BYTES_MAX: u64 = 1 << 30;
/// Deep enough for any tree of manifests; a loop through mounts ends here.
const DEPTH_MAX: usize = 32;

/// Reads every manifest below `paths`, and reports every path that cannot be.
pub(super) fn read(paths: &[PathBuf]) -> (Vec<SourceText>, Vec<Diagnostic>) {
    let mut walk = Walk::default();
    for path in paths {
        walk.given(path);
    }
    (walk.sources, walk.problems)
}

#[derive(Default)]
struct Walk {
    /// Resolved paths of what was read: a file reached twice is read once.
    seen: BTreeSet<PathBuf>,
    sources: Vec<SourceText>,
    bytes: u64,
    problems: Vec<Diagnostic>,
}

impl Walk {
    /// A path that the user gave.
    fn given(&mut self, path: &Path) {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return self.unreadable(path, &error),
        };
        if !metadata.is_dir() {
            return self.file(path);
        }
        let root = match fs::canonicalize(path) {
            Ok(root) => root,
            Err(error) => return self.unreadable(path, &error),
        };
        let before = (self.seen.len(), self.problems.len());
        let mut found = false;
        self.directory(path, &root, 0, &mut found);
        if !found && self.problems.len() == before.1 {
            self.problem(
                path,
                "the directory holds no manifests (`*.yaml`, `*.yml`)",
                "an empty directory is never taken for a wish to have nothing shared; check the path, or whether the volume is mounted",
            );
        }
    }

    fn directory(&mut self, path: &Path, root: &Path, depth: usize, found: &mut bool) {
        if depth > DEPTH_MAX {
            return self.problem(
                path,
                "directories are nested too deeply",
                "move the manifests up, or give the path itself",
            );
        }
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(path, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if name.starts_with(['.', '_']) {
                continue;
            }
            // Kubernetes mounts a ConfigMap's files as links, so links are followed, but not out of the
            // directory that was given.
            let Ok(target) = fs::canonicalize(&path) else {
                if is_manifest_name(&name) {
                    self.problem(
                        &path,
                        "the link leads nowhere",
                        "remove it, or restore what it points to",
                    );
                }
                continue;
            };
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if target.is_dir() {
                // A linked directory could lead in a circle; skipping it would make the set smaller unseen.
                if is_link {
                    self.problem(
                        &path,
                        "a link to a directory is not followed",
                        "give the directory as a path of its own, or begin the link's name with `_`",
                    );
                } else {
                    self.directory(&path, root, depth + 1, found);
                }
            } else if is_manifest_name(&name) {
                *found = true;
                if target.starts_with(root) {
                    self.file(&path);
                } else {
                    self.problem(
                        &path,
                        "the link leads out of the directory",
                        "give its target as a path of its own",
                    );
                }
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // Opening a FIFO would wait for ever, so its kind is looked at first.
        let opened = fs::metadata(path).and_then(|metadata| {
            if metadata.is_file() {
                Ok(metadata.len())
            } else {
                Err(io::Error::other("not a regular file"))
            }
        });
        if !self.seen.insert(resolved) {
            return;
        }
        let length = match opened {
            Ok(length) => length,
            Err(error) => return self.unreadable(path, &error),
        };
        if length > FILE_BYTES_MAX {
            return self.too_large(path);
        }
        self.bytes += length;
        if self.bytes > TOTAL_BYTES_MAX {
            let message = format!(
                "with this file the manifests are larger than {} MiB",
                TOTAL_BYTES_MAX >> 20
            );
            return self.problem(
                path,
                &message,
                "reconcile them in parts, each with its own paths",
            );
        }
        let mut bytes = Vec::new();
        // It may grow while it is read.
        let read =
            File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.unreadable(path, &error);
        }
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return self.too_large(path);
        }
        match String::from_utf8(bytes) {
            Ok(text) => self
                .sources
                .push(SourceText::new(path.to_string_lossy().into_owned(), text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                self.problem(
                    path,
                    &format!("the file is not UTF-8: byte {at} begins no character"),
                    "save it as UTF-8",
                );
            }
        }
    }

    fn too_large(&mut self, path: &Path) {
        let message = format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20);
        self.problem(path, &message, "split it: any number of files is read");
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let help = match error.kind() {
            io::ErrorKind::NotFound => {
                "check the path; a missing path is never taken for a wish to have nothing shared"
            }
            io::ErrorKind::PermissionDenied => "let this user read it",
            _ => "nothing was decided without it",
        };
        let message = match error.kind() {
            io::ErrorKind::NotFound => "does not exist".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        self.problem(path, &message, help);
    }

    fn problem(&mut self, path: &Path, message: &str, help: &str) {
        self.problems
            .push(Diagnostic::of_path(&path.to_string_lossy(), message, help));
    }
}

fn is_manifest_name(name: &str) -> bool {
    [".yaml", ".yml"]
        .iter()
        .any(|ending| name.ends_with(ending))
}
