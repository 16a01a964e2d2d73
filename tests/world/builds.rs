//! Draws image builds, changes of their images, and documents that name them, for about half of the seeds. It has its
//! own random number generator, so that other draws of a seed do not depend on it.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::documents::{
    Document, Entry, Excluded, Ordered, PREFIXES, Pattern, Pinned, Revoke, Revoked, Rule,
};
use super::draw::wish;
use super::images::{BuildResult, ImageChange, Made};
use super::scenario::{
    Event, FaultKind, FaultSpan, Image, Place, REGIONS, Scenario, Wanted, What, Wish,
};

/// The name that moves to each new build.
const LATEST: &str = "latest";

/// The kinds of things that a seed has.
struct Swarm {
    entries: bool,
    policies: bool,
    pins: bool,
    revokes: bool,
    exclusions: bool,
    cvm: bool,
    everywhere: bool,
    soaks: bool,
    overlaps: bool,
    renames: bool,
    vanishing: bool,
    instances: bool,
    edits: bool,
    partial: bool,
    faults: bool,
    failures: bool,
    wishes: bool,
    hands: bool,
}

impl Swarm {
    fn draw(dice: &mut Rng) -> Self {
        let policies = dice.u8(..4) > 0;
        Self {
            entries: !policies || dice.bool(),
            policies,
            pins: dice.u8(..4) == 0,
            revokes: dice.u8(..4) == 0,
            exclusions: dice.u8(..4) == 0,
            cvm: dice.u8(..4) == 0,
            everywhere: dice.u8(..4) == 0,
            soaks: dice.bool(),
            overlaps: dice.bool(),
            renames: dice.u8(..3) == 0,
            vanishing: dice.u8(..4) == 0,
            instances: dice.u8(..3) == 0,
            edits: dice.u8(..3) == 0,
            partial: dice.u8(..5) == 0,
            faults: dice.u8(..3) == 0,
            failures: dice.u8(..3) == 0,
            wishes: dice.u8(..3) == 0,
            hands: dice.u8(..4) == 0,
        }
    }
}

/// Draws from one generator, within the chosen kinds.
struct Draw<'d> {
    dice: &'d mut Rng,
    swarm: Swarm,
    account: usize,
    regions: Vec<usize>,
    prefixes: Vec<&'static str>,
    calm_at: u64,
    images: Vec<Image>,
    /// The scenario's index of the first image that a build made.
    first: usize,
    numbers: BTreeMap<usize, usize>,
    events: Vec<Event>,
}

fn is_drawn(dice: &mut Rng) -> bool {
    !dice.bool()
}

/// Whether a seed has builds and documents.
pub(super) fn are_in(seed: u64) -> bool {
    is_drawn(&mut Rng::with_seed(seed ^ 0xb111d))
}

/// Adds images, documents, events and faults to a scenario, or leaves it unchanged.
pub(super) fn add(scenario: &mut Scenario) {
    let mut dice = Rng::with_seed(scenario.seed ^ 0xb111d);
    if !is_drawn(&mut dice) {
        return;
    }
    let dice = &mut dice;
    let mut regions: Vec<_> = (0..REGIONS.len()).collect();
    dice.shuffle(&mut regions);
    regions.truncate(dice.usize(1..=REGIONS.len()));
    let accounts = scenario.images.iter().map(|image| image.account);
    let mut prefixes = PREFIXES.to_vec();
    prefixes.truncate(dice.usize(1..=2));
    let swarm = Swarm::draw(dice);
    let account = accounts.max().unwrap_or(0);
    let mut draw = Draw {
        account: dice.usize(..=account),
        dice,
        swarm,
        regions,
        prefixes,
        calm_at: scenario.calm_at,
        images: Vec::new(),
        first: scenario.images.len(),
        numbers: BTreeMap::new(),
        events: Vec::new(),
    };
    for prefix in draw.prefixes.clone() {
        draw.builds(prefix);
    }
    let documents = draw.documents();
    draw.befall();
    draw.edit(documents.len());
    if draw.swarm.faults {
        scenario.faults.extend(draw.faults());
    }
    // A clock measures how old a build is and how long it has been shared. If somebody sets that clock, soaks and
    // overlaps end at times that the model cannot know.
    let is_set = |event: &Event| matches!(event.what, What::SetClock(..));
    scenario.events.retain(|event| !is_set(event));
    if draw.swarm.everywhere {
        // A policy that waits for all regions also waits for one that never works. The model could not know which
        // images settle.
        scenario.lasting = None;
    }
    scenario.documents = documents;
    scenario.syncs = [0, 0, 20, 90][draw.dice.usize(..4)];
    scenario.images.append(&mut draw.images);
    scenario.events.append(&mut draw.events);
    scenario.events.sort_by_key(|event| event.at);
}

impl Draw<'_> {
    fn one_in(&mut self, many: u8) -> bool {
        self.dice.u8(..many) == 0
    }

    fn image(&mut self, region: usize, made: Made) -> usize {
        let number = self.numbers.entry(region).or_insert(200);
        *number += 1;
        let is_old = made.born == 0;
        let image = Image {
            account: self.account,
            region,
            number: *number,
            shared: is_old && made.result == BuildResult::Good && self.dice.u8(..5) < 2,
            wish: match self.swarm.wishes && self.dice.u8(..8) == 0 {
                true => wish(self.dice, self.calm_at),
                false => Wish {
                    state: Wanted::Unnamed,
                    protect: false,
                },
            },
            made: Some(made),
        };
        self.images.push(image);
        self.first + self.images.len() - 1
    }

    /// Draws a few builds before the beginning, and more on a schedule.
    fn builds(&mut self, prefix: &str) {
        let mut at = -i64::try_from(3600 * self.dice.u64(1..5)).expect("small");
        let every = self.dice.i64(400..1500);
        let end = self.calm_at.cast_signed() - 120;
        let first = self.dice.u32(5..9);
        let mut latest: Vec<usize> = Vec::new();
        for version in first..first + 9 {
            if at >= end {
                break;
            }
            // Occasionally an older line is built again.
            let number = match self.one_in(8) {
                true => version.saturating_sub(4),
                false => version,
            };
            let built = self.build(prefix, number, at);
            if self.swarm.renames && at > 0 && self.one_in(3) {
                self.move_name(prefix, &mut latest, &built, at.cast_unsigned());
            }
            at += match at < 0 {
                true => self.dice.i64(600..4000),
                false => every + self.dice.i64(0..200),
            };
        }
    }

    /// Builds one version: an image in its home region, sometimes for two architectures, and later copies in other
    /// regions.
    fn build(&mut self, prefix: &str, number: u32, at: i64) -> Vec<usize> {
        let home = self.dice.usize(..self.regions.len());
        let regions = self.regions.clone();
        let is_twofold = self.one_in(5);
        let is_golden = !self.one_in(6);
        let result = match self.dice.u8(..20) {
            0 | 1 if self.swarm.failures => BuildResult::Failed,
            2 if self.swarm.failures => BuildResult::BlueprintFails,
            _ => BuildResult::Good,
        };
        let mut built = Vec::new();
        for (place, region) in regions.into_iter().enumerate() {
            if place != home && self.one_in(5) {
                continue;
            }
            let late = match place == home {
                true => 0,
                false => self.dice.i64(60..1500),
            };
            let created = (at + late).min(self.calm_at.cast_signed() - 60);
            let born = created.max(0).cast_unsigned();
            let takes = self.dice.u64(..300);
            for variant in ["", "-arm"].into_iter().take(1 + usize::from(is_twofold)) {
                let made = Made {
                    name: format!("{prefix}-1.{number}.0{variant}"),
                    created,
                    born,
                    ready: match created > 0 {
                        true => born + takes,
                        false => 0,
                    },
                    result,
                    is_golden,
                };
                built.push(self.image(region, made));
            }
        }
        built
    }

    /// The name of the latest build moves to the new build. The old image gives the name up immediately, later or
    /// never.
    fn move_name(&mut self, prefix: &str, latest: &mut Vec<usize>, built: &[usize], at: u64) {
        let name = format!("{prefix}-{LATEST}");
        let when = (at + self.dice.u64(310..700)).min(self.calm_at - 30);
        for (count, index) in std::mem::take(latest).into_iter().enumerate() {
            let gives_up = when.saturating_add_signed(self.dice.i64(-40..60));
            if !self.one_in(6) {
                let old = ImageChange::Named(format!("{prefix}-old-1.{}.{count}", at));
                self.event(gives_up, What::Image(index, old));
            }
        }
        let mut regions = BTreeSet::new();
        for index in built {
            if regions.insert(self.images[*index - self.first].region) {
                self.event(when, What::Image(*index, ImageChange::Named(name.clone())));
                latest.push(*index);
            }
        }
    }

    fn event(&mut self, at: u64, what: What) {
        let at = at.clamp(1, self.calm_at - 1);
        self.events.push(Event { at, what });
    }

    fn any_name(&mut self) -> String {
        let index = self.dice.usize(..self.images.len());
        let prefix = self.prefixes[self.dice.usize(..self.prefixes.len())];
        match self.dice.u8(..8) {
            0 => format!("{prefix}-1.99.0"),
            1 | 2 if self.swarm.renames => format!("{prefix}-{LATEST}"),
            _ => self.images[index].first_name(),
        }
    }

    fn any_image(&mut self) -> usize {
        self.first + self.dice.usize(..self.images.len())
    }

    fn any_regions(&mut self) -> BTreeSet<usize> {
        match self.one_in(3) {
            true => [self.regions[self.dice.usize(..self.regions.len())]].into(),
            false => self.regions.iter().copied().collect(),
        }
    }

    fn entry(&mut self) -> Document {
        Document::Entry(Entry {
            account: self.account,
            regions: self.any_regions(),
            name: self.any_name(),
            wish: wish(self.dice, self.calm_at),
        })
    }

    fn rule(&mut self, place: usize) -> Document {
        let swarm_cvm = self.swarm.cvm;
        let cvm = |dice: &mut Rng| swarm_cvm && dice.u8(..3) == 0;
        let prefix = self.prefixes[place % self.prefixes.len()];
        let newest = self.dice.u32(1..4);
        let is_grouped = self.dice.bool();
        let pattern = match (is_grouped, self.dice.u8(..6)) {
            (true, _) => Pattern::Versions(prefix.to_owned()),
            (false, 0) => Pattern::Prefix(prefix[..1].to_owned()),
            (false, 1) => Pattern::Prefix(format!("{prefix}-1.1")),
            _ => Pattern::Prefix(format!("{prefix}-")),
        };
        let order = match self.dice.u8(..4) {
            0 if is_grouped => Ordered::Semver,
            1 => Ordered::Name,
            _ => Ordered::Created,
        };
        let short = |is: bool, dice: &mut Rng, times: [u64; 3]| match is {
            true => times[dice.usize(..3)],
            false => 0,
        };
        let (soaks, overlaps) = (self.swarm.soaks, self.swarm.overlaps);
        let rule = Rule {
            account: self.account,
            regions: self.any_regions(),
            pattern,
            asks_family: cvm(self.dice),
            asks_tag: cvm(self.dice),
            retires_deprecated: cvm(self.dice),
            exclude: self.exclusions(),
            order,
            min_age: short(soaks, self.dice, [0, 200, 450]),
            everywhere: self.swarm.everywhere && self.dice.bool(),
            newest,
            minimum: self.dice.u32(..=newest),
            unshare_after: short(overlaps, self.dice, [0, 150, 400]),
            cancels_in_use: self.one_in(5),
            max_cancels: [1, 2, 5, 5][self.dice.usize(..4)],
            owned: self.one_in(6),
            pins: self.pins(),
            revokes: self.revokes(),
            is_locked: false,
        };
        Document::Policy(rule)
    }

    fn exclusions(&mut self) -> Vec<Excluded> {
        if !self.swarm.exclusions || self.dice.bool() {
            return Vec::new();
        }
        vec![match self.dice.bool() {
            true => Excluded::Suffix("-arm".into()),
            false => Excluded::Image(self.any_image()),
        }]
    }

    fn pins(&mut self) -> Vec<Pinned> {
        if !self.swarm.pins || self.dice.bool() {
            return Vec::new();
        }
        let until = self.dice.bool().then(|| self.dice.u64(60..self.calm_at));
        vec![Pinned {
            regions: self.any_regions(),
            names: [self.any_name()].into(),
            until,
        }]
    }

    fn revokes(&mut self) -> Vec<Revoke> {
        if !self.swarm.revokes || self.one_in(3) {
            return Vec::new();
        }
        let what = match self.one_in(3) {
            true => Revoked::Image(self.any_image()),
            false => Revoked::Name(self.any_name()),
        };
        vec![Revoke {
            what,
            at: self.dice.bool().then(|| self.dice.u64(60..self.calm_at)),
            replacement: self.one_in(3).then(|| self.any_name()),
            force: self.one_in(4),
        }]
    }

    /// Draws the document for one place.
    fn document(&mut self, place: usize) -> Document {
        let is_policy = self.swarm.policies && (place.is_multiple_of(2) || !self.swarm.entries);
        match is_policy {
            true => self.rule(place / 2),
            false => self.entry(),
        }
    }

    fn documents(&mut self) -> Vec<Option<Document>> {
        let count = self.dice.usize(1..6);
        let places: Vec<_> = (0..count).collect();
        let documents = places.into_iter().map(|place| {
            let document = self.document(place);
            (place == 0 || !self.one_in(5)).then_some(document)
        });
        documents.collect()
    }

    /// Draws changes of images during the run.
    fn befall(&mut self) {
        let images: Vec<_> = self.images.iter().map(|image| image.made.clone()).collect();
        for (place, made) in images.into_iter().enumerate() {
            let Some(made) = made else { continue };
            let index = self.first + place;
            let (born, calm_at) = (made.born + 1, self.calm_at);
            let later = |dice: &mut Rng| dice.u64(born..calm_at.max(born + 1));
            if self.swarm.vanishing && self.one_in(8) {
                let at = later(self.dice);
                self.event(at, What::Vanish(index));
            }
            if self.swarm.cvm && self.one_in(6) {
                let at = later(self.dice);
                self.event(at, What::Image(index, ImageChange::Deprecated(true)));
            }
            if self.swarm.instances && self.one_in(3) {
                let at = later(self.dice);
                self.event(at, What::Use(index));
                if self.dice.bool() {
                    let until = at + self.dice.u64(60..2400);
                    self.event(until, What::Disuse(index));
                }
            }
            if self.swarm.failures && self.one_in(12) {
                let at = later(self.dice);
                self.event(at, What::Spoil(index, true));
                let until = at + self.dice.u64(60..1200);
                self.event(until, What::Spoil(index, false));
            }
            if self.swarm.renames && self.one_in(12) {
                let at = later(self.dice);
                let name = self.any_name();
                self.event(at, What::Image(index, ImageChange::Named(name)));
            }
        }
        if self.swarm.hands {
            let (image, at) = (self.any_image(), self.dice.u64(1..self.calm_at));
            let shares = self.dice.bool();
            self.event(at, What::Hand(image, shares));
        }
    }

    /// Documents are edited, removed, written again and partly read.
    fn edit(&mut self, places: usize) {
        if self.swarm.edits {
            for _ in 0..self.dice.usize(1..6) {
                let (at, place) = (self.dice.u64(1..self.calm_at), self.dice.usize(..places));
                let document = match self.one_in(4) {
                    true => None,
                    false => Some(self.document(place)),
                };
                self.event(at, What::Document(place, document));
            }
        }
        if self.swarm.partial {
            let at = self.dice.u64(1..self.calm_at);
            let lacking = (0..places).filter(|_| self.dice.bool());
            let lacking = lacking.collect();
            self.event(at, What::Lacking(lacking));
            let until = at + self.dice.u64(60..1800);
            self.event(until, What::Mended);
        }
    }

    /// Draws faults of the reads on which names and policies depend.
    fn faults(&mut self) -> Vec<FaultSpan> {
        let kinds = [
            FaultKind::OwnImagesFail,
            FaultKind::CvmDenied,
            FaultKind::InstancesDenied,
            FaultKind::Short,
            FaultKind::Inconsistent,
            FaultKind::Stale(self.dice.u64(5..60)),
        ];
        let mut faults = Vec::new();
        for kind in kinds {
            if self.one_in(3) {
                let from = self.dice.u64(..self.calm_at);
                let region = self.regions[self.dice.usize(..self.regions.len())];
                faults.push(FaultSpan {
                    kind,
                    place: Place {
                        region: self.dice.bool().then_some(region),
                        ..Place::default()
                    },
                    from,
                    until: self.calm_at.min(from + self.dice.u64(60..2400)),
                    percent: [20, 50, 100][self.dice.usize(..3)],
                });
            }
        }
        faults
    }
}

#[test]
fn a_seed_has_some_kinds_of_documents_and_lacks_others() {
    let scenarios: Vec<_> = (0..300).map(super::draw::scenario).collect();
    let has = |what: &dyn Fn(&Document) -> bool| {
        let having = scenarios.iter().filter(|scenario| {
            let mut documents = scenario.documents.iter().flatten();
            documents.any(what)
        });
        having.count()
    };
    let of_rule = |what: &'static dyn Fn(&Rule) -> bool| move |document: &Document| matches!(document, Document::Policy(rule) if what(rule));
    let counts = [
        has(&|document| matches!(document, Document::Entry(_))),
        has(&of_rule(&|_| true)),
        has(&of_rule(&|rule| !rule.pins.is_empty())),
        has(&of_rule(&|rule| !rule.revokes.is_empty())),
        has(&of_rule(&|rule| !rule.exclude.is_empty())),
        has(&of_rule(&|rule| rule.needs_cvm())),
        has(&of_rule(&|rule| rule.everywhere)),
        has(&of_rule(&|rule| rule.min_age > 0)),
        has(&of_rule(&|rule| rule.unshare_after > 0)),
        has(&of_rule(&|rule| rule.is_locked)),
        has(&|document| matches!(document, Document::Lock(_))),
    ];
    for (kind, count) in counts.into_iter().enumerate() {
        assert!((5..200).contains(&count), "kind {kind}: {count} of 300");
    }
}
