//! Minimises a failing scenario, as long as it fails in the same way, so that people can understand the failure.

use super::documents::{Document, Excluded, Revoked};
use super::run::{self, Outcome};
use super::scenario::{Scenario, What};

/// The first violated invariant: the word before the colon.
pub(crate) fn invariant(outcome: &Outcome) -> Option<String> {
    let first = outcome.violations.first()?;
    let what = first.split(" ms: ").nth(1)?;
    Some(what.split(':').next().unwrap_or_default().to_owned())
}

/// Removes events, faults, edits and images that `fails` does not need. It runs at most this many scenarios.
pub(crate) fn shrink(
    scenario: &Scenario,
    tries_max: usize,
    fails: impl Fn(&Outcome) -> bool,
) -> Scenario {
    let mut tries = 0;
    let mut fails = |smaller: &Scenario| {
        tries += 1;
        tries <= tries_max && fails(&run::live(smaller))
    };
    let mut smallest = scenario.clone();
    loop {
        let before = smallest.clone();
        smallest = without(smallest, &mut fails, |scenario| &mut scenario.events);
        smallest = without(smallest, &mut fails, |scenario| &mut scenario.faults);
        smallest = without_documents(smallest, &mut fails);
        smallest = without_images(smallest, &mut fails);
        smallest = plainer(smallest, &mut fails);
        if smallest == before {
            return smallest;
        }
    }
}

/// Removes as much of a list as possible: halves first, then single elements.
fn without<T: Clone>(
    mut scenario: Scenario,
    fails: &mut impl FnMut(&Scenario) -> bool,
    list: impl Fn(&mut Scenario) -> &mut Vec<T>,
) -> Scenario {
    let mut size = list(&mut scenario).len();
    while size > 0 {
        let mut from = 0;
        while from < list(&mut scenario).len() {
            let mut smaller = scenario.clone();
            let items = list(&mut smaller);
            items.drain(from..items.len().min(from + size));
            match fails(&smaller) {
                true => scenario = smaller,
                false => from += size,
            }
        }
        size /= 2;
    }
    scenario
}

/// Removes documents. The other documents keep their places.
fn without_documents(
    mut scenario: Scenario,
    fails: &mut impl FnMut(&Scenario) -> bool,
) -> Scenario {
    for place in 0..scenario.documents.len() {
        let mut smaller = scenario.clone();
        smaller.documents[place] = None;
        if smaller != scenario && fails(&smaller) {
            scenario = smaller;
        }
    }
    scenario
}

/// Removes images. Events and faults refer to images by index, so an image is removed only from the end. Elsewhere the
/// manifests stop naming it.
fn without_images(mut scenario: Scenario, fails: &mut impl FnMut(&Scenario) -> bool) -> Scenario {
    loop {
        let mut smaller = scenario.clone();
        smaller.images.pop();
        let most = smaller.images.len();
        if smaller.images.is_empty() || uses(&smaller, most) || !fails(&smaller) {
            break;
        }
        scenario = smaller;
    }
    for index in 0..scenario.images.len() {
        let mut smaller = scenario.clone();
        let image = &mut smaller.images[index];
        image.wish.state = super::scenario::Wanted::Unnamed;
        (image.wish.protect, image.shared) = (false, false);
        if smaller != scenario && fails(&smaller) {
            scenario = smaller;
        }
    }
    scenario
}

/// Whether the scenario refers to the image with this index.
fn uses(scenario: &Scenario, index: usize) -> bool {
    let by_fault = scenario
        .faults
        .iter()
        .any(|fault| fault.place.image == Some(index));
    let by_event = scenario.events.iter().any(|event| match &event.what {
        What::Edit(edits) => edits.iter().any(|(image, _)| *image == index),
        What::Partial(missing) => missing.contains(&index),
        What::Hand(image, _)
        | What::Vanish(image)
        | What::Spoil(image, _)
        | What::Use(image)
        | What::Disuse(image)
        | What::Image(image, _) => *image == index,
        What::Document(_, document) => document.iter().any(|it| names(it, index)),
        What::Person(_, action) => action.image() == Some(index),
        What::Lose(images) => images.contains(&index),
        _ => false,
    });
    let is_rival = scenario.rivals.contains(&index);
    let mut documents = scenario.documents.iter().flatten();
    by_fault || by_event || is_rival || documents.any(|document| names(document, index))
}

/// Whether a document refers to the image with this index.
fn names(document: &Document, index: usize) -> bool {
    match document {
        Document::Entry(_) => false,
        Document::Policy(rule) => {
            let mut exclude = rule.exclude.iter();
            let mut revokes = rule.revokes.iter();
            exclude.any(|excluded| *excluded == Excluded::Image(index))
                || revokes.any(|revoke| revoke.what == Revoked::Image(index))
        }
        Document::Lock(lock) => {
            let regions = lock.values().flat_map(|locked| locked.regions.values());
            let mut images = regions.flatten();
            images.any(|locked| locked.image == index)
        }
    }
}

/// Makes the remaining scenario as simple as possible.
fn plainer(mut scenario: Scenario, fails: &mut impl FnMut(&Scenario) -> bool) -> Scenario {
    let changes: [fn(&mut Scenario); 11] = [
        |scenario| scenario.lasting = None,
        |scenario| scenario.rivals.clear(),
        |scenario| scenario.is_overheard = false,
        |scenario| scenario.max_cancels_percent = 100,
        |scenario| {
            scenario.machines.truncate(scenario.daemons());
            scenario.has_jobs = false;
        },
        |scenario| {
            if scenario.daemons() > 1 {
                scenario.machines.remove(1);
            }
        },
        |scenario| scenario.machines.fill(0),
        |scenario| scenario.lag = 0,
        |scenario| scenario.commit = (0, 0),
        |scenario| scenario.uins = false,
        |scenario| scenario.rate = 19,
    ];
    for change in changes {
        let mut smaller = scenario.clone();
        change(&mut smaller);
        let is_valid = smaller.events.iter().all(|event| match event.what {
            What::Asked(installation)
            | What::DiskFull(installation, _)
            | What::Person(installation, _)
            | What::Run(installation, _)
            | What::Sleep(installation, _)
            | What::SetClock(installation, _)
            | What::Stop(installation, _)
            | What::Crash { installation, .. } => installation < smaller.machines.len(),
            _ => true,
        });
        if smaller != scenario && is_valid && fails(&smaller) {
            scenario = smaller;
        }
    }
    for index in 0..scenario.events.len() {
        let count = match &scenario.events[index].what {
            What::Edit(edits) => edits.len(),
            _ => 0,
        };
        for edit in (0..count).rev() {
            let mut smaller = scenario.clone();
            if let What::Edit(edits) = &mut smaller.events[index].what {
                edits.remove(edit);
            }
            if fails(&smaller) {
                scenario = smaller;
            }
        }
    }
    scenario
}
