//! Runs each `console` block of the book and compares its output with the output that the page shows. `...` stands
//! for any lines, and `[..]` for any part of a line. Times, addresses and ids of requests and blueprints may differ.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::thread;

use regex::Regex;

use super::assert_none;
use super::page::{Page, book};
use super::shell::Shell;

/// The beginnings of commands that no test runs, each with the reason.
const NOT_RUN: [(&str, &str); 3] = [
    (
        "cargo run ",
        "builds the program; the tests of `reconcile --sim` run what it starts",
    ),
    (
        "cargo install ",
        "builds the program and changes the machine",
    ),
    ("./tests/run", "runs this test, too"),
];
/// Not every machine has this program.
const CURL: &str = "curl ";
/// Commands that run until they are stopped. The test runs them in the background of the commands that follow.
const GOES_ON: [&str; 2] = ["sharekeeper run", "sharekeeper sim"];
/// This page begins in an empty directory, because it shows the first steps. Other pages use the manifests of the
/// repository.
const FROM_NOTHING: &str = "docs/guide.md";

/// A command in a block, with the output lines that the page shows below it.
struct Step<'a> {
    command: &'a str,
    shown: Vec<&'a str>,
}

/// The steps of a block, each of which begins with `$ `.
fn steps(block: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let shown = Vec::new();
            steps.push(Step { command, shown });
        } else if let Some(step) = steps.last_mut() {
            step.shown.push(line);
        } else {
            panic!("a block begins with a command: {block}");
        }
    }
    steps
}

/// Replaces everything in a text that differs from run to run by a fixed word.
fn settled(text: &str) -> String {
    let patterns = [
        (r"\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?Z", "<time>"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "<request>"),
        (r"127\.0\.0\.1:\d+", "<address>"),
        (r"lhbp-[0-9a-f]{8}", "<blueprint>"),
        // sharekeeper reads until the effect of a write is visible, so the number of reads depends on timing.
        (r"\d+ reads, \d+\.\d s", "<reads and time>"),
        (r"about \d+\.\d s", "<time>"),
    ];
    patterns
        .iter()
        .fold(text.to_owned(), |text, (pattern, word)| {
            let pattern = Regex::new(pattern).expect("a pattern");
            match pattern.replace_all(&text, *word) {
                Cow::Borrowed(_) => text,
                Cow::Owned(replaced) => replaced,
            }
        })
}

/// The difference between what the page shows and what the command printed. A page that shows no output makes no
/// claim.
fn difference(step: &Step<'_>, printed: &str) -> Option<String> {
    if step.shown.is_empty() {
        return None;
    }
    let whole = |text: &str| format!("{}\n", settled(text).trim_end());
    let (shown, printed) = (whole(&step.shown.join("\n")), whole(printed));
    let name: Option<&dyn Display> = Some(&step.command);
    let compared = snapbox::Assert::new().try_eq(name, printed.into(), shown.into());
    compared.err().map(|error| error.to_string())
}

/// Runs all commands of a page in one terminal from top to bottom. Returns the differences found and how many
/// commands ran.
fn run(page: &Page) -> (Vec<String>, usize) {
    let mut shell = match page.name == FROM_NOTHING {
        true => Shell::new(&["examples"]),
        false => Shell::new(&["examples", "manifests"]),
    };
    let (mut wrong, mut count) = (Vec::new(), 0);
    for block in page.blocks() {
        if let Some(file) = &block.file {
            shell.write(file, &block.text);
        }
        if block.language != "console" {
            continue;
        }
        let steps = steps(&block.text);
        for (place, step) in steps.iter().enumerate() {
            if NOT_RUN
                .iter()
                .any(|(start, _)| step.command.starts_with(start))
            {
                continue;
            }
            if step.command.starts_with(CURL) && shell.run("command -v curl").status != 0 {
                // If stderr is closed, nobody reads the message, so the error is ignored.
                let _ = writeln!(std::io::stderr(), "skipped: curl is not found");
                continue;
            }
            count += 1;
            let asks_status = steps
                .get(place + 1)
                .is_some_and(|next| next.command == "echo $?");
            let problem = take(&mut shell, step, asks_status);
            wrong.extend(
                problem.map(|problem| format!("{}: $ {}: {problem}", page.name, step.command)),
            );
        }
    }
    (wrong, count)
}

/// Runs one command. It must succeed, unless the next command of the page shows its exit status.
fn take(shell: &mut Shell, step: &Step<'_>, asks_status: bool) -> Option<String> {
    if step.command.starts_with("export ") {
        shell.export(step.command);
        return None;
    }
    if GOES_ON.iter().any(|start| step.command.starts_with(start)) {
        let lines: Vec<_> = step
            .shown
            .iter()
            .copied()
            .filter(|line| *line != "...")
            .collect();
        let printed = shell.start(step.command, &lines);
        let command = step.command;
        return difference(
            &Step {
                command,
                shown: lines,
            },
            &printed,
        );
    }
    let printed = shell.run(step.command);
    if printed.status != 0 && !asks_status {
        return Some(format!("ends with {}\n{}", printed.status, printed.stderr));
    }
    // A command that fails prints the reason on stderr.
    let seen = match printed.stdout.is_empty() {
        true => printed.stderr,
        false => printed.stdout,
    };
    difference(step, &seen)
}

#[test]
fn each_command_in_the_book_prints_what_the_page_shows() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    let pages = book();
    thread::scope(|scope| {
        let started: Vec<_> = pages.iter().map(|page| scope.spawn(|| run(page))).collect();
        for page in started {
            let (problems, ran) = page.join().expect("a page ends");
            wrong.extend(problems);
            count += ran;
        }
    });
    assert_none("a command does not print what a page shows", wrong);
    assert!(count > 25, "commands are found at all: {count}");
}

#[test]
fn a_command_that_prints_something_else_is_noticed() {
    let steps = steps("$ sharekeeper validate\nValid: 1 document, [..].\n...\n");
    let [step] = &steps[..] else {
        panic!("one step");
    };
    assert_eq!(difference(step, "Valid: 1 document, 2 images.\n"), None);
    assert!(difference(step, "Valid: 2 documents, 2 images.\n").is_some());
}
