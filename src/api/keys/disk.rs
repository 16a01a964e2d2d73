//! Files that hold credentials, as the disk has them. Knows nothing of what is in them.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chrono::DateTime;
use zeroize::Zeroizing;

use crate::model::Timestamp;

/// A file with credentials has a few lines.
const BYTES_MAX: u64 = 64 * 1024;
/// Permissions of anybody but the owner.
const OTHERS: u32 = 0o077;
/// Names that a person is offered.
const NAMES_MAX: usize = 10;

/// What changes whenever a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file's whole content at one time.
pub(super) struct Reading {
    pub(super) stamp: Stamp,
    pub(super) modified: Option<Timestamp>,
    pub(super) bytes: Zeroizing<Vec<u8>>,
    mode: u32,
    owner: u32,
}

/// How others can get at a file with credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// In one line.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// The stamp of what `path` leads to, if it leads to something.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|found| Stamp::of(&found))
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Reads a file whole. What is no file, such as a pipe that never ends, is not waited for.
pub(super) fn read(path: &Path) -> io::Result<Reading> {
    // To open a pipe would be to wait for somebody to write to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut file = File::open(path)?;
    let before = file.metadata()?;
    let bytes = whole(&mut file, &before)?;
    let after = file.metadata()?;
    if Stamp::of(&before) != Stamp::of(&after) {
        return Err(io::Error::from(io::ErrorKind::ResourceBusy));
    }
    Ok(Reading {
        stamp: Stamp::of(&after),
        modified: u32::try_from(after.mtime_nsec())
            .ok()
            .and_then(|nanos| DateTime::from_timestamp(after.mtime(), nanos)),
        bytes,
        mode: after.mode(),
        owner: after.uid(),
    })
}

/// Into memory that does not move as it fills, so that no copy stays behind.
fn whole(file: &mut File, found: &Metadata) -> io::Result<Zeroizing<Vec<u8>>> {
    if found.size() > BYTES_MAX {
        return Err(io::Error::other(format!(
            "it is larger than {BYTES_MAX} bytes"
        )));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize));
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Reading {
    /// What about the file lets others at its content, if anything does.
    pub(super) fn exposure(&self, path: &Path) -> Option<Exposure> {
        let shown = path.display();
        if self.mode & OTHERS != 0 {
            return Some(Exposure {
                what: format!(
                    "others than its owner may use {shown} (mode {:04o}), which holds credentials",
                    self.mode & 0o7777
                ),
                remedy: format!("close it with `chmod 600 {shown}`"),
            });
        }
        let link = fs::symlink_metadata(path).ok()?;
        (link.is_symlink() && link.uid() != self.owner).then(|| Exposure {
            what: format!(
                "{shown} is a link to a file of another user, who decides which credentials are used"
            ),
            remedy: "put the file itself there".into(),
        })
    }
}

/// Names in a directory that end with `ending`, without it, in order.
pub(super) fn names(directory: &Path, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(ending).map(str::to_owned)
        })
        .take(NAMES_MAX)
        .collect();
    names.sort();
    names
}
