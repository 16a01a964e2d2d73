//! Tests the process of the real binary under stress: readers that do not read, signals at any moment, and a
//! state that another process has locked. The process must go on working, report what it can, and end when it
//! is asked to.

mod logs;
mod mounts;
mod signals;
mod stops;
mod views;

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
