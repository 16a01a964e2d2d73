//! Compares README.md and docs/ with the program: links resolve, reference tables contain exactly what the program has,
//! and each command on the pages prints what the pages show.

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

/// Fails with all problems at once, so that one run shows everything that needs a repair.
fn assert_none<T: Display>(rule: &str, problems: impl IntoIterator<Item = T>) {
    let problems: Vec<_> = problems.into_iter().map(|item| item.to_string()).collect();
    let count = problems.len();
    assert!(
        problems.is_empty(),
        "{rule} ({count}):\n{}",
        problems.join("\n")
    );
}

/// Fails with the items that only the program has and the items that only the page has.
fn assert_same<T: Ord + Debug>(place: &str, program: &BTreeSet<T>, page: &BTreeSet<T>) {
    let missing = program.difference(page);
    let missing = missing.map(|item| format!("{place} lacks {item:?}"));
    let invented = page.difference(program);
    let invented = invented.map(|item| format!("{place} has {item:?}, which does not exist"));
    assert_none("page and program differ", missing.chain(invented));
}
