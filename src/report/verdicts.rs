//! The resolution of names and policies: a row for each image in JSON, and for people the images that policies keep,
//! leave alone or let wait. The images that they change are listed with the changes.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::Source;
use super::names::{NameColumn, named};
use super::style::dim;
use crate::model::{ImageId, ImageKey, Selector, Timestamp, Uin};
use crate::plan::{Plan, Verdict};
use crate::resolve::{ResolvedImage, ResolvedVerdict};
use crate::words::{first_of, plural, safe};

/// The most images with one verdict that get a line each; more of them share one line.
const ALONE_MAX: usize = 3;

/// The verdict of an image that documents mention by name or by policy.
#[derive(Debug, Serialize)]
pub(super) struct VerdictRow {
    account: String,
    uin: Option<Uin>,
    region: &'static str,
    image_id: String,
    image_name: Option<String>,
    verdict: &'static str,
    reason: Option<String>,
    until: Option<Timestamp>,
    /// The policies that match the image, each with its own verdict.
    policies: BTreeMap<String, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
}

/// The rows of a plan, restricted to `selector`.
pub(super) fn rows(plan: &Plan, selector: &Selector) -> Vec<VerdictRow> {
    let images = plan.resolution.images.iter();
    let spoken_of = images.filter(|(_, resolved)| {
        let verdict = &resolved.verdict;
        !matches!(verdict, ResolvedVerdict::Unnamed | ResolvedVerdict::Foreign)
    });
    let selected =
        spoken_of.filter(|(image, resolved)| is_selected(plan, image, resolved, selector));
    let rows = selected.map(|(image, resolved)| {
        let policies = resolved.policies.iter();
        let desired = resolved.desired.as_ref();
        VerdictRow {
            account: plan.scope.account.to_string(),
            uin: plan.uin.clone(),
            region: plan.scope.region.as_str(),
            image_id: image.to_string(),
            image_name: resolved.name.as_ref().map(ToString::to_string),
            verdict: resolved.verdict.word(),
            reason: resolved.verdict.detail(),
            until: resolved.verdict.until(),
            policies: policies
                .map(|(name, verdict)| (name.to_string(), verdict.word()))
                .collect(),
            source: desired.map(|desired| Source::from(&desired.source)),
        }
    });
    rows.collect()
}

fn is_selected(
    plan: &Plan,
    image: &ImageId,
    resolved: &ResolvedImage,
    selector: &Selector,
) -> bool {
    let key = ImageKey {
        scope: plan.scope.clone(),
        image: image.clone(),
    };
    let mut labels = resolved.labels.iter();
    let has_labels = selector.labels.is_empty() || labels.any(|l| selector.matches_labels(l));
    selector.matches_key(&key) && has_labels
}

/// Whether the verdict means that an image stays as it is although a policy matches it.
fn is_at_rest(verdict: &ResolvedVerdict) -> bool {
    matches!(
        verdict,
        ResolvedVerdict::Kept(_)
            | ResolvedVerdict::Overlap(_)
            | ResolvedVerdict::Broken(_)
            | ResolvedVerdict::Ineligible(_)
            | ResolvedVerdict::Soaking(_)
            | ResolvedVerdict::Waiting(_)
            | ResolvedVerdict::Excluded(_)
    )
}

/// For people: the images that policies keep, leave alone or let wait. Images that the plan shows elsewhere are left out.
pub(super) fn lines(plan: &Plan, selector: &Selector) -> String {
    let is_shown_elsewhere = |image: &ImageId| {
        let decision = plan.decisions.get(image);
        decision.is_some_and(|decision| decision.verdict != Verdict::InSync)
    };
    let mut groups: BTreeMap<(&str, String), Vec<(&ImageId, &ResolvedImage)>> = BTreeMap::new();
    for (image, resolved) in &plan.resolution.images {
        if is_at_rest(&resolved.verdict)
            && !is_shown_elsewhere(image)
            && is_selected(plan, image, resolved, selector)
        {
            let group = (resolved.verdict.word(), resolved.verdict.to_string());
            groups.entry(group).or_default().push((image, resolved));
        }
    }
    let listed = groups.values().flatten();
    let listed = listed.map(|(image, resolved)| (image.as_str(), name(resolved)));
    let column = NameColumn::fitting(listed);
    let mut lines = String::new();
    for ((_, verdict), images) in &groups {
        let verdict = safe(verdict);
        if images.len() <= ALONE_MAX {
            for (image, resolved) in images {
                let label = column.label(image.as_str(), name(resolved));
                let by = policies(resolved, &verdict);
                let _ = writeln!(lines, "  = {label}  {verdict}{by}");
            }
            continue;
        }
        let count = plural(images.len() as u64, "image");
        let images = images
            .iter()
            .map(|(image, resolved)| named(image, name(resolved)));
        let images: Vec<_> = images.collect();
        let _ = writeln!(lines, "  = {count}  {verdict}");
        let _ = writeln!(lines, "    {}", dim(first_of(&images)));
    }
    match lines.is_empty() {
        true => lines,
        false => format!("  By policy:\n{lines}"),
    }
}

fn name(resolved: &ResolvedImage) -> Option<&str> {
    resolved.name.as_ref().map(|name| name.as_str())
}

/// The policies that match the image and that its verdict does not already name.
fn policies(resolved: &ResolvedImage, verdict: &str) -> String {
    let names = resolved.policies.keys();
    let names = names.filter(|name| !verdict.contains(&format!("`{name}`")));
    let names: Vec<_> = names.map(ToString::to_string).collect();
    match names.len() {
        0 => String::new(),
        1 => dim(format_args!("  policy {}", first_of(&names))),
        _ => dim(format_args!("  policies {}", first_of(&names))),
    }
}
