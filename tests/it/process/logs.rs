//! Logs and documents whose reader does not read, comes late or has gone.

use super::*;

#[test]
fn g6_a_daemon_whose_log_nobody_reads_works_on_and_ends_when_it_is_asked() {
    let bench = bench(&["img-a", "img-b"]);
    for signal in [Signal::TERM, Signal::INT] {
        let (_unread, stderr, _) = full_pipe();
        let mut daemon = Daemon::start(
            &bench,
            &["--log-level", "trace"],
            Stdio::null(),
            stderr.into(),
        );
        daemon.until_in_sync(2);
        assert_eq!(daemon.get("/healthz").map(|(status, _)| status), Some(200));
        assert_eq!(daemon.dropped_lines(), 0, "all of it may wait");
        let status = match signal {
            Signal::TERM => 143,
            _ => 130,
        };
        assert_eq!(daemon.process.stop(signal), Some(status));
    }
    let history = bench.json(&["history"], 0);
    let text = history.to_string();
    assert!(text.contains("img-a") && text.contains("img-b"), "{text}");
}

#[test]
fn g6_what_was_said_meanwhile_is_there_for_a_reader_that_comes_back() {
    let bench = bench(&["img-a"]);
    let (reader, stderr, filled) = full_pipe();
    let mut daemon = Daemon::start(&bench, &[], Stdio::null(), stderr.into());
    daemon.until_in_sync(1);
    let reads = Log::of(reader);
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    let log = reads.end(filled);
    for words in ["manifests loaded", "img-a", "stopping: no new calls"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert!(!log.contains("dropped"), "{log}");
}

/// A directory below the manifests with a very long path: a log line about a file in it takes about 20 KB,
/// because JSON writes each byte of its name as six.
fn deep_directory(bench: &Bench) -> PathBuf {
    let name = "\u{1}".repeat(250);
    let mut directory = bench.path("manifests");
    directory.extend(std::iter::repeat_n(name, 13));
    fs::create_dir_all(&directory).expect("directories");
    directory
}

/// Replaces a manifest in one step. A hundred of its entries contradict the first one, and each call has
/// another image, so that the errors differ from the earlier ones.
fn break_manifest(directory: &Path, number: u64) {
    let first = format!("    - {{id: img-b{number}, state: shared}}\n");
    let text = format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: deep}}\nspec:\n  region: {TOKYO}\n  images:\n{first}{}",
        first.replace("shared", "unshared").repeat(100)
    );
    fs::write(directory.join("next"), text).expect("a file");
    fs::rename(directory.join("next"), directory.join("a.yaml")).expect("a file");
}

#[test]
fn g6_log_lines_that_no_queue_can_hold_are_counted_and_reported() {
    let bench = bench(&["img-a"]);
    let (reader, stderr, filled) = full_pipe();
    let more = ["--log-format", "json"];
    let mut daemon = Daemon::start(&bench, &more, Stdio::null(), stderr.into());
    daemon.until_in_sync(1);
    let directory = deep_directory(&bench);
    let (mut errors, mut dropped) = (0, 0);
    while dropped == 0 {
        assert!(errors < 40, "nothing is dropped");
        break_manifest(&directory, errors);
        daemon.process.signal(Signal::HUP);
        until("the manifests are read", || {
            // Both metrics come from one reply, so that they belong to the same moment.
            let [read, lost] = daemon.counts(["sharekeeper_source_errors_total", LOG_DROPPED]);
            dropped = lost;
            std::mem::replace(&mut errors, read) < read
        });
    }
    // The daemon still reconciles after it has dropped log lines.
    fs::remove_dir_all(bench.path("manifests").join("\u{1}".repeat(250))).expect("removed");
    bench.declare("all", TOKYO, &["img-a", "img-c"]);
    daemon.until_in_sync(2);
    let dropped = daemon.dropped_lines();
    let reads = Log::of(reader);
    reads.until("lines of this log were dropped");
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    let log = reads.end(filled);
    // The long lines are the errors of the manifests, which do not matter here.
    let lines: Vec<&str> = log.lines().filter(|line| line.len() < 1_000).collect();
    let is_report = |line: &&str| line.contains("lines of this log were dropped");
    let [report] = lines.iter().copied().filter(is_report).collect::<Vec<_>>()[..] else {
        panic!("reported once: {lines:#?}");
    };
    let fields: Value = serde_json::from_str(report).expect("a line in JSON");
    assert!(
        fields["lines"].as_u64() >= Some(dropped),
        "{report} of {dropped}"
    );
    let later = lines.iter().rposition(is_report).expect("it is reported");
    let stops = |line: &&str| line.contains("stopping: no new calls");
    assert!(
        lines[later..].iter().any(stops),
        "what is said later is not dropped"
    );
}

#[test]
fn g6_a_log_that_cannot_be_written_hinders_nothing() {
    let bench = bench(&["img-a"]);
    let full = || {
        fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a device")
    };
    let mut daemon = Daemon::start(&bench, &[], Stdio::null(), full().into());
    daemon.until_in_sync(1);
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    let (reader, stderr, _) = full_pipe();
    drop(reader);
    let mut daemon = Daemon::start(&bench, &[], Stdio::null(), stderr.into());
    daemon.until_in_sync(1);
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
}

#[test]
fn g6_the_last_document_waits_for_its_reader_and_a_second_signal_does_not() {
    let bench = bench(&["img-a"]);
    let (reader, stdout, filled) = full_pipe();
    let mut daemon = Daemon::start(&bench, &["-o", "json"], stdout.into(), Stdio::null());
    daemon.until_in_sync(1);
    let reads = Log::of(reader);
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    let document: Value = serde_json::from_str(&reads.end(filled)).expect("a document");
    assert_eq!(document["exit_code"], 143);

    let (_unread, stdout, _) = full_pipe();
    let mut daemon = Daemon::start(&bench, &["-o", "json"], stdout.into(), Stdio::null());
    daemon.until_in_sync(1);
    // Two signals that arrive together count as one, so that the signal is repeated until the process ends.
    until("it leaves", || {
        if daemon.process.ended().is_none() {
            daemon.process.signal(Signal::TERM);
        }
        daemon.process.ended().is_some()
    });
    assert_eq!(daemon.process.wait(), Some(143));
}
