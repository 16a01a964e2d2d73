use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::file_state::FileId;
use super::files::{FILE_MODE, Files};
use super::holder::Holder;

/// Held for as long as the process may write as the directory's one reconciler. The lock is the kernel's and goes
/// with the process; the file and what is written in it stay, and mean nothing alone.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
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
        // It only informs; on a full disk the lock is held without it.
        if let Err(error) = write(&mut file, holder) {
            tracing::warn!(%error, file = %path.display(), "the lock file does not say who holds it");
        }
        Ok(Self { path, file })
    }

    /// Which file it is: the name may lead to another one by now, which anybody can lock.
    pub(super) fn id(&self) -> Result<FileId, OpenError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| OpenError::io(&self.path, "look at it", &error))?;
        Ok(FileId::of(&metadata))
    }

    /// Who holds the lock now, for people. Takes nothing where the last holder left in good order, and otherwise no
    /// more than a look takes.
    pub(super) fn holder(path: &Path) -> Option<Holder> {
        let mut file = File::open(path).ok()?;
        let holder = read_holder(&mut file)?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder),
            // The one who wrote it is gone.
            _ => None,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file tells readers without a look at the lock that nobody has it.
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!(%error, "the lock file could not be emptied");
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
