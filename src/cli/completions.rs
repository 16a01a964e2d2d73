//! `completions`: prints a completion script for a shell.

use clap::CommandFactory;

use super::args::{Arguments, CompletionsArguments};
use super::output::{self, Failure};
use crate::report::ExitStatus;

pub(super) async fn run(arguments: &CompletionsArguments) -> Result<ExitStatus, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "sharekeeper",
        &mut script,
    );
    output::print_raw(&script)?;
    Ok(ExitStatus::Done)
}
