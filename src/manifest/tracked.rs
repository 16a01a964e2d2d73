//! Manifests that git's index has and the work tree lacks: a submodule that was not fetched, a sparse checkout, a checkout
//! that failed half-way, a file that was deleted. What is there is good YAML, and half of a set.
//!
//! git is asked once for each reading, without a lock and without having anything written or fetched. Where it cannot be
//! asked, the set is used, but its completeness is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::checkout::{self, Repository};
use super::diagnostic::Diagnostic;
use super::files::{Found, Reading, is_manifest_name, is_passed_over, might_govern};
use super::fingerprint::State;
use super::git::Git;
use super::lacks::{self, Lack};
use super::settle::{self, Manner, PATIENCE, PAUSE};
use super::twins::folded;
use crate::desired::Completeness;
use crate::host::{Clock, ProgramError, Programs};

/// A directory that was searched for manifests, in a git work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Searched {
    /// As its files are named.
    spelled: PathBuf,
    /// Below the beginning of the work tree; empty: all of it.
    inside: PathBuf,
    repository: Repository,
    /// The index as it was then.
    index: State,
    /// There is nothing in it but `.git`.
    is_bare: bool,
}

/// A reading, and whether it is known to be all that there is.
pub(super) struct Whole {
    /// What git has and is not there is among its problems.
    pub reading: Reading,
    pub completeness: Completeness,
    /// Why the completeness is not known.
    pub warnings: Vec<Diagnostic>,
}

/// An entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    /// A sparse checkout leaves it out.
    is_sparse: bool,
    /// Below the beginning of the work tree.
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Submodule,
}

/// Where the entries of a repository were looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Index,
    /// There is no index: nothing was checked out to the end.
    Commit,
}

/// Why a repository gives no answer, and the way out.
struct Refusal {
    top: PathBuf,
    reason: String,
    help: String,
    /// Asking about another one is no use.
    is_final: bool,
}

impl Searched {
    /// `directory` is `spelled` without links.
    pub(super) fn new(
        spelled: &Path,
        directory: &Path,
        repository: Repository,
        is_bare: bool,
    ) -> Self {
        let inside = directory.strip_prefix(&repository.top);
        Self {
            spelled: spelled.to_owned(),
            inside: inside.map_or_else(|_| PathBuf::new(), Path::to_owned),
            index: State::at(&repository.index()),
            repository,
            is_bare,
        }
    }

    /// How an entry of the index is named, if a manifest of it would be read from here.
    fn names(&self, entry: &Entry) -> Option<PathBuf> {
        let below = entry.path.strip_prefix(&self.inside).ok()?;
        let mut parts = below.iter().map(OsStr::to_string_lossy);
        if parts.any(|part| is_passed_over(&part)) {
            return None;
        }
        let name = entry.path.file_name().unwrap_or_default();
        let could_hold = entry.kind != Kind::File || is_manifest_name(&name.to_string_lossy());
        could_hold.then(|| match below.as_os_str().is_empty() {
            true => self.spelled.clone(),
            false => self.spelled.join(below),
        })
    }
}

/// The git operation that is under way where a directory was searched, or might be for all that can be seen.
pub(super) fn at_work(searched: &Result<Searched, checkout::Unseen>) -> Option<Diagnostic> {
    match searched {
        Ok(searched) => checkout::at_work(&searched.repository.state),
        Err(unseen) => Some(unseen.diagnostic()),
    }
}

/// Reads the manifests at `paths` until they stand still, and asks git what of them is missing.
pub(super) async fn read<C: Clock, P: Programs>(
    paths: &[PathBuf],
    manner: &Manner,
    clock: &C,
    programs: &P,
) -> Result<Whole, Diagnostic> {
    let give_up = clock.moment() + PATIENCE;
    loop {
        let mut reading = settle::read(paths, manner, clock).await?;
        let (lacks, refusals) = ask(&reading, manner, programs).await;
        // The answer is about the index that was there when the files were read, or it is about other files.
        if is_as_it_was(&reading.found) {
            reading.found.lacks(&lacks, manner);
            let (completeness, warnings) = judge(&refusals, manner);
            return Ok(Whole {
                reading,
                completeness,
                warnings,
            });
        }
        if clock.moment() >= give_up {
            return Err(settle::changing(&[], &reading, paths, manner));
        }
        clock.sleep_until(clock.moment() + PAUSE).await;
    }
}

fn is_as_it_was(found: &Found) -> bool {
    let mut searched = found.searched.iter().flatten();
    searched.all(|searched| State::at(&searched.repository.index()) == searched.index)
}

/// What is missing, and the repositories that could not be asked.
async fn ask<P: Programs>(
    reading: &Reading,
    manner: &Manner,
    programs: &P,
) -> (Vec<Lack>, Vec<Refusal>) {
    let git = Git(programs);
    let mut repositories: BTreeMap<&Path, Vec<&Searched>> = BTreeMap::new();
    let (mut lacks, mut refusals) = (Vec::new(), Vec::new());
    for searched in &reading.found.searched {
        match searched {
            Ok(searched) => {
                let top = searched.repository.top.as_path();
                repositories.entry(top).or_default().push(searched);
            }
            Err(unseen) => refusals.push(Refusal::unseen(unseen)),
        }
    }
    for (top, searched) in repositories {
        let asked = match git.entries(top, &searched, manner).await {
            Ok((entries, from)) => {
                let missing = missing(&entries, &searched, reading);
                git.causes(top, missing, from, manner).await
            }
            Err(refusal) => {
                let is_final = refusal.is_final;
                refusals.push(refusal);
                if is_final {
                    break;
                }
                continue;
            }
        };
        lacks.extend(asked);
    }
    lacks.sort();
    lacks.dedup();
    (lacks, refusals)
}

/// The entries that are not there, each with the path that it would be read by.
fn missing<'e>(
    entries: &'e [Entry],
    searched: &[&Searched],
    reading: &Reading,
) -> Vec<(&'e Entry, PathBuf)> {
    let fetched: BTreeSet<_> = (reading.found.searched.iter().flatten())
        .filter(|searched| searched.inside.as_os_str().is_empty() && !searched.is_bare)
        .map(|searched| &searched.spelled)
        .collect();
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
            Kind::Submodule => !fetched.contains(path),
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
        self.problems.extend(lacks::diagnostics(lacks, manner));
        let suspects = lacks.iter().flat_map(|lack| might_govern(&lack.path));
        self.suspects.extend(suspects);
    }
}

impl<P: Programs> Git<'_, P> {
    /// What git has below the directories that were searched in one work tree.
    async fn entries(
        &self,
        top: &Path,
        searched: &[&Searched],
        manner: &Manner,
    ) -> Result<(Vec<Entry>, From), Refusal> {
        let from = match searched.iter().any(|searched| searched.index.is_absent()) {
            true => From::Commit,
            false => From::Index,
        };
        if manner.git_directory.is_none() && !self.is_work_tree(top).await? {
            return match from {
                From::Commit => Ok((Vec::new(), from)),
                From::Index => Err(Refusal::by(
                    top,
                    "git has an index here, and does not take this for a work tree",
                    "look at `core.bare` and `core.worktree` in its settings, or give paths outside of this repository",
                )),
            };
        }
        if from == From::Commit && !self.has_head(top, manner).await? {
            return Ok((Vec::new(), from));
        }
        let question: &[&str] = match from {
            From::Index => &["ls-files", "--stage", "-t", "-z", "--"],
            From::Commit => &["ls-tree", "-r", "-z", "--full-tree", "HEAD", "--"],
        };
        let mut arguments = prefix(top, manner);
        arguments.extend(question.iter().map(OsString::from));
        if searched
            .iter()
            .all(|searched| !searched.inside.as_os_str().is_empty())
        {
            let below = |searched: &&Searched| match from {
                From::Index => {
                    let mut pathspec = OsString::from(":(literal)");
                    pathspec.push(&searched.inside);
                    pathspec
                }
                From::Commit => searched.inside.clone().into(),
            };
            arguments.extend(searched.iter().map(below));
        }
        let list = self
            .list(top, arguments)
            .await
            .map_err(|error| Refusal::of(top, &error))?;
        let list = list.ok_or_else(|| {
            Refusal::by(
                top,
                "the list of its files is too long",
                "give narrower paths",
            )
        })?;
        let entries = parse(&list, from).ok_or_else(|| {
            let reason = "the list of its files is not understood";
            Refusal::by(
                top,
                reason,
                "use another version of git, or give paths outside of this repository",
            )
        })?;
        Ok((entries, from))
    }

    /// Whether git takes the directory for a work tree of its repository. Of a bare one, or one whose work tree is set to
    /// be elsewhere, nothing is missing here.
    async fn is_work_tree(&self, top: &Path) -> Result<bool, Refusal> {
        let arguments = ["rev-parse", "--is-inside-work-tree"].map(OsString::from);
        let answer = self.run(top, arguments).await;
        let answer = answer.map_err(|error| Refusal::of(top, &error))?;
        Ok(answer.trim_ascii() == b"true")
    }

    /// Whether there is a commit that something could have been checked out of.
    async fn has_head(&self, top: &Path, manner: &Manner) -> Result<bool, Refusal> {
        let mut arguments = prefix(top, manner);
        arguments.extend(["rev-parse", "--quiet", "--verify", "HEAD^{commit}"].map(OsString::from));
        match self.run(top, arguments).await {
            Ok(_) => Ok(true),
            // So it answers where nothing was committed yet.
            Err(ProgramError::Failed { reason, .. }) if reason.is_empty() => Ok(false),
            Err(error) => Err(Refusal::of(top, &error)),
        }
    }

    /// Why each of the missing entries is not there.
    async fn causes(
        &self,
        top: &Path,
        missing: Vec<(&Entry, PathBuf)>,
        from: From,
        manner: &Manner,
    ) -> Vec<Lack> {
        let is_private = manner.git_directory.is_some();
        let cause = |entry: &Entry| match (entry.kind, from) {
            (Kind::Submodule, _) if is_private => lacks::Cause::SubmoduleOfCopy,
            (Kind::Submodule, _) => lacks::Cause::Submodule,
            _ if is_private => lacks::Cause::NotInCopy,
            _ if entry.is_sparse => lacks::Cause::Sparse,
            (_, From::Commit) => lacks::Cause::Checkout,
            (_, From::Index) => lacks::Cause::Deleted,
        };
        let mut found = Vec::new();
        for (entry, path) in missing {
            let cause = match cause(entry) {
                lacks::Cause::Deleted if found.len() < lacks::FILTERS_ASKED_MAX => {
                    self.filter(top, &entry.path).await
                }
                cause => cause,
            };
            let tracked = entry.path.clone();
            found.push(Lack {
                cause,
                path,
                tracked,
            });
        }
        found
    }

    /// Whether a filter may have kept a file from being written.
    async fn filter(&self, top: &Path, path: &Path) -> lacks::Cause {
        let mut arguments: Vec<_> = ["check-attr", "-z", "filter", "--"]
            .map(OsString::from)
            .into();
        arguments.push(path.into());
        let answer = self.run(top, arguments).await.unwrap_or_default();
        let mut fields = answer.split(|&byte| byte == 0);
        match fields.nth(2).map(String::from_utf8_lossy).as_deref() {
            None | Some("" | "unset" | "unspecified") => lacks::Cause::Deleted,
            Some(filter) => lacks::Cause::Filter(crate::words::safe(filter)),
        }
    }
}

/// Which repository is meant, where it cannot be found by its `.git`.
fn prefix(top: &Path, manner: &Manner) -> Vec<OsString> {
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(name);
        option.push(path);
        option
    };
    match &manner.git_directory {
        Some(state) => vec![option("--git-dir=", state), option("--work-tree=", top)],
        None => Vec::new(),
    }
}

/// What `git ls-files --stage -t -z` or `git ls-tree -z` printed. `None` where it is something else.
fn parse(list: &[u8], from: From) -> Option<Vec<Entry>> {
    let records = list.strip_suffix(&[0]).unwrap_or(list);
    let records = records.split(|&byte| byte == 0);
    let entries = records.filter(|record| !record.is_empty()).map(|record| {
        let tab = record.iter().position(|&byte| byte == b'\t')?;
        let (head, path) = (
            std::str::from_utf8(&record[..tab]).ok()?,
            &record[tab + 1..],
        );
        let mut words = head.split(' ');
        let is_sparse = from == From::Index && words.next()? == "S";
        let kind = match words.next()? {
            "160000" => Kind::Submodule,
            "120000" => Kind::Link,
            mode if mode.starts_with("100") => Kind::File,
            _ => return None,
        };
        Some(Entry {
            kind,
            is_sparse,
            path: Path::new(OsStr::from_bytes(path)).to_owned(),
        })
    });
    let mut entries: Vec<_> = entries.collect::<Option<_>>()?;
    // An entry that a merge left open is there up to three times.
    entries.dedup_by(|a, b| a.path == b.path);
    Some(entries)
}

impl Refusal {
    fn of(top: &Path, error: &ProgramError) -> Self {
        const ELSEWHERE: &str = "or give paths outside of this repository";
        let help = match error {
            ProgramError::NotRun { .. } => {
                format!("install git where sharekeeper runs, {ELSEWHERE}")
            }
            ProgramError::TooSlow { .. } => {
                format!(
                    "look why `git ls-files` takes so long here, give narrower paths, {ELSEWHERE}"
                )
            }
            ProgramError::Failed { reason, .. }
                if reason.contains("dubious ownership") || reason.contains("unsafe repository") =>
            {
                let top = crate::words::safe(&top.to_string_lossy());
                format!(
                    "as the user that sharekeeper runs as: `git config --global --add safe.directory '{top}'`; {ELSEWHERE}"
                )
            }
            ProgramError::Failed { .. } => {
                format!("look what `git status` says here, mend the repository, {ELSEWHERE}")
            }
        };
        Self {
            top: top.to_owned(),
            reason: error.to_string(),
            help,
            is_final: !matches!(error, ProgramError::Failed { .. }),
        }
    }

    fn by(top: &Path, reason: &str, help: &str) -> Self {
        Self {
            top: top.to_owned(),
            reason: reason.into(),
            help: help.into(),
            is_final: false,
        }
    }

    fn unseen(unseen: &checkout::Unseen) -> Self {
        Self {
            top: unseen.entry.clone(),
            reason: unseen.reason.clone(),
            help: unseen.help().into(),
            is_final: false,
        }
    }
}

fn judge(refusals: &[Refusal], manner: &Manner) -> (Completeness, Vec<Diagnostic>) {
    let warnings = refusals.iter().map(|refusal| {
        let message = format!(
            "git cannot be asked whether these are all of the manifests, so what no manifest names is not cancelled: {}",
            refusal.reason
        );
        Diagnostic::warning_of_path(&manner.name(&refusal.top), message, refusal.help.as_str())
    });
    let completeness = match refusals.first() {
        None => Completeness::Whole,
        Some(first) => Completeness::Unknown(
            format!(
                "git cannot be asked about {}: {}; {}",
                crate::words::safe(&manner.name(&first.top)),
                first.reason,
                first.help
            )
            .into(),
        ),
    };
    (completeness, warnings.collect())
}

#[cfg(test)]
#[path = "tracked_tests.rs"]
mod tests;
