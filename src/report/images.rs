//! The output of `images`, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::causes::UnreadRegions;
use super::import::UnseenScope;
use super::style::{dim, heading};
use super::{ExitStatus, FORMAT_VERSION};
use crate::model::{ImageKey, Timestamp};
use crate::observation::{Blueprint, BlueprintState, Eligibility, OwnImage};
use crate::words::{plural, rfc3339, safe};

/// The document that `images -o json` prints.
#[derive(Debug, Serialize)]
pub struct ImagesDocument {
    format_version: u32,
    exit_code: ExitStatus,
    /// Rows sorted by name, then by account and region.
    images: Vec<ImageRow>,
    /// Regions that could not be read, or only partly.
    unseen: Vec<UnseenScope>,
    /// The same regions, with each cause once.
    #[serde(skip)]
    unread: UnreadRegions,
    /// Number of regions that were read, for each account separately.
    regions_read: usize,
    /// Path of the manifest that was written, if one was.
    file: Option<String>,
    /// Images that the manifest omits, because they cannot be shared.
    #[serde(skip)]
    left_out: usize,
}

/// One of the account's own images in one region.
#[derive(Debug, Serialize)]
pub struct ImageRow {
    #[serde(flatten)]
    key: ImageKey,
    /// Empty if the API returns no name.
    image_name: String,
    created: Option<Timestamp>,
    state: String,
    os_name: String,
    platform: String,
    architecture: String,
    /// One of `shared`, `unshared` and `unknown`.
    share: &'static str,
    blueprint_id: Option<String>,
    blueprint_state: Option<String>,
    /// Whether it can be shared now; null if the API does not show it.
    shareable: Option<bool>,
    /// Reasons why it cannot be shared.
    why_not: Vec<String>,
}

impl ImageRow {
    /// Builds the row of an image from its share; `share` is `None` if the share could not be read.
    pub fn new(key: ImageKey, own: &OwnImage, share: Option<Option<&Blueprint>>) -> Self {
        let blueprint = share.flatten();
        let (shareable, why_not) = match (&own.eligibility, share) {
            (Eligibility::Shareable, _) => (Some(true), Vec::new()),
            // The API also calls a shared image unshareable.
            (_, Some(Some(_))) => (None, Vec::new()),
            (Eligibility::Absent, _) => (None, Vec::new()),
            (Eligibility::Unshareable { failed, reason }, share) => {
                let why = why_not(failed, reason);
                let is_sure = share.is_some() || !failed.is_empty();
                (is_sure.then_some(false), why)
            }
        };
        Self {
            key,
            image_name: own.name.to_string(),
            created: own.created,
            state: own.state.to_string(),
            os_name: own.os_name.to_string(),
            platform: own.platform.to_string(),
            architecture: own.architecture.to_string(),
            share: match share {
                Some(Some(_)) => "shared",
                Some(None) => "unshared",
                None => "unknown",
            },
            blueprint_id: blueprint.map(|blueprint| blueprint.id.to_string()),
            blueprint_state: blueprint.map(|blueprint| state_word(&blueprint.state).to_owned()),
            shareable,
            why_not,
        }
    }

    /// The image of this row.
    pub fn key(&self) -> &ImageKey {
        &self.key
    }

    /// The name; empty if the API returns none.
    pub fn name(&self) -> &str {
        &self.image_name
    }

    /// Whether a blueprint shows it as shared.
    pub fn is_shared(&self) -> bool {
        self.share == "shared"
    }

    /// Whether it is known to be shareable now.
    pub fn is_shareable(&self) -> bool {
        self.shareable == Some(true)
    }

    /// The blueprint that it is shared as, or why it is not shared.
    fn sharing(&self) -> String {
        let why = self.why_not.join("; ");
        match (&self.blueprint_id, self.shareable) {
            (Some(id), _) => {
                let state = self.blueprint_state.as_deref().unwrap_or_default();
                format!("{id} {state}")
            }
            (None, Some(true)) => "no, but it can be".to_owned(),
            (None, Some(false)) => format!("no: {why}"),
            (None, None) if why.is_empty() => "unknown".to_owned(),
            (None, None) => format!("unknown: {why}"),
        }
    }
}

fn why_not(failed: &[crate::observation::Precondition], reason: &str) -> Vec<String> {
    if failed.is_empty() {
        let reason = match reason {
            "" => "the API does not say why",
            reason => reason,
        };
        return vec![reason.to_owned()];
    }
    failed.iter().map(ToString::to_string).collect()
}

/// The state in the API's own words.
pub(super) fn state_word(state: &BlueprintState) -> &str {
    match state {
        BlueprintState::Normal => "NORMAL",
        BlueprintState::Syncing => "SYNCING",
        BlueprintState::Unusable(why) => why.as_str(),
        BlueprintState::Unknown(state) => state,
    }
}

impl ImagesDocument {
    /// Builds the document. A region that could not be read makes it incomplete.
    pub fn new(
        mut images: Vec<ImageRow>,
        (unseen, unread): (Vec<UnseenScope>, UnreadRegions),
        regions_read: usize,
    ) -> Self {
        images.sort_by(|a, b| (&a.image_name, &a.key).cmp(&(&b.image_name, &b.key)));
        let exit = match (unseen.is_empty(), regions_read) {
            (true, _) => ExitStatus::Done,
            (false, 0) => ExitStatus::Error,
            (false, _) => ExitStatus::Incomplete,
        };
        Self {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            images,
            unseen,
            unread,
            regions_read,
            file: None,
            left_out: 0,
        }
    }

    /// For readers of the JSON document: one line for each cause for which regions could not be read.
    pub fn warnings(&self) -> Vec<String> {
        self.unread.warnings()
    }

    /// Every image of the list.
    pub fn rows(&self) -> &[ImageRow] {
        &self.images
    }

    /// Notes that a manifest of the list was written, without `left_out` images that cannot be shared.
    pub fn written(&mut self, file: String, left_out: usize) {
        self.file = Some(file);
        self.left_out = left_out;
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    pub fn text(&self) -> String {
        let mut text = self.table();
        let names: BTreeMap<_, _> = self.images.iter().map(|row| (row.name(), ())).collect();
        let images = plural(self.images.len() as u64, "image");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{images} of {} in {}.",
            plural(names.len() as u64, "name"),
            plural(self.regions_read as u64, "region")
        );
        for line in self.unread.lines() {
            let _ = writeln!(text, "Not read: {line}");
        }
        if let Some(file) = &self.file {
            let rest = match self.left_out {
                0 => String::new(),
                count => format!(
                    "; left out: {} that cannot be shared",
                    plural(count as u64, "image")
                ),
            };
            let _ = writeln!(text, "Written: {}{rest}.", safe(file));
        }
        text
    }

    fn table(&self) -> String {
        let mut accounts = self.images.iter().map(|row| &row.key.scope.account);
        let first = accounts.next();
        let several = accounts.any(|account| Some(account) != first);
        let place = |row: &ImageRow| match several {
            true => row.key.scope.to_string(),
            false => row.key.scope.region.to_string(),
        };
        let mut lines =
            vec![["NAME", "REGION", "ID", "CREATED", "STATE", "SHARED AS"].map(String::from)];
        let mut before = None;
        for row in &self.images {
            let name = match row.name() {
                name if before == Some(name) => String::new(),
                "" => "(no name)".to_owned(),
                name => safe(name),
            };
            before = Some(row.name());
            lines.push([
                name,
                place(row),
                row.key.image.to_string(),
                row.created.map(rfc3339).unwrap_or_else(|| "-".to_owned()),
                safe(&row.state),
                safe(&row.sharing()),
            ]);
        }
        match self.images.is_empty() {
            true => String::new(),
            false => columns(&lines),
        }
    }
}

/// Formats lines as columns. The first line is a heading, and so is the first cell of each line.
fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = match column + 1 == N {
                true => 0,
                false => widths[column] + 2,
            };
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let cell = match (number, column) {
                (0, _) => dim(cell),
                (_, 0) if !cell.is_empty() => heading(cell),
                _ => cell.clone(),
            };
            let _ = write!(text, "{cell}{padding}");
        }
        text.push('\n');
    }
    text
}
