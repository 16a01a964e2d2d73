//! INVENTORY: what sharekeeper did to a scope, and which shares are its own, as far as that is certain.
//!
//! An image enters the inventory through our own acknowledged SHARE, never through `ImageAlreadyShared`, because
//! somebody else may have shared it. It leaves the inventory slowly. [`update()`] is the only place where an
//! observation changes what is owned. It is pure and returns its conclusions, so that the store can keep them and the
//! history can record them. This module must not know files or plans.

mod entry;
mod losses;
mod orphans;
mod resolution_memory;
mod suspension;
mod takeover;
mod update;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{ImageId, Permission, Timestamp};

pub use entry::{AcknowledgedWrite, AnsweredState, InventoryEntry, OwnedShare, OwnershipState};
pub use losses::LossAcceptance;
pub use orphans::Orphans;
pub use resolution_memory::{MemoryUpdate, ResolutionMemory, VersionClock, VersionKey};
pub use suspension::Suspension;
pub use takeover::{
    AccountIdentity, AccountMatch, KnownAccount, KnownAccounts, SAME_ACCOUNT, ScopeRows,
    TakenOverName, TakenOverRow, Takeover, UsedNames,
};
pub use update::{
    Declaration, InventoryChange, InventoryNote, InventoryUpdate, UnexpectedLoss, update,
};

/// How long a reversal of a write counts.
pub const REVERSAL_WINDOW: TimeDelta = TimeDelta::hours(1);
/// The number of reversals by somebody else within [`REVERSAL_WINDOW`] that park an image.
pub const REVERSALS_MAX: usize = 3;
/// An owned image is forgotten only if two complete observations at least this far apart did not show it: a list that
/// is paged by offset can skip a row, and a replica can lag.
pub const FORGET_AFTER: TimeDelta = TimeDelta::minutes(10);

/// How long an observation may lag behind a write that the API acknowledged.
pub const LAG_MAX: TimeDelta = TimeDelta::seconds(120);
/// [`LAG_MAX`] for the monotonic clock, which never jumps.
pub const LAG: Duration = Duration::from_secs(LAG_MAX.num_seconds().unsigned_abs());

/// Everything that the store keeps about one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Images that sharekeeper has written or adopted.
    pub images: BTreeMap<ImageId, InventoryEntry>,
    /// Writes whose outcome is unknown, by image, the oldest first.
    pub open_intents: BTreeMap<ImageId, Vec<OpenIntent>>,
    /// Suspensions that may cover images of the scope.
    pub suspensions: Vec<Suspension>,
    /// The last meaning of each name, and the clocks of policies' versions.
    pub memory: ResolutionMemory,
    /// Losses that people have accepted.
    pub acceptances: Vec<LossAcceptance>,
}

/// Identifies one recorded intent by the number of its entry in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentId(pub u64);

/// A write that may or may not have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    pub intent: IntentId,
    pub permission: Permission,
    /// When the intent was recorded.
    pub at: Timestamp,
    /// Whether a complete observation showed the opposite state before the write.
    pub saw_opposite: bool,
}

impl OpenIntent {
    /// Whether this write probably shared the image, if the image now shows as shared.
    pub fn is_ours_if_shared(&self) -> bool {
        self.permission == Permission::Share && self.saw_opposite
    }
}
