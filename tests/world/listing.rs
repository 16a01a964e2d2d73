//! Collects the pages of a list of blueprints, and decides whether they are complete.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sharekeeper::model::Monotonic;

/// One reading of a scope's list.
pub(crate) struct Listing {
    pub(crate) began: Monotonic,
    /// The `TotalCount` of each page that came.
    totals: BTreeSet<u64>,
    rows: BTreeSet<String>,
    /// The number of rows that came, including repeated ones.
    count: u64,
    /// The blueprint id of each shared image, by the image's id.
    images: BTreeMap<String, String>,
    is_denied: bool,
    /// Whether the list before it was denied. Other regions may read this one for their policies while the writes still go
    /// on that rest on the denial.
    pub(crate) is_after_denied: bool,
    /// Whether the key may not ask which images can be shared, which was asked after this list.
    pub(crate) is_asking_denied: bool,
}

impl Listing {
    pub(crate) fn new(began: Monotonic) -> Self {
        Self {
            began,
            totals: BTreeSet::new(),
            rows: BTreeSet::new(),
            count: 0,
            images: BTreeMap::new(),
            is_denied: false,
            is_after_denied: false,
            is_asking_denied: false,
        }
    }

    /// Adds a page, or the error that came in its place.
    pub(crate) fn answered(&mut self, offset: u64, response: &Value) {
        let code = response["Error"]["Code"].as_str().unwrap_or_default();
        if code.starts_with("UnauthorizedOperation") && offset == 0 {
            self.is_denied = true;
        }
        let (Some(total), Some(rows)) = (
            response["TotalCount"].as_u64(),
            response["BlueprintSet"].as_array(),
        ) else {
            return;
        };
        self.totals.insert(total);
        for row in rows {
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            self.count += 1;
            self.rows.insert(text("BlueprintId"));
            self.images.insert(text("ImageId"), text("BlueprintId"));
        }
    }

    /// Whether the key has no permission to read the list.
    pub(crate) fn is_denied(&self) -> bool {
        self.is_denied
    }

    /// Whether all pages have the same total, and that number of rows came without repetition.
    pub(crate) fn is_complete(&self) -> bool {
        let rows = self.rows.len() as u64;
        self.totals.len() == 1 && self.totals.contains(&rows) && self.count == rows
    }

    /// Each shared image with its blueprint id.
    pub(crate) fn all_shown(&self) -> impl Iterator<Item = (&str, &str)> {
        let rows = self.images.iter();
        rows.map(|(image, blueprint)| (&**image, &**blueprint))
    }

    /// The blueprint id of the image in this list.
    pub(crate) fn shown(&self, image: &str) -> Option<&str> {
        self.images.get(image).map(String::as_str)
    }
}
