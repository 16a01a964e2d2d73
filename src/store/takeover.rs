//! Moves rows from one account name to another, and records that in the history. `inventory::takeover` has decided what
//! to move; here it is checked that nothing has changed since.

use std::collections::BTreeMap;

use super::error::StoreError;
use super::history_writer::{HistoryWriter, OBSERVATION};
use super::{history_query, images, losses, memory, scopes};
use crate::history::{self, HistoryEvent};
use crate::inventory::{InventoryUpdate, SAME_ACCOUNT, TakenOverName, TakenOverRow, Takeover};
use crate::model::{AccountName, ImageKey, Scope, Uin};

/// The reason in the history for rows that are set aside.
const OTHER_ACCOUNT: &str = "the account's name stands for another account now";

/// Stores what an update contains about accounts, and moves the rows that it takes over. A row that a person has changed
/// since it was read is left to the next observation.
pub(super) fn apply(
    writer: &HistoryWriter<'_>,
    scope: &Scope,
    update: &InventoryUpdate,
    read_at: u64,
) -> Result<(), StoreError> {
    if update.set_aside.is_none() && update.takeover == Takeover::default() {
        // This is the case nearly always.
        return match &update.account {
            Some(account) => scopes::set_account(writer.conn, scope, account),
            None => Ok(()),
        };
    }
    // Names may mean other accounts than when the rows were read.
    let known: BTreeMap<_, _> = scopes::all(writer.conn)?;
    let own = known.get(scope).and_then(|own| own.uin.as_ref());
    if let Some(uin) = update.set_aside.as_ref().filter(|uin| own == Some(*uin)) {
        set_aside(writer, scope, uin)?;
    }
    if let Some(account) = &update.account {
        scopes::set_account(writer.conn, scope, account)?;
    }
    let takeover = &update.takeover;
    let is_still = |from: &AccountName| {
        let now = known.get(&under(from, scope));
        now.zip(takeover.expected.get(from))
            .is_some_and(|(now, was)| now.has_same_credentials(was))
    };
    for taken in takeover.rows.iter().filter(|taken| is_still(&taken.from)) {
        take_row(writer, scope, taken, read_at)?;
    }
    for name in takeover.names.iter().filter(|name| is_still(&name.from)) {
        take_name(writer, scope, name, read_at)?;
    }
    Ok(())
}

/// Moves one row, if it is still there: another scope may have taken it in the meantime.
fn take_row(
    writer: &HistoryWriter<'_>,
    scope: &Scope,
    taken: &TakenOverRow,
    read_at: u64,
) -> Result<(), StoreError> {
    let earlier = under(&taken.from, scope);
    let key = |scope: &Scope| ImageKey {
        scope: scope.clone(),
        image: taken.image.clone(),
    };
    let (from, to) = (key(&earlier), key(scope));
    let is_there = images::entry(writer.conn, &from)?.is_some()
        || !images::open_intents(writer.conn, &from)?.is_empty();
    if !is_there
        || history_query::is_changed_by_operator(writer.conn, &from, read_at)?
        || history_query::is_changed_by_operator(writer.conn, &to, read_at)?
    {
        return Ok(());
    }
    scopes::add(writer.conn, scope)?;
    images::move_to_account(writer.conn, &from, &to, taken.entry.as_ref())?;
    if taken.proves_the_name() {
        scopes::set_successor(writer.conn, &earlier, scope)?;
        losses::move_all(writer.conn, &earlier, &scope.account)?;
    }
    writer.append(HistoryEvent::TakenOver(history::TakeoverEvent {
        scope: scope.clone(),
        image: Some(taken.image.clone()),
        images: 1,
        from: earlier.account,
        by: OBSERVATION.into(),
        reason: taken.reason.into(),
    }))?;
    Ok(())
}

/// Moves all remaining rows of a name with one statement, because there may be a hundred thousand.
fn take_name(
    writer: &HistoryWriter<'_>,
    scope: &Scope,
    name: &TakenOverName,
    read_at: u64,
) -> Result<(), StoreError> {
    let earlier = under(&name.from, scope);
    if history_query::is_scope_changed_by_operator(writer.conn, &earlier, read_at)? {
        return Ok(());
    }
    scopes::add(writer.conn, scope)?;
    scopes::move_all(writer.conn, &earlier, &scope.account)?;
    // The update does not know these clocks: one that it does not restart would continue under the new name, even if the
    // version no longer exists. Losing them only makes everything take longer.
    memory::forget(writer.conn, &earlier)?;
    scopes::set_successor(writer.conn, &earlier, scope)?;
    writer.append(HistoryEvent::TakenOver(history::TakeoverEvent {
        scope: scope.clone(),
        image: None,
        images: name.images,
        from: earlier.account,
        by: OBSERVATION.into(),
        reason: SAME_ACCOUNT.into(),
    }))?;
    Ok(())
}

/// Moves the rows of a scope to a name that no account has, because the account name means another account now.
fn set_aside(writer: &HistoryWriter<'_>, scope: &Scope, uin: &Uin) -> Result<(), StoreError> {
    let images = images::scope_rows(writer.conn, scope)?.images.len();
    let aside = scopes::set_aside(writer.conn, scope, uin)?;
    memory::forget(writer.conn, scope)?;
    writer.append(HistoryEvent::TakenOver(history::TakeoverEvent {
        scope: aside,
        image: None,
        images,
        from: scope.account.clone(),
        by: OBSERVATION.into(),
        reason: OTHER_ACCOUNT.into(),
    }))?;
    Ok(())
}

/// The scope of the same region under another account name.
fn under(account: &AccountName, scope: &Scope) -> Scope {
    Scope {
        account: account.clone(),
        region: scope.region,
    }
}
