//! Git's knowledge about the manifests: whether an operation is changing them, which of them it tracks, and their
//! commit. This module reads no manifest.

mod changes;
pub(super) mod command;
pub(super) mod missing;
mod missing_causes;
pub(super) mod repository;
pub(super) mod revision;
pub(super) mod revision_error;
pub(super) mod searched_directory;
mod shell_paths;
pub(super) mod tracked_entry;
pub(super) mod tracked_files;
pub(super) mod unverified;
