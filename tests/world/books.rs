//! Derives from calls and answers alone which shares an installation must know to be its own, what later lists showed
//! of them, and how often somebody else reversed them. The result is a lower bound: doubtful cases are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sharekeeper::model::{Monotonic, Permission};

/// The least number of own shares that must be missing before a list is not trusted.
const LOST_MIN: usize = 2;
/// The same bound as a percentage of the images that it ever shared or adopted.
const LOST_PERCENT: usize = 25;
/// A share that is missing for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// The period in which reversals are counted.
const HOUR: Duration = Duration::from_secs(3600);
/// Successive writes of one image that somebody else reversed: the product's limit plus one.
const REVERSED_MAX: usize = 4;
/// A percentage is not checked for fewer images than this.
const PERCENT_FROM: usize = 10;
/// Recent shares do not count towards the cap, because the run that prunes may not know them yet.
const LATELY: Duration = Duration::from_secs(900);

/// A share that belongs to the installation.
#[derive(Clone, Debug)]
struct Own {
    blueprint: String,
    since: Monotonic,
    /// The number of complete lists that showed the share.
    shown: usize,
    missing_since: Option<Monotonic>,
}

impl Own {
    fn new(blueprint: &str, since: Monotonic) -> Self {
        Self {
            blueprint: blueprint.to_owned(),
            since,
            shown: 0,
            missing_since: None,
        }
    }
}

/// A write that the cloud acknowledged.
#[derive(Clone, Copy, Debug)]
struct Write {
    at: Monotonic,
    permission: Permission,
    is_confirmed: bool,
}

/// A loss that a person accepted, and the images that it covers once a loss of that size was seen.
#[derive(Clone, Debug)]
struct Accepted {
    lost: usize,
    images: Option<BTreeSet<usize>>,
    /// Images that a process may have taken for the accepted ones.
    may_cover: BTreeSet<usize>,
}

/// The shares that one installation owns in one account and region, with their writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books {
    own: BTreeMap<usize, Own>,
    /// Images for which the installation sent a SHARE at any time, or that a person adopted.
    ever: BTreeSet<usize>,
    writes: BTreeMap<usize, Vec<Write>>,
    accepted: Vec<Accepted>,
    /// The images of the last complete list.
    shown: BTreeSet<usize>,
    /// Processes that shared missing images again.
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
            self.own.insert(image, Own::new(blueprint, at));
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
        self.own.insert(image, Own::new(blueprint, at));
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
        self.accepted.push(Accepted {
            lost,
            images: None,
            may_cover: BTreeSet::new(),
        });
        self.note_missing();
        self.doubtful.clear();
    }

    /// A process received a complete list, whether or not it keeps what it learns from it.
    pub(crate) fn showed(&mut self, shown: BTreeSet<usize>) {
        self.shown = shown;
        self.note_missing();
    }

    /// Notes which acceptances may be about the shares that are missing now. Of what the installation ever shared or
    /// adopted, it may miss as much as the last list does not show, and no more.
    fn note_missing(&mut self) {
        let missing = self.ever.difference(&self.shown);
        let missing: BTreeSet<_> = missing.copied().collect();
        let accepted = self.accepted.iter_mut();
        for one in accepted.filter(|one| one.lost <= missing.len()) {
            one.may_cover.extend(&missing);
        }
    }

    /// A person requested another attempt at everything.
    pub(crate) fn asked(&mut self) {
        self.doubtful.clear();
    }

    /// A new process begins. It does not know what the last process had not recorded.
    pub(crate) fn process_began(&mut self) {
        self.writes.clear();
    }

    /// The account has a new name. The installation may not own what is kept under the earlier name.
    pub(crate) fn renamed(&mut self) {
        *self = Self {
            ever: std::mem::take(&mut self.ever),
            ..Self::default()
        };
    }

    /// A complete list that began at this time showed these blueprints, by image.
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

    /// The own and wanted images that the last complete list does not show, if they are enough to count as a loss.
    fn lost(&self, is_wanted: impl Fn(usize) -> bool) -> BTreeSet<usize> {
        let missing = self.own.iter();
        let missing = missing.filter(|(_, own)| own.missing_since.is_some());
        let missing = missing.map(|(image, _)| *image);
        let missing: BTreeSet<_> = missing.filter(|image| is_wanted(*image)).collect();
        match self.is_much(missing.len()) {
            true => missing,
            false => BTreeSet::new(),
        }
    }

    /// Whether so many missing shares count as a loss.
    fn is_much(&self, missing: usize) -> bool {
        missing >= LOST_MIN && missing * 100 > self.ever.len() * LOST_PERCENT
    }

    /// S7: the reason why a process must not cancel anything in this scope while so many own shares are missing.
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
            // Only bounds of the true loss are known, so an acceptance of another number may be about it.
            None => {
                let open = self.accepted.iter().filter(|one| one.images.is_none());
                let covered: BTreeSet<_> = open.flat_map(|one| &one.may_cover).collect();
                let surely = lost.iter().filter(|image| !covered.contains(image));
                !self.is_much(surely.count())
            }
        }
    }

    /// A process shares a missing image again. From then on it must not cancel anything.
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

    /// S20: whether somebody else reversed the image so often that the product must not write it any more.
    pub(crate) fn is_reversed(&self, image: usize, permission: Permission, now: Monotonic) -> bool {
        let writes = self.writes.get(&image).map_or(&[][..], Vec::as_slice);
        let is_same = |write: &Write| write.permission == permission && write.is_confirmed;
        let (all, recent) = (writes.iter().all(is_same), writes.get(1));
        writes.len() == REVERSED_MAX && all && recent.is_some_and(|it| now.since(it.at) < HOUR)
    }

    /// S7: whether the number of pruned shares exceeds the allowed percentage of the own shares.
    pub(crate) fn is_over(&self, pruned: usize, percent: u32, now: Monotonic) -> bool {
        let settled = |own: &&Own| own.shown > 1 && now.since(own.since) > LATELY;
        let surely = self.own.values().filter(settled).count();
        surely >= PERCENT_FROM && pruned * 100 > self.ever.len() * percent as usize
    }
}
