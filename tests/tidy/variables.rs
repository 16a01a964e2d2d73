//! Compares the environment variables that the source names with the list in `help environment`.

use std::collections::BTreeSet;
use std::process::Command;

use regex::Regex;

use crate::source::product;

/// Texts that look like variables but are never read: variables that are set for git, and the name of a
/// licence.
const NOT_READ: [&str; 4] = [
    "GIT_NO_LAZY_FETCH",
    "GIT_OPTIONAL_LOCKS",
    "GIT_TERMINAL_PROMPT",
    "NOTIFY_AND_MANUAL_RENEW",
];
/// Variables that libraries read, and that the source does not name.
const OF_LIBRARIES: [&str; 4] = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "WATCHDOG_USEC"];

/// Names of variables that are string literals in the source, except in the checked list itself.
fn named_in_source() -> BTreeSet<String> {
    let text = Regex::new("\"([A-Z][A-Z_]+)\"").expect("an expression");
    let family = Regex::new(
        "^(SHAREKEEPER|TENCENTCLOUD|TCCLI|TKE|XDG|GIT|SSH|SSL|NOTIFY|WATCHDOG|CLICOLOR)_|_PROXY$\
         |^(HOME|PATH|TERM|USER|SUDO_USER|LOGNAME|REQUEST_METHOD)$",
    )
    .expect("an expression");
    let sources = product();
    let lines = sources
        .iter()
        .filter(|source| source.path != "src/cli/environment.rs");
    let lines = lines.flat_map(|source| source.lines().map(|(_, line)| line));
    // The name of a command-line argument's value is not a variable.
    let lines = lines.map(|line| line.replace("value_name = \"PATH\"", ""));
    let found = lines.flat_map(|line| {
        let names = text.captures_iter(&line).map(|name| name[1].to_owned());
        names.collect::<Vec<_>>()
    });
    let is_read = |name: &String| family.is_match(name) && !NOT_READ.contains(&name.as_str());
    found.filter(is_read).collect()
}

#[test]
fn nc3_the_help_names_each_variable_that_is_read_and_no_other() {
    let output = Command::new(env!("CARGO_BIN_EXE_sharekeeper"))
        .args(["help", "environment"])
        .env_clear()
        .output()
        .expect("the binary starts");
    let help = String::from_utf8(output.stdout).expect("text");
    let name = Regex::new("(?m)^  ([A-Z][A-Z_]+)$").expect("an expression");
    let told: BTreeSet<_> = name
        .captures_iter(&help)
        .map(|name| name[1].to_owned())
        .collect();
    let mut expected = named_in_source();
    expected.extend(OF_LIBRARIES.map(ToOwned::to_owned));
    let missing: Vec<_> = expected.difference(&told).collect();
    let unread: Vec<_> = told.difference(&expected).collect();
    assert!(
        missing.is_empty() && unread.is_empty(),
        "missing: {missing:?}; never read: {unread:?}"
    );
}
