//! Tests of directories with entries that cannot be read, or whose names keep them from being read. Most of
//! the errors also occur for a superuser; a test that needs a binding permission says that it is skipped
//! without one.

use crate::support::clock;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::support::clock::Scripted;
use sharekeeper::desired::Completeness;
use sharekeeper::manifest::GitBusyPolicy::Wait;
use sharekeeper::manifest::{Broken, Fingerprint, Loaded};

fn share(image: &str) -> String {
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: {image}}}\nspec: {{region: ap-tokyo, images: [{{id: {image}, state: shared}}]}}\n"
    )
}

/// A temporary root with the directory `m`, which holds `a.yaml`, and the other files that a test needs.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().expect("a directory"));
        tree.write("m/a.yaml", &share("img-a"));
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, text).expect("writes");
    }

    fn link(&self, target: &str, path: &str) {
        symlink(target, self.path(path)).expect("links");
    }

    fn load(&self, path: &str) -> Result<Loaded, Broken> {
        clock::load(&[self.path(path)])
    }

    /// Path below the root, message and help of each error.
    #[track_caller]
    fn errors(&self, path: &str) -> Vec<(String, String, String)> {
        let broken = self.load(path).expect_err("is no set");
        assert!(broken.may_pass(), "it is read again");
        let root = format!("{}/", self.0.path().display());
        let errors = broken.diagnostics().errors().iter().map(|error| {
            (
                error.file.replace(&root, ""),
                error.message.clone(),
                error.help.clone().expect("a way out"),
            )
        });
        errors.collect()
    }

    /// Message and help of the only error, whose path must be `at`.
    #[track_caller]
    fn error(&self, at: &str) -> (String, String) {
        let errors = self.errors("m");
        let [(file, message, help)] = &errors[..] else {
            panic!("{errors:#?}")
        };
        assert_eq!(file, at);
        (message.clone(), help.clone())
    }
}

fn images(loaded: &Loaded) -> Vec<String> {
    let keys = loaded.desired.images.keys();
    keys.map(|key| key.image.to_string()).collect()
}

/// Whether file permissions restrict the user that runs the tests. Where they do not, the function prints
/// that the test is skipped.
fn has_permissions_that_bind(tree: &Tree) -> bool {
    tree.write("probe/x", "");
    fs::set_permissions(tree.path("probe"), Permissions::from_mode(0o000)).expect("sets");
    let binds = fs::read_dir(tree.path("probe")).is_err();
    fs::set_permissions(tree.path("probe"), Permissions::from_mode(0o700)).expect("sets");
    if !binds {
        // A closed stderr is no reason to fail.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: permissions do not bind this user"
        );
    }
    binds
}

#[test]
fn g1_s3_a_link_that_breaks_is_an_error_whatever_its_name() {
    let long = "x".repeat(300);
    for (target, message) in [
        ("nowhere", "the link leads nowhere"),
        ("nowhere/deep", "the link leads nowhere"),
        ("self", "the link cannot be followed: Too many levels"),
        (
            "a.yaml/deep",
            "the link cannot be followed: Not a directory",
        ),
        (
            long.as_str(),
            "the link cannot be followed: File name too long",
        ),
    ] {
        for name in ["self", "team", "team.yaml", "notes.txt", "deep/team"] {
            if (target == "self") != (name == "self") {
                continue;
            }
            let tree = Tree::new();
            fs::create_dir(tree.path("m/deep")).expect("makes");
            tree.link(target, &format!("m/{name}"));
            let (error, help) = tree.error(&format!("m/{name}"));
            // A relative link in `deep` does not reach `a.yaml`.
            let expected = match name {
                "deep/team" if target.starts_with("a.yaml") => "the link leads nowhere",
                _ => message,
            };
            assert!(error.starts_with(expected), "{name} → {target}: {error}");
            assert!(help.contains("begin its name with `_`"), "{help}");
        }
    }
}

#[test]
fn g1_links_and_files_that_nobody_reads_may_be_broken() {
    let tree = Tree::new();
    fs::create_dir(tree.path("m/_off")).expect("makes");
    for link in ["m/.lock", "m/_team", "m/_off/team.yaml"] {
        tree.link("nowhere", link);
    }
    tree.write("notes.txt", "x");
    tree.link("../notes.txt", "m/notes.txt");
    tree.write("m/README.md", "x");
    let loaded = tree.load("m").expect("is good");
    assert_eq!(images(&loaded), ["img-a"]);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn g1_s3_a_link_that_breaks_while_it_is_followed_changes_the_fingerprint() {
    let tree = Tree::new();
    tree.write("beside/x", "x");
    tree.link("../beside/x", "m/team");
    let of = || Fingerprint::of(&[tree.path("m")]).0;
    let before = of();
    fs::remove_file(tree.path("beside/x")).expect("removes");
    assert_ne!(of(), before);
}

#[test]
fn g1_s3_a_given_path_that_cannot_be_read_says_why() {
    let tree = Tree::new();
    tree.link("loop", "loop");
    for (path, message) in [
        ("loop", "cannot be read: Too many levels"),
        ("loop/m", "cannot be read: Too many levels"),
        ("m/a.yaml/b", "cannot be read: Not a directory"),
        (&*"x".repeat(300), "cannot be read: File name too long"),
    ] {
        let errors = tree.errors(path);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].1.contains(message), "{path}: {}", errors[0].1);
        assert!(
            errors[0].2.contains("nothing is decided without it"),
            "{}",
            errors[0].2
        );
    }
}

#[test]
fn g1_s3_a_directory_that_cannot_be_listed_or_searched_is_one_error() {
    let tree = Tree::new();
    if !has_permissions_that_bind(&tree) {
        return;
    }
    for (mode, means, way_out) in [
        (
            0o000,
            "cannot be read: Permission denied",
            "give read access to the user that runs sharekeeper",
        ),
        (
            0o344,
            "cannot be read: Permission denied",
            "give read access to the user that runs sharekeeper",
        ),
        (
            0o644,
            "listed, but not searched: Permission denied",
            "chmod a+rX",
        ),
    ] {
        for files in [
            &["team-b/x.yaml"] as &[_],
            &["x.yaml", "y.yaml", "team-b/x.yaml"],
        ] {
            let tree = Tree::new();
            for file in files {
                tree.write(&format!("m/teams/{file}"), &share("img-x"));
            }
            fs::set_permissions(tree.path("m/teams"), Permissions::from_mode(mode)).expect("sets");
            let errors = tree.errors("m");
            fs::set_permissions(tree.path("m/teams"), Permissions::from_mode(0o755)).expect("sets");
            let [(file, message, help)] = &errors[..] else {
                panic!("{mode:o} {files:?}: {errors:#?}")
            };
            assert_eq!(file, "m/teams");
            assert!(message.contains(means), "{mode:o}: {message}");
            assert!(help.contains(way_out), "{mode:o}: {help}");
        }
    }
}

#[test]
fn g1_a_given_directory_that_cannot_be_searched_is_an_error_at_once() {
    let tree = Tree::new();
    if !has_permissions_that_bind(&tree) {
        return;
    }
    tree.write("m/team/x.yaml", &share("img-x"));
    tree.write("m/.git/index.lock", "");
    for (mode, path, means) in [
        (0o000, "m", "cannot be read: Permission denied"),
        (0o344, "m/team", "cannot be read: Permission denied"),
        (0o444, "m", "listed, but not searched: Permission denied"),
        (0o444, "m/team", "cannot be read: Permission denied"),
    ] {
        let of = |mode| Permissions::from_mode(mode);
        let closed = match mode {
            0o344 => "m/team",
            _ => "m",
        };
        if closed == "m/team" {
            fs::remove_file(tree.path("m/.git/index.lock")).expect("removes");
        }
        fs::set_permissions(tree.path(closed), of(mode)).expect("sets");
        let clock = Scripted::new(|_| {}).much_later();
        let broken = clock.load(&[tree.path(path)], Wait);
        fs::set_permissions(tree.path(closed), of(0o755)).expect("sets");
        let broken = broken.expect_err("is no set");
        assert_eq!(clock.waits(), 0, "{mode:o} {path}: it is waited for");
        let [error] = broken.diagnostics().errors() else {
            panic!("{mode:o} {path}: {:#?}", broken.diagnostics().errors())
        };
        assert!(
            error.file.ends_with(path),
            "{mode:o} {path}: {}",
            error.file
        );
        assert!(
            error.message.contains(means),
            "{mode:o} {path}: {}",
            error.message
        );
    }
}

#[test]
fn g1_an_unreadable_repository_is_not_ignored() {
    let tree = Tree::new();
    if !has_permissions_that_bind(&tree) {
        return;
    }
    for directory in [".git", "m/.git"] {
        tree.write(&format!("{directory}/HEAD"), "ref: refs/heads/main\n");
        for part in ["objects/x", "refs/x"] {
            tree.write(&format!("{directory}/{part}"), "");
        }
    }
    let clock = Scripted::new(|_| {}).much_later();
    clock.load(&[tree.path("m")], Wait).expect("is a set");
    fs::set_permissions(tree.path("m/.git"), Permissions::from_mode(0o000)).expect("sets");
    let broken = clock.load(&[tree.path("m")], Wait);
    fs::set_permissions(tree.path("m/.git"), Permissions::from_mode(0o755)).expect("sets");
    let broken = broken.expect_err("is no set");
    let errors = broken.diagnostics().errors();
    assert!(errors[0].file.ends_with("m/.git/index.lock"), "{errors:?}");
    assert!(
        errors[0].message.contains("Permission denied"),
        "{errors:?}"
    );
}

#[test]
fn g1_s3_a_link_into_what_may_not_be_searched_is_an_error_with_its_cause() {
    let tree = Tree::new();
    if !has_permissions_that_bind(&tree) {
        return;
    }
    tree.write("closed/team/x.yaml", &share("img-x"));
    tree.link("../closed/team", "m/team");
    fs::set_permissions(tree.path("closed"), Permissions::from_mode(0o000)).expect("sets");
    let errors = tree.errors("m");
    fs::set_permissions(tree.path("closed"), Permissions::from_mode(0o755)).expect("sets");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].1.contains("Permission denied"), "{}", errors[0].1);
    assert!(!errors[0].1.contains("nowhere"), "{}", errors[0].1);
}

#[test]
fn g1_with_partial_ok_what_a_broken_link_might_govern_is_left_out() {
    let tree = Tree::new();
    tree.write("m/deep/b.yaml", &share("img-b"));
    tree.link("nowhere", "m/deep/team.yaml");
    let broken = tree.load("m").expect_err("is no set");
    let partial = broken.into_good().expect("`a.yaml` is good");
    let images: Vec<_> = partial.into_partial_desired().images.into_keys().collect();
    assert_eq!(images.len(), 1, "{images:?}");
    assert_eq!(images[0].image.to_string(), "img-a");
}

#[test]
fn g1_m2_s3_an_unreadable_git_entry_counts_as_git_at_work() {
    let long = "x".repeat(300);
    type Make<'a> = &'a dyn Fn(&Tree, &str);
    let makes: [(&str, Make<'_>, &str); 6] = [
        (
            "a link in a loop",
            &|tree, git| tree.link(".git", git),
            "Too many levels",
        ),
        (
            "a link to nowhere",
            &|tree, git| tree.link("gone/.git", git),
            "No such file",
        ),
        (
            "a link through a file",
            &|tree, git| tree.link("a.yaml/x", git),
            "cannot be accessed",
        ),
        (
            "a link to no possible name",
            &|tree, git| tree.link(&long, git),
            "File name too long",
        ),
        (
            "a file with something else",
            &|tree, git| tree.write(git, "hello"),
            "`gitdir: `",
        ),
        (
            "an empty file",
            &|tree, git| tree.write(git, ""),
            "`gitdir: `",
        ),
    ];
    for (what, make, reason) in makes {
        for git in [".git", "m/.git"] {
            let tree = Tree::new();
            make(&tree, git);
            let clock = Scripted::new(|_| {}).much_later();
            let broken = clock.load(&[tree.path("m")], Wait).expect_err(what);
            let [error] = broken.diagnostics().errors() else {
                panic!("{what}: {}", broken.diagnostics().render(false))
            };
            assert!(error.file.ends_with(git), "{what}: {}", error.file);
            assert!(error.message.contains(reason), "{what}: {}", error.message);
            assert!(
                error.message.contains("git may be changing the manifests"),
                "{}",
                error.message
            );
            assert!(broken.may_pass(), "{what}");
            assert!(clock.waits() > 1, "{what}: it is waited for");
            // A caller that does not wait for git gets the set, but the set is not known to be complete.
            let loaded = tree.load("m").expect("is a set");
            assert!(
                matches!(&loaded.desired.completeness, Completeness::Unknown(_)),
                "{what}"
            );
            assert!(loaded.warnings[0].file.ends_with(git), "{what}");
            // The set is valid once the entry that cannot be read is removed.
            fs::remove_file(tree.path(git)).expect("removes");
            assert_eq!(images(&tree.load("m").expect("is good")), ["img-a"]);
        }
    }
}

#[test]
fn g1_m2_s3_an_unreadable_sign_of_git_at_work_counts_as_there() {
    let tree = Tree::new();
    let long = "x".repeat(300);
    tree.write(".git", &format!("gitdir: {long}\n"));
    let clock = Scripted::new(|_| {}).much_later();
    let broken = clock.load(&[tree.path("m")], Wait).expect_err("is no set");
    let shown = broken.diagnostics().render(false);
    assert!(shown.contains("File name too long"), "{shown}");
    assert!(
        shown.contains("git may be changing the manifests"),
        "{shown}"
    );
}

#[test]
fn g1_m2_what_masks_a_git_directory_is_no_repository() {
    let tree = Tree::new();
    tree.link("/dev/null", ".git");
    let clock = Scripted::new(|_| {}).much_later();
    let loaded = clock.load(&[tree.path("m")], Wait).expect("is good");
    assert_eq!(images(&loaded), ["img-a"]);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn g1_m2_s3_a_repository_below_the_given_path_is_waited_for() {
    let tree = Tree::new();
    tree.write("m/team/b.yaml", &share("img-b"));
    fs::create_dir(tree.path("m/team/.git")).expect("makes");
    let clock = Scripted::new(|wait| match wait {
        1 => tree.write("m/team/.git/index.lock", ""),
        5 => {
            tree.write("m/team/c.yaml", &share("img-c"));
            fs::remove_file(tree.path("m/team/.git/index.lock")).expect("removes");
        }
        _ => {}
    });
    let loaded = clock.load(&[tree.path("m")], Wait).expect("is good");
    assert_eq!(images(&loaded), ["img-a", "img-b", "img-c"]);
    assert!(clock.waits() > 5, "{}", clock.waits());
}

#[test]
fn g3_r9d_a_name_that_is_nearly_a_manifests_is_warned_of() {
    let tree = Tree::new();
    for name in ["b.YAML", "c.YML", "deep/d.Yaml", "e.yaml.txt"] {
        tree.write(&format!("m/{name}"), &share("img-x"));
    }
    tree.link("b.YAML", "m/f.yml ");
    for name in ["b.yaml~", "_g.YAML", ".h.YML", "i.yaml.bak"] {
        tree.write(&format!("m/{name}"), &share("img-x"));
    }
    let loaded = tree.load("m").expect("is good");
    assert_eq!(images(&loaded), ["img-a"]);
    let mut named: Vec<_> = loaded
        .warnings
        .iter()
        .map(|warning| {
            assert!(warning.message.contains("not read"), "{warning}");
            let help = warning.help.as_deref().expect("a way out");
            assert!(help.contains("end in `.yaml`"), "{help}");
            warning.file.rsplit('/').next().expect("a name").to_owned()
        })
        .collect();
    named.sort();
    assert_eq!(named, ["b.YAML", "c.YML", "d.Yaml", "e.yaml.txt", "f.yml "]);
}

#[test]
fn g3_r9d_where_nothing_else_is_there_the_error_names_it() {
    let tree = Tree::new();
    tree.write("n/b.YAML", &share("img-b"));
    let errors = tree.errors("n");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].1.contains("holds no manifests"),
        "{}",
        errors[0].1
    );
    assert!(
        errors[0].2.starts_with("rename `b.YAML`"),
        "{}",
        errors[0].2
    );
    // The diagnostics of an invalid set contain the warning, too.
    tree.write("n/c.yaml", "nonsense: [");
    let broken = tree.load("n").expect_err("is no set");
    assert!(broken.diagnostics().render(false).contains("b.YAML"));
}

#[test]
fn g3_r9d_such_a_name_changes_the_fingerprint() {
    let tree = Tree::new();
    let of = || Fingerprint::of(&[tree.path("m")]).0;
    let before = of();
    tree.write("m/b.YAML", &share("img-b"));
    assert_ne!(of(), before);
}
