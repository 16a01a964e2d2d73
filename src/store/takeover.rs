//! Rows that go over from one account name to another, and the history of it.

use std::collections::BTreeMap;

use super::error::StoreError;
use super::history_writer::{HistoryWriter, OBSERVATION};
use super::{history_query, images, scopes};
use crate::history::{self, HistoryEvent};
use crate::inventory::{InventoryUpdate, SAME_ACCOUNT, TakenOverName, TakenOverRow, Takeover};
use crate::model::{AccountName, ImageKey, Scope, Uin};

/// A reason, as the history has it.
const OTHER_ACCOUNT: &str = "the account's name stands for another account now";

/// Keeps what a look taught of accounts. What a person has changed since the rows were read is left to the next look.
pub(super) fn keep(
    writer: &HistoryWriter<'_>,
    scope: &Scope,
    update: &InventoryUpdate,
    read: u64,
) -> Result<(), StoreError> {
    if update.set_aside.is_none() && update.takeover == Takeover::default() {
        // Nearly always.
        return match &update.account {
            Some(account) => scopes::set_account(writer.conn, scope, account),
            None => Ok(()),
        };
    }
    // Which names still stand for what they stood for when the rows were read.
    let known: BTreeMap<_, _> = scopes::all(writer.conn)?.into_iter().collect();
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
        take_row(writer, scope, taken, read)?;
    }
    for name in takeover.names.iter().filter(|name| is_still(&name.from)) {
        take_name(writer, scope, name, read)?;
    }
    Ok(())
}

/// Another look of another scope may have taken the rows meanwhile: only those that are there are moved.
fn take_row(
    writer: &HistoryWriter<'_>,
    scope: &Scope,
    taken: &TakenOverRow,
    read: u64,
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
        || history_query::is_changed_by_operator(writer.conn, &from, read)?
        || history_query::is_changed_by_operator(writer.conn, &to, read)?
    {
        return Ok(());
    }
    scopes::add(writer.conn, scope)?;
    images::move_to_account(writer.conn, &from, &to, taken.entry.as_ref())?;
    if taken.proves_the_name() {
        scopes::set_successor(writer.conn, &earlier, scope)?;
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

/// All that is left under a name, at once: it may be a hundred thousand rows.
fn take_name(
    writer: &HistoryWriter<'_>,
    scope: &Scope,
    name: &TakenOverName,
    read: u64,
) -> Result<(), StoreError> {
    let earlier = under(&name.from, scope);
    if history_query::is_scope_changed_by_operator(writer.conn, &earlier, read)? {
        return Ok(());
    }
    scopes::add(writer.conn, scope)?;
    scopes::move_all(writer.conn, &earlier, &scope.account)?;
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

fn set_aside(writer: &HistoryWriter<'_>, scope: &Scope, uin: &Uin) -> Result<(), StoreError> {
    let images = images::scope_rows(writer.conn, scope)?.images.len();
    let aside = scopes::set_aside(writer.conn, scope, uin)?;
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

fn under(account: &AccountName, scope: &Scope) -> Scope {
    Scope {
        account: account.clone(),
        region: scope.region,
    }
}
