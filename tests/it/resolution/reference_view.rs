//! The part of the reference model for one policy in one region: its versions, its places, and the shares that it
//! retires.

use std::collections::BTreeSet;

use sharekeeper::model::Cause;

use super::reference::{Declared, Expected, Scene, VersionKey, Want, say};
use super::setup::Effect;
use super::world::{Clock, Image, Policy, Region, Share};

/// A policy in region 0.
pub(super) struct View<'v> {
    pub(super) scene: &'v Scene<'v>,
    pub(super) policy: &'v Policy,
    /// Why the policy is on hold: CVM cannot be read, or a pinned image is missing.
    pub(super) hold: Option<Hold>,
    /// The images that the policy matches, including excluded ones.
    pub(super) matched: Vec<&'v Image>,
    /// The versions, in order from the newest to the oldest.
    pub(super) versions: Vec<Version<'v>>,
    /// The names that are pinned now. If it is empty, there is no pin.
    pub(super) pinned: BTreeSet<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Cvm,
    Pin,
}

/// All images of one version, except excluded ones.
pub(super) struct Version<'v> {
    pub(super) text: String,
    pub(super) images: Vec<&'v Image>,
    pub(super) age: i64,
    pub(super) age_is_certain: bool,
    pub(super) soak_is_over: bool,
    pub(super) is_available: bool,
    pub(super) availability_is_certain: bool,
    pub(super) has_place: bool,
    /// The time since which the version has stood, if it stands.
    pub(super) stands_since: Option<i64>,
}

pub(super) fn may_match(policy: &Policy, image: &Image, knows_cvm: bool) -> bool {
    let is_of_family = !policy.asks_family || !knows_cvm || image.in_family;
    image.name.contains(policy.letter) && is_of_family
}

pub(super) fn is_excluded(policy: &Policy, image: &Image) -> bool {
    policy.excluded.contains(&image.id) || image.created.is_none()
}

pub(super) fn version_of(policy: &Policy, image: &Image) -> String {
    let first = image.name.split('+').next().filter(|_| policy.grouped);
    first.unwrap_or(image.name).to_owned()
}

impl<'v> View<'v> {
    pub(super) fn version(&self, text: String, seen: &[Option<&'v Region>]) -> Version<'v> {
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
        // Ids are regional, so an exclusion by id applies to this region only.
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
            // The rules do not say how two blueprints or an unreadable time count in another region. The model does
            // not count them.
            let can = |n: usize, image: &Image| match image.share {
                None => image.eligible,
                Some(Share::Doubled) => n > 0,
                Some(share) => share != Share::Failed,
            };
            let is_of_version = |n: usize, image: &Image| {
                let is_dated = n > 0 || !is_excluded(policy, image);
                may_match(policy, image, true) && is_dated && version_of(policy, image) == text
            };
            let has = |n: usize, region: &Region| {
                let mut images = region.images.iter();
                images.any(|image| is_of_version(n, image) && can(n, image))
            };
            let mut seen = seen.iter().enumerate();
            version.is_available =
                seen.all(|(n, region)| region.is_some_and(|region| has(n, region)));
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

    /// Rule 2: whether an image holds a place in `newest`.
    pub(super) fn has_place(&self, image: &Image, version: &Version<'_>) -> bool {
        if self.scene.is_barred(image) || self.is_deprecated(image) {
            return false;
        }
        match image.share {
            Some(Share::Normal | Share::Syncing) => true,
            Some(Share::Failed | Share::Doubled) => false,
            None => image.eligible && version.soak_is_over && version.is_available,
        }
    }

    pub(super) fn is_deprecated(&self, image: &Image) -> bool {
        self.policy.retires_deprecated && image.deprecated
    }

    pub(super) fn is_pinned(&self, image: &Image) -> bool {
        self.pinned.contains(image.name)
    }

    /// Versions with a NORMAL share, in order from the newest. Images that are revoked or declared `unshared` do not
    /// count.
    pub(super) fn normal_versions(&self) -> Vec<&str> {
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

    pub(super) fn clocks(&self) -> Vec<(VersionKey, (Clock, bool))> {
        if self.hold == Some(Hold::Cvm) {
            return Vec::new();
        }
        let clocks = self.versions.iter().map(|version| {
            let clock = Clock {
                age: version.age_is_certain.then_some(version.age),
                stands_since: version.stands_since,
            };
            // The rules do not say whether a version that is not pinned begins to stand while there is a pin.
            let is_certain =
                version.age_is_certain && version.availability_is_certain && self.pinned.is_empty();
            (
                (self.policy.name, version.text.clone()),
                (clock, is_certain),
            )
        });
        clocks.collect()
    }

    /// What the policy says about an image, or `None` if it does not match the image.
    pub(super) fn claim(&self, image: &Image) -> Option<Expected> {
        if !self.matched.iter().any(|m| m.id == image.id) {
            return None;
        }
        let nothing = Effect::Nothing;
        match self.hold {
            Some(Hold::Cvm) => return Some(say(Want::Waits, &["held", "kept"], nothing)),
            // A policy has no influence on an image that it excludes, whatever is pinned.
            Some(Hold::Pin) if is_excluded(self.policy, image) => {
                return Some(say(Want::Excluded, &[], nothing));
            }
            // While a pin is missing, nothing is cancelled and nothing new is shared.
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

    pub(super) fn find(&self, text: &str) -> Option<(usize, &Version<'v>)> {
        let mut versions = self.versions.iter().enumerate();
        versions.find(|(_, version)| version.text == text)
    }

    /// Rules 4 and 8: what happens to a share outside of `newest`.
    pub(super) fn retention(&self, image: &Image, place: usize) -> Expected {
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

    pub(super) fn has_declared(&self) -> bool {
        let mut ids = self.matched.iter().map(|image| image.id);
        ids.any(|id| matches!(self.scene.declared[&id], Declared::State(true, ..)))
    }

    pub(super) fn overlap(&self, since: i64) -> Expected {
        match since + self.policy.unshare_after <= self.scene.world.now {
            true => say(
                Want::Superseded,
                &["superseded"],
                Effect::Cancel(Cause::Retention),
            ),
            false => say(Want::Stays, &["overlap", "broken"], Effect::Nothing),
        }
    }

    pub(super) fn retention_by_pin(&self, image: &Image, kept: Expected) -> Expected {
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
        // Fewer than `minimum` versions are NORMAL, so nothing is cancelled.
        if others.len() < missing {
            return kept;
        }
        let last = others[..missing].last();
        let last = last.and_then(|last| self.find(last)).map(|(n, _)| n);
        let is_before = last >= self.find(&text).map(|(n, _)| n);
        if is_before {
            let mut open = kept;
            // The rules do not say whether a declared image keeps its place, and whether a newer image that is not
            // NORMAL stays.
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
            // The rules do not say whether a pinned image that is NORMAL but does not stand allows others to be
            // cancelled.
            None => Expected {
                words: Vec::new(),
                effects: vec![Effect::Nothing, Effect::Cancel(Cause::Retention)],
                want: Want::Superseded,
            },
        }
    }
}
