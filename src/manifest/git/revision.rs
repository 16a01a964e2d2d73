//! The commit of the manifests, its date, and its relation to another commit.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::changes::Extent;
use super::command::Git;
use super::revision_error::{RevisionError, shown};
use crate::host::{CommandError, CommandRunner};
use crate::model::{Ancestry, Commit, Gap, Timestamp, is_hash};

/// The git commit of the manifests, or why it is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// The manifests are from this commit, or differ from it if it is dirty.
    Known(Checkout),
    /// There is a repository, but it does not show the commit.
    Unknown(RevisionError),
    /// None of them is in a repository.
    NoRepository,
}

/// A commit that is checked out. Displays as its full hash, followed by `-dirty` if the manifests differ from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    commit: Commit,
    is_dirty: bool,
    /// Top of the work tree that it is checked out in.
    top: PathBuf,
}

impl Revision {
    /// The revision of the manifests at `paths`. It is dirty if a file that is read as a manifest is changed, staged,
    /// deleted, untracked or ignored by git. The answer is about this moment: ask right after reading the manifests.
    pub async fn of<P: CommandRunner>(paths: &[PathBuf], runner: &P) -> Self {
        match ask(paths, &Git(runner)).await {
            Ok(Some(checkout)) => Self::Known(checkout),
            Ok(None) => Self::NoRepository,
            Err(unknown) => Self::Unknown(unknown),
        }
    }

    /// The checkout, if the commit is known.
    pub fn checkout(&self) -> Option<&Checkout> {
        match self {
            Self::Known(checkout) => Some(checkout),
            Self::Unknown(_) | Self::NoRepository => None,
        }
    }

    /// The commit in the form for people, if it is known.
    pub fn shown(&self) -> Option<String> {
        self.checkout().map(Checkout::to_string)
    }
}

impl Checkout {
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The commit, if the manifests do not differ from it.
    pub fn clean(&self) -> Option<&Commit> {
        (!self.is_dirty).then_some(&self.commit)
    }

    /// Whether the manifests differ from the commit.
    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// How the commit relates to `newest` in the history of this repository. Fails only if git does not answer; a
    /// commit that the repository lacks is an answer.
    pub async fn ancestry<P: CommandRunner>(
        &self,
        newest: &Commit,
        runner: &P,
    ) -> Result<Ancestry, RevisionError> {
        let (git, here) = (Git(runner), &self.commit.hash);
        if *here == newest.hash {
            // Every commit contains itself; git need not be asked.
            return Ok(Ancestry::Descendant);
        }
        let unknown = |error| RevisionError::of(error, &self.top);
        let absent = Ancestry::Unconnected(Gap::Absent);
        let is_shallow = async || git.is_shallow(&self.top).await.map_err(unknown);
        let Some(there) = newest.full_hash() else {
            // No repository has such a commit.
            return Ok(absent);
        };
        if !git.has_commit(&self.top, there).await.map_err(unknown)? {
            return Ok(match is_shallow().await? {
                true => Ancestry::Unconnected(Gap::Shallow),
                false => absent,
            });
        }
        let contains = async |part, whole| {
            let contains = git.contains(&self.top, part, whole).await;
            contains.map_err(unknown)
        };
        if contains(here, there).await? {
            return Ok(Ancestry::Ancestor);
        }
        if contains(there, here).await? {
            return Ok(Ancestry::Descendant);
        }
        Ok(Ancestry::Unconnected(match is_shallow().await? {
            true => Gap::CutOff,
            false => Gap::Diverged,
        }))
    }
}

impl fmt::Display for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.is_dirty { "-dirty" } else { "" };
        write!(f, "{}{suffix}", self.commit.hash)
    }
}

/// The checkout of all paths; `None` if there is no repository.
async fn ask<P: CommandRunner>(
    paths: &[PathBuf],
    git: &Git<'_, P>,
) -> Result<Option<Checkout>, RevisionError> {
    let extent = Extent::of(paths)?;
    let places = extent.places();
    let Some(first) = one_repository(&places)? else {
        return Ok(None);
    };
    let mut head: Option<Head> = None;
    for (directory, repository) in &places {
        let repository = repository.as_ref().unwrap_or(directory);
        let there = git.head(directory, repository).await?;
        match &head {
            None => head = Some(there),
            Some(head) if *head == there => {}
            Some(head) => {
                return Err(RevisionError::Several {
                    one: head.top.clone(),
                    other: there.top,
                });
            }
        }
    }
    let Some(Head { top, hash }) = head else {
        return Ok(None);
    };
    let unknown = |error| RevisionError::of(error, &first);
    // Asked for this commit, because another one may be checked out by now.
    let committed = git.date(&top, &hash).await.map_err(unknown)?;
    let committed = committed.ok_or_else(|| RevisionError::Failed {
        repository: top.clone(),
        reason: format!("it gives no date of commit {hash}"),
    })?;
    if let Some(elsewhere) = places.keys().find(|place| !place.starts_with(&top)) {
        let reason = format!("its working tree is {}", shown(&top));
        return Err(RevisionError::Failed {
            repository: elsewhere.clone(),
            reason,
        });
    }
    let is_dirty = extent.has_changes(&top, git).await?;
    Ok(Some(Checkout {
        commit: Commit { hash, committed },
        is_dirty,
        top,
    }))
}

/// The first repository if every directory is in one; `None` if none is.
fn one_repository(
    places: &BTreeMap<PathBuf, Option<PathBuf>>,
) -> Result<Option<PathBuf>, RevisionError> {
    let inside = places.iter().find(|(_, repository)| repository.is_some());
    let outside = places.iter().find(|(_, repository)| repository.is_none());
    match (inside, outside) {
        (None, _) => Ok(None),
        (Some((_, repository)), None) => Ok(repository.clone()),
        (Some((inside, _)), Some((outside, _))) => Err(RevisionError::Outside {
            inside: inside.clone(),
            outside: outside.clone(),
        }),
    }
}

/// A commit and the work tree that it is checked out in.
#[derive(PartialEq, Eq)]
struct Head {
    top: PathBuf,
    hash: String,
}

impl<P: CommandRunner> Git<'_, P> {
    async fn head(&self, directory: &Path, repository: &Path) -> Result<Head, RevisionError> {
        let arguments = ["rev-parse", "--show-toplevel", "HEAD^{commit}"];
        let output = match self.run(directory, arguments.map(OsString::from)).await {
            Ok(output) => output,
            Err(error) => {
                let unknown = RevisionError::of(error, repository);
                let is_refused = matches!(unknown, RevisionError::Failed { .. });
                return Err(match is_refused && self.top(directory).await.is_ok() {
                    // The top has an answer, so the one for `HEAD` is missing.
                    true => RevisionError::NoCommit {
                        repository: repository.to_owned(),
                    },
                    false => unknown,
                });
            }
        };
        last_line_as_hash(&output).ok_or_else(|| RevisionError::Failed {
            repository: repository.to_owned(),
            reason: "it does not tell which commit is checked out".into(),
        })
    }

    async fn date(&self, top: &Path, hash: &str) -> Result<Option<Timestamp>, CommandError> {
        let arguments = ["rev-list", "--max-count=1", "--timestamp", hash];
        let output = self.run(top, arguments.map(OsString::from)).await?;
        Ok(first_word_as_time(&output))
    }

    async fn is_shallow(&self, top: &Path) -> Result<bool, CommandError> {
        let arguments = ["rev-parse", "--is-shallow-repository"].map(OsString::from);
        Ok(self.run(top, arguments).await?.trim_ascii() == b"true")
    }

    async fn has_commit(&self, top: &Path, hash: &str) -> Result<bool, CommandError> {
        let commit = format!("{hash}^{{commit}}");
        let arguments = ["rev-parse", "--verify", "--quiet", &commit];
        yes_or_no(self.run(top, arguments.map(OsString::from)).await)
    }

    /// Whether commit `whole` is commit `part` or a descendant of it.
    async fn contains(&self, top: &Path, part: &str, whole: &str) -> Result<bool, CommandError> {
        let arguments = ["merge-base", "--is-ancestor", "--", part, whole];
        yes_or_no(self.run(top, arguments.map(OsString::from)).await)
    }
}

/// The answer to a question that git answers by its exit status: 0 is yes, 1 is no, anything else is an error.
fn yes_or_no(answer: Result<Vec<u8>, CommandError>) -> Result<bool, CommandError> {
    match answer {
        Ok(_) => Ok(true),
        Err(CommandError::Failed { code: Some(1), .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Parses a path and a hash. The path may hold line breaks, so only the last line is the hash.
fn last_line_as_hash(output: &[u8]) -> Option<Head> {
    let output = output.trim_ascii_end();
    let end = output.iter().rposition(|&byte| byte == b'\n')?;
    let (top, hash) = (&output[..end], &output[end + 1..]);
    is_hash(hash).then(|| Head {
        top: PathBuf::from(OsStr::from_bytes(top)),
        hash: String::from_utf8_lossy(hash).into_owned(),
    })
}

/// Parses seconds since 1970, which are followed by the hash.
fn first_word_as_time(output: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(output).ok()?;
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    DateTime::from_timestamp(seconds, 0)
}
