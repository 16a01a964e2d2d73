//! Treats an empty variable as not set. If the run would then reach further, or be less guarded, than the person
//! intended, the empty variable is refused. All variables of the command line pass through here.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::builder::{OsStr, Resettable};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches};

use super::{Arguments, command_line, hidden_values, hints, tips};

/// Variables that hold something back, and the consequence of not having them.
const GUARDS: [(&str, &str); 8] = [
    ("SHAREKEEPER_ACCOUNT", "widen the run to every account"),
    ("SHAREKEEPER_REGION", "widen the run to every region"),
    ("SHAREKEEPER_IMAGE", "widen the run to every image"),
    ("SHAREKEEPER_SELECTOR", "widen the run to every document"),
    (
        "SHAREKEEPER_GIT_PATH",
        "widen the run to all manifests of the repository",
    ),
    (
        "SHAREKEEPER_PLAN",
        "widen the run from a saved plan to everything that the manifests ask for",
    ),
    (
        "SHAREKEEPER_PLAN_KEY_FILE",
        "allow unsigned plans, so that a plan by anybody could be executed",
    ),
    (
        "SHAREKEEPER_LISTEN_TOKEN_FILE",
        "let everybody who reaches the port read it",
    ),
];

/// Parses the command line and the variables that replace its flags.
pub(in crate::cli) fn parse(words: &[OsString]) -> Result<Arguments, clap::Error> {
    read(words)
        .map_err(tips::corrected)
        .map_err(hints::add)
        .map_err(hidden_values::hide)
}

fn read(words: &[OsString]) -> Result<Arguments, clap::Error> {
    let mut command = tips::with_negative_numbers(without_empty_variables(command_line()));
    let mut matches = command.try_get_matches_from_mut(words)?;
    refuse_empty_guards(command_line(), &matches)?;
    let is_path_variable = is_path_variable(&matches);
    let typed = flags_from(&matches, ValueSource::CommandLine);
    let from_variables = flags_from(&matches, ValueSource::EnvVariable);
    let mut arguments = Arguments::from_arg_matches_mut(&mut matches)
        .map_err(|error| error.format(&mut command))?;
    arguments.common.typed = typed;
    arguments.common.from_variables = from_variables;
    if is_path_variable && let Some(paths) = arguments.command.paths_mut() {
        paths.split();
    }
    Ok(arguments)
}

/// Whether a variable gives the paths of the manifests.
fn is_path_variable(matches: &ArgMatches) -> bool {
    let below = matches.subcommand().map(|(_, below)| below);
    below.is_some_and(|below| {
        let has_paths = below.try_contains_id("paths").unwrap_or(false);
        has_paths && below.value_source("paths") == Some(ValueSource::EnvVariable)
    })
}

/// The flags that a source gave, those of the command and those of its parents.
fn flags_from(matches: &ArgMatches, source: ValueSource) -> BTreeSet<String> {
    let ids = matches.ids().map(clap::Id::as_str);
    let own = ids.filter(|id| matches.value_source(id) == Some(source));
    let below = matches
        .subcommand()
        .map(|(_, below)| flags_from(below, source));
    own.map(ToOwned::to_owned)
        .chain(below.into_iter().flatten())
        .collect()
}

fn is_empty(variable: &std::ffi::OsStr) -> bool {
    let value = std::env::var_os(variable);
    value.is_some_and(|value| value.to_str().is_some_and(|text| text.trim().is_empty()))
}

/// The command without the variables that are empty.
fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(|flag| match flag.get_env() {
            Some(variable) if is_empty(variable) => flag.env(Resettable::<OsStr>::Reset),
            _ => flag,
        })
        .mut_subcommands(without_empty_variables)
}

/// Refuses an empty variable that holds something back, if the typed command has its flag and the flag was not given.
fn refuse_empty_guards(mut command: Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    // Gives the subcommands their full names, for the usage in an error.
    command.build();
    let (mut command, matches) = typed(command, matches);
    let empty = command.get_arguments().filter_map(|flag| {
        let variable = flag.get_env().filter(|variable| is_empty(variable))?;
        let (name, follows) = GUARDS.iter().find(|(name, _)| *name == variable)?;
        let is_given = matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine);
        (!is_given).then(|| {
            format!(
                "{name} is set but empty, which would {follows}; give it a value, or unset it if that is meant"
            )
        })
    });
    let empty: Vec<_> = empty.collect();
    if empty.is_empty() {
        return Ok(());
    }
    Err(command.error(ErrorKind::ValueValidation, empty.join("\n")))
}

/// The innermost command that was typed.
fn typed(command: Command, matches: &ArgMatches) -> (Command, &ArgMatches) {
    let below = matches.subcommand().and_then(|(name, matches)| {
        let command = command.find_subcommand(name)?;
        Some((command.clone(), matches))
    });
    match below {
        Some((command, matches)) => typed(command, matches),
        None => (command, matches),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(command: &Command, found: &mut BTreeSet<String>) {
        let flags = command.get_arguments().filter_map(clap::Arg::get_env);
        found.extend(flags.map(|variable| variable.to_string_lossy().into_owned()));
        for below in command.get_subcommands() {
            variables(below, found);
        }
    }

    #[test]
    fn t1_each_guard_is_a_variable_of_some_command() {
        let mut found = BTreeSet::new();
        variables(&command_line(), &mut found);
        for (name, _) in GUARDS {
            assert!(found.contains(name), "{name} is not among {found:?}");
        }
    }
}
