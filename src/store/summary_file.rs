//! The file in which a daemon shows its status to other processes. It is not part of the state: nothing is decided by it,
//! and it may be missing, old or somebody else's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::OFlags;

use super::file_state::FileId;
use super::files::{FILE_MODE, Files};

/// The largest summary that is written or read.
pub const SUMMARY_BYTES_MAX: usize = 64_000;

/// Why a summary could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    #[error("{}: cannot {doing}: {error}", .path.display())]
    Access {
        path: PathBuf,
        doing: &'static str,
        #[source]
        error: io::Error,
    },
    #[error("{}: not a regular file", .0.display())]
    NotRegular(PathBuf),
    #[error("{}: more than {SUMMARY_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// Another process may have locked the directory by now, and the summary is that process's.
    #[error("{}: the lock file is no longer the one that this process holds", .0.display())]
    Displaced(PathBuf),
}

/// The summary of the process that has the lock of a state directory. It may be used on any thread.
#[derive(Debug)]
pub struct SummaryFile {
    files: Files,
    lock: FileId,
}

impl SummaryFile {
    pub(super) fn new(files: &Files, lock: FileId) -> Self {
        Self {
            files: files.clone(),
            lock,
        }
    }

    /// Replaces the summary atomically. A crash may lose it: it is not forced to disk, because that would delay other
    /// writes.
    pub fn write(&self, summary: &[u8]) -> Result<(), SummaryError> {
        let (path, new) = (self.files.summary(), self.files.new_summary());
        if summary.len() > SUMMARY_BYTES_MAX {
            return Err(SummaryError::TooLarge(path));
        }
        let lock = self.files.lock();
        if !FileId::at(&lock).is_ok_and(|id| id == self.lock) {
            return Err(SummaryError::Displaced(lock));
        }
        let access = |doing| {
            let path = path.clone();
            move |error| SummaryError::Access { path, doing, error }
        };
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(access("remove what is left of an earlier one")(error));
            }
            Ok(()) | Err(_) => {}
        }
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&new)
            .and_then(|mut file| file.write_all(summary))
            .and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| {
            // Half a file on a full disk is useless.
            let _ = fs::remove_file(&new);
            access("write it")(error)
        })
    }
}

/// Reads the summary that the last daemon wrote; `None` if there is none.
pub(super) fn read(files: &Files) -> Result<Option<Vec<u8>>, SummaryError> {
    let path = files.summary();
    let access = |error| SummaryError::Access {
        path: path.clone(),
        doing: "read it",
        error,
    };
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(SummaryError::NotRegular(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(access(error)),
    }
    // Another file may be at the path by now; the read neither follows a link nor waits for a pipe.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(&path);
    let file: File = opened.map_err(access)?;
    if !file.metadata().map_err(access)?.is_file() {
        return Err(SummaryError::NotRegular(path));
    }
    let mut summary = Vec::new();
    let limit = SUMMARY_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut summary).map_err(access)?;
    match summary.len() > SUMMARY_BYTES_MAX {
        true => Err(SummaryError::TooLarge(path)),
        false => Ok(Some(summary)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn locked(dir: &Path) -> (Files, SummaryFile) {
        let files = Files::new(dir);
        fs::write(files.lock(), "").expect("a lock file");
        let lock = FileId::at(&files.lock()).expect("it is there");
        let summary = SummaryFile::new(&files, lock);
        (files, summary)
    }

    #[test]
    fn a_summary_is_replaced_as_a_whole_and_readable_by_its_user_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let (files, summary) = locked(dir.path());
        assert!(matches!(read(&files), Ok(None)));
        // A crash left half of a summary, and somebody put a link in its place.
        fs::write(files.new_summary(), "half").expect("a file");
        symlink("/etc/passwd", files.summary()).expect("a link");
        for text in [&b"first"[..], b"second"] {
            summary.write(text).expect("room");
            assert_eq!(read(&files).expect("a file").as_deref(), Some(text));
        }
        let metadata = fs::symlink_metadata(files.summary()).expect("a file");
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o7777, FILE_MODE);
        assert!(!files.new_summary().exists());
    }

    #[test]
    fn a_path_that_is_no_summary_is_not_followed_awaited_or_read_for_ever() {
        let dir = tempfile::tempdir().expect("a directory");
        let (files, summary) = locked(dir.path());
        let path = files.summary();
        symlink(files.lock(), &path).expect("a link");
        assert!(matches!(read(&files), Err(SummaryError::NotRegular(_))));
        fs::remove_file(&path).expect("it is there");
        fs::create_dir(&path).expect("a directory");
        assert!(matches!(read(&files), Err(SummaryError::NotRegular(_))));
        assert!(summary.write(b"{}").is_err(), "a directory is in the way");
        assert!(!files.new_summary().exists());
        fs::remove_dir(&path).expect("it is empty");
        let largest = vec![b' '; SUMMARY_BYTES_MAX];
        summary.write(&largest).expect("room");
        assert_eq!(read(&files).expect("a file"), Some(largest.clone()));
        let larger = [&largest[..], b" "].concat();
        let refused = summary.write(&larger);
        assert!(matches!(refused, Err(SummaryError::TooLarge(_))));
        fs::write(&path, larger).expect("room");
        assert!(matches!(read(&files), Err(SummaryError::TooLarge(_))));
    }

    #[test]
    fn a_process_without_its_lock_file_does_not_touch_the_next_ones_summary() {
        let dir = tempfile::tempdir().expect("a directory");
        let (files, summary) = locked(dir.path());
        summary.write(b"mine").expect("room");
        // The old file keeps its inode in use, so that the next file has another one.
        fs::rename(files.lock(), dir.path().join("old")).expect("it is there");
        let (_, next) = locked(dir.path());
        next.write(b"the next one's").expect("room");
        let refused = summary.write(b"mine again");
        assert!(matches!(refused, Err(SummaryError::Displaced(_))));
        let left = read(&files).expect("a file");
        assert_eq!(left.as_deref(), Some(&b"the next one's"[..]));
    }
}
