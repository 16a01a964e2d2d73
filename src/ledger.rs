//! LEDGER: the port to everything that outlives a run. The engine and the planner's callers read and write through
//! [`Ledger`] and [`LedgerReader`]; `store::Store` is the real implementation. This module must not know how anything
//! is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;
use std::mem;
use std::sync::Arc;

use chrono::TimeDelta;
use smol_str::SmolStr;

use crate::desired::Source;
use crate::history::{WriteOutcome, WriteResult};
use crate::inventory::{
    IntentId, Inventory, InventoryEntry, InventoryUpdate, KnownAccounts, OpenIntent, Suspension,
    UsedNames,
};
use crate::model::{
    AccountName, Cause, Clocks, ImageId, ImageKey, KeyDigest, Labels, Permission, Scope, Timestamp,
    Uin,
};

/// One write that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub key: ImageKey,
    pub permission: Permission,
    pub cause: Cause,
    /// The manifest line that asks for the write; `None` for an image that no manifest names.
    pub source: Option<Source>,
    /// The labels of each document that mentions the image, by which a suspension may select it; empty for an image
    /// that no manifest names.
    pub labels: Vec<Arc<Labels>>,
    /// The image's name, if it is known.
    pub name: Option<SmolStr>,
    /// `metadata.name` of the document that decides about the image; `None` for an image that no manifest names.
    pub document: Option<Arc<str>>,
    /// The number of this write among the run's writes of the image, from 1.
    pub number: u32,
    /// Whether a complete observation shows the opposite of the state that this write brings about.
    pub saw_opposite: bool,
    /// Whether the write is allowed only while the image is ours. A person may have released the image a moment ago.
    pub needs_ownership: bool,
    /// Earlier names of the account. A person may have suspended the image under one of them.
    pub aliases: Arc<BTreeSet<AccountName>>,
    /// The API key that the write was planned with.
    pub key_digest: Option<KeyDigest>,
    /// How far the access point's clock is ahead of this machine's, if that matters ([`Clocks::api_ahead`]). A
    /// suspension holds until it is over by both clocks.
    pub api_ahead: TimeDelta,
}

impl Attempt {
    /// The time by both clocks when this machine's clock shows `now`.
    pub fn clocks(&self, now: Timestamp) -> Clocks {
        Clocks::new(now, self.api_ahead)
    }

    /// Whether a suspension covers the image when this machine's clock shows `now`. It does if it holds by either
    /// clock, for the account's present name or an earlier one.
    pub fn is_covered_by(&self, suspension: &Suspension, now: Timestamp) -> bool {
        let clocks = self.clocks(now);
        let covers = |key: &ImageKey| {
            let labels = self.labels.iter().map(|labels| &**labels);
            clocks.any(|now| suspension.covers_any(key, labels.clone(), now))
        };
        let mut earlier = self.aliases.iter().map(|account| {
            let mut key = self.key.clone();
            key.scope.account = account.clone();
            key
        });
        covers(&self.key) || earlier.any(|key| covers(&key))
    }

    /// The outcome of this write, without the details of a reply.
    pub fn ended(&self, intent: IntentId, result: WriteResult) -> WriteOutcome {
        WriteOutcome {
            intent,
            key: self.key.clone(),
            image_name: self.name.as_ref().map(ToString::to_string),
            permission: self.permission,
            result,
            error_code: None,
            message: None,
            request_id: None,
            blueprint_id: None,
        }
    }
}

/// Why the ledger could not be read or written. The text is for people and is complete without that of its source.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The stored data cannot be opened.
    #[error(transparent)]
    Open(Arc<dyn Error + Send + Sync>),
    /// This request failed and nothing of it was stored. Another request may succeed.
    #[error("{message}")]
    Request {
        message: String,
        #[source]
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
    /// The stored data can no longer be trusted, so no request succeeds until the process restarts.
    #[error("{message}")]
    Failed {
        message: String,
        #[source]
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
}

/// Two errors are equal if people read the same text.
impl PartialEq for LedgerError {
    fn eq(&self, other: &Self) -> bool {
        mem::discriminant(self) == mem::discriminant(other) && self.to_string() == other.to_string()
    }
}

impl Eq for LedgerError {}

/// Why a write must not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefused {
    /// A person asked for the image to be left alone, perhaps a moment ago.
    #[error("{}", .0.describe())]
    Suspended(Box<Suspension>),
    /// The image is no longer ours.
    #[error("it is no longer counted as shared by sharekeeper")]
    NotOurs,
    /// The intent could not be recorded.
    #[error("could not record the intended write: {0}")]
    Failed(#[source] LedgerError),
}

/// Reads what earlier passes and runs have stored.
pub trait LedgerReader {
    /// Everything that is known about a scope.
    fn inventory(&self, scope: &Scope) -> impl Future<Output = Result<Inventory, LedgerError>>;

    /// The writes of a scope whose outcome is unknown, by image, the oldest first.
    fn open_intents(
        &self,
        scope: &Scope,
    ) -> impl Future<Output = Result<BTreeMap<ImageId, Vec<OpenIntent>>, LedgerError>>;

    /// The inventory of a scope, what is known about accounts, and the rows in the scope's region under other account
    /// names: those that are not `used` there, and those that belong to account `uin`.
    fn inventory_and_accounts(
        &self,
        scope: &Scope,
        used: &Arc<UsedNames>,
        uin: Option<&Uin>,
    ) -> impl Future<Output = Result<(Inventory, KnownAccounts), LedgerError>>;

    /// The suspensions that no person has ended, for any scope. Some may have expired.
    fn suspensions(&self) -> impl Future<Output = Result<Vec<Suspension>, LedgerError>>;
}

/// Records writes and ownership: the intent before the first byte leaves, the outcome after it. Each method is one
/// transaction: after a crash, either all of it is there or none.
pub trait Ledger: LedgerReader {
    /// Records that a scope was observed completely, which begins the work under the present manifests if it has not
    /// begun yet. Must be called before anything is done about the observation; after an error, nothing may be done.
    fn mark_observed(&self) -> impl Future<Output = Result<(), LedgerError>> {
        std::future::ready(Ok(()))
    }

    /// Records an intent, and returns once it is durable. Suspensions and ownership are checked in the same
    /// transaction, so that a request of a person through another process applies to the very next write.
    fn record_intent(
        &self,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<IntentId, WriteRefused>>;

    /// Checks again whether a person has forbidden a write after its intent was recorded.
    fn recheck_forbidden(
        &self,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<(), WriteRefused>>;

    /// Whether a check is under way that the stored data was not replaced or removed. [`Ledger::recheck_forbidden`]
    /// returns only when the result is known.
    fn is_verifying(&self) -> bool {
        false
    }

    /// Why every request is refused at the moment; `None` while requests are served. Requests are served again only by
    /// a ledger that is asked to recover.
    fn failure(&self) -> Option<LedgerError> {
        None
    }

    /// Returns as soon as [`Ledger::failure`] has a reason.
    fn until_failure(&self) -> impl Future<Output = LedgerError> {
        std::future::pending()
    }

    /// Returns as soon as [`Ledger::failure`] no longer has a reason.
    fn until_recovery(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// Records the outcome of a write. `entry`, if given, is the image's inventory entry from now on. The outcome
    /// [`crate::history::WriteResult::Unknown`] leaves the intent open; any other outcome closes it. Older intents of
    /// the image stay open until a reply settles them, because an observation may lag.
    fn record_outcome(
        &self,
        outcome: WriteOutcome,
        entry: Option<InventoryEntry>,
    ) -> impl Future<Output = Result<(), LedgerError>>;

    /// Stores what an observation changes in the inventory of a scope.
    fn apply_update(
        &self,
        scope: &Scope,
        update: InventoryUpdate,
    ) -> impl Future<Output = Result<(), LedgerError>>;
}
