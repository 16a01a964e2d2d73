//! Hostile and huge text: the parser answers with errors, does not panic, and prints nothing unsafe.

use super::*;

const WINDOWS: &str = "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: a}\nspec:\n  windows:\n    - {kind: deny, days: [fri-sun], from: '18:00', to: '06:00', timeZone: Asia/Shanghai, causes: [pruned]}\n    - {kind: allow, schedule: '0 9 * * 1-5', duration: 8h, timeZone: UTC, reason: x}\n";

const RESTRICTION: &str = "apiVersion: sharekeeper.dev/v1\nkind: Restriction\nmetadata: {name: a}\nspec: {directory: ./a, restrict: {accounts: [default, a-*], regions: [ap-tokyo], images: [img-a?]}}\n---\n";

const POLICY: &str = "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {name: a}\nspec:\n  regions: [ap-tokyo, ap-seoul]\n  match: {name: 'a*', nameRegex: 'a(?<version>\\d+)', tags: {a: b}, createdAfter: 2026-01-01T00:00:00Z}\n  exclude: [{id: img-a, reason: x}]\n  order: semver\n  semver: {range: '>=1'}\n  minAge: 24h\n  keep: {newest: 3, unshareAfter: 0}\n  pin: [{regions: [ap-seoul], names: [a1], until: 2026-12-15T00:00:00Z}]\n  revoke: [{name: a2, at: 2026-12-15T00:00:00Z, replacement: a3, force: true}]\n  lock: required\n---\n";

const LOCK: &str = "apiVersion: sharekeeper.dev/v1\nkind: ImageShareLock\nspec: {policies: [{name: a, digest: 0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b0a1b, regions: {ap-tokyo: [{id: img-a, name: a}]}}]}\n";

#[test]
fn what_the_mutations_begin_with_is_valid() {
    for text in [
        GOOD.to_owned(),
        WINDOWS.to_owned(),
        POLICY.to_owned(),
        format!("{POLICY}{LOCK}"),
    ] {
        let loaded = parse_one(&text);
        assert!(loaded.is_ok(), "{text}{}", shown(&loaded));
    }
}

#[test]
fn m7_hostile_text_ends_in_an_error() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "&a ".repeat(1000),
        "\t".repeat(10),
    ] {
        assert!(parse_one(&text).is_err());
    }
    let chain: String = (1..50_000)
        .map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1))
        .collect();
    assert!(parse_one(&format!("a0: &a0 x\n{chain}")).is_err());
}

#[test]
fn m20_a_hundred_thousand_images_in_one_file_load() {
    let mut text = String::from(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: a}\nspec:\n  region: ap-tokyo\n  images:\n",
    );
    for n in 0..100_000 {
        writeln!(
            text,
            "    - id: img-{n:08}\n      state: shared\n      note: number {n}"
        )
        .expect("a String takes all");
    }
    let loaded = parse_one(&text).expect("valid");
    assert_eq!(loaded.desired.images.len(), 100_000);
}

#[test]
fn a_file_of_the_wrong_kind_lists_a_bounded_number_of_errors() {
    let text: String = (0..5000).map(|n| format!("field{n}: x\n")).collect();
    let Err(diagnostics) = parse_one(&text) else {
        panic!("has errors")
    };
    assert_eq!(diagnostics.errors().len(), 100);
    assert!(
        diagnostics
            .render(false)
            .contains("5002 errors in 1 file, of which 4902 are not listed")
    );
}

/// `no_text_makes_the_parser_panic` once failed with this text.
#[test]
fn a_letter_of_several_bytes_before_a_colon_is_an_error() {
    assert!(parse_one("ଅ:").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse_one(&text);
    }

    #[test]
    fn no_mutation_of_a_manifest_makes_the_parser_panic_or_the_report_unsafe(
        good in prop_oneof![
            Just(GOOD.to_owned()), Just(WINDOWS.to_owned()), Just(format!("{RESTRICTION}{GOOD}")),
            Just(format!("{POLICY}{LOCK}")), Just(POLICY.to_owned()),
        ], at in 0.0..1.0, cut in 0usize..20,
        insert in "[\\[\\]{}:,#&*!|>'\"%@`\\-? \n\t\u{1b}\u{202e}a-z0-9/]{0,8}",
    ) {
        let at = (at * good.len() as f64) as usize;
        let end = (at + cut).min(good.len());
        let text = format!("{}{insert}{}", &good[..at], &good[end..]);
        let shown = shown(&parse_one(&text));
        prop_assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    }
}
