//! Tests of reading manifests: golden cases, the search for files in directories, the agreement of the JSON
//! schema with the parser, and hostile input.
//!
//! Each `tests/manifest_cases/*.yaml` has its expected output beside it; `UPDATE_GOLDEN=1` rewrites these
//! outputs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::clock::load;
use proptest::prelude::*;
use sharekeeper::manifest::{Diagnostics, Loaded, SourceText, parse, schema};

fn parse_one(text: &str) -> Result<Loaded, Diagnostics> {
    parse(vec![SourceText::new("test.yaml", text.to_owned())])
}

/// The text that a user sees: the diagnostics, or the desired state.
fn shown(result: &Result<Loaded, Diagnostics>) -> String {
    let loaded = match result {
        Ok(loaded) => loaded,
        Err(diagnostics) => return diagnostics.render(false),
    };
    let mut out = String::new();
    for warning in &loaded.warnings {
        writeln!(out, "{}", warning.render(false)).expect("a String takes all");
    }
    for (name, account) in &loaded.desired.accounts {
        writeln!(out, "account {name}: {account:?}").expect("a String takes all");
    }
    for (key, image) in &loaded.desired.images {
        writeln!(
            out,
            "{key}: {:?} protect={} {}",
            image.share, image.protect, image.source
        )
        .expect("a String takes all");
    }
    for (scope, names) in &loaded.desired.names {
        for (name, image) in names {
            writeln!(
                out,
                "{scope}/{name:?}: {:?} protect={} {}",
                image.share, image.protect, image.source
            )
            .expect("a String takes all");
        }
    }
    let mut policies = BTreeMap::new();
    for (scope, here) in &loaded.desired.policies {
        for policy in here {
            writeln!(out, "{scope}: policy {}", policy.name()).expect("a String takes all");
            policies.insert(policy.name(), policy);
        }
    }
    for policy in policies.values() {
        writeln!(out, "{policy:#?}").expect("a String takes all");
    }
    for (policy, lock) in &loaded.desired.locks {
        writeln!(out, "lock of {policy}: {lock:#?}").expect("a String takes all");
    }
    writeln!(out, "{} documents", loaded.documents).expect("a String takes all");
    out
}

#[test]
fn every_case_reads_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest_cases");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut cases = 0;
    for entry in fs::read_dir(&folder).expect("the cases") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).expect("a case");
        let shown = shown(&parse(vec![SourceText::new(name.as_str(), text)]));
        let expected = path.with_extension("out");
        if update {
            fs::write(&expected, &shown).expect("can be written");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(shown, expected, "{name}");
        assert!(
            !shown.contains("hunter2") && !shown.contains('\x1b'),
            "{name}"
        );
    }
    assert!(cases >= 17, "{cases}");
}

#[test]
fn json_positions_are_those_of_the_text() {
    let text = "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: ä, lable: x}\n";
    let Err(diagnostics) = parse_one(text) else {
        panic!("has errors")
    };
    let json = serde_json::to_value(diagnostics.errors()).expect("JSON");
    let label = json
        .as_array()
        .expect("a list")
        .iter()
        .find(|e| e["message"].as_str().is_some_and(|m| m.contains("lable")));
    assert_eq!(
        label.expect("reported")["column"],
        21,
        "columns count characters, not bytes"
    );
    assert_eq!(label.expect("reported")["line"], 3);
    assert_eq!(label.expect("reported")["help"], "did you mean `labels`?");
}

#[test]
fn the_samples_and_examples_are_valid() {
    for folder in [
        "manifests",
        "examples/minimal",
        "examples/multi-region",
        "examples/tenants",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let loaded = load(&[path]).unwrap_or_else(|broken| {
            panic!("{folder}: {}", broken.diagnostics().render(false));
        });
        assert!(
            loaded.warnings.is_empty() && loaded.desired.entries() > 0,
            "{folder}"
        );
    }
}

const GOOD: &str = "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: a}\nspec: {region: ap-tokyo, images: [{id: img-a, state: shared}]}\n";

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

fn good(name: &str, image: &str) -> String {
    GOOD.replace("name: a", &format!("name: {name}"))
        .replace("img-a", image)
}

fn messages(paths: &[PathBuf]) -> Vec<(String, String)> {
    match load(paths) {
        Ok(loaded) => panic!("loaded {} documents", loaded.documents),
        Err(broken) => broken
            .diagnostics()
            .errors()
            .iter()
            .map(|e| (e.file.clone(), e.message.clone()))
            .collect(),
    }
}

#[test]
fn m1_missing_empty_and_unreadable_differ_and_are_no_empty_set() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("missing");
    assert_eq!(messages(&[missing])[0].1, "does not exist");
    assert!(
        messages(&[dir.path().to_owned()])[0]
            .1
            .contains("holds no manifests")
    );
    fs::write(dir.path().join("notes.txt"), "x").expect("writes");
    assert!(
        messages(&[dir.path().to_owned()])[0]
            .1
            .contains("holds no manifests")
    );
    fs::write(dir.path().join("only-comments.yaml"), "# nothing\n").expect("writes");
    let loaded = load(&[dir.path().to_owned()]);
    assert!(
        loaded.is_err(),
        "a set without a document is no desire either"
    );
}

#[test]
fn the_walk_is_recursive_sorted_and_skips_hidden_names() {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, name, image) in [
        ("b.yaml", "b", "img-b"),
        ("sub/a.yml", "a", "img-a"),
        (".hidden.yaml", "h", "img-h"),
        ("_off/c.yaml", "c", "img-c"),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, good(name, image)).expect("writes");
    }
    let loaded = load(&[dir.path().to_owned()]).expect("valid");
    let images: Vec<_> = loaded
        .desired
        .images
        .keys()
        .map(|key| key.image.to_string())
        .collect();
    assert_eq!(images, ["img-a", "img-b"]);
    let both = load(&[dir.path().to_owned(), dir.path().join("b.yaml")])
        .expect("a file given twice is read once");
    assert_eq!(both.files, 2);
    let given = load(&[dir.path().join(".hidden.yaml")])
        .expect("a file given by name is read whatever its name");
    assert_eq!(given.files, 1);
}

#[test]
fn m19_names_that_collide_on_some_file_systems_cause_a_warning() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = [
        ("Golden.yaml", "a", "img-a"),
        ("caf\u{e9}.yaml", "b", "img-b"),
        ("cafe\u{301}.yaml", "c", "img-c"),
        ("golden.yaml", "d", "img-d"),
        ("golden.yml", "e", "img-e"),
        ("team/x.yaml", "f", "img-f"),
        ("Team/x.yaml", "g", "img-g"),
        // `SINGLE.yaml` is a link to this file: a name does not clash with another name of the same file.
        ("single.yaml", "h", "img-h"),
    ];
    for (path, name, image) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, good(name, image)).expect("writes");
    }
    symlink("single.yaml", dir.path().join("SINGLE.yaml")).expect("links");
    // The file system under the tests may ignore case; then some of these files replaced others.
    let are_told_apart = fs::read_dir(dir.path()).expect("a directory").count() == 8;
    let loaded = load(&[dir.path().to_owned()]).expect("valid");
    if !are_told_apart {
        return;
    }
    assert_eq!(loaded.files, 8, "a file with two names is read once");
    let inside = |path: &str| dir.path().join(path).display().to_string();
    let pairs = [
        ("golden.yaml", "Golden.yaml"),
        ("caf\u{e9}.yaml", "cafe\u{301}.yaml"),
        ("team/x.yaml", "Team/x.yaml"),
    ];
    let warned: Vec<_> = loaded
        .warnings
        .iter()
        .map(|warning| &warning.file)
        .collect();
    assert_eq!(warned.len(), pairs.len(), "{warned:?}");
    for (file, twin) in pairs {
        let warning = loaded.warnings.iter().find(|w| w.file == inside(file));
        let warning = warning.unwrap_or_else(|| panic!("no warning of {file}: {warned:?}"));
        assert!(
            warning.message.contains(&inside(twin)),
            "{}",
            warning.message
        );
        assert!(
            warning
                .help
                .as_ref()
                .is_some_and(|help| help.contains("differ"))
        );
        assert!(warning.render(false).starts_with("warning: "));
    }
}

#[test]
fn m19_m5_colliding_names_that_contradict_are_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, name, state) in [("A.yaml", "a", "shared"), ("a.yaml", "b", "unshared")] {
        let text = good(name, "img-a").replace("state: shared", &format!("state: {state}"));
        fs::write(dir.path().join(path), text).expect("writes");
    }
    if fs::read_dir(dir.path()).expect("a directory").count() == 1 {
        return;
    }
    let broken = load(&[dir.path().to_owned()]).expect_err("contradict each other");
    let shown = broken.diagnostics().render(false);
    assert!(
        shown.contains("A.yaml") && shown.contains("a.yaml"),
        "{shown}"
    );
}

#[test]
fn m20_ten_thousand_files_load() {
    let dir = tempfile::tempdir().expect("a directory");
    for n in 0..10_000 {
        let folder = dir.path().join(format!("team-{:02}", n % 100));
        fs::create_dir_all(&folder).expect("makes");
        let text = good(&format!("n{n}"), &format!("img-{n:08}"));
        fs::write(folder.join(format!("{n}.yaml")), text).expect("writes");
    }
    let loaded = load(&[dir.path().to_owned()]).expect("valid");
    assert_eq!(
        (loaded.files, loaded.desired.images.len()),
        (10_000, 10_000)
    );
    assert!(loaded.warnings.is_empty());
}

#[test]
fn m10_links_out_dead_links_and_devices_are_refused() {
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(outside.path().join("secret.yaml"), GOOD).expect("writes");
    let dir = tempfile::tempdir().expect("a directory");
    symlink(
        outside.path().join("secret.yaml"),
        dir.path().join("a.yaml"),
    )
    .expect("links");
    symlink("/dev/zero", dir.path().join("b.yaml")).expect("links");
    symlink("nowhere", dir.path().join("c.yaml")).expect("links");
    symlink(".", dir.path().join("loop")).expect("links");
    symlink(".", dir.path().join("_left-out")).expect("links");
    let messages: Vec<_> = messages(&[dir.path().to_owned()])
        .into_iter()
        .map(|(_, message)| message)
        .collect();
    assert_eq!(
        messages,
        [
            "the link leads out of the directory",
            "the link leads out of the directory",
            "the link leads nowhere",
            "a link to a directory is not followed"
        ]
    );
    let (_, zero) = self::messages(&["/dev/zero".into()]).remove(0);
    assert!(zero.contains("not a regular file"), "{zero}");
}

#[test]
fn s21_a_file_too_large_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    // The file is sparse, so that it needs no space on the disk.
    let file = fs::File::create(dir.path().join("a.yaml")).expect("creates");
    file.set_len(1 << 40).expect("grows");
    assert!(
        messages(&[dir.path().to_owned()])[0]
            .1
            .contains("larger than 256 MiB")
    );
}

#[test]
fn m9_not_utf8_names_the_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("a.yaml"), b"kind: \xff").expect("writes");
    assert!(messages(&[dir.path().to_owned()])[0].1.contains("byte 6"));
    assert!(parse_one("a: \0").is_err());
    assert!(
        parse_one(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))).is_ok(),
        "BOM and CRLF are tolerated"
    );
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

#[test]
fn m16_s15_moving_documents_between_files_changes_nothing() {
    let (a, b) = (good("a", "img-a"), good("b", "img-b"));
    let text = |name: &str, text: &str| SourceText::new(name, text.to_owned());
    let keys = |sources| {
        let loaded = parse(sources).expect("valid");
        loaded
            .desired
            .images
            .into_iter()
            .map(|(key, image)| (key, image.share))
            .collect::<Vec<_>>()
    };
    let together = keys(vec![text("all.yaml", &format!("{a}---\n{b}"))]);
    assert_eq!(together, keys(vec![text("1.yaml", &a), text("2.yaml", &b)]));
    assert_eq!(together, keys(vec![text("2.yaml", &a), text("1.yaml", &b)]));
}

/// Documents that the schema and the parser must both accept or both reject.
fn documents() -> Vec<String> {
    let share = |spec: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    let image = |fields: &str| share(&format!("{{region: ap-tokyo, images: [{{{fields}}}]}}"));
    let account = |spec: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    let metadata = |metadata: &str| GOOD.replace("{name: a}", metadata);
    let mut all = vec![
        GOOD.to_owned(),
        GOOD.replace("ImageShare", "ImageShar"),
        GOOD.replace("/v1", "/v2"),
        GOOD.replace("kind", "kin"),
        GOOD.replace("spec", "specs"),
        "[1, 2]".into(),
        "text".into(),
        "{}".into(),
    ];
    all.extend(
        [
            "{name: a, labels: {team: x}}",
            "{name: a, labels: {team: 1}}",
            "{name: a, annotations: {b: c}}",
            "{}",
            "{name: A}",
            "{name: -a}",
            "{name: a.b-c}",
            "{name: 12}",
            "{name: ''}",
            "{name: a, label: {}}",
            "a",
        ]
        .map(metadata),
    );
    all.extend(
        [
            "id: img-a, state: shared",
            "id: img-a, state: unshared",
            "id: img-a, state: shard",
            "id: img-a",
            "state: shared",
            "id: img-A, state: shared",
            "id: lhbp-a, state: shared",
            "id: 5, state: shared",
            "id: img-a, state: shared, until: '2027-01-31T00:00:00Z'",
            "id: img-a, state: shared, until: '2027-01-31'",
            "id: img-a, state: unshared, until: '2027-01-31T00:00:00Z'",
            "id: img-a, state: shared, from: '2027-01-31T00:00:00+08:00'",
            "id: img-a, state: shared, protect: true",
            "id: img-a, state: shared, protect: 'true'",
            "id: img-a, state: shared, note: x",
            "id: img-a, state: shared, note: 1.5",
            "id: img-a, state: shared, note: [x]",
            "id: img-a, state: shared, notes: x",
            "id: img-a, state: true",
            "name: golden-ubuntu-1.5.1, state: shared",
            "name: 'golden ubuntu', state: unshared, protect: true",
            "name: 黄金镜像, state: shared, until: '2027-01-31T00:00:00Z', note: x",
            "name: golden, id: img-a, state: shared",
            "name: golden",
            "name: ' golden', state: shared",
            "name: 'golden ', state: shared",
            "name: '', state: shared",
            "name: 5, state: shared",
            "name: null, state: shared",
            "name: [golden], state: shared",
            "name: \"a\\tb\", state: shared",
            "names: golden, state: shared",
        ]
        .map(image),
    );
    all.extend(
        [
            "{regions: [ap-tokyo, ap-seoul], images: [{id: img-a, state: shared}]}",
            "{regions: [ap-tokyo, ap-seoul], images: [{name: golden, state: shared}]}",
            "{regions: [ap-tokyo, ap-seoul], images: [{name: golden, state: shared}, {id: img-a, state: shared}]}",
            "{regions: [ap-tokyo], images: [{name: golden, state: shared}, {id: img-a, state: shared}]}",
            "{regions: [], images: [{id: img-a, state: shared}]}",
            "{regions: [ap-tokyo, ap-tokyo], images: [{id: img-a, state: shared}]}",
            "{regions: ap-tokyo, images: [{id: img-a, state: shared}]}",
            "{region: ap-tokyo, regions: [ap-seoul], images: [{id: img-a, state: shared}]}",
            "{images: [{id: img-a, state: shared}]}",
            "{region: ap-mumbai, images: [{id: img-a, state: shared}]}",
            "{region: ap-tokyo, images: []}",
            "{region: ap-tokyo}",
            "{region: ap-tokyo, images: {}}",
            "{region: ap-tokyo, images: [{id: img-a, state: shared}], account: default}",
            "{region: ap-tokyo, images: [{id: img-a, state: shared}], account: 7}",
            "[]",
        ]
        .map(share),
    );
    all.extend(
        [
            "{}",
            "{uin: '100000000001'}",
            "{uin: 100000000001}",
            "{uin: one}",
            "{rate: 1}",
            "{rate: 20}",
            "{rate: 0}",
            "{rate: 21}",
            "{rate: 1.5}",
            "{rate: '19'}",
            "{endpoint: 'https://lighthouse.{region}.tencentcloudapi.com'}",
            "{endpoint: lighthouse}",
            "{credentials: {from: environment}}",
            "{credentials: {from: moon}}",
            "{credentials: {}}",
            "{credentials: environment}",
            "{credentials: {from: environment, profile: a}}",
            "{credentials: {from: profile}}",
            "{credentials: {from: profile, profile: prod}}",
            "{credentials: {from: profile, profile: ../prod}}",
            "{credentials: {from: profile, profile: ''}}",
            "{credentials: {from: profile, profile: 7}}",
            "{credentials: {from: profile, section: prod}}",
            "{credentials: {from: file}}",
            "{credentials: {from: file, path: ~/keys, section: prod east}}",
            "{credentials: {from: file, path: ''}}",
            "{credentials: {from: file, path: [a]}}",
            "{credentials: {from: file, section: '[prod]'}}",
            "{credentials: {from: file, section: ' prod'}}",
            "{credentials: {from: cvm-role}}",
            "{credentials: {from: cvm-role, role: keeper}}",
            "{credentials: {from: cvm-role, role: a/b}}",
            "{credentials: {from: tke-oidc}}",
            "{credentials: {from: tke-oidc, role: keeper}}",
            "{credentials: {from: assume-role}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a'}}",
            "{credentials: {from: assume-role, source: {from: environment}}}",
            "{credentials: {from: assume-role, roleArn: keeper, source: {from: environment}}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: moon}}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: profile, profile: a}, sessionName: ci, durationSeconds: 900, externalId: 'a:b'}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, durationSeconds: 60}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, durationSeconds: 43201}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, durationSeconds: '900'}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, sessionName: a b}}",
            "{credentials: {from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: {from: environment}, externalId: x}}",
            "{secretKey: x}",
            "{uin: []}",
            "{windows: []}",
            "{windows: {}}",
            "{windows: [deny]}",
        ]
        .map(account),
    );
    // A role may be assumed from another role: chains up to the limit, and one that is longer.
    for roles in 1..=4 {
        let role = "{from: assume-role, roleArn: 'qcs::cam::uin/1:roleName/a', source: ";
        let chain = format!("{}{{from: file}}{}", role.repeat(roles), "}".repeat(roles));
        all.push(account(&format!("{{credentials: {chain}}}")));
    }
    all.extend(
        [
            "kind: deny, timeZone: Asia/Shanghai",
            "kind: deny, days: [fri, sat, sun], from: '18:00', to: '06:00', timeZone: Asia/Shanghai, causes: [pruned, expired], reason: weekend freeze",
            "kind: allow, schedule: '0 9 * * 1-5', duration: 8h, timeZone: Europe/Berlin",
            "kind: allow, schedule: '*/30 8-17 L JAN mon', duration: 1h 30m, timeZone: UTC",
            "kind: allow, days: [mon-fri], from: 09:00, to: '24:00', timeZone: UTC, reason: 7",
            "kind: deny",
            "timeZone: UTC",
            "kind: block, timeZone: UTC",
            "kind: deny, timeZone: Berlin",
            "kind: deny, timeZone: '+08:00'",
            "kind: deny, timeZone: UTC, from: '18:00'",
            "kind: deny, timeZone: UTC, to: '18:00'",
            "kind: deny, timeZone: UTC, from: '24:00', to: '01:00'",
            "kind: deny, timeZone: UTC, from: '9:00', to: '10:00'",
            "kind: deny, timeZone: UTC, from: 1080, to: '19:00'",
            "kind: deny, timeZone: UTC, from: '18:00', to: '25:00'",
            "kind: deny, timeZone: UTC, days: []",
            "kind: deny, timeZone: UTC, days: fri",
            "kind: deny, timeZone: UTC, days: [Fri]",
            "kind: deny, timeZone: UTC, days: [fri, fri]",
            "kind: deny, timeZone: UTC, days: [fri-mon]",
            "kind: deny, timeZone: UTC, days: [fri-]",
            "kind: deny, timeZone: UTC, causes: []",
            "kind: deny, timeZone: UTC, causes: [retention, declared]",
            "kind: deny, timeZone: UTC, causes: [prune]",
            "kind: deny, timeZone: UTC, causes: [pruned, pruned]",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *'",
            "kind: deny, timeZone: UTC, duration: 8h",
            "kind: deny, timeZone: UTC, schedule: '0 9 * *', duration: 8h",
            "kind: deny, timeZone: UTC, schedule: '@daily', duration: 8h",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *', duration: 8",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *', duration: soon",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *', duration: 8h, days: [fri]",
            "kind: deny, timeZone: UTC, schedule: '0 9 * * *', duration: 8h, from: '09:00', to: '10:00'",
            "kind: deny, timeZone: UTC, reason: [x]",
            "kind: deny, timeZone: UTC, manualSync: true",
        ]
        .map(|window| account(&format!("{{windows: [{{{window}}}]}}"))),
    );
    let many = |pattern: &str| {
        let items: Vec<_> = (0..101).map(|n| format!("'img-{n}{pattern}'")).collect();
        format!("{{restrict: {{images: [{}]}}}}", items.join(", "))
    };
    let restriction = |spec: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: Restriction\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    let restricted = |restrict: &str| restriction(&format!("{{restrict: {restrict}}}"));
    let placed = |directory: &str| {
        restriction(&format!(
            "{{directory: {directory}, restrict: {{images: [img-a]}}}}"
        ))
    };
    all.extend(["{}", "{directory: a}", "[]", &many(""), &many("*")].map(restriction));
    all.extend(
        [
            "{accounts: [default]}",
            "{accounts: ['*', 'a-?', 'a.*']}",
            "{accounts: []}",
            "{accounts: [A]}",
            "{accounts: [a-]}",
            "{accounts: [a, a]}",
            "{accounts: a}",
            "{accounts: [5]}",
            "{regions: [ap-tokyo]}",
            "{regions: ['ap-*']}",
            "{regions: [ap-tokyo, ap-tokyo]}",
            "{regions: []}",
            "{images: [img-a, img-*, 'img-?b']}",
            "{images: ['*']}",
            "{images: ['golden-*', img-a, 'golden ubuntu', '?', im-a]}",
            "{images: [' golden']}",
            "{images: ['golden ']}",
            "{images: ['']}",
            "{images: [Img-a]}",
            "{images: ['img-*-x']}",
            "{images: [img-]}",
            "{images: [img-A]}",
            "{images: {}}",
            "{image: [img-a]}",
            "{}",
            "[]",
        ]
        .map(restricted),
    );
    all.extend(policies());
    all.extend(locks());
    all.extend(
        [
            ".", "./a", "a/b/", "a..b/c", "..", "../a", "a/../b", "a/..", "/a", "''", "a-*", "7",
            "[]",
        ]
        .map(placed),
    );
    all
}

fn policies() -> Vec<String> {
    let policy = |spec: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    let with = |fields: &str| {
        policy(&format!(
            "{{regions: [ap-tokyo, ap-seoul], match: {{name: 'a*'}}, keep: {{newest: 2}}, {fields}}}"
        ))
    };
    let matching = |fields: &str| {
        policy(&format!(
            "{{region: ap-tokyo, match: {{{fields}}}, keep: {{newest: 2}}}}"
        ))
    };
    let keeping = |fields: &str| {
        policy(&format!(
            "{{region: ap-tokyo, match: {{name: a}}, keep: {{{fields}}}}}"
        ))
    };
    let mut all: Vec<_> = [
        "{region: ap-tokyo, match: {name: a}, keep: {newest: 1}}",
        "{account: default, region: ap-tokyo, match: {name: a}, keep: {newest: 1}}",
        "{account: A, region: ap-tokyo, match: {name: a}, keep: {newest: 1}}",
        "{match: {name: a}, keep: {newest: 1}}",
        "{region: ap-tokyo, regions: [ap-seoul], match: {name: a}, keep: {newest: 1}}",
        "{regions: [], match: {name: a}, keep: {newest: 1}}",
        "{region: ap-tokyo, keep: {newest: 1}}",
        "{region: ap-tokyo, match: {name: a}}",
        "{region: ap-tokyo, match: a, keep: {newest: 1}}",
        "{region: ap-tokyo, match: {name: a}, keep: 1}",
        "{}",
        "[]",
    ]
    .map(policy)
    .into();
    all.extend(
        [
            "",
            "name: ''",
            "name: 5",
            "name: [a]",
            "nameRegex: 'a(?<version>.*)'",
            "nameRegex: '('",
            "name: 'a*', nameRegex: 'a.*', family: a, tags: {a: 'b*'}, osName: 'U*', platform: '?', architecture: x86_64",
            "tags: {}",
            "tags: {a: 1}",
            "tags: [a]",
            "tags: {a: ''}",
            "createdAfter: '2026-01-01T00:00:00Z', createdBefore: '2026-02-01T00:00:00Z'",
            "createdAfter: '2026-01-01'",
            "id: img-a",
            "names: a",
        ]
        .map(matching),
    );
    all.extend(
        [
            "",
            "newest: 0",
            "newest: '1'",
            "newest: 1.5",
            "newest: 4294967295",
            "newest: 4294967296",
            "newest: 1, minimum: 0",
            "newest: 1, minimum: -1",
            "newest: 1, maxCancels: 0",
            "newest: 1, unshareAfter: 72h, inUse: cancel, maxCancels: 7, owned: true, minimum: 1",
            "newest: 1, unshareAfter: 0",
            "newest: 1, unshareAfter: '0'",
            "newest: 1, unshareAfter: 72",
            "newest: 1, unshareAfter: soon",
            "newest: 1, inUse: keep",
            "newest: 1, inUse: never",
            "newest: 1, owned: 'true'",
            "newest: 1, oldest: 1",
        ]
        .map(keeping),
    );
    all.extend(
        [
            "deprecated: retire",
            "deprecated: keep",
            "order: created",
            "order: name",
            "order: semver",
            "order: age",
            "order: semver, semver: {range: '>=1.4, <2'}",
            "order: semver, semver: {}",
            "order: semver, semver: {range: 1}",
            "order: name, semver: {range: '>=1.4'}",
            "semver: {range: '>=1.4'}",
            "minAge: 24h",
            "minAge: 1h 30m",
            "minAge: a while",
            "availability: each",
            "availability: all",
            "availability: some",
            "lock: optional",
            "lock: required",
            "lock: true",
            "rollout: {waves: [[ap-tokyo]]}",
            "channels: {latest: {index: 0}}",
            "pins: []",
            "exclude: [{name: 'a*', nameRegex: 'a', family: a, tags: {a: b}, osName: a, platform: a, architecture: a, id: img-a, reason: 5}]",
            "exclude: [{id: img-a}]",
            "exclude: [{id: a}]",
            "exclude: [{createdBefore: '2026-01-01T00:00:00Z'}]",
            "exclude: [{reason: x}]",
            "exclude: [{}]",
            "exclude: []",
            "exclude: {name: a}",
            "pin: [{names: [a1]}]",
            "pin: [{regions: [ap-tokyo], names: [a1, a2], reason: x, until: '2026-12-15T00:00:00Z'}]",
            "pin: [{regions: [], names: [a1]}]",
            "pin: [{names: [a1, a1]}]",
            "pin: [{names: []}]",
            "pin: [{names: a1}]",
            "pin: [{reason: x}]",
            "pin: [{names: [a1], ids: [img-a]}]",
            "pin: []",
            "revoke: [{name: a1}, {id: img-a}]",
            "revoke: [{name: a1, reason: x, at: '2026-12-15T00:00:00Z', replacement: b, force: true}]",
            "revoke: [{name: a1, id: img-a}]",
            "revoke: [{reason: x}]",
            "revoke: [{id: a1}]",
            "revoke: [{name: a1, at: soon}]",
            "revoke: [{name: a1, replacement: ' b'}]",
            "revoke: [{name: a1, force: 1}]",
            "revoke: [a1]",
            "revoke: []",
        ]
        .map(with),
    );
    let many = |count: usize| {
        let ids: Vec<_> = (0..count).map(|n| format!("{{id: img-{n}}}")).collect();
        with(&format!("exclude: [{}]", ids.join(", ")))
    };
    all.extend([many(500), many(501)]);
    all
}

fn locks() -> Vec<String> {
    let digest = "0a1b".repeat(16);
    let lock = |policies: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShareLock\nspec: {{policies: {policies}}}\n"
        )
    };
    let one = |fields: &str| lock(&format!("[{{{fields}}}]"));
    let with = |regions: &str| one(&format!("name: a, digest: {digest}, regions: {regions}"));
    let mut all = vec![
        lock("[]"),
        lock("[]").replace("spec:", "metadata: {name: a}\nspec:"),
        lock("[]").replace("spec:", "metadata: {name: A}\nspec:"),
        lock("[]").replace("policies", "policy"),
        lock("{}"),
        lock("[a]"),
        one("name: a, regions: {}"),
        one(&format!("digest: {digest}, regions: {{}}")),
        one(&format!("name: a, digest: {digest}")),
        one(&format!("name: A, digest: {digest}, regions: {{}}")),
        one("name: a, digest: 0a1b, regions: {}"),
        one(&format!(
            "name: a, digest: {}, regions: {{}}",
            digest.to_uppercase()
        )),
    ];
    all.extend(
        [
            "{}",
            "{ap-tokyo: []}",
            "{ap-tokyo: [{id: img-a, name: a}, {id: img-b, name: img-b, created: '2026-11-02T08:00:00Z'}]}",
            "{ap-tokio: []}",
            "{ap-tokyo: {}}",
            "{ap-tokyo: [img-a]}",
            "{ap-tokyo: [{id: img-a}]}",
            "{ap-tokyo: [{name: a}]}",
            "{ap-tokyo: [{id: a, name: a}]}",
            "{ap-tokyo: [{id: img-a, name: a, created: soon}]}",
            "{ap-tokyo: [{id: img-a, name: a, state: shared}]}",
            "[]",
        ]
        .map(with),
    );
    all
}

#[test]
fn the_schema_agrees_with_the_parser() {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema())
        .expect("a schema");
    let (mut right, mut wrong) = (0, 0);
    for text in documents() {
        let value: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
        // A Restriction alone is not a valid set, so that another file joins it. The Restriction lies in a
        // directory of its own, so that it does not restrict that file.
        let beside = SourceText::new("beside.yaml", good("beside", "img-b"));
        let text_itself = SourceText::new("below/test.yaml", text.clone());
        let sources = vec![text_itself, beside];
        let (by_schema, by_parser) = (validator.is_valid(&value), parse(sources));
        assert_eq!(
            by_schema,
            by_parser.is_ok(),
            "{text}\n{}",
            shown(&by_parser)
        );
        *if by_schema { &mut right } else { &mut wrong } += 1;
    }
    assert!(right >= 85 && wrong >= 200, "{right} good, {wrong} bad");
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
