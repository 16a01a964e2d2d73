//! Lists the files of a state directory that a power failure can leave during a commit. SQLite appends to its log, so
//! that each block that is not yet synced may or may not be on the disk.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const FRAME: usize = FRAME_HEADER + 4096;
/// The unit that a disk writes atomically.
const SECTOR: usize = 512;

/// The database, its log and the file `owner`. The log's index is missing because it is in memory, which a crash loses.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Image {
    database: Vec<u8>,
    log: Vec<u8>,
    owner: Option<Vec<u8>>,
}

/// A new directory, in memory if the system offers that, because these tests need no real disk.
pub(crate) fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.expect("a directory")
}

impl Image {
    pub(crate) fn of(dir: &Path) -> Self {
        let read = |name| fs::read(dir.join(name)).ok();
        Self {
            database: read("state.db").unwrap_or_default(),
            log: read("state.db-wal").unwrap_or_default(),
            owner: read("owner"),
        }
    }

    /// Writes the image to a new directory.
    pub(crate) fn lay(&self) -> TempDir {
        let dir = directory();
        let write = |name, content: &[u8]| {
            fs::write(dir.path().join(name), content).expect("written");
        };
        write("state.db", &self.database);
        write("state.db-wal", &self.log);
        if let Some(owner) = &self.owner {
            write("owner", owner);
        }
        dir
    }

    pub(crate) fn log_len(&self) -> usize {
        self.log.len()
    }

    fn with_log(&self, log: Vec<u8>) -> Self {
        Self {
            log,
            ..self.clone()
        }
    }
}

/// Every state of the files that a power failure can leave between two images. The last one is `after`.
pub(crate) fn between(before: &Image, after: &Image) -> Vec<Image> {
    let mut images = match before.database == after.database {
        true => logs(before, after),
        false => written_back(before, after),
    };
    images.push(after.clone());
    images
}

/// The states in which a part of the appended log is on the disk.
fn logs(before: &Image, after: &Image) -> Vec<Image> {
    let (old, new) = (&before.log, &after.log);
    let same = old.iter().zip(new).take_while(|(old, new)| old == new);
    let from = same.count();
    let end = new.len();
    if from >= end {
        return Vec::new();
    }
    // An unwritten part has its old content, is absent, or reads as zeros because the file was extended first.
    let stood = |cut: usize| old.get(cut..).unwrap_or_default().to_vec();
    let zeros = |cut: usize| vec![0; end - cut];
    let cut = |cut: usize, rest: Vec<u8>| before.with_log([&new[..cut], &rest[..]].concat());
    let first = LOG_HEADER + from.saturating_sub(LOG_HEADER) / FRAME * FRAME;
    let frames: Vec<usize> = (first..end).step_by(FRAME).collect();
    let (head, tail) = (from + FRAME_HEADER / 2, end - 1);
    let middle = from + (end - from) / 2;
    let mut images = vec![
        cut(head.min(tail), stood(head.min(tail))),
        cut(middle, zeros(middle)),
        cut(middle, Vec::new()),
        cut(tail, stood(tail)),
        cut(
            end - SECTOR.min(end - from),
            zeros(end - SECTOR.min(end - from)),
        ),
    ];
    // The first frames are there, and the later ones are not.
    let starts = frames.iter().copied().filter(|start| *start > from);
    images.extend(starts.map(|start| cut(start, stood(start))));
    // Later frames are there without an earlier one, because nothing orders the blocks until the log is synced.
    for start in &frames[..frames.len() - 1] {
        let mut log = new.clone();
        for (at, byte) in log.iter_mut().enumerate().skip(*start).take(FRAME) {
            *byte = old.get(at).copied().unwrap_or(0);
        }
        images.push(before.with_log(log));
    }
    images.retain(|image| image.log != *new && image.log != *old);
    images
}

/// The states in which the log is copied to the database, partly or completely, and still exists.
fn written_back(before: &Image, after: &Image) -> Vec<Image> {
    let end = after.database.len();
    let cuts = [4096, end / 2 + 1000, end];
    let database = |cut: usize| {
        let stood = before.database.get(cut..).unwrap_or_default();
        [&after.database[..cut], stood].concat()
    };
    let images = cuts.into_iter().filter(|cut| *cut <= end).map(|cut| Image {
        database: database(cut),
        ..before.clone()
    });
    images.collect()
}
