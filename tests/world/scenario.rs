//! What happens in one world, as plain data: one seed makes it, people can read it, and the minimiser takes things away.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::documents::Document;
use super::images::{ImageChange, Made};
use super::jobs::Job;
use super::people::Deed;

pub(crate) const REGIONS: [&str; 3] = ["ap-tokyo", "ap-bangkok", "eu-frankfurt"];

/// Everything that happens. Times are seconds from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// The dice for what is left to chance within a fault.
    pub(crate) seed: u64,
    /// When the faults stop.
    pub(crate) calm_at: u64,
    pub(crate) rate: u32,
    /// Whether each region has an access point of its own.
    pub(crate) regional: bool,
    /// Whether `Account` documents say which account they are about.
    pub(crate) uins: bool,
    /// Whether what no manifest names any longer is pruned.
    pub(crate) prune: bool,
    pub(crate) max_cancels: u32,
    /// The same in percent of what is an installation's own.
    #[serde(default = "all")]
    pub(crate) max_cancels_percent: u32,
    /// How long reads lag behind writes.
    pub(crate) lag: u64,
    /// Milliseconds until an intent is on the disk, and until the writer hears of it.
    pub(crate) commit: (u64, u64),
    /// Seconds that the clock of each machine is ahead of the cloud's, for each installation.
    pub(crate) machines: Vec<i64>,
    /// Whether the last installation has no daemon: there are only runs that end by themselves.
    #[serde(default)]
    pub(crate) has_jobs: bool,
    /// Images of which the manifests of the second installation ask the opposite.
    #[serde(default)]
    pub(crate) rivals: BTreeSet<usize>,
    /// What goes on in one place once everything else has stopped.
    #[serde(default)]
    pub(crate) lasting: Option<FaultSpan>,
    /// Whether all that processes say is looked through for secrets.
    #[serde(default)]
    pub(crate) is_overheard: bool,
    pub(crate) images: Vec<Image>,
    /// Documents that name images by more than ids, each in a place of its own; none in any place: no document ever does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) documents: Vec<Option<Document>>,
    /// How long an image is SYNCING once it is shared, where documents name images.
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
    /// Whether somebody shared it before the beginning.
    pub(crate) shared: bool,
    pub(crate) wish: Wish,
    /// How it comes about, if not long before the beginning.
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
}

/// What the manifests ask for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) state: Wanted,
    pub(crate) protect: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    /// No manifest names it.
    Unnamed,
    Unshared,
    Shared,
    /// It is shared, and no longer from that second on.
    Until(u64),
    /// It is shared from that second on.
    From(u64),
}

/// Where a fault happens; what is not given means everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) account: Option<usize>,
    pub(crate) region: Option<usize>,
    /// The index of an image: only writes of it.
    pub(crate) image: Option<usize>,
}

impl Place {
    /// Whether the image's account or region is meant.
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
    /// Of a hundred calls.
    pub(crate) percent: u8,
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
    /// It takes so many milliseconds.
    Slow(u64),
    Throttled,
    WriteDenied,
    ReadDenied,
    KeyUnknown,
    RoleMissing,
    ListingFails,
    /// The account's own images cannot be listed.
    OwnImagesFail,
    /// CVM does not tell of images.
    CvmDenied,
    /// Instances cannot be listed.
    InstancesDenied,
    Occupied,
    UnknownCode,
    RegionUnknown,
    /// A page of a listing says another total than the others.
    Inconsistent,
    /// A page of a listing lacks a row that is there.
    Short,
    /// A read lags by so many seconds.
    Stale(u64),
    /// The access point's clock is ahead by so many seconds.
    ClockAhead(i64),
    /// The answer is at another place.
    Redirect,
    /// Reads have no answer, and writes have.
    ReadsHang,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// The manifests ask for something else of these images.
    Edit(Vec<(usize, Wish)>),
    /// They cannot be read for a while.
    Broken,
    /// They are read in part: these images are missing.
    Partial(Vec<usize>),
    /// They are whole again.
    Mended,
    /// An account gets another name.
    Rename(usize),
    /// A second account name asks for the opposite with the key of the first; or no longer.
    Twin(usize, bool),
    /// Changes are allowed in these hours only, or at any time.
    Window(usize, Option<(u16, u16)>),
    /// Somebody else shares an image, or takes it back.
    Hand(usize, bool),
    /// A person asks for an account and a region to be left alone, on each installation.
    Suspend(Place),
    Resume,
    /// The image is deleted.
    Vanish(usize),
    /// The share of an image cannot be used, or can again.
    Spoil(usize, bool),
    /// An instance is started from the share, if there is one.
    Use(usize),
    /// The instances that use the share end.
    Disuse(usize),
    /// Something befalls the image, if it is there.
    Image(usize, ImageChange),
    /// The document of a place is written, or removed.
    Document(usize, Option<Document>),
    /// The documents are read in part: those of these places are missing.
    Lacking(BTreeSet<usize>),
    /// The disk of an installation is full, or no longer.
    DiskFull(usize, bool),
    /// An installation is asked to look at everything again.
    Asked(usize),
    /// A person does something to an installation's state.
    Person(usize, Deed),
    /// Somebody takes all these shares back at once.
    Lose(Vec<usize>),
    /// A run that ends by itself, unless another process has the installation.
    Run(usize, Job),
    /// A machine sleeps for so many seconds.
    Sleep(usize, u64),
    /// A machine's clock is put forward or back by so many seconds.
    SetClock(usize, i64),
    /// A process is ended once it was polled so often.
    Crash {
        installation: usize,
        polls: u32,
        /// Until the next one starts.
        down: u64,
        /// What the next one does.
        next: Mode,
    },
}

/// How a process works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    #[default]
    Reconcile,
    /// It only looks, and has nothing to write with.
    Observe,
    /// It has the keys of other accounts.
    WrongKeys,
}

/// No bound in percent.
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

    /// Installations that have a daemon: they are the first ones.
    pub(crate) fn daemons(&self) -> usize {
        self.machines.len() - usize::from(self.has_jobs)
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("JSON")
    }
}
