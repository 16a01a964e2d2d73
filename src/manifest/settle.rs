//! When what was read may be taken for a set: only once it was read twice and was the same both times.
//!
//! A checkout, an `rsync` or a generator writes file after file, and a Kubernetes volume is swapped under the reader's
//! hands. Half of that is as good YAML as the whole; nothing but its standing still tells it from a set.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;

use super::checkout;
use super::diagnostic::Diagnostic;
use super::files::{self, Found, FoundFile, Reading};
use crate::host::Clock;
use crate::model::Timestamp;

/// What changed within this time may be part of a change that is still going on. Long enough for the clocks of file
/// servers, which are a little off, and for file systems that count in whole seconds.
const RECENT: TimeDelta = TimeDelta::seconds(2);
/// Between two readings of a set that changed: longer than a writer takes from one file to the next.
const PAUSE: Duration = Duration::from_millis(250);
/// In all. Who writes for longer is not about to be done.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a git operation in the repository of the manifests means to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhileGitWorks {
    /// It is waited for; if it does not end, there is no set. For all that decides something.
    Wait,
    /// The files are read as they stand. For what only checks them, and may be a hook of the very operation that
    /// would be waited for.
    Read,
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
    git: WhileGitWorks,
    clock: &C,
) -> Result<Reading, Diagnostic> {
    let give_up = clock.moment() + PATIENCE;
    let mut before = None;
    let mut told = false;
    loop {
        match look(paths, git, &mut before, clock.now()) {
            Look::Settled(reading) => return Ok(reading),
            Look::First { is_recent: false } => continue,
            Look::First { is_recent: true } => {}
            Look::Restless(problem) if clock.moment() >= give_up => return Err(problem),
            Look::Restless(problem) => {
                if !told {
                    tracing::info!(file = problem.file, "waiting: {}", problem.message);
                }
                told = true;
            }
        }
        clock.sleep_until(clock.moment() + PAUSE).await;
    }
}

/// `before` is what the reading before this one found, if it counts.
fn look(paths: &[PathBuf], git: WhileGitWorks, before: &mut Option<Found>, now: Timestamp) -> Look {
    let under_way = || match git {
        WhileGitWorks::Wait => checkout::under_way(paths),
        WhileGitWorks::Read => None,
    };
    if let Some(operation) = under_way() {
        // What was there before it says nothing of what it leaves behind.
        *before = None;
        return Look::Restless(operation);
    }
    let reading = files::read(paths);
    if reading.torn {
        // Nothing can agree with it.
        *before = None;
        return Look::Restless(changing(&[], &reading, paths));
    }
    match before.take() {
        // Git may have begun before the first of the two readings, and stood still since.
        Some(found) if found == reading.found => match under_way() {
            None => Look::Settled(reading),
            Some(operation) => Look::Restless(operation),
        },
        Some(found) => {
            let problem = changing(&found.files, &reading, paths);
            *before = Some(reading.found);
            Look::Restless(problem)
        }
        None => {
            // A change that seems to lie ahead counts: the file server's clock is, by as much.
            let is_recent = reading.changed.is_some_and(|at| at > now - RECENT);
            *before = Some(reading.found);
            Look::First { is_recent }
        }
    }
}

/// The error that it is if it goes on, at the first file that is not as it was.
fn changing(before: &[FoundFile], now: &Reading, paths: &[PathBuf]) -> Diagnostic {
    let now = &now.found.files;
    let same = before.iter().zip(now).take_while(|(a, b)| a == b).count();
    let file = now.get(same).or_else(|| before.get(same));
    let path = file.map(|file| &file.path).or(paths.first());
    let message = format!(
        "the manifests keep changing: they were not the same twice in a row within {} seconds",
        PATIENCE.as_secs()
    );
    let help = "let what writes them finish, then run this again; a writer that never rests should write elsewhere and rename the finished directory into place";
    let path = path.map_or_else(Default::default, |path| path.to_string_lossy());
    Diagnostic::of_path(&path, message, help)
}
