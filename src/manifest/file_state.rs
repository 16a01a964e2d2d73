//! What is at a path, told without reading it: two equal states mean that nothing was written there in between.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is at a path, as far as it is told without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// By its identity alone: what is in it that matters has an entry of its own, and what an editor writes beside
    /// that does not matter.
    Directory { device: u64, inode: u64 },
    /// The size and times of what it leads to, in nanoseconds where the file system has them.
    File {
        device: u64,
        inode: u64,
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    /// It cannot be looked at.
    Unreadable(io::ErrorKind),
}

impl FileState {
    /// What a path leads to.
    pub(super) fn at(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(metadata) => Self::of(&metadata),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }

    /// Whether there is nothing of that name.
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
