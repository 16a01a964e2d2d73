//! Holds a lock file as plain data, and converts it to the product's desired state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sharekeeper::desired::{LockedImage, PolicyLock, Source};
use sharekeeper::model::ImageId;

use super::documents::{Rule, name, region};
use super::scenario::Scenario;

/// What a lock file says about each policy, by the place of the policy's document.
pub(crate) type LockFile = BTreeMap<usize, Locked>;

/// The selection of one policy when somebody ran `sharekeeper lock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Locked {
    /// The policy as it was. The lock is stale if the policy is another one now.
    pub(crate) policy: Rule,
    /// The selected images by region.
    pub(crate) regions: BTreeMap<usize, Vec<LockedName>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockedName {
    /// The index of the image.
    pub(crate) image: usize,
    /// The name that the image had.
    pub(crate) name: String,
}

impl Locked {
    pub(super) fn policy_lock(&self, place: usize, scenario: &Scenario) -> PolicyLock {
        let image = |locked: &LockedName| LockedImage {
            id: ImageId::new(&scenario.images[locked.image].id()).expect("an id"),
            name: name(&locked.name),
            created: None,
        };
        let regions = self.regions.iter();
        let regions =
            regions.map(|(index, images)| (region(*index), images.iter().map(image).collect()));
        PolicyLock {
            digest: self.policy.digest().into(),
            regions: regions.collect(),
            source: Source {
                file: "sharekeeper.lock.yaml".into(),
                line: u32::try_from(place).expect("small"),
            },
        }
    }
}
