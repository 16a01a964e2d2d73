//! What operators put around the daemon: `/metrics`, alerts, the dashboard, and the units that start it.

mod support;

#[path = "monitoring/boards.rs"]
mod boards;
#[path = "monitoring/counted.rs"]
mod counted;
#[path = "monitoring/deployments.rs"]
mod deployments;
#[path = "monitoring/exposition.rs"]
mod exposition;
#[path = "monitoring/names.rs"]
mod names;
#[path = "monitoring/promtool.rs"]
mod promtool;
#[path = "monitoring/readiness.rs"]
mod readiness;
#[path = "monitoring/retried.rs"]
mod retried;
#[path = "monitoring/scrapes.rs"]
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
