//! MANIFEST → DESIRED: files and YAML become a [`Desired`], or all diagnostics at once.
//!
//! `read` finds files and reads them until two readings agree and no git operation is in progress. `git` finds out
//! which tracked files are missing, and the commit of the manifests. `parse` is pure: text → YAML tree with places →
//! documents → check against the directory's restrictions → desired state. A set with an error anywhere gives no
//! `Desired`; its valid part has another type (`partial`). This module must not know the cloud, plans or policy.

mod diagnostic;
mod file_state;
mod git;
mod parse;
mod partial;
mod paths;
mod read;
mod read_options;
mod render;
mod render_selection;
mod secret_words;
mod source_text;
mod suggest;

use std::path::PathBuf;

use crate::desired::Desired;
use crate::host::{Clock, CommandRunner};
use read::completeness::{self, CheckedReading};
use read::reading::Reading;
use read::{case_collisions, near_misses, unlinked};

pub use diagnostic::{Diagnostic, Diagnostics, Related, Severity};
pub use git::revision::{Checkout, Revision};
pub use git::revision_error::RevisionError;
pub use parse::lock::render as render_lock;
pub use parse::parse;
pub use parse::schema::schema;
pub use partial::{Broken, Partial};
pub(crate) use paths::{is_ignored, is_manifest_name};
pub use read::fingerprint::Fingerprint;
pub(crate) use read::{FILE_BYTES_MAX, TOTAL_BYTES_MAX};
pub use read_options::{GitBusyPolicy, ReadOptions};
pub use render::{Imported, Sharing, render};
pub use render_selection::{SelectedImages, render_selection};
pub use source_text::SourceText;
pub(crate) use suggest::nearest;

/// The remedy for a user who emptied a file or list: empty input never unshares anything.
const UNSHARE: &str = "to have images unshared, declare them `state: unshared`";

/// A set of manifests without an error.
#[derive(Debug)]
pub struct Loaded {
    pub desired: Desired,
    pub documents: usize,
    pub files: usize,
    /// Warnings about content that is valid but probably not intended.
    pub warnings: Vec<Diagnostic>,
}

/// Reads and parses the manifests at `paths`: files, and directories that are searched for `*.yaml` and `*.yml`. They
/// are read until two readings in a row agree, which takes longer than the reading itself only if something changed a
/// moment ago or a git operation is in progress. Directories in a git work tree must contain all manifests that git
/// tracks there; `runner` runs git.
pub async fn load<C: Clock, P: CommandRunner>(
    paths: &[PathBuf],
    git: GitBusyPolicy,
    clock: &C,
    runner: &P,
) -> Result<Loaded, Broken> {
    load_with(paths, &ReadOptions::new(git), clock, runner).await
}

/// [`load`] with other options. `clock` is compared with the times of files, so it must be the machine's own.
pub async fn load_with<C: Clock, P: CommandRunner>(
    paths: &[PathBuf],
    options: &ReadOptions,
    clock: &C,
    runner: &P,
) -> Result<Loaded, Broken> {
    let checked = completeness::read(paths, options, clock, runner).await;
    let CheckedReading {
        reading,
        completeness,
        mut warnings,
    } = match checked {
        Ok(checked) => checked,
        // No part of a set that keeps changing can be trusted.
        Err(problem) => return Err(Broken::unstable(problem)),
    };
    let Reading { sources, found, .. } = reading;
    warnings.extend(near_misses::warnings(&found.near_misses, options));
    warnings.extend(case_collisions::warnings(&found.files));
    warnings.extend(unlinked::warnings(&found.unlinked, options));
    let parse = move || {
        let sources = parse::in_order(sources);
        match parse::parse_in_order(&sources, found.problems.clone()) {
            Ok(mut loaded) => {
                loaded.desired.completeness = completeness;
                loaded.warnings.extend(warnings);
                Ok(loaded)
            }
            Err(diagnostics) => {
                let diagnostics = diagnostics.with_warnings(warnings);
                Err(Broken::new(diagnostics, sources, &found))
            }
        }
    };
    options.run(parse).await
}
