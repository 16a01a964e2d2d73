//! The caps on how much of a scope one run may prune (S7). It must not know why an image is pruned.

use super::policy::{EXEMPT_BELOW, Policy};

/// By how much a scope's pruning exceeds its caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapExceeded {
    /// Images that would be pruned.
    pub cancels: usize,
    /// What `--max-cancels` must be at least, if it is in the way.
    pub needs_count: Option<usize>,
    /// What `--max-cancels-percent` must be at least, if it is in the way.
    pub needs_percent: Option<usize>,
}

impl CapExceeded {
    /// Holds `cancels` of `of` images against the caps; `None`: within them.
    pub(super) fn check_cap(cancels: usize, of: usize, policy: &Policy) -> Option<Self> {
        let needs_count = (cancels > policy.max_cancels as usize).then_some(cancels);
        let percent = (cancels * 100).div_ceil(of);
        let needs_percent = (of >= EXEMPT_BELOW
            && cancels * 100 > of * policy.max_cancels_percent as usize)
            .then_some(percent);
        (needs_count.is_some() || needs_percent.is_some()).then_some(Self {
            cancels,
            needs_count,
            needs_percent,
        })
    }

    /// The flags that let it pass.
    pub fn flags(&self) -> String {
        let flags = [
            self.needs_count.map(|n| format!("--max-cancels {n}")),
            self.needs_percent
                .map(|n| format!("--max-cancels-percent {n}")),
        ];
        flags.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
