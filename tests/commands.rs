//! Each command as its user meets it: the text, the one JSON document, the exit status, and the way out that a message
//! names. The real binary, on the simulator inside its process.

mod binary;
mod real_git;

#[path = "commands/accounts.rs"]
mod accounts;
#[path = "commands/blueprints.rs"]
mod blueprints;
#[path = "commands/causes.rs"]
mod causes;
#[path = "commands/clocks.rs"]
mod clocks;
#[path = "commands/denied.rs"]
mod denied;
#[path = "commands/doctor.rs"]
mod doctor;
#[path = "commands/explain.rs"]
mod explain;
#[path = "commands/forged_plans.rs"]
mod forged_plans;
#[path = "commands/guards.rs"]
mod guards;
#[path = "commands/half_a_set.rs"]
mod half_a_set;
#[path = "commands/history.rs"]
mod history;
#[path = "commands/images.rs"]
mod images;
#[path = "commands/inventory.rs"]
mod inventory;
#[path = "commands/lock.rs"]
mod lock;
#[path = "commands/losses.rs"]
mod losses;
#[path = "commands/names.rs"]
mod names;
#[path = "commands/notifications.rs"]
mod notifications;
#[path = "commands/older_commits.rs"]
mod older_commits;
#[path = "commands/older_state.rs"]
mod older_state;
#[path = "commands/output.rs"]
mod output;
#[path = "commands/reading_denied.rs"]
mod reading_denied;
#[path = "commands/redirected.rs"]
mod redirected;
#[path = "commands/saved_plans.rs"]
mod saved_plans;
#[path = "commands/selection.rs"]
mod selection;
#[path = "commands/sim_beside.rs"]
mod sim_beside;
#[path = "commands/state.rs"]
mod state;
#[path = "commands/suspensions.rs"]
mod suspensions;
#[path = "commands/unknown_commits.rs"]
mod unknown_commits;

use serde_json::Value;

const TOKYO: &str = "ap-tokyo";
const FRANKFURT: &str = "eu-frankfurt";

/// `text` holds each of `words`.
#[track_caller]
fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
}

/// The ids in a document's list of images, changes or the like.
#[track_caller]
fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    let ids = list
        .iter()
        .map(|item| item["image_id"].as_str().expect("an id"));
    ids.collect()
}
fn numbered(numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(|number| format!("img-{number:04}")).collect()
}

fn borrowed(images: &[String]) -> Vec<&str> {
    images.iter().map(String::as_str).collect()
}
