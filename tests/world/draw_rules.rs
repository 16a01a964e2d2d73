//! Draws situations that single rules of the product exist for, and that the other kinds nearly never lead to. It has
//! its own random number generator, so that other draws of a seed do not depend on it.

use fastrand::Rng;

use super::draw_more::{grow, make_room, observe_only, push, wish};
use super::draw_names;
use super::jobs::Job;
use super::people::PersonAction;
use super::scenario::{FaultKind, FaultSpan, Mode, Place, Scenario, Wanted, What};

pub(super) type Situation = fn(&mut Scenario, &mut Rng);

/// The account and the region of the images that take part.
const HERE: Place = Place {
    account: Some(0),
    region: Some(0),
    image: None,
};

/// The situations, each with the percentage of seeds without builds that have it.
const SITUATIONS: [(u8, Situation); 10] = [
    (5, reviewed),
    (5, adopted_while_pruning),
    (5, edited_between_runs),
    (5, lost_in_a_run),
    (5, made_anew),
    (5, suspended_and_renamed),
    (5, second_loss),
    (2, aging),
    (3, denied_in_part),
    (4, lesser_loss),
];

/// Adds at most one situation to a scenario. A seed with builds has others, because policies may want the same images.
pub(super) fn add(scenario: &mut Scenario) {
    let situations = match scenario.has_documents() {
        true => &draw_names::SITUATIONS[..],
        false => &SITUATIONS,
    };
    let mut dice = Rng::with_seed(scenario.seed ^ 0x517a);
    if let Some(number) = choose(situations, &mut dice) {
        let (_, situation) = situations[number];
        situation(scenario, &mut dice);
        scenario.events.sort_by_key(|event| event.at);
    }
}

fn choose(situations: &[(u8, Situation)], dice: &mut Rng) -> Option<usize> {
    let mut left = dice.u8(..100);
    situations.iter().position(|(percent, _)| {
        let is_chosen = left < *percent;
        left = left.saturating_sub(*percent);
        is_chosen
    })
}

/// Adds this many images to share to the first scope, and returns their indexes.
fn grow_by(scenario: &mut Scenario, more: usize) -> Vec<usize> {
    let before = scenario.images.len();
    let images = scenario.images.iter();
    let here = images.filter(|image| HERE.has(image)).count();
    grow(scenario, here + more);
    (before..scenario.images.len()).collect()
}

/// Lets a pipeline run on a state of its own while the daemons only observe. Nothing else happens before `until`.
/// Returns the pipeline's installation.
fn pipeline(scenario: &mut Scenario, dice: &mut Rng, until: u64) -> usize {
    if !scenario.has_jobs {
        scenario.machines.push(dice.i64(-20..=20));
        scenario.has_jobs = true;
    }
    let own = scenario.machines.len() - 1;
    make_room(scenario, 0..until);
    observe_only(scenario, own);
    own
}

/// A person reviews a plan with many shares. While they are made, somebody else cancels a share that is not part of the
/// plan.
fn reviewed(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.rate = dice.u32(1..=2);
    let images = grow_by(scenario, 16);
    let shared = images[dice.usize(..images.len())];
    scenario.images[shared].shared = true;
    let planned = dice.u64(60..400);
    let carried = planned + dice.u64(30..120);
    let own = pipeline(scenario, dice, carried + 120);
    push(scenario, planned, What::Run(own, Job::Plan));
    push(scenario, carried, What::Run(own, Job::Carry));
    let hand = carried + dice.u64(3..12);
    push(scenario, hand, What::Hand(shared, false));
}

/// A run prunes as much as the cap allows. Meanwhile a person adopts more shares that no manifest names.
fn adopted_while_pruning(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.prune = true;
    scenario.rate = 1;
    scenario.max_cancels = dice.u32(2..=4);
    scenario.max_cancels_percent = 100;
    let images = grow_by(scenario, 12);
    let (own_images, others) = images.split_at(6);
    for index in others {
        scenario.images[*index].shared = true;
        scenario.images[*index].wish = wish(Wanted::Unnamed);
    }
    let shares = dice.u64(60..400);
    let prunes = shares + dice.u64(300..600);
    let own = pipeline(scenario, dice, prunes + 300);
    push(scenario, shares, What::Run(own, Job::Reconcile));
    let gone = own_images.iter().take(scenario.max_cancels as usize);
    let gone = gone.map(|index| (*index, wish(Wanted::Unnamed))).collect();
    push(scenario, prunes - 100, What::Edit(gone));
    push(scenario, prunes, What::Run(own, Job::Reconcile));
    for index in others {
        let at = prunes + dice.u64(2..8);
        push(scenario, at, What::Person(own, PersonAction::Adopt(*index)));
    }
}

/// A run ends in the middle of its writes, or before the answer to its only one. The next run has nothing else to do
/// than the opposite, and reads lag.
fn edited_between_runs(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.rate = dice.u32(2..=5);
    scenario.lag = 60;
    let is_lost = dice.bool();
    leave_alone(scenario);
    let images = grow_by(scenario, if is_lost { 1 } else { 12 });
    let first = dice.u64(60..400);
    let ends = first + dice.u64(2..6);
    let second = ends + dice.u64(3..30);
    let own = pipeline(scenario, dice, second + 300);
    ask_later(scenario, &images, first - 20);
    push(scenario, first, What::Run(own, Job::Reconcile));
    if is_lost {
        scenario.faults.push(FaultSpan {
            kind: FaultKind::LostReply,
            place: Place {
                image: Some(images[0]),
                ..Place::default()
            },
            from: first,
            until: second,
            percent: 100,
        });
    }
    let crash = What::Crash {
        installation: own,
        polls: dice.u32(..20),
        down: 2,
        next: Mode::Reconcile,
    };
    push(scenario, ends, crash);
    let edits = images.iter().map(|index| (*index, wish(Wanted::Unshared)));
    let edits = edits.collect();
    push(scenario, ends + 1, What::Edit(edits));
    push(scenario, second, What::Run(own, Job::Reconcile));
}

/// No manifest names any image at the beginning.
fn leave_alone(scenario: &mut Scenario) {
    for image in &mut scenario.images {
        image.wish = wish(Wanted::Unnamed);
    }
}

/// The manifests ask for these shares only from `at` on, when the daemons already observe.
fn ask_later(scenario: &mut Scenario, images: &[usize], at: u64) {
    for index in images {
        scenario.images[*index].wish = wish(Wanted::Unnamed);
    }
    let edits = images.iter().map(|index| (*index, wish(Wanted::Shared)));
    let edits = edits.collect();
    push(scenario, at, What::Edit(edits));
}

/// Some requests of a run do not arrive, and the run gets no answer to them.
fn lost_in_a_run(scenario: &mut Scenario, dice: &mut Rng) {
    leave_alone(scenario);
    let images = grow_by(scenario, 12);
    let at = dice.u64(60..400);
    let own = pipeline(scenario, dice, at + 300);
    ask_later(scenario, &images, at - 20);
    push(scenario, at, What::Run(own, Job::Reconcile));
    scenario.faults.push(FaultSpan {
        kind: FaultKind::LostRequest,
        place: Place {
            image: Some(images[dice.usize(..images.len())]),
            ..Place::default()
        },
        from: at,
        until: at + dice.u64(5..30),
        percent: 100,
    });
}

/// Somebody else cancels own shares and makes them anew. Then no manifest names them any longer.
fn made_anew(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.prune = true;
    let images = grow_by(scenario, 12);
    let at = dice.u64(600..1200);
    make_room(scenario, at - 300..at + 300);
    let count = scenario.max_cancels as usize;
    for index in &images[..count] {
        let cancelled = at + dice.u64(..5);
        push(scenario, cancelled, What::Hand(*index, false));
        push(scenario, cancelled + 1, What::Hand(*index, true));
    }
    let gone = images[..count].iter();
    let gone = gone.map(|index| (*index, wish(Wanted::Unnamed))).collect();
    push(scenario, at + dice.u64(8..60), What::Edit(gone));
}

/// A suspended account gets another name while there is something to write.
fn suspended_and_renamed(scenario: &mut Scenario, dice: &mut Rng) {
    let images = grow_by(scenario, 6);
    let at = dice.u64(400..1200);
    make_room(scenario, at - 100..at + 400);
    let account = Place {
        region: None,
        ..HERE
    };
    push(scenario, at, What::Suspend(account));
    push(scenario, at + dice.u64(10..60), What::Rename(0));
    let edits = images.iter().map(|index| (*index, wish(Wanted::Unshared)));
    let edits = edits.collect();
    push(scenario, at + dice.u64(5..120), What::Edit(edits));
    push(scenario, at + dice.u64(200..600), What::Resume);
}

/// Adds images to the first scope, and returns their indexes with a number of shares whose absence is a loss. A scope
/// with many images gets none: at a low rate, they would not all be shared in time.
fn grow_to_lose(scenario: &mut Scenario) -> Option<(Vec<usize>, usize)> {
    let images = scenario.images.iter();
    let before = images.filter(|image| HERE.has(image)).count();
    // More than a quarter of all.
    let count = before / 2 + 4;
    (before <= 30).then(|| (grow_by(scenario, before + 12), count))
}

/// Shares vanish, and a person accepts that before a process has seen it. Later as many others vanish, which nobody
/// accepts, and an image is to be cancelled.
fn second_loss(scenario: &mut Scenario, dice: &mut Rng) {
    let Some((images, count)) = grow_to_lose(scenario) else {
        return;
    };
    let first = dice.u64(600..900);
    let second = first + dice.u64(650..900);
    make_room(scenario, first - 300..second + 400);
    push(scenario, first, What::Lose(images[..count].to_vec()));
    let accept = PersonAction::Accept {
        account: 0,
        region: 0,
        lost: u32::try_from(count).expect("a few"),
    };
    for daemon in 0..scenario.daemons() {
        let at = first + dice.u64(1..30);
        push(scenario, at, What::Person(daemon, accept.clone()));
    }
    let others = images[count..2 * count].to_vec();
    push(scenario, second, What::Lose(others));
    let unshared = vec![(images[2 * count], wish(Wanted::Unshared))];
    push(scenario, second + dice.u64(1..300), What::Edit(unshared));
}

/// Shares vanish, and a person accepts a greater loss. Meanwhile an image is to be cancelled.
fn lesser_loss(scenario: &mut Scenario, dice: &mut Rng) {
    let Some((images, count)) = grow_to_lose(scenario) else {
        return;
    };
    let at = dice.u64(600..1200);
    make_room(scenario, at - 300..at + 600);
    for daemon in 0..scenario.daemons() {
        let accept = PersonAction::Accept {
            account: 0,
            region: 0,
            // More than have ever been shared.
            lost: u32::try_from(scenario.images.len() + 1).expect("a few"),
        };
        push(scenario, at - dice.u64(1..30), What::Person(daemon, accept));
    }
    push(scenario, at, What::Lose(images[..count].to_vec()));
    let unshared = vec![(images[count], wish(Wanted::Unshared))];
    push(scenario, at + dice.u64(1..300), What::Edit(unshared));
}

/// So many images are to be shared at a low rate that what was seen of the last ones expires twice. Then nothing can
/// be asked about them, or the API throttles.
fn aging(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.rate = 1;
    grow_by(scenario, 250);
    let from = dice.u64(75..110);
    make_room(scenario, 0..240);
    let kind = match dice.bool() {
        true => FaultKind::ReadsHang,
        false => FaultKind::Throttled,
    };
    scenario.faults.push(FaultSpan {
        kind,
        place: HERE,
        from,
        until: from + dice.u64(20..80),
        percent: 100,
    });
}

/// The key may never write every second image. The others are to change again and again.
fn denied_in_part(scenario: &mut Scenario, dice: &mut Rng) {
    let images = grow_by(scenario, 80);
    let span = |from, until| FaultSpan {
        kind: FaultKind::OddDenied,
        place: HERE,
        from,
        until,
        percent: 100,
    };
    scenario.faults.push(span(0, scenario.calm_at));
    scenario.lasting = Some(span(scenario.calm_at, u64::MAX));
    let mut at = scenario.calm_at;
    for state in [Wanted::Unshared, Wanted::Shared, Wanted::Unshared] {
        let edits = images.iter().filter(|index| **index % 3 > 0);
        let edits = edits.map(|index| (*index, wish(state)));
        push(scenario, at, What::Edit(edits.collect()));
        at -= dice.u64(300..500);
    }
}

#[test]
fn every_situation_is_in_a_part_of_the_seeds() {
    for situations in [&SITUATIONS[..], &draw_names::SITUATIONS] {
        let mut counts = vec![0; situations.len()];
        for seed in 0..1000 {
            if let Some(number) = choose(situations, &mut Rng::with_seed(seed)) {
                counts[number] += 1;
            }
        }
        for ((percent, _), count) in situations.iter().zip(&counts) {
            let expected = 10 * i32::from(*percent);
            assert!((count - expected).abs() < expected, "{counts:?}");
        }
    }
}
