//! Translates the worlds of the reference model into the types of the product, and compares the decisions of the
//! product with those of the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use chrono::TimeDelta;
use sharekeeper::desired::{
    Availability, DesiredShare, ImageMatch, NameRegex, Policy as RealPolicy,
};
use sharekeeper::inventory::{VersionClock, VersionKey};
use sharekeeper::model::{Clocks, Glob, ImageId, Region as RealRegion, Timestamp};
use sharekeeper::observation::{CvmImage, CvmImages, OwnImage};
use sharekeeper::resolve::{RegionView, Resolution};

use super::reference::{self, Expected, Outcome};
use super::setup::{self, Effect, Setup};
use super::world::{Ask, By, Image, Policy, Region, Share, World};

/// The product's regions for the region numbers of the model, in order.
static REGIONS: LazyLock<Vec<RealRegion>> = LazyLock::new(|| {
    let names = ["ap-tokyo", "eu-frankfurt", "na-ashburn"];
    names.map(setup::region).into()
});

/// A `nameRegex`, by letter, for policies whose versions have several images.
static GROUPED: LazyLock<BTreeMap<char, NameRegex>> = LazyLock::new(|| {
    let regex = |letter| {
        let text = format!(r"(?<version>[^+]*{letter}[^+]*)(\+.*)?");
        (letter, NameRegex::new(&text).expect("an expression"))
    };
    ['a', 'b'].map(regex).into()
});

static IDS: LazyLock<Vec<ImageId>> = LazyLock::new(|| {
    let ids = 0..IDS_MAX;
    ids.map(|n| setup::id(&format!("img-{n}"))).collect()
});

/// The number of images for which an id exists.
pub(crate) const IDS_MAX: usize = 100;

/// The product's id for an image of the model in region 0.
pub(crate) fn image_id(id: u8) -> ImageId {
    IDS[usize::from(id)].clone()
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).expect("a date")
}

fn real_policy(policy: &Policy, regions: usize) -> RealPolicy {
    let small = |number: usize| u32::try_from(number).expect("small");
    let mut real = setup::policy(
        policy.name,
        "*",
        small(policy.newest),
        small(policy.minimum),
    );
    real.regions = REGIONS[..regions].iter().copied().collect();
    let regex = policy.grouped.then(|| GROUPED[&policy.letter].clone());
    real.matches = ImageMatch {
        name: (!policy.grouped).then(|| Glob::new(&format!("*{}*", policy.letter))),
        name_regex: regex,
        family: policy.asks_family.then(|| Glob::new("golden")),
        ..ImageMatch::default()
    };
    real.retires_deprecated = policy.retires_deprecated;
    let excluded = policy.excluded.iter();
    real.exclude = excluded
        .map(|id| setup::exclude(image_id(*id).as_str()))
        .collect();
    real.min_age = TimeDelta::seconds(policy.min_age);
    if policy.available_everywhere {
        real.availability = Availability::All;
    }
    real.keep.unshare_after = TimeDelta::seconds(policy.unshare_after);
    let pins = policy.pins.iter();
    real.pins = pins
        .map(|pin| setup::pin(&pin.names, pin.until.map(time)))
        .collect();
    for revoke in &policy.revokes {
        let mut real_revoke = setup::revoke(revoke.name);
        real_revoke.at = revoke.at.map(time);
        real_revoke.replacement = revoke.replacement.map(setup::name);
        real_revoke.force = revoke.force;
        real.revocations.push(real_revoke);
    }
    real
}

fn real_image(image: &Image) -> OwnImage {
    let mut own = setup::own(image.name, time(0));
    own.created = image.created.map(time);
    own.eligibility = match (image.share, image.eligible) {
        (None, true) => own.eligibility,
        (None, false) => setup::unfit("CREATEFAILED"),
        (Some(_), _) => setup::unshareable(),
    };
    own
}

fn state_of(share: Share) -> &'static str {
    match share {
        Share::Normal | Share::Doubled => "NORMAL",
        Share::Syncing => "SYNCING",
        Share::Failed => "SYNCING_FAILED",
    }
}

/// The observation of a region. `suffix` becomes part of its image ids.
fn view(region: &Region, suffix: &str, asks_cvm: bool) -> RegionView {
    let id_of = |image: &Image| match suffix {
        "" => image_id(image.id),
        suffix => setup::id(&format!("img-{}{suffix}", image.id)),
    };
    let mut view = RegionView::default();
    let mut cvm = BTreeMap::new();
    for image in &region.images {
        let id = id_of(image);
        view.own.insert(id.clone(), real_image(image));
        if let Some(share) = image.share {
            let shown = setup::blueprint(&id, image.name, state_of(share));
            view.shared.insert(id.clone(), shown);
        }
        if asks_cvm {
            let row = CvmImage {
                family: image.in_family.then(|| "golden".into()),
                deprecated: image.deprecated,
                tags: BTreeMap::new(),
            };
            cvm.insert(id, row);
        }
    }
    view.cvm = match (asks_cvm, region.cvm_fails) {
        (false, _) => CvmImages::NotAsked,
        (true, true) => CvmImages::Unknown("UnauthorizedOperation".into()),
        (true, false) => CvmImages::Known(cvm),
    };
    view
}

/// Translates a world into the types of the product.
pub(crate) fn real(world: &World) -> Setup {
    let mut real = Setup::default();
    let asks_cvm = world.policies.iter().any(Policy::needs_cvm);
    let regions = world.regions.iter().zip(&*REGIONS).enumerate();
    for (n, (region, name)) in regions {
        match (n, region) {
            (0, None) => real.is_seen = false,
            (0, Some(region)) => {
                let view = view(region, "", asks_cvm);
                (real.own, real.seen.cvm, real.seen.shared) = (view.own, view.cvm, view.shared);
                let doubled = region.images.iter();
                let doubled = doubled.filter(|image| image.share == Some(Share::Doubled));
                real.seen.doubled = doubled
                    .map(|image| (image_id(image.id), Vec::new()))
                    .collect();
            }
            (_, None) => {}
            (n, Some(region)) => {
                let suffix = format!("r{n}");
                real.elsewhere
                    .insert(*name, view(region, &suffix, asks_cvm));
            }
        }
    }
    for entry in &world.entries {
        let share = match entry.ask {
            Ask::Shared => setup::SHARED,
            Ask::Unshared => DesiredShare::Unshared,
            Ask::SharedUntil(until) => DesiredShare::Shared {
                from: None,
                until: Some(time(until)),
            },
        };
        let mut declared = setup::entry(share);
        declared.protect = entry.protect;
        match entry.by {
            By::Id(id) => {
                real.entries.insert(image_id(id), declared);
            }
            By::Name(name) => {
                declared.name = Some(setup::name(name));
                declared.source.line = 20;
                real.names.insert(setup::name(name), declared);
            }
        }
    }
    let regions = world.regions.len();
    let policies = world.policies.iter();
    real.policies = policies
        .map(|policy| Arc::new(real_policy(policy, regions)))
        .collect();
    let memory = &mut real.inventory.memory;
    for (name, id) in &world.memory.names {
        memory.names.insert(setup::name(name), image_id(*id));
    }
    for ((policy, version), clock) in &world.memory.versions {
        let key = VersionKey {
            policy: (*policy).into(),
            version: version.as_str().into(),
        };
        let clock = VersionClock {
            age: clock.age.map(time),
            stands_since: clock.stands_since.map(time),
            regions: sharekeeper::model::Region::all().collect(),
            images: real.own.keys().cloned().collect(),
        };
        memory.versions.insert(key, clock);
    }
    real.clocks = Clocks::new(time(world.now), TimeDelta::seconds(world.api_ahead));
    real
}

/// The differences between the product and the model.
#[derive(Default)]
pub(crate) struct Differences {
    /// The number of images that were compared.
    pub(crate) compared: usize,
    /// A short text for each difference, how often it occurred, and the first world in which it occurred.
    found: BTreeMap<String, (usize, World)>,
}

impl Differences {
    /// Compares the resolution of the product with that of the model.
    pub(crate) fn compare(&mut self, world: &World) {
        let (model, real) = (reference::decide(world), real(world));
        let resolution = real.resolve();
        self.compared += model.images.len();
        for (image, expected) in &model.images {
            let id = image_id(*image);
            let (word, effect) = setup::said(&resolution, &real.seen, real.clocks, &id);
            if !is_one_of(expected, word, effect) {
                let resolved = resolution.images.get(&id);
                let detail = resolved.and_then(|resolved| resolved.verdict.detail());
                self.note(
                    world,
                    format!("{image} is {expected:?}, not {word} {effect:?} {detail:?}"),
                );
            }
        }
        match &world.regions[0] {
            Some(_) => self.compare_scope(world, &model, &real, &resolution),
            None if resolution.memory.is_empty() => {}
            None => self.note(world, format!("{:?} is learned", resolution.memory)),
        }
    }

    fn note(&mut self, world: &World, what: String) {
        let found = self.found.entry(what);
        found.or_insert_with(|| (0, world.clone())).0 += 1;
    }

    /// Fails if there is any difference, or if fewer than `at_least` images were compared.
    pub(crate) fn end(self, at_least: usize) {
        println!("{} images compared", self.compared);
        for (what, (times, world)) in self.found.iter().take(20) {
            println!("{times} times: {what}\n{world:#?}");
        }
        assert!(self.found.is_empty(), "{} differences", self.found.len());
        assert!(self.compared >= at_least, "{}", self.compared);
    }

    fn compare_scope(
        &mut self,
        world: &World,
        model: &Outcome,
        real: &Setup,
        resolution: &Resolution,
    ) {
        let names = resolution.unresolved.iter();
        let unresolved: BTreeSet<_> = names.map(|name| name.name.as_str()).collect();
        if unresolved != model.unresolved {
            self.note(world, format!("{unresolved:?}, not {:?}", model.unresolved));
        }
        let hold = &resolution.prune_hold;
        if model
            .prune_hold
            .is_some_and(|holds| hold.is_some() != holds)
        {
            self.note(world, format!("pruning waits: {hold:?}"));
        }
        let holds: BTreeSet<_> = resolution.policy_holds.keys().map(|name| &**name).collect();
        if !model.holds.is_subset(&holds) {
            self.note(world, format!("{holds:?}, not {:?} hold", model.holds));
        }
        self.compare_memory(world, model, real, resolution);
    }

    fn compare_memory(
        &mut self,
        world: &World,
        model: &Outcome,
        real: &Setup,
        resolution: &Resolution,
    ) {
        let mut memory = real.inventory.memory.clone();
        memory.apply(&resolution.memory);
        for (name, id) in &model.names {
            let meant = memory.names.get(&setup::name(name));
            if meant != Some(&image_id(*id)) {
                self.note(world, format!("{name} means {id}, not {meant:?}"));
            }
        }
        for ((policy, version), (expected, is_certain)) in &model.clocks {
            let key = VersionKey {
                policy: (*policy).into(),
                version: version.as_str().into(),
            };
            let clock = memory.versions.get(&key).cloned().unwrap_or_default();
            let age = clock.age.map(|age| age.timestamp());
            let since = clock.stands_since.map(|since| since.timestamp());
            let before = real.inventory.memory.versions.get(&key);
            let before = before.and_then(|clock| clock.stands_since);
            let is_right = match (world.api_ahead, is_certain) {
                (0, true) => since == expected.stands_since,
                // The rules do not say whether a clock continues that cannot be read now.
                (_, false) => {
                    let before = before.map(|since| since.timestamp());
                    let now = Some(world.now);
                    since.is_none() || since == before || since == now
                }
                // The clock may be later than in the model, but never earlier.
                (_, true) => {
                    since.is_none_or(|since| expected.stands_since.is_some_and(|e| since >= e))
                }
            };
            if age != expected.age || !is_right {
                self.note(
                    world,
                    format!("{version} by {policy} is {expected:?}, not {age:?} {since:?}"),
                );
            }
        }
    }
}

fn is_one_of(expected: &Expected, word: &str, effect: Effect) -> bool {
    let is_word = expected.words.is_empty() || expected.words.contains(&word);
    is_word && expected.effects.contains(&effect)
}
