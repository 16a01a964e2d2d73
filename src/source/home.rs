//! Finds a directory for the private copy of a repository that no other process uses: a daemon that only observes may run
//! beside one that writes, with the same state directory and at another commit.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many processes with the same state directory can follow a repository.
const PROCESSES_MAX: u32 = 16;

/// A directory that is locked for this process until the value is dropped. The directory itself may not exist yet.
#[derive(Debug)]
pub struct CopyHome {
    path: PathBuf,
    _lock: File,
}

/// Why there is no directory for a private copy. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CopyHomeError {
    /// The system does not allow the use of the state directory or of a lock file in it.
    #[error("cannot lock {}: {source}; check the rights of the state directory", .path.display())]
    Lock {
        /// The state directory or the lock file.
        path: PathBuf,
        source: io::Error,
    },
    /// Other processes hold all the locks.
    #[error(
        "{PROCESSES_MAX} other processes follow a repository with the state directory {}; give this one another `--state-dir`",
        .0.display()
    )]
    AllInUse(PathBuf),
}

impl CopyHome {
    /// Locks the first free directory within `state`: `git`, else `git.1` and so on. Makes `state` if it is missing.
    pub fn lock(state: &Path) -> Result<Self, CopyHomeError> {
        let failure = |path: &Path, source: io::Error| CopyHomeError::Lock {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state)
            .map_err(|error| failure(state, error))?;
        for number in 0..PROCESSES_MAX {
            let name = match number {
                0 => "git".to_owned(),
                number => format!("git.{number}"),
            };
            let path = state.join(format!("{name}.lock"));
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&path);
            let lock = lock.map_err(|error| failure(&path, error))?;
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(Self {
                        path: state.join(name),
                        _lock: lock,
                    });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failure(&path, error)),
            }
        }
        Err(CopyHomeError::AllInUse(state.to_owned()))
    }

    /// The directory for the copy.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_locks_a_directory_of_its_own() {
        let state = tempfile::tempdir().expect("a directory");
        let lock = || CopyHome::lock(state.path());
        let mut homes: Vec<_> = (0..PROCESSES_MAX)
            .map(|_| lock().expect("a home"))
            .collect();
        assert_eq!(homes[0].path(), state.path().join("git"));
        assert_eq!(homes[1].path(), state.path().join("git.1"));
        let full = lock().expect_err("all are in use");
        assert!(matches!(full, CopyHomeError::AllInUse(_)), "{full}");
        homes.remove(1);
        let again = lock().expect("a home that is free again");
        assert_eq!(again.path(), state.path().join("git.1"));
    }
}
