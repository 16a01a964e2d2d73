//! The record of what was tried and what came of it, as values. How it is kept is the store's matter.
//!
//! Each attempt has exactly one intent, recorded before its first byte leaves, and at most one outcome. An outcome
//! that is unknown is never rewritten; what an observation shows later is an entry of its own.

use serde::{Deserialize, Serialize};

use crate::desired::Source;
use crate::inventory::{IntentId, Suspension};
use crate::model::{AccountName, Cause, ImageId, ImageKey, Permission, Scope, Timestamp};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Counts from 1 without a gap. Order is by this number: a wall clock can jump back.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: HistoryEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum HistoryEvent {
    /// A write is about to be sent.
    Intent(Intent),
    /// What came of it.
    Outcome(Outcome),
    /// An observation showed what came of a write whose outcome was not known.
    Resolved(Resolved),
    /// An image was taken into the inventory by a person.
    Adopted(ImageEvent),
    /// An image left the inventory, not by our CANCEL.
    Released(ImageEvent),
    /// An image is left alone, because somebody else keeps reversing us.
    Parked(ImageEvent),
    /// What is known of an image went over from an earlier name of its account.
    TakenOver(TakeoverEvent),
    /// A person lets it be reconciled again.
    Unparked(ImageEvent),
    /// A person asked for images to be left alone.
    Suspended(Suspension),
    /// That ended.
    Resumed(Resumed),
}

/// A write that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Which image.
    #[serde(flatten)]
    pub key: ImageKey,
    /// SHARE or CANCEL.
    pub permission: Permission,
    /// Why.
    pub cause: Cause,
    /// The manifest line that asks for it; none for an image that no manifest names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLocation>,
    /// The git commit of the manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Counts the sends for this image within a run, from 1.
    pub attempt: u32,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The entry of its intent.
    pub intent: IntentId,
    /// Which image.
    #[serde(flatten)]
    pub key: ImageKey,
    /// SHARE or CANCEL.
    pub permission: Permission,
    /// In one word.
    pub result: WriteResult,
    /// The API's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// One line for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For the vendor's support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What a SHARE became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint_id: Option<String>,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteResult {
    /// The API acknowledged it.
    Applied,
    /// SHARE was answered with `ImageAlreadyShared`.
    AlreadyShared,
    /// The API said no.
    Rejected,
    /// No answer, or none that tells.
    Unknown,
    /// No byte of it left: the turn was given up, or no connection was made.
    NotSent,
}

impl WriteResult {
    /// The word used in the history.
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

/// What an observation showed of an open intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The entry of the intent.
    pub intent: IntentId,
    /// Which image.
    #[serde(flatten)]
    pub key: ImageKey,
    /// SHARE or CANCEL.
    pub permission: Permission,
    /// Whether it took effect.
    pub applied: bool,
}

/// Something about one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEvent {
    /// Which image.
    #[serde(flatten)]
    pub key: ImageKey,
    /// Who or what caused it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What went over from one account name to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeoverEvent {
    /// The account name that has it from now on, and the region.
    #[serde(flatten)]
    pub scope: Scope,
    /// The one image that it is about; none where all went over.
    #[serde(default, rename = "image_id", skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
    /// How many images it is about.
    pub images: usize,
    /// The name that had it.
    pub from: AccountName,
    /// Who or what caused it.
    pub by: String,
    /// What proves that both are one account.
    pub reason: String,
}

/// A suspension's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Which suspension.
    pub id: u64,
    /// Who ended it.
    pub by: String,
}

/// A place in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLocation {
    /// Path as found.
    pub file: String,
    /// From 1.
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
    /// The words for what can happen, as in the history's JSON.
    pub const NAMES: [&str; 10] = [
        "intent",
        "outcome",
        "resolved",
        "adopted",
        "released",
        "parked",
        "taken_over",
        "unparked",
        "suspended",
        "resumed",
    ];

    /// Its word among [`HistoryEvent::NAMES`].
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Intent(_) => "intent",
            Self::Outcome(_) => "outcome",
            Self::Resolved(_) => "resolved",
            Self::Adopted(_) => "adopted",
            Self::Released(_) => "released",
            Self::Parked(_) => "parked",
            Self::TakenOver(_) => "taken_over",
            Self::Unparked(_) => "unparked",
            Self::Suspended(_) => "suspended",
            Self::Resumed(_) => "resumed",
        }
    }

    /// The account name and region that it is about, if it is about one.
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Self::TakenOver(taken) => Some(&taken.scope),
            other => other.key().map(|key| &key.scope),
        }
    }

    /// The id of the one image that it is about, if it is about one.
    pub fn image(&self) -> Option<&ImageId> {
        match self {
            Self::TakenOver(taken) => taken.image.as_ref(),
            other => other.key().map(|key| &key.image),
        }
    }

    /// The image that a write or a person's word is about, if it is about one.
    pub fn key(&self) -> Option<&ImageKey> {
        match self {
            Self::Intent(Intent { key, .. })
            | Self::Outcome(Outcome { key, .. })
            | Self::Resolved(Resolved { key, .. })
            | Self::Adopted(ImageEvent { key, .. })
            | Self::Released(ImageEvent { key, .. })
            | Self::Parked(ImageEvent { key, .. })
            | Self::Unparked(ImageEvent { key, .. }) => Some(key),
            Self::TakenOver(_) | Self::Suspended(_) | Self::Resumed(_) => None,
        }
    }
}
