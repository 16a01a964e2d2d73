//! Accounts, images and blueprints as the world file gives them. Every public field is a field of that file.

use serde::{Deserialize, Serialize};

use super::role_config::CamRole;
use crate::model::Region;

/// An account: its key, its permissions, its images and blueprints.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Account {
    /// For people, and for `--sim` to find it by.
    pub name: String,
    /// Number of the root account.
    pub uin: String,
    /// Made up, so it may be shown.
    pub secret_id: String,
    /// Made up, so it may be shown.
    pub secret_key: String,
    /// If given, calls with the key need this token, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The key is no longer known: `AuthFailure.SecretIdNotFound`. Temporary keys that were issued for it still work.
    pub revoked: bool,
    /// Actions that are refused with `UnauthorizedOperation.NoPermission`, or AssumeRole with `UnauthorizedOperation`.
    pub deny: Vec<String>,
    /// State of the Lighthouse service role.
    pub role: Role,
    /// Roles that other keys can assume.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<CamRole>,
    pub images: Vec<Image>,
    /// More images, whose ids are numbered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generate: Vec<Generate>,
    /// Blueprints besides those of the images above: of other accounts, or a second one of an image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blueprints: Vec<ExtraBlueprint>,
}

/// A blueprint that exists whatever is shared and cancelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtraBlueprint {
    /// The blueprint's id, such as `lhbp-1a2b3c4d`.
    pub id: String,
    /// Its `ImageId`; `""` for none, as the vendor's own blueprints have it.
    #[serde(default)]
    pub image_id: String,
    /// Regions that have it; none means all 15.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Its `BlueprintState`; `""` for none.
    #[serde(default = "ExtraBlueprint::normal")]
    pub state: String,
    /// Its `BlueprintType`; the world's by default.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<BlueprintType>,
}

impl ExtraBlueprint {
    fn normal() -> String {
        "NORMAL".into()
    }

    /// Whether the region has it.
    pub(super) fn is_in(&self, region: Region) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|name| name == region.as_str())
    }
}

/// A custom image in one region or several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// The image's id, such as `img-6pb6lrmy`.
    pub id: String,
    /// Regions that have it; none means all 15.
    pub regions: Vec<String>,
    /// By default, the id is the name.
    pub name: String,
    /// `ImageSource`: `CREATE_IMAGE` or `EXTERNAL_IMPORT`.
    pub source: String,
    /// `ImageClass`: `SystemImage` or `InstanceImage`.
    pub class: String,
    /// `ImageState`, such as `NORMAL` or `CREATING`.
    pub state: String,
    pub cloud_init: bool,
    /// Family of operating systems, such as `Ubuntu`.
    pub platform: String,
    /// Such as `Ubuntu Server 24.04 LTS 64bit`.
    pub os_name: String,
    /// Whether images with this platform and operating system may be shared.
    pub os_accepted: bool,
    /// Either `x86_64` or `arm64`.
    pub architecture: String,
    /// In UTC, written as `YYYY-MM-DDThh:mm:ssZ`.
    pub created_time: String,
    /// Whether it is shared from the start.
    pub shared: bool,
    /// The blueprint that it is shared as; made up if not given. `--sim` keeps it from run to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_id: Option<String>,
    /// The `BlueprintState` of its blueprint after `SYNCING`; `""` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_state: Option<String>,
    /// The image was deleted while it was shared. Its blueprint is left, and every write is refused because there is
    /// no such image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Another account shares it with this one: its type is `SHARED_IMAGE` instead of `PRIVATE_IMAGE`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub received: bool,
    /// Servers use it, so that CANCEL is refused.
    pub in_use: bool,
    /// Number of writes that are refused with `ImageOccupied` before one is accepted.
    pub occupied_calls: u32,
    /// Every write is refused with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Many images with ids of `prefix` and a number of eight digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generate {
    /// Number of images in each region.
    pub count: u32,
    /// The beginning of each id.
    #[serde(default = "Generate::prefix")]
    pub prefix: String,
    /// Regions that have it; none means all 15.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Whether it is shared from the start.
    #[serde(default)]
    pub shared: bool,
}

impl Generate {
    fn prefix() -> String {
        "img-".into()
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
        }
    }
}

impl Default for Image {
    fn default() -> Self {
        Self {
            id: String::new(),
            regions: Vec::new(),
            name: String::new(),
            source: "CREATE_IMAGE".into(),
            class: "SystemImage".into(),
            state: "NORMAL".into(),
            cloud_init: true,
            platform: "Ubuntu".into(),
            os_name: "Ubuntu Server 24.04 LTS 64bit".into(),
            os_accepted: true,
            architecture: "x86_64".into(),
            created_time: "2026-01-02T08:00:00Z".into(),
            shared: false,
            blueprint_id: None,
            blueprint_state: None,
            deleted: false,
            received: false,
            in_use: false,
            occupied_calls: 0,
            error: None,
        }
    }
}
