//! Compares docs/json.md with real output of `plan`, `reconcile` and `status`, and with `/status.json`: the page
//! describes the fields of their JSON documents, and no others.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use sharekeeper::host::ProcessIdentity;
use sharekeeper::report::DaemonSummary;
use sharekeeper::web::{Query, write_board_document};

use super::assert_same;
use super::page::{Page, codes};
use crate::support::binary::{Bench, Simulator, command, document};
use crate::support::board;

/// Fields that only some documents have, by the section that describes them.
const NOT_ALWAYS: [(&str, &[&str]); 6] = [
    ("Every document", &["error"]),
    ("plan", &["state"]),
    ("Rows of a plan", &["was_image_id"]),
    ("reconcile", &["state", "errors", "error", "moved"]),
    ("/status.json", &["state", "state_problem", "state_warning"]),
    ("Accounts and regions in /status.json", &["reading"]),
];

/// The fields that the table of a section describes, taken from the code spans in the first cell of each row.
fn described(heading: &str) -> BTreeSet<String> {
    let rows = Page::read("docs/json.md").rows().into_iter();
    let rows = rows.filter(|row| row.heading == heading && row.subject() == "field");
    let cells: Vec<_> = rows.map(|row| row.cells[0].clone()).collect();
    let named = cells.iter().flat_map(|cell| codes(cell));
    let fields: BTreeSet<_> = named.map(str::to_owned).collect();
    assert!(
        !fields.is_empty(),
        "docs/json.md has a table below {heading}"
    );
    fields
}

/// Asserts that an object has exactly the fields that the sections describe, apart from fields that only some
/// documents have.
fn assert_has(sections: &[&str], object: &Value) {
    let keys = object.as_object().expect("an object").keys();
    let keys: BTreeSet<_> = keys.cloned().collect();
    let not_always = NOT_ALWAYS.iter();
    let not_always = not_always.filter(|(heading, _)| sections.contains(heading));
    let not_always = not_always.flat_map(|(_, fields)| fields.iter());
    let not_always: BTreeSet<_> = not_always.map(|&field| field.to_owned()).collect();
    let fields: BTreeSet<_> = sections
        .iter()
        .flat_map(|heading| described(heading))
        .collect();
    let always = fields.difference(&not_always).cloned();
    let seen = keys.intersection(&not_always).cloned();
    assert_same(
        sections.last().expect("a section"),
        &keys,
        &always.chain(seen).collect(),
    );
}

/// A bench with one image to share by id and one to share by name. Only the image with the name has a verdict.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.declare("by-id", "ap-tokyo", &["img-a"]);
    let named = "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: by-name}\n\
                 spec: {region: ap-tokyo, images: [{name: golden, state: shared}]}\n";
    bench.write("manifests/by-name.yaml", named);
    bench
}

#[test]
fn documents_of_plan_and_reconcile_have_the_fields_of_the_reference() {
    let bench = bench();
    let plan = bench.json(&["plan", "--unmanaged"], 0);
    assert_has(&["Every document", "plan"], &plan);
    assert_has(&["Verdicts"], &plan["verdicts"][0]);
    let mut change = plan["changes"][0].clone();
    let why_not = ["reason", "error_code", "request_id"];
    for field in why_not {
        change[field] = Value::Null;
    }
    assert_has(&["Rows of a plan"], &change);
    let done = bench.json(&["reconcile"], 0);
    assert_has(&["Every document", "reconcile"], &done);
    assert_has(&["Rows of a reconcile"], &done["images"][0]);
    bench.run(&["suspend", "--all", "--reason", "a trial"], 0);
    bench.cancel("ap-tokyo", &["img-a"]);
    let plan = bench.json(&["plan"], 0);
    assert_has(&["Rows of a plan"], &plan["withheld"][0]);
}

#[test]
fn causes_have_the_fields_of_the_reference() {
    let folder = tempfile::tempdir().expect("a directory");
    let world = folder.path().join("world.yaml");
    fs::write(&world, "accounts: [{name: default, revoked: true}]").expect("a file");
    let simulator = Simulator::with(&["--world", world.to_str().expect("text")]);
    let state = folder.path().join("state");
    let arguments = [
        "plan",
        "manifests",
        "-o",
        "json",
        "--endpoint",
        simulator.endpoint(),
    ];
    let output = command(&arguments)
        .envs(simulator.credentials())
        .env("SHAREKEEPER_STATE_DIR", state)
        .output()
        .expect("the binary starts");
    let plan = document(&output);
    assert_has(&["Causes"], &plan["causes"][0]);
}

#[test]
fn documents_of_status_have_the_fields_of_the_reference() {
    let status = Bench::new().used().json(&["status"], 0);
    assert_has(&["Every document", "status"], &status);
    let process = ProcessIdentity {
        pid: 1,
        boot_id: "boot".into(),
        pid_namespace: None,
        start_ticks: 1,
    };
    let summary = DaemonSummary::of(&board::bad(), &process, board::now()).to_json();
    let daemon: Value = serde_json::from_slice(&summary).expect("JSON");
    assert_has(&["The daemon in status"], &daemon);
    assert_has(&["Counts of images"], &daemon["counts"]);
    assert_has(&["Accounts and regions in status"], &daemon["scopes"][0]);
    assert_has(&["Groups of images in status"], &daemon["groups"][0]);
}

#[test]
fn the_document_of_the_port_has_the_fields_of_the_reference() {
    let mut board = board::bad();
    board.state_hindered(Some("the disk is almost full".into()));
    let mut document = Vec::new();
    let query = Query::parse("").expect("a query");
    write_board_document(&mut document, &board, &query, board::now()).expect("memory");
    let document: Value = serde_json::from_slice(&document).expect("JSON");
    assert_has(&["/status.json"], &document);
    assert_has(
        &["Counts of images", "Counts in /status.json"],
        &document["summary"],
    );
    let scope = &document["scopes"][0];
    assert_has(&["Accounts and regions in /status.json"], scope);
    assert_has(&["Images in /status.json"], &scope["images"][0]);
}
