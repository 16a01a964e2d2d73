//! Draws what makes a scenario more complex than faults alone: people, runs beside daemons, rival installations,
//! sleeping machines, losses, and changes while many writes wait for the rate limit.

use fastrand::Rng;

use super::jobs::Job;
use super::manifests::BEGINNING;
use super::people::PersonAction;
use super::scenario::{
    Event, FaultKind, FaultSpan, Image, Mode, Place, REGIONS, Scenario, Wanted, What, Wish,
};

type Kind = fn(&mut Scenario, &mut Rng);

/// The indexes of the kinds that a seed with builds never has: `percent`, `sleeps` and `clocks`.
const WITHOUT_BUILDS: [usize; 3] = [2, 7, 8];

/// Adds kinds to a scenario that was drawn from the same seed. Each kind is in a part of the seeds.
pub(crate) fn more(scenario: &mut Scenario) {
    scenario.is_overheard = scenario.seed.is_multiple_of(32);
    let mut dice = Rng::with_seed(scenario.seed ^ 0x30fe);
    let dice = &mut dice;
    let kinds: [(u8, Kind); 12] = [
        (20, many_shares),
        (15, over_the_cap),
        (20, percent),
        (20, people),
        (20, losses),
        (20, jobs),
        (8, rivals),
        (12, sleeps),
        (10, clocks),
        (15, lasting),
        (6, redirects),
        // This kind comes last because it removes other events to make room for itself.
        (30, burst),
    ];
    // The model cannot know how a percentage of owned shares, a set clock or a sleeping machine changes the soaks,
    // overlaps and caps of policies. So a seed has either builds or these kinds.
    let has_builds = super::builds::are_in(scenario.seed);
    for (number, (percent, kind)) in kinds.into_iter().enumerate() {
        let is_let = !(has_builds && WITHOUT_BUILDS.contains(&number));
        if dice.u8(..100) < percent && is_let {
            kind(scenario, dice);
        }
    }
    reverts(scenario);
    stops(scenario);
    scenario.events.sort_by_key(|event| event.at);
}

/// Adds commits that undo others. They have dice of their own, so that they change nothing else of a seed.
fn reverts(scenario: &mut Scenario) {
    let mut dice = Rng::with_seed(scenario.seed ^ 0xc0de);
    if dice.u8(..100) >= 25 {
        return;
    }
    for _ in 0..dice.u32(1..4) {
        let at = dice.u64(1..scenario.calm_at);
        push(scenario, at, What::Revert(dice.usize(1..5)));
    }
}

/// Adds graceful stops, often while the process writes. They have dice of their own, too.
fn stops(scenario: &mut Scenario) {
    let mut dice = Rng::with_seed(scenario.seed ^ 0x5709);
    if dice.u8(..100) >= 20 {
        return;
    }
    for _ in 0..dice.usize(1..4) {
        let here = installation(scenario, &mut dice);
        let at = time_of_writes(scenario, &mut dice);
        push(scenario, at, What::Stop(here, Mode::Reconcile));
    }
}

/// A time that is often during writes: at the beginning or after an edit.
fn time_of_writes(scenario: &Scenario, dice: &mut Rng) -> u64 {
    let edits = scenario.events.iter();
    let edits: Vec<_> = edits
        .filter(|event| matches!(event.what, What::Edit(_)))
        .map(|event| event.at)
        .collect();
    match dice.u8(..3) {
        0 => dice.u64(1..20),
        1 if !edits.is_empty() => edits[dice.usize(..edits.len())] + dice.u64(1..10),
        _ => dice.u64(1..scenario.calm_at),
    }
}

pub(super) fn push(scenario: &mut Scenario, at: u64, what: What) {
    let at = at.clamp(1, scenario.calm_at - 1);
    scenario.events.push(Event { at, what });
}

/// All images of the scope of a randomly chosen image.
fn scope(scenario: &Scenario, dice: &mut Rng) -> Vec<usize> {
    let of = &scenario.images[dice.usize(..scenario.images.len())];
    let place = (of.account, of.region);
    let images = scenario.images.iter().zip(0..);
    let here = images.filter(|(image, _)| (image.account, image.region) == place);
    here.map(|(_, index)| index).collect()
}

pub(super) fn wish(state: Wanted) -> Wish {
    Wish {
        state,
        protect: false,
    }
}

fn installation(scenario: &Scenario, dice: &mut Rng) -> usize {
    dice.usize(..scenario.machines.len())
}

/// Gives a scope so many images to share that an observation expires before all are shared. Then reads get no answer.
fn many_shares(scenario: &mut Scenario, dice: &mut Rng) {
    if dice.u8(..3) > 0 {
        grow(scenario, 30);
        return;
    }
    grow(scenario, 170);
    scenario.rate = 1;
    let from = dice.u64(60..120);
    scenario.faults.push(FaultSpan {
        kind: FaultKind::ReadsHang,
        place: Place {
            account: Some(0),
            ..Place::default()
        },
        from,
        until: from + dice.u64(30..120),
        percent: 100,
    });
}

/// Adds images to the first scope until it has `most`. Returns its images.
pub(super) fn grow(scenario: &mut Scenario, most: usize) -> Vec<usize> {
    let is_first = |image: &Image| (image.account, image.region) == (0, 0);
    let first = scenario
        .images
        .iter()
        .filter(|image| is_first(image))
        .count();
    scenario.images.extend((first..most).map(|number| Image {
        account: 0,
        region: 0,
        number: 300 + number,
        shared: false,
        wish: wish(Wanted::Shared),
        made: None,
    }));
    let images = scenario.images.iter().zip(0..);
    let here = images.filter(|(image, _)| is_first(image));
    here.map(|(_, index)| index).collect()
}

/// Many changes are requested at once at a low rate limit. Meanwhile a window closes, shares expire, a second name
/// appears, or a person suspends the scope.
fn burst(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.rate = dice.u32(1..=2);
    let images = grow(scenario, 20);
    let account = 0;
    let kind = dice.u8(..5);
    let (before, state) = match dice.bool() && kind > 0 && kind < 4 {
        true => (Wanted::Unshared, Wanted::Shared),
        false => (Wanted::Shared, Wanted::Unshared),
    };
    // Shares that will expire must not exist yet, so that they are requested in the burst.
    let before = if kind == 0 { Wanted::Unshared } else { before };
    let minute = dice.u64(12..scenario.calm_at / 60);
    // The simulated beginning is not at a full minute, but windows open and close at full minutes.
    let boundary = 60 * minute - u64::try_from(BEGINNING.rem_euclid(60)).expect("of a minute");
    let ahead = scenario.machines[0];
    let at = boundary.saturating_add_signed(-ahead) - dice.u64(1..8);
    let ends = at + dice.u64(2..9);
    make_room(scenario, at.saturating_sub(700)..at + 60);
    let earlier = images.iter().map(|index| (*index, wish(before)));
    let earlier = earlier.collect();
    push(scenario, at - 600, What::Edit(earlier));
    let state = if kind == 0 {
        Wanted::Until(ends)
    } else {
        state
    };
    let edits = images.iter().map(|index| (*index, wish(state)));
    let edits = edits.collect();
    push(scenario, at, What::Edit(edits));
    match kind {
        0 => {}
        4 => {
            // The missing image is in another scope, if there is one.
            push(
                scenario,
                ends,
                What::Partial(vec![scenario.images.len().saturating_sub(21)]),
            );
            push(scenario, ends + dice.u64(60..900), What::Mended);
        }
        3 if scenario.uins => {}
        3 => {
            push(scenario, ends, What::Twin(account, true));
            let later = ends + dice.u64(60..900);
            push(scenario, later, What::Twin(account, false));
        }
        1 => {
            let of_day = (BEGINNING.rem_euclid(86_400) / 60).unsigned_abs() + minute;
            let closes = u16::try_from(of_day % 1440).expect("of a day");
            let opens = (closes + 1440 - 90) % 1440;
            push(scenario, 0, What::Window(account, Some((opens, closes))));
        }
        _ => {
            let place = Place {
                account: Some(account),
                ..Place::default()
            };
            push(scenario, ends, What::Suspend(place));
            push(scenario, ends + dice.u64(60..900), What::Resume);
        }
    }
}

/// Removes the other events and faults of this period.
pub(super) fn make_room(scenario: &mut Scenario, times: std::ops::Range<u64>) {
    let meets = |fault: &FaultSpan| fault.from < times.end && times.start < fault.until;
    scenario.faults.retain(|fault| !meets(fault));
    scenario.events.retain(|event| {
        let disturbs = matches!(
            event.what,
            What::Edit(_)
                | What::Broken
                | What::Partial(_)
                | What::Suspend(_)
                | What::Stop(..)
                | What::Crash { .. }
        );
        !disturbs || !times.contains(&event.at)
    });
}

/// Unnames one more image than the cap allows to prune at once.
fn over_the_cap(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.prune = true;
    let images = scope(scenario, dice);
    let own = images.into_iter().filter(|index| {
        let image = &scenario.images[*index];
        !image.shared && image.wish.state == Wanted::Shared
    });
    let count = scenario.max_cancels as usize + dice.usize(..2);
    let gone: Vec<_> = own
        .take(count)
        .map(|index| (index, wish(Wanted::Unnamed)))
        .collect();
    let at = dice.u64(300..scenario.calm_at);
    push(scenario, at, What::Edit(gone));
}

/// The cap is a percentage of many images.
fn percent(scenario: &mut Scenario, dice: &mut Rng) {
    let first = grow(scenario, 30);
    scenario.prune = true;
    scenario.max_cancels = dice.u32(3..12);
    scenario.max_cancels_percent = [5, 10, 25][dice.usize(..3)];
    let from = dice.usize(..first.len() - 11);
    let gone = first[from..].iter().take(dice.usize(2..12));
    let gone = gone.map(|index| (*index, wish(Wanted::Unnamed))).collect();
    let at = dice.u64(1500..scenario.calm_at.max(1501));
    push(scenario, at, What::Edit(gone));
}

fn people(scenario: &mut Scenario, dice: &mut Rng) {
    for _ in 0..dice.usize(1..4) {
        let image = dice.usize(..scenario.images.len());
        let here = installation(scenario, dice);
        let at = dice.u64(1..scenario.calm_at);
        let action = match dice.u8(..4) {
            0 => PersonAction::Release(image),
            1 => PersonAction::Unpark(image),
            _ => PersonAction::Adopt(image),
        };
        push(scenario, at, What::Person(here, action));
        if dice.bool() {
            let later = at + dice.u64(1..900);
            push(
                scenario,
                later,
                What::Edit(vec![(image, wish(Wanted::Unnamed))]),
            );
        }
    }
}

/// Shares vanish, a person accepts that number of losses, and the same number of other shares vanishes later.
fn losses(scenario: &mut Scenario, dice: &mut Rng) {
    let images = scope(scenario, dice);
    let (account, region) = {
        let image = &scenario.images[images[0]];
        (image.account, image.region)
    };
    let own = images.into_iter().filter(|index| {
        let image = &scenario.images[*index];
        !image.shared && image.wish.state == Wanted::Shared
    });
    let own: Vec<_> = own.collect();
    let count = dice.usize(2..6);
    let here = installation(scenario, dice);
    let mut at = dice.u64(600..scenario.calm_at);
    for lost in own.chunks_exact(count).take(dice.usize(1..3)) {
        push(scenario, at, What::Lose(lost.to_vec()));
        let cancelled = dice.usize(..own.len());
        let unshared = vec![(own[cancelled], wish(Wanted::Unshared))];
        push(scenario, at + dice.u64(1..600), What::Edit(unshared));
        if dice.bool() {
            let accept = PersonAction::Accept {
                account,
                region,
                lost: u32::try_from(count).expect("a few"),
            };
            let later = at + dice.u64(1..900);
            push(scenario, later, What::Person(here, accept));
        }
        at += dice.u64(600..3600);
    }
}

/// The first `daemons` daemons only observe from the first second on.
pub(super) fn observe_only(scenario: &mut Scenario, daemons: usize) {
    for daemon in 0..daemons {
        let crash = What::Crash {
            installation: daemon,
            polls: 0,
            down: 2,
            next: Mode::Observe,
        };
        push(scenario, 1, crash);
    }
}

/// A pipeline runs beside the daemons, on its own state or on the state of a stopped daemon.
fn jobs(scenario: &mut Scenario, dice: &mut Rng) {
    scenario.machines.push(dice.i64(-20..=20));
    scenario.has_jobs = true;
    let own = scenario.machines.len() - 1;
    if dice.bool() {
        // The daemons only observe, so that the runs have something to do.
        observe_only(scenario, own);
    }
    for _ in 0..dice.usize(1..6) {
        let at = dice.u64(1..scenario.calm_at);
        let here = match dice.u8(..4) {
            0 => installation(scenario, dice),
            _ => own,
        };
        match dice.u8(..3) {
            0 => {
                push(scenario, at, What::Run(here, Job::Plan));
                let later = at + dice.u64(30..1800);
                push(scenario, later, What::Run(here, Job::Carry));
                // Somebody else changes images between the runs.
                let image = dice.usize(..scenario.images.len());
                let hand = What::Hand(image, dice.bool());
                push(scenario, later + dice.u64(1..20), hand);
            }
            1 => push(scenario, at, What::Run(here, Job::PartialOk)),
            _ => push(scenario, at, What::Run(here, Job::Reconcile)),
        }
        if dice.u8(..4) == 0 {
            let crash = What::Crash {
                installation: here,
                polls: dice.u32(..60),
                down: dice.u64(2..600),
                next: Mode::Reconcile,
            };
            push(scenario, at + dice.u64(1..30), crash);
        }
    }
}

/// The manifests of two installations contradict each other for a few images.
fn rivals(scenario: &mut Scenario, dice: &mut Rng) {
    if scenario.daemons() == 1 {
        scenario.machines.insert(1, dice.i64(-20..=20));
    }
    let images = scope(scenario, dice);
    let count = dice.usize(1..4);
    scenario.rivals = images.into_iter().take(count).collect();
}

fn sleeps(scenario: &mut Scenario, dice: &mut Rng) {
    for _ in 0..dice.usize(1..4) {
        let here = installation(scenario, dice);
        let at = time_of_writes(scenario, dice);
        let time = [dice.u64(5..130), dice.u64(130..3600)][dice.usize(..2)];
        // A machine that woke up during the calm would not have enough time to settle.
        let time = time.min(scenario.calm_at.saturating_sub(at + 1)).max(1);
        push(scenario, at, What::Sleep(here, time));
    }
}

fn clocks(scenario: &mut Scenario, dice: &mut Rng) {
    for _ in 0..dice.usize(1..3) {
        let here = installation(scenario, dice);
        let by = [dice.i64(-40..=40), dice.i64(-1200..=1200)][dice.usize(..2)];
        let at = dice.u64(1..scenario.calm_at);
        push(scenario, at, What::SetClock(here, by));
        if dice.bool() {
            push(scenario, at + dice.u64(10..1200), What::SetClock(here, -by));
        }
    }
}

/// One account or region fails until all others have settled, or forever.
fn lasting(scenario: &mut Scenario, dice: &mut Rng) {
    let kinds = [
        FaultKind::Hang,
        FaultKind::NotSent,
        FaultKind::Gateway,
        FaultKind::Internal,
        FaultKind::Garbage,
        FaultKind::Throttled,
        FaultKind::WriteDenied,
        FaultKind::KeyUnknown,
        FaultKind::ListingFails,
        FaultKind::LostReply,
        FaultKind::Slow(9_000),
    ];
    let account = scenario.images[dice.usize(..scenario.images.len())].account;
    let by_region = dice.bool();
    let place = Place {
        account: (!by_region || dice.bool()).then_some(account),
        region: by_region.then(|| dice.usize(..REGIONS.len())),
        image: None,
    };
    let kind = match kinds[dice.usize(..kinds.len())] {
        // A key is known in all regions or in none, so that this fault cannot be regional.
        FaultKind::KeyUnknown if by_region => FaultKind::Hang,
        kind => kind,
    };
    scenario.lasting = Some(FaultSpan {
        kind,
        place,
        from: scenario.calm_at,
        until: u64::MAX,
        percent: 100,
    });
}

fn redirects(scenario: &mut Scenario, dice: &mut Rng) {
    let from = dice.u64(..scenario.calm_at);
    scenario.faults.push(FaultSpan {
        kind: FaultKind::Redirect,
        place: Place::default(),
        from,
        until: scenario.calm_at.min(from + dice.u64(10..1200)),
        percent: [20, 100][dice.usize(..2)],
    });
}
