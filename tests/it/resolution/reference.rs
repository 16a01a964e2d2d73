//! The reference model of image selection: rules 1 to 12 and their decision table, written as simply as possible.
//! Where the wording of the rules allows several decisions, the model expects any of them.

use std::collections::{BTreeMap, BTreeSet};

use sharekeeper::model::Cause;

use super::reference_view::{Hold, View, is_excluded, may_match, version_of};
use super::setup::Effect;
use super::world::{Ask, By, Clock, Image, Policy, Region, Revoke, Share, World};

/// The decisions about an image that the rules allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The verdict must be any of these words. An empty list allows every word.
    pub(crate) words: Vec<&'static str>,
    /// The effect must be any of these.
    pub(crate) effects: Vec<Effect>,
    /// How much the image is wanted. If several policies match it, the one that wants it most decides.
    pub(super) want: Want,
}

/// How much a policy wants an image, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Want {
    Excluded,
    Superseded,
    Stays,
    /// The image is held, broken, or cannot be shared yet. If several policies match, the rules do not say which of
    /// these words is used.
    Waits,
    Newest,
    Pinned,
    Decided,
}

/// The name of a policy, and the text of a version.
pub(super) type VersionKey = (&'static str, String);

/// The decisions about a whole scope that the rules allow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) images: BTreeMap<u8, Expected>,
    /// Names that match no image or several images.
    pub(crate) unresolved: BTreeSet<&'static str>,
    /// Whether pruning waits. `None` allows both.
    pub(crate) prune_hold: Option<bool>,
    /// The policies that are on hold.
    pub(crate) holds: BTreeSet<&'static str>,
    /// The clocks of versions after this pass, and whether each is certain, because no unobserved data could change
    /// it.
    pub(crate) clocks: BTreeMap<VersionKey, (Clock, bool)>,
    /// The image that each name means after this pass, if that is certain.
    pub(crate) names: BTreeMap<&'static str, u8>,
}

pub(super) fn say(want: Want, words: &[&'static str], effect: Effect) -> Expected {
    Expected {
        words: words.to_vec(),
        effects: vec![effect],
        want,
    }
}

/// What the entries say about the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    No,
    /// The desired state, its cause, and whether the image is protected.
    State(bool, Cause, bool),
    Conflict,
    /// The image is held. The value is what entries by id say about it, if there are any.
    Held(Option<(bool, Cause)>),
    /// A name last meant this image and now means another one, and the other one is not in sync yet.
    Before,
}

/// Decides about each image of region 0.
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
        // The rules do not say whether an image that waits for a person holds a place.
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

/// The state that an entry asks for now, and its cause.
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

/// Applies the rule "No image of the name, or two: blocked. What the name last meant is held, against policies too."
fn declared(world: &World, here: &Region, image: &Image) -> Declared {
    let mut asks = Vec::new();
    let (mut protect, mut is_held, mut is_before) = (false, false, false);
    for entry in &world.entries {
        match entry.by {
            By::Id(id) if id == image.id => {
                asks.push((entry.ask, entry.protect));
                protect |= entry.protect;
            }
            By::Id(_) => {}
            By::Name(name) => {
                let found = with_name(here, name);
                let was = world.memory.names.get(name) == Some(&image.id);
                match found.as_slice() {
                    [found] if found.id == image.id => {
                        asks.push((entry.ask, entry.protect));
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
    let state = asks.first().map(|(ask, _)| asked(world, *ask));
    match state {
        _ if is_held || (is_before && state.is_some()) => Declared::Held(state),
        None if is_before => Declared::Before,
        None => Declared::No,
        // The entries are compared as they are written: they also conflict if a date has passed and both ask for the
        // same state now.
        Some(_) if asks.iter().any(|ask| *ask != asks[0]) => Declared::Conflict,
        Some((state, cause)) => Declared::State(state, cause, protect),
    }
}

/// The world together with what the entries say.
pub(super) struct Scene<'w> {
    pub(super) world: &'w World,
    pub(super) here: &'w Region,
    pub(super) declared: BTreeMap<u8, Declared>,
}

impl Scene<'_> {
    /// Whether both clocks say that the instant has passed.
    pub(super) fn is_over(&self, at: i64) -> bool {
        at <= self.world.now && at <= self.world.now + self.world.api_ahead
    }

    pub(super) fn is_trusted(&self) -> bool {
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

    /// The image is declared `unshared` or revoked: it holds no place and does not count.
    pub(super) fn is_barred(&self, image: &Image) -> bool {
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

    /// Applies the rule of precedence "Declared `unshared` > revoke > declared `shared` > …".
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
                // The rules do not say whether an entry by id decides if the name is ambiguous.
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
                // Protection keeps an existing share, but nobody creates a share of a revoked image.
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
            // The rules do not say whether a policy may share or retire the image meanwhile, except that an entry
            // names it, so it is not pruned.
            return say(Want::Decided, &[], Effect::Nothing);
        }
        let word = match self.is_named_by_policy(image) {
            true => "kept",
            false => "unnamed",
        };
        claim.unwrap_or_else(|| say(Want::Excluded, &[word], Effect::Nothing))
    }

    /// Whether a policy names an image that it does not match. A document then knows the image, so that it is not
    /// pruned.
    fn is_named_by_policy(&self, image: &Image) -> bool {
        self.world.policies.iter().any(|policy| {
            let mut pinned = policy.pins.iter().flat_map(|pin| &pin.names);
            let mut replacing = policy.revokes.iter().filter_map(|it| it.replacement);
            pinned.any(|name| *name == image.name)
                || replacing.any(|name| name == image.name)
                || policy.excluded.contains(&image.id)
        })
    }

    /// Rule 9: when the share of a revoked image is cancelled.
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
            // The rules do not say whether "nothing goes" applies to revocations as well.
            let holds = matching.any(|view| view.hold.is_some());
            if holds || !self.is_trusted() {
                expected.effects.push(Effect::Nothing);
            }
        }
        expected
    }

    /// The replacement of a revoked image is wanted as long as the revoked image is shared.
    fn as_replacement(&self, image: &Image) -> Option<Expected> {
        let revokes = self.world.policies.iter().flat_map(|p| &p.revokes);
        let wanted = revokes
            .filter(|revoke| revoke.replacement == Some(image.name))
            .any(|revoke| {
                let revoked = with_name(self.here, revoke.name);
                revoked.iter().any(|image| image.share.is_some())
            });
        // An image that cannot be shared is blocked, whoever wants it. The product may or may not ask for it.
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
                match best.words.is_empty() || claim.words.is_empty() {
                    true => best.words.clear(),
                    false => best.words.extend(claim.words),
                }
                best.effects.extend(claim.effects);
                best
            }
            _ => claim,
        });
    }
    best
}
