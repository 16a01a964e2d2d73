//! Values that record mutable access, so that no kind of change can be missed when they are saved.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use super::image::{ImageIndex, RegionalImage};

/// A value whose every mutable borrow counts as a change.
#[derive(Debug, Default)]
pub(super) struct Tracked<T> {
    value: T,
    is_touched: bool,
}

impl<T> Tracked<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value,
            is_touched: false,
        }
    }

    /// Whether it was borrowed mutably since the last call of this method.
    pub(super) fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.is_touched)
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_touched = true;
        &mut self.value
    }
}

/// The images of a cloud. Only the methods below can change the map, and they record the image.
#[derive(Debug, Default)]
pub(super) struct Images {
    all: BTreeMap<ImageIndex, RegionalImage>,
    touched: BTreeSet<ImageIndex>,
}

impl Images {
    pub(super) fn get_mut(&mut self, key: &ImageIndex) -> Option<&mut RegionalImage> {
        let found = self.all.get_mut(key)?;
        self.touched.insert(key.clone());
        Some(found)
    }

    pub(super) fn insert(&mut self, key: ImageIndex, image: RegionalImage) {
        self.touched.insert(key.clone());
        self.all.insert(key, image);
    }

    pub(super) fn remove(&mut self, key: &ImageIndex) {
        if self.all.remove(key).is_some() {
            self.touched.insert(key.clone());
        }
    }

    /// Resets the write counts. A saved world does not contain these counts.
    pub(super) fn reset_counts(&mut self) {
        for regional in self.all.values_mut() {
            regional.write_counts = Default::default();
        }
    }

    /// The images that may have changed since the last call of this method, including removed ones.
    pub(super) fn take_touched(&mut self) -> BTreeSet<ImageIndex> {
        std::mem::take(&mut self.touched)
    }
}

impl Deref for Images {
    type Target = BTreeMap<ImageIndex, RegionalImage>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}
