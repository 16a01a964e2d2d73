//! Reads manifests until two readings in a row agree.
//!
//! A checkout, an `rsync` or a generator writes one file after another, and Kubernetes swaps a volume while it is being
//! read. Half of such a change is as valid YAML as the whole; a complete set can only be recognised because it no
//! longer changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::reading::{Found, FoundFile, Reading};
use super::walk;
use crate::host::Clock;
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::git::repository;
use crate::manifest::git::searched_directory;
use crate::manifest::read_options::{GitBusyPolicy, ReadOptions};
use crate::model::Timestamp;

/// A change within this time may be part of one that still continues. The margin covers file servers whose clocks are
/// slightly off and file systems with a resolution of a whole second.
const RECENT: TimeDelta = TimeDelta::seconds(2);
/// The pause between two readings of a set that changed: longer than a writer needs from one file to the next.
pub(super) const PAUSE: Duration = Duration::from_millis(250);
/// Two equal reads closer together than this prove nothing: a writer may pause that long between two files.
const QUIET_MIN: Duration = Duration::from_millis(100);
/// The total time for a stable reading. A writer that needs longer will not finish soon.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// A change after this instant may be part of one that still continues.
fn recent_since(options: &ReadOptions, now: Timestamp) -> Timestamp {
    match TimeDelta::from_std(options.quiet_for) {
        Ok(still) if options.quiet_for >= QUIET_MIN => now - still.min(RECENT),
        _ => now - RECENT,
    }
}

/// The outcome of one attempt to read the manifests.
enum ReadOutcome {
    /// The reading equals the previous one.
    Stable(Reading),
    /// There was no reading to compare with.
    First { is_recent: bool },
    /// The manifests changed, or a git operation is in progress. The error is reported if that does not end.
    Unstable(Diagnostic),
}

/// Reads the manifests at `paths` until two readings in a row agree.
pub(super) async fn read<C: Clock>(
    paths: &[PathBuf],
    options: &ReadOptions,
    clock: &C,
) -> Result<Reading, Diagnostic> {
    let give_up = clock.monotonic() + READ_TIMEOUT;
    let request = Arc::new((paths.to_owned(), options.clone()));
    let mut before = None;
    let mut is_logged = false;
    loop {
        let (request, found, now) = (Arc::clone(&request), before.take(), clock.now());
        let work = move || {
            let (paths, options) = &*request;
            read_once(paths, options, found, now)
        };
        let outcome;
        (outcome, before) = options.run(work).await;
        match outcome {
            ReadOutcome::Stable(reading) => return Ok(reading),
            ReadOutcome::First { is_recent: false } => continue,
            ReadOutcome::First { is_recent: true } => {}
            ReadOutcome::Unstable(problem) if clock.monotonic() >= give_up => return Err(problem),
            ReadOutcome::Unstable(problem) => {
                if !is_logged {
                    tracing::info!(file = problem.file, "waiting: {}", problem.message);
                }
                is_logged = true;
            }
        }
        clock.sleep_until(clock.monotonic() + PAUSE).await;
    }
}

/// Reads the manifests once. `before` is the previous reading, if it counts. Also returns what counts for the next one.
fn read_once(
    paths: &[PathBuf],
    options: &ReadOptions,
    before: Option<Found>,
    now: Timestamp,
) -> (ReadOutcome, Option<Found>) {
    let in_progress = |found: &Found| match options.git {
        GitBusyPolicy::Wait => repository::operation_at(paths).or_else(|| {
            found
                .searched
                .iter()
                .find_map(searched_directory::operation_in)
        }),
        GitBusyPolicy::Read => None,
    };
    if let Some(operation) = in_progress(&Found::default()) {
        // A reading from before the operation does not show its result.
        return (ReadOutcome::Unstable(operation), None);
    }
    let reading = walk::read(paths, options);
    if reading.torn {
        // A mixture of two versions must not count for the next reading.
        return (
            ReadOutcome::Unstable(changing(&[], &reading, paths, options)),
            None,
        );
    }
    match before {
        // git may have started before the first of the two readings and paused since.
        Some(found) if found == reading.found => match in_progress(&reading.found) {
            None => (ReadOutcome::Stable(reading), None),
            Some(operation) => (ReadOutcome::Unstable(operation), None),
        },
        Some(found) => {
            let problem = changing(&found.files, &reading, paths, options);
            (ReadOutcome::Unstable(problem), Some(reading.found))
        }
        None => {
            // A change in the future counts as recent, because the file server's clock is ahead by that much.
            let is_recent = reading
                .changed
                .is_some_and(|at| at > recent_since(options, now));
            (ReadOutcome::First { is_recent }, Some(reading.found))
        }
    }
}

/// The error to report if the changes continue, at the first file that differs.
pub(super) fn changing(
    before: &[FoundFile],
    now: &Reading,
    paths: &[PathBuf],
    options: &ReadOptions,
) -> Diagnostic {
    let now = &now.found.files;
    let same = before.iter().zip(now).take_while(|(a, b)| a == b).count();
    let file = now.get(same).or_else(|| before.get(same));
    let path = file.map(|file| &file.path).or(paths.first());
    let message = format!(
        "the manifests keep changing: they were not the same twice in a row within {} seconds",
        READ_TIMEOUT.as_secs()
    );
    let help = "let the program that writes them finish, then run this again; a program that never stops writing should write elsewhere and rename the finished directory into place";
    let path = path.map_or_else(String::new, |path| options.name(path));
    Diagnostic::of_path(&path, message, help)
}
