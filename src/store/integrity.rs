//! Whether the state that is open is still the one that lies in the directory. People and backup tools remove, replace,
//! empty or set back files under a running process, and SQLite goes on writing to what it once opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::chain::{self, Ends};
use super::error::{OpenError, Salvage, StoreError};
use super::file_state::{FileId, FileStamp, stat};
use super::files::Files;
use super::lock::Lock;
use super::open::{self, WalIndex};
use super::{rows, schema};

/// Waits until it is time for the second look.
pub(super) type RecheckDelay = Box<dyn FnMut() + Send>;

/// A difference counts if it is still there after this time: a tool may put a file away for a moment.
const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// The real pause.
#[expect(
    clippy::disallowed_methods,
    reason = "on the store's own thread, outside the event loop"
)]
pub(super) fn recheck_delay() -> RecheckDelay {
    Box::new(|| thread::sleep(RECHECK_AFTER))
}

/// How the state in the directory differs from the one that is open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Difference {
    #[error("was removed or moved away")]
    Removed,
    #[error("was replaced by another file")]
    Replaced,
    #[error("was emptied")]
    Emptied,
    #[error("was cut short, from {from} to {to} bytes")]
    CutShort { from: u64, to: u64 },
    #[error("was written to by another program (when a backup is put back, for example)")]
    Overwritten,
    #[error("was set back to an earlier state or to another one")]
    SetBack,
    #[error("cannot be read any longer ({0})")]
    Unreadable(String),
    #[error("names the owner {found:?} instead of {expected:?}")]
    OtherOwner { expected: String, found: String },
}

impl Difference {
    fn at<T>(self, path: &Path) -> Result<T, Discrepancy> {
        Err(Discrepancy {
            path: path.to_owned(),
            difference: self,
        })
    }
}

/// A difference, and where it is.
struct Discrepancy {
    path: PathBuf,
    difference: Difference,
}

/// What is remembered of the state that is open.
pub(super) struct IntegrityCheck {
    files: Files,
    owner: String,
    /// The names, and the files that were opened under them.
    opened: Vec<(PathBuf, FileId)>,
    /// Nobody but the store writes the log back into the database while the store runs.
    database: FileStamp,
    wal: FileStamp,
    owner_file: (FileId, FileStamp),
    ends: Ends,
    recheck_delay: RecheckDelay,
    /// Set during the pause.
    is_suspect: Arc<AtomicBool>,
}

impl IntegrityCheck {
    /// Begins to watch what was just opened. `database` is the file that had the name before SQLite opened it.
    pub(super) fn start(
        files: &Files,
        lock: &Lock,
        database: FileId,
        conn: &Connection,
        recheck_delay: RecheckDelay,
    ) -> Result<Self, OpenError> {
        let path = files.database();
        let read = || Ok((schema::owner(conn)?, chain::ends(conn)?));
        let (owner, ends) = read().map_err(|error: StoreError| OpenError::Damaged {
            path: path.clone(),
            detail: error.to_string(),
        })?;
        let now = |path: PathBuf| {
            let id = FileId::of(&stat(&path)?);
            Ok::<_, OpenError>((path, id))
        };
        let opened = vec![
            (path.clone(), database),
            now(files.wal())?,
            now(files.wal_index())?,
            (files.lock(), lock.id()?),
        ];
        let owner_file = stat(&files.owner())?;
        Ok(Self {
            owner,
            opened,
            database: FileStamp::of(&stat(&path)?),
            wal: FileStamp::of(&stat(&files.wal())?),
            owner_file: (FileId::of(&owner_file), FileStamp::of(&owner_file)),
            ends,
            recheck_delay,
            is_suspect: Arc::default(),
            files: files.clone(),
        })
    }

    /// Begins a transaction, if the state is still the one that was opened. Takes a second look at what differs.
    pub(super) fn transaction<'c>(
        &mut self,
        conn: &'c Connection,
    ) -> Result<Transaction<'c>, StoreError> {
        let look = match self.look(conn)? {
            Ok(transaction) => Ok(transaction),
            Err(found) => {
                self.wait(&found);
                self.look(conn)?
            }
        };
        self.conclude(look)
    }

    /// Whether the files are the ones that were opened, by a second look if need be.
    pub(super) fn check_files(&mut self) -> Result<(), StoreError> {
        let look = match self.compare_files() {
            Ok(()) => Ok(()),
            Err(found) => {
                self.wait(&found);
                self.compare_files()
            }
        };
        self.conclude(look)
    }

    fn conclude<T>(&self, look: Result<T, Discrepancy>) -> Result<T, StoreError> {
        self.is_suspect.store(look.is_err(), Ordering::Relaxed);
        look.map_err(|found| self.lost(&found))
    }

    /// Whether a difference was seen that must be there twice to count.
    pub(super) fn is_suspect(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_suspect)
    }

    /// Takes in that a transaction has ended; `ends` is what it left, if it was committed.
    pub(super) fn record_commit(&mut self, ends: Option<Ends>) {
        self.ends = ends.unwrap_or(self.ends);
        // What cannot be looked at is a difference at the next look.
        if let Ok(metadata) = stat(&self.files.wal()) {
            self.wal = FileStamp::of(&metadata);
        }
    }

    /// Takes in that the log was written back into the database.
    pub(super) fn record_checkpoint(&mut self) {
        if let Ok(metadata) = stat(&self.files.database()) {
            self.database = FileStamp::of(&metadata);
        }
        self.record_commit(None);
    }

    fn wait(&mut self, found: &Discrepancy) {
        let (file, difference) = (found.path.display(), &found.difference);
        tracing::debug!(%file, %difference, "the state is looked at once more");
        self.is_suspect.store(true, Ordering::Relaxed);
        (self.recheck_delay)();
    }

    fn look<'c>(
        &self,
        conn: &'c Connection,
    ) -> Result<Result<Transaction<'c>, Discrepancy>, StoreError> {
        if let Err(found) = self.compare_files() {
            return Ok(Err(found));
        }
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        Ok(self.compare_content(&transaction).map(|()| transaction))
    }

    /// Compares what lies under the names with what was opened.
    fn compare_files(&self) -> Result<(), Discrepancy> {
        for (path, id) in &self.opened {
            if FileId::of(&self.stat(path)?) != *id {
                return Difference::Replaced.at(path);
            }
        }
        let path = self.files.database();
        let (was, is) = (self.database, FileStamp::of(&self.stat(&path)?));
        if is != was {
            return difference(was, is).at(&path);
        }
        let path = self.files.owner();
        let metadata = self.stat(&path)?;
        if (FileId::of(&metadata), FileStamp::of(&metadata)) == self.owner_file {
            return Ok(());
        }
        match self.files.read_owner() {
            Ok(Some(owner)) if owner == self.owner => Ok(()),
            Ok(owner) => Difference::OtherOwner {
                expected: self.owner.clone(),
                found: owner.unwrap_or_default(),
            }
            .at(&path),
            Err(error) => Difference::Unreadable(error.to_string()).at(&path),
        }
    }

    /// Compares what the database says with what was last seen in it. Called under the write lock.
    fn compare_content(&self, conn: &Connection) -> Result<(), Discrepancy> {
        let path = self.files.database();
        let unreadable = |error: StoreError| Discrepancy {
            path: path.clone(),
            difference: Difference::Unreadable(error.to_string()),
        };
        let ends = chain::ends(conn).map_err(unreadable)?;
        if ends != self.ends {
            return match self.follows(conn, &ends).map_err(unreadable)? {
                true => Ok(()),
                false => Difference::SetBack.at(&path),
            };
        }
        // Nobody has committed, so the log stands still, or holds what somebody could not complete.
        let path = self.files.wal();
        let (was, is) = (self.wal, FileStamp::of(&self.stat(&path)?));
        if is == was {
            return Ok(());
        }
        if is.len < was.len {
            return difference(was, is).at(&path);
        }
        // The open connection has pages in its memory; another one reads what is in the files.
        let on_disk = open::read(&self.files, WalIndex::Leave, |conn| {
            chain::ends(conn).map_err(|error| OpenError::Damaged {
                path: path.clone(),
                detail: error.to_string(),
            })
        });
        match on_disk {
            Ok(on_disk) if on_disk == ends => Ok(()),
            Ok(_) => Difference::SetBack.at(&path),
            Err(error) => Difference::Unreadable(error.to_string()).at(&path),
        }
    }

    /// Whether what the database says comes after what was last seen in it: commands such as `suspend` write, too.
    fn follows(&self, conn: &Connection, ends: &Ends) -> Result<bool, StoreError> {
        let was = &self.ends;
        if ends.generation <= was.generation || ends.head < was.head {
            return Ok(false);
        }
        if was.head <= ends.anchor {
            // Rotated away, and compared where it can be.
            return Ok(was.head < ends.anchor || was.head_hash == ends.anchor_hash);
        }
        let hash = rows::query_first(
            conn,
            "SELECT hash FROM history WHERE seq = ?1",
            [rows::integer(was.head)?],
            |row| row.get("hash"),
        )?;
        Ok(hash == Some(was.head_hash))
    }

    /// Only a name that leads nowhere is [`Difference::Removed`].
    fn stat(&self, path: &Path) -> Result<fs::Metadata, Discrepancy> {
        let error = match fs::metadata(path) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::NotFound {
            return Difference::Unreadable(error.to_string()).at(path);
        }
        // What is gone as a whole is told of as a whole.
        let dir = self.files.dir();
        Difference::Removed.at(if dir.exists() { path } else { dir })
    }

    /// What is told of a difference that has lasted, and what may still be done.
    fn lost(&self, found: &Discrepancy) -> StoreError {
        let Discrepancy { path, difference } = found;
        let dir = self.files.dir().display();
        let beside = [self.files.lock(), self.files.owner()];
        let remedy = if *path == beside[0] {
            format!(
                "another process may reconcile beside this one: see to it that only one works with {dir}, and start it again"
            )
        } else {
            format!(
                "stop sharekeeper, put the right state back as a whole, and start it again; to begin anew, move {dir} \
                 away first; outcomes that arrive from now on are in the log"
            )
        };
        let salvage = match difference {
            _ if beside.contains(path) => Salvage::Database,
            Difference::Removed | Difference::Replaced => Salvage::OpenFiles,
            _ => Salvage::Nothing,
        };
        let path = path.display();
        StoreError::lost(
            format!(
                "{path} {difference} while sharekeeper was working with it, so nothing more is sent: {remedy}"
            ),
            salvage,
        )
    }
}

/// How a file differs from what it was.
fn difference(was: FileStamp, is: FileStamp) -> Difference {
    match is.len {
        0 => Difference::Emptied,
        to if to < was.len => Difference::CutShort { from: was.len, to },
        _ => Difference::Overwritten,
    }
}
