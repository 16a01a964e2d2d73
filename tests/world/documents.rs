//! Holds documents that name images by name and by policy as plain data, and converts them to the product's desired
//! state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sharekeeper::desired::{
    Availability, Desired, DesiredImage, DocumentMetadata, Exclusion, ImageMatch, ImageRef, Keep,
    LockMode, NameRegex, Order, Pin, Policy, Revocation, Source,
};
use sharekeeper::model::{AccountName, Glob, ImageId, ImageName, Region, Scope};

use super::images::{FAMILY, RELEASE};
use super::lock_file::{LockFile, Locked};
use super::manifests::{Manifests, instant, share};
use super::scenario::{REGIONS, Scenario, Wanted, Wish};

/// The prefixes of the names of builds.
pub(crate) const PREFIXES: [&str; 2] = ["gold", "iron"];

/// The compiled expressions of policies by prefix. They are cached because compiling one takes long.
static VERSIONS: LazyLock<BTreeMap<&str, NameRegex>> = LazyLock::new(|| {
    let expression = |prefix| {
        let text = format!(r"{prefix}-(?<version>1\.\d+\.0)(-arm)?");
        (prefix, NameRegex::new(&text).expect("an expression"))
    };
    PREFIXES.map(expression).into()
});

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Document {
    Entry(Entry),
    Policy(Rule),
    Lock(LockFile),
}

/// A manifest entry that names an image by its name, in several regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) account: usize,
    pub(crate) regions: BTreeSet<usize>,
    pub(crate) name: String,
    pub(crate) wish: Wish,
}

/// A policy. Times are in seconds, and instants are counted from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) account: usize,
    pub(crate) regions: BTreeSet<usize>,
    pub(crate) pattern: Pattern,
    pub(crate) asks_family: bool,
    pub(crate) asks_tag: bool,
    pub(crate) retires_deprecated: bool,
    pub(crate) exclude: Vec<Excluded>,
    pub(crate) order: Ordered,
    pub(crate) min_age: u64,
    pub(crate) everywhere: bool,
    pub(crate) newest: u32,
    pub(crate) minimum: u32,
    pub(crate) unshare_after: u64,
    pub(crate) cancels_in_use: bool,
    pub(crate) max_cancels: u32,
    pub(crate) owned: bool,
    pub(crate) pins: Vec<Pinned>,
    pub(crate) revokes: Vec<Revoke>,
    /// Whether the images of the lock file replace the newest ones.
    #[serde(default)]
    pub(crate) is_locked: bool,
}

/// The image names that a policy matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pattern {
    /// Names with this prefix. Each name is a version of its own.
    Prefix(String),
    /// Names of the form `PREFIX-1.N.0` or `PREFIX-1.N.0-arm`, of which `1.N.0` is the version.
    Versions(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Excluded {
    /// Names with this suffix are meant.
    Suffix(String),
    /// The image with this index.
    Image(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ordered {
    Created,
    Semver,
    Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pinned {
    pub(crate) regions: BTreeSet<usize>,
    pub(crate) names: BTreeSet<String>,
    pub(crate) until: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revoke {
    pub(crate) what: Revoked,
    pub(crate) at: Option<u64>,
    pub(crate) replacement: Option<String>,
    pub(crate) force: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Revoked {
    Name(String),
    /// The image with this index.
    Image(usize),
}

impl Rule {
    /// A policy in the first region that keeps this many of the newest images shared, and nothing else.
    pub(super) fn newest(account: usize, pattern: Pattern, newest: u32) -> Self {
        Self {
            account,
            regions: [0].into(),
            pattern,
            asks_family: false,
            asks_tag: false,
            retires_deprecated: false,
            exclude: Vec::new(),
            order: Ordered::Created,
            min_age: 0,
            everywhere: false,
            newest,
            minimum: 1,
            unshare_after: 0,
            cancels_in_use: false,
            max_cancels: 5,
            owned: false,
            pins: Vec::new(),
            revokes: Vec::new(),
            is_locked: false,
        }
    }

    /// Whether the policy depends on properties that only CVM returns.
    pub(crate) fn needs_cvm(&self) -> bool {
        self.asks_family || self.asks_tag || self.retires_deprecated
    }

    /// A text that differs between policies of different meaning.
    pub(super) fn digest(&self) -> String {
        serde_json::to_string(self).expect("it can be written")
    }

    fn is_about(&self, account: usize, region: usize) -> bool {
        self.account == account && self.regions.contains(&region)
    }
}

impl Manifests {
    /// The documents that could be read, with their places.
    fn readable(&self) -> impl Iterator<Item = (usize, &Document)> {
        let documents = self.documents.iter().enumerate();
        let readable = documents.filter(|(place, _)| !self.lacking.contains(place));
        readable.filter_map(|(place, document)| Some((place, document.as_ref()?)))
    }

    /// What entries ask for names in a scope. The first document about a name decides.
    pub(crate) fn entries(&self, account: usize, region: usize) -> BTreeMap<&str, Wish> {
        let mut entries = BTreeMap::new();
        for (_, document) in self.readable() {
            if let Document::Entry(entry) = document
                && entry.account == account
                && entry.regions.contains(&region)
                && entry.wish.state != Wanted::Unnamed
            {
                entries.entry(&*entry.name).or_insert(entry.wish);
            }
        }
        entries
    }

    /// The policies of a scope, with the places of their documents.
    pub(crate) fn rules(&self, account: usize, region: usize) -> Vec<(usize, &Rule)> {
        let rules = self
            .readable()
            .filter_map(|(place, document)| match document {
                Document::Policy(rule) if rule.is_about(account, region) => Some((place, rule)),
                Document::Policy(_) | Document::Entry(_) | Document::Lock(_) => None,
            });
        rules.collect()
    }

    /// What the lock file says about the policy of this place.
    pub(crate) fn locked(&self, place: usize) -> Option<&Locked> {
        let mut locks = self.readable().filter_map(|(_, document)| match document {
            Document::Lock(lock) => lock.get(&place),
            Document::Entry(_) | Document::Policy(_) => None,
        });
        locks.next()
    }

    /// Whether documents of the scope name images by more than ids.
    pub(crate) fn speaks_of_names(&self, account: usize, region: usize) -> bool {
        !self.rules(account, region).is_empty() || !self.entries(account, region).is_empty()
    }

    /// Adds names and policies to the desired state.
    pub(super) fn add_documents(&self, scenario: &Scenario, desired: &mut Desired) {
        let scopes =
            (0..3).flat_map(|account| (0..REGIONS.len()).map(move |region| (account, region)));
        for (account, region) in scopes {
            let scope = Scope {
                account: AccountName::new(&self.names[account]).expect("a name"),
                region: self::region(region),
            };
            let entries = self.entries(account, region);
            if !entries.is_empty() {
                let named = entries.into_iter().map(|(name, wish)| named(name, wish));
                desired.names.insert(scope.clone(), named.collect());
            }
            let rules = self.rules(account, region);
            if !rules.is_empty() {
                let locked = rules.iter().filter_map(|(place, _)| {
                    let locked = self.locked(*place)?;
                    let lock = locked.policy_lock(*place, scenario);
                    Some((policy_name(*place), lock))
                });
                desired.locks.extend(locked);
                let account = &scope.account;
                let policies = rules
                    .into_iter()
                    .map(|(place, rule)| Arc::new(rule.policy(place, account, scenario)));
                desired.policies.insert(scope.clone(), policies.collect());
            }
        }
    }
}

fn policy_name(place: usize) -> Arc<str> {
    format!("policy-{place}").into()
}

pub(super) fn region(index: usize) -> Region {
    Region::new(REGIONS[index]).expect("a region")
}

pub(super) fn name(text: &str) -> ImageName {
    ImageName::new(text).expect("a name")
}

fn source(line: usize) -> Source {
    Source {
        file: "documents.yaml".into(),
        line: u32::try_from(line).expect("small"),
    }
}

fn named(title: &str, wish: Wish) -> (ImageName, DesiredImage) {
    let entry = DesiredImage {
        share: share(wish.state),
        protect: wish.protect,
        source: source(1),
        document: Arc::default(),
        name: Some(name(title)),
        note: None,
        bounds: None,
        other_labels: Vec::new(),
    };
    (name(title), entry)
}

impl Rule {
    fn policy(&self, place: usize, account: &AccountName, scenario: &Scenario) -> Policy {
        let time = |seconds: u64| TimeDelta::seconds(i64::try_from(seconds).expect("small"));
        let id = |index: usize| ImageId::new(&scenario.images[index].id()).expect("an id");
        Policy {
            document: Arc::new(DocumentMetadata {
                name: policy_name(place),
                labels: Arc::default(),
            }),
            account: account.clone(),
            regions: self.regions.iter().map(|index| region(*index)).collect(),
            matches: self.matches(),
            retires_deprecated: self.retires_deprecated,
            exclude: self.exclude.iter().map(|it| exclusion(it, id)).collect(),
            order: match self.order {
                Ordered::Created => Order::Created,
                Ordered::Semver => Order::Semver(None),
                Ordered::Name => Order::Name,
            },
            min_age: time(self.min_age),
            availability: match self.everywhere {
                true => Availability::All,
                false => Availability::Each,
            },
            keep: Keep {
                newest: self.newest,
                minimum: self.minimum,
                unshare_after: time(self.unshare_after),
                cancels_in_use: self.cancels_in_use,
                max_cancels: self.max_cancels,
                owned: self.owned,
            },
            pins: self.pins.iter().map(pin).collect(),
            revocations: self.revokes.iter().map(|it| revocation(it, id)).collect(),
            lock: match self.is_locked {
                true => LockMode::Required,
                false => LockMode::Optional,
            },
            source: source(place + 100),
            digest: self.digest().into(),
        }
    }

    fn matches(&self) -> ImageMatch {
        let mut matches = ImageMatch::default();
        match &self.pattern {
            Pattern::Prefix(prefix) => matches.name = Some(Glob::new(&format!("{prefix}*"))),
            Pattern::Versions(prefix) => {
                matches.name_regex = VERSIONS.get(&**prefix).cloned();
            }
        }
        matches.family = self.asks_family.then(|| Glob::new(FAMILY));
        if self.asks_tag {
            matches.tags.insert("release".into(), Glob::new(RELEASE));
        }
        matches
    }
}

fn exclusion(excluded: &Excluded, id: impl Fn(usize) -> ImageId) -> Exclusion {
    let mut exclusion = Exclusion {
        id: None,
        matches: ImageMatch::default(),
        reason: None,
    };
    match excluded {
        Excluded::Suffix(suffix) => {
            exclusion.matches.name = Some(Glob::new(&format!("*{suffix}")));
        }
        Excluded::Image(index) => exclusion.id = Some(id(*index)),
    }
    exclusion
}

fn pin(pinned: &Pinned) -> Pin {
    Pin {
        regions: Some(pinned.regions.iter().map(|index| region(*index)).collect()),
        names: pinned.names.iter().map(|text| name(text)).collect(),
        reason: None,
        until: pinned.until.map(instant),
        source: source(2),
    }
}

fn revocation(revoke: &Revoke, id: impl Fn(usize) -> ImageId) -> Revocation {
    Revocation {
        image: match &revoke.what {
            Revoked::Name(text) => ImageRef::Name(name(text)),
            Revoked::Image(index) => ImageRef::Id(id(*index)),
        },
        reason: None,
        at: revoke.at.map(instant),
        replacement: revoke.replacement.as_deref().map(name),
        force: revoke.force,
        source: source(3),
    }
}
