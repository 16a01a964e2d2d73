//! Which process follows a request that a person writes to a state directory: the one that reconciles with it now, or
//! the next one. A request in a directory that no process uses would have no effect, although the person relies on it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::Common;
use super::output::Failure;
use super::state;
use crate::store::{Holder, StateSummary};

/// The state directories of the shipped systemd unit and the Kubernetes example.
const SHIPPED: [&str; 2] = ["/var/lib/sharekeeper", "/var/lib/sharekeeper/state"];

/// The process that follows requests in a state directory.
#[derive(Debug, Serialize)]
pub(super) struct ObeyedBy {
    state_dir: String,
    /// The process that reconciles with the directory now; `None` means that the next one follows requests.
    #[serde(rename = "obeyed_by")]
    holder: Option<Holder>,
}

impl ObeyedBy {
    /// Finds the process, and a summary of the directory. Fails if the directory was never used and no process
    /// reconciles with it. `undone` is the part of the error that says what is not done then.
    pub(super) fn find(
        directory: &Path,
        (common, sim): (&Common, bool),
        undone: &str,
    ) -> Result<(Self, StateSummary), Failure> {
        let reader = state::read(directory)?;
        let summary = reader.summary().map_err(Failure::new)?;
        if reader.is_new() && summary.holder.is_none() {
            return Err(Failure::new(unused(directory, common, sim, undone)));
        }
        let obeyed_by = Self {
            state_dir: directory.display().to_string(),
            holder: summary.holder.clone(),
        };
        Ok((obeyed_by, summary))
    }

    /// A line for a person that names the process. `when` says from when on a running process follows the request.
    pub(super) fn line(&self, when: &str) -> String {
        let directory = &self.state_dir;
        match &self.holder {
            Some(holder) => {
                format!("{holder} works with {directory}, and follows this from {when} on\n")
            }
            None => format!("no process works with {directory} now; the next run follows this\n"),
        }
    }
}

/// The error for a directory that was never used. Names other directories that may be meant.
fn unused(directory: &Path, common: &Common, sim: bool, undone: &str) -> String {
    let others: Vec<_> = other_states(directory, common, sim)
        .into_iter()
        .filter_map(|(path, flags)| {
            let reader = state::read(&path).ok().filter(|reader| !reader.is_new())?;
            let holder = reader.summary().ok()?.holder;
            let by = holder.map_or_else(|| "no process now".to_owned(), |it| it.to_string());
            Some(format!("`{flags}`, used by {by}"))
        })
        .collect();
    let remedy = match others.is_empty() {
        true => {
            "repeat the `--state-dir` of the process that should follow this, and its `--sim` if it has that"
                .to_owned()
        }
        false => format!("there is a state with {}", others.join(", and with ")),
    };
    format!(
        "{undone}: the state in {} was never used and no process works with it, so this would have no effect; {remedy}",
        directory.display()
    )
}

/// Directories in which another state may be, each with the flags that select it.
fn other_states(directory: &Path, common: &Common, sim: bool) -> Vec<(PathBuf, String)> {
    let mut bases = Vec::new();
    if let Some(given) = &common.state_dir {
        bases.push((given.clone(), format!("--state-dir {}", given.display())));
    }
    if let Ok(default) = state::xdg_state_directory() {
        let flags = match &common.state_dir {
            Some(_) => format!("--state-dir {}", default.display()),
            None => String::new(),
        };
        bases.push((default, flags));
    }
    let shipped = SHIPPED.map(|path| (PathBuf::from(path), format!("--state-dir {path}")));
    bases.extend(shipped);
    let mut states: Vec<(PathBuf, String)> = Vec::new();
    for (base, flags) in bases {
        let with_sim = format!("{flags} --sim").trim_start().to_owned();
        let real = match (sim, flags.is_empty()) {
            (true, true) => "no --sim".to_owned(),
            (true, false) => format!("{flags}, without --sim"),
            (false, _) => flags,
        };
        for (path, flags) in [(base.join("sim"), with_sim), (base, real)] {
            let is_known = states.iter().any(|(known, _)| *known == path);
            if path != directory && !is_known {
                states.push((path, flags));
            }
        }
    }
    states
}
