//! Tests of what operators run around the daemon: `/metrics`, alerts, the dashboard, and the units that start
//! it. A metric that is renamed in only one of them would break monitoring silently.

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

/// Absolute path of a file of the repository.
fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Content of a file of the repository; panics with its name.
fn text(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
