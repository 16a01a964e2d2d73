//! Finds the repositories that hold manifests, without running git, and detects a git operation in progress. A checkout
//! writes one file after another; until it is done, the tree is neither the old one nor the new one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::read_options::ReadOptions;
use crate::model::is_hash;

/// Files in a git directory that show an operation in progress: name, message, and the remedy if it does not end.
///
/// A rebase counts although it may pause for hours, because the files belong to a commit that nobody intends to apply.
/// A merge does not count: conflicts are errors anyway, and without them the files are what their author is about to
/// commit.
const SIGNS: [(&str, &str, &str); 3] = [
    (
        "index.lock",
        "a git operation is in progress, so the manifests may be half of one commit and half of another",
        "let it finish (a commit whose message is being written counts), then run this again; if no git process is running, one died here: remove this file",
    ),
    (
        "rebase-merge",
        "a rebase is in progress, so the manifests belong to an intermediate commit",
        "finish it with `git rebase --continue`, or end it with `git rebase --abort`, then run this again",
    ),
    (
        "rebase-apply",
        "a rebase or `git am` is in progress, so the manifests belong to an intermediate commit",
        "finish it with `--continue`, or end it with `--abort`, then run this again",
    ),
];
/// The size limit for the `.git` file of a worktree or submodule, which holds one path.
const GITDIR_BYTES_MAX: u64 = 16 << 10;

/// A git repository with a work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct Repository {
    /// The top of the work tree: the directory that holds `.git`, without links.
    pub top: PathBuf,
    /// The directory of git's data. It need not exist: a checkout may have removed it for a moment.
    pub git_dir: PathBuf,
}

/// A `.git` that may or may not be a repository, because it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct Unreadable {
    /// Path of the `.git` or of the file in it that cannot be read.
    pub entry: PathBuf,
    /// The fault in it, as the predicate of a sentence.
    pub reason: String,
}

/// The repository that `root` was checked out from without its own `.git`, if the options name one.
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

/// The first operation in progress in a repository that holds one of `paths`, as the error to report if it does not
/// end. A `.git` that cannot be read counts as one.
pub(in crate::manifest) fn operation_at(paths: &[PathBuf]) -> Option<Diagnostic> {
    paths.iter().find_map(|path| match repository(path) {
        Ok(repository) => operation_in(&repository?.git_dir),
        Err(unreadable) => Some(unreadable.diagnostic()),
    })
}

/// The operation in progress in the repository with this git directory, as an error.
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

/// The index of the repository that holds `path`, and the index of its superproject if it may be a submodule. Another
/// commit, or committing the same files, changes them. A `.git` that cannot be read takes the place of its index.
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

/// The innermost repository whose work tree holds `path`, which need not exist. A repository that git would skip counts
/// only if there is no other.
fn repository(path: &Path) -> Result<Option<Repository>, Unreadable> {
    Ok(repositories(path)?.pop())
}

/// The innermost repository whose work tree holds `path`, preceded by those inside of it that git probably skips.
pub(in crate::manifest) fn repositories(path: &Path) -> Result<Vec<Repository>, Unreadable> {
    let mut found = Vec::new();
    let Ok(path) = std::path::absolute(path) else {
        return Ok(found);
    };
    let mut levels = path.ancestors();
    let Some(path) = levels.find_map(|path| fs::canonicalize(path).ok()) else {
        return Ok(found);
    };
    // A directory that cannot be searched is reported when the manifests are read.
    for directory in path.ancestors().skip_while(|path| is_unsearchable(path)) {
        if let Some(repository) = repository_at(directory)? {
            let is_incomplete = repository.is_incomplete();
            found.push(repository);
            if !is_incomplete {
                return Ok(found);
            }
        }
    }
    // There is no repository around it that git would find instead.
    found.truncate(1);
    Ok(found)
}

/// The repository around one whose git directory is elsewhere, as for a submodule. If it cannot be read, the submodule
/// can still be used.
pub(in crate::manifest) fn superproject(repository: &Repository) -> Option<Repository> {
    let is_elsewhere = repository.git_dir != repository.top.join(".git");
    let parent = repository.top.parent().filter(|_| is_elsewhere)?;
    self::repository(parent).ok().flatten()
}

fn is_unsearchable(directory: &Path) -> bool {
    let looked = fs::symlink_metadata(directory.join(".git"));
    looked.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The repository whose work tree has this directory as its top.
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
        // It was removed in between.
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
    // git ignores everything except a directory or a file, for example a device that masks the name.
    if !metadata.is_file() {
        return Ok(None);
    }
    // In a worktree or a submodule, `.git` is a file that names the git directory.
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

/// The first bytes of a file that should hold one line.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path)?;
    file.take(GITDIR_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

impl Repository {
    /// Whether `.git` is a directory without the files by which git recognises a repository. In the end, git's own
    /// answer decides.
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

    /// Whether `HEAD` may have been written by git. If it cannot be read, it may have been.
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

    /// Path of the index file.
    pub(in crate::manifest) fn index(&self) -> PathBuf {
        self.git_dir.join("index")
    }
}

impl Unreadable {
    pub(in crate::manifest) fn new(entry: PathBuf, error: &io::Error) -> Self {
        let reason = format!("cannot be accessed: {error}");
        Self { entry, reason }
    }

    pub(in crate::manifest) fn help(&self) -> &'static str {
        "give read access to the user that runs sharekeeper, repair it, or remove it if this is not a git repository"
    }

    /// The error to report while an operation may be in progress.
    pub(in crate::manifest) fn diagnostic(&self) -> Diagnostic {
        let message = format!("{}, so git may be changing the manifests", self.reason);
        Diagnostic::of_path(&self.entry.to_string_lossy(), message, self.help())
    }
}

/// Whether an error means that nothing exists at a path. All other errors are inconclusive.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
