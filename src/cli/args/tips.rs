//! Corrects the advice in errors of the command line. For an unknown flag, clap assumes that it was meant as a value;
//! usually the person meant another command, or a number.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Error};

use super::Arguments;

/// Lets numbers be negative, so that the error for `-1` is about its range and not about an unknown flag.
pub(super) fn with_negative_numbers(command: Command) -> Command {
    command
        .mut_args(
            |flag| match flag.get_long().is_some() && flag.get_action().takes_values() {
                true => flag.allow_negative_numbers(true),
                false => flag,
            },
        )
        .mut_subcommands(with_negative_numbers)
}

/// The error with correct advice: the commands that have the flag.
pub(super) fn corrected(mut error: Error) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let typed = typed.clone();
    // Removes the advice to pass the flag as a value. The suggestion for a typo is in another context.
    error.remove(ContextKind::Suggested);
    let Some(flag) = typed.strip_prefix("--") else {
        return error;
    };
    let flag = flag.split('=').next().unwrap_or(flag);
    let having = commands_with(flag);
    if !having.is_empty() {
        let tip = format!("`--{flag}` is a flag of {}", having.join(", "));
        let tip = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

/// The commands that have a flag of this name.
fn commands_with(flag: &str) -> Vec<String> {
    let whole = Arguments::command();
    let has = |command: &&Command| {
        let mut flags = command.get_arguments();
        flags.any(|one| one.get_long() == Some(flag) && !one.is_hide_set())
    };
    let having = whole.get_subcommands().filter(has);
    having
        .map(|command| format!("`sharekeeper {}`", command.get_name()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn error(words: &[&str]) -> String {
        let words: Vec<_> = std::iter::once(&"sharekeeper").chain(words).collect();
        let words: Vec<_> = words.into_iter().map(Into::into).collect();
        parse(&words).expect_err("it is wrong").to_string()
    }

    #[test]
    fn n13_a_negative_number_is_told_its_range() {
        for flag in ["--max-cancels", "--max-cancels-percent"] {
            let said = error(&["plan", flag, "-1"]);
            assert!(said.contains("-1 is not in 0..="), "{said}");
            assert!(!said.contains("'-- -1'"), "{said}");
        }
    }

    #[test]
    fn n13_a_flag_of_another_command_names_that_command() {
        for (words, having) in [
            (&["plan", "--interval", "5m"] as &[_], "`sharekeeper run`"),
            (&["run", "--detailed-exitcode"], "`sharekeeper plan`"),
        ] {
            let said = error(words);
            assert!(said.contains(having), "{said}");
            assert!(!said.contains("as a value"), "{said}");
        }
        let unknown = error(&["plan", "--no-such-flag-at-all"]);
        assert!(!unknown.contains("as a value"), "{unknown}");
    }
}
