//! Errors of the store: why a state directory cannot be used, and why a request to an open store failed. Each text
//! includes what to do, because only the store knows the file concerned.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::holder::Holder;
use crate::ledger::LedgerError;

/// What to do about a state directory that cannot be trusted. It is never replaced by an empty state, which would
/// silently forget which shares are ours.
const WAY_OUT: &str = "restore the directory from a backup, or move it away to start with an empty state: \
    shares made before are then not ours until they are adopted again";

/// Why a state directory cannot be used. Nothing in the directory was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The operating system or SQLite refused to use a file.
    #[error("{}: cannot {doing}: {reason}{}", .path.display(), remedy(*.kind))]
    Access {
        path: PathBuf,
        /// The action that failed, as in "cannot open it".
        doing: &'static str,
        /// The system's error as text, so that errors can be cloned and compared.
        reason: String,
        kind: io::ErrorKind,
    },
    /// There is a file at the path of the directory.
    #[error(
        "{} is a file, and the state directory must be a directory: give another --state-dir, or move the file away",
        .0.display()
    )]
    NotADirectory(PathBuf),
    /// Every user of the machine can write to the directory or to a file in it, and could so plant a false inventory that
    /// makes us cancel shares. A group may write, because Kubernetes makes volumes that way (`fsGroup`).
    #[error(
        "{} can be written by every user of this machine (mode {mode:04o}), who could make us cancel shares: \
         `chmod o-w` it once you trust what is in it",
        .path.display()
    )]
    WorldWritable { path: PathBuf, mode: u32 },
    /// Another process reconciles with this directory.
    #[error("{}: {}; wait until it has ended, or stop it, or give another --state-dir", .dir.display(), held(.holder))]
    Locked {
        dir: PathBuf,
        /// The other process, if the lock file says which.
        holder: Option<Box<Holder>>,
    },
    /// The directory was in use, and its database is gone.
    #[error("{} is missing, though {} shows that the directory was in use: {WAY_OUT}", .path.display(), .evidence.display())]
    Missing {
        path: PathBuf,
        /// The file that shows that the database was there.
        evidence: PathBuf,
    },
    /// The database is empty, though it was in use.
    #[error("{} is empty, though {} shows that it was in use: {WAY_OUT}", .path.display(), .evidence.display())]
    Emptied {
        path: PathBuf,
        /// The file that shows that the database was in use.
        evidence: PathBuf,
    },
    /// The database cannot be read.
    #[error("{} is damaged ({detail}): {WAY_OUT}", .path.display())]
    Damaged {
        path: PathBuf,
        /// The reason, in the words of SQLite or of a check.
        detail: String,
    },
    /// The database belongs to another application.
    #[error(
        "{} is not a database of sharekeeper (application id {application_id:#010x}): give another --state-dir",
        .path.display()
    )]
    OtherApplication {
        path: PathBuf,
        /// The `application_id` in the header of the file.
        application_id: u32,
    },
    /// A later version of sharekeeper wrote the database.
    #[error(
        "{} has schema version {found}, and this sharekeeper knows versions up to {known}: use the newer sharekeeper \
         that wrote it, or restore the directory from a backup made before",
        .path.display()
    )]
    NewerSchema {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    /// An earlier version of sharekeeper wrote the database and works with it, so that it cannot be migrated now.
    #[error(
        "{} has schema version {found}, and must be brought to version {known} first, but it is {}: stop that older \
         sharekeeper and run this again, or do this with the older sharekeeper",
        .path.display(),
        held(.holder)
    )]
    HeldByOlder {
        path: PathBuf,
        found: i64,
        known: i64,
        /// The other process, if the lock file says which.
        holder: Option<Box<Holder>>,
    },
    /// The file `owner` and the database belong to different installations.
    #[error(
        "{} says {file:?}, and the database beside it belongs to {database:?}: they come from different \
         installations; {WAY_OUT}",
        .path.display()
    )]
    OwnerMismatch {
        path: PathBuf,
        /// The owner by the file `owner`.
        file: String,
        /// The owner by the database.
        database: String,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, doing: &'static str, error: &io::Error) -> Self {
        Self::Access {
            path: path.to_owned(),
            doing,
            reason: error.to_string(),
            kind: error.kind(),
        }
    }

    /// SQLite's refusal to open or read the file at `path`, which exists.
    pub(super) fn sqlite(path: &Path, doing: &'static str, error: &rusqlite::Error) -> Self {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                io::ErrorKind::PermissionDenied
            }
            Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                io::ErrorKind::ResourceBusy
            }
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed,
            ) => io::ErrorKind::Other,
            // A missing table, a wrong type, an invalid page: the content is not what it was.
            _ => {
                return Self::Damaged {
                    path: path.to_owned(),
                    detail: error.to_string(),
                };
            }
        };
        Self::Access {
            path: path.to_owned(),
            doing,
            reason: error.to_string(),
            kind,
        }
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => {
            "; it must belong to the user that runs sharekeeper: see `ls -ld`"
        }
        io::ErrorKind::NotADirectory => {
            "; a file is in the way: give a directory as --state-dir, or move the file"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; give a --state-dir that can be written",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space",
        io::ErrorKind::ResourceBusy => "; another process is writing: try again",
        _ => "",
    }
}

fn held(holder: &Option<Box<Holder>>) -> String {
    match holder {
        Some(holder) => format!("in use by {holder}"),
        None => "in use by another process".into(),
    }
}

/// Why a request to the open store failed.
#[derive(Clone, Debug)]
pub(super) struct StoreError {
    pub(super) kind: ErrorKind,
    text: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What an error means for later requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// Only this request fails.
    Request,
    /// Requests fail until there is space again, or until another process is done.
    Transient,
    /// It is no longer certain what the file holds.
    Broken,
    /// The state in the directory is no longer the one that is open.
    Lost(Salvage),
}

/// What can still be saved of a state that is no longer to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Salvage {
    /// The database is the right one, so that outcomes of writes can be recorded.
    Database,
    /// The open files hold all that was recorded, but have lost their names. Somebody may give them back.
    OpenFiles,
    /// Nothing can be read or written reliably.
    Nothing,
}

impl StoreError {
    pub(super) fn request(text: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Request,
            text: text.into(),
            source: None,
        }
    }

    /// A value in the database that this program does not write.
    pub(super) fn unreadable(place: impl fmt::Display) -> Self {
        Self::request(format!(
            "{place} makes no sense: it was changed by hand, or the file is damaged; \
             restore the directory from a backup"
        ))
    }

    pub(super) fn broken(text: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Broken,
            text: text.into(),
            source: None,
        }
    }

    /// The state was removed, replaced or set back. `text` names the file already.
    pub(super) fn lost(text: String, salvage: Salvage) -> Self {
        Self {
            kind: ErrorKind::Lost(salvage),
            text,
            source: None,
        }
    }

    /// Adds the error that this one comes from.
    pub(super) fn caused_by(self, source: impl Error + Send + Sync + 'static) -> Self {
        let source: Arc<dyn Error + Send + Sync> = Arc::new(source);
        Self {
            source: Some(source),
            ..self
        }
    }

    /// The error for the callers of the ledger, which names the file at `path`.
    pub(super) fn at(&self, path: &Path) -> LedgerError {
        let source = self.source.clone();
        let message = match self.kind {
            ErrorKind::Lost(_) => self.text.clone(),
            _ => format!("{}: {self}", path.display()),
        };
        match self.kind {
            ErrorKind::Request | ErrorKind::Transient => LedgerError::Request { message, source },
            ErrorKind::Broken | ErrorKind::Lost(_) => LedgerError::Failed { message, source },
        }
    }
}

impl From<OpenError> for LedgerError {
    fn from(error: OpenError) -> Self {
        Self::Open(Arc::new(error))
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let (kind, remedy) = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => (ErrorKind::Transient, ": free some space"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                (ErrorKind::Transient, ": another process is writing")
            }
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen,
            ) => (ErrorKind::Broken, ""),
            _ => (ErrorKind::Request, ""),
        };
        Self {
            kind,
            text: format!("{error}{remedy}"),
            source: None,
        }
        .caused_by(error)
    }
}
