//! The valid part of a set with errors. It has its own type, so that it can never be mistaken for the whole set.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::parse;
use super::read::reading::Found;
use super::source_text::SourceText;
use crate::desired::{Desired, Source};
use crate::model::{AccountName, Scope};
use crate::words::safe;

/// A set of manifests with errors, which has no desired state.
pub struct Broken {
    diagnostics: Box<Diagnostics>,
    /// Everything that was read, with or without errors.
    sources: Vec<SourceText>,
    /// Paths that could not be read.
    unread: BTreeSet<String>,
    /// Whether nothing of it is used, because it kept changing.
    is_unstable: bool,
    /// Directories that the unread paths might have restricted.
    maybe_restricted: Vec<PathBuf>,
    /// Whether an unread path may have declared an account.
    may_lack_account: bool,
}

/// The files that are missing from a partial set, and the consequences for the rest.
struct LeftOut {
    files: BTreeSet<String>,
    /// Whether one of the files may have declared the default account.
    may_lack_default_account: bool,
    /// Whether one of the files may revoke images that others want shared.
    may_revoke: bool,
    /// Whether one of the files may declare images `unshared`, which overrides any policy.
    may_unshare: bool,
    /// Directories, with links resolved, that one of the files may have restricted.
    maybe_restricted: BTreeSet<PathBuf>,
}

/// The desired state of those files of a broken set that have no error.
///
/// A file that was left out may ask for things that this state lacks, so nothing may be undone because of it; see
/// [`Partial::into_partial_desired`].
#[derive(Debug)]
pub struct Partial {
    desired: Desired,
    left_out: BTreeSet<String>,
}

impl Broken {
    /// The problems of paths in `found` must be in `diagnostics` too.
    pub(super) fn new(diagnostics: Diagnostics, sources: Vec<SourceText>, found: &Found) -> Self {
        let unread = found.problems.iter().map(|problem| problem.file.clone());
        Self {
            diagnostics: Box::new(diagnostics),
            sources,
            unread: unread.collect(),
            is_unstable: false,
            maybe_restricted: found.maybe_restricted.clone(),
            may_lack_account: found.may_lack_account,
        }
    }

    /// A set that kept changing. Nothing of it is used.
    pub(super) fn unstable(problem: Diagnostic) -> Self {
        Self {
            is_unstable: true,
            ..Self::new(Diagnostics::of(problem), Vec::new(), &Found::default())
        }
    }

    /// Whether the next reading may succeed even if no file changes: the set kept changing, or something could not be
    /// read.
    pub fn may_pass(&self) -> bool {
        self.is_unstable || !self.unread.is_empty()
    }

    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// The desired state of the files without an error; `None` if they ask for no image at all.
    ///
    /// A file is left out if it has an error, if it is the other half of one (an image that two files set leaves out
    /// both), or if it needs a file that is left out. Images of the default account are left out if a left-out file may
    /// have declared that account, because its settings are unknown. A path that could not be read is assumed not to
    /// declare it, unless git still has its text and that text may declare it; otherwise, one such path would leave
    /// nothing of most sets.
    ///
    /// An image is not shared if a policy in a left-out file might revoke it: if such a file contains that word,
    /// nothing is left. Likewise, no policy is left if such a file might declare images `unshared`.
    ///
    /// An image is not shared if a `Restriction` might forbid it. A left-out file may hold one if it contains a similar
    /// word or could not be read at all, not even from git. Then everything in its directory and below is left out,
    /// too; no `Restriction` applies to more than that.
    pub fn into_good(self) -> Option<Partial> {
        let Self {
            diagnostics,
            mut sources,
            unread,
            maybe_restricted,
            may_lack_account,
            ..
        } = self;
        let mut left_out = LeftOut {
            files: unread,
            may_lack_default_account: may_lack_account,
            may_revoke: false,
            may_unshare: false,
            maybe_restricted: maybe_restricted.into_iter().collect(),
        };
        let mut faulty = diagnostics.faulty().clone();
        // Each round leaves out at least one file, so there are no more rounds than files.
        while !sources.is_empty() {
            left_out.take_from(&mut sources, &faulty);
            match parse::parse_in_order(&sources, Vec::new()) {
                Ok(loaded) => return Partial::new(loaded.desired, left_out),
                Err(diagnostics) if diagnostics.faulty().is_empty() => return None,
                Err(diagnostics) => faulty = diagnostics.faulty().clone(),
            }
        }
        None
    }
}

impl LeftOut {
    /// Removes the faulty sources, then those that a removed one might have restricted, until nothing else is affected.
    fn take_from(&mut self, sources: &mut Vec<SourceText>, faulty: &BTreeSet<u32>) {
        let mut index = 0..;
        self.take(sources, |_, _| {
            index.next().is_some_and(|index| faulty.contains(&index))
        });
        let is_maybe_restricted = |maybe_restricted: &BTreeSet<PathBuf>, source: &SourceText| {
            let directories = source.directories().iter();
            let mut levels = directories.flat_map(|directory| directory.ancestors());
            levels.any(|level| maybe_restricted.contains(level))
        };
        while self.take(sources, is_maybe_restricted) {}
    }

    /// Removes the sources that `goes` selects. Returns whether there were any.
    fn take(
        &mut self,
        sources: &mut Vec<SourceText>,
        mut goes: impl FnMut(&BTreeSet<PathBuf>, &SourceText) -> bool,
    ) -> bool {
        let before = sources.len();
        sources.retain(|source| {
            let goes = goes(&self.maybe_restricted, source);
            if goes {
                self.files.insert(safe(source.name()));
                self.may_lack_default_account |= source.may_declare_account();
                self.may_revoke |= source.may_revoke();
                self.may_unshare |= source.may_unshare();
                if source.may_restrict() {
                    let directories = source.directories().iter().cloned();
                    self.maybe_restricted.extend(directories);
                }
            }
            !goes
        });
        sources.len() < before
    }
}

impl Partial {
    fn new(mut desired: Desired, left_out: LeftOut) -> Option<Self> {
        let LeftOut {
            files: mut left_out,
            may_lack_default_account,
            may_revoke,
            may_unshare,
            ..
        } = left_out;
        if may_revoke {
            return None;
        }
        if may_unshare {
            let policies = std::mem::take(&mut desired.policies);
            let sources = policies.values().flatten().map(|policy| &policy.source);
            left_out.extend(sources.map(|source| safe(&source.file)));
        }
        let default = AccountName::default();
        if may_lack_default_account && !desired.accounts.contains_key(&default) {
            let mut keeps = |scope: &Scope, sources: &mut dyn Iterator<Item = &Source>| {
                let keep = scope.account != default;
                if !keep {
                    left_out.extend(sources.map(|source| safe(&source.file)));
                }
                keep
            };
            desired
                .images
                .retain(|key, image| keeps(&key.scope, &mut std::iter::once(&image.source)));
            desired.names.retain(|scope, names| {
                keeps(scope, &mut names.values().map(|image| &image.source))
            });
            desired.policies.retain(|scope, policies| {
                keeps(scope, &mut policies.iter().map(|policy| &policy.source))
            });
        }
        let asks = desired.scopes().next().is_some();
        asks.then_some(Self { desired, left_out })
    }

    /// The names of files and directories that it lacks at least in part: faulty, unreadable, or dependent on such a
    /// file.
    pub fn left_out(&self) -> &BTreeSet<String> {
        &self.left_out
    }

    /// The desired state, no longer marked as partial by its type. **No CANCEL may ever be computed from it**, for
    /// `state: unshared`, for an expiry, or for an image's absence: a file that was left out may contradict it. The
    /// caller must remember that it is partial, and may only compute SHAREs from it.
    pub fn into_partial_desired(self) -> Desired {
        self.desired
    }
}

impl fmt::Debug for Broken {
    /// Shown without the texts, because somebody may have written a secret into one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broken")
            .field("diagnostics", &self.diagnostics)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "partial_tests.rs"]
mod tests;
