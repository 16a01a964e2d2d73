use std::fmt::Write;

use serde::Serialize;

use super::{ExitStatus, FORMAT_VERSION};
use crate::model::ImageKey;
use crate::words::plural;

/// What `adopt -o json` prints.
#[derive(Debug, Serialize)]
pub struct AdoptDocument {
    format_version: u32,
    exit_code: u8,
    dry_run: bool,
    /// Taken into the inventory.
    adopted: Vec<Adopted>,
    /// Let go from it.
    released: Vec<ImageKey>,
    /// Asked for, and not shared: there is nothing to adopt.
    not_shared: Vec<ImageKey>,
    /// Scopes that could not be read.
    unseen: Vec<String>,
}

/// An image that was taken into the inventory.
#[derive(Debug, Serialize)]
pub struct Adopted {
    /// Which.
    #[serde(flatten)]
    pub key: ImageKey,
    /// The blueprint it shows as.
    pub blueprint_id: String,
}

impl AdoptDocument {
    /// Of images taken in.
    pub fn adopted(
        adopted: Vec<Adopted>,
        not_shared: Vec<ImageKey>,
        unseen: Vec<String>,
        dry_run: bool,
    ) -> Self {
        let complete = not_shared.is_empty() && unseen.is_empty();
        let exit = if complete {
            ExitStatus::Done
        } else {
            ExitStatus::Incomplete
        };
        Self {
            format_version: FORMAT_VERSION,
            exit_code: exit.code(),
            dry_run,
            adopted,
            released: Vec::new(),
            not_shared,
            unseen,
        }
    }

    /// Of images let go.
    pub fn released(released: Vec<ImageKey>, dry_run: bool) -> Self {
        Self {
            released,
            ..Self::adopted(Vec::new(), Vec::new(), Vec::new(), dry_run)
        }
    }

    /// The process's exit status, which is also the document's.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for Adopted { key, blueprint_id } in &self.adopted {
            let _ = writeln!(text, "+ {key} as {blueprint_id}");
        }
        for key in &self.released {
            let _ = writeln!(text, "- {key}");
        }
        for key in &self.not_shared {
            let _ = writeln!(text, "! {key} is not shared, so there is nothing to adopt");
        }
        for scope in &self.unseen {
            let _ = writeln!(text, "! {scope} could not be read");
        }
        let count = (self.adopted.len() + self.released.len()) as u64;
        let (images, head) = (
            plural(count, "image"),
            if self.dry_run { "would be " } else { "" },
        );
        let _ = match (count, self.released.is_empty()) {
            (0, _) => writeln!(text, "Nothing to do."),
            (_, true) => writeln!(
                text,
                "{images} {head}adopted: `--prune owned` cancels what no manifest names any longer."
            ),
            (_, false) => writeln!(
                text,
                "{images} {head}released: still shared, and no longer pruned."
            ),
        };
        text
    }
}
