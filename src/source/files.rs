//! Manifests in files: when to look, when to read.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::Notify;

use super::reading::{self, Reading};
use super::updates::UpdateSender;
use super::{EVERY_MIN, Ports, ReceiverClosed, Settings};
use crate::host::{Clock, CommandRunner, Rng, Watch, spawn_blocking};
use crate::manifest::{Fingerprint, GitBusyPolicy, ReadOptions, Revision};
use crate::model::Monotonic;

/// Changes that never pause for the debounce are read once they have come for this many times as long.
const DEBOUNCES_MAX: u32 = 10;
/// Parts of the debounce in each of which any number of changes are noticed once, so that a storm does not take all of
/// the thread.
const GRAINS: u32 = 10;
/// Until git is asked again where it could not be, though nothing has changed: whoever lets it answer changes no manifest.
const ASK_GIT_AGAIN: Duration = Duration::from_secs(300);
/// Looks in a row, because what is to be watched was another each time.
const LOOKS_MAX: usize = 3;

/// Why the files are looked at.
enum Wake {
    /// Nobody has looked yet.
    Start,
    /// The watch told of a change, and then of none for this long; zero if it never ceased.
    Change {
        quiet_for: Duration,
    },
    Poll,
    /// Somebody asked for it.
    Reload,
}

struct Files<C, D, P, W> {
    paths: Vec<PathBuf>,
    partial_ok: bool,
    ports: Ports<C, D, P, W>,
    updates: UpdateSender,
    /// As the files were before they were last read; `None` if they are to be read again in any case.
    read: Option<Fingerprint>,
    /// When they are read again though nothing has changed; `None` where git could be asked.
    ask_git_at: Option<Monotonic>,
}

/// Sends updates until nobody takes them.
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
    /// Waits for a reason to look.
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

    /// Looks at the files, and reads them if they are not as they were.
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
                // Nobody told of what changed, so nobody knows when.
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
                    tracing::debug!(%why, "the commit of the manifests cannot be told");
                }
                set.commit = revision.shown();
                self.updates.loaded(set).await
            }
            Err(problems) => self.updates.broken(problems).await,
        }
    }

    /// As the files are now, and are watched.
    async fn fingerprint(&mut self) -> Fingerprint {
        let mut looks = 0;
        loop {
            let paths = self.paths.clone();
            let (print, places) = spawn_blocking(move || Fingerprint::of(&paths)).await;
            looks += 1;
            // What changed between the look and the watch was not noticed.
            if !self.ports.watch.follow(&places).await || looks >= LOOKS_MAX {
                return print;
            }
        }
    }
}
