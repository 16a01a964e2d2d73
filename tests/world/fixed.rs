//! The images that a policy wants instead of the newest ones: those that its pins name, or those that the lock file lists.

use std::collections::BTreeSet;

use super::documents::{Pinned, Rule};
use super::lock_file::LockedName;
use super::model::How::{Maybe, Surely};
use super::model::{Fit, How, Scene, version};

/// A policy with the place of its document.
pub(super) type Placed<'s> = (usize, &'s Rule);

/// The result of a policy's pins or its lock in the region.
pub(super) enum Fixed<'s> {
    /// The policy has neither here, so it wants the newest versions.
    No,
    /// The policy wants exactly these images. A lock may list none.
    Images(BTreeSet<&'s str>),
    /// An image is missing or unusable, or the lock is, so the policy does nothing.
    Missing,
}

impl<'s> Scene<'s> {
    /// The pins that are in force. With `Maybe`, a pin also counts if it may have expired.
    fn pins(&self, rule: &'s Rule, how: How) -> Vec<&'s Pinned> {
        let is_over = |until: u64| self.when.is_over(until.cast_signed(), how.opposite());
        let pins = rule.pins.iter();
        let here = pins.filter(|pin| pin.regions.contains(&self.place.1));
        here.filter(|pin| pin.until.is_none_or(|until| !is_over(until)))
            .collect()
    }

    /// Whether the policy may want the newest versions now.
    pub(super) fn may_want_newest(&self, rule: &'s Rule) -> bool {
        !rule.is_locked && self.pins(rule, Surely).is_empty()
    }

    /// Whether a policy does nothing until a person settles its pins or its lock.
    pub(super) fn has_held_policy(&self) -> bool {
        let mut rules = self.rules().into_iter();
        rules.any(|policy| matches!(self.fixed(policy, Maybe), Fixed::Missing))
    }

    pub(super) fn fixed(&self, policy: Placed<'s>, how: How) -> Fixed<'s> {
        let (_, rule) = policy;
        if rule.is_locked {
            let locked = self.locked(policy);
            return locked.map_or(Fixed::Missing, Fixed::Images);
        }
        let mut images = BTreeSet::new();
        for name in self.pins(rule, how).into_iter().flat_map(|pin| &pin.names) {
            match self.snapshot.named(name)[..] {
                [id] if self.can_be_fixed(rule, id) => {
                    images.insert(id);
                }
                _ => return Fixed::Missing,
            }
        }
        match images.is_empty() {
            true => Fixed::No,
            false => Fixed::Images(images),
        }
    }

    fn can_be_fixed(&self, rule: &Rule, id: &str) -> bool {
        self.fit(rule, id) == Fit::Yes && !self.is_out(id, Surely) && !self.is_held(id, Surely)
    }

    /// The images that the lock file lists for the policy here; `None`: the lock cannot be used.
    fn locked(&self, (place, rule): Placed<'s>) -> Option<BTreeSet<&'s str>> {
        let lock = self.manifests.locked(place)?;
        if lock.policy != *rule {
            return None;
        }
        let images = lock.regions.get(&self.place.1)?;
        let usable = |locked: &LockedName| {
            let id = self.scenario.images[locked.image].id();
            let (id, row) = self.snapshot.own.get_key_value(&id)?;
            let is_same = row.name == locked.name && !self.is_excluded(rule, id);
            (is_same && self.can_be_fixed(rule, id)).then_some(&**id)
        };
        images.iter().map(usable).collect()
    }

    /// Whether the lock file lists an image for the policy, whether or not the lock can be used.
    pub(super) fn is_in_lock(&self, place: usize, id: &str) -> bool {
        let lock = self.manifests.locked(place);
        let images = lock.and_then(|lock| lock.regions.get(&self.place.1));
        let mut images = images.into_iter().flatten();
        images.any(|locked| self.is_image(locked.image, id))
    }

    /// Whether the fixed images have stood for long enough for another one to lose its share.
    pub(super) fn may_go_for(
        &self,
        rule: &'s Rule,
        images: &BTreeSet<&'s str>,
        id: &str,
        how: How,
    ) -> Result<(), String> {
        if images.contains(id) {
            return Err("it is pinned or locked".into());
        }
        if images.is_empty() {
            return Err("the lock lists no image here".into());
        }
        if rule.is_locked && how == Maybe && !self.knows_ages(rule) {
            return Err("another region was never seen".into());
        }
        let ages = self.ages(rule);
        let is_soaked = |id: &str| {
            let text = version(rule, self.name(id)).unwrap_or_default();
            let age = ages.get(text).map(|age| age.bound(how));
            age.is_none_or(|age| self.is_soaked(rule, age, how))
        };
        // Pins and locks stand above a deprecation, so that it does not matter here whether an image counts.
        let stands = |id: &&str| self.has_stood(rule, id) && (!rule.is_locked || is_soaked(id));
        match images.iter().all(stands) {
            true => Ok(()),
            false => Err("what is pinned or locked has not stood".into()),
        }
    }
}
