//! The shapes of requests and replies on the wire, shared by the client and the simulator.
//!
//! Parsing is strict where a lax reading could lose images: a list that is absent or null is an
//! error, not an empty list. Fields nobody needs may be absent. Sources: the official SDK's models, and for
//! limits the actions' documentation.

use serde::{Deserialize, Deserializer, Serialize};

/// Largest `Limit` of a Describe call.
pub const PAGE_LIMIT_MAX: u32 = 100;

/// A service of the cloud: signs under its own name, answers at its own host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Images and what Lighthouse may do with them.
    Lighthouse,
    /// Whose a key is.
    Sts,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Lighthouse, Self::Sts];

    /// The name in the credential scope.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lighthouse => "lighthouse",
            Self::Sts => "sts",
        }
    }

    /// The API version that the shapes here are of: the value of `X-TC-Version`.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Lighthouse => "2020-03-24",
            Self::Sts => "2018-08-13",
        }
    }
}

/// The actions that sharekeeper uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Share one image or take it back. 20 calls a second.
    ModifyImageSharePermission,
    /// Lists blueprints; a shared image's blueprint carries its `ImageId`. 10 calls a second.
    DescribeBlueprints,
    /// Lists custom images with what hinders sharing. 20 calls a second.
    DescribeImagesToShare,
    /// Tells which account the key belongs to. 20 calls a second.
    GetCallerIdentity,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ModifyImageSharePermission,
        Self::DescribeBlueprints,
        Self::DescribeImagesToShare,
        Self::GetCallerIdentity,
    ];

    /// Who answers it.
    pub const fn service(self) -> Service {
        match self {
            Self::ModifyImageSharePermission
            | Self::DescribeBlueprints
            | Self::DescribeImagesToShare => Service::Lighthouse,
            Self::GetCallerIdentity => Service::Sts,
        }
    }

    /// The value of `X-TC-Action`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModifyImageSharePermission => "ModifyImageSharePermission",
            Self::DescribeBlueprints => "DescribeBlueprints",
            Self::DescribeImagesToShare => "DescribeImagesToShare",
            Self::GetCallerIdentity => "GetCallerIdentity",
        }
    }

    /// Calls the API allows in a sliding second, per account and access point.
    pub const fn limit_per_second(self) -> u32 {
        match self {
            Self::DescribeBlueprints => 10,
            Self::ModifyImageSharePermission
            | Self::DescribeImagesToShare
            | Self::GetCallerIdentity => 20,
        }
    }
}

/// Body of `ModifyImageSharePermission`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyRequest {
    /// `img-…`.
    pub image_id: String,
    /// `SHARE` or `CANCEL`.
    pub permission: String,
}

/// One `{Name, Values}` filter. Values are alternatives; filters all hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Filter {
    /// Such as `blueprint-type`.
    pub name: String,
    /// Alternatives.
    pub values: Vec<String>,
}

/// Body of `DescribeBlueprints`. `BlueprintIds` and `Filters` exclude each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeBlueprintsRequest {
    /// At most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint_ids: Option<Vec<String>>,
    /// Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Default 20, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// Body of `DescribeImagesToShare`. `ImageIds` and `Filters` exclude each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeImagesRequest {
    /// No maximum is published; 100 is assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ids: Option<Vec<String>>,
    /// Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Default 20, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10, of at most 5 values each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// Body of `GetCallerIdentity`, which takes no parameters.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerIdentityRequest {}

/// The envelope of every reply.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// The reply proper.
    #[serde(rename = "Response")]
    pub response: T,
}

/// What every reply may carry; read first, because an `Error` beside other fields wins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outcome {
    /// Present exactly when the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// Absent when the request never reached the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A business or authentication error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorBody {
    /// Stable, such as `UnsupportedOperation.ImageAlreadyShared`.
    pub code: String,
    /// Localised and free to change: shown, never matched on.
    #[serde(default)]
    pub message: String,
}

/// Reply of `ModifyImageSharePermission`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyReply {
    /// Null after CANCEL, and possibly after SHARE. The outer `None` means that the field is absent: the
    /// reply says neither yes nor no.
    #[serde(default, deserialize_with = "present")]
    pub blueprint_id: Option<Option<String>>,
    /// For the vendor's support.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// Tells a field that is null from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Reply of `DescribeBlueprints`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeBlueprintsReply {
    /// Of all pages.
    pub total_count: u64,
    /// This page.
    pub blueprint_set: Vec<Blueprint>,
    /// For the vendor's support.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// One blueprint. Only the id is required of a reply; the rest may be absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Blueprint {
    /// `lhbp-…`.
    pub blueprint_id: String,
    /// The CVM image it was shared from; empty for any other blueprint.
    #[serde(default)]
    pub image_id: Option<String>,
    /// An open set: NORMAL, SYNCING, …
    #[serde(default)]
    pub blueprint_state: String,
    /// An open set: PRIVATE, SHARED, APP_OS, …
    #[serde(default)]
    pub blueprint_type: String,
    /// Usually the image's name.
    #[serde(default)]
    pub blueprint_name: String,
    /// Shown in the console.
    #[serde(default)]
    pub display_title: String,
    /// Shown in the console.
    #[serde(default)]
    pub display_version: String,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// Such as `Ubuntu Server 22.04 LTS 64bit`.
    #[serde(default)]
    pub os_name: String,
    /// Such as `UBUNTU`.
    #[serde(default)]
    pub platform: String,
    /// `LINUX_UNIX` or `WINDOWS`.
    #[serde(default)]
    pub platform_type: String,
    /// A picture.
    #[serde(default)]
    pub image_url: String,
    /// GB.
    #[serde(default)]
    pub required_system_disk_size: i64,
    /// `YYYY-MM-DDThh:mm:ssZ`.
    #[serde(default)]
    pub created_time: Option<String>,
    /// Agent support.
    #[serde(default)]
    pub support_automation_tools: bool,
    /// GB.
    #[serde(default)]
    pub required_memory_size: i64,
    /// Whether it is shared with other accounts: says nothing of sharing from CVM.
    #[serde(default)]
    pub blueprint_shared: bool,
    /// A link.
    #[serde(default)]
    pub community_url: String,
    /// A link.
    #[serde(default)]
    pub guide_url: String,
    /// Scenes.
    #[serde(default)]
    pub scene_id_set: Vec<String>,
    /// Of Docker blueprints.
    #[serde(default)]
    pub docker_version: Option<String>,
}

/// Reply of `DescribeImagesToShare`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeImagesReply {
    /// Of all pages.
    pub total_count: u64,
    /// This page.
    pub image_set: Vec<CustomImage>,
    /// For the vendor's support.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// The same reply, where nothing but the ids matters.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListImagesReply {
    /// Of all pages.
    pub total_count: u64,
    /// This page.
    pub image_set: Vec<ListedImage>,
}

/// An image's id.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedImage {
    /// `img-…`.
    pub image_id: String,
}

/// Reply of `GetCallerIdentity`. Only the account is required of a reply; the rest may be absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallerIdentity {
    /// Such as `qcs::cam:100000000001:uin/100000000001`.
    #[serde(default)]
    pub arn: String,
    /// The uin of the root account that the caller belongs to, whether user, role or federated user.
    pub account_id: String,
    /// The caller's own uin; of a role `roleId:roleSessionName`.
    #[serde(default)]
    pub user_id: String,
    /// The uin of the account that the key belongs to; of a role, of the one that assumed it.
    #[serde(default)]
    pub principal_id: String,
    /// An open set: `CAMUser`, `CAMRole`, …
    #[serde(default)]
    pub r#type: String,
    /// For the vendor's support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// One custom image, and what hinders sharing it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomImage {
    /// `img-…`.
    pub image_id: String,
    /// Free text.
    #[serde(default)]
    pub image_name: String,
    /// Free text.
    #[serde(default)]
    pub image_description: String,
    /// GB.
    #[serde(default)]
    pub image_size: i64,
    /// `CREATE_IMAGE` or `EXTERNAL_IMPORT`.
    #[serde(default)]
    pub image_source: String,
    /// `SystemImage` or `InstanceImage`.
    #[serde(default)]
    pub image_class: String,
    /// CREATING, NORMAL, CREATEFAILED, USING, SYNCING, IMPORTING, IMPORTFAILED.
    #[serde(default)]
    pub image_state: String,
    /// CloudInit.
    #[serde(default)]
    pub is_support_cloudinit: bool,
    /// `x86_64` or `arm64`.
    #[serde(default)]
    pub architecture: String,
    /// Such as `Ubuntu Server 22.04 LTS 64bit`.
    #[serde(default)]
    pub os_name: String,
    /// Such as `Ubuntu`.
    #[serde(default)]
    pub platform: String,
    /// `YYYY-MM-DDThh:mm:ssZ`.
    #[serde(default)]
    pub created_time: String,
    /// Can be shared now; false for an image that is shared already as well.
    pub is_shareable: bool,
    /// Localised free text, empty when shareable: shown, never matched on.
    #[serde(default)]
    pub unshareable_reason: String,
}
