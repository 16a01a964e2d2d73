//! Rules of the tree, as tests: which way modules may look, how long files may be, and that what the
//! README tells people to run exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the bottom up. A module may use those before it, and nothing else (ARCHITECTURE.md).
const LAYERS: [&str; 29] = [
    "words",
    "model",
    "windows",
    "desired",
    "observation",
    "inventory",
    "attempts",
    "history",
    "ledger",
    "host",
    "pace",
    "api",
    "plan",
    "execute",
    "manifest",
    "listing",
    "store",
    "engine",
    "status",
    "schedule",
    "source",
    "notices",
    "report",
    "doctor",
    "metrics",
    "web",
    "serve",
    "daemon",
    "sim",
];
/// Beyond the order, what `sim` must not know, so that it cannot agree with our bugs.
const SIM_MUST_NOT_KNOW: [&str; 6] = [
    "manifest", "desired", "plan", "execute", "engine", "listing",
];
/// A file longer than this holds more than one idea.
const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Each module's source, without its tests.
fn modules() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let source = root().join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut modules: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in files {
        let inside = file
            .strip_prefix(&source)
            .expect("inside")
            .to_string_lossy()
            .into_owned();
        let module = inside.split(['/', '.']).next().expect("a name").to_owned();
        let text = fs::read_to_string(&file).expect("text");
        let code = text
            .split("#[cfg(test)]")
            .next()
            .expect("a part")
            .to_owned();
        if !inside.ends_with("_tests.rs") {
            modules.entry(module).or_default().push((file, code));
        }
    }
    modules
}

#[test]
fn modules_look_only_downwards() {
    let modules = modules();
    for (position, module) in LAYERS.iter().enumerate() {
        let files = modules
            .get(*module)
            .unwrap_or_else(|| panic!("there is no module {module}"));
        let above = LAYERS[position + 1..].iter().chain(["cli"].iter());
        let barred: Vec<_> = match *module {
            "sim" => above.chain(&SIM_MUST_NOT_KNOW).collect(),
            _ => above.collect(),
        };
        for (file, code) in files {
            let code: String = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            for other in &barred {
                let uses = code.contains(&format!("crate::{other}::"))
                    || code.contains(&format!("crate::{other};"));
                assert!(
                    !uses,
                    "{} uses `{other}`, which stands above `{module}`",
                    file.display()
                );
            }
        }
    }
    let known = LAYERS.len() + ["cli", "lib", "main"].len();
    assert_eq!(
        modules.len(),
        known,
        "a new module has a place among LAYERS: {:?}",
        modules.keys()
    );
}

#[test]
fn files_are_short_enough_to_hold_one_idea() {
    for (file, code) in modules().into_values().flatten() {
        let lines = code.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines: split it",
            file.display()
        );
    }
}

#[test]
fn nothing_is_left_to_do_in_comments() {
    let words = ["TO", "FIX", "XX"].map(|start| {
        format!(
            "{start}{}",
            if start == "TO" {
                "DO"
            } else if start == "FIX" {
                "ME"
            } else {
                "X"
            }
        )
    });
    for (file, code) in modules().into_values().flatten() {
        for word in &words {
            assert!(
                !code.contains(word.as_str()),
                "{} holds {word}",
                file.display()
            );
        }
    }
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
fn links_lead_somewhere() {
    let docs = fs::read_dir(root().join("docs")).expect("a folder");
    let docs = docs.map(|entry| entry.expect("an entry").path());
    let tops = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name));
    for page in docs.chain(tops) {
        let text = fs::read_to_string(&page).expect("text");
        let links = text.split("](").skip(1);
        for link in links.filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("a folder").join(file),
            };
            let leads = target.exists() && (heading.is_empty() || has_heading(&target, heading));
            assert!(leads, "{} links to {link}", page.display());
        }
    }
}

/// Whether a page has a heading that is linked to by that name.
fn has_heading(page: &Path, link: &str) -> bool {
    let text = fs::read_to_string(page).expect("text");
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    headings.any(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        words.replace(' ', "-") == link
    })
}

/// Every test's name, in Rust and in Python, here and beside the code.
fn test_names() -> String {
    fn collect(folder: &Path, names: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                collect(&path, names);
            } else if matches!(ending, Some("rs" | "py")) {
                let text = fs::read_to_string(&path).expect("text");
                let named = text.lines().map(str::trim_start);
                for line in named.filter(|line| {
                    ["fn ", "async fn ", "def test_"]
                        .iter()
                        .any(|start| line.starts_with(start))
                }) {
                    names.push_str(&line.replace("test_", "_"));
                    names.push('\n');
                }
            }
            // A golden case is a test named after its file.
            names.push_str(&format!(
                "_{}\n",
                path.file_stem().expect("a name").to_string_lossy()
            ));
        }
    }
    let mut names = String::new();
    for folder in ["src", "tests"] {
        collect(&root().join(folder), &mut names);
    }
    names
}

#[test]
fn each_invariant_names_tests_that_are_there() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("text");
    let rows = architecture.lines().filter(|line| line.starts_with("| **"));
    let (names, mut checked) = (test_names(), 0);
    for row in rows {
        let tests = row.rsplit('|').nth(1).expect("three columns");
        for id in tests.split('`').filter_map(|word| word.strip_suffix('…')) {
            let known = [format!(" {id}"), format!("_{id}")];
            assert!(
                known.iter().any(|known| names.contains(known)),
                "ARCHITECTURE.md names tests `{id}…`, and there are none"
            );
            checked += 1;
        }
    }
    assert!(checked > 40, "the table of invariants was not found");
}
