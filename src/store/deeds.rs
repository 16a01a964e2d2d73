//! What the engine asks the store to keep, each within one transaction.

use super::chain::Pen;
use super::error::Fault;
use super::{images, suspensions};
use crate::history::{Answer, Event, Intent, Outcome, Place, Remark, Resolved};
use crate::host::Attempt;
use crate::inventory::{IntentId, Lesson, Note, Record, Suspension};
use crate::model::{ImageKey, Scope};

/// Who concluded it, for entries that no person caused.
pub(super) const OBSERVATION: &str = "observation";

/// Records that a write is about to be sent, unless a suspension forbids it.
pub(super) fn intent(
    pen: &Pen<'_>,
    attempt: &Attempt,
    commit: Option<String>,
) -> Result<Result<IntentId, Box<Suspension>>, Fault> {
    let key = &attempt.key;
    let forbidden = suspensions::all(pen.conn)?
        .into_iter()
        .find(|suspension| suspension.covers(key, &attempt.labels, pen.now));
    if let Some(suspension) = forbidden {
        return Ok(Err(Box::new(suspension)));
    }
    if let Some(open) = images::open(pen.conn, key)? {
        pen.append(Event::Resolved(Resolved {
            intent: open.intent.intent,
            key: key.clone(),
            permission: open.intent.permission,
            applied: false,
        }))?;
        images::close(pen.conn, open.intent.intent)?;
    }
    let seq = pen.append(Event::Intent(Intent {
        key: key.clone(),
        permission: attempt.permission,
        cause: attempt.cause,
        source: attempt.source.as_ref().map(|source| Place {
            file: source.file.as_ref().to_owned(),
            line: source.line,
        }),
        commit,
        attempt: attempt.number,
    }))?;
    images::begin(
        pen.conn,
        key,
        seq,
        attempt.permission,
        attempt.saw_opposite,
        pen.now,
    )?;
    Ok(Ok(IntentId(seq)))
}

/// Keeps what came of a write.
pub(super) fn outcome(
    pen: &Pen<'_>,
    outcome: Outcome,
    record: Option<Record>,
) -> Result<(), Fault> {
    let (key, intent) = (outcome.key.clone(), outcome.intent);
    match images::open(pen.conn, &key)? {
        Some(open) if open.intent.intent == intent && !open.answered => {}
        _ => {
            return Err(Fault::request(format!(
                "entry {} is no intent for {key} that waits for its outcome: each has one at most",
                intent.0
            )));
        }
    }
    let known = outcome.result != Answer::Unknown;
    pen.append(Event::Outcome(outcome))?;
    if known {
        images::close(pen.conn, intent)?;
    } else {
        images::answered(pen.conn, intent)?;
    }
    if let Some(mut record) = record {
        // No outcome parks an image or ends that; a person may have done so since the record was read.
        record.parked_since =
            images::record(pen.conn, &key)?.and_then(|stored| stored.parked_since);
        images::set(pen.conn, &key, Some(&record))?;
    }
    Ok(())
}

/// Keeps what an observation taught. `read` is the newest entry at the time when the holdings were read that the
/// lessons start from: what a person has changed since is left, and the next observation teaches anew.
pub(super) fn settle(
    pen: &Pen<'_>,
    scope: &Scope,
    lessons: Vec<Lesson>,
    read: u64,
) -> Result<(), Fault> {
    for lesson in lessons {
        let key = ImageKey {
            scope: scope.clone(),
            image: lesson.image,
        };
        if changed_by_a_person(pen, &key, read)? {
            continue;
        }
        if let Some((intent, applied)) = lesson.resolved
            && let Some(open) = images::open(pen.conn, &key)?
            && open.intent.intent == intent
        {
            pen.append(Event::Resolved(Resolved {
                intent,
                key: key.clone(),
                permission: open.intent.permission,
                applied,
            }))?;
            images::close(pen.conn, intent)?;
        }
        if let Some(note) = lesson.note {
            let remark = |reason| Remark {
                key: key.clone(),
                by: OBSERVATION.into(),
                reason,
            };
            pen.append(match note {
                Note::Released(reason) => Event::Released(remark(reason)),
                Note::Parked(reason) => Event::Parked(remark(reason)),
            })?;
        }
        images::set(pen.conn, &key, lesson.record.as_ref())?;
    }
    Ok(())
}

fn changed_by_a_person(pen: &Pen<'_>, key: &ImageKey, read: u64) -> Result<bool, Fault> {
    Ok(pen.conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM history WHERE image = ?1 AND seq > ?2 AND account = ?3 AND region = ?4 \
         AND event IN ('adopted', 'released', 'unparked') AND body ->> 'by' <> ?5)",
        (
            key.image.as_str(),
            super::rows::integer(read)?,
            key.scope.account.as_str(),
            key.scope.region.as_str(),
            OBSERVATION,
        ),
        |row| row.get(0),
    )?)
}
