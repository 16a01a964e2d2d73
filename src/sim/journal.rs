//! A world that outlives its process: a file with the whole world, and a journal of the changes since.
//!
//! One line of the journal holds all changes of one request, and is written before the request is answered. Its length
//! depends on the changes, not on the size of the world. A killed process loses no answered request, because the
//! operating system has the line by then. Nothing waits for the disk, so a failing machine may lose the last lines. An
//! incomplete line is dropped, because its request was never answered.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::change::Change;
use super::cloud::Cloud;
use super::world::World;

/// The journal is merged into the world file when it is longer than this and than the world file.
const JOURNAL_BYTES_MIN: u64 = 1 << 20;

/// The files that hold a saved world.
#[derive(Clone, Debug)]
pub struct WorldFiles {
    world: PathBuf,
    journal: PathBuf,
}

/// Why a world cannot be saved, or was damaged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeepError {
    /// The operation, the file, and the error of the operating system.
    #[error("cannot {0} {1}: {2}")]
    Io(&'static str, PathBuf, String),
    /// The file, with a line of the journal, and the problem.
    #[error("{0}: {1}")]
    Damaged(String, String),
}

impl KeepError {
    fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| Self::Io(what, path.to_owned(), error.to_string())
    }
}

impl WorldFiles {
    pub fn new(directory: &Path) -> Self {
        Self {
            world: directory.join("world.json"),
            journal: directory.join("world.journal"),
        }
    }

    /// The saved cloud, or a new one if none was saved. Writes nothing.
    pub fn load(&self) -> Result<Cloud, KeepError> {
        // A journal without its world is useless: somebody has removed the world.
        match read(&self.world)? {
            Some(world) => replay(self, &world, &read(&self.journal)?.unwrap_or_default()),
            None => Ok(Cloud::new(World::default())),
        }
    }

    /// Deletes the world. Only the process that holds it may do this.
    pub fn remove(&self) -> Result<(), KeepError> {
        for path in [&self.journal, &self.world] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(KeepError::io("remove", path)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Replaces the world file atomically. Returns its length.
    fn write(&self, world: &World) -> Result<u64, KeepError> {
        let path = &self.world;
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let write = || {
            let text = serde_json::to_vec_pretty(world)?;
            let mut out = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            out.write_all(&text)?;
            out.sync_all()?;
            fs::rename(&temporary, path)?;
            Ok(text.len() as u64)
        };
        write().map_err(KeepError::io("write", path))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, KeepError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeepError::io("read", path)(error)),
    }
}

/// Builds the cloud from the world and the complete lines of the journal.
fn replay(files: &WorldFiles, world: &[u8], journal: &[u8]) -> Result<Cloud, KeepError> {
    let damaged =
        |place: &dyn std::fmt::Display, why: String| KeepError::Damaged(place.to_string(), why);
    let of_world = |why: String| damaged(&files.world.display(), why);
    let world: World =
        serde_json::from_slice(world).map_err(|error| of_world(error.to_string()))?;
    world.check().map_err(of_world)?;
    let mut cloud = Cloud::new(world);
    let whole = journal.iter().rposition(|byte| *byte == b'\n');
    let lines = journal[..whole.unwrap_or(0)].split(|byte| *byte == b'\n');
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let changes = serde_json::from_slice::<Vec<Change>>(line);
        let changes = changes.map_err(|error| error.to_string());
        let applied = changes.and_then(|changes| {
            let mut changes = changes.into_iter();
            changes.try_for_each(|change| cloud.apply(change))
        });
        applied.map_err(|why| {
            let place = format!("{}:{}", files.journal.display(), number + 1);
            damaged(&place, why)
        })?;
    }
    Ok(cloud)
}

/// The journal of a world that only this process saves.
#[derive(Debug)]
pub(super) struct Journal {
    files: WorldFiles,
    file: File,
    length: u64,
    length_max: u64,
    /// Set after the first line that could not be written; no later line is written.
    failure: Option<KeepError>,
}

impl Journal {
    /// Reads the saved world and continues it.
    pub(super) fn open(files: &WorldFiles) -> Result<(Cloud, Self), KeepError> {
        let directory = files.world.parent().unwrap_or(Path::new("."));
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(directory);
        made.map_err(KeepError::io("create", directory))?;
        let mut cloud = files.load()?;
        let path = &files.journal;
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true).mode(0o600);
        let file = options.open(path).map_err(KeepError::io("open", path))?;
        let length = file
            .metadata()
            .map_err(KeepError::io("read the size of", path))?;
        let world_length = fs::metadata(&files.world).map(|metadata| metadata.len());
        let mut journal = Self {
            files: files.clone(),
            file,
            length: length.len(),
            length_max: JOURNAL_BYTES_MIN.max(*world_length.as_ref().unwrap_or(&0)),
            failure: None,
        };
        if journal.length > 0 || world_length.is_err() {
            journal.fold(&cloud)?;
        }
        // Everything is saved by now.
        cloud.take_changes();
        Ok((cloud, journal))
    }

    /// Saves the changes of the cloud. Nobody may learn of a change before this returns.
    pub(super) fn keep(&mut self, cloud: &mut Cloud) -> Result<(), KeepError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let changes = cloud.take_changes();
        if changes.is_empty() {
            return Ok(());
        }
        let kept = self.append(&changes).and_then(|()| {
            let is_long = self.length > self.length_max;
            if is_long { self.fold(cloud) } else { Ok(()) }
        });
        kept.inspect_err(|error| self.failure = Some(error.clone()))
    }

    fn append(&mut self, changes: &[Change]) -> Result<(), KeepError> {
        let failure = |error| KeepError::io("write", &self.files.journal)(error);
        let mut line = serde_json::to_vec(changes).map_err(|error| failure(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failure)?;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Merges the journal into the world. If the process ends in between, the lines are applied to a world that already
    /// contains them, which changes nothing.
    fn fold(&mut self, cloud: &Cloud) -> Result<(), KeepError> {
        let length = self.files.write(&cloud.world())?;
        let emptied = self.file.set_len(0);
        emptied.map_err(KeepError::io("empty", &self.files.journal))?;
        self.length_max = JOURNAL_BYTES_MIN.max(length);
        self.length = 0;
        Ok(())
    }

    /// Saves everything in the world's file.
    pub(super) fn close(mut self, cloud: &Cloud) -> Result<(), KeepError> {
        match self.length > 0 || self.failure.is_some() {
            true => self.fold(cloud),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
