//! Tests the state directory: which states are refused, which process holds the lock, and which commands do not open
//! it.

use std::fs;
use std::fs::File;
use std::io::Write;

use serde_json::json;

use super::older_state::{OLDER, back_to};
use super::{FRANKFURT, TOKYO, holds};
use crate::support::binary::{Bench, Simulator, command, document, stderr, stdout, use_state};

/// Every command that opens the state directory, with arguments that make it do something.
const COMMANDS: [&[&str]; 8] = [
    &["plan"],
    &["reconcile"],
    &["status"],
    &["history"],
    &["history", "verify"],
    &["suspend", "--all", "--reason", "x"],
    &["resume"],
    &["adopt", "--all"],
];

/// A bench with a state that was used before.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.declare("frankfurt", FRANKFURT, &["img-a"]);
    bench.run(&["reconcile"], 0);
    bench
}

/// Asserts that every command refuses the state with `words` in one document, and changes nothing in it.
#[track_caller]
fn refused(bench: &Bench, words: &[&str]) {
    let before = bench.files();
    for arguments in COMMANDS {
        let output = bench.run(&[arguments, &["-o", "json"]].concat(), 1);
        let document = document(&output);
        holds(document["error"].as_str().expect("says why"), words);
        holds(&stderr(&output), words);
        let after = bench.files();
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>(),
            "{arguments:?}"
        );
        for (file, content) in &before {
            let scratch = file.to_string_lossy().ends_with("-shm");
            assert!(
                scratch || after[file] == *content,
                "{arguments:?}: {}",
                file.display()
            );
        }
    }
}

#[test]
fn s18_d8_a_newer_schema_is_refused() {
    let bench = bench();
    bench
        .database()
        .pragma_update(None, "user_version", 9)
        .expect("set");
    refused(
        &bench,
        &[
            "state.db has schema version 9",
            "use the newer sharekeeper that wrote it",
        ],
    );
}

#[test]
fn s18_m18_a_state_of_another_installation_is_refused() {
    let bench = bench();
    fs::write(
        bench.state().join("owner"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .expect("a file");
    refused(
        &bench,
        &[
            "they come from different installations",
            "restore the directory from a backup, or move it away to start with an empty state",
        ],
    );
}

#[test]
fn s18_a_database_that_is_gone_is_not_begun_anew() {
    let bench = bench();
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        // Some of these files may not exist.
        let _ = fs::remove_file(bench.state().join(file));
    }
    refused(
        &bench,
        &[
            "state.db is missing",
            "shows that the directory was in use",
            "from a backup",
        ],
    );
}

#[test]
fn s18_d5_what_is_no_database_is_refused() {
    let bench = bench();
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(bench.state().join(file));
    }
    fs::write(bench.state().join("state.db"), [0; 8192]).expect("a file");
    refused(&bench, &["state.db is damaged", "from a backup"]);
}

#[test]
fn s20_d9_a_second_process_learns_who_holds_the_directory() {
    let bench = bench();
    let mut lock = File::options()
        .write(true)
        .open(bench.state().join("lock"))
        .expect("the lock file");
    lock.lock().expect("the lock");
    let holder = json!({
        "pid": std::process::id(), "host": "build-7", "command": "reconcile", "since": "2026-11-24T10:00:00Z"
    });
    writeln!(lock, "{holder}").expect("written");

    let words = format!(
        "in use by process {} on build-7 (`reconcile`, since 2026-11-24T10:00:00Z)",
        std::process::id()
    );
    let document = bench.json(&["reconcile"], 1);
    holds(
        document["error"].as_str().expect("says who"),
        &[
            &words,
            "wait until it has ended, or stop it, or give another --state-dir",
        ],
    );
    // Commands that only read, or only record a statement about images, do not wait for the lock.
    let status = bench.json(&["status"], 0);
    assert_eq!(status["holder"]["pid"], std::process::id());
    holds(
        &bench.text(&["status"], 0),
        &["Reconciling now: process ", "on build-7"],
    );
    for arguments in [
        &["plan"] as &[_],
        &["history"],
        &["suspend", "--all", "--reason", "x"],
        &["resume"],
        &["adopt", "--all"],
    ] {
        bench.run(arguments, 0);
    }
    drop(lock);
    bench.run(&["reconcile"], 0);
    assert_eq!(bench.json(&["status"], 0)["holder"], json!(null));
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.write("state", "");
    for arguments in [
        &["status"] as &[_],
        &["history"],
        &["suspend", "--all", "--reason", "x"],
    ] {
        let output = bench.real(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        holds(
            &stderr(&output),
            &["state is a file", "give another --state-dir"],
        );
    }
}

/// The commands that only read.
const READING_COMMANDS: [&[&str]; 5] = [
    &["plan"],
    &["status"],
    &["history"],
    &["history", "verify"],
    &["doctor"],
];

#[test]
fn s16_reading_commands_make_no_file_and_change_none() {
    let simulator = Simulator::start();
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    let real = |arguments: &[&str], status| {
        let mut command = command(arguments);
        command
            .args(["--state-dir", "state", "-o", "json"])
            .current_dir(bench.path("."))
            .envs(simulator.credentials());
        if matches!(arguments[0], "plan" | "reconcile" | "doctor") {
            command.args(["--endpoint", simulator.endpoint()]);
        }
        let output = command.output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        document(&output)
    };
    for arguments in READING_COMMANDS {
        real(arguments, 0);
    }
    assert!(!bench.path("state").exists(), "not even the directory");

    // The simulator has no such image, so the state has content and there is still work to do.
    use_state(&bench.path("state"));
    real(&["suspend", "--image", "img-b", "--reason", "x"], 0);
    real(&["reconcile"], 4);
    let before = bench.files();
    assert!(!before.is_empty());
    for arguments in READING_COMMANDS {
        real(arguments, 0);
        assert!(bench.files() == before, "{arguments:?} changed the state");
    }
}

#[test]
fn s17_a_second_run_in_sync_changes_no_byte_of_the_state() {
    let bench = bench();
    let state = |name: &str| fs::read(bench.state().join(name)).expect("a file");
    bench.run(&["reconcile"], 0);
    let before = (state("state.db"), state("state.db-wal"));
    let document = bench.json(&["reconcile", "--prune", "owned"], 0);
    assert_eq!(document["calls"]["writes"], 0);
    assert_eq!(document["summary"]["in_sync"], 2);
    assert!((state("state.db"), state("state.db-wal")) == before);
}

#[test]
fn status_says_whose_state_it_is_and_what_is_in_it() {
    let bench = Bench::new();
    holds(&bench.text(&["status"], 0), &["state/sim was never used"]);
    assert_eq!(bench.json(&["status"], 0)["owner"], json!(null));
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    bench.declare("frankfurt", FRANKFURT, &["img-a"]);
    bench.run(&["reconcile"], 0);
    let owner = fs::read_to_string(bench.state().join("owner")).expect("a file");
    let document = bench.json(&["status"], 0);
    assert_eq!(document["owner"], owner.trim());
    assert_eq!(document["scopes"][0]["owned"], 2);
    assert_eq!(document["history"]["entries"], 6);
    let text = stdout(&bench.run(&["status"], 0));
    holds(
        &text,
        &[
            &format!("State: state/sim, owner {}\n", owner.trim()),
            "Reconciling now: nobody\n",
            "default/ap-tokyo      2 images ours\n",
            "default/eu-frankfurt  1 image ours\n",
            "History: 6 entries, the last at 2",
        ],
    );
    // The simulator has a state directory of its own.
    let output = bench.real(&["status"]);
    assert_eq!(stdout(&output), "State: state was never used.\n");
}

#[test]
fn s18_a_reset_goes_with_the_simulator_and_a_variable_that_says_no_is_no() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.run(&["reconcile"], 0);
    let before = fs::read(bench.state().join("owner")).expect("a state");
    let state = bench.state().to_string_lossy().into_owned();
    let output = command(&["plan", "manifests", "--sim-reset", "--state-dir", &state])
        .env("SHAREKEEPER_SIM", "false")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
    let after = fs::read(bench.state().join("owner")).expect("still there");
    assert_eq!(after, before, "nothing but the simulator's is ever removed");
}

#[test]
fn b5_s18_a_new_state_is_reported_where_something_is_to_be_pruned() {
    for prune in ["owned", "exclusive"] {
        let bench = Bench::new();
        bench.declare("tokyo", TOKYO, &["img-a"]);
        let flags = ["--prune", prune];
        // The state counts as new until a command opens it to write.
        for _ in 0..2 {
            let output = bench.run(&[&["plan", "-o", "json"], &flags as &[_]].concat(), 0);
            let document = document(&output);
            assert_eq!(document["state"], "new");
            let warning = document["warnings"][0].as_str().expect("a warning");
            let words = [
                &format!("`--prune {prune}`"),
                "is new",
                "--state-dir",
                "adopt",
            ];
            holds(warning, &words);
            holds(&stderr(&output), &[warning]);
        }
        let output = bench.run(&[&["reconcile", "-o", "json"], &flags as &[_]].concat(), 0);
        let printed = document(&output);
        assert_eq!(printed["state"], "new");
        let warning = printed["warnings"][0].as_str().expect("a warning");
        holds(&stderr(&output), &[warning]);
        assert_eq!(stderr(&output).matches("is new").count(), 1);
        for command in ["plan", "reconcile"] {
            let output = bench.run(&[&[command, "-o", "json"], &flags as &[_]].concat(), 0);
            assert_eq!(document(&output).get("state"), None);
            assert!(!stderr(&output).contains("is new"));
        }
    }
    // Nothing is to be pruned, so nothing is withheld. A run that changed nothing also counts as use of the state.
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a, state: unshared"]);
    for command in ["plan", "reconcile"] {
        let output = bench.run(&[command, "-o", "json"], 0);
        assert_eq!(document(&output).get("state"), None);
        assert!(!stderr(&output).contains("is new"));
    }
    let document = bench.json(&["reconcile", "--prune", "owned"], 0);
    assert_eq!(document.get("state"), None);
    // A person has already used this state.
    let bench = Bench::new().used();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.run(&["suspend", "--reason", "x", "--image", "img-b"], 0);
    let document = bench.json(&["reconcile", "--prune", "owned"], 0);
    assert_eq!(document.get("state"), None);
}

/// A bench for each older schema version, with the version.
fn older_benches() -> impl Iterator<Item = (Bench, usize)> {
    OLDER.map(|older| {
        let bench = bench();
        back_to(&bench.database(), older);
        (bench, older)
    })
}

fn version(bench: &Bench) -> usize {
    let version = bench
        .database()
        .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    usize::try_from(version.expect("a version")).expect("positive")
}

#[test]
fn r12_reading_commands_work_on_states_of_older_versions() {
    for (bench, older) in older_benches() {
        let plan = bench.json(&["plan"], 0);
        assert_eq!(plan["changes"], json!([]), "version {older}");
        let status = bench.json(&["status"], 0);
        assert_eq!(status["schema_version"], older);
        assert_eq!(status["scopes"].as_array().expect("scopes").len(), 2);
        assert_eq!(
            bench.json(&["history"], 0)["entries"]
                .as_array()
                .expect("entries")
                .len(),
            4
        );
        bench.json(&["history", "verify"], 0);
        let explained = bench.run(&["explain", "img-a"], 0);
        holds(&stdout(&explained), &["img-a"]);
        assert_eq!(version(&bench), older, "reading changes nothing");
    }
}

#[test]
fn r12_a_plan_that_was_saved_before_an_upgrade_is_carried_out_after_it() {
    for (bench, older) in older_benches() {
        bench.declare("tokyo", TOKYO, &["img-a", "img-new"]);
        let plan = bench.path("plan.json");
        let plan = plan.to_str().expect("a path");
        bench.run(&["plan", "--out", plan], 0);
        assert_eq!(version(&bench), older);
        let done = bench.json(&["reconcile", "--plan", plan], 0);
        assert_eq!(done["synced"], true, "version {older}");
        assert_eq!(version(&bench), *OLDER.end() + 1);
    }
}

#[test]
fn r12_operator_commands_upgrade_the_state_unless_it_is_in_use() {
    for (bench, older) in older_benches() {
        let lock = File::options()
            .write(true)
            .open(bench.state().join("lock"))
            .expect("the lock file");
        lock.lock().expect("the lock");
        for arguments in [
            &["suspend", "--all", "--reason", "x"] as &[&str],
            &["state", "upgrade"],
            &["reconcile"],
        ] {
            let refused = bench.run(arguments, 1);
            holds(&stderr(&refused), &["in use by another process"]);
        }
        assert_eq!(version(&bench), older);
        drop(lock);
        bench.run(&["suspend", "--all", "--reason", "x"], 0);
        assert_eq!(version(&bench), *OLDER.end() + 1);
        bench.run(&["resume"], 0);
    }
}

#[test]
fn r12_state_upgrade_reports_what_it_did_and_keeps_a_copy() {
    for (bench, older) in older_benches() {
        let done = bench.json(&["state", "upgrade"], 0);
        assert_eq!(done["upgraded"], true);
        assert_eq!(done["from_version"], older);
        assert_eq!(done["to_version"], *OLDER.end() + 1);
        let backup = done["backup"].as_str().expect("a copy");
        assert!(fs::metadata(bench.path(backup)).expect("there").len() > 4096);
        let again = bench.json(&["state", "upgrade"], 0);
        assert_eq!(again["upgraded"], false);
        assert_eq!(again["backup"], json!(null));
        holds(
            &bench.text(&["state", "upgrade"], 0),
            &["newest schema version already"],
        );
        bench.run(&["reconcile"], 0);
    }
    let bench = bench();
    bench
        .database()
        .pragma_update(None, "user_version", 9)
        .expect("set");
    let refused = bench.json(&["state", "upgrade"], 1);
    holds(
        refused["error"].as_str().expect("why"),
        &["use the newer sharekeeper that wrote it"],
    );
}
