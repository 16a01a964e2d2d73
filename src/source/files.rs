//! Follows manifests in files: when to look for changes, and when to read.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Notify;

use super::reading::{self, Reading};
use super::updates::UpdateSender;
use super::{EVERY_MIN, Ports, ReceiverClosed, Settings};
use crate::host::{Clock, CommandRunner, Rng, Watch, spawn_blocking};
use crate::manifest::{Fingerprint, GitBusyPolicy, ReadOptions, Revision};
use crate::model::Monotonic;

/// If changes keep coming, the files are read after this many times the debounce.
const DEBOUNCES_MAX: u32 = 10;
/// The debounce is divided into this many parts. Any number of changes within one part is noticed once, so that a storm
/// of changes does not keep the thread busy.
const GRAINS: u32 = 10;
/// How long to wait before git is asked again after it could not be asked, even if no file has changed: fixing git
/// changes no manifest.
const ASK_GIT_AGAIN: Duration = Duration::from_secs(300);
/// How often the files are looked at in a row if the places to watch change each time.
const LOOKS_MAX: usize = 3;

/// Why the files are looked at now.
enum Wake {
    /// The files have not been looked at yet.
    Start,
    /// The watch reported a change, and then nothing for this long; zero if the changes never stopped.
    Change {
        quiet_for: Duration,
    },
    Poll,
    /// Somebody asked for it (a reload).
    Reload,
}

struct Files<C, D, P, W> {
    paths: Vec<PathBuf>,
    partial_ok: bool,
    ports: Ports<C, D, P, W>,
    updates: UpdateSender,
    /// Fingerprint of the files before they were last read; `None` if they must be read again in any case.
    read: Option<Fingerprint>,
    /// When they are read again even without a change; `None` if git could be asked.
    ask_git_at: Option<Monotonic>,
}

/// Sends updates until their receiver is gone.
pub(super) async fn feed<C: Clock, D: Rng, P: CommandRunner, W: Watch>(
    paths: Vec<PathBuf>,
    settings: &Settings,
    ports: Ports<C, D, P, W>,
    updates: UpdateSender,
    reload: &Notify,
) -> ReceiverClosed {
    let mut files = Files {
        paths,
        partial_ok: settings.partial_ok,
        ports,
        updates,
        read: None,
        ask_git_at: None,
    };
    let mut wake = Wake::Start;
    loop {
        if let Err(gone) = files.take(&wake).await {
            return gone;
        }
        wake = files.wake(settings, reload).await;
    }
}

impl<C: Clock, D: Rng, P: CommandRunner, W: Watch> Files<C, D, P, W> {
    /// Waits for a reason to look at the files.
    async fn wake(&mut self, settings: &Settings, reload: &Notify) -> Wake {
        let Ports { clock, watch, .. } = &mut self.ports;
        let poll_at = clock.monotonic() + settings.poll.max(EVERY_MIN);
        tokio::select! {
            () = reload.notified() => return Wake::Reload,
            () = clock.sleep_until(poll_at) => return Wake::Poll,
            () = watch.changed() => {}
        }
        let debounce = settings.debounce;
        let give_up = clock.monotonic() + debounce * DEBOUNCES_MAX;
        loop {
            let quiet_at = clock.monotonic() + debounce;
            tokio::select! {
                biased;
                    () = reload.notified() => return Wake::Reload,
                () = clock.sleep_until(quiet_at) => return Wake::Change { quiet_for: debounce },
                () = watch.changed() => {}
            }
            if clock.monotonic() >= give_up {
                let quiet_for = Duration::ZERO;
                return Wake::Change { quiet_for };
            }
            clock
                .sleep_until(clock.monotonic() + debounce / GRAINS)
                .await;
        }
    }

    async fn take(&mut self, wake: &Wake) -> Result<(), ReceiverClosed> {
        self.look(wake).await?;
        match wake {
            Wake::Reload => self.updates.asked().await,
            Wake::Start | Wake::Change { .. } | Wake::Poll => Ok(()),
        }
    }

    /// Looks at the files, and reads them if they have changed.
    async fn look(&mut self, wake: &Wake) -> Result<(), ReceiverClosed> {
        let print = self.fingerprint().await;
        let is_asked = matches!(wake, Wake::Start | Wake::Reload);
        let now = self.ports.clock.monotonic();
        let is_due = self.ask_git_at.is_some_and(|at| at <= now);
        if !is_asked && !is_due && self.read.as_ref() == Some(&print) {
            return Ok(());
        }
        let options = ReadOptions {
            quiet_for: match wake {
                Wake::Change { quiet_for } => *quiet_for,
                // No change was reported, so it is unknown when the files last changed.
                Wake::Start | Wake::Poll | Wake::Reload => Duration::ZERO,
            },
            spawn_blocking: true,
            ..ReadOptions::new(GitBusyPolicy::Wait)
        };
        let Ports {
            clock, programs, ..
        } = &self.ports;
        let Reading { result, may_pass } =
            reading::read(&self.paths, &options, self.partial_ok, clock, programs).await;
        self.read = (!may_pass).then_some(print);
        self.ask_git_at = None;
        match result {
            Ok(mut set) => {
                if !set.is_known_to_be_whole() {
                    self.ask_git_at = Some(clock.monotonic() + ASK_GIT_AGAIN);
                }
                let revision = Revision::of(&self.paths, programs).await;
                if let Revision::Unknown(why) = &revision {
                    tracing::debug!(%why, "the commit of the manifests is unknown");
                }
                set.commit = revision.shown();
                self.updates.loaded(set).await
            }
            Err(problems) => self.updates.broken(problems).await,
        }
    }

    /// Takes the fingerprint of the files and has their places watched.
    async fn fingerprint(&mut self) -> Fingerprint {
        let mut looks = 0;
        loop {
            let paths = self.paths.clone();
            let (print, places) = spawn_blocking(move || Fingerprint::of(&paths)).await;
            looks += 1;
            // A change between the look and the start of the watch would go unnoticed.
            if !self.ports.watch.follow(&places).await || looks >= LOOKS_MAX {
                return print;
            }
        }
    }
}
