//! Each command as its user sees it: the text, the one JSON document, the exit status, and the remedy that a message
//! names. The tests run the real binary on the simulator inside its process.

mod accounts;
mod blueprints;
mod causes;
mod clocks;
mod denied;
mod doctor;
mod explain;
mod forged_plans;
mod guards;
mod half_a_set;
mod history;
mod images;
mod inventory;
mod lock;
mod losses;
mod names;
mod notifications;
mod older_commits;
mod older_state;
mod output;
mod plan_text;
mod reading_denied;
mod redirected;
mod saved_plans;
mod selection;
mod sim_beside;
mod state;
mod suspensions;
mod unknown_commits;

use serde_json::Value;

const TOKYO: &str = "ap-tokyo";
const FRANKFURT: &str = "eu-frankfurt";

/// Asserts that `text` contains each of `words`.
#[track_caller]
fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
}

/// The image ids in a list of a document, such as its images or its changes.
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
