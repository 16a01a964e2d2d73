//! The images that policies revoke for good, and their replacements.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::Region;
use super::resolution::Inputs;
use crate::desired::{ImageRef, Policy, Revocation};
use crate::model::{ImageId, Timestamp};

/// A revocation that is in force for an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Revoked<'a> {
    pub(super) policy: &'a Arc<Policy>,
    pub(super) revocation: &'a Revocation,
}

/// The revocations of a scope, by image.
#[derive(Debug, Default)]
pub(super) struct Revocations<'a> {
    /// Revocations whose time has come.
    pub(super) in_force: BTreeMap<ImageId, Vec<Revoked<'a>>>,
    /// Images that replace a shared image that is revoked or will be, each with the reason.
    pub(super) replacements: BTreeMap<ImageId, Arc<str>>,
    /// Start times of future revocations.
    pub(super) begin_at: BTreeSet<Timestamp>,
}

impl<'a> Revocations<'a> {
    pub(super) fn new(inputs: &Inputs<'a>, region: &Region<'a>) -> Self {
        let mut all = Self::default();
        for policy in inputs.desired.policies {
            for revocation in &policy.revocations {
                all.add(inputs, region, Revoked { policy, revocation });
            }
        }
        // An image that is itself revoked replaces nothing.
        all.replacements
            .retain(|id, _| !all.in_force.contains_key(id));
        all
    }

    fn add(&mut self, inputs: &Inputs<'_>, region: &Region<'_>, revoked: Revoked<'a>) {
        let revocation = revoked.revocation;
        let begins = revocation.at;
        let is_in_force = begins.is_none_or(|at| inputs.clocks.all(|now| now >= at));
        let is_own = |id: &&ImageId| region.images.get(*id).is_some_and(|it| it.own.is_some());
        let images: BTreeSet<&ImageId> = match &revocation.image {
            ImageRef::Name(name) => region.named(name.as_str()),
            ImageRef::Id(id) => [id].into_iter().filter(is_own).collect(),
        };
        if !is_in_force && !images.is_empty() {
            self.begin_at.extend(begins);
        }
        for id in images {
            if is_in_force {
                self.in_force.entry(id.clone()).or_default().push(revoked);
            }
            let is_shared = region.images[id].share.is_any();
            let Some(replacement) = revocation.replacement.as_ref().filter(|_| is_shared) else {
                continue;
            };
            for other in region.named(replacement.as_str()) {
                let what = format!(
                    "it replaces {id}, which policy `{}` revokes",
                    revoked.policy.name()
                );
                self.replacements.insert(other.clone(), what.into());
            }
        }
    }
}

impl Revoked<'_> {
    /// Why the share is not cancelled before its replacement is NORMAL, if it must wait for that.
    pub(super) fn awaits_replacement(&self, region: &Region<'_>) -> Option<Arc<str>> {
        let replacement = self.revocation.replacement.as_ref()?;
        if self.revocation.force {
            return None;
        }
        let ids = region.named(replacement.as_str());
        match ids.len() {
            0 => Some(format!("its replacement `{replacement}` is not here").into()),
            _ if ids.iter().any(|id| region.is_normal(id)) => None,
            _ => Some(format!("its replacement `{replacement}` is not NORMAL yet").into()),
        }
    }
}
