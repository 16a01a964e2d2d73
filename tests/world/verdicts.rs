//! Decides what may be done to an image by the documents of its region, and what the image must be at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::{Excluded, Rule};
use super::fixed::{Fixed, Placed};
use super::model::How::{Maybe, Surely};
use super::model::{Age, Fit, How, Said, Scene, pins_name, version};
use super::observations::RememberedFacts;
use super::scenario::seconds;
use super::snapshot::Shown;

/// The reason why an image may be cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Declared,
    Expired,
    /// The places of the policies that agree.
    Retention(Vec<usize>),
    /// The places of the policies that revoke it, and whether one of them forces the revocation.
    Revoked(Vec<usize>, bool),
    Pruned,
}

impl<'s> Scene<'s> {
    /// Whether an image that counts in a policy takes one of its places.
    fn has_place(&self, rule: &Rule, id: &str, age: i64, how: How) -> bool {
        let other = how.opposite();
        if self.is_out(id, other) || self.is_retiring(rule, id) {
            return false;
        }
        let text = version(rule, &self.snapshot.own[id].name).unwrap_or_default();
        match (self.snapshot.shared.get(id), how) {
            (Some(Shown::Normal | Shown::Syncing), _) => true,
            // The list may not show a new share yet.
            (_, Maybe) if self.memory.is_some() => true,
            (Some(Shown::Bad), _) => false,
            // The model does not know whether the process has observed the other regions.
            (None, Surely) if self.memory.is_some() && rule.everywhere => false,
            (None, _) => {
                self.snapshot.own[id].is_fit
                    && self.is_soaked(rule, age, how)
                    && !self.is_held(id, other)
                    && (!rule.everywhere || self.is_everywhere(rule, text, how))
            }
        }
    }

    /// Whether an image is usable, and has been for as long as the policy requires.
    pub(super) fn has_stood(&self, rule: &Rule, id: &str) -> bool {
        let since = |memory: &RememberedFacts| memory.normal_since(self.place, id);
        self.snapshot.is_normal(id)
            && self.memory.is_none_or(|memory| {
                since(memory).is_some_and(|at| at + seconds(rule.unshare_after) <= self.when.now)
            })
    }

    /// Whether a version that counts in a policy is usable, and has been for as long as the policy requires.
    fn stands(&self, rule: &Rule, ids: &[&str], age: Option<i64>, how: How) -> bool {
        let counts = |id: &&&str| !self.is_out(id, Surely) && !self.is_retiring(rule, id);
        let mut counted = ids.iter().filter(counts);
        let surely_counts = |id: &&&str| {
            !self.is_out(id, Maybe) && !self.is_retiring(rule, id) && !self.is_excluded(rule, id)
        };
        let lacks =
            ids.iter()
                .filter(surely_counts)
                .any(|id| match (self.snapshot.shared.get(*id), how) {
                    (Some(Shown::Normal), _) => false,
                    (Some(Shown::Syncing | Shown::Bad), _) => true,
                    // The image may still take a place.
                    (None, Surely) => self.snapshot.own[*id].is_fit,
                    (None, Maybe) => false,
                });
        let is_soaked = age.is_none_or(|age| self.is_soaked(rule, age, how));
        is_soaked && !lacks && counted.any(|id| self.has_stood(rule, id))
    }

    /// Whether a process can know the ages of a policy's versions for certain.
    pub(super) fn knows_ages(&self, rule: &Rule) -> bool {
        let Some(memory) = self.memory else {
            return true;
        };
        let mut others = rule.regions.iter();
        others.all(|region| *region == self.place.1 || memory.has_seen((self.place.0, *region)))
    }

    /// The number of versions in a policy that still have a NORMAL share if the image `without` loses its share.
    fn left_without(&self, rule: &Rule, without: &str) -> usize {
        let stays = |id: &&str| {
            self.snapshot.is_normal(id)
                && *id != without
                && !self.going.contains(*id)
                && !self.is_out(id, Surely)
        };
        let how = match self.memory {
            Some(_) => Maybe,
            None => Surely,
        };
        let versions = self.versions(rule, how);
        versions
            .values()
            .filter(|ids| ids.iter().any(&stays))
            .count()
    }

    /// Whether a policy may cancel the share of an image that it matches.
    fn may_retire(&self, policy: Placed<'s>, id: &'s str) -> Result<(), String> {
        let (_, rule) = policy;
        let text = version(rule, &self.snapshot.own[id].name).unwrap_or_default();
        let by = |fixed: Fixed<'s>| match fixed {
            Fixed::No => self.is_superseded(rule, id, text, Maybe),
            Fixed::Missing => Err("what is pinned or locked is missing".to_owned()),
            Fixed::Images(images) => self.may_go_for(rule, &images, id, Maybe),
        };
        by(self.fixed(policy, Maybe)).or_else(|why| match self.may_want_newest(rule) {
            true => by(Fixed::No),
            false => Err(why),
        })?;
        let left = self.left_without(rule, id);
        if left < rule.minimum as usize {
            return Err(format!("minimum: {left} are left of {}", rule.minimum));
        }
        Ok(())
    }

    /// Whether enough newer versions are usable.
    fn is_superseded(&self, rule: &Rule, id: &str, text: &str, how: How) -> Result<(), String> {
        let ages = self.ages(rule);
        let is_retiring = self.is_retiring(rule, id);
        if how == Maybe && !self.knows_ages(rule) {
            return Err("another region was never seen".into());
        }
        let versions = self.versions(rule, how);
        let others = versions.iter().filter(|(other, _)| **other != text);
        let newer = others
            .filter(|(other, _)| is_retiring || self.is_newer(rule, &ages, (other, text), how));
        let standing = newer.filter(|(other, ids)| {
            let age = ages.get(**other);
            let age = age.map(|age| age.bound(how));
            self.stands(rule, ids, age, how)
        });
        let standing: Vec<_> = standing.map(|(other, _)| *other).collect();
        match standing.len() >= rule.newest as usize {
            true => Ok(()),
            false => Err(format!("keep: only {standing:?} stand")),
        }
    }

    /// Whether a policy may want an image: a pin names it, the lock file lists it, or it is one of the newest images with
    /// a place.
    fn wants(&self, policy: Placed<'s>, id: &'s str, how: How) -> Result<(), String> {
        let (_, rule) = policy;
        let other = how.opposite();
        if self.fit(rule, id) != Fit::Yes || self.is_out(id, other) {
            return Err("no policy may want it".into());
        }
        let by = |fixed: Fixed<'s>| match fixed {
            Fixed::No => self.is_of_newest(rule, id, how),
            Fixed::Missing => Err("what is pinned or locked is missing".to_owned()),
            Fixed::Images(images) if !images.contains(id) => {
                Err("others are pinned or locked".to_owned())
            }
            Fixed::Images(_) if rule.is_locked => self.can_take_place(rule, id, how).map(drop),
            Fixed::Images(_) => Ok(()),
        };
        let fixed = by(self.fixed(policy, how));
        match how == Maybe && self.may_want_newest(rule) {
            true => fixed.or_else(|_| by(Fixed::No)),
            false => fixed,
        }
    }

    /// Whether an image can take a place of its policy if no others do. Returns the ages of the policy's versions.
    fn can_take_place(
        &self,
        rule: &Rule,
        id: &str,
        how: How,
    ) -> Result<BTreeMap<String, Age>, String> {
        let text = version(rule, self.name(id)).unwrap_or_default();
        if self.is_excluded(rule, id) || self.is_retiring(rule, id) {
            return Err("it is excluded or deprecated".into());
        }
        let ages = self.ages(rule);
        let age = ages.get(text).map_or(0, |age| age.bound(how));
        if !self.snapshot.shared.contains_key(id) {
            if !self.is_soaked(rule, age, how) {
                return Err("soak: it is too young".into());
            }
            if rule.everywhere && !self.is_everywhere(rule, text, how) {
                return Err("another region does not have it".into());
            }
        }
        Ok(ages)
    }

    fn is_of_newest(&self, rule: &Rule, id: &str, how: How) -> Result<(), String> {
        let ages = self.can_take_place(rule, id, how)?;
        let text = version(rule, self.name(id)).unwrap_or_default();
        let other = how.opposite();
        let versions = self.versions(rule, other);
        let others = versions.iter().filter(|(newer, _)| **newer != text);
        let newer = others.filter(|(newer, ids)| {
            let age = ages.get(**newer).map_or(0, |age| match how {
                Maybe => self.age_here(rule, newer, *age),
                Surely => age.low,
            });
            self.is_newer(rule, &ages, (newer, text), other)
                && ids.iter().any(|id| self.has_place(rule, id, age, other))
        });
        match newer.count() < rule.newest as usize {
            true => Ok(()),
            false => Err("it is not of the newest".into()),
        }
    }

    /// Whether a revocation may want the image in place of a revoked image.
    fn may_replace(&self, id: &str) -> bool {
        let name = self.name(id);
        let revokes = self.rules().into_iter().flat_map(|(_, rule)| &rule.revokes);
        let mut names = revokes.filter_map(|revoke| revoke.replacement.as_deref());
        names.any(|replacement| replacement == name)
    }

    /// Whether the image may be shared now, according to the received answers.
    pub(super) fn may_share(&self, id: &'s str, is_blind: bool) -> Result<(), String> {
        let said = self.said(id);
        match said {
            Said::Conflict => return Err("N1: a SHARE of what entries disagree about".into()),
            Said::Unshare { .. } => return Err("S1: a SHARE of what is declared unshared".into()),
            Said::Share { .. } if is_blind => return Ok(()),
            _ => {}
        }
        if !self.revoked(id, Surely).is_empty() {
            return Err("N2: a SHARE of what is revoked".into());
        }
        if matches!(said, Said::Share { .. }) {
            return Ok(());
        }
        if self.is_held(id, Surely) {
            return Err("N1: a SHARE of what a name means or meant that is not resolved".into());
        }
        if is_blind {
            return Err("N4: a SHARE by a policy that sees nothing".into());
        }
        if self.may_replace(id) {
            return Ok(());
        }
        let mut why = "S1: a SHARE that nothing asks for".to_owned();
        for (place, rule) in self.rules() {
            match self.wants((place, rule), id, Maybe) {
                Ok(()) => return Ok(()),
                Err(reason) => why = format!("N2: a SHARE by policy {place}: {reason}"),
            }
        }
        Err(why)
    }

    /// The reason why the image may be cancelled now, according to the received answers.
    pub(super) fn may_cancel(&self, id: &'s str, is_blind: bool) -> Result<Why, String> {
        if self.is_held(id, Surely) {
            return Err("N1: a CANCEL of what a name means or meant that is not resolved".into());
        }
        let said = self.said(id);
        match said {
            Said::Conflict => return Err("N1: a CANCEL of what entries disagree about".into()),
            Said::Unshare { protect: true, .. } | Said::Share { protect: true } => {
                return Err("protect: a CANCEL".into());
            }
            Said::Unshare { is_expired, .. } => {
                return Ok(match is_expired {
                    true => Why::Expired,
                    false => Why::Declared,
                });
            }
            _ if is_blind => return Err("N4: a CANCEL by a policy that sees nothing".into()),
            Said::Share { .. } | Said::ToCome | Said::Nothing => {}
        }
        if !self.revoked(id, Maybe).is_empty() {
            let why = self.may_revoke(id);
            let is_share = matches!(said, Said::Share { .. });
            if why.is_ok() || is_share || !self.revoked(id, Surely).is_empty() {
                return why;
            }
        }
        if matches!(said, Said::Share { .. }) {
            return Err("S1: a CANCEL of what is declared shared".into());
        }
        let fits = |rule: &Rule| self.fit(rule, id);
        let rules = self.rules().into_iter();
        let matching: Vec<_> = rules.filter(|(_, rule)| fits(rule) != Fit::No).collect();
        if matching.iter().any(|(_, rule)| fits(rule) == Fit::Unknown) {
            return Err("N4: a CANCEL of what a policy may match that CVM does not show".into());
        }
        if matching.is_empty() {
            return match said {
                Said::Nothing => self.may_prune(id).map(|()| Why::Pruned),
                _ => Err("S1: a CANCEL of what has yet to begin".into()),
            };
        }
        let deciding = matching.into_iter();
        let deciding: Vec<_> = deciding
            .filter(|(_, rule)| !self.is_excluded(rule, id) || pins_name(rule, self.name(id)))
            .collect();
        if deciding.is_empty() {
            return Err("N2: a CANCEL of what all policies exclude".into());
        }
        if self.is_wanted_as_replacement(id) {
            return Err("N2: a CANCEL of what replaces another image".into());
        }
        for (place, rule) in &deciding {
            self.may_retire((*place, rule), id)
                .map_err(|why| format!("N3: a CANCEL by policy {place}: {why}"))?;
        }
        let places = deciding.into_iter().map(|(place, _)| place);
        Ok(Why::Retention(places.collect()))
    }

    /// Whether a revocation in the region surely wants the image in place of a shared one.
    fn is_wanted_as_replacement(&self, id: &str) -> bool {
        let name = self.name(id);
        self.snapshot.shared.keys().any(|other| {
            let revoked = self.revoked(other, Surely);
            let mut replacements = revoked
                .iter()
                .filter_map(|(.., it)| it.replacement.as_deref());
            replacements.any(|replacement| replacement == name)
                && !self.going.contains(other)
                && self.revoked(id, Maybe).is_empty()
        })
    }

    fn may_revoke(&self, id: &'s str) -> Result<Why, String> {
        let revoked = self.revoked(id, Maybe);
        let force = revoked.iter().any(|(.., revoke)| revoke.force);
        let places = revoked.iter().map(|(place, ..)| *place).collect();
        if force {
            return Ok(Why::Revoked(places, true));
        }
        for name in revoked
            .iter()
            .filter_map(|(.., revoke)| revoke.replacement.as_ref())
        {
            let named = self.snapshot.named(name);
            if !named.iter().any(|id| self.snapshot.is_normal(id)) {
                return Err("N2: a revocation does not wait for the replacement".into());
            }
        }
        for (place, rule) in self.rules() {
            let left = self.left_without(rule, id);
            if self.fit(rule, id) != Fit::No && left < rule.minimum as usize {
                return Err(format!("N3: a revocation leaves {left} in policy {place}"));
            }
        }
        Ok(Why::Revoked(places, false))
    }

    fn may_prune(&self, id: &str) -> Result<(), String> {
        let refuse = |why: &str| Err(format!("N1: a prune, {why}"));
        if !self.scenario.prune {
            return Err("S1: a CANCEL of what no manifest names".into());
        }
        if !self.snapshot.own.contains_key(id) {
            return refuse("and the image is not the account's own");
        }
        if let Some(name) = self.unresolved().next() {
            return refuse(&format!("and `{name}` is not resolved"));
        }
        for (place, rule) in self.rules() {
            if rule.needs_cvm() && self.snapshot.cvm.is_none() {
                return refuse("and CVM cannot be read");
            }
            let mut own = self.snapshot.own.keys();
            if own.all(|id| self.fit(rule, id) == Fit::No) {
                return refuse(&format!("and policy {place} matches nothing"));
            }
            if self.is_named_by((place, rule), id) {
                return refuse(&format!("and policy {place} names the image"));
            }
        }
        let entries = self.manifests.entries(self.place.0, self.place.1);
        if let Some(memory) = self.memory {
            let mut names = entries.keys();
            if names.any(|name| !memory.knew(self.place, name, self.when.observed_at)) {
                return refuse("and what a name meant is not known");
            }
        }
        Ok(())
    }

    /// Whether a policy names an image without matching it.
    fn is_named_by(&self, (place, rule): Placed<'_>, id: &str) -> bool {
        let name = self.name(id);
        let mut pins = rule.pins.iter();
        let mut revokes = rule.revokes.iter();
        let by_id = |excluded: &Excluded| match excluded {
            Excluded::Image(index) => self.is_image(*index, id),
            Excluded::Suffix(_) => false,
        };
        pins.any(|pin| pin.names.contains(name))
            || self.is_in_lock(place, id)
            || rule.exclude.iter().any(by_id)
            || revokes.any(|revoke| revoke.replacement.as_deref() == Some(name))
    }

    /// Whether a document refers to an image, or may do so.
    pub(super) fn is_spoken_of(&self, id: &str) -> bool {
        self.said(id) != Said::Nothing
            || self.is_held(id, Maybe)
            || !self.revoked(id, Maybe).is_empty()
            || self
                .rules()
                .into_iter()
                .any(|policy| self.fit(policy.1, id) != Fit::No || self.is_named_by(policy, id))
    }
}

/// Further facts about the end of a run.
pub(super) struct End<'e> {
    /// Images that instances use.
    pub(super) used: &'e BTreeSet<String>,
    /// Images that an entry protected at any time.
    pub(super) protected: &'e BTreeSet<String>,
    /// Whether something may block all CANCELs of the region that no entry declares.
    pub(super) is_doubtful: bool,
}

impl<'s> Scene<'s> {
    /// Whether the image must be shared at the end; `None`: both states are allowed.
    pub(super) fn settled(&self, id: &'s str, end: &End<'_>) -> Option<bool> {
        let row = self.snapshot.own.get(id)?;
        let shown = self.snapshot.shared.get(id);
        if self.is_held(id, Maybe) {
            return None;
        }
        let said = self.said(id);
        let is_revoked = !self.revoked(id, Maybe).is_empty();
        match said {
            Said::Conflict | Said::Unshare { protect: true, .. } | Said::ToCome => return None,
            Said::Unshare { is_expired, .. } => {
                let is_kept = is_expired && end.used.contains(id);
                return (!is_kept).then_some(false);
            }
            Said::Share { protect: true } if is_revoked => return None,
            _ if is_revoked => return self.settled_revoked(id, end),
            Said::Share { .. } => return (shown.is_some() || row.is_fit).then_some(true),
            Said::Nothing => {}
        }
        self.settled_by_policy(id, end)
    }

    /// The state that a revoked image must have.
    fn settled_revoked(&self, id: &'s str, end: &End<'_>) -> Option<bool> {
        if !self.snapshot.shared.contains_key(id) {
            return Some(false);
        }
        let Ok(Why::Revoked(places, force)) = self.may_revoke(id) else {
            return None;
        };
        let rules: BTreeMap<_, _> = self.rules().into_iter().collect();
        let by = || places.iter().map(|place| rules[place]);
        let in_use = end.used.contains(id) && !force && !by().all(|rule| rule.cancels_in_use);
        let is_kept = in_use || end.protected.contains(id);
        let others = self.snapshot.shared.keys();
        let due = others.filter(|other| !self.revoked(other, Maybe).is_empty());
        let due = due.count();
        let is_capped = by().any(|rule| due > rule.max_cancels as usize);
        (!is_kept && !is_capped).then_some(false)
    }

    fn settled_by_policy(&self, id: &'s str, end: &End<'_>) -> Option<bool> {
        let row = &self.snapshot.own[id];
        let shown = self.snapshot.shared.get(id);
        let rules = self.rules().into_iter();
        let rules: Vec<_> = rules
            .filter(|(_, rule)| self.fit(rule, id) == Fit::Yes)
            .collect();
        if rules.is_empty() || self.may_replace(id) {
            return None;
        }
        if rules
            .iter()
            .any(|policy| self.wants(*policy, id, Surely).is_ok())
        {
            let is_good = matches!(shown, Some(Shown::Normal | Shown::Syncing));
            return (is_good || (shown.is_none() && row.is_fit)).then_some(true);
        }
        if shown.is_none() {
            let may = rules
                .iter()
                .any(|policy| self.wants(*policy, id, Maybe).is_ok());
            return (!may).then_some(false);
        }
        let decides = |(_, rule): &&(usize, &'s Rule)| !self.is_excluded(rule, id);
        let deciding: Vec<_> = rules.iter().filter(decides).collect();
        if deciding.is_empty() || end.is_doubtful || end.protected.contains(id) {
            return None;
        }
        let mut all = deciding.iter();
        let goes = all.all(|policy| {
            let (_, rule) = **policy;
            !rule.owned
                && (rule.cancels_in_use || !end.used.contains(id))
                && self.due(**policy) <= rule.max_cancels as usize
                && self.surely_goes(**policy, id)
        });
        goes.then_some(false)
    }

    /// Whether the images that a policy wants surely replace another one at the end.
    fn surely_goes(&self, policy: Placed<'s>, id: &'s str) -> bool {
        let (_, rule) = policy;
        let text = |id: &str| version(rule, self.name(id)).unwrap_or_default();
        match self.fixed(policy, Surely) {
            Fixed::Images(images) if rule.is_locked => {
                let versions: BTreeSet<_> = images.iter().map(|id| text(id)).collect();
                versions.len() >= rule.minimum as usize
                    && self.may_go_for(rule, &images, id, Surely).is_ok()
            }
            Fixed::No if rule.pins.is_empty() => {
                self.is_superseded(rule, id, text(id), Surely).is_ok()
            }
            Fixed::No | Fixed::Images(_) | Fixed::Missing => false,
        }
    }

    /// The number of shares of a policy that other versions may replace.
    fn due(&self, policy: Placed<'s>) -> usize {
        let (_, rule) = policy;
        let versions = self.versions(rule, Maybe);
        let images = versions
            .iter()
            .flat_map(|(text, ids)| ids.iter().map(move |id| (*text, *id)));
        let locked = match self.fixed(policy, Maybe) {
            Fixed::Images(images) if rule.is_locked => Some(images),
            _ => None,
        };
        let due = images.filter(|(text, id)| {
            self.snapshot.shared.contains_key(*id)
                && match &locked {
                    Some(locked) => !locked.contains(id),
                    None => self.is_superseded(rule, id, text, Maybe).is_ok(),
                }
        });
        due.count()
    }
}
