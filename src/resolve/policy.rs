//! The verdicts of one policy for the images that it matches in one region.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::Share;
use super::matching::{self, Excluded, Fit};
use super::resolution::{PolicySelection, ResolvedVerdict};
use super::versions::{Claim, Fixed, FixedBy, Matched, PolicyHere, Standing, Version};
use crate::desired::{LockMode, LockedImage, Pin};
use crate::inventory::{VersionClock, VersionKey};
use crate::model::{Clocks, ImageId, ImageName, Timestamp};
use crate::observation::CvmImages;

/// The most versions for which a message explains why they do not stand.
const LACKING_MAX: usize = 3;

/// The opinion of one policy about the region.
#[derive(Debug, Default)]
pub(super) struct Opinion<'a> {
    /// Verdicts for the images that it matches and that nothing with higher precedence decides about.
    pub(super) verdicts: BTreeMap<&'a ImageId, ResolvedVerdict>,
    /// All images that it matches, including excluded ones.
    pub(super) matched: BTreeSet<&'a ImageId>,
    /// The rank of each image that counts; the newest version has rank 0.
    pub(super) ranks: BTreeMap<&'a ImageId, usize>,
    /// Why the policy is held, if it is.
    pub(super) hold: Option<Arc<str>>,
    /// Whether it could be read and matches nothing.
    pub(super) matches_nothing: bool,
    pub(super) selection: PolicySelection,
    /// The new memory of its versions; `None` keeps the old memory, because nothing new was observed.
    pub(super) clocks: Option<BTreeMap<VersionKey, VersionClock>>,
    /// Times at which time alone may change a verdict.
    pub(super) changes_at: BTreeSet<Timestamp>,
    /// Images that it would retire if the clocks agreed.
    pub(super) disputed: BTreeSet<&'a ImageId>,
    /// Whether an overlap begins with this observation.
    pub(super) begins_overlap: bool,
}

/// The wanted versions of a policy.
enum Wanted<'a> {
    Newest,
    Fixed(Fixed<'a>),
    /// The wanted images are missing; holds the reason.
    Missing(Arc<str>),
}

impl<'a> PolicyHere<'_, 'a> {
    pub(super) fn opinion(&self) -> Opinion<'a> {
        if !self.is_readable() {
            return self.unreadable_opinion();
        }
        let wanted = self.wanted();
        let none = Fixed::default();
        let fixed = match &wanted {
            Wanted::Fixed(fixed) => fixed,
            Wanted::Newest | Wanted::Missing(_) => &none,
        };
        let pinned = match fixed.by {
            FixedBy::Pin => fixed.images.clone(),
            FixedBy::Lock | FixedBy::Nothing => BTreeSet::new(),
        };
        let matched = self.matched(&pinned);
        let mut opinion = self.sorted(&matched);
        let standing = self.standing(&matched.versions, fixed);
        if let Wanted::Missing(why) = &wanted {
            self.hold_all(&mut opinion, &matched, why);
        } else {
            let judge = Judge {
                here: self,
                versions: &matched.versions,
                fixed,
                standing: &standing,
            };
            judge.judge_all(&mut opinion);
        }
        opinion.note_times(self, &matched);
        let mut clocks = standing.clocks;
        self.keep_unjudged(&matched, &mut clocks);
        opinion.clocks = Some(clocks);
        opinion
    }

    /// Keeps the ages of versions whose images cannot be checked now, because the copies that prove them may be gone by
    /// the time they can. It is not observed that these versions stand.
    fn keep_unjudged(
        &self,
        matched: &Matched<'a>,
        clocks: &mut BTreeMap<VersionKey, VersionClock>,
    ) {
        let rows = self.inputs.inventory.memory.versions.iter();
        let unjudged = rows.filter(|(key, clock)| {
            let mut images = clock.images.iter();
            key.policy == *self.policy.name() && images.any(|id| matched.unreadable.contains(id))
        });
        for (key, clock) in unjudged {
            let kept = || VersionClock {
                stands_since: None,
                ..clock.clone()
            };
            clocks.entry(key.clone()).or_insert_with(kept);
        }
    }

    /// The opinion of a policy that depends on CVM data that cannot be read now.
    fn unreadable_opinion(&self) -> Opinion<'a> {
        let matched = self.matched(&BTreeSet::new());
        let why: Arc<str> = format!(
            "policy `{}` is held: CVM's data about the images cannot be read{}",
            self.policy.name(),
            self.cvm_reason()
        )
        .into();
        let held = matched.unreadable.iter();
        Opinion {
            verdicts: held
                .map(|&id| (id, ResolvedVerdict::Held(Arc::clone(&why))))
                .collect(),
            matched: matched.unreadable.clone(),
            hold: Some(why),
            ..Opinion::default()
        }
    }

    /// The images that the policy matches, with its verdicts for those without a rank.
    fn sorted(&self, matched: &Matched<'a>) -> Opinion<'a> {
        let mut opinion = Opinion {
            selection: self.selection(matched),
            ..Opinion::default()
        };
        for (rank, version) in matched.versions.iter().enumerate() {
            let counted = version.images.iter();
            let counted = counted.filter(|(_, claim)| **claim != Claim::Barred);
            opinion.ranks.extend(counted.map(|(&id, _)| (id, rank)));
            opinion.matched.extend(version.images.keys());
        }
        opinion.matched.extend(matched.excluded.keys());
        opinion.matched.extend(&matched.unreadable);
        opinion.matches_nothing = opinion.matched.is_empty();
        for (&id, why) in &matched.excluded {
            let verdict = ResolvedVerdict::Excluded(Arc::clone(why));
            opinion.verdicts.insert(id, verdict);
        }
        for &id in &matched.unreadable {
            let why = format!(
                "policy `{}`: CVM does not list the image",
                self.policy.name()
            );
            let verdict = ResolvedVerdict::Held(why.into());
            opinion.verdicts.insert(id, verdict);
        }
        opinion
    }

    /// Leaves everything that the policy decides about as it is, because wanted images are missing.
    fn hold_all(&self, opinion: &mut Opinion<'a>, matched: &Matched<'a>, why: &str) {
        let why: Arc<str> = format!("policy `{}` is held: {why}", self.policy.name()).into();
        for version in &matched.versions {
            let open = version.images.iter();
            let open = open.filter(|(_, claim)| **claim != Claim::Barred);
            let verdicts = open.map(|(&id, _)| (id, ResolvedVerdict::Held(Arc::clone(&why))));
            opinion.verdicts.extend(verdicts);
        }
        opinion.hold = Some(why);
    }

    /// Why CVM could not be read.
    fn cvm_reason(&self) -> String {
        match self.region.cvm {
            CvmImages::Unknown(why) => format!(": {why}"),
            CvmImages::NotAsked | CvmImages::Known(_) => String::new(),
        }
    }

    fn wanted(&self) -> Wanted<'a> {
        if self.policy.lock == LockMode::Required {
            return self.locked();
        }
        let region = self.inputs.scope.region;
        let is_active = |pin: &&Pin| {
            let is_here = pin
                .regions
                .as_ref()
                .is_none_or(|regions| regions.contains(&region));
            // A pin ends once both clocks agree that it is over.
            let is_on = pin
                .until
                .is_none_or(|until| self.inputs.clocks.any(|now| now < until));
            is_here && is_on
        };
        let pins: Vec<_> = self.policy.pins.iter().filter(is_active).collect();
        if pins.is_empty() {
            return Wanted::Newest;
        }
        let mut images = BTreeSet::new();
        for name in pins.iter().flat_map(|pin| &pin.names) {
            match self.pinned(name) {
                Ok(id) => images.insert(id),
                Err(why) => return Wanted::Missing(why),
            };
        }
        Wanted::Fixed(Fixed {
            by: FixedBy::Pin,
            images,
        })
    }

    /// The image that a pin names.
    fn pinned(&self, name: &ImageName) -> Result<&'a ImageId, Arc<str>> {
        let ids = self.region.named(name.as_str());
        let id = match ids.len() {
            0 => return Err(format!("the pinned image `{name}` is not here").into()),
            1 => ids.into_iter().next(),
            _ => return Err(format!("several images have the pinned name `{name}`").into()),
        };
        let id = id.ok_or("")?;
        self.check_fixed(id, &format!("the pinned image `{name}`"))?;
        Ok(id)
    }

    /// Whether an image can be wanted instead of the newest ones.
    fn check_fixed(&self, id: &ImageId, what: &str) -> Result<(), Arc<str>> {
        let own = self.region.images.get(id).and_then(|facts| facts.own);
        let Some(own) = own else {
            return Err(format!("{what} is not here").into());
        };
        let fit = matching::matches(self.policy, id, own, self.region.cvm);
        if fit != Fit::Fits {
            return Err(format!("{what} is not among those that `match` covers").into());
        }
        if self.bars.out.contains(id) {
            return Err(format!("{what} is revoked or declared unshared").into());
        }
        if self.bars.held.contains(id) {
            return Err(format!("{what} is held").into());
        }
        Ok(())
    }

    /// [`Self::check_fixed`], and whether the image is the one that was locked.
    fn check_locked(&self, id: &ImageId, name: &ImageName, what: &str) -> Result<(), Arc<str>> {
        self.check_fixed(id, what)?;
        let own = self.region.images.get(id).and_then(|facts| facts.own);
        let Some(own) = own.filter(|own| own.name == name.as_str()) else {
            let why = format!("{what} has another name now; run `sharekeeper lock`");
            return Err(why.into());
        };
        match matching::excluded(self.policy, id, own, self.region.cvm) {
            Excluded::No => Ok(()),
            Excluded::Yes(why) => Err(format!("{what} is excluded {why}").into()),
            Excluded::Unreadable => Err(format!("{what} cannot be checked now").into()),
        }
    }

    /// The locked images, instead of the newest versions.
    fn locked(&self) -> Wanted<'a> {
        let name = self.policy.name();
        let Some(lock) = self.inputs.desired.locks.get(name) else {
            let why = "`lock: required`, but no lock file lists it; run `sharekeeper lock`";
            return Wanted::Missing(why.into());
        };
        if lock.digest != self.policy.digest {
            let why = format!(
                "its lock in {} is stale: the policy has changed since; run `sharekeeper lock`",
                lock.source
            );
            return Wanted::Missing(why.into());
        }
        let Some(locked) = lock.regions.get(&self.inputs.scope.region) else {
            let why = format!(
                "its lock in {} lists nothing for this region; run `sharekeeper lock`",
                lock.source
            );
            return Wanted::Missing(why.into());
        };
        let mut images = BTreeSet::new();
        for LockedImage { id, name, .. } in locked {
            let what = format!("the locked image {id} (`{name}`)");
            if let Err(why) = self.check_locked(id, name, &what) {
                return Wanted::Missing(why);
            }
            images.extend(self.region.images.get_key_value(id).map(|(&id, _)| id));
        }
        Wanted::Fixed(Fixed {
            by: FixedBy::Lock,
            images,
        })
    }

    /// The selection by the policy's own rules, without regard to a lock.
    fn selection(&self, matched: &Matched<'a>) -> PolicySelection {
        let candidates = matched.versions.iter();
        let candidates: usize = candidates.map(|version| version.images.len()).sum();
        let placed = matched
            .versions
            .iter()
            .filter(|version| version.has_place());
        let newest = placed.take(self.policy.keep.newest as usize);
        let images = newest.flat_map(|version| {
            let placed = version.images.iter();
            placed.filter(|(_, claim)| **claim == Claim::Place)
        });
        let images = images.filter_map(|(&id, _)| {
            let own = self.region.images.get(id)?.own?;
            Some(LockedImage {
                id: id.clone(),
                name: ImageName::new(&own.name).ok()?,
                created: own.created,
            })
        });
        PolicySelection {
            images: images.collect(),
            candidates: candidates + matched.excluded.len(),
        }
    }
}

impl<'a> Opinion<'a> {
    fn note_times(&mut self, here: &PolicyHere<'_, 'a>, matched: &Matched<'a>) {
        for version in matched
            .versions
            .iter()
            .filter(|version| version.is_soaking())
        {
            self.changes_at.insert(version.soaked_at(here.policy));
        }
        let overlaps = self.verdicts.values();
        self.changes_at
            .extend(overlaps.filter_map(ResolvedVerdict::until));
        self.changes_at
            .extend(here.policy.pins.iter().filter_map(|pin| pin.until));
    }
}

/// Determines the verdict of each image of a policy.
struct Judge<'j, 'p, 'a> {
    here: &'j PolicyHere<'p, 'a>,
    /// Versions in order, the newest first.
    versions: &'j [Version<'a>],
    fixed: &'j Fixed<'a>,
    standing: &'j Standing,
}

impl<'a> Judge<'_, '_, 'a> {
    fn judge_all(&self, opinion: &mut Opinion<'a>) {
        let newest = self.here.policy.keep.newest as usize;
        let mut places = 0;
        for (rank, version) in self.versions.iter().enumerate() {
            let is_inside = self.fixed.by == FixedBy::Nothing && places < newest;
            for (&id, claim) in &version.images {
                let is_fixed = self.fixed.images.contains(id);
                let verdict = match claim {
                    Claim::Barred => continue,
                    _ if is_fixed && self.fixed.by == FixedBy::Pin => ResolvedVerdict::Pinned,
                    Claim::Place if is_inside || is_fixed => ResolvedVerdict::Newest,
                    Claim::Broken(why) if is_inside || is_fixed => {
                        ResolvedVerdict::Broken(Arc::clone(why))
                    }
                    Claim::Obstacle(obstacle) => obstacle.clone(),
                    Claim::Retiring if is_fixed && self.here.is_shared(id) => {
                        ResolvedVerdict::Kept("the lock file lists it".into())
                    }
                    Claim::Place | Claim::Broken(_) | Claim::Retiring => {
                        self.outside(id, rank, claim, opinion)
                    }
                };
                opinion.verdicts.insert(id, verdict);
            }
            places += usize::from(version.has_place());
        }
    }

    /// The verdict for an image that is not wanted: it stays until enough other versions have stood for long enough.
    fn outside(
        &self,
        id: &ImageId,
        rank: usize,
        claim: &Claim,
        opinion: &mut Opinion<'a>,
    ) -> ResolvedVerdict {
        let facts = &self.here.region.images[id];
        if facts.share == Share::None {
            return ResolvedVerdict::Superseded;
        }
        if facts.is_doubled {
            return ResolvedVerdict::Broken("several blueprints exist for the image".into());
        }
        let (since, lacking) = self.superseded_since(rank, *claim == Claim::Retiring);
        let Some(since) = since else {
            return ResolvedVerdict::Kept(lacking);
        };
        let (inputs, policy) = (self.here.inputs, self.here.policy);
        let after = policy.keep.unshare_after;
        if after.is_zero() || inputs.present.since(since) >= after {
            if inputs.clocks.api().is_none() {
                return ResolvedVerdict::Superseded;
            }
            opinion
                .disputed
                .extend(self.here.region.images.get_key_value(id).map(|(&id, _)| id));
            return ResolvedVerdict::Kept(
                format!(
                    "this machine's clock and the API's clock disagree; {}",
                    Clocks::REMEDY
                )
                .into(),
            );
        }
        opinion.begins_overlap |= since == inputs.present.stamp();
        ResolvedVerdict::Overlap(since + after)
    }

    /// Why versions do not stand, the newest first.
    fn why_not(&self, ranks: impl Iterator<Item = usize>) -> String {
        let lacking = ranks.filter_map(|rank| {
            let why = self.standing.lacking[rank].as_ref()?;
            Some(format!("{} {why}", self.versions[rank].text))
        });
        let lacking: Vec<_> = lacking.take(LACKING_MAX).collect();
        match lacking.is_empty() {
            true => String::new(),
            false => format!(": {}", lacking.join("; ")),
        }
    }

    /// Since when enough earlier versions stand; if they do not, a text that says how many are missing.
    fn superseded_since(&self, rank: usize, is_retiring: bool) -> (Option<Timestamp>, Arc<str>) {
        if self.fixed.by != FixedBy::Nothing {
            let versions = self.versions.iter().enumerate();
            let fixed = versions.filter(|(_, version)| {
                let mut ids = version.images.keys();
                ids.any(|id| self.fixed.images.contains(*id))
            });
            let fixed: Vec<_> = fixed.map(|(rank, _)| rank).collect();
            let stand = fixed.iter().filter_map(|rank| self.standing.since[*rank]);
            let stand: Vec<_> = stand.collect();
            let what = match self.fixed.by {
                FixedBy::Pin => "pinned",
                FixedBy::Lock | FixedBy::Nothing => "locked",
            };
            let lacking = format!(
                "{} of {} {what} versions are ready{}",
                stand.len(),
                fixed.len(),
                self.why_not(fixed.iter().copied())
            );
            let is_enough = stand.len() == fixed.len() && !fixed.is_empty();
            let newest = stand.into_iter().max().filter(|_| is_enough);
            return (newest, lacking.into());
        }
        let newest = self.here.policy.keep.newest as usize;
        // A deprecated image is cancelled once any other versions stand.
        let others = (0..self.versions.len()).filter(|other| match is_retiring {
            true => *other != rank,
            false => *other < rank,
        });
        let stand = others.clone().filter_map(|rank| self.standing.since[rank]);
        let mut stand: Vec<_> = stand.collect();
        stand.sort_unstable();
        let lacking = format!(
            "{} of the {newest} versions that take its place are ready{}",
            stand.len(),
            self.why_not(others)
        );
        (stand.get(newest - 1).copied(), lacking.into())
    }
}
