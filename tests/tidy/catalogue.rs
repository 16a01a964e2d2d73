//! Compares the ids that begin the names of tests with the tables in `docs/faults.md` and ARCHITECTURE.md,
//! and checks the paths that the documents name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::assert_none;
use crate::source::root;

/// The documents whose tables list ids. Each row begins like `| **A1**`.
const CATALOGUE: [&str; 2] = ["ARCHITECTURE.md", "docs/faults.md"];
/// The documents in which every named path must exist.
const NAMING_PATHS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/faults.md"];

/// The name of a test, without Python's `test_`, and the file that contains it.
struct TestName {
    name: String,
    file: String,
}

/// The names of all tests in Rust and in Python, beside the code and in `tests`. A golden case is a test with
/// the name of its file, and so is a rule in `tests/world/reverts`.
fn test_names() -> Vec<TestName> {
    let mut names = Vec::new();
    for folder in ["src", "tests"] {
        collect(Path::new(folder), &mut names);
    }
    names
}

fn collect(folder: &Path, names: &mut Vec<TestName>) {
    for entry in fs::read_dir(root().join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(&path, names);
            continue;
        }
        let mut add = |name: &str| {
            names.push(TestName {
                name: name.strip_prefix("test_").unwrap_or(name).to_owned(),
                file: path.display().to_string(),
            });
        };
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("rs" | "py") => {
                let text = fs::read_to_string(entry.path()).expect("text");
                text.lines().filter_map(function).for_each(add);
            }
            _ => add(&path.file_stem().expect("a name").to_string_lossy()),
        }
    }
}

/// The name of the function that begins in this line.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let starts = ["fn ", "async fn ", "def "];
    let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
    rest.split(['(', '<']).next()
}

/// The ids at the beginning of a name, in capital letters.
fn ids(name: &str) -> Vec<String> {
    let words = name.split('_').take_while(|word| is_id(word));
    words.map(str::to_uppercase).collect()
}

/// Whether a word is the letters of a table followed by a number.
fn is_id(word: &str) -> bool {
    let letters = word.trim_end_matches(|it: char| it.is_ascii_digit());
    let is_list = matches!(letters.as_bytes(), [b'a'..=b'z'] | b"nc" | b"nm");
    is_list && letters.len() < word.len()
}

/// The rows of the tables, each with its document.
fn rows() -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    for document in CATALOGUE {
        let text = fs::read_to_string(root().join(document)).expect("text");
        let listed = text.lines().filter(|line| line.starts_with("| **"));
        rows.extend(listed.map(|line| (document, line.to_owned())));
    }
    rows
}

/// The ids in the first cells of all rows.
fn listed_ids() -> BTreeSet<String> {
    let id = Regex::new(r"\*\*([A-Z]{1,2}[0-9]+)\*\*").expect("an expression");
    let mut listed = BTreeSet::new();
    for (_, row) in rows() {
        let first = row.split('|').nth(1).expect("a cell");
        listed.extend(id.captures_iter(first).map(|found| found[1].to_owned()));
    }
    listed
}

#[test]
fn each_id_in_the_name_of_a_test_is_in_the_catalogue() {
    let listed = listed_ids();
    let mut violations = BTreeSet::new();
    for test in test_names() {
        let unlisted = ids(&test.name)
            .into_iter()
            .filter(|id| !listed.contains(id));
        violations.extend(unlisted.map(|id| format!("{}: {id} of {}", test.file, test.name)));
    }
    let violations: Vec<_> = violations.into_iter().collect();
    assert_none(
        "add to docs/faults.md what these ids of tests mean",
        &violations,
    );
}

#[test]
fn each_id_in_the_catalogue_has_a_test() {
    let names = test_names();
    let tested: BTreeSet<_> = names.iter().flat_map(|test| ids(&test.name)).collect();
    let listed = listed_ids();
    assert!(listed.len() > 150, "the tables of ids were not found");
    let violations: Vec<_> = listed.difference(&tested).cloned().collect();
    assert_none("no test's name begins with these ids", &violations);
}

#[test]
fn each_row_of_the_catalogue_names_tests_that_exist() {
    let names = test_names();
    let (mut checked, mut violations) = (0, Vec::new());
    for (document, row) in rows() {
        let last = row.rsplit('|').nth(1).expect("a cell");
        for start in last.split('`').filter_map(|word| word.strip_suffix('…')) {
            checked += 1;
            let inside = format!("_{start}");
            let is_named =
                |test: &TestName| test.name.starts_with(start) || test.name.contains(&inside);
            if !names.iter().any(is_named) {
                violations.push(format!("{document}: `{start}…`"));
            }
        }
    }
    assert!(checked > 150, "the tables of ids were not found");
    assert_none("no test has a name that begins so", &violations);
}

/// A path is relative to the repository's root or to `src`.
#[test]
fn each_path_that_the_documents_name_exists() {
    let (mut checked, mut violations) = (0, Vec::new());
    for document in NAMING_PATHS {
        let text = fs::read_to_string(root().join(document)).expect("text");
        for (number, line) in text.lines().enumerate() {
            for path in line.split('`').skip(1).step_by(2).filter_map(path) {
                checked += 1;
                let places = [root().join(path), root().join("src").join(path)];
                if !places.iter().any(|place| place.exists()) {
                    violations.push(format!("{document}:{}: `{path}`", number + 1));
                }
            }
        }
    }
    assert!(checked > 150, "the paths were not found");
    assert_none("a path leads nowhere", &violations);
}

/// The path in a text between backticks, if the text is one: words with slashes between them, or a file name
/// with a known extension.
fn path(text: &str) -> Option<&str> {
    static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
        let shape = r"^[\w.-]+(/[\w.-]+)+$|^[\w-]+\.(rs|md|toml)$";
        Regex::new(shape).expect("an expression")
    });
    let text = text.strip_prefix("./").unwrap_or(text);
    SHAPE.is_match(text).then_some(text)
}

#[test]
fn ids_begin_a_name_and_end_where_its_words_begin() {
    for (name, expected) in [
        ("c1_s13_a_wrong_clock", &["C1", "S13"][..]),
        ("nm3_a_summary", &["NM3"]),
        ("g9_e_a_file", &["G9"]),
        ("what_c1_does", &[]),
        ("tc3_signature", &[]),
    ] {
        assert_eq!(ids(name), expected, "{name}");
    }
    assert_eq!(function("    async fn s1_a<T>(it: T) {"), Some("s1_a"));
    assert_eq!(function("let it = fn_of(x);"), None);
}

#[test]
fn a_path_is_told_from_other_texts() {
    for (text, expected) in [
        ("plan/guard.rs", Some("plan/guard.rs")),
        ("./tests/run", Some("tests/run")),
        ("build.rs", Some("build.rs")),
        ("/status.json", None),
        ("cargo test s7_", None),
        ("plan::Plan", None),
    ] {
        assert_eq!(path(text), expected, "{text}");
    }
}
