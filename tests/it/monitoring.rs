//! What operators put around the daemon: `/metrics`, alerts, the dashboard, and the units that start it.

mod boards;
mod counted;
mod deployments;
mod exposition;
mod names;
mod promtool;
mod readiness;
mod retried;
mod scrapes;

use std::path::PathBuf;

/// A file of the repository.
fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The text of a file of the repository.
fn text(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
