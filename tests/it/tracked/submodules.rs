//! Submodules, and repositories below the given path.

use super::*;

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
