//! Fields that several kinds of documents have: `metadata` and regions.

use std::collections::BTreeMap;

use super::fields::{Fields, Reader};
use super::yaml::{Node, Value};
use crate::manifest::diagnostic::Place;
use crate::manifest::suggest::did_you_mean;
use crate::model::{Region, is_object_name};

/// The `metadata` of a document.
pub(super) struct Metadata {
    /// `None` if it is not a valid name, which is reported.
    pub name: Option<String>,
    /// The place of the name, valid or not.
    pub place: Place,
    pub labels: BTreeMap<String, String>,
}

impl Reader<'_, '_> {
    pub(super) fn metadata(&mut self, fields: &Fields<'_, '_>) -> Option<Metadata> {
        let node = self.required(fields, "metadata", "the document")?;
        let metadata = self.fields(node, "`metadata`", &["name", "labels", "annotations"])?;
        let mut labels = BTreeMap::new();
        for (name, keep) in [("labels", true), ("annotations", false)] {
            let Some(node) = metadata.get(name) else {
                continue;
            };
            let Value::Map(pairs) = &node.value else {
                self.error(
                    node,
                    format!("`{name}` must be a mapping of texts, not {}", node.kind()),
                );
                continue;
            };
            for (key, value) in pairs {
                let key_text = self.text(key, &format!("a key of `{name}`"));
                let value = self.text(value, &format!("a value of `{name}`"));
                if let (Some(text), Some(value), true) = (key_text, value, keep)
                    && labels.insert(text.to_owned(), value.to_owned()).is_some()
                {
                    self.error(key, format!("label `{text}` is given twice"))
                        .help("keep one of the two");
                }
            }
        }
        let node = self.required(&metadata, "name", "`metadata`")?;
        let name = self.text(node, "`name`").filter(|name| {
            let good = is_object_name(name);
            if !good {
                self.error(node, format!("`{name}` is not a valid name"))
                    .help("lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit");
            }
            good
        });
        Some(Metadata {
            name: name.map(str::to_owned),
            place: self.place(node),
            labels,
        })
    }

    pub(super) fn region(&mut self, node: &Node<'_>) -> Option<Region> {
        let text = self.text(node, "a region")?;
        if let Ok(region) = Region::new(text) {
            return Some(region);
        }
        let all = || Region::all().map(Region::as_str);
        let listed = || format!("the regions are: {}", all().collect::<Vec<_>>().join(", "));
        let help = did_you_mean(text, all()).unwrap_or_else(listed);
        self.error(
            node,
            format!("`{text}` is not a region that supports image sharing"),
        )
        .help(help);
        None
    }
}
