//! The properties of custom images besides their share state, as they change over time: names, states, families, tags
//! and deprecation. The small cloud reports them in its listings.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use sharekeeper::host::Clock;
use sharekeeper::model::{Monotonic, Timestamp};

use super::Cloud;

/// A custom image as its owner sees it.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    /// The image is in no list before this time.
    pub(crate) born: Monotonic,
    /// The instant that the API shows as `CreatedTime`.
    pub(crate) created: Timestamp,
    /// The image is CREATING until this time.
    pub(crate) ready: Monotonic,
    /// The `ImageState` of the image when it is ready.
    pub(crate) becomes: &'static str,
    /// Each name with the time from which the image has it, in order of time.
    pub(crate) names: Vec<(Monotonic, String)>,
    /// Whether the image is deprecated from each time on, in order of time.
    pub(crate) deprecated: Vec<(Monotonic, bool)>,
    pub(crate) family: Option<String>,
    /// The value of its tag `release`.
    pub(crate) release: Option<String>,
    /// Whether the blueprint of the image fails. Otherwise it becomes NORMAL.
    pub(crate) blueprint_fails: bool,
}

impl Described {
    /// An image that existed and was ready at the beginning.
    pub(crate) fn ready(name: &str, created: Timestamp) -> Self {
        let begin = Monotonic::default();
        Self {
            born: begin,
            created,
            ready: begin,
            becomes: "NORMAL",
            names: vec![(begin, name.to_owned())],
            deprecated: Vec::new(),
            family: None,
            release: None,
            blueprint_fails: false,
        }
    }

    fn state_at(&self, at: Monotonic) -> &'static str {
        match at < self.ready {
            true => "CREATING",
            false => self.becomes,
        }
    }

    /// The name that the image has at this time.
    pub(crate) fn name_at(&self, at: Monotonic) -> &str {
        let mut names = self.names.iter().rev();
        let name = names.find(|(since, _)| *since <= at);
        let name = name.or(self.names.first());
        name.map_or("", |(_, name)| name)
    }

    fn is_deprecated_at(&self, at: Monotonic) -> bool {
        let mut all = self.deprecated.iter().rev();
        all.find(|(since, _)| *since <= at)
            .is_some_and(|(_, is)| *is)
    }
}

impl Cloud {
    fn seen_at(&self, lag: Duration) -> Monotonic {
        Monotonic::new(self.monotonic().since_start().saturating_sub(lag))
    }

    /// Whether the lists of the owner have the image at this time.
    pub(super) fn is_listed(&self, id: &str, at: Monotonic) -> bool {
        let described = self.described.borrow();
        let is_born = described.get(id).is_none_or(|image| image.born <= at);
        is_born && !self.deleted.borrow().contains(id)
    }

    /// Whether the state of the image allows it to be shared now, or `None` if the image is not described.
    pub(super) fn is_ready(&self, id: &str) -> Option<bool> {
        let described = self.described.borrow();
        let state = described.get(id)?.state_at(self.monotonic());
        Some(matches!(state, "NORMAL" | "USING"))
    }

    /// The row of a described image in DescribeImagesToShare. `is_shared` is its share state at this time.
    pub(super) fn described_row(&self, id: &str, is_shared: bool, at: Monotonic) -> Option<Value> {
        let described = self.described.borrow();
        let image = described.get(id)?;
        let state = image.state_at(at);
        let can = matches!(state, "NORMAL" | "USING") && !is_shared;
        Some(json!({
            "ImageId": id, "ImageName": image.name_at(at), "ImageState": state, "CreatedTime": image.created,
            "IsSupportCloudinit": true, "IsShareable": can,
            "UnshareableReason": if can { "" } else { "it is shared, or not ready" },
        }))
    }

    /// The row of a described image in CVM's DescribeImages.
    pub(super) fn described_cvm_row(&self, id: &str, lag: Duration) -> Option<Value> {
        let at = self.seen_at(lag);
        let described = self.described.borrow();
        let image = described.get(id)?;
        let release = image.release.iter();
        let tags: Vec<_> = release
            .map(|value| json!({"Key": "release", "Value": value}))
            .collect();
        Some(json!({
            "ImageId": id, "ImageName": image.name_at(at), "ImageFamily": image.family,
            "ImageDeprecated": image.is_deprecated_at(at), "Tags": tags,
        }))
    }

    /// The `BlueprintState` of a described image that was shared at `since`, or `None` if it is NORMAL at this time.
    pub(super) fn described_blueprint(
        &self,
        id: &str,
        since: Monotonic,
        at: Monotonic,
    ) -> Option<&'static str> {
        let described = self.described.borrow();
        let image = described.get(id)?;
        let syncs = self.behaviour.borrow().syncs;
        let is_new = since > Monotonic::default() && at.since(since) < syncs;
        match (is_new, image.blueprint_fails) {
            (true, _) => Some("SYNCING"),
            (false, true) => Some("SYNCING_FAILED"),
            (false, false) => None,
        }
    }

    /// Gives the image another name from now on.
    pub(crate) fn rename(&self, id: &str, name: &str) {
        let now = self.monotonic();
        if let Some(image) = self.described.borrow_mut().get_mut(id) {
            image.names.push((now, name.to_owned()));
        }
    }

    /// Makes the image deprecated from now on, or not deprecated any longer.
    pub(crate) fn deprecate(&self, id: &str, is_deprecated: bool) {
        let now = self.monotonic();
        if let Some(image) = self.described.borrow_mut().get_mut(id) {
            image.deprecated.push((now, is_deprecated));
        }
    }

    /// The time of the cloud at this number of seconds after its beginning. The number may be negative.
    pub(crate) fn time(seconds: i64) -> Timestamp {
        let start = Timestamp::from_timestamp(1_790_000_000, 0).expect("a date");
        start + TimeDelta::seconds(seconds)
    }
}

impl Cloud {
    /// All rows that the lists of a region have now: own images, CVM images, and blueprints.
    pub(crate) fn all_rows(&self, region: &str, key: &str) -> [Vec<Value>; 3] {
        let all = |rows: &str, page: &dyn Fn(u64) -> Value| {
            let mut all = Vec::new();
            loop {
                let page = page(all.len() as u64);
                let rows = page[rows].as_array().expect("a list");
                all.extend(rows.iter().cloned());
                if rows.is_empty() {
                    return all;
                }
            }
        };
        let (here, now) = ((region, key), Duration::ZERO);
        let own = all("ImageSet", &|offset| self.own_images(here, offset, now));
        let ids = own.iter().filter_map(|row| row["ImageId"].as_str());
        let cvm = ids
            .filter_map(|id| self.described_cvm_row(id, now))
            .collect();
        let blueprints = all("BlueprintSet", &|offset| {
            self.blueprints(here, offset, None, now)
        });
        [own, cvm, blueprints]
    }
}
