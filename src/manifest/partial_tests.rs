//! The files that are left of a broken set: which ones are left out with a faulty file, and why.

use std::path::Path;

use super::*;
use crate::manifest::parse::parse_in_order;

/// An `ImageShare` with a unique name for each image list.
fn share(spec: &str) -> String {
    let name = spec.replace(|c: char| !c.is_ascii_alphanumeric(), "");
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: n{}}}\nspec: {{{spec}}}\n",
        name.to_lowercase()
    )
}

fn image(id: &str) -> String {
    share(&format!(
        "region: ap-tokyo, images: [{{id: {id}, state: shared}}]"
    ))
}

fn image_of(account: &str, id: &str) -> String {
    share(&format!(
        "account: {account}, region: ap-tokyo, images: [{{id: {id}, state: shared}}]"
    ))
}

/// An `ImageSharePolicy` with additional fields.
fn policy(name: &str, fields: &str) -> String {
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: {name}}}\nspec: {{region: ap-tokyo, match: {{name: a}}, keep: {{newest: 1}}{fields}}}\n"
    )
}

fn account(name: &str) -> String {
    format!("apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: {name}}}\n")
}

/// The images that are left of these files and of unreadable paths, and the names that are left out.
fn left(files: &[(&str, String)], unread: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
    let sources: Vec<_> = files
        .iter()
        .map(|(name, text)| SourceText::new(*name, text.clone()))
        .collect();
    let problems: Vec<_> = unread
        .iter()
        .map(|path| Diagnostic::of_path(path, "cannot be read", "mend it"))
        .collect();
    let diagnostics = parse_in_order(&sources, problems.clone()).expect_err("is broken");
    // As in the walk: a manifest's name means a file, any other name means a directory.
    let maybe_restricted = unread.iter().map(Path::new).map(|path| {
        let parent = path.parent().filter(|_| path.extension().is_some());
        parent.unwrap_or(path).to_owned()
    });
    let mut found = Found::default();
    (found.problems, found.maybe_restricted) = (problems, maybe_restricted.collect());
    let partial = Broken::new(diagnostics, sources, &found).into_good()?;
    let left_out = partial.left_out().iter().cloned().collect();
    let desired = partial.into_partial_desired();
    let by_id = desired.images.keys().map(|key| key.image.to_string());
    let by_name = desired.names.values().flat_map(|names| names.keys());
    let policies = desired.policies.values().flatten();
    let images = by_id
        .chain(by_name.map(ToString::to_string))
        .chain(policies.map(|policy| policy.name().to_string()));
    Some((images.collect(), left_out))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn m3_s3_files_without_an_error_are_left_and_the_others_named() {
    let files = [
        ("a.yaml", image("img-a")),
        ("b.yaml", image("img-b").replace("shared", "shard")),
        ("c.yaml", image("img-c")),
        ("d.yaml", "{".into()),
    ];
    assert_eq!(
        left(&files, &[]),
        Some((names(&["img-a", "img-c"]), names(&["b.yaml", "d.yaml"])))
    );
}

#[test]
fn m1_s3_what_cannot_be_read_is_left_out_like_a_file_with_an_error() {
    let files = [("a.yaml", image("img-a"))];
    assert_eq!(
        left(&files, &["more", "deep/b.yaml"]),
        Some((names(&["img-a"]), names(&["deep/b.yaml", "more"])))
    );
    assert_eq!(left(&[], &["more"]), None);
}

#[test]
fn m1_s3_where_nothing_good_is_left_there_is_no_partial_set() {
    let broken = image("img-a").replace("shared", "shard");
    assert_eq!(left(&[("a.yaml", broken)], &[]), None);
    assert_eq!(left(&[("a.yaml", "# nothing\n".into())], &["b"]), None);
    assert_eq!(left(&[("a.yaml", account("x"))], &["b"]), None);
    assert_eq!(left(&[("a.yaml", String::new())], &[]), None);
}

#[test]
fn m5_s3_an_image_that_two_files_set_leaves_out_both() {
    let files = [
        ("a.yaml", image("img-a")),
        ("b.yaml", format!("# again\n{}", image("img-a"))),
        ("c.yaml", image("img-c")),
    ];
    let both = left(&files, &[]);
    assert_eq!(
        both,
        Some((names(&["img-c"]), names(&["a.yaml", "b.yaml"])))
    );
}

#[test]
fn m5_s3_each_region_of_a_conflict_leaves_out_its_other_half() {
    let image = "images: [{name: golden, state: shared}]";
    let files = [
        ("a.yaml", share(&format!("region: ap-tokyo, {image}"))),
        ("b.yaml", share(&format!("region: ap-seoul, {image}"))),
        (
            "c.yaml",
            share(&format!(
                "regions: [ap-tokyo, ap-seoul, ap-singapore], {image}"
            )),
        ),
        ("d.yaml", self::image("img-d")),
    ];
    assert_eq!(
        left(&files, &[]),
        Some((names(&["img-d"]), names(&["a.yaml", "b.yaml", "c.yaml"])))
    );
}

#[test]
fn m3_s3_errors_that_are_not_listed_leave_out_their_file_too() {
    let wrong: String = (0..200).map(|n| format!("field{n}: x\n")).collect();
    let files = [
        ("a.yaml", wrong),
        ("b.yaml", image("img-b")),
        ("c.yaml", image("img-b")),
        ("d.yaml", image("img-d")),
    ];
    assert_eq!(
        left(&files, &[]),
        Some((names(&["img-d"]), names(&["a.yaml", "b.yaml", "c.yaml"])))
    );
}

#[test]
fn m17_s3_what_needs_an_account_that_was_left_out_is_left_out() {
    let chained =
        |own: &str, needs: &str, id: &str| format!("{}---\n{}", account(own), image_of(needs, id));
    let files = [
        ("a.yaml", format!("{}x: y\n", account("one"))),
        ("b.yaml", chained("two", "one", "img-b")),
        ("c.yaml", chained("three", "two", "img-c")),
        ("d.yaml", image_of("three", "img-d")),
        (
            "e.yaml",
            format!("{}---\n{}", account("own"), image_of("own", "img-e")),
        ),
    ];
    assert_eq!(
        left(&files, &[]),
        Some((
            names(&["img-e"]),
            names(&["a.yaml", "b.yaml", "c.yaml", "d.yaml"])
        ))
    );
}

#[test]
fn m17_s3_a_default_account_whose_document_may_be_lost_is_left_out() {
    let lost = [
        ("a.yaml", format!("{}\tx", account("default"))),
        ("b.yaml", image("img-b")),
        (
            "c.yaml",
            format!("{}---\n{}", account("own"), image_of("own", "img-c")),
        ),
    ];
    assert_eq!(
        left(&lost, &[]),
        Some((names(&["img-c"]), names(&["a.yaml", "b.yaml"])))
    );
    let kept = [
        ("a.yaml", format!("{}\tx", account("other"))),
        ("b.yaml", image("img-b")),
        ("c.yaml", account("default")),
    ];
    assert_eq!(
        left(&kept, &[]),
        Some((names(&["img-b"]), names(&["a.yaml"])))
    );
}

fn restriction(directory: &str, images: &str) -> String {
    format!(
        "apiVersion: sharekeeper.dev/v1\nkind: Restriction\nmetadata: {{name: {directory}}}\nspec: {{directory: {directory}, restrict: {{images: [{images}]}}}}\n"
    )
}

#[test]
fn s3_what_breaks_a_restriction_is_left_out_alone() {
    let files = [
        ("r.yaml", restriction("team-a", "img-a*")),
        ("team-a/a.yaml", image("img-a")),
        ("team-a/x.yaml", image("img-x")),
        ("team-b/b.yaml", image("img-b")),
    ];
    assert_eq!(
        left(&files, &[]),
        Some((names(&["img-a", "img-b"]), names(&["team-a/x.yaml"])))
    );
}

#[test]
fn s3_where_a_restriction_may_be_lost_nothing_below_it_is_kept() {
    let lost = [
        restriction("team-a", "img-a*").replace("images:", "imagse:"),
        restriction("team-a", "img-a*").replace("Restriction", "Restricton"),
        restriction("team-a", "img-a*").replace("Restriction", "Rail"),
        restriction("team-a", "img-a*").replace("{directory", "{{directory"),
        restriction("team-a", "img-a*")
            .replace("restrict:", "restritc:")
            .replace("Restriction", "Rail"),
    ];
    for text in lost {
        let files = [
            ("all/deep/a.yaml", image("img-a")),
            ("all/r.yaml", text.clone()),
            ("alles/b.yaml", image("img-b")),
            ("c.yaml", image("img-c")),
        ];
        let expected = (
            names(&["img-b", "img-c"]),
            names(&["all/deep/a.yaml", "all/r.yaml"]),
        );
        assert_eq!(left(&files, &[]), Some(expected), "{text}");
    }
}

#[test]
fn m1_s3_what_cannot_be_read_may_be_a_restriction() {
    let files = [
        ("all/deep/a.yaml", image("img-a")),
        ("b.yaml", image("img-b")),
    ];
    let left_out = names(&["all/deep/a.yaml", "all/r.yaml"]);
    assert_eq!(
        left(&files, &["all/r.yaml"]),
        Some((names(&["img-b"]), left_out))
    );
    assert_eq!(left(&files, &["r.yaml"]), None);
}

#[test]
fn s3_a_restriction_that_is_left_out_takes_its_files_along() {
    // A link to it is in `all`, so it may apply to `elsewhere` and is removed with `all`.
    let linked = SourceText::new("elsewhere/r.yaml", restriction(".", "img-a*"))
        .found_in(vec!["elsewhere".into(), "all/deep".into()]);
    let sources = vec![
        SourceText::new("all/r.yaml", "restrict".to_owned()),
        linked,
        SourceText::new("elsewhere/b.yaml", image("img-b")),
        SourceText::new("other/c.yaml", image("img-c")),
    ];
    let diagnostics = parse_in_order(&sources, Vec::new()).expect_err("is broken");
    let partial = Broken::new(diagnostics, sources, &Found::default()).into_good();
    let desired = partial.expect("one is left").into_partial_desired();
    let images: Vec<_> = desired
        .images
        .keys()
        .map(|key| key.image.to_string())
        .collect();
    assert_eq!(images, ["img-c"]);
}

#[test]
fn o2_a_broken_set_shows_no_text() {
    let text = "secretKey: hunter2\n".to_owned();
    let sources = vec![SourceText::new("a.yaml", text)];
    let diagnostics = parse_in_order(&sources, Vec::new()).expect_err("is broken");
    let broken = Broken::new(diagnostics, sources, &Found::default());
    assert!(!format!("{broken:?}").contains("hunter2"));
}

#[test]
fn m3_s3_names_and_policies_are_left_like_ids() {
    let named = share("region: ap-tokyo, images: [{name: golden, state: shared}]");
    let files = [
        ("a.yaml", named),
        ("b.yaml", policy("nightly", "")),
        ("c.yaml", image("img-c").replace("shared", "shard")),
    ];
    assert_eq!(
        left(&files, &[]),
        Some((names(&["golden", "nightly"]), names(&["c.yaml"])))
    );
    let mut files = files;
    files[2].1 = format!("{}uin: 1", account("default"));
    assert_eq!(
        left(&files, &[]),
        None,
        "the account's settings are unknown"
    );
    let mut files = files.to_vec();
    files.push(("d.yaml", account("team")));
    files.push(("e.yaml", image_of("team", "img-e")));
    assert_eq!(
        left(&files, &[]),
        Some((names(&["img-e"]), names(&["a.yaml", "b.yaml", "c.yaml"])))
    );
}

#[test]
fn m3_s3_what_a_lost_file_may_revoke_or_unshare_is_not_shared() {
    let revoking = policy("revoking", ", revoke: [{nam: a}]");
    let files = [("a.yaml", image("img-a")), ("b.yaml", revoking)];
    assert_eq!(left(&files, &[]), None);
    let unsharing = share("region: ap-tokyo, images: [{nam: a, state: unshared}]");
    let files = [
        ("a.yaml", image("img-a")),
        ("b.yaml", policy("nightly", "")),
        ("c.yaml", unsharing),
    ];
    assert_eq!(
        left(&files, &[]),
        Some((names(&["img-a"]), names(&["b.yaml", "c.yaml"]))),
        "the policy may want an image that is declared `unshared`"
    );
}

#[test]
fn m1_s3_a_lock_file_alone_is_no_partial_set() {
    let lock = "apiVersion: sharekeeper.dev/v1\nkind: ImageShareLock\nspec: {policies: []}\n";
    assert_eq!(
        left(&[("a.yaml", lock.into()), ("b.yaml", "{".into())], &[]),
        None
    );
}
