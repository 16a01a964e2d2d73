//! Compares the field tables of the pages with the published JSON Schema, and validates each manifest that the pages
//! show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::assert_none;
use super::page::{self, Page, Row, codes};
use crate::support::binary::{sharekeeper, stderr, stdout};

/// The sections that describe the fields of each kind of document, by page and heading.
const SECTIONS: [(&str, &str, &str); 6] = [
    ("docs/manifests.md", "ImageShare", "imageShare"),
    ("docs/manifests.md", "Account", "account"),
    ("docs/manifests.md", "Change windows", "account"),
    (
        "docs/manifests.md",
        "Restriction: many teams in one repository",
        "restriction",
    ),
    ("docs/policies.md", "The whole policy", "imageSharePolicy"),
    ("docs/policies.md", "The lock file and CI", "imageShareLock"),
];
/// The fields that every kind of document has. The pages describe them once, with `ImageShare`.
const COMMON: [&str; 6] = [
    "apiVersion",
    "kind",
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "spec",
];
/// Fields whose subfields are described in a table of another form, or by a reference to another section.
const ELSEWHERE: [&str; 2] = ["spec.credentials.", "spec.exclude."];

fn schema() -> Value {
    serde_json::from_str(&stdout(&sharekeeper(&["schema"]))).expect("a schema")
}

/// The paths of all fields below a schema, such as `spec.images.name`.
fn collect(schema: &Value, all: &Value, prefix: &str, fields: &mut BTreeSet<String>) {
    if !schema.is_object() {
        return;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().expect("a name");
        collect(&all["$defs"][name], all, prefix, fields);
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        collect(below, all, &format!("{path}."), fields);
        fields.insert(path);
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            collect(one, all, prefix, fields);
        }
    }
    for inner in ["items", "additionalProperties"] {
        collect(&schema[inner], all, prefix, fields);
    }
}

/// The path of a field without the mark that says that the field is a list.
fn plain(path: &str) -> String {
    path.replace("[]", "")
}

/// The paths that a table row describes: the code spans of its first cell, below the prefix that the table header
/// names.
fn paths(row: &Row) -> Vec<String> {
    let prefix = codes(row.subject());
    let prefix = prefix.first().map(|prefix| format!("{prefix}."));
    let prefix = prefix.unwrap_or_default();
    let names = codes(&row.cells[0]).into_iter();
    names
        .map(|name| plain(&format!("{prefix}{name}")))
        .collect()
}

/// The fields that the tables of a kind describe, and the subfields that the text of a field names.
fn described(kind: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut fields, mut inner) = (BTreeSet::new(), BTreeSet::new());
    for (name, heading, _) in SECTIONS.into_iter().filter(|section| section.2 == kind) {
        let rows = Page::read(name).rows().into_iter();
        let rows = rows.filter(|row| row.heading == heading && row.subject().starts_with("field"));
        for row in rows {
            for path in paths(&row) {
                let named = codes(&row.cells[1]).into_iter();
                inner.extend(named.map(|name| format!("{path}.{name}")));
                fields.insert(path);
            }
        }
    }
    (fields, inner)
}

#[test]
fn each_field_of_the_schema_stands_in_the_reference() {
    let schema = schema();
    let common = BTreeSet::from(COMMON.map(str::to_owned));
    let mut kinds = BTreeMap::new();
    for (_, _, kind) in SECTIONS {
        let mut fields = BTreeSet::new();
        collect(&schema["$defs"][kind], &schema, "", &mut fields);
        assert!(fields.len() > COMMON.len(), "{kind} has fields: {fields:?}");
        kinds.insert(kind, fields);
    }
    for (kind, program) in kinds {
        let (page, inner) = described(kind);
        let is_common = |field: &&String| kind == "imageShare" || !common.contains(*field);
        let has_no_fields = |field: &&String| {
            let below = format!("{field}.");
            !program.iter().any(|other| other.starts_with(&below))
        };
        let is_here = |field: &&String| !ELSEWHERE.iter().any(|start| field.starts_with(start));
        let needed = program
            .iter()
            .filter(is_common)
            .filter(has_no_fields)
            .filter(is_here);
        let missing = needed.filter(|field| !page.contains(*field) && !inner.contains(*field));
        assert_none(
            "a field stands in no table",
            missing.map(|field| format!("{kind}: {field}")),
        );
        let invented = page.difference(&program);
        assert_none(
            "a field does not exist",
            invented.map(|field| format!("{kind}: {field}")),
        );
    }
}

#[test]
fn each_kind_of_credentials_has_its_fields_in_the_reference() {
    let schema = schema();
    let mut program = BTreeSet::new();
    let credentials = &schema["$defs"]["credentials1"];
    collect(credentials, &schema, "", &mut program);
    let rows = Page::read("docs/manifests.md").rows().into_iter();
    let rows = rows.filter(|row| row.heading == "Credentials of an account");
    let cells: String = rows
        .flat_map(|row| [row.header, row.cells].concat())
        .collect();
    let named: BTreeSet<_> = codes(&cells).into_iter().collect();
    let missing = program.iter().filter(|path| {
        let name = path.rsplit('.').next().expect("a name");
        !named.contains(name)
    });
    assert_none("docs/manifests.md lacks a field of credentials", missing);
    let kinds = credentials["oneOf"].as_array().expect("kinds").iter();
    let kinds = kinds.map(|kind| {
        kind["properties"]["from"]["const"]
            .as_str()
            .expect("a name")
    });
    let missing = kinds.filter(|kind| !named.contains(kind));
    assert_none("docs/manifests.md lacks a source of credentials", missing);
}

/// Documents that the manifests on the pages refer to. A page may declare them itself.
const COMPANIONS: [(&str, &str); 3] = [
    (
        "prod.yaml",
        "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: prod}\n",
    ),
    (
        "team.yaml",
        "apiVersion: sharekeeper.dev/v1\nkind: Account\nmetadata: {name: team-b}\n\
         spec: {credentials: {from: profile, profile: team-b}}\n",
    ),
    (
        "team-b/images.yaml",
        "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: of-team-b}\n\
         spec: {account: team-b, region: ap-tokyo, images: [{id: img-b1, state: shared}]}\n",
    ),
];

#[test]
fn each_manifest_in_the_pages_is_valid() {
    let mut invalid = Vec::new();
    let mut count = 0;
    for page in page::book() {
        for block in page.blocks() {
            let is_manifest = block.text.starts_with("apiVersion:");
            if block.language != "yaml" || !is_manifest {
                continue;
            }
            count += 1;
            let folder = tempfile::tempdir().expect("a directory");
            fs::create_dir(folder.path().join("team-b")).expect("a directory");
            for (name, text) in COMPANIONS {
                let declares_it = name == "prod.yaml" && block.text.contains("kind: Account");
                if !declares_it {
                    fs::write(folder.path().join(name), text).expect("a file");
                }
            }
            fs::write(folder.path().join("block.yaml"), &block.text).expect("a file");
            let output = sharekeeper(&["validate", folder.path().to_str().expect("text")]);
            if !output.status.success() {
                invalid.push(format!("{}: {}", page.name, stderr(&output)));
            }
        }
    }
    assert_none("a manifest in a page is not valid", invalid);
    assert!(count >= 10, "manifests are found at all: {count}");
}
