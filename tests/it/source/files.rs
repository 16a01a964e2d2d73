//! Tests the source that reads manifests from files, on a paused clock. The file system reports no changes, or a
//! script reports them.

use std::cell::Cell;
use std::fs::File;
use std::future::pending;

use sharekeeper::desired::Completeness;
use sharekeeper::host::{Clock, Places};
use sharekeeper::model::{Monotonic, Timestamp};

use super::*;

const POLL: Duration = Duration::from_secs(10);

/// A file watch that never reports a change.
struct Silent;

impl Watch for Silent {
    async fn follow(&mut self, _: &Places) -> bool {
        false
    }

    async fn changed(&mut self) {
        pending().await
    }
}

/// A file watch that reports a change when the test asks for it, and counts how often the files were read.
#[derive(Clone, Default)]
struct Notified {
    changed: Rc<Notify>,
    readings: Rc<Cell<usize>>,
}

impl Watch for Notified {
    async fn follow(&mut self, _: &Places) -> bool {
        self.readings.set(self.readings.get() + 1);
        false
    }

    async fn changed(&mut self) {
        self.changed.notified().await;
    }
}

async fn pause(clock: &SystemClock, time: Duration) {
    clock.sleep_until(clock.monotonic() + time).await;
}

#[tokio::test(start_paused = true)]
async fn m13_l6_a_change_without_notification_is_found_by_the_poll() {
    let files = Files::with(&["img-a"]);
    let clock = SystemClock::start();
    run(files.settings(POLL), NoPrograms, Silent, async |mut fed| {
        assert_eq!(fed.images().await, ["img-a"]);
        let before = clock.monotonic();
        files.write("m/img-b.yaml", &share("img-b"));
        assert_eq!(fed.images().await, ["img-a", "img-b"]);
        let took = clock.monotonic().since(before);
        assert!(took <= POLL + Duration::from_secs(1), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn m14_a_file_that_is_touched_for_ever_delays_the_set_only_so_much() {
    let files = Files::with(&["img-a"]);
    let (notified, clock) = (Notified::default(), SystemClock::start());
    let storm = async |until: Monotonic| {
        while clock.monotonic() < until {
            let file = File::options().write(true).open(files.path("m/img-a.yaml"));
            let file = file.expect("opens");
            file.set_modified(std::time::UNIX_EPOCH + clock.monotonic().since_start())
                .expect("touches");
            notified.changed.notify_one();
            pause(&clock, Duration::from_millis(5)).await;
        }
    };
    run(
        files.settings(NEVER),
        NoPrograms,
        notified.clone(),
        async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            files.write("m/img-b.yaml", &share("img-b"));
            let (begin, readings) = (clock.monotonic(), notified.readings.get());
            let end = begin + Duration::from_secs(60);
            let ((), took) = tokio::join!(storm(end), async {
                assert_eq!(fed.images().await, ["img-a", "img-b"]);
                clock.monotonic().since(begin)
            });
            // The bound is ten times the debounce, a tenth of it, and the pause between two readings.
            assert!(
                took <= DEBOUNCE * 10 + Duration::from_millis(300),
                "{took:?}"
            );
            let readings = notified.readings.get() - readings;
            assert!(
                (10..=31).contains(&readings),
                "it read {readings} times in a minute"
            );
            // After the storm, a single change is delayed by one debounce only.
            pause(&clock, Duration::from_secs(10)).await;
            files.write("m/img-c.yaml", &share("img-c"));
            notified.changed.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b", "img-c"]);
        },
    )
    .await;
}

/// A system clock that also advances with the paused time, so that files written before a pause are older after it.
struct Paused(SystemClock);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        self.0.now() + self.0.monotonic().since_start()
    }

    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.0.sleep_until(at)
    }
}

#[tokio::test(start_paused = true)]
async fn m14_a_change_whose_end_was_waited_for_is_read_without_another_pause() {
    let files = Files::with(&["img-a"]);
    let (notified, clock) = (Notified::default(), SystemClock::start());
    let paused = Paused(SystemClock::start());
    let settings = files.settings(NEVER);
    run_on(
        paused,
        settings,
        NoPrograms,
        notified.clone(),
        async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            for (is_told, took) in [(true, DEBOUNCE), (false, Duration::from_millis(250))] {
                let before = clock.monotonic();
                files.write(
                    "m/img-b.yaml",
                    &share(if is_told { "img-b" } else { "img-c" }),
                );
                if is_told {
                    notified.changed.notify_one();
                } else {
                    fed.reload.notify_one();
                }
                assert_eq!(fed.images().await.len(), 2);
                assert_eq!(
                    clock.monotonic().since(before).as_millis(),
                    took.as_millis()
                );
            }
        },
    )
    .await;
}

/// Occupies the only blocking thread as soon as the files are followed, until the test releases it.
struct Busy {
    taken: Rc<Notify>,
    release: Option<std::sync::mpsc::Receiver<()>>,
}

impl Watch for Busy {
    async fn follow(&mut self, _: &Places) -> bool {
        if let Some(release) = self.release.take() {
            tokio::task::spawn_blocking(move || release.recv());
            self.taken.notify_one();
        }
        false
    }

    async fn changed(&mut self) {
        pending().await
    }
}

#[test]
fn p6_reading_and_parsing_hold_nothing_else_up() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build();
    let files = Files::with(&["img-a"]);
    let (release, released) = std::sync::mpsc::channel();
    let watch = Busy {
        taken: Rc::default(),
        release: Some(released),
    };
    let taken = Rc::clone(&watch.taken);
    let test = async |mut fed: Fed| {
        taken.notified().await;
        // The feed cannot continue, but everything else can.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        let early = fed.updates.try_recv();
        release.send(()).expect("somebody waits");
        assert!(early.is_err(), "it was read on this thread");
        assert_eq!(fed.images().await, ["img-a"]);
    };
    let clock = Late(SystemClock::start());
    let running = run_on(clock, files.settings(NEVER), NoPrograms, watch, test);
    runtime.expect("a runtime").block_on(running);
}

/// A clock that is far ahead, so that no file is recent and no reading has to wait.
struct Late(SystemClock);

impl Clock for Late {
    fn now(&self) -> Timestamp {
        self.0.now() + Duration::from_secs(3600)
    }

    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }

    fn sleep_until(&self, at: Monotonic) -> impl Future<Output = ()> {
        self.0.sleep_until(at)
    }
}

#[tokio::test(start_paused = true)]
async fn m2_l6_what_passes_by_itself_is_tried_again_though_nothing_changes() {
    let files = Files::with(&["img-a"]);
    files.write(".git/index.lock", "");
    run(files.settings(POLL), NoPrograms, Silent, async |mut fed| {
        holds(
            &fed.broken().await,
            &["index.lock: a git operation is in progress"],
        );
        fs::remove_file(files.path(".git/index.lock")).expect("removes");
        assert_eq!(fed.images().await, ["img-a"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn m1_m3_broken_set_reports_each_problem_once_then_resends() {
    let files = Files::with(&["img-a", "img-b"]);
    let (notified, clock) = (Notified::default(), SystemClock::start());
    run(
        files.settings(POLL),
        NoPrograms,
        notified.clone(),
        async |mut fed| {
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
            for image in ["img-a", "img-b"] {
                let text = share(image).replace("shared", "shard");
                files.write(&format!("m/{image}.yaml"), &text);
            }
            let problems = fed.broken().await;
            let [a, b] = &problems[..] else {
                panic!("{problems:#?}")
            };
            let place = format!("{}:4:", files.path("m/img-a.yaml").display());
            assert!(a.starts_with(&place), "{a}");
            assert!(a.ends_with("; did you mean `shared`?"), "{a}");
            assert!(b.contains("img-b.yaml:4:"), "{b}");
            // A new reading, the same problems in a newer file, and other text beside the error cause no new report.
            fed.reload.notify_one();
            for beside in ["\n", " # later\n"] {
                let text = share("img-a").replace("shared", "shard");
                files.write(
                    "m/img-a.yaml",
                    &text.replace("]}\n", &format!("]}}{beside}")),
                );
                pause(&clock, POLL * 3).await;
            }
            for image in ["img-a", "img-b"] {
                files.write(&format!("m/{image}.yaml"), &share(image));
            }
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_equal_set_is_not_sent_twice() {
    let files = Files::with(&["img-a"]);
    let (notified, clock) = (Notified::default(), SystemClock::start());
    run(
        files.settings(NEVER),
        NoPrograms,
        notified.clone(),
        async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            fed.reload.notify_one();
            pause(&clock, POLL).await;
            files.write("m/img-a.yaml", &format!("{}# more\n", share("img-a")));
            fed.reload.notify_one();
            pause(&clock, POLL).await;
            files.write("m/img-b.yaml", &share("img-b"));
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn m3_s3_with_partial_ok_the_good_files_are_a_set_that_is_marked() {
    let files = Files::with(&["img-a"]);
    files.write("m/img-b.yaml", &share("img-b").replace("shared", "shard"));
    let settings = Settings {
        partial_ok: true,
        ..files.settings(POLL)
    };
    let clock = SystemClock::start();
    run(settings, NoPrograms, Silent, async |mut fed| {
        let part = fed.loaded().await;
        assert_eq!(images(&part), ["img-a"]);
        holds(
            &problems(&part),
            &["img-b.yaml:4:", "did you mean `shared`?"],
        );
        // Other text beside the error does not make the set of manifests a different one.
        let text = share("img-b").replace("shared", "shard");
        files.write("m/img-b.yaml", &text.replace("]}\n", "]} # later\n"));
        pause(&clock, POLL * 3).await;
        files.write("m/img-b.yaml", &share("img-b"));
        let whole = fed.loaded().await;
        assert_eq!(images(&whole), ["img-a", "img-b"]);
        assert_eq!(whole.problems, []);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn s3_a_requested_reading_is_acknowledged_after_its_update() {
    let files = Files::with(&["img-a"]);
    run(
        files.settings(NEVER),
        NoPrograms,
        Notified::default(),
        async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            files.write("m/img-b.yaml", &share("img-b"));
            fed.reload.notify_one();
            assert!(matches!(fed.next_update().await, Update::Loaded(_)));
            assert!(matches!(fed.next_update().await, Update::Asked));
            files.write("m/img-b.yaml", "kind: [");
            fed.reload.notify_one();
            assert!(matches!(fed.next_update().await, Update::Broken(_)));
            assert!(matches!(fed.next_update().await, Update::Asked));
            // A request to reload is answered even if nothing is new.
            fed.reload.notify_one();
            assert!(matches!(fed.next_update().await, Update::Asked));
        },
    )
    .await;
}

/// A git that fails until it is allowed to answer. Then it has `m/img-a.yaml` in its index.
struct Refuses<'a> {
    allowed: &'a Cell<bool>,
    /// How often git was asked for its index.
    asked: &'a Cell<usize>,
}

impl CommandRunner for Refuses<'_> {
    fn run(&self, program: ExternalCommand) -> impl Future<Output = Result<Vec<u8>, CommandError>> {
        let is = |word: &str| program.arguments.iter().any(|argument| argument == word);
        let is_first = is("--is-inside-work-tree");
        self.asked.set(self.asked.get() + usize::from(is_first));
        let refused = CommandError::Failed {
            code: Some(128),
            name: program.name,
            status: "exit status: 128".into(),
            reason: "fatal: detected dubious ownership".into(),
        };
        ready(match (self.allowed.get(), is_first, is("ls-files")) {
            (true, true, _) => Ok(b"true\n".to_vec()),
            (true, _, true) => Ok(b"H 100644 1 0\tm/img-a.yaml\0".to_vec()),
            _ => Err(refused),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn g3_s3_a_git_that_cannot_be_asked_is_asked_again_now_and_then() {
    let files = Files::with(&["img-a"]);
    files.write(".git/index", "x");
    let (allowed, asked, clock) = (Cell::new(false), Cell::new(0), SystemClock::start());
    let git = Refuses {
        allowed: &allowed,
        asked: &asked,
    };
    run(files.settings(POLL), git, Silent, async |mut fed| {
        let loaded = fed.loaded().await;
        assert_eq!(images(&loaded), ["img-a"]);
        assert!(matches!(
            loaded.desired.completeness,
            Completeness::Unknown(_)
        ));
        let words = [
            "safe.directory",
            "images that no manifest names are not cancelled",
        ];
        holds(&loaded.warnings, &words);
        pause(&clock, Duration::from_secs(3600)).await;
        assert!((5..20).contains(&asked.get()), "{} times", asked.get());
        allowed.set(true);
        let loaded = fed.loaded().await;
        assert_eq!(loaded.desired.completeness, Completeness::Whole);
        assert_eq!(loaded.warnings, [""; 0]);
        // After the first answer, git is asked again only when files change.
        let before = asked.get();
        pause(&clock, Duration::from_secs(3600)).await;
        assert_eq!(asked.get(), before);
    })
    .await;
}
