//! Derives what images must be at the end where documents name them by more than ids. It applies the model to the true
//! state of the region.

use std::collections::{BTreeMap, BTreeSet};

use sharekeeper::host::Clock;

use super::documents::Document;
use super::images::ImageChange;
use super::manifests::Manifests;
use super::model::{Scene, When};
use super::observations::Place;
use super::process::SharedParts;
use super::scenario::{Mode, REGIONS, Scenario, What};
use super::snapshot::Snapshot;
use super::verdicts::End;

/// What is known about the end of a run.
#[derive(Default)]
pub(crate) struct Expected {
    /// Whether each image must be shared at the end, by its index.
    pub(crate) must: BTreeMap<usize, bool>,
    /// Whether the end of at least one image is undecided.
    pub(crate) is_open: bool,
}

/// Derives what the images must be at the end. While a fault lasts, it is not proven which account a name stands for.
pub(crate) fn expected(parts: &SharedParts, manifests: &Manifests, is_lasting: bool) -> Expected {
    let instances = parts.cloud.instances.borrow();
    let used = instances
        .iter()
        .map(|it| image_of(&it.blueprint).to_owned());
    let used: BTreeSet<_> = used.collect();
    let protected = protected(&parts.scenario);
    let mut expected = Expected::default();
    for account in 0..3 {
        for region in 0..REGIONS.len() {
            let end = End {
                used: &used,
                protected: &protected,
                // An account that never answers may be this account under another name.
                is_doubtful: is_lasting || is_doubtful(&parts.scenario, account),
            };
            of_region((parts, manifests), (account, region), end, &mut expected);
        }
    }
    expected
}

fn of_region(
    (parts, manifests): (&SharedParts, &Manifests),
    place: Place,
    end: End<'_>,
    expected: &mut Expected,
) {
    let (scenario, cloud) = (&*parts.scenario, &*parts.cloud);
    let snapshot = Snapshot::truth(cloud, place.0, place.1);
    let scene = Scene {
        scenario,
        manifests,
        cloud,
        indexes: parts.checker.indexes(),
        place,
        snapshot: &snapshot,
        memory: None,
        when: When::the_end(cloud.monotonic()),
        going: BTreeSet::new(),
    };
    let shared = || snapshot.shared.keys();
    let unnamed = shared().filter(|id| !scene.is_spoken_of(id)).count();
    let is_over = unnamed > scenario.max_cancels as usize;
    let is_capped =
        scenario.prune && (is_over || unnamed > 0 && scenario.max_cancels_percent < 100);
    let end = End {
        is_doubtful: end.is_doubtful || is_capped,
        ..end
    };
    let entries = manifests.entries(place.0, place.1);
    // Whether the name of an entry is not resolved now, and an installation may remember that it meant the image.
    let is_remembered = |id: &str| {
        entries.keys().any(|name| {
            let is_settled = match snapshot.named(name)[..] {
                [only] => only == id || snapshot.is_normal(only),
                _ => false,
            };
            !is_settled && parts.checker.may_have_meant(place, name, id)
        })
    };
    expected.is_open |= scene.unresolved().next().is_some() || scene.has_held_policy();
    let here = scenario.images.iter().zip(0..);
    let here = here.filter(|(image, _)| (image.account, image.region) == place);
    for (image, index) in here {
        let id = image.id();
        let Some((id, _)) = snapshot.own.get_key_value(&id) else {
            // Nobody can share a deleted image again.
            expected.is_open |=
                manifests.wish(index).is_some() && !snapshot.shared.contains_key(&id);
            continue;
        };
        if !scene.is_spoken_of(id) {
            continue;
        }
        let must = scene.settled(id, &end).filter(|must| {
            let is_shared = snapshot.shared.contains_key(id);
            let is_cancel = !must && is_shared;
            *must == is_shared || !(is_cancel && is_capped || is_remembered(id))
        });
        // A person must settle a share that cannot be used.
        expected.is_open |= must.is_none() || must == Some(true) && !snapshot.is_normal(id);
        expected.must.extend(must.map(|must| (index, must)));
    }
}

/// The id of the image to which a blueprint belongs.
fn image_of(blueprint: &str) -> &str {
    let id = blueprint.trim_start_matches("lhbp-");
    match id.rsplit_once('-') {
        Some((image, count)) if count.bytes().all(|sign| sign.is_ascii_digit()) => image,
        _ => id,
    }
}

/// The images that an entry protects at any time in the run.
fn protected(scenario: &Scenario) -> BTreeSet<String> {
    let events = || scenario.events.iter().map(|event| &event.what);
    let edits = events().filter_map(|what| match what {
        What::Edit(edits) => Some(edits.iter().copied()),
        _ => None,
    });
    let wishes = scenario.images.iter().map(|image| image.wish);
    let wishes = (0..).zip(wishes).chain(edits.flatten());
    let mut protected: BTreeSet<usize> = wishes
        .filter(|(_, wish)| wish.protect)
        .map(|(index, _)| index)
        .collect();
    let names: BTreeSet<_> = scenario
        .all_documents()
        .filter_map(|document| match document {
            Document::Entry(entry) if entry.wish.protect => Some(entry.name.clone()),
            Document::Entry(_) | Document::Policy(_) | Document::Lock(_) => None,
        })
        .collect();
    let renamed = events().filter_map(|what| match what {
        What::Image(index, ImageChange::Named(name)) => Some((*index, name.clone())),
        _ => None,
    });
    let named = scenario.images.iter().map(|image| image.first_name());
    let named = (0..).zip(named).chain(renamed);
    protected.extend(
        named
            .filter(|(_, name)| names.contains(name))
            .map(|(index, _)| index),
    );
    let ids = protected.into_iter();
    ids.map(|index| scenario.images[index].id()).collect()
}

/// Whether it may be unknown who owns the images of an account. Then only the CANCELs that entries declare are made.
fn is_doubtful(scenario: &Scenario, account: usize) -> bool {
    let doubts = |what: &What| match what {
        What::Rename(of) | What::Twin(of, _) => *of == account,
        What::Crash { next, .. } => *next == Mode::WrongKeys,
        _ => false,
    };
    scenario.prune && scenario.events.iter().any(|event| doubts(&event.what))
}
