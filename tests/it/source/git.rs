//! Tests the source that reads manifests from a git repository, with the real git.

mod checkouts;
mod fetches;
mod refs;
mod sizes;

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
async fn each_commit_is_a_set_with_the_file_names_of_the_repository() {
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
async fn an_unreachable_repository_keeps_the_last_good_commit() {
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
async fn d4_a_start_without_network_uses_the_last_commit_and_reports_it() {
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
async fn m10_a_link_out_of_the_repository_is_refused_and_shows_nothing() {
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
async fn another_commit_of_the_same_files_in_a_checkout_is_an_update() {
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
