//! What one reading of the manifests gave, as values.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::git::repository::Unreadable;
use crate::manifest::git::searched_directory::SearchedDirectory;
use crate::manifest::source_text::SourceText;
use crate::model::Timestamp;

/// What one reading of the paths gave.
#[derive(Default)]
pub(in crate::manifest) struct Reading {
    pub sources: Vec<SourceText>,
    /// What two readings are compared by.
    pub found: Found,
    /// What has the name of a manifest, and links of any name, by the path that it was come upon by.
    pub listed: BTreeSet<PathBuf>,
    /// What could not be looked into: what is there of it is not in `listed`.
    pub unlisted: BTreeSet<PathBuf>,
    /// The latest change to a file or directory of the set.
    pub changed: Option<Timestamp>,
    /// Files of one volume were reached through different versions of it.
    pub torn: bool,
}

/// What was found at the paths: equal only if the manifests are.
#[derive(Default, PartialEq, Eq)]
pub(in crate::manifest) struct Found {
    /// In the order in which they were come upon.
    pub files: Vec<FoundFile>,
    /// Further ways to files: the directory, and the file without links. What governs a file depends on them.
    pub aliases: Vec<(PathBuf, PathBuf)>,
    /// The paths that cannot be read, and why.
    pub problems: Vec<Diagnostic>,
    /// The directories that a `Restriction` in what cannot be read might be about.
    pub maybe_restricted: Vec<PathBuf>,
    /// One of what cannot be read declared an account, for all that is known of it.
    pub may_lack_account: bool,
    /// Given directories that hold no manifests, each as the problem that it is unless git knows of a deeper one.
    pub empty: Vec<(PathBuf, Diagnostic)>,
    /// Files that are not read, though their names are nearly those of manifests.
    pub near_misses: Vec<PathBuf>,
    /// Directories that lie in git work trees, or in something like it that cannot be looked at.
    pub searched: Vec<Result<SearchedDirectory, Unreadable>>,
}

/// One file, by its contents.
#[derive(PartialEq, Eq)]
pub(in crate::manifest) struct FoundFile {
    pub path: PathBuf,
    /// Without links.
    pub resolved: PathBuf,
    pub length: usize,
    /// Against chance, not against malice: whoever can write the manifests needs no collision.
    pub hash: u64,
}
