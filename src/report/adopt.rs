//! The output of `adopt`, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::names::named;
use super::{ExitStatus, FORMAT_VERSION};
use crate::model::ImageKey;
use crate::words::plural;

/// The document that `adopt -o json` prints.
#[derive(Debug, Serialize)]
pub struct AdoptDocument {
    format_version: u32,
    exit_code: ExitStatus,
    dry_run: bool,
    /// Images that were added to the inventory.
    adopted: Vec<Adopted>,
    /// Images that were removed from the inventory.
    released: Vec<ImageKey>,
    /// Selected images that are not shared, so there is nothing to adopt.
    not_shared: Vec<ImageKey>,
    /// Scopes that could not be read.
    unseen: Vec<String>,
    #[serde(skip)]
    releases: bool,
}

/// An image that was added to the inventory.
#[derive(Debug, Serialize)]
pub struct Adopted {
    #[serde(flatten)]
    pub key: ImageKey,
    pub image_name: Option<String>,
    /// Blueprint that it is shared as.
    pub blueprint_id: String,
}

impl AdoptDocument {
    /// The document after images were added to the inventory.
    pub fn adopted(
        adopted: Vec<Adopted>,
        not_shared: Vec<ImageKey>,
        unseen: Vec<String>,
        dry_run: bool,
    ) -> Self {
        let exit = match (unseen.is_empty(), not_shared.is_empty()) {
            (true, true) => ExitStatus::Done,
            (false, true) if adopted.is_empty() => ExitStatus::Error,
            _ => ExitStatus::Incomplete,
        };
        Self {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            dry_run,
            adopted,
            released: Vec::new(),
            not_shared,
            unseen,
            releases: false,
        }
    }

    /// The document after images were removed from the inventory.
    pub fn released(released: Vec<ImageKey>, dry_run: bool) -> Self {
        Self {
            released,
            releases: true,
            ..Self::adopted(Vec::new(), Vec::new(), Vec::new(), dry_run)
        }
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for adopted in &self.adopted {
            let image = named(&adopted.key, adopted.image_name.as_deref());
            let _ = writeln!(text, "+ {image} as {}", adopted.blueprint_id);
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
        let images = plural(count, "image");
        let would = if self.dry_run { "would be " } else { "" };
        let sum = match (count, self.releases, self.exit_code == ExitStatus::Done) {
            (0, true, _) => "Nothing to release: none of these images is ours.".into(),
            (0, false, true) => "Nothing to adopt: the shared images are already ours.".into(),
            (0, false, false) => "Nothing was adopted.".into(),
            (_, true, _) => {
                format!("{images} {would}released: still shared, and no longer pruned.")
            }
            (_, false, _) => format!(
                "{images} {would}adopted: `--prune owned` cancels what no manifest names any longer."
            ),
        };
        let _ = writeln!(text, "{sum}");
        text
    }
}
