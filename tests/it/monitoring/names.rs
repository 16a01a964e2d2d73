//! Checks that the alerts and the dashboard use only metrics and labels that `/metrics` shows.

use std::collections::BTreeSet;

use serde_json::Value;
use sharekeeper::metrics::metrics;

use super::boards::{calls, every_kind, extra, now};
use super::text;

/// Names in PromQL expressions that Prometheus itself defines.
const PROMETHEUS_OWN: [&str; 1] = ["up"];

/// The PromQL operators that combine several series into one value.
const AGGREGATES: [&str; 6] = ["sum", "avg", "count", "max", "min", "quantile"];

/// The name of every series that `/metrics` shows.
fn shown() -> BTreeSet<String> {
    let shown = metrics(&every_kind(62), &calls(1), &extra(), now());
    let series = shown.lines().filter(|line| !line.starts_with('#'));
    let names = series.filter_map(|line| line.split(['{', ' ']).next());
    names.map(str::to_owned).collect()
}

/// The metrics that an expression names: a word before a selector, or a word with our prefix.
fn named(expr: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut word = String::new();
    for c in expr.chars().chain(" ".chars()) {
        if c.is_ascii_alphanumeric() || c == '_' || c == ':' {
            word.push(c);
            continue;
        }
        let ours = word.starts_with("sharekeeper_") || word.starts_with("process_");
        if !word.is_empty() && (ours || c == '{') {
            names.insert(word.clone());
        }
        word.clear();
    }
    names
}

/// Every expression in a document.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("expr" | "definition", Value::String(expr)) => found.push(expr.clone()),
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

fn all_are_shown(document: &Value, at_least: usize) {
    let (shown, mut found) = (shown(), Vec::new());
    expressions(document, &mut found);
    assert!(found.len() >= at_least, "{} expressions", found.len());
    for expr in found {
        let names = named(&expr);
        assert!(!names.is_empty(), "names no metric: {expr}");
        for name in names {
            let known = shown.contains(&name) || PROMETHEUS_OWN.contains(&name.as_str());
            assert!(known, "/metrics does not show {name}, which is in: {expr}");
        }
    }
}

fn alerts() -> Value {
    serde_saphyr::from_str(&text("examples/monitoring/alerts.yaml")).expect("YAML")
}

fn dashboard() -> Value {
    serde_json::from_str(&text("examples/monitoring/dashboard.json")).expect("JSON")
}

#[test]
fn alerts_use_only_metrics_that_are_shown() {
    all_are_shown(&alerts(), 15);
}

#[test]
fn the_dashboard_uses_only_metrics_that_are_shown() {
    all_are_shown(&dashboard(), 50);
}

#[test]
fn names_are_found_in_expressions() {
    let expr = "sum by (le) (rate(sharekeeper_a_bucket{x=~\"y\"}[5m])) / on (job) up{job=\"b\"} > process_c";
    let expected = ["process_c", "sharekeeper_a_bucket", "up"];
    assert_eq!(named(expr), expected.map(str::to_owned).into());
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_to_do() {
    let alerts = alerts();
    let tests = text("examples/monitoring/alerts_test.yaml");
    let groups = alerts["groups"].as_array().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"));
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name), "{name} is there twice");
        let severity = rule["labels"]["severity"].as_str().expect("a severity");
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}"
        );
        let (summary, description) = (
            &rule["annotations"]["summary"],
            &rule["annotations"]["description"],
        );
        assert!(
            summary.as_str().is_some_and(|text| !text.contains('\n')),
            "{name}"
        );
        assert!(
            description.as_str().is_some_and(|text| text.len() > 60),
            "{name}"
        );
        assert!(
            tests.contains(name),
            "{name} has no test in alerts_test.yaml"
        );
    }
}

/// The label names in parentheses after each `by` and `on` of an expression.
fn groupings(expr: &str) -> Vec<BTreeSet<&str>> {
    let after = ["by (", "on ("]
        .into_iter()
        .flat_map(|word| expr.split(word).skip(1));
    let inner = after.map(|rest| rest.split(')').next().expect("a bracket"));
    inner
        .map(|labels| labels.split(',').map(str::trim).collect())
        .collect()
}

#[test]
fn n3_no_alert_about_an_account_adds_up_or_divides_over_several() {
    let shown = metrics(&every_kind(62), &calls(1), &extra(), now());
    let of_account: BTreeSet<&str> = shown
        .lines()
        .filter_map(|line| line.split_once("{account="))
        .map(|(name, _)| name)
        .collect();
    let alerts = alerts();
    let groups = alerts["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    let (mut grouped, mut without_account) = (0, Vec::new());
    for rule in rules {
        let (name, expr) = (
            &rule["alert"],
            rule["expr"].as_str().expect("an expression"),
        );
        let name = name.as_str().expect("a name");
        if named(expr).iter().all(|name| !of_account.contains(&**name)) {
            without_account.push(name);
            continue;
        }
        for word in ["ignoring", "without", "group_left", "group_right"] {
            assert!(!expr.contains(word), "{name}: {word}");
        }
        for labels in groupings(expr) {
            // A metric of the whole process is grouped by the labels of the process.
            let is_of_process = labels == ["instance", "job"].into();
            grouped += usize::from(!is_of_process);
            assert!(
                is_of_process || labels.contains("account"),
                "{name}: {labels:?}"
            );
        }
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = expr.split(|c| !is_of_word(c));
        let aggregated = words.filter(|word| AGGREGATES.contains(word)).count();
        let by_account = expr.matches(" by (job, instance, account").count();
        assert_eq!(aggregated, by_account, "{name}: {expr}");
    }
    assert!(grouped > 8, "{grouped}");
    let expected = [
        "Down",
        "Restarts",
        "NotReady",
        "ClockOff",
        "ManifestsBroken",
        "RegionFails",
        "NoticesLost",
    ];
    let expected = expected.map(|name| format!("Sharekeeper{name}"));
    assert_eq!(
        without_account, expected,
        "of the process, a region or a webhook"
    );
}

#[test]
fn the_dashboard_belongs_to_no_installation() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null() && dashboard["uid"].is_null());
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("variables");
    assert_eq!(variables[0]["type"], "datasource");
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}");
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(
                panel["description"].is_string(),
                "{title} says what it shows"
            );
        }
    }
}
