//! Tests the process of the real binary under stress: readers that do not read, signals at any moment, and a
//! state that another process has locked. The process must go on working, report what it can, and end when it
//! is asked to.

use crate::support::binary;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sharekeeper::host::{Clock, SystemClock};

use crate::support::binary::{Bench, command, use_state};

const TOKYO: &str = "ap-tokyo";
/// Longer than any condition takes on a busy machine, so that only a real hang fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// A process ends within this time after a signal, even if its readers or its state are blocked.
const STOP_MAX: Duration = Duration::from_secs(10);

const LOG_DROPPED: &str = "sharekeeper_log_dropped_total";

/// A process that is killed when the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).expect("it has not been waited for");
    }

    /// Sends the signal as soon as the process has a handler for it.
    fn signal_at_once(&self, signal: Signal) {
        let status = format!("/proc/{}/status", self.0.id());
        until("it listens for signals", || {
            let status = fs::read_to_string(&status).expect("it has not been waited for");
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            caught.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
        });
        self.signal(signal);
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child")
    }

    fn wait(&mut self) -> Option<i32> {
        until("it ends", || self.ended().is_some());
        self.ended().and_then(|status| status.code())
    }

    /// Sends the signal once, and asserts that the process ends in time.
    fn stop(&mut self, signal: Signal) -> Option<i32> {
        let clock = SystemClock::start();
        self.signal(signal);
        let status = self.wait();
        let took = clock.monotonic().since_start();
        assert!(took < STOP_MAX, "it took {took:?}");
        status
    }
}

/// Waits until the condition holds, and fails with `what` after too long.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = SystemClock::start();
    while !holds() {
        assert!(
            clock.monotonic().since_start() < PATIENCE,
            "it does not come about: {what}"
        );
        // The pause leaves the processor to the daemon, which needs it more than this test on a busy machine.
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// A port on an address of this machine that no other test uses, so that the port stays free until it is listened on.
fn own_port() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(1);
    let [high, low] = TAKEN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let port = TcpListener::bind((Ipv4Addr::new(127, 1, high, low), 0)).expect("a port");
    port.local_addr().expect("an address")
}

/// A daemon with `--sim`, and the address of its status server.
struct Daemon {
    process: Process,
    address: SocketAddr,
}

impl Daemon {
    fn start(bench: &Bench, more: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        Self::with(bench, &[&["manifests"], more].concat(), &[], stdout, stderr)
    }

    /// Starts a daemon with any paths of manifests and with further environment variables.
    fn with(
        bench: &Bench,
        more: &[&str],
        variables: &[(&str, &OsStr)],
        stdout: Stdio,
        stderr: Stdio,
    ) -> Self {
        let address = own_port();
        let child = command(&["run", "--state-dir", "state", "--sim"])
            .args(["--listen", &address.to_string(), "--interval", "1s"])
            .args(more)
            .envs(variables.iter().copied())
            .current_dir(bench.path(""))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("the binary starts");
        Self {
            process: Process(child),
            address,
        }
    }

    /// Status and body of a page; `None` while the port does not listen.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let host = self.address;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    fn status(&self) -> Option<Value> {
        let (_, body) = self.get("/status.json")?;
        serde_json::from_str(&body).ok()
    }

    fn until_in_sync(&self, images: u64) {
        until("all is in sync", || {
            self.status()
                .is_some_and(|status| status["summary"]["in_sync"] == images)
        });
    }

    /// The values of metrics that have no labels.
    fn counts<const N: usize>(&self, metrics: [&str; N]) -> [u64; N] {
        let (_, text) = self.get("/metrics").expect("it listens");
        metrics.map(|metric| {
            let mut lines = text.lines();
            let line = lines.find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
            line.expect("a metric").parse().expect("a number")
        })
    }

    fn dropped_lines(&self) -> u64 {
        let [dropped] = self.counts([LOG_DROPPED]);
        dropped
    }
}

/// A pipe that accepts no byte before somebody reads from it, and the number of bytes in it.
fn full_pipe() -> (PipeReader, PipeWriter, usize) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags");
    let mut filled = 0;
    for size in [4096, 1] {
        while let Ok(written) = writer.write(&vec![b'.'; size]) {
            filled += written;
        }
    }
    fcntl_setfl(&writer, flags).expect("flags");
    (reader, writer, filled)
}

/// The output of a pipe, which a thread reads as it arrives.
struct Log {
    said: Arc<Mutex<Vec<u8>>>,
    reads: JoinHandle<()>,
}

impl Log {
    fn of(mut reader: PipeReader) -> Self {
        let said = Arc::<Mutex<Vec<u8>>>::default();
        let keeps = Arc::clone(&said);
        let reads = thread::spawn(move || {
            let mut part = [0; 1 << 16];
            loop {
                let length = reader.read(&mut part).expect("a pipe");
                if length == 0 {
                    return;
                }
                keeps
                    .lock()
                    .expect("no panic")
                    .extend_from_slice(&part[..length]);
            }
        });
        Self { said, reads }
    }

    fn until(&self, words: &str) {
        until(words, || {
            let said = self.said.lock().expect("no panic");
            String::from_utf8_lossy(&said).contains(words)
        });
    }

    /// The whole output, without the bytes that filled the pipe before.
    fn end(self, filled: usize) -> String {
        self.reads.join().expect("it ends");
        let mut said = self.said.lock().expect("no panic");
        String::from_utf8(said.split_off(filled)).expect("text")
    }
}

fn bench(images: &[&str]) -> Bench {
    let bench = Bench::new();
    bench.declare("all", TOKYO, images);
    bench
}

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

#[test]
fn g9_a_daemon_hears_signals_from_the_first_moment_on() {
    let bench = bench(&["img-a"]);
    for _ in 0..10 {
        for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let mut daemon = Daemon::start(&bench, &[], Stdio::null(), Stdio::null());
            daemon.process.signal_at_once(signal);
            assert_eq!(daemon.process.wait(), Some(status));
        }
        let (reader, stderr) = io::pipe().expect("a pipe");
        let mut daemon = Daemon::start(&bench, &[], Stdio::null(), stderr.into());
        daemon.process.signal_at_once(Signal::HUP);
        let log = Log::of(reader);
        log.until("observing everything again, as requested");
        assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    }
}

/// A command that waits for the answer of an API that never answers.
fn waiting(bench: &Bench, shell: &[&str], arguments: &[&str]) -> (Process, TcpListener) {
    let api = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", api.local_addr().expect("an address"));
    let mut binary = command(arguments);
    binary.args(["manifests", "--state-dir", "state", "--endpoint", &endpoint]);
    let mut command = match shell {
        [] => binary,
        [shell, script @ ..] => {
            let mut through = std::process::Command::new(shell);
            through
                .env_clear()
                .args(script)
                .arg(binary.get_program())
                .args(binary.get_args());
            let given = binary
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?)));
            through.envs(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
            through
        }
    };
    let child = command
        .env("TENCENTCLOUD_SECRET_ID", "AKIDtest")
        .env("TENCENTCLOUD_SECRET_KEY", "secret")
        .current_dir(bench.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    (Process(child), api)
}

/// Shell prefixes that start the command with SIGHUP at its default, and with SIGHUP ignored as `nohup` does.
const HEARS_HANGUPS: [&str; 3] = ["sh", "-c", "trap - HUP; exec \"$0\" \"$@\""];
const IGNORES_HANGUPS: [&str; 3] = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];

#[test]
fn g9_a_command_that_runs_once_hears_signals_from_the_first_moment_on() {
    let bench = bench(&["img-a"]);
    for command in ["plan", "reconcile"] {
        for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
            let (mut process, _api) = waiting(&bench, &[], &[command]);
            process.signal_at_once(signal);
            assert_eq!(process.wait(), Some(status), "{command}");
        }
        let (mut process, _api) = waiting(&bench, &HEARS_HANGUPS, &[command]);
        if is_hangup_ignored(Path::new("/proc/self/status")) {
            continue;
        }
        process.signal_at_once(Signal::HUP);
        assert_eq!(process.wait(), Some(129), "{command}");
    }
}

/// Whether the process ignores SIGHUP. It may inherit this from the user that runs the tests, and no shell
/// can undo it.
fn is_hangup_ignored(status: &Path) -> bool {
    let status = fs::read_to_string(status).expect("of Linux");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.map(|mask| u64::from_str_radix(mask.trim(), 16).expect("a mask"));
    ignored.expect("a mask") & 1 != 0
}

#[test]
fn g9_a_hangup_that_was_to_be_ignored_is() {
    let bench = bench(&["img-a"]);
    for command in ["plan", "reconcile"] {
        let (mut process, api) = waiting(&bench, &IGNORES_HANGUPS, &[command]);
        api.accept().expect("it calls");
        process.signal(Signal::HUP);
        process.signal(Signal::TERM);
        assert_eq!(process.wait(), Some(143), "{command}");
    }
}

#[test]
fn c15_l7_a_stop_takes_no_longer_while_the_state_is_locked() {
    for is_asked_twice in [false, true] {
        let bench = bench(&["img-a"]);
        let mut daemon = Daemon::start(&bench, &[], Stdio::null(), Stdio::null());
        daemon.until_in_sync(1);
        let database = bench.database();
        database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        bench.declare("all", TOKYO, &["img-a", "img-b", "img-c"]);
        // The daemon shows no decisions about images before their pass may write. Each earlier pass has ended by
        // then.
        until("a pass over them waits for the lock", || {
            daemon.status().is_some_and(|status| {
                let scope = &status["scopes"][0];
                let began = scope["passing_since"].as_str();
                let loaded = status["manifests"]["loaded_at"].as_str();
                status["manifests"]["images"] == 3 && began.is_some() && began >= loaded
            })
        });
        match is_asked_twice {
            false => assert_eq!(daemon.process.stop(Signal::TERM), Some(143)),
            true => {
                daemon.process.signal(Signal::TERM);
                until("it leaves", || {
                    if daemon.process.ended().is_none() {
                        daemon.process.signal(Signal::TERM);
                    }
                    daemon.process.ended().is_some()
                });
                assert_eq!(daemon.process.wait(), Some(143));
            }
        }
        database.execute_batch("ROLLBACK").expect("the lock");
        // The next run finds a valid state.
        bench.run(&["reconcile", "manifests"], 0);
    }
}

#[test]
fn c15_l7_a_stop_takes_no_longer_while_the_api_does_not_answer() {
    let bench = bench(&["img-a"]);
    for arguments in [&["reconcile"][..], &["run", "--listen", "off"]] {
        let (mut process, api) = waiting(&bench, &[], arguments);
        let (_held, _) = api.accept().expect("it calls");
        assert_eq!(process.stop(Signal::TERM), Some(143), "{arguments:?}");
    }
}

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

/// Installs a stand-in for git. It and its child processes ignore SIGTERM and never end. Returns the file
/// that holds their process ids.
fn write_hung_git(bench: &Bench) -> PathBuf {
    let ids = bench.path("ids");
    fs::create_dir(bench.path("bin")).expect("a directory");
    let script = format!(
        "#!/bin/sh\ntrap '' TERM\nsleep 3600 &\necho $$ $! > '{ids}.new'\nmv '{ids}.new' '{ids}'\nwait\n",
        ids = ids.display()
    );
    bench.write("bin/git", &script);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bench.path("bin/git"), mode).expect("it can be run");
    ids
}

/// Whether a process runs. A zombie, which has ended but was not waited for, does not run.
fn runs(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    stat.is_ok_and(|stat| {
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_some_and(|state| !state.starts_with('Z'))
    })
}

#[test]
fn l7_b7_a_stop_ends_a_git_that_hangs_and_all_that_it_started() {
    let bench = bench(&["img-a"]);
    let ids = write_hung_git(&bench);
    let path = std::env::var("PATH").expect("a PATH");
    let path = format!("{}:{path}", bench.path("bin").display());
    for is_asked_twice in [false, true] {
        let arguments = ["--git", "ssh://127.0.0.1/x.git", "--ref=refs/heads/main"];
        let variables = [("PATH", OsStr::new(&path))];
        let mut daemon = Daemon::with(&bench, &arguments, &variables, Stdio::null(), Stdio::null());
        until("git hangs", || ids.exists());
        let hung = fs::read_to_string(&ids).expect("ids");
        let hung: Vec<&str> = hung.split_whitespace().collect();
        assert!(
            hung.len() == 2 && hung.iter().all(|id| runs(id)),
            "{hung:?}"
        );
        fs::remove_file(&ids).expect("removed");
        daemon.process.signal(Signal::TERM);
        until("it leaves", || {
            let has_ended = daemon.process.ended().is_some();
            // Two signals that arrive together count as one, so that the signal is repeated.
            if is_asked_twice && !has_ended {
                daemon.process.signal(Signal::TERM);
            }
            has_ended
        });
        assert_eq!(daemon.process.wait(), Some(143));
        until("nothing of it is left", || !hung.iter().any(|id| runs(id)));
    }
}

#[test]
fn l7_a_stop_waits_for_no_webhook_that_never_answers() {
    let bench = bench(&["img-a"]);
    let webhook = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = webhook.local_addr().expect("an address");
    bench.write(
        "webhooks.yaml",
        &format!("webhooks:\n  - name: silent\n    url: http://{address}/\n    format: json\n    on: [stalled, recovered]\n"),
    );
    bench.write("manifests/all.yaml", "no manifest\n");
    let more = ["--notify", "webhooks.yaml"];
    let mut daemon = Daemon::start(&bench, &more, Stdio::null(), Stdio::null());
    let (mut connection, _) = webhook.accept().expect("a webhook call");
    let mut request = [0; 5];
    connection.read_exact(&mut request).expect("a request");
    assert_eq!(&request, b"POST ");
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
}

/// Sends requests for a document without reading the replies, until the socket accepts no more bytes.
fn ask_and_never_read(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nX-Padding: {}\r\n\r\n",
        "x".repeat(2_000)
    );
    stream.set_nonblocking(true).expect("a socket");
    while stream.write_all(request.as_bytes()).is_ok() {}
    stream
}

#[test]
fn l7_a_stop_waits_for_no_reader_of_the_status_port_that_never_reads() {
    let bench = bench(&["img-a"]);
    let mut daemon = Daemon::start(&bench, &[], Stdio::null(), Stdio::null());
    daemon.until_in_sync(1);
    let address = daemon.address;
    let mut readers: Vec<_> = (0..8).map(|_| ask_and_never_read(address)).collect();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("asked");
        readers.push(stream);
    }
    assert_eq!(daemon.get("/healthz").map(|(status, _)| status), Some(200));
    assert_eq!(daemon.process.stop(Signal::TERM), Some(143));
    drop(readers);
}

#[test]
fn c15_l7_a_late_end_is_reported_in_the_log_and_in_the_document() {
    let bench = bench(&["img-a"]);
    bench.run(&["reconcile", "manifests"], 0);
    let database = bench.database();
    database
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .expect("the lock");
    let (stdout, its_stdout) = io::pipe().expect("a pipe");
    let (stderr, its_stderr) = io::pipe().expect("a pipe");
    let more = ["-o", "json"];
    let mut daemon = Daemon::start(&bench, &more, its_stdout.into(), its_stderr.into());
    let log = Log::of(stderr);
    log.until("the status page is on");
    daemon.process.signal(Signal::TERM);
    assert_eq!(daemon.process.wait(), Some(143));
    let words = "exiting without waiting any longer for the state to be opened; another process may have locked it";
    let log = log.end(0);
    assert!(log.contains(words), "{log}");
    let document: Value = serde_json::from_str(&Log::of(stdout).end(0)).expect("one document");
    assert_eq!(document["exit_code"], 143);
    let error = document["error"].as_str().expect("words");
    assert!(
        error.contains(words) && error.contains("the next run resolves them"),
        "{error}"
    );
    database
        .execute_batch("ROLLBACK; PRAGMA locking_mode = NORMAL")
        .expect("the lock");
    drop(database);
    bench.run(&["reconcile", "manifests"], 0);
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

/// A shell command with its own mount namespace. `None` where the machine does not allow one; then the
/// function prints that the test is skipped.
fn with_own_mounts(script: &str) -> Option<Command> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare")
            .args(**way)
            .args(["sh", "-c", "mount --bind /tmp /tmp"])
            .output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some(way) = ways.iter().find(works) else {
        // A closed stderr is no reason to fail.
        let _ = writeln!(io::stderr(), "skipped: no mounts can be made");
        return None;
    };
    let mut command = Command::new("unshare");
    let plain = binary::command(&[]);
    command.args(*way).args(["sh", "-c", script]);
    command.arg(plain.get_program());
    command.env_clear().env("PATH", std::env::var_os("PATH")?);
    for (name, value) in plain.get_envs() {
        command.env(name, value.expect("a value"));
    }
    Some(command)
}

#[test]
fn g9_e_a_mounted_file_that_is_replaced_outside_causes_one_warning() {
    let bench = bench(&["img-a"]);
    fs::create_dir(bench.path("mounted")).expect("a directory");
    bench.write("mounted/all.yaml", "");
    let script = "mount --bind manifests/all.yaml mounted/all.yaml && exec \"$0\" run mounted \
                  --sim --state-dir state --listen off --interval 1s --poll 1s";
    let Some(mut command) = with_own_mounts(script) else {
        return;
    };
    let (reader, stderr) = io::pipe().expect("a pipe");
    let child = command
        .current_dir(bench.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("unshare starts");
    drop(command);
    let mut process = Process(child);
    let log = Log::of(reader);
    let logged = |words: &str| {
        let said = log.said.lock().expect("no panic");
        String::from_utf8_lossy(&said).matches(words).count()
    };
    const WARNING: &str = "edits of the file cannot be seen";
    until("the manifests are loaded", || {
        logged("manifests loaded") == 1
    });
    assert_eq!(logged(WARNING), 0);
    let file = bench.path("manifests/all.yaml");
    let text = fs::read_to_string(&file).expect("a manifest");
    bench.write("next", &text.replace("img-a", "img-b"));
    fs::rename(bench.path("next"), &file).expect("it takes the place of the other");
    until("the warning is there", || logged(WARNING) > 0);
    for _ in 0..2 {
        process.signal(Signal::HUP);
    }
    until("it has observed again", || {
        logged("observing everything again") > 0
    });
    assert_eq!(process.stop(Signal::TERM), Some(143));
    let log = log.end(0);
    assert_eq!(log.matches(WARNING).count(), 1, "{log}");
    assert!(log.contains("mount the directory"), "{log}");
    assert!(!log.contains("img-b"), "{log}");
}
