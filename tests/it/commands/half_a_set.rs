//! Tests fault G3: no command takes a partial checkout of the manifests for a complete one.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::{TOKYO, holds, ids};
use crate::support::binary::{Bench, command, document, stderr, stdout};
use crate::support::real_git;

/// A bench whose manifests are in a git repository.
struct Checkout(Bench);

impl Checkout {
    /// The manifests declare `img-a`, `img-b` and `img-c` in separate files, and all three are our shares. Returns
    /// `None` if git is not installed.
    fn new() -> Option<Self> {
        if !real_git::is_there() {
            return None;
        }
        let checkout = Self(Bench::new());
        for name in ["a", "b", "c"] {
            checkout.0.declare(name, TOKYO, &[&format!("img-{name}")]);
        }
        checkout.git(&["init", "--quiet"]);
        checkout.commit();
        checkout.ends(&["reconcile"], 0);
        assert_eq!(checkout.0.shared().len(), 3);
        Some(checkout)
    }

    fn git(&self, arguments: &[&str]) {
        let output = real_git::command(&self.0.path("."), &self.0.path("."))
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{}", stderr(&output));
    }

    fn commit(&self) {
        self.git(&["add", "manifests"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "x"]);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path(&format!("manifests/{name}.yaml"))).expect("removes");
    }

    fn run(&self, arguments: &[&str], path: &Path) -> Output {
        command(arguments)
            .args(["--state-dir", "state"])
            .env("PATH", path)
            .current_dir(self.0.path("."))
            .output()
            .expect("the binary starts")
    }

    #[track_caller]
    fn ends_with(
        &self,
        arguments: &[&str],
        status: i32,
        path: &Path,
    ) -> (serde_json::Value, String) {
        let sim = if arguments[0] == "validate" {
            &[] as &[&str]
        } else {
            &["--sim"]
        };
        let output = self.run(&[arguments, sim, &["-o", "json"]].concat(), path);
        let (out, printed) = (stdout(&output), stderr(&output));
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}\n{out}\n{printed}"
        );
        (document(&output), printed)
    }

    #[track_caller]
    fn ends(&self, arguments: &[&str], status: i32) -> serde_json::Value {
        let path = std::env::var_os("PATH").expect("a PATH");
        self.ends_with(arguments, status, Path::new(&path)).0
    }

    /// Runs a command as on a machine without git.
    #[track_caller]
    fn without_git(&self, arguments: &[&str], status: i32) -> (serde_json::Value, String) {
        self.ends_with(arguments, status, &self.0.path("no-programs"))
    }

    fn shared(&self) -> Vec<String> {
        self.0
            .shared()
            .into_iter()
            .map(|(_, image)| image)
            .collect()
    }
}

#[test]
fn g3_s3_a_file_that_git_has_and_is_not_there_stops_every_command() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    checkout.remove("b");
    for arguments in [
        &["validate"] as &[_],
        &["plan", "--prune", "owned"],
        &["reconcile", "--prune", "owned"],
    ] {
        let document = checkout.ends(arguments, 1);
        let error = &document["errors"][0];
        assert_eq!(error["file"], "manifests/b.yaml", "{arguments:?}");
        holds(error["message"].as_str().expect("text"), &["git has it"]);
        holds(
            error["help"].as_str().expect("text"),
            &["git rm", "git add -A"],
        );
    }
    assert_eq!(checkout.shared().len(), 3);
    // After git knows of the deletion, the deletion is intended.
    checkout.git(&["add", "-A", "manifests"]);
    checkout.ends(&["reconcile", "--prune", "owned"], 0);
    assert_eq!(checkout.shared(), ["img-a", "img-c"]);
}

#[test]
fn g3_s3_with_partial_ok_a_missing_file_holds_every_cancel_and_no_share() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    fs::create_dir(checkout.0.path("manifests/team")).expect("makes");
    checkout.0.declare("team/e", TOKYO, &["img-e"]);
    checkout.commit();
    checkout.remove("team/e");
    checkout.0.declare("c", TOKYO, &["img-c, state: unshared"]);
    checkout.0.declare("d", TOKYO, &["img-d"]);
    let arguments = ["reconcile", "--prune", "exclusive", "--partial-ok"];
    let document = checkout.ends(&arguments, 4);
    assert_eq!(document["errors"][0]["file"], "manifests/team/e.yaml");
    assert_eq!(document["summary"]["shared"], 1, "{document}");
    assert_eq!(document["summary"]["cancelled"], 0);
    assert_eq!(document["summary"]["withheld"], 1);
    assert_eq!(checkout.shared(), ["img-a", "img-b", "img-c", "img-d"]);
}

#[test]
fn g3_s3_with_partial_ok_a_lost_file_beside_the_others_holds_no_share() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    checkout.remove("b");
    checkout.0.declare("c", TOKYO, &["img-c, state: unshared"]);
    checkout.0.declare("d", TOKYO, &["img-d"]);
    let arguments = ["reconcile", "--prune", "exclusive", "--partial-ok"];
    let document = checkout.ends(&arguments, 4);
    assert_eq!(document["errors"][0]["file"], "manifests/b.yaml");
    assert_eq!(document["summary"]["shared"], 1, "{document}");
    assert_eq!(document["summary"]["cancelled"], 0);
    assert_eq!(checkout.shared(), ["img-a", "img-b", "img-c", "img-d"]);
}

#[test]
fn g3_a_submodule_at_another_commit_withholds_what_is_to_be_pruned() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    fs::create_dir(checkout.0.path("sub")).expect("makes");
    checkout.git(&["-C", "sub", "init", "--quiet"]);
    fs::rename(
        checkout.0.path("manifests/a.yaml"),
        checkout.0.path("sub/a.yaml"),
    )
    .expect("moves");
    let commit = ["commit", "--quiet", "--message", "x"];
    checkout.git(&["-C", "sub", "add", "a.yaml"]);
    checkout.git(&[&["-C", "sub"], &commit[..]].concat());
    checkout.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        "./sub",
        "manifests/sub",
    ]);
    checkout.git(&["add", "-A", "manifests"]);
    checkout.commit();
    checkout.ends(&["reconcile", "--prune", "owned"], 0);
    // The submodule gets a new commit without its manifest.
    checkout.git(&["-C", "manifests/sub", "rm", "--quiet", "a.yaml"]);
    checkout.git(&[&["-C", "manifests/sub"], &commit[..]].concat());
    checkout.0.declare("d", TOKYO, &["img-d"]);
    let document = checkout.ends(&["reconcile", "--prune", "owned"], 3);
    let words = ["another commit", "git submodule update", "git add"];
    holds(&document["warnings"].to_string(), &words);
    assert_eq!(checkout.shared(), ["img-a", "img-b", "img-c", "img-d"]);
    let valid = checkout.ends(&["validate"], 0);
    holds(&valid["warnings"].to_string(), &words);
    checkout.git(&["add", "manifests/sub"]);
    checkout.ends(&["reconcile", "--prune", "owned"], 0);
    assert_eq!(checkout.shared(), ["img-b", "img-c", "img-d"]);
}

#[test]
fn g3_validate_shows_its_warnings_beside_the_errors() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    fs::write(checkout.0.path("manifests/d.YAML"), "").expect("writes");
    fs::write(checkout.0.path("manifests/e.yaml"), "x: 1\n").expect("writes");
    let (document, _) = checkout.without_git(&["validate"], 1);
    assert_eq!(document["errors"][0]["file"], "manifests/e.yaml");
    holds(
        &document["warnings"].to_string(),
        &["manifests/d.YAML", "is not read", "git cannot be asked"],
    );
}

/// The state of these tests knows a commit. Without git, the program cannot find out whether this commit is newer.
const UNORDERED_PRUNING: [&str; 4] = ["reconcile", "--allow-unknown-commit", "--prune", "owned"];

#[test]
fn g3_s3_without_git_shares_and_declared_cancels_go_on_and_pruning_waits() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    checkout.remove("b");
    checkout.0.declare("c", TOKYO, &["img-c, state: unshared"]);
    checkout.0.declare("d", TOKYO, &["img-d"]);
    let way_out = [
        "git cannot be asked",
        "install git",
        "outside of this repository",
    ];
    let (plan, printed) = checkout.without_git(&["plan", "--prune", "owned"], 0);
    assert_eq!(ids(&plan["changes"]), ["img-c", "img-d"]);
    assert_eq!(ids(&plan["withheld"]), ["img-b"]);
    holds(
        plan["withheld"][0]["reason"].as_str().expect("a reason"),
        &way_out,
    );
    holds(&plan["warnings"].to_string(), &way_out);
    holds(&printed, &way_out);
    assert_eq!(
        printed.matches("git cannot be asked").count(),
        1,
        "it is printed once: {printed}"
    );

    let (done, printed) = checkout.without_git(&UNORDERED_PRUNING, 3);
    assert_eq!(checkout.shared(), ["img-a", "img-b", "img-d"]);
    holds(&done["warnings"].to_string(), &way_out);
    holds(&printed, &way_out);
    // If there is nothing to prune, nothing is withheld, but the warning is still given.
    let (done, printed) = checkout.without_git(&UNORDERED_PRUNING[..2], 0);
    holds(&done["warnings"].to_string(), &way_out);
    holds(&printed, &way_out);
    let (valid, printed) = checkout.without_git(&["validate"], 0);
    holds(&valid["warnings"].to_string(), &way_out);
    holds(&printed, &way_out);
    // Outside of a repository, no file can be missing.
    fs::rename(checkout.0.path(".git"), checkout.0.path("cut-off")).expect("renames");
    let (done, printed) = checkout.without_git(&UNORDERED_PRUNING, 0);
    assert!(
        !done["warnings"].to_string().contains("cannot be asked"),
        "{done}"
    );
    assert!(!printed.contains("cannot be asked"), "{printed}");
    assert_eq!(checkout.shared(), ["img-a", "img-d"]);
}

#[test]
fn g3_s3_a_saved_plan_prunes_nothing_where_git_cannot_be_asked() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    checkout.git(&["rm", "--quiet", "manifests/b.yaml"]);
    checkout.git(&["commit", "--quiet", "--message", "x"]);
    checkout.ends(&["plan", "--prune", "owned", "--out", "plan.json"], 0);
    let planned = [&UNORDERED_PRUNING[..], &["--plan", "plan.json"]].concat();
    let (stale, _) = checkout.without_git(&planned, 5);
    holds(&stale.to_string(), &["git cannot be asked", "install git"]);
    assert_eq!(checkout.shared().len(), 3);
    // This plan was made without git, so it holds no such CANCEL.
    checkout.without_git(&["plan", "--prune", "owned", "--out", "less.json"], 0);
    let less = fs::read_to_string(checkout.0.path("less.json")).expect("a plan");
    assert!(!less.contains("img-b"), "{less}");
    checkout.ends(&planned, 0);
    assert_eq!(checkout.shared(), ["img-a", "img-c"]);
}

#[test]
fn g3_validate_works_as_a_hook_of_the_commit_that_it_checks() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    let hook = checkout.0.path(".git/hooks/pre-commit");
    fs::create_dir_all(hook.parent().expect("a parent")).expect("makes");
    let script = format!(
        "#!/bin/sh\nexec '{}' validate manifests\n",
        env!("CARGO_BIN_EXE_sharekeeper")
    );
    fs::write(&hook, script).expect("writes");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&hook, mode).expect("sets");
    let commits = |arguments: &[&str]| {
        let output = real_git::command(&checkout.0.path("."), &checkout.0.path("."))
            .args(["commit", "--message=x"])
            .args(arguments)
            .output()
            .expect("git runs");
        (output.status.success(), stderr(&output))
    };
    checkout.0.declare("d", TOKYO, &["img-d"]);
    checkout.git(&["add", "manifests/d.yaml"]);
    let (done, printed) = commits(&[]);
    assert!(done, "{printed}");
    checkout.0.declare("d", TOKYO, &["img-e"]);
    let (done, printed) = commits(&["--all"]);
    assert!(done, "{printed}");
    checkout.remove("b");
    checkout.git(&["add", "-A"]);
    let (done, printed) = commits(&[]);
    assert!(done, "{printed}");
    // The content of the new commit decides, although the index does not have it yet.
    for (name, arguments) in [
        ("d", &["--all"] as &[_]),
        ("e", &["--", "manifests/e.yaml"]),
        ("f", &["--include", "manifests/f.yaml"]),
    ] {
        for name in ["d", "e", "f"] {
            checkout.0.declare(name, TOKYO, &[&format!("img-{name}")]);
        }
        checkout.git(&["add", "-A", "manifests"]);
        checkout.git(&[
            "commit",
            "--quiet",
            "--no-verify",
            "--allow-empty",
            "--message",
            "x",
        ]);
        checkout.remove(name);
        let (done, printed) = commits(arguments);
        assert!(done, "{name}: {printed}");
    }
    // A file that was deleted without `git rm` is an error, and the error names the remedy.
    checkout.remove("c");
    let (done, printed) = commits(&["--allow-empty"]);
    assert!(!done, "it is missing");
    holds(
        &printed,
        &[
            "manifests/c.yaml: git has it",
            "rm -- manifests/c.yaml",
            "git rm",
            "git add -A",
        ],
    );
}

#[test]
fn g3_an_index_of_another_repository_confirms_nothing() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    checkout.git(&["init", "--quiet", "other"]);
    checkout.git(&[
        "-C",
        "other",
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        "x",
    ]);
    checkout.git(&["-C", "other", "read-tree", "--empty"]);
    fs::copy(
        checkout.0.path("other/.git/index"),
        checkout.0.path("empty"),
    )
    .expect("copies");
    checkout.remove("b");
    let validate = |index: &Path| {
        let output = command(&["validate", "manifests"])
            .env("PATH", std::env::var_os("PATH").expect("a PATH"))
            .env("GIT_INDEX_FILE", index)
            .current_dir(checkout.0.path("."))
            .output()
            .expect("the binary starts");
        (output.status.code(), stderr(&output))
    };
    for index in [
        checkout.0.path("other/.git/index"),
        checkout.0.path("empty"),
        checkout.0.path(".git/gone"),
        "other/.git/index".into(),
        ".git/gone".into(),
        "".into(),
    ] {
        let (status, printed) = validate(&index);
        assert_eq!(status, Some(1), "{}: {printed}", index.display());
        holds(&printed, &["manifests/b.yaml: git has it"]);
    }
    // An index file of this repository is accepted.
    fs::copy(checkout.0.path("empty"), checkout.0.path(".git/next-index")).expect("copies");
    for index in [checkout.0.path(".git/next-index"), ".git/next-index".into()] {
        assert_eq!(validate(&index).0, Some(0), "{}", index.display());
    }
}

#[test]
fn g3_a_remedy_names_the_absolute_path_of_a_repository() {
    let Some(checkout) = Checkout::new() else {
        return;
    };
    checkout.git(&["init", "--quiet", "manifests/own"]);
    checkout.0.declare("o", TOKYO, &["img-o"]);
    fs::rename(
        checkout.0.path("manifests/o.yaml"),
        checkout.0.path("manifests/own/o.yaml"),
    )
    .expect("moves");
    checkout.git(&["-C", "manifests/own", "add", "o.yaml"]);
    for path in ["manifests/own", "manifests/own/.git"] {
        if std::os::unix::fs::chown(checkout.0.path(path), Some(54321), None).is_err() {
            return;
        }
    }
    let valid = checkout.ends(&["validate"], 0);
    let own = checkout
        .0
        .path("manifests/own")
        .canonicalize()
        .expect("is there");
    let way_out = format!("git config --global --add safe.directory {}", own.display());
    let help = valid["warnings"][0]["help"].as_str().expect("a way out");
    holds(help, &[&way_out]);
}
