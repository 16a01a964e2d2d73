//! What the engine asks the store to record: intents, outcomes and updates of the inventory. Each function runs within
//! one transaction, which its caller commits.

use rusqlite::Connection;

use super::error::StoreError;
use super::history_writer::{HistoryWriter, OBSERVATION};
use super::{history_query, images, losses, memory, scopes, suspensions, takeover};
use crate::history::{
    HistoryEvent, ImageEvent, Intent, LossAccepted, NameMoved, Resolved, SourceLocation,
    WriteOutcome, WriteResult,
};
use crate::inventory::{IntentId, InventoryEntry, InventoryNote, InventoryUpdate, OpenIntent};
use crate::ledger::{Attempt, WriteRefused};
use crate::model::{Cause, ImageKey, Permission, Scope, Timestamp};

/// Whether an intent was recorded. A refusal is not an error: the transaction is still committed.
pub(super) enum IntentDecision {
    Recorded(IntentId),
    Refused(WriteRefused),
}

impl From<IntentDecision> for Result<IntentId, WriteRefused> {
    fn from(decision: IntentDecision) -> Self {
        match decision {
            IntentDecision::Recorded(intent) => Ok(intent),
            IntentDecision::Refused(refused) => Err(refused),
        }
    }
}

/// Records that a write is about to be sent, unless a person has forbidden it.
pub(super) fn record_intent(
    writer: &HistoryWriter<'_>,
    attempt: &Attempt,
    commit: Option<String>,
) -> Result<IntentDecision, StoreError> {
    if let Some(refused) = forbids(writer.conn, attempt, writer.now.clock())? {
        return Ok(IntentDecision::Refused(refused));
    }
    let key = &attempt.key;
    let seq = writer.append(HistoryEvent::Intent(Intent {
        key: key.clone(),
        permission: attempt.permission,
        cause: attempt.cause,
        source: attempt.source.as_ref().map(|source| SourceLocation {
            file: source.file.as_ref().to_owned(),
            line: source.line,
        }),
        commit,
        attempt: attempt.number,
        image_name: attempt.name.as_ref().map(ToString::to_string),
        document: attempt.document.as_deref().map(str::to_owned),
    }))?;
    scopes::add(writer.conn, &key.scope)?;
    if let (Cause::Pruned, Some(digest)) = (attempt.cause, &attempt.key_digest) {
        scopes::set_pruned_with(writer.conn, &key.scope, digest)?;
    }
    images::add_open_intent(
        writer.conn,
        key,
        seq,
        attempt.permission,
        attempt.saw_opposite,
        writer.now.stamp(),
    )?;
    Ok(IntentDecision::Recorded(IntentId(seq)))
}

/// Why a write is forbidden, if a person has suspended or released the image.
pub(super) fn forbids(
    conn: &Connection,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<Option<WriteRefused>, StoreError> {
    let key = &attempt.key;
    let suspension = suspensions::all(conn)?
        .into_iter()
        .find(|suspension| attempt.is_covered_by(suspension, now));
    if let Some(suspension) = suspension {
        return Ok(Some(WriteRefused::Suspended(Box::new(suspension))));
    }
    if !attempt.needs_ownership {
        return Ok(None);
    }
    let entry = images::entry(conn, key)?;
    let is_ours = entry.is_some_and(|entry| entry.owned.is_some());
    Ok((!is_ours).then_some(WriteRefused::NotOurs))
}

/// Records the outcome of a write, and stores `entry` as what is known of the image from now on.
pub(super) fn record_outcome(
    writer: &HistoryWriter<'_>,
    outcome: WriteOutcome,
    entry: Option<InventoryEntry>,
) -> Result<(), StoreError> {
    let mut outcome = outcome;
    // The account may have been renamed since.
    if let Some(account) = images::account_of(writer.conn, outcome.intent)? {
        outcome.key.scope.account = account;
    }
    let (key, intent) = (outcome.key.clone(), outcome.intent);
    let (mine, older): (Vec<_>, Vec<_>) = images::open_intents(writer.conn, &key)?
        .into_iter()
        .partition(|open| open.intent.intent == intent);
    if !mine.iter().any(|open| !open.answered) {
        return Err(StoreError::request(format!(
            "entry {} is no intent for {key} that waits for its outcome: each has one at most",
            intent.0
        )));
    }
    let (answer, permission) = (outcome.result, outcome.permission);
    writer.append(HistoryEvent::Outcome(outcome))?;
    if answer == WriteResult::Unknown {
        images::mark_answered(writer.conn, intent)?;
    } else {
        images::close_intent(writer.conn, intent)?;
    }
    // A SHARE that was applied proves that no earlier SHARE had taken effect. One that was answered `ImageAlreadyShared`
    // suggests that an earlier one had. What the API answers to a second CANCEL is not known, so an observation decides.
    if permission == Permission::Share
        && matches!(answer, WriteResult::Applied | WriteResult::AlreadyShared)
    {
        let shares = older
            .into_iter()
            .filter(|open| open.intent.permission == permission);
        for open in shares {
            resolve(
                writer,
                &key,
                open.intent,
                answer == WriteResult::AlreadyShared,
            )?;
        }
    }
    if let Some(mut entry) = entry {
        let stored = images::entry(writer.conn, &key)?.unwrap_or_default();
        if answer == WriteResult::Rejected {
            // A rejected write changes only what the API says of the image.
            entry = InventoryEntry {
                last_answer: entry.last_answer.max(stored.last_answer),
                denied_since: entry.denied_since,
                ..stored.clone()
            };
        }
        // No outcome parks or unparks an image, and no CANCEL makes an image ours. A person may have changed this since
        // the entry was read.
        entry.parked_since = stored.parked_since;
        if permission == Permission::Cancel && stored.owned.is_none() {
            entry.owned = None;
        }
        images::put(writer.conn, &key, Some(&entry))?;
    }
    Ok(())
}

/// Closes the open intents after entry `known`: they were in a commit that failed, so that no caller got them.
pub(super) fn withdraw_intents_after(
    writer: &HistoryWriter<'_>,
    known: u64,
) -> Result<(), StoreError> {
    for (key, open) in images::open_intents_after(writer.conn, known)? {
        let withdrawn = WriteOutcome {
            intent: open.intent,
            key,
            image_name: None,
            permission: open.permission,
            result: WriteResult::NotSent,
            error_code: None,
            message: Some("the commit of its intent failed".into()),
            request_id: None,
            blueprint_id: None,
        };
        record_outcome(writer, withdrawn, None)?;
    }
    Ok(())
}

fn resolve(
    writer: &HistoryWriter<'_>,
    key: &ImageKey,
    open: OpenIntent,
    applied: bool,
) -> Result<(), StoreError> {
    writer.append(HistoryEvent::Resolved(Resolved {
        intent: open.intent,
        key: key.clone(),
        permission: open.permission,
        applied,
    }))?;
    images::close_intent(writer.conn, open.intent)
}

/// Stores the changes of an observation. `read_at` is the number of the newest history entry when the inventory was read
/// that the update is based on. Anything that a person has changed since is left to the next observation.
pub(super) fn apply_update(
    writer: &HistoryWriter<'_>,
    scope: &Scope,
    update: InventoryUpdate,
    read_at: u64,
) -> Result<(), StoreError> {
    takeover::apply(writer, scope, &update, read_at)?;
    for acceptance in &update.acceptances {
        let images = acceptance
            .images
            .as_ref()
            .filter(|images| !images.is_empty());
        if losses::bind(writer.conn, scope, acceptance)?
            && let Some(images) = images
        {
            writer.append(HistoryEvent::LossAccepted(LossAccepted {
                scope: scope.clone(),
                lost: acceptance.lost,
                images: Some(images.clone()),
                by: acceptance.by.clone(),
            }))?;
        }
    }
    for moved in memory::apply(writer.conn, scope, &update.memory)? {
        writer.append(HistoryEvent::NameMoved(NameMoved {
            key: ImageKey {
                scope: scope.clone(),
                image: moved.to,
            },
            image_name: moved.name,
            was: moved.from,
        }))?;
    }
    for change in update.changes {
        let key = ImageKey {
            scope: scope.clone(),
            image: change.image,
        };
        if history_query::is_changed_by_operator(writer.conn, &key, read_at)? {
            continue;
        }
        for open in images::open_intents(writer.conn, &key)? {
            let shown = change
                .resolved
                .iter()
                .find(|(intent, _)| *intent == open.intent.intent);
            if let Some((_, applied)) = shown {
                resolve(writer, &key, open.intent, *applied)?;
            }
        }
        if let Some(note) = change.note {
            let event = |reason| ImageEvent {
                key: key.clone(),
                by: OBSERVATION.into(),
                reason,
            };
            writer.append(match note {
                InventoryNote::Released(reason) => HistoryEvent::Released(event(reason)),
                InventoryNote::Parked(reason) => HistoryEvent::Parked(event(reason)),
            })?;
        }
        images::put(writer.conn, &key, change.entry.as_ref())?;
    }
    Ok(())
}
