//! Tests the account that the environment selects: tccli's role is assumed, Terraform's variables are refused by
//! name, and the first run in an account other than that of the state prunes nothing.

use std::process::Output;

use serde_json::Value;

use super::{TOKYO, holds, ids};
use crate::support::binary::{Bench, Simulator, command, document, stderr, stdout};

const WORLD: &str = r#"
accounts:
  - {name: one, uin: "100000000001", secretId: AKIDsimone, secretKey: s1, images: [{id: img-a, regions: [ap-tokyo]}, {id: img-b, regions: [ap-tokyo]}, {id: img-x, regions: [ap-tokyo], shared: true}]}
  - name: two
    uin: "100000000002"
    secretId: AKIDsimtwo
    secretKey: s2
    images: [{id: img-a, regions: [ap-tokyo], shared: true}, {id: img-b, regions: [ap-tokyo], shared: true}, {id: img-y, regions: [ap-tokyo], shared: true}]
    roles: [{name: keeper, trust: {accounts: ["100000000001"]}}]
  - name: three
    uin: "100000000003"
    secretId: AKIDsimthree
    secretKey: s3
    images: [{id: img-a, regions: [ap-tokyo], shared: true}, {id: img-b, regions: [ap-tokyo], shared: true}, {id: img-z, regions: [ap-tokyo], shared: true}]
    roles: [{name: keeper, trust: {accounts: ["100000000001"]}}]
"#;
/// The machine's own role belongs to an account that has one more image, so that its blueprints have other ids.
const MACHINES: [&str; 2] = [
    r#"
accounts: [{name: one, uin: "100000000001", images: [{id: img-a, regions: [ap-tokyo]}, {id: img-b, regions: [ap-tokyo]}], roles: [{name: machine}]}]
metadata: {account: one, role: machine}
"#,
    r#"
accounts: [{name: two, uin: "100000000002", images: [{id: img-y, regions: [ap-tokyo], shared: true}, {id: img-a, regions: [ap-tokyo]}, {id: img-b, regions: [ap-tokyo]}], roles: [{name: machine}]}]
metadata: {account: two, role: machine}
"#,
];

const ROLE_OF_TWO: (&str, &str) = (
    "TENCENTCLOUD_ROLE_ARN",
    "qcs::cam::uin/100000000002:roleName/keeper",
);
const ROLE_OF_THREE: (&str, &str) = (
    "TENCENTCLOUD_ROLE_ARN",
    "qcs::cam::uin/100000000003:roleName/keeper",
);
const SESSION: (&str, &str) = ("TENCENTCLOUD_ROLE_SESSION_NAME", "me");

struct Desk {
    bench: Bench,
    simulator: Simulator,
}

fn simulator(bench: &Bench, world: &str) -> Simulator {
    bench.write("world.yaml", world);
    let path = bench.path("world.yaml");
    Simulator::with(&["--world", path.to_str().expect("text")])
}

impl Desk {
    fn new() -> Self {
        let bench = Bench::new();
        let simulator = simulator(&bench, WORLD);
        let desk = Self { bench, simulator };
        desk.bench.declare("a", TOKYO, &["img-a", "img-b"]);
        desk
    }

    /// Runs a command with the key of the first account and more variables in the environment.
    fn output(&self, arguments: &[&str], more: &[(&str, &str)]) -> Output {
        command(arguments)
            .env("SHAREKEEPER_ENDPOINT", self.simulator.endpoint())
            .env("SHAREKEEPER_STATE_DIR", "state")
            .current_dir(self.bench.path("."))
            .env("TENCENTCLOUD_SECRET_ID", "AKIDsimone")
            .env("TENCENTCLOUD_SECRET_KEY", "s1")
            .envs(more.iter().copied())
            .output()
            .expect("the binary starts")
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], more: &[(&str, &str)], status: i32) -> Output {
        let output = self.output(arguments, more);
        let said = format!("{}\n{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{said}");
        output
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], more: &[(&str, &str)], status: i32) -> Value {
        document(&self.run(&[arguments, &["-o", "json"]].concat(), more, status))
    }

    fn calls(&self, action: &str) -> u64 {
        self.simulator.calls().get(action).copied().unwrap_or(0)
    }

    fn writes(&self) -> u64 {
        self.calls("ModifyImageSharePermission")
    }
}

/// Each image with the uin of its account and its outcome.
fn outcomes(document: &Value) -> Vec<(&str, &str, &str)> {
    let images = document["images"].as_array().expect("a list").iter();
    let rows = images.map(|image| {
        let word = |name: &str| image[name].as_str().unwrap_or("unknown");
        (word("image_id"), word("uin"), word("outcome"))
    });
    rows.collect()
}

#[test]
fn t1_the_role_of_the_environment_decides_whose_images_are_used() {
    let desk = Desk::new();
    let role = [ROLE_OF_TWO, SESSION];
    let document = desk.json(&["reconcile"], &role, 0);
    assert_eq!(
        document["summary"]["in_sync"], 2,
        "shared in the role's account"
    );
    assert_eq!((desk.calls("AssumeRole"), desk.writes()), (1, 0));
    let doctor = desk.json(&["doctor"], &role, 0);
    holds(
        &doctor.to_string(),
        &[
            "uin 100000000002",
            ROLE_OF_TWO.1,
            "named by TENCENTCLOUD_ROLE_ARN",
            "as environment",
        ],
    );
    // With `from: environment` the role is assumed as well. With `from: file` the key of the file is used, and no
    // role is assumed.
    let account = |credentials: &str| {
        desk.bench.write(
            "manifests/account.yaml",
            &format!(
                "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {{name: default}}\nspec:\n  uin: \"100000000002\"\n  \
                 credentials: {credentials}\n"
            ),
        );
    };
    account("{from: environment}");
    desk.json(&["reconcile"], &role, 0);
    desk.bench.write(
        "keys",
        "[default]\nsecret_id = AKIDsimone\nsecret_key = s1\n",
    );
    account(&format!(
        "{{from: file, path: '{}'}}",
        desk.bench.path("keys").display()
    ));
    let document = desk.json(&["reconcile"], &role, 1);
    holds(&document.to_string(), &["WrongAccount"]);
    assert_eq!(desk.writes(), 0);
}

#[test]
fn t1_a_role_that_cannot_be_assumed_stops_the_account() {
    let desk = Desk::new();
    for (more, words) in [
        (vec![ROLE_OF_TWO], "TENCENTCLOUD_ROLE_SESSION_NAME is not"),
        (vec![SESSION], "TENCENTCLOUD_ROLE_ARN is not"),
        (
            vec![
                (ROLE_OF_TWO.0, "qcs::cam::uin/100000000002:roleName/nobody"),
                SESSION,
            ],
            "RoleNotFound",
        ),
    ] {
        for verb in ["plan", "reconcile"] {
            let document = desk.json(&[verb], &more, 1);
            holds(&document.to_string(), &[words]);
        }
    }
    assert_eq!((desk.calls("DescribeBlueprints"), desk.writes()), (0, 0));
}

#[test]
fn t1_s26_the_first_run_in_another_account_says_so_and_prunes_nothing() {
    // The state knows a key that has or has not pruned yet. The uin of that key was never read.
    for (prune, has_pruned, withheld) in [
        ("owned", false, &["img-b"] as &[_]),
        ("exclusive", false, &["img-b", "img-y"]),
        ("exclusive", true, &["img-b", "img-y"]),
    ] {
        let desk = Desk::new();
        desk.json(&["reconcile", "--prune", "owned"], &[], 0);
        desk.bench.declare("a", TOKYO, &["img-a"]);
        if has_pruned {
            desk.json(&["reconcile", "--prune", "owned"], &[], 0);
        }
        assert_eq!(desk.calls("GetCallerIdentity"), 0);
        let (role, writes) = ([ROLE_OF_TWO, SESSION], desk.writes());
        let words = [
            "the key differs from the one",
            "this run prunes nothing",
            "`spec.uin`",
        ];
        let plan = desk.json(&["plan", "--prune", prune], &role, 0);
        assert_eq!(plan["summary"]["cancel"], 0);
        assert_eq!(ids(&plan["withheld"]), withheld, "{prune}: {plan:#}");
        holds(
            &stdout(&desk.run(&["plan", "--prune", prune], &role, 0)),
            &words,
        );
        let document = desk.json(&["reconcile", "--prune", prune], &role, 3);
        let uin = "100000000002";
        let kept = withheld.iter().map(|id| (*id, uin, "withheld"));
        let expected: Vec<_> = [("img-a", uin, "in_sync")]
            .into_iter()
            .chain(kept)
            .collect();
        assert_eq!(outcomes(&document), expected);
        holds(&document.to_string(), &words);
        assert_eq!(desk.writes(), writes, "{prune}: nothing is written");
    }
}

#[test]
fn t1_s26_the_first_run_with_another_role_prunes_nothing_and_says_so() {
    let desk = Desk::new();
    desk.bench.declare("a", TOKYO, &["img-a"]);
    desk.json(&["reconcile"], &[ROLE_OF_TWO, SESSION], 0);
    let exclusive = ["reconcile", "--prune", "exclusive"];
    let output = desk.run(&exclusive, &[ROLE_OF_THREE, SESSION], 3);
    holds(
        &stdout(&output),
        &[
            "img-b",
            "img-z",
            "the key differs from the one",
            "this run prunes nothing",
            "Not in sync: 2 withheld",
        ],
    );
    assert_eq!(desk.writes(), 0);
    // A second run confirms the new account. The way back is a change of account again, and that uin is known by now.
    let document = desk.json(&exclusive, &[ROLE_OF_THREE, SESSION], 0);
    assert_eq!(document["summary"]["cancelled"], 2);
    let document = desk.json(&exclusive, &[ROLE_OF_TWO, SESSION], 3);
    holds(
        &document.to_string(),
        &["100000000003", "100000000002", "this run prunes nothing"],
    );
    let document = desk.json(&["reconcile", "--prune", "owned"], &[], 0);
    assert_eq!(document["summary"]["shared"], 1, "{document:#}");
}

#[test]
fn t1_s26_another_account_after_a_machines_role_prunes_nothing() {
    // The credentials of the other account are the role of another machine, or a key.
    for has_key in [false, true] {
        let bench = Bench::new();
        let machines = MACHINES.map(|world| simulator(&bench, world));
        bench.declare("a", TOKYO, &["img-a", "img-b"]);
        let run = |machine: &Simulator, has_key: bool, status: i32| {
            let mut command = command(&["reconcile", "--prune", "exclusive", "-o", "json"]);
            command
                .env("SHAREKEEPER_ENDPOINT", machine.endpoint())
                .env("SHAREKEEPER_METADATA_URL", machine.endpoint())
                .env("SHAREKEEPER_STATE_DIR", "state")
                .current_dir(bench.path("."));
            if has_key {
                command.envs(machine.credentials());
            }
            let output = command.output().expect("the binary starts");
            let said = format!("{}\n{}", stdout(&output), stderr(&output));
            assert_eq!(output.status.code(), Some(status), "{has_key}: {said}");
            document(&output)
        };
        run(&machines[0], false, 0);
        bench.declare("a", TOKYO, &["img-a"]);
        let document = run(&machines[1], has_key, 3);
        let uin = "100000000002";
        assert_eq!(
            outcomes(&document),
            [("img-a", uin, "shared"), ("img-y", uin, "withheld")]
        );
        holds(
            &document.to_string(),
            &["100000000001", "this run prunes nothing"],
        );
    }
}

#[test]
fn t1_terraforms_variables_end_commands_without_a_named_source() {
    let desk = Desk::new();
    let terraform = [
        ("TENCENTCLOUD_ASSUME_ROLE_ARN", "c4n4ryB1rdS1ngs"),
        ("TENCENTCLOUD_PROFILE", "c4n4ryB1rdS1ngs"),
    ];
    let words = [
        "TENCENTCLOUD_ASSUME_ROLE_ARN",
        "TENCENTCLOUD_PROFILE",
        "`Account` document",
        "SHAREKEEPER_IGNORE_TERRAFORM=1",
    ];
    for arguments in [
        &["plan"] as &[_],
        &["reconcile", "--prune", "exclusive"],
        &["import", "--out", "found", "--region", TOKYO],
        &["adopt", "--all"],
        &["doctor"],
    ] {
        for form in [&["-o", "json"] as &[_], &[]] {
            let output = desk.run(&[arguments, form].concat(), &terraform, 1);
            let said = format!("{}{}", stdout(&output), stderr(&output));
            holds(&said, &words);
            assert!(!said.contains("c4n4ry"), "{said}");
        }
    }
    assert!(
        desk.simulator.calls().is_empty(),
        "{:?}",
        desk.simulator.calls()
    );
    // Commands that call no API, or only the built-in simulator, ignore these variables.
    desk.run(&["validate"], &terraform, 0);
    desk.run(&["status"], &terraform, 0);
    let mut inside = command(&["plan", "--sim", "--state-dir", "state"]);
    inside.envs(terraform).current_dir(desk.bench.path("."));
    assert_eq!(
        inside.output().expect("the binary starts").status.code(),
        Some(0)
    );
    let ignored = [&terraform[..], &[("SHAREKEEPER_IGNORE_TERRAFORM", "1")]].concat();
    desk.run(&["plan"], &ignored, 0);
    desk.bench.write(
        "manifests/account.yaml",
        "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: default}\nspec: {credentials: {from: environment}}\n",
    );
    desk.run(&["reconcile"], &terraform, 0);
}
