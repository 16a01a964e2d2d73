//! Policies and lock files → desired state: checks everything that concerns more than one of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::document::{Lock, PolicyDocument};
use crate::desired::{ImageRef, Policy, PolicyLock};
use crate::manifest::diagnostic::{Place, Sink};
use crate::manifest::suggest::did_you_mean;
use crate::model::{AccountName, ImageName, Region, Scope};

/// The policies of each scope, in the order of their names.
pub(super) fn by_scope(documents: Vec<PolicyDocument>) -> BTreeMap<Scope, Vec<Arc<Policy>>> {
    let policies = documents.into_iter().filter_map(|document| document.policy);
    let mut policies: Vec<_> = policies.map(Arc::new).collect();
    policies.sort_by(|a, b| a.name().cmp(b.name()));
    let mut scopes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for policy in policies {
        for &region in &policy.regions {
            let account = policy.account.clone();
            let here: &mut Vec<_> = scopes.entry(Scope { account, region }).or_default();
            here.push(Arc::clone(&policy));
        }
    }
    scopes
}

/// Reports replacements that a policy of the same account and region revokes. Such a replacement is never shared, so
/// the image that it should replace would stay.
pub(super) fn check_replacements(documents: &[PolicyDocument], sink: &mut Sink<'_>) {
    let mut revoked: BTreeMap<(AccountName, Region, &ImageName), Place> = BTreeMap::new();
    for document in documents {
        let account = document.header.account_name();
        for (image, place) in &document.revoked {
            if let ImageRef::Name(name) = image {
                for (region, _) in &document.header.regions {
                    let key = (account.clone(), *region, name);
                    revoked.entry(key).or_insert(*place);
                }
            }
        }
    }
    for document in documents {
        let account = document.header.account_name();
        for (name, place) in &document.replacements {
            let mut regions = document.header.regions.iter();
            let taken =
                regions.find_map(|(region, _)| revoked.get(&(account.clone(), *region, name)));
            if let Some(&taken) = taken {
                sink.error(
                    *place,
                    format!("the replacement `{name}` is itself revoked"),
                )
                .related(taken, "revoked here")
                .help("name an image that stays, or omit `replacement`");
            }
        }
    }
}

/// The lock files' entries for each policy.
pub(super) fn locks(
    documents: Vec<Lock>,
    policies: &[PolicyDocument],
    sink: &mut Sink<'_>,
) -> BTreeMap<Arc<str>, PolicyLock> {
    let known = || {
        let named = policies
            .iter()
            .filter_map(|policy| policy.header.name.as_ref());
        named.map(|(name, _)| name.as_str())
    };
    let mut locks: BTreeMap<Arc<str>, (Place, PolicyLock)> = BTreeMap::new();
    for (name, place, lock) in documents.into_iter().flat_map(|lock| lock.policies) {
        if !known().any(|policy| *policy == *name) {
            let help = did_you_mean(&name, known())
                .unwrap_or_else(|| "run `sharekeeper lock`, which removes it".to_owned());
            sink.warning(place, format!("no ImageSharePolicy is named `{name}`"))
                .help(help);
        }
        match locks.entry(name) {
            Entry::Vacant(free) => {
                free.insert((place, lock));
            }
            Entry::Occupied(taken) => {
                let message = format!("policy `{}` is locked twice", taken.key());
                sink.duplicate(place, taken.get().0, &message)
                    .help("keep one lock file, as `sharekeeper lock` writes it");
            }
        }
    }
    let locks = locks.into_iter().map(|(name, (_, lock))| (name, lock));
    locks.collect()
}
