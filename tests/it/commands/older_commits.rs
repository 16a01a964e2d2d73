//! Tests fault P8: of two CI jobs for successive commits, the job for the older commit may run last, and it must not
//! undo what the other job did.

use std::ffi::OsStr;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{TOKYO, holds};
use crate::support::binary::{Bench, Simulator, command, document, stderr, stdout};
use crate::support::real_git;

/// A bench whose manifests are in a git repository, and the commits made there. Each commit is one minute later than
/// the one before it.
pub(crate) struct History {
    pub(crate) bench: Bench,
    pub(crate) commits: Vec<String>,
}

impl History {
    /// Returns `None` and reports it if git is not installed.
    pub(crate) fn new() -> Option<Self> {
        if !real_git::is_there() {
            return None;
        }
        let history = Self {
            bench: Bench::new(),
            commits: Vec::new(),
        };
        history.git(&["init", "--quiet"]);
        Some(history)
    }

    /// The first commit wants one image shared, and the second commit wants it unshared.
    pub(crate) fn of_two() -> Option<Self> {
        let mut history = Self::new()?;
        history.commit(&["img-a"]);
        history.commit(&["img-a, state: unshared"]);
        Some(history)
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let minute = self.commits.len();
        self.git_at(&format!("2026-03-01T12:{minute:02}:00Z"), arguments)
    }

    /// Runs git. Commits that it makes get the time `committed`.
    pub(crate) fn git_at(&self, committed: &str, arguments: &[&str]) -> String {
        let output = real_git::command(&self.bench.path("."), &self.bench.path("."))
            .env("GIT_COMMITTER_DATE", committed)
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).trim().to_owned()
    }

    pub(crate) fn commit(&mut self, images: &[&str]) {
        let minute = self.commits.len();
        self.commit_at(&format!("2026-03-01T12:{minute:02}:00Z"), images);
    }

    /// Commits manifests with the time `committed`, which may be wrong.
    pub(crate) fn commit_at(&mut self, committed: &str, images: &[&str]) {
        self.bench.declare("tokyo", TOKYO, images);
        self.git(&["add", "manifests"]);
        self.git_at(committed, &["commit", "--quiet", "--message", "x"]);
        self.commits.push(self.git(&["rev-parse", "HEAD"]));
    }

    /// The newest commit that the state knows.
    pub(crate) fn newest(&self) -> Value {
        self.ends(&["status"], 0)["newest_commit"]["hash"].clone()
    }

    pub(crate) fn check_out(&self, commit: usize) {
        self.git(&["checkout", "--quiet", &self.commits[commit]]);
    }

    /// Runs a command with `--sim` on the manifests that are checked out.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let path = std::env::var_os("PATH").expect("a PATH");
        self.command(&path, arguments)
            .output()
            .expect("the binary starts")
    }

    /// The same as `run`, but with another `PATH` to find programs in.
    pub(crate) fn command(&self, path: &OsStr, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command
            .args(["--sim", "--state-dir", "state", "-o", "json"])
            .env("PATH", path)
            .current_dir(self.bench.path("."));
        command
    }

    #[track_caller]
    pub(crate) fn ends(&self, arguments: &[&str], status: i32) -> Value {
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

    // The newer commit works as before, and so does a commit that is newer still.
    history.check_out(1);
    history.ends(&["reconcile"], 0);
}

#[test]
fn p8_in_their_order_commits_pass_and_status_shows_the_newest() {
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
            "Newest commit: {} of 2026-03-01T12:02:00Z, in use since 2",
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
fn g4_manifests_that_differ_from_their_commit_are_compared_by_it() {
    for flags in [&[] as &[_], &["--partial-ok"]] {
        let Some(mut history) = History::of_two() else {
            return;
        };
        history.commit(&["img-a, state: unshared", "img-c"]);
        let reconcile = [&["reconcile"], flags].concat();
        // A newer commit with uncommitted changes works, and the state does not record it.
        history.check_out(1);
        history.bench.declare("more", TOKYO, &["img-b"]);
        history.ends(&reconcile, 0);
        assert_eq!(history.newest(), json!(null));
        std::fs::remove_file(history.bench.path("manifests/more.yaml")).expect("removed");
        history.ends(&reconcile, 0);
        history.check_out(2);
        history.bench.declare("more", TOKYO, &["img-b"]);
        history.ends(&reconcile, 0);
        assert_eq!(history.newest(), history.commits[1]);
        // The recorded commit itself works as well. An older one is refused, whatever uncommitted files are beside
        // it.
        history.check_out(1);
        history.ends(&reconcile, 0);
        history.check_out(0);
        let document = history.ends(&reconcile, 5);
        let error = document["error"].as_str().expect("says why");
        holds(error, &[&history.commits[0], &history.commits[1]]);
        assert_eq!(history.newest(), history.commits[1]);
        // An uncommitted file that is no manifest does not count: the state is the commit itself.
        std::fs::remove_file(history.bench.path("manifests/more.yaml")).expect("removed");
        history.bench.write("manifests/notes.txt", "x");
        history.ends(&reconcile, 5);
        history.check_out(2);
        history.ends(&reconcile, 0);
        assert_eq!(history.newest(), history.commits[2]);
    }
}

#[test]
fn g4_with_broken_files_left_out_the_order_holds_as_well() {
    let Some(mut history) = History::of_two() else {
        return;
    };
    history.bench.write("manifests/broken.yaml", "kind: [");
    history.commit(&["img-a, state: unshared", "img-c"]);
    history.ends(&["reconcile", "--partial-ok"], 4);
    assert_eq!(history.newest(), history.commits[2]);
    history.check_out(0);
    history.bench.write("manifests/broken.yaml", "kind: [");
    history.ends(&["reconcile", "--partial-ok"], 5);
}

#[test]
fn g9_a_child_is_newer_than_its_parent_whatever_their_clocks_said() {
    let Some(mut history) = History::new() else {
        return;
    };
    history.commit_at("2026-03-01T12:00:00Z", &["img-a"]);
    history.commit_at("2037-01-01T00:00:00Z", &["img-a, state: unshared"]);
    history.commit_at("2026-03-01T11:59:00Z", &["img-a", "img-b"]);
    for number in 0..3 {
        history.check_out(number);
        assert_eq!(history.ends(&["plan"], 0)["warnings"], json!([]));
        let document = history.ends(&["reconcile"], 0);
        assert_eq!(document["warnings"], json!([]));
        assert_eq!(history.newest(), history.commits[number]);
    }
    for number in 0..2 {
        history.check_out(number);
        let document = history.ends(&["reconcile"], 5);
        let error = document["error"].as_str().expect("says why");
        holds(error, &["which is newer, has been in use since"]);
    }
    assert_eq!(history.bench.shared().len(), 2, "nothing was done");
}

#[test]
fn g9_without_history_dates_decide_and_the_message_says_why() {
    let Some(mut history) = History::new() else {
        return;
    };
    history.commit(&["img-a"]);
    history.git(&["checkout", "--quiet", "-b", "side"]);
    history.commit(&["img-b"]);
    history.check_out(0);
    history.commit(&["img-c"]);
    history.ends(&["reconcile"], 0);
    // By its date, the commit on the side branch is older.
    history.check_out(1);
    let document = history.ends(&["reconcile"], 5);
    let error = document["error"].as_str().expect("says why");
    let why = "neither of the two commits contains the other";
    holds(error, &["which is newer by the dates alone", why]);
    let plan = history.ends(&["plan"], 0);
    let warning = plan["warnings"][0].as_str().expect("a warning");
    holds(warning, &["would refuse", "by the dates alone", why]);
    // By its date, the side branch is now newer, and a warning says so.
    history.commit(&["img-b", "img-d"]);
    for command in ["plan", "reconcile"] {
        let document = history.ends(&[command], 0);
        let warning = document["warnings"][0].as_str().expect("a warning");
        holds(warning, &["by the dates alone they are not older", why]);
    }
    assert_eq!(history.newest(), history.commits[3]);
}

#[test]
fn g9_the_remedy_of_a_shallow_clone_is_to_fetch_the_history() {
    let Some(history) = History::of_two() else {
        return;
    };
    history.ends(&["reconcile"], 0);
    let origin = history.bench.path(".").canonicalize().expect("is there");
    let origin = format!("file://{}", origin.display());
    history.check_out(0);
    let clone = ["clone", "--quiet", "--depth", "1", &origin, "clone"];
    history.git(&clone);
    let document = history.ends(&["reconcile", "clone/manifests"], 5);
    let error = document["error"].as_str().expect("says why");
    let words = ["not in this clone, which is shallow", "`fetch-depth: 0`"];
    holds(error, &words);
    // With the complete history, the order is known without dates.
    history.git(&["-C", "clone", "fetch", "--quiet", "--unshallow"]);
    history.git(&[
        "-C",
        "clone",
        "fetch",
        "--quiet",
        &origin,
        &history.commits[1],
    ]);
    let document = history.ends(&["reconcile", "clone/manifests"], 5);
    let error = document["error"].as_str().expect("says why");
    holds(error, &["which is newer, has been in use since"]);
}

#[test]
fn p8_an_observation_without_changes_makes_a_commit_the_newest() {
    let Some(mut history) = History::new() else {
        return;
    };
    history.commit(&["img-a"]);
    history.commit(&["img-a, note: the same"]);
    for number in 0..2 {
        history.check_out(number);
        let document = history.ends(&["reconcile"], 0);
        assert_eq!(document["calls"]["writes"], 1 - number);
        assert_eq!(history.newest(), history.commits[number]);
    }
    history.check_out(0);
    history.ends(&["reconcile"], 5);
}

#[test]
fn p8_a_stale_plan_leaves_the_newest_commit_as_it_was() {
    let Some(mut history) = History::of_two() else {
        return;
    };
    history.commit(&["img-a, state: unshared", "img-b"]);
    history.check_out(0);
    history.ends(&["reconcile"], 0);
    history.check_out(1);
    history.ends(&["plan", "--out", "plan.json"], 0);
    history.check_out(2);
    history.ends(&["reconcile", "--plan", "plan.json"], 5);
    assert_eq!(history.newest(), history.commits[0]);
    history.check_out(1);
    history.ends(&["reconcile", "--plan", "plan.json"], 0);
    assert_eq!(history.newest(), history.commits[1]);
}

#[test]
fn p8_a_run_that_observed_nothing_keeps_the_newest_commit() {
    let Some(history) = History::of_two() else {
        return;
    };
    let simulator = Simulator::with(&[]);
    let [(id, id_value), (key, key_value)] = simulator.credentials();
    let run = |endpoint: &str, key_value: Option<&str>| {
        let mut command = command(&["reconcile", "--timeout", "20s"]);
        command
            .args([
                "--state-dir",
                "state/sim",
                "-o",
                "json",
                "--endpoint",
                endpoint,
            ])
            .current_dir(history.bench.path("."))
            .env("PATH", std::env::var_os("PATH").expect("a PATH"));
        if let Some(key_value) = key_value {
            command.env(id, id_value).env(key, key_value);
        }
        let output = command.output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    };
    history.check_out(0);
    history.ends(&["reconcile"], 0);
    history.check_out(1);
    run(simulator.endpoint(), Some("wrong"));
    run(simulator.endpoint(), None);
    run("http://127.0.0.1:1", Some(key_value));
    assert_eq!(history.newest(), history.commits[0]);
    history.check_out(0);
    history.ends(&["reconcile"], 0);
}

#[test]
fn p8_where_reading_is_denied_a_commit_counts_once_a_write_is_tried() {
    let Some(history) = History::of_two() else {
        return;
    };
    history.check_out(0);
    let deny = |actions: Value| {
        history.bench.change(|world| {
            world["accounts"][0]["deny"] = actions;
        });
    };
    deny(json!(["DescribeBlueprints"]));
    history.ends(&["reconcile"], 0);
    assert_eq!(history.newest(), history.commits[0]);
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

#[test]
fn g4_a_commit_that_is_checked_out_while_manifests_are_read_is_read_anew() {
    let Some(mut history) = History::new() else {
        return;
    };
    history.commit(&["img-a"]);
    history.commit(&["img-a", "img-b"]);
    history.ends(&["reconcile", "--prune", "owned"], 0);
    history.check_out(0);
    // This git checks out the newer commit after the manifests of the older one were read, as a concurrent `git pull`
    // can do.
    let programs = history.bench.path("programs");
    std::fs::create_dir(&programs).expect("a directory");
    let real = Command::new("sh").args(["-c", "command -v git"]).output();
    let real = stdout(&real.expect("a shell")).trim().to_owned();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--show-toplevel*HEAD*)\n  n=$(cat '{0}/n' 2>/dev/null || echo 0); n=$((n + 1)); echo $n > '{0}/n'\n  \
         [ $n -eq 2 ] && {real} -C '{1}' checkout --quiet {2}\nesac\nexec {real} \"$@\"\n",
        programs.display(),
        history.bench.path(".").display(),
        history.commits[1],
    );
    std::fs::write(programs.join("git"), script).expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(programs.join("git"), mode).expect("may be run");
    let mut path = programs.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").expect("a PATH"));
    let output = history
        .command(&path, &["reconcile", "--prune", "owned"])
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    holds(&stderr(&output), &["another commit was checked out"]);
    let shared: Vec<_> = history.bench.shared();
    assert_eq!(
        shared.len(),
        2,
        "the older manifests would have pruned img-b"
    );
}
