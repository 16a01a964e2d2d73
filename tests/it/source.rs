//! Tests how the daemon follows manifests that change. The tests use real files, notifications of the
//! operating system and the real git on local repositories; time is paused where a test only waits for this
//! process.

mod files;
mod git;
mod watched;

use std::fs;
use std::future::{Future, ready};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use sharekeeper::host::{
    Clock, CommandError, CommandRunner, ExternalCommand, Rng, SystemClock, Watch,
};
use sharekeeper::source::{Generation, Origin, Ports, Settings, Update, feed};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, channel};

/// The interval is so long that it never ends in a test.
const NEVER: Duration = Duration::from_secs(1_000_000);
/// A timeout that only ends a test that hangs.
const HANGS: Duration = Duration::from_secs(500_000);
const DEBOUNCE: Duration = Duration::from_millis(200);

fn share(image: &str) -> String {
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: {image}}}\nspec: {{region: ap-tokyo, images: [{{id: {image}, state: shared}}]}}\n"
    )
}

/// A temporary root with a directory of manifests and the other files that a test needs.
struct Files(tempfile::TempDir);

impl Files {
    fn with(images: &[&str]) -> Self {
        let files = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir(files.path("m")).expect("makes");
        for image in images {
            files.write(&format!("m/{image}.yaml"), &share(image));
        }
        files
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, text).expect("writes");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("renames");
    }

    fn settings(&self, poll: Duration) -> Settings {
        Settings {
            origin: Origin::Files(vec![self.path("m")]),
            partial_ok: false,
            debounce: DEBOUNCE,
            poll,
        }
    }
}

/// A machine on which git is not installed.
struct NoPrograms;

impl CommandRunner for NoPrograms {
    fn run(&self, program: ExternalCommand) -> impl Future<Output = Result<Vec<u8>, CommandError>> {
        ready(Err(CommandError::NotRun {
            name: program.name,
            reason: "not found".into(),
        }))
    }
}
struct Even;

impl Rng for Even {
    fn next_f64(&self) -> f64 {
        0.5
    }
}

/// The two ends of a running feed that a test uses.
struct Fed {
    updates: Receiver<Update>,
    reload: Rc<Notify>,
}

impl Fed {
    /// The next update, which may be `Update::Asked`.
    async fn next_update(&mut self) -> Update {
        let next = tokio::time::timeout(HANGS, self.updates.recv()).await;
        next.expect("an update comes").expect("the feed runs")
    }

    /// The next update about the manifests.
    async fn next(&mut self) -> Update {
        loop {
            match self.next_update().await {
                Update::Asked => {}
                update => return update,
            }
        }
    }

    #[track_caller]
    fn loaded(&mut self) -> impl Future<Output = Generation> {
        let place = std::panic::Location::caller();
        async move {
            match self.next().await {
                Update::Loaded(generation) => *generation,
                Update::Broken(problems) => panic!("{place}: {problems:#?}"),
                Update::Asked => unreachable!("it is passed over"),
            }
        }
    }

    /// The ids of the images of the next set.
    #[track_caller]
    fn images(&mut self) -> impl Future<Output = Vec<String>> {
        let loaded = self.loaded();
        async { images(&loaded.await) }
    }

    #[track_caller]
    fn broken(&mut self) -> impl Future<Output = Vec<String>> {
        let place = std::panic::Location::caller();
        async move {
            match self.next().await {
                Update::Broken(problems) => problems.iter().map(ToString::to_string).collect(),
                Update::Loaded(generation) => panic!("{place}: {:?}", images(&generation)),
                Update::Asked => unreachable!("it is passed over"),
            }
        }
    }
}

/// The problems of files that were left out, one line each.
fn problems(generation: &Generation) -> Vec<String> {
    generation
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn images(generation: &Generation) -> Vec<String> {
    let keys = generation.desired.images.keys();
    keys.map(|key| key.image.to_string()).collect()
}

/// Runs a feed concurrently with a test, until the test ends.
async fn run<P: CommandRunner, W: Watch>(
    settings: Settings,
    programs: P,
    watch: W,
    test: impl AsyncFnOnce(Fed),
) {
    run_on(SystemClock::start(), settings, programs, watch, test).await;
}

async fn run_on<C: Clock, P: CommandRunner, W: Watch>(
    clock: C,
    settings: Settings,
    programs: P,
    watch: W,
    test: impl AsyncFnOnce(Fed),
) {
    // The channel has one place, so that the feed is at most one update ahead of the test.
    let (sender, updates) = channel(1);
    let reload = Rc::new(Notify::new());
    let ports = Ports {
        clock,
        rng: Even,
        programs,
        watch,
    };
    let fed = Fed {
        updates,
        reload: Rc::clone(&reload),
    };
    // The feed ends by itself once the test has dropped the receiver.
    tokio::join!(feed(settings, ports, sender, reload), test(fed));
}

#[track_caller]
fn holds(lines: &[String], words: &[&str]) {
    let text = lines.join("\n");
    for word in words {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}
