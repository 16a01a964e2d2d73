//! LEDGER: the port to what outlives a run. The engine and the planner's callers read and write it through
//! [`Ledger`] and [`LedgerReader`]; `store::Store` is its real form. It must not know how anything is kept.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::desired::Source;
use crate::history::{Outcome, WriteResult};
use crate::inventory::{
    IntentId, Inventory, InventoryEntry, InventoryUpdate, KnownAccounts, Suspension, UsedNames,
};
use crate::model::{
    AccountName, Cause, Clocks, ImageKey, KeyDigest, Labels, Permission, Scope, Timestamp, Uin,
};

/// One write that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which image.
    pub key: ImageKey,
    /// SHARE or CANCEL.
    pub permission: Permission,
    /// Why.
    pub cause: Cause,
    /// The manifest line that asks for it; none for an image that no manifest names.
    pub source: Option<Source>,
    /// The document's labels, which a suspension may pick it by; none for an image that no manifest names.
    pub labels: Option<Arc<Labels>>,
    /// Counts from 1 within a run.
    pub number: u32,
    /// A complete observation shows the opposite of what the write brings about.
    pub saw_opposite: bool,
    /// Only what is ours may be written: a person may have let it go a moment ago.
    pub needs_ownership: bool,
    /// Earlier names of the account, by which a person may have suspended the image.
    pub aliases: Arc<BTreeSet<AccountName>>,
    /// The key that the write is planned with.
    pub key_digest: Option<KeyDigest>,
    /// By how much the access point's clock is ahead of this machine's, where that counts ([`Clocks::api_ahead`]): a
    /// suspension holds until it is over by both.
    pub api_ahead: TimeDelta,
}

impl Attempt {
    /// What both clocks show, where this machine's shows `now`.
    pub fn clocks(&self, now: Timestamp) -> Clocks {
        Clocks::new(now, self.api_ahead)
    }

    /// Whether a suspension holds for the image where this machine's clock shows `now`: by either clock, and by the
    /// account's name or an earlier one.
    pub fn is_covered_by(&self, suspension: &Suspension, now: Timestamp) -> bool {
        let clocks = self.clocks(now);
        let covers =
            |key: &ImageKey| clocks.any(|now| suspension.covers(key, self.labels.as_deref(), now));
        let mut earlier = self.aliases.iter().map(|account| {
            let mut key = self.key.clone();
            key.scope.account = account.clone();
            key
        });
        covers(&self.key) || earlier.any(|key| covers(&key))
    }

    /// What came of it, without details.
    pub fn ended(&self, intent: IntentId, result: WriteResult) -> Outcome {
        Outcome {
            intent,
            key: self.key.clone(),
            permission: self.permission,
            result,
            error_code: None,
            message: None,
            request_id: None,
            blueprint_id: None,
        }
    }
}

/// The store cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LedgerError(pub String);

/// Why a write must not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefused {
    /// A person asked for the image to be left alone, perhaps a moment ago.
    #[error("{}", .0.describe())]
    Suspended(Box<Suspension>),
    /// The image is not ours any longer.
    #[error("it is not counted as shared by sharekeeper any longer")]
    NotOurs,
    /// The intent could not be recorded.
    #[error("could not record the intended write: {0}")]
    Failed(LedgerError),
}

/// What was done before, to read.
pub trait LedgerReader {
    /// What is known of a scope.
    fn inventory(&self, scope: &Scope) -> impl Future<Output = Result<Inventory, LedgerError>>;

    /// What is known of accounts, and what is kept in the scope's region under other account names: those that are not
    /// `used` there, and those whose rows are of account `uin`.
    fn accounts(
        &self,
        scope: &Scope,
        used: &UsedNames,
        uin: Option<&Uin>,
    ) -> impl Future<Output = Result<KnownAccounts, LedgerError>>;
}

/// The record of writes and of what is ours: the intent is in it before the first byte leaves, the outcome after.
/// Each method is one transaction: a crash finds all of it or nothing.
pub trait Ledger: LedgerReader {
    /// A scope was seen, whole: work under the present manifests begins, if it has not yet. Called before anything is
    /// done on what was seen; after an error, nothing is.
    fn mark_observed(&self) -> impl Future<Output = Result<(), LedgerError>> {
        std::future::ready(Ok(()))
    }

    /// Returns once the intent is durable. Suspensions and ownership are checked in the same transaction, so that what
    /// a person has said through another process holds from the very next write.
    fn record_intent(
        &self,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<IntentId, WriteRefused>>;

    /// Asks again whether what a person has said forbids a write whose intent was recorded a while ago.
    fn recheck(&self, attempt: &Attempt) -> impl Future<Output = Result<(), WriteRefused>>;

    /// Whether it is being found out if the state is lost: [`Ledger::recheck`] returns when that is known.
    fn is_verifying(&self) -> bool {
        false
    }

    /// Why nothing is granted any longer until the process starts anew; `None`: nothing is amiss. It does not pass, and
    /// what is asked for from then on is refused.
    fn failure(&self) -> Option<LedgerError> {
        None
    }

    /// Returns once there is such a reason.
    fn until_failure(&self) -> impl Future<Output = LedgerError> {
        std::future::pending()
    }

    /// Keeps what came of it; `record`, where given, is what is known of the image from now on. An outcome that is
    /// [`crate::history::WriteResult::Unknown`] leaves the intent open; any other closes it. Older ones of the image stay
    /// open until an answer tells what became of them: an observation may have lagged.
    fn record_outcome(
        &self,
        outcome: Outcome,
        record: Option<InventoryEntry>,
    ) -> impl Future<Output = Result<(), LedgerError>>;

    /// Keeps what an observation taught.
    fn apply_update(
        &self,
        scope: &Scope,
        update: InventoryUpdate,
    ) -> impl Future<Output = Result<(), LedgerError>>;
}
