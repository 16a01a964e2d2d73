//! Files that a command writes for a person: they are new, and the directories above them are made. A file that exists
//! is never replaced. It must not know what the files contain.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::output::Failure;

/// Refuses a path at which something already is. `flag` is the flag that names another place.
pub(super) fn refuse_taken(path: &Path, flag: &str) -> Result<(), Failure> {
    // A link that leads nowhere is something, too.
    match fs::symlink_metadata(path) {
        Ok(_) => Err(taken(path, flag)),
        Err(_) => Ok(()),
    }
}

/// Writes a file that does not exist yet, and makes the directories above it that are missing.
pub(super) fn write_new(path: &Path, text: &str, flag: &str) -> Result<(), Failure> {
    if let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(|error| {
            let directory = directory.display();
            cannot(path, format_args!("the directory {directory}: {error}"))
        })?;
    }
    let new = OpenOptions::new().write(true).create_new(true).open(path);
    let written = new.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => taken(path, flag),
        _ => cannot(path, error),
    })
}

fn taken(path: &Path, flag: &str) -> Failure {
    let what = format_args!("it already exists; move it away, or write elsewhere with `{flag}`");
    cannot(path, what)
}

fn cannot(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(format_args!("cannot write {}: {what}", path.display()))
}
