//! The store for commands with which people change the state: `suspend`, `resume`, `accept`, `adopt`, and the commands
//! that release or unpark images. They run beside a process that reconciles, and must not wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::TimeDelta;
use rusqlite::{Connection, TransactionBehavior};

use super::chain;
use super::error::{OpenError, StoreError};
use super::files::Files;
use super::history_writer::HistoryWriter;
use super::open::{self, DirectoryState, WalIndex};
use super::schema::{self, MIGRATIONS};
use super::suspensions::SUSPENSIONS_MAX;
use super::{Now, Options, images, losses, rows, scopes, suspensions};
use crate::history::{HistoryEvent, ImageEvent, LossAccepted, Resumed, TakeoverEvent};
use crate::inventory::{InventoryEntry, LossAcceptance, OwnedShare, Suspension};
use crate::ledger::LedgerError;
use crate::model::{AccountName, ImageKey, Present, Scope, Selector, Timestamp};

/// A state directory that is open for changes that people ask for. Each method is one short transaction and does not need
/// the lock of the directory. A running process that reconciles respects the change from its next write on.
pub struct OperatorStore {
    files: Files,
    pub(super) conn: Connection,
    history_max: u64,
    now: Now,
}

/// The suspensions that `resume` ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuspensionFilter {
    /// Suspensions with these ids.
    Ids(Vec<u64>),
    /// Suspensions with exactly this selector. To end only a part of a suspension would mean to start another one.
    Selector(Selector),
    /// All suspensions that exist.
    All,
}

impl OperatorStore {
    /// Opens a directory, which is created if it does not exist.
    pub fn open<P: Into<Present>>(
        dir: &Path,
        options: &Options,
        now: impl Fn() -> P + 'static,
    ) -> Result<Self, OpenError> {
        let files = Files::new(dir);
        let now: Now = Box::new(move || now().into());
        let conn = connect(&files, options, now().clock())?;
        Ok(Self {
            files,
            conn,
            history_max: options.history_max.max(1),
            now,
        })
    }

    /// Takes images into the inventory. What is stored of them under account names that are not among the `used` ones
    /// moves along, because it concerns the same images.
    pub fn adopt(
        &mut self,
        images: Vec<(ImageKey, OwnedShare)>,
        used: &BTreeSet<AccountName>,
        by: &str,
        reason: &str,
    ) -> Result<(), LedgerError> {
        self.write(|writer| {
            for (key, owned) in images {
                let mut entry = images::entry(writer.conn, &key)?.unwrap_or_default();
                for earlier in
                    scopes::earlier_names_of(writer.conn, &key, used, owned.blueprint.as_deref())?
                {
                    supersede(writer, &key, earlier, &mut entry, by)?;
                }
                entry.owned = Some(owned);
                scopes::add(writer.conn, &key.scope)?;
                images::put(writer.conn, &key, Some(&entry))?;
                writer.append(HistoryEvent::Adopted(image_event(key, by, reason)))?;
            }
            Ok(())
        })
    }

    /// Takes images out of the inventory, and returns those that were in it. Their shares are not cancelled.
    pub fn release(
        &mut self,
        images: Vec<ImageKey>,
        by: &str,
        reason: &str,
    ) -> Result<Vec<ImageKey>, LedgerError> {
        self.change(images, by, reason, HistoryEvent::Released, |entry| {
            entry.owned.take().is_some()
        })
    }

    /// Lets parked images be reconciled again, and returns those that were parked.
    pub fn unpark(
        &mut self,
        images: Vec<ImageKey>,
        by: &str,
        reason: &str,
    ) -> Result<Vec<ImageKey>, LedgerError> {
        self.change(images, by, reason, HistoryEvent::Unparked, |entry| {
            // The recorded reversals would park the image again with the next observation.
            entry.writes.clear();
            entry.parked_since.take().is_some()
        })
    }

    /// Leaves the images of a selector alone from now on.
    pub fn suspend(
        &mut self,
        selector: Selector,
        until: Option<Timestamp>,
        by: &str,
        reason: &str,
    ) -> Result<Suspension, LedgerError> {
        self.write(|writer| {
            if let Some(until) = until.filter(|until| !rows::is_storable(*until)) {
                return Err(StoreError::request(format!(
                    "{until} is a time that cannot be stored: give one before the year 10000, or none"
                )));
            }
            // A suspension that is over by this machine's clock may not be over by the clock of an access point.
            let now = writer.now.clock();
            let (over, on): (Vec<_>, Vec<_>) = suspensions::all(writer.conn)?
                .into_iter()
                .partition(|suspension| suspension.is_long_over(now));
            for suspension in over {
                suspensions::remove(writer.conn, suspension.id)?;
            }
            let in_force = on.iter().filter(|suspension| !suspension.is_over(now));
            if in_force.count() >= SUSPENSIONS_MAX {
                return Err(StoreError::request(format!(
                    "there are {SUSPENSIONS_MAX} suspensions already: end some with `sharekeeper resume`, or \
                     give one selector that covers many images"
                )));
            }
            let suspension = suspensions::add(writer.conn, selector, until, by, reason, now)?;
            writer.append(HistoryEvent::Suspended(suspension.clone()))?;
            Ok(suspension)
        })
    }

    /// Ends suspensions, and returns those that were ended.
    pub fn resume(
        &mut self,
        which: &SuspensionFilter,
        by: &str,
    ) -> Result<Vec<Suspension>, LedgerError> {
        self.write(|writer| {
            let mut ended = suspensions::all(writer.conn)?;
            ended.retain(|suspension| match which {
                SuspensionFilter::Ids(ids) => ids.contains(&suspension.id),
                SuspensionFilter::Selector(selector) => suspension.selector == *selector,
                SuspensionFilter::All => true,
            });
            for suspension in &ended {
                suspensions::remove(writer.conn, suspension.id)?;
                writer.append(HistoryEvent::Resumed(Resumed {
                    id: suspension.id,
                    by: by.to_owned(),
                }))?;
            }
            Ok(ended)
        })
    }

    /// Accepts losses of exactly these numbers of images in their scopes. Each acceptance is applied to the next observation
    /// that it fits.
    pub fn accept_losses(
        &mut self,
        losses: &BTreeMap<Scope, u32>,
        by: &str,
    ) -> Result<(), LedgerError> {
        self.write(|writer| {
            for (scope, lost) in losses {
                let acceptance = LossAcceptance {
                    lost: *lost,
                    images: None,
                    by: by.to_owned(),
                    since: writer.now.clock(),
                };
                losses::say(writer.conn, scope, &acceptance)?;
                writer.append(HistoryEvent::LossAccepted(LossAccepted {
                    scope: scope.clone(),
                    lost: *lost,
                    images: None,
                    by: by.to_owned(),
                }))?;
            }
            Ok(())
        })
    }

    /// Changes the entries of images, and returns the images for which `change` returned true.
    fn change(
        &mut self,
        images: Vec<ImageKey>,
        by: &str,
        reason: &str,
        event: impl Fn(ImageEvent) -> HistoryEvent,
        change: impl Fn(&mut InventoryEntry) -> bool,
    ) -> Result<Vec<ImageKey>, LedgerError> {
        self.write(|writer| {
            let mut changed = Vec::new();
            for key in images {
                let Some(mut entry) = images::entry(writer.conn, &key)? else {
                    continue;
                };
                if !change(&mut entry) {
                    continue;
                }
                // How long replies count, the process that reconciles knows.
                let is_expired = entry.is_expired(writer.now, TimeDelta::MAX);
                let entry = (!is_expired).then_some(entry);
                images::put(writer.conn, &key, entry.as_ref())?;
                writer.append(event(image_event(key.clone(), by, reason)))?;
                changed.push(key);
            }
            Ok(changed)
        })
    }

    fn write<T>(
        &mut self,
        work: impl FnOnce(&HistoryWriter<'_>) -> Result<T, StoreError>,
    ) -> Result<T, LedgerError> {
        let now = (self.now)();
        let history_max = self.history_max;
        let written = || {
            let transaction = self
                .conn
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let changes = transaction.total_changes();
            let value = work(&HistoryWriter {
                conn: &transaction,
                now,
                history_max,
            })?;
            if transaction.total_changes() != changes {
                chain::advance(&transaction)?;
            }
            transaction.commit()?;
            Ok(value)
        };
        written().map_err(|error: StoreError| error.at(&self.files.database()))
    }
}

/// Opens the database to write. Creates it or migrates its schema, if need be and if no other process has the lock.
fn connect(files: &Files, options: &Options, at: Timestamp) -> Result<Connection, OpenError> {
    let known = schema::latest(MIGRATIONS);
    let find = || open::inspect(files, MIGRATIONS, WalIndex::Repair);
    let is_newest = |found: &DirectoryState| *found == DirectoryState::InUse { version: known };
    if is_newest(&find()?) {
        return open::connect(files);
    }
    // Only one process at a time may create the database or migrate its schema.
    let holder = match open::open_exclusive(files, &options.holder(at), at) {
        Err(OpenError::Locked { holder, .. }) => holder,
        opened => return Ok(opened?.conn),
    };
    match find()? {
        // The other process has done it in the meantime.
        found if is_newest(&found) => open::connect(files),
        DirectoryState::InUse { version } => Err(OpenError::HeldByOlder {
            path: files.database(),
            found: version,
            known,
            holder,
        }),
        DirectoryState::Unused => Err(OpenError::Locked {
            dir: files.dir().to_owned(),
            holder,
        }),
    }
}

/// Moves the entry of an image from an earlier name of its account. Whatever holds changes back moves along.
fn supersede(
    writer: &HistoryWriter<'_>,
    key: &ImageKey,
    earlier: AccountName,
    entry: &mut InventoryEntry,
    by: &str,
) -> Result<(), StoreError> {
    let mut from = key.clone();
    from.scope.account = earlier.clone();
    let row = images::entry(writer.conn, &from)?.unwrap_or_default();
    entry.protected |= row.protected;
    entry.parked_since = entry.parked_since.or(row.parked_since);
    images::move_to_account(writer.conn, &from, key, Some(entry))?;
    writer.append(HistoryEvent::TakenOver(TakeoverEvent {
        scope: key.scope.clone(),
        image: Some(key.image.clone()),
        images: 1,
        from: earlier,
        by: by.to_owned(),
        reason: "it was adopted under the account's new name".into(),
    }))?;
    Ok(())
}

fn image_event(key: ImageKey, by: &str, reason: &str) -> ImageEvent {
    ImageEvent {
        key,
        by: by.to_owned(),
        reason: reason.to_owned(),
    }
}
