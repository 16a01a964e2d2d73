//! Tests under which conditions the files at a path are accepted as one consistent set. A scripted clock
//! changes the files during the pauses of the reader, as another program would.

use crate::support::clock;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::clock::Scripted;
use chrono::TimeDelta;
use sharekeeper::manifest::GitBusyPolicy::{Read, Wait};
use sharekeeper::manifest::{Broken, Loaded, ReadOptions};

fn share(image: &str) -> String {
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: {image}}}\nspec: {{region: ap-tokyo, images: [{{id: {image}, state: shared}}]}}\n"
    )
}

/// A temporary root with the directory `manifests` and the other files that a test needs.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir(files.manifests()).expect("makes");
        files
    }

    fn with(images: &[&str]) -> Self {
        let files = Self::new();
        for image in images {
            files.write(&format!("manifests/{image}.yaml"), &share(image));
        }
        files
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn manifests(&self) -> PathBuf {
        self.path("manifests")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        fs::write(path, text).expect("writes");
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("removes");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("renames");
    }

    fn link(&self, target: &str, path: &str) {
        let _ = fs::remove_file(self.path(path));
        symlink(target, self.path(path)).expect("links");
    }
}

fn images(loaded: &Result<Loaded, Broken>) -> Vec<String> {
    match loaded {
        Ok(loaded) => loaded
            .desired
            .images
            .keys()
            .map(|key| key.image.to_string())
            .collect(),
        Err(broken) => panic!("{}", broken.diagnostics().render(false)),
    }
}

/// Path, message and help of the only error.
fn error(loaded: Result<Loaded, Broken>) -> (PathBuf, String, String) {
    let broken = loaded.expect_err("is no set");
    let [error] = broken.diagnostics().errors() else {
        panic!("{}", broken.diagnostics().render(false))
    };
    let error = (
        PathBuf::from(&error.file),
        error.message.clone(),
        error.help.clone().expect("a way out"),
    );
    assert!(
        broken.into_good().is_none(),
        "nothing is good of a set that was not taken"
    );
    error
}

#[test]
fn m2_s3_a_half_written_set_is_read_until_it_stands_still() {
    let files = Files::with(&["img-a"]);
    let clock = Scripted::new(|wait| match wait {
        1 => files.write("manifests/img-b.yaml", &share("img-b")),
        2 => files.write("manifests/deep/img-c.yaml", &share("img-c")),
        _ => {}
    });
    let loaded = clock.load(&[files.manifests()], Wait);
    assert_eq!(images(&loaded), ["img-a", "img-b", "img-c"]);
    assert_eq!(clock.waits(), 3);
}

#[test]
fn m2_s3_any_difference_between_two_readings_counts() {
    type Change = fn(&Files);
    let changes: [(&str, Change); 7] = [
        ("another file", |files| {
            files.write("manifests/new.yaml", &share("img-new"));
        }),
        ("a file less", |files| files.remove("manifests/img-a.yaml")),
        ("a new name", |files| {
            files.rename("manifests/img-a.yaml", "manifests/img-z.yaml");
        }),
        ("other contents of the same length", |files| {
            files.write("manifests/img-a.yaml", &share("img-x"));
        }),
        ("only a comment more", |files| {
            files.write("manifests/img-a.yaml", &format!("{}#", share("img-a")));
        }),
        ("another target with the same contents", |files| {
            files.write("manifests/.a", &share("img-a"));
            files.link(".a", "manifests/img-a.yaml");
        }),
        ("a link that leads nowhere", |files| {
            files.link("nowhere", "manifests/dead.yaml");
        }),
    ];
    for (what, change) in changes {
        let files = Files::with(&["img-a", "img-b"]);
        let clock = Scripted::new(|wait| {
            if wait == 1 {
                change(&files);
            }
        });
        let _ = clock.load(&[files.manifests()], Wait);
        assert_eq!(clock.waits(), 2, "{what}");
    }
}

#[test]
fn m2_s3_a_set_that_was_there_before_is_not_taken_for_stable() {
    let files = Files::with(&["img-a"]);
    let other = "manifests/img-b.yaml";
    let clock = Scripted::new(|wait| match wait {
        1 => files.write(other, &share("img-b")),
        2 => files.remove(other),
        3 => files.write(other, &share("img-b")),
        _ => {}
    });
    let loaded = clock.load(&[files.manifests()], Wait);
    assert_eq!(images(&loaded), ["img-a", "img-b"]);
    assert_eq!(clock.waits(), 4);
}

#[test]
fn m2_what_did_not_change_lately_is_taken_without_waiting() {
    let files = Files::with(&["img-a"]);
    for paths in [
        [files.manifests()],
        [files.path("manifests/img-a.yaml")],
        [files.path("missing")],
    ] {
        let clock = Scripted::new(|_| {}).much_later();
        let _ = clock.load(&paths, Wait);
        assert_eq!(clock.waits(), 0, "{paths:?}");
        let clock = Scripted::new(|_| {});
        let _ = clock.load(&paths, Wait);
        assert_eq!(clock.waits(), 1, "{paths:?}");
    }
}

#[test]
fn m2_files_with_old_times_need_no_further_wait() {
    let files = Files::with(&["img-a"]);
    for (quiet_for, age, waits) in [
        (200, 1500, 0),
        // A file changed after the quiet time that the caller reports.
        (200, 50, 1),
        // The quiet time is too short to separate two changes by one writer.
        (50, 1500, 1),
        (0, 1500, 1),
        // The quiet time is longer than any reader has to wait.
        (60_000, 5000, 0),
    ] {
        let options = ReadOptions {
            quiet_for: Duration::from_millis(quiet_for),
            ..ReadOptions::new(Wait)
        };
        let clock = Scripted::new(|_| {}).later(TimeDelta::milliseconds(age));
        files.write("manifests/img-a.yaml", &share("img-a"));
        let loaded = clock.load_with(&[files.manifests()], &options);
        assert_eq!(images(&loaded), ["img-a"]);
        assert_eq!(
            clock.waits(),
            waits,
            "still for {quiet_for} ms, {age} ms old"
        );
    }
}

#[test]
fn files_are_named_as_seen_from_a_root_where_one_is_given() {
    let files = Files::with(&["img-a"]);
    let options = ReadOptions {
        root: Some(files.path("")),
        ..ReadOptions::new(Wait)
    };
    let clock = Scripted::new(|_| {}).much_later();
    let loaded = clock
        .load_with(&[files.manifests()], &options)
        .expect("is good");
    let image = loaded.desired.images.values().next().expect("an image");
    assert_eq!(image.source.to_string(), "manifests/img-a.yaml:4");
    files.remove("manifests/img-a.yaml");
    let (file, _, _) = error(clock.load_with(&[files.manifests()], &options));
    assert_eq!(file, PathBuf::from("manifests"));
}

#[test]
fn m1_s3_what_is_missing_for_a_moment_is_not_taken_for_missing() {
    let files = Files::with(&["img-a"]);
    files.rename("manifests", "aside");
    let clock = Scripted::new(|wait| {
        if wait == 1 {
            files.rename("aside", "manifests");
        }
    });
    let loaded = clock.load(&[files.manifests()], Wait);
    assert_eq!(images(&loaded), ["img-a"]);
}

#[test]
fn m2_s3_manifests_that_never_rest_are_no_set_and_the_file_is_named() {
    let files = Files::with(&["img-a", "img-b"]);
    let clock = Scripted::new(|wait| {
        files.write(
            "manifests/img-b.yaml",
            &format!("{}# {wait}\n", share("img-b")),
        );
    });
    let (file, message, help) = error(clock.load(&[files.manifests()], Wait));
    assert_eq!(file, files.path("manifests/img-b.yaml"));
    assert!(message.contains("keep changing"), "{message}");
    assert!(help.contains("rename the finished directory"), "{help}");
    assert!(clock.waits() < 100, "it gives up: {}", clock.waits());
}

#[test]
fn m2_s3_a_git_operation_is_waited_for() {
    let files = Files::with(&["img-a"]);
    files.write(".git/index.lock", "");
    let clock = Scripted::new(|wait| match wait {
        1 => files.remove("manifests/img-a.yaml"),
        2 => files.write("manifests/img-b.yaml", &share("img-b")),
        3 => files.remove(".git/index.lock"),
        _ => {}
    });
    let loaded = clock.load(&[files.manifests()], Wait);
    assert_eq!(images(&loaded), ["img-b"]);
    assert_eq!(clock.waits(), 4);
}

#[test]
fn m2_s3_a_git_operation_that_began_meanwhile_is_awaited() {
    for leaves in [&["img-a"] as &[_], &["img-a", "img-b"]] {
        let files = Files::with(&["img-a"]);
        fs::create_dir(files.path(".git")).expect("makes");
        let clock = Scripted::new(|wait| match wait {
            1 => files.write(".git/index.lock", ""),
            10 => {
                for image in leaves {
                    files.write(&format!("manifests/{image}.yaml"), &share(image));
                }
                files.remove(".git/index.lock");
            }
            _ => {}
        });
        let loaded = clock.load(&[files.manifests()], Wait);
        assert_eq!(images(&loaded), leaves);
        assert_eq!(clock.waits(), 11, "what was read before it does not count");
    }
}

#[test]
fn m2_s3_a_checkout_may_remove_the_directory_for_the_moment() {
    let files = Files::new();
    fs::remove_dir(files.manifests()).expect("removes");
    files.write(".git/index.lock", "");
    let clock = Scripted::new(|wait| {
        if wait == 5 {
            files.write("manifests/img-a.yaml", &share("img-a"));
            files.remove(".git/index.lock");
        }
    });
    let loaded = clock.load(&[files.manifests()], Wait);
    assert_eq!(images(&loaded), ["img-a"]);
}

#[test]
fn m2_s3_a_git_operation_that_does_not_end_is_an_error() {
    for (sign, means, way_out) in [
        (
            "index.lock",
            "a git operation is in progress",
            "remove this file",
        ),
        (
            "rebase-merge/done",
            "a rebase is in progress",
            "git rebase --abort",
        ),
        ("rebase-apply/next", "a rebase or `git am`", "--abort"),
    ] {
        let files = Files::with(&["img-a"]);
        files.write(&format!(".git/{sign}"), "");
        let clock = Scripted::new(|_| {}).much_later();
        let (file, message, help) = error(clock.load(&[files.manifests()], Wait));
        let sign = sign.split('/').next().expect("a part");
        let git = files.path(".git").canonicalize().expect("is there");
        assert_eq!(file, git.join(sign));
        assert!(message.contains(means), "{message}");
        assert!(help.contains(way_out), "{help}");
        assert!((1..100).contains(&clock.waits()), "{}", clock.waits());
    }
}

#[test]
fn m2_the_state_of_a_worktree_or_submodule_is_where_its_git_file_says() {
    for (gitdir, sign) in [
        ("../main/.git/worktrees/w", "main/.git/worktrees/w"),
        ("", "main/.git/modules/m"),
    ] {
        let files = Files::new();
        files.write("w/manifests/a.yaml", &share("img-a"));
        files.write(&format!("{sign}/index.lock"), "");
        let gitdir = match gitdir {
            "" => files.path(sign).to_string_lossy().into_owned(),
            relative => relative.to_owned(),
        };
        files.write("w/.git", &format!("gitdir: {gitdir}\n"));
        let clock = Scripted::new(|wait| {
            if wait == 3 {
                files.remove(&format!("{sign}/index.lock"));
            }
        });
        let loaded = clock.load(&[files.path("w/manifests")], Wait);
        assert_eq!(images(&loaded), ["img-a"]);
        assert_eq!(clock.waits(), 4);
    }
}

#[test]
fn m2_only_the_innermost_repository_counts_and_links_are_followed_to_it() {
    let files = Files::with(&["img-a"]);
    files.write(".git/index.lock", "");
    fs::create_dir(files.path("manifests/.git")).expect("makes");
    let clock = Scripted::new(|_| {}).much_later();
    let loaded = clock.load(&[files.manifests()], Wait);
    assert_eq!(images(&loaded), ["img-a"]);
    assert_eq!(clock.waits(), 0);

    files.write("manifests/.git/index.lock", "");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let link = elsewhere.path().join("current");
    symlink(files.manifests(), &link).expect("links");
    let (file, _, _) = error(clock.load(&[link], Wait));
    assert!(file.ends_with("manifests/.git/index.lock"), "{file:?}");
}

#[test]
fn m2_a_check_that_may_be_a_git_hook_does_not_wait_for_git() {
    let files = Files::with(&["img-a"]);
    files.write(".git/index.lock", "");
    files.write(".git/rebase-merge/done", "");
    let clock = Scripted::new(|_| {}).much_later();
    let loaded = clock.load(&[files.manifests()], Read);
    assert_eq!(images(&loaded), ["img-a"]);
    assert_eq!(clock.waits(), 0);
}

/// A volume in the layout of the kubelet: each name is a link through `..data`, which is a link to the
/// current version.
fn volume(names: &[&str]) -> Files {
    let files = Files::new();
    version(&files, "..1", names, 1);
    files.link("..1", "manifests/..data");
    for name in names {
        files.link(
            &format!("..data/{name}.yaml"),
            &format!("manifests/{name}.yaml"),
        );
    }
    files
}

fn version(files: &Files, version: &str, names: &[&str], number: u32) {
    for name in names {
        files.write(
            &format!("manifests/{version}/{name}.yaml"),
            &share(&format!("img-{name}{number}")),
        );
    }
}

/// Replaces `..data` as the kubelet does: it renames the new link over the old one.
fn flip(files: &Files, to: &str) {
    files.link(to, "manifests/..data_tmp");
    files.rename("manifests/..data_tmp", "manifests/..data");
}

#[test]
fn m11_a_configmap_mount_is_read_once() {
    let files = volume(&["a", "b"]);
    let clock = Scripted::new(|_| {}).much_later();
    let loaded = clock.load(&[files.manifests()], Wait);
    assert_eq!(images(&loaded), ["img-a1", "img-b1"]);
    assert_eq!(clock.waits(), 0);
}

#[test]
fn m11_s3_a_configmap_that_is_swapped_between_two_readings_is_read_again() {
    let files = volume(&["a", "b"]);
    let clock = Scripted::new(|wait| {
        if wait == 1 {
            version(&files, "..2", &["a", "b"], 2);
            flip(&files, "..2");
            fs::remove_dir_all(files.path("manifests/..1")).expect("removes");
        }
    });
    let loaded = clock.load(&[files.manifests()], Wait);
    assert_eq!(images(&loaded), ["img-a2", "img-b2"]);
    assert_eq!(clock.waits(), 2);
}

#[test]
fn m11_s3_a_mixture_of_two_versions_is_read_again_however_still_it_stands() {
    let given: [fn(&Files) -> Vec<PathBuf>; 2] = [
        |files| vec![files.manifests()],
        |files| {
            vec![
                files.path("manifests/a.yaml"),
                files.path("manifests/b.yaml"),
            ]
        },
    ];
    for paths in given {
        let files = volume(&["a"]);
        // A reader in the middle of a swap sees this state: the path of `b` leads to another version than the
        // path of `a`.
        version(&files, "..2", &["b"], 2);
        files.link("../..2/b.yaml", "manifests/..1/b.yaml");
        files.link("..data/b.yaml", "manifests/b.yaml");
        let clock = Scripted::new(|wait| {
            if wait == 3 {
                version(&files, "..2", &["a"], 2);
                flip(&files, "..2");
            }
        })
        .much_later();
        let loaded = clock.load(&paths(&files), Wait);
        assert_eq!(images(&loaded), ["img-a2", "img-b2"]);
        assert_eq!(clock.waits(), 3);
    }
}

#[test]
fn m11_volumes_side_by_side_have_versions_of_their_own() {
    let (first, second) = (volume(&["a"]), volume(&["b"]));
    second.rename("manifests", "more");
    let clock = Scripted::new(|_| {}).much_later();
    let loaded = clock.load(&[first.manifests(), second.path("more")], Wait);
    assert_eq!(images(&loaded), ["img-a1", "img-b1"]);
}

#[test]
fn m1_s3_an_error_about_absent_or_unreadable_manifests_names_a_remedy() {
    let files = Files::new();
    files.write("notes/readme.txt", "x");
    files.write("blank/a.yaml", "# nothing\n");
    files.link("/dev/null", "device");
    let unshare = "to have images unshared, declare them `state: unshared`";
    for (path, means, ways_out) in [
        (
            "manifests",
            "holds no manifests",
            ["whether its volume is mounted", unshare],
        ),
        ("notes", "holds no manifests", ["check the path", unshare]),
        (
            "missing",
            "does not exist",
            ["whether its volume is mounted", unshare],
        ),
        (
            "missing/a.yaml",
            "does not exist",
            ["check the path", unshare],
        ),
        (
            "blank",
            "contains no document",
            ["check why it is empty", unshare],
        ),
        (
            "device",
            "not a regular file",
            ["give a file", "a directory"],
        ),
        (
            "notes/readme.txt/a.yaml",
            "cannot be read: Not a directory",
            ["still mounted", "nothing is decided without it"],
        ),
    ] {
        let (file, message, help) = error(clock::load(&[files.path(path)]));
        assert!(file.starts_with(files.path(path)), "{file:?}");
        assert!(message.contains(means), "{path}: {message}");
        for way_out in ways_out {
            assert!(help.contains(way_out), "{path}: {help}");
        }
    }
}

#[test]
fn m3_s3_one_broken_file_says_that_nothing_is_decided_and_what_to_mend() {
    let files = Files::with(&["img-a"]);
    files.write(
        "manifests/b.yaml",
        &share("img-b").replace("shared", "shard"),
    );
    let broken = clock::load(&[files.manifests()]).expect_err("is broken");
    let shown = broken.diagnostics().render(false);
    assert!(shown.contains("b.yaml:4"), "{shown}");
    assert!(shown.contains("help: did you mean `shared`?"), "{shown}");
    assert!(
        shown.ends_with("1 error in 1 file; nothing is decided until all are fixed\n"),
        "{shown}"
    );
    let partial = broken.into_good().expect("the other file is good");
    let left_out: Vec<_> = partial.left_out().iter().collect();
    assert_eq!(
        left_out,
        [&*files.path("manifests/b.yaml").to_string_lossy()]
    );
    assert_eq!(partial.into_partial_desired().images.len(), 1);
}
