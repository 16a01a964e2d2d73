//! Rejects private words in identifiers: the code once used them where the field has standard words. Prose is
//! not checked.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};

use crate::source::{read, rust_files};

/// Each retired word, and its replacement. A word that also has a common plain meaning is not in the list.
const RETIRED: &[(&str, &str)] = &[
    ("Addressee", "Destination"),
    ("Beat", "CommitPacer"),
    ("beat", "pacer"),
    ("blank_looks", "empty_passes"),
    ("BLUR", "TIMER_SLACK"),
    ("Courier", "DeliveryWorker"),
    ("courier", "worker"),
    ("deeds", "transactions"),
    ("Dice", "Rng"),
    ("draw_way", "sample_delay"),
    ("ERA", "EPOCH"),
    ("Fate", "FaultPlan"),
    ("Fetched", "Temporary"),
    ("Flaw", "InvalidValue"),
    ("forgive", "reset_backoff"),
    ("Gate", "CircuitBreaker"),
    ("glance", "observe_once"),
    ("govern", "restrict"),
    ("GOVERNORS_MAX", "RESTRICTIONS_PER_FILE_MAX"),
    ("Haste", "Priority"),
    ("haste", "priority"),
    ("Holdings", "Inventory"),
    ("holdings", "inventory"),
    ("is_passed_over", "is_ignored"),
    ("keyring", "cache"),
    ("Keyring", "ProviderCache"),
    ("Lane", "WriteBucket"),
    ("lesson", "change"),
    ("Lesson", "InventoryChange"),
    ("Letter", "Delivery"),
    ("license", "approved"),
    ("License", "ApprovedActions"),
    ("Look", "Observation, Probe or Snapshot"),
    ("looks_in_vain", "idle_rounds"),
    ("Mailbox", "Queue"),
    ("mailbox", "queue"),
    ("manner", "options"),
    ("Manner", "ReadOptions"),
    ("meddle", "external_change"),
    ("Memory", "AttemptLog"),
    ("Moment", "Monotonic"),
    ("notices", "webhooks"),
    ("Obtained", "Resolved"),
    ("Offered", "SimAction"),
    ("Patient", "AccountCheck"),
    ("patient", "check"),
    ("Pen", "HistoryWriter"),
    ("pen", "writer"),
    ("Programs", "CommandRunner"),
    ("Proofs", "CredentialStatus"),
    ("Rails", "ActiveRestrictions"),
    ("rails", "restrictions"),
    ("recall", "ledger"),
    ("Recall", "LedgerReader"),
    ("Regional", "RegionalImage"),
    ("remarks", "operator"),
    ("Remarks", "OperatorStore"),
    ("Surroundings", "Environment"),
    ("Tried", "ImageAttempts"),
    ("Turns", "Schedule"),
    ("unlicensed", "not_prunable"),
    ("voice", "publisher"),
    ("Voice", "StatusPublisher"),
    ("Warmth", "ConnectionReuse"),
    ("warmth", "reuse"),
    ("Way", "ArrivalEstimator, LinkDelay or KeyUse"),
    ("weather", "fault_plan"),
    ("WhileGitWorks", "GitBusyPolicy"),
];

#[test]
fn retired_words_do_not_come_back() {
    let files = ["src", "tests", "benches"].into_iter().flat_map(rust_files);
    let violations: Vec<_> = files
        .flat_map(|path| retired_words(&path, &read(&path)))
        .collect();
    crate::assert_none("an identifier has a word that was replaced", &violations);
}

/// One line for each retired word in a file, with its first place and its number of uses.
fn retired_words(path: &str, text: &str) -> Vec<String> {
    let tokens = text
        .parse()
        .unwrap_or_else(|error| panic!("{path}: not Rust: {error}"));
    let mut found = BTreeMap::new();
    identifiers(tokens, &mut found);
    let retired = found.into_iter().filter_map(|(word, lines)| {
        let (_, new) = RETIRED.iter().find(|(old, _)| *old == word)?;
        let (first, times) = (lines.first()?, lines.len());
        Some(format!(
            "{path}:{first}: {word} (times: {times}): say {new}"
        ))
    });
    retired.collect()
}

/// Every identifier, with the lines in which it is used. A doc comment is a literal token, so that its words
/// do not count.
fn identifiers(tokens: TokenStream, found: &mut BTreeMap<String, Vec<usize>>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => identifiers(group.stream(), found),
            TokenTree::Ident(ident) => {
                let lines = found.entry(ident.to_string()).or_default();
                lines.push(ident.span().start().line);
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

#[test]
fn a_retired_word_is_found_in_code_and_not_in_prose() {
    let code = "/// Holdings of a courier.
// Holdings.
fn f(given: &Holdings) -> HoldingsView { format!(\"Holdings {}\", Holdings::new()) }
";
    let seen = retired_words("src/x.rs", code);
    assert_eq!(seen, ["src/x.rs:3: Holdings (times: 2): say Inventory"]);
}
