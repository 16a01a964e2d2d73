//! The process that serves the simulator of a state directory. It holds a lock for as long as it lives, and the kernel
//! releases the lock at its end, whatever the reason. So it is certain whether the process is alive. The locked file
//! contains the address.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::output::Failure;
use crate::words::safe;

/// A file with this name is in the state directory after the first simulator.
const FILE: &str = "simulator";
/// More bytes than an owner writes about itself.
const BYTES_MAX: u64 = 4096;

/// The data that the process which serves the simulator writes about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) pid: u32,
    pub(super) address: SocketAddr,
    /// Random at each start, and also returned by the simulator itself, because another program may use the port later.
    pub(super) identity: String,
    /// Whether it stays until it is stopped, as a daemon does.
    pub(super) stays: bool,
}

/// The process that may serve the simulator.
pub(super) enum Claim {
    Ours(OwnerLock),
    /// Another process, which may not have written its address yet.
    Theirs(Option<Owner>),
}

/// The right to serve the simulator and to write its files, until it is dropped.
pub(super) struct OwnerLock {
    file: File,
}

impl OwnerLock {
    /// Writes the address of the simulator for other processes.
    pub(super) fn announce(&mut self, owner: &Owner) -> io::Result<()> {
        let line = serde_json::to_string(owner)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{line}")
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // An empty file shows that nobody listens. It is only a hint, because the lock decides.
        let _ = self.file.set_len(0);
    }
}

/// Takes the lock, unless another process holds it.
pub(super) fn claim(state: &Path) -> Result<Claim, Failure> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(state);
    made.map_err(|error| failure("create", state, &error))?;
    let path = file_of(state);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let opened = options.mode(0o600).open(&path);
    let mut file = opened.map_err(|error| failure("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => {
            // The file may name an owner that was killed.
            let emptied = file.set_len(0);
            emptied.map_err(|error| failure("write", &path, &error))?;
            Ok(Claim::Ours(OwnerLock { file }))
        }
        Err(TryLockError::WouldBlock) => Ok(Claim::Theirs(read(&mut file))),
        Err(TryLockError::Error(error)) => Err(failure("lock", &path, &error)),
    }
}

/// The owner that the file names, whether or not it is alive. Leaves no trace, not even a lock.
pub(super) fn named(state: &Path) -> Result<Option<Owner>, Failure> {
    let path = file_of(state);
    match File::open(&path) {
        Ok(mut file) => Ok(read(&mut file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure("open", &path, &error)),
    }
}

fn file_of(state: &Path) -> PathBuf {
    state.join(FILE)
}

fn read(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn failure(what: &str, path: &Path, error: &io::Error) -> Failure {
    let path = safe(&path.to_string_lossy());
    Failure::new(format_args!("cannot {what} {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            pid: 1,
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            identity: "one".into(),
            stays: false,
        }
    }

    #[test]
    fn n9_one_process_serves_and_a_dead_one_is_told_from_a_live_one() {
        use std::os::unix::fs::PermissionsExt;

        let state = tempfile::tempdir().expect("a directory");
        let state = state.path();
        assert_eq!(named(state).expect("readable"), None);
        let Ok(Claim::Ours(mut lock)) = claim(state) else {
            panic!("nobody serves");
        };
        // A second open file behaves like another process here.
        assert!(matches!(claim(state), Ok(Claim::Theirs(None))));
        lock.announce(&owner()).expect("written");
        let Ok(Claim::Theirs(Some(found))) = claim(state) else {
            panic!("one serves");
        };
        assert_eq!(found, owner());
        let file = std::fs::metadata(file_of(state)).expect("a file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        drop(lock);
        assert_eq!(named(state).expect("readable"), None);

        // The leftover of a killed process: its data without its lock.
        let words = serde_json::to_string(&owner()).expect("JSON");
        std::fs::write(file_of(state), words).expect("a file");
        assert_eq!(named(state).expect("readable"), Some(owner()));
        assert!(matches!(claim(state), Ok(Claim::Ours(_))));
        assert_eq!(named(state).expect("readable"), None);
    }
}
