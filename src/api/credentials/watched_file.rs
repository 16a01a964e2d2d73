//! Files that hold credentials, as the disk has them. It must not know their content.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chrono::DateTime;
use zeroize::Zeroizing;

use crate::model::Timestamp;

/// The limit for a file of credentials, which has only a few lines.
const BYTES_MAX: u64 = 64 * 1024;
/// The permissions of everybody except the owner.
const OTHERS: u32 = 0o077;
/// The number of names that an error lists.
const NAMES_MAX: usize = 10;

/// Properties that change whenever the file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file's complete content at one time.
pub(super) struct Reading {
    pub(super) stamp: Stamp,
    pub(super) modified: Option<Timestamp>,
    pub(super) bytes: Zeroizing<Vec<u8>>,
    mode: u32,
    owner: u32,
}

/// A way in which others can access a file with credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    pub what: String,
    /// The remedy for a person.
    pub remedy: String,
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// The stamp of the file that `path` leads to, if there is one.
pub(super) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match metadata(path) {
        Ok(found) => Ok(Some(Stamp::of(&found))),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether nothing exists at `path`. A file that cannot be examined exists, and so does a link that leads nowhere.
pub(super) fn is_missing(path: &Path) -> bool {
    metadata(path).is_err_and(|error| is_absent(&error))
}

/// Whether an error means that nothing has that name. All other errors are inconclusive.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The metadata of the file that `path` leads to. If a link on the path leads nowhere, the error differs from the one
/// for a missing file: skipping a missing file must not skip a volume that is not mounted.
fn metadata(path: &Path) -> io::Result<Metadata> {
    let error = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => error,
        told => return told,
    };
    let mut levels = path.ancestors();
    let nearest = levels.find_map(|level| Some((level, fs::symlink_metadata(level).ok()?)));
    match nearest {
        Some((level, found)) if found.is_symlink() => Err(io::Error::other(format!(
            "the link {} leads nowhere",
            level.display()
        ))),
        _ => Err(error),
    }
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

/// Reads a whole file. Anything else, such as a pipe that never ends, is not waited for.
pub(super) fn read(path: &Path) -> io::Result<Reading> {
    // Opening a pipe would mean waiting for somebody to write to it.
    if !metadata(path)?.is_file() {
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

/// Reads into a buffer that is not moved while it fills, so that no copy is left in memory.
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
    /// How others can access the file's content, if they can.
    pub(super) fn exposure(&self, path: &Path) -> Option<Exposure> {
        let shown = path.display();
        if self.mode & OTHERS != 0 {
            return Some(Exposure {
                what: format!(
                    "users other than the owner may access {shown} (mode {:04o}), which holds credentials",
                    self.mode & 0o7777
                ),
                remedy: format!("deny this with `chmod 600 {shown}`"),
            });
        }
        let link = match fs::symlink_metadata(path) {
            Ok(link) => link,
            Err(error) if is_absent(&error) => return None,
            Err(error) => {
                return Some(Exposure {
                    what: format!("it is not known whether {shown} is a link: {error}"),
                    remedy: "give read access to the user that runs sharekeeper".into(),
                });
            }
        };
        (link.is_symlink() && link.uid() != self.owner).then(|| Exposure {
            what: format!(
                "{shown} is a link to a file of another user, who decides which credentials are used"
            ),
            remedy: "put the file itself there".into(),
        })
    }
}

/// The names in a directory that end with `ending`, without that ending, in order.
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
