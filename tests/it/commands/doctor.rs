//! Tests `doctor`, which finds what prevents a reconcile without changing anything. Each check is tested when it
//! passes and when it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{FRANKFURT, TOKYO, holds};
use crate::support::binary::{Bench, Simulator, command, document, stderr, stdout};

const UIN: &str = "100000000001";

/// A bench with one image in each of two regions, and a simulator that loads `world`.
fn clinic(world: &str) -> (Bench, Simulator) {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.declare("frankfurt", FRANKFURT, &["img-b"]);
    bench.write("world.yaml", world);
    let world = bench.path("world.yaml");
    let simulator = Simulator::with(&["--world", world.to_str().expect("text")]);
    (bench, simulator)
}

/// Writes an `Account` document with these credentials.
fn account(bench: &Bench, spec: &str) {
    bench.write(
        "manifests/account.yaml",
        &format!(
            "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: default}}\nspec: {{{spec}}}\n"
        ),
    );
}

/// The `doctor` command, directed at the simulator; it prints its document.
fn asked(bench: &Bench, simulator: &Simulator) -> Command {
    let mut command = asked_for_text(bench, simulator);
    command.args(["-o", "json"]);
    command
}

fn asked_for_text(bench: &Bench, simulator: &Simulator) -> Command {
    let mut command = command(&["doctor", "--state-dir", "state"]);
    command
        .args(["--endpoint", simulator.endpoint()])
        .current_dir(bench.path("."))
        .envs(simulator.credentials());
    command
}

/// Runs `doctor`, which must end with `status`, and returns its document.
#[track_caller]
fn examined(bench: &Bench, simulator: &Simulator, status: i32) -> Value {
    let output = asked(bench, simulator).output();
    checked(&output.expect("the binary starts"), status)
}

#[track_caller]
fn checked(output: &Output, status: i32) -> Value {
    let said = format!("{}\n{}", stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(status), "{said}");
    let document = document(output);
    for check in document["checks"].as_array().expect("a list") {
        if check["status"] == "failed" {
            let remedy = check["remedy"].as_str().unwrap_or_default();
            assert!(!remedy.is_empty(), "no remedy: {check}");
        }
    }
    document
}

/// The checks with this name: the status of each, and its message and remedy in one text.
#[track_caller]
fn checks(document: &Value, name: &str) -> Vec<(String, String)> {
    let all = document["checks"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found: Vec<_> = all
        .filter(|check| check["name"] == name)
        .map(|check| {
            let words = format!("{} → {}", text(&check["message"]), text(&check["remedy"]));
            (text(&check["status"]), words)
        })
        .collect();
    assert!(!found.is_empty(), "no check `{name}` in {document:#}");
    found
}

/// Asserts that the first check with this name has `status` and that its text contains `words`.
#[track_caller]
fn ends(document: &Value, name: &str, status: &str, words: &[&str]) {
    let (found, text) = checks(document, name).swap_remove(0);
    assert_eq!(found, status, "{name}: {text}");
    holds(&text, words);
}

#[test]
fn s16_in_good_order_every_check_passes_and_nothing_is_written() {
    let (bench, simulator) = clinic(
        "accounts: [{images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    account(&bench, "uin: \"100000000001\"");
    let document = examined(&bench, &simulator, 0);
    assert_eq!(document["summary"]["failed"], 0, "{document:#}");
    ends(&document, "version", "passed", &["sharekeeper 0."]);
    ends(
        &document,
        "manifests",
        "passed",
        &["3 documents valid, 2 images"],
    );
    ends(
        &document,
        "state_directory",
        "passed",
        &["does not exist yet"],
    );
    ends(&document, "credentials", "passed", &["from environment"]);
    ends(
        &document,
        "identity",
        "passed",
        &[UIN, "CAMUser", "as the `Account` document says"],
    );
    ends(&document, "clock", "passed", &["clock"]);
    for (status, text) in checks(&document, "access_point") {
        assert_eq!(status, "passed", "{text}");
        holds(&text, &["answered in ", " ms"]);
    }
    assert_eq!(checks(&document, "access_point").len(), 2, "a region each");
    let reading = checks(&document, "read_permission");
    assert!(
        reading.iter().all(|(status, _)| status == "passed"),
        "{reading:?}"
    );
    holds(
        &reading[0].1,
        &["DescribeBlueprints is answered in 2 regions"],
    );
    holds(
        &reading[1].1,
        &["DescribeImagesToShare is answered in 1 region"],
    );
    holds(
        &reading[2].1,
        &["DescribeInstances is answered in 1 region"],
    );
    assert_eq!(reading.len(), 3, "no policy needs CVM");
    ends(
        &document,
        "write_permission",
        "skipped",
        &[
            "not probed: only a write can show it",
            "reconcile",
            "--cam-policy",
        ],
    );
    ends(&document, "service_role", "skipped", &["not probed"]);
    ends(
        &document,
        "rate_budget",
        "passed",
        &["19 writes a second", "quota of 20", "console"],
    );

    let calls = simulator.calls();
    assert_eq!(calls.get("ModifyImageSharePermission"), None);
    assert_eq!(calls.values().sum::<u64>(), 5, "{calls:?}");
    assert!(!bench.path("state").exists(), "not even the directory");
}

#[test]
fn without_a_uin_it_says_which_one_to_write() {
    let (bench, simulator) = clinic(
        "accounts: [{uin: '100000000042', images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    let document = examined(&bench, &simulator, 0);
    ends(
        &document,
        "identity",
        "passed",
        &["uin 100000000042", "add `uin: \"100000000042\"`"],
    );
}

#[test]
fn c9_a_revoked_key_costs_one_call_and_skips_the_other_checks() {
    let (bench, simulator) = clinic(
        "accounts: [{revoked: true, images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    let output = asked(&bench, &simulator)
        .args(["--log-level", "trace"])
        .output()
        .expect("the binary starts");
    let document = checked(&output, 1);
    ends(
        &document,
        "identity",
        "failed",
        &["AuthFailure.SecretIdNotFound", "CAM console"],
    );
    ends(
        &document,
        "access_point",
        "skipped",
        &["2 regions not asked: the credentials do not work"],
    );
    ends(
        &document,
        "read_permission",
        "skipped",
        &["DescribeBlueprints"],
    );
    ends(&document, "clock", "passed", &["clock"]);
    ends(&document, "rate_budget", "passed", &["19 writes"]);
    let replies = stderr(&output).matches(" replied ").count();
    assert_eq!(replies, 1, "{}", stderr(&output));
}

#[test]
fn s13_p10_a_key_of_another_account_is_named_and_not_called_with() {
    let (bench, simulator) = clinic(
        "accounts: [{images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    account(&bench, "uin: \"100000000002\"");
    let document = examined(&bench, &simulator, 1);
    ends(
        &document,
        "identity",
        "failed",
        &[
            UIN,
            "account `default` says uin 100000000002",
            "correct `uin`",
        ],
    );
    ends(&document, "access_point", "skipped", &["another account"]);
    let calls = simulator.calls();
    assert_eq!(calls.keys().collect::<Vec<_>>(), ["GetCallerIdentity"]);
}

#[test]
fn s13_a_uin_that_cannot_be_verified_fails_and_none_is_a_warning() {
    let (bench, simulator) = clinic(
        "accounts: [{deny: [GetCallerIdentity], images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    let document = examined(&bench, &simulator, 0);
    ends(
        &document,
        "identity",
        "warning",
        &["NoPermission", "sts:GetCallerIdentity"],
    );
    ends(&document, "read_permission", "passed", &["2 regions"]);
    account(&bench, "uin: \"100000000001\"");
    let document = examined(&bench, &simulator, 1);
    ends(
        &document,
        "identity",
        "failed",
        &["NoPermission", "remove `uin`"],
    );
    ends(&document, "access_point", "skipped", &["another account"]);
}

#[test]
fn c1_a_clock_off_by_five_minutes_is_a_warning_and_by_more_fails() {
    for (offset, status, exit, words) in [
        ("4m", "warning", 0, "behind the API's; beyond 5 min"),
        ("-4m", "warning", 0, "ahead of the API's"),
        ("10m", "failed", 1, "behind the API's, so that"),
        ("-10m", "failed", 1, "ahead of the API's"),
    ] {
        let (bench, simulator) = clinic(&format!(
            "{{clockOffset: {offset}, accounts: [{{images: [{{name: golden-1, ids: {{ap-tokyo: img-a, eu-frankfurt: img-b}}}}]}}]}}"
        ));
        let document = examined(&bench, &simulator, exit);
        ends(&document, "clock", status, &[words, "set the clock"]);
        // The replies of the API tell the offset of the clock, so the checks that read from the API still pass.
        ends(&document, "read_permission", "passed", &["2 regions"]);
    }
}

#[test]
fn a14_reading_that_is_denied_is_reported_by_action() {
    let (bench, simulator) = clinic(
        "accounts: [{deny: [DescribeBlueprints], images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    let document = examined(&bench, &simulator, 1);
    ends(&document, "access_point", "passed", &["NoPermission"]);
    ends(
        &document,
        "read_permission",
        "failed",
        &[
            "DescribeBlueprints in ap-tokyo and 1 more: UnauthorizedOperation.NoPermission",
            "allow lighthouse:DescribeBlueprints",
            "--cam-policy",
        ],
    );
    let images = checks(&document, "read_permission").remove(1);
    assert_eq!(images.0, "passed", "{}", images.1);

    let (bench, simulator) = clinic(
        "accounts: [{deny: [DescribeImagesToShare], images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    let document = examined(&bench, &simulator, 0);
    ends(&document, "read_permission", "passed", &["2 regions"]);
    let images = checks(&document, "read_permission").remove(1);
    assert_eq!(images.0, "warning", "{}", images.1);
    holds(
        &images.1,
        &[
            "only trying shows",
            "allow lighthouse:DescribeImagesToShare",
        ],
    );
}

#[test]
fn a14_unlisted_instances_are_a_warning_that_says_what_is_held() {
    let (bench, simulator) = clinic(
        "accounts: [{deny: [DescribeInstances], images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    let document = examined(&bench, &simulator, 0);
    let (status, text) = checks(&document, "read_permission").remove(2);
    assert_eq!(status, "warning", "{text}");
    holds(
        &text,
        &[
            "DescribeInstances in ap-tokyo: UnauthorizedOperation.NoPermission",
            "no pruned, expired, superseded or revoked image is cancelled unless",
            "→ allow lighthouse:DescribeInstances for this key in CAM; `sharekeeper doctor --cam-policy`",
        ],
    );
    ends(&document, "service_role", "skipped", &["not probed"]);
}

/// Writes a policy for one region, in addition to the documents of the clinic.
fn policy(bench: &Bench, name: &str, spec: &str) {
    bench.write(
        &format!("manifests/{name}.yaml"),
        &format!(
            "apiVersion: sharekeeper.dev/v1\nkind: ImageSharePolicy\nmetadata: {{name: {name}}}\nspec: {{{spec}, keep: {{newest: 1}}}}\n"
        ),
    );
}

#[test]
fn a14_where_documents_name_images_by_name_the_own_images_are_listed() {
    let world = |deny: &str| {
        format!(
            "accounts: [{{deny: [{deny}], images: [{{name: golden-1, ids: {{ap-tokyo: img-a, eu-frankfurt: img-b}}}}]}}]"
        )
    };
    let (bench, simulator) = clinic(&world("DescribeImagesToShare"));
    policy(
        &bench,
        "golden",
        "regions: [eu-frankfurt], match: {name: golden-*}",
    );
    let document = examined(&bench, &simulator, 1);
    let reading = checks(&document, "read_permission");
    assert_eq!(reading[1].0, "failed", "{}", reading[1].1);
    holds(
        &reading[1].1,
        &[
            "DescribeImagesToShare in eu-frankfurt: UnauthorizedOperation.NoPermission",
            "nothing is done in regions where",
            "allow lighthouse:DescribeImagesToShare",
        ],
    );
    assert_eq!(reading.len(), 3, "the policy does not need CVM");
    assert_eq!(simulator.calls().get("DescribeImages"), None);
}

#[test]
fn a14_cvm_is_asked_where_a_policy_needs_it_and_says_what_is_held() {
    let images = "images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]";
    let needs_cvm = "regions: [eu-frankfurt], match: {family: golden}";
    let (bench, simulator) = clinic(&format!("accounts: [{{{images}}}]"));
    policy(&bench, "golden", needs_cvm);
    let document = examined(&bench, &simulator, 0);
    let (status, text) = checks(&document, "read_permission").remove(3);
    assert_eq!(status, "passed", "{text}");
    holds(&text, &["DescribeImages is answered in 1 region"]);
    assert_eq!(simulator.calls().get("DescribeImages"), Some(&1));
    let points = checks(&document, "access_point").len();
    assert_eq!(points, 2, "CVM answers at the same access point");

    let (bench, simulator) = clinic(&format!("accounts: [{{deny: [DescribeImages], {images}}}]"));
    policy(&bench, "golden", needs_cvm);
    let document = examined(&bench, &simulator, 1);
    let (status, text) = checks(&document, "read_permission").remove(3);
    assert_eq!(status, "failed", "{text}");
    holds(
        &text,
        &[
            "DescribeImages in eu-frankfurt: UnauthorizedOperation.PermissionDenied",
            "hold still",
            "nothing is pruned there",
            "→ allow cvm:DescribeImages for this key in CAM",
        ],
    );
    assert_eq!(document["summary"]["failed"], 1, "{document:#}");

    let output = asked_for_text(&bench, &simulator)
        .output()
        .expect("the binary starts");
    holds(
        &stdout(&output),
        &[
            "failed   read permission   DescribeImages in eu-frankfurt: ",
            "→ allow cvm:DescribeImages for this key in CAM",
        ],
    );
}

#[test]
fn a_dead_access_point_is_asked_twice_and_not_for_each_region() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.declare("frankfurt", FRANKFURT, &["img-b"]);
    let output = command(&["doctor", "-o", "json", "--state-dir", "state"])
        .args(["--endpoint", "http://127.0.0.1:1"])
        .env("TENCENTCLOUD_SECRET_ID", "AKIDtest")
        .env("TENCENTCLOUD_SECRET_KEY", "hunter2hunter2")
        .current_dir(bench.path("."))
        .output()
        .expect("the binary starts");
    let document = checked(&output, 1);
    assert!(!stdout(&output).contains("hunter2") && !stdout(&output).contains("AKIDtest"));
    ends(&document, "credentials", "passed", &["from environment"]);
    ends(&document, "identity", "warning", &["127.0.0.1:1"]);
    ends(&document, "clock", "skipped", &["no reply"]);
    let points = checks(&document, "access_point");
    assert_eq!(points.len(), 2, "{points:?}");
    assert_eq!(points[0].0, "failed");
    holds(&points[0].1, &["127.0.0.1:1", "firewall"]);
    assert_eq!(points[1].0, "skipped");
    holds(&points[1].1, &["1 region not asked", "same access point"]);
    ends(&document, "read_permission", "skipped", &["no answer"]);
}

#[test]
fn m1_before_the_first_manifest_all_but_the_manifests_is_examined() {
    let bench = Bench::new();
    fs::remove_dir(bench.path("manifests")).expect("removed");
    let document = bench.json(&["doctor"], 1);
    assert_eq!(document["summary"]["failed"], 1, "{document:#}");
    ends(
        &document,
        "manifests",
        "failed",
        &[
            "does not exist",
            "sharekeeper validate",
            "sharekeeper import",
        ],
    );
    ends(&document, "credentials", "passed", &["the simulator's own"]);
    ends(&document, "read_permission", "passed", &["1 region"]);
    assert!(!bench.path("state").exists(), "not even the directory");
}

#[test]
fn m3_of_manifests_with_errors_the_good_ones_say_what_to_examine() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.write("manifests/broken.yaml", "kind: ImageShares\n");
    let document = bench.json(&["doctor"], 1);
    ends(
        &document,
        "manifests",
        "failed",
        &["errors, the first: manifests/broken.yaml:"],
    );
    let all = document["checks"].as_array().expect("a list");
    let regions = all.iter().filter_map(|check| check["region"].as_str());
    assert_eq!(regions.collect::<Vec<_>>(), [TOKYO]);
}

#[test]
fn variables_that_are_half_set_are_named_and_the_rest_goes_on() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    let output = command(&["doctor", "-o", "json", "--state-dir", "state"])
        .env("TENCENTCLOUD_SECRET_ID", "AKIDtest")
        .current_dir(bench.path("."))
        .output()
        .expect("the binary starts");
    let document = checked(&output, 1);
    assert_eq!(document["summary"]["failed"], 1, "{document:#}");
    ends(
        &document,
        "credentials",
        "failed",
        &["TENCENTCLOUD_SECRET_ID is set, but TENCENTCLOUD_SECRET_KEY is not"],
    );
    for name in [
        "identity",
        "clock",
        "access_point",
        "read_permission",
        "write_permission",
    ] {
        ends(&document, name, "skipped", &[]);
    }
    ends(&document, "state_directory", "passed", &[]);
}

#[test]
fn c10_the_sources_are_listed_in_order_and_an_open_file_is_a_warning() {
    let (bench, simulator) = clinic(
        "accounts: [{images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    let [(_, id), (_, key)] = simulator.credentials();
    bench.write(
        "keys",
        &format!("[default]\nsecret_id = {id}\nsecret_key = {key}\n"),
    );
    let keys = bench.path("keys");
    let examine = || {
        let output = command(&["doctor", "-o", "json", "--state-dir", "state"])
            .args(["--endpoint", simulator.endpoint()])
            .env("TENCENTCLOUD_CREDENTIALS_FILE", &keys)
            .current_dir(bench.path("."))
            .output()
            .expect("the binary starts");
        assert!(!stdout(&output).contains(key) && !stdout(&output).contains(id));
        checked(&output, 0)
    };
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("a mode");
    let document = examine();
    let found = checks(&document, "credentials");
    assert_eq!(found.len(), 1, "{found:?}");
    let text = &found[0].1;
    holds(
        text,
        &[
            "from file (",
            "keys); tried before, in order: environment (",
        ],
    );
    let places = ["environment (", "profile `default` ("].map(|word| text.find(word));
    assert!(places[0] < places[1] && places[1].is_some(), "{text}");

    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).expect("a mode");
    let found = checks(&examine(), "credentials");
    assert_eq!(found[1].0, "warning");
    holds(&found[1].1, &["mode 0644", "`chmod 600 "]);
}

#[test]
fn temporary_credentials_say_when_they_end() {
    let (bench, simulator) = clinic(
        "{accounts: [{images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}], roles: [{name: keeper, trust: {accounts: ['100000000001']}}]}]}",
    );
    account(
        &bench,
        "credentials: {from: assume-role, roleArn: 'qcs::cam::uin/100000000001:roleName/keeper', source: {from: environment}}",
    );
    let document = examined(&bench, &simulator, 0);
    ends(
        &document,
        "credentials",
        "passed",
        &[
            "from assume-role qcs::cam::uin/100000000001:roleName/keeper, as environment",
            "before these expire in 1",
        ],
    );
    ends(&document, "identity", "passed", &["CAMRole"]);
}

#[test]
fn what_only_writes_show_is_taken_from_the_history() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.run(&["reconcile"], 0);
    let before = bench.files();
    let document = bench.json(&["doctor"], 0);
    ends(
        &document,
        "write_permission",
        "skipped",
        &["not probed", "the last conclusive write, on 2", "succeeded"],
    );
    ends(
        &document,
        "service_role",
        "skipped",
        &["it worked for the last conclusive write"],
    );
    ends(
        &document,
        "state_directory",
        "passed",
        &[
            "(mode 0700",
            "schema version",
            "2 entries",
            "not in use at the moment",
        ],
    );
    assert!(bench.files() == before, "it changed the state");

    bench.declare("tokyo", TOKYO, &["img-a", "img-b"]);
    bench.change(|world| {
        world["accounts"][0]["deny"] = json!(["ModifyImageSharePermission"]);
    });
    bench.run(&["reconcile"], 4);
    let document = bench.json(&["doctor"], 1);
    ends(
        &document,
        "write_permission",
        "failed",
        &[
            "UnauthorizedOperation.NoPermission",
            "allow lighthouse:ModifyImageSharePermission",
        ],
    );
    ends(&document, "service_role", "skipped", &["it worked"]);

    bench.change(|world| {
        world["accounts"][0]["deny"] = json!([]);
        world["accounts"][0]["role"] = json!("missing");
    });
    bench.run(&["reconcile"], 4);
    let document = bench.json(&["doctor"], 1);
    ends(
        &document,
        "service_role",
        "failed",
        &[
            "ResourceNotFound.RoleNotFound",
            "create the Lighthouse service role",
        ],
    );
}

#[test]
fn s18_a_state_that_cannot_be_trusted_fails_and_an_open_one_is_a_warning() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    bench.run(&["reconcile"], 0);
    fs::set_permissions(bench.state(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let document = bench.json(&["doctor"], 0);
    ends(
        &document,
        "state_directory",
        "warning",
        &["mode 0755", "`chmod o= "],
    );
    bench
        .database()
        .pragma_update(None, "user_version", 9)
        .expect("set");
    let document = bench.json(&["doctor"], 1);
    ends(
        &document,
        "state_directory",
        "failed",
        &["schema version 9"],
    );
    ends(&document, "credentials", "passed", &[]);
}

#[test]
fn where_there_is_no_place_for_a_state_the_rest_is_examined() {
    let (bench, simulator) = clinic(
        "accounts: [{images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    let output = command(&["doctor", "-o", "json", "--endpoint", simulator.endpoint()])
        .env_remove("HOME")
        .envs(simulator.credentials())
        .current_dir(bench.path("."))
        .output()
        .expect("the binary starts");
    let document = checked(&output, 1);
    assert_eq!(document["summary"]["failed"], 1, "{document:#}");
    ends(
        &document,
        "state_directory",
        "failed",
        &["neither XDG_STATE_HOME nor HOME is set", "--state-dir"],
    );
    ends(&document, "read_permission", "passed", &["2 regions"]);
}

#[test]
fn an_account_that_no_manifest_names_fails_by_its_name() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    let document = bench.json(&["doctor", "--account", "prd"], 1);
    ends(&document, "account", "failed", &["no manifest names it"]);
    assert_eq!(document["checks"][3]["account"], "prd");
}

#[test]
fn accounts_that_share_a_key_and_a_whole_quota_cause_warnings() {
    let (bench, simulator) = clinic(
        "accounts: [{images: [{name: golden-1, ids: {ap-tokyo: img-a, eu-frankfurt: img-b}}]}]",
    );
    bench.write(
        "manifests/second.yaml",
        "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: second}\nspec: {rate: 20}\n",
    );
    let document = examined(&bench, &simulator, 0);
    let budgets = checks(&document, "rate_budget");
    holds(&budgets[0].1, &["19 writes", "those of `second` too"]);
    holds(
        &budgets[1].1,
        &["20 writes", "those of `default` too", "lower `spec.rate`"],
    );
    assert_eq!(budgets[1].0, "warning");
}

#[test]
fn for_people_each_account_has_a_heading_and_each_remedy_a_line() {
    let (bench, simulator) = clinic("accounts: [{revoked: true}]");
    let output = asked_for_text(&bench, &simulator)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    holds(
        &stdout(&output),
        &[
            "passed   version           sharekeeper 0.",
            "\n\nAccount default\n",
            "failed   identity          GetCallerIdentity: AuthFailure.SecretIdNotFound",
            "\n                           → the SecretId is unknown or disabled",
            "\n\nDoctor: ",
            " 1 failed, ",
        ],
    );
}

/// The policies in the document, each with the name of its first holder.
fn policies(bench: &Bench, arguments: &[&str]) -> Vec<(String, Value)> {
    let arguments = [&["doctor", "--cam-policy", "-o", "json"], arguments].concat();
    let output = bench.real(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document = document(&output);
    let policies = document["policies"].as_array().expect("a list").iter();
    policies
        .map(|grant| {
            let holder = grant["holders"][0].as_str().expect("a name").to_owned();
            (holder, grant["policy"].clone())
        })
        .collect()
}

#[test]
fn the_least_policy_is_what_the_manifests_need_and_no_more() {
    let bench = Bench::new();
    let policy = |actions: &[&str]| json!({"version": "2.0", "statement": [{"effect": "allow", "action": actions, "resource": ["*"]}]});
    let (describe, images) = (
        "lighthouse:DescribeBlueprints",
        "lighthouse:DescribeImagesToShare",
    );
    let (instances, modify) = (
        "lighthouse:DescribeInstances",
        "lighthouse:ModifyImageSharePermission",
    );
    // The policy is also printed before the first manifest exists.
    let found = policies(&bench, &[]);
    assert_eq!(
        found,
        [(
            "the credentials of `ambient`".into(),
            policy(&[describe, images, instances, modify])
        )]
    );
    let found = policies(&bench, &["--read-only"]);
    assert_eq!(found[0].1, policy(&[describe, images, instances]));
    account(&bench, "uin: \"100000000001\"");
    bench.declare("tokyo", TOKYO, &["img-a"]);
    let found = policies(&bench, &["--read-only"]);
    assert_eq!(
        found[0].1,
        policy(&[describe, images, instances, "sts:GetCallerIdentity"])
    );

    // Users paste the output into the console, so stdout holds nothing but the policy.
    let output = bench.real(&["doctor", "--cam-policy"]);
    let pasted: Value = serde_json::from_slice(&output.stdout).expect("a policy");
    assert_eq!(
        pasted,
        policy(&[describe, images, instances, modify, "sts:GetCallerIdentity"])
    );
    holds(
        &stderr(&output),
        &["(account default)", "the resource is `\"*\"`"],
    );
}

#[test]
fn the_policy_allows_cvm_only_to_accounts_whose_policies_need_it() {
    let bench = Bench::new();
    let actions = |arguments: &[&str]| {
        let found = policies(&bench, arguments).remove(0).1;
        found["statement"][0]["action"].to_string()
    };
    policy(
        &bench,
        "named",
        "regions: [ap-tokyo], match: {name: golden-*}",
    );
    assert!(!actions(&[]).contains("cvm:"));
    for spec in [
        "match: {family: golden}",
        "match: {tags: {release: stable}}",
        "match: {name: golden-*}, deprecated: retire",
        "match: {name: golden-*}, exclude: [{tags: {release: test}}]",
    ] {
        policy(&bench, "cvm", &format!("regions: [ap-tokyo], {spec}"));
        for arguments in [&[] as &[&str], &["--read-only"]] {
            let actions = actions(arguments);
            assert!(
                actions.contains("\"cvm:DescribeImages\""),
                "{spec}: {actions}"
            );
        }
    }
}

#[test]
fn a_role_needs_the_actions_and_who_assumes_it_needs_the_role() {
    let bench = Bench::new();
    bench.declare("tokyo", TOKYO, &["img-a"]);
    for name in ["a", "b"] {
        bench.write(
            &format!("manifests/{name}.yaml"),
            &format!(
                "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: {name}}}\nspec:\n  credentials:\n    \
                 {{from: assume-role, roleArn: 'qcs::cam::uin/100000000001:roleName/{name}', source: {{from: environment}}}}\n"
            ),
        );
    }
    let arns = ["a", "b"].map(|name| format!("qcs::cam::uin/100000000001:roleName/{name}"));
    let found = policies(&bench, &["--account", "a", "--account", "b"]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].0, "the credentials of `environment`");
    let assume = json!([{"effect": "allow", "action": ["sts:AssumeRole"], "resource": arns}]);
    assert_eq!(found[0].1["statement"], assume);
    assert_eq!(found[1].0, format!("the role {}", arns[0]));
    assert_eq!(found[1].1["statement"][0]["resource"], json!(["*"]));
    let output = bench.real(&["doctor", "--cam-policy"]);
    holds(
        &stdout(&output),
        &["# the credentials of `environment` (account a, b)"],
    );
}
