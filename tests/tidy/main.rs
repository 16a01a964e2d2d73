//! Tests of rules for the source tree: which modules a module may use, how long files may be, and whether the
//! files that the README mentions exist.

mod catalogue;
mod cycles;
mod docs;
mod functions;
mod names;
mod source;
mod variables;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use source::{Source, root};

/// The modules in ARCHITECTURE.md's table, from the lowest layer to the highest. A module may only use
/// modules of lower layers.
fn layers() -> &'static [String] {
    static LAYERS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("text");
        let table = architecture.split("| module | owns").nth(1);
        let table = table.expect("a table of modules").lines().skip(2);
        let rows = table.map_while(|row| row.strip_prefix("| `")?.split('`').next());
        rows.map(str::to_owned).collect()
    });
    &LAYERS
}

/// Modules that `sim` must not use even though they are in lower layers, because the simulator must not
/// repeat their bugs.
const SIM_MUST_NOT_KNOW: [&str; 6] = [
    "manifest", "desired", "plan", "execute", "engine", "listing",
];
/// A longer file usually has more than one subject.
const LINES_MAX: usize = 600;

/// Fails with a list of all violations, so that one run shows everything that must be fixed.
fn assert_none(rule: &str, violations: &[String]) {
    let list = violations.join("\n");
    assert!(
        violations.is_empty(),
        "{rule} ({}):\n{list}",
        violations.len()
    );
}

#[test]
fn modules_look_only_downwards() {
    let sources = source::product();
    let modules: BTreeSet<_> = sources.iter().map(Source::top).collect();
    let layers = layers().iter().map(String::as_str);
    let known: BTreeSet<_> = layers.chain(["lib", "main"]).collect();
    assert_eq!(modules, known, "each module has a row in ARCHITECTURE.md");
    let violations: Vec<_> = sources.iter().flat_map(upward_uses).collect();
    assert_none("a module uses one that it must not know", &violations);
}

/// Each place where a file uses a module of a higher layer.
fn upward_uses(source: &Source) -> Vec<String> {
    let top = source.top();
    let Some(position) = layers().iter().position(|layer| *layer == top) else {
        return Vec::new();
    };
    let is_barred = |other: &str| {
        let is_above = layers()[position + 1..].iter().any(|layer| layer == other);
        is_above || (top == "sim" && SIM_MUST_NOT_KNOW.contains(&other))
    };
    let mut violations = Vec::new();
    for named in names::names(&source.tree) {
        let module = [source.module(), named.inside].concat();
        if let Some(path) = names::from_root(&module, &named.segments)
            && path.first().is_some_and(|other| is_barred(other))
        {
            let (file, line) = (&source.path, named.line);
            violations.push(format!("{file}:{line}: `{top}` uses {}", path.join("::")));
        }
    }
    violations
}

/// `host` limits the time and the output of a program, and ends the program with all of its child processes.
#[test]
fn b7_other_programs_are_started_by_host_alone() {
    let sources = source::product();
    let elsewhere = sources.iter().filter(|source| source.top() != "host");
    let violations: Vec<_> = elsewhere
        .flat_map(|source| {
            let names = names::names(&source.tree).into_iter();
            let started = names.filter(starts_programs);
            started.map(|named| format!("{}:{}", source.path, named.line))
        })
        .collect();
    assert_none(
        "a program is started past `host::CommandRunner`",
        &violations,
    );
    let host = sources.iter().filter(|source| source.top() == "host");
    let named = host.flat_map(|source| names::names(&source.tree));
    assert!(
        named.filter(starts_programs).count() > 0,
        "the rule sees what it forbids"
    );
}

fn starts_programs(named: &names::Named) -> bool {
    let end = named.segments.rchunks(2).next();
    end.is_some_and(|end| end == ["process", "Command"])
}

#[test]
fn files_are_short_enough_to_hold_one_idea() {
    let sources = source::product().into_iter();
    let lengths = sources.map(|source| (source.lines().count(), source.path));
    let long = lengths.filter(|(lines, _)| *lines > LINES_MAX);
    let violations: Vec<_> = long
        .map(|(lines, path)| format!("{path}:1: {lines} lines"))
        .collect();
    assert_none("a file holds more than one idea", &violations);
}

#[test]
fn each_file_begins_with_what_it_is_for() {
    let folders = ["src", "tests", "benches"].into_iter();
    let silent = folders
        .flat_map(source::rust_files)
        .filter(|path| !source::read(path).starts_with("//!"));
    let violations: Vec<_> = silent.map(|path| format!("{path}:1: no `//!`")).collect();
    assert_none("a file does not begin with `//!`", &violations);
}

#[test]
fn nothing_is_left_to_do_in_comments() {
    // The words are built from parts, so that this file passes its own check.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let mut violations = Vec::new();
    for source in source::product() {
        for (number, line) in source.lines() {
            let left = words.iter().filter(|word| line.contains(word.as_str()));
            violations.extend(left.map(|word| format!("{}:{number}: {word}", source.path)));
        }
    }
    assert_none("something is left to do", &violations);
}

#[test]
fn what_the_readme_tells_people_to_run_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    for path in [
        "manifests",
        "examples",
        "ARCHITECTURE.md",
        "tests/run",
        ".ci/run",
    ] {
        assert!(
            readme.contains(path) && root().join(path).exists(),
            "{path}"
        );
    }
    assert!(readme.contains("cargo run --release -- reconcile manifests --sim"));
}

#[test]
fn an_upward_use_behind_a_test_item_is_seen() {
    let code = "#[cfg(test)]
mod fixtures_tests;
use crate::{model::Uin, engine::Engine};
fn f() -> super::super::store::Store { format!(\"{}\", crate::plan::Plan::new()) }
#[cfg(test)]
mod tests { use crate::daemon::Daemon; }
";
    let seen = upward_uses(&Source::parse("src/plan/guard.rs", code));
    let expected = [
        "src/plan/guard.rs:3: `plan` uses engine::Engine",
        "src/plan/guard.rs:4: `plan` uses store::Store",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn sim_may_use_less_than_its_layer_allows() {
    let seen = upward_uses(&Source::parse("src/sim/x.rs", "use crate::{model, plan};"));
    assert_eq!(seen, ["src/sim/x.rs:1: `sim` uses plan"]);
}
