//! A ledger in memory for runs on the small cloud. It survives the end of a run, as the real store does, and keeps
//! every event for the tests.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sharekeeper::api::ClientContext;
use sharekeeper::history::{
    HistoryEvent, Intent, NameMoved, Resolved, SourceLocation, WriteOutcome, WriteResult,
};
use sharekeeper::host::Host;
use sharekeeper::inventory::{
    IntentId, Inventory, InventoryEntry, InventoryNote, InventoryUpdate, KnownAccount,
    KnownAccounts, OpenIntent, ResolutionMemory, ScopeRows, Suspension, UsedNames,
};
use sharekeeper::ledger::{Attempt, Ledger, LedgerError, LedgerReader, WriteRefused};
use sharekeeper::model::{
    AccountName, Cause, ImageId, ImageKey, Permission, Scope, Timestamp, Uin,
};

use tokio::sync::{Semaphore, watch};

use super::Cloud;

pub(crate) struct Recorded<H = Cloud> {
    /// The client context, whose clock all runs use.
    context: RefCell<Rc<ClientContext<H>>>,
    pub(crate) scopes: RefCell<BTreeMap<Scope, Inventory>>,
    /// The account that the credentials belonged to in each scope.
    pub(crate) accounts: RefCell<BTreeMap<Scope, KnownAccount>>,
    pub(crate) events: RefCell<Vec<HistoryEvent>>,
    pub(crate) notes: RefCell<Vec<(ImageKey, InventoryNote)>>,
    /// The number of writes of any kind to the store.
    pub(crate) changes: Cell<u64>,
    pub(crate) suspensions: RefCell<Vec<Suspension>>,
    /// If this is set, the planner does not see the suspensions, but they are still in force.
    pub(crate) hides_suspensions: Cell<bool>,
    /// If this is set, the disk is full.
    pub(crate) full: Cell<bool>,
    /// The time until an intent is on the disk.
    pub(crate) commit_takes: Cell<Duration>,
    /// The time from then until the writer learns of it. If the writer ends meanwhile, an intent stays that was never
    /// sent.
    pub(crate) hears_after: Cell<Duration>,
    /// The time that the ledger takes to answer whether a recorded intent may still be sent.
    pub(crate) allows_takes: Cell<Duration>,
    /// If this is not zero, the ledger answers these questions together at this interval, like a disk that blocks
    /// repeatedly.
    pub(crate) allows_every: Cell<Duration>,
    /// If this is set, only this number of tasks can wait for the disk at once. They are admitted in the order of
    /// their requests, and each takes 50 ms. Meanwhile the state is in doubt, so that the ledger is asked once more
    /// about each write before it is sent.
    pub(crate) places: RefCell<Option<Rc<Semaphore>>>,
    /// The time until an outcome is on the disk.
    pub(crate) outcome_takes: Cell<Duration>,
    /// The reason why the ledger permits nothing any longer, if it is lost.
    lost: watch::Sender<Option<LedgerError>>,
    /// The ledger is lost after this number of intents.
    pub(crate) lost_after: Cell<Option<usize>>,
    /// If this is set, a second check takes one second and finds that the ledger is lost.
    pub(crate) in_doubt: Cell<bool>,
}

impl<H: Host> Recorded<H> {
    pub(crate) fn new(context: &Rc<ClientContext<H>>) -> Self {
        Self {
            context: RefCell::new(Rc::clone(context)),
            scopes: RefCell::default(),
            accounts: RefCell::default(),
            events: RefCell::default(),
            notes: RefCell::default(),
            changes: Cell::default(),
            suspensions: RefCell::default(),
            hides_suspensions: Cell::default(),
            full: Cell::default(),
            commit_takes: Cell::default(),
            hears_after: Cell::default(),
            allows_takes: Cell::default(),
            allows_every: Cell::default(),
            places: RefCell::default(),
            outcome_takes: Cell::default(),
            lost: watch::Sender::new(None),
            lost_after: Cell::default(),
            in_doubt: Cell::default(),
        }
    }

    /// Hands the ledger over to another process.
    pub(crate) fn hand_over(&self, context: &Rc<ClientContext<H>>) {
        *self.context.borrow_mut() = Rc::clone(context);
    }

    async fn wait(&self, time: Duration) {
        let context = Rc::clone(&self.context.borrow());
        let host = &context.host;
        host.sleep_until(host.monotonic() + time).await;
    }

    /// Makes the ledger permit nothing any longer.
    pub(crate) fn lose(&self, why: &str) {
        self.lost.send_replace(Some(LedgerError::Failed {
            message: why.into(),
            source: None,
        }));
    }

    /// Makes the ledger permit everything again.
    pub(crate) fn recover(&self) {
        self.lost.send_replace(None);
    }

    async fn turn(&self) {
        let places = self.places.borrow().clone();
        if let Some(places) = places {
            let _place = places.acquire().await.expect("it stays open");
            self.wait(Duration::from_millis(50)).await;
        }
    }

    fn now(&self) -> Timestamp {
        self.context.borrow().present().stamp()
    }

    fn event(&self, event: HistoryEvent) -> IntentId {
        self.changes.set(self.changes.get() + 1);
        let mut events = self.events.borrow_mut();
        events.push(event);
        IntentId(events.len() as u64)
    }

    fn writable(&self) -> Result<(), LedgerError> {
        if let Some(lost) = self.failure() {
            return Err(lost);
        }
        if self.full.get() {
            Err(LedgerError::Request {
                message: "no space left on device".into(),
                source: None,
            })
        } else {
            Ok(())
        }
    }

    pub(crate) fn intents(&self) -> Vec<Intent> {
        let events = self.events.borrow();
        let intents = events.iter().filter_map(|event| match event {
            HistoryEvent::Intent(intent) => Some(intent.clone()),
            _ => None,
        });
        intents.collect()
    }

    pub(crate) fn outcomes(&self) -> Vec<WriteOutcome> {
        let events = self.events.borrow();
        let outcomes = events.iter().filter_map(|event| match event {
            HistoryEvent::Outcome(outcome) => Some(outcome.clone()),
            _ => None,
        });
        outcomes.collect()
    }

    /// The number of intents of which at least one byte was sent, as far as is known.
    pub(crate) fn sent(&self) -> usize {
        let not_sent = self
            .outcomes()
            .iter()
            .filter(|outcome| outcome.result == WriteResult::NotSent)
            .count();
        self.intents().len() - not_sent
    }

    pub(crate) fn record(&self, key: &ImageKey) -> Option<InventoryEntry> {
        let scopes = self.scopes.borrow();
        scopes.get(&key.scope)?.images.get(&key.image).cloned()
    }
}

impl<H: Host> LedgerReader for Recorded<H> {
    async fn inventory(&self, scope: &Scope) -> Result<Inventory, LedgerError> {
        if let Some(lost) = self.failure() {
            return Err(lost);
        }
        let mut inventory = self.scopes.borrow().get(scope).cloned().unwrap_or_default();
        if !self.hides_suspensions.get() {
            inventory.suspensions = self.suspensions.borrow().clone();
        }
        Ok(inventory)
    }

    async fn open_intents(
        &self,
        scope: &Scope,
    ) -> Result<BTreeMap<ImageId, Vec<OpenIntent>>, LedgerError> {
        Ok(self.inventory(scope).await?.open_intents)
    }

    async fn inventory_and_accounts(
        &self,
        scope: &Scope,
        used: &Arc<UsedNames>,
        uin: Option<&Uin>,
    ) -> Result<(Inventory, KnownAccounts), LedgerError> {
        let inventory = self.inventory(scope).await?;
        let rows = self.scopes.borrow();
        let others = rows.iter().filter(|(row, _)| {
            let is_its = uin.is_some() && self.known(row).uin.as_ref() == uin;
            row.region == scope.region
                && row.account != scope.account
                && (!used.here.contains_key(&row.account) || is_its)
        });
        let others = others.map(|(row, inventory)| {
            let rows = ScopeRows {
                images: inventory.images.clone(),
                open_intents: inventory.open_intents.clone(),
                acceptances: inventory.acceptances.clone(),
            };
            (row.account.clone(), rows)
        });
        let accounts = self.accounts.borrow();
        let known = rows.keys().chain(accounts.keys()).map(|row| {
            let known = accounts.get(row).cloned().unwrap_or_default();
            (row.clone(), known)
        });
        let left_over = rows.iter().filter(|(row, inventory)| {
            !used.anywhere.contains(&row.account) && !inventory.images.is_empty()
        });
        let accounts = KnownAccounts {
            others: others.collect(),
            scopes: known.collect(),
            left_over: left_over.map(|(row, _)| row.clone()).collect(),
        };
        Ok((inventory, accounts))
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, LedgerError> {
        match self.failure() {
            Some(lost) => Err(lost),
            None => Ok(self.suspensions.borrow().clone()),
        }
    }
}

impl<H: Host> Recorded<H> {
    fn succeed(&self, earlier: &Scope, by: &Scope) {
        let mut accounts = self.accounts.borrow_mut();
        let known = accounts.entry(earlier.clone()).or_default();
        known.succeeded_by = Some(by.account.clone());
        let own = accounts.entry(by.clone()).or_default();
        own.succeeded_by = own
            .succeeded_by
            .take()
            .filter(|name| *name != earlier.account);
    }

    /// The stored knowledge about the account, in the same form as in the real store.
    fn known(&self, scope: &Scope) -> KnownAccount {
        self.accounts
            .borrow()
            .get(scope)
            .cloned()
            .unwrap_or_default()
    }
}

impl<H: Host> Ledger for Recorded<H> {
    async fn record_intent(&self, attempt: &Attempt) -> Result<IntentId, WriteRefused> {
        self.turn().await;
        self.wait(self.commit_takes.get()).await;
        self.writable().map_err(WriteRefused::Failed)?;
        self.forbids(attempt)?;
        let intent = self.keep_intent(attempt);
        let hears_after = self.hears_after.get();
        if !hears_after.is_zero() {
            self.wait(hears_after).await;
        }
        Ok(intent)
    }

    fn is_verifying(&self) -> bool {
        self.in_doubt.get() || self.places.borrow().is_some()
    }

    fn failure(&self) -> Option<LedgerError> {
        self.lost.borrow().clone()
    }

    async fn until_failure(&self) -> LedgerError {
        let mut lost = self.lost.subscribe();
        let why = lost.wait_for(Option::is_some).await.expect("it is kept");
        why.clone().expect("it is lost")
    }

    async fn until_recovery(&self) {
        let mut lost = self.lost.subscribe();
        lost.wait_for(Option::is_none).await.expect("it is kept");
    }

    async fn recheck_forbidden(&self, attempt: &Attempt) -> Result<(), WriteRefused> {
        self.turn().await;
        self.wait(self.allows_takes.get()).await;
        let every = self.allows_every.get();
        if !every.is_zero() {
            let now = self.context.borrow().host.monotonic();
            let past = now.since_start().as_nanos() % every.as_nanos();
            let past = Duration::from_nanos(u64::try_from(past).expect("less than a period"));
            self.wait(every - past).await;
        }
        if self.in_doubt.get() {
            self.wait(Duration::from_secs(1)).await;
            self.lose("the state was removed");
        }
        if let Some(lost) = self.failure() {
            return Err(WriteRefused::Failed(lost));
        }
        self.forbids(attempt)
    }

    async fn record_outcome(
        &self,
        outcome: WriteOutcome,
        record: Option<InventoryEntry>,
    ) -> Result<(), LedgerError> {
        self.turn().await;
        self.wait(self.outcome_takes.get()).await;
        self.writable()?;
        let mut outcome = outcome;
        let mut scopes = self.scopes.borrow_mut();
        // The account may have been renamed since then.
        let home = scopes.iter().find(|(_, inventory)| {
            let mut open = inventory.open_intents.values().flatten();
            open.any(|open| open.intent == outcome.intent)
        });
        if let Some((scope, _)) = home {
            outcome.key.scope = scope.clone();
        }
        let inventory = scopes.entry(outcome.key.scope.clone()).or_default();
        let open = inventory
            .open_intents
            .entry(outcome.key.image.clone())
            .or_default();
        if outcome.result != WriteResult::Unknown {
            open.retain(|open| open.intent != outcome.intent);
        }
        let shared = outcome.permission == Permission::Share;
        if shared
            && matches!(
                outcome.result,
                WriteResult::Applied | WriteResult::AlreadyShared
            )
        {
            open.retain(|older| {
                let is_share = older.permission == Permission::Share;
                if is_share {
                    let applied = outcome.result == WriteResult::AlreadyShared;
                    self.resolved(&outcome.key, older.permission, older.intent, applied);
                }
                !is_share
            });
        }
        if open.is_empty() {
            inventory.open_intents.remove(&outcome.key.image);
        }
        if let Some(record) = record {
            inventory.images.insert(outcome.key.image.clone(), record);
        }
        self.event(HistoryEvent::Outcome(outcome));
        Ok(())
    }

    async fn apply_update(
        &self,
        scope: &Scope,
        update: InventoryUpdate,
    ) -> Result<(), LedgerError> {
        self.writable()?;
        let InventoryUpdate {
            set_aside,
            takeover,
            changes,
            account,
            memory,
            acceptances,
        } = update;
        let mut scopes = self.scopes.borrow_mut();
        if let Some(uin) = set_aside {
            let set_aside = Scope {
                account: AccountName::new(&format!("uin-{uin}")).expect("a name"),
                region: scope.region,
            };
            let mut rows = scopes.remove(scope).unwrap_or_default();
            rows.memory = ResolutionMemory::default();
            scopes.insert(set_aside.clone(), rows);
            let mut accounts = self.accounts.borrow_mut();
            let known = accounts.remove(scope).unwrap_or_default();
            let formerly = Some(scope.account.clone());
            accounts.insert(set_aside, KnownAccount { formerly, ..known });
        }
        if let Some(account) = account {
            self.accounts.borrow_mut().insert(scope.clone(), account);
        }
        let expected = takeover.expected;
        let is_still = |from: &AccountName| {
            let row = Scope {
                account: from.clone(),
                region: scope.region,
            };
            expected
                .get(from)
                .is_some_and(|was| self.known(&row).has_same_credentials(was))
        };
        for taken in takeover
            .rows
            .into_iter()
            .filter(|taken| is_still(&taken.from))
        {
            let earlier = Scope {
                account: taken.from.clone(),
                region: scope.region,
            };
            let rows = scopes.entry(earlier.clone()).or_default();
            rows.images.remove(&taken.image);
            let open = rows.open_intents.remove(&taken.image).unwrap_or_default();
            let own = scopes.entry(scope.clone()).or_default();
            let entry = taken.entry.map(|entry| (taken.image.clone(), entry));
            own.images.extend(entry);
            if !open.is_empty() {
                let known = own.open_intents.entry(taken.image.clone()).or_default();
                known.extend(open);
            }
            self.succeed(&earlier, scope);
        }
        for name in takeover
            .names
            .into_iter()
            .filter(|name| is_still(&name.from))
        {
            let earlier = Scope {
                account: name.from.clone(),
                region: scope.region,
            };
            let rows = scopes.remove(&earlier).unwrap_or_default();
            let own = scopes.entry(scope.clone()).or_default();
            own.images.extend(rows.images);
            own.open_intents.extend(rows.open_intents);
            self.succeed(&earlier, scope);
        }
        let inventory = scopes.entry(scope.clone()).or_default();
        for change in &changes {
            let key = ImageKey {
                scope: scope.clone(),
                image: change.image.clone(),
            };
            for open in inventory
                .open_intents
                .get(&change.image)
                .into_iter()
                .flatten()
            {
                let mut shown = change.resolved.iter();
                if let Some((_, applied)) = shown.find(|(intent, _)| *intent == open.intent) {
                    self.resolved(&key, open.permission, open.intent, *applied);
                }
            }
            if let Some(note) = &change.note {
                self.notes.borrow_mut().push((key, note.clone()));
            }
        }
        for acceptance in acceptances {
            let said = &mut inventory.acceptances;
            said.retain(|one| one.lost != acceptance.lost);
            said.push(acceptance);
        }
        self.changes.set(self.changes.get() + 1);
        inventory.apply(&changes);
        for (image_name, image) in &memory.names {
            let was = inventory.memory.names.get(image_name);
            if let (Some(was), Some(image)) = (was, image)
                && was != image
            {
                self.event(HistoryEvent::NameMoved(NameMoved {
                    key: ImageKey {
                        scope: scope.clone(),
                        image: image.clone(),
                    },
                    image_name: image_name.clone(),
                    was: was.clone(),
                }));
            }
        }
        inventory.memory.apply(&memory);
        Ok(())
    }
}

impl<H: Host> Recorded<H> {
    fn keep_intent(&self, attempt: &Attempt) -> IntentId {
        let now = self.now();
        if let (Cause::Pruned, Some(digest)) = (attempt.cause, &attempt.key_digest) {
            let mut accounts = self.accounts.borrow_mut();
            let known = accounts.entry(attempt.key.scope.clone()).or_default();
            known.pruned_with = Some(digest.clone());
        }
        let intent = self.event(HistoryEvent::Intent(Intent {
            key: attempt.key.clone(),
            permission: attempt.permission,
            cause: attempt.cause,
            source: attempt.source.as_ref().map(|source| SourceLocation {
                file: source.file.to_string(),
                line: source.line,
            }),
            commit: None,
            attempt: attempt.number,
            image_name: attempt.name.as_ref().map(ToString::to_string),
            document: attempt.document.as_deref().map(str::to_owned),
        }));
        let open = OpenIntent {
            intent,
            permission: attempt.permission,
            at: now,
            saw_opposite: attempt.saw_opposite,
        };
        let image = attempt.key.image.clone();
        {
            let mut scopes = self.scopes.borrow_mut();
            let inventory = scopes.entry(attempt.key.scope.clone()).or_default();
            inventory.open_intents.entry(image).or_default().push(open);
        }
        if self.lost_after.get() == Some(self.intents().len()) {
            self.lose("the state was removed");
        }
        intent
    }

    fn forbids(&self, attempt: &Attempt) -> Result<(), WriteRefused> {
        let now = self.context.borrow().now();
        let suspensions = self.suspensions.borrow();
        if let Some(suspension) = suspensions
            .iter()
            .find(|suspension| attempt.is_covered_by(suspension, now))
        {
            return Err(WriteRefused::Suspended(Box::new(suspension.clone())));
        }
        let owned = self.record(&attempt.key).and_then(|record| record.owned);
        if attempt.needs_ownership && owned.is_none() {
            return Err(WriteRefused::NotOurs);
        }
        Ok(())
    }

    fn resolved(&self, key: &ImageKey, permission: Permission, intent: IntentId, applied: bool) {
        self.event(HistoryEvent::Resolved(Resolved {
            intent,
            key: key.clone(),
            permission,
            applied,
        }));
    }
}
