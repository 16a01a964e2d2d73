//! What `--partial-ok` leaves out beside manifests that are missing.

use super::*;

#[tokio::test]
async fn g1_g3_partial_ok_shares_what_the_missing_cannot_restrict() {
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
