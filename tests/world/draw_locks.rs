//! Draws lock files for some of the seeds with policies: locks that are current, stale, in part or absent, and new ones
//! that somebody merges later. It has its own random number generator, so that other draws of a seed do not depend on it.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::documents::{Document, Rule};
use super::draw_more::push;
use super::lock_file::{LockFile, Locked, LockedName};
use super::model::version;
use super::scenario::{Scenario, What};

/// Adds lock files to a scenario, or leaves it unchanged.
pub(super) fn add(scenario: &mut Scenario) {
    let mut dice = Rng::with_seed(scenario.seed ^ 0x10c4);
    if rules_at(scenario, scenario.calm_at).is_empty() || dice.u8(..3) > 0 {
        return;
    }
    let locked: Vec<_> = scenario
        .documents
        .iter()
        .map(|_| dice.u8(..4) > 0)
        .collect();
    for (place, rule) in all_rules(scenario) {
        rule.is_locked = locked[place];
    }
    let place = scenario.documents.len();
    let first = (dice.u8(..4) > 0).then(|| lock_file(scenario, &mut dice, 0));
    scenario.documents.push(first.map(Document::Lock));
    for _ in 0..dice.usize(..5) {
        let at = dice.u64(1..scenario.calm_at);
        let lock = (dice.u8(..8) > 0).then(|| lock_file(scenario, &mut dice, at));
        push(
            scenario,
            at,
            What::Document(place, lock.map(Document::Lock)),
        );
    }
    for event in &mut scenario.events {
        if let What::Lacking(places) = &mut event.what
            && dice.bool()
        {
            places.insert(place);
        }
    }
    scenario.events.sort_by_key(|event| event.at);
}

/// All policies that any document of the scenario states, each with its place.
fn all_rules(scenario: &mut Scenario) -> Vec<(usize, &mut Rule)> {
    let written = scenario
        .events
        .iter_mut()
        .filter_map(|event| match &mut event.what {
            What::Document(place, document) => Some((*place, document)),
            _ => None,
        });
    let first = scenario.documents.iter_mut().enumerate();
    let rules = first
        .chain(written)
        .filter_map(|(place, document)| match document {
            Some(Document::Policy(rule)) => Some((place, rule)),
            Some(Document::Entry(_) | Document::Lock(_)) | None => None,
        });
    rules.collect()
}

/// The policies after all edits until `now`, by their places.
fn rules_at(scenario: &Scenario, now: u64) -> BTreeMap<usize, &Rule> {
    let written = scenario.events.iter().filter(|event| event.at <= now);
    let written = written.filter_map(|event| match &event.what {
        What::Document(place, document) => Some((*place, document)),
        _ => None,
    });
    let mut rules = BTreeMap::new();
    for (place, document) in scenario.documents.iter().enumerate().chain(written) {
        match document {
            Some(Document::Policy(rule)) => rules.insert(place, rule),
            Some(Document::Entry(_) | Document::Lock(_)) | None => rules.remove(&place),
        };
    }
    rules
}

/// The lock file that somebody writes at `now`. Parts of it may be wrong.
fn lock_file(scenario: &Scenario, dice: &mut Rng, now: u64) -> LockFile {
    let mut lock = LockFile::new();
    for (place, rule) in rules_at(scenario, now) {
        if dice.u8(..10) == 0 {
            continue;
        }
        let mut regions = BTreeMap::new();
        for region in &rule.regions {
            if dice.u8(..12) > 0 {
                regions.insert(*region, selection(scenario, dice, (rule, *region), now));
            }
        }
        let mut policy = rule.clone();
        if dice.u8(..10) == 0 {
            policy.max_cancels += 1;
        }
        lock.insert(place, Locked { policy, regions });
    }
    lock
}

/// The newest versions of a policy in a region. Sometimes one of them is missing, or older ones are chosen.
fn selection(
    scenario: &Scenario,
    dice: &mut Rng,
    (rule, region): (&Rule, usize),
    now: u64,
) -> Vec<LockedName> {
    let mut versions: BTreeMap<(i64, String), Vec<LockedName>> = BTreeMap::new();
    for (image, it) in scenario.images.iter().enumerate() {
        let is_here = (it.account, it.region) == (rule.account, region);
        let is_born = it.made.as_ref().is_some_and(|made| made.born <= now);
        let name = it.first_name();
        if let Some(text) = version(rule, &name)
            && is_here
            && is_born
        {
            let key = (it.created(), text.to_owned());
            versions
                .entry(key)
                .or_default()
                .push(LockedName { image, name });
        }
    }
    let skipped = match dice.u8(..4) {
        0 => dice.usize(..3),
        _ => 0,
    };
    let newest = versions.into_values().rev().skip(skipped);
    let mut images: Vec<_> = newest.take(rule.newest as usize).flatten().collect();
    if dice.u8(..10) == 0 {
        images.pop();
    }
    images
}
