//! What git says of the manifests: which commit they are of, and when that was made. It is told to people and kept with
//! what was done on it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::git::Git;
use crate::host::{ProgramError, Programs};
use crate::model::{Commit, Timestamp};

/// The git commit that manifests are of. Displays as its full hash, with `-dirty` after it if the manifests are not
/// as that commit has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    commit: Commit,
    is_dirty: bool,
}

impl Revision {
    /// The revision of the manifests at `paths`. They are dirty if anything in them is changed, staged or untracked,
    /// or if a manifest is hidden from git by an ignore rule, which does not hide it from us.
    ///
    /// `None` where there is no git, no repository, no commit yet, more than one repository, or one that git does
    /// not trust because somebody else owns it. It is what git says *now*: ask right after reading the manifests.
    pub async fn of<P: Programs>(paths: &[PathBuf], programs: &P) -> Option<Self> {
        match ask(paths, &Git(programs)).await {
            Ok(revision) => revision,
            Err(error) => {
                tracing::debug!(%error, "the commit of the manifests is not known");
                None
            }
        }
    }

    /// The full hash, in hexadecimal.
    pub fn commit(&self) -> &str {
        &self.commit.hash
    }

    /// The commit, if the manifests are as it has them.
    pub fn clean(&self) -> Option<&Commit> {
        (!self.is_dirty).then_some(&self.commit)
    }

    /// Whether the manifests are not as the commit has them.
    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.is_dirty { "-dirty" } else { "" };
        write!(f, "{}{suffix}", self.commit.hash)
    }
}

async fn ask<P: Programs>(
    paths: &[PathBuf],
    git: &Git<'_, P>,
) -> Result<Option<Revision>, ProgramError> {
    let Some(places) = places(paths) else {
        return Ok(None);
    };
    let mut head = None;
    for directory in places.keys() {
        let arguments = ["rev-parse", "--show-toplevel", "HEAD^{commit}"];
        let there = git.run(directory, arguments.map(OsString::from)).await?;
        if *head.get_or_insert_with(|| there.clone()) != there {
            return Ok(None);
        }
    }
    let (Some(hash), Some(directory)) = (
        head.as_deref().and_then(last_line_as_hash),
        places.keys().next(),
    ) else {
        return Ok(None);
    };
    // Of this very commit: another may be checked out by now.
    let arguments = ["rev-list", "--max-count=1", "--timestamp", &hash];
    let dated = git.run(directory, arguments.map(OsString::from)).await?;
    let Some(committed) = first_word_as_time(&dated) else {
        return Ok(None);
    };
    let mut is_dirty = false;
    for (directory, place) in &places {
        is_dirty = is_dirty || git.has_changes(directory, place).await?;
    }
    let commit = Commit { hash, committed };
    Ok(Some(Revision { commit, is_dirty }))
}

/// What of a directory was given.
#[derive(Default)]
struct Place {
    whole: bool,
    files: Vec<OsString>,
}

/// By the directories to ask in, without links: what a link leads to is what is read. `None` if a path is not there.
fn places(paths: &[PathBuf]) -> Option<BTreeMap<PathBuf, Place>> {
    let mut places: BTreeMap<PathBuf, Place> = BTreeMap::new();
    for path in paths {
        let path = std::fs::canonicalize(path).ok()?;
        if path.is_dir() {
            places.entry(path).or_default().whole = true;
        } else {
            let mut pathspec = OsString::from(":(literal)");
            pathspec.push(path.file_name()?);
            let directory = path.parent()?.to_owned();
            places.entry(directory).or_default().files.push(pathspec);
        }
    }
    Some(places)
}

impl<P: Programs> Git<'_, P> {
    async fn has_changes(&self, directory: &Path, place: &Place) -> Result<bool, ProgramError> {
        let (all, manifests) = if place.whole {
            let manifests = [":(glob)**/*.yaml", ":(glob)**/*.yml"].map(OsString::from);
            (vec![".".into()], manifests.to_vec())
        } else {
            (place.files.clone(), place.files.clone())
        };
        let status = [
            "status",
            "--porcelain",
            "-z",
            "--untracked-files=normal",
            "--",
        ];
        let status = status.map(OsString::from).into_iter().chain(all);
        if !self.run(directory, status).await?.is_empty() {
            return Ok(true);
        }
        let ignored = [
            "ls-files",
            "-z",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--",
        ];
        let ignored = ignored.map(OsString::from).into_iter().chain(manifests);
        let ignored = self.run(directory, ignored).await?;
        let mut paths = ignored
            .split(|&byte| byte == 0)
            .filter(|path| !path.is_empty());
        Ok(paths.any(|path| !place.whole || is_read(path)))
    }
}

/// Whether a file below a directory is read, by its name: none of it begins with `.` or `_`.
fn is_read(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .all(|name| !name.starts_with(b".") && !name.starts_with(b"_"))
}

/// The line before it may hold anything, a line break too.
fn last_line_as_hash(output: &[u8]) -> Option<String> {
    let line = output
        .trim_ascii_end()
        .rsplit(|&byte| byte == b'\n')
        .next()?;
    let is_hash = matches!(line.len(), 40 | 64) && line.iter().all(u8::is_ascii_hexdigit);
    is_hash.then(|| String::from_utf8_lossy(line).into_owned())
}

/// Seconds since 1970, and then the hash.
fn first_word_as_time(output: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(output).ok()?;
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    DateTime::from_timestamp(seconds, 0)
}
