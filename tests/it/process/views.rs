//! What `status` and the status port show of a daemon while it runs and after it has ended.

use super::*;

#[test]
fn c10_an_observer_reads_a_state_that_is_first_used_while_it_runs() {
    let bench = bench(&["img-a"]);
    let mut daemon = Daemon::start(&bench, &["--observe-only"], Stdio::null(), Stdio::null());
    let shows = |word: &str| {
        let status = daemon.status();
        status.is_some_and(|status| status.to_string().contains(word))
    };
    until("it has observed", || shows("img-a"));
    assert!(
        !bench.state().join("state.db").exists(),
        "it is not used yet"
    );
    use_state(&bench.state());
    bench.run(&["suspend", "--all", "--reason", "a-freeze-of-mine"], 0);
    until("it shows the suspension", || shows("a-freeze-of-mine"));
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
}

#[test]
fn n2_a_daemon_shows_a_suspension_though_nothing_is_due() {
    let bench = bench(&["img-a"]);
    let (reader, log) = io::pipe().expect("a pipe");
    let mut daemon = Daemon::start(&bench, &[], Stdio::null(), log.into());
    let lines = Log::of(reader);
    daemon.until_in_sync(1);
    bench.run(&["suspend", "--all", "--reason", "a-freeze-of-mine"], 0);
    let suspensions = || {
        let status = daemon.status().expect("it listens");
        status["suspensions"].as_array().map_or(0, Vec::len)
    };
    until("it shows the suspension", || suspensions() == 1);
    let (_, page) = daemon.get("/").expect("it listens");
    assert!(
        page.contains("The image is as desired; everything is suspended"),
        "{page}"
    );
    assert!(page.contains("a-freeze-of-mine"), "{page}");
    let (_, metrics) = daemon.get("/metrics").expect("it listens");
    assert!(
        metrics.contains("sharekeeper_suspensions{account=\"default\""),
        "{metrics}"
    );
    lines.until("everything: suspended by");
    bench.run(&["resume"], 0);
    until("it shows the end", || suspensions() == 0);
    lines.until("suspension 1 is over");
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
}

/// The document that the command `status` prints; the command is a process of its own beside the daemon.
fn status(bench: &Bench) -> Value {
    bench.json(&["status"], 0)
}

#[test]
fn nm3_status_shows_a_daemon_while_it_runs_and_never_after_a_kill() {
    let bench = bench(&["img-a"]);
    let mut daemon = Daemon::start(&bench, &[], Stdio::null(), Stdio::null());
    let pid = daemon.process.0.id();
    until("the daemon's view is in sync", || {
        status(&bench)["daemon"]["counts"]["in_sync"] == 1
    });
    let shown = status(&bench);
    assert_eq!(shown["source"], "daemon");
    assert_eq!(shown["daemon"]["pid"], pid);
    assert_eq!(shown["daemon"]["scopes"][0]["region"], TOKYO);
    let file = bench.state().join("summary.json");
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    bench.write("manifests/broken.yaml", "kind: [");
    until("broken manifests are shown", || {
        let problems = &status(&bench)["daemon"]["manifests"]["problems"];
        problems[0]
            .as_str()
            .is_some_and(|it| it.contains("broken.yaml"))
    });
    assert_eq!(daemon.process.stop(Signal::KILL), None);
    let shown = status(&bench);
    assert_eq!(
        (&shown["source"], &shown["daemon"]),
        (&"state".into(), &Value::Null)
    );
    assert_eq!(shown["stale_daemon"]["pid"], pid);
    assert_eq!(shown["stale_daemon"]["reason"], "the process has ended");
}

#[test]
fn nm3_an_observer_and_a_single_run_leave_no_summary() {
    let bench = bench(&["img-a"]);
    bench.run(&["reconcile"], 0);
    let mut daemon = Daemon::start(&bench, &["--observe-only"], Stdio::null(), Stdio::null());
    daemon.until_in_sync(1);
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    assert!(!bench.state().join("summary.json").exists());
    assert_eq!(status(&bench)["stale_daemon"], Value::Null);
}

#[test]
fn nm3_a_summary_that_cannot_be_written_is_reported_once() {
    let bench = bench(&["img-a"]);
    fs::create_dir_all(bench.state().join("summary.json")).expect("a directory in the way");
    let (reader, stderr) = io::pipe().expect("a pipe");
    let log = Log::of(reader);
    let mut daemon = Daemon::start(&bench, &[], Stdio::null(), stderr.into());
    daemon.until_in_sync(1);
    bench.declare("more", TOKYO, &["img-b"]);
    daemon.until_in_sync(2);
    let clock = SystemClock::start();
    until("three summaries were due", || {
        clock.monotonic().since_start() > Duration::from_secs(3)
    });
    let printed = bench.text(&["status"], 0);
    assert!(printed.contains("not a regular file"), "{printed}");
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    let log = log.end(0);
    assert_eq!(
        log.matches("cannot show this daemon's view").count(),
        1,
        "{log}"
    );
}

/// A process of `status --watch`, and its output.
fn watching(bench: &Bench) -> (Process, PipeReader) {
    let (reader, stdout) = io::pipe().expect("a pipe");
    let child = command(&["status", "--watch", "--sim", "--state-dir", "state"])
        .current_dir(bench.path(""))
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    (Process(child), reader)
}

#[test]
fn nm3_watch_appends_what_changes_until_ctrl_c() {
    let bench = bench(&["img-a"]);
    bench.run(&["reconcile"], 0);
    let (mut process, reader) = watching(&bench);
    let log = Log::of(reader);
    let said = |words: &str| {
        let said = log.said.lock().expect("no panic");
        String::from_utf8_lossy(&said).contains(words)
    };
    until("it shows the state", || said("1 image ours"));
    bench.run(&["suspend", "--all", "--reason", "a-freeze-of-mine"], 0);
    until("it shows the change", || said("a-freeze-of-mine"));
    assert_eq!(process.stop(Signal::INT), Some(130));
    let said = log.end(0);
    assert_eq!(
        said.matches("from the state directory:").count(),
        2,
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "no terminal reads it: {said}");
}

#[test]
fn nm3_watch_ends_with_its_reader_though_nothing_changes() {
    let bench = bench(&["img-a"]);
    let (mut process, mut reader) = watching(&bench);
    reader.read_exact(&mut [0; 10]).expect("it prints");
    drop(reader);
    assert_eq!(process.wait(), Some(141));
}
