//! Tests manifests that git tracks and that are missing in the work tree. They use the real git, because a
//! missing file must not look like a removed manifest.

mod commands;
mod deleted;
mod partial;
mod remedies;
mod submodules;
mod unknown;

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
            assert!(broken.may_pass(), "{caller}: it is read again");
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
