//! Tests the source that reads manifests from a git repository, with the real git.

use std::future::pending;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::{Arc, Mutex};

use sharekeeper::host::{Places, SystemCommandRunner};
use sharekeeper::source::{GitRef, GitUrl, Repository};

use super::*;
use crate::support::real_git;

/// A file watch that watches nothing in the repository.
struct Unwatched;

impl Watch for Unwatched {
    async fn follow(&mut self, _: &Places) -> bool {
        unreachable!("there is nothing to watch")
    }

    async fn changed(&mut self) {
        pending().await
    }
}

/// A repository with a commit that shares `img-a`, and a directory for the private copy of this repository.
struct Remote {
    files: Files,
    home: tempfile::TempDir,
}

impl Remote {
    /// Returns `None` and reports it if git is not installed.
    fn new() -> Option<Self> {
        if !real_git::is_there() {
            return None;
        }
        let remote = Self {
            files: Files::with(&["img-a"]),
            home: tempfile::tempdir().expect("a directory"),
        };
        remote.git(&["init", "--quiet", "--initial-branch=main"]);
        remote.commit();
        Some(remote)
    }

    /// Runs git without the settings of the user who runs the tests.
    fn git(&self, arguments: &[&str]) -> String {
        let output = real_git::command(&self.files.path(""), &self.files.path(""))
            .args(arguments)
            .output()
            .expect("git runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8(output.stdout).expect("text");
        text.trim().to_owned()
    }

    /// Commits everything and returns the hash of the commit.
    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes a commit that also shares this image, and returns its hash.
    fn share(&self, image: &str) -> String {
        self.files.write(&format!("m/{image}.yaml"), &share(image));
        self.commit()
    }

    fn settings(&self, reference: &str) -> Settings {
        let url = format!("file://{}", self.files.path("").display());
        Settings {
            origin: Origin::Git(Repository {
                url: GitUrl::new(url.trim_end_matches('/')).expect("a URL"),
                reference: GitRef::new(reference).expect("a ref"),
                dir: Some("m".into()),
                every: NEVER,
                timeout: NEVER,
                home: self.home.path().join("git"),
            }),
            partial_ok: false,
            debounce: DEBOUNCE,
            poll: NEVER,
        }
    }

    /// Runs a feed of `main` that reads the repository only when it is asked to reload.
    async fn run(&self, test: impl AsyncFnOnce(Fed)) {
        run(self.settings("main"), SystemCommandRunner, Unwatched, test).await;
    }
    fn copy(&self) -> PathBuf {
        let home = self.home.path().join("git");
        let names = names(&home);
        let [name] = &names[..] else {
            panic!("the copy alone is kept: {names:?}")
        };
        home.join(name)
    }

    /// Makes the repository unreachable.
    fn cut_off(&self) {
        self.files.rename(".git", "cut-off");
    }

    fn back(&self) {
        self.files.rename("cut-off", ".git");
    }
}

#[tokio::test]
async fn the_first_commit_and_each_new_one_is_a_set_that_names_files_as_the_repository_does() {
    let Some(remote) = Remote::new() else { return };
    let head = remote.git(&["rev-parse", "HEAD"]);
    remote
        .run(async |mut fed| {
            let first = fed.loaded().await;
            assert_eq!(
                (images(&first), first.commit),
                (vec!["img-a".into()], Some(head))
            );
            let image = first.desired.images.values().next().expect("an image");
            assert_eq!(image.source.to_string(), "m/img-a.yaml:4");
            // A reload without a new commit delivers nothing.
            fed.reload.notify_one();
            let head = remote.share("img-b");
            fed.reload.notify_one();
            let second = fed.loaded().await;
            assert_eq!((images(&second).len(), second.commit), (2, Some(head)));
            // A commit that changes no manifest still counts as a new commit.
            let head = remote.commit();
            fed.reload.notify_one();
            let third = fed.loaded().await;
            assert_eq!((images(&third).len(), third.commit), (2, Some(head)));
        })
        .await;
    let mode = fs::metadata(remote.home.path().join("git")).expect("is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o700);
    assert!(remote.copy().join("HEAD").is_file());
}

#[tokio::test]
async fn history_that_was_rewritten_is_followed() {
    let Some(remote) = Remote::new() else { return };
    remote.share("img-b");
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
            remote.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a"]);
            remote.git(&["commit", "--quiet", "--amend", "--message=y"]);
            let head = remote.share("img-c");
            fed.reload.notify_one();
            let loaded = fed.loaded().await;
            assert_eq!(images(&loaded), ["img-a", "img-c"]);
            assert_eq!(loaded.commit, Some(head));
        })
        .await;
}

#[tokio::test]
async fn a_branch_a_tag_a_full_name_and_a_hash_all_name_a_commit() {
    let Some(remote) = Remote::new() else { return };
    let first = remote.git(&["rev-parse", "HEAD"]);
    remote.git(&["tag", "--annotate", "v1", "--message=x"]);
    let second = remote.share("img-b");
    for (reference, commit) in [
        ("v1", &first),
        ("refs/tags/v1", &first),
        ("main", &second),
        ("refs/heads/main", &second),
        ("HEAD", &second),
        (first.as_str(), &first),
    ] {
        run(
            remote.settings(reference),
            SystemCommandRunner,
            Unwatched,
            async |mut fed| {
                assert_eq!(
                    fed.loaded().await.commit.as_ref(),
                    Some(commit),
                    "{reference}"
                );
            },
        )
        .await;
        remote.copy();
    }
}

#[tokio::test]
async fn m3_s3_a_broken_commit_keeps_the_last_good_one_and_says_what_is_wrong() {
    let Some(remote) = Remote::new() else { return };
    let good = remote.git(&["rev-parse", "HEAD"]);
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            remote.files.write("m/img-b.yaml", "nonsense: [");
            let broken = remote.commit();
            fed.reload.notify_one();
            let problems = fed.broken().await;
            let (is_kept, is_not) = (
                format!("commit {} stays in force", &good[..12]),
                &broken[..12],
            );
            holds(
                &problems[..1],
                &["file://", " at main, in m: ", is_not, &is_kept],
            );
            holds(&problems[1..], &["m/img-b.yaml:"]);
            // The same broken commit is not reported twice, and the corrected commit is delivered.
            fed.reload.notify_one();
            remote.files.write("m/img-b.yaml", &share("img-b"));
            remote.commit();
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
        })
        .await;
}

#[tokio::test]
async fn a_repository_that_cannot_be_reached_keeps_the_last_good_commit_and_recovers() {
    let Some(remote) = Remote::new() else { return };
    let good = remote.git(&["rev-parse", "HEAD"]);
    let kept = format!("commit {} stays in force", &good[..12]);
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            remote.cut_off();
            fed.reload.notify_one();
            let problems = fed.broken().await;
            holds(
                &problems,
                &["file://", " at main", "could not fetch", "fatal: ", &kept],
            );
            assert_eq!(problems.len(), 1);
            fed.reload.notify_one();
            remote.back();
            fed.reload.notify_one();
            let again = fed.loaded().await;
            assert_eq!(
                (images(&again), again.commit),
                (vec!["img-a".into()], Some(good))
            );
        })
        .await;
}

#[tokio::test]
async fn a_ref_that_does_not_exist_says_so() {
    let Some(remote) = Remote::new() else { return };
    run(
        remote.settings("no-such"),
        SystemCommandRunner,
        Unwatched,
        async |mut fed| {
            let problems = fed.broken().await;
            holds(
                &problems,
                &[
                    "couldn't find remote ref no-such",
                    "nothing is decided until",
                ],
            );
            remote.git(&["branch", "no-such"]);
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a"]);
        },
    )
    .await;
}

#[tokio::test]
async fn d4_a_private_copy_that_is_damaged_is_thrown_away_and_fetched_anew() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("a pack cut off", |copy| {
            let packs = copy.join("objects/pack");
            for name in names(&packs) {
                let path = packs.join(&name);
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
                fs::write(path, "").expect("writes");
            }
        }),
        ("objects gone", |copy| {
            fs::remove_dir_all(copy.join("objects/pack")).expect("removes");
        }),
        ("settings that are nonsense", |copy| {
            fs::write(copy.join("config"), "[nonsense").expect("writes");
        }),
        ("refs that are empty", |copy| {
            for name in names(&copy.join("refs/sharekeeper")) {
                fs::write(copy.join("refs/sharekeeper").join(name), "").expect("writes");
            }
        }),
        ("locks of a git that was killed", |copy| {
            for name in [
                "shallow.lock",
                "index.lock",
                "refs/sharekeeper/fetched.lock",
            ] {
                fs::write(copy.join(name), "").expect("writes");
            }
        }),
    ];
    for (what, damage) in damages {
        let Some(remote) = Remote::new() else { return };
        remote
            .run(async |mut fed| {
                assert_eq!(fed.images().await, ["img-a"]);
                damage(&remote.copy());
                remote.share("img-b");
                fed.reload.notify_one();
                assert_eq!(fed.images().await, ["img-a", "img-b"], "{what}");
            })
            .await;
    }
}

#[tokio::test]
async fn d4_after_a_start_without_network_the_last_good_commit_is_in_force_and_the_failure_told() {
    let Some(remote) = Remote::new() else { return };
    let good = remote.git(&["rev-parse", "HEAD"]);
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            remote.files.write("m/img-b.yaml", "nonsense: [");
            remote.commit();
            fed.reload.notify_one();
            fed.broken().await;
        })
        .await;
    remote.cut_off();
    // These are files that a killed process may leave behind.
    let home = remote.home.path().join("git");
    fs::create_dir_all(home.join("tree/m")).expect("makes");
    fs::write(home.join("tree/m/img-x.yaml"), share("img-x")).expect("writes");
    remote
        .run(async |mut fed| {
            let loaded = fed.loaded().await;
            assert_eq!(
                (images(&loaded), loaded.commit),
                (vec!["img-a".into()], Some(good))
            );
            holds(&fed.broken().await, &["could not fetch", "stays in force"]);
            remote.back();
            remote.files.write("m/img-b.yaml", &share("img-b"));
            remote.commit();
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
        })
        .await;
}

#[tokio::test]
async fn what_was_good_of_another_ref_is_not_good_here() {
    let Some(remote) = Remote::new() else { return };
    remote.run(async |mut fed| drop(fed.loaded().await)).await;
    remote.cut_off();
    run(
        remote.settings("other"),
        SystemCommandRunner,
        Unwatched,
        async |mut fed| {
            holds(
                &fed.broken().await,
                &["could not fetch", "nothing is decided until"],
            );
        },
    )
    .await;
}

#[tokio::test]
async fn o7_no_hook_runs_whoever_put_it_there() {
    let Some(remote) = Remote::new() else { return };
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            let ran = remote.files.path("ran");
            let hooks = remote.copy().join("hooks");
            fs::create_dir_all(&hooks).expect("makes");
            for hook in [
                "reference-transaction",
                "post-checkout",
                "post-index-change",
            ] {
                let script = format!("#!/bin/sh\ntouch '{}'\n", ran.display());
                let hook = hooks.join(hook);
                fs::write(&hook, script).expect("writes");
                fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("sets");
            }
            remote.share("img-b");
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
            assert!(!ran.exists());
        })
        .await;
}

#[tokio::test]
async fn m10_a_link_in_the_repository_that_leads_out_of_it_is_refused_and_shows_nothing() {
    let secret = tempfile::tempdir().expect("a directory");
    fs::write(secret.path().join("a.yaml"), "hunter2: [").expect("writes");
    type Lead = fn(&Remote, &Path);
    let leads: [(&str, Lead); 3] = [
        ("a file", |remote, secret| {
            symlink(secret.join("a.yaml"), remote.files.path("m/x.yaml")).expect("links");
        }),
        ("the directory itself", |remote, secret| {
            fs::remove_dir_all(remote.files.path("m")).expect("removes");
            symlink(secret, remote.files.path("m")).expect("links");
        }),
        ("a directory", |remote, secret| {
            symlink(secret, remote.files.path("m/x")).expect("links");
        }),
    ];
    for (what, lead) in leads {
        let Some(remote) = Remote::new() else { return };
        lead(&remote, secret.path());
        remote.commit();
        remote
            .run(async |mut fed| {
                let problems = fed.broken().await;
                let text = problems.join("\n");
                let is_told = text.contains("leads out") || text.contains("is not followed");
                assert!(is_told && !text.contains("hunter2"), "{what}: {text}");
            })
            .await;
    }
}

#[tokio::test]
async fn m10_a_path_that_leads_out_of_the_repository_is_refused() {
    let Some(remote) = Remote::new() else { return };
    for dir in ["..", "m/../..", "/etc", "../missing"] {
        let mut settings = remote.settings("main");
        if let Origin::Git(repository) = &mut settings.origin {
            repository.dir = Some(dir.into());
        }
        run(settings, SystemCommandRunner, Unwatched, async |mut fed| {
            holds(&fed.broken().await, &["leads out of the repository"]);
        })
        .await;
    }
}

#[tokio::test]
async fn d12_s21_the_private_copy_does_not_grow_with_the_number_of_commits() {
    let Some(remote) = Remote::new() else { return };
    remote
        .run(async |mut fed| {
            fed.loaded().await;
            let mut most = 0;
            for number in 0..25 {
                remote
                    .files
                    .write("m/img-a.yaml", &format!("{}# {number}\n", share("img-a")));
                remote.commit();
                fed.reload.notify_one();
                fed.loaded().await;
                most = most.max(names(&remote.copy().join("objects/pack")).len());
            }
            assert!(most <= 64, "{most} files");
            remote.cut_off();
            fed.reload.notify_one();
            holds(&fed.broken().await, &["could not fetch"]);
        })
        .await;
}

#[tokio::test]
async fn the_commit_of_files_in_a_checkout_is_told_and_another_commit_of_the_same_files_is_news() {
    let Some(remote) = Remote::new() else { return };
    let head = remote.git(&["rev-parse", "HEAD"]);
    let settings = remote.files.settings(NEVER);
    run(
        settings,
        SystemCommandRunner,
        sharekeeper::host::SystemWatch::new(),
        async |mut fed| {
            assert_eq!(fed.loaded().await.commit.as_ref(), Some(&head));
            remote.files.write("m/img-b.yaml", &share("img-b"));
            let dirty = fed.loaded().await;
            assert_eq!(dirty.commit, Some(format!("{head}-dirty")));
            let head = remote.commit();
            fed.reload.notify_one();
            assert_eq!(fed.loaded().await.commit, Some(head));
        },
    )
    .await;
}

/// Collects the log of this thread as long as the value exists.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines that were logged since the last call.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("one thread"));
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one thread").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn g5_a_tag_of_a_branchs_name_does_not_take_its_place_and_is_told() {
    for name in ["main", "feature/x"] {
        let Some(remote) = Remote::new() else { return };
        let old = remote.git(&["rev-parse", "HEAD"]);
        if name != "main" {
            remote.git(&["checkout", "--quiet", "-b", name]);
        }
        let new = remote.share("img-b");
        let (log, _guard) = Log::listen();
        run(
            remote.settings(name),
            SystemCommandRunner,
            Unwatched,
            async |mut fed| {
                assert_eq!(fed.loaded().await.commit.as_ref(), Some(&new));
                assert_eq!(log.take(), [""; 0], "there is but the branch");
                remote.git(&["tag", name, &old]);
                fed.reload.notify_one();
                let newer = remote.share("img-c");
                fed.reload.notify_one();
                let loaded = fed.loaded().await;
                assert_eq!(
                    loaded.commit.as_ref(),
                    Some(&newer),
                    "the branch is followed"
                );
                let told = log.take();
                assert_eq!(told.len(), 1, "{told:?}");
                let (branch, tag) = (
                    format!("`refs/heads/{name}` is followed"),
                    format!("also refs/tags/{name}"),
                );
                holds(&told, &[&branch, &tag, "WARN"]);
                remote.git(&["tag", "--delete", name]);
                let newest = remote.share("img-d");
                fed.reload.notify_one();
                assert_eq!(fed.loaded().await.commit, Some(newest));
                holds(&log.take(), &[&format!("is now `refs/heads/{name}` alone")]);
            },
        )
        .await;
        // The warning is logged at each start.
        remote.git(&["tag", name, &old]);
        run(
            remote.settings(name),
            SystemCommandRunner,
            Unwatched,
            async |mut fed| {
                fed.loaded().await;
                holds(&log.take(), &["is followed"]);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn g5_a_name_that_is_only_a_tag_works_and_asks_for_its_full_name() {
    let Some(remote) = Remote::new() else { return };
    let old = remote.git(&["rev-parse", "HEAD"]);
    remote.git(&["tag", "--annotate", "v1", "--message=x"]);
    remote.share("img-b");
    let (log, _guard) = Log::listen();
    for (reference, words) in [
        ("v1", &["give `refs/tags/v1`"] as &[_]),
        ("refs/tags/v1", &[]),
    ] {
        run(
            remote.settings(reference),
            SystemCommandRunner,
            Unwatched,
            async |mut fed| {
                assert_eq!(fed.loaded().await.commit.as_ref(), Some(&old));
                let told = log.take();
                assert_eq!(told.len(), words.len(), "{told:?}");
                holds(&told, words);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn g3_s3_a_submodule_of_a_followed_repository_is_an_error_with_its_cause() {
    let Some(remote) = Remote::new() else { return };
    let head = remote.git(&["rev-parse", "HEAD"]);
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            let entry = format!("160000,{head},m/team");
            remote.git(&["update-index", "--add", "--cacheinfo", &entry]);
            remote.git(&["commit", "--quiet", "--message=x"]);
            fed.reload.notify_one();
            let problems = fed.broken().await;
            let kept = format!("commit {} stays in force", &head[..12]);
            holds(
                &problems,
                &[
                    "m/team: this is a submodule",
                    "sharekeeper fetches none",
                    "--path",
                    &kept,
                ],
            );
            // A submodule in a place where no manifests are read does no harm.
            let entry = format!("160000,{head},m/_team");
            remote.git(&["update-index", "--force-remove", "m/team"]);
            remote.git(&["update-index", "--add", "--cacheinfo", &entry]);
            remote.git(&["commit", "--quiet", "--message=x"]);
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a"]);
        })
        .await;
}

/// Runs the real git, but removes this file from each checkout.
struct LeavesOut(&'static str);

impl CommandRunner for LeavesOut {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        let work_tree = program.arguments.iter().find_map(|argument| {
            let argument = argument.to_str()?;
            argument.strip_prefix("--work-tree=").map(PathBuf::from)
        });
        let is_checkout = program
            .arguments
            .iter()
            .any(|argument| argument == "checkout-index");
        let answer = SystemCommandRunner.run(program).await;
        if is_checkout {
            let tree = work_tree.expect("a tree");
            fs::remove_file(tree.join(self.0)).expect("removes");
        }
        answer
    }
}

#[tokio::test]
async fn g3_s3_what_the_checkout_of_a_followed_commit_leaves_out_is_an_error() {
    let Some(remote) = Remote::new() else { return };
    remote.share("img-b");
    let settings = remote.settings("main");
    run(
        settings.clone(),
        LeavesOut("m/img-b.yaml"),
        Unwatched,
        async |mut fed| {
            holds(
                &fed.broken().await,
                &[
                    "m/img-b.yaml: the commit has it, but git did not check it out",
                    "nothing is decided until",
                ],
            );
        },
    )
    .await;
    // With `--partial-ok`, the other files are shared, and the set is marked as partial.
    let settings = Settings {
        partial_ok: true,
        ..settings
    };
    remote.files.write("m/deep/img-c.yaml", &share("img-c"));
    remote.commit();
    run(
        settings,
        LeavesOut("m/deep/img-c.yaml"),
        Unwatched,
        async |mut fed| {
            let loaded = fed.loaded().await;
            assert_eq!(images(&loaded), ["img-a", "img-b"]);
            holds(&problems(&loaded), &["m/deep/img-c.yaml"]);
        },
    )
    .await;
}

#[tokio::test]
async fn g3_s3_a_file_that_is_gone_from_a_checkout_is_broken_until_git_is_told() {
    let Some(remote) = Remote::new() else { return };
    remote.share("img-b");
    let settings = remote.files.settings(Duration::from_millis(100));
    let watch = sharekeeper::host::SystemWatch::new();
    run(settings, SystemCommandRunner, watch, async |mut fed| {
        assert_eq!(fed.images().await, ["img-a", "img-b"]);
        fs::remove_file(remote.files.path("m/img-b.yaml")).expect("removes");
        holds(
            &fed.broken().await,
            &["m/img-b.yaml: git has it", "git rm", "rm -- m/img-b.yaml"],
        );
        // The manifests do not change here. Only the index of git changes.
        remote.git(&["rm", "--quiet", "--cached", "m/img-b.yaml"]);
        assert_eq!(fed.images().await, ["img-a"]);
    })
    .await;
}

/// The command lines of running processes that contain these words.
fn processes(words: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("Linux");
    let lines = entries.filter_map(|entry| {
        let line = fs::read(entry.expect("an entry").path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(words)).collect()
}

/// The pause between two checks of real processes.
async fn pause() {
    let clock = SystemClock::start();
    let until = clock.monotonic() + Duration::from_millis(20);
    clock.sleep_until(until).await;
}

#[tokio::test]
async fn b7_g8_of_a_fetch_that_hangs_nothing_is_left_after_its_time() {
    let Some(remote) = Remote::new() else { return };
    // The system accepts connections, and the server never answers.
    let server = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = server.local_addr().expect("an address").to_string();
    for (reference, step) in [("refs/heads/main", "fetch"), ("main", "ls-remote")] {
        let mut settings = remote.settings(reference);
        if let Origin::Git(repository) = &mut settings.origin {
            repository.url = GitUrl::new(&format!("http://{address}/x.git")).expect("a URL");
            repository.timeout = Duration::from_secs(4);
        }
        run(settings, SystemCommandRunner, Unwatched, async |mut fed| {
            let mut most = 0;
            let told = {
                let mut told = std::pin::pin!(fed.broken());
                loop {
                    tokio::select! {
                        told = &mut told => break told,
                        () = pause() => {
                            most = most.max(processes(&address).len());
                        }
                    }
                }
            };
            holds(
                &told,
                &["took longer than 4 s", "`--git-timeout` gives it more time"],
            );
            assert!(most > 1, "{step}: {most} processes beside git itself");
            assert_eq!(processes(&address), [""; 0], "{step}");
        })
        .await;
    }
    // If the caller drops the feed, git ends as well.
    let mut settings = remote.settings("refs/heads/main");
    if let Origin::Git(repository) = &mut settings.origin {
        repository.url = GitUrl::new(&format!("http://{address}/x.git")).expect("a URL");
    }
    run(settings, SystemCommandRunner, Unwatched, async |fed| {
        while processes(&address).len() < 2 {
            pause().await;
        }
        drop(fed);
    })
    .await;
    while !processes(&address).is_empty() {
        pause().await;
    }
}

/// The files that a killed git leaves in its repository.
const LEFTOVERS: [&str; 10] = [
    "objects/pack/tmp_pack_abc",
    "objects/pack/tmp_idx_abc",
    "objects/pack/.tmp-1-pack-1.pack",
    "objects/pack/pack-1.keep",
    "objects/pack/pack-1.pack",
    "objects/00/tmp_obj_abc",
    "shallow.lock",
    "shallow_abc",
    "config.lock",
    "refs/sharekeeper/fetched.lock",
];

fn leave_halves(repository: &Path) {
    for name in LEFTOVERS {
        let path = repository.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, "half").expect("writes");
    }
}

fn halves(repository: &Path) -> Vec<&'static str> {
    let is_left = |name: &&&str| repository.join(name).exists();
    LEFTOVERS.iter().filter(is_left).copied().collect()
}

/// Runs the real git, but kills each fetch half-way.
struct KilledFetches;

impl CommandRunner for KilledFetches {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        if !program.arguments.iter().any(|argument| argument == "fetch") {
            return SystemCommandRunner.run(program).await;
        }
        let repository = program.arguments.iter().find_map(|argument| {
            let argument = argument.to_str()?;
            argument.strip_prefix("--git-dir=").map(PathBuf::from)
        });
        leave_halves(&repository.expect("a repository"));
        Err(CommandError::TooSlow {
            name: "git",
            deadline: program.deadline,
        })
    }
}

#[tokio::test]
async fn g8_what_a_killed_fetch_leaves_is_removed_at_once_and_at_the_next_start() {
    let Some(remote) = Remote::new() else { return };
    let settings = remote.settings("main");
    run(settings, KilledFetches, Unwatched, async |mut fed| {
        holds(&fed.broken().await, &["took longer than"]);
        assert_eq!(halves(&remote.copy()), [""; 0]);
    })
    .await;
    leave_halves(&remote.copy());
    remote
        .run(async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            assert_eq!(halves(&remote.copy()), [""; 0]);
            // The packs that git itself has made are not removed with the leftovers.
            remote.share("img-b");
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
        })
        .await;
}

#[tokio::test]
async fn g8_in_a_repository_that_is_not_the_private_copy_nothing_is_removed() {
    let Some(remote) = Remote::new() else { return };
    remote.run(async |mut fed| drop(fed.loaded().await)).await;
    let copy = remote.copy();
    let other = tempfile::tempdir().expect("a directory");
    let moved = other.path().join("other.git");
    fs::rename(&copy, &moved).expect("renames");
    leave_halves(&moved);
    symlink(&moved, &copy).expect("links");
    remote
        .run(async |mut fed| assert_eq!(fed.images().await, ["img-a"]))
        .await;
    assert_eq!(halves(&moved), LEFTOVERS);
    assert!(
        fs::symlink_metadata(remote.copy())
            .expect("is there")
            .is_dir()
    );
    // Nothing is removed through a symbolic link inside the private copy, either.
    let packs = remote.copy().join("objects/pack");
    fs::remove_dir_all(&packs).expect("removes");
    symlink(moved.join("objects/pack"), &packs).expect("links");
    remote.run(async |mut fed| drop(fed.next().await)).await;
    assert_eq!(halves(&moved), LEFTOVERS);
}

/// Runs the real git and measures the most bytes that its checkouts write. A file that begins with a zero byte is a
/// placeholder and does not count.
struct Measured<'a>(&'a std::cell::Cell<u64>);

impl CommandRunner for Measured<'_> {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        fn size(directory: &Path) -> u64 {
            let entries = fs::read_dir(directory).expect("a directory");
            let sizes = entries.map(|entry| {
                let path = entry.expect("an entry").path();
                let metadata = fs::symlink_metadata(&path).expect("is there");
                if metadata.is_dir() {
                    return size(&path);
                }
                let mut first = [0];
                let file = fs::File::open(&path);
                let read = file.and_then(|mut file| file.read(&mut first));
                match (read, first) {
                    (Ok(_), [0]) => 0,
                    _ => metadata.len(),
                }
            });
            sizes.sum()
        }
        let tree = program.arguments.iter().find_map(|argument| {
            let argument = argument.to_str()?;
            argument.strip_prefix("--work-tree=").map(PathBuf::from)
        });
        let answer = SystemCommandRunner.run(program).await;
        if let Some(tree) = tree {
            self.0.set(self.0.get().max(size(&tree)));
        }
        answer
    }
}

#[tokio::test]
async fn b12_what_is_no_manifest_takes_no_room_and_nothing_seems_to_be_missing() {
    let Some(remote) = Remote::new() else { return };
    fs::write(remote.files.path("m/film.mp4"), vec![b'x'; 8 << 20]).expect("writes");
    remote.files.write("m/notes.txt", "words");
    remote.files.write("m/c.YAML", "near");
    remote
        .files
        .write("m/.gitattributes", "*.yaml text eol=crlf\n");
    remote.files.write("m/_real/b.txt", &share("img-b"));
    symlink("_real/b.txt", remote.files.path("m/b.yaml")).expect("links");
    symlink("film.mp4", remote.files.path("m/film")).expect("links");
    remote.files.write("elsewhere/broken.yaml", "nonsense: [");
    remote.commit();
    let most = std::cell::Cell::new(0);
    let settings = remote.settings("main");
    run(settings, Measured(&most), Unwatched, async |mut fed| {
        let loaded = fed.loaded().await;
        assert_eq!(images(&loaded), ["img-a", "img-b"]);
        holds(&loaded.warnings, &["m/c.YAML: the file is not read"]);
        // This link gives a file that is no manifest the name of a manifest.
        symlink("film.mp4", remote.files.path("m/film.yaml")).expect("links");
        fs::write(remote.files.path("m/film.mp4"), "nonsense: [").expect("writes");
        remote.commit();
        fed.reload.notify_one();
        holds(&fed.broken().await, &["m/film.yaml:1"]);
    })
    .await;
    assert!((1..1 << 20).contains(&most.get()), "{most:?} bytes");
}

#[tokio::test]
async fn b12_a_manifest_that_is_too_large_is_an_error_with_its_size_and_is_not_written() {
    let Some(remote) = Remote::new() else { return };
    let large = vec![b'#'; (256 << 20) + 7];
    fs::write(remote.files.path("m/large.yaml"), large).expect("writes");
    remote.commit();
    let most = std::cell::Cell::new(0);
    let limit = "m/large.yaml: the file is larger than 256 MiB";
    run(
        remote.settings("main"),
        Measured(&most),
        Unwatched,
        async |mut fed| {
            let problems = fed.broken().await;
            holds(
                &problems,
                &[
                    limit,
                    "it has 257 MiB (268435463 bytes)",
                    "nothing is decided",
                ],
            );
            // With this setting, the server may omit the large file.
            remote.git(&["config", "uploadpack.allowFilter", "true"]);
            fs::remove_dir_all(remote.copy()).expect("removes");
            remote.share("img-b");
            fed.reload.notify_one();
            let problems = fed.broken().await;
            holds(&problems, &[limit, "split it"]);
            assert_eq!(problems.len(), 2, "{problems:?}");
            let object = remote.git(&["rev-parse", "HEAD:m/large.yaml"]);
            let has = real_git::command(&remote.copy(), &remote.copy())
                .env("GIT_NO_LAZY_FETCH", "1")
                .args(["cat-file", "-e", &object])
                .output()
                .expect("git runs");
            assert!(!has.status.success(), "it was fetched");
            remote.git(&["rm", "--quiet", "m/large.yaml"]);
            remote.commit();
            fed.reload.notify_one();
            assert_eq!(fed.images().await, ["img-a", "img-b"]);
        },
    )
    .await;
    assert!((1..1 << 20).contains(&most.get()), "{most:?} bytes");
}

#[tokio::test]
async fn b12_d4_a_file_that_the_copy_lost_is_fetched_anew_and_not_taken_for_one_left_out() {
    for allows_filter in ["true", "false"] {
        let Some(remote) = Remote::new() else { return };
        remote.git(&["config", "uploadpack.allowFilter", allows_filter]);
        remote
            .run(async |mut fed| {
                assert_eq!(fed.images().await, ["img-a"]);
                let packs = remote.copy().join("objects/pack");
                let first = names(&packs);
                remote.share("img-b");
                fed.reload.notify_one();
                fed.loaded().await;
                for name in first {
                    fs::remove_file(packs.join(name)).expect("removes");
                }
                remote.share("img-c");
                fed.reload.notify_one();
                assert_eq!(fed.images().await, ["img-a", "img-b", "img-c"]);
            })
            .await;
    }
}
