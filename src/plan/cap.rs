//! The caps on how much of a scope one run may prune (S7). This file must not know why an image is pruned.

use std::fmt;

use super::policy::{Bound, BoundOrigin, EXEMPT_BELOW, Policy};

/// How far a scope's pruning exceeds its caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapExceeded {
    /// Images that would be pruned.
    pub cancels: usize,
    /// `--max-cancels`, if this cap is exceeded.
    pub count: Option<ExceededCap>,
    /// `--max-cancels-percent`, if this cap is exceeded.
    pub percent: Option<ExceededCap>,
}

/// One cap that is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceededCap {
    /// The number or percentage that it allows.
    pub max: u32,
    /// Where its value comes from.
    pub origin: BoundOrigin,
    /// The value that it must have at least.
    pub needs: usize,
}

impl CapExceeded {
    /// Compares `cancels` out of `of` images with the caps; `None` if they are within them.
    pub(super) fn check_cap(cancels: usize, of: usize, policy: &Policy) -> Option<Self> {
        let count = (cancels > policy.max_cancels as usize).then_some(ExceededCap {
            max: policy.max_cancels,
            origin: policy.cap_origins.count,
            needs: cancels,
        });
        let is_over =
            of >= EXEMPT_BELOW && cancels * 100 > of * policy.max_cancels_percent as usize;
        let percent = is_over.then_some(ExceededCap {
            max: policy.max_cancels_percent,
            origin: policy.cap_origins.percent,
            needs: (cancels * 100).div_ceil(of),
        });
        (count.is_some() || percent.is_some()).then_some(Self {
            cancels,
            count,
            percent,
        })
    }

    /// The flags that would raise the caps far enough.
    pub fn flags(&self) -> String {
        let flags = [
            self.count.map(|cap| format!("--max-cancels {}", cap.needs)),
            self.percent
                .map(|cap| format!("--max-cancels-percent {}", cap.needs)),
        ];
        flags.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for CapExceeded {
    /// The exceeded caps, each with the origin of its value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self
            .count
            .map(|cap| (Bound::MaxCancels(cap.max), cap.origin));
        let percent = self
            .percent
            .map(|cap| (Bound::MaxCancelsPercent(cap.max), cap.origin));
        let caps = [count, percent].into_iter().flatten();
        let caps: Vec<_> = caps
            .map(|(bound, origin)| format!("`{bound}` ({})", origin.of(&bound)))
            .collect();
        f.write_str(&caps.join(" and "))
    }
}
