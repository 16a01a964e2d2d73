//! Tests fault G4: if the state knows a newest commit, manifests whose commit is unknown are refused with a message.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::{Value, json};

use super::holds;
use super::older_commits::History;
use crate::support::binary::{document, stderr};

/// A `PATH` in which the first git is a script. The script can call the real git as `git`.
fn with_script(history: &History, script: &str) -> OsString {
    let path = std::env::var_os("PATH").expect("a PATH");
    let real = std::env::split_paths(&path)
        .map(|directory| directory.join("git"))
        .find(|program| program.exists())
        .expect("git is found");
    let bin = history.bench.path("bin");
    fs::create_dir_all(&bin).expect("a directory");
    let program = bin.join("git");
    let script = format!("#!/bin/sh\ngit={}\n{script}\n", real.display());
    fs::write(&program, script).expect("a file");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&program, mode).expect("a mode");
    let directories = [bin].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(directories).expect("a PATH")
}

fn run(history: &History, path: &OsStr, arguments: &[&str]) -> Output {
    let mut command = history.command(path, arguments);
    command.output().expect("the binary starts")
}

#[track_caller]
fn ends(history: &History, path: &OsStr, arguments: &[&str], status: i32) -> Value {
    let output = run(history, path, arguments);
    assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    document(&output)
}

/// Runs commands on the older of two commits after the newer one was applied, while the commit cannot be determined
/// for the reason `why`. Asserts that they refuse, name the remedies, and work with the flag that allows it.
#[track_caller]
fn refused(history: &History, path: &OsStr, manifests: &[&str], why: &[&str]) {
    let arguments = |command: &'static str, flags: &[&'static str]| -> Vec<String> {
        let words = [command].into_iter().chain(flags.iter().copied());
        words
            .chain(manifests.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    let ends = |arguments: Vec<String>, status| {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        ends(history, path, &arguments, status)
    };
    let before = history.bench.files();
    let document = ends(arguments("reconcile", &[]), 1);
    let error = document["error"].as_str().expect("says why");
    holds(error, why);
    holds(
        error,
        &[
            "nothing was done",
            "`--allow-unknown-commit`",
            &history.commits[1],
        ],
    );
    // Whoever goes back on purpose knows the target commit, so this flag alone is not enough.
    ends(arguments("reconcile", &["--allow-older-commit"]), 1);
    let after = history.bench.files();
    for name in ["state.db", "state.db-wal", "world.json"] {
        let file = history.bench.state().join(name);
        assert!(after[&file] == before[&file], "{name} has changed");
    }
    let plan = ends(arguments("plan", &[]), 0);
    let warning = plan["warnings"][0].as_str().expect("a warning");
    holds(warning, why);
    holds(warning, &["would refuse", "`--allow-unknown-commit`"]);
    let doctor = ends(arguments("doctor", &[]), 1);
    let checks = doctor["checks"].as_array().expect("a list");
    let check = checks.iter().find(|check| check["name"] == "commit");
    let check = check.expect("a check of the commit");
    assert_eq!(check["status"], "failed");
    let remedy = check["remedy"].as_str().expect("a remedy");
    holds(error, &[remedy]);
    // With the flag, the command works, and the recorded newest commit stays.
    let document = ends(arguments("reconcile", &["--allow-unknown-commit"]), 0);
    let warning = document["warnings"][0].as_str().expect("a warning");
    holds(warning, &["not compared", &history.commits[1]]);
    assert_eq!(history.newest(), history.commits[1]);
}

/// A history whose second commit was applied and whose first commit is checked out.
fn going_back() -> Option<History> {
    let history = History::of_two()?;
    history.ends(&["reconcile"], 0);
    history.check_out(0);
    Some(history)
}

#[test]
fn g4_without_git_an_older_commit_is_refused() {
    let Some(history) = going_back() else {
        return;
    };
    let empty = history.bench.path("manifests");
    let why = ["git cannot be run", "install git"];
    refused(&history, empty.as_os_str(), &[], &why);
}

#[test]
fn g4_in_a_checkout_of_another_user_an_older_commit_is_refused() {
    let Some(history) = going_back() else {
        return;
    };
    let script = "export GIT_TEST_ASSUME_DIFFERENT_OWNER=1; exec \"$git\" \"$@\"";
    let path = with_script(&history, script);
    let top = history.bench.path(".").canonicalize().expect("is there");
    let remedy = format!(
        "`git config --global --add safe.directory {}`",
        top.display()
    );
    refused(&history, &path, &[], &["another user owns it", &remedy]);
}

#[test]
fn g4_where_only_the_order_is_unknown_an_older_commit_is_refused() {
    let Some(history) = going_back() else {
        return;
    };
    let script =
        "case \"$*\" in *merge-base*) echo broken >&2; exit 128;; esac; exec \"$git\" \"$@\"";
    let path = with_script(&history, script);
    refused(&history, &path, &[], &["broken", "status` work"]);
}

#[test]
fn g4_without_a_repository_an_older_commit_is_refused() {
    let Some(history) = going_back() else {
        return;
    };
    fs::rename(history.bench.path(".git"), history.bench.path("gone")).expect("renames");
    let path = std::env::var_os("PATH").expect("a PATH");
    let why = ["not in a git repository", "with its `.git`"];
    refused(&history, &path, &[], &why);
}

#[test]
fn g4_in_a_repository_without_a_commit_an_older_commit_is_refused() {
    let Some(history) = going_back() else {
        return;
    };
    fs::rename(history.bench.path(".git"), history.bench.path("gone")).expect("renames");
    history.git(&["init", "--quiet"]);
    let path = std::env::var_os("PATH").expect("a PATH");
    let why = ["no commit is checked out", "commit the manifests"];
    refused(&history, &path, &[], &why);
}

#[test]
fn g4_where_a_link_leads_out_of_the_repository_an_older_commit_is_refused() {
    let Some(history) = going_back() else {
        return;
    };
    let elsewhere = tempfile::tempdir().expect("a directory");
    let copy = elsewhere.path().join("a.yaml");
    fs::rename(history.bench.path("manifests/tokyo.yaml"), &copy).expect("renames");
    std::os::unix::fs::symlink(&copy, history.bench.path("link.yaml")).expect("links");
    let path = std::env::var_os("PATH").expect("a PATH");
    refused(
        &history,
        &path,
        &["link.yaml"],
        &["not in a git repository"],
    );
}

#[test]
fn g4_of_two_repositories_an_older_commit_is_refused() {
    let Some(history) = going_back() else {
        return;
    };
    history.git(&["clone", "--quiet", ".", "other"]);
    fs::remove_file(history.bench.path("other/manifests/tokyo.yaml")).expect("removes");
    fs::copy(
        history.bench.path("manifests/tokyo.yaml"),
        history.bench.path("other/a.yaml"),
    )
    .expect("copies");
    history.bench.write("manifests/tokyo.yaml", "");
    let path = std::env::var_os("PATH").expect("a PATH");
    let manifests = ["manifests", "other/a.yaml"];
    refused(
        &history,
        &path,
        &manifests,
        &["two checkouts", "one checkout"],
    );
}

#[test]
fn g4_a_variable_allows_an_unknown_commit_too() {
    let Some(history) = going_back() else {
        return;
    };
    let path = history.bench.path("manifests");
    for (value, status) in [("0", 1), ("true", 0)] {
        let mut command = history.command(path.as_os_str(), &["reconcile"]);
        command.env("SHAREKEEPER_ALLOW_UNKNOWN_COMMIT", value);
        let output = command.output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    }
}

#[test]
fn g4_a_state_that_knows_no_commit_goes_on_and_says_so() {
    let Some(history) = History::of_two() else {
        return;
    };
    let nothing = history.bench.path("manifests");
    for command in ["plan", "reconcile"] {
        let output = run(&history, nothing.as_os_str(), &[command]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let words = ["commit of the manifests is unknown", "install git"];
        holds(&stderr(&output), &words);
        let document = document(&output);
        holds(document["warnings"][0].as_str().expect("a warning"), &words);
    }
    assert_eq!(history.newest(), json!(null));
    // Without a git history of the manifests, there is nothing to warn about.
    fs::remove_dir_all(history.bench.path(".git")).expect("removes");
    for command in ["plan", "reconcile"] {
        let document = ends(&history, nothing.as_os_str(), &[command], 0);
        assert_eq!(document["warnings"], json!([]));
    }
}

#[test]
fn g4_doctor_shows_the_commit_and_whether_it_would_be_accepted() {
    let Some(history) = History::of_two() else {
        return;
    };
    let check = |status: i32| {
        let doctor = history.ends(&["doctor"], status);
        let checks = doctor["checks"].as_array().expect("a list").clone();
        let mut checks = checks.into_iter();
        checks.find(|check| check["name"] == "commit")
    };
    let ended = |check: Option<Value>, status: &str, words: &[&str]| {
        let check = check.expect("a check of the commit");
        assert_eq!(check["status"], status, "{check}");
        holds(check["message"].as_str().expect("a message"), words);
    };
    ended(check(0), "passed", &[&history.commits[1]]);
    history.ends(&["reconcile"], 0);
    history.check_out(0);
    ended(check(0), "warning", &["would refuse", &history.commits[1]]);
    fs::remove_dir_all(history.bench.path("state")).expect("removes");
    let git = history.bench.path(".git");
    fs::remove_dir_all(&git).expect("removes");
    assert_eq!(check(0), None, "there is nothing to tell");
    fs::write(&git, "gitdir: /nowhere").expect("writes");
    ended(
        check(0),
        "warning",
        &["commit of the manifests is unknown", "/nowhere"],
    );
}
