//! Runs other programs to their end, with a deadline and a limit on their output. If a program does not reach its end,
//! everything that it started is ended with it. It must not know what the programs are for.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::process_group::ProcessGroup;
use crate::words;

/// The number of bytes of stderr that are kept, from its end.
const COMPLAINT_BYTES_MAX: usize = 4 << 10;
/// The number of bytes that one read takes at most.
const PART_BYTES: usize = 8 << 10;
/// More bytes than a pipe holds by default. The limit is for processes that still write after the program's end: they
/// are not read forever.
const PIPE_BYTES_MAX: usize = 1 << 20;
/// The number of stderr lines that an error shows.
const COMPLAINT_LINES_MAX: usize = 4;
/// Variables that say where to find a program and its settings. No others are passed on: no credentials, and none of
/// the variables by which a git hook would steer another git.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "XDG_CONFIG_HOME"];

/// A program to run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalCommand {
    /// The program's file name, looked up in `PATH`.
    pub name: &'static str,
    /// Its arguments, without the program's name.
    pub arguments: Vec<OsString>,
    /// Variables beyond those that every program gets.
    pub environment: &'static [(&'static str, &'static str)],
    /// Variables of our own environment that it gets too, if they are set. They override `environment`.
    pub passed_on: &'static [&'static str],
    /// The time limit. When it is over, the program and everything that it started are ended.
    pub deadline: Duration,
    /// The number of bytes of its output that are kept; the rest is read and dropped.
    pub output_max: u64,
}

impl ExternalCommand {
    /// [`ExternalCommand::output_max`] for programs with short output.
    pub const SHORT: u64 = 1 << 20;
}

/// Why a program gave no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The program does not exist or may not be run.
    #[error("`{name}` cannot be run: {reason}")]
    NotRun {
        name: &'static str,
        /// The reason in the system's words.
        reason: String,
    },
    /// The program ended with a status other than 0.
    #[error("`{name}` failed: {status}{}{reason}", if .reason.is_empty() { "" } else { ": " })]
    Failed {
        name: &'static str,
        /// The exit status; none if a signal ended the program.
        code: Option<i32>,
        /// The way in which it ended, as text.
        status: String,
        /// The last lines of its stderr, joined to one line and without the userinfo before an `@` in URLs; may be
        /// empty.
        reason: String,
    },
    #[error("`{name}` took longer than {} s", .deadline.as_secs())]
    TooSlow {
        name: &'static str,
        /// The deadline that it exceeded.
        deadline: Duration,
    },
}

pub trait CommandRunner {
    /// Returns the program's stdout, up to the limit, if it ended well. The program has no stdin and no terminal to ask
    /// on, and only the end of its stderr is kept, for the error. Only its own end counts, not the end of processes
    /// that it leaves running. Dropping the future early ends the program and everything that it started.
    fn run(&self, program: ExternalCommand) -> impl Future<Output = Result<Vec<u8>, CommandError>>;
}

/// Runs the programs of this machine.
pub struct SystemCommandRunner;

impl CommandRunner for SystemCommandRunner {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        let ExternalCommand { name, deadline, .. } = program;
        let not_run = |error: io::Error| CommandError::NotRun {
            name,
            reason: error.to_string(),
        };
        let mut running = Running::start(program).map_err(not_run)?;
        // Dropping `running` ends everything that it started, too.
        let Ok(ended) = tokio::time::timeout(deadline, running.ended()).await else {
            running.group.end().await;
            return Err(CommandError::TooSlow { name, deadline });
        };
        let status = ended.map_err(not_run)?;
        if status.success() {
            return Ok(running.output.kept);
        }
        Err(CommandError::Failed {
            name,
            code: status.code(),
            status: status.to_string(),
            reason: reason(&running.complaint.kept),
        })
    }
}

/// A started program, with the captured parts of its stdout and stderr.
struct Running {
    group: ProcessGroup,
    output: Captured<ChildStdout>,
    complaint: Captured<ChildStderr>,
}

impl Running {
    fn start(program: ExternalCommand) -> io::Result<Self> {
        let names = PASSED_ON.iter().chain(program.passed_on);
        let passed_on = names.filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new(program.name);
        command
            .args(program.arguments)
            .env_clear()
            .envs(program.environment.iter().copied())
            .envs(passed_on)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut group = ProcessGroup::start(&mut command)?;
        let (output, complaint) = group.take_output();
        let output_max = usize::try_from(program.output_max).unwrap_or(usize::MAX);
        Ok(Self {
            group,
            output: Captured::new(output, Keep::Beginning(output_max)),
            complaint: Captured::new(complaint, Keep::End(COMPLAINT_BYTES_MAX)),
        })
    }

    /// Waits for the program's end, and reads its output until then. The end of the streams is not waited for, because
    /// a process that the program leaves running may hold its stderr open for hours.
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        let (output, complaint) = (&mut self.output, &mut self.complaint);
        // Both streams at once, because a program waits while a full pipe is not read.
        let said = async { tokio::try_join!(output.follow(), complaint.follow()) };
        let status = tokio::select! {
            status = self.group.leader() => status?,
            said = said => {
                said?;
                self.group.leader().await?
            }
        };
        self.output.drain();
        self.complaint.drain();
        Ok(status)
    }
}

/// One output stream of a program, and the part of it that is kept.
struct Captured<S> {
    /// The stream; `None` once it has ended.
    stream: Option<S>,
    keep: Keep,
    kept: Vec<u8>,
}

/// The part of a stream that is kept; the rest is read and dropped.
enum Keep {
    /// The first bytes, up to this many.
    Beginning(usize),
    /// The last bytes, up to this many.
    End(usize),
}

impl<S: AsyncRead + AsFd + Unpin> Captured<S> {
    fn new(stream: Option<S>, keep: Keep) -> Self {
        Self {
            stream,
            keep,
            kept: Vec::new(),
        }
    }

    /// Reads to the end of the stream. Data that was read is kept even if the future is dropped.
    async fn follow(&mut self) -> io::Result<()> {
        let mut part = [0; PART_BYTES];
        while let Some(stream) = &mut self.stream {
            match stream.read(&mut part).await? {
                0 => self.stream = None,
                length => self.take(&part[..length]),
            }
        }
        Ok(())
    }

    /// Reads what the pipe already holds, without waiting. When the program has ended, all its output is in the pipe.
    fn drain(&mut self) {
        let mut part = [0; PART_BYTES];
        let mut left = PIPE_BYTES_MAX;
        while let Some(stream) = &self.stream
            && left > 0
        {
            // tokio's end of the pipe does not block.
            match rustix::io::read(stream, &mut part) {
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    left = left.saturating_sub(length);
                    self.take(&part[..length]);
                }
            }
        }
        self.stream = None;
    }

    fn take(&mut self, part: &[u8]) {
        match self.keep {
            Keep::Beginning(max) => {
                let room = max.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&part[..part.len().min(room)]);
            }
            Keep::End(max) => {
                self.kept.extend_from_slice(part);
                self.kept.drain(..self.kept.len().saturating_sub(max));
            }
        }
    }
}

/// The last lines joined to one, because the very last one alone is often only general advice.
fn reason(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(COMPLAINT_LINES_MAX)..];
    words::brief(&words::without_userinfo(&last.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> ExternalCommand {
        ExternalCommand {
            name: "sh",
            arguments: vec!["-c".into(), script.into()],
            environment: &[("GIVEN", "x"), ("CARGO_PKG_NAME", "x")],
            passed_on: &["CARGO_PKG_NAME", "SHAREKEEPER_TEST_NOT_SET"],
            deadline: Duration::from_secs(600),
            output_max: ExternalCommand::SHORT,
        }
    }

    #[tokio::test]
    async fn o2_a_program_gets_no_variable_that_it_has_no_use_for() {
        let output = SystemCommandRunner.run(shell("env")).await.expect("runs");
        let output = String::from_utf8(output).expect("text");
        let names = output
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0));
        // The shell sets the last three of these.
        let known = ["GIVEN", "CARGO_PKG_NAME", "PWD", "SHLVL", "_"];
        let unknown: Vec<_> = names
            .filter(|name| !PASSED_ON.contains(name) && !known.contains(name))
            .collect();
        assert_eq!(unknown, [""; 0]);
        assert!(output.contains("GIVEN=x"));
        // Cargo sets this one for its tests.
        assert!(output.contains("CARGO_PKG_NAME=sharekeeper"), "{output}");
    }

    #[tokio::test]
    async fn s21_output_is_kept_up_to_a_limit_and_the_program_ends_all_the_same() {
        let output = SystemCommandRunner
            .run(shell("head -c 3000000 /dev/zero"))
            .await
            .expect("runs");
        assert_eq!(output.len() as u64, ExternalCommand::SHORT);
    }

    #[tokio::test]
    async fn what_fails_or_is_not_there_says_so() {
        let failed = SystemCommandRunner.run(shell("exit 3")).await;
        let failed = failed.expect_err("fails");
        assert_eq!(failed.to_string(), "`sh` failed: exit status: 3");
        assert!(
            matches!(failed, CommandError::Failed { code: Some(3), .. }),
            "{failed:?}"
        );
        let ended = SystemCommandRunner.run(shell("kill -9 $$")).await;
        assert!(
            matches!(ended, Err(CommandError::Failed { code: None, .. })),
            "{ended:?}"
        );
        let missing = ExternalCommand {
            name: "no-such-program",
            ..shell("")
        };
        let missing = SystemCommandRunner
            .run(missing)
            .await
            .expect_err("is missing");
        assert!(matches!(missing, CommandError::NotRun { .. }), "{missing}");
    }

    #[tokio::test]
    async fn o2_s22_a_failure_says_why_in_one_line_and_without_a_password() {
        let script = "yes noise | head -n 100000 >&2
            printf 'a\\033[1m: cannot reach https://user:hunter2@host.example/x.git\\n\\nfatal: no\\n' >&2; exit 1";
        let failed = SystemCommandRunner.run(shell(script)).await;
        assert_eq!(
            failed.expect_err("fails").to_string(),
            "`sh` failed: exit status: 1: noise; noise; a\u{fffd}[1m: cannot reach https://host.example/x.git; fatal: no"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn s21_a_program_that_does_not_end_is_not_waited_for() {
        let slow = SystemCommandRunner.run(shell("exec sleep 3600")).await;
        let slow = slow.expect_err("is too slow").to_string();
        assert_eq!(slow, "`sh` took longer than 600 s");
    }

    /// The state and process group of each process.
    fn processes() -> Vec<(String, i32)> {
        let entries = std::fs::read_dir("/proc").expect("Linux");
        let stats = entries.filter_map(|entry| {
            let stat = entry.expect("an entry").path().join("stat");
            std::fs::read_to_string(stat).ok()
        });
        let parsed = stats.filter_map(|stat| {
            let (_, after) = stat.rsplit_once(')')?;
            let mut fields = after.split_whitespace();
            let state = fields.next()?.to_owned();
            Some((state, fields.nth(1)?.parse().ok()?))
        });
        parsed.collect()
    }

    /// The number of running processes in a group. A process that has ended and waits to be reaped does not count.
    fn running(group: i32) -> usize {
        let in_it = |(state, id): &&(String, i32)| *id == group && state != "Z";
        processes().iter().filter(in_it).count()
    }

    fn group(file: &std::path::Path) -> Option<i32> {
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// Writes its group to `file` once two more processes run in it. If it is `stubborn`, only SIGKILL ends them.
    fn three(file: &std::path::Path, stubborn: bool) -> ExternalCommand {
        let trap = if stubborn { "trap '' TERM;" } else { "" };
        let file = file.display();
        shell(&format!(
            "{trap} sleep 3600 & (sleep 3600; true) & echo $$ > {file}.new; mv {file}.new {file}; sleep 3600; true"
        ))
    }

    #[tokio::test]
    async fn b7_g8_at_the_deadline_all_that_a_program_started_is_ended() {
        for stubborn in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let file = directory.path().join("group");
            // A busy machine starts programs late.
            for seconds in [1, 5, 25, 125] {
                let slow = ExternalCommand {
                    deadline: Duration::from_secs(seconds),
                    ..three(&file, stubborn)
                };
                let slow = SystemCommandRunner.run(slow).await;
                assert!(
                    matches!(slow, Err(CommandError::TooSlow { .. })),
                    "{slow:?}"
                );
                if file.exists() {
                    break;
                }
            }
            assert_eq!(running(group(&file).expect("it began")), 0, "{stubborn}");
        }
    }

    #[tokio::test]
    async fn b7_g8_whoever_drops_the_future_ends_all_that_the_program_started() {
        for stubborn in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let file = directory.path().join("group");
            let has_begun = async {
                while group(&file).is_none_or(|group| running(group) < 4) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                ended = SystemCommandRunner.run(three(&file, stubborn)) => panic!("{ended:?}"),
                () = has_begun => {}
            }
            let group = group(&file).expect("it began");
            // SIGKILL needs a moment to take effect.
            while running(group) > 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn g8_what_a_program_leaves_running_does_not_delay_it_and_lives_on() {
        for (end, status) in [("", None), ("exit 3", Some(3))] {
            // It holds both pipes.
            let script = format!("sleep 3600 & echo $! | tee /dev/stderr; {end}");
            let (said, code) = match SystemCommandRunner.run(shell(&script)).await {
                Ok(output) => (String::from_utf8(output).expect("text"), None),
                Err(CommandError::Failed { code, reason, .. }) => (reason, code),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(code, status);
            let id: i32 = said.trim().parse().expect("a process id");
            let stat = || std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
            // The shell writes the process id before the process becomes `sleep`.
            while stat().contains("(sh)") {
                tokio::task::yield_now().await;
            }
            let stat = stat();
            assert!(
                stat.contains("(sleep) S") || stat.contains("(sleep) R"),
                "{stat}"
            );
            let id = rustix::process::Pid::from_raw(id).expect("an id");
            rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it runs");
        }
    }

    #[tokio::test]
    async fn g8_last_output_of_a_program_is_kept_if_its_pipes_stay_open() {
        for _ in 0..20 {
            let script = "sleep 3600 & echo $! >&2; head -c 60000 /dev/zero; echo end; exit 4";
            let failed = SystemCommandRunner.run(shell(script)).await;
            let Err(CommandError::Failed { reason, .. }) = failed else {
                panic!("{failed:?}")
            };
            let id = reason.parse().ok().and_then(rustix::process::Pid::from_raw);
            let id = id.expect("a process id");
            rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it runs");
        }
        let script = "head -c 60000 /dev/zero; echo end; sleep 3600 & echo $! >&3";
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("id");
        let script = format!("exec 3> {}; {script}", file.display());
        let output = SystemCommandRunner.run(shell(&script)).await.expect("runs");
        assert_eq!(output.len(), 60_004);
        assert!(output.ends_with(b"end\n"));
        let id = group(&file).and_then(rustix::process::Pid::from_raw);
        let id = id.expect("a process id");
        rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("it runs");
    }

    #[tokio::test]
    async fn b7_what_a_program_leaves_that_a_signal_ended_is_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("group");
        let script = format!("sleep 3600 & echo $$ > {}; kill -9 $$", file.display());
        let ended = SystemCommandRunner.run(shell(&script)).await;
        assert!(
            matches!(ended, Err(CommandError::Failed { code: None, .. })),
            "{ended:?}"
        );
        let group = group(&file).expect("it began");
        while running(group) > 0 {
            tokio::task::yield_now().await;
        }
    }
}
