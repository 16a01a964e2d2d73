//! The result of one reading of the manifests, as plain values by which two readings can be compared.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::git::repository::Unreadable;
use crate::manifest::git::searched_directory::SearchedDirectory;
use crate::manifest::source_text::SourceText;
use crate::model::Timestamp;

/// The result of reading the paths once.
#[derive(Default)]
pub(in crate::manifest) struct Reading {
    pub sources: Vec<SourceText>,
    /// Two readings agree if these are equal.
    pub found: Found,
    /// Files named like manifests and links of any name, by the path by which they were found.
    pub listed: BTreeSet<PathBuf>,
    /// Directories that cannot be listed: their contents are not in `listed`.
    pub unlisted: BTreeSet<PathBuf>,
    /// Time of the latest change to a file or directory of the set.
    pub changed: Option<Timestamp>,
    /// Whether files of one volume were reached through different versions of it, so that the reading mixes two sets.
    pub torn: bool,
}

/// The content that was found at the paths. Two are equal only if the manifests are equal.
#[derive(Default, PartialEq, Eq)]
pub(in crate::manifest) struct Found {
    /// The files in the order in which they were found.
    pub files: Vec<FoundFile>,
    /// Further paths to files that were read: a directory, and the file with links resolved. Restrictions apply along
    /// each of them.
    pub aliases: Vec<(PathBuf, PathBuf)>,
    /// Problems of paths that cannot be read.
    pub problems: Vec<Diagnostic>,
    /// Directories that a `Restriction` in an unreadable path might apply to.
    pub maybe_restricted: Vec<PathBuf>,
    /// Whether an unreadable path may have declared an account.
    pub may_lack_account: bool,
    /// Given directories without manifests, each with the problem to report unless git shows a more precise one.
    pub empty: Vec<(PathBuf, Diagnostic)>,
    /// Files that are not read although their names are nearly those of manifests.
    pub near_misses: Vec<PathBuf>,
    /// Files that no directory entry leads to, in the order in which they were found.
    pub unlinked: Vec<PathBuf>,
    /// Searched directories in git work trees, or a `.git` that cannot be read.
    pub searched: Vec<Result<SearchedDirectory, Unreadable>>,
}

/// A file that was read, identified by its contents.
#[derive(PartialEq, Eq)]
pub(in crate::manifest) struct FoundFile {
    pub path: PathBuf,
    /// Path with all links resolved.
    pub resolved: PathBuf,
    pub length: usize,
    /// It protects against accidents, not malice: a person who can write the manifests needs no collision.
    pub hash: u64,
}
