//! Finds out from metadata alone which file is at a path, and whether it was written since. The files must not be opened
//! here: opening and closing a database beside SQLite would drop SQLite's locks.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::OpenError;

/// Identifies a file independently of its path. No other file has the same id while this one is held open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The id of the file that `metadata` describes.
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// The id of the file that is at `path` now.
    pub(super) fn at(path: &Path) -> Result<Self, OpenError> {
        Ok(Self::of(&stat(path)?))
    }
}

/// The length of a file and the time of its last modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    pub(super) len: u64,
    modified: (i64, i64),
}

impl FileStamp {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The metadata of a file that must exist.
pub(super) fn stat(path: &Path) -> Result<fs::Metadata, OpenError> {
    fs::metadata(path).map_err(|error| OpenError::io(path, "look at it", &error))
}
