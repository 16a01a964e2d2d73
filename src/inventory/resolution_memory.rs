//! What resolution remembers of a scope from one observation to the next: the last meaning of each name, and the clocks
//! of policies' versions. If it is lost, names hold pruning back until they are known again, and clocks start anew:
//! everything takes longer, nothing happens sooner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{ImageId, ImageName, Region, Timestamp};

/// Identifies a version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionKey {
    /// `metadata.name` of the policy.
    pub policy: Arc<str>,
    /// The text of the version.
    pub version: Arc<str>,
}

/// What is remembered about a version in one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionClock {
    /// Its earliest `CreatedTime` in any region of the policy, once all of these were observed.
    pub age: Option<Timestamp>,
    /// Since when it has been available without interruption in the observations.
    pub stands_since: Option<Timestamp>,
    /// The regions that had been observed when the age was determined.
    pub regions: BTreeSet<Region>,
    /// Its images in this region. If none of them is left, another build has the same version text, and the row no
    /// longer applies.
    pub images: BTreeSet<ImageId>,
}

/// What resolution remembers of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolutionMemory {
    /// The image that each name of an `ImageShare` last meant, once that image was seen in its desired state.
    pub names: BTreeMap<ImageName, ImageId>,
    pub versions: BTreeMap<VersionKey, VersionClock>,
}

/// The changes that an observation makes to the memory. `None` removes the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryUpdate {
    pub names: BTreeMap<ImageName, Option<ImageId>>,
    pub versions: BTreeMap<VersionKey, Option<VersionClock>>,
}

impl ResolutionMemory {
    /// The changes that lead from this memory to `next`.
    pub fn update_to(&self, next: &Self) -> MemoryUpdate {
        MemoryUpdate {
            names: changes(&self.names, &next.names),
            versions: changes(&self.versions, &next.versions),
        }
    }

    /// Applies an update in memory, as the store does on disk.
    pub fn apply(&mut self, update: &MemoryUpdate) {
        apply(&mut self.names, &update.names);
        apply(&mut self.versions, &update.versions);
    }
}

impl MemoryUpdate {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.versions.is_empty()
    }
}

fn changes<K: Ord + Clone, V: PartialEq + Clone>(
    from: &BTreeMap<K, V>,
    to: &BTreeMap<K, V>,
) -> BTreeMap<K, Option<V>> {
    let new = to
        .iter()
        .filter(|(key, value)| from.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), Some(value.clone())));
    let gone = from.keys().filter(|key| !to.contains_key(*key));
    new.chain(gone.map(|key| (key.clone(), None))).collect()
}

fn apply<K: Ord + Clone, V: Clone>(rows: &mut BTreeMap<K, V>, changes: &BTreeMap<K, Option<V>>) {
    for (key, change) in changes {
        match change {
            Some(value) => rows.insert(key.clone(), value.clone()),
            None => rows.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_leads_from_one_memory_to_the_next() {
        let name = |text| ImageName::new(text).expect("a name");
        let id = |text| ImageId::new(text).expect("an id");
        let key = |version: &str| VersionKey {
            policy: "golden".into(),
            version: version.into(),
        };
        let clock = VersionClock {
            age: Timestamp::from_timestamp(1_790_000_000, 0),
            ..VersionClock::default()
        };
        let mut before = ResolutionMemory {
            names: [(name("a"), id("img-a")), (name("b"), id("img-b"))].into(),
            versions: [(key("1"), clock.clone()), (key("2"), clock.clone())].into(),
        };
        let after = ResolutionMemory {
            names: [(name("a"), id("img-c")), (name("c"), id("img-d"))].into(),
            versions: [(key("2"), clock), (key("3"), VersionClock::default())].into(),
        };
        let update = before.update_to(&after);
        assert_eq!((update.names.len(), update.versions.len()), (3, 2));
        before.apply(&update);
        assert_eq!(before, after);
        assert!(after.update_to(&before).is_empty());
    }
}
