//! What begins or ends for many at once is told once. A dead access point stalls fifteen regions one after the other, and a
//! missing permission blocks each image by itself: such reports wait here until their account rests, and those of one cause
//! become one. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::causes::{Cause, CauseKind, Key};
use super::extent::Extent;
use super::told::Told;
use super::{Activity, Board, NAMED_MAX, Reason, Subject, Transition, TransitionKind, push_recent};
use crate::model::{AccountName, Region, Scope, Timestamp};

/// How long a beginning waits for passes of its account that are under way, at the most.
const BEGIN_PATIENCE: Duration = Duration::from_secs(60);
/// How long an end waits for the others of its account, at the most: each region is looked at once in five minutes, or a
/// tenth later.
const END_PATIENCE: Duration = Duration::from_secs(6 * 60);

/// Reports that wait for others like them.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathering {
    accounts: BTreeMap<AccountName, Waiting>,
}

/// The reports of one account that wait.
#[derive(Clone, Debug, Default)]
struct Waiting {
    begun: Vec<Transition>,
    ended: Vec<Transition>,
    /// The regions in which a cause was reported, until nothing is reported of the account's regions any longer.
    covered: BTreeMap<Key, BTreeSet<Region>>,
}

impl Waiting {
    /// Adds a report, unless its opposite waits: then there is nothing to tell.
    fn put(&mut self, new: Transition) {
        let (own, others) = match new.kind.is_good() {
            true => (&mut self.ended, &mut self.begun),
            false => (&mut self.begun, &mut self.ended),
        };
        let is_opposite = |other: &Transition| {
            other.subject == new.subject && new.kind.opposite() == Some(other.kind)
        };
        match others.iter().position(is_opposite) {
            // An account can be told of for two reasons.
            Some(at) if !matches!(new.subject, Subject::Account(_)) => drop(others.remove(at)),
            _ => own.push(new),
        }
    }

    fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.ended.is_empty() && self.covered.is_empty()
    }
}

impl Board {
    /// What is to be told of what is new: what stands for itself, and what waited for others like it long enough. To be
    /// called from time to time, too, with nothing new.
    pub fn gather(&mut self, new: Vec<Transition>, now: Timestamp) -> Vec<Transition> {
        let (of_many, mut told): (Vec<_>, Vec<_>) = new.into_iter().partition(|new| new.is_of_many);
        for transition in of_many {
            if let Some(account) = transition.subject.account().cloned() {
                let waiting = self.gathering.accounts.entry(account).or_default();
                waiting.put(transition);
            }
        }
        let mut gathering = std::mem::take(&mut self.gathering);
        let mut gathered = Vec::new();
        for (account, waiting) in &mut gathering.accounts {
            self.settle(account, waiting, now, &mut gathered);
        }
        gathering.accounts.retain(|_, waiting| !waiting.is_empty());
        self.gathering = gathering;
        if !gathered.is_empty() {
            self.version += 1;
        }
        for transition in &gathered {
            push_recent(&mut self.transitions, transition.clone());
        }
        told.extend(gathered);
        told
    }

    /// Whether anything waits to be told together with others like it.
    pub fn is_gathering(&self) -> bool {
        let mut waiting = self.gathering.accounts.values();
        waiting.any(|waiting| !waiting.begun.is_empty() || !waiting.ended.is_empty())
    }

    /// Tells what has waited long enough.
    fn settle(
        &self,
        account: &AccountName,
        waiting: &mut Waiting,
        now: Timestamp,
        told: &mut Vec<Transition>,
    ) {
        let is_late = |of: &[Transition], patience| of.iter().any(|one| one.at + patience <= now);
        let account_ends = waiting.ended.iter().any(is_of_account);
        if !waiting.begun.is_empty()
            && (account_ends || self.rests(account) || is_late(&waiting.begun, BEGIN_PATIENCE))
        {
            let begun = std::mem::take(&mut waiting.begun);
            told.extend(self.tell_begun(account, begun, &mut waiting.covered));
        }
        let (images, regions): (Vec<_>, Vec<_>) = std::mem::take(&mut waiting.ended)
            .into_iter()
            .partition(|one| matches!(one.subject, Subject::Image(_)));
        let are_regions_over = !self
            .scopes_of(account)
            .any(|(_, status)| status.stall.is_reported());
        for (ended, is_over) in [
            (regions, are_regions_over),
            (images, !self.is_any_denied(account)),
        ] {
            match is_over || is_late(&ended, END_PATIENCE) {
                true => told.extend(self.tell_ended(account, ended)),
                false => waiting.ended.extend(ended),
            }
        }
        if are_regions_over && waiting.begun.is_empty() {
            waiting.covered.clear();
        }
    }

    /// Whether no pass of the account is under way or waits to be the first of its scope.
    fn rests(&self, account: &AccountName) -> bool {
        self.scopes_of(account).all(|(_, status)| {
            matches!(
                status.activity,
                Activity::Idle { .. } | Activity::Halted { .. }
            )
        })
    }

    /// Whether it is reported of any image of the account that it is denied.
    fn is_any_denied(&self, account: &AccountName) -> bool {
        self.scopes_of(account).any(|(_, status)| {
            let shown = status.images.values().map(|image| &image.reported);
            let mut reported = shown.chain(status.remembered.values());
            reported.any(|reported| reported.block == Some(Reason::NoPermission))
        })
    }

    /// One report for each cause of what has begun. What has no known cause is told by itself.
    fn tell_begun(
        &self,
        account: &AccountName,
        begun: Vec<Transition>,
        covered: &mut BTreeMap<Key, BTreeSet<Region>>,
    ) -> Vec<Transition> {
        let causes = self.causes_by_key(|scope| scope.account == *account);
        let (mut told, mut by_cause) = (Vec::new(), BTreeMap::<Key, Vec<Transition>>::new());
        for transition in begun {
            match self.key_of(&transition) {
                Some(key) => {
                    let known = covered.get(&key);
                    let is_known =
                        |scope: &Scope| known.is_some_and(|known| known.contains(&scope.region));
                    // A stall that the report of its cause has named is no news.
                    if !matches!(&transition.subject, Subject::Scope(scope) if is_known(scope)) {
                        by_cause.entry(key).or_default().push(transition);
                    }
                }
                None => told.push(transition),
            }
        }
        for (key, begun) in by_cause {
            let extent = match causes.get(&key) {
                // All of a broken account waits, whether it was looked at since or not.
                Some(cause) if cause.kind == CauseKind::AccountBroken => {
                    self.extent_of_subjects(&begun)
                }
                Some(cause) if !begun.iter().all(is_of_image) => extent_of(cause),
                _ => self.extent_of_subjects(&begun),
            };
            if !begun.iter().all(is_of_image) {
                let known = covered.entry(key).or_default();
                known.extend(extent.regions.iter().copied());
            }
            told.extend(joined(account, begun, extent));
        }
        told
    }

    /// One report for each way of ending.
    fn tell_ended(&self, account: &AccountName, ended: Vec<Transition>) -> Vec<Transition> {
        let mut alike = BTreeMap::<_, Vec<Transition>>::new();
        for transition in ended {
            let key = (transition.kind, transition.message.clone());
            alike.entry(key).or_default().push(transition);
        }
        let told = alike.into_values().filter_map(|ended| {
            let extent = self.extent_of_subjects(&ended);
            joined(account, ended, extent)
        });
        told.collect()
    }

    /// What the subjects of reports come to.
    fn extent_of_subjects(&self, all: &[Transition]) -> Extent {
        let mut extent = Extent::default();
        let mut scopes = BTreeSet::new();
        for transition in all {
            match &transition.subject {
                Subject::Image(key) => {
                    extent.regions.insert(key.scope.region);
                    extent.images += 1;
                    if extent.names.len() < NAMED_MAX {
                        let name = transition.name.as_deref().unwrap_or(key.image.as_str());
                        extent.names.push(name.to_owned());
                    }
                }
                Subject::Scope(scope) => drop(scopes.insert(scope)),
                Subject::Account(account) => {
                    scopes.extend(self.scopes_of(account).map(|(scope, _)| scope));
                }
                Subject::Manifests | Subject::State | Subject::Selection(_) => {}
            }
        }
        for scope in scopes {
            let images = self
                .scopes
                .get(scope)
                .map_or(0, |status| status.images.len());
            extent.regions.insert(scope.region);
            extent.images += images as u64;
        }
        extent
    }

    /// What was told, without what still waits to be told, and with that of which the end waits.
    pub(super) fn correct_told(&self, told: &mut Told) {
        for waiting in self.gathering.accounts.values() {
            for begun in &waiting.begun {
                told.set_reported(begun, false);
            }
            for ended in &waiting.ended {
                told.set_reported(ended, true);
            }
        }
    }
}

fn is_of_account(transition: &Transition) -> bool {
    matches!(transition.subject, Subject::Account(_))
}

fn is_of_image(transition: &Transition) -> bool {
    matches!(transition.subject, Subject::Image(_))
}

fn extent_of(cause: &Cause) -> Extent {
    Extent {
        regions: cause.regions.clone(),
        images: cause.images,
        names: cause.names.clone(),
    }
}

/// One report for several, of what covers them all. Its message is that of the widest, without the one region that it names.
fn joined(account: &AccountName, mut all: Vec<Transition>, extent: Extent) -> Option<Transition> {
    // The sort is stable: the first of the widest stays the first.
    all.sort_by_key(|one| match one.subject {
        Subject::Account(_) => 0,
        Subject::Scope(_) => 1,
        _ => 2,
    });
    let is_alone = all.len() == 1;
    let first = all.into_iter().next()?;
    let (region, is_image) = match &first.subject {
        Subject::Image(key) => (Some(key.scope.region), true),
        Subject::Scope(scope) => (Some(scope.region), false),
        _ => (None, false),
    };
    if is_image && is_alone {
        return Some(first);
    }
    let mut message = first.message.clone();
    let subject = match region {
        Some(region) if extent.regions.len() > 1 => {
            message = message.replace(region.as_str(), "{region}");
            Subject::Account(account.clone())
        }
        Some(region) => Subject::Scope(Scope {
            account: account.clone(),
            region,
        }),
        None => first.subject.clone(),
    };
    Some(Transition {
        subject,
        message,
        name: None,
        extent: Some(Box::new(extent)),
        ..first
    })
}

impl TransitionKind {
    /// The kind that ends what this one begins, or begins what it ends.
    const fn opposite(self) -> Option<Self> {
        match self {
            Self::Stalled => Some(Self::Recovered),
            Self::Recovered => Some(Self::Stalled),
            Self::Blocked => Some(Self::Unblocked),
            Self::Unblocked => Some(Self::Blocked),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "gathering_tests.rs"]
mod tests;
