//! Reads a set of manifests once, from files or from a repository.

use std::path::PathBuf;
use std::rc::Rc;

use super::{Generation, ManifestProblem};
use crate::desired::{Completeness, Desired};
use crate::host::{Clock, CommandRunner};
use crate::manifest::{self, Diagnostic, ReadOptions};

/// The result of one reading of the manifests.
pub(super) struct Reading {
    /// A set, whose `problems` are those of the files that were left out; or the errors if there is no set.
    pub result: Result<Generation, Vec<ManifestProblem>>,
    /// Whether the result may be different next time even if no file changes.
    pub may_pass: bool,
}

/// Reads the manifests at `paths`.
pub(super) async fn read<C: Clock, P: CommandRunner>(
    paths: &[PathBuf],
    options: &ReadOptions,
    partial_ok: bool,
    clock: &C,
    programs: &P,
) -> Reading {
    let broken = match manifest::load_with(paths, options, clock, programs).await {
        Ok(loaded) => {
            let warnings = loaded.warnings.iter().map(Diagnostic::to_string);
            return Reading {
                result: Ok(set(loaded.desired, warnings.collect(), Vec::new())),
                may_pass: false,
            };
        }
        Err(broken) => broken,
    };
    let problems = ManifestProblem::of(broken.diagnostics());
    let may_pass = broken.may_pass();
    let good = if partial_ok {
        options.run(|| broken.into_good()).await
    } else {
        None
    };
    let result = match good {
        Some(partial) => Ok(set(partial.into_partial_desired(), Vec::new(), problems)),
        None => Err(problems),
    };
    Reading { result, may_pass }
}

impl Generation {
    /// Whether git could be asked which files are missing.
    pub(super) fn is_known_to_be_whole(&self) -> bool {
        self.desired.completeness == Completeness::Whole
    }
}

fn set(desired: Desired, warnings: Vec<String>, problems: Vec<ManifestProblem>) -> Generation {
    Generation {
        desired: Rc::new(desired),
        commit: None,
        warnings,
        problems,
    }
}
