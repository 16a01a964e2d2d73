//! What is left of a set with errors. It is a type of its own, so that it can never be taken for the whole.

use std::collections::BTreeSet;
use std::fmt;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::source::SourceText;
use crate::desired::Desired;
use crate::model::AccountName;
use crate::words::safe;

/// A set of manifests of which no desired state comes, and why.
pub struct Broken {
    diagnostics: Box<Diagnostics>,
    /// Everything that was read, faulty or not.
    sources: Vec<SourceText>,
    /// Paths that could not be read.
    unread: BTreeSet<String>,
    /// Nothing was taken of it, because it did not stand still.
    is_unsettled: bool,
}

/// The desired state of those files of a broken set that have no error.
///
/// What an image is not asked to be here, a file that was left out may ask for. So nothing may be undone on
/// the strength of it; see [`Partial::into_partial_desired`].
#[derive(Debug)]
pub struct Partial {
    desired: Desired,
    left_out: BTreeSet<String>,
}

impl Broken {
    /// `problems` are those of paths; `diagnostics` has them too.
    pub(super) fn new(
        diagnostics: Diagnostics,
        sources: Vec<SourceText>,
        problems: &[Diagnostic],
    ) -> Self {
        let unread = problems.iter().map(|problem| problem.file.clone());
        Self {
            diagnostics: Box::new(diagnostics),
            sources,
            unread: unread.collect(),
            is_unsettled: false,
        }
    }

    /// A set of which nothing was taken.
    pub(super) fn unsettled(problem: Diagnostic) -> Self {
        Self {
            is_unsettled: true,
            ..Self::new(Diagnostics::of(problem), Vec::new(), &[])
        }
    }

    /// Whether it may be another set at the next reading though no file changes: it did not stand still, or something
    /// could not be read.
    pub fn may_pass(&self) -> bool {
        self.is_unsettled || !self.unread.is_empty()
    }

    /// What is wrong.
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// What the files without an error ask for; `None` where that is no image at all.
    ///
    /// A file is left out if it has an error, if it is the other half of one (an image that two files set
    /// leaves out both), or if it needs a file that is left out. What used the default account while a file
    /// that is left out may have declared that account is left out too: its settings are not known. A path that
    /// could not be read at all is not suspected of that; else one such path would leave nothing of most sets.
    pub fn into_good(self) -> Option<Partial> {
        let Self {
            diagnostics,
            mut sources,
            unread: mut left_out,
            ..
        } = self;
        let mut faulty = diagnostics.faulty().clone();
        let mut default_account_lost = false;
        // Each round leaves out one file at least, so there are no more rounds than files.
        while !sources.is_empty() {
            let mut index = 0..;
            sources.retain(|source| {
                let keep = !index.next().is_some_and(|index| faulty.contains(&index));
                if !keep {
                    left_out.insert(safe(source.name()));
                    default_account_lost |= source.may_declare_account();
                }
                keep
            });
            match super::parse_sources(&sources, Vec::new()) {
                Ok(loaded) => {
                    return Partial::new(loaded.desired, left_out, default_account_lost);
                }
                Err(diagnostics) if diagnostics.faulty().is_empty() => return None,
                Err(diagnostics) => faulty = diagnostics.faulty().clone(),
            }
        }
        None
    }
}

impl Partial {
    fn new(
        mut desired: Desired,
        mut left_out: BTreeSet<String>,
        default_account_lost: bool,
    ) -> Option<Self> {
        let default = AccountName::default();
        if default_account_lost && !desired.accounts.contains_key(&default) {
            desired.images.retain(|key, image| {
                let keep = key.scope.account != default;
                if !keep {
                    left_out.insert(safe(&image.source.file));
                }
                keep
            });
        }
        (!desired.images.is_empty()).then_some(Self { desired, left_out })
    }

    /// Files and directories that are not in it, or not all of them: faulty, unreadable, or in need of what is.
    pub fn left_out(&self) -> &BTreeSet<String> {
        &self.left_out
    }

    /// The desired state, no longer marked as partial by its type. **No CANCEL may ever be computed from it**,
    /// whatever asks for one: not `state: unshared`, not an expiry, not an image's absence. A file that was left
    /// out may say otherwise. The caller keeps that mark from here on, and takes nothing from it but SHAREs.
    pub fn into_partial_desired(self) -> Desired {
        self.desired
    }
}

impl fmt::Debug for Broken {
    /// Without the texts: one may hold a secret that somebody wrote into it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broken")
            .field("diagnostics", &self.diagnostics)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "partial_tests.rs"]
mod tests;
