//! Whether git is at work where the manifests are. A checkout writes file after file; until it is done, the tree
//! is neither what it was nor what it will be, however still it stands for a moment.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::read_options::ReadOptions;
use crate::model::is_hash;

/// What lies in a git directory while git works; what that means, and what to do if it does not end.
///
/// A rebase counts though it may stand still for hours: it stands at a commit that nobody means to have applied. A
/// merge does not: its conflicts are errors anyway, and without them the files are what its author is about to commit.
const SIGNS: [(&str, &str, &str); 3] = [
    (
        "index.lock",
        "a git operation is under way, so the manifests may be half of one commit and half of another",
        "let it finish (a commit whose message is being written counts), then run this again; if no git process is left, one died here: remove this file",
    ),
    (
        "rebase-merge",
        "a rebase is under way, so the manifests are those of a commit in between",
        "finish it with `git rebase --continue`, or end it with `git rebase --abort`, then run this again",
    ),
    (
        "rebase-apply",
        "a rebase or `git am` is under way, so the manifests are those of a commit in between",
        "finish it with `--continue`, or end it with `--abort`, then run this again",
    ),
];
/// The `.git` file of a worktree or submodule holds one path.
const GITDIR_BYTES_MAX: u64 = 16 << 10;

/// A git repository with a work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct Repository {
    /// Where the work tree begins: the directory with `.git` in it, without links.
    pub top: PathBuf,
    /// Where git keeps its state. It need not exist: a checkout may have removed it for the moment.
    pub git_dir: PathBuf,
}

/// A `.git` of which nobody can tell whether it is a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct Unreadable {
    /// The `.git`.
    pub entry: PathBuf,
    /// What is wrong with it, after its name.
    pub reason: String,
}

/// The repository of which `root` is a checkout without a `.git` of its own.
pub(in crate::manifest) fn private_copy(
    options: &ReadOptions,
) -> Option<Result<Repository, Unreadable>> {
    let (git_dir, top) = (options.git_directory.clone()?, options.root.as_deref()?);
    let repository = match fs::canonicalize(top) {
        Ok(top) => Ok(Repository { top, git_dir }),
        Err(error) => Err(Unreadable::new(top.to_owned(), &error)),
    };
    Some(repository)
}

/// The first git operation that is under way in a repository that holds one of `paths`, as the error it is if it
/// does not end. What cannot be looked at counts as one.
pub(in crate::manifest) fn operation_at(paths: &[PathBuf]) -> Option<Diagnostic> {
    paths.iter().find_map(|path| match repository(path) {
        Ok(repository) => operation_in(&repository?.git_dir),
        Err(unreadable) => Some(unreadable.diagnostic()),
    })
}

/// The git operation that is under way in the repository whose state is in `git_dir`.
pub(in crate::manifest) fn operation_in(git_dir: &Path) -> Option<Diagnostic> {
    SIGNS.iter().find_map(|(name, message, help)| {
        let sign = git_dir.join(name);
        match fs::symlink_metadata(&sign) {
            Ok(_) => Some(Diagnostic::of_path(
                &sign.to_string_lossy(),
                *message,
                *help,
            )),
            Err(error) if is_absent(&error) => None,
            Err(error) => Some(Unreadable::new(sign, &error).diagnostic()),
        }
    })
}

/// What git notes of the files of the repository that holds `path`, and of the one around it if that may have it as a
/// submodule: another commit, or the same files committed, changes it. A `.git` that cannot be looked at stands for it.
pub(in crate::manifest) fn indexes(path: &Path) -> Vec<PathBuf> {
    match repository(path) {
        Ok(None) => Vec::new(),
        Ok(Some(inner)) => {
            let superproject = superproject(&inner).map(|superproject| superproject.index());
            [inner.index()].into_iter().chain(superproject).collect()
        }
        Err(unreadable) => vec![unreadable.entry],
    }
}

/// The innermost repository whose work tree holds `path`, which need not exist. One that git looks past counts only where
/// there is no other.
fn repository(path: &Path) -> Result<Option<Repository>, Unreadable> {
    Ok(repositories(path)?.pop())
}

/// The innermost repository whose work tree holds `path`, and before it those inside of it that git is likely to look past.
pub(in crate::manifest) fn repositories(path: &Path) -> Result<Vec<Repository>, Unreadable> {
    let mut found = Vec::new();
    let Ok(path) = std::path::absolute(path) else {
        return Ok(found);
    };
    let mut levels = path.ancestors();
    let Some(path) = levels.find_map(|path| fs::canonicalize(path).ok()) else {
        return Ok(found);
    };
    // Of a directory that cannot be searched, the reading tells, and takes nothing.
    for directory in path.ancestors().skip_while(|path| is_unsearchable(path)) {
        if let Some(repository) = repository_at(directory)? {
            let is_incomplete = repository.is_incomplete();
            found.push(repository);
            if !is_incomplete {
                return Ok(found);
            }
        }
    }
    // Around it there is none that git would find instead.
    found.truncate(1);
    Ok(found)
}

/// The repository around one whose state is elsewhere, as that of a submodule is. What cannot be looked at there keeps
/// nobody from reading what is inside.
pub(in crate::manifest) fn superproject(repository: &Repository) -> Option<Repository> {
    let is_elsewhere = repository.git_dir != repository.top.join(".git");
    let parent = repository.top.parent().filter(|_| is_elsewhere)?;
    self::repository(parent).ok().flatten()
}

fn is_unsearchable(directory: &Path) -> bool {
    let looked = fs::symlink_metadata(directory.join(".git"));
    looked.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The repository whose work tree begins in this directory.
pub(in crate::manifest) fn repository_at(
    directory: &Path,
) -> Result<Option<Repository>, Unreadable> {
    let entry = directory.join(".git");
    let is_link = match fs::symlink_metadata(&entry) {
        Ok(metadata) => metadata.is_symlink(),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(Unreadable::new(entry, &error)),
    };
    let metadata = match fs::metadata(&entry) {
        Ok(metadata) => metadata,
        // It was removed this very moment.
        Err(error) if is_absent(&error) && !is_link => return Ok(None),
        Err(error) => return Err(Unreadable::new(entry, &error)),
    };
    let top = directory.to_owned();
    if metadata.is_dir() {
        return Ok(Some(Repository {
            top,
            git_dir: entry,
        }));
    }
    // Git looks past what is neither a directory nor a file, such as a device that masks it.
    if !metadata.is_file() {
        return Ok(None);
    }
    // A worktree or a submodule: its state is elsewhere.
    let text = match beginning(&entry) {
        Ok(text) => text,
        Err(error) => return Err(Unreadable::new(entry, &error)),
    };
    match text.strip_prefix(b"gitdir: ").map(<[u8]>::trim_ascii_end) {
        Some(target) if !target.is_empty() => {
            let git_dir = directory.join(OsStr::from_bytes(target));
            Ok(Some(Repository { top, git_dir }))
        }
        _ => {
            let reason = "is neither a directory nor a file that begins with `gitdir: `".to_owned();
            Err(Unreadable { entry, reason })
        }
    }
}

/// Of a file that holds one line.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path)?;
    file.take(GITDIR_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

impl Repository {
    /// Whether its `.git` is a directory without what git knows a repository by. Git's own answer is what counts in the
    /// end.
    fn is_incomplete(&self) -> bool {
        if self.git_dir != self.top.join(".git") {
            return false;
        }
        let lacks = |name: &str| {
            let found = fs::symlink_metadata(self.git_dir.join(name));
            found.is_err_and(|error| is_absent(&error))
        };
        !self.may_have_head() || lacks("commondir") && (lacks("objects") || lacks("refs"))
    }

    /// Whether `HEAD` is as git makes it, for all that can be seen.
    fn may_have_head(&self) -> bool {
        let path = self.git_dir.join("HEAD");
        match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return true,
            Ok(_) => {}
            Err(error) => return !is_absent(&error),
        }
        match beginning(&path) {
            Ok(text) => text.starts_with(b"ref:") || is_hash(text.trim_ascii_end()),
            Err(error) => !is_absent(&error),
        }
    }

    /// What git notes of the files of the work tree.
    pub(in crate::manifest) fn index(&self) -> PathBuf {
        self.git_dir.join("index")
    }
}

impl Unreadable {
    pub(in crate::manifest) fn new(entry: PathBuf, error: &io::Error) -> Self {
        let reason = format!("cannot be looked at: {error}");
        Self { entry, reason }
    }

    /// The way out.
    pub(in crate::manifest) fn help(&self) -> &'static str {
        "let the user that sharekeeper runs as read it, mend it, or remove it if this is no git repository"
    }

    /// As a git operation that may be under way.
    pub(in crate::manifest) fn diagnostic(&self) -> Diagnostic {
        let message = format!("{}, so git may be at work on the manifests", self.reason);
        Diagnostic::of_path(&self.entry.to_string_lossy(), message, self.help())
    }
}

/// Whether an error says that there is nothing of that name. Any other one tells nothing.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
