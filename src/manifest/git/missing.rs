//! Reports manifests that git has but the work tree lacks: each cause once per directory, with its remedy.

use std::path::PathBuf;

use super::shell_paths::{pathspec, word};
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::read_options::ReadOptions;
use crate::manifest::source_text::SourceText;
use crate::words::plural;

/// Added to the remedy if a missing manifest affects the others in its directory.
pub(in crate::manifest) const PARTIAL_OK_NOTE: &str = "until then, `--partial-ok` uses nothing from its directory either, because the missing file may hold a `Restriction` for that directory";

/// The number of directories that are listed for each cause. For the others, only the number of missing manifests is
/// shown.
const TOLD_MAX: usize = 20;

/// An entry that git has but the work tree lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::manifest) struct MissingEntry {
    pub cause: MissingCause,
    /// The path by which it would be read.
    pub path: PathBuf,
    /// Its path relative to `top`.
    pub tracked: PathBuf,
    /// The top of the work tree.
    pub top: PathBuf,
    /// Whether it could hold a `Restriction` for the directory that it is missing from.
    pub could_restrict: bool,
    /// `None` if the text cannot be read from git.
    pub text: Option<MissingText>,
}

/// Facts about the text of a missing file, by the same tests as for a file that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::manifest) struct MissingText {
    pub may_restrict: bool,
    pub may_declare_account: bool,
}

/// Why an entry is not in the work tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::manifest) enum MissingCause {
    /// A submodule was not fetched, or not checked out.
    Submodule,
    /// The same in a private copy of a repository, which never has submodules.
    SubmoduleOfCopy,
    /// A sparse checkout leaves it out.
    Sparse,
    /// There is no index: no checkout was ever completed.
    Checkout,
    /// It was deleted, or the filter of this name kept it from being written.
    Filter(String),
    Deleted,
    /// It was not written into the private copy.
    NotInCopy,
}

impl MissingText {
    pub(in crate::manifest) fn new(text: &SourceText) -> Self {
        Self {
            may_restrict: text.may_restrict(),
            may_declare_account: text.may_declare_account(),
        }
    }
}

/// The errors to report. `missing` must be sorted.
pub(in crate::manifest) fn diagnostics(
    missing: &[MissingEntry],
    options: &ReadOptions,
) -> Vec<Diagnostic> {
    let by_cause = missing.chunk_by(|a, b| a.cause == b.cause);
    by_cause
        .flat_map(|missing| {
            let is_one = |a: &MissingEntry, b: &MissingEntry| {
                !a.cause.is_submodule() && a.path.parent() == b.path.parent()
            };
            let mut groups: Vec<_> = missing.chunk_by(is_one).collect();
            let rest: usize = groups
                .drain(TOLD_MAX.min(groups.len())..)
                .map(<[_]>::len)
                .sum();
            let last = groups.len();
            let listed = groups.into_iter().enumerate();
            listed
                .filter_map(move |(index, group)| {
                    let elsewhere = if index + 1 == last { rest } else { 0 };
                    (!group.is_empty()).then(|| diagnostic(group, elsewhere, options))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The error for the entries that are missing from one directory, and for `elsewhere` more paths that are not listed.
fn diagnostic(group: &[MissingEntry], elsewhere: usize, options: &ReadOptions) -> Diagnostic {
    let (entry, beside) = (&group[0], group.len() - 1);
    let mut message = entry.cause.message();
    if beside > 0 {
        message.push_str(&format!("; so are {beside} more in this directory"));
    }
    if elsewhere > 0 {
        let more = plural(elsewhere as u64, "more path");
        message.push_str(&format!("; {more} elsewhere"));
    }
    let mut help = entry.help();
    let restricts = |entry: &MissingEntry| {
        entry.could_restrict && entry.text.is_none_or(|text| text.may_restrict)
    };
    if group.iter().any(restricts) {
        help.push_str(&format!("; {PARTIAL_OK_NOTE}"));
    }
    Diagnostic::of_path(&options.name(&entry.path), message, help)
}

impl MissingCause {
    fn is_submodule(&self) -> bool {
        matches!(self, Self::Submodule | Self::SubmoduleOfCopy)
    }

    fn message(&self) -> String {
        match self {
            Self::Submodule => "the submodule is not fetched, so its content is not known".into(),
            Self::SubmoduleOfCopy => {
                "this is a submodule, and sharekeeper fetches none, so its content is not known"
                    .into()
            }
            Self::Sparse => "git has it, but a sparse checkout leaves it out".into(),
            Self::Checkout => "git has it, but it is missing: the checkout did not finish".into(),
            Self::Filter(filter) => format!(
                "git has it, but it is missing: it was deleted, or its filter `{filter}` failed during the checkout"
            ),
            Self::Deleted => "git has it, but it is missing".into(),
            Self::NotInCopy => "the commit has it, but git did not check it out".into(),
        }
    }
}

impl MissingEntry {
    /// The remedy, in commands that work from any directory.
    fn help(&self) -> String {
        let git = format!("git -C {}", word(&self.top));
        let path = pathspec(&self.tracked);
        match &self.cause {
            MissingCause::Submodule => format!(
                "fetch it with `git submodule update --init` (in CI, make the checkout fetch submodules): `{git} submodule update --init -- {path}`; or give paths that do not contain it; if it was removed on purpose, `git rm` confirms it: `{git} rm -- {path}`"
            ),
            MissingCause::SubmoduleOfCopy => "put its manifests into the repository itself, follow the submodule's own repository separately, or give a `--path` that does not contain it".into(),
            MissingCause::Sparse => format!(
                "widen the checkout with `git sparse-checkout add` or `git sparse-checkout disable` (`{git} sparse-checkout disable`), or give narrower paths that are completely checked out"
            ),
            MissingCause::Checkout => format!(
                "finish the checkout: `{git} reset` rebuilds git's index and changes no file, and then `git restore` brings back the missing files, or says what prevents that, such as a filter that is not installed: `{git} restore -- {path}`"
            ),
            MissingCause::Filter(filter) => format!(
                "`git restore` brings it back, or says what is wrong with `{filter}`: `{git} restore -- {path}`; if it was deleted on purpose, `git rm` or `git add -A` confirms it: `{git} rm -- {path}`"
            ),
            MissingCause::Deleted => format!(
                "if it was deleted on purpose, `git rm` or `git add -A` confirms it: `{git} rm -- {path}`; if not, `git restore` brings it back: `{git} restore -- {path}`"
            ),
            MissingCause::NotInCopy => "check whether another path in the repository differs from it only in letter case, or give a `--path` that does not contain it".into(),
        }
    }
}
