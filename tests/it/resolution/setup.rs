//! A scope with its documents in the types of the product, put together with few words, and what resolution says of it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use chrono::TimeDelta;
use sharekeeper::attempts::AttemptLog;
use sharekeeper::desired::{
    Availability, Completeness, DesiredImage, DesiredScope, DesiredShare, DocumentMetadata,
    Exclusion, ImageMatch, ImageRef, Keep, LockMode, Order, Pin, Policy, PolicyLock, Revocation,
    Source,
};
use sharekeeper::inventory::{Inventory, VersionClock, VersionKey};
use sharekeeper::model::{
    AccountName, Cause, Clocks, Glob, ImageId, ImageName, Monotonic, Region, Scope, Selector,
    ShareState, Timestamp,
};
use sharekeeper::observation::{
    Blueprint, CvmImage, CvmImages, Eligibility, Instances, Observation, OwnImage, OwnImages,
    Precondition, Seen, Unobserved,
};
use sharekeeper::resolve::{self, Inputs, RegionView, Resolution, ResolvedVerdict};

/// The region whose documents are resolved.
pub(crate) const HERE: &str = "ap-tokyo";
/// Another region of the same account.
pub(crate) const THERE: &str = "eu-frankfurt";

/// The time of all cases that say nothing else.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_timestamp(1_790_000_000, 0).expect("a date")
}

pub(crate) fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

pub(crate) fn id(text: &str) -> ImageId {
    ImageId::new(text).expect("an id")
}

pub(crate) fn name(text: &str) -> ImageName {
    ImageName::new(text).expect("a name")
}

fn source(line: u32) -> Source {
    Source {
        file: "a.yaml".into(),
        line,
    }
}

/// A policy for [`HERE`] that keeps the newest so many of the images that match, and whose other fields have their defaults.
pub(crate) fn policy(title: &str, glob: &str, newest: u32, minimum: u32) -> Policy {
    Policy {
        document: Arc::new(DocumentMetadata {
            name: title.into(),
            labels: Arc::default(),
        }),
        account: AccountName::default(),
        regions: [region(HERE)].into(),
        matches: ImageMatch {
            name: Some(Glob::new(glob)),
            ..ImageMatch::default()
        },
        retires_deprecated: false,
        exclude: Vec::new(),
        order: Order::Created,
        min_age: TimeDelta::zero(),
        availability: Availability::Each,
        keep: Keep {
            newest,
            minimum,
            unshare_after: TimeDelta::zero(),
            cancels_in_use: false,
            max_cancels: 5,
            owned: false,
        },
        pins: Vec::new(),
        revocations: Vec::new(),
        lock: LockMode::Optional,
        source: source(1),
        digest: "digest".into(),
    }
}

/// A pin of these names in all regions.
pub(crate) fn pin(names: &[&str], until: Option<Timestamp>) -> Pin {
    Pin {
        regions: None,
        names: names.iter().map(|text| name(text)).collect(),
        reason: None,
        until,
        source: source(2),
    }
}

/// A revocation that waits as long as it must.
pub(crate) fn revoke(image: &str) -> Revocation {
    Revocation {
        image: ImageRef::Name(name(image)),
        reason: None,
        at: None,
        replacement: None,
        force: false,
        source: source(3),
    }
}

/// An exclusion of one image.
pub(crate) fn exclude(image: &str) -> Exclusion {
    Exclusion {
        id: Some(id(image)),
        matches: ImageMatch::default(),
        reason: None,
    }
}

/// An image that can be shared.
pub(crate) fn own(title: &str, created: Timestamp) -> OwnImage {
    OwnImage {
        name: title.into(),
        created: Some(created),
        state: "NORMAL".into(),
        os_name: "Ubuntu 22.04".into(),
        platform: "Ubuntu".into(),
        architecture: "x86_64".into(),
        eligibility: Eligibility::Shareable,
    }
}

/// What the listing says of an image that is shared: for no visible reason it cannot be.
pub(crate) fn unshareable() -> Eligibility {
    Eligibility::Unshareable {
        failed: Vec::new(),
        reason: "the image is shared".into(),
    }
}

/// What the listing says of an image in a state in which it cannot be shared.
pub(crate) fn unfit(state: &str) -> Eligibility {
    Eligibility::Unshareable {
        failed: vec![Precondition::Normal(state.into())],
        reason: format!("the image is {state}"),
    }
}

/// The blueprint of an image in the given state.
pub(crate) fn blueprint(image: &ImageId, title: &str, state: &str) -> Blueprint {
    Blueprint {
        id: format!("lhbp-{}", image.as_str()).into(),
        state: state.into(),
        name: title.into(),
    }
}

/// A scope, its documents, and what is known of it.
pub(crate) struct Setup {
    pub(crate) scope: Scope,
    pub(crate) entries: BTreeMap<ImageId, DesiredImage>,
    pub(crate) names: BTreeMap<ImageName, DesiredImage>,
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) locks: BTreeMap<Arc<str>, PolicyLock>,
    /// Whether the scope was seen.
    pub(crate) is_seen: bool,
    /// Whether reading what is shared is denied, while the account's own images are known.
    pub(crate) is_denied: bool,
    /// Whether documents may be missing.
    pub(crate) is_partial: bool,
    pub(crate) own: BTreeMap<ImageId, OwnImage>,
    pub(crate) seen: Seen,
    pub(crate) elsewhere: BTreeMap<Region, RegionView>,
    pub(crate) inventory: Inventory,
    pub(crate) clocks: Clocks,
}

/// What resolution brings about for one image as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Share(Cause),
    Cancel(Cause),
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            scope: Scope {
                account: AccountName::default(),
                region: region(HERE),
            },
            entries: BTreeMap::new(),
            names: BTreeMap::new(),
            policies: Vec::new(),
            locks: BTreeMap::new(),
            is_seen: true,
            is_denied: false,
            is_partial: false,
            own: BTreeMap::new(),
            seen: Seen {
                instances: Instances::Known(BTreeMap::new()),
                ..Seen::default()
            },
            elsewhere: BTreeMap::new(),
            inventory: Inventory::default(),
            clocks: Clocks::machine_only(now()),
        }
    }
}

impl Setup {
    /// A scope with one policy.
    pub(crate) fn with(policy: Policy) -> Self {
        Self::default().and(policy)
    }

    /// Adds one more policy to the scope.
    pub(crate) fn and(mut self, policy: Policy) -> Self {
        self.policies.push(policy.into());
        self
    }

    /// An image with the id `img-` and its name without anything but letters and digits, made so many hours ago.
    pub(crate) fn image(self, title: &str, hours: i64) -> Self {
        let image = id_of(title);
        self.image_as(image, title, hours)
    }

    /// The same with another id.
    pub(crate) fn image_as(mut self, image: ImageId, title: &str, hours: i64) -> Self {
        let created = now() - TimeDelta::hours(hours);
        self.own.insert(image, own(title, created));
        self
    }

    /// The image is shared as a blueprint in that state.
    pub(crate) fn shared(mut self, title: &str, state: &str) -> Self {
        let image = id_of(title);
        let shown = blueprint(&image, title, state);
        if let Some(own) = self.own.get_mut(&image) {
            own.eligibility = unshareable();
        }
        self.seen.shared.insert(image, shown);
        self
    }

    /// The image is shared, servers can be started from it, and each policy has seen it stand for so many hours.
    pub(crate) fn stands(mut self, title: &str, hours: i64) -> Self {
        for policy in self.policies.clone() {
            let key = VersionKey {
                policy: Arc::clone(policy.name()),
                version: title.into(),
            };
            let clock = VersionClock {
                age: self.own.get(&id_of(title)).and_then(|own| own.created),
                stands_since: Some(now() - TimeDelta::hours(hours)),
                regions: Region::all().collect(),
                images: self.own.keys().cloned().collect(),
            };
            self.inventory.memory.versions.insert(key, clock);
        }
        self.shared(title, "NORMAL")
    }

    /// The image cannot be shared, because it is in that state.
    pub(crate) fn unfit(mut self, title: &str, state: &str) -> Self {
        let own = self.own.get_mut(&id_of(title)).expect("an image");
        own.state = state.into();
        if !self.seen.shared.contains_key(&id_of(title)) {
            own.eligibility = unfit(state);
        }
        self
    }

    /// An entry with the id of the image of that name.
    pub(crate) fn declares(mut self, title: &str, share: DesiredShare) -> Self {
        self.entries.insert(id_of(title), entry(share));
        self
    }

    /// An entry by name.
    pub(crate) fn declares_name(mut self, title: &str, share: DesiredShare) -> Self {
        let mut entry = entry(share);
        entry.name = Some(name(title));
        entry.source = source(20);
        self.names.insert(name(title), entry);
        self
    }

    /// The store knows what the name meant.
    pub(crate) fn remembers(mut self, title: &str, image: &ImageId) -> Self {
        let names = &mut self.inventory.memory.names;
        names.insert(name(title), image.clone());
        self
    }

    /// The entry with the id of that image protects it.
    pub(crate) fn protects(mut self, title: &str) -> Self {
        self.entries
            .get_mut(&id_of(title))
            .expect("an entry")
            .protect = true;
        self
    }

    /// What CVM says of an image; nothing is said of images that are not named so.
    pub(crate) fn cvm(mut self, title: &str, image: CvmImage) -> Self {
        if !matches!(self.seen.cvm, CvmImages::Known(_)) {
            self.seen.cvm = CvmImages::Known(BTreeMap::new());
        }
        if let CvmImages::Known(images) = &mut self.seen.cvm {
            images.insert(id_of(title), image);
        }
        self
    }

    /// Another region, in which images of these names were made so many hours ago.
    pub(crate) fn elsewhere(mut self, images: &[(&str, i64)]) -> Self {
        let images = images.iter().map(|(title, hours)| {
            let created = now() - TimeDelta::hours(*hours);
            (
                id(&format!("{}x", id_of(title).as_str())),
                own(title, created),
            )
        });
        let view = RegionView {
            own: images.collect(),
            ..RegionView::default()
        };
        self.elsewhere.insert(region(THERE), view);
        self
    }

    /// The access point's clock is ahead by so many hours, so that neither clock is trusted.
    pub(crate) fn skewed(mut self, hours: i64) -> Self {
        self.clocks = Clocks::new(now(), TimeDelta::hours(hours));
        self
    }

    pub(crate) fn observation(&self) -> Observation {
        let own = OwnImages::Known(self.own.clone());
        match self.is_seen {
            true if self.is_denied => Observation::ReadDenied(Unobserved::new("reading is denied")),
            true => Observation::Seen(Seen {
                own,
                ..self.seen.clone()
            }),
            false => Observation::Unobserved(Unobserved::new("page 3 of 7 failed")),
        }
    }

    /// What the documents say.
    pub(crate) fn desired(&self) -> DesiredScope<'_> {
        static ALL: LazyLock<Selector> = LazyLock::new(Selector::default);
        DesiredScope {
            images: self.entries.iter().collect(),
            unselected: BTreeMap::new(),
            names: &self.names,
            policies: &self.policies,
            locks: &self.locks,
            selector: &ALL,
            completeness: &Completeness::Whole,
        }
    }

    pub(crate) fn resolve(&self) -> Resolution {
        self.resolve_desired(&self.desired())
    }

    /// The same with the documents in the types of the product already.
    pub(crate) fn resolve_desired(&self, desired: &DesiredScope<'_>) -> Resolution {
        let observation = self.observation();
        let own = match self.is_seen {
            true => OwnImages::Known(self.own.clone()),
            false => OwnImages::Unknown(Unobserved::new("page 3 of 7 failed")),
        };
        resolve::resolve(&Inputs {
            scope: &self.scope,
            desired,
            observation: &observation,
            own: &own,
            elsewhere: &self.elsewhere,
            inventory: &self.inventory,
            attempts: &AttemptLog::default(),
            clocks: self.clocks,
            present: self.clocks.machine().into(),
            monotonic: Monotonic::default(),
            is_partial: self.is_partial,
        })
    }

    /// The word for an image, and what follows for it.
    pub(crate) fn says(&self, title: &str) -> (&'static str, Effect) {
        said(&self.resolve(), &self.seen, self.clocks, &id_of(title))
    }
}

/// The word for an image, and what follows for it as it is now.
pub(crate) fn said(
    resolution: &Resolution,
    seen: &Seen,
    clocks: Clocks,
    image: &ImageId,
) -> (&'static str, Effect) {
    let Some(resolved) = resolution.images.get(image) else {
        return (ResolvedVerdict::Unnamed.word(), Effect::Nothing);
    };
    let is_shared = seen.shared.contains_key(image);
    let is_to_come = |desired: &DesiredImage| clocks.all(|now| desired.share.is_to_come(now));
    let effect = match &resolved.desired {
        None => Effect::Nothing,
        Some(_) if resolved.is_held => Effect::Nothing,
        Some(desired) if is_to_come(desired) => Effect::Nothing,
        Some(desired) => match (desired.share.at(clocks.machine()), is_shared) {
            ((ShareState::Shared, cause), false) => Effect::Share(cause),
            ((ShareState::Unshared, cause), true) if !desired.protect => Effect::Cancel(cause),
            _ => Effect::Nothing,
        },
    };
    (resolved.verdict.word(), effect)
}

/// The id that [`Setup::image`] gives.
pub(crate) fn id_of(title: &str) -> ImageId {
    let letters = title.bytes().filter(u8::is_ascii_alphanumeric);
    let letters: String = letters
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect();
    id(&format!("img-{letters}"))
}

/// An entry of an `ImageShare`.
pub(crate) fn entry(share: DesiredShare) -> DesiredImage {
    DesiredImage {
        share,
        protect: false,
        source: source(10),
        document: Arc::default(),
        name: None,
        note: None,
        bounds: None,
        other_labels: Vec::new(),
    }
}

/// `state: shared`, at all times.
pub(crate) const SHARED: DesiredShare = DesiredShare::Shared {
    from: None,
    until: None,
};
