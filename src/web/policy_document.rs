//! The part of `/status.json` about what may be pruned and within which caps.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::{Policy, Prune};

#[derive(Serialize)]
pub(super) struct PolicyDocument {
    prune: Prune,
    max_cancels: u32,
    max_cancels_percent: u32,
    /// Losses that flags accept, by account and region.
    accept_lost: BTreeMap<String, u32>,
}

impl PolicyDocument {
    pub(super) fn of(policy: &Policy) -> Self {
        let losses = policy.accept_lost.iter();
        Self {
            prune: policy.prune,
            max_cancels: policy.max_cancels,
            max_cancels_percent: policy.max_cancels_percent,
            accept_lost: losses
                .map(|(scope, lost)| (scope.to_string(), *lost))
                .collect(),
        }
    }
}
