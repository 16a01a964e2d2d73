//! The commit of the manifests, as the real git tells it.

use std::fs;
use std::future::{Future, ready};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt;
use sharekeeper::host::{Program, ProgramError, Programs, SystemPrograms};
use sharekeeper::manifest::Revision;

/// A repository with a commit of `manifests/a.yaml`, `manifests/b.yaml` and `other.yaml`.
struct Repository(tempfile::TempDir);

impl Repository {
    /// `None` where there is no git, which is said.
    fn new() -> Option<Self> {
        let repository = Self::empty()?;
        for path in ["manifests/a.yaml", "manifests/b.yaml", "other.yaml"] {
            repository.write(path, "a: 1\n");
        }
        repository.write(".gitignore", "generated.yaml\n*.log\n");
        repository.commit();
        Some(repository)
    }

    fn empty() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            let required = std::env::var_os("SHAREKEEPER_TEST_REQUIRE_GIT");
            assert!(
                required.is_none_or(|value| value != "1"),
                "git is not found, and SHAREKEEPER_TEST_REQUIRE_GIT=1"
            );
            // A closed stderr has nobody to tell.
            let _ = writeln!(std::io::stderr(), "skipped: git is not found");
            return None;
        }
        let repository = Self(tempfile::tempdir().expect("a directory"));
        repository.git(&["init", "--quiet"]);
        Some(repository)
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
    }

    /// git without the settings of whoever runs the tests.
    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a PATH"))
            .env("HOME", self.0.path());
        command
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = self
            .command()
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).expect("text");
        text.trim().to_owned()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, text).expect("writes");
    }

    async fn revision(&self, paths: &[&str]) -> Option<String> {
        let paths: Vec<_> = paths.iter().map(|path| self.path(path)).collect();
        let revision = Revision::of(&paths, &SystemPrograms).await?;
        let dirty = if revision.is_dirty() { "-dirty" } else { "" };
        assert_eq!(
            revision.to_string(),
            format!("{}{dirty}", revision.commit())
        );
        Some(revision.to_string())
    }
}

#[tokio::test]
async fn the_commit_of_clean_manifests_is_told_in_full() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let head = repository.git(&["rev-parse", "HEAD"]);
    symlink(repository.path("manifests"), repository.path("link")).expect("links");
    for paths in [
        &["manifests"] as &[_],
        &["manifests/a.yaml"],
        &["manifests/a.yaml", "manifests/b.yaml", "other.yaml"],
        &["manifests", "other.yaml"],
        &["link"],
    ] {
        assert_eq!(
            repository.revision(paths).await.as_ref(),
            Some(&head),
            "{paths:?}"
        );
    }
}

#[tokio::test]
async fn p8_a_clean_revision_knows_when_it_was_committed_and_not_when_it_was_written() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let (written, committed) = ("@1600000000 +0800", "@1700000000 -0500");
    repository.write("manifests/a.yaml", "a: 2\n");
    repository.git(&["add", "--all"]);
    let settings = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let commit = ["commit", "--quiet", "--message", "x", "--date", written];
    let output = repository
        .command()
        .env("GIT_COMMITTER_DATE", committed)
        .args([&settings as &[_], &commit].concat())
        .output()
        .expect("git runs");
    assert!(output.status.success());
    // A tag and a signature would add lines to what a friendlier command prints.
    repository.git(&["tag", "--annotate", "--message", "x", "v1"]);
    let paths = [repository.path("manifests")];
    let revision = Revision::of(&paths, &SystemPrograms).await.expect("one");
    let commit = revision.clean().expect("clean");
    assert_eq!(commit.hash, repository.git(&["rev-parse", "HEAD"]));
    assert_eq!(commit.committed.timestamp(), 1_700_000_000);

    repository.write("manifests/a.yaml", "a: 3\n");
    let revision = Revision::of(&paths, &SystemPrograms).await.expect("one");
    assert_eq!(revision.clean(), None, "it is of no commit");
    assert_eq!(revision.commit(), repository.git(&["rev-parse", "HEAD"]));
}

#[tokio::test]
async fn what_is_not_as_the_commit_has_it_is_dirty() {
    type Change = fn(&Repository);
    let changes: [(&str, Change); 8] = [
        ("changed", |r| r.write("manifests/a.yaml", "a: 2\n")),
        ("staged", |r| {
            r.write("manifests/a.yaml", "a: 2\n");
            r.git(&["add", "--all"]);
        }),
        ("untracked", |r| r.write("manifests/new.yaml", "a: 1\n")),
        ("untracked, and deep", |r| {
            r.write("manifests/x/y/new.yml", "a: 1\n");
        }),
        ("removed", |r| {
            fs::remove_file(r.path("manifests/a.yaml")).expect("removes");
        }),
        ("renamed", |r| {
            r.git(&["mv", "manifests/a.yaml", "manifests/z.yaml"]);
        }),
        ("ignored by git, but not by us", |r| {
            r.write("manifests/generated.yaml", "a: 1\n");
        }),
        ("ignored by git, but not by us, and deep", |r| {
            r.write("manifests/x/generated.yaml", "a: 1\n");
        }),
    ];
    for (what, change) in changes {
        let Some(repository) = Repository::new() else {
            return;
        };
        change(&repository);
        let head = repository.git(&["rev-parse", "HEAD"]);
        assert_eq!(
            repository.revision(&["manifests"]).await,
            Some(format!("{head}-dirty")),
            "{what}"
        );
        assert_eq!(
            repository.revision(&["other.yaml"]).await,
            Some(head),
            "{what}: elsewhere"
        );
    }
}

#[tokio::test]
async fn an_ignored_manifest_that_is_given_by_name_is_dirty() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.write("manifests/generated.yaml", "a: 1\n");
    let revision = repository.revision(&["manifests/generated.yaml"]).await;
    assert!(revision.is_some_and(|revision| revision.ends_with("-dirty")));
}

#[tokio::test]
async fn what_is_ignored_and_not_read_makes_nothing_dirty() {
    let Some(repository) = Repository::new() else {
        return;
    };
    for path in [
        "manifests/x.log",
        "manifests/_off/generated.yaml",
        "manifests/.cache/generated.yaml",
    ] {
        repository.write(path, "a: 1\n");
    }
    let head = repository.git(&["rev-parse", "HEAD"]);
    assert_eq!(repository.revision(&["manifests"]).await, Some(head));
}

#[tokio::test]
async fn there_is_no_revision_without_one_repository_that_has_a_commit() {
    let (Some(repository), Some(other), Some(unborn)) =
        (Repository::new(), Repository::new(), Repository::empty())
    else {
        return;
    };
    let none = tempfile::tempdir().expect("a directory");
    unborn.write("a.yaml", "a: 1\n");
    let paths = [
        vec![none.path().to_owned()],
        vec![unborn.path("a.yaml")],
        vec![repository.path("manifests"), other.path("manifests")],
        vec![repository.path("manifests"), none.path().to_owned()],
        vec![repository.path("missing")],
        vec![],
    ];
    for paths in paths {
        let revision = Revision::of(&paths, &SystemPrograms).await;
        assert_eq!(revision, None, "{paths:?}");
    }
}

#[tokio::test]
async fn asking_leaves_the_repository_as_it_is() {
    let Some(repository) = Repository::new() else {
        return;
    };
    // The same contents with another time: git would gladly note that in its index.
    let file = fs::File::options()
        .write(true)
        .open(repository.path("manifests/a.yaml"));
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.and_then(|file| file.set_modified(long_ago))
        .expect("sets the time");
    let index = || fs::read(repository.path(".git/index")).expect("an index");
    let before = index();
    let revision = repository.revision(&["manifests"]).await;
    assert!(revision.is_some_and(|revision| !revision.ends_with("-dirty")));
    assert!(before == index(), "the index was written");
}

#[tokio::test]
async fn names_that_mean_something_to_git_are_only_names() {
    let Some(repository) = Repository::new() else {
        return;
    };
    repository.write("[a]*/:(top)*.yaml", "a: 1\n");
    repository.commit();
    repository.write("manifests/a.yaml", "a: 2\n");
    let head = repository.git(&["rev-parse", "HEAD"]);
    for path in ["[a]*", "[a]*/:(top)*.yaml"] {
        assert_eq!(
            repository.revision(&[path]).await.as_ref(),
            Some(&head),
            "{path}"
        );
    }
}

/// A machine without git, or one on which it does not answer.
struct Fails(ProgramError);

impl Programs for Fails {
    fn run(&self, program: Program) -> impl Future<Output = Result<Vec<u8>, ProgramError>> {
        assert_eq!(program.name, "git");
        assert!(program.environment.contains(&("GIT_TERMINAL_PROMPT", "0")));
        ready(Err(self.0.clone()))
    }
}

#[test]
fn s21_there_is_no_revision_where_git_is_missing_or_does_not_answer() {
    let name = "git";
    let deadline = Duration::from_secs(5);
    for error in [
        ProgramError::NotRun {
            name,
            reason: "not found".into(),
        },
        ProgramError::TooSlow { name, deadline },
    ] {
        let (paths, programs) = ([std::env::temp_dir()], Fails(error));
        let revision = Revision::of(&paths, &programs).now_or_never();
        assert_eq!(revision.expect("nothing is waited for"), None);
    }
}
