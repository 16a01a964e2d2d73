//! Whether git is at work where the manifests are. A checkout writes file after file; until it is done, the tree
//! is neither what it was nor what it will be, however still it stands for a moment.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;

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

/// The first git operation that is under way in a repository that holds one of `paths`, as the error it is if it
/// does not end.
pub(super) fn under_way(paths: &[PathBuf]) -> Option<Diagnostic> {
    let signs = |directory: PathBuf| {
        SIGNS.iter().find_map(|(name, message, help)| {
            let sign = directory.join(name);
            let there = fs::symlink_metadata(&sign).is_ok();
            there.then(|| Diagnostic::of_path(&sign.to_string_lossy(), *message, *help))
        })
    };
    paths
        .iter()
        .filter_map(|path| git_directory(path))
        .find_map(signs)
}

/// What git notes of the files of the repository that holds `path`: another commit, or the same files committed,
/// changes it.
pub(super) fn index(path: &Path) -> Option<PathBuf> {
    git_directory(path).map(|directory| directory.join("index"))
}

/// Where git keeps its state for the innermost repository that holds `path`, which need not exist: a checkout may
/// have removed it for the moment.
fn git_directory(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let path = path
        .ancestors()
        .find_map(|path| fs::canonicalize(path).ok())?;
    path.ancestors().find_map(|directory| {
        let entry = directory.join(".git");
        let metadata = fs::metadata(&entry).ok()?;
        if metadata.is_dir() {
            return Some(entry);
        }
        // A worktree or a submodule: its state is elsewhere.
        let mut text = Vec::new();
        File::open(&entry)
            .ok()
            .filter(|_| metadata.is_file())?
            .take(GITDIR_BYTES_MAX)
            .read_to_end(&mut text)
            .ok()?;
        let target = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
        Some(directory.join(OsStr::from_bytes(target)))
    })
}
