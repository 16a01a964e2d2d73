//! The differences between policies that change the digest, and those that do not.

use std::sync::Arc;

use crate::desired::Policy;
use crate::manifest::{SourceText, parse};

/// A policy with every field.
const SPEC: &str = "
  regions: [ap-singapore, eu-frankfurt]
  match: {name: 'a*', nameRegex: 'a(?<version>.*)', family: f, tags: {x: w, u: v}, osName: o, platform: p, architecture: r, createdAfter: 2026-01-01T00:00:00Z, createdBefore: 2027-01-01T00:00:00Z}
  deprecated: retire
  exclude: [{name: '*-rc', reason: not ready}, {id: img-bad}]
  order: semver
  semver: {range: '>=1.4, <2'}
  minAge: 24h
  availability: all
  keep: {newest: 3, minimum: 2, unshareAfter: 72h, inUse: cancel, maxCancels: 7, owned: true}
  pin: [{regions: [ap-singapore], names: [a1, a2], reason: x, until: 2026-12-15T00:00:00Z}, {regions: [eu-frankfurt], names: [a3]}]
  revoke: [{name: a7, reason: x, at: 2026-11-30T00:00:00Z, replacement: a8, force: true}, {id: img-old}]
  lock: required
";

fn policy(head: &str, spec: &str) -> Arc<Policy> {
    let account = "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: prod}\n---\n";
    let text = format!(
        "{account}apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {head}\nspec:{spec}"
    );
    let loaded = parse(vec![SourceText::new("p.yaml", text.clone())]);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{text}{}", errors.render(false)));
    let mut policies = loaded.desired.policies.into_values();
    policies.next().expect("a scope").remove(0)
}

fn digest(spec: &str) -> Arc<str> {
    Arc::clone(&policy("{name: a}", spec).digest)
}

/// The spec with one text replaced.
fn with(from: &str, to: &str) -> String {
    assert_eq!(SPEC.matches(from).count(), 1, "{from}");
    SPEC.replacen(from, to, 1)
}

#[test]
fn what_means_the_same_has_the_same_digest() {
    let digest_of_spec = digest(SPEC);
    assert_eq!(digest_of_spec.len(), 64);
    for (from, to) in [
        (
            "[ap-singapore, eu-frankfurt]",
            "[eu-frankfurt, ap-singapore]",
        ),
        ("{x: w, u: v}", "{u: v, x: w}"),
        (
            "createdAfter: 2026-01-01T00:00:00Z",
            "createdAfter: 2026-01-01T08:00:00+08:00",
        ),
        ("reason: not ready", "reason: 7"),
        (
            "{name: '*-rc', reason: not ready}, {id: img-bad}",
            "{id: img-bad}, {name: '*-rc'}, {id: img-bad}",
        ),
        ("'>=1.4, <2'", "'<2, >=1.4'"),
        ("24h", "1d"),
        ("72h", "3days"),
        ("[a1, a2]", "[a2, a1]"),
        (
            "{regions: [ap-singapore], names: [a1, a2], reason: x, until: 2026-12-15T00:00:00Z}, {regions: [eu-frankfurt], names: [a3]}",
            "{regions: [eu-frankfurt], names: [a3], reason: z}, {regions: [ap-singapore], names: [a1, a2], until: 2026-12-15T00:00:00Z}",
        ),
        ("{id: img-old}", "{id: img-old, reason: old, force: false}"),
        ("  lock:", "  account: default # written out\n  lock:"),
        // A changed lock mode makes no existing lock stale.
        ("lock: required", "lock: optional"),
    ] {
        assert_eq!(digest(&with(from, to)), digest_of_spec, "{from} → {to}");
    }
    let renamed = policy("{name: b, labels: {c: d}}", SPEC);
    assert_eq!(renamed.digest, digest_of_spec);
}

#[test]
fn defaults_that_are_written_out_change_no_digest() {
    let short = "\n  region: ap-tokyo\n  match: {name: a}\n  keep: {newest: 2}\n";
    let long = "
  account: default
  regions: [ap-tokyo]
  match: {name: a}
  order: created
  minAge: 0
  availability: each
  keep: {newest: 2, minimum: 1, unshareAfter: 0s, inUse: keep, maxCancels: 5, owned: false}
  lock: optional
";
    assert_eq!(digest(short), digest(long));
    let pinned = format!("{short}  pin: [{{names: [a]}}]\n");
    let in_its_region = format!("{short}  pin: [{{names: [a], regions: [ap-tokyo]}}]\n");
    assert_eq!(digest(&pinned), digest(&in_its_region));
    assert_ne!(digest(&pinned), digest(short));
}

#[test]
fn any_other_meaning_has_another_digest() {
    let changes = [
        (
            "  regions: [ap-singapore, eu-frankfurt]\n",
            "  regions: [ap-singapore, eu-frankfurt, ap-tokyo]\n",
        ),
        ("  lock:", "  account: prod\n  lock:"),
        ("name: 'a*'", "name: 'a?'"),
        ("(?<version>.*)", "(?<version>.+)"),
        ("family: f, ", ""),
        ("family: f", "family: g"),
        ("x: w", "x: z"),
        ("osName: o", "osName: q"),
        ("platform: p", "platform: q"),
        ("architecture: r", "architecture: q"),
        ("createdAfter: 2026-01-01", "createdAfter: 2026-01-02"),
        ("createdBefore: 2027-01-01", "createdBefore: 2027-01-02"),
        ("  deprecated: retire\n", ""),
        ("name: '*-rc'", "name: '*-r?'"),
        ("{id: img-bad}", "{id: img-bae}"),
        (
            "  order: semver\n  semver: {range: '>=1.4, <2'}\n",
            "  order: name\n",
        ),
        (
            "  order: semver\n  semver: {range: '>=1.4, <2'}\n",
            "  order: semver\n",
        ),
        ("<2'", "<3'"),
        ("24h", "25h"),
        ("availability: all", "availability: each"),
        ("newest: 3", "newest: 4"),
        ("minimum: 2", "minimum: 3"),
        ("72h", "71h"),
        ("inUse: cancel", "inUse: keep"),
        ("maxCancels: 7", "maxCancels: 8"),
        ("owned: true", "owned: false"),
        ("[a1, a2]", "[a1]"),
        (
            "{regions: [ap-singapore], names: [a1, a2]",
            "{regions: [ap-singapore], names: [a1, a4]",
        ),
        ("until: 2026-12-15", "until: 2026-12-16"),
        ("a7", "a6"),
        ("{name: a7", "{id: img-a7"),
        ("at: 2026-11-30", "at: 2026-12-01"),
        ("a8", "a9"),
        (", force: true", ""),
        ("img-old}", "img-old, force: true}"),
    ];
    let mut digests: Vec<_> = changes
        .iter()
        .map(|(from, to)| digest(&with(from, to)))
        .collect();
    digests.push(digest(SPEC));
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), changes.len() + 1);
}

fn problems(spec: &str) -> String {
    let text = format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: a}}\nspec:\n{spec}"
    );
    match parse(vec![SourceText::new("p.yaml", text)]) {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|one| format!("{one:?}\n"))
            .collect(),
        Err(errors) => errors.render(false),
    }
}

#[test]
fn f5_an_error_of_a_policy_says_what_to_write() {
    const HEAD: &str = "  region: ap-tokyo\n  match: {name: a*}\n";
    for (keep, expected) in [
        ("{newest: 0}", "must be a whole number from 1 to 4294967295"),
        ("{newest: 0}", "to end all of their shares"),
        (
            "{newest: 1, owned: yes}",
            "`owned` must be `true` or `false`\n",
        ),
        ("{newest: 1, owned: yes}", "write `true`"),
        ("{newest: 1, owned: \"false\"}", "without quotes"),
        ("{}", "give the number of versions that stay shared"),
        ("3", "known fields: newest"),
    ] {
        let said = problems(&format!("{HEAD}  keep: {keep}\n"));
        assert!(said.contains(expected), "{keep}: {said}");
    }
    let beyond = problems(&format!("{HEAD}  keep: {{newest: 1000000000000}}\n"));
    assert!(!beyond.contains("end all of their shares"), "{beyond}");
}

#[test]
fn f5_two_fields_that_exclude_each_other_hide_no_error_in_them() {
    let spec =
        "  region: ap-tokyo\n  regions: [ap-singapor]\n  match: {name: a*}\n  keep: {newest: 1}\n";
    let said = problems(spec);
    for expected in ["exclude each other", "did you mean `ap-singapore`?"] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn f18_signs_of_other_patterns_are_warned_of() {
    for (matches, sign) in [
        ("{name: 'e[24]'}", "`[` is a literal character"),
        ("{name: '{a,b}-*'}", "`{` is a literal character"),
        ("{tags: {r: 's[12]'}}", "`[` is a literal character"),
        ("{family: 'f*'}", ""),
    ] {
        let said = problems(&format!(
            "  region: ap-tokyo\n  match: {matches}\n  keep: {{newest: 1}}\n"
        ));
        assert_eq!(
            said.contains("is a literal character"),
            !sign.is_empty(),
            "{said}"
        );
        assert!(said.contains(sign), "{said}");
    }
}
