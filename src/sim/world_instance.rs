//! Lighthouse servers in the world file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Region;

/// A Lighthouse server with its blueprint, which is given directly or through an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Instance {
    /// The server's id, such as `lhins-1a2b3c4d`.
    pub id: String,
    pub region: String,
    /// Name of the server; by default, the id is the name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Id of the blueprint that it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<String>,
    /// Id or name of an image: the server uses the current or last blueprint of the image. Until the image has had a
    /// blueprint, the server does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its `InstanceState`; `RUNNING` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Values of its tags, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    /// Performs the checks that serde cannot. The error is a text for people.
    pub(super) fn check(&self) -> Result<(), String> {
        let id = &self.id;
        if id.is_empty() {
            return Err("an instance has no `id`".into());
        }
        if self.blueprint.is_some() == self.image.is_some() {
            return Err(format!(
                "instance `{id}`: give either the `blueprint` or the `image` that it uses"
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
