//! Accounts and blueprints of the world file. Every public field is a field of that file.

use serde::{Deserialize, Serialize};

use super::role_config::CamRole;
use super::world_image::{Generate, Image};
use super::world_instance::Instance;
use crate::model::Region;

/// An account with its key, permissions, images, blueprints and servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Account {
    /// Name for people; `--sim` also finds the account by it.
    pub name: String,
    /// The uin of the root account.
    pub uin: String,
    /// The secret id; it is invented, so it may be shown.
    pub secret_id: String,
    /// The secret key; it is invented, so it may be shown.
    pub secret_key: String,
    /// If set, calls with the key need this token too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether the key is no longer known (`AuthFailure.SecretIdNotFound`). Temporary keys that were issued for it still
    /// work.
    pub revoked: bool,
    /// Actions that are refused with `UnauthorizedOperation.NoPermission`; AssumeRole is refused with
    /// `UnauthorizedOperation`.
    pub deny: Vec<String>,
    /// State of the Lighthouse service role.
    pub role: Role,
    /// Roles that other keys can assume.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<CamRole>,
    pub images: Vec<Image>,
    /// Further images with numbered ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generate: Vec<Generate>,
    /// Blueprints besides those of the images above: of other accounts, or a second blueprint of an image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blueprints: Vec<ExtraBlueprint>,
    /// Lighthouse servers, each of which uses a blueprint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Instance>,
}

/// A blueprint that exists independently of shares and cancels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtraBlueprint {
    /// The blueprint's id, such as `lhbp-1a2b3c4d`.
    pub id: String,
    /// Its `ImageId`; `""` for none, as in the vendor's own blueprints.
    #[serde(default)]
    pub image_id: String,
    /// Regions that have it; an empty list means all 15.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Its `BlueprintState`; `""` for none.
    #[serde(default = "ExtraBlueprint::normal")]
    pub state: String,
    /// Its `BlueprintType`; by default the world's.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<BlueprintType>,
}

impl ExtraBlueprint {
    fn normal() -> String {
        "NORMAL".into()
    }

    /// Whether the region has the blueprint.
    pub(super) fn is_in(&self, region: Region) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|name| name == region.as_str())
    }
}

/// State of the service role through which Lighthouse reads images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    #[default]
    Present,
    Missing,
    Denied,
}

/// `BlueprintType` of the blueprint of a shared image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BlueprintType {
    #[default]
    Private,
    Shared,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            name: "default".into(),
            uin: "100000000001".into(),
            secret_id: "AKIDsim0000000000000000000000default".into(),
            secret_key: "simulated-key-of-default".into(),
            token: None,
            revoked: false,
            deny: Vec::new(),
            role: Role::default(),
            roles: Vec::new(),
            images: Vec::new(),
            generate: Vec::new(),
            blueprints: Vec::new(),
            instances: Vec::new(),
        }
    }
}
