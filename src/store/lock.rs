//! The lock of a state directory: only the process that holds it may reconcile with the directory. The lock file also
//! names that process for people.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::file_state::FileId;
use super::files::{FILE_MODE, Files};
use super::holder::Holder;

/// Held as long as the process may reconcile with the directory. The kernel holds the lock and releases it when the
/// process ends; the file and its content stay, but mean nothing without the lock.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock. If another process has it, the error names that process.
    pub(super) fn take(files: &Files, holder: &Holder) -> Result<Self, OpenError> {
        let path = files.lock();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|error| OpenError::io(&path, "open the lock file", &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    dir: files.dir().to_owned(),
                    holder: read_holder(&mut file).map(Box::new),
                });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io(&path, "lock it", &error)),
        }
        // The content only informs people, so the lock is held even if the disk is full.
        if let Err(error) = write(&mut file, holder) {
            tracing::warn!(%error, file = %path.display(), "the lock file does not say who holds it");
        }
        Ok(Self { path, file })
    }

    /// The id of the locked file. By now another file may be at its path, and any process can lock that one.
    pub(super) fn id(&self) -> Result<FileId, OpenError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| OpenError::io(&self.path, "look at it", &error))?;
        Ok(FileId::of(&metadata))
    }

    /// The process that holds the lock now, for people. The lock is tested only if the last holder did not empty the
    /// file, and then only for a moment.
    pub(super) fn holder(path: &Path) -> Option<Holder> {
        let mut file = File::open(path).ok()?;
        let holder = read_holder(&mut file)?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder),
            // The process that wrote it has ended.
            _ => None,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file tells readers that nobody has the lock, so that they need not test it.
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!(%error, "the lock file could not be emptied");
        }
        // A program that another thread is starting has a copy of the open file until it is executed. If the file were
        // only closed, the copy would keep the lock for that long.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the lock could not be released early");
        }
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    const BYTES_MAX: u64 = 4096;
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(file: &mut File, holder: &Holder) -> io::Result<()> {
    let line = serde_json::to_string(holder)?;
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures_tests::noon;

    #[test]
    fn d9_a_program_that_is_being_started_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::new(dir.path());
        let holder = Holder {
            pid: 1,
            host: "host".into(),
            command: "sharekeeper run".into(),
            since: noon(),
        };
        let take = || Lock::take(&files, &holder);
        let first = take().expect("it is free");
        // Until it is executed, a new process has a copy of each open file.
        let copy = first.file.try_clone().expect("a copy");
        assert!(matches!(take(), Err(OpenError::Locked { .. })));
        drop(first);
        take().expect("it is free again");
        drop(copy);
    }
}
