//! Checks properties of resolution and plan over random histories. The histories contain builds, late copies,
//! broken and used images, external shares and cancels, changed documents, lost stores, and failures of
//! regions, of CVM or of clocks.

#![allow(clippy::print_stdout, reason = "says how much was tried")]

mod cloud;
mod properties;

use std::collections::{BTreeMap, BTreeSet};

use crate::resolution::bridge::Differences;
use cloud::Cloud;
use properties::{Pass, actions, check, is_by_policy};
use sharekeeper::model::ShareState;

/// The number of events in each history.
const EVENTS: usize = 40;

/// One pass over both regions. Both regions are observed before either of them is written.
fn pass(cloud: &mut Cloud, differences: &mut Differences, trail: &str) -> Vec<(usize, Turn)> {
    let passes: Vec<_> = [0, 1].map(|here| Pass::new(cloud, here)).into();
    let mut turns = Vec::new();
    for pass in passes {
        check(cloud, &pass, trail);
        differences.compare(&pass.world);
        let by_policy: BTreeSet<_> = actions(&pass.plan)
            .filter(|(_, decision)| is_by_policy(decision.cause))
            .map(|(image, _)| image.clone())
            .collect();
        let turned = cloud.apply(pass.here, &pass.resolution, &pass.plan);
        let turned = turned.into_iter();
        turns.extend(
            turned
                .filter(|(image, _)| by_policy.contains(image))
                .map(|(image, state)| (pass.here, (image.as_str().to_owned(), state))),
        );
    }
    turns
}

/// An image, and the state into which a policy turned it.
type Turn = (String, ShareState);

/// Asserts that policies come to an end while only time passes: they share missing images and cancel expired
/// shares, and they never share an image again that they have cancelled.
fn assert_comes_to_rest(cloud: &mut Cloud, differences: &mut Differences, seed: u64) {
    cloud.settle();
    let loses_store_at = cloud.rng.usize(0..80);
    let mut turned: BTreeMap<(usize, String), Vec<ShareState>> = BTreeMap::new();
    for round in 0..100 {
        if round == loses_store_at {
            cloud.lose_store();
        }
        for (here, (image, state)) in pass(cloud, differences, &format!("seed {seed}, at rest")) {
            assert!(
                round < 85,
                "seed {seed}: {image} is turned in round {round}"
            );
            turned.entry((here, image)).or_default().push(state);
        }
        cloud.pass(if round % 4 == 0 { 1 } else { 8 });
    }
    let soaks = cloud.policies.iter().any(|policy| policy.min_age > 0);
    let replaces = cloud.policies.iter().flat_map(|policy| &policy.revokes);
    let replaces = replaces
        .filter(|revoke| revoke.replacement.is_some())
        .count()
        > 0;
    for ((here, image), states) in turned {
        let goes_once = matches!(states[..], [_]);
        // An image that was shared while newer versions soaked, or as the replacement of a revoked one, is
        // cancelled in the end.
        let comes_and_goes = states == [ShareState::Shared, ShareState::Unshared];
        assert!(
            goes_once || (comes_and_goes && (soaks || replaces)),
            "seed {seed}: {image} in region {here} is turned {states:?}: {:#?}",
            cloud.world(here)
        );
    }
}

/// Runs one history from its seed, with a pass after each event, and asserts that it comes to rest.
fn history(seed: u64, differences: &mut Differences) {
    let mut cloud = Cloud::new(seed);
    for event in 0..EVENTS {
        cloud.event();
        pass(
            &mut cloud,
            differences,
            &format!("seed {seed}, event {event}"),
        );
    }
    assert_comes_to_rest(&mut cloud, differences, seed);
}

fn histories(seeds: std::ops::Range<u64>) {
    let mut differences = Differences::default();
    for seed in seeds {
        history(seed, &mut differences);
    }
    differences.end(1_000);
}

#[test]
fn n3_random_histories_keep_the_properties_first_seeds() {
    histories(0..10);
}

#[test]
fn n3_random_histories_keep_the_properties_more_seeds() {
    histories(1_000..1_010);
}
