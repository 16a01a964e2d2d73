//! Tests manifests that git tracks and that are missing in the work tree. They use the real git, because a
//! missing file must not look like a removed manifest.

use crate::support::real_git;

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{Future, ready};
use std::io::Write;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::clock::Scripted;
use futures_util::FutureExt;
use sharekeeper::desired::Completeness;
use sharekeeper::host::{CommandError, CommandRunner, ExternalCommand, SystemCommandRunner};
use sharekeeper::manifest::{self, Broken, Fingerprint, GitBusyPolicy, Loaded, ReadOptions};

fn share(image: &str) -> String {
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: {image}}}\nspec: {{region: ap-tokyo, images: [{{id: {image}, state: shared}}]}}\n"
    )
}

/// The directories of one test; `r` is a repository with `m/a.yaml` and `m/team/b.yaml` in a commit.
struct Place(tempfile::TempDir);

impl Place {
    /// Returns `None` where git is not installed, and prints that the test is skipped.
    fn new() -> Option<Self> {
        if !real_git::is_there() {
            return None;
        }
        let place = Self(tempfile::tempdir().expect("a directory"));
        place.repository("r", &["m/a.yaml", "m/team/b.yaml"]);
        Some(place)
    }

    /// Makes a repository with a commit of these manifests, each of which declares the image of the same
    /// name.
    fn repository(&self, name: &str, manifests: &[&str]) {
        fs::create_dir_all(self.path(name)).expect("makes");
        self.git(name, &["init", "--quiet", "--initial-branch=main"]);
        for path in manifests {
            let image = Path::new(path)
                .file_stem()
                .expect("a name")
                .to_string_lossy();
            self.write(&format!("{name}/{path}"), &share(&format!("img-{image}")));
        }
        self.commit(name);
    }

    fn commit(&self, name: &str) {
        self.git(name, &["add", "--all"]);
        self.git(name, &["commit", "--quiet", "--allow-empty", "--message=x"]);
    }

    fn try_git(&self, directory: &str, arguments: &[&str]) -> bool {
        let output = real_git::command(&self.path(directory), self.0.path())
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .output()
            .expect("git runs");
        output.status.success()
    }

    /// Runs git without the settings of the user that runs the tests.
    fn git(&self, directory: &str, arguments: &[&str]) {
        assert!(self.try_git(directory, arguments), "{arguments:?}");
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, text).expect("writes");
    }

    fn remove(&self, path: &str) {
        let path = self.path(path);
        match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        }
        .expect("removes");
    }

    /// Adds the repository `other` as a submodule at `r/m/sub`, and commits it.
    fn with_submodule(&self) {
        self.repository("other", &["c.yaml", "deep/d.yaml"]);
        let other = self.path("other");
        let other = other.to_str().expect("text");
        self.git("r", &["submodule", "--quiet", "add", other, "m/sub"]);
        self.commit("r");
    }

    fn clone(&self, options: &[&str]) {
        let clone = [&["clone", "--quiet"], options, &["r", "c"]].concat();
        self.git(".", &clone);
    }

    async fn load(&self, paths: &[&str]) -> Result<Loaded, Broken> {
        self.load_with(paths, &SystemCommandRunner).await
    }

    async fn load_with(
        &self,
        paths: &[&str],
        programs: &impl CommandRunner,
    ) -> Result<Loaded, Broken> {
        let paths: Vec<_> = paths.iter().map(|path| self.path(path)).collect();
        let clock = Scripted::new(|_| {}).much_later();
        let options = ReadOptions::new(GitBusyPolicy::Wait);
        manifest::load_with(&paths, &options, &clock, programs).await
    }

    /// The images of a set that must be valid and known to be complete.
    #[track_caller]
    fn images(&self, paths: &[&str]) -> impl Future<Output = Vec<String>> {
        let caller = std::panic::Location::caller();
        async move {
            let loaded = match self.load(paths).await {
                Ok(loaded) => loaded,
                Err(broken) => panic!("{caller}: {}", broken.diagnostics().render(false)),
            };
            assert_eq!(loaded.desired.completeness, Completeness::Whole, "{caller}");
            assert_eq!(loaded.warnings, [], "{caller}");
            names(&loaded)
        }
    }

    /// Path below the root, message and help of each error.
    #[track_caller]
    fn errors(&self, paths: &[&str]) -> impl Future<Output = Vec<(String, String, String)>> {
        let caller = std::panic::Location::caller();
        async move {
            let broken = match self.load(paths).await {
                Ok(loaded) => panic!("{caller}: a set: {:?}", names(&loaded)),
                Err(broken) => broken,
            };
            assert!(broken.may_pass(), "{caller}: it is looked at again");
            let root = format!("{}/", self.0.path().display());
            let errors = broken.diagnostics().errors().iter();
            errors
                .map(|error| {
                    let help = error.help.clone().expect("a way out");
                    (error.file.replace(&root, ""), error.message.clone(), help)
                })
                .collect()
        }
    }

    /// Asserts that the only error is at `at`, and that its message and help contain the words.
    #[track_caller]
    fn refuses(&self, path: &str, at: &str, words: &[&str]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let errors = self.errors(&[path]).await;
            let [(file, message, help)] = &errors[..] else {
                panic!("{caller}: {errors:#?}")
            };
            assert_eq!(file, at, "{caller}");
            let text = format!("{message}; {help}");
            for word in words {
                assert!(text.contains(word), "{caller}: no `{word}` in: {text}");
            }
        }
    }
}

fn names(loaded: &Loaded) -> Vec<String> {
    let keys = loaded.desired.images.keys();
    keys.map(|key| key.image.to_string()).collect()
}

const SUBMODULE: [&str; 3] = [
    "submodule is not fetched",
    "git submodule update --init",
    "give paths that do not contain it",
];

#[tokio::test]
async fn g1_g3_a_whole_checkout_is_a_set_however_it_is_given() {
    let Some(place) = Place::new() else { return };
    symlink(place.path("r/m"), place.path("link")).expect("links");
    place.git("r", &["worktree", "add", "--quiet", "../w", "-b", "w"]);
    for path in ["r", "r/m", "link", "w", "w/m"] {
        assert_eq!(place.images(&[path]).await, ["img-a", "img-b"], "{path}");
    }
    assert_eq!(
        place.images(&["r/m/a.yaml", "r/m/team"]).await,
        ["img-a", "img-b"]
    );
    // Files that git does not track do no harm.
    place.write("r/m/new.yaml", &share("img-new"));
    place.write("r/m/changed/x.yaml", &share("img-x"));
    place.git("r", &["add", "--intent-to-add", "m/new.yaml"]);
    assert_eq!(place.images(&["r"]).await.len(), 4);
}

#[tokio::test]
async fn g3_s3_a_submodule_that_is_not_fetched_is_an_error() {
    let Some(place) = Place::new() else { return };
    place.with_submodule();
    place.clone(&[]);
    for path in ["c", "c/m", "c/m/sub"] {
        place.refuses(path, "c/m/sub", &SUBMODULE).await;
    }
    // Paths that do not contain the submodule are complete.
    assert_eq!(
        place.images(&["c/m/a.yaml", "c/m/team"]).await,
        ["img-a", "img-b"]
    );
    fs::remove_dir(place.path("c/m/sub")).expect("removes");
    place.refuses("c/m", "c/m/sub", &SUBMODULE).await;
    place.git("c", &["submodule", "--quiet", "update", "--init"]);
    assert_eq!(place.images(&["c"]).await.len(), 4);
    assert_eq!(place.images(&["c/m/sub"]).await, ["img-c", "img-d"]);
}

#[tokio::test]
async fn g3_s3_half_a_submodule_is_an_error_in_its_own_terms() {
    let Some(place) = Place::new() else { return };
    place.with_submodule();
    assert_eq!(place.images(&["r/m"]).await.len(), 4);
    // The checkout of the submodule failed, so that it only has `.git`.
    for name in ["c.yaml", "deep"] {
        place.remove(&format!("r/m/sub/{name}"));
    }
    // The submodule's own repository lists the missing files, and each is reported once.
    let errors = place.errors(&["r/m"]).await;
    let files: Vec<_> = errors.iter().map(|(file, ..)| file.as_str()).collect();
    assert_eq!(files, ["r/m/sub/c.yaml", "r/m/sub/deep/d.yaml"]);
    place.git("r/m/sub", &["checkout", "--quiet", "--", "."]);
    place.remove("r/m/sub/deep/d.yaml");
    place
        .refuses("r/m", "r/m/sub/deep/d.yaml", &["git has it"])
        .await;
    place
        .refuses("r/m/sub", "r/m/sub/deep/d.yaml", &["git has it"])
        .await;
    // The fingerprint also covers the index of the submodule.
    let of = || Fingerprint::of(&[place.path("r/m")]).0;
    let before = of();
    place.git("r/m/sub", &["rm", "--quiet", "--cached", "deep/d.yaml"]);
    assert_ne!(of(), before);
    assert_eq!(place.images(&["r/m"]).await, ["img-a", "img-b", "img-c"]);
}

#[tokio::test]
async fn g3_s3_a_repository_of_its_own_below_the_given_path_is_asked_too() {
    let Some(place) = Place::new() else { return };
    place.repository("plain/nested", &["n.yaml", "o.yaml"]);
    place.write("plain/p.yaml", &share("img-p"));
    assert_eq!(place.images(&["plain"]).await, ["img-n", "img-o", "img-p"]);
    place.remove("plain/nested/n.yaml");
    place
        .refuses("plain", "plain/nested/n.yaml", &["nested rm -- n.yaml"])
        .await;
}

#[tokio::test]
async fn g3_s3_a_sparse_checkout_is_an_error_where_it_leaves_manifests_out() {
    let Some(place) = Place::new() else { return };
    place.write("r/other/readme.txt", "x");
    place.write("r/m/team/deep/c.yml", &share("img-c"));
    place.commit("r");
    for index in [&[] as &[&str], &["--sparse-index"]] {
        place.git("r", &["sparse-checkout", "disable"]);
        // The sparse checkout has all manifests and nothing else, so that the set is complete.
        let set = [&["sparse-checkout", "set", "--cone"], index, &["m"]].concat();
        place.git("r", &set);
        assert_eq!(place.images(&["r/m"]).await.len(), 3, "{index:?}");
        let set = [&["sparse-checkout", "set", "--cone"], index, &["other"]].concat();
        place.git("r", &set);
        place.write("r/m/new.yaml", &share("img-new"));
        let errors = place.errors(&["r/m"]).await;
        let files: Vec<_> = errors.iter().map(|(file, ..)| file.as_str()).collect();
        assert_eq!(
            files,
            ["r/m/a.yaml", "r/m/team/b.yaml", "r/m/team/deep/c.yml"],
            "{index:?}"
        );
        for (_, message, help) in errors {
            assert!(
                message.contains("a sparse checkout leaves it out"),
                "{message}"
            );
            assert!(
                help.contains("sparse-checkout add") && help.contains("narrower paths"),
                "{help}"
            );
        }
        place.remove("r/m/new.yaml");
    }
}

#[tokio::test]
async fn g3_s3_a_file_that_was_deleted_is_confirmed_by_git() {
    for confirm in [
        &["rm", "--quiet", "m/team/b.yaml"] as &[&str],
        &["add", "-A"],
    ] {
        let Some(place) = Place::new() else { return };
        place.remove("r/m/team/b.yaml");
        place
            .refuses(
                "r/m",
                "r/m/team/b.yaml",
                &["git rm", "git add -A", "git restore", "rm -- m/team/b.yaml"],
            )
            .await;
        // The whole directory of the file may be missing.
        fs::remove_dir(place.path("r/m/team")).expect("removes");
        place.refuses("r", "r/m/team/b.yaml", &["git has it"]).await;
        place.git("r", confirm);
        assert_eq!(place.images(&["r/m"]).await, ["img-a"]);
        // The index decides, not the commit.
        place.git("r", &["restore", "--staged", "m/team/b.yaml"]);
        place.refuses("r", "r/m/team/b.yaml", &["git has it"]).await;
    }
}

#[tokio::test]
async fn g3_s3_whatever_takes_the_place_of_a_manifest_is_seen() {
    type Change = fn(&Place);
    let changes: [(&str, Change, Option<&str>); 6] = [
        (
            "renamed",
            |place| {
                fs::rename(place.path("r/m/a.yaml"), place.path("r/m/z.yaml")).expect("renames")
            },
            Some("r/m/a.yaml"),
        ),
        (
            "renamed to a near miss",
            |place| {
                fs::rename(place.path("r/m/a.yaml"), place.path("r/m/a.YAML")).expect("renames")
            },
            Some("r/m/a.yaml"),
        ),
        (
            "renamed to what is passed over",
            |place| {
                fs::rename(place.path("r/m/a.yaml"), place.path("r/m/_a.yaml")).expect("renames")
            },
            Some("r/m/a.yaml"),
        ),
        (
            "a directory",
            |place| {
                place.remove("r/m/a.yaml");
                place.write("r/m/a.yaml/x.yaml", &share("img-x"));
            },
            Some("r/m/a.yaml"),
        ),
        (
            "a directory that is a file now",
            |place| {
                place.remove("r/m/team");
                place.write("r/m/team", "x");
            },
            Some("r/m/team/b.yaml"),
        ),
        (
            "a link to another manifest",
            |place| {
                place.write("r/m/c.yaml", &share("img-c"));
                place.remove("r/m/a.yaml");
                symlink("c.yaml", place.path("r/m/a.yaml")).expect("links");
            },
            None,
        ),
    ];
    for (what, change, at) in changes {
        let Some(place) = Place::new() else { return };
        change(&place);
        match at {
            Some(at) => place.refuses("r/m", at, &["git has it"]).await,
            None => assert_eq!(place.images(&["r/m"]).await.len(), 2, "{what}"),
        }
    }
}

#[tokio::test]
async fn g3_what_could_hold_no_manifest_may_be_missing() {
    let Some(place) = Place::new() else { return };
    for path in [
        "m/readme.txt",
        "m/_off/x.yaml",
        "m/.ci/y.yaml",
        "m/_z.yaml",
        "m/b.YAML",
        "elsewhere/q.yaml",
    ] {
        place.write(&format!("r/{path}"), "x");
    }
    symlink("a.yaml", place.path("r/m/_link")).expect("links");
    place.commit("r");
    for path in [
        "m/readme.txt",
        "m/_off",
        "m/.ci",
        "m/_z.yaml",
        "m/b.YAML",
        "m/_link",
        "elsewhere",
    ] {
        place.remove(&format!("r/{path}"));
    }
    assert_eq!(place.images(&["r/m"]).await, ["img-a", "img-b"]);
    // A path that is a single file covers only that file.
    place.remove("r/m/team/b.yaml");
    assert_eq!(place.images(&["r/m/a.yaml"]).await, ["img-a"]);
}

#[tokio::test]
async fn g3_s3_a_link_of_any_name_could_lead_to_manifests() {
    for name in ["team.yaml", "link", "notes.txt"] {
        let Some(place) = Place::new() else { return };
        place.write("r/x.txt", "x");
        let target = if name == "team.yaml" {
            "team/b.yaml"
        } else {
            "../x.txt"
        };
        symlink(target, place.path(&format!("r/m/{name}"))).expect("links");
        place.commit("r");
        assert_eq!(place.images(&["r/m"]).await, ["img-a", "img-b"]);
        place.remove(&format!("r/m/{name}"));
        place
            .refuses("r/m", &format!("r/m/{name}"), &["git has it"])
            .await;
        // In place of the link is a file now. It is read where its name is one of a manifest, and ignored
        // otherwise.
        place.write(&format!("r/m/{name}"), &share("img-c"));
        let more = usize::from(name == "team.yaml");
        assert_eq!(place.images(&["r/m"]).await.len(), 2 + more);
    }
}

#[tokio::test]
async fn g3_s3_a_checkout_that_failed_half_way_is_an_error() {
    let Some(place) = Place::new() else { return };
    place.write("r/.gitattributes", "m/team/* filter=scramble\n");
    place.commit("r");
    let filter = [
        "-c",
        "filter.scramble.required=true",
        "-c",
        "filter.scramble.smudge=no-such-program",
        "clone",
        "--quiet",
        "r",
        "c",
    ];
    assert!(!place.try_git(".", &filter), "the filter is not there");
    place.write("c/m/new.yaml", &share("img-new"));
    let errors = place.errors(&["c/m"]).await;
    assert!(
        errors.iter().any(|(file, ..)| file == "c/m/team/b.yaml"),
        "{errors:#?}"
    );
    for (_, message, help) in errors {
        assert!(message.contains("did not finish"), "{message}");
        assert!(
            help.contains("git restore") && help.contains("filter"),
            "{help}"
        );
    }
    // The file is also missed later, when git has written an index.
    place.git("c", &["reset", "--quiet", "--hard"]);
    assert_eq!(place.images(&["c/m"]).await, ["img-a", "img-b", "img-new"]);
    place.remove("c/m/team/b.yaml");
    place
        .refuses(
            "c/m",
            "c/m/team/b.yaml",
            &["filter `scramble`", "git restore", "git rm"],
        )
        .await;
}

#[tokio::test]
async fn g3_s3_a_clone_without_a_checkout_is_an_error_and_no_commit_is_none() {
    let Some(place) = Place::new() else { return };
    place.clone(&["--no-checkout"]);
    place.write("c/m/new.yaml", &share("img-new"));
    let errors = place.errors(&["c/m"]).await;
    assert_eq!(errors.len(), 2, "{errors:#?}");
    fs::create_dir(place.path("unborn")).expect("makes");
    place.git("unborn", &["init", "--quiet"]);
    place.write("unborn/m/new.yaml", &share("img-new"));
    assert_eq!(place.images(&["unborn/m"]).await, ["img-new"]);
}

#[tokio::test]
async fn g3_names_that_mean_something_to_git_are_only_names() {
    let Some(place) = Place::new() else { return };
    let odd = [
        "m/[a]*/:(top)x.yaml",
        "m/\u{e9} \"q\".yaml",
        "-m/n.yaml",
        ":!m/o.yaml",
    ];
    for (index, path) in odd.iter().enumerate() {
        place.write(&format!("r/{path}"), &share(&format!("img-{index}")));
    }
    place.commit("r");
    for path in ["r/m", "r/m/[a]*", "r/-m", "r/:!m"] {
        assert!(!place.images(&[path]).await.is_empty(), "{path}");
    }
    for path in odd {
        place.remove(&format!("r/{path}"));
        place.write(&format!("r/{path}.yaml"), &share("img-kept"));
        let directory = Path::new(path)
            .parent()
            .expect("a parent")
            .to_string_lossy();
        place
            .refuses(
                &format!("r/{directory}"),
                &format!("r/{path}"),
                &["git has it"],
            )
            .await;
        place.git("r", &["add", "-A"]);
        place.remove(&format!("r/{path}.yaml"));
        place.git("r", &["add", "-A"]);
    }
}

#[tokio::test]
async fn g3_many_that_are_missing_are_told_once_for_each_directory() {
    let Some(place) = Place::new() else { return };
    for number in 0..200 {
        place.write(
            &format!("r/m/team-{}/{number}.yaml", number % 40),
            &share(&format!("img-{number}")),
        );
    }
    place.commit("r");
    for team in 0..40 {
        place.remove(&format!("r/m/team-{team}"));
    }
    let errors = place.errors(&["r/m"]).await;
    assert_eq!(errors.len(), 20);
    assert!(
        errors[0].1.ends_with("so are 4 more in this directory"),
        "{}",
        errors[0].1
    );
    let last = errors
        .iter()
        .filter(|(_, message, _)| message.contains("100 more paths elsewhere"));
    assert_eq!(last.count(), 1, "{errors:#?}");
}

#[tokio::test]
async fn g1_g3_with_partial_ok_the_rest_is_shared_but_for_what_the_missing_might_restrict() {
    let Some(place) = Place::new() else { return };
    place.with_submodule();
    place.write("r/m/team/deep/e.yaml", &share("img-e"));
    place.commit("r");
    place.clone(&[]);
    let good = async || {
        let broken = place.load(&["c/m"]).await.expect_err("is no set");
        let partial = broken.into_good().expect("something is good");
        let images = partial.into_partial_desired().images;
        images
            .keys()
            .map(|key| key.image.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(good().await, ["img-a", "img-b", "img-e"]);
    // git still has the text of the missing file, and that text is not a Restriction, so that it restricts
    // nothing.
    place.remove("c/m/team/b.yaml");
    assert_eq!(good().await, ["img-a", "img-e"]);
    // The text cannot be read from git, so that the file may have restricted its directory and everything
    // below it.
    place.write("c/.gitattributes", "m/team/* filter=scramble\n");
    assert_eq!(good().await, ["img-a"]);
}

#[tokio::test]
async fn g3_partial_ok_asks_git_for_the_text_of_a_lost_file() {
    let restriction = "apiVersion: sharekeeper.dev/v1\nkind: Restrictoin\n";
    let account = "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: default}\n";
    type Change = fn(&Place);
    let all = &["img-a", "img-d"] as &[&str];
    let cases: [(&str, &str, Change, &[&str]); 9] = [
        ("a share", &share("img-b"), |_| {}, all),
        ("a restriction", restriction, |_| {}, &["img-x"]),
        ("an account", account, |_| {}, &[]),
        (
            "only meant to be added",
            &share("img-b"),
            |place| {
                place.git("r", &["rm", "--quiet", "--cached", "m/b.yaml"]);
                place.write("r/m/b.yaml", "x");
                place.git("r", &["add", "--intent-to-add", "m/b.yaml"]);
                place.remove("r/m/b.yaml");
            },
            &["img-x"],
        ),
        (
            "no text",
            "\u{0}",
            |place| {
                fs::write(place.path("r/m/b.yaml"), b"\xff\xfe").expect("writes");
                place.commit("r");
                place.remove("r/m/b.yaml");
            },
            &["img-x"],
        ),
        (
            "too long",
            "",
            |place| {
                place.write("r/m/b.yaml", &"# x\n".repeat(300_000));
                place.commit("r");
                place.remove("r/m/b.yaml");
            },
            &["img-x"],
        ),
        (
            "filtered",
            &share("img-b"),
            |place| {
                place.write("r/.gitattributes", "*.yaml filter=scramble\n");
            },
            &["img-x"],
        ),
        (
            "sparse",
            &share("img-b"),
            |place| {
                place.git("r", &["update-index", "--skip-worktree", "m/b.yaml"]);
            },
            all,
        ),
        (
            "lost to git too",
            &share("img-b"),
            |place| {
                let objects = place.path("r/.git/objects");
                fs::rename(&objects, place.path("lost")).expect("renames");
                fs::create_dir(objects).expect("makes");
            },
            &["img-x"],
        ),
    ];
    for (what, text, change, left) in cases {
        let Some(place) = Place::new() else { return };
        place.remove("r/m/team");
        place.write("r/m/b.yaml", text);
        place.write("r/m/deep/d.yaml", &share("img-d"));
        place.commit("r");
        place.write("r/elsewhere/x.yaml", &share("img-x"));
        place.remove("r/m/b.yaml");
        change(&place);
        let broken = place
            .load(&["r/m", "r/elsewhere"])
            .await
            .expect_err("is no set");
        let help = broken.diagnostics().errors()[0].help.clone();
        let partial = broken.into_good();
        let images: Vec<_> = partial
            .into_iter()
            .flat_map(|partial| partial.into_partial_desired().images)
            .map(|(key, _)| key.image.to_string())
            .collect();
        let left: Vec<_> = match left == all {
            true => vec!["img-a", "img-d", "img-x"],
            false => left.to_vec(),
        };
        assert_eq!(images, left, "{what}");
        let says_why = help.is_some_and(|help| help.contains("may hold a `Restriction`"));
        assert_eq!(says_why, left == ["img-x"], "{what}");
    }
}

#[tokio::test]
async fn g3_a_link_that_leads_nowhere_says_why_its_directory_is_not_used() {
    let Some(place) = Place::new() else { return };
    symlink("gone.yaml", place.path("r/m/l.yaml")).expect("links");
    let words = ["leads nowhere", "--partial-ok", "may hold a `Restriction`"];
    place.refuses("r/m", "r/m/l.yaml", &words).await;
    assert!(left(&place, &["r/m"]).await.is_empty());
}

/// The images that remain with `--partial-ok`.
async fn left(place: &Place, paths: &[&str]) -> Vec<String> {
    let broken = place.load(paths).await.expect_err("is no set");
    let images = broken
        .into_good()
        .map(|partial| partial.into_partial_desired().images);
    let images = images.unwrap_or_default();
    images.keys().map(|key| key.image.to_string()).collect()
}

/// The only warning of a set whose completeness is unknown; the set must give the same reason.
async fn doubt(place: &Place, path: &str) -> String {
    let loaded = place.load(&[path]).await.expect("is a set");
    let Completeness::Unknown(why) = &loaded.desired.completeness else {
        panic!("{path} is taken for whole")
    };
    let [warning] = &loaded.warnings[..] else {
        panic!("{:?}", loaded.warnings)
    };
    assert!(
        warning
            .message
            .contains("images that no manifest names are not cancelled")
    );
    why.to_string()
}

#[tokio::test]
async fn g3_a_submodule_at_another_commit_leaves_it_unknown_what_is_whole() {
    let Some(place) = Place::new() else { return };
    place.with_submodule();
    place.write("other/e.yaml", &share("img-e"));
    place.commit("other");
    assert_eq!(place.images(&["r"]).await.len(), 4);
    place.git("r/m/sub", &["pull", "--quiet"]);
    for path in ["r", "r/m", "r/m/sub", "r/m/sub/deep"] {
        let why = doubt(&place, path).await;
        for words in [
            "the submodule is at another commit",
            "git submodule update",
            "git add",
            "-- m/sub",
            place
                .path("r")
                .canonicalize()
                .expect("is there")
                .to_str()
                .expect("text"),
        ] {
            assert!(why.contains(words), "no `{words}` in: {why}");
        }
    }
    // Paths without the submodule are complete.
    assert_eq!(place.images(&["r/m/team", "r/m/a.yaml"]).await.len(), 2);
    let seen = |path: &str| Fingerprint::of(&[place.path(path)]).0;
    let before = ["r", "r/m/sub/deep"].map(seen);
    place.git("r", &["add", "m/sub"]);
    assert_ne!(seen("r"), before[0], "the confirmation is seen");
    assert_ne!(seen("r/m/sub/deep"), before[1], "the confirmation is seen");
    assert_eq!(place.images(&["r"]).await.len(), 5);
    assert_eq!(place.images(&["r/m/sub/deep"]).await, ["img-d"]);
    // A worktree that lies inside another worktree is not a submodule of it.
    place.git("r", &["worktree", "add", "--quiet", "w", "-b", "w"]);
    assert_eq!(place.images(&["r/w/m/team"]).await, ["img-b"]);
    place.git("r", &["worktree", "remove", "--force", "w"]);
    // This is the opposite case: the repository has a newer commit, and the submodule is at the old one.
    place.commit("r");
    place.git("r/m/sub", &["checkout", "--quiet", "HEAD~1"]);
    doubt(&place, "r/m").await;
    place.git("r", &["submodule", "--quiet", "update"]);
    assert_eq!(place.images(&["r"]).await.len(), 5);
    // The submodule has no commit, so that nothing is confirmed.
    place.git("r/m/sub", &["checkout", "--quiet", "--orphan", "x"]);
    doubt(&place, "r/m").await;
}

#[tokio::test]
async fn g3_a_submodule_that_is_passed_over_may_be_at_any_commit() {
    let Some(place) = Place::new() else { return };
    place.repository("other", &["c.yaml"]);
    let other = place.path("other");
    let other = other.to_str().expect("text");
    for at in ["m/_sub", ".sub", "elsewhere/sub"] {
        place.git("r", &["submodule", "--quiet", "add", other, at]);
    }
    place.commit("r");
    place.write("other/d.yaml", &share("img-d"));
    place.commit("other");
    for at in ["m/_sub", ".sub", "elsewhere/sub"] {
        place.git(&format!("r/{at}"), &["pull", "--quiet"]);
    }
    assert_eq!(place.images(&["r/m"]).await, ["img-a", "img-b"]);
    doubt(&place, "r").await;
}

#[tokio::test]
async fn g3_a_git_directory_that_git_looks_past_is_no_repository() {
    type Make = fn(&Place, &str);
    let makes: [(&str, Make); 3] = [
        ("empty", |place, at| {
            fs::create_dir_all(place.path(&format!("{at}/.git"))).expect("makes");
        }),
        ("without a HEAD", |place, at| {
            place.write(&format!("{at}/.git/index"), "x");
        }),
        ("with a HEAD of zeros", |place, at| {
            fs::create_dir_all(place.path(&format!("{at}/.git/objects"))).expect("makes");
            fs::create_dir_all(place.path(&format!("{at}/.git/refs"))).expect("makes");
            place.write(&format!("{at}/.git/HEAD"), "\0\0");
        }),
    ];
    for (what, make) in makes {
        for at in ["r/m", "r/m/team"] {
            let Some(place) = Place::new() else { return };
            make(&place, at);
            for path in ["r", "r/m", "r/m/team", at] {
                let there = usize::from(path != "r/m/team") + 1;
                assert_eq!(
                    place.images(&[path]).await.len(),
                    there,
                    "{what} {at} {path}"
                );
            }
            // The outer repository reports the missing file.
            place.write("r/m/team/new.yaml", &share("img-new"));
            place.remove("r/m/team/b.yaml");
            for path in ["r", "r/m", "r/m/team"] {
                let errors = place.errors(&[path]).await;
                let [(file, message, help)] = &errors[..] else {
                    panic!("{what} {at} {path}: {errors:#?}")
                };
                assert_eq!(file, "r/m/team/b.yaml", "{what} {at} {path}");
                assert!(
                    message.contains("git has it, but it is missing"),
                    "{message}"
                );
                assert!(!help.contains("reset"), "{help}");
            }
        }
    }
    // A submodule does not count as fetched only because it has an entry with the name `.git`.
    let Some(place) = Place::new() else { return };
    place.with_submodule();
    place.clone(&[]);
    fs::create_dir(place.path("c/m/sub/.git")).expect("makes");
    place.write("c/m/sub/x.yaml", &share("img-x"));
    for path in ["c", "c/m", "c/m/sub"] {
        place.refuses(path, "c/m/sub", &SUBMODULE).await;
    }
}

#[tokio::test]
async fn g3_the_way_out_of_a_half_checkout_keeps_what_was_edited() {
    let Some(place) = Place::new() else { return };
    place.clone(&["--no-checkout"]);
    place.write("c/m/a.yaml", &share("img-edited"));
    let errors = place.errors(&["c/m"]).await;
    let [(_, _, help)] = &errors[..] else {
        panic!("{errors:#?}")
    };
    assert!(!help.contains("--hard"), "{help}");
    follow(&place, help);
    assert_eq!(place.images(&["c/m"]).await, ["img-b", "img-edited"]);
}

/// Runs those commands of a help text that begin with `git -C`, in a directory outside any repository.
fn follow(place: &Place, help: &str) {
    let commands = help.split('`').skip(1).step_by(2);
    for command in commands.filter(|command| command.starts_with("git -C ")) {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir("/")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a PATH"))
            .env("HOME", place.0.path())
            .output()
            .expect("runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        // git may exit with 1 where files differ from the commit.
        assert!(!told.contains("fatal"), "{command}: {told}");
    }
}

#[tokio::test]
async fn g3_a_way_out_works_wherever_it_is_copied_to() {
    let Some(place) = Place::new() else { return };
    let odd = "it's a \u{e9} [x]*";
    place.repository(odd, &[]);
    for (index, name) in ["-a b'c", "[x]", "x"].iter().enumerate() {
        let image = format!("img-{index}");
        place.write(&format!("{odd}/m/{name}.yaml"), &share(&image));
    }
    place.commit(odd);
    place.remove(&format!("{odd}/m/-a b'c.yaml"));
    let path = format!("{odd}/m");
    let errors = place.errors(&[&path]).await;
    let restore = errors[0].2.split_once("if not, ").expect("two ways").1;
    follow(&place, restore);
    assert_eq!(place.images(&[&path]).await.len(), 3);
    // The file name is not used as a pattern, which would also match another file.
    place.remove(&format!("{odd}/m/[x].yaml"));
    let errors = place.errors(&[&path]).await;
    let confirm = errors[0].2.split_once("if not, ").expect("two ways").0;
    follow(&place, confirm);
    assert_eq!(place.images(&[&path]).await.len(), 2);
    // The removal of a submodule can be confirmed in the same way.
    place.with_submodule();
    place.remove("r/m/sub");
    let errors = place.errors(&["r/m"]).await;
    let confirm = errors[0].2.split_once("on purpose").expect("two ways").1;
    follow(&place, confirm);
    assert_eq!(place.images(&["r/m"]).await, ["img-a", "img-b"]);
}

#[tokio::test]
async fn g3_asking_leaves_the_repository_as_it_is() {
    let Some(place) = Place::new() else { return };
    // The file has the same contents and another time. Git would usually write the new time to its index.
    place.write("r/m/a.yaml", &share("img-a"));
    let index = || fs::read(place.path("r/.git/index")).expect("an index");
    let before = index();
    assert_eq!(place.images(&["r"]).await.len(), 2);
    assert!(before == index(), "the index was written");
}

#[tokio::test]
async fn g3_a_bare_repository_misses_nothing_and_one_that_denies_its_files_is_not_trusted() {
    let Some(place) = Place::new() else { return };
    place.git(".", &["clone", "--quiet", "--bare", "r", "n/.git"]);
    place.write("n/m/a.yaml", &share("img-a"));
    assert_eq!(place.images(&["n/m"]).await, ["img-a"]);
    // A worktree of the repository is checked like any other checkout.
    place.git("n", &["worktree", "add", "--quiet", "main"]);
    assert_eq!(place.images(&["n/main"]).await, ["img-a", "img-b"]);
    place.remove("n/main/m/team/b.yaml");
    place
        .refuses("n/main", "n/main/m/team/b.yaml", &["git has it"])
        .await;
    for (setting, value) in [("core.bare", "true"), ("core.worktree", "/nowhere")] {
        let Some(place) = Place::new() else { return };
        place.git("r", &["config", setting, value]);
        let loaded = place.load(&["r/m"]).await.expect("is a set");
        let unknown = matches!(loaded.desired.completeness, Completeness::Unknown(_));
        assert!(unknown, "{setting}");
        assert!(loaded.warnings[0].to_string().contains("git"), "{setting}");
    }
}

#[tokio::test]
async fn g1_g3_what_cannot_be_looked_into_is_told_once_and_not_as_deleted() {
    let Some(place) = Place::new() else { return };
    let deep = "d/".repeat(34);
    place.write(&format!("r/m/{deep}x.yaml"), &share("img-x"));
    place.commit("r");
    let errors = place.errors(&["r/m"]).await;
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].1.contains("nested too deeply"), "{errors:#?}");
}

/// Runs git, counts the runs, and calls a function at each of them.
struct Counted<F> {
    runs: Cell<usize>,
    asked: RefCell<F>,
}

impl<F: FnMut(usize)> CommandRunner for Counted<F> {
    async fn run(&self, program: ExternalCommand) -> Result<Vec<u8>, CommandError> {
        assert_eq!(program.name, "git");
        assert!(program.environment.contains(&("GIT_OPTIONAL_LOCKS", "0")));
        let answer = SystemCommandRunner.run(program).await;
        self.runs.set(self.runs.get() + 1);
        (self.asked.borrow_mut())(self.runs.get());
        answer
    }
}

#[tokio::test]
async fn g3_s3_an_index_that_changes_as_git_is_asked_has_all_read_again() {
    let Some(place) = Place::new() else { return };
    let counted = Counted {
        runs: Cell::new(0),
        asked: RefCell::new(|run| {
            if run == 1 {
                place.git("r", &["rm", "--quiet", "m/team/b.yaml"]);
                place.write("r/m/c.yaml", &share("img-c"));
            }
        }),
    };
    let loaded = place.load_with(&["r"], &counted).await.expect("is good");
    assert_eq!(names(&loaded), ["img-a", "img-c"]);
    assert_eq!(counted.runs.get(), 4);
}

#[tokio::test]
async fn g3_git_is_asked_two_questions_of_each_repository() {
    let Some(place) = Place::new() else { return };
    place.with_submodule();
    for (paths, runs) in [
        (&["r"] as &[_], 4),
        (&["r/m/team", "r/m/sub/deep"], 4),
        (&["r/m", "r/m/team"], 4),
        (&["r/m/a.yaml"], 0),
    ] {
        let counted = Counted {
            runs: Cell::new(0),
            asked: RefCell::new(|_| {}),
        };
        place.load_with(paths, &counted).await.expect("is good");
        assert_eq!(counted.runs.get(), runs, "{paths:?}");
    }
}

/// A fake git that gives the same answer to every question, after it has confirmed that there is a work tree.
struct Answers(Result<Vec<u8>, CommandError>);

impl CommandRunner for Answers {
    fn run(&self, program: ExternalCommand) -> impl Future<Output = Result<Vec<u8>, CommandError>> {
        let is_first = program
            .arguments
            .iter()
            .any(|argument| argument == "--is-inside-work-tree");
        let answer = match &self.0 {
            Ok(_) if is_first => Ok(b"true\n".to_vec()),
            answer => answer.clone(),
        };
        ready(answer.map(|mut bytes| {
            // The runner returns no more bytes than were requested.
            bytes.truncate(usize::try_from(program.output_max).unwrap_or(usize::MAX));
            bytes
        }))
    }
}

fn failed(reason: &str) -> Answers {
    Answers(Err(CommandError::Failed {
        code: Some(128),
        name: "git",
        status: "exit status: 128".into(),
        reason: reason.into(),
    }))
}

/// A root with a directory of manifests beside a `.git`, and with a directory without one.
fn plain() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for directory in ["r/m", "r/.git", "n"] {
        fs::create_dir_all(root.path().join(directory)).expect("makes");
    }
    fs::write(root.path().join("r/.git/index"), "x").expect("writes");
    for file in ["r/m/a.yaml", "n/a.yaml"] {
        fs::write(root.path().join(file), share("img-a")).expect("writes");
    }
    root
}

fn load(path: PathBuf, programs: &impl CommandRunner) -> Result<Loaded, Broken> {
    let clock = Scripted::new(|_| {}).much_later();
    manifest::load(&[path], GitBusyPolicy::Wait, &clock, programs)
        .now_or_never()
        .expect("nothing is waited for")
}

#[test]
fn g3_s3_where_git_cannot_be_asked_completeness_is_unknown_with_a_way_out() {
    let deadline = Duration::from_secs(5);
    // The answer looks complete wherever it is cut, because each record is short and valid by itself.
    let huge = b"H 100644 1 0\tzz\0".repeat(5 << 20);
    for (answer, words) in [
        (
            Answers(Err(CommandError::NotRun {
                name: "git",
                reason: "not found".into(),
            })),
            ["not found", "install git", "outside of this repository"],
        ),
        (
            Answers(Err(CommandError::TooSlow {
                name: "git",
                deadline,
            })),
            [
                "longer than 5 s",
                "narrower paths",
                "outside of this repository",
            ],
        ),
        (
            failed("fatal: detected dubious ownership in repository at '/x'"),
            [
                "dubious ownership",
                "git config --global --add safe.directory",
                "outside of this repository",
            ],
        ),
        (
            failed("fatal: not a git repository: /nowhere"),
            [
                "not a git repository",
                "r status",
                "outside of this repository",
            ],
        ),
        (
            Answers(Ok(b"H 100644 nonsense".to_vec())),
            [
                "unknown format",
                "another version of git",
                "git cannot be asked",
            ],
        ),
        (
            Answers(Ok(b"H 777 1 0\tx\0".to_vec())),
            [
                "unknown format",
                "another version of git",
                "git cannot be asked",
            ],
        ),
        // A list that was cut off must not count as the whole list.
        (
            Answers(Ok(huge)),
            ["too long", "narrower paths", "git cannot be asked"],
        ),
    ] {
        let root = plain();
        let loaded = load(root.path().join("r/m"), &answer).expect("is a set");
        assert_eq!(names(&loaded), ["img-a"], "what is there is asked for");
        let Completeness::Unknown(why) = &loaded.desired.completeness else {
            panic!("{words:?}: it is taken for whole")
        };
        let [warning] = &loaded.warnings[..] else {
            panic!("{:?}", loaded.warnings)
        };
        let warning = warning.to_string();
        assert!(
            warning.contains("images that no manifest names are not cancelled"),
            "{warning}"
        );
        for word in words {
            assert!(why.contains(word), "no `{word}` in: {why}");
            assert!(warning.contains(word), "no `{word}` in: {warning}");
        }
        // Without a repository, git is not asked.
        let loaded = load(root.path().join("n"), &answer).expect("is a set");
        assert_eq!(loaded.desired.completeness, Completeness::Whole);
        assert_eq!(loaded.warnings, []);
        // Paths that are single files are complete by themselves.
        let loaded = load(root.path().join("r/m/a.yaml"), &answer).expect("is a set");
        assert_eq!(loaded.desired.completeness, Completeness::Whole);
    }
}

#[tokio::test]
async fn g3_s3_a_repository_of_another_user_is_one_that_cannot_be_asked() {
    let Some(place) = Place::new() else { return };
    for path in ["r", "r/.git"] {
        if chown(place.path(path), Some(54321), None).is_err() {
            let _ = writeln!(std::io::stderr(), "skipped: files cannot be given away");
            return;
        }
    }
    let loaded = place.load(&["r/m"]).await.expect("is a set");
    let Completeness::Unknown(why) = &loaded.desired.completeness else {
        panic!("it is taken for whole")
    };
    let top = place.path("r").canonicalize().expect("is there");
    let way_out = format!("git config --global --add safe.directory {}", top.display());
    assert!(why.contains(&way_out), "{why}");
}

#[tokio::test]
async fn g3_s3_a_git_file_that_leads_nowhere_is_a_repository_that_cannot_be_asked() {
    let Some(place) = Place::new() else { return };
    place.write("n/m/a.yaml", &share("img-a"));
    place.write("n/.git", "gitdir: /nowhere/worktrees/n\n");
    let loaded = place.load(&["n/m"]).await.expect("is a set");
    assert!(matches!(
        loaded.desired.completeness,
        Completeness::Unknown(_)
    ));
}
