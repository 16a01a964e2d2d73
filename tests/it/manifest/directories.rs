//! The search for manifests in directories: which files are read, and which are refused.

use super::*;

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
