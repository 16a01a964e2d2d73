//! Which file a name leads to, and whether it was written since, from its metadata alone: to open a database past SQLite
//! would take SQLite's locks away.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::OpenError;

/// Which file it is, whatever its name. No other file has this while somebody holds it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// That of the file that `metadata` describes.
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// That of the file which `path` leads to now.
    pub(super) fn at(path: &Path) -> Result<Self, OpenError> {
        Ok(Self::of(&stat(path)?))
    }
}

/// How long a file is, and when it was last written.
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

/// The metadata of a file that must be there.
pub(super) fn stat(path: &Path) -> Result<fs::Metadata, OpenError> {
    fs::metadata(path).map_err(|error| OpenError::io(path, "look at it", &error))
}
