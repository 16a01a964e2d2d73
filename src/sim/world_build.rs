//! Builds in the world file: images that are created while the world runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::units::DurationText;
use super::world_image::Image;
use crate::model::Region;

/// A pipeline that creates one image after the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Build {
    /// Account that gets the images.
    #[serde(default = "Build::default_account")]
    pub account: String,
    /// Name of each image, in which `{n}` is replaced by its number, such as `golden-ubuntu-1.5.{n}`.
    pub name: String,
    /// Number of the first image.
    #[serde(default)]
    pub start: u64,
    /// Time between images; the first is created when the world starts. Without it, only `POST /_sim/build` creates
    /// images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<DurationText>,
    /// Regions in which each image is created.
    pub regions: Vec<String>,
    /// Regions to which the image in the first of `regions` is copied once it is NORMAL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_to: Vec<String>,
    /// Time that a new image stays CREATING.
    #[serde(default)]
    pub create_time: DurationText,
    /// Number of images to keep in each region; beyond it, the oldest image that is not shared is deleted. By default,
    /// all are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
    /// `ImageFamily` of the images.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub family: String,
    /// Values of their tags, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Operating system such as `Ubuntu Server 24.04 LTS 64bit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// Family of operating systems, such as `Ubuntu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Either `x86_64` or `arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

impl Build {
    fn default_account() -> String {
        "default".into()
    }

    /// Performs the checks that serde cannot. The error is a text for people.
    pub(super) fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let wrong = |words: &str| Err(format!("build `{name}`: {words}"));
        if !name.contains(NUMBER) {
            return wrong("the name needs `{n}`, because each image needs its own name");
        }
        if self.regions.is_empty() {
            return wrong("give the `regions` in which images are created");
        }
        if self.every.is_some_and(|every| every.0.is_zero()) {
            return wrong("`every` must be longer than 0");
        }
        for region in self.regions.iter().chain(&self.copy_to) {
            Region::new(region).map_err(|error| format!("build `{name}`: `{region}`: {error}"))?;
        }
        match self.copy_to.iter().find(|to| self.regions.contains(to)) {
            Some(region) => wrong(&format!(
                "`copyTo` names {region}, where the image is created anyway"
            )),
            None => Ok(()),
        }
    }

    /// The image with this number, in its initial state in a region.
    pub(super) fn image(&self, number: u64, region: Region) -> Image {
        let plain = Image::default();
        Image {
            name: self.name.replace(NUMBER, &number.to_string()),
            regions: vec![region.as_str().into()],
            family: self.family.clone(),
            tags: self.tags.clone(),
            os_name: self.os_name.clone().unwrap_or(plain.os_name.clone()),
            platform: self.platform.clone().unwrap_or(plain.platform.clone()),
            architecture: self
                .architecture
                .clone()
                .unwrap_or(plain.architecture.clone()),
            state: "CREATING".into(),
            ..plain
        }
    }
}

/// The placeholder for the number in a build's name.
const NUMBER: &str = "{n}";
