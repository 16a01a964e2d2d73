//! Describes what happens in one world as plain data, so that a seed can generate it, people can read it, and the
//! minimiser can remove parts.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::documents::Document;
use super::images::{ImageChange, Made};
use super::jobs::Job;
use super::people::PersonAction;

pub(crate) const REGIONS: [&str; 3] = ["ap-tokyo", "ap-bangkok", "eu-frankfurt"];

/// Everything that happens in one run. Times are in seconds from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// The seed of random choices within faults.
    pub(crate) seed: u64,
    /// The time at which the faults stop.
    pub(crate) calm_at: u64,
    pub(crate) rate: u32,
    /// Whether each region has an access point of its own.
    pub(crate) regional: bool,
    /// Whether `Account` documents state the id of their account.
    pub(crate) uins: bool,
    /// Whether shares are pruned that no manifest names any longer.
    pub(crate) prune: bool,
    pub(crate) max_cancels: u32,
    /// The same cap as a percentage of an installation's own shares.
    #[serde(default = "all")]
    pub(crate) max_cancels_percent: u32,
    /// The time by which reads lag behind writes, in seconds.
    pub(crate) lag: u64,
    /// Milliseconds until an intent is on the disk, and until the writer is notified.
    pub(crate) commit: (u64, u64),
    /// The seconds by which the clock of each installation's machine is ahead of the cloud's clock.
    pub(crate) machines: Vec<i64>,
    /// Whether the last installation has no daemon, but only runs that end by themselves.
    #[serde(default)]
    pub(crate) has_jobs: bool,
    /// Images for which the manifests of the second installation ask for the opposite.
    #[serde(default)]
    pub(crate) rivals: BTreeSet<usize>,
    /// A fault that remains in one place after all others have stopped.
    #[serde(default)]
    pub(crate) lasting: Option<FaultSpan>,
    /// Whether all output of the processes is searched for secrets.
    #[serde(default)]
    pub(crate) is_overheard: bool,
    pub(crate) images: Vec<Image>,
    /// Documents that name images by more than ids, each in its own place. If the list is empty, the scenario never has
    /// such documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) documents: Vec<Option<Document>>,
    /// The seconds for which a new share is SYNCING, where documents name images.
    #[serde(default)]
    pub(crate) syncs: u64,
    pub(crate) faults: Vec<FaultSpan>,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) account: usize,
    pub(crate) region: usize,
    pub(crate) number: usize,
    /// Whether somebody else shared it before the beginning.
    pub(crate) shared: bool,
    pub(crate) wish: Wish,
    /// The build that makes it; `None`: it existed long before the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) made: Option<Made>,
}

impl Image {
    pub(crate) fn id(&self) -> String {
        format!("img-a{}r{}n{:03}", self.account, self.region, self.number)
    }

    pub(crate) fn region(&self) -> &'static str {
        REGIONS[self.region]
    }

    pub(crate) fn is_odd(&self) -> bool {
        !self.number.is_multiple_of(2)
    }
}

/// The state that the manifests ask for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) state: Wanted,
    pub(crate) protect: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    /// No manifest names the image.
    Unnamed,
    Unshared,
    Shared,
    /// The image is shared until that second.
    Until(u64),
    /// The image is shared from that second on.
    From(u64),
}

/// The place of a fault. A missing part means every value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) account: Option<usize>,
    pub(crate) region: Option<usize>,
    /// The index of an image, to limit the fault to writes of it.
    pub(crate) image: Option<usize>,
}

impl Place {
    /// Whether the account and the region include the image.
    pub(crate) fn has(&self, image: &Image) -> bool {
        self.account.is_none_or(|account| account == image.account)
            && self.region.is_none_or(|region| region == image.region)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FaultSpan {
    pub(crate) kind: FaultKind,
    pub(crate) place: Place,
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// The percentage of calls that the fault affects.
    pub(crate) percent: u8,
}

impl FaultSpan {
    /// Whether the fault affects calls about the image.
    pub(crate) fn has(&self, image: &Image) -> bool {
        self.place.has(image) && (self.kind != FaultKind::OddDenied || image.is_odd())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FaultKind {
    NotSent,
    LostRequest,
    LostReply,
    Garbage,
    Gateway,
    Internal,
    Shapeless,
    Hang,
    /// An answer takes this many milliseconds.
    Slow(u64),
    Throttled,
    WriteDenied,
    /// The key may write only images with an even number.
    OddDenied,
    ReadDenied,
    KeyUnknown,
    RoleMissing,
    ListingFails,
    /// The list of the account's own images fails.
    OwnImagesFail,
    /// CVM refuses to describe images.
    CvmDenied,
    /// The list of instances is refused.
    InstancesDenied,
    Occupied,
    UnknownCode,
    RegionUnknown,
    /// One page of a list has another total than the others.
    Inconsistent,
    /// A page of a list lacks a row that exists.
    Short,
    /// A read lags by this many seconds.
    Stale(u64),
    /// The access point's clock is ahead by this many seconds.
    ClockAhead(i64),
    /// The answer redirects to another address.
    Redirect,
    /// Reads get no answer, but writes get one.
    ReadsHang,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// The manifests ask for another state of these images.
    Edit(Vec<(usize, Wish)>),
    /// A commit arrives that asks for what the manifests asked this many changes ago: a revert, or commits that arrive in
    /// another order.
    Revert(usize),
    /// The manifests cannot be read until `Mended`.
    Broken,
    /// The manifests are partly read: those of these images are missing.
    Partial(Vec<usize>),
    /// The manifests are complete again.
    Mended,
    /// An account gets another name.
    Rename(usize),
    /// A second account name asks for the opposite with the key of the first name; `false` removes it.
    Twin(usize, bool),
    /// Changes are allowed in this window only; `None` allows them always.
    Window(usize, Option<(u16, u16)>),
    /// Somebody else shares an image, or cancels its share.
    Hand(usize, bool),
    /// A person suspends an account and a region on each installation.
    Suspend(Place),
    Resume,
    /// The owner deletes the image.
    Vanish(usize),
    /// The share of an image becomes unusable, or usable again.
    Spoil(usize, bool),
    /// Somebody starts an instance from the share, if it exists.
    Use(usize),
    /// The instances that use the share end.
    Disuse(usize),
    /// The image changes, if it exists.
    Image(usize, ImageChange),
    /// The document of a place is written, or removed.
    Document(usize, Option<Document>),
    /// The documents are partly read: those of these places are missing.
    Lacking(BTreeSet<usize>),
    /// The disk of an installation becomes full, or has space again.
    DiskFull(usize, bool),
    /// A person asks an installation to observe everything again.
    Asked(usize),
    /// A person changes an installation's state.
    Person(usize, PersonAction),
    /// Somebody else cancels all these shares at once.
    Lose(Vec<usize>),
    /// A run that ends by itself begins, unless another process has the installation.
    Run(usize, Job),
    /// A machine sleeps for this many seconds.
    Sleep(usize, u64),
    /// The clock of a machine is set forward or back by this many seconds.
    SetClock(usize, i64),
    /// The service manager asks what runs on an installation to stop. The next daemon starts as soon as the state is free.
    Stop(usize, Mode),
    /// A process ends after this number of polls.
    Crash {
        installation: usize,
        polls: u32,
        /// The seconds until the next process starts.
        down: u64,
        /// The mode of the next process.
        next: Mode,
    },
}

/// The mode in which a process works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    #[default]
    Reconcile,
    /// It only observes, and cannot write.
    Observe,
    /// It uses the keys of other accounts.
    WrongKeys,
}

/// The percentage that means no limit.
const fn all() -> u32 {
    100
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Scenario {
    /// Whether documents may name images by more than ids.
    pub(crate) fn has_documents(&self) -> bool {
        !self.documents.is_empty()
    }

    /// The documents that exist at the beginning or are written later.
    pub(crate) fn all_documents(&self) -> impl Iterator<Item = &Document> {
        let written = self.events.iter().filter_map(|event| match &event.what {
            What::Document(_, document) => document.as_ref(),
            _ => None,
        });
        self.documents.iter().flatten().chain(written)
    }

    /// The number of installations with a daemon, which are the first ones.
    pub(crate) fn daemons(&self) -> usize {
        self.machines.len() - usize::from(self.has_jobs)
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("JSON")
    }
}
