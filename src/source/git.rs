//! Follows manifests in a git repository: when to ask for its commit, and what the answer means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Notify;

use super::private_copy::{Patience, PrivateCopy, PrivateCopyError};
use super::reading::{self, Reading};
use super::updates::UpdateSender;
use super::{EVERY_MIN, ManifestProblem, Ports, ReceiverClosed, Repository};
use crate::host::{Clock, CommandRunner, Rng, spawn_blocking};
use crate::manifest::{GitBusyPolicy, ReadOptions};
use crate::pace::Backoff;

/// Waits between tries while the repository cannot be reached.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(5),
    cap: Duration::from_secs(300),
};
/// Waits vary by this fraction, so that many daemons that started together do not stay in step.
const JITTER: f64 = 0.2;
/// Length of a commit's hash as shown to people.
const SHORT: usize = 12;

struct Git<C, D, P, W> {
    repository: Repository,
    partial_ok: bool,
    ports: Ports<C, D, P, W>,
    updates: UpdateSender,
    copy: PrivateCopy,
    /// The last commit that was read, and the problems found in it.
    judged: Option<(String, Vec<ManifestProblem>)>,
    /// The commit of the set that was last sent.
    in_force: Option<String>,
    /// How many tries in a row did not give a commit.
    failures: u32,
}

/// Sends updates until their receiver is gone.
pub(super) async fn feed<C: Clock, D: Rng, P: CommandRunner, W>(
    repository: Repository,
    partial_ok: bool,
    ports: Ports<C, D, P, W>,
    updates: UpdateSender,
    reload: &Notify,
) -> ReceiverClosed {
    let copy = PrivateCopy::of(&repository);
    let mut git = Git {
        repository,
        partial_ok,
        ports,
        updates,
        copy,
        judged: None,
        in_force: None,
        failures: 0,
    };
    let mut is_asked = false;
    loop {
        if let Err(gone) = git.round(is_asked).await {
            return gone;
        }
        let Ports { clock, .. } = &git.ports;
        let again_at = clock.monotonic() + git.wait();
        is_asked = tokio::select! {
            () = reload.notified() => true,
            () = clock.sleep_until(again_at) => false,
        };
    }
}

impl<C: Clock, D: Rng, P: CommandRunner, W> Git<C, D, P, W> {
    /// Asks the repository once, and handles its answer.
    async fn round(&mut self, is_asked: bool) -> Result<(), ReceiverClosed> {
        let programs = &self.ports.programs;
        let patience = match self.is_first() && self.copy.good(programs).await.is_some() {
            true => Patience::Short,
            false => Patience::Full,
        };
        match self.copy.fetch(patience, programs).await {
            Ok(commit) => self.take(commit).await?,
            Err(error) => self.fail(&error).await?,
        }
        match is_asked {
            true => self.updates.asked().await,
            false => Ok(()),
        }
    }

    /// Whether the repository has given no result yet, good or bad.
    fn is_first(&self) -> bool {
        self.failures == 0 && self.judged.is_none()
    }

    fn wait(&self) -> Duration {
        let wait = match self.failures {
            0 => self.repository.every.max(EVERY_MIN),
            failures => BACKOFF.step(failures),
        };
        wait.mul_f64(1.0 + JITTER * (self.ports.rng.next_f64() - 0.5))
    }

    /// Handles the answer that `commit` is the current one.
    async fn take(&mut self, commit: String) -> Result<(), ReceiverClosed> {
        match &self.judged {
            Some((judged, problems)) if *judged == commit && !problems.is_empty() => {
                self.failures = 0;
                let problems = problems.clone();
                return self.updates.broken(problems).await;
            }
            Some((judged, _)) if *judged == commit && self.updates.is_loaded() => {
                self.failures = 0;
                return Ok(());
            }
            _ => {}
        }
        self.load(commit).await
    }

    /// Reads a commit from the private copy.
    async fn load(&mut self, commit: String) -> Result<(), ReceiverClosed> {
        let tree = match self.copy.check_out(&commit, &self.ports.programs).await {
            Ok(tree) => tree,
            Err(error) => return self.report(&error).await,
        };
        let reading = self.read(tree).await;
        self.copy.clear().await;
        self.failures = 0;
        match reading.result {
            Ok(mut set) => {
                if set.problems.is_empty() {
                    self.copy.keep(&commit, &self.ports.programs).await;
                }
                let is_known = set.is_known_to_be_whole();
                self.judged = is_known.then(|| (commit.clone(), Vec::new()));
                self.in_force = Some(commit.clone());
                set.commit = Some(commit);
                self.updates.loaded(set).await
            }
            Err(problems) => {
                let problems = self.refusal(&commit, problems);
                self.judged = (!reading.may_pass).then(|| (commit, problems.clone()));
                self.updates.broken(problems).await
            }
        }
    }

    async fn read(&self, tree: PathBuf) -> Reading {
        let path = match &self.repository.dir {
            Some(dir) => tree.join(dir),
            None => tree.clone(),
        };
        let (inside, tree_now) = (path.clone(), tree.clone());
        if spawn_blocking(move || leads_out(&inside, &tree_now)).await {
            let dir = self.repository.dir.clone().unwrap_or_default();
            let dir = crate::words::safe(&dir.to_string_lossy());
            return Reading {
                result: Err(vec![ManifestProblem::Repository(format!(
                    "{dir}: the path leads out of the repository; give one within it"
                ))]),
                may_pass: false,
            };
        }
        let options = ReadOptions {
            spawn_blocking: true,
            root: Some(tree),
            git_directory: Some(self.copy.git_directory().to_owned()),
            // No other process works on this copy.
            ..ReadOptions::new(GitBusyPolicy::Read)
        };
        let Ports {
            clock, programs, ..
        } = &self.ports;
        reading::read(&[path], &options, self.partial_ok, clock, programs).await
    }

    /// Handles a try in which the repository could not be asked.
    async fn fail(&mut self, error: &PrivateCopyError) -> Result<(), ReceiverClosed> {
        if self.is_first()
            && let Some(commit) = self.copy.good(&self.ports.programs).await
        {
            self.load(commit).await?;
        }
        self.report(error).await
    }

    async fn report(&mut self, error: &PrivateCopyError) -> Result<(), ReceiverClosed> {
        self.failures = self.failures.saturating_add(1);
        let problem = format!("{}: {error}; {}", self.repository, self.stays());
        self.updates
            .broken(vec![ManifestProblem::Repository(problem)])
            .await
    }

    /// The problems that people see for a commit that cannot be used.
    fn refusal(&self, commit: &str, problems: Vec<ManifestProblem>) -> Vec<ManifestProblem> {
        let head = format!(
            "{}: commit {} is not used, because its manifests have errors; {}",
            self.repository,
            short(commit),
            self.stays()
        );
        std::iter::once(ManifestProblem::Repository(head))
            .chain(problems)
            .collect()
    }

    fn stays(&self) -> String {
        match &self.in_force {
            Some(commit) => format!("commit {} stays in force", short(commit)),
            None => "nothing is decided until there is a valid commit".to_owned(),
        }
    }
}

/// Whether a path is outside of the tree that it should be in. A path that does not exist is checked by its text alone.
fn leads_out(path: &Path, tree: &Path) -> bool {
    match (path.canonicalize(), tree.canonicalize()) {
        (Ok(path), Ok(tree)) => !path.starts_with(tree),
        // A missing path is reported when it is read; but nothing is revealed about paths outside.
        _ => path.strip_prefix(tree).map_or(true, |below| {
            below.components().any(|part| {
                !matches!(
                    part,
                    std::path::Component::Normal(_) | std::path::Component::CurDir
                )
            })
        }),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}
