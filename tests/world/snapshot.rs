//! Holds a region as its lists show it: the account's own images, the answers of CVM about them, and the shared images.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::Value;
use sharekeeper::model::Timestamp;

use super::images::{FAMILY, RELEASE};
use super::manifests::{instant, key};
use super::scenario::REGIONS;
use super::support::Cloud;

/// A row of the account's own images, as `DescribeImagesToShare` returns it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// The row's `CreatedTime`, in seconds from the beginning.
    pub(crate) created: i64,
    /// Whether the row says that the image can be shared.
    pub(crate) is_fit: bool,
}

/// The properties of an image that CVM returns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CvmRow {
    pub(crate) is_of_family: bool,
    pub(crate) is_tagged: bool,
    pub(crate) is_deprecated: bool,
}

/// The state of a shared image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Normal,
    Syncing,
    /// No server can be started from the blueprint.
    Bad,
}

/// The rows that the lists of a region show, by image id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) own: BTreeMap<String, Row>,
    /// `None`: CVM was not asked, or did not answer.
    pub(crate) cvm: Option<BTreeMap<String, CvmRow>>,
    pub(crate) shared: BTreeMap<String, Shown>,
}

fn text<'r>(row: &'r Value, field: &str) -> &'r str {
    row[field].as_str().unwrap_or_default()
}

impl Snapshot {
    /// The true state of the region.
    pub(crate) fn truth(cloud: &Cloud, account: usize, region: usize) -> Self {
        let [own, cvm, blueprints] = cloud.all_rows(REGIONS[region], key(account));
        let mut snapshot = Self::default();
        snapshot.take_own(&own);
        snapshot.take_cvm(&cvm);
        snapshot.take_blueprints(&blueprints);
        snapshot
    }

    pub(crate) fn take_own(&mut self, rows: &[Value]) {
        for row in rows {
            let created = text(row, "CreatedTime").parse::<Timestamp>();
            let created = created.map_or(TimeDelta::zero(), |at| at - instant(0));
            let row_shown = Row {
                name: text(row, "ImageName").to_owned(),
                created: created.num_seconds(),
                is_fit: row["IsShareable"].as_bool().unwrap_or_default(),
            };
            self.own.insert(text(row, "ImageId").to_owned(), row_shown);
        }
    }

    pub(crate) fn take_cvm(&mut self, rows: &[Value]) {
        let all_shown = self.cvm.get_or_insert_default();
        for row in rows {
            let tags = row["Tags"].as_array().into_iter().flatten();
            let mut values = tags.map(|tag| text(tag, "Value"));
            let row_shown = CvmRow {
                is_of_family: text(row, "ImageFamily") == FAMILY,
                is_tagged: values.any(|value| value == RELEASE),
                is_deprecated: row["ImageDeprecated"].as_bool().unwrap_or_default(),
            };
            all_shown.insert(text(row, "ImageId").to_owned(), row_shown);
        }
    }

    pub(crate) fn take_blueprints(&mut self, rows: &[Value]) {
        for row in rows {
            let shown = match text(row, "BlueprintState") {
                "NORMAL" => Shown::Normal,
                "SYNCING" => Shown::Syncing,
                _ => Shown::Bad,
            };
            self.shared.insert(text(row, "ImageId").to_owned(), shown);
        }
    }

    /// The own images with a name.
    pub(crate) fn named<'s>(&'s self, name: &str) -> Vec<&'s str> {
        let rows = self.own.iter().filter(|(_, row)| row.name == name);
        rows.map(|(id, _)| &**id).collect()
    }

    pub(crate) fn is_normal(&self, id: &str) -> bool {
        self.shared.get(id) == Some(&Shown::Normal)
    }
}
