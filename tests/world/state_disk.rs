//! Gives a process a state directory with the real store. Each request completes immediately in simulated time and is
//! counted, so that a test can end the process or make the disk fail at any request.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sharekeeper::api::ClientContext;
use sharekeeper::history::{HistoryEvent, WriteOutcome};
use sharekeeper::host::Clock;
use sharekeeper::inventory::{
    IntentId, Inventory, InventoryEntry, InventoryUpdate, KnownAccounts, OpenIntent, Suspension,
    UsedNames,
};
use sharekeeper::ledger::{Attempt, Ledger, LedgerError, LedgerReader, WriteRefused};
use sharekeeper::model::{AccountName, ImageId, Region, Scope, Uin};
use sharekeeper::store::{HistoryQuery, Options, Reader, Recovery, Store, VerifyResult};
use tempfile::TempDir;

use super::checker::Checker;
use super::crash_images::{Image, between, directory};
use super::machine::Machine;
use super::perturbation::{EndAfter, end};
use super::process::SharedParts;
use super::scenario::Scenario;
use super::setup::forgotten;
use super::support::{Cloud, Recorded};

/// The interval of checks while the state cannot be written, as in the command `run`.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// A failure, and the number of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The process ends. The files are those before the request, or the n-th crash image after that.
    Ends { operation: usize, left: usize },
    /// The disk has no space for this request.
    Full { operation: usize },
    /// The disk accepts this many bytes and then fails once. This applies to all files of the test's process.
    Fails { operation: usize, after: usize },
}

impl Trouble {
    fn operation(&self) -> usize {
        match self {
            Self::Ends { operation, .. }
            | Self::Full { operation }
            | Self::Fails { operation, .. } => *operation,
        }
    }
}

/// A request, and the states that a crash can leave instead of the files before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) images: usize,
    /// The number of bytes that the log grew by.
    pub(crate) written: usize,
}

/// A state directory, which exists longer than its processes.
pub(crate) struct StateDisk {
    /// Whether the possible results of a crash are recorded.
    is_first: bool,
    trouble: Option<Trouble>,
    directory: RefCell<TempDir>,
    /// The files that the last process left, if it crashed.
    left: RefCell<Option<Image>>,
    /// The history that would exist if the request at which the process ended had succeeded.
    would_be: RefCell<Option<Vec<HistoryEvent>>>,
    /// The history that processes know, which the checker reads.
    known: Rc<Recorded<Machine>>,
    checker: Rc<Checker>,
    cloud: Rc<Cloud>,
    scenario: Rc<Scenario>,
    operations: RefCell<Vec<Operation>>,
    count: Cell<usize>,
    is_reached: Cell<bool>,
    /// Whether failures have stopped for the rest of the run.
    pub(crate) is_calm: Cell<bool>,
    open: RefCell<Weak<Store>>,
}

impl StateDisk {
    pub(crate) fn new(
        (is_first, trouble): (bool, Option<Trouble>),
        known: &Rc<Recorded<Machine>>,
        parts: &SharedParts,
    ) -> Rc<Self> {
        Rc::new(Self {
            is_first,
            trouble,
            directory: RefCell::new(directory()),
            left: RefCell::default(),
            would_be: RefCell::default(),
            known: Rc::clone(known),
            checker: Rc::clone(&parts.checker),
            cloud: Rc::clone(&parts.cloud),
            scenario: Rc::clone(&parts.scenario),
            operations: RefCell::default(),
            count: Cell::default(),
            is_reached: Cell::default(),
            is_calm: Cell::default(),
            open: RefCell::default(),
        })
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.operations.borrow().clone()
    }

    pub(crate) fn is_reached(&self) -> bool {
        self.trouble.is_none() || self.is_reached.get()
    }

    fn image(&self) -> Image {
        Image::of(self.directory.borrow().path())
    }

    /// Opens the existing files for one process. After a crash, they must contain the known history, with or without
    /// the request that was in progress (S18).
    pub(crate) fn open(
        self: &Rc<Self>,
        context: &Rc<ClientContext<Machine>>,
        end_after: &EndAfter,
    ) -> Option<Rc<StateOnDisk>> {
        let left = self.left.take();
        let is_crash = left.is_some();
        if let Some(image) = left {
            self.directory.replace(image.lay());
        }
        let directory = self.directory.borrow().path().to_owned();
        let clock = Rc::clone(context);
        let options = Options::new("run", "world");
        let store = match Store::open(&directory, &options, move || clock.present()) {
            Ok(store) => Rc::new(store),
            Err(error) => {
                self.checker
                    .violate(format!("S18: it does not open: {error}"));
                return None;
            }
        };
        let history = history(&store);
        let is_known = history == *self.known.events.borrow();
        let is_one_more = is_crash && self.would_be.take().as_ref() == Some(&history);
        if !is_known && !is_one_more {
            let known = self.known.events.borrow().len();
            let has = history.len();
            let what = format!("S18: the history has {has} entries, and {known} were known");
            self.checker.violate(what);
        }
        let verified = Reader::open(&directory).map(|reader| reader.verify());
        if !matches!(verified, Ok(Ok(Some(VerifyResult::Intact { .. })))) {
            self.checker.violate(format!("S19: {verified:?}"));
        }
        self.known.events.replace(history);
        self.open.replace(Rc::downgrade(&store));
        let inventories = self.inventories().unwrap_or_default();
        for id in forgotten(&self.scenario, &self.cloud, &inventories) {
            let what = format!("S9: {id} is shared by this installation, which has forgotten it");
            self.checker.violate(what);
        }
        Some(Rc::new(StateOnDisk {
            store,
            disk: Rc::clone(self),
            context: Rc::clone(context),
            end_after: Rc::clone(end_after),
            has_ended: Cell::new(false),
        }))
    }

    /// The inventory of each scope, if a process has the state open.
    pub(crate) fn inventories(&self) -> Option<Vec<Inventory>> {
        let store = self.open.borrow().upgrade()?;
        // An account can have had its first name and its second one.
        let scopes = self.scenario.images.iter().flat_map(|image| {
            ["", "x"].map(|end| Scope {
                account: AccountName::new(&format!("acct{}{end}", image.account)).expect("a name"),
                region: Region::new(image.region()).expect("a region"),
            })
        });
        let scopes: BTreeSet<Scope> = scopes.collect();
        let scopes = scopes.iter();
        let inventories = scopes.map(|scope| at_once(store.inventory(scope)));
        let inventories: Result<_, _> = inventories.collect();
        Some(inventories.expect("it can be read"))
    }
}

fn history(store: &Store) -> Vec<HistoryEvent> {
    let entries = at_once(store.history(HistoryQuery::default()));
    let entries = entries.expect("it can be read").into_iter();
    entries.map(|entry| entry.event).collect()
}

/// The state of one process. When it is dropped, the files are kept as they are then.
pub(crate) struct StateOnDisk {
    store: Rc<Store>,
    disk: Rc<StateDisk>,
    context: Rc<ClientContext<Machine>>,
    end_after: EndAfter,
    has_ended: Cell<bool>,
}

impl Drop for StateOnDisk {
    fn drop(&mut self) {
        let mut left = self.disk.left.borrow_mut();
        if left.is_none() {
            *left = Some(self.disk.image());
        }
    }
}

impl StateOnDisk {
    /// Makes one request, and applies the failure that is planned for it.
    async fn request<T, E>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, E>>,
        fails: impl FnOnce(LedgerError) -> E,
    ) -> Result<T, E> {
        let disk = &self.disk;
        if self.has_ended.get() {
            return std::future::pending().await;
        }
        if disk.is_calm.get() {
            return self.carry_out(work);
        }
        let number = disk.count.replace(disk.count.get() + 1);
        let trouble = disk.trouble.filter(|it| it.operation() == number);
        disk.is_reached
            .set(disk.is_reached.get() || trouble.is_some());
        match trouble {
            None => self.note(name, work),
            Some(Trouble::Full { .. }) => Err(fails(LedgerError::Request {
                message: "no space left on device".into(),
                source: None,
            })),
            Some(Trouble::Fails { after, .. }) => {
                let limit = disk.image().log_len() + after;
                let unlimited = getrlimit(Resource::Fsize);
                let narrow = Rlimit {
                    current: Some(limit as u64),
                    ..unlimited
                };
                setrlimit(Resource::Fsize, narrow).expect("a limit");
                let done = self.carry_out(work);
                setrlimit(Resource::Fsize, unlimited).expect("no limit");
                done
            }
            Some(Trouble::Ends { left, .. }) => {
                let mut image = disk.image();
                if let Some(place) = left.checked_sub(1) {
                    // The process ends here, so nobody receives the result.
                    let _ = at_once(self.now(work));
                    disk.would_be.replace(Some(history(&self.store)));
                    let mut images = between(&image, &disk.image());
                    image = images.swap_remove(place.min(images.len() - 1));
                }
                disk.left.replace(Some(image));
                self.has_ended.set(true);
                end(&self.end_after).await;
                std::future::pending().await
            }
        }
    }

    /// Makes a request, and records the states that a crash could leave.
    fn note<T, E>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if !self.disk.is_first {
            return self.carry_out(work);
        }
        let before = self.disk.image();
        let done = self.carry_out(work);
        let after = self.disk.image();
        let images = match before == after {
            true => 0,
            false => between(&before, &after).len(),
        };
        let written = after.log_len().saturating_sub(before.log_len());
        self.disk.operations.borrow_mut().push(Operation {
            name,
            images,
            written,
        });
        done
    }

    fn carry_out<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let done = at_once(self.now(work));
        if self.store.failure().is_none() {
            self.learn();
        }
        done
    }

    /// No event of the known history may be missing.
    fn learn(&self) {
        let history = history(&self.store);
        let known = self.disk.known.events.replace(history.clone());
        if !history.starts_with(&known) {
            let what = "S18: what was known of the history is there no longer";
            self.disk.checker.violate(what);
        }
    }

    /// Sends an urgent request behind the work, so that the commit does not wait for more requests.
    async fn now<T>(&self, work: impl Future<Output = T>) -> T {
        let (done, _) = tokio::join!(work, self.store.check());
        done
    }

    /// Opens the state again while it cannot be written.
    pub(crate) async fn look_after(&self) {
        loop {
            let host = &self.context.host;
            host.sleep_until(host.monotonic() + CHECK_INTERVAL).await;
            let is_doubtful = self.disk.is_reached.get() && !self.disk.is_calm.get();
            if !is_doubtful && self.store.failure().is_none() {
                continue;
            }
            match at_once(self.store.recover()) {
                Recovery::Writable => self.learn(),
                Recovery::Failing(_) => {}
                Recovery::Gone(error) => {
                    self.disk
                        .checker
                        .violate(format!("L9: it is gone: {error}"));
                    return;
                }
            }
        }
    }
}

/// Waits for the store's thread, while simulated time stands still.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut work = pin!(tokio::task::unconstrained(work));
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
            return done;
        }
        thread::park();
    }
}

fn same(error: LedgerError) -> LedgerError {
    error
}

impl LedgerReader for StateOnDisk {
    async fn inventory(&self, scope: &Scope) -> Result<Inventory, LedgerError> {
        let work = self.store.inventory(scope);
        self.request("inventory", work, same).await
    }

    async fn open_intents(
        &self,
        scope: &Scope,
    ) -> Result<BTreeMap<ImageId, Vec<OpenIntent>>, LedgerError> {
        let work = self.store.open_intents(scope);
        self.request("open_intents", work, same).await
    }

    async fn inventory_and_accounts(
        &self,
        scope: &Scope,
        used: &Arc<UsedNames>,
        uin: Option<&Uin>,
    ) -> Result<(Inventory, KnownAccounts), LedgerError> {
        let work = self.store.inventory_and_accounts(scope, used, uin);
        self.request("inventory_and_accounts", work, same).await
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, LedgerError> {
        let work = self.store.suspensions();
        self.request("suspensions", work, same).await
    }
}

impl Ledger for StateOnDisk {
    async fn mark_observed(&self) -> Result<(), LedgerError> {
        self.store.mark_observed().await
    }

    async fn record_intent(&self, attempt: &Attempt) -> Result<IntentId, WriteRefused> {
        let work = self.store.record_intent(attempt);
        self.request("record_intent", work, WriteRefused::Failed)
            .await
    }

    async fn recheck_forbidden(&self, attempt: &Attempt) -> Result<(), WriteRefused> {
        let work = self.store.recheck_forbidden(attempt);
        self.request("recheck_forbidden", work, WriteRefused::Failed)
            .await
    }

    fn is_verifying(&self) -> bool {
        self.store.is_verifying()
    }

    fn failure(&self) -> Option<LedgerError> {
        self.store.failure()
    }

    async fn until_failure(&self) -> LedgerError {
        self.store.until_failure().await
    }

    async fn until_recovery(&self) {
        self.store.until_recovery().await;
    }

    async fn record_outcome(
        &self,
        outcome: WriteOutcome,
        entry: Option<InventoryEntry>,
    ) -> Result<(), LedgerError> {
        let work = self.store.record_outcome(outcome, entry);
        self.request("record_outcome", work, same).await
    }

    async fn apply_update(
        &self,
        scope: &Scope,
        update: InventoryUpdate,
    ) -> Result<(), LedgerError> {
        let work = self.store.apply_update(scope, update);
        self.request("apply_update", work, same).await
    }
}
