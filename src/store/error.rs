use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::holder::Holder;
use crate::ledger::LedgerError;

/// What to do about a state directory that cannot be trusted. An empty state is never made in its place: it would
/// silently forget what is ours.
const WAY_OUT: &str = "restore the directory from a backup, or move it away to begin anew: \
    what was shared before is then not ours until it is adopted again";

/// Why a state directory is not used. Nothing in it was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The system said no; see its reason.
    #[error("{}: cannot {doing}: {reason}{}", .path.display(), remedy(*.kind))]
    Access {
        /// What was to be used.
        path: PathBuf,
        /// For what.
        doing: &'static str,
        /// The system's words.
        reason: String,
        /// Its class.
        kind: io::ErrorKind,
    },
    /// A file stands where the directory should be.
    #[error(
        "{} is a file, and the state directory must be a directory: give another --state-dir, or move the file away",
        .0.display()
    )]
    NotADirectory(PathBuf),
    /// Every user of the machine could plant an inventory, and so make us cancel shares. A group may write, because
    /// Kubernetes makes volumes so (`fsGroup`).
    #[error(
        "{} can be written by every user of this machine (mode {mode:04o}), who could make us cancel shares: \
         `chmod o-w` it once you trust what is in it",
        .path.display()
    )]
    WorldWritable {
        /// The directory, or a file in it.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another process reconciles with this directory.
    #[error("{}: {}; wait until it has ended, or stop it, or give another --state-dir", .dir.display(), held(.holder))]
    Locked {
        /// The state directory.
        dir: PathBuf,
        /// Who, as far as the lock file says.
        holder: Option<Box<Holder>>,
    },
    /// The directory was in use, and its database is gone.
    #[error("{} is missing, though {} shows that the directory was in use: {WAY_OUT}", .path.display(), .evidence.display())]
    Missing {
        /// The database.
        path: PathBuf,
        /// What shows that it was there.
        evidence: PathBuf,
    },
    /// The database was emptied.
    #[error("{} is empty, though {} shows that it was in use: {WAY_OUT}", .path.display(), .evidence.display())]
    Emptied {
        /// The database.
        path: PathBuf,
        /// What shows that it was in use.
        evidence: PathBuf,
    },
    /// The database cannot be read.
    #[error("{} is damaged ({detail}): {WAY_OUT}", .path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// Somebody else's database.
    #[error(
        "{} is not a database of sharekeeper (application id {application_id:#010x}): give another --state-dir",
        .path.display()
    )]
    OtherApplication {
        /// The database.
        path: PathBuf,
        /// What it says of itself.
        application_id: u32,
    },
    /// A later sharekeeper wrote it.
    #[error(
        "{} has schema version {found}, and this sharekeeper knows versions up to {known}: use the newer sharekeeper \
         that wrote it, or restore the directory from a backup made before",
        .path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: i64,
        /// The last one known here.
        known: i64,
    },
    /// An earlier sharekeeper wrote it, and it was opened to read only.
    #[error(
        "{} has schema version {found}, and this sharekeeper reads version {known}: \
         `sharekeeper reconcile` brings it up to date",
        .path.display()
    )]
    OlderSchema {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: i64,
        /// The only one read here.
        known: i64,
    },
    /// The file `owner` and the database belong to different installations.
    #[error(
        "{} says {file:?}, and the database beside it belongs to {database:?}: they come from different \
         installations; {WAY_OUT}",
        .path.display()
    )]
    OwnerMismatch {
        /// The file `owner`.
        path: PathBuf,
        /// What it says.
        file: String,
        /// What the database says.
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

    /// SQLite's refusal to open or read `path`, which is there.
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
            // A missing table, a wrong type, a page that is none: the content is not what it was.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoreError {
    pub(super) kind: ErrorKind,
    text: String,
}

/// What a fault means for what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// It concerns this request alone.
    Request,
    /// It passes once there is space again, or the other process is done.
    Transient,
    /// What the file holds is no longer certain.
    Broken,
    /// The state in the directory is not the one that is open.
    Lost(Salvage),
}

/// What can still be done with a state that is not to be trusted any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Salvage {
    /// The database is the right one: what came of writes can be recorded.
    Database,
    /// The files that are open hold all that was recorded, and have lost their names. They may get them back.
    OpenFiles,
    /// Nothing can be read or written with a meaning.
    Nothing,
}

impl StoreError {
    pub(super) fn request(text: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Request,
            text: text.into(),
        }
    }

    /// A value that this program did not write.
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
        }
    }

    /// The state was removed, replaced or set back; `text` is all that is to be said.
    pub(super) fn lost(text: String, salvage: Salvage) -> Self {
        Self {
            kind: ErrorKind::Lost(salvage),
            text,
        }
    }

    /// For the ledger's callers, with the file that it is about.
    pub(super) fn at(&self, path: &Path) -> LedgerError {
        LedgerError(match self.kind {
            ErrorKind::Lost(_) => self.text.clone(),
            _ => format!("{}: {self}", path.display()),
        })
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
        }
    }
}
