//! What happens to the processes that git starts, tested with the real binary: when `sharekeeper` exits at once, and when
//! it is process 1, as in a container without an init. Process 1 needs a PID namespace of its own, so that those tests run
//! only where the machine allows one.

use crate::support::binary;
use crate::support::real_git;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::binary::Bench;
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};

/// The arguments with which `unshare` makes a PID namespace on this machine. Prints a message and returns `None` where
/// that is not allowed.
fn unshare() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [
        &["--pid", "--fork", "--mount-proc", "--kill-child"],
        &[
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ],
    ];
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let way = ways.iter().find(works).copied();
    if way.is_none() {
        // If stderr is closed, nobody can read the message, and the error does not matter.
        let _ = writeln!(std::io::stderr(), "skipped: no PID namespace can be made");
    }
    way
}

/// The command that starts `sharekeeper` as process 1.
fn command(way: &[&str], arguments: &[&str]) -> Command {
    let plain = binary::command(arguments);
    let mut command = Command::new("unshare");
    command
        .args(way)
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("a PATH"));
    for (name, value) in plain.get_envs() {
        command.env(name, value.expect("a value"));
    }
    command
}

/// A process of the machine: its id, its parent, and whether it has ended but is not reaped.
struct Process {
    id: i32,
    parent: i32,
    is_zombie: bool,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("Linux");
    let stats = entries.filter_map(|entry| {
        let stat = entry.expect("an entry").path().join("stat");
        fs::read_to_string(stat).ok()
    });
    let parsed = stats.filter_map(|stat| {
        let (start, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        Some(Process {
            id: start.split(' ').next()?.parse().ok()?,
            is_zombie: fields.next()? == "Z",
            parent: fields.next()?.parse().ok()?,
        })
    });
    parsed.collect()
}

/// A running `sharekeeper`, or the `unshare` that runs it as process 1. It is killed when this value is dropped.
struct Running {
    process: Child,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = BufReader::new(process.stderr.take().expect("a pipe"));
        Self { process, stderr }
    }

    fn id(&self) -> i32 {
        i32::try_from(self.process.id()).expect("an id")
    }

    fn children(of: i32) -> Vec<i32> {
        let all = processes().into_iter();
        let children = all.filter(|process| process.parent == of);
        children.map(|process| process.id).collect()
    }

    /// Waits until process 1 of the namespace has a worker that handles this signal. Returns the id that process 1 has
    /// outside of the namespace.
    fn init(&self, hears: Signal) -> i32 {
        wait_for("a worker", || {
            let init = *Self::children(self.id()).first()?;
            let worker = *Self::children(init).first()?;
            let status = fs::read_to_string(format!("/proc/{worker}/status")).ok()?;
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))?;
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            (caught & 1 << (hears.as_raw() - 1) != 0).then_some(init)
        })
    }

    fn send(init: i32, signal: Signal) {
        let init = Pid::from_raw(init).expect("an id");
        kill_process(init, signal).expect("it runs");
    }

    /// Waits until the process writes a line with `words` to stderr.
    fn wait_until_it_says(&mut self, words: &str) {
        let mut lines = self.stderr.by_ref().lines();
        let is_it = |line: std::io::Result<String>| line.expect("text").contains(words);
        assert!(lines.any(is_it), "it never says `{words}`");
    }

    /// Waits for the end of the process. Returns its exit status and the rest of its stdout and stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut text = [String::new(), String::new()];
        if let Some(mut stdout) = self.process.stdout.take() {
            stdout.read_to_string(&mut text[0]).expect("text");
        }
        self.stderr.read_to_string(&mut text[1]).expect("text");
        let status = self.process.wait().expect("it ends");
        let [stdout, stderr] = text;
        (status.code(), stdout, stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended by itself, and then there is nothing to kill. The namespace ends with its process 1.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a daemon as process 1, with a simulator of its own.
fn daemon(way: &[&str], manifests: &Path, state: &Path) -> Running {
    Running::start(command(
        way,
        &[
            "run",
            manifests.to_str().expect("text"),
            "--sim",
            "--listen=off",
            "--output=json",
            "--state-dir",
            state.to_str().expect("text"),
        ],
    ))
}

/// Asks until there is an answer. Panics after about a minute without one.
fn wait_for<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(answer) = answer() {
            return answer;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{what} never came");
}

#[test]
fn g8_as_process_1_it_ends_with_the_status_of_its_work() {
    let Some(way) = unshare() else { return };
    for (arguments, status, words) in [
        (&["validate", "manifests"] as &[_], 0, "Valid: 3 documents"),
        (&["validate", "no-such"], 1, "no-such"),
        (&["reconcil"], 64, "'reconcile'"),
        (&["--version"], 0, "sharekeeper 0."),
    ] {
        let output = command(way, arguments).output().expect("unshare starts");
        let text = binary::stdout(&output) + &binary::stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

#[test]
fn g8_as_process_1_it_passes_a_signal_on_and_its_work_ends_as_it_should() {
    let Some(way) = unshare() else { return };
    for (signal, status, word) in [
        (Signal::TERM, 143, "\"SIGTERM\""),
        (Signal::INT, 130, "\"SIGINT\""),
    ] {
        let bench = Bench::new();
        bench.declare("a", "ap-tokyo", &["img-a"]);
        let state = bench.path("state");
        let manifests = bench.path("manifests");
        let mut running = daemon(way, &manifests, &state);
        let init = running.init(signal);
        // Before the manifests are loaded, the daemon has nothing to settle.
        running.wait_until_it_says("manifests loaded");
        Running::send(init, signal);
        let (code, stdout, stderr) = running.end();
        assert_eq!(code, Some(status), "{stderr}");
        assert!(stderr.contains("stopping: no new calls"), "{stderr}");
        assert!(stdout.contains(word), "{stdout}");
    }
}

#[test]
fn g8_as_process_1_it_passes_a_second_signal_on_and_leaves_at_once() {
    let Some(way) = unshare() else { return };
    let bench = Bench::new();
    bench.declare("a", "ap-tokyo", &["img-a"]);
    delay_writes(&bench);
    let (state, manifests) = (bench.path("state"), bench.path("manifests"));
    let mut running = daemon(way, &manifests, &state);
    let init = running.init(Signal::TERM);
    wait_for_write(&bench);
    Running::send(init, Signal::TERM);
    running.wait_until_it_says("stopping");
    Running::send(init, Signal::TERM);
    let (code, stdout, _) = running.end();
    assert_eq!(code, Some(143));
    assert_eq!(stdout, "", "it says nothing once it leaves at once");
}

/// Makes a write take a minute, so that a process that is asked once to stop waits for the write for seconds.
fn delay_writes(bench: &Bench) {
    bench.cancel("ap-tokyo", &["img-a"]);
    bench.change(|world| {
        world["faults"] = serde_json::json!([{
            "action": "ModifyImageSharePermission", "kind": "delay", "for": "60s",
        }]);
    });
}

/// Waits until the state contains the open intent of a write.
fn wait_for_write(bench: &Bench) {
    wait_for("the intent of a write", || {
        let database = bench.state().join("state.db");
        let database =
            Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        let count = "SELECT count(*) FROM open_intents";
        let count = database.query_row(count, [], |row| row.get(0));
        count.ok().filter(|count: &u32| *count > 0)
    });
}

/// Writes a program that replaces ssh. It records each time that it runs, and leaves a process behind that ends by
/// itself. It serves the repository if the file `good` exists, and sleeps for an hour if the file `hang` exists.
fn write_ssh(bench: &Bench) {
    let (count, good) = (bench.path("count"), bench.path("good"));
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = -G ] && exit 255\n(sleep 0.01 &)\nfor last; do :; done\n\
         if [ -e '{hang}' ]; then echo $$ > '{hung}'; exec sleep 3600; fi\n\
         if [ -e '{}' ]; then eval \"$last\"; echo good >> '{count}'; exit 0; fi\n\
         echo failed >> '{count}'; exit 255\n",
        good.display(),
        count = count.display(),
        hang = bench.path("hang").display(),
        hung = bench.path("hung").display(),
    );
    bench.write("ssh", &script);
    fs::set_permissions(bench.path("ssh"), fs::Permissions::from_mode(0o755)).expect("sets");
}

fn make_repository(directory: &Path) {
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"] as &[_],
        &["add", "--all"],
        &["commit", "--quiet", "--message=x"],
    ] {
        let output = real_git::command(directory, directory)
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{}", binary::stderr(&output));
    }
}

#[test]
fn g8_as_process_1_it_leaves_no_zombie_whether_fetches_fail_or_not() {
    let Some(way) = unshare() else { return };
    if !real_git::is_there() {
        return;
    }
    let bench = Bench::new();
    bench.declare("a", "ap-tokyo", &["img-a"]);
    make_repository(&bench.path("manifests"));
    write_ssh(&bench);
    let url = format!("ssh://127.0.0.1{}", bench.path("manifests").display());
    let state = bench.path("state");
    let mut command = command(
        way,
        &[
            "run",
            "--git",
            &url,
            "--ref=refs/heads/main",
            "--sim",
            "--listen=off",
            "--state-dir",
            state.to_str().expect("text"),
        ],
    );
    command
        .env("GIT_SSH_COMMAND", bench.path("ssh"))
        .stderr(Stdio::inherit());
    let running = Running::start(command);
    let init = running.init(Signal::HUP);
    let fetches = |word: &str| {
        let count = fs::read_to_string(bench.path("count")).unwrap_or_default();
        count.matches(word).count()
    };
    for (word, serves) in [("failed", false), ("good", true)] {
        if serves {
            bench.write("good", "");
        }
        for number in 1..=3 {
            wait_for("a fetch", || (fetches(word) >= number).then_some(()));
            // Process 1 passes the signal on to its worker. Otherwise no fetch would come so soon.
            Running::send(init, Signal::HUP);
        }
        let mut left = Vec::new();
        wait_for("an end of all zombies", || {
            let all = processes();
            let below = |process: &&Process| process.parent == init;
            left = all.iter().filter(below).map(|process| process.id).collect();
            let is_zombie = |process: &Process| process.is_zombie && left.contains(&process.id);
            (!all.iter().any(is_zombie)).then_some(())
        });
    }
    Running::send(init, Signal::TERM);
    assert_eq!(running.end().0, Some(143));
}

#[test]
fn b7_g8_whoever_leaves_at_once_ends_a_fetch_that_hangs() {
    if !real_git::is_there() {
        return;
    }
    let bench = Bench::new();
    bench.declare("a", "ap-tokyo", &["img-a"]);
    delay_writes(&bench);
    make_repository(&bench.path("manifests"));
    write_ssh(&bench);
    bench.write("good", "");
    let url = format!("ssh://127.0.0.1{}", bench.path("manifests").display());
    let state = bench.path("state");
    let mut command = binary::command(&[
        "run",
        "--git",
        &url,
        "--ref=refs/heads/main",
        "--sim",
        "--listen=off",
        "--output=json",
        "--state-dir",
        state.to_str().expect("text"),
    ]);
    command
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .env("GIT_SSH_COMMAND", bench.path("ssh"));
    let mut running = Running::start(command);
    wait_for_write(&bench);
    bench.write("hang", "");
    Running::send(running.id(), Signal::HUP);
    let hung: i32 = wait_for("a fetch that hangs", || {
        fs::read_to_string(bench.path("hung"))
            .ok()?
            .trim()
            .parse()
            .ok()
    });
    Running::send(running.id(), Signal::TERM);
    running.wait_until_it_says("stopping");
    Running::send(running.id(), Signal::TERM);
    let (code, stdout, _) = running.end();
    assert_eq!((code, stdout.as_str()), (Some(143), ""));
    wait_for("the end of the fetch", || {
        let mut left = processes().into_iter();
        let runs = left.any(|process| process.id == hung && !process.is_zombie);
        (!runs).then_some(())
    });
}
