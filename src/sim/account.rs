use serde::{Deserialize, Serialize};

use super::role_config::CamRole;
use crate::model::Region;

/// One account: a key and its images.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Account {
    /// For people, and for `--sim` to find it by.
    pub name: String,
    /// The root account's number.
    pub uin: String,
    /// Part of the key; made up.
    pub secret_id: String,
    /// Part of the key; made up.
    pub secret_key: String,
    /// Needed with the key, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The key is no longer known: `AuthFailure.SecretIdNotFound`. Temporary keys that it brought live on.
    pub revoked: bool,
    /// Actions that are refused with `UnauthorizedOperation.NoPermission`, or AssumeRole with `UnauthorizedOperation`.
    pub deny: Vec<String>,
    /// The Lighthouse service role.
    pub role: Role,
    /// Roles that can be assumed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<CamRole>,
    /// Its images.
    pub images: Vec<Image>,
    /// More images, by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generate: Vec<Generate>,
    /// Blueprints that no image of the list above shows as: another account's, or one beside an image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blueprints: Vec<Beside>,
}

/// A blueprint that is there whatever is shared and cancelled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Beside {
    /// `lhbp-…`.
    pub id: String,
    /// Its `ImageId`; none is `""`, as the vendor's own have it.
    #[serde(default)]
    pub image_id: String,
    /// Where; none means all 15.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Its `BlueprintState`; `""` is none.
    #[serde(default = "Beside::normal")]
    pub state: String,
    /// Its `BlueprintType`; default: that of the world.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<BlueprintType>,
}

impl Beside {
    fn normal() -> String {
        "NORMAL".into()
    }

    /// Whether it is in that region.
    pub(super) fn is_in(&self, region: Region) -> bool {
        self.regions.is_empty() || self.regions.iter().any(|name| name == region.as_str())
    }
}

/// One custom image, in one region or several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Image {
    /// `img-…`.
    pub id: String,
    /// Where it is; none means all 15.
    pub regions: Vec<String>,
    /// Its name; default: its id.
    pub name: String,
    /// `CREATE_IMAGE` or `EXTERNAL_IMPORT`.
    pub source: String,
    /// `SystemImage` or `InstanceImage`.
    pub class: String,
    /// `NORMAL`, `CREATING`, …
    pub state: String,
    /// CloudInit.
    pub cloud_init: bool,
    /// Such as `Ubuntu`.
    pub platform: String,
    /// Such as `Ubuntu Server 24.04 LTS 64bit`.
    pub os_name: String,
    /// Whether platform and operating system are ones that may be shared.
    pub os_accepted: bool,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `YYYY-MM-DDThh:mm:ssZ`.
    pub created_time: String,
    /// Shared from the start.
    pub shared: bool,
    /// The blueprint it is shared as; made up if not given. A world that is kept keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_id: Option<String>,
    /// The `BlueprintState` that its blueprint comes to, once it is not `SYNCING` any longer; `""` is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint_state: Option<String>,
    /// It was deleted while it was shared: its blueprint is left over, and every write answers that there is no such image.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Another account shares it with this one: `SHARED_IMAGE`, and not `PRIVATE_IMAGE`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub received: bool,
    /// Servers use it, so CANCEL is refused.
    pub in_use: bool,
    /// So many writes are refused with `ImageOccupied` before one is taken.
    pub occupied_calls: u32,
    /// Every write is refused with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Images by number: `prefix` and a number of eight digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generate {
    /// How many in each region.
    pub count: u32,
    /// Begins each id.
    #[serde(default = "Generate::prefix")]
    pub prefix: String,
    /// Where; none means all 15.
    #[serde(default)]
    pub regions: Vec<String>,
    /// Shared from the start.
    #[serde(default)]
    pub shared: bool,
}

impl Generate {
    fn prefix() -> String {
        "img-".into()
    }
}

/// The Lighthouse service role of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// As it should be.
    #[default]
    Present,
    /// `ResourceNotFound.RoleNotFound`.
    Missing,
    /// `UnsupportedOperation.AssumeRoleFailed`.
    Denied,
}

/// How the blueprint of a shared image shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BlueprintType {
    /// `PRIVATE`.
    #[default]
    Private,
    /// `SHARED`.
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
