//! Compares the planner with a model of what the contract asks for, over every small case that both can
//! express. The model was written without knowledge of the planner's code, so that the two do not share bugs.

#![allow(clippy::print_stdout, reason = "says how much was tried")]

mod reference;
mod terms;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use reference::{Expected, Image, Own, Prune, Rules, Shows, Want, Why, expected, named};
use sharekeeper::desired::{DesiredImage, Source};
use sharekeeper::inventory::{Declaration, Inventory, OwnedShare, OwnershipState, update};
use sharekeeper::model::{Cause, Clocks, ImageId, Permission, ShareState};
use sharekeeper::observation::Observation;
use sharekeeper::plan::{Actual, Decision, Plan, Policy, Verdict};
use terms::{AHEAD, Setting, Wanted, said, used};

/// The images that are shared once every call of the plan has succeeded, as bits.
fn applied(plan: &Plan, shared: u16, ids: &[ImageId]) -> u16 {
    plan.actions().fold(shared, |shared, (id, permission, _)| {
        let image = 1 << ids.iter().position(|known| known == id).expect("known");
        match permission {
            Permission::Share => shared | image,
            Permission::Cancel => shared & !image,
        }
    })
}

/// S15: equal inputs give equal plans, down to the text of the reasons.
fn assert_same(a: &Plan, b: &Plan) {
    let same = a.decisions.len() == b.decisions.len()
        && a.decisions
            .iter()
            .zip(&b.decisions)
            .all(|((ia, da), (ib, db))| ia == ib && parts(da) == parts(db));
    assert!(same && a.unmanaged == b.unmanaged, "{a:?} and {b:?}");
}

fn parts(decision: &Decision) -> (ShareState, Cause, Option<&Source>, &Actual, &Verdict) {
    let Decision {
        desired,
        cause,
        source,
        actual,
        verdict,
        until: _,
        name: _,
        entry: _,
    } = decision;
    (*desired, *cause, source.as_ref(), actual, verdict)
}

/// Every input that can be stated about three images. It is built once, because each case needs it.
struct Three<'a> {
    setting: &'a Setting,
    wanted: Vec<Wanted<'a>>,
    observations: Vec<Observation>,
    inventory: Vec<Inventory>,
}

/// What a manifest can say about one image, with its `protect`.
const WANTS: [(Want, bool); 8] = [
    (Want::Shared, false),
    (Want::Shared, true),
    (Want::Unshared, false),
    (Want::Unshared, true),
    (Want::Expired, false),
    (Want::Expired, true),
    (Want::Contested, false),
    (Want::Nothing, false),
];

/// Number of inventory records that one image can have: see [`to_digit`].
const MEMORIES: usize = 12;

/// The digits of `number` in base `base`, the lowest digit first.
fn digits(number: usize, base: usize) -> [usize; 3] {
    [
        number % base,
        number / base % base,
        number / base / base % base,
    ]
}

impl<'a> Three<'a> {
    fn new(setting: &'a Setting, declared: &'a [Option<DesiredImage>]) -> Self {
        let wanted = (0..WANTS.len().pow(3)).map(|number| {
            let images = digits(number, WANTS.len())
                .into_iter()
                .zip(&setting.ids)
                .filter_map(|(want, id)| Some((id, declared[want].as_ref()?)));
            images.collect()
        });
        let observations = (0..8 * 4).map(|number: usize| {
            let shared = (0..3).filter(|n| number & (1 << n) != 0);
            let used = (number / 8).checked_sub(1);
            Observation::Seen(setting.seen(shared, used.into_iter()))
        });
        let inventory = (0..4 * MEMORIES.pow(3)).map(|number| {
            let digits = digits(number, MEMORIES).into_iter().enumerate();
            let records = digits.map(|(n, digit)| setting.record(n, &of_digit(digit)));
            let suspended = number / MEMORIES.pow(3);
            Inventory {
                images: setting
                    .ids
                    .iter()
                    .zip(records)
                    .filter_map(|(id, record)| Some((id.clone(), record?)))
                    .collect(),
                open_intents: BTreeMap::new(),
                suspensions: suspended
                    .checked_sub(1)
                    .map(|image| setting.suspension(image))
                    .into_iter()
                    .collect(),
                ..Inventory::default()
            }
        });
        Self {
            setting,
            wanted: wanted.collect(),
            observations: observations.collect(),
            inventory: inventory.collect(),
        }
    }

    fn plan(&self, rules: &Rules, images: &[Image; 3], shared: u16) -> Plan {
        let want = |i: &Image| {
            let is = |w: &(Want, bool)| w.0 == i.want && (w.1 == i.protected || !named(i));
            WANTS.iter().position(is).expect("one of them")
        };
        let number = |base, of: &dyn Fn(&Image) -> usize| {
            images.iter().rev().fold(0, |sum, i| sum * base + of(i))
        };
        let suspended = images.iter().position(|i| i.suspended).map_or(0, |n| n + 1);
        let used = used(images).next().map_or(0, |n| n + 1);
        self.setting.plan(
            rules,
            &self.wanted[number(WANTS.len(), &want)],
            &self.observations[usize::from(shared) + 8 * used],
            &self.inventory[number(MEMORIES, &to_digit) + suspended * MEMORIES.pow(3)],
        )
    }
}

/// The inventory record of an image, as a number below [`MEMORIES`].
fn to_digit(image: &Image) -> usize {
    image.own as usize + 3 * usize::from(image.protected) + 6 * usize::from(image.parked)
}

fn of_digit(digit: usize) -> Image {
    let own = [Own::No, Own::Proven, Own::Probable][digit % 3];
    Image {
        want: Want::Nothing,
        shared: false,
        own,
        settled: own != Own::No,
        protected: digit / 3 % 2 == 1,
        suspended: false,
        parked: digit / 6 == 1,
        shows: Shows::Usable,
        foreign: false,
        in_use: false,
        written: None,
    }
}

/// Every state of one image that is neither suspended nor parked.
fn states() -> Vec<Image> {
    let mut states = Vec::new();
    for want in [Want::Shared, Want::Unshared, Want::Expired, Want::Nothing] {
        for own in [Own::No, Own::Proven, Own::Probable] {
            for (shared, protected) in [(false, false), (false, true), (true, false), (true, true)]
            {
                // The inventory has no record of an image that is neither declared nor ours, so that it cannot be
                // protected.
                if want == Want::Nothing && own == Own::No && protected {
                    continue;
                }
                states.push(Image {
                    want,
                    shared,
                    own,
                    settled: own != Own::No,
                    protected,
                    suspended: false,
                    parked: false,
                    shows: Shows::Usable,
                    foreign: false,
                    in_use: false,
                    written: None,
                });
            }
        }
    }
    // Where the clocks disagree, the planner considers nothing except whether the share is missing.
    for own in [Own::No, Own::Proven] {
        states.extend([false, true].map(|shared| image(Want::Contested, shared, own)));
    }
    states
}

fn rules() -> Vec<Rules> {
    let plain = Rules {
        seen: true,
        prune: Prune::None,
        max_cancels: 10,
        percent: 25,
        accept_lost: 0,
        shares_only: false,
        loss_is_new: false,
        uses_unknown: false,
    };
    let mut all = vec![Rules {
        seen: false,
        prune: Prune::Exclusive,
        ..plain
    }];
    for prune in [Prune::None, Prune::Owned, Prune::Exclusive] {
        for (max_cancels, percent) in [(0, 100), (1, 25), (10, 25)] {
            all.push(Rules {
                prune,
                max_cancels,
                percent,
                ..plain
            });
        }
        all.push(Rules {
            prune,
            max_cancels: 1,
            shares_only: true,
            ..plain
        });
        all.push(Rules {
            prune,
            accept_lost: 2,
            loss_is_new: true,
            ..plain
        });
        all.push(Rules {
            prune,
            uses_unknown: true,
            ..plain
        });
    }
    all
}

/// Which image is suspended, which is parked, and which is in use, by index.
const HANDS: [[Option<usize>; 3]; 21] = [
    [None, Some(0), None],
    [None, Some(1), None],
    [None, Some(2), None],
    [Some(0), None, None],
    [Some(1), None, None],
    [Some(2), None, None],
    [Some(0), Some(0), None],
    [Some(1), Some(1), None],
    [Some(2), Some(2), None],
    [Some(0), Some(1), None],
    [Some(1), Some(2), None],
    [Some(2), Some(0), None],
    [Some(0), Some(2), None],
    [Some(1), Some(0), None],
    [Some(2), Some(1), None],
    [None, None, Some(0)],
    [None, None, Some(1)],
    [None, None, Some(2)],
    [Some(0), None, Some(0)],
    [Some(1), None, Some(1)],
    [Some(2), None, Some(2)],
];

const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

#[test]
fn s1_s7_s15_the_planner_agrees_with_the_model_in_all_small_cases() {
    let setting = Setting::new(3);
    let declared = WANTS.map(|(want, protect)| setting.declared(want, protect));
    let three = Three::new(&setting, &declared);
    let (states, rules) = (states(), rules());
    let (next, cases) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let first = next.fetch_add(1, Ordering::Relaxed);
                    if first >= states.len() {
                        break;
                    }
                    let n = all_with(&three, &states, first, &rules);
                    cases.fetch_add(n, Ordering::Relaxed);
                }
            });
        }
    });
    let cases = cases.into_inner();
    println!("{cases} cases");
    assert!(cases >= 1_000_000, "{cases}");
}

/// Tries all cases whose lowest state is `first`, and returns their number. Images are interchangeable: each
/// set of three states is tried in one order only, and different sets use different orders. Suspended, parked
/// and used images are judged separately from the others, so that fewer rules suffice for these cases.
fn all_with(three: &Three<'_>, states: &[Image], first: usize, rules: &[Rules]) -> usize {
    let with_hands: Vec<_> = rules.iter().filter(|r| r.max_cancels == 1).collect();
    let with_two: Vec<_> = with_hands.iter().filter(|r| !r.shares_only).collect();
    let (mut cases, mut model) = (0, Vec::new());
    for second in first..states.len() {
        for third in second..states.len() {
            let order = ORDERS[(first + second + third) % ORDERS.len()];
            let mut images = [states[first]; 3];
            for (place, state) in order.into_iter().zip([first, second, third]) {
                images[place] = states[state];
            }
            for rules in rules {
                let plan = agree(three, rules, &images, &mut model);
                assert_pure(three, rules, &images, &plan);
                cases += 1;
            }
            for [suspended, parked, used] in HANDS {
                // A server can only be started from a shared image.
                if used.is_some_and(|n| !images[n].shared) {
                    continue;
                }
                for (n, image) in images.iter_mut().enumerate() {
                    (image.suspended, image.parked) = (suspended == Some(n), parked == Some(n));
                    image.in_use = used == Some(n);
                }
                let two = [suspended, parked, used].into_iter().flatten().count() == 2;
                let rules: &mut dyn Iterator<Item = _> = match two && suspended != parked {
                    true => &mut with_two.iter().copied(),
                    false => &mut with_hands.iter(),
                };
                for rules in rules {
                    agree(three, rules, &images, &mut model);
                    cases += 1;
                }
            }
        }
    }
    cases
}

/// Which of the images are shared, as bits.
fn bits(images: &[Image]) -> u16 {
    images
        .iter()
        .rev()
        .fold(0, |bits, image| bits << 1 | u16::from(image.shared))
}

/// Asserts that the planner decides what the model expects, and returns the plan.
fn agree(three: &Three<'_>, rules: &Rules, images: &[Image; 3], model: &mut Vec<Expected>) -> Plan {
    let plan = three.plan(rules, images, bits(images));
    expected(rules, images, model);
    for (id, expected) in three.setting.ids.iter().zip(model.iter()) {
        let said = said(plan.decisions.get(id));
        assert_eq!(said, *expected, "{id} of {images:#?} under {rules:?}");
    }
    let in_use = images.iter().zip(model.iter()).filter(|(image, expected)| {
        image.in_use && **expected == Expected::Cancel(Cause::Declared)
    });
    assert_eq!(plan.in_use.len(), in_use.count(), "{images:#?}, {rules:?}");
    plan
}

/// S15: equal inputs give equal plans, and a plan that was carried out leaves no action for the next one.
fn assert_pure(three: &Three<'_>, rules: &Rules, images: &[Image; 3], plan: &Plan) {
    let shared = bits(images);
    assert_same(plan, &three.plan(rules, images, shared));
    assert_ends(plan, shared, &three.setting.ids, |shared| {
        three.plan(rules, images, shared)
    });
}

/// S15: a plan that was carried out leaves no action for the next one. Returns whether a second plan was
/// needed, because a guard stopped withholding.
fn assert_ends(plan: &Plan, shared: u16, ids: &[ImageId], again: impl Fn(u16) -> Plan) -> bool {
    let after = applied(plan, shared, ids);
    if after == shared {
        return false;
    }
    let next = again(after);
    if next.actions().count() == 0 {
        return false;
    }
    assert!(relents(plan), "{plan:#?} leads to {next:#?}");
    let end = again(applied(&next, after, ids));
    assert_eq!(end.actions().count(), 0, "{next:#?} leads to {end:#?}");
    true
}

/// Whether the plan has SHAREs while a guard on the scope withholds its CANCELs. These SHAREs can change what
/// the guard measures: a lost share is restored, or the percentage has a larger base. The next plan then has
/// the CANCELs.
fn relents(plan: &Plan) -> bool {
    let shares = |d: &Decision| d.verdict == Verdict::Act && d.desired == ShareState::Shared;
    let guarded = |d: &Decision| {
        matches!(
            said(Some(d)),
            Expected::LookAgain | Expected::Withheld(Why::Lost | Why::TooMany)
        )
    };
    plan.decisions.values().any(shares) && plan.decisions.values().any(guarded)
}

/// A number of images that is large enough for the guards on percentages and losses.
const MANY: usize = 12;

fn image(want: Want, shared: bool, own: Own) -> Image {
    Image {
        want,
        shared,
        own,
        settled: own != Own::No,
        protected: false,
        suspended: false,
        parked: false,
        shows: Shows::Usable,
        foreign: false,
        in_use: false,
        written: None,
    }
}

/// Kinds of images that a scope is made of.
fn kinds() -> [[Image; 6]; 3] {
    let usual = [
        image(Want::Shared, true, Own::Proven),
        image(Want::Shared, false, Own::Proven),
        image(Want::Shared, false, Own::No),
        image(Want::Unshared, true, Own::No),
        image(Want::Nothing, true, Own::Proven),
        image(Want::Nothing, true, Own::No),
    ];
    let odd = [
        image(Want::Unshared, false, Own::Proven),
        image(Want::Nothing, false, Own::Proven),
        image(Want::Shared, false, Own::No),
        image(Want::Expired, true, Own::Proven),
        image(Want::Nothing, true, Own::Proven),
        image(Want::Nothing, true, Own::Probable),
    ];
    let used = [
        image(Want::Shared, true, Own::Proven),
        image(Want::Shared, false, Own::Proven),
        image(Want::Nothing, true, Own::Proven),
        in_use(Want::Nothing, Own::Proven),
        in_use(Want::Expired, Own::Proven),
        in_use(Want::Unshared, Own::No),
    ];
    [usual, odd, used]
}

fn in_use(want: Want, own: Own) -> Image {
    Image {
        in_use: true,
        ..image(want, true, own)
    }
}

/// Every way to divide `left` images among so many kinds.
fn compositions(
    left: usize,
    kinds: usize,
    counts: &mut Vec<usize>,
    each: &mut dyn FnMut(&[usize]),
) {
    if counts.len() + 1 == kinds {
        counts.push(left);
        each(counts);
        counts.pop();
        return;
    }
    for count in 0..=left {
        counts.push(count);
        compositions(left - count, kinds, counts, each);
        counts.pop();
    }
}

fn rules_for_many() -> Vec<Rules> {
    let mut all = Vec::new();
    for prune in [Prune::Owned, Prune::Exclusive] {
        for (max_cancels, percent, accept_lost) in
            [(10, 25, 0), (10, 100, 0), (3, 25, 0), (10, 25, 5)]
        {
            all.push(Rules {
                seen: true,
                prune,
                max_cancels,
                percent,
                accept_lost,
                shares_only: false,
                loss_is_new: false,
                uses_unknown: false,
            });
        }
    }
    all
}

/// A scope of any size, built anew for each case.
struct Scene {
    declared: Vec<Option<DesiredImage>>,
    inventory: Inventory,
}

impl Scene {
    fn new(setting: &Setting, images: &[Image]) -> Self {
        let records = setting.ids.iter().zip(images);
        Self {
            declared: images
                .iter()
                .map(|image| setting.declared(image.want, image.protected))
                .collect(),
            inventory: Inventory {
                images: records
                    .enumerate()
                    .filter_map(|(n, (id, image))| Some((id.clone(), setting.record(n, image)?)))
                    .collect(),
                ..Inventory::default()
            },
        }
    }

    fn wanted<'a>(&'a self, setting: &'a Setting) -> Wanted<'a> {
        let images = setting.ids.iter().zip(&self.declared);
        let images = images.filter_map(|(id, image)| Some((id, image.as_ref()?)));
        images.collect()
    }
}

fn shared(images: &[Image]) -> impl Iterator<Item = usize> {
    let images = images.iter().enumerate();
    images.filter(|(_, image)| image.shared).map(|(n, _)| n)
}

#[test]
fn a4_s7_s15_the_planner_agrees_with_the_model_on_caps_and_losses() {
    let setting = Setting::new(MANY);
    let rules = rules_for_many();
    let (mut cases, mut relented, mut model) = (0, 0, Vec::new());
    for kinds in kinds() {
        compositions(MANY, kinds.len(), &mut Vec::new(), &mut |counts| {
            let images: Vec<_> = kinds
                .iter()
                .zip(counts)
                .flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count))
                .collect();
            let scene = Scene::new(&setting, &images);
            let wanted = scene.wanted(&setting);
            let bits = bits(&images);
            for rules in &rules {
                let plan_of = |bits: u16| {
                    let shared = (0..MANY).filter(|n| bits & (1 << n) != 0);
                    let seen = setting.seen(shared, used(&images));
                    setting.plan(rules, &wanted, &Observation::Seen(seen), &scene.inventory)
                };
                let plan = plan_of(bits);
                expected(rules, &images, &mut model);
                for (id, expected) in setting.ids.iter().zip(&model) {
                    let said = said(plan.decisions.get(id));
                    assert_eq!(
                        said, *expected,
                        "{id} of {counts:?} {kinds:#?} under {rules:?}"
                    );
                }
                cases += 1;
                relented += usize::from(assert_ends(&plan, bits, &setting.ids, plan_of));
            }
        });
    }
    println!("{cases} cases, in {relented} of them a guard relents");
    assert!(cases >= 140_000, "{cases}");
}

/// An inventory record of a share: its owner, its blueprint if that is known, whether an observation
/// confirmed it, and whether we cancelled it.
type Past = Option<(OwnershipState, Option<&'static str>, bool, bool)>;

/// Every inventory record of one image. An image that is observed as shared has the blueprint `lhbp-1`.
fn pasts() -> Vec<Past> {
    let mut pasts = vec![None];
    for cancelled in [false, true] {
        for standing in [
            OwnershipState::Acknowledged,
            OwnershipState::Adopted,
            OwnershipState::Probable,
        ] {
            for blueprint in ["lhbp-1", "lhbp-0"] {
                for confirmed in [false, true] {
                    pasts.push(Some((standing, Some(blueprint), confirmed, cancelled)));
                }
            }
            pasts.push(Some((standing, None, false, cancelled)));
        }
    }
    pasts
}

/// The image after an observation was applied to its record. A different blueprint may be the share of
/// somebody else, and a cancelled share that is not observed is gone. Only a share that was observed, then or
/// now, can be missing.
fn after_an_observation(past: Past, image: &Image) -> Image {
    let Some((ownership, blueprint, confirmed, cancelled)) = past else {
        return *image;
    };
    let another = image.shared && blueprint == Some("lhbp-0");
    let gone = !image.shared && cancelled;
    let own = match ownership {
        _ if gone => Own::No,
        _ if another => Own::Disputed,
        OwnershipState::Acknowledged | OwnershipState::Adopted => Own::Proven,
        OwnershipState::Probable => Own::Probable,
    };
    Image {
        own,
        settled: own != Own::No && (confirmed || image.shared && !another) && !cancelled,
        ..*image
    }
}

/// The inventory that records `past` and then has an observation of `images` applied.
fn updated_inventory(setting: &Setting, scene: &Scene, past: Past, images: &[Image]) -> Inventory {
    let mut inventory = scene.inventory.clone();
    if let Some((ownership, blueprint, confirmed, cancelled)) = past {
        let first = images[0];
        let owned = OwnedShare {
            ownership,
            since: setting.now,
            blueprint: blueprint.map(str::to_owned),
            confirmed,
            missing_since: None,
            disputed_since: None,
            cancelled,
        };
        let record = inventory.images.entry(setting.ids[0].clone()).or_default();
        record.owned = Some(owned);
        // The record says the opposite of the manifest, so that a case fails if the record wins.
        record.protected = first.protected != named(&first);
    }
    let observed_at = setting.now + chrono::TimeDelta::minutes(1);
    let clocks = Clocks::new(observed_at, AHEAD);
    let declared = setting.ids.iter().zip(&scene.declared);
    let names = declared.filter_map(|(id, image)| {
        let image = image.as_ref()?;
        let (desired, other) = clocks.ask(|now| image.share.at(now).0);
        let named = Declaration {
            desired: other.is_none().then_some(desired),
            protected: Some(image.protect),
        };
        Some((id, named))
    });
    let (names, seen) = (names.collect(), setting.seen(shared(images), used(images)));
    let terms = (0, Policy::DEFAULT.trust_acknowledged);
    inventory.apply(&update(&inventory, &seen, &names, terms, observed_at));
    assert_eq!(
        update(&inventory, &seen, &names, terms, observed_at),
        [],
        "S17"
    );
    inventory
}

#[test]
fn d11_s1_s10_what_an_observation_updates_decides_what_may_be_pruned() {
    let setting = Setting::new(8);
    let (mut cases, mut model) = (0, Vec::new());
    let kept = image(Want::Shared, true, Own::Proven);
    let lost = image(Want::Shared, false, Own::Proven);
    let dropped = image(Want::Nothing, true, Own::Proven);
    // Others: none; and enough that the image alone decides whether too many shares are lost.
    let others = [
        vec![],
        vec![lost, dropped],
        vec![lost, lost, kept, kept, kept, kept, dropped],
    ];
    let wants = [
        Want::Shared,
        Want::Unshared,
        Want::Expired,
        Want::Contested,
        Want::Nothing,
    ];
    let flags = [(false, false), (false, true), (true, false), (true, true)];
    let firsts = wants.into_iter().flat_map(|want| {
        flags.map(|(shared, protected)| Image {
            protected,
            ..image(want, shared, Own::No)
        })
    });
    for (first, others) in firsts.flat_map(|first| others.each_ref().map(|others| (first, others)))
    {
        let mut images = vec![first];
        images.extend(others);
        let scene = Scene::new(&setting, &images);
        let wanted = scene.wanted(&setting);
        for past in pasts() {
            images[0] = after_an_observation(past, &first);
            let inventory = updated_inventory(&setting, &scene, past, &images);
            let seen = Observation::Seen(setting.seen(shared(&images), used(&images)));
            for rules in rules() {
                let plan = setting.plan(&rules, &wanted, &seen, &inventory);
                expected(&rules, &images, &mut model);
                for (id, expected) in setting.ids.iter().zip(&model) {
                    let said = said(plan.decisions.get(id));
                    assert_eq!(said, *expected, "{id} of {images:#?}, {past:?}, {rules:?}");
                }
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases >= 20_000, "{cases}");
}

/// Asserts under each of the rules that the planner decides about `images` what the model expects. Returns
/// the number of rules, and the decisions.
fn agree_on(setting: &Setting, images: &[Image]) -> (usize, Vec<Expected>) {
    let scene = Scene::new(setting, images);
    let wanted = scene.wanted(setting);
    let seen = Observation::Seen(setting.seen_as(images));
    let (mut model, mut heard, rules) = (Vec::new(), Vec::new(), rules());
    for rules in &rules {
        let plan = setting.plan(rules, &wanted, &seen, &scene.inventory);
        expected(rules, images, &mut model);
        for (id, expected) in setting.ids.iter().zip(&model) {
            let said = said(plan.decisions.get(id));
            assert_eq!(said, *expected, "{id} of {images:#?} under {rules:?}");
            heard.push(said);
        }
    }
    (rules.len(), heard)
}

/// Two images take every kind of blueprint, own or foreign, while other images make the percentage matter.
#[test]
fn c13_t4_t8_s1_s7_only_usable_blueprints_of_own_images_are_shares() {
    let setting = Setting::new(14);
    let mut cases = 0;
    let mut kinds = Vec::new();
    for want in [Want::Shared, Want::Unshared, Want::Expired, Want::Nothing] {
        for own in [Own::No, Own::Proven] {
            for shows in [Shows::Usable, Shows::Syncing, Shows::Failed] {
                kinds.extend([false, true].map(|foreign| Image {
                    shows,
                    foreign,
                    ..image(want, true, own)
                }));
            }
        }
    }
    let stranger = Image {
        foreign: true,
        ..image(Want::Nothing, true, Own::No)
    };
    let kept = image(Want::Shared, true, Own::Proven);
    // Others: none; enough for a percentage; and foreign images that would be enough if they counted.
    let others = [vec![], vec![kept; 8], vec![stranger; 12]];
    for (first, second) in kinds
        .iter()
        .flat_map(|a| kinds.iter().map(move |b| (*a, *b)))
    {
        for others in &others {
            let mut images = vec![first, second];
            images.extend(others);
            cases += agree_on(&setting, &images).0;
        }
    }
    println!("{cases} cases");
    assert!(cases >= 20_000, "{cases}");
}

/// Two images have every kind of recently acknowledged write, alone and among others.
#[test]
fn c3_s4_a_recent_write_is_awaited_in_both_directions() {
    let setting = Setting::new(5);
    let (mut cases, mut awaited) = (0, 0);
    let mut kinds = Vec::new();
    for want in [
        Want::Shared,
        Want::Unshared,
        Want::Expired,
        Want::Contested,
        Want::Nothing,
    ] {
        for own in [Own::No, Own::Proven] {
            for written in [None, Some(true), Some(false)] {
                kinds.extend([false, true].map(|shared| Image {
                    written,
                    settled: own != Own::No
                        && match written {
                            None => true,
                            Some(true) => shared,
                            Some(false) => false,
                        },
                    ..image(want, shared, own)
                }));
            }
        }
    }
    let others = [vec![], vec![image(Want::Shared, true, Own::Proven); 3]];
    for (first, second) in kinds
        .iter()
        .flat_map(|a| kinds.iter().map(move |b| (*a, *b)))
    {
        for others in &others {
            let mut images = vec![first, second];
            images.extend(others);
            let (count, said) = agree_on(&setting, &images);
            cases += count;
            awaited += said.iter().filter(|said| **said == Expected::Await).count();
        }
    }
    println!("{cases} cases, {awaited} images awaited");
    assert!(cases >= 100_000 && awaited >= 10_000, "{cases}, {awaited}");
}
