//! Manifests that git has and the checkout lacks.

use super::*;

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
async fn g3_many_missing_files_are_reported_once_for_each_directory() {
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
