//! Runs the controller with the real store and the simulated cloud, and makes each request to the store fail or end the
//! process. A crash leaves each set of files that a power failure can leave. The next process must open those files and
//! reach the end state of the run without failures.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::{Command, Stdio};
use std::sync::Arc;

use signal_hook::consts::SIGXFSZ;

use super::setup::Setup;
use super::state_disk::{Operation, Trouble};
use super::stories;
use super::variations::{First, Variation, check, check_by};

/// One of this many runs is made, unless all runs are requested.
const ONE_OF: usize = 13;
/// The least number of crash images over all stories.
const IMAGES_MIN: usize = 1000;

/// The environment variable that the test sets in a child process in which the disk fails.
const PART: &str = "WORLD_DISK_FAILS";

/// The runs in each of which one request has one trouble.
fn runs(
    firsts: &[First],
    troubles: impl Fn(usize, &Operation) -> Vec<Trouble>,
) -> (Vec<Variation<'_>>, BTreeMap<&'static str, usize>) {
    let (mut runs, mut names) = (Vec::new(), BTreeMap::new());
    for first in firsts {
        for (number, operation) in first.outcome.notes.operations.iter().enumerate() {
            for trouble in troubles(number, operation) {
                *names.entry(operation.name).or_default() += 1;
                runs.push(Variation {
                    first,
                    setup: Setup {
                        on_disk: true,
                        trouble: Some(trouble),
                        ..Setup::default()
                    },
                    what: format!("{}, {trouble:?}", operation.name),
                });
            }
        }
    }
    (runs, names)
}

#[test]
fn s9_s18_d4_d6_l9_a_crash_at_each_request_leaves_a_state_that_goes_on() {
    let firsts = First::of(stories::six(), true);
    let (runs, names) = runs(&firsts, |operation, of| {
        let left = (0..=of.images).map(|left| Trouble::Ends { operation, left });
        left.collect()
    });
    let all = runs.len();
    println!("{all} images of crashes {names:?}");
    assert!(all >= IMAGES_MIN, "{all}");
    println!("{} of them were gone on from", check(&runs, ONE_OF));
}

#[test]
fn d1_s9_each_request_in_turn_finds_a_full_disk() {
    let firsts = First::of(stories::six(), true);
    let (runs, names) = runs(&firsts, |operation, _| vec![Trouble::Full { operation }]);
    println!("{} requests can fail {names:?}", runs.len());
    println!("{} of them did", check(&runs, ONE_OF));
}

/// Each child process makes half of the runs, because the kernel's limit on writes applies to a whole process.
#[test]
fn d3_s9_s18_each_write_to_the_files_fails_once_at_each_frame() {
    let children = ["0", "1"].map(|part| {
        let mut command = Command::new(env::current_exe().expect("a path"));
        command
            .args(["--exact", "crashes::the_disk_fails", "--nocapture"])
            .env(PART, part)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("it starts")
    });
    for child in children {
        let ended = child.wait_with_output().expect("it ends");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (said(&ended.stdout), said(&ended.stderr));
        let lines = stdout
            .lines()
            .filter(|line| line.contains("writes can fail"));
        lines.for_each(|line| println!("{line}"));
        assert!(ended.status.success(), "{stdout}\n{stderr}");
    }
}

/// Does nothing unless the test above starts it in a child process.
#[test]
fn the_disk_fails() {
    let Ok(part) = env::var(PART) else {
        return;
    };
    // With a handler for the signal, the write fails. Without one, the signal would end the process.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).expect("a handler");
    let part: usize = part.parse().expect("a number");
    let stories = (0..).zip(stories::six());
    let stories = stories.filter(|(place, _)| place % 2 == part);
    let firsts = First::of(stories.map(|(_, story)| story).collect(), true);
    let (runs, names) = runs(&firsts, |operation, of| {
        let cuts = [0, 100, 24 + 4096, of.written.saturating_sub(1)];
        let cuts: BTreeSet<_> = cuts.into_iter().filter(|cut| *cut < of.written).collect();
        let fails = cuts.into_iter();
        fails
            .map(|after| Trouble::Fails { operation, after })
            .collect()
    });
    let made = check_by(1, &runs, ONE_OF);
    println!(
        "{} writes can fail {names:?}, of which {made} did",
        runs.len()
    );
}
