//! The text of `plan`, whole: what a person reads before anything is changed. CONTRIBUTING.md says how to write the
//! expected texts again.

use snapbox::data::Inline;
use snapbox::{IntoData, str};

use super::names::{Cloud, image};
use super::{FRANKFURT, TOKYO};

/// Compares the text of `plan`, to the letter.
#[track_caller]
fn assert_plan(cloud: &Cloud, flags: &[&str], expected: Inline) {
    let text = cloud.text(&[&["plan"], flags].concat(), 0);
    snapbox::assert_data_eq!(text, expected.raw());
}

/// Writes a document with entries for Tokyo. The entries begin in line 7.
fn declare(cloud: &Cloud, entries: &str) {
    let text = format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: golden}}\nspec:\n  region: {TOKYO}\n  \
         images:\n{entries}"
    );
    cloud.bench.write("manifests/golden.yaml", &text);
}

#[test]
fn a_plan_that_shares_and_cancels() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-2", 2, false),
        image(TOKYO, "img-b", "golden-1", 1, true),
        image(TOKYO, "img-c", "golden-ubuntu-22.04-lts", 3, false),
    ]);
    declare(
        &cloud,
        "    - {name: golden-2, state: shared}\n    - {name: golden-1, state: unshared}\n    \
         - {name: golden-ubuntu-22.04-lts, state: shared, until: 2099-01-01T00:00:00Z, note: for the trial}\n",
    );
    assert_plan(
        &cloud,
        &[],
        str![[r#"
default/ap-tokyo: 2 to share, 1 to cancel
  To cancel (1):
  - img-b           golden-1                 declared  manifests/golden.yaml:8
  To share (2):
  + img-a           golden-2                 declared  manifests/golden.yaml:7
  + img-c           golden-ubuntu-22.04-lts  declared  manifests/golden.yaml:9  until 2099-01-01T00:00:00Z  note: for the trial

Plan: 2 to share, 1 to cancel, 0 in sync.
Budget: 3 writes, about 0.1 s, and 4 reads.

"#]],
    );
}

#[test]
fn a_plan_whose_changes_have_several_causes() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-1", 1, true),
        image(TOKYO, "img-b", "golden-2", 9, true),
        image(TOKYO, "img-c", "silver-1", 1, false),
    ]);
    cloud.policy("  keep: {newest: 1, unshareAfter: 0}\n");
    let declared = format!(
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {{name: silver}}\n\
         spec: {{region: {TOKYO}, images: [{{name: silver-1, state: shared}}]}}\n"
    );
    cloud.bench.write("manifests/silver.yaml", &declared);
    assert_plan(
        &cloud,
        &[],
        str![[r#"
default/ap-tokyo: 1 to share, 1 to cancel, 1 in sync
  To cancel (1):
  - img-a           golden-1  retention by policy golden  manifests/golden.yaml:3
  To share (1):
  + img-c           silver-1  declared                    manifests/silver.yaml:4

Plan: 1 to share, 1 to cancel, 1 in sync.
Budget: 2 writes, about 0.1 s, and 4 reads.

"#]],
    );
}

#[test]
fn a_plan_without_changes() {
    let cloud = Cloud::new(&[
        image(TOKYO, "img-a", "golden-1", 1, true),
        image(FRANKFURT, "img-b", "golden-1", 1, true),
        image(TOKYO, "img-other", "silver-1", 1, true),
    ]);
    cloud.name("    - {name: golden-1, state: shared}\n");
    assert_plan(
        &cloud,
        &[],
        str![[r#"
No changes: 2 images as desired.
Left alone: 1 shared image that no manifest names.

"#]],
    );
    assert_plan(
        &cloud,
        &["--unmanaged"],
        str![[r#"
No changes: 2 images as desired.
Left alone: 1 shared image that no manifest names.
  default/ap-tokyo/img-other  silver-1  shared by somebody else

"#]],
    );
}

#[test]
fn a_plan_with_blocked_images_and_names_without_images() {
    let mut whole = image(TOKYO, "img-whole", "golden-whole", 1, false);
    whole["class"] = "InstanceImage".into();
    let cloud = Cloud::new(&[image(TOKYO, "img-a", "golden-1", 1, false), whole]);
    declare(
        &cloud,
        "    - {name: golden-1, state: shared}\n    - {name: golden-whole, state: shared}\n    \
         - {name: a-name-of-more-than-fifteen-letters, state: shared}\n    - {name: golden-2, state: shared}\n",
    );
    assert_plan(
        &cloud,
        &[],
        str![[r#"
default/ap-tokyo: 1 to share, 3 blocked
  To share (1):
  + img-a           golden-1             declared  manifests/golden.yaml:7
  Blocked (3):
  ! img-whole       golden-whole         full-instance images cannot be shared; make a system-disk image  manifests/golden.yaml:8
  ! a-name-of-more-than-fifteen-letters  no image here has the name `a-name-of-more-than-fifteen-letters`; check the name, the region and the account, or copy the image here  manifests/golden.yaml:9
  ! golden-2                             no image here has the name `golden-2`; similar names: `golden-1`, `golden-whole`; check the name, the region and the account, or copy the image here  manifests/golden.yaml:10

Plan: 1 to share, 0 to cancel, 3 blocked, 0 in sync.
Budget: 1 write, about 0.0 s, and 3 reads.

"#]],
    );
}

#[test]
fn a_plan_that_withholds_what_would_be_pruned() {
    let images: Vec<_> = (0..12)
        .map(|n| {
            image(
                TOKYO,
                &format!("img-{n:02}"),
                &format!("golden-{n}"),
                1,
                true,
            )
        })
        .collect();
    let cloud = Cloud::new(&images);
    declare(&cloud, "    - {id: img-00, state: shared}\n");
    assert_plan(
        &cloud,
        &["--prune", "exclusive"],
        str![[r#"
default/ap-tokyo: 11 withheld, 1 in sync
  ~ 11 images to cancel: 11 images would be pruned here, more than the caps allow: `--max-cancels 10` (the default) and `--max-cancels-percent 25` (the default); so no CANCEL is made; if all of them are intended: --max-cancels 11 --max-cancels-percent 92
    img-01 (golden-1), img-02 (golden-2), img-03 (golden-3), img-04 (golden-4), img-05 (golden-5), img-06 (golden-6), img-07 (golden-7), img-08 (golden-8) and 3 more

Plan: 0 to share, 0 to cancel, 11 withheld, 1 in sync.

"#]],
    );
}
