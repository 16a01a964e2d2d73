//! Places of which there are only so many.

use std::cell::Cell;
use std::rc::Rc;

/// Places to be had.
#[derive(Clone)]
pub(super) struct Slots(Rc<Cell<usize>>);

/// A place that is given back when dropped.
pub(super) struct Slot(Slots);

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self(Rc::new(Cell::new(count)))
    }

    /// A place, if there is one.
    pub(super) fn take(&self) -> Option<Slot> {
        self.0.set(self.0.get().checked_sub(1)?);
        Some(Slot(self.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o6_a_place_is_free_again_once_it_is_given_back() {
        let slots = Slots::new(1);
        let held = slots.take();
        assert!(held.is_some() && slots.take().is_none());
        drop(held);
        assert!(slots.take().is_some());
    }
}
