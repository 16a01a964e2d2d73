//! A clock on which waiting takes no time: each wait runs a script instead, which can for example change the files as
//! another program would.

use std::cell::{Cell, RefCell};
use std::future::{Future, ready};
use std::path::PathBuf;

use chrono::TimeDelta;
use futures_util::FutureExt;
use sharekeeper::host::{Clock, CommandError, CommandRunner, ExternalCommand, SystemClock};
use sharekeeper::manifest::{self, Broken, GitBusyPolicy, Loaded, ReadOptions};
use sharekeeper::model::{Monotonic, Timestamp};

pub(crate) struct Scripted<F> {
    script: RefCell<F>,
    waits: Cell<usize>,
    monotonic: Cell<Monotonic>,
    now: Timestamp,
}

impl<F: FnMut(usize)> Scripted<F> {
    /// `script` receives the number of the wait, beginning at 1.
    pub(crate) fn new(script: F) -> Self {
        Self {
            script: RefCell::new(script),
            waits: Cell::new(0),
            monotonic: Cell::default(),
            now: SystemClock::start().now(),
        }
    }

    /// Moves the clock ahead so far that no file is recent.
    pub(crate) fn much_later(self) -> Self {
        self.later(TimeDelta::hours(1))
    }

    /// Moves the clock ahead, so that a file written now has this age.
    pub(crate) fn later(mut self, by: TimeDelta) -> Self {
        self.now += by;
        self
    }

    /// How often somebody waited on the clock.
    pub(crate) fn waits(&self) -> usize {
        self.waits.get()
    }

    pub(crate) fn load(&self, paths: &[PathBuf], git: GitBusyPolicy) -> Result<Loaded, Broken> {
        self.load_with(paths, &ReadOptions::new(git))
    }

    pub(crate) fn load_with(
        &self,
        paths: &[PathBuf],
        options: &ReadOptions,
    ) -> Result<Loaded, Broken> {
        manifest::load_with(paths, options, self, &EmptyGit)
            .now_or_never()
            .expect("there is nothing to wait for but this clock")
    }
}

/// A git whose repositories have no files, so that no file is missing.
struct EmptyGit;

impl CommandRunner for EmptyGit {
    fn run(&self, program: ExternalCommand) -> impl Future<Output = Result<Vec<u8>, CommandError>> {
        let mut arguments = program.arguments.iter();
        let is_first = arguments.any(|argument| argument == "--is-inside-work-tree");
        let answer: &[u8] = if is_first { b"true\n" } else { b"" };
        ready(Ok(answer.to_vec()))
    }
}

impl<F: FnMut(usize)> Clock for Scripted<F> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn monotonic(&self) -> Monotonic {
        self.monotonic.get()
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.waits.set(self.waits.get() + 1);
        (self.script.borrow_mut())(self.waits.get());
        self.monotonic.set(at);
        ready(())
    }
}

/// Loads manifests that nobody changes meanwhile.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Loaded, Broken> {
    Scripted::new(|_| {})
        .much_later()
        .load(paths, GitBusyPolicy::Read)
}
