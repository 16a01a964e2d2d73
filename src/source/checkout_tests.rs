//! Tests which files of a commit are checked out, whether named directly or reached through links.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::*;

const FILE: &str = "100644 blob 78981922613b2afb6025042ff6bd878ac1994e85";
const LINK: &str = "120000 blob 78981922613b2afb6025042ff6bd878ac1994e85";

fn files(records: &[String]) -> CommitFiles {
    let list: String = records.iter().map(|record| format!("{record}\0")).collect();
    CommitFiles::parse(list.as_bytes()).expect("a list")
}

fn file(path: &str, size: &str) -> String {
    format!("{FILE} {size:>7}\t{path}")
}

/// Returns the files that are wanted below `dir`, and the placeholders that are left.
fn wanted(records: &[String], links: &[(&str, &str)], dir: &str) -> (Vec<String>, Vec<String>) {
    let tree = tempfile::tempdir().expect("a directory");
    let files = files(records);
    files.make_placeholders(tree.path()).expect("makes");
    for (path, target) in links {
        symlink(target, tree.path().join(path)).expect("links");
    }
    let text = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let wanted = files.take_wanted(tree.path(), Path::new(dir));
    let wanted = wanted.expect("takes").paths.iter().map(text).collect();
    let left = files.0.iter().filter(|file| file.kind == Kind::File);
    let left = left.filter(|file| tree.path().join(&file.path).is_file());
    (wanted, left.map(|file| text(&file.path)).collect())
}

#[test]
fn b12_only_files_that_are_read_as_manifests_are_wanted() {
    let records = [
        file("m/a.yaml", "12"),
        file("m/b.yml", "12"),
        file("m/B.YAML", "12"),
        file("m/_c.yaml", "12"),
        file("m/.d/e.yaml", "12"),
        file("m/film.mp4", "9000000"),
        file("n/f.yaml", "12"),
    ];
    let (paths, left) = wanted(&records, &[], "m");
    assert_eq!(paths, ["m/a.yaml", "m/b.yml"]);
    // Every other file still has its name there.
    assert_eq!(
        left,
        [
            "m/B.YAML",
            "m/_c.yaml",
            "m/.d/e.yaml",
            "m/film.mp4",
            "n/f.yaml"
        ]
    );
    assert_eq!(wanted(&records, &[], "m/_c.yaml").0, ["m/_c.yaml"]);
    assert_eq!(wanted(&records, &[], "m/film.mp4").0, ["m/film.mp4"]);
    assert_eq!(wanted(&records, &[], "no-such").0, [""; 0]);
    assert_eq!(wanted(&records, &[], "").0.len(), 3);
}

#[test]
fn b12_files_that_links_lead_to_are_wanted_whatever_their_names() {
    let records = [
        file("real/a.tmpl", "12"),
        file("real/b.txt", "12"),
        file("real/c.txt", "12"),
        format!("{LINK}      12\tm/a.yaml"),
        format!("{LINK}      12\tm/b.yaml"),
        format!("{LINK}      12\tm/c.txt"),
        format!("{LINK}      12\tm/out.yaml"),
        format!("{LINK}      12\tnow"),
    ];
    let links = [
        ("now", "real"),
        ("m/a.yaml", "../now/a.tmpl"),
        ("m/b.yaml", "c.txt"),
        ("m/c.txt", "../real/b.txt"),
        ("m/out.yaml", "/etc/hostname"),
    ];
    assert_eq!(
        wanted(&records, &links, "m").0,
        ["real/a.tmpl", "real/b.txt"]
    );
    // A link leads to the directory itself.
    let records = [file("real/a.yaml", "12"), format!("{LINK}      12\tnow")];
    assert_eq!(
        wanted(&records, &[("now", "real")], "now").0,
        ["real/a.yaml"]
    );
}

#[test]
fn b12_a_file_too_large_to_be_read_stays_a_placeholder_of_its_size() {
    let tree = tempfile::tempdir().expect("a directory");
    let large = (FILE_BYTES_MAX + 7).to_string();
    let just = FILE_BYTES_MAX.to_string();
    let mut records = vec![file("a.yaml", &large), file("b.yaml", "BAD")];
    records.extend((0..5).map(|number| file(&format!("c{number}.yaml"), &just)));
    let files = files(&records);
    files.make_placeholders(tree.path()).expect("makes");
    let wanted = files
        .take_wanted(tree.path(), Path::new(""))
        .expect("takes");
    assert!(wanted.is_one_lacking);
    // Four files of 256 MiB reach the limit of one gigabyte for all.
    assert_eq!(wanted.paths.len(), 4);
    let size = |name: &str| {
        let metadata = fs::metadata(tree.path().join(name));
        metadata.map_or(0, |metadata| metadata.len())
    };
    assert_eq!(size("a.yaml"), FILE_BYTES_MAX + 7);
    assert_eq!(size("b.yaml"), LEFT_OUT_FROM);
    assert_eq!(size("c4.yaml"), FILE_BYTES_MAX);
    let taken = fs::metadata(tree.path().join("a.yaml")).expect("is there");
    assert!(taken.blocks() < 100, "{} blocks", taken.blocks());
}

#[test]
fn b12_a_list_of_files_in_an_unknown_format_is_refused() {
    assert_eq!(CommitFiles::parse(b""), Some(CommitFiles(Vec::new())));
    for list in ["100644 blob", "040000 tree abc -\ta", "100644 blob abc\ta"] {
        assert_eq!(CommitFiles::parse(list.as_bytes()), None, "{list}");
    }
}

#[test]
fn b12_paths_are_split_so_that_they_fit_on_command_lines() {
    let paths: Vec<_> = (0..10_000)
        .map(|number| PathBuf::from(format!("{number:0>100}")))
        .collect();
    let lines = command_lines(paths.clone());
    assert!(lines.len() > 3, "{}", lines.len());
    let length = |line: &Vec<OsString>| line.iter().map(|path| path.len() + 1).sum::<usize>();
    assert!(lines.iter().all(|line| length(line) <= ARGUMENT_BYTES_MAX));
    let joined: Vec<_> = lines.into_iter().flatten().map(PathBuf::from).collect();
    assert_eq!(joined, paths);
    assert!(command_lines(Vec::new()).is_empty());
}
