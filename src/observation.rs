//! OBSERVATION: the state of a scope when it was last read, and whether it could be read at all.
//!
//! "It could not be read" and "it is not there" are different types: a [`Seen`] is built only from a listing that was
//! complete and consistent (see [`crate::listing`]).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use smol_str::SmolStr;

use crate::model::{ImageId, Monotonic, Timestamp};
use crate::words::{plural, with_request_id};

/// The result of reading a scope once.
#[derive(Clone, Debug)]
pub enum Observation {
    /// The whole scope was read.
    Seen(Seen),
    /// Reading is denied, but writing may be allowed. Images that a manifest names may be attempted; the API's answers
    /// to writes are then the only information.
    ReadDenied(Unobserved),
    /// The scope was not read, or not consistently. Nothing is known, so nothing is done.
    Unobserved(Unobserved),
}

/// An observation of the whole scope.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Images that are shared, each with the blueprint that shows it.
    pub shared: BTreeMap<ImageId, Blueprint>,
    /// Whether images can be shared. Holds only the images that were asked about.
    pub eligibility: BTreeMap<ImageId, Eligibility>,
    /// The account's own images in this region, if they were asked for.
    pub own: OwnImages,
    /// CVM's data about those images, if CVM was asked.
    pub cvm: CvmImages,
    /// The instances in this region, if they were asked for.
    pub instances: Instances,
    /// Images with several blueprints, none of which is being removed: the ids of all of them.
    pub doubled: BTreeMap<ImageId, Vec<SmolStr>>,
}

/// The images that the account itself owns in a region. A blueprint of any other image belongs to another account or is
/// left over from a deleted image; CANCEL has no effect on either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OwnImages {
    /// Not asked for: a change was due only for images that manifests name.
    #[default]
    NotAsked,
    /// Asked for, but the answer cannot be used; holds the reason.
    Unknown(Unobserved),
    Known(BTreeMap<ImageId, OwnImage>),
}

impl OwnImages {
    /// Whether the image is known to be missing from the account's own images.
    pub fn lack(&self, image: &ImageId) -> bool {
        match self {
            Self::Known(own) => !own.contains_key(image),
            Self::NotAsked | Self::Unknown(_) => false,
        }
    }

    /// The image, if it is known to be one of the account's own.
    pub fn get(&self, image: &ImageId) -> Option<&OwnImage> {
        match self {
            Self::Known(own) => own.get(image),
            Self::NotAsked | Self::Unknown(_) => None,
        }
    }
}

/// One of the account's own images, as DescribeImagesToShare shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnImage {
    /// Empty if the API gives none.
    pub name: SmolStr,
    /// `CreatedTime`; `None` if it cannot be read.
    pub created: Option<Timestamp>,
    /// `ImageState`, such as `NORMAL` or `USING`.
    pub state: SmolStr,
    pub os_name: SmolStr,
    pub platform: SmolStr,
    /// Either `x86_64` or `arm64`.
    pub architecture: SmolStr,
    /// Whether it can be shared. Meaningless for an image that is already shared: the API calls that one unshareable,
    /// too.
    pub eligibility: Eligibility,
}

/// What CVM's DescribeImages shows about the account's own images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CvmImages {
    /// CVM was not asked, because no policy depends on it.
    #[default]
    NotAsked,
    /// CVM was asked, but the answer cannot be used; holds the reason.
    Unknown(String),
    Known(BTreeMap<ImageId, CvmImage>),
}

/// Properties of an image that only CVM shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CvmImage {
    /// `ImageFamily`; `None` if the image has none.
    pub family: Option<String>,
    pub deprecated: bool,
    pub tags: BTreeMap<String, String>,
}

/// Which blueprints the account's Lighthouse instances use in a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Instances {
    /// Not asked for, because no CANCEL was due.
    #[default]
    NotAsked,
    /// Asked for, but the answer cannot be used; holds the reason.
    Unknown(String),
    /// The ids of the instances, `lhins-…`, grouped by the blueprint that they use.
    Known(BTreeMap<SmolStr, Vec<SmolStr>>),
}

/// The Lighthouse blueprint that represents a shared image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blueprint {
    /// The blueprint id, `lhbp-…`.
    pub id: SmolStr,
    /// Whether servers can be started from it.
    pub state: BlueprintState,
    /// Usually the image's name; may be empty.
    pub name: SmolStr,
}

/// `BlueprintState`, an open set. The states are ordered by usability, the most usable first: whether servers can be
/// started from the blueprint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlueprintState {
    /// Servers can be started: `NORMAL`.
    Normal,
    /// An undocumented state, or none. It is treated as usable and reported as a warning. Holds the state's name.
    Unknown(String),
    /// Servers cannot be started yet: `SYNCING`.
    Syncing,
    /// Servers cannot be started, and waiting does not help.
    Unusable(Unusable),
}

/// The documented states of a blueprint from which no server can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusable {
    CreateFailed,
    SyncingFailed,
    Offline,
    /// `ISOLATING`: it is being taken out of use.
    Isolating,
    Isolated,
}

impl Unusable {
    /// The state as the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateFailed => "CREATEFAILED",
            Self::SyncingFailed => "SYNCING_FAILED",
            Self::Offline => "OFFLINE",
            Self::Isolating => "ISOLATING",
            Self::Isolated => "ISOLATED",
        }
    }
}

impl From<&str> for BlueprintState {
    fn from(state: &str) -> Self {
        match state {
            "NORMAL" => Self::Normal,
            "SYNCING" => Self::Syncing,
            "CREATEFAILED" => Self::Unusable(Unusable::CreateFailed),
            "SYNCING_FAILED" => Self::Unusable(Unusable::SyncingFailed),
            "OFFLINE" => Self::Unusable(Unusable::Offline),
            "ISOLATING" => Self::Unusable(Unusable::Isolating),
            "ISOLATED" => Self::Unusable(Unusable::Isolated),
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// When an answer was requested, by the monotonic and by the wall clock. Both are needed because the monotonic clock
/// stands still while the machine sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedAt {
    monotonic: Monotonic,
    time: Timestamp,
}

impl ObservedAt {
    /// Holds what both clocks show now.
    pub const fn new(monotonic: Monotonic, time: Timestamp) -> Self {
        Self { monotonic, time }
    }

    /// How long ago that was, by the clock that shows the longer time. A wall clock that is set forward counts as
    /// sleep, which costs one more read.
    pub fn age(self, now: Self) -> Duration {
        let by_time = (now.time - self.time).to_std().unwrap_or_default();
        now.monotonic.since(self.monotonic).max(by_time)
    }

    /// How long the machine has slept since then. A wall clock that is set forward counts as sleep.
    pub fn slept(self, now: Self) -> Duration {
        self.age(now)
            .saturating_sub(now.monotonic.since(self.monotonic))
    }

    /// The earlier of two instants, for each clock separately.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        Self {
            monotonic: self.monotonic.min(other.monotonic),
            time: self.time.min(other.time),
        }
    }
}

/// When the parts of an observation were requested. The pages of a large scope may be minutes apart.
#[derive(Clone, Debug)]
pub struct ObservationTimes {
    /// When the oldest page was requested. The absence of an image is only as recent as that page.
    pub oldest: ObservedAt,
    /// For images whose page was requested later: when that was.
    pub images: BTreeMap<ImageId, ObservedAt>,
}

impl ObservationTimes {
    /// An observation whose parts were all requested at one time.
    pub fn at(oldest: ObservedAt) -> Self {
        Self {
            oldest,
            images: BTreeMap::new(),
        }
    }

    /// When the state of an image was read, whether the image shows as shared or not.
    pub fn of(&self, image: &ImageId) -> ObservedAt {
        self.images.get(image).copied().unwrap_or(self.oldest)
    }
}

/// The progress of an observation that takes long because it waits for permits to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Pages that were read.
    pub read: u32,
    /// The number of pages of the listing, once it is known.
    pub pages: Option<u32>,
    /// Calls of other scopes that are ahead in the queue.
    pub before: u32,
    /// Calls a second to the access point, counting all scopes that read there with the same key.
    pub per_second: f64,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            read,
            pages,
            before,
            per_second,
        } = self;
        match pages {
            Some(pages) => write!(
                f,
                "{read} of {} read so far",
                plural((*pages).into(), "page")
            )?,
            None => f.write_str("no page read so far")?,
        }
        write!(
            f,
            ", {} of others before it, at {per_second:.1} a second",
            plural((*before).into(), "call")
        )
    }
}

/// Why a scope was not observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unobserved {
    /// One line for a person.
    pub reason: String,
    /// The error code, if there is one: the API's, or our own for an account that must not be called.
    pub code: Option<String>,
    /// The RequestId of the reply that prevented it.
    pub request_id: Option<String>,
    /// Whether the whole account is broken, so that reading again soon is pointless.
    pub account_broken: bool,
    /// What a person can do, if anything. It ends `reason` in parentheses.
    pub remedy: Option<Box<str>>,
    /// Whether the only reason is a stop request that came before the scope was read.
    pub is_stop: bool,
}

impl Unobserved {
    /// A reason without an error code of the API.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            code: None,
            request_id: None,
            account_broken: false,
            remedy: None,
            is_stop: false,
        }
    }
}

impl Unobserved {
    /// The reason for a scope that was not read before a stop was requested.
    pub fn stopped() -> Self {
        Self {
            is_stop: true,
            ..Self::new("stopped before the scope was read")
        }
    }

    /// The reason for a person, with the RequestId if there is one.
    pub fn told(&self) -> String {
        with_request_id(&self.reason, self.request_id.as_deref())
    }
}

impl fmt::Display for Unobserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Whether an image can be shared, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eligibility {
    /// It can be shared now.
    Shareable,
    /// It cannot be shared. The API says this also of an image that is already shared.
    Unshareable {
        /// The preconditions that its fields show as unmet; may be empty.
        failed: Vec<Precondition>,
        /// The API's reason, in the language in which the API answers.
        reason: String,
    },
    /// No such image in this account and region.
    Absent,
}

/// A precondition of SHARE that the image's fields show. The action's documentation lists six; the first one, "not
/// shared already", shows in the blueprints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The image was not imported.
    NotImported,
    /// The image holds a system disk, not a whole instance.
    NotWholeInstance,
    CloudInit,
    /// The image is in state NORMAL; holds the state that it is in instead.
    Normal(String),
}

impl Precondition {
    /// Whether waiting is enough, because the image is still being made (`ImageState` of `DescribeImagesToShare`).
    pub fn passes_by_itself(&self) -> bool {
        matches!(self, Self::Normal(state) if matches!(state.as_str(), "CREATING" | "SYNCING" | "IMPORTING"))
    }
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotImported => {
                f.write_str("imported images cannot be shared; create the image from an instance")
            }
            Self::NotWholeInstance => {
                f.write_str("full-instance images cannot be shared; make a system-disk image")
            }
            Self::CloudInit => f.write_str(
                "the image does not support CloudInit; install cloud-init and image it again",
            ),
            Self::Normal(state) => write!(
                f,
                "the image is {state}; it can be shared once it is NORMAL"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic: u64, time: i64) -> ObservedAt {
        let time = Timestamp::from_timestamp(1_790_000_000 + time, 0).expect("a date");
        ObservedAt::new(Monotonic::new(Duration::from_secs(monotonic)), time)
    }

    #[test]
    fn s4_what_was_seen_is_as_old_as_the_clock_says_that_says_it_is_older() {
        let seen = at(100, 0);
        for (now, age, slept) in [
            (at(100, 0), 0, 0),
            (at(160, 60), 60, 0),
            // The machine slept, or its wall clock was set forward.
            (at(160, 3_600), 3_600, 3_540),
            // Its wall clock was set back.
            (at(160, -3_600), 60, 0),
        ] {
            assert_eq!(seen.age(now), Duration::from_secs(age), "{now:?}");
            assert_eq!(seen.slept(now), Duration::from_secs(slept), "{now:?}");
        }
        assert_eq!(at(5, 9).earlier(at(7, 3)), at(5, 3));
    }
}
