//! Labels, and the selector that limits a run or a suspension to some images.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AccountName, ImageId, ImageKey, Region, Scope};

/// Labels of a manifest document.
pub type Labels = BTreeMap<String, String>;

/// Selects image keys. A key must match one of the given accounts, one of the regions, one of the images, and all of the
/// labels. A set that is not given matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// A key matches if its account is in this set; an empty set matches all.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<AccountName>,
    /// A key matches if its region is in this set; an empty set matches all.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<Region>,
    /// A key matches if its image is in this set; an empty set matches all.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub images: BTreeSet<ImageId>,
    /// A document must have all of these labels. An image that no manifest names has no labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
}

impl Selector {
    /// Whether the selector matches everything.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the selector can match an image of `scope`.
    pub fn reaches(&self, scope: &Scope) -> bool {
        given(&self.accounts, &scope.account) && given(&self.regions, &scope.region)
    }

    /// Whether some key could match both selectors, without regard to labels.
    pub fn meets(&self, other: &Self) -> bool {
        overlap(&self.accounts, &other.accounts)
            && overlap(&self.regions, &other.regions)
            && overlap(&self.images, &other.images)
    }

    /// Whether the selector matches the key, without regard to labels.
    pub fn matches_key(&self, key: &ImageKey) -> bool {
        self.reaches(&key.scope) && given(&self.images, &key.image)
    }

    /// Whether the selector matches the key of a document with `labels`.
    pub fn matches(&self, key: &ImageKey, labels: &Labels) -> bool {
        self.matches_key(key) && self.matches_labels(labels)
    }

    /// Whether the selector matches images of a document with `labels`.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        let mut given = self.labels.iter();
        given.all(|(name, value)| labels.get(name) == Some(value))
    }
}

fn given<T: Ord>(set: &BTreeSet<T>, item: &T) -> bool {
    set.is_empty() || set.contains(item)
}

fn overlap<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> bool {
    one.is_empty() || other.is_empty() || !one.is_disjoint(other)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(name: &str, set: &BTreeSet<T>) -> Option<String> {
            let items: Vec<_> = set.iter().map(ToString::to_string).collect();
            (!items.is_empty()).then(|| format!("{name} {}", items.join(", ")))
        }
        let labels: Vec<_> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let parts = [
            list("account", &self.accounts),
            list("region", &self.regions),
            list("image", &self.images),
            (!labels.is_empty()).then(|| format!("label {}", labels.join(", "))),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            f.write_str("everything")
        } else {
            f.write_str(&parts.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_given_fields_of_a_selector_narrow_it() {
        let key = ImageKey {
            scope: Scope {
                account: AccountName::default(),
                region: Region::new("ap-tokyo").expect("a region"),
            },
            image: ImageId::new("img-a").expect("an id"),
        };
        let labels = Labels::from([("team".into(), "web".into())]);
        assert!(Selector::default().matches(&key, &Labels::new()));
        let narrowed = Selector {
            regions: [Region::new("ap-tokyo").expect("a region")].into(),
            labels: labels.clone(),
            ..Default::default()
        };
        assert!(narrowed.matches(&key, &labels));
        assert!(!narrowed.matches(&key, &Labels::new()));
        assert_eq!(narrowed.to_string(), "region ap-tokyo; label team=web");
        let elsewhere = Selector {
            accounts: [AccountName::new("prod").expect("a name")].into(),
            ..Default::default()
        };
        assert!(!elsewhere.reaches(&key.scope));
        assert_eq!(Selector::default().to_string(), "everything");
    }
}
