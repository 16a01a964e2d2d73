//! Draws situations about names and policies that single rules exist for. Their documents are about an account that no
//! other document of the seed is about, so that only they decide about its new images.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::documents::{Document, Entry, Pattern, Rule};
use super::draw_more::{make_room, push, wish};
use super::draw_rules::Situation;
use super::images::{BuildResult, ImageChange, Made};
use super::scenario::{FaultKind, FaultSpan, Image, Place, Scenario, Wanted, What};

/// The situations, each with the percentage of seeds with builds that have it.
pub(super) const SITUATIONS: [(u8, Situation); 5] = [
    (4, name_moves),
    (4, name_goes),
    (4, untold_image),
    (4, unseen_region),
    (4, edited_while_writing),
];

/// The name that an entry asks for.
const LATEST: &str = "tool-latest";

/// An account that no document of the scenario is about.
fn free_account(scenario: &Scenario) -> usize {
    let accounts = scenario
        .all_documents()
        .filter_map(|document| match document {
            Document::Entry(entry) => Some(entry.account),
            Document::Policy(rule) => Some(rule.account),
            Document::Lock(_) => None,
        });
    let accounts: BTreeSet<_> = accounts.collect();
    let mut free = (0..3).rev().filter(|account| !accounts.contains(account));
    free.next().expect("documents are about one account")
}

/// Adds an image that existed before the beginning, and returns its index. It is as many hours old as `age` says.
fn image(
    scenario: &mut Scenario,
    (account, region): (usize, usize),
    name: &str,
    age: i64,
) -> usize {
    let made = Made {
        name: name.to_owned(),
        created: -3600 * age,
        born: 0,
        ready: 0,
        result: BuildResult::Good,
        is_golden: true,
    };
    let index = scenario.images.len();
    scenario.images.push(Image {
        account,
        region,
        number: 500 + index,
        shared: false,
        wish: wish(Wanted::Unnamed),
        made: Some(made),
    });
    index
}

/// An entry in the first region that asks to share the image with the name.
fn latest(account: usize) -> Option<Document> {
    Some(Document::Entry(Entry {
        account,
        regions: [0].into(),
        name: LATEST.into(),
        wish: wish(Wanted::Shared),
    }))
}

/// A policy that keeps this many of the newest images shared.
fn newest(account: usize, newest: u32) -> Rule {
    Rule::newest(account, Pattern::Prefix("tool-".into()), newest)
}

fn rename(scenario: &mut Scenario, at: u64, image: usize, name: &str) {
    let named = ImageChange::Named(name.to_owned());
    push(scenario, at, What::Image(image, named));
}

/// A name moves to an image that has yet to be shared. Nothing else speaks of the image that had it.
fn name_moves(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.prune = true;
    let account = free_account(scenario);
    let before = image(scenario, (account, 0), LATEST, 9);
    let next = image(scenario, (account, 0), "tool-next", 8);
    scenario.documents.push(latest(account));
    let at = dice.u64(700..1400);
    make_room(scenario, at - 400..at + 400);
    rename(scenario, at, before, "tool-before");
    rename(scenario, at, next, LATEST);
}

/// An image gives up the name by which an entry asks for it, and no image has the name. A policy would retire the image.
fn name_goes(scenario: &mut Scenario, dice: &mut Rng) {
    let account = free_account(scenario);
    let before = image(scenario, (account, 0), LATEST, 9);
    image(scenario, (account, 0), "tool-2", 8);
    let policy = Document::Policy(newest(account, 1));
    scenario.documents.extend([latest(account), Some(policy)]);
    let at = dice.u64(700..1400);
    make_room(scenario, at - 400..at + 400);
    rename(scenario, at, before, "tool-1");
}

/// A policy that depends on CVM keeps an image that another policy would retire. Then CVM cannot be asked.
fn untold_image(scenario: &mut Scenario, dice: &mut Rng) {
    let account = free_account(scenario);
    for age in [9, 8] {
        let name = format!("tool-{age}");
        image(scenario, (account, 0), &name, age);
    }
    let keeps = Rule {
        asks_family: true,
        ..newest(account, 2)
    };
    let policies = [newest(account, 1), keeps].map(|rule| Some(Document::Policy(rule)));
    scenario.documents.extend(policies);
    let from = dice.u64(700..1400);
    let until = from + dice.u64(300..900);
    make_room(scenario, from - 400..until);
    scenario.faults.push(FaultSpan {
        kind: FaultKind::CvmDenied,
        place: Place {
            account: Some(account),
            ..Place::default()
        },
        from,
        until,
        percent: 100,
    });
}

/// A late copy of an older version looks newer than the newest version, as long as the region of its first copy cannot
/// be seen.
fn unseen_region(scenario: &mut Scenario, dice: &mut Rng) {
    let account = free_account(scenario);
    let until = dice.u64(400..1500);
    make_room(scenario, 0..until);
    let rows = [(0, "tool-1", 2), (0, "tool-2", 8), (1, "tool-1", 9)];
    for (region, name, age) in rows {
        let index = image(scenario, (account, region), name, age);
        scenario.images[index].shared = true;
    }
    let everywhere = Rule {
        regions: [0, 1].into(),
        ..newest(account, 1)
    };
    let everywhere = Document::Policy(everywhere);
    scenario.documents.push(Some(everywhere));
    scenario.faults.push(FaultSpan {
        kind: FaultKind::OwnImagesFail,
        place: Place {
            account: Some(account),
            region: Some(1),
            image: None,
        },
        from: 0,
        until,
        percent: 100,
    });
}

/// A policy changes while the first pass carries it out.
fn edited_while_writing(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.rate = 1;
    let account = free_account(scenario);
    make_room(scenario, 0..100);
    for age in 2..10 {
        image(scenario, (account, 0), &format!("tool-{age}"), age);
    }
    let changed = Rule {
        pattern: Pattern::Prefix("tool-x".into()),
        ..newest(account, 8)
    };
    let place = scenario.documents.len();
    let policy = Document::Policy(newest(account, 8));
    scenario.documents.push(Some(policy));
    let changed = What::Document(place, Some(Document::Policy(changed)));
    push(scenario, dice.u64(3..6), changed);
}
