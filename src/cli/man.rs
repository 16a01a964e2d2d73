//! `man`: prints the manual page of sharekeeper or of one command.

use super::args::{ManArguments, command_line};
use super::output::{self, Failure};
use crate::report::ExitStatus;

pub(super) async fn run(arguments: &ManArguments) -> Result<ExitStatus, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(find_command(&arguments.command)?).render(&mut page)?;
    output::print_raw(&page)?;
    Ok(ExitStatus::Done)
}

/// The command at a path of names, such as `history verify`.
pub(super) fn find_command(names: &[String]) -> Result<clap::Command, Failure> {
    let mut whole = command_line();
    // Gives each subcommand its full name and the common flags.
    whole.build();
    let mut found = &whole;
    for name in names {
        found = found.find_subcommand(name).ok_or_else(|| {
            let mut all = found
                .get_subcommands()
                .map(clap::Command::get_name)
                .peekable();
            let there = match all.peek() {
                Some(_) => format!("its commands are: {}", all.collect::<Vec<_>>().join(", ")),
                None => "it has none".into(),
            };
            Failure::usage(format_args!(
                "`{}` has no command `{name}`; {there}",
                found.get_name()
            ))
        })?;
    }
    Ok(found.clone())
}
