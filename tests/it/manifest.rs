//! Tests of reading manifests: golden cases, the search for files in directories, the agreement of the JSON
//! schema with the parser, and hostile input.

mod agreement;
mod cases;
mod directories;
mod hostile;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::clock::load;
use proptest::prelude::*;
use sharekeeper::manifest::{Diagnostics, Loaded, SourceText, parse, schema};

fn parse_one(text: &str) -> Result<Loaded, Diagnostics> {
    parse(vec![SourceText::new("test.yaml", text.to_owned())])
}

/// The text that a user sees: the diagnostics, or the desired state.
fn shown(result: &Result<Loaded, Diagnostics>) -> String {
    let loaded = match result {
        Ok(loaded) => loaded,
        Err(diagnostics) => return diagnostics.render(false),
    };
    let mut out = String::new();
    for warning in &loaded.warnings {
        writeln!(out, "{}", warning.render(false)).expect("a String takes all");
    }
    for (name, account) in &loaded.desired.accounts {
        writeln!(out, "account {name}: {account:?}").expect("a String takes all");
    }
    for (key, image) in &loaded.desired.images {
        writeln!(
            out,
            "{key}: {:?} protect={} {}",
            image.share, image.protect, image.source
        )
        .expect("a String takes all");
    }
    for (scope, names) in &loaded.desired.names {
        for (name, image) in names {
            writeln!(
                out,
                "{scope}/{name:?}: {:?} protect={} {}",
                image.share, image.protect, image.source
            )
            .expect("a String takes all");
        }
    }
    let mut policies = BTreeMap::new();
    for (scope, here) in &loaded.desired.policies {
        for policy in here {
            writeln!(out, "{scope}: policy {}", policy.name()).expect("a String takes all");
            policies.insert(policy.name(), policy);
        }
    }
    for policy in policies.values() {
        writeln!(out, "{policy:#?}").expect("a String takes all");
    }
    for (policy, lock) in &loaded.desired.locks {
        writeln!(out, "lock of {policy}: {lock:#?}").expect("a String takes all");
    }
    writeln!(out, "{} documents", loaded.documents).expect("a String takes all");
    out
}

const GOOD: &str = "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: a}\nspec: {region: ap-tokyo, images: [{id: img-a, state: shared}]}\n";

fn good(name: &str, image: &str) -> String {
    GOOD.replace("name: a", &format!("name: {name}"))
        .replace("img-a", image)
}
