//! How it is told that git has manifests which are not there: each cause once for each directory, with its remedy.

use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::settle::Manner;
use crate::words::{plural, safe};

/// Directories that are told of each cause; of the rest, how many manifests they lack.
const TOLD_MAX: usize = 20;
/// Missing files of which git is asked for a filter, one by one.
pub(super) const FILTERS_ASKED_MAX: usize = 20;

/// Something that git has and that is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lack {
    pub cause: Cause,
    /// As it would be read.
    pub path: PathBuf,
    /// As git has it.
    pub tracked: PathBuf,
}

/// Why it is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A submodule was not fetched, or not checked out.
    Submodule,
    /// The same in the private copy of a repository, where none ever is.
    SubmoduleOfCopy,
    /// A sparse checkout leaves it out.
    Sparse,
    /// There is no index: no checkout ever came to its end.
    Checkout,
    /// It was deleted, or a filter of this name kept it from being written.
    Filter(String),
    /// It was deleted.
    Deleted,
    /// It was not written into the private copy.
    NotInCopy,
}

/// The errors that it is. `lacks` are in order.
pub(super) fn diagnostics(lacks: &[Lack], manner: &Manner) -> Vec<Diagnostic> {
    let by_cause = lacks.chunk_by(|a, b| a.cause == b.cause);
    by_cause
        .flat_map(|lacks| {
            let is_one =
                |a: &Lack, b: &Lack| !a.cause.is_submodule() && a.path.parent() == b.path.parent();
            let mut groups: Vec<_> = lacks.chunk_by(is_one).collect();
            let rest: usize = groups
                .drain(TOLD_MAX.min(groups.len())..)
                .map(<[_]>::len)
                .sum();
            let last = groups.len();
            let told = groups.into_iter().enumerate();
            told.filter_map(move |(index, group)| {
                let elsewhere = if index + 1 == last { rest } else { 0 };
                group
                    .first()
                    .map(|lack| diagnostic(lack, group.len() - 1, elsewhere, manner))
            })
            .collect::<Vec<_>>()
        })
        .collect()
}

/// The error of one, `beside` more in its directory and `elsewhere` more that are not told.
fn diagnostic(lack: &Lack, beside: usize, elsewhere: usize, manner: &Manner) -> Diagnostic {
    let mut message = lack.cause.message();
    if beside > 0 {
        message.push_str(&format!("; so are {beside} more in this directory"));
    }
    if elsewhere > 0 {
        let more = plural(elsewhere as u64, "more path");
        message.push_str(&format!("; {more} elsewhere"));
    }
    Diagnostic::of_path(
        &manner.name(&lack.path),
        message,
        lack.cause.help(&lack.tracked),
    )
}

impl Cause {
    fn is_submodule(&self) -> bool {
        matches!(self, Self::Submodule | Self::SubmoduleOfCopy)
    }

    fn message(&self) -> String {
        match self {
            Self::Submodule => "the submodule is not fetched, so what it holds is not known".into(),
            Self::SubmoduleOfCopy => {
                "this is a submodule, and sharekeeper fetches none, so what it holds is not known"
                    .into()
            }
            Self::Sparse => "git has it, and a sparse checkout leaves it out".into(),
            Self::Checkout => {
                "git has it, and it is not there: the checkout did not come to its end".into()
            }
            Self::Filter(filter) => format!(
                "git has it, and it is not there: it was deleted, or its filter `{filter}` failed as it was checked out"
            ),
            Self::Deleted => "git has it, and it is not there".into(),
            Self::NotInCopy => "the commit has it, and git did not check it out".into(),
        }
    }

    /// `tracked` is the path as git has it.
    fn help(&self, tracked: &Path) -> String {
        let path = safe(&tracked.to_string_lossy());
        match self {
            Self::Submodule => format!(
                "fetch it with `git submodule update --init '{path}'` (in CI, have the checkout fetch submodules), or give paths that do not hold it"
            ),
            Self::SubmoduleOfCopy => "put its manifests into the repository itself, follow the submodule's own repository apart, or give a `--path` that does not hold it".into(),
            Self::Sparse => "widen the checkout with `git sparse-checkout add` or `git sparse-checkout disable`, or give narrower paths that are checked out whole".into(),
            Self::Checkout => "`git reset --hard` finishes the checkout, or says what keeps it from that, such as a filter that is not installed".into(),
            Self::Filter(filter) => format!(
                "`git restore '{path}'` brings it back, or says what is wrong with `{filter}`; if it was deleted on purpose, `git rm '{path}'` or `git add -A` confirms it"
            ),
            Self::Deleted => format!(
                "if it was deleted on purpose, `git rm '{path}'` or `git add -A` confirms it; if not, `git restore '{path}'` brings it back"
            ),
            Self::NotInCopy => "look whether another path of the repository differs from it in letter case alone, or give a `--path` that does not hold it".into(),
        }
    }
}
