//! Compares docs/metrics.md with the real metrics and alerts: the page lists each metric with its labels and each
//! alert, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::page::{self, Page, codes};
use super::{assert_none, assert_same};

type Labels = BTreeSet<String>;

/// The metric names in the golden text of `/metrics`, with the labels of each.
fn metrics() -> BTreeMap<String, Labels> {
    let path = page::root().join("tests/monitoring/metrics.txt");
    let golden = fs::read_to_string(path).expect("a golden text");
    let helps = golden
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP "));
    let names = helps.map(|help| help.split(' ').next().expect("a name").to_owned());
    let mut metrics: BTreeMap<_, _> = names.map(|name| (name, Labels::new())).collect();
    let label = regex::Regex::new(r#"[{,](\w+)=""#).expect("a pattern");
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let series = line.split(['{', ' ']).next().expect("a name");
        let parts = ["_bucket", "_sum", "_count"].into_iter();
        let base = parts.filter_map(|part| series.strip_suffix(part));
        let mut names = base.chain([series]);
        let name = names
            .find(|&name| metrics.contains_key(name))
            .expect("a HELP line");
        let labels = label.captures_iter(line).map(|found| found[1].to_owned());
        let labels = labels.filter(|label| label != "le");
        metrics.get_mut(name).expect("a metric").extend(labels);
    }
    assert!(metrics.len() > 40, "{metrics:?}");
    metrics
}

#[test]
fn each_metric_and_its_labels_stand_in_the_reference() {
    let rows = Page::read("docs/metrics.md").rows().into_iter();
    let rows = rows.filter(|row| row.subject() == "metric");
    let page: BTreeSet<_> = rows
        .map(|row| {
            let labels = codes(&row.cells[1]).into_iter().map(str::to_owned);
            (
                codes(&row.cells[0])[0].to_owned(),
                labels.collect::<Labels>(),
            )
        })
        .collect();
    assert_same("docs/metrics.md", &metrics().into_iter().collect(), &page);
}

#[test]
fn each_metric_that_a_page_mentions_exists() {
    let metrics = metrics();
    let name = regex::Regex::new(r"\bsharekeeper_[a-z_]+").expect("a pattern");
    let mut unknown = Vec::new();
    for page in page::book() {
        for found in name.find_iter(page.text()) {
            if !metrics.contains_key(found.as_str()) {
                unknown.push(format!("{}: {}", page.name, found.as_str()));
            }
        }
    }
    assert_none("a page mentions a metric that does not exist", unknown);
}

#[test]
fn each_alert_stands_in_the_reference_with_its_severity() {
    let path = page::root().join("examples/monitoring/alerts.yaml");
    let rules = fs::read_to_string(path).expect("rules");
    let alerts = rules.split("- alert: ").skip(1).map(|rule| {
        let name = rule.lines().next().expect("a name").to_owned();
        let severity = rule.split("severity: ").nth(1).expect("a severity");
        (name, severity.split('}').next().expect("text").to_owned())
    });
    let rows = Page::read("docs/metrics.md").rows().into_iter();
    let rows = rows.filter(|row| row.subject() == "alert");
    let page = rows.map(|row| (codes(&row.cells[0])[0].to_owned(), row.cells[1].clone()));
    assert_same("docs/metrics.md", &alerts.collect(), &page.collect());
}
