//! A small cloud of two regions with its documents, its store, and the random events that can happen to it. Every
//! random value comes from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use sharekeeper::inventory::ResolutionMemory;
use sharekeeper::model::{ImageId, ShareState};
use sharekeeper::observation::Instances;
use sharekeeper::plan::{Plan, Verdict};
use sharekeeper::resolve::Resolution;

use crate::resolution::bridge::{self, image_id};
use crate::resolution::setup::Setup;
use crate::resolution::world::{
    Ask, By, Clock, Entry, HOUR, Image, Pin, Policy, Region, Remembered, Revoke, Share, World,
};

/// The time for which a new share is SYNCING.
const SYNCS_FOR: i64 = HOUR / 2;
/// Image names in the order in which the images are built. The names match the first policy, the second, both, or
/// neither.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let kinds = ["a", "b", "ab", "x"];
    let names = (1..30).flat_map(|n| kinds.map(|kind| format!("{kind}{n:02}")));
    let all = names.flat_map(|name| [name.clone(), name + "+r2"]);
    all.map(|name| &*name.leak()).collect()
});
/// The largest number of images that events create in one region.
const IMAGES_MAX: usize = 9;

/// Two regions, the documents for each, and what the store remembers of each.
pub(crate) struct Cloud {
    pub(crate) rng: fastrand::Rng,
    pub(crate) now: i64,
    pub(crate) api_ahead: i64,
    pub(crate) regions: [Region; 2],
    /// Whether the listing of each region fails at present.
    pub(crate) fails: [bool; 2],
    pub(crate) entries: [Vec<Entry>; 2],
    pub(crate) policies: Vec<Policy>,
    pub(crate) memories: [ResolutionMemory; 2],
    /// The images that instances use, by region.
    used: [BTreeSet<u8>; 2],
    /// The time at which images became SYNCING.
    syncing: BTreeMap<(usize, u8), i64>,
    built: usize,
    ids: [u8; 2],
}

impl Cloud {
    /// A cloud with two policies and without images.
    pub(crate) fn new(seed: u64) -> Self {
        let mut cloud = Self {
            rng: fastrand::Rng::with_seed(seed),
            now: 1_790_000_000,
            api_ahead: 0,
            regions: Default::default(),
            fails: [false; 2],
            entries: Default::default(),
            policies: Vec::new(),
            memories: Default::default(),
            used: Default::default(),
            syncing: BTreeMap::new(),
            built: 0,
            ids: [0; 2],
        };
        for (name, letter) in [("a", 'a'), ("b", 'b')] {
            let mut policy = Policy::new(name, letter, 1, 1);
            policy.grouped = cloud.rng.bool();
            cloud.edit_keep(&mut policy);
            cloud.policies.push(policy);
        }
        cloud
    }

    fn edit_keep(&mut self, policy: &mut Policy) {
        let rng = &mut self.rng;
        policy.newest = rng.usize(1..4);
        policy.minimum = rng.usize(0..=policy.newest);
        policy.unshare_after = [0, 5, 72][rng.usize(0..3)] * HOUR;
        policy.min_age = [0, 0, 24][rng.usize(0..3)] * HOUR;
        policy.available_everywhere = rng.u8(0..4) == 0;
        policy.retires_deprecated = rng.u8(0..4) == 0;
        policy.asks_family = rng.u8(0..4) == 0;
    }

    /// The cloud in the types of the model, as seen from region `here`.
    pub(crate) fn world(&self, here: usize) -> World {
        let view = |n: usize| (!self.fails[n]).then(|| self.regions[n].clone());
        World {
            now: self.now,
            api_ahead: self.api_ahead,
            regions: vec![view(here), view(1 - here)],
            entries: self.entries[here].clone(),
            policies: self.policies.clone(),
            memory: model_memory(&self.memories[here]),
        }
    }

    /// A world in the types of the product, with everything else that the planner needs.
    pub(crate) fn setup(&self, here: usize, world: &World) -> Setup {
        let mut setup = bridge::real(world);
        let own = setup.own.iter();
        setup.seen.eligibility = own
            .filter(|(id, _)| !setup.seen.shared.contains_key(*id))
            .map(|(id, own)| (id.clone(), own.eligibility.clone()))
            .collect();
        let used = self.used[here].iter();
        let users = used.map(|id| {
            let blueprint = format!("lhbp-{}", image_id(*id).as_str());
            (blueprint.into(), vec!["lhins-1".into()])
        });
        setup.seen.instances = Instances::Known(users.collect());
        setup
    }

    /// Carries out a plan and stores what the resolution remembers. Returns the images of region `here` whose share
    /// state changed.
    pub(crate) fn apply(
        &mut self,
        here: usize,
        resolution: &Resolution,
        plan: &Plan,
    ) -> Vec<(ImageId, ShareState)> {
        if !self.fails[here] {
            self.memories[here].apply(&resolution.memory);
        }
        let mut turned = Vec::new();
        for image in &mut self.regions[here].images {
            let id = image_id(image.id);
            let Some(decision) = plan.decisions.get(&id) else {
                continue;
            };
            if decision.verdict != Verdict::Act {
                continue;
            }
            match decision.desired {
                ShareState::Shared if !image.eligible => continue,
                ShareState::Shared => {
                    image.share = Some(Share::Syncing);
                    self.syncing.insert((here, image.id), self.now);
                }
                ShareState::Unshared => image.share = None,
            }
            turned.push((id, decision.desired));
        }
        turned
    }

    /// Advances the time by a number of hours.
    pub(crate) fn pass(&mut self, hours: i64) {
        self.now += hours * HOUR;
        for (n, region) in self.regions.iter_mut().enumerate() {
            for image in &mut region.images {
                let since = self.syncing.get(&(n, image.id)).copied();
                let is_over = since.is_none_or(|since| since + SYNCS_FOR <= self.now);
                if image.share == Some(Share::Syncing) && is_over {
                    image.share = Some(Share::Normal);
                }
            }
        }
    }

    /// Removes all failures, clock differences, and parts of documents that depend on a date.
    pub(crate) fn settle(&mut self) {
        self.mend();
        for policy in &mut self.policies {
            policy.pins.retain(|pin| pin.until.is_none());
            policy.revokes.retain(|revoke| revoke.at.is_none());
        }
        for entries in &mut self.entries {
            entries.retain(|entry| matches!(entry.ask, Ask::Shared | Ask::Unshared));
        }
    }

    /// Makes everything work again that failed.
    fn mend(&mut self) {
        self.fails = [false; 2];
        self.api_ahead = 0;
        for region in &mut self.regions {
            region.cvm_fails = false;
        }
    }

    pub(crate) fn lose_store(&mut self) {
        self.memories = Default::default();
    }

    /// Makes one random event happen, and then lets time pass.
    pub(crate) fn event(&mut self) {
        self.mend();
        let here = self.rng.usize(0..2);
        match self.rng.u8(0..24) {
            0..6 => self.build(here),
            6..9 => self.copy(here),
            9..12 => self.change_image(here),
            12 => self.delete(),
            13..17 => self.edit_policy(),
            17 | 18 => self.edit_entries(here),
            19 => self.lose_store(),
            20 => self.fails[here] = true,
            21 => self.regions[here].cvm_fails = true,
            22 => self.api_ahead = [-2, 2][self.rng.usize(0..2)] * HOUR,
            _ => {}
        }
        let hours = [0, 1, 3, 24, 80][self.rng.usize(0..5)];
        self.pass(hours);
    }

    fn build(&mut self, here: usize) {
        if self.regions[here].images.len() >= IMAGES_MAX || self.built >= NAMES.len() {
            return;
        }
        self.built += self.rng.usize(1..4);
        let name = NAMES[(self.built - 1).min(NAMES.len() - 1)];
        self.make(here, name);
    }

    fn make(&mut self, here: usize, name: &'static str) {
        if self.regions[here].images.iter().any(|i| i.name == name) {
            return;
        }
        let Some(id) = self.free_id(here) else { return };
        let mut image = Image::new(id, name, self.now - self.rng.i64(0..10) * HOUR);
        image.eligible = self.rng.u8(0..8) > 0;
        image.in_family = self.rng.u8(0..8) > 0;
        image.created = image.created.filter(|_| self.rng.u8(0..20) > 0);
        self.regions[here].images.push(image);
    }

    /// An id that no other image has, as long as there are free ids.
    fn free_id(&mut self, here: usize) -> Option<u8> {
        let id = self.ids[here];
        self.ids[here] += 1;
        (usize::from(id) < bridge::IDS_MAX).then_some(id)
    }

    /// Copies an image to the other region later, so that the copy has a `CreatedTime` of its own.
    fn copy(&mut self, from: usize) {
        let names: Vec<_> = self.regions[from].images.iter().map(|i| i.name).collect();
        if self.regions[1 - from].images.len() < IMAGES_MAX
            && let Some(name) = self.rng.choice(names)
        {
            self.make(1 - from, name);
        }
    }

    /// Changes an image: it becomes broken, used or deprecated, or somebody else shares it or cancels its share.
    fn change_image(&mut self, here: usize) {
        let count = self.regions[here].images.len();
        if count == 0 {
            return;
        }
        let index = self.rng.usize(0..count);
        let kind = self.rng.u8(0..8);
        let image = &mut self.regions[here].images[index];
        match (kind, image.share) {
            (0, Some(_)) => image.share = Some(Share::Failed),
            (1, Some(_)) => image.share = Some(Share::Doubled),
            (2, Some(Share::Failed | Share::Doubled)) => image.share = Some(Share::Normal),
            (3, Some(_)) => image.share = None,
            (4 | 5, None) if image.eligible => {
                image.share = Some(Share::Syncing);
                self.syncing.insert((here, image.id), self.now);
            }
            (6, _) => image.deprecated = !image.deprecated,
            (7, Some(_)) => {
                self.used[here].insert(image.id);
            }
            (_, None) => image.eligible = !image.eligible,
            _ => {}
        }
    }

    /// Deletes an image together with all its copies.
    fn delete(&mut self) {
        let all = self.regions.iter().flat_map(|region| &region.images);
        let names: Vec<_> = all.map(|image| image.name).collect();
        if let Some(name) = self.rng.choice(names) {
            for region in &mut self.regions {
                region.images.retain(|image| image.name != name);
            }
        }
    }

    fn any_name(&mut self) -> Option<&'static str> {
        let all = self.regions.iter().flat_map(|region| &region.images);
        let names: Vec<_> = all.map(|image| image.name).collect();
        self.rng.choice(names)
    }

    fn edit_policy(&mut self) {
        let (Some(name), other) = (self.any_name(), self.any_name()) else {
            return;
        };
        let index = self.rng.usize(0..self.policies.len());
        let mut policy = self.policies[index].clone();
        let later = self.now + self.rng.i64(-2..30) * HOUR;
        match self.rng.u8(0..10) {
            0 | 1 => self.edit_keep(&mut policy),
            2 => {
                let images = self.regions[0].images.iter();
                let id = images.filter(|image| image.name == name).map(|i| i.id);
                policy.excluded.extend(id.take(1));
            }
            3 => policy.excluded.clear(),
            4 => policy.pins.push(Pin {
                names: vec![name],
                until: Some(later).filter(|_| self.rng.bool()),
            }),
            5 | 6 => policy.pins.clear(),
            7 => policy.revokes.push(Revoke {
                name,
                at: Some(later).filter(|_| self.rng.bool()),
                replacement: other.filter(|other| *other != name && self.rng.bool()),
                force: self.rng.u8(0..4) == 0,
            }),
            _ => policy.revokes.clear(),
        }
        self.policies[index] = policy;
    }

    fn edit_entries(&mut self, here: usize) {
        let images = self.regions[here].images.iter();
        let images: Vec<_> = images.map(|image| (image.id, image.name)).collect();
        let Some((id, name)) = self.rng.choice(images) else {
            return;
        };
        let until = self.now + self.rng.i64(-2..30) * HOUR;
        let ask = [Ask::Shared, Ask::Unshared, Ask::SharedUntil(until)][self.rng.usize(0..3)];
        let by = match self.rng.bool() {
            true => By::Id(id),
            false => By::Name(name),
        };
        let entries = &mut self.entries[here];
        entries.retain(|entry| entry.by != by);
        match self.rng.u8(0..3) {
            0 => entries.clear(),
            _ => entries.push(Entry {
                by,
                ask,
                protect: self.rng.u8(0..5) == 0,
            }),
        }
    }
}

/// The content of the store, in the terms of the model.
fn model_memory(memory: &ResolutionMemory) -> Remembered {
    // The model has few names and ids, so the test may leak them.
    let name = |name: &str| -> &'static str { name.to_owned().leak() };
    let number = |id: &ImageId| {
        let digits = id.as_str().strip_prefix("img-").unwrap_or_default();
        digits.parse().expect("an id of the model")
    };
    let names = memory.names.iter();
    let versions = memory.versions.iter().map(|(key, clock)| {
        let clock = Clock {
            age: clock.age.map(|age| age.timestamp()),
            stands_since: clock.stands_since.map(|since| since.timestamp()),
        };
        ((name(&key.policy), key.version.to_string()), clock)
    });
    Remembered {
        names: names
            .map(|(text, id)| (name(text.as_str()), number(id)))
            .collect(),
        versions: versions.collect(),
    }
}
