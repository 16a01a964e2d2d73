//! MANIFEST → DESIRED: files and YAML become a [`Desired`], or every diagnostic at once.
//!
//! `read` finds files and reads them until two readings agree and git is not at work on them. `git` says what it has of
//! them that is not there, and which commit they are of. `parse` is pure: text → YAML tree with places → documents →
//! whether the directory's restrictions allow what they name → desired state. A set with one error anywhere gives no
//! `Desired` at all; what is left of it is another type (`partial`). Knows nothing of the cloud, of plans or of policy.

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

/// The remedy for a user who emptied a file or list: nothing is ever unshared because something is empty.
const UNSHARE: &str = "to have images unshared, declare them `state: unshared`";

/// A set of manifests without an error.
#[derive(Debug)]
pub struct Loaded {
    pub desired: Desired,
    pub documents: usize,
    pub files: usize,
    /// Things that are valid but probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads and parses the manifests at `paths`: files, and directories that are searched for `*.yaml` and `*.yml`. They are
/// read until they are the same twice in a row, which takes longer than the reading itself only if something changed a
/// moment ago or a git operation is in progress. Directories in a git work tree must contain all manifests that git has of
/// them; `runner` runs git.
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
