//! Chooses which files of a commit are checked out: those that are read as manifests, also if only a link leads to them.
//! Every other file is there by name only, as a sparse placeholder of the same size that takes no space, so that no file
//! seems to be missing. A placeholder holds zeros, which no manifest does: reading one by mistake is an error and never
//! leads to a smaller set.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::manifest::{FILE_BYTES_MAX, TOTAL_BYTES_MAX, is_ignored, is_manifest_name};

/// A server is asked to leave out files of this size or more. A placeholder gets this size if its file was left out,
/// because git does not know the file's size.
pub(super) const LEFT_OUT_FROM: u64 = FILE_BYTES_MAX + 1;
/// More bytes than a link can hold (no path on this system is as long) or than a file of attributes written by people
/// has.
const SMALL_MAX: u64 = 1 << 20;
/// Total length of the paths on one command line, which Linux limits to two megabytes.
const ARGUMENT_BYTES_MAX: usize = 256 << 10;
/// The file that tells git how to change other files while it checks them out.
const ATTRIBUTES: &str = ".gitattributes";

/// All files of one commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommitFiles(Vec<CommitFile>);

#[derive(Debug, PartialEq, Eq)]
struct CommitFile {
    kind: Kind,
    /// `None` for a submodule, and for a file that git does not have.
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
    /// The files to check out; files too large to be read are not among them.
    pub paths: Vec<PathBuf>,
    /// Whether git lacks one of the files, because its server left it out or because it was lost.
    pub is_one_lacking: bool,
}

impl CommitFiles {
    /// Parses what `git ls-tree -r -l -z` prints. Returns `None` if the format is unknown.
    pub(super) fn parse(list: &[u8]) -> Option<Self> {
        let list = list.strip_suffix(&[0]).unwrap_or(list);
        let records = list.split(|&byte| byte == 0);
        let files = records.filter(|record| !record.is_empty()).map(|record| {
            let tab = record.iter().position(|&byte| byte == b'\t')?;
            let head = std::str::from_utf8(&record[..tab]).ok()?;
            // The fields are mode, type, hash and size.
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

    /// The files to check out before the others can be chosen: links, and the attributes that apply at checkout.
    pub(super) fn first(&self) -> Vec<PathBuf> {
        let first = self.0.iter().filter(|file| file.has_no_placeholder());
        let small = first.filter(|file| file.size.is_some_and(|size| size <= SMALL_MAX));
        small.map(|file| file.path.clone()).collect()
    }

    /// Makes directories and placeholders in `tree`, which must be empty: so no link can lead out of it.
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
                // The file system treats two names as the same. The later reading reports that.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the files that are read as manifests below `dir`; the links must already be in `tree`. Removes their
    /// placeholders, so that a file that git then fails to write is noticed as missing.
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

    /// Returns where the files are that a reading of `dir` opens, with links resolved. Errors in them are reported by
    /// that reading, not here.
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
            // A path given to a file itself is read whatever the file's name is.
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

/// Splits paths into parts that each fit on a command line.
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
