use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// What is kept of an output; the rest is read and dropped.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;
/// How to find a program, and where it finds its settings. Nothing else is passed on: no credentials, and none of the
/// variables by which a git hook would steer another git.
const PASSED_ON: [&str; 3] = ["PATH", "HOME", "XDG_CONFIG_HOME"];

/// A program to run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Looked for in `PATH`.
    pub name: &'static str,
    /// Without the name.
    pub arguments: Vec<OsString>,
    /// Beyond what every program gets.
    pub environment: &'static [(&'static str, &'static str)],
    /// It is killed if it takes longer.
    pub deadline: Duration,
}

/// Why a program gave no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// It is not there, or may not be run.
    #[error("`{name}` cannot be run: {reason}")]
    NotRun {
        /// Its name.
        name: &'static str,
        /// As the system says it.
        reason: String,
    },
    /// It ended with another status than 0.
    #[error("`{name}` failed: {status}")]
    Failed {
        /// Its name.
        name: &'static str,
        /// How it ended.
        status: String,
    },
    /// It was killed.
    #[error("`{name}` took longer than {} s", .deadline.as_secs())]
    TooSlow {
        /// Its name.
        name: &'static str,
        /// What it had.
        deadline: Duration,
    },
}

/// Other programs, for what is asked of them and never for what they change.
pub trait Programs {
    /// What it printed to stdout, as far as that is kept, if it ended well. It has no stdin, no terminal to ask
    /// on, and nobody sees its stderr.
    fn run(&self, program: Program) -> impl Future<Output = Result<Vec<u8>, ProgramError>>;
}

/// The programs of this machine.
pub struct SystemPrograms;

impl Programs for SystemPrograms {
    async fn run(&self, program: Program) -> Result<Vec<u8>, ProgramError> {
        let Program { name, deadline, .. } = program;
        // Dropping it kills what it started.
        match tokio::time::timeout(deadline, output(program)).await {
            Ok(Ok((output, status))) if status.success() => Ok(output),
            Ok(Ok((_, status))) => Err(ProgramError::Failed {
                name,
                status: status.to_string(),
            }),
            Ok(Err(error)) => Err(ProgramError::NotRun {
                name,
                reason: error.to_string(),
            }),
            Err(_) => Err(ProgramError::TooSlow { name, deadline }),
        }
    }
}

async fn output(program: Program) -> io::Result<(Vec<u8>, std::process::ExitStatus)> {
    let passed_on = PASSED_ON
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program.name)
        .args(program.arguments)
        .env_clear()
        .envs(passed_on)
        .envs(program.environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut output = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        (&mut stdout)
            .take(OUTPUT_BYTES_MAX)
            .read_to_end(&mut output)
            .await?;
        tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await?;
    }
    Ok((output, child.wait().await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program {
            name: "sh",
            arguments: vec!["-c".into(), script.into()],
            environment: &[("GIVEN", "x")],
            deadline: Duration::from_secs(600),
        }
    }

    #[tokio::test]
    async fn o2_a_program_gets_no_variable_that_it_has_no_use_for() {
        let output = SystemPrograms.run(shell("env")).await.expect("runs");
        let output = String::from_utf8(output).expect("text");
        let names = output
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0));
        // The shell sets the last three.
        let known = ["GIVEN", "PWD", "SHLVL", "_"];
        let unknown: Vec<_> = names
            .filter(|name| !PASSED_ON.contains(name) && !known.contains(name))
            .collect();
        assert_eq!(unknown, [""; 0]);
        assert!(output.contains("GIVEN=x"));
    }

    #[tokio::test]
    async fn s21_output_is_kept_up_to_a_limit_and_the_program_ends_all_the_same() {
        let output = SystemPrograms
            .run(shell("head -c 3000000 /dev/zero"))
            .await
            .expect("runs");
        assert_eq!(output.len() as u64, OUTPUT_BYTES_MAX);
    }

    #[tokio::test]
    async fn what_fails_or_is_not_there_says_so() {
        let failed = SystemPrograms.run(shell("exit 3")).await;
        let failed = failed.expect_err("fails").to_string();
        assert_eq!(failed, "`sh` failed: exit status: 3");
        let missing = Program {
            name: "no-such-program",
            ..shell("")
        };
        let missing = SystemPrograms.run(missing).await.expect_err("is missing");
        assert!(matches!(missing, ProgramError::NotRun { .. }), "{missing}");
    }

    #[tokio::test(start_paused = true)]
    async fn s21_a_program_that_does_not_end_is_not_waited_for() {
        let slow = SystemPrograms.run(shell("exec sleep 3600")).await;
        let slow = slow.expect_err("is too slow").to_string();
        assert_eq!(slow, "`sh` took longer than 600 s");
    }
}
