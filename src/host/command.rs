//! Runs other programs to their end, within a deadline and a bound on their output. It must not know what they are run for.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::words;

/// What is kept of stderr: its end.
const COMPLAINT_BYTES_MAX: usize = 4 << 10;
/// Lines of it that are told.
const COMPLAINT_LINES_MAX: usize = 4;
/// How to find a program, and where it finds its settings. Nothing else is passed on: no credentials, and none of the
/// variables by which a git hook would steer another git.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "XDG_CONFIG_HOME"];

/// A program to run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalCommand {
    /// Looked for in `PATH`.
    pub name: &'static str,
    /// Its arguments, without the program's name.
    pub arguments: Vec<OsString>,
    /// Beyond what every program gets.
    pub environment: &'static [(&'static str, &'static str)],
    /// Variables of our own that it gets too, as far as they are set, and over those of `environment`.
    pub passed_on: &'static [&'static str],
    /// It is killed if it takes longer.
    pub deadline: Duration,
    /// Bytes that are kept of its output; the rest is read and dropped.
    pub output_max: u64,
}

impl ExternalCommand {
    /// [`ExternalCommand::output_max`] of a program whose output is short.
    pub const SHORT: u64 = 1 << 20;
}

/// Why a program gave no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It is not there, or may not be run.
    #[error("`{name}` cannot be run: {reason}")]
    NotRun {
        name: &'static str,
        /// As the system says it.
        reason: String,
    },
    /// It ended with another status than 0.
    #[error("`{name}` failed: {status}{}{reason}", if .reason.is_empty() { "" } else { ": " })]
    Failed {
        name: &'static str,
        /// The status that it ended with; none where a signal ended it.
        code: Option<i32>,
        /// How it ended, in words.
        status: String,
        /// The last of what it said to stderr, on one line and without what stands before an `@` in a URL; may be
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
    /// What it printed to stdout, as far as that is kept, if it ended well. It has no stdin, no terminal to ask
    /// on, and of its stderr only the end is kept, for the error.
    fn run(&self, program: ExternalCommand) -> impl Future<Output = Result<Vec<u8>, CommandError>>;
}

/// The programs of this machine.
pub struct SystemCommandRunner;

impl CommandRunner for SystemCommandRunner {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        let ExternalCommand { name, deadline, .. } = program;
        // Dropping it kills what it started.
        match tokio::time::timeout(deadline, output(program)).await {
            Ok(Ok(ended)) if ended.status.success() => Ok(ended.output),
            Ok(Ok(ended)) => Err(CommandError::Failed {
                name,
                code: ended.status.code(),
                status: ended.status.to_string(),
                reason: reason(&ended.complaint),
            }),
            Ok(Err(error)) => Err(CommandError::NotRun {
                name,
                reason: error.to_string(),
            }),
            Err(_) => Err(CommandError::TooSlow { name, deadline }),
        }
    }
}

/// How a program ended, and what it said.
struct Ended {
    output: Vec<u8>,
    /// The end of stderr.
    complaint: Vec<u8>,
    status: ExitStatus,
}

async fn output(program: ExternalCommand) -> io::Result<Ended> {
    let output_max = program.output_max;
    let names = PASSED_ON.iter().chain(program.passed_on);
    let passed_on = names.filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program.name)
        .args(program.arguments)
        .env_clear()
        .envs(program.environment.iter().copied())
        .envs(passed_on)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    // Both at once: a program waits for whoever does not read what it says.
    let (output, complaint) = tokio::try_join!(
        beginning(child.stdout.take(), output_max),
        ending(child.stderr.take())
    )?;
    Ok(Ended {
        output,
        complaint,
        status: child.wait().await?,
    })
}

async fn beginning(stream: Option<impl AsyncRead + Unpin>, output_max: u64) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        let mut limited = (&mut stream).take(output_max);
        limited.read_to_end(&mut kept).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

async fn ending(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        let mut part = [0; COMPLAINT_BYTES_MAX];
        loop {
            let length = stream.read(&mut part).await?;
            if length == 0 {
                break;
            }
            kept.extend_from_slice(&part[..length]);
            kept.drain(..kept.len().saturating_sub(COMPLAINT_BYTES_MAX));
        }
    }
    Ok(kept)
}

/// The last lines on one line: the very last one alone is often only good advice.
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
        // The shell sets the last three.
        let known = ["GIVEN", "CARGO_PKG_NAME", "PWD", "SHLVL", "_"];
        let unknown: Vec<_> = names
            .filter(|name| !PASSED_ON.contains(name) && !known.contains(name))
            .collect();
        assert_eq!(unknown, [""; 0]);
        assert!(output.contains("GIVEN=x"));
        // Set by cargo for its tests.
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
}
