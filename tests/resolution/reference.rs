//! Rules 1 to 12 of image selection and their decision table, written down once more as naively as possible. Where the words
//! leave several answers open, all of them are expected.

use std::collections::{BTreeMap, BTreeSet};

use sharekeeper::model::Cause;

use super::setup::Effect;
use super::world::{Ask, By, Clock, Image, Policy, Region, Revoke, Share, World};

/// What may be said of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Any of these words; none: any word.
    pub(crate) words: Vec<&'static str>,
    /// Any of these effects.
    pub(crate) effects: Vec<Effect>,
    /// How much it is wanted; of several policies the one decides that wants it most.
    want: Want,
}

/// How much a policy wants an image, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Want {
    Excluded,
    Superseded,
    Stays,
    /// It is held, broken, or cannot be shared yet: which of these is said of several policies is left open.
    Waits,
    Newest,
    Pinned,
    Decided,
}

/// What may be said of a whole scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) images: BTreeMap<u8, Expected>,
    /// Names that mean no image, or several.
    pub(crate) unresolved: BTreeSet<&'static str>,
    /// Whether pruning waits; `None`: both are right.
    pub(crate) prune_hold: Option<bool>,
    /// Policies that hold still.
    pub(crate) holds: BTreeSet<&'static str>,
    /// The clocks of versions from now on, and whether nothing speaks against them that was not seen.
    pub(crate) clocks: BTreeMap<(&'static str, String), (Clock, bool)>,
    /// What names mean from now on, where that is certain.
    pub(crate) names: BTreeMap<&'static str, u8>,
}

fn say(want: Want, words: &[&'static str], effect: Effect) -> Expected {
    Expected {
        words: words.to_vec(),
        effects: vec![effect],
        want,
    }
}

/// What the entries say of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Declared {
    No,
    /// The state, why it is so, and whether it is protected.
    State(bool, Cause, bool),
    Conflict,
    /// Holds what entries by id say of it, if they do.
    Held(Option<(bool, Cause)>),
    /// The last meaning of a name that means another image now, which is not seen as desired yet.
    Before,
}

/// Decides for each image of region 0.
pub(crate) fn decide(world: &World) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(here) = &world.regions[0] else {
        return outcome;
    };
    names(world, here, &mut outcome);
    let declared: BTreeMap<u8, Declared> = here
        .images
        .iter()
        .map(|image| (image.id, declared(world, here, image)))
        .collect();
    let scene = Scene {
        world,
        here,
        declared,
    };
    let views: Vec<_> = world
        .policies
        .iter()
        .map(|policy| scene.view(policy))
        .collect();
    for view in &views {
        if view.hold.is_some() {
            outcome.holds.insert(view.policy.name);
        }
        // Whether an image that waits for a person holds a place is left open.
        let is_open = scene
            .declared
            .values()
            .any(|said| !matches!(said, Declared::No | Declared::State(..)));
        if !is_open {
            outcome.clocks.extend(view.clocks());
        }
    }
    for image in &here.images {
        outcome.images.insert(image.id, scene.decide(image, &views));
    }
    outcome.prune_hold = scene.prune_hold(&views, &outcome);
    outcome
}

fn with_name<'w>(here: &'w Region, name: &str) -> Vec<&'w Image> {
    let images = here.images.iter();
    images.filter(|image| image.name == name).collect()
}

/// The state that an entry asks for now, and why.
fn asked(world: &World, ask: Ask) -> (bool, Cause) {
    match ask {
        Ask::Unshared => (false, Cause::Declared),
        Ask::SharedUntil(until) if world.now >= until => (false, Cause::Expired),
        Ask::Shared | Ask::SharedUntil(_) => (true, Cause::Declared),
    }
}

fn names(world: &World, here: &Region, outcome: &mut Outcome) {
    for entry in &world.entries {
        let By::Name(name) = entry.by else { continue };
        match with_name(here, name).as_slice() {
            [image] => {
                let is_as_desired = match asked(world, entry.ask).0 {
                    true => image.share == Some(Share::Normal),
                    false => image.share.is_none(),
                };
                if is_as_desired {
                    outcome.names.insert(name, image.id);
                }
            }
            _ => {
                outcome.unresolved.insert(name);
            }
        }
    }
}

/// "No image of the name, or two: blocked. What the name last meant is held, against policies too."
fn declared(world: &World, here: &Region, image: &Image) -> Declared {
    let mut asks = Vec::new();
    let (mut protect, mut is_held, mut is_before) = (false, false, false);
    for entry in &world.entries {
        match entry.by {
            By::Id(id) if id == image.id => {
                asks.push(entry.ask);
                protect |= entry.protect;
            }
            By::Id(_) => {}
            By::Name(name) => {
                let found = with_name(here, name);
                let was = world.memory.names.get(name) == Some(&image.id);
                match found.as_slice() {
                    [found] if found.id == image.id => {
                        asks.push(entry.ask);
                        protect |= entry.protect;
                    }
                    [found] => {
                        let wants = asked(world, entry.ask).0;
                        is_before |= was && wants && found.share != Some(Share::Normal);
                    }
                    found => is_held |= was || found.iter().any(|f| f.id == image.id),
                }
            }
        }
    }
    let state = asks.first().map(|ask| asked(world, *ask));
    match state {
        _ if is_held || (is_before && state.is_some()) => Declared::Held(state),
        None if is_before => Declared::Before,
        None => Declared::No,
        // As they are written: a date that is over does not make them agree.
        Some(_) if asks.iter().any(|ask| *ask != asks[0]) => Declared::Conflict,
        Some((state, cause)) => Declared::State(state, cause, protect),
    }
}

/// Everything, with what the entries say.
struct Scene<'w> {
    world: &'w World,
    here: &'w Region,
    declared: BTreeMap<u8, Declared>,
}

/// A policy in region 0.
struct View<'v> {
    scene: &'v Scene<'v>,
    policy: &'v Policy,
    /// Why it holds still: CVM cannot be read, or a pin is missing.
    hold: Option<Hold>,
    /// The images that it matches, excluded ones included.
    matched: Vec<&'v Image>,
    /// The versions, the newest first.
    versions: Vec<Version<'v>>,
    /// The names that are pinned now; none: there is no pin.
    pinned: BTreeSet<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Cvm,
    Pin,
}

/// All images of one version, without those that are excluded.
struct Version<'v> {
    text: String,
    images: Vec<&'v Image>,
    age: i64,
    age_is_certain: bool,
    soak_is_over: bool,
    is_available: bool,
    availability_is_certain: bool,
    has_place: bool,
    /// Since when it stands, if it does.
    stands_since: Option<i64>,
}

impl Scene<'_> {
    /// Whether the instant is over by both clocks.
    fn is_over(&self, at: i64) -> bool {
        at <= self.world.now && at <= self.world.now + self.world.api_ahead
    }

    fn is_trusted(&self) -> bool {
        self.world.api_ahead == 0
    }

    fn revocations(&self, image: &Image) -> Vec<(&Policy, &Revoke)> {
        let of = |policy| {
            let policy: &Policy = policy;
            policy.revokes.iter().map(move |revoke| (policy, revoke))
        };
        let all = self.world.policies.iter().flat_map(of);
        all.filter(|(_, revoke)| {
            revoke.name == image.name && revoke.at.is_none_or(|at| self.is_over(at))
        })
        .collect()
    }

    /// Declared `unshared`, or revoked: no place and no count.
    fn is_barred(&self, image: &Image) -> bool {
        let unshared = matches!(
            self.declared.get(&image.id),
            Some(Declared::State(false, ..))
        );
        unshared || !self.revocations(image).is_empty()
    }

    fn view<'v>(&'v self, policy: &'v Policy) -> View<'v> {
        let knows_cvm = |region: &Region| !policy.needs_cvm() || !region.cvm_fails;
        let matched: Vec<_> = self
            .here
            .images
            .iter()
            .filter(|image| may_match(policy, image, knows_cvm(self.here)))
            .collect();
        let mut view = View {
            scene: self,
            policy,
            hold: (!knows_cvm(self.here)).then_some(Hold::Cvm),
            matched,
            versions: Vec::new(),
            pinned: BTreeSet::new(),
        };
        let regions = self.world.regions.iter();
        let seen: Vec<_> = regions
            .clone()
            .map(|region| region.as_ref().filter(|region| knows_cvm(region)))
            .collect();
        let texts: BTreeSet<_> = view
            .matched
            .iter()
            .filter(|image| !is_excluded(policy, image))
            .map(|image| version_of(policy, image))
            .collect();
        for text in texts {
            let version = view.version(text, &seen);
            view.versions.push(version);
        }
        view.versions
            .sort_by(|a, b| (b.age, &b.text).cmp(&(a.age, &a.text)));
        for pin in &policy.pins {
            if pin.until.is_none_or(|until| !self.is_over(until)) {
                view.pinned.extend(&pin.names);
            }
        }
        let is_missing = |name: &&&str| {
            let mut found = view.matched.iter().filter(|image| image.name == **name);
            found.clone().next().is_none() || found.any(|image| self.is_barred(image))
        };
        if view.hold.is_none() && view.pinned.iter().any(|name| is_missing(&name)) {
            view.hold = Some(Hold::Pin);
        }
        view
    }

    /// "Declared `unshared` > revoke > declared `shared` > …"
    fn decide(&self, image: &Image, views: &[View<'_>]) -> Expected {
        let declared = &self.declared[&image.id];
        let state = |shared: bool, cause: Cause| match (shared, image.share) {
            (true, None) => Effect::Share(cause),
            (false, Some(_)) => Effect::Cancel(cause),
            (true, Some(_)) | (false, None) => Effect::Nothing,
        };
        match declared {
            Declared::Held(by_id) => {
                let mut expected = say(Want::Decided, &["held"], Effect::Nothing);
                // Whether an id settles what a name leaves open is left open.
                if let Some((shared, cause)) = by_id {
                    expected.words.push("declared");
                    expected.effects.push(state(*shared, *cause));
                }
                return expected;
            }
            Declared::Conflict => return say(Want::Decided, &["conflict"], Effect::Nothing),
            Declared::State(false, cause, protect) => {
                let effect = match protect {
                    true => Effect::Nothing,
                    false => state(false, *cause),
                };
                return say(Want::Decided, &["declared"], effect);
            }
            Declared::State(true, _, true) if !self.revocations(image).is_empty() => {
                // Protection keeps a share; nobody makes one of what is revoked.
                return say(Want::Decided, &["declared", "revoked"], Effect::Nothing);
            }
            _ => {}
        }
        if !self.revocations(image).is_empty() {
            return self.revoked(image, views);
        }
        if let Declared::State(true, cause, _) = declared {
            return say(Want::Decided, &["declared"], state(true, *cause));
        }
        let claims = views.iter().filter_map(|view| view.claim(image));
        let claim = most_wanted(claims.chain(self.as_replacement(image)));
        if *declared == Declared::Before {
            // Whether a policy may share or even retire it meanwhile is left open, but for the last: it is named.
            return say(Want::Decided, &[], Effect::Nothing);
        }
        claim.unwrap_or_else(|| say(Want::Excluded, &["unnamed"], Effect::Nothing))
    }

    /// Rule 9.
    fn revoked(&self, image: &Image, views: &[View<'_>]) -> Expected {
        let Some(_) = image.share else {
            return say(Want::Decided, &["revoked"], Effect::Nothing);
        };
        let revocations = self.revocations(image);
        let go = Effect::Cancel(Cause::Revoked);
        if revocations.iter().any(|(_, revoke)| revoke.force) {
            return say(Want::Decided, &["revoked"], go);
        }
        let replacements = revocations.iter().filter_map(|(_, r)| r.replacement);
        let are_normal = replacements.clone().all(|name| {
            let found = with_name(self.here, name);
            let normal = |image: &&Image| image.share == Some(Share::Normal);
            !found.is_empty() && found.iter().all(normal)
        });
        let mut matching = views
            .iter()
            .filter(|view| view.matched.iter().any(|m| m.id == image.id));
        let is_left = matching.clone().all(|view| {
            view.hold != Some(Hold::Cvm) && view.normal_versions().len() >= view.policy.minimum
        });
        let mut expected = say(Want::Decided, &["revoked"], Effect::Nothing);
        if are_normal && is_left {
            expected.effects = vec![go];
            // Whether "nothing goes" is about revocations, too, is left open.
            let holds = matching.any(|view| view.hold.is_some());
            if holds || !self.is_trusted() {
                expected.effects.push(Effect::Nothing);
            }
        }
        expected
    }

    /// The replacement of a revoked image is wanted as long as that one is shared.
    fn as_replacement(&self, image: &Image) -> Option<Expected> {
        let revokes = self.world.policies.iter().flat_map(|p| &p.revokes);
        let wanted = revokes
            .filter(|revoke| revoke.replacement == Some(image.name))
            .any(|revoke| {
                let revoked = with_name(self.here, revoke.name);
                revoked.iter().any(|image| image.share.is_some())
            });
        // What cannot be shared is blocked, whoever wants it: it may be asked for.
        let effects = match (image.share, image.eligible) {
            (None, true) => vec![Effect::Share(Cause::Policy)],
            (None, false) => vec![Effect::Share(Cause::Policy), Effect::Nothing],
            (Some(_), _) => vec![Effect::Nothing],
        };
        wanted.then(|| Expected {
            words: Vec::new(),
            effects,
            want: Want::Pinned,
        })
    }

    fn prune_hold(&self, views: &[View<'_>], outcome: &Outcome) -> Option<bool> {
        let is_unreadable = views.iter().any(|view| view.hold == Some(Hold::Cvm));
        let is_empty = views.iter().any(|view| view.matched.is_empty());
        if is_unreadable || is_empty || !outcome.unresolved.is_empty() {
            return Some(true);
        }
        let mut is_open = views.iter().any(|view| view.hold.is_some());
        for entry in &self.world.entries {
            let By::Name(name) = entry.by else { continue };
            let meant = self.world.memory.names.get(name);
            let means = with_name(self.here, name);
            match meant {
                None if !outcome.names.contains_key(name) => return Some(true),
                None => is_open = true,
                Some(id) => is_open |= means.iter().any(|image| image.id != *id),
            }
        }
        (!is_open).then_some(false)
    }
}

fn most_wanted(claims: impl Iterator<Item = Expected>) -> Option<Expected> {
    let mut best: Option<Expected> = None;
    for claim in claims {
        best = Some(match best {
            Some(best) if best.want > claim.want => best,
            Some(mut best) if best.want == claim.want => {
                if best.words.is_empty() || claim.words.is_empty() {
                    best.words.clear();
                }
                best.words.extend(claim.words);
                best.effects.extend(claim.effects);
                best
            }
            _ => claim,
        });
    }
    best
}

fn may_match(policy: &Policy, image: &Image, knows_cvm: bool) -> bool {
    let is_of_family = !policy.asks_family || !knows_cvm || image.in_family;
    image.name.contains(policy.letter) && is_of_family
}

fn is_excluded(policy: &Policy, image: &Image) -> bool {
    policy.excluded.contains(&image.id) || image.created.is_none()
}

fn version_of(policy: &Policy, image: &Image) -> String {
    let first = image.name.split('+').next().filter(|_| policy.grouped);
    first.unwrap_or(image.name).to_owned()
}

impl<'v> View<'v> {
    fn version(&self, text: String, seen: &[Option<&'v Region>]) -> Version<'v> {
        let (policy, scene) = (self.policy, self.scene);
        let of_version = |image: &&'v Image| {
            may_match(policy, image, true)
                && image.created.is_some()
                && version_of(policy, image) == text
        };
        let key = (policy.name, text.clone());
        let before = scene.world.memory.versions.get(&key).copied();
        let before = before.unwrap_or_default();
        let all_seen = seen.iter().all(Option::is_some);
        // Ids are regional: what is excluded by its id is excluded here alone.
        let is_counted = |(n, image): &(usize, &Image)| *n > 0 || !is_excluded(policy, image);
        let everywhere = seen.iter().enumerate().flat_map(|(n, region)| {
            let images = region.iter().flat_map(|region| &region.images);
            images.map(move |image| (n, image))
        });
        let everywhere = everywhere.filter(is_counted).map(|(_, image)| image);
        let created = everywhere.filter(of_version).filter_map(|i| i.created);
        let images = scene.here.images.iter();
        let mut version = Version {
            images: match self.hold {
                Some(_) => Vec::new(),
                None => images
                    .filter(of_version)
                    .filter(|image| !is_excluded(policy, image))
                    .collect(),
            },
            age: created.chain(before.age).min().unwrap_or_default(),
            age_is_certain: all_seen || before.age.is_some(),
            soak_is_over: false,
            is_available: true,
            availability_is_certain: true,
            has_place: false,
            stands_since: None,
            text: text.clone(),
        };
        version.soak_is_over = scene.is_over(version.age + policy.min_age);
        if policy.available_everywhere {
            let can = |image: &Image| match image.share {
                None => image.eligible,
                Some(share) => matches!(share, Share::Normal | Share::Syncing),
            };
            let has = |region: &&'v Region| {
                let mut images = region.images.iter().filter(of_version);
                images.any(can)
            };
            version.is_available = seen.iter().all(|region| region.as_ref().is_some_and(has));
            version.availability_is_certain = all_seen;
        }
        let with_place: Vec<_> = version
            .images
            .iter()
            .filter(|image| self.has_place(image, &version))
            .collect();
        let are_normal = with_place.iter().all(|i| i.share == Some(Share::Normal));
        let is_broken = version.images.iter().any(|image| {
            !scene.is_barred(image) && matches!(image.share, Some(Share::Failed | Share::Doubled))
        });
        let stands = !with_place.is_empty()
            && are_normal
            && !is_broken
            && version.soak_is_over
            && version.age_is_certain
            && version.availability_is_certain;
        version.has_place = !with_place.is_empty();
        version.stands_since = stands.then(|| before.stands_since.unwrap_or(scene.world.now));
        version
    }

    /// Rule 2.
    fn has_place(&self, image: &Image, version: &Version<'_>) -> bool {
        if self.scene.is_barred(image) || self.is_deprecated(image) {
            return false;
        }
        match image.share {
            Some(Share::Normal | Share::Syncing) => true,
            Some(Share::Failed | Share::Doubled) => false,
            None => image.eligible && version.soak_is_over && version.is_available,
        }
    }

    fn is_deprecated(&self, image: &Image) -> bool {
        self.policy.retires_deprecated && image.deprecated
    }

    fn is_pinned(&self, image: &Image) -> bool {
        self.pinned.contains(image.name)
    }

    /// Versions with a NORMAL share, the newest first. What is revoked or declared `unshared` does not count.
    fn normal_versions(&self) -> Vec<&str> {
        let is_normal =
            |image: &&Image| image.share == Some(Share::Normal) && !self.scene.is_barred(image);
        let texts = self.versions.iter().filter(|version| {
            let images = self.matched.iter().copied();
            images
                .filter(|image| version_of(self.policy, image) == version.text)
                .filter(|image| !is_excluded(self.policy, image) || self.is_pinned(image))
                .any(|image| is_normal(&image))
        });
        texts.map(|version| version.text.as_str()).collect()
    }

    fn clocks(&self) -> Vec<((&'static str, String), (Clock, bool))> {
        if self.hold == Some(Hold::Cvm) {
            return Vec::new();
        }
        let clocks = self.versions.iter().map(|version| {
            let clock = Clock {
                age: version.age_is_certain.then_some(version.age),
                stands_since: version.stands_since,
            };
            // Whether a version that a pin passes over begins to stand is left open.
            let is_certain =
                version.age_is_certain && version.availability_is_certain && self.pinned.is_empty();
            (
                (self.policy.name, version.text.clone()),
                (clock, is_certain),
            )
        });
        clocks.collect()
    }

    /// What the policy says of an image; `None`: it does not match.
    fn claim(&self, image: &Image) -> Option<Expected> {
        if !self.matched.iter().any(|m| m.id == image.id) {
            return None;
        }
        let nothing = Effect::Nothing;
        match self.hold {
            Some(Hold::Cvm) => return Some(say(Want::Waits, &["held", "kept"], nothing)),
            // Nothing goes there, nothing new is shared.
            Some(Hold::Pin) => return Some(say(Want::Waits, &[], nothing)),
            None => {}
        }
        let share = match image.share {
            None => Effect::Share(Cause::Policy),
            Some(_) => nothing,
        };
        if self.is_pinned(image) {
            let mut claim = say(Want::Pinned, &["pinned"], share);
            if !image.eligible && image.share.is_none() {
                claim.effects.push(nothing);
            }
            return Some(claim);
        }
        if is_excluded(self.policy, image) {
            return Some(say(Want::Excluded, &["excluded"], nothing));
        }
        let text = version_of(self.policy, image);
        let (place, version) = self.find(&text)?;
        let is_broken = matches!(image.share, Some(Share::Failed | Share::Doubled));
        let before = self.versions[..place].iter().filter(|v| v.has_place);
        let is_newest = self.pinned.is_empty() && before.count() < self.policy.newest;
        Some(match image.share {
            Some(Share::Doubled) => say(Want::Waits, &["broken"], nothing),
            Some(_) if is_broken && is_newest && !self.is_deprecated(image) => {
                say(Want::Waits, &["broken"], nothing)
            }
            Some(_) if is_newest && !self.is_deprecated(image) => {
                say(Want::Newest, &["newest"], nothing)
            }
            Some(_) => self.retention(image, place),
            None if self.is_deprecated(image) => say(Want::Superseded, &[], nothing),
            None if !image.eligible => say(Want::Waits, &["ineligible"], nothing),
            None if !version.soak_is_over => say(Want::Waits, &["soaking"], nothing),
            None if !version.is_available => say(Want::Waits, &["waiting"], nothing),
            None if is_newest => say(Want::Newest, &["newest"], share),
            None => say(Want::Superseded, &["superseded"], nothing),
        })
    }

    fn find(&self, text: &str) -> Option<(usize, &Version<'v>)> {
        let mut versions = self.versions.iter().enumerate();
        versions.find(|(_, version)| version.text == text)
    }

    /// Rules 4 and 8: what becomes of a share that is outside.
    fn retention(&self, image: &Image, place: usize) -> Expected {
        let kept = say(Want::Stays, &["kept", "overlap", "broken"], Effect::Nothing);
        if !self.scene.is_trusted() {
            return kept;
        }
        if !self.pinned.is_empty() {
            return self.retention_by_pin(image, kept);
        }
        let others: Vec<_> = match self.is_deprecated(image) {
            true => (0..self.versions.len()).filter(|n| *n != place).collect(),
            false => (0..place).collect(),
        };
        let standing = others.iter().filter_map(|n| self.versions[*n].stands_since);
        let mut standing: Vec<_> = standing.collect();
        standing.sort_unstable();
        match standing.get(self.policy.newest - 1) {
            Some(since) => self.overlap(*since),
            None => kept,
        }
    }

    fn has_declared(&self) -> bool {
        let mut ids = self.matched.iter().map(|image| image.id);
        ids.any(|id| matches!(self.scene.declared[&id], Declared::State(true, ..)))
    }

    fn overlap(&self, since: i64) -> Expected {
        match since + self.policy.unshare_after <= self.scene.world.now {
            true => say(
                Want::Superseded,
                &["superseded"],
                Effect::Cancel(Cause::Retention),
            ),
            false => say(Want::Stays, &["overlap", "broken"], Effect::Nothing),
        }
    }

    fn retention_by_pin(&self, image: &Image, kept: Expected) -> Expected {
        let mut pinned = self.matched.iter().filter(|image| self.is_pinned(image));
        if !pinned
            .clone()
            .all(|image| image.share == Some(Share::Normal))
        {
            return kept;
        }
        let texts: BTreeSet<_> = pinned
            .clone()
            .map(|image| version_of(self.policy, image))
            .collect();
        let text = version_of(self.policy, image);
        let normal = self.normal_versions();
        let others = normal.into_iter().filter(|text| !texts.contains(*text));
        let missing = self.policy.minimum.saturating_sub(texts.len());
        let others: Vec<_> = others.collect();
        // Fewer than `minimum` are NORMAL: nothing goes.
        if others.len() < missing {
            return kept;
        }
        let last = others[..missing].last();
        let last = last.and_then(|last| self.find(last)).map(|(n, _)| n);
        let is_before = last >= self.find(&text).map(|(n, _)| n);
        if is_before {
            let mut open = kept;
            // What a person declares may stay in its place, and what is better but not NORMAL may stay or go.
            if self.has_declared() || image.share != Some(Share::Normal) {
                open.words.push("superseded");
                open.effects.push(Effect::Cancel(Cause::Retention));
            }
            return open;
        }
        let since = pinned.try_fold(i64::MIN, |latest, image| {
            let (_, version) = self.find(&version_of(self.policy, image))?;
            Some(latest.max(version.stands_since?))
        });
        match since {
            Some(since) => self.overlap(since),
            // Whether a pinned image that is NORMAL but does not stand lets others go is left open.
            None => Expected {
                words: Vec::new(),
                effects: vec![Effect::Nothing, Effect::Cancel(Cause::Retention)],
                want: Want::Superseded,
            },
        }
    }
}
