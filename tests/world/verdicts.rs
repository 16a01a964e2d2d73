//! Decides what may be done to an image by the documents of its region, and what the image must be at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::{Excluded, Pinned, Rule};
use super::model::How::{Maybe, Surely};
use super::model::{Fit, How, Said, Scene, version};
use super::observations::RememberedFacts;
use super::scenario::seconds;
use super::sight::Shown;

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

/// The result of a policy's pins in the region.
enum Fixed<'s> {
    /// The policy has no pin here, so it wants the newest versions.
    No,
    /// The policy wants exactly these images.
    Images(BTreeSet<&'s str>),
    /// A pinned image is missing, so the policy does nothing.
    Missing,
}

impl<'s> Scene<'s> {
    /// The pins that are in force. With `Maybe`, a pin also counts if it may have expired.
    fn pins(&self, rule: &'s Rule, how: How) -> Vec<&'s Pinned> {
        let is_over = |until: u64| {
            let other = match how {
                Maybe => Surely,
                Surely => Maybe,
            };
            self.when.is_over(until.cast_signed(), other)
        };
        let pins = rule.pins.iter();
        let here = pins.filter(|pin| pin.regions.contains(&self.place.1));
        here.filter(|pin| pin.until.is_none_or(|until| !is_over(until)))
            .collect()
    }

    /// Whether a person must settle a pin, because one of its images is missing or cannot be shared by the policy.
    pub(super) fn has_open_pin(&self) -> bool {
        let mut rules = self.rules().into_iter();
        rules.any(|(_, rule)| matches!(self.fixed(rule, Maybe), Fixed::Missing))
    }

    fn fixed(&self, rule: &'s Rule, how: How) -> Fixed<'s> {
        let mut images = BTreeSet::new();
        for name in self.pins(rule, how).into_iter().flat_map(|pin| &pin.names) {
            match self.sight.named(name)[..] {
                [id] if self.fit(rule, id) == Fit::Yes
                    && !self.is_out(id, Surely)
                    && !self.is_held(id, Surely) =>
                {
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

    /// Whether an image that counts in a policy takes one of its places.
    fn has_place(&self, rule: &Rule, id: &str, age: i64, how: How) -> bool {
        let other = match how {
            Maybe => Surely,
            Surely => Maybe,
        };
        if self.is_out(id, other) || self.is_retiring(rule, id) {
            return false;
        }
        let text = version(rule, &self.sight.own[id].name).unwrap_or_default();
        match (self.sight.shared.get(id), how) {
            (Some(Shown::Normal | Shown::Syncing), _) => true,
            // The list may not show a new share yet.
            (_, Maybe) if self.memory.is_some() => true,
            (Some(Shown::Bad), _) => false,
            // The model does not know whether the process has observed the other regions.
            (None, Surely) if self.memory.is_some() && rule.everywhere => false,
            (None, _) => {
                self.sight.own[id].is_fit
                    && self.is_soaked(rule, age, how)
                    && !self.is_held(id, other)
                    && (!rule.everywhere || self.is_everywhere(rule, text, how))
            }
        }
    }

    /// Whether an image is usable, and has been for as long as the policy requires.
    fn has_stood(&self, rule: &Rule, id: &str) -> bool {
        let since = |memory: &RememberedFacts| memory.normal_since(self.place, id);
        self.sight.is_normal(id)
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
                .any(|id| match (self.sight.shared.get(*id), how) {
                    (Some(Shown::Normal), _) => false,
                    (Some(Shown::Syncing | Shown::Bad), _) => true,
                    // The image may still take a place.
                    (None, Surely) => self.sight.own[*id].is_fit,
                    (None, Maybe) => false,
                });
        let is_soaked = age.is_none_or(|age| self.is_soaked(rule, age, how));
        is_soaked && !lacks && counted.any(|id| self.has_stood(rule, id))
    }

    /// Whether a process can know the ages of a policy's versions for certain.
    fn knows_ages(&self, rule: &Rule) -> bool {
        let Some(memory) = self.memory else {
            return true;
        };
        let mut others = rule.regions.iter();
        others.all(|region| *region == self.place.1 || memory.has_seen((self.place.0, *region)))
    }

    /// The number of versions in a policy that still have a NORMAL share if the image `without` loses its share.
    fn left_without(&self, rule: &Rule, without: &str) -> usize {
        let stays = |id: &&str| {
            self.sight.is_normal(id)
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
    fn may_retire(&self, rule: &'s Rule, id: &'s str) -> Result<(), String> {
        let name = &self.sight.own[id].name;
        let text = version(rule, name).unwrap_or_default();
        let by_pins = |fixed: Fixed<'s>| match fixed {
            Fixed::No => self.is_superseded(rule, id, text, Maybe),
            Fixed::Missing => Err("what is pinned is missing".to_owned()),
            Fixed::Images(images) if images.contains(id) => Err("it is pinned".to_owned()),
            Fixed::Images(images) => {
                // A pin stands above a deprecation, so that it does not matter here whether an image counts.
                let mut images = images.iter();
                let have_stood = images.all(|id| self.has_stood(rule, id));
                have_stood
                    .then_some(())
                    .ok_or("what is pinned has not stood".into())
            }
        };
        by_pins(self.fixed(rule, Maybe)).or_else(|why| {
            match self.pins(rule, Surely).is_empty() {
                true => by_pins(Fixed::No),
                false => Err(why),
            }
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
            let age = age.map(|age| match how {
                Maybe => age.low,
                Surely => age.high,
            });
            self.stands(rule, ids, age, how)
        });
        let standing: Vec<_> = standing.map(|(other, _)| *other).collect();
        match standing.len() >= rule.newest as usize {
            true => Ok(()),
            false => Err(format!("keep: only {standing:?} stand")),
        }
    }

    /// Whether a policy may want an image: a pin names it, or it is one of the newest images with a place.
    fn wants(&self, rule: &'s Rule, id: &'s str, how: How) -> Result<(), String> {
        let other = match how {
            Maybe => Surely,
            Surely => Maybe,
        };
        if self.fit(rule, id) != Fit::Yes || self.is_out(id, other) {
            return Err("no policy may want it".into());
        }
        let by_pins = |fixed: Fixed<'s>| match fixed {
            Fixed::No => self.is_of_newest(rule, id, how),
            Fixed::Missing => Err("what is pinned is missing".to_owned()),
            Fixed::Images(images) if images.contains(id) => Ok(()),
            Fixed::Images(_) => Err("others are pinned".to_owned()),
        };
        match how {
            Maybe => by_pins(self.fixed(rule, Maybe)).or_else(|why| {
                match self.pins(rule, Surely).is_empty() {
                    true => by_pins(Fixed::No),
                    false => Err(why),
                }
            }),
            Surely => by_pins(self.fixed(rule, Surely)),
        }
    }

    fn is_of_newest(&self, rule: &Rule, id: &str, how: How) -> Result<(), String> {
        let text = version(rule, self.name(id)).unwrap_or_default();
        if self.is_excluded(rule, id) || self.is_retiring(rule, id) {
            return Err("it is excluded or deprecated".into());
        }
        let ages = self.ages(rule);
        let other = match how {
            Maybe => Surely,
            Surely => Maybe,
        };
        let age = ages.get(text).map_or(0, |age| match how {
            Maybe => age.low,
            Surely => age.high,
        });
        if !self.sight.shared.contains_key(id) {
            if !self.is_soaked(rule, age, how) {
                return Err("soak: it is too young".into());
            }
            if rule.everywhere && !self.is_everywhere(rule, text, how) {
                return Err("another region does not have it".into());
            }
        }
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
            match self.wants(rule, id, Maybe) {
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
            return Err("N4: a CANCEL of what a policy may match that CVM has not told of".into());
        }
        if matching.is_empty() {
            return match said {
                Said::Nothing => self.may_prune(id).map(|()| Why::Pruned),
                _ => Err("S1: a CANCEL of what has yet to begin".into()),
            };
        }
        let deciding = matching.into_iter();
        let deciding: Vec<_> = deciding
            .filter(|(_, rule)| !self.is_excluded(rule, id) || pinned(rule, self.name(id)))
            .collect();
        if deciding.is_empty() {
            return Err("N2: a CANCEL of what all policies exclude".into());
        }
        if self.is_wanted_as_replacement(id) {
            return Err("N2: a CANCEL of what replaces another image".into());
        }
        for (place, rule) in &deciding {
            self.may_retire(rule, id)
                .map_err(|why| format!("N3: a CANCEL by policy {place}: {why}"))?;
        }
        let places = deciding.into_iter().map(|(place, _)| place);
        Ok(Why::Retention(places.collect()))
    }

    /// Whether a revocation in the region surely wants the image in place of a shared one.
    fn is_wanted_as_replacement(&self, id: &str) -> bool {
        let name = self.name(id);
        self.sight.shared.keys().any(|other| {
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
            let named = self.sight.named(name);
            if !named.iter().any(|id| self.sight.is_normal(id)) {
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
        if !self.sight.own.contains_key(id) {
            return refuse("and the image is not the account's own");
        }
        if let Some(name) = self.unresolved().next() {
            return refuse(&format!("and `{name}` is not resolved"));
        }
        for (place, rule) in self.rules() {
            if rule.needs_cvm() && self.sight.cvm.is_none() {
                return refuse("and CVM cannot be read");
            }
            let mut own = self.sight.own.keys();
            if own.all(|id| self.fit(rule, id) == Fit::No) {
                return refuse(&format!("and policy {place} matches nothing"));
            }
            if self.is_named_by(rule, id) {
                return refuse(&format!("and policy {place} names the image"));
            }
        }
        let entries = self.manifests.entries(self.place.0, self.place.1);
        if let Some(memory) = self.memory {
            let mut names = entries.keys();
            if names.any(|name| !memory.knew(self.place, name, self.when.looked_at)) {
                return refuse("and what a name meant is not known");
            }
        }
        Ok(())
    }

    /// Whether a policy names an image without matching it.
    fn is_named_by(&self, rule: &Rule, id: &str) -> bool {
        let name = self.name(id);
        let mut revokes = rule.revokes.iter();
        let by_id = |excluded: &Excluded| match excluded {
            Excluded::Image(index) => self.is_image(*index, id),
            Excluded::Suffix(_) => false,
        };
        pinned(rule, name)
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
                .any(|(_, rule)| self.fit(rule, id) != Fit::No || self.is_named_by(rule, id))
    }
}

fn pinned(rule: &Rule, name: &str) -> bool {
    rule.pins.iter().any(|pin| pin.names.contains(name))
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
        let row = self.sight.own.get(id)?;
        let shown = self.sight.shared.get(id);
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
        if !self.sight.shared.contains_key(id) {
            return Some(false);
        }
        let Ok(Why::Revoked(places, force)) = self.may_revoke(id) else {
            return None;
        };
        let rules: BTreeMap<_, _> = self.rules().into_iter().collect();
        let by = || places.iter().map(|place| rules[place]);
        let in_use = end.used.contains(id) && !force && !by().all(|rule| rule.cancels_in_use);
        let is_kept = in_use || end.protected.contains(id);
        let others = self.sight.shared.keys();
        let due = others.filter(|other| !self.revoked(other, Maybe).is_empty());
        let due = due.count();
        let is_capped = by().any(|rule| due > rule.max_cancels as usize);
        (!is_kept && !is_capped).then_some(false)
    }

    fn settled_by_policy(&self, id: &'s str, end: &End<'_>) -> Option<bool> {
        let row = &self.sight.own[id];
        let shown = self.sight.shared.get(id);
        let rules = self.rules().into_iter();
        let rules: Vec<_> = rules
            .filter(|(_, rule)| self.fit(rule, id) == Fit::Yes)
            .collect();
        if rules.is_empty() || self.may_replace(id) {
            return None;
        }
        if rules
            .iter()
            .any(|(_, rule)| self.wants(rule, id, Surely).is_ok())
        {
            let is_good = matches!(shown, Some(Shown::Normal | Shown::Syncing));
            return (is_good || (shown.is_none() && row.is_fit)).then_some(true);
        }
        if shown.is_none() {
            let may = rules
                .iter()
                .any(|(_, rule)| self.wants(rule, id, Maybe).is_ok());
            return (!may).then_some(false);
        }
        let decides = |(_, rule): &&(usize, &'s Rule)| !self.is_excluded(rule, id);
        let deciding: Vec<_> = rules.iter().filter(decides).collect();
        if deciding.is_empty() || end.is_doubtful || end.protected.contains(id) {
            return None;
        }
        let mut all = deciding.iter();
        let goes = all.all(|(_, rule)| {
            let text = version(rule, &row.name).unwrap_or_default();
            let due = self.due(rule);
            rule.pins.is_empty()
                && !rule.owned
                && (rule.cancels_in_use || !end.used.contains(id))
                && due <= rule.max_cancels as usize
                && self.is_superseded(rule, id, text, Surely).is_ok()
        });
        goes.then_some(false)
    }

    /// The number of shares of a policy that newer versions may replace.
    fn due(&self, rule: &Rule) -> usize {
        let versions = self.versions(rule, Maybe);
        let images = versions
            .iter()
            .flat_map(|(text, ids)| ids.iter().map(move |id| (*text, *id)));
        let due = images.filter(|(text, id)| {
            self.sight.shared.contains_key(*id) && self.is_superseded(rule, id, text, Maybe).is_ok()
        });
        due.count()
    }
}
