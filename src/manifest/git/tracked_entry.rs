//! Entries of git's index or of a commit, parsed from what git prints.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::model::is_hash;

/// An entry of the index, or of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct TrackedEntry {
    pub kind: EntryKind,
    /// Whether a sparse checkout leaves it out.
    pub is_sparse: bool,
    /// The hash of its contents, or of a submodule's commit; `None` if a merge left several versions of it.
    pub object: Option<String>,
    /// Relative to the top of the work tree.
    pub path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum EntryKind {
    File,
    Link,
    Submodule,
}

/// Whether entries were read from the index or from the commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::manifest) enum ListedFrom {
    Index,
    /// There is no index, so no checkout was ever completed.
    Commit,
}

/// Parses the output of `git ls-files --stage -t -z` or `git ls-tree -z`. `None` if the output has an unknown format.
pub(in crate::manifest) fn parse(list: &[u8], from: ListedFrom) -> Option<Vec<TrackedEntry>> {
    let records = list.strip_suffix(&[0]).unwrap_or(list);
    let records = records.split(|&byte| byte == 0);
    let entries = records.filter(|record| !record.is_empty()).map(|record| {
        let tab = record.iter().position(|&byte| byte == b'\t')?;
        let (head, path) = (
            std::str::from_utf8(&record[..tab]).ok()?,
            &record[tab + 1..],
        );
        let mut words = head.split(' ');
        let is_sparse = from == ListedFrom::Index && words.next()? == "S";
        let kind = match words.next()? {
            "160000" => EntryKind::Submodule,
            "120000" => EntryKind::Link,
            mode if mode.starts_with("100") => EntryKind::File,
            _ => return None,
        };
        // `git ls-tree` prints the type before the hash.
        let object = words.nth(usize::from(from == ListedFrom::Commit))?;
        Some(TrackedEntry {
            kind,
            is_sparse,
            object: is_hash(object.as_bytes()).then(|| object.to_owned()),
            path: Path::new(OsStr::from_bytes(path)).to_owned(),
        })
    });
    let mut entries: Vec<_> = entries.collect::<Option<_>>()?;
    // An unmerged entry is listed up to three times.
    entries.dedup_by(|next, kept| {
        let is_same = next.path == kept.path;
        if is_same {
            kept.object = None;
        }
        is_same
    });
    Some(entries)
}
