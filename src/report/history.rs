//! The output of `history`, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::style::{dim, heading};
use super::{ExitStatus, FORMAT_VERSION};
use crate::history::{HistoryEntry, HistoryEvent, Intent, WriteOutcome, WriteResult};
use crate::model::Cause;
use crate::store::VerifyResult;
use crate::words::{first_of, plural, rfc3339, safe};

/// The document that `history -o json` prints.
#[derive(Debug, Serialize)]
pub struct HistoryDocument {
    format_version: u32,
    exit_code: ExitStatus,
    entries: Vec<HistoryEntry>,
    /// Whether older matching entries exist beyond `--limit`.
    truncated: bool,
    #[serde(skip)]
    narrowed: bool,
}

impl HistoryDocument {
    /// Shows `entries` in their order. `truncated`: older entries were left out; `narrowed`: a filter was given.
    pub fn new(entries: Vec<HistoryEntry>, truncated: bool, narrowed: bool) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            entries,
            truncated,
            narrowed,
        }
    }

    /// One line for each entry.
    pub fn text(&self) -> String {
        if self.entries.is_empty() {
            let what = if self.narrowed {
                "No matching entry is recorded."
            } else {
                "Nothing is recorded."
            };
            return format!("{what}\n");
        }
        let mut text = String::new();
        if self.truncated {
            text.push_str("Older entries are left out; `--limit 0` shows all.\n");
        }
        let key = |entry: &HistoryEntry| match (entry.event.scope(), entry.event.image()) {
            (Some(scope), Some(image)) => {
                let name = entry.event.image_name();
                let name = name.map(|name| format!(" ({})", safe(name)));
                Some(format!("{scope}/{image}{}", name.unwrap_or_default()))
            }
            (scope, _) => scope.map(ToString::to_string),
        };
        let keys = self.entries.iter().filter_map(key);
        let width = keys.map(|key| key.chars().count()).max().unwrap_or(0);
        for entry in &self.entries {
            let at = rfc3339(entry.at);
            let what = safe(&line(&entry.event));
            let key = key(entry)
                .map(|key| heading(format_args!("{key:<width$}  ")))
                .unwrap_or_default();
            let _ = writeln!(text, "{:>6}  {}  {key}{what}", entry.seq, dim(at));
        }
        text
    }
}

/// `1 entry`, `2 entries`.
pub(crate) fn entries(count: u64) -> String {
    match count {
        1 => "1 entry".into(),
        count => format!("{count} entries"),
    }
}

/// An entry as text for a person.
pub(super) fn line(event: &HistoryEvent) -> String {
    match event {
        HistoryEvent::Intent(intent) => intent_line(intent),
        HistoryEvent::Outcome(outcome) => outcome_line(outcome),
        HistoryEvent::Resolved(resolved) => {
            let what = if resolved.applied { "had" } else { "had not" };
            format!(
                "{} {what} taken effect, as an observation shows (for entry {})",
                resolved.permission.as_str(),
                resolved.intent.0
            )
        }
        HistoryEvent::Adopted(change) => {
            format!("adopted by {}: {}", change.by, change.reason)
        }
        HistoryEvent::Released(change) => {
            format!("no longer ours, by {}: {}", change.by, change.reason)
        }
        HistoryEvent::Parked(change) => format!("parked: {}", change.reason),
        HistoryEvent::TakenOver(taken) => format!(
            "{} taken over from account {}, by {}: {}",
            plural(taken.images as u64, "image"),
            taken.from,
            taken.by,
            taken.reason
        ),
        HistoryEvent::NameMoved(moved) => {
            format!(
                "{}: {} was {}",
                moved.image_name, moved.key.image, moved.was
            )
        }
        HistoryEvent::Unparked(change) => {
            format!("no longer parked, by {}: {}", change.by, change.reason)
        }
        HistoryEvent::Suspended(suspension) => format!(
            "suspension {} of {} by {}: {}",
            suspension.id, suspension.selector, suspension.by, suspension.reason
        ),
        HistoryEvent::Resumed(resumed) => {
            format!("suspension {} ended by {}", resumed.id, resumed.by)
        }
        HistoryEvent::LossAccepted(accepted) => {
            let lost = plural(u64::from(accepted.lost), "image");
            let images = accepted.images.iter().flatten();
            let images: Vec<_> = images.map(ToString::to_string).collect();
            match images.is_empty() {
                true => format!("a loss of {lost} accepted by {}", accepted.by),
                false => format!(
                    "a loss accepted by {} is that of {}",
                    accepted.by,
                    first_of(&images)
                ),
            }
        }
    }
}

fn intent_line(intent: &Intent) -> String {
    let mut line = format!("{} {}", intent.permission.as_str(), intent.cause.as_str());
    let is_by_policy = matches!(
        intent.cause,
        Cause::Policy | Cause::Retention | Cause::Revoked
    );
    if let (true, Some(policy)) = (is_by_policy, &intent.document) {
        let _ = write!(line, " of policy {policy}");
    }
    if let Some(place) = &intent.source {
        let _ = write!(line, " by {}:{}", place.file, place.line);
    }
    if let Some(commit) = &intent.commit {
        let _ = write!(line, " at {commit}");
    }
    if intent.attempt > 1 {
        let _ = write!(line, ", attempt {}", intent.attempt);
    }
    line
}

fn outcome_line(outcome: &WriteOutcome) -> String {
    let result = match outcome.result {
        WriteResult::Applied => "done",
        WriteResult::AlreadyShared => "was shared already",
        WriteResult::Rejected => "rejected",
        WriteResult::Unknown => "outcome unknown",
        WriteResult::NotSent => "not sent",
    };
    let details = [
        outcome.blueprint_id.as_ref().map(|id| format!(" as {id}")),
        outcome.error_code.as_ref().map(|code| format!(": {code}")),
        outcome
            .message
            .as_ref()
            .map(|message| format!(": {message}")),
        outcome
            .request_id
            .as_ref()
            .map(|id| format!(" [RequestId {id}]")),
    ];
    let details: String = details.into_iter().flatten().collect();
    format!(
        "{} {result}{details} (for entry {})",
        outcome.permission.as_str(),
        outcome.intent.0
    )
}

/// The document that `history verify -o json` prints.
#[derive(Debug, Serialize)]
pub struct VerifyDocument {
    format_version: u32,
    exit_code: ExitStatus,
    sound: bool,
    /// `None` if the chain is broken, because then the right number is unknown.
    entries: Option<u64>,
    head: Option<u64>,
    hash: Option<String>,
    broken_at: Option<u64>,
    reason: Option<String>,
}

impl VerifyDocument {
    /// `verdict` is `None` if there is no history yet.
    pub fn new(verdict: Option<VerifyResult>) -> Self {
        let mut document = Self {
            format_version: FORMAT_VERSION,
            exit_code: ExitStatus::Done,
            sound: true,
            entries: Some(0),
            head: None,
            hash: None,
            broken_at: None,
            reason: None,
        };
        match verdict {
            Some(VerifyResult::Intact {
                entries,
                head,
                hash,
            }) => {
                document.entries = Some(entries);
                document.head = Some(head);
                document.hash = Some(hash);
            }
            Some(VerifyResult::Broken { seq, why }) => {
                document.exit_code = ExitStatus::Error;
                document.sound = false;
                document.entries = None;
                document.broken_at = Some(seq);
                document.reason = Some(why);
            }
            None => {}
        }
        document
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    pub fn text(&self) -> String {
        match (&self.broken_at, &self.reason, &self.head, &self.hash) {
            (Some(seq), Some(why), ..) => format!(
                "Broken at entry {seq}: {why}.\nDo not trust the history from this entry on; restore the state directory from a backup.\n"
            ),
            (_, _, Some(head), Some(hash)) => format!(
                "Sound: {}, the newest is {head} with hash {hash}.\n",
                entries(self.entries.unwrap_or_default())
            ),
            _ => "Nothing is recorded.\n".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::NameMoved;
    use crate::inventory::IntentId;
    use crate::model::{
        AccountName, ImageId, ImageKey, ImageName, Permission, Region, Scope, Timestamp,
    };

    fn document() -> HistoryDocument {
        let image = |id| ImageId::new(id).expect("an id");
        let key = |id| ImageKey {
            scope: Scope {
                account: AccountName::default(),
                region: Region::new("ap-tokyo").expect("a region"),
            },
            image: image(id),
        };
        let intent = |id, cause, name: Option<&str>| {
            HistoryEvent::Intent(Intent {
                key: key(id),
                image_name: name.map(str::to_owned),
                permission: Permission::Cancel,
                cause,
                source: None,
                document: Some("golden".into()),
                commit: None,
                attempt: 1,
            })
        };
        let events = [
            intent("img-a", Cause::Retention, Some("ubuntu\u{202e}-1")),
            intent("img-bcd", Cause::Declared, None),
            HistoryEvent::Outcome(WriteOutcome {
                intent: IntentId(1),
                key: key("img-a"),
                image_name: Some("ubuntu".into()),
                permission: Permission::Cancel,
                result: WriteResult::Applied,
                error_code: None,
                message: None,
                request_id: None,
                blueprint_id: None,
            }),
            HistoryEvent::NameMoved(NameMoved {
                key: key("img-a"),
                image_name: ImageName::new("ubuntu").expect("a name"),
                was: image("img-b"),
            }),
        ];
        let entries = (1..).zip(events).map(|(seq, event)| HistoryEntry {
            seq,
            at: Timestamp::UNIX_EPOCH,
            event,
        });
        HistoryDocument::new(entries.collect(), false, false)
    }

    #[test]
    fn the_name_follows_the_id_and_the_policy_follows_its_cause() {
        let text = anstream::adapter::strip_str(&document().text()).to_string();
        let lines: Vec<_> = text.lines().collect();
        let expected = [
            "default/ap-tokyo/img-a (ubuntu\u{fffd}-1)  CANCEL retention of policy golden",
            "default/ap-tokyo/img-bcd            CANCEL declared",
            "default/ap-tokyo/img-a (ubuntu)     CANCEL done (for entry 1)",
            "default/ap-tokyo/img-a (ubuntu)     ubuntu: img-a was img-b",
        ];
        assert_eq!(lines.len(), expected.len(), "{text}");
        for (line, end) in lines.iter().zip(expected) {
            assert!(line.ends_with(end), "{text}");
        }
    }

    #[test]
    fn json_has_the_image_name_only_where_it_is_known() {
        let json = serde_json::to_value(document()).expect("JSON");
        let names = json["entries"].as_array().expect("entries").iter();
        let names: Vec<_> = names.map(|entry| entry.get("image_name")).collect();
        assert_eq!(
            names.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        assert_eq!(json["entries"][3]["event"], "name_moved");
        assert_eq!(json["entries"][3]["was"], "img-b");
        assert_eq!(json["entries"][0]["document"], "golden");
    }
}
