//! Checks whether the flags that narrow a command select anything. An unknown name is misspelt, and an error; a known
//! name that selects nothing causes a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::output::Failure;
use super::state;
use crate::desired::{Desired, DocumentMetadata};
use crate::ledger::LedgerReader;
use crate::manifest::nearest;
use crate::model::{AccountName, Selector};
use crate::plan::Prune;
use crate::store::Reader;
use crate::words::{brief, first_of, plural};

/// The data that a selection is compared with.
pub(super) struct Known<'a> {
    pub(super) desired: &'a Desired,
    pub(super) reader: &'a Reader,
}

/// Refuses accounts that neither manifests nor state know, for commands that search for images that both may not know.
pub(super) fn refuse_unknown_accounts(
    desired: &Desired,
    directory: &Path,
    selector: &Selector,
) -> Result<(), Failure> {
    let reader = &state::read(directory)?;
    let unknown = Known { desired, reader }.unknown_accounts(selector)?;
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Failure::usage(unknown.join("\n"))),
    }
}

impl Known<'_> {
    /// Refuses all names that neither manifests nor state know, together.
    pub(super) async fn refuse_unknown(&self, selector: &Selector) -> Result<(), Failure> {
        let unknown = self.unknown(selector).await?;
        match unknown.is_empty() {
            true => Ok(()),
            false => Err(Failure::usage(unknown.join("\n"))),
        }
    }

    /// A line for each name that neither manifests nor state know.
    pub(super) async fn unknown(&self, selector: &Selector) -> Result<Vec<String>, Failure> {
        let mut unknown = self.unknown_accounts(selector)?;
        unknown.extend(self.unknown_images(selector).await?);
        unknown.extend(self.unknown_labels(selector));
        Ok(unknown)
    }

    /// [`Known::unknown`] for accounts alone.
    pub(super) fn unknown_accounts(&self, selector: &Selector) -> Result<Vec<String>, Failure> {
        if selector.accounts.is_empty() {
            return Ok(Vec::new());
        }
        let summary = self.reader.summary().map_err(Failure::new)?;
        let scopes = summary.scopes.keys().chain(summary.accounts.keys());
        let mut known: BTreeSet<AccountName> = scopes.map(|scope| scope.account.clone()).collect();
        known.extend(self.desired.names());
        // The default account, with ambient credentials, needs no document.
        known.insert(AccountName::default());
        let unknown = selector.accounts.difference(&known);
        Ok(unknown
            .map(|name| {
                let hint = hint(name.as_str(), known.iter().map(AccountName::as_str));
                format!("neither the manifests nor the state know the account `{name}`{hint}")
            })
            .collect())
    }

    /// If documents name images by name or by policy, only an observation shows their ids, so any id may be valid.
    async fn unknown_images(&self, selector: &Selector) -> Result<Vec<String>, Failure> {
        let mut scopes = self
            .desired
            .scopes()
            .filter(|scope| selector.reaches(scope));
        let has_names = scopes.any(|scope| {
            self.desired.names.contains_key(scope) || self.desired.policies.contains_key(scope)
        });
        if selector.images.is_empty() || has_names {
            return Ok(Vec::new());
        }
        let declared = self.desired.images.keys().map(|key| key.image.clone());
        let mut known: BTreeSet<_> = declared.collect();
        for scope in self.reader.summary().map_err(Failure::new)?.scopes.keys() {
            let inventory = self.reader.inventory(scope).await.map_err(Failure::new)?;
            known.extend(inventory.images.into_keys());
            known.extend(inventory.open_intents.into_keys());
            known.extend(inventory.memory.names.into_values());
        }
        let unknown = selector.images.difference(&known);
        Ok(unknown
            .map(|image| {
                let hint = hint(image.as_str(), known.iter().map(|known| known.as_str()));
                format!("neither the manifests nor the inventory know the image `{image}`{hint}")
            })
            .collect())
    }

    fn unknown_labels(&self, selector: &Selector) -> Vec<String> {
        if selector.labels.is_empty() {
            return Vec::new();
        }
        let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for document in documents(self.desired) {
            for (key, value) in document.labels.iter() {
                known.entry(key).or_default().insert(value);
            }
        }
        let unknown = selector.labels.iter().filter_map(|(key, value)| {
            let (key, value) = (key.as_str(), value.as_str());
            match known.get(key) {
                None => {
                    let hint = hint(key, known.keys().copied());
                    Some(format!("no document has a label `{}`{hint}", brief(key)))
                }
                Some(values) if !values.contains(value) => {
                    let near = nearest(value, values.iter().copied());
                    let hint = match near {
                        Some(near) => format!(": did you mean `{key}={near}`?"),
                        None => format!("; the values are {}", listed(values.iter().copied())),
                    };
                    let label = format!("{key}={value}");
                    Some(format!(
                        "no document has the label `{}`{hint}",
                        brief(&label)
                    ))
                }
                Some(_) => None,
            }
        });
        unknown.collect()
    }

    /// A warning if the flags select nothing: no named image, and none of ours that would be pruned.
    pub(super) async fn nothing(
        &self,
        selector: &Selector,
        prune: Prune,
    ) -> Result<Option<String>, Failure> {
        if self.desired.is_selected(selector) || self.may_prune(selector, prune).await? {
            return Ok(None);
        }
        let named = plural(self.desired.entries() as u64, "image");
        Ok(Some(format!(
            "nothing to do: the manifests name {named}, and the flags exclude all of them"
        )))
    }

    /// Whether there may be something to prune. Images that no manifest names have no labels.
    async fn may_prune(&self, selector: &Selector, prune: Prune) -> Result<bool, Failure> {
        if prune == Prune::None || !selector.labels.is_empty() {
            return Ok(false);
        }
        for scope in self.desired.by_scope(selector).into_keys() {
            let inventory = self.reader.inventory(scope).await.map_err(Failure::new)?;
            let mut images = inventory.images.keys();
            let is_picked = |image| selector.images.is_empty() || selector.images.contains(image);
            if prune == Prune::Exclusive || images.any(is_picked) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The metadata of each document about images, once for each image or scope.
fn documents(desired: &Desired) -> impl Iterator<Item = &DocumentMetadata> {
    let images = desired.images.values();
    let names = desired.names.values().flat_map(BTreeMap::values);
    let entries = images.chain(names).map(|image| &*image.document);
    let policies = desired.policies.values().flatten();
    entries.chain(policies.map(|policy| &*policy.document))
}

/// A hint: the name that was probably meant, or else the possible names.
fn hint<'k>(typed: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    match nearest(typed, known.clone()) {
        Some(near) => format!(": did you mean `{near}`?"),
        None if known.clone().next().is_none() => String::new(),
        None => format!("; known are {}", listed(known)),
    }
}

fn listed<'k>(known: impl Iterator<Item = &'k str>) -> String {
    let known: Vec<_> = known.map(|word| format!("`{}`", brief(word))).collect();
    first_of(&known)
}
