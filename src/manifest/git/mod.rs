//! What git knows of the manifests: whether it is at work on them, what it has of them, and the commit that they are of.
//! It reads no manifest.

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
