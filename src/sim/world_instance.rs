//! Lighthouse servers as the world file gives them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Region;

/// A Lighthouse server, which uses a blueprint: one that is given, or that of an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Instance {
    /// The server's id, such as `lhins-1a2b3c4d`.
    pub id: String,
    pub region: String,
    /// By default, the id is the name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Id of the blueprint that it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<String>,
    /// Id or name of an image: the server uses the blueprint that the image has, or had last. Before it has had one, there is
    /// no such server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// `InstanceState`; `RUNNING` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Values of its tags by their keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    /// Checks what serde cannot; the error is a text for people.
    pub(super) fn check(&self) -> Result<(), String> {
        let id = &self.id;
        if id.is_empty() {
            return Err("an instance has no `id`".into());
        }
        if self.blueprint.is_some() == self.image.is_some() {
            return Err(format!(
                "instance `{id}`: give the `blueprint` or the `image` that it uses"
            ));
        }
        match Region::new(&self.region) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("instance `{id}`: `{}`: {error}", self.region)),
        }
    }

    pub(super) fn shown_name(&self) -> &str {
        if self.name.is_empty() {
            &self.id
        } else {
            &self.name
        }
    }
}
