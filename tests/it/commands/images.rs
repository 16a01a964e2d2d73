//! Tests `images`, which lists the account's own images as a table or as a manifest.

use serde_json::{Value, json};

use super::names::{Cloud, image, of_name};
use super::{FRANKFURT, TOKYO, holds};
use crate::support::binary::stderr;

fn cloud() -> Cloud {
    let mut whole = image(TOKYO, "img-whole", "whole", 3, false);
    whole["class"] = "InstanceImage".into();
    Cloud::new(&[
        image(TOKYO, "img-a", "golden-1", 1, true),
        image(FRANKFURT, "img-b", "golden-1", 2, false),
        image(TOKYO, "img-c", "silver-1", 2, false),
        whole,
    ])
}

#[test]
fn images_are_listed_by_name_with_what_hinders_sharing_them() {
    let cloud = cloud();
    let text = cloud.text(&["images", "--region", TOKYO, "--region", FRANKFURT], 0);
    holds(
        &text,
        &[
            "NAME      REGION        ID         CREATED               STATE   SHARED AS\n",
            "golden-1  ap-tokyo      img-a      2026-10-01T00:00:00Z  NORMAL  lhbp-",
            "          eu-frankfurt  img-b      2026-10-02T00:00:00Z  NORMAL  no, but it can be\n",
            "whole     ap-tokyo      img-whole  2026-10-03T00:00:00Z  NORMAL  no: full-instance images cannot",
            "4 images of 3 names in 2 regions.\n",
        ],
    );
    let all = cloud.json(&["images"], 0);
    assert_eq!(all["regions_read"], 15);
    let golden = of_name(&all["images"], "golden-1");
    assert_eq!(golden[0]["share"], "shared");
    assert_eq!(golden[0]["blueprint_state"], "NORMAL");
    assert_eq!(golden[1]["shareable"], true);
    assert_eq!(of_name(&all["images"], "whole")[0]["shareable"], false);
    let some = cloud.json(&["images", "--match", "golden-?", "--region", TOKYO], 0);
    assert_eq!(some["images"].as_array().map(Vec::len), Some(1), "{some:#}");
    holds(
        &stderr(&cloud.run(&["images", "--match", ""], 64)),
        &["omit the flag"],
    );
}

#[test]
fn what_is_written_is_what_the_next_plan_asks_for() {
    let cloud = cloud();
    std::fs::remove_dir(cloud.bench.path("manifests")).expect("it is empty");
    let arguments = ["images", "--write", "all.yaml"];
    let document = cloud.json(&arguments, 0);
    assert_eq!(document["file"], "all.yaml");
    let text = std::fs::read_to_string(cloud.bench.path("all.yaml")).expect("a file");
    holds(
        &text,
        &[
            "regions: [ap-tokyo, eu-frankfurt]\n  images:\n    - {name: \"golden-1\", state: shared}\n",
            "{name: \"silver-1\", state: shared}",
        ],
    );
    assert!(!text.contains("whole"), "it cannot be shared: {text}");
    let plan = cloud.json(&["plan", "all.yaml"], 0);
    assert_eq!(plan["summary"]["share"], 2, "{plan:#}");
    assert_eq!(plan["summary"]["in_sync"], 1);
    holds(
        &stderr(&cloud.run(&arguments, 1)),
        &["all.yaml", "it already exists", "`--write FILE`"],
    );
}

#[test]
fn what_is_written_goes_into_directories_that_are_made_for_it() {
    let cloud = cloud();
    let document = cloud.json(&["images", "--write", "new/dir/all.yaml"], 0);
    assert_eq!(document["file"], "new/dir/all.yaml");
    let plan = cloud.json(&["plan", "new"], 0);
    assert_eq!(plan["summary"]["share"], 2, "{plan:#}");
    cloud.bench.write("file", "");
    holds(
        &stderr(&cloud.run(&["images", "--write", "file/all.yaml"], 1)),
        &["cannot write file/all.yaml: the directory file: "],
    );
    // A link that leads nowhere is not written through.
    let link = cloud.bench.path("link.yaml");
    std::os::unix::fs::symlink(cloud.bench.path("elsewhere"), link).expect("a link");
    holds(
        &stderr(&cloud.run(&["images", "--write", "link.yaml"], 1)),
        &["link.yaml", "it already exists"],
    );
    assert!(!cloud.bench.path("elsewhere").exists());
}

#[test]
fn a_region_that_cannot_be_read_is_reported() {
    let denied = |deny: &[&str]| {
        Cloud::with(
            json!({"accounts": [{"name": "default", "deny": deny, "images": [
                image(TOKYO, "img-a", "golden-1", 1, true),
            ]}]}),
        )
    };
    let nothing = denied(&["DescribeImagesToShare"]);
    let document = nothing.json(&["images", "--region", TOKYO], 1);
    assert_eq!(document["unseen"][0]["region"], TOKYO);
    holds(
        &nothing.text(&["images", "--region", TOKYO, "--write", "x.yaml"], 1),
        &["Not read: default/ap-tokyo: "],
    );
    assert!(!nothing.bench.path("x.yaml").exists());
    // Without this permission the share states are unknown, but the rest of the table is complete.
    let blind = denied(&["DescribeBlueprints"]);
    let document = blind.json(&["images", "--region", TOKYO], 4);
    let row = &document["images"][0];
    assert_eq!(
        (&row["share"], &row["shareable"]),
        (&json!("unknown"), &Value::Null)
    );
}
