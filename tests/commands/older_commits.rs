//! P8: of two jobs for successive commits, the one for the older must not undo what the other did because it came last.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::binary::{Bench, command, document, stderr, stdout};
use crate::{TOKYO, holds};

/// A bench whose manifests are in a repository, and what was committed there: each commit is a minute after the one
/// before it.
struct History {
    bench: Bench,
    commits: Vec<String>,
}

impl History {
    /// `None` where there is no git, which is said.
    fn new() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            let required = std::env::var_os("SHAREKEEPER_TEST_REQUIRE_GIT");
            assert!(
                required.is_none_or(|value| value != "1"),
                "git is not found, and SHAREKEEPER_TEST_REQUIRE_GIT=1"
            );
            return None;
        }
        let history = Self {
            bench: Bench::new(),
            commits: Vec::new(),
        };
        history.git(&["init", "--quiet"]);
        Some(history)
    }

    /// A first commit that wants one image shared, and a second that wants it unshared.
    fn of_two() -> Option<Self> {
        let mut history = Self::new()?;
        history.commit(&["img-a"]);
        history.commit(&["img-a, state: unshared"]);
        Some(history)
    }

    fn git(&self, arguments: &[&str]) -> String {
        let minute = self.commits.len();
        let output = Command::new("git")
            .current_dir(self.bench.path("."))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a PATH"))
            .env("HOME", self.bench.path("."))
            .env(
                "GIT_COMMITTER_DATE",
                format!("2026-03-01T12:{minute:02}:00Z"),
            )
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).trim().to_owned()
    }

    fn commit(&mut self, images: &[&str]) {
        self.bench.declare("tokyo", TOKYO, images);
        self.git(&["add", "manifests"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
        self.commits.push(self.git(&["rev-parse", "HEAD"]));
    }

    fn check_out(&self, commit: usize) {
        self.git(&["checkout", "--quiet", &self.commits[commit]]);
    }

    /// Runs a command with `--sim`, on the manifests as they are checked out.
    fn run(&self, arguments: &[&str]) -> Output {
        command(arguments)
            .args(["--sim", "--state-dir", "state", "-o", "json"])
            .env("PATH", std::env::var_os("PATH").expect("a PATH"))
            .current_dir(self.bench.path("."))
            .output()
            .expect("the binary starts")
    }

    #[track_caller]
    fn ends(&self, arguments: &[&str], status: i32) -> Value {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        document(&output)
    }
}

#[test]
fn p8_the_job_for_the_older_commit_is_refused_when_it_comes_last() {
    let Some(history) = History::of_two() else {
        return;
    };
    history.check_out(1);
    history.ends(&["reconcile"], 0);
    let before = history.bench.files();
    history.check_out(0);
    let output = history.run(&["reconcile"]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let document = document(&output);
    let error = document["error"].as_str().expect("says why");
    let [old, new] = [0, 1].map(|n| format!("{} of 2026-03-01T12:{n:02}:00Z", history.commits[n]));
    holds(
        error,
        &[&old, &new, "nothing was done", "`--allow-older-commit`"],
    );
    holds(&stderr(&output), &[&old, &new]);
    assert!(history.bench.shared().is_empty(), "nothing was done");
    let after = history.bench.files();
    for name in ["state.db", "state.db-wal", "world.json"] {
        let file = history.bench.state().join(name);
        assert!(after[&file] == before[&file], "{name} has changed");
    }

    // The newer one goes on as before, and so does one newer than that.
    history.check_out(1);
    history.ends(&["reconcile"], 0);
}

#[test]
fn p8_in_their_order_commits_pass_and_status_tells_the_newest() {
    let Some(mut history) = History::of_two() else {
        return;
    };
    history.commit(&["img-a", "img-b"]);
    assert_eq!(history.ends(&["status"], 0)["newest_commit"], json!(null));
    for (number, shared) in [(0, 1), (1, 0), (1, 0), (2, 2)] {
        history.check_out(number);
        history.ends(&["reconcile"], 0);
        assert_eq!(history.bench.shared().len(), shared);
        let newest = &history.ends(&["status"], 0)["newest_commit"];
        assert_eq!(newest["hash"], history.commits[number]);
        let committed = format!("2026-03-01T12:{number:02}:00Z");
        assert_eq!(newest["committed_at"], committed);
    }
    let text = history.bench.text(&["status"], 0);
    holds(
        &text,
        &[&format!(
            "Newest commit: {} of 2026-03-01T12:02:00Z, worked on since 2",
            history.commits[2]
        )],
    );
}

#[test]
fn p8_a_plan_of_an_older_commit_only_warns() {
    let Some(history) = History::of_two() else {
        return;
    };
    history.check_out(1);
    assert_eq!(history.ends(&["plan"], 0)["warnings"], json!([]));
    history.ends(&["reconcile"], 0);
    assert_eq!(history.ends(&["plan"], 0)["warnings"], json!([]));
    history.check_out(0);
    let plan = history.ends(&["plan"], 0);
    let warning = plan["warnings"][0].as_str().expect("a warning");
    holds(warning, &[&history.commits[0], &history.commits[1]]);
    holds(warning, &["would refuse", "`--allow-older-commit`"]);
    assert_eq!(plan["summary"]["share"], 1);
}

#[test]
fn p8_who_goes_back_on_purpose_need_say_so_once() {
    let Some(history) = History::of_two() else {
        return;
    };
    history.check_out(1);
    history.ends(&["reconcile"], 0);
    history.check_out(0);
    history.ends(&["reconcile", "--allow-older-commit"], 0);
    assert_eq!(history.bench.shared().len(), 1);
    history.ends(&["reconcile"], 0);
    history.check_out(1);
    history.ends(&["reconcile"], 0);
    assert_eq!(history.bench.shared().len(), 0);
}

#[test]
fn p8_what_is_of_no_commit_is_neither_refused_nor_remembered() {
    let Some(history) = History::of_two() else {
        return;
    };
    // With a change that is not committed, the newer one leaves no mark,
    history.check_out(1);
    history.bench.declare("more", TOKYO, &["img-b"]);
    history.ends(&["reconcile"], 0);
    assert_eq!(history.ends(&["status"], 0)["newest_commit"], json!(null));
    std::fs::remove_file(history.bench.path("manifests/more.yaml")).expect("removed");
    history.check_out(0);
    history.ends(&["reconcile"], 0);
    // and the older one is not held to the one that the newer did leave.
    history.check_out(1);
    history.ends(&["reconcile"], 0);
    history.check_out(0);
    history.ends(&["reconcile"], 5);
    history.bench.declare("more", TOKYO, &["img-b"]);
    history.ends(&["reconcile"], 0);
    std::fs::remove_dir_all(history.bench.path(".git")).expect("removed");
    history.ends(&["reconcile"], 0);
    let newest = &history.ends(&["status"], 0)["newest_commit"]["hash"];
    assert_eq!(*newest, history.commits[1]);
}

#[test]
fn p8_p9_a_saved_plan_of_an_older_commit_is_refused_like_its_manifests() {
    let Some(history) = History::of_two() else {
        return;
    };
    history.check_out(0);
    history.ends(&["plan", "--out", "plan.json"], 0);
    history.check_out(1);
    history.ends(&["reconcile"], 0);
    history.check_out(0);
    let document = history.ends(&["reconcile", "--plan", "plan.json"], 5);
    let error = document["error"].as_str().expect("says why");
    holds(error, &[&history.commits[1], "which is newer"]);
    assert!(history.bench.shared().is_empty());
}
