//! Restates in a few rules what documents ask for the images of one region. Some facts are not known for certain, so
//! each answer says what may be right or what is surely right: a write must be possibly right, and the end must be
//! surely reached.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use sharekeeper::model::Monotonic;

use super::documents::{Document, Excluded, Ordered, Pattern, Revoke, Revoked, Rule};
use super::images::BuildResult;
use super::manifests::Manifests;
use super::observations::{Place, RememberedFacts};
use super::scenario::{FaultKind, Image, Scenario, Wanted, Wish};
use super::snapshot::{CvmRow, Snapshot};
use super::support::Cloud;

/// The certainty that an answer must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Maybe,
    Surely,
}

use How::{Maybe, Surely};

impl How {
    /// The certainty that the negation of an answer must have.
    pub(super) fn opposite(self) -> Self {
        match self {
            Maybe => Surely,
            Surely => Maybe,
        }
    }
}

/// Whether a policy applies to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    /// CVM has not returned the needed properties.
    Unknown,
}

/// What entries say about an image now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// A share whose start time is still ahead.
    ToCome,
    Share {
        protect: bool,
    },
    Unshare {
        protect: bool,
        is_expired: bool,
    },
    Conflict,
}

/// The present time, and the tolerance for other clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) now: Monotonic,
    /// The time at which the observation of the region began.
    pub(super) observed_at: Monotonic,
    /// The time of the machine's clock, in seconds from the beginning.
    pub(super) wall: i64,
    /// The time of the same clock when the region was observed.
    pub(super) observed_wall: i64,
    /// The number of seconds by which another clock may be ahead or behind.
    pub(super) slack: i64,
}

impl When {
    /// A time at which every age, soak and overlap has passed.
    pub(super) fn the_end(now: Monotonic) -> Self {
        let wall = i64::try_from(now.since_start().as_secs()).expect("a few hours");
        Self {
            now,
            observed_at: now,
            wall,
            observed_wall: wall,
            slack: 0,
        }
    }

    pub(super) fn is_over(self, at: i64, how: How) -> bool {
        match how {
            Maybe => self.wall + self.slack >= at,
            Surely => self.observed_wall - self.slack >= at,
        }
    }
}

/// The greatest difference of clocks in a scenario, in seconds.
pub(super) fn slack(scenario: &Scenario) -> i64 {
    let ahead = scenario.faults.iter().filter_map(|fault| match fault.kind {
        FaultKind::ClockAhead(ahead) => Some(ahead.abs() + 60),
        _ => None,
    });
    ahead.max().unwrap_or(0)
}

/// The bounds of a version's age: the ages of its oldest present copy and of its oldest copy ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Age {
    /// The creation time that makes the version as old as it may be, or as old as it surely is.
    pub(super) fn bound(self, how: How) -> i64 {
        match how {
            Maybe => self.low,
            Surely => self.high,
        }
    }
}

/// One region with its documents, either as a process observed it or in its true state.
pub(super) struct Scene<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) manifests: &'s Manifests,
    pub(super) cloud: &'s Cloud,
    /// The index of each image by its id.
    pub(super) indexes: &'s BTreeMap<String, usize>,
    pub(super) place: Place,
    pub(super) snapshot: &'s Snapshot,
    /// The facts that the installation remembers; `None`: everything was observed long ago.
    pub(super) memory: Option<&'s RememberedFacts>,
    pub(super) when: When,
    /// Images whose CANCEL is in progress.
    pub(super) going: BTreeSet<String>,
}

/// The sort key of a version in its policy: the numbers in its name, then the remaining text.
type Key = Vec<(u64, String)>;

fn key(order: Ordered, text: &str) -> Key {
    if order == Ordered::Created {
        return Vec::new();
    }
    let mut key = Key::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let signs = after.bytes().take_while(|sign| !sign.is_ascii_digit());
        let (signs, after) = after.split_at(signs.count());
        key.push((number.parse().unwrap_or(0), signs.to_owned()));
        rest = after;
    }
    key
}

impl<'s> Scene<'s> {
    pub(super) fn rules(&self) -> Vec<(usize, &'s Rule)> {
        self.manifests.rules(self.place.0, self.place.1)
    }

    fn entries(&self) -> BTreeMap<&'s str, Wish> {
        self.manifests.entries(self.place.0, self.place.1)
    }

    pub(super) fn is_image(&self, index: usize, id: &str) -> bool {
        self.indexes.get(id) == Some(&index)
    }

    /// What the manifests ask for an image by its id.
    fn wish(&self, id: &str) -> Option<Wish> {
        self.manifests.wish(*self.indexes.get(id)?)
    }

    pub(super) fn name(&self, id: &str) -> &'s str {
        self.snapshot.own.get(id).map_or("", |row| &row.name)
    }

    /// Names in entries that match no image or several.
    pub(super) fn unresolved(&self) -> impl Iterator<Item = &'s str> {
        let names = self.entries().into_keys();
        names.filter(|name| self.snapshot.named(name).len() != 1)
    }

    /// Whether an image must not be changed because of the present or an earlier meaning of a name.
    pub(super) fn is_held(&self, id: &str, how: How) -> bool {
        self.entries().into_iter().any(|(name, wish)| {
            let named = self.snapshot.named(name);
            let meant = self.memory.is_some_and(|memory| match how {
                Surely => memory.meant(self.place, name) == Some(id),
                Maybe => memory.may_have_meant(self.place, name, id),
            });
            match named[..] {
                [only] if only == id => false,
                [only] => {
                    let waits = how == Maybe || wish.state == Wanted::Shared;
                    meant && waits && !self.snapshot.is_normal(only)
                }
                _ => meant || named.contains(&id),
            }
        })
    }

    pub(super) fn said(&self, id: &str) -> Said {
        let entries = self.entries().into_iter();
        let by_name = entries.filter(|(name, _)| self.snapshot.named(name)[..] == [id]);
        let mut wishes = self
            .wish(id)
            .into_iter()
            .chain(by_name.map(|(_, wish)| wish));
        let Some(wish) = wishes.next() else {
            return Said::Nothing;
        };
        if wishes.any(|other| other != wish) {
            return Said::Conflict;
        }
        let is_over = |at: u64| self.when.wall >= at.cast_signed();
        let protect = wish.protect;
        match wish.state {
            Wanted::Unnamed => Said::Nothing,
            Wanted::From(from) if !is_over(from) => Said::ToCome,
            Wanted::Until(until) if is_over(until) => Said::Unshare {
                protect,
                is_expired: true,
            },
            Wanted::Unshared => Said::Unshare {
                protect,
                is_expired: false,
            },
            Wanted::Shared | Wanted::Until(_) | Wanted::From(_) => Said::Share { protect },
        }
    }

    /// The revocations of an image that are in force.
    pub(super) fn revoked(&self, id: &str, how: How) -> Vec<(usize, &'s Rule, &'s Revoke)> {
        let name = self.name(id);
        let is_own = self.snapshot.own.contains_key(id);
        let names = |revoke: &Revoke| match &revoke.what {
            Revoked::Name(revoked) => revoked == name,
            Revoked::Image(index) => self.is_image(*index, id),
        };
        let all = self.rules().into_iter();
        let all =
            all.flat_map(|(place, rule)| rule.revokes.iter().map(move |it| (place, rule, it)));
        all.filter(|(.., revoke)| {
            let at = revoke.at.map(u64::cast_signed);
            is_own && names(revoke) && at.is_none_or(|at| self.when.is_over(at, how))
        })
        .collect()
    }

    /// Whether an image takes no place and does not count: it is revoked or declared unshared.
    pub(super) fn is_out(&self, id: &str, how: How) -> bool {
        // Another clock may consider the date to be over.
        let is_near = |wish: Wish| match wish.state {
            Wanted::Until(until) => self.when.is_over(until.cast_signed(), how),
            _ => false,
        };
        let unshared = match self.said(id) {
            Said::Unshare {
                is_expired: false, ..
            } => true,
            Said::Conflict => how == Maybe,
            Said::Unshare { .. } | Said::Share { .. } | Said::ToCome => {
                let mut entries = self.entries().into_iter();
                self.wish(id).is_some_and(is_near)
                    || entries.any(|(name, wish)| name == self.name(id) && is_near(wish))
            }
            Said::Nothing => false,
        };
        unshared || !self.revoked(id, how).is_empty()
    }

    /// What CVM says about an image, if it was asked.
    fn cvm_row(&self, id: &str) -> Option<&'s CvmRow> {
        self.snapshot.cvm.as_ref()?.get(id)
    }

    pub(super) fn fit(&self, rule: &Rule, id: &str) -> Fit {
        let Some(row) = self.snapshot.own.get(id) else {
            return Fit::No;
        };
        if version(rule, &row.name).is_none() {
            return Fit::No;
        }
        if !rule.needs_cvm() {
            return Fit::Yes;
        }
        match self.cvm_row(id) {
            None => Fit::Unknown,
            Some(row) if rule.asks_family && !row.is_of_family => Fit::No,
            Some(row) if rule.asks_tag && !row.is_tagged => Fit::No,
            Some(_) => Fit::Yes,
        }
    }

    pub(super) fn is_excluded(&self, rule: &Rule, id: &str) -> bool {
        rule.exclude.iter().any(|excluded| match excluded {
            Excluded::Suffix(suffix) => self.name(id).ends_with(suffix.as_str()),
            Excluded::Image(index) => self.is_image(*index, id),
        })
    }

    pub(super) fn is_retiring(&self, rule: &Rule, id: &str) -> bool {
        rule.retires_deprecated && self.cvm_row(id).is_some_and(|row| row.is_deprecated)
    }

    /// The images of a policy that are not excluded, by version. Images that a pin names may count even if they are
    /// excluded.
    pub(super) fn versions(&self, rule: &Rule, how: How) -> BTreeMap<&'s str, Vec<&'s str>> {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, row) in &self.snapshot.own {
            if let Some(text) = version(rule, &row.name)
                && self.fit(rule, id) == Fit::Yes
                && (!self.is_excluded(rule, id) || (how == Maybe && pins_name(rule, &row.name)))
            {
                versions.entry(text).or_default().push(id);
            }
        }
        versions
    }

    /// The present and former images of the account in all regions of a policy. Each comes with whether it exists, and
    /// with its names.
    fn copies<'r>(
        &'r self,
        rule: &'r Rule,
    ) -> impl Iterator<Item = (&'r Image, bool, Vec<String>)> {
        let described = self.cloud.described.borrow();
        let deleted = self.cloud.deleted.borrow();
        let regions = regions_ever(self.scenario, rule);
        let images =
            self.scenario.images.iter().filter(move |image| {
                image.account == self.place.0 && regions.contains(&image.region)
            });
        let copies = images.filter_map(|image| {
            let id = image.id();
            let described = described.get(&id)?;
            if (rule.asks_family || rule.asks_tag) && described.family.is_none() {
                return None;
            }
            let names: Vec<_> = described
                .names
                .iter()
                .map(|(_, name)| name.clone())
                .collect();
            let is_there = rule.regions.contains(&image.region) && !deleted.contains(&id);
            (described.born <= self.when.now).then_some((image, is_there, names))
        });
        copies.collect::<Vec<_>>().into_iter()
    }

    pub(super) fn ages(&self, rule: &Rule) -> BTreeMap<String, Age> {
        let mut ages: BTreeMap<String, Age> = BTreeMap::new();
        for (image, is_there, names) in self.copies(rule) {
            let created = image.created();
            for name in &names {
                let Some(text) = version(rule, name) else {
                    continue;
                };
                let age = ages.entry(text.to_owned()).or_insert(Age {
                    low: created,
                    high: i64::MAX,
                });
                age.low = age.low.min(created);
                let is_counted =
                    image.region != self.place.1 || !self.is_excluded(rule, &image.id());
                if is_there && is_counted && names.len() == 1 {
                    age.high = age.high.min(created);
                }
            }
        }
        ages
    }

    /// Whether a version is newer than another one.
    pub(super) fn is_newer(
        &self,
        rule: &Rule,
        ages: &BTreeMap<String, Age>,
        (a, b): (&str, &str),
        how: How,
    ) -> bool {
        match key(rule.order, a).cmp(&key(rule.order, b)) {
            Ordering::Greater => return true,
            Ordering::Less => return false,
            Ordering::Equal => {}
        }
        let (Some(of_a), Some(of_b)) = (ages.get(a), ages.get(b)) else {
            return how == Maybe;
        };
        match how {
            Surely => (of_a.low, a) > (self.age_here(rule, b, *of_b), b),
            Maybe => (of_a.high, a) > (of_b.low, b),
        }
    }

    /// The greatest age that a process may assume for a version. If it saw no other region, the local copies decide.
    pub(super) fn age_here(&self, rule: &Rule, text: &str, age: Age) -> i64 {
        if self.memory.is_none() {
            return age.high;
        }
        let versions = self.versions(rule, Surely);
        let here = versions.get(text).into_iter().flatten();
        let created = here.map(|id| self.snapshot.own[*id].created);
        created.min().unwrap_or(i64::MAX)
    }

    pub(super) fn is_soaked(&self, rule: &Rule, age: i64, how: How) -> bool {
        let soaked = age.saturating_add(rule.min_age.cast_signed());
        rule.min_age == 0 || self.when.is_over(soaked, how)
    }

    /// Whether each other region has an image of a version that is shared or can be shared.
    pub(super) fn is_everywhere(&self, rule: &Rule, text: &str, how: How) -> bool {
        let copies: Vec<_> = self.copies(rule).collect();
        let has = |region: usize| {
            let mut there = copies.iter().filter(|(image, ..)| image.region == region);
            there.any(|(image, is_there, names)| {
                let made = image.made.as_ref();
                let is_ready = made.is_none_or(|made| {
                    let is_good = match how {
                        Surely => made.result == BuildResult::Good,
                        Maybe => made.result != BuildResult::Failed,
                    };
                    is_good && made.ready <= self.when.now.since_start().as_secs()
                });
                let is_it = |name: &String| version(rule, name) == Some(text);
                match how {
                    Surely => *is_there && is_ready && names.last().is_some_and(is_it),
                    Maybe => is_ready && names.iter().any(is_it),
                }
            })
        };
        let mut others = rule
            .regions
            .iter()
            .filter(|region| **region != self.place.1);
        others.all(|region| has(*region))
    }
}

/// The version of an image with this name, if the policy matches such names.
pub(super) fn version<'n>(rule: &Rule, name: &'n str) -> Option<&'n str> {
    match &rule.pattern {
        Pattern::Prefix(prefix) => name.starts_with(prefix.as_str()).then_some(name),
        Pattern::Versions(prefix) => {
            let rest = name.strip_prefix(prefix.as_str())?.strip_prefix('-')?;
            let text = rest.strip_suffix("-arm").unwrap_or(rest);
            let number = text.strip_prefix("1.")?.strip_suffix(".0")?;
            let is_number = !number.is_empty() && number.bytes().all(|sign| sign.is_ascii_digit());
            is_number.then_some(text)
        }
    }
}

/// Whether a pin that has an effect names an image. A policy with a lock ignores its pins.
pub(super) fn pins_name(rule: &Rule, name: &str) -> bool {
    !rule.is_locked && rule.pins.iter().any(|pin| pin.names.contains(name))
}

/// The regions that a policy has at any time. The age of a version is remembered when its region leaves the policy.
fn regions_ever(scenario: &Scenario, rule: &Rule) -> BTreeSet<usize> {
    let same = scenario
        .all_documents()
        .filter_map(|document| match document {
            Document::Policy(other) if other.account == rule.account => Some(other),
            Document::Policy(_) | Document::Entry(_) | Document::Lock(_) => None,
        });
    let same = same.filter(|other| other.pattern == rule.pattern);
    same.flat_map(|other| other.regions.iter().copied())
        .collect()
}
