//! The write-ahead log: when it is written back into the database, and which process prevents it from starting over. A
//! process that reads sees the database as of one moment; until it is done, nothing written since then can leave the log.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rusqlite::Connection;

use super::error::StoreError;
use super::files::Files;
use super::open::LOG_SIZE;

/// After this many requests the log is written back, however small it is, so that the next start has little to read.
const REQUESTS_MAX: usize = 1_000;
/// A log that could not be written back is tried again after it has grown by this many bytes.
const TRY_EVERY: u64 = 1024 * 1024;
/// A log of this size in bytes is reported. It never grows nearly as large unless another process reads.
const LARGE: u64 = 64 * 1024 * 1024;

/// How a checkpoint treats processes that use the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// Writes back what is possible while they use it.
    Passive,
    /// Waits for them, and empties the log.
    Truncate,
}

impl Checkpoint {
    /// Writes the log back into the database. Returns whether all of it was written.
    pub(super) fn run(self, conn: &Connection) -> Result<bool, StoreError> {
        let pragma = match self {
            Self::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Self::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        };
        // The pragma reports what it could not write back as a result, not as an error.
        let (busy, frames, written): (bool, i64, i64) = conn.query_row(pragma, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        Ok(!busy && frames == written)
    }
}

/// Decides when the log is written back next.
#[derive(Debug)]
pub(super) struct CheckpointSchedule {
    files: Files,
    /// The size in bytes from which the next try is due.
    due_at: u64,
    /// The number of requests since the last try.
    requests: usize,
}

impl CheckpointSchedule {
    pub(super) fn new(files: Files) -> Self {
        Self {
            files,
            due_at: LOG_SIZE,
            requests: 0,
        }
    }

    /// Counts the requests that were served.
    pub(super) fn served(&mut self, requests: usize) {
        self.requests += requests;
    }

    /// Whether the log is due to be written back after a commit.
    pub(super) fn is_due(&mut self) -> bool {
        let len = self.len();
        if len <= LOG_SIZE {
            // The log has started over.
            self.due_at = LOG_SIZE;
        }
        len > self.due_at || self.requests >= REQUESTS_MAX
    }

    /// Whether the log is larger than it need be, however recent the last try was.
    pub(super) fn is_oversized(&self) -> bool {
        self.len() > LOG_SIZE
    }

    /// Records that there was a try to write the log back.
    pub(super) fn record_try(&mut self) {
        self.requests = 0;
        // Even if everything was written back, a reader can prevent the log from starting over.
        self.due_at = match self.len() {
            len if len > LOG_SIZE => len + TRY_EVERY,
            _ => LOG_SIZE,
        };
    }

    fn len(&self) -> u64 {
        self.files.wal_len().unwrap_or(0)
    }
}

/// A warning about a log that other processes prevent from starting over; `None` while it is not large.
pub(super) fn oversized_log(files: &Files) -> Option<String> {
    const MEGABYTE: u64 = 1024 * 1024;
    let len = files.wal_len().ok().filter(|len| *len > LARGE)?;
    // If a file cannot be read, no process is named.
    let index = fs::metadata(files.wal_index()).map_or(0, |metadata| metadata.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let readers = readers(&locks, index, std::process::id());
    let who = match readers.as_slice() {
        [] => "a process that cannot be named from here (`fuser` on the host may)".to_owned(),
        some => {
            let pids: Vec<_> = some.iter().map(u32::to_string).collect();
            format!("process {}", pids.join(", "))
        }
    };
    Some(format!(
        "{} has {} MB and grows with each write, because {who} keeps an old state of the database open for reading: \
         end that query or program; writes are still recorded",
        files.wal().display(),
        len / MEGABYTE
    ))
}

/// The processes other than `own` that hold a lock for reading on the index of a log, by the text of `/proc/locks`.
fn readers(locks: &str, inode: u64, own: u32) -> Vec<u32> {
    /// The bytes of the index that SQLite locks for those who read the log (`WAL_READ_LOCK`).
    const READ_LOCKS: std::ops::RangeInclusive<u64> = 123..=127;
    let held = locks.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "READ");
        let (_, pid, file) = (words.next()?, words.next()?, words.next()?);
        let first: u64 = words.next()?.parse().ok()?;
        let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
        let pid = pid.parse().ok().filter(|pid| *pid != own)?;
        (is_it && READ_LOCKS.contains(&first)).then_some(pid)
    });
    let mut pids: Vec<u32> = held.collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_the_readers_of_a_log_are_found_by_the_locks_on_its_index() {
        let locks = "\
            1: POSIX  ADVISORY  READ 4711 08:01:77 123 123\n\
            2: POSIX  ADVISORY  READ 4711 08:01:77 128 128\n\
            3: POSIX  ADVISORY  READ 12 08:01:77 124 124\n\
            4: POSIX  ADVISORY  WRITE 13 08:01:77 124 124\n\
            5: POSIX  ADVISORY  READ 14 08:01:78 124 124\n\
            6: FLOCK  ADVISORY  WRITE 15 08:01:77 0 EOF\n\
            7: POSIX  ADVISORY  READ 16 08:01:77 128 128\n\
            1: -> POSIX  ADVISORY  READ 4712 08:01:77 127 127\n\
            8: POSIX  ADVISORY  READ 99 08:01:77 125 125\n";
        assert_eq!(readers(locks, 77, 99), [12, 4711, 4712]);
        assert_eq!(readers("", 77, 99), [0; 0]);
    }
}
