//! Builds a scope with its documents in the types of the product in a few words, and gives the decisions of
//! resolution about it.

use crate::support::cloud::live::scope;
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

/// The region whose documents the tests resolve.
pub(crate) const HERE: &str = "ap-tokyo";
/// Another region of the same account.
pub(crate) const THERE: &str = "eu-frankfurt";

/// The current time in all cases that set no other time.
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

/// A policy for [`HERE`] that keeps the `newest` newest images that match. All other fields have their defaults.
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

/// A pin of these names in all regions of the policy.
pub(crate) fn pin(names: &[&str], until: Option<Timestamp>) -> Pin {
    Pin {
        regions: None,
        names: names.iter().map(|text| name(text)).collect(),
        reason: None,
        until,
        source: source(2),
    }
}

/// A revocation without `force`, so that it waits for other versions.
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

/// An exclusion of one image by its id.
pub(crate) fn exclude(image: &str) -> Exclusion {
    Exclusion {
        id: Some(id(image)),
        matches: ImageMatch::default(),
        reason: None,
    }
}

/// An own image that can be shared.
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

/// The eligibility of an image that the API lists as not shareable without a visible reason.
pub(crate) fn unshareable() -> Eligibility {
    Eligibility::Unshareable {
        failed: Vec::new(),
        reason: "the image is shared".into(),
    }
}

/// The eligibility of an image in a state that does not allow it to be shared.
pub(crate) fn unfit(state: &str) -> Eligibility {
    Eligibility::Unshareable {
        failed: vec![Precondition::Normal(state.into())],
        reason: format!("the image is {state}"),
    }
}

/// The blueprint of an image, in the given state.
pub(crate) fn blueprint(image: &ImageId, title: &str, state: &str) -> Blueprint {
    Blueprint {
        id: format!("lhbp-{}", image.as_str()).into(),
        state: state.into(),
        name: title.into(),
    }
}

/// A scope, its documents, and what was observed and stored about it.
pub(crate) struct Setup {
    pub(crate) scope: Scope,
    pub(crate) entries: BTreeMap<ImageId, DesiredImage>,
    pub(crate) names: BTreeMap<ImageName, DesiredImage>,
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) locks: BTreeMap<Arc<str>, PolicyLock>,
    /// Whether the scope was observed.
    pub(crate) is_seen: bool,
    /// Whether the API denies reading the shares, while the account's own images are known.
    pub(crate) is_denied: bool,
    /// Whether some documents may be missing.
    pub(crate) is_partial: bool,
    pub(crate) own: BTreeMap<ImageId, OwnImage>,
    pub(crate) seen: Seen,
    pub(crate) elsewhere: BTreeMap<Region, RegionView>,
    pub(crate) inventory: Inventory,
    pub(crate) clocks: Clocks,
}

/// The change that resolution causes for one image in its present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Share(Cause),
    Cancel(Cause),
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            scope: scope(HERE),
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

    /// Adds an image that was made `hours` hours ago. Its id is `img-` and the letters and digits of its name.
    pub(crate) fn image(self, title: &str, hours: i64) -> Self {
        let image = id_of(title);
        self.image_as(image, title, hours)
    }

    /// The same as `image`, with another id.
    pub(crate) fn image_as(mut self, image: ImageId, title: &str, hours: i64) -> Self {
        let created = now() - TimeDelta::hours(hours);
        self.own.insert(image, own(title, created));
        self
    }

    /// Makes the image shared, with a blueprint in this state.
    pub(crate) fn shared(mut self, title: &str, state: &str) -> Self {
        let image = id_of(title);
        let shown = blueprint(&image, title, state);
        if let Some(own) = self.own.get_mut(&image) {
            own.eligibility = unshareable();
        }
        self.seen.shared.insert(image, shown);
        self
    }

    /// Makes the image shared and ready, with a version that has stood for `hours` hours in each policy.
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

    /// Makes it impossible to share the image, because it is in this state.
    pub(crate) fn unfit(mut self, title: &str, state: &str) -> Self {
        let own = self.own.get_mut(&id_of(title)).expect("an image");
        own.state = state.into();
        if !self.seen.shared.contains_key(&id_of(title)) {
            own.eligibility = unfit(state);
        }
        self
    }

    /// Adds an entry with the id of the image of that name.
    pub(crate) fn declares(mut self, title: &str, share: DesiredShare) -> Self {
        self.entries.insert(id_of(title), entry(share));
        self
    }

    /// Adds an entry with the name of the image.
    pub(crate) fn declares_name(mut self, title: &str, share: DesiredShare) -> Self {
        let mut entry = entry(share);
        entry.name = Some(name(title));
        entry.source = source(20);
        self.names.insert(name(title), entry);
        self
    }

    /// Makes the store remember which image the name meant.
    pub(crate) fn remembers(mut self, title: &str, image: &ImageId) -> Self {
        let names = &mut self.inventory.memory.names;
        names.insert(name(title), image.clone());
        self
    }

    /// Makes the entry with the id of that image protect it.
    pub(crate) fn protects(mut self, title: &str) -> Self {
        self.entries
            .get_mut(&id_of(title))
            .expect("an entry")
            .protect = true;
        self
    }

    /// Adds an image to the CVM listing. Images that are not added are not listed.
    pub(crate) fn cvm(mut self, title: &str, image: CvmImage) -> Self {
        if !matches!(self.seen.cvm, CvmImages::Known(_)) {
            self.seen.cvm = CvmImages::Known(BTreeMap::new());
        }
        if let CvmImages::Known(images) = &mut self.seen.cvm {
            images.insert(id_of(title), image);
        }
        self
    }

    /// Adds another region, in which images of these names were made this number of hours ago.
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

    /// Puts the clock of the access point ahead by `hours` hours, so that neither clock is trusted.
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

    /// The content of the documents.
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

    /// The same as `resolve`, for documents that are already in the types of the product.
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

    /// The word of the verdict about an image, and its effect.
    pub(crate) fn says(&self, title: &str) -> (&'static str, Effect) {
        said(&self.resolve(), &self.seen, self.clocks, &id_of(title))
    }
}

/// The word of the verdict about an image, and the effect on its present state.
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

/// The id that [`Setup::image`] gives to the image.
pub(crate) fn id_of(title: &str) -> ImageId {
    let letters = title.bytes().filter(u8::is_ascii_alphanumeric);
    let letters: String = letters
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect();
    id(&format!("img-{letters}"))
}

/// An entry of an `ImageShare` document.
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

/// The desired share of `state: shared` without dates.
pub(crate) const SHARED: DesiredShare = DesiredShare::Shared {
    from: None,
    until: None,
};
