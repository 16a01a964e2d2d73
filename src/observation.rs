//! OBSERVED: what a scope looked like when it was last read, and whether it was seen at all.
//!
//! "We could not see it" and "it is not there" are different types: a [`Seen`] is built only from a
//! listing that was complete and added up (see [`crate::listing`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use smol_str::SmolStr;

use crate::model::{ImageId, Monotonic, Timestamp};
use crate::words::plural;

/// One look at a scope.
#[derive(Clone, Debug)]
pub enum Observation {
    /// The whole scope was read.
    Seen(Seen),
    /// Reading is denied, writing may not be: what a manifest names may be attempted, and the API's
    /// answer to the write is all there is to see.
    ReadDenied(Unobserved),
    /// Not read, or not consistently: nothing is known, and nothing is done.
    Unobserved(Unobserved),
}

/// An observation of the whole scope.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Images that are shared, each with the blueprint that says so.
    pub shared: BTreeMap<ImageId, Blueprint>,
    /// Whether they can be shared, for the images that were asked about.
    pub eligibility: BTreeMap<ImageId, Eligibility>,
    /// The account's own images here, where they were asked for.
    pub own: OwnImages,
}

/// The images that the account itself has in a region. A blueprint of any other image is another account's, or is left
/// over from an image that was deleted; CANCEL can do nothing about either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OwnImages {
    /// They were not asked for: nothing was about to be done about an image that no manifest names.
    #[default]
    NotAsked,
    /// They were asked for, and the answer is of no use; holds why.
    Unknown(String),
    Known(BTreeSet<ImageId>),
}

impl OwnImages {
    /// Whether the image is known not to be among them.
    pub fn lack(&self, image: &ImageId) -> bool {
        match self {
            Self::Known(own) => !own.contains(image),
            Self::NotAsked | Self::Unknown(_) => false,
        }
    }
}

/// The Lighthouse blueprint that a shared image shows as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blueprint {
    /// The blueprint id, `lhbp-…`.
    pub id: SmolStr,
    /// Whether servers can be started from it.
    pub state: BlueprintState,
    /// Usually the image's name; may be empty.
    pub name: String,
}

/// `BlueprintState`, an open set, by whether servers can be started from the blueprint. The best comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlueprintState {
    /// Servers can be started: `NORMAL`.
    Normal,
    /// A state that is not documented, or none at all: taken for usable, and worth a word. Holds what it is called.
    Unknown(String),
    /// Servers cannot be started yet: `SYNCING`.
    Syncing,
    /// They cannot, and time alone does not change it.
    Unusable(Unusable),
}

/// Documented states of a blueprint that no server can be started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusable {
    CreateFailed,
    SyncingFailed,
    Offline,
    /// `ISOLATING`: on its way out of use.
    Isolating,
    Isolated,
}

impl Unusable {
    /// As the API writes it.
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

/// When something was asked for that an answer shows, by both clocks: the one that never jumps stands still while the
/// machine sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenAt {
    monotonic: Monotonic,
    time: Timestamp,
}

impl SeenAt {
    /// What both clocks show.
    pub const fn new(monotonic: Monotonic, time: Timestamp) -> Self {
        Self { monotonic, time }
    }

    /// How long ago that was, by the clock that says it was longer. A clock that is put forward is taken for sleep, which
    /// costs a question.
    pub fn age(self, now: Self) -> Duration {
        let by_time = (now.time - self.time).to_std().unwrap_or_default();
        now.monotonic.since(self.monotonic).max(by_time)
    }

    /// For how long the machine has slept since then; where a clock was put forward, that counts as sleep.
    pub fn slept(self, now: Self) -> Duration {
        self.age(now)
            .saturating_sub(now.monotonic.since(self.monotonic))
    }

    /// The earlier of two, by each clock.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        Self {
            monotonic: self.monotonic.min(other.monotonic),
            time: self.time.min(other.time),
        }
    }
}

/// How old what a look shows is. The pages of a large scope may leave minutes apart.
#[derive(Clone, Debug)]
pub struct Sightings {
    /// When the oldest page was asked for. That no page shows an image is as old as that.
    pub oldest: SeenAt,
    /// When the page was asked for that shows an image, where that is later.
    pub images: BTreeMap<ImageId, SeenAt>,
}

impl Sightings {
    /// A look that was made at once.
    pub fn at(oldest: SeenAt) -> Self {
        Self {
            oldest,
            images: BTreeMap::new(),
        }
    }

    /// When an image was seen as it is, whether it is shown or not.
    pub fn of(&self, image: &ImageId) -> SeenAt {
        self.images.get(image).copied().unwrap_or(self.oldest)
    }
}

/// How far a look is that takes long, because it waits for its turn to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Pages that were read.
    pub read: u32,
    /// Of so many, once that is known.
    pub pages: Option<u32>,
    /// Calls of others that go before.
    pub before: u32,
    /// Calls a second that leave at the access point, of all that read there with the key.
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

/// Why there is no look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unobserved {
    /// One line for a person.
    pub reason: String,
    /// The error code, where there is one: the API's, or ours for an account that must not be called.
    pub code: Option<String>,
    /// The RequestId of the reply that decided it.
    pub request_id: Option<String>,
    /// The whole account is broken, so reading again soon is pointless.
    pub account_broken: bool,
}

impl Unobserved {
    /// A reason that the API gave no code for.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            code: None,
            request_id: None,
            account_broken: false,
        }
    }
}

impl fmt::Display for Unobserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// What is known of whether an image can be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eligibility {
    /// It can be shared now.
    Shareable,
    /// It cannot. An image that is shared already says this too.
    Unshareable {
        /// The conditions that its fields show as failed; may be empty.
        failed: Vec<Precondition>,
        /// The API's localised words.
        reason: String,
    },
    /// No such image in this account and region.
    Absent,
}

/// A condition for SHARE that can be read off the image (the action's documentation lists six; the
/// first, "not shared already", is what the blueprints show).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Not imported from outside.
    NotImported,
    /// A system-disk image, not one of a whole instance.
    NotWholeInstance,
    CloudInit,
    /// In state NORMAL; holds the state it is in.
    Normal(String),
}

impl Precondition {
    /// Whether waiting is all it takes: the image is still being made (`ImageState` of `DescribeImagesToShare`).
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

    fn at(monotonic: u64, time: i64) -> SeenAt {
        let time = Timestamp::from_timestamp(1_790_000_000 + time, 0).expect("a date");
        SeenAt::new(Monotonic::new(Duration::from_secs(monotonic)), time)
    }

    #[test]
    fn s4_what_was_seen_is_as_old_as_the_clock_says_that_says_it_is_older() {
        let seen = at(100, 0);
        for (now, age, slept) in [
            (at(100, 0), 0, 0),
            (at(160, 60), 60, 0),
            // The machine slept, or its clock was put forward.
            (at(160, 3_600), 3_600, 3_540),
            // Its clock was set back.
            (at(160, -3_600), 60, 0),
        ] {
            assert_eq!(seen.age(now), Duration::from_secs(age), "{now:?}");
            assert_eq!(seen.slept(now), Duration::from_secs(slept), "{now:?}");
        }
        assert_eq!(at(5, 9).earlier(at(7, 3)), at(5, 3));
    }
}
