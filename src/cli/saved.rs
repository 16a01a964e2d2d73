//! Saved plans, as commands read them and hold them against their command line.

use std::fs;
use std::path::Path;

use super::output::Failure;
use super::work::Work;
use crate::plan::{Policy, SavedPlan};

/// A saved plan has a selection and bounds of its own. Flags that say otherwise are not passed over in silence: whoever
/// gave them takes them for the bounds of what is about to happen.
pub(super) fn agree(saved: &SavedPlan, work: &Work) -> Result<(), Failure> {
    if !work.selector.is_all() && work.selector != saved.selector {
        return Err(Failure::usage(format_args!(
            "the saved plan was made for {}, and the flags pick {}; leave them out, or make a plan with them",
            saved.selector, work.selector
        )));
    }
    if work.policy != Policy::DEFAULT && work.policy != saved.policy() {
        return Err(Failure::usage(
            "the saved plan was made with other `--prune`, `--max-cancels`, `--max-cancels-percent` or `--accept-lost`; \
             leave them out, or make a plan with them",
        ));
    }
    Ok(())
}

/// Reads a saved plan.
pub(super) fn read(file: &Path) -> Result<SavedPlan, Failure> {
    let failure = |what: &dyn std::fmt::Display| {
        Failure::new(format_args!("the saved plan {}: {what}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| failure(&error))?;
    SavedPlan::parse(&text).map_err(|error| failure(&error))
}
