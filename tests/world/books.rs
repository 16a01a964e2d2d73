//! What an installation must know to be its own, by its calls and their answers alone: what it shared, what later lists
//! showed of that, and how often somebody else reversed it. It counts cautiously: what is in doubt is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sharekeeper::model::{Monotonic, Permission};

/// So many of what is its own, at least, may be missing before the view is not to be trusted.
const LOST_MIN: usize = 2;
/// The same in percent.
const LOST_PERCENT: usize = 25;
/// What is missing for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// Reversals are counted within this time.
const HOUR: Duration = Duration::from_secs(3600);
/// Writes of one image that somebody else reversed one after the other, with one to spare.
const REVERSED_MAX: usize = 4;
/// Below so many images percentages mean little.
const PERCENT_FROM: usize = 10;
/// What was shared lately may be by the run that prunes, and does not raise its cap.
const LATELY: Duration = Duration::from_secs(900);

/// A share that is an installation's own.
#[derive(Clone, Debug)]
struct Own {
    blueprint: String,
    since: Monotonic,
    /// Complete lists that showed it.
    shown: usize,
    missing_since: Option<Monotonic>,
}

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Write {
    at: Monotonic,
    permission: Permission,
    is_confirmed: bool,
}

/// A loss that a person accepted, and the images that it was about once it fitted.
#[derive(Clone, Debug)]
struct Accepted {
    lost: usize,
    images: Option<BTreeSet<usize>>,
}

/// The books of one installation about one account in one region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    own: BTreeMap<usize, Own>,
    /// Images of which a SHARE ever left, or that were adopted.
    ever: BTreeSet<usize>,
    writes: BTreeMap<usize, Vec<Write>>,
    accepted: Vec<Accepted>,
    /// Processes that have shared again what they missed.
    doubtful: BTreeSet<usize>,
}

impl Books {
    pub(crate) fn left(&mut self, image: usize, permission: Permission) {
        match permission {
            Permission::Share => drop(self.ever.insert(image)),
            Permission::Cancel => drop(self.own.remove(&image)),
        }
    }

    pub(crate) fn acknowledged(
        &mut self,
        image: usize,
        permission: Permission,
        blueprint: Option<&str>,
        at: Monotonic,
    ) {
        if let (Permission::Share, Some(blueprint)) = (permission, blueprint) {
            let own = Own {
                blueprint: blueprint.to_owned(),
                since: at,
                shown: 0,
                missing_since: None,
            };
            self.own.insert(image, own);
        }
        let writes = self.writes.entry(image).or_default();
        writes.push(Write {
            at,
            permission,
            is_confirmed: false,
        });
        if writes.len() > REVERSED_MAX {
            writes.remove(0);
        }
    }

    pub(crate) fn adopted(&mut self, image: usize, blueprint: &str, at: Monotonic) {
        self.ever.insert(image);
        let own = Own {
            blueprint: blueprint.to_owned(),
            since: at,
            shown: 0,
            missing_since: None,
        };
        self.own.insert(image, own);
    }

    pub(crate) fn released(&mut self, image: usize) {
        self.own.remove(&image);
    }

    pub(crate) fn unparked(&mut self, image: usize) {
        self.writes.remove(&image);
    }

    pub(crate) fn accepted(&mut self, lost: u32) {
        let lost = lost as usize;
        self.accepted.retain(|one| one.lost != lost);
        self.accepted.push(Accepted { lost, images: None });
        self.doubtful.clear();
    }

    /// A person asked for everything to be tried again.
    pub(crate) fn asked(&mut self) {
        self.doubtful.clear();
    }

    /// Another process begins: what the last one had not recorded is gone.
    pub(crate) fn process_began(&mut self) {
        self.writes.clear();
    }

    /// The account has another name, and what is kept under the earlier one may not be its own.
    pub(crate) fn renamed(&mut self) {
        *self = Self {
            ever: std::mem::take(&mut self.ever),
            ..Self::default()
        };
    }

    /// A complete list that began then showed these blueprints, by image.
    pub(crate) fn listed(&mut self, began: Monotonic, shown: &BTreeMap<usize, &str>) {
        self.own.retain(|image, own| {
            if began < own.since {
                return true;
            }
            match shown.get(image) {
                Some(blueprint) if **blueprint == *own.blueprint => {
                    own.shown += 1;
                    own.missing_since = None;
                    true
                }
                Some(_) => false,
                None if own.shown < 2 => false,
                None => {
                    let since = *own.missing_since.get_or_insert(began);
                    began.since(since) < FORGOTTEN
                }
            }
        });
        for (image, writes) in &mut self.writes {
            if let Some(last) = writes.last_mut()
                && began > last.at
                && (last.permission == Permission::Share) == shown.contains_key(image)
            {
                last.is_confirmed = true;
            }
        }
    }

    /// What is its own, wanted, and not shown by the last complete list.
    fn lost(&self, is_wanted: impl Fn(usize) -> bool) -> BTreeSet<usize> {
        let missing = self.own.iter();
        let missing = missing.filter(|(_, own)| own.missing_since.is_some());
        let missing = missing.map(|(image, _)| *image);
        let missing: BTreeSet<_> = missing.filter(|image| is_wanted(*image)).collect();
        let is_much = missing.len() * 100 > self.ever.len() * LOST_PERCENT;
        match missing.len() >= LOST_MIN && is_much {
            true => missing,
            false => BTreeSet::new(),
        }
    }

    /// S7: why a process must not cancel anything here, if so much of what is its own is missing.
    pub(crate) fn forbids_cancel(
        &mut self,
        process: usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Option<String> {
        if self.doubtful.contains(&process) {
            return Some("S7: a CANCEL after a loss that was only shared again".into());
        }
        let lost = self.lost(is_wanted);
        if lost.is_empty() || self.is_accepted(&lost) {
            return None;
        }
        let (lost, of) = (lost.len(), self.ever.len());
        Some(format!("S7: a CANCEL while {lost} of {of} are missing"))
    }

    fn is_accepted(&mut self, lost: &BTreeSet<usize>) -> bool {
        let mut accepted = self.accepted.iter();
        if accepted.any(|one| one.images.as_ref().is_some_and(|of| lost.is_subset(of))) {
            return true;
        }
        let mut open = self.accepted.iter_mut();
        let fits = |one: &&mut Accepted| one.images.is_none() && one.lost == lost.len();
        match open.find(fits) {
            Some(one) => {
                one.images = Some(lost.clone());
                true
            }
            // Nobody saw the loss that somebody accepts next.
            None => self.accepted.iter().any(|one| one.images.is_none()),
        }
    }

    /// A process shares what it misses: from now on it cancels nothing.
    pub(crate) fn shares_again(
        &mut self,
        process: usize,
        image: usize,
        is_wanted: impl Fn(usize) -> bool,
    ) {
        let lost = self.lost(is_wanted);
        if lost.contains(&image) && !self.is_accepted(&lost) {
            self.doubtful.insert(process);
        }
    }

    /// S20: whether somebody else has reversed the image so often that it must be left alone.
    pub(crate) fn is_reversed(&self, image: usize, permission: Permission, now: Monotonic) -> bool {
        let writes = self.writes.get(&image).map_or(&[][..], Vec::as_slice);
        let is_same = |write: &Write| write.permission == permission && write.is_confirmed;
        let (all, recent) = (writes.iter().all(is_same), writes.get(1));
        writes.len() == REVERSED_MAX && all && recent.is_some_and(|it| now.since(it.at) < HOUR)
    }

    /// S7: whether so many are more than the percentage of what is its own.
    pub(crate) fn is_over(&self, pruned: usize, percent: u32, now: Monotonic) -> bool {
        let settled = |own: &&Own| own.shown > 1 && now.since(own.since) > LATELY;
        let surely = self.own.values().filter(settled).count();
        surely >= PERCENT_FROM && pruned * 100 > self.ever.len() * percent as usize
    }
}
