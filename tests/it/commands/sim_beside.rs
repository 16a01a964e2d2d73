//! Tests `--sim` while another process serves the simulator, and after such a process was killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::JoinHandle;

use super::{FRANKFURT, TOKYO, holds, ids, numbered};
use crate::support::binary::{Bench, command, document, stderr};

/// A `run --sim` process on a bench, until it is killed.
pub(crate) struct Daemon {
    process: Child,
    /// The thread that reads the log of the process to its end.
    log: Option<JoinHandle<String>>,
}

impl Daemon {
    /// Starts the daemon and waits until its log contains `words`.
    pub(crate) fn start(bench: &Bench, arguments: &[&str], words: &str) -> Self {
        let mut process = command(&["run", "--sim", "--listen", "127.0.0.1:0"])
            .args(["--state-dir", "state"])
            .args(arguments)
            .current_dir(bench.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut log = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut said = String::new();
        while !said.contains(words) {
            let read = log.read_line(&mut said).expect("text");
            assert!(read > 0, "it ends before it says `{words}`:\n{said}");
        }
        let log = std::thread::spawn(move || {
            let mut line = String::new();
            while log.read_line(&mut line).is_ok_and(|read| read > 0) {
                said.push_str(&std::mem::take(&mut line));
            }
            said
        });
        Self {
            process,
            log: Some(log),
        }
    }

    fn pid(&self) -> String {
        format!("process {}", self.process.id())
    }

    /// Ends the daemon as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it lives");
        self.ended();
    }

    /// Waits until the daemon has ended.
    fn ended(&mut self) -> (ExitStatus, String) {
        let status = self.process.wait().expect("it ends");
        let log = self.log.take().expect("it is read once");
        (status, log.join().expect("text"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // If the process has already ended by itself, there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const LISTENS: &str = "the simulator listens on";

/// Starts a daemon and waits until it has shared two images.
fn in_sync(bench: &Bench) -> Daemon {
    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    let daemon = Daemon::start(bench, &["manifests"], LISTENS);
    // Each try reads what the daemon has done until then.
    let tries = (0..500).map(|_| bench.json(&["plan", "manifests"], 0));
    let mut plans = tries.map(|plan| plan["summary"]["in_sync"] == 2);
    assert!(plans.any(|in_sync| in_sync), "it never gets there");
    daemon
}

#[test]
fn n9_commands_beside_a_daemon_see_its_world() {
    let bench = Bench::new();
    let daemon = in_sync(&bench);

    let plan = bench.run(&["plan", "manifests", "--detailed-exitcode"], 0);
    assert!(!stderr(&plan).contains("suddenly"), "{}", stderr(&plan));
    let images = bench.json(&["images", "manifests"], 0);
    assert_eq!(
        images["images"].as_array().map(Vec::len),
        Some(2),
        "{images}"
    );
    let text = images.to_string();
    assert_eq!(text.matches("\"share\":\"shared\"").count(), 2, "{text}");
    let explained = bench.text(&["explain", "img-a", "manifests"], 0);
    holds(&explained, &["img-a", "lhbp-"]);
    bench.run(&["doctor", "manifests"], 0);
    let imported = bench.json(&["import", "none", "--out", "imported"], 0);
    assert_eq!(imported["files"][0]["images"], 2, "{imported}");
    bench.run(&["status"], 0);

    // The simulated cloud of the command also has an image that a manifest names only now.
    bench.declare("frankfurt", FRANKFURT, &["img-c"]);
    let paths = ["plan", "manifests/frankfurt.yaml"];
    let plan = bench.json(&paths, 0);
    assert_eq!(plan["summary"]["withheld"], 0, "{plan}");

    bench.run(&["suspend", "--region", TOKYO, "--reason", "n9"], 0);
    holds(&bench.text(&["status"], 0), &["n9"]);
    let refused = bench.json(&["reconcile", "manifests"], 1);
    holds(
        refused["error"].as_str().expect("says who"),
        &[&daemon.pid()],
    );
    daemon.kill();
}

#[test]
fn n9_a_killed_daemon_leaves_the_world_as_it_made_it() {
    let bench = Bench::new();
    in_sync(&bench).kill();
    let after = bench.json(&["reconcile", "manifests"], 0);
    assert_eq!(after["synced"], true);
    assert_eq!(after["calls"]["writes"], 0, "{after}");
    assert_eq!(bench.shared().len(), 2);

    // The same holds for a second daemon that is killed in the middle of its work.
    let many = numbered(1..=30);
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    bench.declare("frankfurt", FRANKFURT, &many);
    let daemon = Daemon::start(&bench, &["manifests"], LISTENS);
    let changes = |plan: &serde_json::Value| plan["changes"].as_array().map(Vec::len);
    let tries = (0..500).map(|_| bench.json(&["plan", "manifests"], 0));
    let mut left = tries.map(|plan| changes(&plan) < Some(30));
    assert!(left.any(|some_are_shared| some_are_shared));
    daemon.kill();
    let after = bench.json(&["reconcile", "manifests"], 0);
    assert_eq!(after["summary"]["withheld"], 0, "{after}");
    assert_eq!(bench.shared().len(), 32);
}

#[test]
fn n9_a_world_is_not_begun_anew_under_a_daemon() {
    let bench = Bench::new();
    let daemon = in_sync(&bench);
    let before = bench.files();
    for name in ["plan", "reconcile", "run", "images"] {
        let output = bench.real(&[name, "manifests", "--sim", "--sim-reset", "-o", "json"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let refused = document(&output);
        let words = refused["error"].as_str().expect("says who");
        holds(words, &["`--sim-reset`", &daemon.pid(), "end that process"]);
    }
    let world = bench.state().join("world.json");
    assert_eq!(bench.files()[&world], before[&world]);
    daemon.kill();
    let plan = bench.json(&["plan", "manifests", "--sim-reset"], 0);
    assert_eq!(ids(&plan["changes"]), ["img-a", "img-b"], "it begins anew");
}

#[test]
fn n9_a_guest_of_a_simulator_learns_of_its_end() {
    let bench = Bench::new();
    let daemon = in_sync(&bench);
    let observes = ["manifests", "--observe-only"];
    let mut guest = Daemon::start(&bench, &observes, LISTENS);
    let pid = daemon.pid();
    daemon.kill();
    let (status, log) = guest.ended();
    assert_eq!(status.code(), Some(1), "{log}");
    holds(&log, &[&pid, "has ended meanwhile"]);
}

#[test]
fn n9_doctor_leaves_no_trace_and_reports_a_damaged_world() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.run(&["doctor", "manifests"], 0);
    assert!(bench.files().is_empty(), "{:?}", bench.files().keys());
    bench.run(&["reconcile", "manifests"], 0);
    let before = bench.files();
    bench.run(&["doctor", "manifests"], 0);
    for name in ["world.json", "world.journal", "simulator"] {
        let file = bench.state().join(name);
        assert_eq!(bench.files().get(&file), before.get(&file), "{name}");
    }
    fs::write(bench.state().join("world.json"), "{").expect("a file");
    for arguments in [["plan", "manifests"], ["doctor", "manifests"]] {
        let printed = bench.stderr(&arguments, 1);
        holds(
            &printed,
            &["world.json: ", "start with a new world: `--sim-reset`"],
        );
    }
    bench.run(&["plan", "manifests", "--sim-reset"], 0);
}

#[test]
fn n4_a_daemon_warns_of_a_name_that_nobody_knows_and_goes_on() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    let flags = ["manifests", "--account", "defualt"];
    let daemon = Daemon::start(
        &bench,
        &flags,
        "know the account `defualt`: did you mean `default`?",
    );
    daemon.kill();
}
