//! STATUS: the current state of everything, since when and why. The status page, metrics, logs and notifications are made
//! from it.
//!
//! A [`Board`] receives plans and answers as they come and returns the new [`Transition`]s. Pure: the time is an
//! argument. The board decides nothing, and no decision depends on it. Its size is bounded by the images that the
//! manifests name, and by [`RECENT_MAX`].

mod account_totals;
mod activity;
mod causes;
mod change;
mod condition;
mod counts;
mod extent;
mod finding;
mod gathering;
mod health;
mod holds;
mod image;
mod image_transitions;
mod manifests;
mod passes;
mod policy_image;
mod progress;
mod reads;
mod reason;
mod retain;
mod run_settings;
mod scope;
mod stall;
mod stall_transitions;
mod sync_state;
mod told;
mod transition;
mod write_bucket;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::{AccountName, ImageKey, Region, Scope, Selector, Timestamp};
use crate::pace::DurationHistogram;

pub use account_totals::AccountTotals;
pub use activity::{Activity, PassResult};
pub use causes::{Cause, CauseKind, CauseList, Causes, NAMED_MAX, Trouble};
pub use change::Change;
pub use condition::{Condition, Truth};
pub use counts::Counts;
pub use extent::Extent;
pub use finding::{Finding, FindingKind};
pub use health::StateStatus;
pub use holds::{ClosedWindow, HoldChanges, Holds};
pub use image::{ImageStatus, StatusDetails};
pub use manifests::{LoadedManifests, ManifestsStatus};
pub use policy_image::PolicyImage;
pub use progress::Progress;
pub use reads::Reads;
pub use reason::Reason;
pub use run_settings::RunSettings;
pub use scope::ScopeStatus;
pub use sync_state::SyncState;
pub use told::{Told, ToldError};
pub use transition::{Subject, Transition, TransitionKind};
pub use write_bucket::WriteBucket;

/// The number of recent changes and of recent transitions that are kept for display.
pub const RECENT_MAX: usize = 200;

/// The status of the manifests, the state directory and every scope. It changes only through methods that describe
/// events; the files of this module group these methods by subject.
///
/// A clone shares large parts with the board, so it takes a millisecond for thousands of scopes and any number of images.
/// A later change first copies the scope that it changes.
#[derive(Clone, Debug)]
pub struct Board {
    version: u64,
    started: Timestamp,
    observe_only: bool,
    manifests: ManifestsStatus,
    state: StateStatus,
    holds: Arc<Holds>,
    /// `None` on a board that is not shown to anyone.
    run_settings: Option<Arc<RunSettings>>,
    scopes: BTreeMap<Scope, Arc<ScopeStatus>>,
    changes: VecDeque<Change>,
    transitions: VecDeque<Transition>,
    account_totals: BTreeMap<AccountName, AccountTotals>,
    /// Whether all scopes in the manifests had been tried at some moment.
    is_looked_over: bool,
    /// Durations of passes over scopes that have been removed since.
    past_durations: DurationHistogram,
    /// Accounts that were reported as broken, with the board's version at that time.
    broken_accounts: BTreeMap<AccountName, u64>,
    /// Accounts that were reported as lacking the service role.
    accounts_without_role: BTreeSet<AccountName>,
    /// Accounts that were reported because all their writes are denied.
    denied_accounts: BTreeSet<AccountName>,
    /// An earlier process's reports about subjects that this process knows nothing about yet.
    remembered: Told,
    /// Reports that wait to be combined with similar ones.
    gathering: gathering::Gathering,
    /// Suspensions that were reported and are not over, by their ids.
    reported_suspensions: BTreeMap<u64, Selector>,
}

impl Board {
    /// A board of a process that started at `started`. Nothing is known yet. With `observe_only`, nothing is ever
    /// written.
    pub fn new(started: Timestamp, observe_only: bool) -> Self {
        Self {
            version: 0,
            started,
            observe_only,
            manifests: ManifestsStatus::default(),
            state: StateStatus::default(),
            holds: Arc::default(),
            run_settings: None,
            scopes: BTreeMap::new(),
            changes: VecDeque::new(),
            transitions: VecDeque::new(),
            account_totals: BTreeMap::new(),
            is_looked_over: false,
            past_durations: DurationHistogram::default(),
            broken_accounts: BTreeMap::new(),
            accounts_without_role: BTreeSet::new(),
            denied_accounts: BTreeSet::new(),
            remembered: Told::default(),
            gathering: gathering::Gathering::default(),
            reported_suspensions: BTreeMap::new(),
        }
    }

    /// A counter of changes, so that a reader can recognize whether anything is new.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When the process started.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Whether the process never writes.
    pub fn observe_only(&self) -> bool {
        self.observe_only
    }

    /// The origin of the manifests, and whether they can be used.
    pub fn manifests(&self) -> &ManifestsStatus {
        &self.manifests
    }

    /// Whether the state directory can be used.
    pub fn state(&self) -> &StateStatus {
        &self.state
    }

    /// Every account and region that the manifests name, in order.
    pub fn scopes(&self) -> &BTreeMap<Scope, Arc<ScopeStatus>> {
        &self.scopes
    }

    /// The last answered writes, newest last.
    pub fn changes(&self) -> &VecDeque<Change> {
        &self.changes
    }

    /// The last transitions, newest last.
    pub fn transitions(&self) -> &VecDeque<Transition> {
        &self.transitions
    }

    /// Counts for each account for which something was counted.
    pub fn account_totals(&self) -> &BTreeMap<AccountName, AccountTotals> {
        &self.account_totals
    }

    /// Durations of all passes since the process started. The counts never fall, even if scopes are removed.
    pub fn durations(&self) -> DurationHistogram {
        let mut all = self.past_durations.clone();
        for status in self.scopes.values() {
            all.add_all(&status.durations);
        }
        all
    }

    /// The name by which people know an image, if it has one.
    pub fn image_name(&self, key: &ImageKey) -> Option<&str> {
        let image = self.scopes.get(&key.scope)?.images.get(&key.image)?;
        image.name.as_deref()
    }

    /// The number of points that a person must settle, apart from single images, in all scopes.
    pub fn findings(&self) -> usize {
        let scopes = self.scopes.values();
        scopes.map(|status| status.findings.len()).sum()
    }

    /// The scopes of an account, which are adjacent in the map.
    fn scopes_of(&self, account: &AccountName) -> impl Iterator<Item = (&Scope, &ScopeStatus)> {
        let first = Scope {
            account: account.clone(),
            region: Region::first(),
        };
        let from_first = self.scopes.range(first.clone()..);
        let of_account = from_first.take_while(move |(scope, _)| scope.account == first.account);
        of_account.map(|(scope, status)| (scope, &**status))
    }

    /// Ends a change of the board: it gets a new version, and `transitions` are kept for display. Combined transitions
    /// are kept only when they are reported ([`Board::gather`]).
    fn record(&mut self, mut transitions: Vec<Transition>) -> Vec<Transition> {
        self.version += 1;
        for transition in &mut transitions {
            if let Subject::Image(key) = &transition.subject {
                transition.name = self.image_name(key).map(Into::into);
            }
        }
        for transition in transitions.iter().filter(|new| !new.is_of_many) {
            push_recent(&mut self.transitions, transition.clone());
        }
        transitions
    }
}

/// The scope to change. Clones of the board keep their version of it.
fn scope_mut<'s>(
    scopes: &'s mut BTreeMap<Scope, Arc<ScopeStatus>>,
    scope: &Scope,
) -> Option<&'s mut ScopeStatus> {
    scopes.get_mut(scope).map(Arc::make_mut)
}

fn push_recent<T>(recent: &mut VecDeque<T>, item: T) {
    if recent.len() == RECENT_MAX {
        recent.pop_front();
    }
    recent.push_back(item);
}

#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
