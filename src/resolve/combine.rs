//! Combines entries, revocations and policies into one verdict for each image.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::elsewhere::Elsewhere;
use super::entries::{self, Entries, Entry};
use super::facts::{Facts, Region};
use super::policy::Opinion;
use super::resolution::{Inputs, Resolution, ResolvedImage, ResolvedVerdict};
use super::revocations::{Revocations, Revoked};
use super::versions::{Bars, PolicyHere};
use crate::desired::{Availability, CancelBounds, DesiredImage, DesiredShare, Policy};
use crate::inventory::ResolutionMemory;
use crate::model::{Cause, ImageId, ImageName, Labels, ShareState};
use crate::words::first_of;

/// All inputs of the verdicts.
pub(super) struct Scene<'s, 'a> {
    inputs: &'s Inputs<'a>,
    region: &'s Region<'a>,
    entries: &'s Entries<'a>,
    revocations: &'s Revocations<'a>,
    /// Policies with their opinions, sorted by policy name.
    opinions: Vec<(&'a Arc<Policy>, Opinion<'a>)>,
    bars: Bars,
    /// Images that retention cancels, once all policies that match them agree.
    due: BTreeSet<ImageId>,
}

/// Resolves a scope that was observed.
pub(super) fn resolve_seen(inputs: &Inputs<'_>) -> Resolution {
    let region = Region::new(inputs);
    let entries = Entries::new(inputs, &region);
    let revocations = Revocations::new(inputs, &region);
    let bars = bars(inputs, &entries, &revocations);
    let mut unseen = BTreeSet::new();
    let opinions = inputs.desired.policies.iter().map(|policy| {
        let elsewhere = Elsewhere::new(inputs, policy);
        let here = PolicyHere {
            inputs,
            region: &region,
            policy,
            elsewhere: &elsewhere,
            bars: &bars,
        };
        let opinion = here.opinion();
        let knows_ages = opinion.clocks.as_ref().is_some_and(|clocks| {
            let mut clocks = clocks.values();
            clocks.all(|clock| clock.age.is_some() && clock.regions.is_superset(&policy.regions))
        });
        if !knows_ages || policy.availability == Availability::All {
            unseen.extend(elsewhere.unseen.iter().copied());
        }
        (policy, opinion)
    });
    let opinions = opinions.collect();
    let mut scene = Scene {
        inputs,
        region: &region,
        entries: &entries,
        revocations: &revocations,
        opinions,
        bars,
        due: BTreeSet::new(),
    };
    scene.find_due();
    scene.keep_minimum();
    let mut resolution = scene.resolution();
    resolution.unseen = unseen;
    resolution
}

/// The limits that entries and revocations set before any policy decides.
fn bars(inputs: &Inputs<'_>, entries: &Entries<'_>, revocations: &Revocations<'_>) -> Bars {
    let mut bars = Bars::default();
    bars.held.extend(entries.held.keys().cloned());
    for (id, entry) in &entries.by_image {
        match entry {
            Entry::Conflict(_) => {
                bars.held.insert(id.clone());
            }
            Entry::Says(image) if entries::is_to_come(image, inputs.clocks) => {}
            Entry::Says(image) if entries::wants_no_share(image, inputs.clocks) => {
                bars.out.insert(id.clone());
            }
            Entry::Says(_) => {}
        }
    }
    bars.out.extend(revocations.in_force.keys().cloned());
    bars
}

impl<'a> Scene<'_, 'a> {
    /// The policies that match an image, each with its verdict if it has one.
    fn policies_of(
        &self,
        id: &ImageId,
    ) -> impl Iterator<Item = (&'a Arc<Policy>, Option<&ResolvedVerdict>)> {
        let matching = self
            .opinions
            .iter()
            .filter(move |(_, it)| it.matched.contains(id));
        matching.map(move |(policy, opinion)| (*policy, opinion.verdicts.get(id)))
    }

    /// Whether an entry or a revocation decides about an image, so that no policy does.
    fn is_decided(&self, id: &ImageId) -> bool {
        if self.bars.held.contains(id) || self.revocations.in_force.contains_key(id) {
            return true;
        }
        match self.entries.by_image.get(id) {
            Some(Entry::Says(image)) => !entries::is_to_come(image, self.inputs.clocks),
            Some(Entry::Conflict(_)) => true,
            None => self.revocations.replacements.contains_key(id),
        }
    }

    /// Finds the images that are superseded according to all policies that match and do not exclude them.
    fn find_due(&mut self) {
        let due = self.region.images.iter().filter(|(id, facts)| {
            let verdicts: Vec<_> = self
                .policies_of(id)
                .filter_map(|(_, verdict)| verdict)
                .filter(|verdict| !matches!(verdict, ResolvedVerdict::Excluded(_)))
                .collect();
            let is_due = |verdict: &ResolvedVerdict| match facts.share.is_any() {
                true => *verdict == ResolvedVerdict::Superseded,
                // The share is gone, but must still be reported.
                false => facts.was_cancelled && wanting(verdict) > WANTED_MAX,
            };
            !self.is_decided(id) && !verdicts.is_empty() && verdicts.iter().all(|it| is_due(it))
        });
        self.due = due.map(|(id, _)| (*id).clone()).collect();
    }

    /// Keeps the best of the due images if a policy would otherwise have fewer versions than its minimum; keeps all of
    /// them if even that is not enough.
    fn keep_minimum(&mut self) {
        for index in 0..self.opinions.len() {
            loop {
                let (policy, opinion) = &self.opinions[index];
                let minimum = policy.keep.minimum;
                if self.remaining(policy, opinion) >= minimum as usize {
                    break;
                }
                let ranked = opinion.ranks.iter();
                let due: Vec<_> = ranked.filter(|(id, _)| self.due.contains(**id)).collect();
                let normal = due.iter().filter(|(id, _)| self.region.is_normal(id));
                let best = normal.map(|(_, rank)| **rank).min();
                let kept = due
                    .iter()
                    .filter(|(_, rank)| best.is_none_or(|best| **rank == best));
                let kept: Vec<_> = kept.map(|(id, _)| **id).collect();
                if kept.is_empty() {
                    break;
                }
                let why: Arc<str> =
                    format!("`minimum: {minimum}` versions stay shared and NORMAL").into();
                for id in kept {
                    self.due.remove(id);
                    let verdict = ResolvedVerdict::Kept(Arc::clone(&why));
                    self.opinions[index].1.verdicts.insert(id, verdict);
                }
            }
        }
    }

    /// The number of a policy's versions with a NORMAL share that remain after all due images are cancelled. Images that
    /// are revoked or declared unshared do not count.
    fn remaining(&self, policy: &Policy, opinion: &Opinion<'_>) -> usize {
        debug_assert!(policy.keep.minimum <= policy.keep.newest);
        let stays = |id: &ImageId| {
            self.region.is_normal(id) && !self.due.contains(id) && !self.bars.out.contains(id)
        };
        let ranked = opinion.ranks.iter().filter(|(id, _)| stays(id));
        let ranks: BTreeSet<_> = ranked.map(|(_, rank)| *rank).collect();
        ranks.len()
    }

    fn resolution(&self) -> Resolution {
        let mut resolution = Resolution {
            unresolved: self.entries.unresolved.clone(),
            was: self.entries.was.clone(),
            warnings: self.entries.warnings.clone(),
            ..Resolution::default()
        };
        let named = self.entries.by_image.keys().chain(self.entries.held.keys());
        let ids: BTreeSet<&ImageId> = self.region.images.keys().copied().chain(named).collect();
        for id in ids {
            resolution.images.insert(id.clone(), self.image(id));
        }
        let mut prune_holds = self.entries.prune_holds.clone();
        for (policy, opinion) in &self.opinions {
            self.add_policy(policy, opinion, &mut resolution, &mut prune_holds);
        }
        self.warn_of_minimum(&mut resolution);
        if !prune_holds.is_empty() {
            let all: Vec<_> = prune_holds.into_iter().collect();
            resolution.prune_hold = Some(all.join("; ").into());
        }
        let begins = self.revocations.begin_at.iter();
        let changes = self.opinions.iter().flat_map(|(_, it)| &it.changes_at);
        let entries = self.entries.labels.values().flatten();
        let entries: Vec<_> = entries.flat_map(|it| it.share.changes_at()).collect();
        let reached = begins.chain(changes).chain(&entries);
        let reached = reached.filter_map(|at| self.inputs.clocks.reach(*at));
        resolution.next_change_at = reached.min();
        let mut next = ResolutionMemory {
            names: self.entries.names.clone(),
            ..ResolutionMemory::default()
        };
        for (policy, opinion) in &self.opinions {
            match &opinion.clocks {
                Some(clocks) => next.versions.extend(clocks.clone()),
                None => {
                    let before = self.inputs.inventory.memory.versions.iter();
                    let same = before.filter(|(key, _)| key.policy == *policy.name());
                    next.versions
                        .extend(same.map(|(key, clock)| (key.clone(), clock.clone())));
                }
            }
        }
        resolution.memory = self.inputs.inventory.memory.update_to(&next);
        if self.inputs.is_partial {
            // The document of a row may be among the missing ones.
            let memory = &mut resolution.memory;
            memory.names.retain(|_, change| change.is_some());
            memory.versions.retain(|_, change| change.is_some());
        }
        resolution
    }

    fn add_policy(
        &self,
        policy: &Arc<Policy>,
        opinion: &Opinion<'_>,
        resolution: &mut Resolution,
        prune_holds: &mut BTreeSet<String>,
    ) {
        let name = policy.name();
        if let Some(why) = &opinion.hold {
            let holds = &mut resolution.policy_holds;
            holds.insert(Arc::clone(name), Arc::clone(why));
        }
        if opinion.clocks.is_none() {
            prune_holds.insert(format!(
                "nothing is pruned while policy `{name}` cannot read CVM's data about the images"
            ));
        }
        if opinion.matches_nothing {
            let what = format!("policy `{name}` ({}) matches no image here", policy.source);
            prune_holds.insert(format!("nothing is pruned while {what}"));
            resolution.warnings.push(what);
        }
        if opinion.begins_overlap && self.inputs.inventory.memory.versions.is_empty() {
            resolution.warnings.push(format!(
                "policy `{name}`: the state has no history of its versions, so `unshareAfter` begins with this run; keep the \
                 state directory between runs, otherwise no share ever gets old enough to be cancelled"
            ));
        }
        let selections = &mut resolution.selections;
        selections.insert(Arc::clone(name), opinion.selection.clone());
    }

    /// Warns if a declared `unshared` leaves a policy with fewer versions than its minimum.
    fn warn_of_minimum(&self, resolution: &mut Resolution) {
        for (policy, opinion) in &self.opinions {
            let declared = opinion.matched.iter().filter(|id| {
                self.bars.out.contains(**id)
                    && !self.revocations.in_force.contains_key(**id)
                    && self.region.is_normal(id)
            });
            let (left, minimum) = (self.remaining(policy, opinion), policy.keep.minimum);
            if declared.clone().next().is_some() && left < minimum as usize {
                let names: Vec<_> = declared
                    .map(|id| match self.region.images.get(*id) {
                        Some(facts) if !facts.name().is_empty() => {
                            format!("{} ({id})", facts.name())
                        }
                        _ => id.to_string(),
                    })
                    .collect();
                resolution.warnings.push(format!(
                    "policy `{}`: {left} of `minimum: {minimum}` versions stay shared and NORMAL; declared unshared: {}",
                    policy.name(),
                    first_of(&names)
                ));
            }
        }
    }

    /// The resolution of one image.
    fn image(&self, id: &ImageId) -> ResolvedImage {
        let facts = self.region.images.get(id);
        let labels = self.labels(id);
        let (verdict, desired) = self.verdict(id, facts);
        let desired = desired.map(|desired| {
            let others = labels.iter();
            let others = others.filter(|labels| !Arc::ptr_eq(labels, &desired.document.labels));
            DesiredImage {
                other_labels: others.cloned().collect(),
                ..desired
            }
        });
        let policies = self.policies_of(id).map(|(policy, own)| {
            let own = own.unwrap_or(&verdict);
            (Arc::clone(policy.name()), own.clone())
        });
        let is_held = match &verdict {
            ResolvedVerdict::Conflict(_) | ResolvedVerdict::Revoked(Some(_)) => true,
            // Images that a policy holds are reported once, for the policy.
            ResolvedVerdict::Held(_) => self.entries.held.contains_key(id),
            ResolvedVerdict::Kept(_) => {
                let mut opinions = self.opinions.iter();
                opinions.any(|(_, opinion)| opinion.disputed.contains(id))
            }
            _ => false,
        };
        ResolvedImage {
            name: facts.and_then(|facts| ImageName::new(facts.name()).ok()),
            policies: policies.collect(),
            verdict,
            desired,
            is_held,
            labels,
        }
    }

    /// The labels of all documents that mention an image.
    fn labels(&self, id: &ImageId) -> Vec<Arc<Labels>> {
        let entries = self.entries.labels.get(id).into_iter().flatten();
        let entries = entries.map(|entry| &entry.document.labels);
        let revoking = self.revocations.in_force.get(id).into_iter().flatten();
        let revoking = revoking.map(|revoked| &revoked.policy.document.labels);
        let policies = self.policies_of(id);
        let matching = policies.map(|(policy, _)| &policy.document.labels);
        entries.chain(revoking).chain(matching).cloned().collect()
    }

    /// The verdict by precedence: entries on hold, declared unshared, revoked, declared shared, replacements, policies.
    fn verdict(
        &self,
        id: &ImageId,
        facts: Option<&Facts<'a>>,
    ) -> (ResolvedVerdict, Option<DesiredImage>) {
        let says = match self.entries.by_image.get(id) {
            Some(Entry::Conflict(conflict)) => {
                return (ResolvedVerdict::Conflict(conflict.clone()), None);
            }
            Some(Entry::Says(image)) => Some(*image),
            None => None,
        };
        let clocks = self.inputs.clocks;
        let revoked = self.revocations.in_force.get(id);
        if let Some(why) = self.entries.held.get(id)
            && (revoked.is_some()
                || says.is_none_or(|image| entries::wants_no_share(image, clocks)))
        {
            return (ResolvedVerdict::Held(Arc::clone(why)), None);
        }
        let is_to_come = says.is_some_and(|image| entries::is_to_come(image, clocks));
        let declared = |image: &DesiredImage| {
            let desired = self.declared(image, facts);
            (ResolvedVerdict::Declared, Some(desired))
        };
        let unshares = |image: &&DesiredImage| !is_to_come && !entries::wants_share(image, clocks);
        // Protection keeps an existing share. It does not restore a revoked one.
        let is_shared = facts.is_some_and(|facts| facts.share.is_any());
        let keeps = |image: &&DesiredImage| image.protect && is_shared;
        if let Some(image) = says.filter(|image| unshares(image) || keeps(image)) {
            return declared(image);
        }
        if let Some(revoked) = revoked {
            return self.revoked(id, facts, revoked);
        }
        if let Some(image) = says.filter(|_| !is_to_come) {
            return declared(image);
        }
        let by_policy = self.by_policy(id, facts);
        match (by_policy, says) {
            (Some(by_policy), _) => by_policy,
            (None, Some(image)) => declared(image),
            (None, None) => self.named_by_policy(id, facts).unwrap_or_else(|| {
                let is_own = facts.is_some_and(|facts| facts.own.is_some());
                match is_own {
                    true => (ResolvedVerdict::Unnamed, None),
                    false => (ResolvedVerdict::Foreign, None),
                }
            }),
        }
    }

    /// The verdict for an image that a policy names without matching it: in a pin, an exclusion, its lock or as a
    /// replacement. The image is left alone.
    fn named_by_policy(
        &self,
        id: &ImageId,
        facts: Option<&Facts<'_>>,
    ) -> Option<(ResolvedVerdict, Option<DesiredImage>)> {
        let facts = facts.filter(|facts| facts.own.is_some())?;
        let name = facts.name();
        let region = self.inputs.scope.region;
        let names = |policy: &&Arc<Policy>| {
            let mut pinned = policy.pins.iter().flat_map(|pin| &pin.names);
            let mut excluded = policy.exclude.iter();
            let mut revocations = policy.revocations.iter();
            let lock = self.inputs.desired.locks.get(policy.name());
            let locked = lock.and_then(|lock| lock.regions.get(&region));
            let mut locked = locked.into_iter().flatten();
            pinned.any(|pinned| pinned.as_str() == name)
                || excluded.any(|exclusion| exclusion.id.as_ref() == Some(id))
                || revocations.any(|it| it.replacement.as_ref().is_some_and(|r| r.as_str() == name))
                || locked.any(|locked| locked.id == *id)
        };
        let policy = self.inputs.desired.policies.iter().find(names)?;
        let why = format!("policy `{}` names it but does not match it", policy.name());
        // An image that this run has shared must still be reported.
        let is_ours = facts.was_shared && facts.share.is_any();
        let desired = is_ours.then(|| self.asked(SHARED, policy, Some(facts), None));
        Some((ResolvedVerdict::Kept(why.into()), desired))
    }

    /// The entry, with the image's name added.
    fn declared(&self, image: &DesiredImage, facts: Option<&Facts<'_>>) -> DesiredImage {
        let name = facts.and_then(|facts| ImageName::new(facts.name()).ok());
        DesiredImage {
            name: image.name.clone().or(name),
            ..image.clone()
        }
    }

    fn revoked(
        &self,
        id: &ImageId,
        facts: Option<&Facts<'_>>,
        revoked: &[Revoked<'a>],
    ) -> (ResolvedVerdict, Option<DesiredImage>) {
        let is_shared = facts.is_some_and(|facts| facts.share.is_any());
        let is_forced = revoked.iter().any(|it| it.revocation.force);
        let replacement = || {
            let mut waits = revoked.iter();
            waits.find_map(|it| it.awaits_replacement(self.region))
        };
        let minimum = || {
            let mut opinions = self.opinions.iter();
            opinions.find_map(|(policy, opinion)| {
                let (left, minimum) = (self.remaining(policy, opinion), policy.keep.minimum);
                let is_short = opinion.matched.contains(id) && left < minimum as usize;
                is_short.then(|| {
                    Arc::from(format!(
                        "only {left} of `minimum: {minimum}` versions of policy `{}` would stay shared and NORMAL",
                        policy.name()
                    ))
                })
            })
        };
        let is_waiting = is_shared && !is_forced;
        let doubled = || {
            let is_doubled = facts.is_some_and(|facts| facts.is_doubled);
            is_doubled
                .then(|| Arc::from("several blueprints exist for the image; delete all but one"))
        };
        let waits_for = is_waiting
            .then(|| replacement().or_else(minimum))
            .flatten()
            .or_else(doubled);
        let by = revoked.iter().map(|it| it.policy);
        let bounds = CancelBounds {
            policies: by
                .clone()
                .map(|policy| (Arc::clone(policy.name()), policy.keep.max_cancels))
                .collect(),
            owned: false,
            in_use: is_forced || by.clone().all(|policy| policy.keep.cancels_in_use),
        };
        let share = DesiredShare::ByPolicy {
            state: ShareState::Unshared,
            cause: Cause::Revoked,
        };
        let mut desired = self.asked(share, revoked[0].policy, facts, Some(bounds));
        desired.source = revoked[0].revocation.source.clone();
        desired.note.clone_from(&revoked[0].revocation.reason);
        (ResolvedVerdict::Revoked(waits_for), Some(desired))
    }

    /// The policies' verdict for an image about which nothing else decides; `None` if no policy matches it.
    fn by_policy(
        &self,
        id: &ImageId,
        facts: Option<&Facts<'_>>,
    ) -> Option<(ResolvedVerdict, Option<DesiredImage>)> {
        let replaces = self.revocations.replacements.get(id);
        let verdicts: Vec<_> = self
            .policies_of(id)
            .filter_map(|(policy, verdict)| Some((policy, verdict?)))
            .collect();
        let best = verdicts.iter().min_by_key(|(_, verdict)| wanting(verdict));
        let wants = best.is_some_and(|(_, verdict)| wanting(verdict) <= WANTED_MAX);
        if let (Some(what), false) = (replaces, wants) {
            let policy = self.replacing_policy(id)?;
            let desired = self.asked(SHARED, policy, facts, None);
            return Some((ResolvedVerdict::Kept(Arc::clone(what)), Some(desired)));
        }
        let (policy, verdict) = best?;
        let asks = match verdict {
            ResolvedVerdict::Pinned | ResolvedVerdict::Newest => {
                Some(self.asked(SHARED, policy, facts, None))
            }
            // The planner reports the problem of the blueprint.
            ResolvedVerdict::Broken(_) => Some(self.asked(SHARED, policy, facts, None)),
            _ if self.due.contains(id) => {
                let decide = verdicts
                    .iter()
                    .filter(|(_, it)| !matches!(it, ResolvedVerdict::Excluded(_)))
                    .map(|(policy, _)| *policy);
                let bounds = CancelBounds {
                    policies: decide
                        .clone()
                        .map(|it| (Arc::clone(it.name()), it.keep.max_cancels))
                        .collect(),
                    owned: decide.clone().any(|it| it.keep.owned),
                    in_use: decide.clone().all(|it| it.keep.cancels_in_use),
                };
                let share = DesiredShare::ByPolicy {
                    state: ShareState::Unshared,
                    cause: Cause::Retention,
                };
                Some(self.asked(share, policy, facts, Some(bounds)))
            }
            _ => None,
        };
        Some(((*verdict).clone(), asks))
    }

    /// The policy that wants an image as a replacement.
    fn replacing_policy(&self, id: &ImageId) -> Option<&'a Arc<Policy>> {
        let name = self.region.images.get(id)?.name();
        let mut policies = self.inputs.desired.policies.iter();
        policies.find(|policy| {
            let mut revocations = policy.revocations.iter();
            revocations.any(|it| it.replacement.as_ref().is_some_and(|r| r.as_str() == name))
        })
    }

    fn asked(
        &self,
        share: DesiredShare,
        policy: &Policy,
        facts: Option<&Facts<'_>>,
        bounds: Option<CancelBounds>,
    ) -> DesiredImage {
        DesiredImage {
            share,
            protect: false,
            source: policy.source.clone(),
            document: Arc::clone(&policy.document),
            name: facts.and_then(|facts| ImageName::new(facts.name()).ok()),
            note: None,
            bounds: bounds.map(Arc::new),
            other_labels: Vec::new(),
        }
    }
}

const SHARED: DesiredShare = DesiredShare::ByPolicy {
    state: ShareState::Shared,
    cause: Cause::Policy,
};

/// The largest rank of a verdict that wants the image shared.
const WANTED_MAX: u8 = 2;

/// How much a policy's verdict wants an image; the smallest number wants it most.
const fn wanting(verdict: &ResolvedVerdict) -> u8 {
    match verdict {
        ResolvedVerdict::Pinned => 0,
        ResolvedVerdict::Newest => 1,
        ResolvedVerdict::Broken(_) => 2,
        ResolvedVerdict::Held(_) => 3,
        ResolvedVerdict::Kept(_) => 4,
        ResolvedVerdict::Overlap(_) => 5,
        ResolvedVerdict::Soaking(_) => 6,
        ResolvedVerdict::Waiting(_) => 7,
        ResolvedVerdict::Ineligible(_) => 8,
        ResolvedVerdict::Superseded => 9,
        _ => 10,
    }
}
