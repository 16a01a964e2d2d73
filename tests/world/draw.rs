//! Draws a scenario from a seed. Each seed has some kinds of faults and events and lacks the others (swarm testing), so
//! that single kinds also get deep runs.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::scenario::{
    Event, FaultKind, FaultSpan, Image, Mode, Place, REGIONS, Scenario, Wanted, What, Wish,
};

/// Draws the whole scenario from the seed.
pub(crate) fn scenario(seed: u64) -> Scenario {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let dice = &mut rng;
    let calm_at = 60 * dice.u64(30..150);
    let accounts = dice.usize(1..=3);
    let uins = dice.bool();
    let images = images(dice, accounts, calm_at);
    let machines = if dice.u8(..4) == 0 { 2 } else { 1 };
    let faults = faults(dice, &images, accounts, calm_at);
    let mut events = events(dice, &images, accounts, machines, calm_at, uins);
    events.sort_by_key(|event| event.at);
    let mut scenario = Scenario {
        seed,
        calm_at,
        rate: [1, 2, 5, 19, 20][dice.usize(..5)],
        regional: dice.bool(),
        uins,
        prune: dice.u8(..3) > 0,
        max_cancels: dice.u32(1..=4),
        lag: [0, 0, 1, 7, 30, 60][dice.usize(..6)],
        commit: [(0, 0), (3, 1), (400, 200)][dice.usize(..3)],
        machines: (0..machines).map(|_| dice.i64(-20..=20)).collect(),
        images,
        documents: Vec::new(),
        syncs: 0,
        faults,
        events,
        max_cancels_percent: 100,
        has_jobs: false,
        rivals: BTreeSet::new(),
        lasting: None,
        is_overheard: false,
    };
    super::draw_more::more(&mut scenario);
    super::builds::add(&mut scenario);
    super::draw_locks::add(&mut scenario);
    super::draw_rules::add(&mut scenario);
    scenario
}

fn images(dice: &mut Rng, accounts: usize, calm_at: u64) -> Vec<Image> {
    let mut images = Vec::new();
    let regions = dice.usize(1..=REGIONS.len());
    let many = dice.u8(..6) == 0;
    for account in 0..accounts {
        for region in 0..regions {
            // Some seeds need a second page of the list.
            let count = match many && (account, region) == (0, 0) {
                true => dice.usize(100..125),
                false => dice.usize(2..14),
            };
            images.extend((0..count).map(|number| Image {
                account,
                region,
                number,
                shared: dice.u8(..3) == 0 || (count >= 100 && number > 20),
                wish: wish(dice, calm_at),
                made: None,
            }));
        }
    }
    images
}

pub(super) fn wish(dice: &mut Rng, calm_at: u64) -> Wish {
    let state = match dice.u8(..10) {
        0..5 => Wanted::Shared,
        5..7 => Wanted::Unshared,
        7 => Wanted::Until(dice.u64(60..calm_at)),
        8 => Wanted::From(dice.u64(60..calm_at)),
        _ => Wanted::Unnamed,
    };
    Wish {
        state,
        protect: dice.u8(..8) == 0,
    }
}

fn place(dice: &mut Rng, images: &[Image], accounts: usize) -> Place {
    let (account, region) = (dice.usize(..accounts), dice.usize(..REGIONS.len()));
    match dice.u8(..5) {
        0 => Place::default(),
        1 => Place {
            account: Some(account),
            ..Place::default()
        },
        2 => Place {
            region: Some(region),
            ..Place::default()
        },
        3 => Place {
            account: Some(account),
            region: Some(region),
            image: None,
        },
        _ => Place {
            image: Some(dice.usize(..images.len())),
            ..Place::default()
        },
    }
}

fn kinds(dice: &mut Rng) -> Vec<FaultKind> {
    let all = [
        FaultKind::NotSent,
        FaultKind::LostRequest,
        FaultKind::LostReply,
        FaultKind::LostReply,
        FaultKind::Garbage,
        FaultKind::Gateway,
        FaultKind::Internal,
        FaultKind::Shapeless,
        FaultKind::Hang,
        FaultKind::Slow(dice.u64(500..12_000)),
        FaultKind::Throttled,
        FaultKind::WriteDenied,
        FaultKind::ReadDenied,
        FaultKind::KeyUnknown,
        FaultKind::RoleMissing,
        FaultKind::ListingFails,
        FaultKind::Occupied,
        FaultKind::UnknownCode,
        FaultKind::RegionUnknown,
        FaultKind::Inconsistent,
        FaultKind::Short,
        FaultKind::Stale(dice.u64(5..60)),
        FaultKind::ClockAhead(dice.i64(-28..=28)),
        FaultKind::ClockAhead(dice.i64(-400..=400)),
    ];
    let share = dice.f64() * 0.4;
    all.into_iter().filter(|_| dice.f64() < share).collect()
}

fn faults(dice: &mut Rng, images: &[Image], accounts: usize, calm_at: u64) -> Vec<FaultSpan> {
    let mut faults = Vec::new();
    for kind in kinds(dice) {
        for _ in 0..dice.usize(1..4) {
            let from = dice.u64(..calm_at);
            faults.push(FaultSpan {
                kind,
                place: place(dice, images, accounts),
                from,
                until: calm_at.min(from + dice.u64(10..2400)),
                percent: [5, 20, 50, 100][dice.usize(..4)],
            });
        }
    }
    faults
}

/// The number of kinds of events. Each seed has only some of them.
const KINDS: u8 = 14;

fn events(
    dice: &mut Rng,
    images: &[Image],
    accounts: usize,
    machines: usize,
    calm_at: u64,
    uins: bool,
) -> Vec<Event> {
    let mut events = Vec::new();
    // Each image and each scope is disturbed at most once. More would be a repeated reversal, or a loss that a person
    // must accept.
    let mut disturbed = BTreeSet::new();
    let share = dice.f64();
    let chosen: Vec<_> = (0..KINDS).filter(|_| dice.f64() < share).collect();
    for kind in chosen {
        for _ in 0..dice.usize(1..5) {
            let at = dice.u64(1..calm_at);
            let image = dice.usize(..images.len());
            let account = dice.usize(..accounts);
            let later = calm_at.min(at + dice.u64(5..1800));
            let mut push = |at, what| events.push(Event { at, what });
            let disturb = |disturbed: &mut BTreeSet<_>, image: usize| {
                disturbed.insert((images[image].account, images[image].region))
            };
            match kind {
                2 => {
                    // Several images of one scope are unnamed together.
                    let scope = (images[image].account, images[image].region);
                    let of_scope = (0..images.len())
                        .filter(|index| (images[*index].account, images[*index].region) == scope);
                    let gone: Vec<_> = of_scope.take(dice.usize(2..9)).collect();
                    let unnamed = Wish {
                        state: Wanted::Unnamed,
                        protect: false,
                    };
                    push(
                        at,
                        What::Edit(gone.iter().map(|index| (*index, unnamed)).collect()),
                    );
                }
                0..2 => {
                    let count = dice.usize(1..=images.len().min(12));
                    let edits = (0..count)
                        .map(|_| (dice.usize(..images.len()), wish(dice, calm_at)))
                        .collect();
                    push(at, What::Edit(edits));
                }
                3 => {
                    push(at, What::Broken);
                    push(later, What::Mended);
                }
                4 => {
                    let missing = (0..images.len()).filter(|_| dice.bool()).collect();
                    push(at, What::Partial(missing));
                    push(later, What::Mended);
                }
                5 => push(at, What::Rename(account)),
                6 if !uins => {
                    push(at, What::Twin(account, true));
                    push(later, What::Twin(account, false));
                }
                7 => {
                    let from = dice.u16(..24 * 60);
                    let to = (from + dice.u16(20..600)) % (24 * 60);
                    push(at, What::Window(account, Some((from, to))));
                }
                8 if disturb(&mut disturbed, image) => push(at, What::Hand(image, dice.bool())),
                9 => {
                    // This often happens early, while many writes are due.
                    let at = if dice.bool() { dice.u64(1..15) } else { at };
                    let place = Place {
                        image: None,
                        ..place(dice, images, accounts)
                    };
                    push(at, What::Suspend(place));
                    push(later, What::Resume);
                }
                10 if disturb(&mut disturbed, image) => push(at, What::Vanish(image)),
                11 => {
                    push(at, What::Spoil(image, true));
                    push(later, What::Spoil(image, false));
                }
                12 => push(at, What::Use(image)),
                13 => {
                    push(at, What::DiskFull(dice.usize(..machines), true));
                    push(later, What::DiskFull(dice.usize(..machines), false));
                    push(at, What::Asked(dice.usize(..machines)));
                }
                _ => {}
            }
        }
    }
    crashes(dice, (machines, uins), calm_at, &mut events);
    events
}

fn crashes(dice: &mut Rng, (machines, uins): (usize, bool), calm_at: u64, events: &mut Vec<Event>) {
    let most = [0, 0, 2, 8][dice.usize(..4)];
    for _ in 0..dice.usize(..=most) {
        let next = match dice.u8(..8) {
            0 => Mode::Observe,
            // Wrong keys are drawn only if documents state the account ids, because otherwise no process could detect
            // them.
            1..4 if uins => Mode::WrongKeys,
            _ => Mode::Reconcile,
        };
        let what = What::Crash {
            installation: dice.usize(..machines),
            polls: dice.u32(..60),
            down: dice.u64(2..600),
            next,
        };
        events.push(Event {
            at: dice.u64(1..calm_at),
            what,
        });
    }
}
