//! Which changes of files, links and repositories change a fingerprint, and which do not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    let path = |path: &str| root.path().join(path);
    fs::create_dir_all(path("m/deep")).expect("makes");
    fs::create_dir_all(path("m/..1")).expect("makes");
    fs::create_dir_all(path("m/..2")).expect("makes");
    for file in ["m/a.yaml", "m/deep/b.yml", "m/..1/c.yaml", "m/..2/c.yaml"] {
        fs::write(path(file), "x").expect("writes");
    }
    symlink("..1", path("m/..data")).expect("links");
    symlink("..data/c.yaml", path("m/c.yaml")).expect("links");
    symlink("m", path("current")).expect("links");
    root
}

fn of(root: &Path, path: &str) -> Fingerprint {
    Fingerprint::of(&[root.join(path)]).0
}

#[test]
fn m11_m12_m13_what_changes_a_set_changes_its_fingerprint() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 10] = [
        ("a file written", |m| {
            fs::write(m.join("a.yaml"), "y").expect("writes");
        }),
        ("a file replaced by one of the same size", |m| {
            fs::write(m.join(".new"), "y").expect("writes");
            fs::rename(m.join(".new"), m.join("a.yaml")).expect("renames");
        }),
        ("a file more", |m| {
            fs::write(m.join("deep/c.yaml"), "x").expect("writes");
        }),
        ("a file less", |m| {
            fs::remove_file(m.join("deep/b.yml")).expect("removes");
        }),
        ("a new name", |m| {
            fs::rename(m.join("a.yaml"), m.join("z.yaml")).expect("renames");
        }),
        ("a volume flipped", |m| {
            symlink("..2", m.join("..new")).expect("links");
            fs::rename(m.join("..new"), m.join("..data")).expect("renames");
        }),
        ("a volume's version written to", |m| {
            fs::write(m.join("..1/c.yaml"), "yy").expect("writes");
        }),
        ("a link to a directory", |m| {
            symlink("deep", m.join("link")).expect("links");
        }),
        ("a directory moved", |m| {
            fs::rename(m.join("deep"), m.join("deeper")).expect("renames");
        }),
        ("all gone", |m| fs::remove_dir_all(m).expect("removes")),
    ];
    for (what, change) in changes {
        for path in ["m", "current"] {
            let root = tree();
            let before = of(root.path(), path);
            assert_eq!(of(root.path(), path), before, "{what}");
            change(&root.path().join("m"));
            assert_ne!(of(root.path(), path), before, "{what}");
        }
    }
}

#[test]
fn m14_m15_what_is_not_read_and_reading_change_no_fingerprint() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("read", |m| {
            fs::read(m.join("a.yaml")).expect("reads");
        }),
        ("an editor's file", |m| {
            fs::write(m.join(".a.yaml.swp"), "x").expect("writes");
        }),
        ("a file that is passed over", |m| {
            fs::write(m.join("_off.yaml"), "x").expect("writes");
        }),
        ("another kind of file", |m| {
            fs::write(m.join("run.log"), "x").expect("writes");
        }),
        ("a version that nothing leads to", |m| {
            fs::write(m.join("..2/c.yaml"), "yy").expect("writes");
        }),
    ];
    for (what, change) in changes {
        let root = tree();
        let before = of(root.path(), "m");
        change(&root.path().join("m"));
        assert_eq!(of(root.path(), "m"), before, "{what}");
    }
}

#[test]
fn m1_watched_places_include_missing_paths_and_link_targets() {
    let root = tree();
    let places = |path: &str| Fingerprint::of(&[root.path().join(path)]).1;
    let real = |path: &str| root.path().join(path).canonicalize().expect("is there");
    let mut expected = Places::default();
    expected.add_for(root.path(), "missing".as_ref());
    let missing = places("missing/a.yaml");
    assert_eq!(missing, expected);
    for (path, directories) in [
        ("m", &["", "m", "m/deep", "m/..1"] as &[_]),
        ("current", &["", "m", "m/deep", "m/..1"]),
        ("m/a.yaml", &["m"]),
        ("m/c.yaml", &["m", "m/..1"]),
    ] {
        let places = places(path);
        assert_eq!(places.len(), directories.len(), "{path}: {places:?}");
        for directory in directories {
            let mut with = places.clone();
            with.add_for(&real(directory), "new".as_ref());
            assert_eq!(with.len(), places.len(), "{path}: {directory}");
        }
    }
}

#[test]
fn a_commit_of_the_same_files_changes_the_fingerprint() {
    let root = tree();
    fs::create_dir(root.path().join(".git")).expect("makes");
    let before = of(root.path(), "m");
    fs::write(root.path().join(".git/index"), "x").expect("writes");
    assert_ne!(of(root.path(), "m"), before);
}

#[test]
fn g3_the_index_of_a_repository_below_is_in_the_fingerprint() {
    let root = tree();
    let module = root.path().join("modules/deep");
    fs::create_dir_all(&module).expect("makes");
    let git = root.path().join("m/deep/.git");
    for text in ["gitdir: ../../modules/deep", "nonsense"] {
        let before = of(root.path(), "m");
        fs::write(&git, text).expect("writes");
        assert_ne!(of(root.path(), "m"), before, "{text}");
    }
    fs::write(&git, "gitdir: ../../modules/deep\n").expect("writes");
    let before = of(root.path(), "m");
    fs::write(module.join("index"), "x").expect("writes");
    assert_ne!(of(root.path(), "m"), before);
}

#[test]
fn g1_s3_an_unreadable_git_entry_is_in_the_fingerprint() {
    let root = tree();
    symlink(".git", root.path().join(".git")).expect("links");
    let before = of(root.path(), "m");
    fs::remove_file(root.path().join(".git")).expect("removes");
    assert_ne!(of(root.path(), "m"), before);
}
