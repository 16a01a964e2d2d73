//! What resolution remembers of a scope from one observation to the next: which image a name last meant, and the clocks of
//! policies' versions. If it is lost, names hold pruning back until they are known again, and clocks begin anew: everything
//! takes longer, nothing happens sooner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{ImageId, ImageName, Region, Timestamp};

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionKey {
    /// `metadata.name` of the policy.
    pub policy: Arc<str>,
    /// The text of the version.
    pub version: Arc<str>,
}

/// What is remembered of a version in one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionClock {
    /// Its earliest `CreatedTime` in any region of the policy, once all of them were seen.
    pub age: Option<Timestamp>,
    /// Since when it stands, observed without interruption.
    pub stands_since: Option<Timestamp>,
    /// The regions that were seen when the age was told.
    pub regions: BTreeSet<Region>,
    /// Its images here. If none of them is left, another build has its text, and the row says nothing.
    pub images: BTreeSet<ImageId>,
}

/// What resolution remembers of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolutionMemory {
    /// The image that each name of an `ImageShare` last meant, once that one was seen as desired.
    pub names: BTreeMap<ImageName, ImageId>,
    pub versions: BTreeMap<VersionKey, VersionClock>,
}

/// What an observation changes in the memory. `None` forgets the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryUpdate {
    pub names: BTreeMap<ImageName, Option<ImageId>>,
    pub versions: BTreeMap<VersionKey, Option<VersionClock>>,
}

impl ResolutionMemory {
    /// What leads from this memory to `next`.
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
