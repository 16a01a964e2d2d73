//! The command line in clap's form, with additions that clap cannot derive: groups of commands, examples, and common
//! options only where they have an effect. All code that reads or prints the command line starts here.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use super::Arguments;
use crate::report::ExitStatus;

/// All commands, in the order and the groups of the top-level help.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Everyday", &["validate", "plan", "reconcile", "run"]),
    (
        "Look",
        &["status", "images", "explain", "history", "doctor"],
    ),
    ("People", &["suspend", "resume", "accept", "adopt"]),
    (
        "Set up",
        &[
            "import",
            "lock",
            "state",
            "schema",
            "completions",
            "man",
            "help",
        ],
    ),
    ("Simulator", &["sim"]),
];

/// Commands that print a text of their own. No common option except `--color` affects them.
const PRINT_ALONE: [&str; 4] = ["schema", "completions", "man", "help"];
/// Commands that do not use a state directory.
const WITHOUT_STATE: [&str; 2] = ["validate", "sim"];

/// Examples of each command, by its path below `sharekeeper`: what to type, and what it does.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "validate",
        &[(
            "validate manifests",
            "every error in a directory, with its place",
        )],
    ),
    (
        "plan",
        &[
            ("plan manifests --sim", "without a cloud account"),
            (
                "plan manifests --detailed-exitcode --out plan.json",
                "in CI, for a review",
            ),
        ],
    ),
    (
        "reconcile",
        &[
            ("reconcile manifests --sim", "without a cloud account"),
            (
                "reconcile manifests --prune owned --plan plan.json",
                "exactly what was reviewed",
            ),
        ],
    ),
    (
        "run",
        &[
            ("run manifests", "follow a directory"),
            (
                "run --git https://git.example.com/images.git --ref main --path manifests",
                "follow a repository",
            ),
        ],
    ),
    (
        "images",
        &[(
            "images --match 'golden-*' --region ap-tokyo",
            "some of one region",
        )],
    ),
    (
        "explain",
        &[
            ("explain golden-ubuntu-1.5.1 --region ap-tokyo", "an image"),
            ("explain ResourceInUse.ImageInUse", "an error code"),
        ],
    ),
    (
        "lock",
        &[(
            "lock manifests --check",
            "in CI: whether the lock file is up to date",
        )],
    ),
    (
        "import",
        &[(
            "import --region ap-tokyo --out manifests",
            "the images that are shared there now",
        )],
    ),
    (
        "adopt",
        &[(
            "adopt --image img-6pb6lrmy --dry-run",
            "what would be adopted",
        )],
    ),
    (
        "status",
        &[
            ("status", "the daemon's view and the state"),
            ("status --watch", "the same, until Ctrl-C"),
        ],
    ),
    (
        "history",
        &[(
            "history --since 1d --image img-6pb6lrmy",
            "one image since yesterday",
        )],
    ),
    (
        "history verify",
        &[("history verify", "whether the history is unchanged")],
    ),
    (
        "suspend",
        &[(
            "suspend --region ap-tokyo --until 8h --reason 'INC-42, hands off'",
            "one region, for a while",
        )],
    ),
    (
        "resume",
        &[("resume 3", "end the suspension that `status` shows as 3")],
    ),
    (
        "accept",
        &[(
            "accept default/ap-tokyo=3",
            "three images in Tokyo are known to have lost their shares",
        )],
    ),
    (
        "state",
        &[("state upgrade", "bring it up to date, and keep a copy")],
    ),
    (
        "state upgrade",
        &[(
            "state upgrade --state-dir /var/lib/sharekeeper",
            "the daemon's state",
        )],
    ),
    (
        "doctor",
        &[
            ("doctor manifests", "find problems"),
            ("doctor manifests --cam-policy", "the minimal CAM policies"),
        ],
    ),
    (
        "sim",
        &[(
            "sim --listen 127.0.0.1:7980 --seed 1",
            "the same random faults each time",
        )],
    ),
    (
        "schema",
        &[("schema > sharekeeper.schema.json", "for an editor")],
    ),
    (
        "completions",
        &[(
            "completions bash > /etc/bash_completion.d/sharekeeper",
            "for all users",
        )],
    ),
    (
        "man",
        &[("man history verify | man -l -", "open it in man")],
    ),
    (
        "help",
        &[
            ("help plan", "the help of a command"),
            ("help exit-codes", "what each exit status means"),
            ("help environment", "all variables that are used"),
        ],
    ),
];

/// The whole command line.
pub(in crate::cli) fn command_line() -> Command {
    let command = Arguments::command();
    let is_common = |flag: &&Arg| flag.is_global_set();
    let common: Vec<Arg> = command.get_arguments().filter(is_common).cloned().collect();
    let groups = groups(&command);
    command
        .help_template(format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
        ))
        .after_help(after_help())
        .mut_args(without_value)
        .mut_subcommands(|command| {
            let path = command.get_name().to_owned();
            with_examples(without_meaningless(command, &common), &path)
        })
}

/// The commands in groups, each with its purpose.
fn groups(command: &Command) -> String {
    let mut text = String::new();
    for (group, names) in GROUPS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{group}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            put_row(&mut text, name, &about);
        }
        text.push('\n');
    }
    text
}

/// The meaning of each exit status.
pub(in crate::cli) fn exit_statuses() -> String {
    let mut text = String::from("Exit status:\n");
    for status in ExitStatus::ALL {
        put_row(&mut text, &status.code().to_string(), status.meaning());
    }
    text
}

fn after_help() -> String {
    format!(
        "{}\nTopics: `sharekeeper help exit-codes`, `sharekeeper help environment`\n\n\
         Try it without a cloud account:\n  sharekeeper reconcile manifests --sim",
        exit_statuses()
    )
}

/// Adds a row of two columns; the second one is folded.
pub(in crate::cli) fn put_row(text: &mut String, name: &str, what: &str) {
    const NAME_WIDTH: usize = 11;
    const WIDTH: usize = 80;
    let indent = NAME_WIDTH + 4;
    let mut line = format!("  {name:<NAME_WIDTH$} ");
    for word in what.split_whitespace() {
        if line.len() > indent && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(indent - 1);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The flag without the value of its variable in the help, because the value may be a secret that was put there by
/// mistake.
fn without_value(flag: Arg) -> Arg {
    flag.hide_env_values(true)
}

/// Hides common options that do not affect the command. They are still accepted, so that a script may pass them to any
/// command.
fn without_meaningless(command: Command, common: &[Arg]) -> Command {
    let name = command.get_name();
    let is_meant = |flag: &str| match flag {
        "color" => true,
        "state_dir" => !WITHOUT_STATE.contains(&name) && !PRINT_ALONE.contains(&name),
        _ => !PRINT_ALONE.contains(&name),
    };
    let hidden = common
        .iter()
        .filter(|flag| !is_meant(flag.get_id().as_str()));
    let hidden: Vec<_> = hidden.map(|flag| flag.clone().hide(true)).collect();
    command.args(hidden)
}

/// Adds the examples to the help of the command and of its subcommands.
fn with_examples(command: Command, path: &str) -> Command {
    let command = command.mut_args(without_value).mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name());
        with_examples(below, &path)
    });
    let examples = EXAMPLES.iter().find(|(of, _)| *of == path);
    let Some((_, examples)) = examples else {
        return command;
    };
    let mut text = String::from(if examples.len() == 1 {
        "Example:\n"
    } else {
        "Examples:\n"
    });
    for (line, what) in *examples {
        let _ = writeln!(text, "  # {what}\n  sharekeeper {line}");
    }
    command.after_help(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words of a line as a shell would split them, up to a pipe or a redirection.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (n, part) in line.split('\'').enumerate() {
            match n % 2 {
                0 => words.extend(part.split_whitespace().map(ToOwned::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        let end = words
            .iter()
            .position(|word| matches!(word.as_str(), "|" | ">"));
        words.truncate(end.unwrap_or(words.len()));
        words
    }

    fn paths(command: &Command, above: &str, found: &mut BTreeSet<String>) {
        for below in command.get_subcommands() {
            let path = format!("{above} {}", below.get_name());
            let path = path.trim_start();
            found.insert(path.to_owned());
            paths(below, path, found);
        }
    }

    #[test]
    fn nc3_each_command_is_in_one_group_and_has_an_example() {
        let mut all = BTreeSet::new();
        paths(&command_line(), "", &mut all);
        let mut top: Vec<_> = all.iter().filter(|path| !path.contains(' ')).collect();
        let grouped = GROUPS.iter().flat_map(|(_, names)| names.iter());
        let mut grouped: Vec<_> = grouped.map(|name| (*name).to_owned()).collect();
        grouped.sort();
        top.sort();
        assert_eq!(grouped.iter().collect::<Vec<_>>(), top);
        let is_helped = |path: &&String| path.split(' ').count() < 2 || !path.ends_with(" help");
        let with: BTreeSet<_> = EXAMPLES
            .iter()
            .map(|(path, _)| (*path).to_owned())
            .collect();
        let all: BTreeSet<_> = all.iter().filter(is_helped).cloned().collect();
        assert_eq!(with, all);
    }

    #[test]
    fn nc3_each_example_is_of_its_command_and_can_be_typed() {
        for (path, examples) in EXAMPLES {
            for (line, _) in *examples {
                let words = words(line);
                assert!(line.starts_with(path), "{line}");
                let typed = std::iter::once("sharekeeper".to_owned()).chain(words);
                let read = command_line().try_get_matches_from(typed);
                if let Err(error) = read {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn nc3_help_shows_common_options_only_where_they_mean_something() {
        let help = |path: &[&str]| {
            let mut command = command_line();
            command.build();
            let mut command = &mut command;
            for name in path {
                command = command.find_subcommand_mut(name).expect("a command");
            }
            command.render_long_help().to_string()
        };
        for name in PRINT_ALONE {
            let help = help(&[name]);
            assert!(
                !help.contains("--state-dir") && !help.contains("--log-"),
                "{help}"
            );
        }
        for name in WITHOUT_STATE {
            let help = help(&[name]);
            assert!(
                !help.contains("--state-dir") && help.contains("--log-level"),
                "{help}"
            );
        }
        assert!(help(&["plan"]).contains("--state-dir"));
        assert!(help(&["history", "verify"]).contains("Example:\n"));
        let top = help(&[]);
        for (group, _) in GROUPS {
            assert!(top.contains(&format!("\n{group}:\n")), "{top}");
        }
        assert!(top.lines().all(|line| line.chars().count() <= 100), "{top}");
        // Hidden options are still accepted.
        let typed = ["sharekeeper", "schema", "-o", "json", "--state-dir", "x"];
        assert!(command_line().try_get_matches_from(typed).is_ok());
    }
}
