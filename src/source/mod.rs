//! SOURCE: notices when the manifests change, in a directory or in a git repository, and sends the new sets.
//!
//! [`feed`] sends an [`Update`] whenever the set differs from the last one it sent, becomes broken, or is good again. For
//! files, it looks when the operating system reports a change, and from time to time in case no change is reported
//! (`files`). For a repository, it asks for the commit from time to time (`git`) and fetches it into a private copy
//! (`private_copy`, `copy_files`), in a directory that `home` locks; the files to be read are checked out from there
//! (`checkout`).
//!
//! This module does not know what the sets are used for. A broken set is never sent as a smaller set: the receiver keeps
//! the last good one.

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

/// Where manifests come from. Displays as text for people, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Files, and directories that are searched for files.
    Files(Vec<PathBuf>),
    Git(Repository),
}

/// A git repository that is asked for its commit from time to time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub url: GitUrl,
    /// The branch, tag or commit that holds the manifests.
    pub reference: GitRef,
    /// The path of the manifests within the repository; `None` for the whole repository.
    pub dir: Option<PathBuf>,
    /// How often the repository is asked.
    pub every: Duration,
    /// The longest time that a fetch from it may take.
    pub timeout: Duration,
    /// A directory for the private copy that nothing else uses. It may not exist yet.
    pub home: PathBuf,
}

/// The result of looking at the manifests.
#[derive(Debug)]
pub enum Update {
    /// They are good, and differ from the set before or are good again.
    Loaded(Box<Generation>),
    /// There is no good set now; holds every problem. The set that was loaded before stays in force.
    Broken(Vec<ManifestProblem>),
    /// Somebody asked for a reading, and its result has already been sent.
    Asked,
}

/// One set of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The state that they ask for.
    pub desired: Rc<Desired>,
    /// The git commit that they belong to, if there is one; with `-dirty` if they differ from it.
    pub commit: Option<String>,
    /// Warnings about what is allowed but looks wrong, one line each.
    pub warnings: Vec<String>,
    /// Errors in the files that were left out, under [`Settings::partial_ok`]. If there are any, **no CANCEL may ever be
    /// computed from `desired`**: a file that was left out may say otherwise.
    pub problems: Vec<ManifestProblem>,
}

/// The origin of the manifests and how to follow it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub origin: Origin,
    /// Whether the good files of a broken set are used as a set, with the errors in its `problems`.
    pub partial_ok: bool,
    /// Files are read when no change came for this long, or when changes kept coming for ten times as long.
    pub debounce: Duration,
    /// How often files are looked at even if no change was reported.
    pub poll: Duration,
}

/// The interfaces to the outside that it needs.
pub struct Ports<C, D, P, W> {
    /// The machine's own clock, uncorrected, because it is compared with the times of files.
    pub clock: C,
    pub rng: D,
    pub programs: P,
    /// Reports changes of files.
    pub watch: W,
}

/// Shortest interval between two looks, whatever the settings say, because each look costs work.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// The receiver of the updates is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReceiverClosed;

/// Sends updates until their receiver is gone; the first as soon as it is known. A notification of `reload` makes it read
/// everything again at once, and is answered with [`Update::Asked`].
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
