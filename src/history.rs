//! The entries of the history: what was tried, what the result was, and what people asked for. They are plain values;
//! the `store` keeps them, and this module must not know how.
//!
//! Each attempt has exactly one intent, which is recorded before its first byte leaves, and at most one outcome. An
//! unknown outcome is never rewritten: a later observation that shows the result gets an entry of its own.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::desired::Source;
use crate::inventory::{IntentId, Suspension};
use crate::model::{
    AccountName, Cause, ImageId, ImageKey, ImageName, Permission, Scope, Timestamp,
};

/// One line of the history, as `history -o json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The entry's number, from 1 without a gap. Entries are ordered by it, because a wall clock can jump back.
    pub seq: u64,
    /// When the entry was recorded, by this machine's clock.
    pub at: Timestamp,
    #[serde(flatten)]
    pub event: HistoryEvent,
}

/// The subject of an entry. The names of the variants are the words in the JSON and in the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum HistoryEvent {
    /// A write is about to be sent.
    Intent(Intent),
    /// The answer to a write, or the lack of one.
    Outcome(WriteOutcome),
    /// An observation showed what a write with an unknown outcome has done.
    Resolved(Resolved),
    /// A person took an image into the inventory.
    Adopted(ImageEvent),
    /// An image left the inventory for a reason other than our CANCEL.
    Released(ImageEvent),
    /// An image is left alone from now on, because somebody else keeps reversing our writes.
    Parked(ImageEvent),
    /// Inventory entries moved from the account's earlier name to its present one.
    TakenOver(TakeoverEvent),
    /// A name of an `ImageShare` means another image from now on.
    NameMoved(NameMoved),
    /// A person let a parked image be reconciled again.
    Unparked(ImageEvent),
    /// A person asked for images to be left alone.
    Suspended(Suspension),
    /// A person ended a suspension.
    Resumed(Resumed),
    /// A person accepted that shares of ours have vanished, or an observation settled which images that acceptance
    /// covers.
    LossAccepted(LossAccepted),
}

/// A write that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    #[serde(flatten)]
    pub key: ImageKey,
    /// The image's name in the last observation, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_name: Option<String>,
    pub permission: Permission,
    pub cause: Cause,
    /// The manifest line that asks for the write; `None` for an image that no manifest names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLocation>,
    /// `metadata.name` of the document that decided: an `ImageShare` or a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The git commit of the manifests, in the form that is shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The number of this write among the run's writes of the image, from 1.
    pub attempt: u32,
}

/// The result of a write, as far as the reply shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteOutcome {
    /// The number of the entry that recorded the intent.
    pub intent: IntentId,
    #[serde(flatten)]
    pub key: ImageKey,
    /// The image's name in the last observation, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_name: Option<String>,
    pub permission: Permission,
    pub result: WriteResult,
    /// The error code, as the API spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The reason, as one line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The `RequestId`, which the vendor's support asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The blueprint that a SHARE became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint_id: Option<String>,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteResult {
    /// The API acknowledged the write.
    Applied,
    /// The API answered a SHARE with `ImageAlreadyShared`.
    AlreadyShared,
    /// The API refused the write.
    Rejected,
    /// No reply came, or the reply leaves the outcome open.
    Unknown,
    /// No byte was sent: the write was withdrawn, or no connection was made.
    NotSent,
}

impl WriteResult {
    /// The word in the history's JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::AlreadyShared => "already_shared",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::NotSent => "not_sent",
        }
    }
}

/// What an observation showed about an intent whose outcome was unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The number of the entry that recorded the intent.
    pub intent: IntentId,
    #[serde(flatten)]
    pub key: ImageKey,
    pub permission: Permission,
    /// Whether the write took effect.
    pub applied: bool,
}

/// A change to one image's inventory entry, and who or what made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEvent {
    #[serde(flatten)]
    pub key: ImageKey,
    /// A person as `user@host`, or `observation`.
    pub by: String,
    pub reason: String,
}

/// Inventory entries that moved from one account name to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeoverEvent {
    /// The account name that holds the entries from now on, and their region.
    #[serde(flatten)]
    pub scope: Scope,
    /// The one image that moved; `None` if all images of the name moved.
    #[serde(default, rename = "image_id", skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
    /// The number of images that moved.
    pub images: usize,
    /// The account name that held the entries before.
    pub from: AccountName,
    /// A person as `user@host`, or `observation`.
    pub by: String,
    /// Why both names stand for one account, or why they no longer do.
    pub reason: String,
}

/// A new meaning of a name. Its key holds the image that the name means from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameMoved {
    #[serde(flatten)]
    pub key: ImageKey,
    pub image_name: ImageName,
    /// The image that the name meant before.
    pub was: ImageId,
}

/// The end of a suspension by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The suspension that ended, by [`Suspension::id`].
    pub id: u64,
    /// The person who ended it, as `user@host`.
    pub by: String,
}

/// A loss that a person has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossAccepted {
    #[serde(flatten)]
    pub scope: Scope,
    /// The number of images that the person gave.
    pub lost: u32,
    /// The images that were missing in the observation that the acceptance was applied to; `None` until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<BTreeSet<ImageId>>,
    /// A person as `user@host`, or `--accept-lost`.
    pub by: String,
}

/// A line in a manifest file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLocation {
    /// The path, as the user gave it or as it was found below a given directory.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
}

impl From<&Source> for SourceLocation {
    fn from(source: &Source) -> Self {
        Self {
            file: source.file.to_string(),
            line: source.line,
        }
    }
}

impl HistoryEvent {
    /// The words for the kinds of events, as in the history's JSON.
    pub const NAMES: [&str; 12] = [
        "intent",
        "outcome",
        "resolved",
        "adopted",
        "released",
        "parked",
        "taken_over",
        "name_moved",
        "unparked",
        "suspended",
        "resumed",
        "loss_accepted",
    ];

    /// The event's word among [`HistoryEvent::NAMES`].
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Intent(_) => "intent",
            Self::Outcome(_) => "outcome",
            Self::Resolved(_) => "resolved",
            Self::Adopted(_) => "adopted",
            Self::Released(_) => "released",
            Self::Parked(_) => "parked",
            Self::TakenOver(_) => "taken_over",
            Self::NameMoved(_) => "name_moved",
            Self::Unparked(_) => "unparked",
            Self::Suspended(_) => "suspended",
            Self::Resumed(_) => "resumed",
            Self::LossAccepted(_) => "loss_accepted",
        }
    }

    /// The scope that the event is about, if there is exactly one.
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Self::TakenOver(taken) => Some(&taken.scope),
            Self::LossAccepted(accepted) => Some(&accepted.scope),
            other => other.key().map(|key| &key.scope),
        }
    }

    /// The image that the event is about, if there is exactly one.
    pub fn image(&self) -> Option<&ImageId> {
        match self {
            Self::TakenOver(taken) => taken.image.as_ref(),
            other => other.key().map(|key| &key.image),
        }
    }

    /// The image's name, if the entry holds it.
    pub fn image_name(&self) -> Option<&str> {
        match self {
            Self::Intent(intent) => intent.image_name.as_deref(),
            Self::Outcome(outcome) => outcome.image_name.as_deref(),
            Self::NameMoved(moved) => Some(moved.image_name.as_str()),
            Self::Resolved(_)
            | Self::Adopted(_)
            | Self::Released(_)
            | Self::Parked(_)
            | Self::TakenOver(_)
            | Self::Unparked(_)
            | Self::Suspended(_)
            | Self::Resumed(_)
            | Self::LossAccepted(_) => None,
        }
    }

    /// The scope and image that a write or a change to an entry is about.
    pub fn key(&self) -> Option<&ImageKey> {
        match self {
            Self::Intent(Intent { key, .. })
            | Self::Outcome(WriteOutcome { key, .. })
            | Self::Resolved(Resolved { key, .. })
            | Self::Adopted(ImageEvent { key, .. })
            | Self::Released(ImageEvent { key, .. })
            | Self::Parked(ImageEvent { key, .. })
            | Self::Unparked(ImageEvent { key, .. })
            | Self::NameMoved(NameMoved { key, .. }) => Some(key),
            Self::TakenOver(_) | Self::Suspended(_) | Self::Resumed(_) | Self::LossAccepted(_) => {
                None
            }
        }
    }
}
