//! Tests which files a `Restriction` applies to, also when links lead to them, and that no file below its
//! directory can widen it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::support::clock::load;
use proptest::prelude::*;
use sharekeeper::desired::Desired;
use sharekeeper::manifest::{Broken, Diagnostics, Loaded, SourceText, parse};

fn share(image: &str) -> String {
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: {image}}}\nspec: {{region: ap-tokyo, images: [{{id: {image}, state: shared}}]}}\n"
    )
}

fn restriction(name: &str, directory: &str, restrict: &str) -> String {
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: Restriction\nmetadata: {{name: {name}}}\nspec: {{directory: {directory}, restrict: {{{restrict}}}}}\n"
    )
}

/// A `Restriction` of `directory` that only allows images whose ids begin with `img-a`.
fn only_a(name: &str, directory: &str) -> String {
    restriction(name, directory, "images: ['img-a*']")
}

struct Files(tempfile::TempDir);

impl Files {
    fn with(files: &[(&str, String)]) -> Self {
        let new = Self(tempfile::tempdir().expect("a directory"));
        for (path, text) in files {
            new.write(path, text);
        }
        new
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, text).expect("writes");
    }

    fn link(&self, target: &str, path: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        symlink(target, path).expect("links");
    }

    fn load(&self, paths: &[&str]) -> Result<Loaded, Broken> {
        let paths: Vec<_> = paths.iter().map(|path| self.path(path)).collect();
        load(&paths)
    }

    /// File and message of each error; the file is relative to the root of the test.
    fn errors(&self, paths: &[&str]) -> Vec<(String, String)> {
        let broken = match self.load(paths) {
            Ok(loaded) => panic!("{} images are valid", loaded.desired.images.len()),
            Err(broken) => broken,
        };
        let root = format!("{}/", self.0.path().display());
        let errors = broken.diagnostics().errors().iter();
        errors
            .map(|error| {
                let file = error.file.replace(&root, "").replace("./", "");
                (file, error.message.clone())
            })
            .collect()
    }
}

fn refused(file: &str, image: &str) -> Vec<(String, String)> {
    let message = format!("image `{image}` is not allowed here");
    vec![(file.to_owned(), message)]
}

/// The images of a valid set, and the help texts of its warnings.
fn images(loaded: Result<Loaded, Broken>) -> (Vec<String>, Vec<String>) {
    let loaded = loaded.unwrap_or_else(|broken| panic!("{}", broken.diagnostics().render(false)));
    let images = loaded.desired.images.keys();
    let hints = loaded.warnings.iter().filter_map(|w| w.help.clone());
    (
        images.map(|key| key.image.to_string()).collect(),
        hints.collect(),
    )
}

const NONE: [&str; 0] = [];

#[test]
fn it_is_about_its_directory_and_what_is_below_and_nothing_else() {
    let files = Files::with(&[
        ("all/r.yaml", only_a("r", "team")),
        ("all/x.yaml", share("img-x1")),
        ("all/team-b/x.yaml", share("img-x2")),
        ("all/team/a.yaml", share("img-a1")),
        ("all/team/deep/er/a.yaml", share("img-a2")),
    ]);
    let (found, warnings) = images(files.load(&["all"]));
    assert_eq!(found, ["img-a1", "img-a2", "img-x1", "img-x2"]);
    assert_eq!(warnings, NONE);
    files.write("all/team/deep/er/x.yaml", share("img-x3"));
    assert_eq!(
        files.errors(&["all"]),
        refused("all/team/deep/er/x.yaml", "img-x3")
    );
}

#[test]
fn an_error_names_the_place_and_the_restriction_and_its_place() {
    let files = Files::with(&[
        (
            "r.yaml",
            restriction("rails", ".", "\n  accounts: [team-*]"),
        ),
        (
            "team/a.yaml",
            share("img-a").replace("{region", "{account: prod, region"),
        ),
        (
            "prod.yaml",
            "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: prod}\n".to_owned(),
        ),
    ]);
    let broken = files.load(&["."]).expect_err("is broken");
    let errors = broken.diagnostics().errors();
    let places: Vec<_> = errors.iter().map(|e| (e.line, e.column)).collect();
    assert_eq!(places, [(3, 18), (4, 17)], "the declaration, and the use");
    let help = errors[1].help.as_deref().expect("a way out");
    assert!(
        help.contains("Restriction `rails` (")
            && help.contains("r.yaml:5:13) allows only `team-*`"),
        "{help}"
    );
}

#[test]
fn one_further_down_narrows_and_cannot_widen() {
    let files = Files::with(&[
        ("r.yaml", only_a("root", ".")),
        (
            "team/r.yaml",
            restriction("wider", ".", "images: ['img-*']"),
        ),
        ("team/x.yaml", share("img-x")),
    ]);
    assert_eq!(files.errors(&["."]), refused("team/x.yaml", "img-x"));
    files.write("team/x.yaml", share("img-a2"));
    files.write(
        "team/r.yaml",
        restriction("narrower", ".", "images: [img-a1]"),
    );
    assert_eq!(files.errors(&["."]), refused("team/x.yaml", "img-a2"));
    files.write("team/x.yaml", share("img-a1"));
    files.write("other/a.yaml", share("img-a2"));
    let (found, warnings) = images(files.load(&["."]));
    assert_eq!((found.len(), warnings.len()), (2, 0));
}

#[test]
fn paths_that_are_given_in_parts_or_spelled_otherwise_make_no_difference() {
    let files = Files::with(&[
        ("all/r.yaml", only_a("r", "team")),
        ("all/team/x.yaml", share("img-x")),
        ("all/z/a.yaml", share("img-a")),
    ]);
    for paths in [
        &["all/r.yaml", "all/team"] as &[&str],
        &["all/team", "all/r.yaml"],
        &["all/z/../r.yaml", "all/team/../team/x.yaml"],
        &["all/team/x.yaml", "all/./r.yaml"],
        &["all/team", "all"],
    ] {
        let messages: Vec<_> = files.errors(paths).into_iter().map(|(_, m)| m).collect();
        assert_eq!(messages, ["image `img-x` is not allowed here"], "{paths:?}");
    }
    files.link("all/team", "shortcut");
    files.link("all/r.yaml", "rules");
    for paths in [["all/r.yaml", "shortcut"], ["shortcut/x.yaml", "rules"]] {
        assert_eq!(files.errors(&paths).len(), 1, "{paths:?}");
    }
    // A directory that is given as a link also counts at the place of the link.
    files.write("releases/1/x.yaml", share("img-x"));
    files.link("../releases/1", "all/current");
    files.write("all/current.yaml", only_a("current", "current"));
    assert_eq!(
        files.errors(&["all/current.yaml", "all/current"]),
        refused("all/current/x.yaml", "img-x")
    );
    let (found, _) = images(files.load(&["all/team"]));
    assert_eq!(found, ["img-x"], "what is not read restricts nothing");
}

#[test]
fn m10_a_link_moves_no_file_out_of_its_restriction() {
    // The link comes before its target in the order of the search, and then after it.
    for way in ["free/link.yaml", "zone/link.yaml"] {
        let files = Files::with(&[
            ("r.yaml", only_a("r", "team")),
            ("team/x.yaml", share("img-x")),
        ]);
        files.link("../team/x.yaml", way);
        let errors = files.errors(&["."]);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].1, "image `img-x` is not allowed here");
    }
    for (target, place) in [("free", "free/x.yaml"), ("zone", "zone/x.yaml")] {
        let files = Files::with(&[("r.yaml", only_a("r", "team")), (place, share("img-x"))]);
        files.link(&format!("../{target}/x.yaml"), "team/link.yaml");
        let errors = files.errors(&["."]);
        assert_eq!(errors[0].1, "image `img-x` is not allowed here", "{place}");
    }
    // A file that is only found through a link belongs to the directory of the link.
    let files = Files::with(&[
        ("r.yaml", only_a("r", "team")),
        ("_hidden/x.yaml", share("img-x")),
    ]);
    files.link("../_hidden/x.yaml", "team/link.yaml");
    assert_eq!(files.errors(&["."]), refused("team/link.yaml", "img-x"));
}

#[test]
fn m10_a_link_to_a_restriction_moves_it_nowhere() {
    for directory in [".", "team-b"] {
        let files = Files::with(&[
            ("r.yaml", only_a("r", directory)),
            ("team-b/x.yaml", share("img-x")),
        ]);
        // The search finds the link before the file itself.
        files.link("../r.yaml", "a-team/link.yaml");
        assert_eq!(
            files.errors(&["."]),
            refused("team-b/x.yaml", "img-x"),
            "{directory}"
        );
    }
}

#[test]
fn m11_a_volume_of_kubernetes_is_the_directory_that_it_looks_like() {
    let files = Files::with(&[
        ("mount/..v1/r.yaml", only_a("r", ".")),
        ("mount/..v1/x.yaml", share("img-x")),
    ]);
    files.link("..v1", "mount/..data");
    files.link("..data/r.yaml", "mount/r.yaml");
    files.link("..data/x.yaml", "mount/x.yaml");
    assert_eq!(files.errors(&["mount"]), refused("mount/x.yaml", "img-x"));
    files.write("r.yaml", only_a("above", "mount"));
    files.write("mount/..v1/r.yaml", share("img-a"));
    let errors = files.errors(&["mount", "r.yaml"]);
    assert_eq!(errors, refused("mount/x.yaml", "img-x"));
}

#[test]
fn a_restriction_without_files_names_the_directory_that_is_near() {
    let files = Files::with(&[
        ("r.yaml", only_a("r", "taem-a")),
        ("team-a/deep/x.yaml", share("img-x")),
    ]);
    let (_, warnings) = images(files.load(&["."]));
    assert_eq!(warnings, ["did you mean `team-a`?"]);
    // The Restriction is in a sibling of the directory that its author probably meant, and restricts only its
    // own directory.
    let files = Files::with(&[
        ("rules/r.yaml", only_a("r", ".")),
        ("team-a/x.yaml", share("img-x")),
    ]);
    let (_, warnings) = images(files.load(&["."]));
    assert!(warnings[0].contains("move the file up"), "{warnings:?}");
}

#[test]
fn s21_files_are_held_against_a_bounded_number() {
    let many = |count: usize| {
        let documents: Vec<_> = (0..count).map(|n| only_a(&format!("r{n}"), ".")).collect();
        let files = [
            ("r.yaml", documents.join("---\n")),
            ("team/a.yaml", share("img-a")),
        ];
        Files::with(&files)
    };
    assert!(many(32).load(&["."]).is_ok());
    for count in [33, 1000] {
        let errors = many(count).errors(&["."]);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].1.contains("more than 32"), "{errors:?}");
    }
}

/// The images that remain of a set with one broken file.
fn left(files: &Files, paths: &[&str]) -> Vec<String> {
    let broken = files.load(paths).expect_err("is broken");
    let desired = broken
        .into_good()
        .map(|partial| partial.into_partial_desired());
    let images = desired.into_iter().flat_map(|desired| desired.images);
    images.map(|(key, _)| key.image.to_string()).collect()
}

#[test]
fn m1_s3_nothing_is_kept_below_an_unreadable_file() {
    let files = Files::with(&[
        ("all/team/x.yaml", share("img-x")),
        ("beside/b.yaml", share("img-b")),
    ]);
    // A byte in a comment is not UTF-8, so that the file cannot be read as text.
    files.write(
        "all/r.yaml",
        [only_a("r", "team").as_bytes(), b"# \xe4"].concat(),
    );
    assert_eq!(left(&files, &["."]), ["img-b"]);
    assert_eq!(
        left(&files, &["beside", "all/r.yaml", "all/team"]),
        ["img-b"]
    );
    // One link to the broken file is where it would restrict nothing, and the other one is where it restricts
    // `team`.
    for link in ["a/link.yaml", "z/link.yaml"] {
        let files = Files::with(&[
            ("all/team/x.yaml", share("img-x")),
            ("beside/b.yaml", share("img-b")),
        ]);
        files.write(
            "_kept/r.yaml",
            [only_a("r", "team").as_bytes(), b"# \xe4"].concat(),
        );
        files.link("../_kept/r.yaml", "all/r.yaml");
        files.link("../_kept/r.yaml", link);
        assert_eq!(left(&files, &["."]), ["img-b"], "{link}");
    }
    // The file of the Restriction does not exist.
    let files = Files::with(&[
        ("all/x.yaml", share("img-x")),
        ("beside/b.yaml", share("img-b")),
    ]);
    assert_eq!(left(&files, &["all", "beside", "all/r.yaml"]), ["img-b"]);
    assert_eq!(
        left(&files, &["all", "beside", "team"]),
        ["img-b", "img-x"],
        "a directory could be about itself alone"
    );
    files.link("nowhere", "all/r.yaml");
    assert_eq!(left(&files, &["all", "beside"]), ["img-b"]);
}

#[test]
fn m1_s3_a_file_without_permission_is_suspected_whatever_its_name() {
    let files = Files::with(&[
        ("all/x.yaml", share("img-x")),
        ("all/rules", only_a("r", ".")),
        ("beside/b.yaml", share("img-b")),
    ]);
    let rules = files.path("all/rules");
    fs::set_permissions(&rules, fs::Permissions::from_mode(0o000)).expect("sets");
    if fs::read(&rules).is_ok() {
        // A superuser can read every file. A device is never accepted as a manifest, so that it takes the place
        // of the file.
        fs::remove_file(&rules).expect("removes");
        files.link("/dev/null", "all/rules");
    }
    assert_eq!(left(&files, &["all", "beside", "all/rules"]), ["img-b"]);
}

/// The desired state of a valid set; `None` for a set with errors.
fn wanted(result: Result<Loaded, Diagnostics>) -> Option<Desired> {
    Some(result.ok()?.desired)
}

fn sources(files: &[(String, String)]) -> Vec<SourceText> {
    let sources = files.iter();
    sources
        .map(|(name, text)| SourceText::new(name.as_str(), text.clone()))
        .collect()
}

fn a_directory() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a/", "a/b/", "ab/"])
}

fn a_share() -> impl Strategy<Value = String> {
    let account = prop::sample::select(vec!["default", "team-a", "nobody"]);
    let region = prop::sample::select(vec!["ap-tokyo", "ap-seoul"]);
    let state = prop::sample::select(vec!["shared", "unshared", "shard"]);
    (account, region, "img-[ab][12]", state, 0..40).prop_map(
        |(account, region, image, state, name)| {
            // Most values are valid, because a set with errors shows nothing else.
            let state = if name > 2 { "shared" } else { state };
            let account = if account == "nobody" && name > 2 { "team-a" } else { account };
            format!(
                "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: n{name}}}\nspec: {{account: {account}, region: {region}, images: [{{id: {image}, state: {state}}}]}}\n"
            )
        },
    )
}

fn a_share_by_name() -> impl Strategy<Value = String> {
    ("team-[ab]-[12]", 0..40).prop_map(|(image, name)| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: n{name}}}\nspec: {{region: ap-tokyo, images: [{{name: {image}, state: shared}}]}}\n"
        )
    })
}

fn a_policy() -> impl Strategy<Value = String> {
    let conditions = prop::sample::select(vec![
        "name: 'team-*'",
        "name: 'team-a-*'",
        "name: 'team-b-?'",
        "name: team-a-1",
        "family: team-a",
    ]);
    let revoked = prop::sample::select(vec!["id: img-a1", "name: team-a-9", "name: team-b-9"]);
    (conditions, revoked, 0..40).prop_map(|(conditions, revoked, name)| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: n{name}}}\nspec: {{region: ap-tokyo, match: {{{conditions}}}, keep: {{newest: 1}}, revoke: [{{{revoked}}}]}}\n"
        )
    })
}

fn a_restriction(name: &'static str) -> impl Strategy<Value = String> {
    let directory = prop::sample::select(vec![".", "a", "b", "a/b", "ab"]);
    let restrict = prop::sample::select(vec![
        "accounts: [default]",
        "accounts: ['team-?']",
        "regions: [ap-tokyo]",
        "images: ['img-a*']",
        "images: ['img-?1'], regions: [ap-seoul, ap-tokyo]",
        "images: ['img-*']",
        "images: ['team-a-*', 'img-b*']",
        "images: ['team-?-*']",
    ]);
    (directory, restrict)
        .prop_map(move |(directory, restrict)| restriction(name, directory, restrict))
}

fn a_set() -> impl Strategy<Value = Vec<(String, String)>> {
    let account =
        "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: team-a}\n".to_owned();
    let document = prop_oneof![
        5 => a_share(),
        2 => a_share_by_name(),
        2 => a_policy(),
        1 => a_restriction("first"),
        1 => Just("# nothing\n".to_owned()),
        2 => Just(account),
    ];
    let file = (a_directory(), document);
    prop::collection::vec(file, 1..5).prop_map(|files| {
        let numbered = files.into_iter().enumerate();
        numbered
            .map(|(n, (directory, text))| (format!("{directory}{n}.yaml"), text))
            .collect()
    })
}

#[test]
fn a_lock_file_is_no_way_to_the_policies_of_another_directory() {
    let policy = |name: &str| {
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: {name}}}\nspec: {{region: ap-tokyo, match: {{name: '{name}-*'}}, keep: {{newest: 1}}}}\n"
        )
    };
    let lock = |name: &str| {
        let digest = "0a".repeat(32);
        format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageShareLock\nspec: {{policies: [{{name: {name}, digest: {digest}, regions: {{ap-tokyo: [{{id: img-x, name: x}}]}}}}]}}\n"
        )
    };
    let files = Files::with(&[
        ("r.yaml", restriction("in-a", "a", "images: ['a-*']")),
        ("a/policy.yaml", policy("a")),
        ("b/policy.yaml", policy("b")),
        ("a/lock.yaml", lock("a")),
        ("lock.yaml", lock("b")),
    ]);
    let (_, warnings) = images(files.load(&["."]));
    assert_eq!(warnings, NONE, "beside its policy, and above all of them");
    files.write("lock.yaml", "# nothing");
    files.write("a/lock.yaml", lock("b"));
    let errors = files.errors(&["."]);
    let refused = ("a/lock.yaml", "policy `b` may not be locked here");
    assert_eq!(errors, [(refused.0.to_owned(), refused.1.to_owned())]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s3_another_restriction_validates_and_changes_nothing(
        files in a_set(), directory in a_directory(), added in a_restriction("added"),
    ) {
        let without = wanted(parse(sources(&files)));
        let mut more = files.clone();
        more.push((format!("{directory}r.yaml"), added));
        if let Some(with) = wanted(parse(sources(&more))) {
            prop_assert_eq!(Some(with), without);
        }
    }
}
