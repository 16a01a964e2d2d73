//! `completions`: prints a completion script for a shell.

use super::args::{CompletionsArguments, command_line};
use super::output::{self, Failure};
use crate::report::ExitStatus;

pub(super) async fn run(arguments: &CompletionsArguments) -> Result<ExitStatus, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut command_line(),
        "sharekeeper",
        &mut script,
    );
    output::print_raw(&script)?;
    Ok(ExitStatus::Done)
}
