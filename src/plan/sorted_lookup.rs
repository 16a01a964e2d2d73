//! A faster map lookup for keys that come in ascending order: planning a scope walks through two ordered maps in
//! parallel.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;

/// Looks up keys that come in order, in one walk through the map. This is fast where most keys are in the map.
pub(super) struct SortedLookup<'a, K, V> {
    rest: Peekable<btree_map::Iter<'a, K, V>>,
}

impl<'a, K, V> SortedLookup<'a, K, V> {
    pub(super) fn new(map: &'a BTreeMap<K, V>) -> Self {
        Self {
            rest: map.iter().peekable(),
        }
    }

    /// The value of `key`. No later key may be smaller than this one.
    pub(super) fn find<Q: Ord>(&mut self, key: &Q) -> Option<&'a V>
    where
        K: Borrow<Q>,
    {
        loop {
            let (next, value) = self.rest.peek()?;
            match (*next).borrow().cmp(key) {
                Ordering::Less => self.rest.next(),
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_lookup_finds(
            map: BTreeMap<u8, u8>,
            mut keys: Vec<u8>,
        ) {
            keys.sort_unstable();
            let mut walk = SortedLookup::new(&map);
            for key in keys {
                prop_assert_eq!(walk.find(&key), map.get(&key));
            }
        }
    }
}
