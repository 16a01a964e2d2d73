//! Compares the files that were read with those that git tracks. A submodule that was not fetched, a sparse checkout, a
//! checkout that failed halfway or a deleted file leaves valid YAML that is only a part of the set.
//!
//! git is asked once for each reading, without taking a lock and without writing or fetching anything. If it cannot be
//! asked, the set is used, but its completeness is unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::case_collisions::folded;
use super::reading::{Found, Reading};
use super::stable_read::{self, PAUSE, READ_TIMEOUT};
use crate::desired::Completeness;
use crate::host::{Clock, CommandRunner};
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::file_state::FileState;
use crate::manifest::git::command::Git;
use crate::manifest::git::missing::{self, MissingEntry};
use crate::manifest::git::searched_directory::SearchedDirectory;
use crate::manifest::git::tracked_entry::{EntryKind, TrackedEntry};
use crate::manifest::git::tracked_files::TrackedFiles;
use crate::manifest::git::unverified::{self, Unverified};
use crate::manifest::paths::maybe_restricted_by;
use crate::manifest::read_options::ReadOptions;

/// A reading, and whether it is known to be complete.
pub(in crate::manifest) struct CheckedReading {
    /// The reading. Its problems include the files that git has but the work tree lacks.
    pub reading: Reading,
    pub completeness: Completeness,
    /// Why the completeness is unknown.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the manifests at `paths` until they no longer change, and asks git what is missing.
pub(in crate::manifest) async fn read<C: Clock, P: CommandRunner>(
    paths: &[PathBuf],
    options: &ReadOptions,
    clock: &C,
    runner: &P,
) -> Result<CheckedReading, Diagnostic> {
    let give_up = clock.monotonic() + READ_TIMEOUT;
    loop {
        let mut reading = stable_read::read(paths, options, clock).await?;
        let (missing, unverified) = ask(&reading, options, runner).await;
        // If the index changed since the files were read, the answer is about other files.
        if is_index_unchanged(&reading.found) {
            reading.found.add_missing(&missing, options);
            let (completeness, warnings) = unverified::completeness(&unverified, options);
            return Ok(CheckedReading {
                reading,
                completeness,
                warnings,
            });
        }
        if clock.monotonic() >= give_up {
            return Err(stable_read::changing(&[], &reading, paths, options));
        }
        clock.sleep_until(clock.monotonic() + PAUSE).await;
    }
}

fn is_index_unchanged(found: &Found) -> bool {
    let mut searched = found.searched.iter().flatten();
    searched.all(|searched| FileState::at(&searched.repository.index()) == searched.index)
}

/// The missing entries, and why there may be more.
async fn ask<P: CommandRunner>(
    reading: &Reading,
    options: &ReadOptions,
    runner: &P,
) -> (Vec<MissingEntry>, Vec<Unverified>) {
    let git = Git(runner);
    let mut repositories: BTreeMap<&Path, Vec<&SearchedDirectory>> = BTreeMap::new();
    let (mut missing, mut unverified) = (Vec::new(), Vec::new());
    for searched in &reading.found.searched {
        match searched {
            Ok(searched) => {
                let top = searched.repository.top.as_path();
                repositories.entry(top).or_default().push(searched);
            }
            Err(unreadable) => unverified.push(Unverified::unreadable(unreadable)),
        }
    }
    let mut answers = BTreeMap::new();
    for (&top, searched) in &repositories {
        match git.entries(top, searched, options).await {
            Ok(answer) => {
                answers.insert(top, answer);
            }
            Err(reason) => {
                let is_final = reason.is_final;
                unverified.push(reason);
                if is_final {
                    break;
                }
            }
        }
    }
    let is_unfetched =
        |(top, searched): &(&&Path, &Vec<&SearchedDirectory>)| match answers.get(**top) {
            Some(TrackedFiles::PartOf(_)) => true,
            // The submodule is checked out, so it knows its own missing files, if there are any.
            Some(TrackedFiles::Listed { head: Some(_), .. }) => false,
            _ => searched.iter().any(|searched| searched.is_empty),
        };
    let unfetched = repositories.iter().filter(is_unfetched);
    let unfetched: BTreeSet<_> = unfetched.map(|(&top, _)| top).collect();
    for (&top, answer) in &answers {
        let searched = &repositories[top];
        match answer {
            TrackedFiles::PartOf(around) => {
                unverified.extend(not_a_repository(searched, around, &repositories));
            }
            TrackedFiles::Listed { entries, from, .. } => {
                unverified.extend(other_commits(top, entries, searched, &answers));
                let absent = absent_entries(top, entries, searched, reading, &unfetched);
                missing.extend(git.explain_missing(top, absent, *from, options).await);
            }
        }
    }
    missing.sort();
    missing.dedup();
    // Entries that are missing from a fetched submodule are reported for its own repository.
    let paths: Vec<_> = missing.iter().map(|entry| entry.path.clone()).collect();
    missing.retain(|entry| {
        let is_below = |path: &PathBuf| path.starts_with(&entry.path) && *path != entry.path;
        entry.cause != missing::MissingCause::Submodule || !paths.iter().any(is_below)
    });
    (missing, unverified)
}

/// The reason that remains if git skips a `.git` and the work tree around it was not searched.
fn not_a_repository(
    searched: &[&SearchedDirectory],
    around: &Path,
    repositories: &BTreeMap<&Path, Vec<&SearchedDirectory>>,
) -> Option<Unverified> {
    let is_covered = |searched: &&&SearchedDirectory| {
        let mut outer = repositories.get(around).into_iter().flatten();
        outer.any(|outer| searched.spelled.starts_with(&outer.spelled))
    };
    let first = searched.iter().find(|searched| !is_covered(searched))?;
    Some(Unverified::new(
        &first.repository.git_dir,
        "git does not accept this as a repository and skips it",
        "repair it, or remove it if this is not a git repository",
    ))
}

/// Submodules that have another commit checked out than their superproject names: they may hold an older set, or half
/// of one.
fn other_commits(
    top: &Path,
    entries: &[TrackedEntry],
    searched: &[&SearchedDirectory],
    answers: &BTreeMap<&Path, TrackedFiles>,
) -> Vec<Unverified> {
    let submodules = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Submodule);
    let reason = |entry: &TrackedEntry| {
        let path = searched
            .iter()
            .find_map(|searched| searched.path_of(entry))?;
        let there = top.join(&entry.path);
        let Some(TrackedFiles::Listed { head, .. }) = answers.get(there.as_path()) else {
            // It is not fetched or cannot be asked, which is reported elsewhere.
            return None;
        };
        let is_same = head.is_some() && *head == entry.object;
        let (here, named) = (head.as_deref(), entry.object.as_deref());
        (!is_same).then(|| Unverified::other_commit(top, (&path, &entry.path), here, named))
    };
    submodules.filter_map(reason).collect()
}

/// Entries that are not in the work tree, each with the path by which it would be read. `unfetched` are directories
/// with a `.git` that are not fetched submodules.
fn absent_entries<'e>(
    top: &Path,
    entries: &'e [TrackedEntry],
    searched: &[&SearchedDirectory],
    reading: &Reading,
    unfetched: &BTreeSet<&Path>,
) -> Vec<(&'e TrackedEntry, PathBuf)> {
    let tops =
        (reading.found.searched.iter().flatten()).map(|searched| searched.repository.top.as_path());
    let fetched: BTreeSet<_> = tops.filter(|top| !unfetched.contains(top)).collect();
    let named = searched.iter().flat_map(|searched| {
        let named = |entry| searched.path_of(entry).map(|path| (entry, path));
        entries.iter().filter_map(named)
    });
    // A directory that cannot be listed is a problem already, and may contain them.
    let is_unlisted = |path: &Path| {
        path.ancestors()
            .any(|level| reading.unlisted.contains(level))
    };
    let absent: Vec<_> = named
        .filter(|(_, path)| !is_unlisted(path))
        .filter(|(entry, path)| match entry.kind {
            EntryKind::Submodule => !fetched.contains(top.join(&entry.path).as_path()),
            EntryKind::File => !reading.listed.contains(path),
            // Anything else in its place is read, or is not a manifest.
            EntryKind::Link => !reading.listed.contains(path) && !is_there(path),
        })
        .collect();
    if absent.is_empty() {
        return absent;
    }
    // If the file system treats two names as one, a file under the other name counts, but for one entry only.
    let exact: BTreeSet<_> = searched
        .iter()
        .flat_map(|searched| entries.iter().filter_map(|entry| searched.path_of(entry)))
        .collect();
    let spare = reading.listed.iter().filter(|path| !exact.contains(*path));
    let mut spare: BTreeSet<_> = spare
        .filter_map(|path| Some(folded(path.to_str()?)))
        .collect();
    let mut is_spelled_otherwise = |path: &Path| {
        is_there(path)
            && path
                .to_str()
                .is_some_and(|path| spare.remove(&folded(path)))
    };
    absent
        .into_iter()
        .filter(|(entry, path)| entry.kind != EntryKind::File || !is_spelled_otherwise(path))
        .collect()
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

impl Found {
    /// Adds the entries that git has but the work tree lacks.
    fn add_missing(&mut self, missing: &[MissingEntry], options: &ReadOptions) {
        for (path, problem) in std::mem::take(&mut self.empty) {
            // The cause of its emptiness is already reported.
            if !missing.iter().any(|entry| entry.path.starts_with(&path)) {
                self.problems.push(problem);
                self.maybe_restricted.extend(maybe_restricted_by(&path));
            }
        }
        self.problems.extend(missing::diagnostics(missing, options));
        // If git has the text, it gives the same information as a left-out file on the disk.
        let may_restrict = |entry: &&MissingEntry| entry.text.is_none_or(|text| text.may_restrict);
        let maybe_restricted = missing.iter().filter(may_restrict);
        self.maybe_restricted
            .extend(maybe_restricted.flat_map(|entry| maybe_restricted_by(&entry.path)));
        let mut texts = missing.iter().filter_map(|entry| entry.text);
        self.may_lack_account |= texts.any(|text| text.may_declare_account);
    }
}

#[cfg(test)]
#[path = "completeness_tests.rs"]
mod tests;
