//! SOURCE: that manifests have changed, in a directory or in a git repository, and the sets that come of it.
//!
//! [`feed`] sends an [`Update`] whenever the set is another than the last one it sent, breaks, or is good again. Files are
//! looked at when the operating system tells of a change (`files`), and now and then in case it does not; a repository is
//! asked now and then (`git`), into a private copy (`private_copy`, `copy_files`) in a directory that `home` locks, of which what is
//! read is checked out (`checkout`). Does not know what the sets are for. What is broken is never
//! a smaller set: whoever has the last good one keeps it.

mod address;
mod checkout;
mod copy_files;
mod files;
mod git;
mod home;
mod private_copy;
mod problem;
mod reading;
mod resolved_ref;
mod updates;

use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

use crate::desired::Desired;
use crate::host::{Clock, CommandRunner, Rng, Watch};
use crate::words::safe;
use updates::UpdateSender;

pub use address::{GitRef, GitRefError, GitUrl, GitUrlError};
pub use home::{CopyHome, CopyHomeError};
pub use problem::ManifestProblem;

/// Where manifests come from. Displays for people, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Files, and directories that are searched.
    Files(Vec<PathBuf>),
    Git(Repository),
}

/// A git repository that is asked now and then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub url: GitUrl,
    /// The branch, tag or commit that holds the manifests.
    pub reference: GitRef,
    /// The manifests within it; `None`: all of it.
    pub dir: Option<PathBuf>,
    /// How often it is asked.
    pub every: Duration,
    /// What a fetch from it may take.
    pub timeout: Duration,
    /// A directory for the private copy, of which this is the only user. It need not exist.
    pub home: PathBuf,
}

/// What became of the manifests.
#[derive(Debug)]
pub enum Update {
    /// They are good, and another set than before, or good again.
    Loaded(Box<Generation>),
    /// There is no good set now; holds every problem. What was loaded before stays in force.
    Broken(Vec<ManifestProblem>),
    /// Somebody asked for a reading, and what came of it has been sent before this.
    Asked,
}

/// A set of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// What they ask for.
    pub desired: Rc<Desired>,
    /// The git commit that they are of, where there is one; `-dirty` after it if they are not as it has them.
    pub commit: Option<String>,
    /// What is allowed but looks wrong, on one line each.
    pub warnings: Vec<String>,
    /// What is wrong with the files that were left out, under [`Settings::partial_ok`]. If there is any, **no CANCEL may
    /// ever be computed from `desired`**: a file that was left out may say otherwise.
    pub problems: Vec<ManifestProblem>,
}

/// What to feed from, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub origin: Origin,
    /// Of a broken set, the good files are a set, marked by its `problems`.
    pub partial_ok: bool,
    /// Files are read once no change came for this long, or came for ten times as long.
    pub debounce: Duration,
    /// Files are looked at this often, though no change was told of.
    pub poll: Duration,
}

/// What it needs from outside.
pub struct Ports<C, D, P, W> {
    /// The machine's own clock, uncorrected: it is held against the times of files.
    pub clock: C,
    pub rng: D,
    pub programs: P,
    /// Tells of changes of files.
    pub watch: W,
}

/// However often somebody wants it: looking is work.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// Whoever takes the updates is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReceiverClosed;

/// Sends updates until their receiver is gone; the first as soon as it is known. `reload` has everything read again now,
/// and is answered with [`Update::Asked`].
pub async fn feed<C: Clock, D: Rng, P: CommandRunner, W: Watch>(
    settings: Settings,
    ports: Ports<C, D, P, W>,
    updates: Sender<Update>,
    reload: Rc<Notify>,
) {
    let closed = updates.clone();
    let sender = UpdateSender::new(updates);
    let feeding = async {
        match settings.origin.clone() {
            Origin::Files(paths) => files::feed(paths, &settings, ports, sender, &reload).await,
            Origin::Git(repository) => {
                git::feed(repository, settings.partial_ok, ports, sender, &reload).await
            }
        }
    };
    tokio::select! {
        () = closed.closed() => {}
        ReceiverClosed = feeding => {}
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(paths) => {
                for (index, path) in paths.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{}", safe(&path.to_string_lossy()))?;
                }
                Ok(())
            }
            Self::Git(repository) => repository.fmt(f),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.url, self.reference)?;
        match &self.dir {
            Some(dir) => write!(f, ", in {}", safe(&dir.to_string_lossy())),
            None => Ok(()),
        }
    }
}
