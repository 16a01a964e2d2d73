//! The files of a state directory: their names, modes and presence. What is in the database is left to SQLite; only the
//! small file `owner` is read and written here.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::OpenError;

/// Other users need not read the state, though it holds no secret.
pub(super) const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
const OTHERS_WRITE: u32 = 0o002;

/// The paths of a state directory.
///
/// The database and its log are never opened here, only their metadata is read. POSIX drops all locks of a process on a
/// file when it closes any handle of the file, so that opening them beside SQLite would drop SQLite's locks.
#[derive(Clone, Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

/// How a database can be read without leaving traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadMode {
    /// No process has the database open, and everything is in the one file.
    Immutable,
    /// The database is read together with its write-ahead log, under SQLite's locks.
    Live,
    /// As `Live`, but SQLite must first rebuild the index of the log, as after a copy was made without it.
    RebuildIndex,
}

impl Files {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn database(&self) -> PathBuf {
        self.dir.join("state.db")
    }

    pub(super) fn wal(&self) -> PathBuf {
        self.dir.join("state.db-wal")
    }

    pub(super) fn wal_index(&self) -> PathBuf {
        self.dir.join("state.db-shm")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(super) fn owner(&self) -> PathBuf {
        self.dir.join("owner")
    }

    /// The file in which the daemon shows its status to other processes.
    pub(super) fn summary(&self) -> PathBuf {
        self.dir.join("summary.json")
    }

    /// The next summary, until it is complete.
    pub(super) fn new_summary(&self) -> PathBuf {
        self.dir.join("summary.json.new")
    }

    /// Removes the state. The file `owner` goes last, so that the rest of an interrupted removal is still refused.
    pub(super) fn remove(&self) -> Result<(), OpenError> {
        let shown = [self.summary(), self.new_summary()];
        let state = [self.database(), self.wal(), self.wal_index(), self.owner()];
        for path in shown.into_iter().chain(state) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(OpenError::io(&path, "remove it", &error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether the directory exists; an error if it cannot be trusted.
    pub(super) fn check(&self) -> Result<bool, OpenError> {
        let Some(metadata) = metadata_if_present(&self.dir)? else {
            return Ok(false);
        };
        if !metadata.is_dir() {
            return Err(OpenError::NotADirectory(self.dir.clone()));
        }
        for path in [&self.dir, &self.database(), &self.owner()] {
            let mode = metadata_if_present(path)?
                .map_or(0, |metadata| metadata.permissions().mode() & 0o7777);
            if mode & OTHERS_WRITE != 0 {
                return Err(OpenError::WorldWritable {
                    path: path.clone(),
                    mode,
                });
            }
        }
        Ok(true)
    }

    /// Creates the directory durably, if it does not exist.
    pub(super) fn make_dir(&self) -> Result<(), OpenError> {
        if self.check()? {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(&self.dir)
            .map_err(|error| OpenError::io(&self.dir, "make the state directory", &error))?;
        let parent = match self.dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        sync_dir(parent)
    }

    /// Creates the database file, empty. SQLite gives the files beside it the same mode.
    pub(super) fn make_database(&self) -> Result<(), OpenError> {
        let path = self.database();
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path);
        match made {
            Ok(_) => sync_dir(&self.dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(OpenError::io(&path, "make the database", &error)),
        }
    }

    /// Creates an empty file beside the database for a copy of it, and returns its path. Removes what an interrupted copy
    /// has left.
    pub(super) fn make_copy_target(&self, name: &str) -> Result<PathBuf, OpenError> {
        let path = self.dir.join(format!("{name}.part"));
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        removed
            .and_then(|()| {
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(FILE_MODE)
                    .open(&path)
            })
            .map_err(|error| OpenError::io(&path, "make it", &error))?;
        Ok(path)
    }

    /// Makes a finished copy durable, and gives it its name.
    pub(super) fn keep_copy(&self, written: &Path, name: &str) -> Result<PathBuf, OpenError> {
        let path = self.dir.join(name);
        File::open(written)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(written, &path))
            .map_err(|error| OpenError::io(&path, "write it", &error))?;
        sync_dir(&self.dir)?;
        Ok(path)
    }

    /// The size of the write-ahead log in bytes; 0 if it does not exist.
    pub(super) fn wal_len(&self) -> Result<u64, OpenError> {
        Ok(metadata_if_present(&self.wal())?.map_or(0, |metadata| metadata.len()))
    }

    /// The size of the database in bytes; `None` if it does not exist.
    pub(super) fn database_len(&self) -> Result<Option<u64>, OpenError> {
        Ok(metadata_if_present(&self.database())?.map(|metadata| metadata.len()))
    }

    /// Whether there is a write-ahead log that is not empty.
    pub(super) fn has_wal(&self) -> Result<bool, OpenError> {
        Ok(self.wal_len()? > 0)
    }

    /// Whether there is a rollback journal, which SQLite uses while it creates the database.
    pub(super) fn has_journal(&self) -> Result<bool, OpenError> {
        Ok(metadata_if_present(&self.dir.join("state.db-journal"))?.is_some())
    }

    /// How the database can be read now.
    pub(super) fn read_mode(&self) -> Result<ReadMode, OpenError> {
        let index = metadata_if_present(&self.wal_index())?.is_some();
        Ok(match (metadata_if_present(&self.wal())?, index) {
            (Some(_), true) => ReadMode::Live,
            (Some(wal), false) if wal.len() > 0 => ReadMode::RebuildIndex,
            _ if self.has_journal()? => ReadMode::RebuildIndex,
            _ => ReadMode::Immutable,
        })
    }

    /// The URI of the database with the query `query`. All but the plainest bytes of the path are escaped, so that no
    /// path can add a parameter.
    pub(super) fn uri(&self, query: &str) -> String {
        let path = self.database();
        let escaped: String = path
            .as_os_str()
            .as_bytes()
            .iter()
            .map(|&byte| match byte {
                b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02x}"),
            })
            .collect();
        // An absolute path follows an empty authority; otherwise `//tmp` would name a machine.
        let authority = if path.is_absolute() { "//" } else { "" };
        format!("file:{authority}{escaped}?{query}")
    }

    /// The content of the file `owner`; `None` if it does not exist.
    pub(super) fn read_owner(&self) -> Result<Option<String>, OpenError> {
        const BYTES_MAX: u64 = 4096;
        let path = self.owner();
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text)) {
            Ok(_) => Ok(Some(String::from_utf8_lossy(&text).trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io(&path, "read it", &error)),
        }
    }

    /// Writes the file `owner` atomically.
    pub(super) fn write_owner(&self, owner: &str) -> Result<(), OpenError> {
        let (path, new) = (self.owner(), self.dir.join("owner.new"));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&new)
            .and_then(|mut file| {
                writeln!(file, "{owner}")?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| OpenError::io(&path, "write it", &error))?;
        sync_dir(&self.dir)
    }
}

/// The metadata of a file; `None` if it does not exist. A lack of permission or of file handles is an error.
fn metadata_if_present(path: &Path) -> Result<Option<fs::Metadata>, OpenError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(path, "look at it", &error)),
    }
}

/// Makes durable that files were created or renamed in a directory.
fn sync_dir(dir: &Path) -> Result<(), OpenError> {
    File::open(dir)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| OpenError::io(dir, "write the directory to disk", &error))
}
