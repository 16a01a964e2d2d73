//! The versions of a policy in one region: their images, their age, and which of them hold a place and stand. A version
//! stands if all its images with a place are NORMAL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::elsewhere::Elsewhere;
use super::facts::{Facts, Region, Share};
use super::matching::{self, Excluded, Fit};
use super::order::{OrderKey, Rank};
use super::resolution::{Inputs, ResolvedVerdict};
use crate::desired::{Availability, Policy};
use crate::inventory::{VersionClock, VersionKey};
use crate::model::{ImageId, Timestamp};
use crate::observation::CvmImages;
use crate::words::rfc3339;

/// The role of an image in its policy, apart from its rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It holds a place: it is shared or can be shared.
    Place,
    /// It is shared, but no server can be started from it.
    Broken(Arc<str>),
    /// It holds no place and is cancelled once enough others stand, because it is deprecated.
    Retiring,
    /// It holds no place: `Ineligible`, `Soaking` or `Waiting`.
    Obstacle(ResolvedVerdict),
    /// It holds no place and does not count: it is revoked, declared unshared, or held and not shared.
    Barred,
}

/// The limits that entries and revocations set before a policy decides.
#[derive(Debug, Default)]
pub(super) struct Bars {
    /// Images that are revoked or declared unshared.
    pub(super) out: BTreeSet<ImageId>,
    /// Images that must not change.
    pub(super) held: BTreeSet<ImageId>,
}

/// All images of one version in the region.
#[derive(Debug)]
pub(super) struct Version<'a> {
    pub(super) text: Arc<str>,
    key: OrderKey,
    pub(super) age: Timestamp,
    /// Whether its age is certain: every region was observed now or before.
    is_age_certain: bool,
    pub(super) images: BTreeMap<&'a ImageId, Claim>,
    is_soaked: bool,
    /// Whether an image that could not be checked may belong to it.
    is_incomplete: bool,
}

/// The images that a policy matches in one region.
#[derive(Debug, Default)]
pub(super) struct Matched<'a> {
    /// Versions in order, the newest first.
    pub(super) versions: Vec<Version<'a>>,
    /// Images that it matches and excludes, each with the reason.
    pub(super) excluded: BTreeMap<&'a ImageId, Arc<str>>,
    /// Images that it may match or exclude, depending on data that could not be read.
    pub(super) unreadable: BTreeSet<&'a ImageId>,
}

/// One policy in one region, with everything that it depends on.
#[derive(Clone, Copy)]
pub(super) struct PolicyHere<'p, 'a> {
    pub(super) inputs: &'p Inputs<'a>,
    pub(super) region: &'p Region<'a>,
    pub(super) policy: &'a Arc<Policy>,
    pub(super) elsewhere: &'p Elsewhere,
    pub(super) bars: &'p Bars,
}

impl<'a> PolicyHere<'_, 'a> {
    /// Whether everything that the policy depends on could be read here.
    pub(super) fn is_readable(&self) -> bool {
        !self.policy.needs_cvm() || matches!(self.region.cvm, CvmImages::Known(_))
    }

    /// Groups the region's own images by version. Images in `always` are included even if they are excluded.
    pub(super) fn matched(&self, always: &BTreeSet<&ImageId>) -> Matched<'a> {
        let mut matched = Matched::default();
        let mut versions: BTreeMap<Arc<str>, Vec<&'a ImageId>> = BTreeMap::new();
        let mut keys: BTreeMap<Arc<str>, OrderKey> = BTreeMap::new();
        let mut incomplete: BTreeSet<Arc<str>> = BTreeSet::new();
        for (&id, facts) in &self.region.images {
            let Some(own) = facts.own else { continue };
            let text: Arc<str> = matching::version_of(self.policy, &own.name).into();
            let is_always = always.contains(id);
            let excluded = match matching::matches(self.policy, id, own, self.region.cvm) {
                Fit::Differs => continue,
                Fit::Unreadable => Excluded::Unreadable,
                Fit::Fits if is_always => Excluded::No,
                Fit::Fits => matching::excluded(self.policy, id, own, self.region.cvm),
            };
            let key = OrderKey::new(&self.policy.order, &text);
            let why = match excluded {
                Excluded::Unreadable => {
                    matched.unreadable.insert(id);
                    incomplete.insert(text);
                    continue;
                }
                Excluded::Yes(why) => Some(why),
                Excluded::No if own.created.is_none() => {
                    Some("its CreatedTime cannot be read".into())
                }
                Excluded::No => key.as_ref().err().map(|why| why.as_str().into()),
            };
            match why {
                Some(why) if !is_always => {
                    matched.excluded.insert(id, why);
                }
                _ => {
                    keys.insert(Arc::clone(&text), key.unwrap_or(OrderKey::Age));
                    versions.entry(text).or_default().push(id);
                }
            }
        }
        let versions = versions.into_iter().map(|(text, ids)| {
            let key = keys.remove(&text).unwrap_or(OrderKey::Age);
            let is_incomplete = incomplete.contains(&text);
            Version {
                is_incomplete,
                ..self.version(text, key, &ids)
            }
        });
        matched.versions = versions.collect();
        matched.versions.sort_by(|a, b| b.rank().compare(&a.rank()));
        matched
    }

    fn version(&self, text: Arc<str>, key: OrderKey, ids: &[&'a ImageId]) -> Version<'a> {
        let clock = self.memory(&text, ids);
        let known = clock.and_then(|clock| clock.age);
        let created = ids
            .iter()
            .filter_map(|id| self.region.images[id].own?.created);
        let ages = created.chain(known).chain(self.elsewhere.created(&text));
        // Only a pin includes an image without a time here, and a pin needs no age.
        let age = ages.min().unwrap_or_default();
        let is_soaked = self.policy.min_age.is_zero()
            || self
                .inputs
                .clocks
                .all(|now| now >= age + self.policy.min_age);
        // An age from before a region was added is no longer certain.
        let was_certain = clock.is_some_and(|clock| {
            clock.age.is_some() && clock.regions.is_superset(&self.policy.regions)
        });
        let mut version = Version {
            text,
            key,
            age,
            is_age_certain: was_certain || self.elsewhere.unseen.is_empty(),
            images: BTreeMap::new(),
            is_soaked,
            is_incomplete: false,
        };
        let claims = ids.iter().map(|&id| {
            let claim = self.claim(id, &self.region.images[id], &version);
            (id, claim)
        });
        version.images = claims.collect();
        version
    }

    fn claim(&self, id: &ImageId, facts: &Facts<'_>, version: &Version<'_>) -> Claim {
        let is_shared = facts.share.is_any();
        if self.bars.out.contains(id) || (self.bars.held.contains(id) && !is_shared) {
            return Claim::Barred;
        }
        if self.is_deprecated(id) {
            return Claim::Retiring;
        }
        match &facts.share {
            Share::Broken(why) => return Claim::Broken(Arc::clone(why)),
            Share::Appearing | Share::Syncing | Share::Normal | Share::Leaving => {
                return Claim::Place;
            }
            Share::None => {}
        }
        if let Some(why) = facts.ineligible() {
            return Claim::Obstacle(ResolvedVerdict::Ineligible(why));
        }
        if !version.is_soaked {
            let until = version.soaked_at(self.policy);
            return Claim::Obstacle(ResolvedVerdict::Soaking(until));
        }
        match self.policy.availability {
            Availability::All => match self.elsewhere.lacks(&version.text) {
                Some(why) => Claim::Obstacle(ResolvedVerdict::Waiting(why)),
                None => Claim::Place,
            },
            Availability::Each => Claim::Place,
        }
    }

    fn is_deprecated(&self, id: &ImageId) -> bool {
        let CvmImages::Known(images) = self.region.cvm else {
            return false;
        };
        self.policy.retires_deprecated && images.get(id).is_some_and(|image| image.deprecated)
    }

    /// The remembered clock of a version with these images here. A row without any of these images belongs to an earlier
    /// build.
    fn memory(&self, version: &Arc<str>, ids: &[&ImageId]) -> Option<&'a VersionClock> {
        let key = VersionKey {
            policy: Arc::clone(self.policy.name()),
            version: Arc::clone(version),
        };
        let clock = self.inputs.inventory.memory.versions.get(&key)?;
        let is_same = ids.iter().any(|id| clock.images.contains(*id));
        is_same.then_some(clock)
    }

    /// Whether a version stands as far as this region shows: all its images with a place are NORMAL, none is broken, and
    /// it is soaked. If some of its images are fixed, only these count.
    fn is_up(&self, version: &Version<'_>, fixed: &Fixed<'_>) -> bool {
        let is_normal = |id: &ImageId| self.region.is_normal(id);
        let mut of_fixed = version
            .images
            .keys()
            .filter(|id| fixed.images.contains(**id));
        let has_fixed = of_fixed.clone().next().is_some();
        match fixed.by {
            FixedBy::Pin if has_fixed => return of_fixed.all(|id| is_normal(id)),
            FixedBy::Lock if has_fixed => {
                return of_fixed.all(|id| is_normal(id)) && version.is_soaked;
            }
            FixedBy::Pin | FixedBy::Lock | FixedBy::Nothing => {}
        }
        let claims = || version.images.iter();
        let is_broken = claims().any(|(_, claim)| matches!(claim, Claim::Broken(_)));
        let mut placed = claims().filter(|(_, claim)| **claim == Claim::Place);
        version.has_place()
            && !is_broken
            && placed.all(|(id, _)| is_normal(id))
            && version.is_soaked
            && !version.is_incomplete
    }

    /// Why a version does not stand, as text; `None` if it holds no place anyway.
    fn lacking(&self, version: &Version<'_>, is_certain: bool) -> Option<Arc<str>> {
        let mut claims = version.images.values();
        let mut placed = version.images.iter();
        if claims.any(|claim| matches!(claim, Claim::Broken(_))) {
            return Some("is broken".into());
        }
        if !version.has_place() {
            return None;
        }
        let is_waiting =
            |(id, claim): (&&ImageId, &Claim)| *claim == Claim::Place && !self.region.is_normal(id);
        if placed.any(is_waiting) {
            return Some("is not NORMAL yet".into());
        }
        if !version.is_soaked {
            let until = rfc3339(version.soaked_at(self.policy));
            return Some(format!("is soaking until {until}").into());
        }
        if version.is_incomplete {
            return Some("has an image that cannot be checked".into());
        }
        if !is_certain {
            let unseen = self.elsewhere.unseen.iter().map(ToString::to_string);
            let unseen: Vec<_> = unseen.collect();
            return Some(format!("is not certain: {} was not observed", unseen.join(", ")).into());
        }
        Some("cannot be dated while the clocks disagree".into())
    }

    /// Whether the image is shared, as far as is known.
    pub(super) fn is_shared(&self, id: &ImageId) -> bool {
        let facts = self.region.images.get(id);
        facts.is_some_and(|facts| facts.share.is_any())
    }

    /// Whether its age and its copies elsewhere are certain. A pin needs neither.
    fn is_certain(&self, version: &Version<'_>, fixed: &Fixed<'_>) -> bool {
        let mut ids = version.images.keys();
        if fixed.by == FixedBy::Pin && ids.any(|id| fixed.images.contains(*id)) {
            return true;
        }
        version.is_age_certain
            && (self.policy.availability == Availability::Each || self.elsewhere.unseen.is_empty())
    }
}

/// The new memory of the versions of a policy, and which of them stand.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) clocks: BTreeMap<VersionKey, VersionClock>,
    /// Since when each version stands, in the order of the versions; `None`: it does not stand.
    pub(super) since: Vec<Option<Timestamp>>,
    /// Why each version that may be shared does not stand, as text.
    pub(super) lacking: Vec<Option<Arc<str>>>,
}

impl<'a> PolicyHere<'_, 'a> {
    /// Determines which versions stand, and since when.
    pub(super) fn standing(&self, versions: &[Version<'a>], fixed: &Fixed<'a>) -> Standing {
        let now = self.inputs.present;
        // No clock starts at a time that is in doubt.
        let is_trusted = self.inputs.clocks.api().is_none();
        let mut standing = Standing::default();
        for version in versions {
            let ids: Vec<&ImageId> = version.images.keys().copied().collect();
            let before = self.memory(&version.text, &ids);
            // A date in the future comes from a clock that was set back since.
            let since = before
                .and_then(|before| before.stands_since)
                .filter(|since| !now.is_before(*since));
            let is_certain = self.is_certain(version, fixed);
            let since = match (self.is_up(version, fixed), is_certain && is_trusted) {
                (false, _) => None,
                (true, true) => Some(since.unwrap_or(now.stamp())),
                // An uncertain state neither ends nor starts a clock.
                (true, false) => since,
            };
            let key = VersionKey {
                policy: Arc::clone(self.policy.name()),
                version: Arc::clone(&version.text),
            };
            let regions = match self.elsewhere.unseen.is_empty() {
                true => self.policy.regions.clone(),
                false => before.map(|it| it.regions.clone()).unwrap_or_default(),
            };
            let clock = VersionClock {
                // `regions` shows which regions the age is based on.
                age: version
                    .certain_age()
                    .or(before.and_then(|before| before.age)),
                stands_since: since,
                regions,
                images: ids.into_iter().cloned().collect(),
            };
            standing.clocks.insert(key, clock);
            let since = since.filter(|_| is_certain);
            let lacking = match since {
                Some(_) => None,
                None => self.lacking(version, is_certain),
            };
            standing.since.push(since);
            standing.lacking.push(lacking);
        }
        standing
    }
}

/// Images that are wanted instead of the newest ones.
#[derive(Debug, Default)]
pub(super) struct Fixed<'a> {
    pub(super) by: FixedBy,
    pub(super) images: BTreeSet<&'a ImageId>,
}

/// The reason why a policy wants fixed images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FixedBy {
    /// Nothing is fixed: the newest versions are wanted.
    #[default]
    Nothing,
    Pin,
    Lock,
}

impl Version<'_> {
    fn rank(&self) -> Rank<'_> {
        Rank {
            key: &self.key,
            age: self.age,
            text: &self.text,
        }
    }

    pub(super) fn has_place(&self) -> bool {
        self.images.values().any(|claim| *claim == Claim::Place)
    }

    /// The time at which it is old enough to be shared.
    pub(super) fn soaked_at(&self, policy: &Policy) -> Timestamp {
        self.age + policy.min_age
    }

    /// Whether it is not old enough yet.
    pub(super) fn is_soaking(&self) -> bool {
        !self.is_soaked
    }

    /// Its age for the memory, if it is certain.
    pub(super) fn certain_age(&self) -> Option<Timestamp> {
        self.is_age_certain.then_some(self.age)
    }
}
