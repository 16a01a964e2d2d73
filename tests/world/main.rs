//! Simulates the whole controller in a world drawn from one seed: accounts, images, people, faults, crashes and time.
//! An independent checker verifies the invariants without knowing the product's plans. `WORLD_SEEDS` sets the number of
//! seeds, `WORLD_SEED=… cargo test --test world replay -- --nocapture` runs one seed, and with `WORLD_ALL` the test
//! continues after a failed seed.

#![allow(
    clippy::print_stdout,
    reason = "says how much was tried, and how to replay it"
)]

mod active_faults;
mod books;
mod builds;
mod checker;
mod crash_images;
mod crashes;
mod documents;
mod draw;
mod draw_locks;
mod draw_more;
mod draw_names;
mod draw_rules;
mod ending;
mod fixed;
mod images;
mod jobs;
mod judge;
mod listing;
mod lock_file;
mod machine;
mod manifests;
mod model;
mod named_stories;
mod observations;
mod outputs;
mod people;
mod perturbation;
mod process;
mod record;
mod refusals;
mod run;
mod scenario;
mod setup;
mod shrink;
mod snapshot;
mod state_disk;
mod stories;
#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../it/support/cloud/mod.rs"]
mod support;
mod variations;
mod verdicts;
mod views;

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use run::Outcome;
use scenario::Scenario;

/// The number of seeds unless `WORLD_SEEDS` sets another one.
const SEEDS: u64 = 24;
/// The most runs that minimise a failing scenario.
const TRIES: usize = 300;

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn every_invariant_holds_whatever_happens() {
    let first = number("WORLD_FIRST").unwrap_or(0);
    let seeds = number("WORLD_SEEDS").unwrap_or(SEEDS);
    let goes_on = env::var_os("WORLD_ALL").is_some();
    let next = AtomicU64::new(first);
    let has_failed = AtomicBool::new(false);
    let work = || {
        let (mut simulated, mut writes, mut failures) = (Duration::ZERO, 0, Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || has_failed.load(Ordering::Relaxed) {
                return (simulated, writes, failures);
            }
            let outcome = run::live(&draw::scenario(seed));
            simulated += outcome.simulated;
            writes += outcome.writes;
            if !outcome.violations.is_empty() {
                has_failed.store(!goes_on, Ordering::Relaxed);
                failures.push((seed, outcome.violations));
            }
        }
    };
    let (mut simulated, mut writes, mut failures) = (Duration::ZERO, 0, Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (time, count, failed) = worker.join().expect("it does not panic");
            simulated += time;
            writes += count;
            failures.extend(failed);
        }
    });
    failures.sort();
    let tried = next.into_inner().min(first + seeds) - first;
    let hours = simulated.as_secs() / 3600;
    // Past the harness's capture: how much was tried is worth reading although nothing failed.
    let _ = writeln!(
        io::stderr(),
        "{tried} seeds from {first}: {hours} simulated hours, {writes} writes"
    );
    for (seed, violations) in &failures {
        println!("seed {seed}: {violations:#?}");
        println!("WORLD_SEED={seed} cargo test --test world replay -- --nocapture");
    }
    assert!(failures.is_empty(), "found after {tried} seeds");
}

/// Replays one seed. If it fails, prints a minimised scenario for `tests/world/cases`.
#[test]
fn replay() {
    let Some(seed) = number("WORLD_SEED") else {
        return;
    };
    let scenario = draw::scenario(seed);
    let outcome = run::live(&scenario);
    println!("{}\n{}", scenario.text(), outcome.record.text());
    let Some(invariant) = shrink::invariant(&outcome) else {
        return;
    };
    println!("{:#?}", outcome.violations);
    let is_same = |outcome: &Outcome| shrink::invariant(outcome).as_ref() == Some(&invariant);
    let small = shrink::shrink(&scenario, TRIES, is_same);
    let outcome = run::live(&small);
    println!("{}", outcome.record.text());
    panic!(
        "{:#?}\nthe same, made small:\n{}",
        outcome.violations,
        small.text()
    );
}

#[test]
fn every_case_that_is_kept_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/cases");
    let files = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "there are cases");
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let scenario: Scenario = serde_json::from_str(&text).expect("a scenario");
        let outcome = run::live(&scenario);
        assert!(outcome.writes > 0, "{}: nothing happens", file.display());
        let violations = outcome.violations;
        assert!(violations.is_empty(), "{}: {violations:#?}", file.display());
    }
}

#[test]
fn a_world_is_made_small_and_keeps_what_is_looked_for() {
    let has_cancel = |outcome: &Outcome| outcome.record.has_sent(r#""Permission":"CANCEL""#);
    let scenario = (0..)
        .map(draw::scenario)
        .find(|scenario| scenario.faults.len() > 4 && has_cancel(&run::live(scenario)))
        .expect("one of them cancels");
    let small = shrink::shrink(&scenario, 30, has_cancel);
    assert!(has_cancel(&run::live(&small)));
    assert!(
        small.faults.len() < scenario.faults.len(),
        "{}",
        small.text()
    );
    assert!(small.events.len() <= scenario.events.len());
    let again: Scenario = serde_json::from_str(&small.text()).expect("a scenario");
    assert_eq!(again, small, "it can be kept as a text");
}

#[test]
fn s15_one_seed_is_one_world() {
    for seed in 0..3 {
        let scenario = draw::scenario(seed);
        assert_eq!(scenario, draw::scenario(seed), "seed {seed}");
        let (once, again) = (run::live(&scenario), run::live(&scenario));
        assert!(!once.record.is_empty(), "seed {seed}: something happens");
        assert!(once == again, "seed {seed}");
    }
}
