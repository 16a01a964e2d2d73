//! Compares the pages with `help environment`: they name each environment variable that the program reads, and no
//! variable of sharekeeper that it does not read.

use std::collections::BTreeSet;

use super::page::{self, Page, codes};
use super::{assert_none, assert_same};
use crate::support::binary::{sharekeeper, stdout};

/// Variables of other tools that the pages mention for comparison. sharekeeper does not read them.
const UNREAD: [&str; 3] = [
    "TENCENTCLOUD_DOMAIN",
    "TENCENTCLOUD_PROTOCOL",
    "TENCENTCLOUD_REGION",
];

/// The variables that `help environment` lists.
fn variables() -> BTreeSet<String> {
    let help = stdout(&sharekeeper(&["help", "environment"]));
    let names = help.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()));
    let names: BTreeSet<_> = names.map(|name| name.trim().to_owned()).collect();
    assert!(
        names.contains("SHAREKEEPER_SIM") && names.len() > 60,
        "{help}"
    );
    names
}

#[test]
fn each_variable_stands_in_the_reference() {
    let named: BTreeSet<_> = ["docs/cli.md", "docs/credentials.md"]
        .map(Page::read)
        .iter()
        .flat_map(|page| codes(page.text()))
        .map(str::to_owned)
        .collect();
    let missing: BTreeSet<_> = variables().difference(&named).cloned().collect();
    assert_none("a variable stands in no page", missing);
}

#[test]
fn each_variable_that_a_page_mentions_is_read() {
    let read = variables();
    let variable = r"\b(?:SHAREKEEPER|TENCENTCLOUD|TCCLI|TKE)_[A-Z_]*[A-Z]\b";
    let variable = regex::Regex::new(variable).expect("a pattern");
    let mut mentioned = BTreeSet::new();
    for page in page::book() {
        let found = variable.find_iter(page.text());
        mentioned.extend(found.map(|name| name.as_str().to_owned()));
    }
    let unread = UNREAD.map(str::to_owned);
    let unknown = mentioned.difference(&read);
    assert_same("the book", &unread.into(), &unknown.cloned().collect());
}
