//! The entries of git's index that count as missing, and the parsing of its lists, without running git.

use std::fs;

use super::*;
use crate::manifest::git::repository::Repository;
use crate::manifest::git::tracked_entry::{ListedFrom, parse};

fn searched(top: &Path) -> SearchedDirectory {
    let repository = Repository {
        top: top.to_owned(),
        git_dir: top.join(".git"),
    };
    SearchedDirectory::new(top, top, repository, false)
}

/// The missing ones of `entries`, if `listed` was found and `there` is on the disk.
fn missing_of(entries: &[&str], listed: &[&str], there: &[&str]) -> Vec<String> {
    let root = tempfile::tempdir().expect("a directory");
    for name in there {
        fs::write(root.path().join(name), "x").expect("writes");
    }
    let searched = searched(root.path());
    let entries: Vec<_> = entries
        .iter()
        .map(|name| TrackedEntry {
            kind: EntryKind::File,
            is_sparse: false,
            object: None,
            path: name.into(),
        })
        .collect();
    let reading = Reading {
        listed: listed.iter().map(|name| root.path().join(name)).collect(),
        ..Reading::default()
    };
    let missing = absent_entries(
        root.path(),
        &entries,
        &[&searched],
        &reading,
        &BTreeSet::new(),
    );
    let names = missing.iter().map(|(entry, _)| entry.path.display());
    names.map(|name| name.to_string()).collect()
}

#[test]
fn g3_where_case_does_not_count_one_file_stands_for_one_entry() {
    // `there` has both spellings, because a file system that treats them as one name reports both.
    let both = ["A.yaml", "a.yaml"];
    assert_eq!(missing_of(&["A.yaml"], &["a.yaml"], &both), [""; 0]);
    assert_eq!(missing_of(&["a.yaml"], &["A.yaml"], &both), [""; 0]);
    assert_eq!(missing_of(&["A.yaml"], &["A.yaml"], &both), [""; 0]);
    // Two entries, of which only one could be written.
    assert_eq!(missing_of(&both, &["a.yaml"], &both), ["A.yaml"]);
    assert_eq!(missing_of(&both, &both, &both), [""; 0]);
    // The spelling of the existing file differs from both.
    let two = ["AB.yaml", "Ab.yaml"];
    assert_eq!(missing_of(&two, &["ab.yaml"], &two), ["Ab.yaml"]);
    let thrice = ["A.yaml", "a.yaml", "\u{e9}.yaml"];
    assert_eq!(
        missing_of(&thrice, &["a.yaml"], &thrice),
        ["A.yaml", "\u{e9}.yaml"]
    );
    // Accents may be decomposed.
    let accents = ["\u{e9}.yaml", "e\u{301}.yaml"];
    assert_eq!(missing_of(&accents[..1], &accents[1..], &accents), [""; 0]);
}

#[test]
fn g3_s3_where_case_counts_another_spelling_is_another_file() {
    assert_eq!(
        missing_of(&["A.yaml"], &["a.yaml"], &["a.yaml"]),
        ["A.yaml"]
    );
    // The file appeared only after the others were read.
    assert_eq!(
        missing_of(&["b.yaml"], &["a.yaml"], &["a.yaml", "b.yaml"]),
        ["b.yaml"]
    );
}

#[test]
fn g3_what_git_prints_is_understood_or_nothing_is() {
    let list = b"H 100644 1 0\ta b.yaml\0S 100755 1 0\tm/\n.yml\0H 120000 1 0\tl\0M 100644 1 2\tc\0M 100644 1 3\tc\0H 160000 1 0\ts\0";
    let entries = parse(list, ListedFrom::Index).expect("is understood");
    let kinds: Vec<_> = entries
        .iter()
        .map(|entry| (entry.kind, entry.is_sparse))
        .collect();
    assert_eq!(
        kinds,
        [
            (EntryKind::File, false),
            (EntryKind::File, true),
            (EntryKind::Link, false),
            (EntryKind::File, false),
            (EntryKind::Submodule, false),
        ]
    );
    assert_eq!(entries[1].path, Path::new("m/\n.yml"));
    let tree = parse(
        b"100644 blob 1\ta.yaml\x00160000 commit 1\ts\0",
        ListedFrom::Commit,
    );
    assert_eq!(tree.expect("is understood").len(), 2);
    assert_eq!(parse(b"", ListedFrom::Index), Some(Vec::new()));
    for other in [
        b"H 100644 1 0 a.yaml\0" as &[_],
        b"100644 1 0\ta\0",
        b"H 040000 1 0\ta/\0",
        b"H\ta\0",
        b"\xff\ta\0",
    ] {
        assert_eq!(parse(other, ListedFrom::Index), None, "{other:?}");
    }
}

#[test]
fn g3_an_entry_that_a_merge_left_open_has_no_contents_of_its_own() {
    let (one, two) = ("1".repeat(40), "2".repeat(64));
    let list = format!(
        "H 100644 {one} 0\ta\0M 160000 {one} 1\ts\0M 160000 {two} 2\ts\0M 160000 {one} 3\ts\0H 100644 {two} 0\tz\0H 100644 -x 0\tzz\0"
    );
    let entries = parse(list.as_bytes(), ListedFrom::Index).expect("is understood");
    let objects: Vec<_> = entries
        .iter()
        .map(|entry| entry.object.as_deref())
        .collect();
    assert_eq!(objects, [Some(&*one), None, Some(&*two), None]);
    let list = format!("100644 blob {one}\ta\0160000 commit {two}\ts\0");
    let entries = parse(list.as_bytes(), ListedFrom::Commit).expect("is understood");
    let objects: Vec<_> = entries
        .iter()
        .map(|entry| entry.object.as_deref())
        .collect();
    assert_eq!(objects, [Some(&*one), Some(&*two)]);
}
