//! The shapes of requests, which the client and the simulator share, and of replies, as far as the client reads them.
//!
//! Replies are read strictly where a lax reading could lose images: a list that is absent or null is an error, not an
//! empty list, and a count in quotes is no count. Of the rest nothing can spoil a reply, because the API's replies do
//! not always match its documentation: fields that nobody uses are not read at all, and those that can be done without
//! are read by `lenient`. Sources: the official SDK's models, and for limits the actions' documentation.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// Largest `Limit` of a Describe call.
pub const PAGE_LIMIT_MAX: u32 = 100;

/// A service of the cloud: signs under its own name, answers at its own host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Images and what Lighthouse may do with them.
    Lighthouse,
    /// Whose a key is.
    Sts,
    /// What Lighthouse does not tell of images: family, tags, deprecation.
    Cvm,
}

impl Service {
    pub const ALL: [Self; 3] = [Self::Lighthouse, Self::Sts, Self::Cvm];

    /// The name in the credential scope.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lighthouse => "lighthouse",
            Self::Sts => "sts",
            Self::Cvm => "cvm",
        }
    }

    /// The API version that the shapes here are of: the value of `X-TC-Version`.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Lighthouse => "2020-03-24",
            Self::Sts => "2018-08-13",
            Self::Cvm => "2017-03-12",
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
    /// Lists Lighthouse instances, each with the blueprint that it uses. 10 calls a second: what the documentation allows
    /// is not known here, so that the least of the product's Describe actions counts.
    DescribeInstances,
    /// Lists images in CVM, with family, tags and deprecation. 10 calls a second.
    DescribeImages,
}

impl Action {
    pub const ALL: [Self; 6] = [
        Self::ModifyImageSharePermission,
        Self::DescribeBlueprints,
        Self::DescribeImagesToShare,
        Self::GetCallerIdentity,
        Self::DescribeInstances,
        Self::DescribeImages,
    ];

    /// The service that answers it.
    pub const fn service(self) -> Service {
        match self {
            Self::ModifyImageSharePermission
            | Self::DescribeBlueprints
            | Self::DescribeImagesToShare
            | Self::DescribeInstances => Service::Lighthouse,
            Self::GetCallerIdentity => Service::Sts,
            Self::DescribeImages => Service::Cvm,
        }
    }

    /// The value of `X-TC-Action`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModifyImageSharePermission => "ModifyImageSharePermission",
            Self::DescribeBlueprints => "DescribeBlueprints",
            Self::DescribeImagesToShare => "DescribeImagesToShare",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::DescribeInstances => "DescribeInstances",
            Self::DescribeImages => "DescribeImages",
        }
    }

    /// The name of the permission for it in CAM.
    pub fn permission(self) -> String {
        format!("{}:{}", self.service().as_str(), self.as_str())
    }

    /// Calls the API allows in a sliding second, per account and access point.
    pub const fn limit_per_second(self) -> u32 {
        match self {
            Self::DescribeBlueprints | Self::DescribeInstances | Self::DescribeImages => 10,
            Self::ModifyImageSharePermission
            | Self::DescribeImagesToShare
            | Self::GetCallerIdentity => 20,
        }
    }
}

/// The body of a `ModifyImageSharePermission` request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyRequest {
    /// An id such as `img-…`.
    pub image_id: String,
    /// Either `SHARE` or `CANCEL`.
    pub permission: String,
}

/// One `{Name, Values}` filter. Values are alternatives; filters all hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Filter {
    /// A name such as `blueprint-type`.
    pub name: String,
    pub values: Vec<String>,
}

/// Body of `DescribeBlueprints`. `BlueprintIds` and `Filters` exclude each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeBlueprintsRequest {
    /// At most 100 ids in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint_ids: Option<Vec<String>>,
    /// The first row of the page; the API's default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Rows of the page; the API's default is 20, its maximum 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10 in one call.
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
    /// The first row of the page; the API's default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Rows of the page; the API's default is 20, its maximum 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10, of at most 5 values each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// Body of `DescribeInstances`. `InstanceIds` and `Filters` exclude each other. No filter is about blueprints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInstancesRequest {
    /// At most 100 ids in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ids: Option<Vec<String>>,
    /// The first row of the page; the API's default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Rows of the page; the API's default is 20, its maximum 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// At most 10 in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
}

/// Body of CVM's `DescribeImages`. `ImageIds` and `Filters` exclude each other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeCvmImagesRequest {
    /// Ids such as `img-…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ids: Option<Vec<String>>,
    /// The first row of the page; the API's default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// Rows of the page; the API's default is 20, its maximum 100.
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

/// What a field says that can be done without: nothing where it is null, or of another type than it should be.
pub(in crate::api) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// An object. Serde would take a list for one as well, field by field: `[0, []]` for an empty page.
pub(in crate::api) struct Object<T>(pub(in crate::api) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        let fields = Fields(PhantomData);
        deserializer.deserialize_map(fields).map(Self)
    }
}

fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let rows = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// A list that null stands for if it is empty.
fn objects_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let rows = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(rows
        .unwrap_or_default()
        .into_iter()
        .map(|row| row.0)
        .collect())
}

/// The envelope of every reply.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(rename = "Response")]
    response: Object<T>,
}

/// Reads a reply out of its envelope.
pub fn response<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let whole = serde_json::from_slice::<Object<Envelope<T>>>(body)?;
    Ok(whole.0.response.0)
}

/// What every reply may carry; read first, because an `Error` beside other fields wins.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReplyBody {
    /// Present exactly when the call failed.
    #[serde(default, deserialize_with = "object_or_null")]
    pub error: Option<ErrorBody>,
    /// Absent when the request never reached the service.
    #[serde(default, deserialize_with = "lenient")]
    pub request_id: Option<String>,
}

fn object_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|object| object.0))
}

/// A business or authentication error.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorBody {
    /// Stable, such as `UnsupportedOperation.ImageAlreadyShared`.
    pub code: String,
    /// Localised and free to change: shown, never matched on.
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<String>,
}

/// What is read of the reply of `ModifyImageSharePermission`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModifyReply {
    /// Null after CANCEL, and possibly after SHARE. The outer `None` means that the field is absent: the
    /// reply says neither yes nor no.
    #[serde(default, deserialize_with = "present")]
    pub blueprint_id: Option<Option<String>>,
    /// For the vendor's support.
    #[serde(default, deserialize_with = "lenient")]
    pub request_id: Option<String>,
}

/// Tells a field that is null from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What is read of the reply of `DescribeBlueprints`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeBlueprintsReply {
    /// Rows of all pages together.
    pub total_count: u64,
    /// The rows of this page.
    #[serde(deserialize_with = "objects")]
    pub blueprint_set: Vec<Blueprint>,
}

/// What is read of one blueprint.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Blueprint {
    /// An id such as `lhbp-…`.
    pub blueprint_id: String,
    /// The CVM image it was shared from; absent, null or empty for any other blueprint. Anything else that is no text
    /// could be an image's.
    #[serde(default)]
    pub image_id: Option<String>,
    /// An open set: NORMAL, SYNCING, …
    #[serde(default, deserialize_with = "lenient")]
    pub blueprint_state: Option<String>,
    /// An open set: PRIVATE, SHARED, APP_OS, …
    #[serde(default, deserialize_with = "lenient")]
    pub blueprint_type: Option<String>,
    /// Usually the image's name.
    #[serde(default, deserialize_with = "lenient")]
    pub blueprint_name: Option<String>,
}

/// What is read of the reply of `DescribeImagesToShare`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeImagesReply {
    /// Rows of all pages together.
    pub total_count: u64,
    /// The rows of this page.
    #[serde(deserialize_with = "objects")]
    pub image_set: Vec<CustomImage>,
}

/// What is read of one custom image: how people know it, and what hinders sharing it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CustomImage {
    pub image_id: String,
    /// Can be shared now; false for an image that is shared already as well.
    pub is_shareable: bool,
    /// How it was made: `CREATE_IMAGE` or `EXTERNAL_IMPORT`.
    #[serde(default, deserialize_with = "lenient")]
    pub image_source: Option<String>,
    /// What it holds: `SystemImage` or `InstanceImage`.
    #[serde(default, deserialize_with = "lenient")]
    pub image_class: Option<String>,
    /// CREATING, NORMAL, CREATEFAILED, USING, SYNCING, IMPORTING, IMPORTFAILED.
    #[serde(default, deserialize_with = "lenient")]
    pub image_state: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub is_support_cloudinit: Option<bool>,
    /// Localised free text, empty when shareable: shown, never matched on.
    #[serde(default, deserialize_with = "lenient")]
    pub unshareable_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub image_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub os_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub platform: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub architecture: Option<String>,
    /// In UTC, written as `YYYY-MM-DDThh:mm:ssZ`.
    #[serde(default, deserialize_with = "lenient")]
    pub created_time: Option<String>,
}

/// What is read of the reply of `DescribeInstances`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstancesReply {
    /// Rows of all pages together.
    pub total_count: u64,
    /// The rows of this page.
    #[serde(deserialize_with = "objects")]
    pub instance_set: Vec<Instance>,
}

/// What is read of one instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    /// An id such as `lhins-…`.
    pub instance_id: String,
    /// The blueprint that it uses. Anything else that is no text could be one, too.
    #[serde(default)]
    pub blueprint_id: Option<String>,
}

/// What is read of the reply of CVM's `DescribeImages`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeCvmImagesReply {
    /// Rows of all pages together.
    pub total_count: u64,
    /// The rows of this page.
    #[serde(deserialize_with = "objects")]
    pub image_set: Vec<CvmImageRow>,
}

/// What is read of an image in CVM. What is absent or null, an image does not have; what is of another type than it should
/// be could be anything, so that the reply is not taken: a policy would share or retire the wrong images by a guess.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CvmImageRow {
    pub image_id: String,
    #[serde(default)]
    pub image_family: Option<String>,
    #[serde(default)]
    pub image_deprecated: Option<bool>,
    /// A key stands in it once.
    #[serde(default, deserialize_with = "objects_or_null")]
    pub tags: Vec<Tag>,
}

/// A tag of an image.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    pub key: String,
    /// A tag needs no value.
    #[serde(default)]
    pub value: Option<String>,
}

/// What is read of the reply of `GetCallerIdentity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallerIdentity {
    /// The uin of the root account that the caller belongs to, whether user, role or federated user.
    pub account_id: String,
    /// The caller's name in CAM, such as `qcs::cam:100000000001:uin/100000000001`.
    #[serde(default, deserialize_with = "lenient")]
    pub arn: Option<String>,
    /// An open set: `CAMUser`, `CAMRole`, …
    #[serde(default, deserialize_with = "lenient")]
    pub r#type: Option<String>,
    /// For the vendor's support.
    #[serde(default, deserialize_with = "lenient")]
    pub request_id: Option<String>,
}
