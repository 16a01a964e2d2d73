//! When what was read may be taken for a set: only once it was read twice and was the same both times.
//!
//! A checkout, an `rsync` or a generator writes file after file, and a Kubernetes volume is swapped under the reader's
//! hands. Half of that is as good YAML as the whole; nothing but its standing still tells it from a set.

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
use crate::manifest::read_options::{Manner, WhileGitWorks};
use crate::model::Timestamp;

/// What changed within this time may be part of a change that is still going on. Long enough for the clocks of file
/// servers, which are a little off, and for file systems that count in whole seconds.
const RECENT: TimeDelta = TimeDelta::seconds(2);
/// Between two readings of a set that changed: longer than a writer takes from one file to the next.
pub(super) const PAUSE: Duration = Duration::from_millis(250);
/// Who saw that nothing changed for less than this saw nothing: a writer may take as long from one file to the next.
const STILL_MIN: Duration = Duration::from_millis(100);
/// In all. Who writes for longer is not about to be done.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A change after this instant may be part of one that is still going on.
fn recent(manner: &Manner, now: Timestamp) -> Timestamp {
    match TimeDelta::from_std(manner.still_for) {
        Ok(still) if manner.still_for >= STILL_MIN => now - still.min(RECENT),
        _ => now - RECENT,
    }
}

/// What one look at the manifests came to.
enum Look {
    /// They were as they had been before.
    Settled(Reading),
    /// They were read for the first time.
    First { is_recent: bool },
    /// They moved, or git is at work on them. If that does not end, it is this error.
    Restless(Diagnostic),
}

/// Reads the manifests at `paths` until two readings in a row agree.
pub(super) async fn read<C: Clock>(
    paths: &[PathBuf],
    manner: &Manner,
    clock: &C,
) -> Result<Reading, Diagnostic> {
    let give_up = clock.monotonic() + PATIENCE;
    let looker = Arc::new((paths.to_owned(), manner.clone()));
    let mut before = None;
    let mut told = false;
    loop {
        let (looker, found, now) = (Arc::clone(&looker), before.take(), clock.now());
        let work = move || {
            let (paths, manner) = &*looker;
            look(paths, manner, found, now)
        };
        let seen;
        (seen, before) = manner.run(work).await;
        match seen {
            Look::Settled(reading) => return Ok(reading),
            Look::First { is_recent: false } => continue,
            Look::First { is_recent: true } => {}
            Look::Restless(problem) if clock.monotonic() >= give_up => return Err(problem),
            Look::Restless(problem) => {
                if !told {
                    tracing::info!(file = problem.file, "waiting: {}", problem.message);
                }
                told = true;
            }
        }
        clock.sleep_until(clock.monotonic() + PAUSE).await;
    }
}

/// `before` is what the reading before this one found, if it counts. With the look comes what counts for the next.
fn look(
    paths: &[PathBuf],
    manner: &Manner,
    before: Option<Found>,
    now: Timestamp,
) -> (Look, Option<Found>) {
    let under_way = |found: &Found| match manner.git {
        WhileGitWorks::Wait => repository::under_way(paths)
            .or_else(|| found.searched.iter().find_map(searched_directory::at_work)),
        WhileGitWorks::Read => None,
    };
    if let Some(operation) = under_way(&Found::default()) {
        // What was there before it says nothing of what it leaves behind.
        return (Look::Restless(operation), None);
    }
    let reading = walk::read(paths, manner);
    if reading.torn {
        // Nothing can agree with it.
        return (Look::Restless(changing(&[], &reading, paths, manner)), None);
    }
    match before {
        // Git may have begun before the first of the two readings, and stood still since.
        Some(found) if found == reading.found => match under_way(&reading.found) {
            None => (Look::Settled(reading), None),
            Some(operation) => (Look::Restless(operation), None),
        },
        Some(found) => {
            let problem = changing(&found.files, &reading, paths, manner);
            (Look::Restless(problem), Some(reading.found))
        }
        None => {
            // A change that seems to lie ahead counts: the file server's clock is, by as much.
            let is_recent = reading.changed.is_some_and(|at| at > recent(manner, now));
            (Look::First { is_recent }, Some(reading.found))
        }
    }
}

/// The error that it is if it goes on, at the first file that is not as it was.
pub(super) fn changing(
    before: &[FoundFile],
    now: &Reading,
    paths: &[PathBuf],
    manner: &Manner,
) -> Diagnostic {
    let now = &now.found.files;
    let same = before.iter().zip(now).take_while(|(a, b)| a == b).count();
    let file = now.get(same).or_else(|| before.get(same));
    let path = file.map(|file| &file.path).or(paths.first());
    let message = format!(
        "the manifests keep changing: they were not the same twice in a row within {} seconds",
        PATIENCE.as_secs()
    );
    let help = "let what writes them finish, then run this again; a writer that never rests should write elsewhere and rename the finished directory into place";
    let path = path.map_or_else(String::new, |path| manner.name(path));
    Diagnostic::of_path(&path, message, help)
}
