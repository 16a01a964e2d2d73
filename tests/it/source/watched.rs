//! Tests the source that reads manifests from files whose changes the operating system reports. The tests poll for
//! nothing.

use std::os::unix::fs::symlink;

use sharekeeper::host::SystemWatch;

use super::*;

#[tokio::test]
async fn m1_a_missing_or_empty_directory_is_broken_until_it_returns() {
    let files = Files::with(&["img-a"]);
    files.rename("m", "aside");
    run(
        files.settings(NEVER),
        NoPrograms,
        SystemWatch::new(),
        async |mut fed| {
            holds(
                &fed.broken().await,
                &["does not exist", "whether its volume is mounted"],
            );
            for _ in 0..3 {
                files.rename("aside", "m");
                assert_eq!(fed.images().await, ["img-a"]);
                files.rename("m", "aside");
                holds(&fed.broken().await, &["does not exist"]);
            }
            fs::create_dir(files.path("m")).expect("makes");
            holds(
                &fed.broken().await,
                &["holds no manifests", "declare them `state: unshared`"],
            );
            files.write("m/deep/er/img-b.yaml", &share("img-b"));
            assert_eq!(fed.images().await, ["img-b"]);
            files.write("m/deep/er/img-c.yaml", &share("img-c"));
            assert_eq!(fed.images().await, ["img-b", "img-c"]);
            fs::remove_dir_all(files.path("m")).expect("removes");
            holds(&fed.broken().await, &["does not exist"]);
            files.write("m/img-d.yaml", &share("img-d"));
            assert_eq!(fed.images().await, ["img-d"]);
        },
    )
    .await;
}

#[tokio::test]
async fn m1_a_directory_above_the_manifests_may_be_missing_too() {
    let files = Files::with(&[]);
    let settings = Settings {
        origin: Origin::Files(vec![files.path("m/a/b/c.yaml")]),
        ..files.settings(NEVER)
    };
    run(settings, NoPrograms, SystemWatch::new(), async |mut fed| {
        holds(&fed.broken().await, &["does not exist"]);
        files.write("m/a/b/c.yaml", &share("img-c"));
        assert_eq!(fed.images().await, ["img-c"]);
        files.write("m/a/b/c.yaml", &share("img-d"));
        assert_eq!(fed.images().await, ["img-d"]);
    })
    .await;
}

#[tokio::test]
async fn m12_each_atomic_save_of_a_file_is_noticed() {
    for given in ["m", "m/img-a.yaml"] {
        let files = Files::with(&["img-a"]);
        let settings = Settings {
            origin: Origin::Files(vec![files.path(given)]),
            ..files.settings(NEVER)
        };
        run(settings, NoPrograms, SystemWatch::new(), async |mut fed| {
            assert_eq!(fed.images().await, ["img-a"]);
            for image in ["img-b", "img-c", "img-d"] {
                // Many editors save a file like this, so that nobody reads half of it.
                files.write("m/.img-a.yaml.swp", &share(image));
                files.rename("m/.img-a.yaml.swp", "m/img-a.yaml");
                assert_eq!(fed.images().await, [image], "{given}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn m12_a_link_to_the_directory_that_is_flipped_is_seen() {
    let files = Files::with(&[]);
    files.write("releases/1/a.yaml", &share("img-1"));
    fs::remove_dir(files.path("m")).expect("removes");
    symlink("releases/1", files.path("m")).expect("links");
    run(
        files.settings(NEVER),
        NoPrograms,
        SystemWatch::new(),
        async |mut fed| {
            assert_eq!(fed.images().await, ["img-1"]);
            for number in 2..5 {
                let (release, image) = (format!("releases/{number}"), format!("img-{number}"));
                files.write(&format!("{release}/a.yaml"), &share(&image));
                // Deployment tools switch to a release like this: a rename replaces the link in one step.
                symlink(&release, files.path("new")).expect("links");
                files.rename("new", "m");
                assert_eq!(fed.images().await, [image]);
                let image = format!("img-{number}0");
                files.write(&format!("{release}/a.yaml"), &share(&image));
                assert_eq!(fed.images().await, [image], "within the new one");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn m2_m11_s3_a_flipped_volume_gives_each_version_and_never_a_mix() {
    let files = Files::with(&[]);
    // Kubernetes updates a ConfigMap volume like this: each version has a directory of its own, and a rename replaces
    // the link `..data` in one step.
    let version = |number: usize| {
        for name in ["a", "b", "c"] {
            let text = share(&format!("img-{name}{number}"));
            files.write(&format!("m/..{number}/{name}.yaml"), &text);
        }
        symlink(format!("..{number}"), files.path("m/..data_tmp")).expect("links");
        files.rename("m/..data_tmp", "m/..data");
    };
    version(0);
    for name in ["a", "b", "c"] {
        let link = files.path(&format!("m/{name}.yaml"));
        symlink(format!("..data/{name}.yaml"), link).expect("links");
    }
    for given in [&["m"] as &[_], &["m/a.yaml", "m/b.yaml", "m/c.yaml"]] {
        version(0);
        let paths = given.iter().map(|path| files.path(path)).collect();
        let settings = Settings {
            origin: Origin::Files(paths),
            ..files.settings(NEVER)
        };
        let expected = |number| ["a", "b", "c"].map(|name| format!("img-{name}{number}"));
        run(settings, NoPrograms, SystemWatch::new(), async |mut fed| {
            assert_eq!(fed.images().await, expected(0));
            for number in 1..6 {
                version(number);
                let old = files.path(&format!("m/..{}", number - 1));
                fs::remove_dir_all(old).expect("removes");
                assert_eq!(fed.images().await, expected(number));
            }
        })
        .await;
    }
}
