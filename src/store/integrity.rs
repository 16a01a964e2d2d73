//! Checks that the open state is still the one in the directory. People and backup tools remove, replace, empty or set
//! back files under a running process, and SQLite continues to write to the files that it once opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::chain::{self, Ends};
use super::error::{ErrorKind, OpenError, Salvage, StoreError};
use super::file_state::{FileId, FileStamp, stat};
use super::files::Files;
use super::lock::Lock;
use super::open::{self, WalIndex};
use super::{rows, schema};

/// Waits until the time of the second check.
pub(super) type RecheckDelay = Box<dyn FnMut() + Send>;

/// A difference counts only if it is still there after this time, because a tool may move a file away for a moment.
const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// A delay of [`RECHECK_AFTER`] by sleeping.
#[expect(
    clippy::disallowed_methods,
    reason = "on the store's own thread, outside the event loop"
)]
pub(super) fn recheck_delay() -> RecheckDelay {
    Box::new(|| thread::sleep(RECHECK_AFTER))
}

/// How the state in the directory differs from the open one.
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
    #[error("was written to by another program (for example, a backup was restored)")]
    Overwritten,
    #[error("was set back to an earlier state or to another one")]
    SetBack,
    #[error("can no longer be read ({0})")]
    Unreadable(String),
    #[error("names the owner {found:?} instead of {expected:?}")]
    OtherOwner { expected: String, found: String },
}

impl Difference {
    /// Makes the error that there is this difference at `path`.
    fn at<T>(self, path: &Path) -> Result<T, Discrepancy> {
        Err(Discrepancy {
            path: path.to_owned(),
            difference: self,
        })
    }
}

/// A difference and the file or directory that differs.
struct Discrepancy {
    path: PathBuf,
    difference: Difference,
}

/// The result of one check. A discrepancy becomes an error only if it is found twice.
enum Checked<T> {
    Same(T),
    Different(Discrepancy),
}

impl<T> From<Checked<T>> for Result<T, Discrepancy> {
    fn from(checked: Checked<T>) -> Self {
        match checked {
            Checked::Same(value) => Ok(value),
            Checked::Different(found) => Err(found),
        }
    }
}

/// What is known of the open state, for comparison with the directory.
pub(super) struct IntegrityCheck {
    files: Files,
    owner: String,
    /// The paths, and the files that were opened at them.
    opened: Vec<(PathBuf, FileId)>,
    /// This is reliable, because only the store writes the log back into the database while it runs.
    database: FileStamp,
    wal: FileStamp,
    owner_file: (FileId, FileStamp),
    ends: Ends,
    recheck_delay: RecheckDelay,
    /// Set between the two checks of a discrepancy.
    is_suspect: Arc<AtomicBool>,
}

impl IntegrityCheck {
    /// Remembers what was just opened. `database` is the file that was at the path before SQLite opened it.
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

    /// Begins a transaction, if the state is still the one that was opened. A discrepancy is checked a second time.
    pub(super) fn transaction<'c>(
        &mut self,
        conn: &'c Connection,
    ) -> Result<Transaction<'c>, StoreError> {
        let checked = match self.begin_if_same(conn)? {
            Checked::Same(transaction) => Checked::Same(transaction),
            Checked::Different(found) => {
                self.wait(&found);
                self.begin_if_same(conn)?
            }
        };
        self.conclude(checked.into())
    }

    /// Checks that the files are the ones that were opened. A discrepancy is checked a second time.
    pub(super) fn check_files(&mut self) -> Result<(), StoreError> {
        let checked = match self.compare_files() {
            Ok(()) => Ok(()),
            Err(found) => {
                self.wait(&found);
                self.compare_files()
            }
        };
        self.conclude(checked)
    }

    /// The paths of the state.
    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// Checks that the database and the lock are the files that were opened and that the installation is the same,
    /// whatever was written to them. A discrepancy is checked a second time; a file whose metadata cannot be read does
    /// not count as one.
    pub(super) fn check_identity(&mut self) -> Result<(), StoreError> {
        let checked = match self.compare_identity() {
            Ok(()) => Ok(()),
            Err(found) => {
                self.wait(&found);
                self.compare_identity()
            }
        };
        match checked {
            Err(Discrepancy {
                path,
                difference: Difference::Unreadable(why),
            }) => Err(StoreError::broken(format!(
                "{} cannot be checked ({why})",
                path.display()
            ))),
            checked => self.conclude(checked),
        }
    }

    /// Checks that the history is the known one or begins with it, and returns the number of the newest known entry. The
    /// caller holds the write lock.
    pub(super) fn check_history(&self, conn: &Connection) -> Result<u64, StoreError> {
        let path = self.files.database();
        let read = || {
            let ends = chain::ends(conn)?;
            let is_whole = chain::is_whole(conn)?;
            Ok::<_, StoreError>(is_whole && (ends == self.ends || self.follows(conn, &ends)?))
        };
        let difference = match read() {
            Ok(true) => return Ok(self.ends.head),
            Ok(false) => Difference::SetBack,
            // The tables of a state are missing, or contain values that no state has.
            Err(error) if error.kind == ErrorKind::Request => {
                Difference::Unreadable(error.to_string())
            }
            Err(error) => return Err(error),
        };
        Err(self.lost(&Discrepancy { path, difference }))
    }

    /// Remembers a state that was reopened. `ends` are those of its chain.
    pub(super) fn restart(&mut self, ends: Ends) -> Result<(), OpenError> {
        let owner_file = stat(&self.files.owner())?;
        self.owner_file = (FileId::of(&owner_file), FileStamp::of(&owner_file));
        self.database = FileStamp::of(&stat(&self.files.database())?);
        let log = [self.files.wal(), self.files.wal_index()];
        for (path, id) in self
            .opened
            .iter_mut()
            .filter(|(path, _)| log.contains(path))
        {
            *id = FileId::at(path)?;
        }
        self.record_commit(Some(ends));
        Ok(())
    }

    fn conclude<T>(&self, checked: Result<T, Discrepancy>) -> Result<T, StoreError> {
        self.is_suspect.store(checked.is_err(), Ordering::Relaxed);
        checked.map_err(|found| self.lost(&found))
    }

    /// The flag that is set while a discrepancy waits for its second check.
    pub(super) fn is_suspect(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_suspect)
    }

    /// Remembers the state after a transaction. `ends` are those of the chain, if it was committed.
    pub(super) fn record_commit(&mut self, ends: Option<Ends>) {
        self.ends = ends.unwrap_or(self.ends);
        // A file whose metadata cannot be read is a discrepancy at the next check.
        if let Ok(metadata) = stat(&self.files.wal()) {
            self.wal = FileStamp::of(&metadata);
        }
    }

    /// Remembers the state after the log was written back into the database.
    pub(super) fn record_checkpoint(&mut self) {
        if let Ok(metadata) = stat(&self.files.database()) {
            self.database = FileStamp::of(&metadata);
        }
        self.record_commit(None);
    }

    fn wait(&mut self, found: &Discrepancy) {
        let (file, difference) = (found.path.display(), &found.difference);
        tracing::debug!(%file, %difference, "the state is checked once more");
        self.is_suspect.store(true, Ordering::Relaxed);
        (self.recheck_delay)();
    }

    /// Checks the files, begins a transaction, and checks the content under its write lock.
    fn begin_if_same<'c>(
        &self,
        conn: &'c Connection,
    ) -> Result<Checked<Transaction<'c>>, StoreError> {
        if let Err(found) = self.compare_files() {
            return Ok(Checked::Different(found));
        }
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        Ok(match self.compare_content(&transaction) {
            Ok(()) => Checked::Same(transaction),
            Err(found) => Checked::Different(found),
        })
    }

    /// Compares the files at the paths with those that were opened.
    fn compare_files(&self) -> Result<(), Discrepancy> {
        self.compare_ids(|_| true)?;
        let path = self.files.database();
        let (was, is) = (self.database, FileStamp::of(&self.stat(&path)?));
        if is != was {
            return difference(was, is).at(&path);
        }
        self.compare_owner()
    }

    /// The log does not matter here: once no process has the database open, it may be removed and created again.
    fn compare_identity(&self) -> Result<(), Discrepancy> {
        let log = [self.files.wal(), self.files.wal_index()];
        self.compare_ids(|path| !log.iter().any(|log| log == path))?;
        self.compare_owner()
    }

    fn compare_ids(&self, is_compared: impl Fn(&Path) -> bool) -> Result<(), Discrepancy> {
        let compared = self.opened.iter().filter(|(path, _)| is_compared(path));
        for (path, id) in compared {
            if FileId::of(&self.stat(path)?) != *id {
                return Difference::Replaced.at(path);
            }
        }
        Ok(())
    }

    fn compare_owner(&self) -> Result<(), Discrepancy> {
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

    /// Compares the ends of the chain in the database with those that are remembered. The caller holds the write lock.
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
        // Nobody has committed, so the log is unchanged or holds what another process could not complete.
        let path = self.files.wal();
        let (was, is) = (self.wal, FileStamp::of(&self.stat(&path)?));
        if is == was {
            return Ok(());
        }
        if is.len < was.len {
            return difference(was, is).at(&path);
        }
        // The open connection reads pages from its memory; a new one reads what is in the files.
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

    /// Whether `ends` come after the remembered ones: commands such as `suspend` also write to the database.
    fn follows(&self, conn: &Connection, ends: &Ends) -> Result<bool, StoreError> {
        let was = &self.ends;
        if ends.generation <= was.generation || ends.head < was.head {
            return Ok(false);
        }
        if was.head <= ends.anchor {
            // The remembered entry was rotated away. Its hash can be compared only if it is the anchor.
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

    /// The metadata of a file. Only a path at which there is nothing counts as [`Difference::Removed`].
    fn stat(&self, path: &Path) -> Result<fs::Metadata, Discrepancy> {
        let error = match fs::metadata(path) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::NotFound {
            return Difference::Unreadable(error.to_string()).at(path);
        }
        // If the whole directory is gone, the error names the directory.
        let dir = self.files.dir();
        Difference::Removed.at(if dir.exists() { path } else { dir })
    }

    /// The error for a discrepancy that was found twice, with the remedy and what can still be saved.
    fn lost(&self, found: &Discrepancy) -> StoreError {
        let Discrepancy { path, difference } = found;
        let dir = self.files.dir().display();
        let beside = [self.files.lock(), self.files.owner()];
        let remedy = if *path == beside[0] {
            format!(
                "another process may reconcile beside this one: make sure that only one works with {dir}, and start it again"
            )
        } else {
            format!(
                "stop sharekeeper, put the right state back as a whole, and start it again; to start with an empty state, move {dir} \
                 away first; outcomes that arrive from now on are in the log only"
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

/// Determines how a file differs from before, by its length and its time of modification.
fn difference(was: FileStamp, is: FileStamp) -> Difference {
    match is.len {
        0 => Difference::Emptied,
        to if to < was.len => Difference::CutShort { from: was.len, to },
        _ => Difference::Overwritten,
    }
}
