//! Builds, copies, renames and deprecates custom images while the controller runs, and shows them in the owner's lists.

use serde::{Deserialize, Serialize};
use sharekeeper::model::Monotonic;

use super::scenario::{Image, Scenario, seconds};
use super::support::{Cloud, Described};

/// An image that a build or a copy makes. An image without one existed long before the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) name: String,
    /// `CreatedTime`, in seconds from the beginning.
    pub(crate) created: i64,
    /// The first second at which lists show it.
    pub(crate) born: u64,
    /// The second until which it is CREATING.
    pub(crate) ready: u64,
    pub(crate) result: BuildResult,
    /// Whether its family and its tag are those that policies ask for.
    pub(crate) is_golden: bool,
}

/// The result of building an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BuildResult {
    Good,
    /// The build fails, so that nobody can share the image.
    Failed,
    /// The image can be shared, but no server can be started from its blueprint.
    BlueprintFails,
}

/// A change of an existing image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ImageChange {
    Named(String),
    Deprecated(bool),
}

/// The image family that policies ask for.
pub(crate) const FAMILY: &str = "golden";
/// The value of the tag `release` that policies ask for.
pub(crate) const RELEASE: &str = "stable";
/// The creation time of images that no build made, in seconds from the beginning.
const LONG_AGO: i64 = -90 * 86_400;

impl Image {
    /// The name that the image has at first.
    pub(crate) fn first_name(&self) -> String {
        match &self.made {
            Some(made) => made.name.clone(),
            None => format!("plain-{}-{}", self.region, self.number),
        }
    }

    /// The image's `CreatedTime`, in seconds from the beginning.
    pub(crate) fn created(&self) -> i64 {
        self.made.as_ref().map_or(LONG_AGO, |made| made.created)
    }

    fn described(&self) -> Described {
        let at = |time| Monotonic::new(seconds(time));
        let Some(made) = &self.made else {
            return Described::ready(&self.first_name(), Cloud::time(LONG_AGO));
        };
        let golden = |text: &str| made.is_golden.then(|| text.to_owned());
        Described {
            born: at(made.born),
            ready: at(made.ready),
            becomes: match made.result {
                BuildResult::Failed => "CREATEFAILED",
                BuildResult::Good | BuildResult::BlueprintFails => "NORMAL",
            },
            family: golden(FAMILY),
            release: golden(RELEASE),
            blueprint_fails: made.result == BuildResult::BlueprintFails,
            ..Described::ready(&made.name, Cloud::time(made.created))
        }
    }
}

/// Tells the cloud about all images, including those that will be built later.
pub(crate) fn describe(scenario: &Scenario, cloud: &Cloud) {
    if !scenario.has_documents() {
        return;
    }
    let mut described = cloud.described.borrow_mut();
    for image in &scenario.images {
        described.insert(image.id(), image.described());
    }
}

/// Whether the owner's lists already show the image.
pub(crate) fn is_born(image: &Image, now: u64) -> bool {
    image.made.as_ref().is_none_or(|made| made.born <= now)
}

/// Applies a change to an image.
pub(crate) fn change(image: &Image, change: &ImageChange, cloud: &Cloud) {
    match change {
        ImageChange::Named(name) => cloud.rename(&image.id(), name),
        ImageChange::Deprecated(is_deprecated) => cloud.deprecate(&image.id(), *is_deprecated),
    }
}
