//! Asks git which files it tracks below the searched directories. Without an index, no checkout was ever completed, and
//! the commit is asked instead.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::command::{Git, literal};
use super::searched_directory::SearchedDirectory;
use super::tracked_entry::{ListedFrom, TrackedEntry, parse};
use super::unverified::Unverified;
use crate::host::{CommandError, CommandRunner};
use crate::manifest::read_options::ReadOptions;
use crate::model::is_hash;

/// The variable by which git tells its hooks which index to use.
const INDEX_VARIABLE: &str = "GIT_INDEX_FILE";

/// Git's answer about a directory that seems to be the top of a work tree.
pub(in crate::manifest) enum TrackedFiles {
    /// It is the top of a work tree.
    Listed {
        entries: Vec<TrackedEntry>,
        from: ListedFrom,
        /// Hash of the commit that is checked out, if there is one.
        head: Option<String>,
    },
    /// The `.git` in it is not a repository for git, which takes the directory for a part of this work tree.
    PartOf(PathBuf),
}

/// The position of a directory in a work tree, according to git.
struct WorkTreePosition {
    is_in_work_tree: bool,
    /// Relative to the top of the work tree; empty if it is the top.
    inside: PathBuf,
    head: Option<String>,
}

impl<P: CommandRunner> Git<'_, P> {
    /// The entries that git has below the searched directories of one work tree.
    pub(in crate::manifest) async fn entries(
        &self,
        top: &Path,
        searched: &[&SearchedDirectory],
        options: &ReadOptions,
    ) -> Result<TrackedFiles, Unverified> {
        let index = options
            .index_file
            .as_deref()
            .filter(|index| searched.iter().any(|searched| searched.owns(index)));
        let is_absent = searched.iter().any(|searched| searched.index.is_absent());
        let from = match is_absent && index.is_none() {
            true => ListedFrom::Commit,
            false => ListedFrom::Index,
        };
        let mut head = None;
        if options.git_directory.is_none() {
            let position = self.position(top).await?;
            let levels = position.inside.components().count();
            if let Some(around) = top.ancestors().nth(levels).filter(|_| levels > 0) {
                return Ok(TrackedFiles::PartOf(around.to_owned()));
            }
            head = position.head;
            if !position.is_in_work_tree {
                return match from {
                    ListedFrom::Commit => Ok(TrackedFiles::empty(head)),
                    ListedFrom::Index => Err(Unverified::new(
                        top,
                        "git has an index here, but does not treat this as a work tree",
                        "check `core.bare` and `core.worktree` in its settings, or give paths outside of this repository",
                    )),
                };
            }
        }
        if from == ListedFrom::Commit && !self.has_head(top, options).await? {
            return Ok(TrackedFiles::empty(head));
        }
        let arguments = question(top, searched, from, options);
        let passed_on: &[_] = if index.is_some() {
            &[INDEX_VARIABLE]
        } else {
            &[]
        };
        let list = self
            .list_with(top, arguments, passed_on)
            .await
            .map_err(|error| Unverified::git_failed(top, &error))?;
        let list = list.ok_or_else(|| {
            Unverified::new(
                top,
                "the list of its files is too long",
                "give narrower paths",
            )
        })?;
        let entries = parse(&list, from).ok_or_else(|| {
            let reason = "the list of its files has an unknown format";
            Unverified::new(
                top,
                reason,
                "use another version of git, or give paths outside of this repository",
            )
        })?;
        Ok(TrackedFiles::Listed {
            entries,
            from,
            head,
        })
    }

    /// Asks where a directory is. Nothing can be missing from a bare repository, or from one whose work tree is
    /// elsewhere.
    async fn position(&self, directory: &Path) -> Result<WorkTreePosition, Unverified> {
        // Before the first commit, the last answer is missing.
        let arguments = [
            "rev-parse",
            "--is-inside-work-tree",
            "--show-prefix",
            "--revs-only",
            "HEAD",
        ];
        let answer = self.run(directory, arguments.map(OsString::from)).await;
        let answer = answer.map_err(|error| Unverified::git_failed(directory, &error))?;
        let mut lines = answer.splitn(2, |&byte| byte == b'\n');
        let is_in_work_tree = lines.next() == Some(b"true");
        let rest = lines.next().unwrap_or_default().trim_ascii_end();
        let start = rest.iter().rposition(|&byte| byte == b'\n');
        let last = &rest[start.map_or(0, |at| at + 1)..];
        let (inside, head) = match is_hash(last) {
            true => (
                &rest[..start.unwrap_or(0)],
                Some(String::from_utf8_lossy(last).into_owned()),
            ),
            false => (rest, None),
        };
        Ok(WorkTreePosition {
            is_in_work_tree,
            inside: OsStr::from_bytes(inside).into(),
            head,
        })
    }

    /// Whether there is a commit that could have been checked out.
    async fn has_head(&self, top: &Path, options: &ReadOptions) -> Result<bool, Unverified> {
        let mut arguments = prefix(top, options);
        arguments.extend(["rev-parse", "--quiet", "--verify", "HEAD^{commit}"].map(OsString::from));
        match self.run(top, arguments).await {
            Ok(_) => Ok(true),
            // This is git's answer before the first commit.
            Err(CommandError::Failed { reason, .. }) if reason.is_empty() => Ok(false),
            Err(error) => Err(Unverified::git_failed(top, &error)),
        }
    }
}

impl TrackedFiles {
    fn empty(head: Option<String>) -> Self {
        Self::Listed {
            entries: Vec::new(),
            from: ListedFrom::Commit,
            head,
        }
    }
}

/// The arguments of git that list the entries below the directories that were searched.
fn question(
    top: &Path,
    searched: &[&SearchedDirectory],
    from: ListedFrom,
    options: &ReadOptions,
) -> Vec<OsString> {
    let question: &[&str] = match from {
        ListedFrom::Index => &["ls-files", "--stage", "-t", "-z", "--"],
        ListedFrom::Commit => &["ls-tree", "-r", "-z", "--full-tree", "HEAD", "--"],
    };
    let mut arguments = prefix(top, options);
    arguments.extend(question.iter().map(OsString::from));
    let insides: BTreeSet<_> = searched.iter().map(|searched| &searched.inside).collect();
    if insides.iter().all(|inside| !inside.as_os_str().is_empty()) {
        let below = |inside: &&PathBuf| match from {
            ListedFrom::Index => literal(inside),
            ListedFrom::Commit => OsString::from(inside),
        };
        arguments.extend(insides.iter().map(below));
    }
    arguments
}

/// Options that name the repository, if it cannot be found by its `.git`.
pub(in crate::manifest) fn prefix(top: &Path, options: &ReadOptions) -> Vec<OsString> {
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(name);
        option.push(path);
        option
    };
    match &options.git_directory {
        Some(git_dir) => vec![option("--git-dir=", git_dir), option("--work-tree=", top)],
        None => Vec::new(),
    }
}
