//! Which process serves the simulator of a state directory. It holds a lock for as long as it lives, which the kernel
//! releases however it ends: so a dead one is told from a live one without guessing. The locked file says where it listens.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::output::Failure;
use crate::words::safe;

/// A file of this name is in the state directory from the first simulator on.
const FILE: &str = "simulator";
/// More than an owner says of itself.
const BYTES_MAX: u64 = 4096;

/// What the process that serves the simulator says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) pid: u32,
    pub(super) address: SocketAddr,
    /// Made up anew at each start, and told by the simulator itself: another program may listen there later.
    pub(super) identity: String,
    /// Whether it stays until it is ended, as a daemon does.
    pub(super) stays: bool,
}

/// Who may serve the simulator.
pub(super) enum Claim {
    Ours(OwnerLock),
    /// Another process, which may not have said yet where it listens.
    Theirs(Option<Owner>),
}

/// The right to serve the simulator and to write its files, until it is dropped.
pub(super) struct OwnerLock {
    file: File,
}

impl OwnerLock {
    /// Tells others where the simulator listens.
    pub(super) fn announce(&mut self, owner: &Owner) -> io::Result<()> {
        let line = serde_json::to_string(owner)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{line}")
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        // Who reads an empty file knows that nobody listens. Nothing depends on it: the lock tells.
        let _ = self.file.set_len(0);
    }
}

/// Takes the lock, unless another process has it.
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
            // It may name an owner that was killed.
            let emptied = file.set_len(0);
            emptied.map_err(|error| failure("write", &path, &error))?;
            Ok(Claim::Ours(OwnerLock { file }))
        }
        Err(TryLockError::WouldBlock) => Ok(Claim::Theirs(read(&mut file))),
        Err(TryLockError::Error(error)) => Err(failure("lock", &path, &error)),
    }
}

/// The owner that is named, whether or not it lives. Leaves no trace, not even a lock.
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
        // Another open file is as good as another process here.
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

        // What a killed one leaves: its words without its lock.
        let words = serde_json::to_string(&owner()).expect("JSON");
        std::fs::write(file_of(state), words).expect("a file");
        assert_eq!(named(state).expect("readable"), Some(owner()));
        assert!(matches!(claim(state), Ok(Claim::Ours(_))));
        assert_eq!(named(state).expect("readable"), None);
    }
}
