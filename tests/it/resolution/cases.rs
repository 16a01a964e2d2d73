//! Tests all small cases: every combination of a few images, documents and memories. In each one, the product must
//! decide as the reference model does.

use super::bridge::Differences;
use super::world::{
    Ask, By, Clock, Entry, HOUR, Image, Pin, Policy, Region, Remembered, Revoke, Share, World,
};

const NOW: i64 = 1_790_000_000;

/// Calls `each` with every combination of choices. `sizes` gives the number of choices at each position.
fn each_choice(sizes: &[usize], each: &mut dyn FnMut(&[usize])) {
    let mut choice = vec![0; sizes.len()];
    loop {
        each(&choice);
        let Some(place) = (0..sizes.len()).find(|&n| choice[n] + 1 < sizes[n]) else {
            return;
        };
        choice[..place].fill(0);
        choice[place] += 1;
    }
}

/// How an image is shared, whether it can be shared, and for how many hours its version has stood according to the
/// store.
type State = (Option<Share>, bool, Option<i64>);

const STATES: [State; 6] = [
    (None, true, None),
    (None, false, None),
    (Some(Share::Normal), true, None),
    (Some(Share::Normal), true, Some(10)),
    (Some(Share::Syncing), true, Some(10)),
    (Some(Share::Failed), true, None),
];

/// The three states that differ most: not shared, standing, and broken.
const SHORT: [State; 3] = [STATES[0], STATES[3], STATES[5]];

/// What the documents say about an image.
#[derive(Clone, Copy, Debug)]
enum Word {
    Nothing,
    Excluded,
    Pinned,
    Revoked,
    Declared(Ask),
    /// The name matches no policy.
    Outside,
}

const WORDS: [Word; 7] = [
    Word::Nothing,
    Word::Excluded,
    Word::Pinned,
    Word::Revoked,
    Word::Declared(Ask::Shared),
    Word::Declared(Ask::Unshared),
    Word::Outside,
];

/// Adds an image to region 0, and its version to the memory of the store.
fn add(world: &mut World, name: &'static str, hours: i64, state: State) -> u8 {
    let (share, eligible, stands) = state;
    let region = world.regions[0].as_mut().expect("it is seen");
    let id = u8::try_from(region.images.len()).expect("few");
    let created = world.now - hours * HOUR;
    region.images.push(Image {
        share,
        eligible,
        ..Image::new(id, name, created)
    });
    if let Some(stands) = stands {
        for policy in &world.policies {
            let version = name.split('+').next().filter(|_| policy.grouped);
            let clock = Clock {
                age: Some(created),
                stands_since: Some(world.now - stands * HOUR),
            };
            let key = (policy.name, version.unwrap_or(name).to_owned());
            world.memory.versions.insert(key, clock);
        }
    }
    id
}

/// Makes the documents say `word` about an image.
fn speak(world: &mut World, id: u8, name: &'static str, word: Word) {
    let policy = &mut world.policies[0];
    match word {
        Word::Nothing | Word::Outside => {}
        Word::Excluded => policy.excluded.push(id),
        Word::Pinned if policy.pins.is_empty() => policy.pins.push(Pin {
            names: vec![name],
            until: None,
        }),
        Word::Pinned => policy.pins[0].names.push(name),
        Word::Revoked => policy.revokes.push(Revoke {
            name,
            at: None,
            replacement: None,
            force: false,
        }),
        Word::Declared(ask) => world.entries.push(Entry {
            by: By::Id(id),
            ask,
            protect: false,
        }),
    }
}

#[test]
fn n2_one_policy_decides_of_three_images_as_the_model_does() {
    let rules = [(1, 0, 0), (1, 1, 5), (2, 1, 0), (2, 2, 5), (1, 1, 72)];
    let mut differences = Differences::default();
    let (states, words) = (STATES.len(), WORDS.len());
    let sizes = [states, words, states, words, states, words];
    let mut turns = rules.iter().cycle();
    each_choice(&sizes, &mut |choice| {
        // The rules alternate, so that each rule occurs with each combination of any two images.
        if let Some(&(newest, minimum, hours)) = turns.next() {
            let mut world = World::new(NOW);
            let mut policy = Policy::new("a", 'a', newest, minimum);
            policy.unshare_after = hours * HOUR;
            world.policies.push(policy);
            for (n, (inside, outside)) in [("a1", "x1"), ("a2", "x2"), ("a3", "x3")]
                .into_iter()
                .enumerate()
            {
                let word = WORDS[choice[2 * n + 1]];
                let name = match word {
                    Word::Outside => outside,
                    _ => inside,
                };
                let hours = 30 - 10 * i64::try_from(n).expect("small");
                let id = add(&mut world, name, hours, STATES[choice[2 * n]]);
                speak(&mut world, id, name, word);
            }
            differences.compare(&world);
        }
    });
    differences.end(90_000);
}

#[test]
fn n2_soaks_clocks_and_deprecation_are_as_in_the_model() {
    let mut differences = Differences::default();
    // The choices for each image: how it is shared, its age, and whether it is deprecated. Then: the clocks,
    // `newest`, and whether the policy retires deprecated images.
    let sizes = [6, 2, 2, 6, 2, 2, 3, 2, 2, 3, 2, 2];
    each_choice(&sizes, &mut |choice| {
        let mut world = World::new(NOW);
        world.api_ahead = [0, HOUR, -HOUR][choice[9]];
        let mut policy = Policy::new("a", 'a', 1 + choice[10], 1);
        policy.min_age = 5 * HOUR;
        policy.retires_deprecated = choice[11] == 1;
        world.policies.push(policy);
        for (n, name) in ["a1", "a2", "a3"].into_iter().enumerate() {
            let place = i64::try_from(n).expect("small");
            let hours = [30 - place, 4 - place][choice[3 * n + 1]];
            let state = [STATES[choice[3 * n]], SHORT[choice[3 * n] % 3]][n / 2];
            add(&mut world, name, hours, state);
            let region = world.regions[0].as_mut().expect("seen");
            region.images[n].deprecated = choice[3 * n + 2] == 1;
        }
        // If the policy does not retire deprecated images, a case with deprecated images repeats the case without
        // them.
        let deprecated = (0..3).any(|n| choice[3 * n + 2] == 1);
        if choice[11] == 1 || !deprecated {
            differences.compare(&world);
        }
    });
    differences.end(90_000);
}

#[test]
fn n2_two_policies_on_one_image_agree_as_in_the_model() {
    let mut differences = Differences::default();
    let names = [
        ["a1", "a2", "a3"],
        ["b1", "b2", "b3"],
        ["ab1", "ab2", "ab3"],
    ];
    // The choices: how each image is shared, whose it is, what the first policy says about it, and the rules of both
    // policies.
    let sizes = [3, 3, 3, 3, 3, 3, 4, 3, 3];
    let mut turn = 0;
    each_choice(&sizes, &mut |choice| {
        turn += 1;
        let mut world = World::new(NOW);
        let rules = [
            ((1, 1, 0), (1, 0, 5)),
            ((1, 0, 72), (2, 1, 0)),
            ((2, 2, 0), (1, 1, 0)),
            ((1, 0, 0), (2, 2, 5)),
        ];
        let (first, second) = rules[turn % rules.len()];
        for ((newest, minimum, hours), letter) in [(first, 'a'), (second, 'b')] {
            let name = if letter == 'a' { "a" } else { "b" };
            let mut policy = Policy::new(name, letter, newest, minimum);
            policy.unshare_after = hours * HOUR;
            world.policies.push(policy);
        }
        let words = [Word::Nothing, Word::Excluded, Word::Revoked];
        for n in 0..3 {
            let name = names[choice[3 * n + 1]][n];
            let hours = 30 - 10 * i64::try_from(n).expect("small");
            let state = [SHORT[choice[3 * n] % 3], STATES[choice[3 * n] + 1]][n / 2];
            let id = add(&mut world, name, hours, state);
            speak(&mut world, id, name, words[choice[3 * n + 2]]);
        }
        differences.compare(&world);
    });
    differences.end(75_000);
}

/// The copy of a version in the other region.
#[derive(Clone, Copy, Debug)]
enum Copy {
    Missing,
    /// The copy was made this number of hours before the image in region 0.
    Earlier(i64),
    Unfit,
    Shared,
}

#[test]
fn n4_copies_elsewhere_and_what_is_remembered_count_as_in_the_model() {
    let copies = [Copy::Missing, Copy::Earlier(40), Copy::Unfit, Copy::Shared];
    let mut differences = Differences::default();
    // The choices for each image: how it is shared, its copy, and whether its age is remembered. Then: whether the
    // other region is seen, its availability, and the soak.
    let sizes = [6, 4, 2, 4, 4, 2, 2, 2, 1, 2, 2, 2];
    each_choice(&sizes, &mut |choice| {
        let mut world = World::new(NOW);
        let mut policy = Policy::new("a", 'a', 1, 1);
        policy.available_everywhere = choice[10] == 1;
        policy.min_age = [0, 15][choice[11]] * HOUR;
        world.policies.push(policy);
        let mut there = Region::default();
        for (n, name) in ["a1", "a2", "a3"].into_iter().enumerate() {
            let hours = 30 - 10 * i64::try_from(n).expect("small");
            let state = [STATES[choice[3 * n]], SHORT[choice[3 * n] % 3]][n / 2];
            let id = add(&mut world, name, hours, state);
            let created = NOW - hours * HOUR;
            let key = ("a", name.to_owned());
            match choice[3 * n + 2] {
                1 => {
                    let clock = world.memory.versions.entry(key).or_default();
                    clock.age = Some(created - 20 * HOUR);
                }
                _ => {
                    if let Some(clock) = world.memory.versions.get_mut(&key) {
                        clock.age = None;
                    }
                }
            }
            let mut image = Image::new(id, name, created + HOUR);
            match copies[choice[3 * n + 1]] {
                Copy::Missing => continue,
                Copy::Earlier(hours) => image.created = Some(created - hours * HOUR),
                Copy::Unfit => image.eligible = false,
                Copy::Shared => image.share = Some(Share::Normal),
            }
            there.images.push(image);
        }
        world.regions.push((choice[9] == 0).then_some(there));
        differences.compare(&world);
    });
    differences.end(90_000);
}

#[test]
fn n1_names_mean_what_they_mean_in_the_model() {
    let mut differences = Differences::default();
    let names = ["a1", "n", "m"];
    let asks = [Ask::Shared, Ask::Unshared, Ask::SharedUntil(NOW - HOUR)];
    // The choices for each image: its name and how it is shared. Then: what `n` asks for and last meant, what an
    // entry with the first id says, and whether there is a policy.
    let sizes = [3, 3, 3, 3, 3, 3, 3, 4, 3, 2];
    each_choice(&sizes, &mut |choice| {
        let mut world = World::new(NOW);
        if choice[9] == 1 {
            world.policies.push(Policy::new("a", 'a', 1, 1));
        }
        for n in 0..3 {
            let hours = 30 - 10 * i64::try_from(n).expect("small");
            let state = [STATES[0], STATES[3], STATES[4]][choice[2 * n + 1]];
            add(&mut world, names[choice[2 * n]], hours, state);
        }
        world.entries.push(Entry {
            by: By::Name("n"),
            ask: asks[choice[6]],
            protect: false,
        });
        if choice[7] > 0 {
            let id = u8::try_from(choice[7] - 1).expect("small");
            world.memory.names.insert("n", id);
        }
        if choice[8] > 0 {
            world.entries.push(Entry {
                by: By::Id(0),
                ask: asks[choice[8] - 1],
                protect: false,
            });
        }
        differences.compare(&world);
    });
    differences.end(90_000);
}

#[test]
fn n2_versions_of_several_images_go_together_as_in_the_model() {
    let mut differences = Differences::default();
    let words = [Word::Nothing, Word::Excluded, Word::Declared(Ask::Unshared)];
    // The choices: how each image is shared, with what the documents say about the first image of each version. Then:
    // `newest` and the soak.
    let sizes = [6, 3, 6, 6, 3, 6, 2, 2];
    each_choice(&sizes, &mut |choice| {
        let mut world = World::new(NOW);
        let mut policy = Policy::new("a", 'a', 1 + choice[6], 1);
        policy.grouped = true;
        policy.min_age = [0, 15][choice[7]] * HOUR;
        world.policies.push(policy);
        let images = [
            ("a1", 30, choice[0], choice[1]),
            ("a1+arm", 12, choice[2], 0),
            ("a2", 20, choice[3], choice[4]),
            ("a2+arm", 5, choice[5], 0),
        ];
        for (name, hours, state, word) in images {
            let id = add(&mut world, name, hours, STATES[state]);
            speak(&mut world, id, name, words[word]);
        }
        differences.compare(&world);
    });
    differences.end(90_000);
}

#[test]
fn n2_revocations_pins_and_cvm_are_as_in_the_model() {
    let mut differences = Differences::default();
    let ats = [None, Some(NOW - HOUR), Some(NOW + HOUR / 2)];
    let replacements = [None, Some("a3"), Some("x9"), Some("gone")];
    // The choices: how each image is shared; the time, the replacement and the force of the revocation of the second;
    // whether an entry protects it; the end of the pin of the third; whether CVM answers; the clocks.
    let sizes = [3, 3, 5, 2, 3, 4, 2, 3, 3, 2, 2];
    each_choice(&sizes, &mut |choice| {
        let mut world = World::new(NOW);
        world.api_ahead = [0, HOUR][choice[10]];
        let mut policy = Policy::new("a", 'a', 1, 1);
        policy.asks_family = true;
        policy.revokes.push(Revoke {
            name: "a2",
            at: ats[choice[4]],
            replacement: replacements[choice[5]],
            force: choice[6] == 1,
        });
        if choice[8] > 0 {
            policy.pins.push(Pin {
                names: vec!["a3"],
                until: ats[choice[8]],
            });
        }
        world.policies.push(policy);
        let others = [STATES[0], STATES[2]][choice[3]];
        let states = [
            ("a1", 30, SHORT[choice[0]]),
            ("a2", 20, SHORT[choice[1]]),
            ("a3", 10, STATES[choice[2]]),
            ("x9", 5, others),
        ];
        for (name, hours, state) in states {
            add(&mut world, name, hours, state);
        }
        if choice[7] > 0 {
            world.entries.push(Entry {
                by: By::Id(1),
                ask: Ask::Shared,
                protect: choice[7] == 2,
            });
        }
        let region = world.regions[0].as_mut().expect("seen");
        region.cvm_fails = choice[9] == 1;
        if choice[9] == 0 || choice[7] == 0 {
            differences.compare(&world);
        }
    });
    differences.end(90_000);
}

#[test]
fn n4_a_region_that_is_not_seen_teaches_nothing() {
    let mut world = World::new(NOW);
    world.policies.push(Policy::new("a", 'a', 1, 1));
    world.memory = Remembered {
        names: [("n", 0)].into(),
        versions: [(
            ("a", "a1".to_owned()),
            Clock {
                age: Some(NOW - HOUR),
                stands_since: Some(NOW),
            },
        )]
        .into(),
    };
    world.regions[0] = None;
    let mut differences = Differences::default();
    differences.compare(&world);
    differences.end(0);
}
