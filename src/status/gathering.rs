//! Combines reports that begin or end for many subjects at once. A dead access point stalls fifteen regions one after the
//! other, and a missing permission blocks each image on its own. Such reports wait here until their account is idle, and
//! those with one cause become a single report. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::causes::{Cause, CauseKind, Key};
use super::extent::Extent;
use super::told::Told;
use super::{Activity, Board, NAMED_MAX, Reason, Subject, Transition, TransitionKind, push_recent};
use crate::model::{AccountName, Region, Scope, Timestamp};

/// The longest time that the report of a beginning waits for passes of its account that are in progress.
const BEGIN_PATIENCE: Duration = Duration::from_secs(60);
/// The longest time that the report of an end waits for others of its account. Each region is observed once in five
/// minutes, or up to a tenth later.
const END_PATIENCE: Duration = Duration::from_secs(6 * 60);

/// Reports that wait for similar ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathering {
    accounts: BTreeMap<AccountName, Waiting>,
}

/// The waiting reports of one account.
#[derive(Clone, Debug, Default)]
struct Waiting {
    begun: Vec<Transition>,
    ended: Vec<Transition>,
    /// The regions in which a cause was reported, until no region of the account has an open report.
    covered: BTreeMap<Key, BTreeSet<Region>>,
}

impl Waiting {
    /// Adds a report. If the opposite report waits, both are dropped: then there is nothing to report.
    fn put(&mut self, new: Transition) {
        let (own, others) = match new.kind.is_good() {
            true => (&mut self.ended, &mut self.begun),
            false => (&mut self.begun, &mut self.ended),
        };
        let is_opposite = |other: &Transition| {
            other.subject == new.subject && new.kind.opposite() == Some(other.kind)
        };
        match others.iter().position(is_opposite) {
            // Two different reports may exist for one account.
            Some(at) if !matches!(new.subject, Subject::Account(_)) => drop(others.remove(at)),
            _ => own.push(new),
        }
    }

    fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.ended.is_empty() && self.covered.is_empty()
    }
}

impl Board {
    /// Returns the reports to send now: those of `new` that stand alone, and those that have waited long enough for
    /// similar ones. It must also be called from time to time without new reports.
    pub fn gather(&mut self, new: Vec<Transition>, now: Timestamp) -> Vec<Transition> {
        let (of_many, mut to_report): (Vec<_>, Vec<_>) =
            new.into_iter().partition(|new| new.is_of_many);
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
        to_report.extend(gathered);
        to_report
    }

    /// Whether any report waits to be combined with similar ones.
    pub fn is_gathering(&self) -> bool {
        let mut waiting = self.gathering.accounts.values();
        waiting.any(|waiting| !waiting.begun.is_empty() || !waiting.ended.is_empty())
    }

    /// Adds the reports that have waited long enough to `to_report`.
    fn settle(
        &self,
        account: &AccountName,
        waiting: &mut Waiting,
        now: Timestamp,
        to_report: &mut Vec<Transition>,
    ) {
        let is_late = |of: &[Transition], patience| of.iter().any(|one| one.at + patience <= now);
        let account_ends = waiting.ended.iter().any(is_of_account);
        if !waiting.begun.is_empty()
            && (account_ends || self.rests(account) || is_late(&waiting.begun, BEGIN_PATIENCE))
        {
            let begun = std::mem::take(&mut waiting.begun);
            to_report.extend(self.tell_begun(account, begun, &mut waiting.covered));
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
                true => to_report.extend(self.tell_ended(account, ended)),
                false => waiting.ended.extend(ended),
            }
        }
        if are_regions_over && waiting.begun.is_empty() {
            waiting.covered.clear();
        }
    }

    /// Whether the account is idle: no pass is in progress, and no scope waits for its first pass.
    fn rests(&self, account: &AccountName) -> bool {
        self.scopes_of(account).all(|(_, status)| {
            matches!(
                status.activity,
                Activity::Idle { .. } | Activity::Halted { .. }
            )
        })
    }

    /// Whether any image of the account is reported as denied.
    fn is_any_denied(&self, account: &AccountName) -> bool {
        self.scopes_of(account).any(|(_, status)| {
            let shown = status.images.values().map(|image| &image.reported);
            let mut reported = shown.chain(status.remembered.values());
            reported.any(|reported| reported.block == Some(Reason::NoPermission))
        })
    }

    /// Combines the beginnings by cause into one report each. A beginning without a known cause is reported on its own.
    fn tell_begun(
        &self,
        account: &AccountName,
        begun: Vec<Transition>,
        covered: &mut BTreeMap<Key, BTreeSet<Region>>,
    ) -> Vec<Transition> {
        let causes = self.causes_by_key(|scope| scope.account == *account);
        let (mut reports, mut by_cause) = (Vec::new(), BTreeMap::<Key, Vec<Transition>>::new());
        for transition in begun {
            match self.key_of(&transition) {
                Some(key) => {
                    let known = covered.get(&key);
                    let is_known =
                        |scope: &Scope| known.is_some_and(|known| known.contains(&scope.region));
                    // A stall that is already covered by the report of its cause is not reported again.
                    if !matches!(&transition.subject, Subject::Scope(scope) if is_known(scope)) {
                        by_cause.entry(key).or_default().push(transition);
                    }
                }
                None => reports.push(transition),
            }
        }
        for (key, begun) in by_cause {
            let extent = match causes.get(&key) {
                // The whole broken account waits, whether or not it was observed since.
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
            reports.extend(joined(account, begun, extent));
        }
        reports
    }

    /// Combines the ends into one report per kind and message.
    fn tell_ended(&self, account: &AccountName, ended: Vec<Transition>) -> Vec<Transition> {
        let mut alike = BTreeMap::<_, Vec<Transition>>::new();
        for transition in ended {
            let key = (transition.kind, transition.message.clone());
            alike.entry(key).or_default().push(transition);
        }
        let reports = alike.into_values().filter_map(|ended| {
            let extent = self.extent_of_subjects(&ended);
            joined(account, ended, extent)
        });
        reports.collect()
    }

    /// The regions and images that the subjects of these reports cover together.
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

    /// Corrects `told` for waiting reports: a beginning that still waits was not reported yet, and a subject whose end
    /// waits is still reported.
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

/// Combines several reports into one with this extent. Its message is that of the widest subject, with a placeholder for
/// the single region that it names.
fn joined(account: &AccountName, mut all: Vec<Transition>, extent: Extent) -> Option<Transition> {
    // The sort is stable, so the first report of the widest kind stays first.
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
    /// The kind that ends what this one begins, or the reverse.
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
