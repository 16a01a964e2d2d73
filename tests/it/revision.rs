//! Tests how the commit of the manifests is read from the real git, and how it is compared with another
//! commit.

use crate::support::real_git;

use std::fs;
use std::future::Future;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt;
use sharekeeper::host::{CommandError, CommandRunner, ExternalCommand, SystemCommandRunner};
use sharekeeper::manifest::{Checkout, Revision, RevisionError};
use sharekeeper::model::{Ancestry, Commit, Gap};

/// A repository with a commit of `manifests/a.yaml`, `manifests/b.yaml` and `other.yaml`.
struct Repository(tempfile::TempDir);

impl Repository {
    /// Returns `None` where git is not installed, and prints that the test is skipped.
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
        if !real_git::is_there() {
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

    fn command(&self) -> Command {
        real_git::command(self.0.path(), self.0.path())
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().expect("git runs");
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
        let revision = Revision::of(&paths, &SystemCommandRunner).await;
        let checkout = revision.checkout()?;
        let dirty = if checkout.is_dirty() { "-dirty" } else { "" };
        let shown = format!("{}{dirty}", checkout.commit().hash);
        assert_eq!(revision.shown(), Some(shown.clone()));
        Some(shown)
    }

    /// Makes a commit with this date, in seconds since 1970, and returns its hash.
    fn commit_at(&self, second: i64) -> String {
        self.git(&["add", "--all"]);
        let arguments = ["commit", "--quiet", "--allow-empty", "--message", "x"];
        let output = self
            .command()
            .env("GIT_COMMITTER_DATE", format!("@{second} +0000"))
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(output.status.success());
        self.git(&["rev-parse", "HEAD"])
    }

    /// A shallow clone with the last `depth` commits.
    fn shallow_clone(&self, depth: &str) -> Self {
        let clone = Self(tempfile::tempdir().expect("a directory"));
        let url = format!("file://{}", self.0.path().display());
        clone.git(&["clone", "--quiet", "--depth", depth, &url, "."]);
        clone
    }
}

/// The checkout that contains the manifests.
async fn checkout(path: &Path) -> Checkout {
    let revision = Revision::of(&[path.to_owned()], &SystemCommandRunner).await;
    revision.checkout().expect("a commit").clone()
}

/// A recorded commit, whose date does not matter here.
fn newest(hash: &str) -> Commit {
    Commit {
        hash: hash.to_owned(),
        committed: chrono::DateTime::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn the_commit_of_clean_manifests_is_given_in_full() {
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
async fn p8_a_clean_revision_has_its_commit_time_not_its_author_time() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let (written, committed) = ("@1600000000 +0800", "@1700000000 -0500");
    repository.write("manifests/a.yaml", "a: 2\n");
    repository.git(&["add", "--all"]);
    let commit = ["commit", "--quiet", "--message", "x", "--date", written];
    let output = repository
        .command()
        .env("GIT_COMMITTER_DATE", committed)
        .args(commit)
        .output()
        .expect("git runs");
    assert!(output.status.success());
    // A tag and a signature add lines to the output of some git commands, and these lines must not matter.
    repository.git(&["tag", "--annotate", "--message", "x", "v1"]);
    let paths = [repository.path("manifests")];
    let clean = checkout(&paths[0]).await;
    let commit = clean.clean().expect("clean");
    assert_eq!(commit.hash, repository.git(&["rev-parse", "HEAD"]));
    assert_eq!(commit.committed.timestamp(), 1_700_000_000);

    repository.write("manifests/a.yaml", "a: 3\n");
    let dirty = checkout(&paths[0]).await;
    assert_eq!(dirty.clean(), None, "it is of no commit");
    assert_eq!(dirty.commit(), commit, "which it is compared by");
}

#[tokio::test]
async fn g4_what_is_not_as_the_commit_has_it_is_dirty() {
    type Change = fn(&Repository);
    let changes: [(&str, Change); 10] = [
        ("changed, and hidden", |r| {
            let hide = ["update-index", "--assume-unchanged", "manifests/a.yaml"];
            r.git(&hide);
            r.write("manifests/a.yaml", "a: 2\n");
        }),
        ("changed, and kept out of the work tree", |r| {
            r.git(&["update-index", "--skip-worktree", "manifests/a.yaml"]);
            r.write("manifests/a.yaml", "a: 2\n");
        }),
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
        if repository.path("manifests/a.yaml").exists() && what.starts_with("changed") {
            let revision = repository.revision(&["manifests/a.yaml"]).await;
            assert!(revision.is_some_and(|revision| revision.ends_with("-dirty")));
        }
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
async fn g4_files_that_are_no_manifests_make_nothing_dirty() {
    type Change = fn(&Repository);
    let changes: [(&str, Change); 6] = [
        ("untracked", |r| r.write("manifests/notes.txt", "x\n")),
        ("changed", |r| r.write("manifests/README.md", "y\n")),
        ("removed", |r| {
            fs::remove_file(r.path("manifests/README.md")).expect("removes");
        }),
        ("passed over", |r| {
            r.write("manifests/_off/b.yaml", "y: 1\n");
            r.write("manifests/_new.yaml", "y: 1\n");
            r.write("manifests/.x/c.yml", "y: 1\n");
        }),
        ("a manifest elsewhere", |r| r.write("other.yaml", "a: 2\n")),
        ("a repository without manifests", |r| {
            r.git(&["init", "--quiet", "manifests/tool"]);
            r.write("manifests/tool/main.py", "x\n");
        }),
    ];
    for (what, change) in changes {
        let Some(repository) = Repository::new() else {
            return;
        };
        repository.write("manifests/README.md", "x\n");
        repository.write("manifests/_off/b.yaml", "x: 1\n");
        repository.commit();
        change(&repository);
        let head = repository.git(&["rev-parse", "HEAD"]);
        for paths in [&["manifests"] as &[_], &["manifests/a.yaml", "manifests"]] {
            let revision = repository.revision(paths).await;
            assert_eq!(revision.as_ref(), Some(&head), "{what}: {paths:?}");
        }
    }
}

#[tokio::test]
async fn g4_what_a_link_leads_to_counts_and_so_does_a_tracked_link() {
    type Change = fn(&Repository);
    fn lead(r: &Repository, link: &str, target: &str) {
        // The link may not exist yet.
        let _ = fs::remove_file(r.path(link));
        symlink(target, r.path(link)).expect("links");
    }
    let changes: [(&str, Change); 4] = [
        ("its target", |r| r.write("manifests/_base/x", "a: 2\n")),
        ("the link", |r| {
            lead(r, "manifests/link.yaml", "_base/other");
        }),
        ("a link between", |r| {
            lead(r, "manifests/_hop", "_base/other")
        }),
        ("the link that is given", |r| lead(r, "given", "elsewhere")),
    ];
    for (what, change) in changes {
        let Some(repository) = Repository::new() else {
            return;
        };
        repository.write("manifests/_base/x", "a: 1\n");
        repository.write("manifests/_base/other", "a: 3\n");
        lead(&repository, "manifests/link.yaml", "_hop");
        lead(&repository, "manifests/_hop", "_base/x");
        repository.write("elsewhere/a.yaml", "a: 1\n");
        lead(&repository, "given", "manifests");
        repository.commit();
        let head = repository.git(&["rev-parse", "HEAD"]);
        assert_eq!(repository.revision(&["given"]).await.as_ref(), Some(&head));
        change(&repository);
        let dirty = Some(format!("{head}-dirty"));
        assert_eq!(repository.revision(&["given"]).await, dirty, "{what}");
    }
}

#[tokio::test]
async fn g4_a_repository_within_counts_by_its_manifests() {
    type Change = fn(&Repository);
    let changes: [(&str, Change, bool); 6] = [
        ("as committed", |_| (), false),
        (
            "no manifest",
            |r| r.write("manifests/sub/notes", "y\n"),
            false,
        ),
        (
            "changed",
            |r| r.write("manifests/sub/a.yaml", "a: 2\n"),
            true,
        ),
        (
            "untracked",
            |r| r.write("manifests/sub/n.yaml", "a: 2\n"),
            true,
        ),
        (
            "another commit",
            |r| {
                r.write("manifests/sub/a.yaml", "a: 2\n");
                r.git(&["-C", "manifests/sub", "commit", "-qam", "x"]);
            },
            true,
        ),
        (
            "none of ours",
            |r| {
                r.git(&["init", "--quiet", "manifests/own"]);
                r.write("manifests/own/a.yaml", "a: 2\n");
            },
            true,
        ),
    ];
    for (what, change, is_dirty) in changes {
        let (Some(repository), Some(other)) = (Repository::new(), Repository::empty()) else {
            return;
        };
        other.write("a.yaml", "a: 1\n");
        other.write("notes", "x\n");
        other.commit();
        let url = other.0.path().to_str().expect("text");
        let add = ["submodule", "--quiet", "add", url, "manifests/sub"];
        repository.git(&[&["-c", "protocol.file.allow=always"], &add as &[_]].concat());
        repository.commit();
        change(&repository);
        let head = repository.git(&["rev-parse", "HEAD"]);
        let suffix = if is_dirty { "-dirty" } else { "" };
        let revision = repository.revision(&["manifests"]).await;
        assert_eq!(revision, Some(format!("{head}{suffix}")), "{what}");
    }
}

#[tokio::test]
async fn g4_a_submodule_without_manifests_makes_nothing_dirty() {
    type Change = fn(&Repository, &Repository);
    fn moved(r: &Repository, other: &Repository) {
        other.write("notes", "y\n");
        other.commit();
        r.git(&["-C", "manifests/sub", "pull", "--quiet"]);
    }
    let changes: [(&str, Change, bool); 7] = [
        ("as committed", |_, _| (), false),
        ("another commit", moved, false),
        (
            "another commit that is staged",
            |r, other| {
                moved(r, other);
                r.git(&["add", "manifests/sub"]);
            },
            false,
        ),
        (
            "a commit with a manifest that is passed over",
            |r, other| {
                other.write("_off/a.yaml", "a: 1\n");
                moved(r, other);
            },
            false,
        ),
        (
            "a commit with a manifest",
            |r, other| {
                other.write("deep/a.yml", "a: 1\n");
                moved(r, other);
            },
            true,
        ),
        (
            "a manifest that only a staged commit has",
            |r, other| {
                other.write("a.yaml", "a: 1\n");
                moved(r, other);
                r.git(&["add", "manifests/sub"]);
                r.git(&["-C", "manifests/sub", "checkout", "--quiet", "HEAD~1"]);
            },
            true,
        ),
        (
            "a submodule that is gone",
            |r, _| {
                fs::remove_dir_all(r.path("manifests/sub")).expect("removes");
            },
            true,
        ),
    ];
    for (what, change, is_dirty) in changes {
        let (Some(repository), Some(other)) = (Repository::new(), Repository::empty()) else {
            return;
        };
        other.write("notes", "x\n");
        other.commit();
        let url = other.0.path().to_str().expect("text");
        let add = ["submodule", "--quiet", "add", url, "manifests/sub"];
        repository.git(&[&["-c", "protocol.file.allow=always"], &add as &[_]].concat());
        repository.commit();
        change(&repository, &other);
        let head = repository.git(&["rev-parse", "HEAD"]);
        let suffix = if is_dirty { "-dirty" } else { "" };
        let revision = repository.revision(&["manifests"]).await;
        assert_eq!(revision, Some(format!("{head}{suffix}")), "{what}");
    }
}

#[tokio::test]
async fn there_is_no_repository_around_what_is_in_none() {
    let none = tempfile::tempdir().expect("a directory");
    for paths in [vec![none.path().to_owned()], vec![]] {
        let revision = Revision::of(&paths, &SystemCommandRunner).await;
        assert_eq!(revision, Revision::NoRepository, "{paths:?}");
        assert_eq!((revision.checkout(), revision.shown()), (None, None));
    }
}

#[track_caller]
fn unknown(revision: Revision) -> (RevisionError, String) {
    match revision {
        Revision::Unknown(why) => {
            let text = format!("{why}; {}", why.remedy());
            (why, text)
        }
        revision => panic!("{revision:?}"),
    }
}

#[tokio::test]
async fn g4_a_repository_without_an_answer_says_why_and_what_to_do() {
    let (Some(repository), Some(other), Some(unborn)) =
        (Repository::new(), Repository::new(), Repository::empty())
    else {
        return;
    };
    let none = tempfile::tempdir().expect("a directory");
    unborn.write("a.yaml", "a: 1\n");
    let broken = tempfile::tempdir().expect("a directory");
    fs::write(broken.path().join(".git"), "gitdir: /nowhere\n").expect("writes");
    let name = |path: &Path| {
        let path = path.canonicalize().expect("it is there");
        path.to_string_lossy().into_owned()
    };
    let ask = async |paths: &[PathBuf]| unknown(Revision::of(paths, &SystemCommandRunner).await);

    let (why, text) = ask(&[unborn.path("a.yaml")]).await;
    assert!(matches!(why, RevisionError::NoCommit { .. }), "{why:?}");
    assert!(text.contains("commit the manifests"), "{text}");

    let both = [repository.path("manifests"), other.path("manifests")];
    let (why, text) = ask(&both).await;
    assert!(matches!(why, RevisionError::Several { .. }), "{why:?}");
    for part in both.map(|path| name(&path.join(".."))) {
        assert!(text.contains(&part), "{text}");
    }

    let (why, text) = ask(&[repository.path("manifests"), none.path().to_owned()]).await;
    assert!(matches!(why, RevisionError::Outside { .. }), "{why:?}");
    assert!(text.contains(&name(none.path())), "{text}");

    let (why, text) = ask(&[repository.path("missing")]).await;
    assert!(matches!(why, RevisionError::Gone { .. }), "{why:?}");
    assert!(text.contains("missing"), "{text}");

    let (why, text) = ask(&[broken.path().to_owned()]).await;
    assert!(matches!(why, RevisionError::Failed { .. }), "{why:?}");
    assert!(text.contains("not a git repository: /nowhere"), "{text}");
}

#[tokio::test]
async fn asking_leaves_the_repository_as_it_is() {
    let Some(repository) = Repository::new() else {
        return;
    };
    // The file has the same contents and another time. Git would usually write the new time to its index.
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

/// A machine without git, or one on which git does not answer. The number says how many commands succeed
/// before that.
struct Fails(CommandError, std::cell::Cell<usize>);

impl CommandRunner for Fails {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        assert_eq!(program.name, "git");
        assert!(program.environment.contains(&("GIT_TERMINAL_PROMPT", "0")));
        match self.1.get() {
            0 => Err(self.0.clone()),
            answered => {
                self.1.set(answered - 1);
                SystemCommandRunner.run(program).await
            }
        }
    }
}

const MISSING: fn() -> CommandError = || CommandError::NotRun {
    name: "git",
    reason: "not found".into(),
};
const SLOW: fn() -> CommandError = || CommandError::TooSlow {
    name: "git",
    deadline: Duration::from_secs(5),
};

#[test]
fn g4_s21_where_git_is_missing_or_does_not_answer_that_is_said() {
    let Some(repository) = Repository::new() else {
        return;
    };
    for (error, words) in [
        (MISSING(), ["git cannot be run: not found", "install git"]),
        (SLOW(), ["did not answer within 5 s", "status` is slow"]),
    ] {
        let paths = [repository.path("manifests")];
        let programs = Fails(error, 0.into());
        let revision = Revision::of(&paths, &programs).now_or_never();
        let (_, text) = unknown(revision.expect("nothing is waited for"));
        for word in words {
            assert!(text.contains(word), "{text}");
        }
    }
    // Without a repository, git is not run at all.
    let (none, programs) = (
        tempfile::tempdir().expect("a directory"),
        Fails(SLOW(), 0.into()),
    );
    let revision = Revision::of(&[none.path().to_owned()], &programs).now_or_never();
    assert_eq!(revision, Some(Revision::NoRepository));
}

#[tokio::test]
async fn g4_a_question_that_is_not_answered_is_never_taken_for_a_no() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let (old, new) = (
        repository.git(&["rev-parse", "HEAD"]),
        repository.commit_at(1_700_000_000),
    );
    let paths = [repository.path("manifests")];
    let checkout = checkout(&paths[0]).await;
    // Fails after each possible number of answered commands.
    for answered in 0.. {
        let programs = Fails(SLOW(), answered.into());
        match Revision::of(&paths, &programs).await {
            Revision::Unknown(RevisionError::Slow { .. }) => assert!(answered < 10, "without end"),
            revision => {
                assert_eq!(revision.checkout(), Some(&checkout), "{answered}");
                assert!(answered > 3, "a question that was not answered");
                break;
            }
        }
    }
    for (hash, expected) in [
        (old, Ancestry::Descendant),
        ("0".repeat(40), Ancestry::Unconnected(Gap::Absent)),
    ] {
        for answered in 0.. {
            let programs = Fails(SLOW(), answered.into());
            match checkout.ancestry(&newest(&hash), &programs).await {
                Err(RevisionError::Slow { .. }) => assert!(answered < 10, "without end"),
                answer => {
                    assert_eq!(answer, Ok(expected), "{answered}");
                    assert!(answered > 1, "a question that was not answered");
                    break;
                }
            }
        }
    }
    assert_eq!(checkout.commit().hash, new);
}

/// Runs git as on a machine on which another user owns every repository.
struct Elsewhere;

impl CommandRunner for Elsewhere {
    fn run(&self, program: ExternalCommand) -> impl Future<Output = Result<Vec<u8>, CommandError>> {
        let environment = &[("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"), ("LC_ALL", "C")];
        SystemCommandRunner.run(ExternalCommand {
            environment,
            ..program
        })
    }
}

#[tokio::test]
async fn g4_a_repository_of_another_user_says_how_to_trust_it() {
    let Some(repository) = Repository::new() else {
        return;
    };
    fs::rename(repository.path("manifests"), repository.path("it's")).expect("renames");
    let odd = repository.path("it's");
    repository.git(&["init", "--quiet", "it's"]);
    for (path, directory) in [
        (repository.path("other.yaml"), repository.0.path()),
        (odd.clone(), &odd),
    ] {
        let (why, text) = unknown(Revision::of(&[path], &Elsewhere).await);
        assert!(matches!(why, RevisionError::Untrusted { .. }), "{why:?}");
        let directory = directory.canonicalize().expect("it is there");
        let directory = match directory.ends_with("it's") {
            true => format!(
                "'{}'",
                directory.display().to_string().replace('\'', r"'\''")
            ),
            false => directory.display().to_string(),
        };
        let remedy = format!("`git config --global --add safe.directory {directory}`");
        assert!(text.contains(&remedy), "{text}");
    }
}

#[tokio::test]
async fn g9_the_history_decides_which_commit_is_newer_not_the_dates() {
    let Some(repository) = Repository::new() else {
        return;
    };
    // The older commit is dated 2037 and the newer one 2020, so that only the history has the order.
    let [old, new] = [2_114_380_800, 1_577_836_800].map(|second| repository.commit_at(second));
    repository.git(&["checkout", "--quiet", "-b", "side", &old]);
    let side = repository.commit_at(1_577_836_801);
    let ancestry = async |here: &str, there: &str| {
        repository.git(&["checkout", "--quiet", here]);
        let checkout = checkout(&repository.path("manifests")).await;
        checkout
            .ancestry(&newest(there), &SystemCommandRunner)
            .await
    };
    assert_eq!(ancestry(&old, &new).await, Ok(Ancestry::Ancestor));
    assert_eq!(ancestry(&new, &old).await, Ok(Ancestry::Descendant));
    assert_eq!(ancestry(&new, &new).await, Ok(Ancestry::Descendant));
    let diverged = Ok(Ancestry::Unconnected(Gap::Diverged));
    assert_eq!(ancestry(&side, &new).await, diverged);
    assert_eq!(ancestry(&new, &side).await, diverged);
    let absent = Ok(Ancestry::Unconnected(Gap::Absent));
    for elsewhere in [
        "0".repeat(40),
        "0".repeat(64),
        "HEAD".into(),
        "--all".into(),
    ] {
        assert_eq!(ancestry(&new, &elsewhere).await, absent, "{elsewhere}");
    }
}

#[tokio::test]
async fn g9_a_shallow_clone_says_that_it_is_one() {
    let Some(repository) = Repository::new() else {
        return;
    };
    let [old, _, new] = [1, 2, 3].map(|second| repository.commit_at(second));
    let clone = repository.shallow_clone("1");
    let here = checkout(&clone.path("manifests")).await;
    assert_eq!(here.commit().hash, new);
    let answer = here.ancestry(&newest(&old), &SystemCommandRunner).await;
    assert_eq!(answer, Ok(Ancestry::Unconnected(Gap::Shallow)));
    // The clone has both commits, but not the commits between them.
    clone.git(&["fetch", "--quiet", "--depth", "1", "origin", &old]);
    let answer = here.ancestry(&newest(&old), &SystemCommandRunner).await;
    assert_eq!(answer, Ok(Ancestry::Unconnected(Gap::CutOff)));
    // A shallow history answers for the commits that it contains.
    let deep = repository.shallow_clone("3");
    let here = checkout(&deep.path("manifests")).await;
    let answer = here.ancestry(&newest(&old), &SystemCommandRunner).await;
    assert_eq!(answer, Ok(Ancestry::Descendant));
}
