//! Which files of a commit are checked out: those that are read as manifests, wherever links lead to them. Every other file
//! is there by its name alone, as a placeholder of its size that takes no room, so that nothing seems to be missing. It
//! holds zeros, which no manifest does: were it read, it would be an error and no smaller set.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::manifest::{FILE_BYTES_MAX, TOTAL_BYTES_MAX, is_ignored, is_manifest_name};

/// The size from which on a server is asked to leave a file out. It is also the size of the placeholder of a file that was
/// left out, of which git does not know the size.
pub(super) const LEFT_OUT_FROM: u64 = FILE_BYTES_MAX + 1;
/// Longer than any path on this system: what a link may hold, and what a file of attributes that people write does not.
const SMALL_MAX: u64 = 1 << 20;
/// Of the paths on one command line, which may be two megabytes long on Linux.
const ARGUMENT_BYTES_MAX: usize = 256 << 10;
/// The file by which git chooses what is done to others as they are checked out.
const ATTRIBUTES: &str = ".gitattributes";

/// The files of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommitFiles(Vec<CommitFile>);

#[derive(Debug, PartialEq, Eq)]
struct CommitFile {
    kind: Kind,
    /// `None` for a submodule, and if git does not have the file.
    size: Option<u64>,
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Submodule,
}

/// The files that are read as manifests.
pub(super) struct WantedFiles {
    /// Those that are to be checked out; the others are too large to be read.
    pub paths: Vec<PathBuf>,
    /// git does not have one of them, because its server left it out or because it was lost.
    pub is_one_lacking: bool,
}

impl CommitFiles {
    /// Parses what `git ls-tree -r -l -z` prints. `None` if it is not understood.
    pub(super) fn parse(list: &[u8]) -> Option<Self> {
        let list = list.strip_suffix(&[0]).unwrap_or(list);
        let records = list.split(|&byte| byte == 0);
        let files = records.filter(|record| !record.is_empty()).map(|record| {
            let tab = record.iter().position(|&byte| byte == b'\t')?;
            let head = std::str::from_utf8(&record[..tab]).ok()?;
            // Mode, type, hash, size.
            let mut words = head.split_ascii_whitespace();
            let kind = match words.next()? {
                "160000" => Kind::Submodule,
                "120000" => Kind::Link,
                mode if mode.starts_with("100") => Kind::File,
                _ => return None,
            };
            Some(CommitFile {
                kind,
                size: words.nth(2)?.parse().ok(),
                path: Path::new(OsStr::from_bytes(&record[tab + 1..])).to_owned(),
            })
        });
        files.collect::<Option<_>>().map(Self)
    }

    /// What must be there before anything else can be told: links, and what is done to files as they are checked out.
    pub(super) fn first(&self) -> Vec<PathBuf> {
        let first = self.0.iter().filter(|file| file.has_no_placeholder());
        let small = first.filter(|file| file.size.is_some_and(|size| size <= SMALL_MAX));
        small.map(|file| file.path.clone()).collect()
    }

    /// Makes directories and placeholders in `tree`, where nothing is yet: no link can lead out of it.
    pub(super) fn make_placeholders(&self, tree: &Path) -> io::Result<()> {
        let mut made = PathBuf::new();
        for file in &self.0 {
            let path = tree.join(&file.path);
            let directory = match (file.kind, path.parent()) {
                (Kind::Submodule, _) | (_, None) => path.as_path(),
                (_, Some(parent)) => parent,
            };
            if directory != made {
                let mut builder = DirBuilder::new();
                builder.recursive(true).mode(0o700).create(directory)?;
                made = directory.to_owned();
            }
            if file.kind == Kind::Submodule || file.has_no_placeholder() {
                continue;
            }
            let placeholder = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match placeholder {
                Ok(placeholder) => placeholder.set_len(file.size.unwrap_or(LEFT_OUT_FROM))?,
                // The file system takes two names for one. The reading tells of that.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The files that are read as manifests below `dir`, once links are in `tree`. Their placeholders are removed, so that what
    /// git does not write is missing.
    pub(super) fn take_wanted(&self, tree: &Path, dir: &Path) -> io::Result<WantedFiles> {
        let tree = tree.canonicalize()?;
        let mut wanted = WantedFiles {
            paths: Vec::new(),
            is_one_lacking: false,
        };
        let named = self.read_below(&tree, dir);
        let mut bytes = 0;
        let files = self.0.iter().filter(|file| file.kind == Kind::File);
        for file in files.filter(|file| named.contains(&tree.join(&file.path))) {
            wanted.is_one_lacking |= file.size.is_none();
            let Some(size) = file.size.filter(|size| *size <= FILE_BYTES_MAX) else {
                continue;
            };
            bytes += size;
            if bytes <= TOTAL_BYTES_MAX {
                fs::remove_file(tree.join(&file.path))?;
                wanted.paths.push(file.path.clone());
            }
        }
        Ok(wanted)
    }

    /// Where the files are that a reading of `dir` opens, with links resolved. What it finds fault with is left to it.
    fn read_below(&self, tree: &Path, dir: &Path) -> BTreeSet<PathBuf> {
        let Ok(base) = tree.join(dir).canonicalize() else {
            return BTreeSet::new();
        };
        let is_read = |file: &&CommitFile| {
            let path = tree.join(&file.path);
            let Ok(below) = path.strip_prefix(&base) else {
                return false;
            };
            let mut parts = below.iter().map(OsStr::to_string_lossy);
            let name = file.path.file_name().unwrap_or_default();
            // A file that is given itself is read whatever its name.
            below.as_os_str().is_empty()
                || is_manifest_name(&name.to_string_lossy()) && !parts.any(|part| is_ignored(&part))
        };
        let read = self.0.iter().filter(is_read);
        read.filter_map(|file| match file.kind {
            Kind::File => Some(tree.join(&file.path)),
            Kind::Link => tree.join(&file.path).canonicalize().ok(),
            Kind::Submodule => None,
        })
        .collect()
    }
}

impl CommitFile {
    fn has_no_placeholder(&self) -> bool {
        self.kind == Kind::Link || self.path.file_name() == Some(OsStr::new(ATTRIBUTES))
    }
}

/// Paths in parts that each fit on a command line.
pub(super) fn command_lines(paths: Vec<PathBuf>) -> Vec<Vec<OsString>> {
    let mut lines: Vec<Vec<OsString>> = Vec::new();
    let mut room = 0;
    for path in paths.into_iter().map(PathBuf::into_os_string) {
        let length = path.len() + 1;
        match lines.last_mut() {
            Some(line) if length <= room => line.push(path),
            _ => {
                lines.push(vec![path]);
                room = ARGUMENT_BYTES_MAX;
            }
        }
        room = room.saturating_sub(length);
    }
    lines
}

#[cfg(test)]
#[path = "checkout_tests.rs"]
mod tests;
