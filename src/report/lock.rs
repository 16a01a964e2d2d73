//! The output of `lock`, as text and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::import::UnseenScope;
use super::names::NameColumn;
use super::style::{Sign, dim, heading};
use super::{ExitStatus, FORMAT_VERSION, Source};
use crate::desired::{self, LockMode, LockedImage};
use crate::model::Region;
use crate::words::{plural, rfc3339, safe};

/// The document that `lock -o json` prints.
#[derive(Debug, Serialize)]
pub struct LockDocument {
    format_version: u32,
    exit_code: ExitStatus,
    /// The lock file's path, relative to the directory in the arguments.
    file: String,
    /// Whether the lock file was only compared.
    check: bool,
    /// Whether the lock file was changed.
    written: bool,
    policies: Vec<PolicyCheck>,
    /// Regions that could not be read. If there are any, nothing is written.
    unseen: Vec<UnseenScope>,
}

/// One policy compared with its entry in the lock file.
#[derive(Debug, Serialize)]
pub struct PolicyCheck {
    policy: String,
    source: Source,
    /// Whether it shares only locked images.
    required: bool,
    /// One of `current`, `newer`, `stale` and `missing`.
    state: &'static str,
    regions: Vec<LockedRegion>,
}

/// A policy's selection in one region, and its differences from the lock file.
#[derive(Debug, Serialize)]
pub struct LockedRegion {
    region: &'static str,
    images: Vec<Row>,
    /// Images that are selected but not in the lock file.
    added: Vec<Row>,
    /// Images in the lock file that are no longer selected.
    removed: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    image_id: String,
    image_name: String,
    created: Option<String>,
}

impl From<&LockedImage> for Row {
    fn from(image: &LockedImage) -> Self {
        Self {
            image_id: image.id.to_string(),
            image_name: image.name.to_string(),
            created: image.created.map(rfc3339),
        }
    }
}

impl LockedRegion {
    /// Compares the images selected `now` with the `locked` ones, if there are any.
    pub fn new(region: Region, locked: Option<&[LockedImage]>, now: &[LockedImage]) -> Self {
        let locked = locked.unwrap_or_default();
        let lacks = |images: &[LockedImage], one: &LockedImage| {
            !images.iter().any(|other| other.id == one.id)
        };
        let added = now.iter().filter(|image| lacks(locked, image));
        let removed = locked.iter().filter(|image| lacks(now, image));
        Self {
            region: region.as_str(),
            added: added.map(Row::from).collect(),
            removed: removed.map(Row::from).collect(),
            images: now.iter().map(Row::from).collect(),
        }
    }

    fn is_same(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

impl PolicyCheck {
    /// `is_same` says whether the policy still means the same as when it was locked; `None` if it was never locked.
    pub fn new(
        policy: &str,
        source: &desired::Source,
        lock: LockMode,
        is_same: Option<bool>,
        regions: Vec<LockedRegion>,
    ) -> Self {
        let state = match is_same {
            None => "missing",
            Some(false) => "stale",
            Some(true) if regions.iter().all(LockedRegion::is_same) => "current",
            Some(true) => "newer",
        };
        Self {
            policy: policy.to_owned(),
            source: Source::from(source),
            required: lock == LockMode::Required,
            state,
            regions,
        }
    }

    fn lines(&self) -> String {
        let Self {
            policy,
            source,
            state,
            ..
        } = self;
        let what = match *state {
            "missing" => "not in the lock file yet",
            "stale" => "the policy was changed after it was locked",
            "newer" => "selects other images than the lock file lists",
            _ => "matches the lock file",
        };
        let required = if self.required {
            ", `lock: required`"
        } else {
            ""
        };
        let place = dim(format_args!("{}:{}", safe(&source.file), source.line));
        let mut lines = format!("{}: {what}{required}  {place}\n", heading(safe(policy)));
        let rows = self.regions.iter();
        let rows = rows.flat_map(|region| region.added.iter().chain(&region.removed));
        let column = NameColumn::fitting(rows.map(|row| (&*row.image_id, Some(&*row.image_name))));
        for region in &self.regions {
            let rows = |sign: Sign, rows: &[Row]| {
                let line = |row: &Row| {
                    let image = column.label(&row.image_id, Some(&row.image_name));
                    format!("  {}  {}\n", sign.paint(image), region.region)
                };
                rows.iter().map(line).collect::<String>()
            };
            lines.push_str(&rows(Sign::Share, &region.added));
            lines.push_str(&rows(Sign::Cancel, &region.removed));
        }
        lines
    }
}

impl LockDocument {
    /// Builds the document. If a region could not be read, nothing is decided.
    pub fn new(
        file: String,
        check: bool,
        policies: Vec<PolicyCheck>,
        unseen: Vec<UnseenScope>,
    ) -> Self {
        let has = |state: &str| policies.iter().any(|policy| policy.state == state);
        let exit = match (unseen.is_empty(), check) {
            (false, _) => ExitStatus::Error,
            (true, true) if has("stale") => ExitStatus::Stale,
            (true, true) if has("newer") || has("missing") => ExitStatus::Changes,
            (true, _) => ExitStatus::Done,
        };
        Self {
            format_version: FORMAT_VERSION,
            exit_code: exit,
            file,
            check,
            written: false,
            policies,
            unseen,
        }
    }

    /// Whether every region of the policies was read.
    pub fn is_seen(&self) -> bool {
        self.unseen.is_empty()
    }

    /// Notes that the lock file was written, and whether that changed it.
    pub fn written(&mut self, is_changed: bool) {
        self.written = is_changed;
    }

    /// The process's exit status, which is also in the document.
    pub fn exit_status(&self) -> ExitStatus {
        self.exit_code
    }

    pub fn text(&self) -> String {
        let mut text: String = self.policies.iter().map(PolicyCheck::lines).collect();
        let (file, count) = (safe(&self.file), self.policies.len() as u64);
        let policies = match count {
            1 => "1 policy".to_owned(),
            count => format!("{count} policies"),
        };
        // Writing to a String cannot fail.
        let _ = match (self.unseen.len() as u64, self.check, self.exit_code) {
            (unseen @ 1.., ..) => writeln!(
                text,
                "Nothing was decided: {} could not be seen.",
                plural(unseen, "region")
            ),
            (0, true, ExitStatus::Stale) => writeln!(
                text,
                "{file} is stale: `sharekeeper lock` rewrites it; until then, policies with `lock: required` make no changes."
            ),
            (0, true, ExitStatus::Changes) => {
                writeln!(text, "{file} can be updated: `sharekeeper lock` writes it.")
            }
            (0, true, _) => writeln!(text, "{file} is current."),
            (0, false, _) if self.written => writeln!(text, "Written: {file}, {policies}."),
            (0, false, _) => writeln!(text, "{file} is already current and was left unchanged."),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ImageId, ImageName};

    fn image(id: &str) -> LockedImage {
        LockedImage {
            id: ImageId::new(id).expect("an id"),
            name: ImageName::new("golden-1").expect("a name"),
            created: None,
        }
    }

    fn check(is_same: Option<bool>, locked: &[LockedImage], now: &[LockedImage]) -> PolicyCheck {
        let source = desired::Source {
            file: "a.yaml".into(),
            line: 3,
        };
        let region = LockedRegion::new(Region::first(), Some(locked), now);
        PolicyCheck::new("golden", &source, LockMode::Optional, is_same, vec![region])
    }

    #[test]
    fn the_exit_status_of_a_check_is_the_most_urgent_one() {
        let (a, b) = ([image("img-a")], [image("img-b")]);
        let unseen = || UnseenScope {
            account: "default".into(),
            region: "ap-tokyo",
            reason: "down".into(),
            request_id: None,
        };
        for (checks, unseen, exit) in [
            (vec![], vec![], ExitStatus::Done),
            (vec![check(Some(true), &a, &a)], vec![], ExitStatus::Done),
            (vec![check(Some(true), &a, &b)], vec![], ExitStatus::Changes),
            (vec![check(None, &[], &b)], vec![], ExitStatus::Changes),
            (vec![check(Some(false), &a, &a)], vec![], ExitStatus::Stale),
            (
                vec![check(Some(true), &a, &b), check(Some(false), &a, &b)],
                vec![],
                ExitStatus::Stale,
            ),
            (
                vec![check(Some(false), &a, &a)],
                vec![unseen()],
                ExitStatus::Error,
            ),
        ] {
            let document = LockDocument::new("lock".into(), true, checks, unseen);
            assert_eq!(document.exit_status(), exit, "{}", document.text());
        }
    }

    #[test]
    fn differences_are_listed_by_id_and_name() {
        let newer = check(Some(true), &[image("img-a")], &[image("img-b")]);
        let text = newer.lines();
        for words in ["img-a", "img-b", "golden-1", "a.yaml:3", "selects other"] {
            assert!(text.contains(words), "no `{words}` in: {text}");
        }
    }
}
