//! Finds out why manifests that git has are not in the work tree, and what their texts contain, because git still has
//! them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::command::Git;
use super::missing::{MissingCause, MissingEntry, MissingText};
use super::tracked_entry::{EntryKind, ListedFrom, TrackedEntry};
use super::tracked_files;
use crate::host::{CommandError, CommandRunner};
use crate::manifest::read_options::ReadOptions;
use crate::manifest::source_text::SourceText;

/// The number of missing files of one repository for which git is asked about filters and texts.
const FILES_ASKED_MAX: usize = 100;

/// The filter of each file that git was asked about; `None` if it has none.
type Filters = BTreeMap<PathBuf, Option<String>>;

impl<P: CommandRunner> Git<'_, P> {
    /// Finds out why each missing entry of a repository is missing. Each comes with the path by which it would be
    /// read.
    pub(in crate::manifest) async fn explain_missing(
        &self,
        top: &Path,
        missing: Vec<(&TrackedEntry, PathBuf)>,
        from: ListedFrom,
        options: &ReadOptions,
    ) -> Vec<MissingEntry> {
        // Without an index, the `.gitattributes` files that name filters may be missing too.
        let filters = match from {
            ListedFrom::Index => self.filters(top, &missing, options).await,
            ListedFrom::Commit => Filters::new(),
        };
        let mut is_asked = true;
        let mut found = Vec::new();
        for (entry, path) in missing {
            let filter = filters.get(&entry.path);
            let mut text = None;
            // The result of a filter is not known, and the content of a link is only the name of its target.
            if is_asked && entry.kind == EntryKind::File && filter == Some(&None) {
                let answer = self.text(top, entry, options).await;
                // If git is slow or cannot be run, it is not asked again.
                is_asked = matches!(answer, Ok(_) | Err(CommandError::Failed { .. }));
                text = answer.ok().flatten();
            }
            found.push(MissingEntry {
                cause: cause(entry, from, filter.cloned().flatten(), options),
                path,
                tracked: entry.path.clone(),
                top: top.to_owned(),
                could_restrict: entry.kind != EntryKind::Submodule,
                text,
            });
        }
        found
    }

    /// The filters of the missing files. A file that the answer lacks may have any filter.
    async fn filters(
        &self,
        top: &Path,
        missing: &[(&TrackedEntry, PathBuf)],
        options: &ReadOptions,
    ) -> Filters {
        let files = missing
            .iter()
            .filter(|(entry, _)| entry.kind == EntryKind::File)
            .take(FILES_ASKED_MAX)
            .map(|(entry, _)| OsString::from(&entry.path));
        let mut arguments = tracked_files::prefix(top, options);
        arguments.extend(["check-attr", "-z", "filter", "--"].map(OsString::from));
        let question = arguments.len();
        arguments.extend(files);
        if arguments.len() == question {
            return Filters::new();
        }
        let answer = self.run(top, arguments).await.unwrap_or_default();
        // Path, attribute and value, each followed by a zero byte.
        let fields: Vec<_> = answer.split(|&byte| byte == 0).collect();
        let filters = fields.chunks_exact(3).map(|fields| {
            let value = String::from_utf8_lossy(fields[2]);
            let filter = match &*value {
                "" | "unset" | "unspecified" => None,
                filter => Some(crate::words::safe(filter)),
            };
            (OsStr::from_bytes(fields[0]).into(), filter)
        });
        filters.collect()
    }

    /// Facts about the text of a missing file, if git has all of it and it is UTF-8.
    async fn text(
        &self,
        top: &Path,
        entry: &TrackedEntry,
        options: &ReadOptions,
    ) -> Result<Option<MissingText>, CommandError> {
        let Some(object) = &entry.object else {
            return Ok(None);
        };
        let mut arguments = tracked_files::prefix(top, options);
        arguments.extend(["cat-file", "blob", object].map(OsString::from));
        let contents = self.contents(top, arguments).await?;
        // After `git add --intent-to-add`, the index holds an empty file.
        let contents = contents.filter(|contents| !contents.is_empty());
        let text = contents.and_then(|contents| String::from_utf8(contents).ok());
        Ok(text.map(|text| MissingText::new(&SourceText::new("", text))))
    }
}

fn cause(
    entry: &TrackedEntry,
    from: ListedFrom,
    filter: Option<String>,
    options: &ReadOptions,
) -> MissingCause {
    let is_private = options.git_directory.is_some();
    match (entry.kind, from) {
        (EntryKind::Submodule, _) if is_private => MissingCause::SubmoduleOfCopy,
        (EntryKind::Submodule, _) => MissingCause::Submodule,
        _ if is_private => MissingCause::NotInCopy,
        _ if entry.is_sparse => MissingCause::Sparse,
        (_, ListedFrom::Commit) => MissingCause::Checkout,
        (_, ListedFrom::Index) => filter.map_or(MissingCause::Deleted, MissingCause::Filter),
    }
}
