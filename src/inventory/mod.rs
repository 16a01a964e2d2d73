//! INVENTORY: what sharekeeper did to a scope and what of it is its own, as far as is certain.
//!
//! An image enters it through our own acknowledged SHARE, never through `ImageAlreadyShared`: somebody else may have
//! shared that one. It leaves it slowly. [`update()`] is the only place where an observation changes what is owned; it is
//! pure, and says what it concluded, so that the store can keep it and the history can tell it. Knows neither files
//! nor plans.

mod entry;
mod suspension;
mod takeover;
mod update;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{ImageId, Permission, Timestamp};

pub use entry::{AcknowledgedWrite, AnsweredState, InventoryEntry, OwnedShare, OwnershipState};
pub use suspension::Suspension;
pub use takeover::{
    AccountIdentity, AccountMatch, KnownAccount, KnownAccounts, SAME_ACCOUNT, ScopeRows,
    TakenOverName, TakenOverRow, Takeover, UsedNames,
};
pub use update::{
    Declaration, InventoryChange, InventoryNote, InventoryUpdate, UnexpectedLoss, update,
};

/// A reversal counts for so long.
pub const REVERSAL_WINDOW: TimeDelta = TimeDelta::hours(1);
/// So many reversals by somebody else within [`REVERSAL_WINDOW`] park an image.
pub const REVERSALS_MAX: usize = 3;
/// An owned image is forgotten only when two complete observations this far apart did not show it: a list that is paged
/// by offset can skip a row, and a replica can lag.
pub const FORGET_AFTER: TimeDelta = TimeDelta::minutes(10);

/// How long a look may lag behind a write that the API acknowledged.
pub const LAG_MAX: TimeDelta = TimeDelta::seconds(120);
/// The same, for clocks that never jump.
pub const LAG: Duration = Duration::from_secs(LAG_MAX.num_seconds().unsigned_abs());

/// What the store knows of one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Images that sharekeeper has written, or adopted.
    pub images: BTreeMap<ImageId, InventoryEntry>,
    /// Writes without a known outcome, by image, the oldest first.
    pub open_intents: BTreeMap<ImageId, Vec<OpenIntent>>,
    /// Suspensions that may reach the scope.
    pub suspensions: Vec<Suspension>,
}

/// Names one recorded intent: its number in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentId(pub u64);

/// A write that may or may not have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// Its number in the history.
    pub intent: IntentId,
    /// SHARE or CANCEL.
    pub permission: Permission,
    /// When it was recorded.
    pub at: Timestamp,
    /// A complete observation showed the opposite state before it.
    pub saw_opposite: bool,
}

impl OpenIntent {
    /// Whether the image, once it shows as shared, was in all likelihood shared by this write.
    pub fn is_ours_if_shared(&self) -> bool {
        self.permission == Permission::Share && self.saw_opposite
    }
}
