//! The state of a path, from its metadata alone. Two equal states mean that nothing was written there in between.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// Identified by device and inode alone. The entries that matter are compared separately, and others, such as an
    /// editor's backup files, must not count.
    Directory { device: u64, inode: u64 },
    /// Size and times after following links; times are seconds and nanoseconds.
    File {
        device: u64,
        inode: u64,
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    /// Its metadata cannot be read; holds the kind of error.
    Unreadable(io::ErrorKind),
}

impl FileState {
    /// The state of the target of the path, following links.
    pub(super) fn at(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(metadata) => Self::of(&metadata),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }

    /// Whether nothing exists at the path.
    pub(super) fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::Unreadable(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        )
    }

    pub(super) fn of(metadata: &Metadata) -> Self {
        let (device, inode) = (metadata.dev(), metadata.ino());
        if metadata.is_dir() {
            Self::Directory { device, inode }
        } else {
            Self::File {
                device,
                inode,
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            }
        }
    }
}
