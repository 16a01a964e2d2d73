//! A terminal in a scratch directory for the commands that the book shows. Commands run the real binary. A daemon or
//! simulator runs in the background and listens at an address of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{fs, thread};

use super::page::root;

/// No command takes nearly this long. The limit makes a test fail and name the command if the command hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Shell {
    folder: tempfile::TempDir,
    /// The `export` commands that ran so far.
    exports: Vec<String>,
    /// The exit status of the last command, for `$?`.
    status: i32,
    running: Vec<Running>,
    /// Addresses that the page shows, each with the real address that replaces it.
    addresses: Vec<(String, String)>,
}

/// A command that runs in the background until the page ends.
struct Running {
    process: Child,
    lines: Receiver<String>,
}

/// The output of a command and its exit status.
pub(super) struct Printed {
    pub stdout: String,
    pub stderr: String,
    pub status: i32,
}

impl Shell {
    /// Makes a terminal in a directory that has only these folders of the repository.
    pub(super) fn new(folders: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        for name in folders {
            copy(&root().join(name), &folder.path().join(name));
        }
        Self {
            folder,
            exports: Vec::new(),
            status: 0,
            running: Vec::new(),
            addresses: Vec::new(),
        }
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// Sets variables for all commands that follow.
    pub(super) fn export(&mut self, command: &str) {
        self.exports.push(command.to_owned());
    }

    fn command(&self, typed: &str) -> Command {
        let mut script = self.exports.join("\n");
        script.push('\n');
        script.push_str(&typed.replace("$?", &self.status.to_string()));
        for (shown, real) in &self.addresses {
            script = script.replace(shown, real);
        }
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_sharekeeper"));
        let folder = binary.parent().expect("a folder").display();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .env_clear()
            .env("PATH", format!("{folder}:{path}"))
            .env("HOME", self.folder.path())
            .env("USER", "reader")
            // No server listens there, so that a test never uses the CAM role of the machine that runs it.
            .env("SHAREKEEPER_METADATA_URL", "http://127.0.0.1:1")
            // Another process may use the addresses that the pages show, so the system picks a free port.
            .env("SHAREKEEPER_LISTEN", "127.0.0.1:0")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command and waits until it ends.
    pub(super) fn run(&mut self, typed: &str) -> Printed {
        let output = self.command(typed).output().expect("a shell");
        let status = output.status.code().expect("no signal");
        self.status = status;
        Printed {
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
            status,
        }
    }

    /// Starts a command in the background and returns as many of its first output lines as the page shows. Later
    /// commands use the addresses in these lines in place of those that the page shows.
    pub(super) fn start(&mut self, typed: &str, shown: &[&str]) -> String {
        let mut process = self
            .command(&format!("exec {typed} 2>&1"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        // This thread reads all lines, so that the process never blocks on a full pipe. The thread ends with the
        // process.
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        self.running.push(Running { process, lines });
        let lines = &self.running.last().expect("just pushed").lines;
        let mut printed = String::new();
        for shown in shown {
            let line = lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{typed}: no such line: {shown}"));
            if let (Some(shown), Some(real)) = (address(shown), address(&line)) {
                self.addresses.retain(|(known, _)| known != shown);
                self.addresses.push((shown.to_owned(), real.to_owned()));
            }
            printed.push_str(&line);
            printed.push('\n');
        }
        printed
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for running in &mut self.running {
            // If the process has already ended by itself, there is nothing to kill.
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
    }
}

/// The host and port after the first `http://` of a line.
fn address(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter));
    Some(&rest[..end.unwrap_or(rest.len())])
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}
