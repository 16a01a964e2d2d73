//! An image in one region: its share states over time, and why it cannot be shared. This file knows neither calls nor
//! replies.

use super::world_image::Image;
use crate::model::{Monotonic, Region};

/// The key of an image: index of its account, region, image id.
pub(super) type ImageIndex = (usize, Region, String);

/// An image in one region, with all its share states so far. `readLag` shows older ones.
#[derive(Debug)]
pub(super) struct RegionalImage {
    pub image: Image,
    /// Periods in order of time; the last one is the current state.
    periods: Vec<SharePeriod>,
    pub occupied_calls: u32,
    pub write_counts: WriteCounts,
}

/// A share state and the time since which it holds.
#[derive(Clone, Debug)]
pub(super) struct SharePeriod {
    pub since: Monotonic,
    /// The blueprint's id; `None` while the image is not shared.
    pub blueprint: Option<String>,
}

/// Writes of an image: all that arrived, and those that took effect.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WriteCounts {
    pub attempts: u64,
    pub shares: u64,
    pub cancels: u64,
}

impl RegionalImage {
    pub(super) fn new(image: Image, blueprint: String) -> Self {
        let period = |blueprint| SharePeriod {
            since: Monotonic::default(),
            blueprint,
        };
        // Servers may still use an image's previous blueprint.
        let last = image.blueprint_id.clone().filter(|_| !image.shared);
        let mut periods: Vec<_> = last.map(|last| period(Some(last))).into_iter().collect();
        periods.push(period(image.shared.then_some(blueprint)));
        Self {
            occupied_calls: image.occupied_calls,
            image,
            periods,
            write_counts: WriteCounts::default(),
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.blueprint().is_some()
    }

    /// Id of the blueprint; `None` if the image is not shared now.
    pub(super) fn blueprint(&self) -> Option<&str> {
        self.periods
            .last()
            .and_then(|period| period.blueprint.as_deref())
    }

    /// Id of the current or last blueprint.
    pub(super) fn last_blueprint(&self) -> Option<&str> {
        let mut latest = self.periods.iter().rev();
        latest.find_map(|period| period.blueprint.as_deref())
    }

    /// The image in its region, as a saved world contains it.
    pub(super) fn kept(&self, region: Region) -> Image {
        Image {
            regions: vec![region.as_str().into()],
            shared: self.is_shared(),
            blueprint_id: self.last_blueprint().map(str::to_owned),
            occupied_calls: self.occupied_calls,
            ..self.image.clone()
        }
    }

    /// The image's name; its id if the world gives no name.
    pub(super) fn name(&self) -> &str {
        self.image.shown_name()
    }

    /// Its `ImageType`: whether the image is the account's own.
    pub(super) fn kind(&self) -> &'static str {
        if self.image.received {
            "SHARED_IMAGE"
        } else {
            "PRIVATE_IMAGE"
        }
    }

    /// The share state at `time`.
    pub(super) fn period_at(&self, time: Monotonic) -> Option<&SharePeriod> {
        self.periods
            .iter()
            .rev()
            .find(|period| period.since <= time)
    }

    /// Starts a new period, unless the image already has this state.
    pub(super) fn set(&mut self, shared: bool, since: Monotonic, blueprint: String) {
        if shared != self.is_shared() {
            self.periods.push(SharePeriod {
                since,
                blueprint: shared.then_some(blueprint),
            });
        }
    }

    /// Why the image cannot be shared, in English and in Chinese. These are the preconditions in the documentation of
    /// ModifyImageSharePermission.
    pub(super) fn unshareable_reason(&self) -> Option<(&'static str, &'static str)> {
        let image = &self.image;
        let preconditions = [
            (
                self.is_shared(),
                "The image has already been shared.",
                "镜像已共享",
            ),
            (
                image.source == "EXTERNAL_IMPORT",
                "Imported images cannot be shared.",
                "导入镜像不支持共享",
            ),
            (
                image.class == "InstanceImage",
                "Full-instance images cannot be shared.",
                "整机镜像不支持共享",
            ),
            (
                !image.cloud_init,
                "The image does not support CloudInit.",
                "镜像不支持CloudInit",
            ),
            (
                !image.os_accepted,
                "The operating system is not supported.",
                "操作系统不支持",
            ),
            (
                image.state != "NORMAL",
                "The image is not in the NORMAL state.",
                "镜像状态不正常",
            ),
        ];
        preconditions
            .into_iter()
            .find(|(violated, ..)| *violated)
            .map(|(_, english, chinese)| (english, chinese))
    }
}
