//! `help`: prints the help of a command or of a topic.

use super::args::{HelpArguments, exit_statuses};
use super::output::{self, Failure};
use super::{environment, man};
use crate::report::ExitStatus;

pub(super) async fn run(arguments: &HelpArguments) -> Result<ExitStatus, Failure> {
    let subject: Vec<_> = arguments.subject.iter().map(String::as_str).collect();
    let text = match subject.as_slice() {
        ["exit-codes"] => exit_statuses(),
        ["environment"] => environment::help(),
        _ => {
            let command = man::find_command(&arguments.subject);
            let mut command = command.map_err(|failure| {
                Failure::usage(format_args!(
                    "{failure}; topics are: exit-codes, environment"
                ))
            })?;
            command.render_long_help().ansi().to_string()
        }
    };
    output::print_text(&text)?;
    Ok(ExitStatus::Done)
}
