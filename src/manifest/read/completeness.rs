//! Manifests that git's index has and the work tree lacks: a submodule that was not fetched, a sparse checkout, a checkout
//! that failed half-way, a file that was deleted. What is there is good YAML, and half of a set.
//!
//! git is asked once for each reading, without a lock and without having anything written or fetched. Where it cannot be
//! asked, the set is used, but its completeness is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::case_collisions::folded;
use super::reading::{Found, Reading};
use super::stable_read::{self, PATIENCE, PAUSE};
use crate::desired::Completeness;
use crate::host::{Clock, CommandRunner};
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::file_state::State;
use crate::manifest::git::command::Git;
use crate::manifest::git::missing::{self, Lack};
use crate::manifest::git::searched_directory::Searched;
use crate::manifest::git::tracked_entry::{Entry, Kind};
use crate::manifest::git::tracked_files::Answer;
use crate::manifest::git::unverified::{self, Doubt};
use crate::manifest::paths::might_govern;
use crate::manifest::read_options::Manner;

/// A reading, and whether it is known to be all that there is.
pub(in crate::manifest) struct Whole {
    /// What git has and is not there is among its problems.
    pub reading: Reading,
    pub completeness: Completeness,
    /// Why the completeness is not known.
    pub warnings: Vec<Diagnostic>,
}

/// Reads the manifests at `paths` until they stand still, and asks git what of them is missing.
pub(in crate::manifest) async fn read<C: Clock, P: CommandRunner>(
    paths: &[PathBuf],
    manner: &Manner,
    clock: &C,
    programs: &P,
) -> Result<Whole, Diagnostic> {
    let give_up = clock.monotonic() + PATIENCE;
    loop {
        let mut reading = stable_read::read(paths, manner, clock).await?;
        let (lacks, doubts) = ask(&reading, manner, programs).await;
        // The answer is about the index that was there when the files were read, or it is about other files.
        if is_as_it_was(&reading.found) {
            reading.found.lacks(&lacks, manner);
            let (completeness, warnings) = unverified::judge(&doubts, manner);
            return Ok(Whole {
                reading,
                completeness,
                warnings,
            });
        }
        if clock.monotonic() >= give_up {
            return Err(stable_read::changing(&[], &reading, paths, manner));
        }
        clock.sleep_until(clock.monotonic() + PAUSE).await;
    }
}

fn is_as_it_was(found: &Found) -> bool {
    let mut searched = found.searched.iter().flatten();
    searched.all(|searched| State::at(&searched.repository.index()) == searched.index)
}

/// What is missing, and why that may not be all.
async fn ask<P: CommandRunner>(
    reading: &Reading,
    manner: &Manner,
    programs: &P,
) -> (Vec<Lack>, Vec<Doubt>) {
    let git = Git(programs);
    let mut repositories: BTreeMap<&Path, Vec<&Searched>> = BTreeMap::new();
    let (mut lacks, mut doubts) = (Vec::new(), Vec::new());
    for searched in &reading.found.searched {
        match searched {
            Ok(searched) => {
                let top = searched.repository.top.as_path();
                repositories.entry(top).or_default().push(searched);
            }
            Err(unseen) => doubts.push(Doubt::unseen(unseen)),
        }
    }
    let mut answers = BTreeMap::new();
    for (&top, searched) in &repositories {
        match git.entries(top, searched, manner).await {
            Ok(answer) => {
                answers.insert(top, answer);
            }
            Err(doubt) => {
                let is_final = doubt.is_final;
                doubts.push(doubt);
                if is_final {
                    break;
                }
            }
        }
    }
    let is_unfetched = |(top, searched): &(&&Path, &Vec<&Searched>)| match answers.get(**top) {
        Some(Answer::PartOf(_)) => true,
        // It knows what it lacks, and that may be nothing.
        Some(Answer::Listed { head: Some(_), .. }) => false,
        _ => searched.iter().any(|searched| searched.is_bare),
    };
    let unfetched = repositories.iter().filter(is_unfetched);
    let unfetched: BTreeSet<_> = unfetched.map(|(&top, _)| top).collect();
    for (&top, answer) in &answers {
        let searched = &repositories[top];
        match answer {
            Answer::PartOf(around) => {
                doubts.extend(passed_over(searched, around, &repositories));
            }
            Answer::Listed { entries, from, .. } => {
                doubts.extend(other_commits(top, entries, searched, &answers));
                let missing = missing(top, entries, searched, reading, &unfetched);
                lacks.extend(git.lacks(top, missing, *from, manner).await);
            }
        }
    }
    lacks.sort();
    lacks.dedup();
    // What is missing of a submodule that was fetched is told by its own repository.
    let paths: Vec<_> = lacks.iter().map(|lack| lack.path.clone()).collect();
    lacks.retain(|lack| {
        let is_below = |path: &PathBuf| path.starts_with(&lack.path) && *path != lack.path;
        lack.cause != missing::Cause::Submodule || !paths.iter().any(is_below)
    });
    (lacks, doubts)
}

/// The doubt that is left where git looks past a `.git` and nobody asks about the work tree around it.
fn passed_over(
    searched: &[&Searched],
    around: &Path,
    repositories: &BTreeMap<&Path, Vec<&Searched>>,
) -> Option<Doubt> {
    let is_covered = |searched: &&&Searched| {
        let mut outer = repositories.get(around).into_iter().flatten();
        outer.any(|outer| searched.spelled.starts_with(&outer.spelled))
    };
    let first = searched.iter().find(|searched| !is_covered(searched))?;
    Some(Doubt::by(
        &first.repository.state,
        "this is no repository to git, which looks past it",
        "mend it, or remove it if this is no git repository",
    ))
}

/// Submodules that are there, and have another commit checked out than their repository names: what they hold may be an
/// older set, or half of one.
fn other_commits(
    top: &Path,
    entries: &[Entry],
    searched: &[&Searched],
    answers: &BTreeMap<&Path, Answer>,
) -> Vec<Doubt> {
    let submodules = entries.iter().filter(|entry| entry.kind == Kind::Submodule);
    let doubt = |entry: &Entry| {
        let path = searched.iter().find_map(|searched| searched.names(entry))?;
        let there = top.join(&entry.path);
        let Some(Answer::Listed { head, .. }) = answers.get(there.as_path()) else {
            // It is not fetched, or cannot be asked, which is told.
            return None;
        };
        let is_same = head.is_some() && *head == entry.object;
        let (here, named) = (head.as_deref(), entry.object.as_deref());
        (!is_same).then(|| Doubt::other_commit(top, (&path, &entry.path), here, named))
    };
    submodules.filter_map(doubt).collect()
}

/// The entries that are not there, each with the path that it would be read by. `unfetched` are the
/// directories with a `.git` that stand for no submodule which was fetched.
fn missing<'e>(
    top: &Path,
    entries: &'e [Entry],
    searched: &[&Searched],
    reading: &Reading,
    unfetched: &BTreeSet<&Path>,
) -> Vec<(&'e Entry, PathBuf)> {
    let tops =
        (reading.found.searched.iter().flatten()).map(|searched| searched.repository.top.as_path());
    let fetched: BTreeSet<_> = tops.filter(|top| !unfetched.contains(top)).collect();
    let named = searched.iter().flat_map(|searched| {
        let named = |entry| searched.names(entry).map(|path| (entry, path));
        entries.iter().filter_map(named)
    });
    // What could not be looked into is a problem of its own, and may well have them.
    let is_unlisted = |path: &Path| {
        path.ancestors()
            .any(|level| reading.unlisted.contains(level))
    };
    let absent: Vec<_> = named
        .filter(|(_, path)| !is_unlisted(path))
        .filter(|(entry, path)| match entry.kind {
            Kind::Submodule => !fetched.contains(top.join(&entry.path).as_path()),
            Kind::File => !reading.listed.contains(path),
            // What is there in its place is read, or is no manifest.
            Kind::Link => !reading.listed.contains(path) && !is_there(path),
        })
        .collect();
    if absent.is_empty() {
        return absent;
    }
    // Where the file system takes two names for one, what is there under another one counts, but for one entry only.
    let exact: BTreeSet<_> = searched
        .iter()
        .flat_map(|searched| entries.iter().filter_map(|entry| searched.names(entry)))
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
        .filter(|(entry, path)| entry.kind != Kind::File || !is_spelled_otherwise(path))
        .collect()
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

impl Found {
    /// Takes in what git has and is not there.
    fn lacks(&mut self, lacks: &[Lack], manner: &Manner) {
        for (path, problem) in std::mem::take(&mut self.empty) {
            // Why it is empty is told already.
            if !lacks.iter().any(|lack| lack.path.starts_with(&path)) {
                self.problems.push(problem);
                self.suspects.extend(might_govern(&path));
            }
        }
        self.problems.extend(missing::diagnostics(lacks, manner));
        // Where git has the text, that tells as much as the text of a file that is there and is left out.
        let may_restrict = |lack: &&Lack| lack.text.is_none_or(|text| text.may_restrict);
        let suspects = lacks.iter().filter(may_restrict);
        self.suspects
            .extend(suspects.flat_map(|lack| might_govern(&lack.path)));
        let mut texts = lacks.iter().filter_map(|lack| lack.text);
        self.account_lost |= texts.any(|text| text.may_declare_account);
    }
}

#[cfg(test)]
#[path = "completeness_tests.rs"]
mod tests;
