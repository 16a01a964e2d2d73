//! Compares docs/cli.md with the help texts of the binary: the page lists every command, flag and exit status that
//! the command line has, and no other.

use std::collections::{BTreeMap, BTreeSet};

use super::page::{self, Page, Row, codes};
use super::{assert_none, assert_same};
use crate::support::binary::{sharekeeper, stdout};

/// The command of a flag, its long name, and the environment variable that can replace it.
type Flag = (String, String, Option<String>);

/// Flags of other programs that the pages mention: git, cargo, tccli, docker and systemd-nspawn.
const FOREIGN_FLAGS: [&str; 9] = [
    "--add",
    "--filter",
    "--global",
    "--init",
    "--locked",
    "--notify-ready",
    "--profile",
    "--release",
    "--version",
];

fn help(command: &str) -> String {
    let mut arguments: Vec<_> = command.split_whitespace().collect();
    arguments.push("--help");
    stdout(&sharekeeper(&arguments))
}

/// The commands that a help text lists, by the names that follow `parent`.
fn listed(parent: &str, help: &str) -> Vec<String> {
    let before_options = help.split("\nOptions:").next().expect("text");
    let lists = before_options.lines().filter_map(|line| {
        let rest = line.strip_prefix("  ")?;
        let (name, text) = rest.split_once("  ")?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        (is_name && !text.trim().is_empty()).then(|| format!("{parent} {name}"))
    });
    lists.map(|name| name.trim().to_owned()).collect()
}

/// Every command that does something by itself, with its help text.
fn commands() -> BTreeMap<String, String> {
    let mut commands = BTreeMap::new();
    for name in listed("", &help("")) {
        let text = help(&name);
        if text.contains("\nCommands:\n") {
            for below in listed(&name, &text) {
                commands.insert(below.clone(), help(&below));
            }
        }
        let usage = text.split("Usage:").nth(1).expect("a usage");
        let usage = usage.lines().next().expect("a line");
        if !usage.contains("<COMMAND>") {
            commands.insert(name, text);
        }
    }
    assert!(commands.contains_key("history verify"), "{commands:?}");
    commands
}

/// The flags that the help text of a command lists.
fn flags_in(command: &str, help: &str) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for line in help.lines().map(str::trim_start) {
        let long = match line.split_once(", ") {
            Some((short, long)) if short.len() == 2 && short.starts_with('-') => long,
            _ => line,
        };
        if long.starts_with("--") {
            let name = long.split_whitespace().next().expect("a name");
            flags.push((command.to_owned(), name.to_owned(), None));
        } else if let Some(variable) = line.strip_prefix("[env: ") {
            let variable = variable.trim_end_matches(']').to_owned();
            if let Some((_, _, last)) = flags.last_mut() {
                last.get_or_insert(variable);
            }
        }
    }
    flags
}

/// The commands that the flag in a table row belongs to: those that the row lists, or else the one in its heading.
fn commands_of(row: &Row, all: &BTreeSet<String>) -> BTreeSet<String> {
    let Some(cell) = row.cell("commands") else {
        return [row.heading.clone()].into();
    };
    let named = codes(cell).into_iter().map(str::to_owned).collect();
    match cell.starts_with("every command") {
        true => all.difference(&named).cloned().collect(),
        false => named,
    }
}

#[test]
fn each_flag_and_its_variable_stand_in_the_reference() {
    let commands = commands();
    let flags = commands.iter();
    let program: BTreeSet<_> = flags
        .flat_map(|(name, help)| flags_in(name, help))
        .collect();
    let is_flag = |row: &Row| row.subject() == "flag";
    let all = commands.into_keys().collect();
    let mut page = BTreeSet::new();
    for row in Page::read("docs/cli.md").rows().into_iter().filter(is_flag) {
        let names = codes(&row.cells[0]);
        let long = names.iter().find(|name| name.starts_with("--"));
        let long = long.expect("a flag has a long name").split(' ').next();
        let variables = codes(row.cell("variable").expect("a column"));
        let variable = variables.first().map(|&name| name.to_owned());
        for command in commands_of(&row, &all) {
            page.insert((command, long.expect("a name").to_owned(), variable.clone()));
        }
    }
    assert_same("docs/cli.md", &program, &page);
}

#[test]
fn each_command_stands_in_the_reference() {
    let program = commands().into_keys().collect();
    let page = Page::read("docs/cli.md");
    let rows = page.rows().into_iter();
    let rows = rows.filter(|row| row.heading == "Overview");
    let listed = rows.map(|row| codes(&row.cells[0])[0].to_owned()).collect();
    assert_same("the overview of docs/cli.md", &program, &listed);
    let headings = page.headings();
    let missing = program.iter().filter(|name| !headings.contains(name));
    assert_none("docs/cli.md lacks a section for a command", missing);
}

#[test]
fn each_flag_that_a_page_mentions_exists() {
    let commands = commands();
    let flags = commands.iter();
    let flags = flags.flat_map(|(name, help)| flags_in(name, help));
    let mut known: BTreeSet<_> = flags.map(|(_, name, _)| name).collect();
    known.extend(FOREIGN_FLAGS.map(str::to_owned));
    let flag = regex::Regex::new(r"(?:^|[\s`(\[])(--[a-z][a-z-]*)").expect("a pattern");
    let mut unknown = Vec::new();
    for page in page::book() {
        let mentioned = flag.captures_iter(page.text());
        for name in mentioned.map(|found| found[1].to_owned()) {
            if !known.contains(&name) {
                unknown.push(format!("{}: {name}", page.name));
            }
        }
    }
    assert_none("a page mentions a flag that does not exist", unknown);
}

#[test]
fn each_exit_status_stands_in_the_reference() {
    let help = stdout(&sharekeeper(&["help", "exit-codes"]));
    let numbers = help
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let program: BTreeSet<u8> = numbers.filter_map(|word| word.parse().ok()).collect();
    assert_eq!(program.len(), 11, "{help}");
    let rows = Page::read("docs/cli.md").rows().into_iter();
    let rows = rows.filter(|row| row.subject() == "exit status");
    let page = rows
        .map(|row| row.cells[0].parse().expect("a number"))
        .collect();
    assert_same("docs/cli.md", &program, &page);
}
