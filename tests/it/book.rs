//! Holds README.md and docs/ to the program: links resolve, reference tables have what the program has and nothing else,
//! and each command that the pages show prints what they say.

mod commands;
mod console;
mod documents;
mod environment;
mod fields;
mod links;
mod metrics;
mod page;
mod shell;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

/// Fails with every problem at once, so that one run shows all that there is to do.
fn assert_none<T: Display>(rule: &str, problems: impl IntoIterator<Item = T>) {
    let problems: Vec<_> = problems.into_iter().map(|item| item.to_string()).collect();
    let count = problems.len();
    assert!(
        problems.is_empty(),
        "{rule} ({count}):\n{}",
        problems.join("\n")
    );
}

/// Fails with what only the program has and what only the page has.
fn assert_same<T: Ord + Debug>(place: &str, program: &BTreeSet<T>, page: &BTreeSet<T>) {
    let missing = program.difference(page);
    let missing = missing.map(|item| format!("{place} lacks {item:?}"));
    let invented = page.difference(program);
    let invented = invented.map(|item| format!("{place} has {item:?}, which does not exist"));
    assert_none("page and program differ", missing.chain(invented));
}
